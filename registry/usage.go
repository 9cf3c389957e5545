package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"
)

// UsageStore keeps when agents were last seen to act, and their grants to be used.
//
// Decisions returns events of decisions that Record has not been told to be behind,
// oldest first, and the place to tell it; no more than limit, and none at the end of
// the log. Record writes in transactions of its own, briefly: decisions wait while
// it does. It may be lost half-way; then the same events come again, and to record
// them twice is to record them once.
//
// Prepare makes what is kept about grants that are older than this store; false when
// that is done. Expire forgets what is kept about grants that have ended.
type UsageStore interface {
	Decisions(ctx context.Context, limit int) (list []Event, place string, err error)
	Record(ctx context.Context, place string, agents, grants map[string]time.Time) error
	Prepare(ctx context.Context, limit int) (more bool, err error)
	Expire(ctx context.Context, now time.Time, limit int) error
}

// Usage follows the log for the inventory: it says which agents and grants lie idle.
// It is behind the log by Every and what a round takes. An unqualified permit has no
// event, so it is not seen: whoever ends what lies idle must know that.
type Usage struct {
	Store  UsageStore
	Every  time.Duration // 0 = 5 s
	Now    func() time.Time
	Logger *slog.Logger // nil = slog.Default()
}

// usageBatch bounds the events that one round holds in memory.
const usageBatch = 4096

// Run follows until ctx ends. A database that does not answer is tried again.
func (u *Usage) Run(ctx context.Context) error {
	every := u.Every
	if every == 0 {
		every = 5 * time.Second
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if err := u.Catch(ctx); err != nil && ctx.Err() == nil {
			logger := u.Logger
			if logger == nil {
				logger = slog.Default()
			}
			logger.Warn("the use of agents and grants was not read from the log; it will be", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Catch reads the log to its end.
func (u *Usage) Catch(ctx context.Context) error {
	for more := true; more; {
		var err error
		if more, err = u.Store.Prepare(ctx, usageBatch); err != nil {
			return fmt.Errorf("index grants: %w", err)
		}
	}
	for {
		events, place, err := u.Store.Decisions(ctx, usageBatch)
		if err != nil {
			return fmt.Errorf("read decisions: %w", err)
		}
		if place == "" {
			break
		}
		agents, grants, err := used(events)
		if err != nil {
			return err
		}
		if err := u.Store.Record(ctx, place, agents, grants); err != nil {
			return fmt.Errorf("record usage: %w", err)
		}
	}
	now := time.Now()
	if u.Now != nil {
		now = u.Now()
	}
	return u.Store.Expire(ctx, now, usageBatch)
}

// used says who acted last when, by decisions in log order. What an agent did not
// sign is no act of it; what was not permitted was no use of a grant.
func used(events []Event) (agents, grants map[string]time.Time, err error) {
	agents, grants = map[string]time.Time{}, map[string]time.Time{}
	for _, e := range events {
		var artifact struct {
			Body struct {
				Action  string `json:"action"`
				Grant   string `json:"grant"`
				Verdict string `json:"verdict"`
			} `json:"body"`
		}
		if err := json.Unmarshal(e.Artifact, &artifact); err != nil {
			return nil, nil, fmt.Errorf("read artifact %s: %w", e.CID, err)
		}
		b := artifact.Body
		if b.Action != "" {
			agents[e.Agent] = e.Time
		}
		if b.Grant != "" && b.Verdict == "permit" {
			grants[b.Grant] = e.Time
		}
	}
	return agents, grants, nil
}
