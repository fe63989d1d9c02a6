// Package deploy has the files of this folder that Go programs read, too.
package deploy

import _ "embed" // for the list

// VisibilityIndexes are the names of the indexes of Temporal's visibility that somebody
// searches by, one a line: the lists of Ringback, of operators and of the UI (status,
// type, workflow id, children), and every slot that a search attribute of Ringback may
// get: the server chooses among those of its type at random.
//
//go:embed visibility-indexes.txt
var VisibilityIndexes string
