package dialect

import (
	"slices"
	"strings"

	"ringback/internal/expression"
	"ringback/internal/operation"
)

// VerdictGone is the verdict of an example whose answer ends the delivery.
const VerdictGone = "gone"

// Verdicts are those of examples.
var Verdicts = []string{string(operation.Acknowledged), string(operation.Unacknowledged), VerdictGone}

// RunExamples says which examples of a valid definition fail, and how.
func (d Definition) RunExamples() []expression.Fault {
	spoken, wrong := d.Compile("of the examples")
	if len(wrong) > 0 {
		return wrong
	}
	var faults expression.Faults
	for i, e := range d.Examples {
		found := e.mistakes()
		if len(found) == 0 {
			found = e.differences(spoken, expression.ExampleSecrets(d.Secrets))
		}
		faults.Example(i, e.Name, found)
	}
	return faults
}

// mistakes are what would not be tried.
func (e Example) mistakes() (faults expression.Faults) {
	isVerdict := slices.Contains(Verdicts, e.Verdict)
	switch {
	case !isVerdict && (e.Verdict != "" || e.Answer != nil):
		faults.Add("verdict", "%q is unknown; allowed: %s", e.Verdict, strings.Join(Verdicts, ", "))
	case e.Answer == nil && (isVerdict || e.RetryAfter != 0):
		faults.Add("answer", "is missing: there is nothing to judge for verdict and retry_after")
	case e.Body == "" && e.Answer == nil:
		faults.Add("", "tests nothing; give a body, or an answer and its verdict")
	}
	return faults
}

// differences are what an example says otherwise than the dialect does.
func (e Example) differences(d Dialect, secrets map[string]string) (faults expression.Faults) {
	c := e.callback()
	if e.Body != "" {
		message, err := d.Write(c, secrets)
		if err != nil {
			faults.Add("body", "nothing is written: %s", err)
		} else {
			faults.Differ("body", e.Body, string(message.Body), "")
		}
	}
	if e.Answer == nil {
		return faults
	}
	j := d.Judge(c, Answer{HTTPStatus: e.Answer.Status(), Header: e.Answer.Header(), Body: []byte(e.Answer.Body)})
	verdict, wait := string(j.Verdict), ""
	if j.Gone {
		verdict = VerdictGone
	}
	if j.RetryAfter != nil {
		wait = j.RetryAfter.String()
	}
	faults.Differ("verdict", e.Verdict, verdict, j.Reason)
	if e.RetryAfter != 0 {
		faults.Differ("retry_after", e.RetryAfter.String(), wait, "")
	}
	return faults
}

func (e Example) callback() operation.Callback {
	c := operation.Callback{
		Key:         operation.Key{Endpoint: e.Operation.Endpoint, OperationID: e.Operation.OperationID},
		Reference:   e.Operation.Reference.Reference(),
		Final:       e.Final,
		Observation: operation.Observation{Status: e.Status, Raw: e.Keep, ObservedAt: operation.At(e.ObservedAt)},
	}
	c.ID = operation.CallbackID(c.Key, e.Status)
	return c
}
