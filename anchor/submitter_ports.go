package anchor

import (
	"context"
	"time"
)

// Log is the Submitter's view of one append-only log. It shows only what a
// signed checkpoint covers, so a head that never passed the rollback check can
// not reach a ledger through it.
//
// Answers are stable: HeadAt of the same size is the same for ever, and Head
// never gets smaller while the process runs. Safe for concurrent use.
type Log interface {
	// Head returns the head of the newest signed checkpoint; the zero Head
	// when there is none or the log is empty.
	Head(ctx context.Context) (Head, error)

	// HeadAt returns the head the log had at size, which is at most that of
	// the newest signed checkpoint. ErrNotIntegrated beyond it.
	HeadAt(ctx context.Context, size uint64) (Head, error)

	// ConsistencyProof returns the RFC 9162 (section 2.1.4.1) proof from size
	// from to size to, with 0 < from < to and both covered by a checkpoint.
	ConsistencyProof(ctx context.Context, from, to uint64) ([][32]byte, error)
}

// AttemptState says whether somebody still has to care about an attempt.
type AttemptState string

const (
	// StatePending: journalled, outcome open. Finality tells how far it got.
	StatePending AttemptState = "pending"
	// StateSettled: reached the ledger's finality rule. Left only when the
	// ledger goes back behind its own rule, then to StatePending.
	StateSettled AttemptState = "settled"
	// StateFailed: included and refused by the ledger's rules. Final.
	StateFailed AttemptState = "failed"
	// StateSuperseded: can never be included, because another transaction took
	// its place or the ledger it was made for is gone. Final.
	StateSuperseded AttemptState = "superseded"
)

// AttemptRecord is one row of the anchor journal: a prepared transaction, the
// head it carries, and what became of it.
type AttemptRecord struct {
	ID int64 // assigned by the store, ascending in order of creation

	Ledger   string   // Info.Name
	ChainID  string   // Info.ChainID at the time
	Contract string   // Info.Contract at the time
	LogID    [32]byte // Info.LogID

	Head             // the head it anchors
	HeadKey   string // who signed the head
	Signature []byte // the head key's signature
	Attempt          // transaction id and bytes

	State        AttemptState
	Confirmation Confirmation
	Created      time.Time // UTC, set by the store
	Updated      time.Time // UTC, set by the store
}

// AttemptStore is the anchor journal.
//
// Durability: SaveAttempt and MarkAttempt return nil only when the row would
// survive a power cut. An error from either leaves it open whether the row was
// written; the Submitter finds out by OpenAttempts.
//
// Concurrency: safe for concurrent use; one Submitter writes the rows of one
// (ledger, log). Errors are the store's, wrapped; none is part of the contract.
type AttemptStore interface {
	// SaveAttempt adds rec in StatePending with Finality None and returns its
	// ID. ID, State, Confirmation, Created and Updated of rec are ignored.
	// The same (ledger, chain, Tx) again returns the existing ID.
	SaveAttempt(ctx context.Context, rec AttemptRecord) (id int64, err error)

	// MarkAttempt records what became of an attempt.
	MarkAttempt(ctx context.Context, id int64, state AttemptState, c Confirmation) error

	// OpenAttempts returns the rows in StatePending of one log on the ledger
	// of that name, oldest first, whatever chain or contract they were for.
	OpenAttempts(ctx context.Context, ledger string, logID [32]byte) ([]AttemptRecord, error)

	// SettledAbove returns the rows in StateSettled for exactly the ledger,
	// chain, contract and log of info whose size is above size, oldest first.
	// It is called once a cycle and nearly always finds nothing.
	SettledAbove(ctx context.Context, info Info, size uint64) ([]AttemptRecord, error)
}
