package config

import "github.com/goccy/go-yaml/token"

const (
	// maxNesting is how deep a document may nest: the parser takes the square of the
	// depth, or worse.
	maxNesting = 100
	// bracket is the column of an open bracket or brace, which only its end closes.
	bracket = 0
)

// tooDeep is the token at which a document nests too deep, or nil.
func tooDeep(tokens token.Tokens) *token.Token {
	var open nesting
	for _, t := range tokens {
		switch t.Type { //nolint:exhaustive // the others open and close nothing
		case token.SequenceStartType, token.MappingStartType:
			open.columns = append(open.columns, bracket)
			open.brackets++
		case token.SequenceEndType, token.MappingEndType:
			open.endBracket()
		case token.CollectEntryType:
			open.closeDown()
		case token.MappingValueType:
			if key := t.Prev; key != nil && key.Position.Line == t.Position.Line {
				open.begin(key.Position.Column)
			}
		case token.SequenceEntryType, token.MappingKeyType, token.AnchorType, token.TagType:
			open.begin(t.Position.Column)
		}
		if len(open.columns) > maxNesting {
			return t
		}
	}
	return nil
}

// nesting holds the columns of what is open, the outermost first.
type nesting struct {
	columns  []int
	brackets int
}

// begin opens what begins in that column. Outside brackets it ends all that began there
// or to the right.
func (n *nesting) begin(column int) {
	for n.brackets == 0 && len(n.columns) > 0 && n.columns[len(n.columns)-1] >= column {
		n.columns = n.columns[:len(n.columns)-1]
	}
	n.columns = append(n.columns, column)
}

// closeDown closes all within the innermost bracket.
func (n *nesting) closeDown() {
	for n.brackets > 0 && n.columns[len(n.columns)-1] != bracket {
		n.columns = n.columns[:len(n.columns)-1]
	}
}

func (n *nesting) endBracket() {
	if n.brackets == 0 {
		return // the parser says so
	}
	n.closeDown()
	n.columns = n.columns[:len(n.columns)-1]
	n.brackets--
}
