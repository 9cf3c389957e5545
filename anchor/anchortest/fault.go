package anchortest

import (
	"context"
	"sync"

	"github.com/writ-registry/writ/anchor"
)

// Point is a place where a call can be made to fail: before it has had its
// effect (lost), or after (done, but reported lost).
type Point string

// The points of FaultyLedger and FaultyStore.
const (
	HeadLost      Point = "head lost"
	PrepareLost   Point = "prepare lost"
	BroadcastLost Point = "broadcast lost"
	BroadcastDone Point = "broadcast done, response lost"
	StatusLost    Point = "status lost"
	SaveLost      Point = "save lost"
	SaveDone      Point = "save done, response lost"
	MarkLost      Point = "mark lost"
	MarkDone      Point = "mark done, response lost"
)

// Faults is a set of armed points, each with the error it gives. The zero
// value has none. Safe for concurrent use.
type Faults struct {
	mu    sync.Mutex
	armed map[Point]error
	hits  map[Point]int
}

// Arm makes every pass of p fail with err until Disarm.
func (f *Faults) Arm(p Point, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.armed == nil {
		f.armed = make(map[Point]error)
		f.hits = make(map[Point]int)
	}
	f.armed[p] = err
}

// Disarm removes all faults.
func (f *Faults) Disarm() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.armed)
}

// Hits returns how often p has failed.
func (f *Faults) Hits(p Point) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.hits[p]
}

func (f *Faults) at(p Point) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.armed[p]
	if err != nil {
		f.hits[p]++
	}
	return err
}

// FaultyLedger passes calls on, or fails them.
type FaultyLedger struct {
	anchor.Ledger
	*Faults
}

// Head implements anchor.Ledger.
func (l FaultyLedger) Head(ctx context.Context, level anchor.Finality) (anchor.Head, error) {
	if err := l.at(HeadLost); err != nil {
		return anchor.Head{}, err
	}
	return l.Ledger.Head(ctx, level)
}

// Prepare implements anchor.Ledger.
func (l FaultyLedger) Prepare(ctx context.Context, head anchor.SignedHead, replaces ...anchor.Attempt) (anchor.Attempt, error) {
	if err := l.at(PrepareLost); err != nil {
		return anchor.Attempt{}, err
	}
	return l.Ledger.Prepare(ctx, head, replaces...)
}

// Broadcast implements anchor.Ledger.
func (l FaultyLedger) Broadcast(ctx context.Context, a anchor.Attempt) error {
	if err := l.at(BroadcastLost); err != nil {
		return err
	}
	if err := l.Ledger.Broadcast(ctx, a); err != nil {
		return err
	}
	return l.at(BroadcastDone)
}

// Status implements anchor.Ledger.
func (l FaultyLedger) Status(ctx context.Context, a anchor.Attempt) (anchor.Confirmation, error) {
	if err := l.at(StatusLost); err != nil {
		return anchor.Confirmation{}, err
	}
	return l.Ledger.Status(ctx, a)
}

// FaultyStore passes calls on, or fails them.
type FaultyStore struct {
	anchor.AttemptStore
	*Faults
}

// SaveAttempt implements anchor.AttemptStore.
func (s FaultyStore) SaveAttempt(ctx context.Context, rec anchor.AttemptRecord) (int64, error) {
	if err := s.at(SaveLost); err != nil {
		return 0, err
	}
	id, err := s.AttemptStore.SaveAttempt(ctx, rec)
	if err != nil {
		return 0, err
	}
	return id, s.at(SaveDone)
}

// MarkAttempt implements anchor.AttemptStore.
func (s FaultyStore) MarkAttempt(ctx context.Context, id int64, state anchor.AttemptState, c anchor.Confirmation) error {
	if err := s.at(MarkLost); err != nil {
		return err
	}
	if err := s.AttemptStore.MarkAttempt(ctx, id, state, c); err != nil {
		return err
	}
	return s.at(MarkDone)
}
