package registry

import (
	"bytes"
	"context"
	"errors"
	"sort"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/writ-registry/writ/internal/canon"
)

// A decision's id is a UUIDv7: it holds the millisecond in which the decision was
// begun. Its event is looked for from a second before until a minute after: a decision
// waits for its commit, and a clock may be set back. One that was recorded later is
// found by the CID of its event.
const (
	decidedBefore = time.Second
	decidedAfter  = time.Minute
)

// NewIDAt is a fresh UUIDv7 (RFC 9562, section 5.7) of a time.
func NewIDAt(t time.Time) string {
	u := uuid.Must(uuid.NewV7())
	ms := uint64(t.UnixMilli())
	for i := range 6 {
		u[i] = byte(ms >> (40 - 8*i))
	}
	return u.String()
}

// IDTime is the time that a UUIDv7 holds; false: it is none in its one spelling.
func IDTime(id string) (time.Time, bool) {
	u, err := uuid.Parse(id)
	if err != nil || u.String() != id || u.Version() != 7 {
		return time.Time{}, false
	}
	var ms int64
	for _, b := range u[:6] {
		ms = ms<<8 | int64(b)
	}
	return time.UnixMilli(ms), true
}

// errNoDecision answers alike for foreign, unknown and unrecorded decisions.
var errNoDecision = &Error{Kind: NotFound, Code: "not_recorded",
	Detail: "no such decision: a permit of no consequence (qualified: false) leaves no event, and a repeat of a denial that of the first"}

// FindDecision returns the event of a decision, by the decision's id or the event's
// CID, to those who may read it: principals of its org, operators, and the agent that
// it is about, or that stands above the key it is about.
func (r *Registry) FindDecision(ctx context.Context, c Caller, ref string) (Event, error) {
	if c.Kind != ActorPrincipal && c.Agent == nil {
		return Event{}, Errorf(Denied, "only a principal, or the agent itself, reads decisions")
	}
	at, isID := IDTime(ref)
	if !isID && checkCID(ref) != nil {
		return Event{}, Invalid("/id", "must be the id of a decision, a UUIDv7, or the CID of its event")
	}
	var ev Event
	err := r.Store.View(ctx, func(tx Tx) (err error) {
		if isID {
			ev, err = decisionNear(ctx, tx, c.reads(), ref, at)
			return err
		}
		if ev, err = tx.EventByCID(ref); errors.Is(err, NotFound) {
			return errNoDecision
		}
		return err
	})
	if err == nil && (!ev.decision() || !c.readsEvent(ev)) {
		err = errNoDecision
	}
	if err != nil {
		return Event{}, err
	}
	return ev, nil
}

func (e Event) decision() bool { return e.Type == EventDecision || e.Type == EventAssertedDecision }

// reads are the events that a caller may read.
func (c Caller) reads() EventFilter {
	switch {
	case c.Agent != nil:
		return EventFilter{Agent: c.ID}
	case c.Operator():
		return EventFilter{}
	}
	return EventFilter{Org: c.Org}
}

func (c Caller) readsEvent(e Event) bool {
	f := c.reads()
	return (f.Org == "" || f.Org == e.Org) && (f.Agent == "" || f.Agent == e.Agent)
}

// decisionNear looks for a decision among the events of f around a time. Events are in
// the order of their times, so the first of them is found by halving.
func decisionNear(ctx context.Context, tx Tx, f EventFilter, id string, at time.Time) (Event, error) {
	from, err := firstSince(tx, f, at.Add(-decidedBefore))
	if err != nil {
		return Event{}, err
	}
	mark := []byte(`"decision":"` + id + `"`) // as it stands in a canonical artifact
	for f.After, f.Limit = before(from), MaxPage; ; {
		page, err := tx.ListEvents(f)
		if err = errors.Join(err, ctx.Err()); err != nil {
			return Event{}, err
		}
		for _, e := range page {
			if e.Time.After(at.Add(decidedAfter)) {
				return Event{}, errNoDecision
			}
			if e.decision() && bytes.Contains(e.Artifact, mark) {
				var artifact struct {
					Body struct {
						Decision string `json:"decision"`
					} `json:"body"`
				}
				if err := canon.UnmarshalOpen(e.Artifact, &artifact); err != nil || artifact.Body.Decision == id {
					return e, err
				}
			}
		}
		if len(page) < f.Limit {
			return Event{}, errNoDecision
		}
		f.After = strconv.FormatUint(page[len(page)-1].Index, 10)
	}
}

// firstSince is the lowest index from which on all events of f are of a time or later.
func firstSince(tx Tx, f EventFilter, since time.Time) (uint64, error) {
	newest := f
	newest.Newest, newest.Limit, f.Limit = true, 1, 1
	last, err := tx.ListEvents(newest)
	if err != nil || len(last) == 0 {
		return 0, err
	}
	n := sort.Search(int(last[0].Index)+1, func(i int) bool {
		if err != nil {
			return true
		}
		f.After = before(uint64(i))
		var next []Event
		if next, err = tx.ListEvents(f); err != nil || len(next) == 0 {
			return true
		}
		return !next[0].Time.Before(since)
	})
	return uint64(n), err
}

// before is the Page.After of events from an index on.
func before(index uint64) string {
	if index == 0 {
		return ""
	}
	return strconv.FormatUint(index-1, 10)
}
