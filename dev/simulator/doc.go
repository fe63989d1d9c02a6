// Package simulator holds stand-ins for the systems that Ringback talks to,
// over real HTTP on an address of their own: Ukrcard's wsGate, Paysera's
// transfers and the receivers of callbacks. They check what they are sent as
// the documents say, answer from scripts and remember every request.
//
// What they check is written here a second time, not taken from the code under
// test.
package simulator
