package policy

import (
	"context"

	"github.com/writ-registry/writ/registry"
)

// tallied: the org's policies ask how often the agent was permitted such an act.
func (f *facts) tallied() bool {
	return f.agent != nil && f.grant != nil && f.narrowable() && f.rules.set.Reads("counts")
}

// readCounts finds how often. Two decisions at one moment see the same: a policy over
// counts slows down and says what is unusual, and a budget is what is never passed.
func (p *PDP) readCounts(ctx context.Context, f *facts) error {
	if !f.tallied() {
		return nil
	}
	return p.Store.View(ctx, f.tally)
}

// tally reads the counts in a snapshot.
func (f *facts) tally(tx registry.Tx) (err error) {
	if f.tallied() {
		f.counts, err = tx.Counts(f.agent.ID, f.entry.Action, f.now)
	}
	return err
}
