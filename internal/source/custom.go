package source

import (
	"cmp"
	"errors"
	"maps"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"ringback/internal/expression"
	"ringback/internal/operation"
)

// A kind as data is one more protocol: what its definition says is compiled once.

const (
	// maxKept and maxShown bound how many values of an answer are kept and shown.
	maxKept, maxShown = 16, 64
	// changedAt is the name under which the core's own time of the change is kept.
	changedAt = "changed_at"
)

// Compile is the kind that the definition describes, or what is wrong with it. The
// name is that of the kind.
func (d Definition) Compile(name string) (Kind, []expression.Fault) {
	c := &compiler{definition: d}
	made := c.compile()
	if len(c.Faults) > 0 {
		return Kind{}, c.Faults
	}
	var settings []string
	if d.Push == nil {
		settings = []string{"auth", "base_urls", "mac", "timeout", "tls"}
	}
	return Kind{
		Name: name, Push: d.Push, Methods: d.Methods, Settings: settings, Vocabulary: slices.Sorted(maps.Keys(d.Statuses)),
		Rules: d.rules, Fields: d.fields(name, made), Check: made.check, Open: made.open,
		SignsWith: made.signsWith,
	}, nil
}

// compiler compiles a definition and collects what is wrong with it.
type compiler struct {
	expression.Faults
	definition Definition
	// id is the pattern of the whole operation id; nil: any.
	id *regexp.Regexp
}

// custom is a compiled definition.
type custom struct {
	secrets []string
	// methods are those of a start; one that is empty where it has none.
	methods       []string
	id            *regexp.Regexp
	poll, details *requestMaker
	answer        *answerReader
}

func (c *compiler) compile() custom {
	d := c.definition
	c.checkNames()
	c.checkStatuses()
	made := custom{secrets: d.Secrets, methods: d.Methods, id: c.id, answer: &answerReader{}}
	if len(d.Methods) == 0 {
		made.methods = []string{""}
	}
	switch {
	case d.Push != nil:
		c.checkPush()
		return made
	case d.Request == nil:
		c.Add("request", "is missing; allowed: a request and an answer, or push for a core that is never polled")
		return made
	case d.Answer == nil:
		c.Add("answer", "is missing; allowed: answered and status, and what else is read")
		return made
	}
	made.poll = c.request(*d.Request, "request")
	made.details = made.poll
	if d.DetailsRequest != nil {
		made.details = c.request(*d.DetailsRequest, "details_request")
	}
	made.answer = c.answer(*d.Answer)
	return made
}

func (c *compiler) checkNames() {
	d := c.definition
	c.Secrets(d.Secrets)
	for i, method := range d.Methods {
		if method == "" || slices.Contains(d.Methods[:i], method) {
			c.Add(expression.Indexed("methods", i), "must be a method of its own")
		}
	}
	c.checkPattern("operation_id.pattern", d.OperationID.Pattern)
	if most := operation.OperationIDRule.MaxLength; d.OperationID.MaxLength < 0 || d.OperationID.MaxLength > most {
		c.Add("operation_id.max_length", "is out of range; allowed: 1 to %d", most)
	}
}

// checkPattern compiles a pattern as that of a whole value. It is written anew between
// the anchors, so that nothing which it leaves open, such as \Q, reaches beyond it.
func (c *compiler) checkPattern(at, pattern string) {
	if pattern == "" {
		return
	}
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err == nil {
		c.id, err = regexp.Compile(`^(?:` + parsed.String() + `)$`)
	}
	var wrong *syntax.Error
	if errors.As(err, &wrong) {
		c.Add(at, "can't be read: %s: %.40q; allowed: a regular expression of RE2 such as ^[a-z0-9]+$", wrong.Code, wrong.Expr)
	}
}

func (c *compiler) checkStatuses() {
	final := false
	for _, status := range slices.Sorted(maps.Keys(c.definition.Statuses)) {
		at := expression.PathTo("statuses", status)
		if status == "" || operation.StatusRule.Check(status) != nil {
			c.Add(at, "is no status; allowed: 1 to %d letters, digits, _, . and -", operation.StatusRule.MaxLength)
		}
		for i, meaning := range c.definition.Statuses[status] {
			if !slices.Contains(StatusMeanings, meaning) {
				c.Add(expression.Indexed(at, i), "is unknown; allowed: %s", strings.Join(StatusMeanings, ", "))
			}
			final = final || meaning == StatusFinal
		}
	}
	if !final {
		c.Add("statuses", "none is final, so that nothing but its lifetime would end a watch; allowed: at least one")
	}
}

func (c *compiler) checkPush() {
	d := c.definition
	if d.Request != nil || d.DetailsRequest != nil || d.Answer != nil {
		c.Add("push", "can't stand beside request or answer: a core that pushes is never polled")
	}
	if d.Secrets != nil {
		c.Add("secrets", "can't stand beside push: no request is made that could send them")
	}
	if d.Examples != nil {
		c.Add("examples", "can't stand beside push: there is no answer that they could try")
	}
	if d.RingsUnanswered && d.Push.LifetimeStatus != "" {
		c.Add("rings_unanswered", "can't stand beside push.lifetime_status, which is sent instead")
	}
	meaning, known := d.Statuses[d.Push.LifetimeStatus]
	switch {
	case d.Push.LifetimeStatus == "":
	case !known:
		c.Add("push.lifetime_status", "is not in statuses")
	case !slices.Contains(meaning, StatusRings):
		c.Add("push.lifetime_status", "is not one that rings: it would not be delivered")
	}
}

// rules are the meaning of the statuses.
func (d Definition) rules(final []string) operation.Rules {
	rules := operation.Rules{
		Final:     finalStatuses(final, d.meaning(StatusFinal)...),
		Delivered: d.meaning(StatusRings),
		Revocable: d.meaning(StatusRevocable),
		Revoked:   statusRevoked,

		DeliversUnanswered: d.RingsUnanswered,
	}
	if d.Push != nil {
		rules.PushOnly, rules.LifetimeStatus = true, d.Push.LifetimeStatus
	}
	return rules
}

// meaning is the statuses that have that meaning, in order.
func (d Definition) meaning(meaning string) []string {
	var statuses []string
	for _, status := range slices.Sorted(maps.Keys(d.Statuses)) {
		if slices.Contains(d.Statuses[status], meaning) {
			statuses = append(statuses, status)
		}
	}
	return statuses
}

// fields are the limits on a start. A part of the reference that no expression reads
// is refused, and one without which there is no request is required.
func (d Definition) fields(name string, made custom) []operation.FieldRule {
	document := "kind " + name
	return []operation.FieldRule{
		d.idRule(made.id, document),
		{Field: "method", Required: len(d.Methods) > 0, Refused: len(d.Methods) == 0, Allowed: d.Methods, Document: document},
		made.referenceRule("reference.order_id", document),
		made.referenceRule("reference.registered_at", document),
		{Field: "known_status", Allowed: slices.Sorted(maps.Keys(d.Statuses)), Document: document},
	}
}

func (d Definition) idRule(pattern *regexp.Regexp, document string) operation.FieldRule {
	return operation.FieldRule{
		Field: "operation_id", Required: true, Document: document,
		MaxLength: cmp.Or(d.OperationID.MaxLength, operation.OperationIDRule.MaxLength),
		Pattern:   pattern, Alphabet: "the pattern " + d.OperationID.Pattern,
	}
}

func (made custom) referenceRule(field, document string) operation.FieldRule {
	variable := "operation." + field
	used := made.poll.reads(variable) || made.details.reads(variable) || made.answer.reads(variable)
	return operation.FieldRule{
		Field: field, Refused: !used, Document: document,
		Required: used && (made.poll.needs(field, made.methods, made.secrets) || made.details.needs(field, made.methods, made.secrets)),
	}
}

// check says what is wrong with the settings of a source.
func (made custom) check(c Config) []SettingError {
	wrong := checkMAC(c)
	if c.MACID != "" && (made.poll.hasBody() || made.details.hasBody()) {
		wrong = append(wrong, SettingError{"mac.id", "signs requests without a body, and those of this kind have one"})
	}
	return wrong
}

func (made custom) signsWith(secret string) bool {
	key := expression.HMACKey(secret)
	return made.poll.reads(key) || made.details.reads(key)
}

func (made custom) open(c Config) Source {
	if made.poll == nil {
		return pushed{c.Name}
	}
	return made.core(c)
}

// core is the core that the definition describes, configured.
func (made custom) core(c Config) *core {
	p := protocol{
		poll: made.poll.build(c), details: made.details.build(c),
		prepare: made.answer.prepare, wrote: made.answer.wrote,
		observation: made.answer.observation, extended: made.answer.extended,
	}
	if made.answer.refused != nil {
		p.refused = made.answer.isRefused
	}
	if made.answer.retryAfter != nil {
		p.retryAfter = made.answer.wait
	}
	return newCore(c, p)
}
