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
	// File is the name that the file was loaded by.
	File string
	// Line and Column count from 1.
	Line, Column int
	// Path is the value's path, such as "endpoints.SHOP.delivery.attempts";
	// empty where the document itself can't be read.
	Path string
	// Detail says what is wrong and what is allowed. It holds no secret.
	Detail string
}

// Error is "file:line:column: path: detail", in one line also where it repeats
// more than one of the document.
func (f *Fault) Error() string {
	position := fmt.Sprintf("%s:%d:%d: ", f.File, f.Line, f.Column)
	detail := f.Detail
	if f.Path != "" {
		detail = f.Path + ": " + f.Detail
	}
	return position + oneLine.Replace(detail)
}

var oneLine = strings.NewReplacer("\n", " ", "\r", " ")

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
