package expression

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	celast "cel.dev/cel-go/common/ast"
)

const mayStandAlone = "a secret may stand alone as a header's value, or as hmac's first argument, and nowhere else"

var (
	undeclared = regexp.MustCompile(`^undeclared reference to '([^']+)'(?: \(did you mean '([^']+)')?`)
	dotted     = regexp.MustCompile(`^\w+(\.\w+)*`)
)

// faultOf is the first of the errors that CEL found in text.
func (s *Scope) faultOf(text string, issues *cel.Issues) *Fault {
	errs := issues.Errors()
	if len(errs) == 0 {
		return &Fault{Line: 1, Column: 1, Detail: issues.Err().Error()}
	}
	first := slices.MinFunc(errs, func(a, b *cel.Error) int {
		if a.Location.Line() != b.Location.Line() {
			return a.Location.Line() - b.Location.Line()
		}
		return a.Location.Column() - b.Location.Column()
	})
	detail := sentence(first.Message)
	if found := undeclared.FindStringSubmatch(first.Message); found != nil {
		detail = s.unknown(text, textAt(text, first.Location), found[1], found[2])
	}
	if strings.Contains(first.Message, "'_?_:_'") && strings.Contains(first.Message, "null") {
		detail += "; beside null, wrap the other value in dyn(…)"
	}
	return &Fault{Line: max(first.Location.Line(), 1), Column: max(first.Location.Column(), 0) + 1, Detail: detail}
}

// unknown says that there is nothing of that name, and what there is. at is the text from
// CEL's place on: of a function that is its bracket. CEL may suggest a function for a
// variable.
func (s *Scope) unknown(text, at, name, suggested string) string {
	meant := ""
	if suggested != "" && (strings.HasPrefix(at, "(") || slices.Contains(s.names, suggested)) {
		meant = " (did you mean " + suggested + "?)"
	}
	if strings.HasPrefix(at, "(") {
		return "there is no function " + name + meant
	}
	within := func(known string) bool { return strings.HasPrefix(known, name+".") }
	if whole := dotted.FindString(at); within(whole) && slices.ContainsFunc(s.names, within) {
		name = whole // such as operation.id
	}
	return "there is no " + name + meant + "; allowed: " + strings.Join(s.names, ", ") + hint(text, name)
}

// textAt is the rest of the line from CEL's place on.
func textAt(text string, at common.Location) string {
	lines := strings.Split(text, "\n")
	line := []rune(lines[min(max(at.Line(), 1), len(lines))-1])
	return string(line[min(max(at.Column(), 0), len(line)):])
}

// hint is what an undeclared name may have been meant for.
func hint(text, name string) string {
	switch {
	case name == "secret" || strings.HasPrefix(name, "secret."):
		return "; " + mayStandAlone + ", and is named in the definition's secrets"
	case name == strings.TrimSpace(text) && !strings.Contains(name, "."):
		return fmt.Sprintf(`; a literal text is quoted within: "'%s'"`, name)
	}
	return ""
}

// inspect notes what an expression reads, and refuses what only the whole of it shows.
func (s *Scope) inspect(ast *cel.Ast, e *Expression) (fault *Fault) {
	native := ast.NativeRep()
	refuse := func(node celast.Expr, detail string) {
		at := native.SourceInfo().GetStartLocation(node.ID())
		if fault == nil {
			fault = &Fault{Line: max(at.Line(), 1), Column: max(at.Column()-startOf(node), 0) + 1, Detail: detail}
		}
	}
	for _, node := range celast.MatchDescendants(celast.NavigateAST(native), celast.AllMatcher()) {
		switch node.Kind() { //nolint:exhaustive // the others say nothing
		case celast.ComprehensionKind:
			e.loops = true
		case celast.IdentKind:
			// A leading dot names the variable beside one of a loop of the same name.
			name := strings.TrimPrefix(node.AsIdent(), ".")
			e.names = append(e.names, name)
			_, inside := node.Parent()
			switch {
			case !strings.HasPrefix(name, "secret."):
			case isKey(node):
				e.names = append(e.names, HMACKey(strings.TrimPrefix(name, "secret.")))
			case inside || e.want != Header:
				refuse(node, mayStandAlone)
			}
		case celast.CallKind:
			inspectCall(node, refuse)
		}
	}
	return fault
}

// startOf is how far before CEL's position of a node it begins: that of a variable with
// a dot is the dot.
func startOf(node celast.Expr) int {
	if node.Kind() != celast.IdentKind {
		return 0
	}
	return max(strings.LastIndex(node.AsIdent(), "."), 0)
}

// isKey reports whether a node is the first argument of hmac.
func isKey(node celast.NavigableExpr) bool {
	parent, inside := node.Parent()
	return inside && parent.Kind() == celast.CallKind && parent.AsCall().FunctionName() == "hmac" && parent.AsCall().Args()[0].ID() == node.ID()
}

func inspectCall(node celast.NavigableExpr, refuse func(celast.Expr, string)) {
	call := node.AsCall()
	switch call.FunctionName() {
	case "hmac":
		name := call.Args()[1]
		if name.Kind() != celast.LiteralKind {
			return
		}
		if text, ok := name.AsLiteral().Value().(string); ok && hashes[text] == nil {
			refuse(name, "is not a hash; allowed: "+hashNames)
		}
	case "matches":
		if pattern := call.Args()[len(call.Args())-1]; pattern.Kind() != celast.LiteralKind {
			refuse(pattern, "a pattern must be a literal, such as 'a+'")
		}
	}
}
