// Package checker knows what Ringback promises (README, "What Ringback
// promises") and says whether a campaign has seen it kept. It reads only the
// plan and the journals: what cores called and were asked, what receivers were
// sent, which faults were injected, and what the API says of every operation in
// the end.
//
// What it finds wrong is explained by a fault or it is cried out. Which fault
// explains what, for how long and why, is one table (see explanations); nothing
// outside it excuses anything. What is lost is never explained.
//
// The rules of the two systems are written here a second time, not taken from
// the code under test. The words of its answers are the API's
// (internal/operation).
package checker
