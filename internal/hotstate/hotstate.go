// Package hotstate remembers which action proofs were spent, as long as it
// lives: in memory for one process, and in Redis. It implements policy.Spent.
//
// Nothing here is durable, and nothing has to be. What matters is that a loss
// is noticed: a store answers only while it is, without a gap, the one that
// Begin made empty under that name. Whatever else may be the case (restarted,
// flushed, failed over, its clock set, full, not to be reached) is an error, and
// the caller goes to the database.
package hotstate

import "errors"

// ErrLost: the store is not, or no longer, the one that began under this name.
// What was spent in it may be forgotten.
var ErrLost = errors.New("hotstate: the store of spent proofs is not the one that began")

// ErrFull: nothing more can be remembered, and nothing may be forgotten yet.
var ErrFull = errors.New("hotstate: the store of spent proofs is full")
