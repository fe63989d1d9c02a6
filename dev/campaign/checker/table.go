package checker

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"ringback/internal/operation"
)

// timelines is of how many operations that it cries about all that was seen is told.
const timelines = 20

// Write writes the verdict as tables in Markdown, and every cry with what was
// seen of its operation.
func (v Verdict) Write(w io.Writer) error {
	var b strings.Builder
	v.writeCounts(&b)
	v.writeFaults(&b)
	v.writeRules(&b)
	v.writeCries(&b)
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write the verdict of seed %d: %w", v.Seed, err)
	}
	return nil
}

func (v Verdict) writeCounts(b *strings.Builder) {
	fmt.Fprintf(b, "| seed %d, %s | |\n|---|--:|\n", v.Seed, v.Length)
	for _, row := range []struct {
		what  string
		count any
	}{
		{"operations", v.Operations},
		{"accepted", v.Accepted},
		{"callbacks", v.Callbacks},
		{"attempts recorded", v.Attempts},
		{"requests to receivers", v.Requests},
		{"polls of cores", v.Polls},
		{"polls recorded", v.Counted},
		{"calls of the API", v.Calls},
		{"calls answered with 429 or 503", v.Deferred},
		{"duplicates that a fault explains", v.Duplicates - v.unexplainedDuplicates()},
		{"duplicates since the receiver dropped its answer", v.OwnDuplicates},
		{"requests beyond the recorded attempts", v.Unrecorded},
		{"recorded attempts that reached nobody", v.Unreached},
		{"overdue without a fault: half at most", rounded(v.Overdue[0])},
		{"99 of 100 at most", rounded(v.Overdue[1])},
		{"all at most", rounded(v.Overdue[2])},
	} {
		fmt.Fprintf(b, "| %s | %v |\n", row.what, row.count)
	}
	for _, outcome := range slices.Sorted(maps.Keys(v.Outcomes)) {
		fmt.Fprintf(b, "| ended as %s | %d |\n", outcome, v.Outcomes[outcome])
	}
	fmt.Fprintf(b, "| **lost** | **%d** |\n| **unexplained** | **%d** |\n", v.Lost(), v.Unexplained())
}

func (v Verdict) unexplainedDuplicates() int {
	explained := 0
	for _, f := range v.Faults {
		explained += f.Explained[string(duplicate)]
	}
	return v.Duplicates - explained
}

func (v Verdict) writeFaults(b *strings.Builder) {
	b.WriteString("\n| fault | of | times | broken, longest | recovery, longest | explains |\n|---|---|--:|--:|--:|---|\n")
	for _, f := range v.Faults {
		var explains []string
		for _, of := range slices.Sorted(maps.Keys(f.Explained)) {
			explains = append(explains, fmt.Sprintf("%s: %d", of, f.Explained[of]))
		}
		fmt.Fprintf(b, "| %s | %s | %d | %s | %s | %s |\n", f.Kind, f.On, f.Times, rounded(f.Broken), rounded(f.Recovery), strings.Join(explains, ", "))
	}
}

// writeRules counts the cries of each sort.
func (v Verdict) writeRules(b *strings.Builder) {
	type rule struct {
		lost    bool
		promise int
		says    string
	}
	times := map[rule]int{}
	var order []rule
	for _, cry := range v.Cries {
		r := rule{cry.Lost, cry.Promise, cry.Rule}
		if times[r]++; times[r] == 1 {
			order = append(order, r)
		}
	}
	if len(order) == 0 {
		return
	}
	slices.SortStableFunc(order, func(a, b rule) int { return times[b] - times[a] })
	b.WriteString("\n| the checker cries | promise | lost | times |\n|---|--:|---|--:|\n")
	for _, r := range order {
		lost := ""
		if r.lost {
			lost = "lost"
		}
		fmt.Fprintf(b, "| %s | %d | %s | %d |\n", r.says, r.promise, lost, times[r])
	}
}

func (v Verdict) writeCries(b *strings.Builder) {
	told := map[operation.Key]bool{}
	for _, cry := range v.Cries {
		kind := "UNEXPLAINED"
		if cry.Lost {
			kind = "LOST"
		}
		fmt.Fprintf(b, "\n%s", kind)
		if cry.Promise != 0 {
			fmt.Fprintf(b, " (promise %d)", cry.Promise)
		}
		fmt.Fprintf(b, ": %s: %s\n", cry.Key.WorkflowID(), cry.What)
		if told[cry.Key] || len(told) >= timelines {
			continue
		}
		told[cry.Key] = true
		for _, line := range cry.Timeline {
			fmt.Fprintf(b, "    %s\n", line)
		}
	}
}

func rounded(d time.Duration) string { return d.Round(10 * time.Millisecond).String() }
