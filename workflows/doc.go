// Package workflows has the workflows of operations, bulk redeliveries and notices. Read
// operation.go first. The rules of an operation are those of [operation.Lifecycle]; this
// package decides when and where things run (docs/design/one-operation.md).
//
// # Why Deliver loops inside its retry policy
//
// A delivery is one Deliver activity, whose retry policy is h (the interval, with
// coefficient 1) and k (the maximum attempts). The activity makes attempts in a loop
// all the same:
//
//   - The server keeps time to about a second, and h may be shorter. So the activity
//     waits up to 5 s in the worker. Before a longer wait it fails with the type
//     Waiting, and is retried shortly before the next attempt is due.
//   - k counts the attempts in the activity's record ([operation.DeliveryRecord], its
//     heartbeat details), each recorded before it is sent. The server counts runs of
//     the activity: one run may make many attempts, and one that crashed or was held
//     back made none.
//
// The retry policy is for operators: in the UI they read, pause, edit and reset it. The
// activity reads h and k from it in each run. A reset sets the server's count back, and
// neither the record nor h. Where that count is used up before k attempts were made, the
// workflow starts another Deliver with the record.
package workflows
