package registry

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Unregistered is a caller that no agent is known for, as one enforcement point saw
// it. It is the point's word: nobody has proven anything.
type Unregistered struct {
	Org     string    `json:"org"`
	PEP     string    `json:"pep"`
	Subject string    `json:"subject"` // a DID, or what the enforcement point calls it
	First   time.Time `json:"first"`
	Last    time.Time `json:"last"`
	Count   int64     `json:"count"`
}

// Place is where it stands in the list.
func (u Unregistered) Place() string { return u.PEP + "/" + u.Subject }

// MaxUnregistered is how many are kept of one org; those seen longest ago make way.
const MaxUnregistered = 10_000

// SightingStore adds sightings to those that are kept, in a transaction of its own.
type SightingStore interface {
	AddSightings(ctx context.Context, list []Unregistered) error
}

// Sightings gathers callers that no agent is known for, and writes them now and then:
// nothing waits for it, and what a crash loses is seen again.
type Sightings struct {
	Store  SightingStore
	Every  time.Duration // 0 = 2 s
	Now    func() time.Time
	Logger *slog.Logger

	mu   sync.Mutex
	seen map[sighting]*Unregistered // guarded by mu
}

type sighting struct{ pep, subject string }

// Bounds of what is held between two writes, and of a subject in bytes.
const (
	maxSightings = 4096
	maxSubject   = 512
)

// Saw counts a caller. What is too long, or too much at once, is not counted.
func (s *Sightings) Saw(p PEP, subject string) {
	if checkText("", subject, maxSubject, true) != nil {
		return
	}
	now := time.Now()
	if s.Now != nil {
		now = s.Now()
	}
	now = now.UTC().Truncate(time.Millisecond)
	s.mu.Lock()
	defer s.mu.Unlock()
	key := sighting{p.ID, subject}
	u, known := s.seen[key]
	switch {
	case known:
		u.Last, u.Count = now, u.Count+1
	case len(s.seen) < maxSightings:
		if s.seen == nil {
			s.seen = map[sighting]*Unregistered{}
		}
		s.seen[key] = &Unregistered{p.Org, p.ID, subject, now, now, 1}
	}
}

// Run writes what was seen until ctx ends, and then once more.
func (s *Sightings) Run(ctx context.Context) error {
	every := s.Every
	if every == 0 {
		every = 2 * time.Second
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return s.Flush(context.WithoutCancel(ctx))
		case <-tick.C:
			if err := s.Flush(ctx); err != nil && s.Logger != nil {
				s.Logger.Warn("callers without an agent were seen and not written down", "err", err)
			}
		}
	}
}

// Flush writes what was seen.
func (s *Sightings) Flush(ctx context.Context) error {
	s.mu.Lock()
	seen := s.seen
	s.seen = nil
	s.mu.Unlock()
	if len(seen) == 0 {
		return nil
	}
	list := make([]Unregistered, 0, len(seen))
	for _, u := range seen {
		list = append(list, *u)
	}
	return s.Store.AddSightings(ctx, list)
}

// ListUnregistered lists callers of an org's enforcement points that no agent is
// known for, by enforcement point and subject.
func (r *Registry) ListUnregistered(ctx context.Context, c Caller, orgRef string, p Page) ([]Unregistered, error) {
	return listIn(ctx, r, c, orgRef, p, Tx.ListUnregistered)
}
