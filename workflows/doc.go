// Package workflows is the life of one operation, as deterministic code: it
// reads no clock, no configuration and does no I/O. Its rules are those of
// operation.Ledger; what it adds is when and where things run
// (docs/design/one-operation.md). Bulk redeliveries and notices live here, too.
//
// # Why Deliver loops inside its retry policy
//
// A delivery is one Deliver activity, whose retry policy says h (the interval, with
// coefficient 1) and k (the maximum attempts). The activity makes attempts in a
// loop all the same:
//
//   - The server keeps time to about a second, and h may be shorter. So waits of up
//     to 5 s are made in the worker; for a longer one the activity fails with the
//     type Waiting, and is retried shortly before the next attempt is due.
//   - k counts the attempts in the activity's record ([operation.DeliveryRecord], its
//     heartbeat details), each recorded before it is sent. The server's attempt
//     counter counts runs of the activity: one run may make many attempts, and one
//     that crashed or was held back made none.
//
// The retry policy is there for operators: in the UI they read h and k, pause,
// edit and reset. The activity reads h and k from it whenever it is run. A reset
// sets the server's counter back, and neither the record nor h. Where that counter
// is used up before k attempts are made, the workflow begins another Deliver with
// the record.
package workflows
