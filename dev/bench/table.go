package main

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// row is one measure: a value for each round.
type row struct {
	Database string    `json:"database"`
	Measure  string    `json:"measure"`
	Unit     string    `json:"unit"`
	Values   []float64 `json:"values"`
	// Target is for the median; nil if there is none.
	Target *target `json:"target,omitempty"`
	// Note explains the measure.
	Note string `json:"note,omitempty"`
	// by is the name of the measure that added it first.
	by string
}

// target bounds a median.
type target struct {
	AtMost  *float64 `json:"at_most,omitempty"`
	AtLeast *float64 `json:"at_least,omitempty"`
}

func atMost(v float64) *target { return &target{AtMost: &v} }

func atLeast(v float64) *target { return &target{AtLeast: &v} }

func (t *target) String() string {
	switch {
	case t == nil:
		return ""
	case t.AtLeast != nil:
		return fmt.Sprintf(">= %.4g", *t.AtLeast)
	}
	return fmt.Sprintf("<= %.4g", *t.AtMost)
}

// met reports whether v reaches the target. NaN does not.
func (t *target) met(v float64) bool {
	switch {
	case t == nil:
		return true
	case math.IsNaN(v):
		return false
	case t.AtLeast != nil:
		return v >= *t.AtLeast
	}
	return v <= *t.AtMost
}

func (r row) met() bool { return r.Target.met(r.median()) }

func (r row) median() float64 {
	sorted := slices.Sorted(slices.Values(r.Values))
	return (sorted[len(sorted)/2] + sorted[(len(sorted)-1)/2]) / 2
}

// table collects the rows of a run, in the order in which they first came.
type table struct{ rows []row }

// add adds a row, or its values to the row of the same measure.
func (t *table) add(r row) {
	at := slices.IndexFunc(t.rows, func(known row) bool { return known.Database == r.Database && known.Measure == r.Measure })
	if at < 0 {
		t.rows = append(t.rows, r)
		return
	}
	t.rows[at].Values = append(t.rows[at].Values, r.Values...)
}

// missed are the rows of a measure on a database that miss their targets.
func (t *table) missed(database, by string) []row {
	return slices.DeleteFunc(slices.Clone(t.rows), func(r row) bool { return r.Database != database || r.by != by || r.met() })
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
