package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Fault is one thing wrong in a configuration file.
type Fault struct {
	File string
	// Line and Column count from 1.
	Line, Column int
	// Path is the value's path, such as "endpoints.SHOP.delivery.attempts"; empty
	// where the document itself cannot be read.
	Path string
	// Detail says what is wrong and what is allowed. It holds no secret.
	Detail string
}

// Error is one line: "file:line:column: path: detail".
func (f *Fault) Error() string {
	text := fmt.Sprintf("%s:%d:%d: ", f.File, f.Line, f.Column)
	if f.Path != "" {
		text += f.Path + ": "
	}
	return text + strings.NewReplacer("\n", " ", "\r", " ").Replace(f.Detail)
}

// join orders faults as they stand in the file; nil for none.
func join(faults []*Fault) error {
	slices.SortStableFunc(faults, func(a, b *Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), strings.Compare(a.Path, b.Path))
	})
	errs := make([]error, len(faults))
	for i, f := range faults {
		errs[i] = f
	}
	return errors.Join(errs...)
}
