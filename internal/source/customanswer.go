package source

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"ringback/internal/expression"
	"ringback/internal/httpanswer"
	"ringback/internal/operation"
)

// answerReader reads the answers of a kind as data.
type answerReader struct {
	answered, about, status, changedAt, refused, retryAfter *expression.Expression
	keep                                                    expression.Fields
	details                                                 []shown
	// readsText: an answer need not be JSON.
	readsText, readsHeaders bool
}

// shown is one value to be shown, or an object of them.
type shown struct {
	name   string
	value  *expression.Expression
	object []shown
}

func (c *compiler) answer(d AnswerReader) *answerReader {
	scope := expression.AnswerScope()
	r := &answerReader{}
	for _, single := range []struct {
		name, text string
		want       expression.Type
		into       **expression.Expression
	}{
		{"answered", d.Answered, expression.Bool, &r.answered},
		{"about", d.About, expression.Text, &r.about},
		{"status", d.Status, expression.Text, &r.status},
		{"changed_at", d.ChangedAt, expression.Time, &r.changedAt},
		{"refused", d.Refused, expression.Bool, &r.refused},
		{"retry_after", d.RetryAfter, expression.Wait, &r.retryAfter},
	} {
		*single.into = c.Expression(scope, "answer."+single.name, single.text, single.want)
	}
	c.Require(d.Answered != "", "answer.answered", "is missing: it tells the core's own answers from those of what stands in front of it, such as has(body.id)")
	c.Require(d.Status != "", "answer.status", "is missing; allowed: an expression such as body.status")
	r.keep = c.Fields(scope, "answer.keep", d.Keep, expression.Text)
	r.details = c.shown(scope, "answer.details", d.Details)
	r.readsText, r.readsHeaders = r.reads("text"), r.reads("http.headers")
	c.checkKept(d)
	return r
}

func (c *compiler) checkKept(d AnswerReader) {
	c.Require(len(d.Keep) <= maxKept, "answer.keep", "holds %d values; allowed: up to %d", len(d.Keep), maxKept)
	c.Require(len(d.Details) <= maxShown, "answer.details", "holds %d values; allowed: up to %d", len(d.Details), maxShown)
	for _, member := range d.Keep {
		c.Require(member.Name != changedAt || d.ChangedAt == "", "answer.keep."+changedAt, "occurs twice: answer.changed_at is kept under this name")
	}
}

// shown compiles values to be shown, each one expression or an object of them.
func (c *compiler) shown(scope *expression.Scope, path string, members []expression.Member) (values []shown) {
	for _, member := range members {
		value := shown{name: member.Name}
		if member.Value.Object != nil {
			value.object = c.shown(scope, expression.PathTo(path, member.Name), member.Value.Object)
		} else if fields := c.Fields(scope, path, expression.Members{member}, expression.Value); len(fields) > 0 {
			value.value = fields[0].Expression
		}
		values = append(values, value)
	}
	return values
}

// reads reports whether one of the expressions uses a variable.
func (r *answerReader) reads(variable string) bool {
	singles := []*expression.Expression{r.answered, r.about, r.status, r.changedAt, r.refused, r.retryAfter}
	inSingle := slices.ContainsFunc(singles, func(e *expression.Expression) bool { return e.Reads(variable) })
	return inSingle || r.keep.Reads(variable) || slices.ContainsFunc(r.details, func(s shown) bool { return s.reads(variable) })
}

func (s shown) reads(variable string) bool {
	return s.value.Reads(variable) || slices.ContainsFunc(s.object, func(inner shown) bool { return inner.reads(variable) })
}

// prepare decodes an answer once for all expressions.
func (r *answerReader) prepare(ctx context.Context, got *answer, q operation.Query) (fault string) {
	vars := expression.OperationVariables(q, 4)
	vars["http.status"], vars["body"] = got.httpStatus, nil
	if r.readsHeaders {
		vars["http.headers"] = expression.HeaderValues(got.header)
	}
	got.eval = func(e *expression.Expression) (any, error) { return e.Eval(ctx, vars) }
	if r.readsText {
		vars["text"] = string(got.body)
		fault = got.notRead()
	} else {
		fault = got.unlikeJSON()
	}
	if fault != "" {
		return fault
	}
	body, err := expression.DecodeJSON(got.body)
	if err == nil {
		vars["body"] = body
	} else if !r.readsText {
		fault = err.Error()
	}
	return fault
}

// says reports whether a question is answered with yes; one that can't be evaluated is not.
func (a answer) says(question *expression.Expression) bool {
	yes, err := a.eval(question)
	return err == nil && yes == true
}

func (r *answerReader) wrote(got answer) bool     { return got.says(r.answered) }
func (r *answerReader) isRefused(got answer) bool { return got.says(r.refused) }

// wait is when to come back; the header says it where the expression says nothing.
func (r *answerReader) wait(got answer) time.Duration {
	wait, err := got.eval(r.retryAfter)
	if asked, ok := wait.(time.Duration); err == nil && ok && asked > 0 {
		return min(asked, httpanswer.MaxRetryAfter)
	}
	return httpanswer.RetryAfter(got.header, time.Now())
}

// isAbout says what keeps an answer from being the core's about this operation.
func (r *answerReader) isAbout(got answer, q operation.Query) error {
	if !r.wrote(got) {
		return errors.New("the answer is not in the core's own words (answer.answered)")
	}
	if r.about == nil {
		return nil
	}
	id, err := got.eval(r.about)
	switch {
	case err != nil:
		return err
	case id != q.OperationID:
		return errors.New("the answer is about another operation (answer.about)")
	}
	return nil
}

// observation keeps the status and the allow-listed values.
func (r *answerReader) observation(got answer, q operation.Query) (operation.Observation, error) {
	if err := r.isAbout(got, q); err != nil {
		return operation.Observation{}, err
	}
	value, err := got.eval(r.status)
	status, _ := value.(string)
	switch {
	case err != nil:
		return operation.Observation{}, err
	case status == "" && (got.httpStatus < 200 || got.httpStatus > 299):
		return operation.Observation{}, errors.New("the answer has no status (answer.status)")
	case operation.StatusRule.Check(status) != nil:
		return operation.Observation{}, fmt.Errorf("the answer's status is not up to %d letters, digits, _, . and - (answer.status)", operation.StatusRule.MaxLength)
	}
	return operation.Observation{Status: status, Raw: r.kept(got)}, nil
}

// maxKeptText bounds one kept value, in characters. A longer one is left out: cut, it
// would be another.
const maxKeptText = 256

func (r *answerReader) kept(got answer) map[string]string {
	kept := make(map[string]string, len(r.keep)+1)
	for _, field := range r.keep {
		value, err := got.eval(field.Expression)
		text, ok := value.(string)
		if err == nil && ok && utf8.RuneCountInString(text) <= maxKeptText && operation.CheckText(text) == "" {
			kept[field.Name] = text
		}
	}
	if r.changedAt != nil {
		if at, err := got.eval(r.changedAt); err == nil && at != nil {
			kept[changedAt] = at.(time.Time).UTC().Format(time.RFC3339Nano)
		}
	}
	if len(kept) == 0 {
		return nil
	}
	return kept
}

// extended picks the allow-listed values, with card numbers masked.
func (r *answerReader) extended(got answer, q operation.Query) (map[string]any, error) {
	if _, err := r.observation(got, q); err != nil {
		return nil, err
	}
	return pick(got, r.details), nil
}

// pick is the values that are numbers, texts or truth values. A list or an object of
// the core's is left out: nobody listed what is in it.
func pick(got answer, values []shown) map[string]any {
	picked := map[string]any{}
	for _, s := range values {
		if s.value == nil {
			if inner := pick(got, s.object); len(inner) > 0 {
				picked[s.name] = inner
			}
			continue
		}
		value, err := got.eval(s.value)
		if masked, ok := masked(value); err == nil && ok {
			picked[s.name] = masked
		}
	}
	return picked
}
