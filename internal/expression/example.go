package expression

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"ringback/internal/operation"
)

// ExampleReference is the reference of an example's operation.
type ExampleReference struct {
	OrderID      string    `yaml:"order_id,omitzero"`
	RegisteredAt time.Time `yaml:"registered_at,omitzero"`
}

// Reference is the same for an operation.
func (r ExampleReference) Reference() operation.Reference {
	reference := operation.Reference{OrderID: r.OrderID}
	if !r.RegisteredAt.IsZero() {
		at := operation.At(r.RegisteredAt)
		reference.RegisteredAt = &at
	}
	return reference
}

// ExampleAnswer is what a core or a receiver answers in an example.
type ExampleAnswer struct {
	// HTTPStatus is 200 unless set.
	HTTPStatus int               `yaml:"http_status,omitzero"`
	Headers    map[string]string `yaml:"headers,omitempty"`
	Body       string            `yaml:"body,omitzero"`
}

// Status is the HTTP status.
func (a ExampleAnswer) Status() int { return cmp.Or(a.HTTPStatus, http.StatusOK) }

// Header are the headers.
func (a ExampleAnswer) Header() http.Header {
	header := http.Header{}
	for name, value := range a.Headers {
		header.Set(name, value)
	}
	return header
}

// ExampleSecrets are secrets whose values are their names, for what is not sent.
func ExampleSecrets(names []string) map[string]string {
	values := map[string]string{}
	for _, name := range names {
		values[name] = name
	}
	return values
}

// Example adds the faults of the example at index i, whose paths are within it.
func (f *Faults) Example(i int, name string, faults Faults) {
	if name != "" {
		name += ": "
	}
	for _, fault := range faults {
		at := Indexed("examples", i)
		if fault.Path != "" {
			at += "." + fault.Path
		}
		f.Add(at, "%s%s", name, fault.Detail)
	}
}

// Differ notes that an example wants another text at path than there is. why, unless
// empty, is why it is so.
func (f *Faults) Differ(path, want, is, why string) {
	if want == is {
		return
	}
	if why != "" {
		why = " (" + why + ")"
	}
	want, is = excerpts(want, is)
	f.Add(path, "the example says %q, but it is %q%s", want, is, why)
}

// DifferByName notes the same of named texts.
func (f *Faults) DifferByName(path string, want, is map[string]string) {
	names := maps.Clone(want)
	maps.Copy(names, is)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		wanted, isWanted := want[name]
		value, isThere := is[name]
		at := PathTo(path, name)
		switch {
		case !isThere:
			f.Add(at, "the example says %q, but it is left out", wanted)
		case !isWanted:
			f.Add(at, "the example leaves it out, but it is %q", value)
		default:
			f.Differ(at, wanted, value, "")
		}
	}
}

// longestShown is how much of a text a difference shows, in bytes.
const longestShown = 60

// excerpts are both texts, long ones from shortly before where they begin to differ.
func excerpts(a, b string) (ofA, ofB string) {
	same := 0
	for same < min(len(a), len(b)) && a[same] == b[same] {
		same++
	}
	excerpt := func(text string) string {
		if len(text) <= longestShown {
			return text
		}
		from := max(same-longestShown/3, 0)
		to := min(from+longestShown, len(text))
		return strings.Repeat("…", min(from, 1)) + strings.ToValidUTF8(text[from:to], "") + strings.Repeat("…", min(len(text)-to, 1))
	}
	return excerpt(a), excerpt(b)
}
