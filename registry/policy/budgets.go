package policy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/capability"
)

// budgeted is a budget of the chain that counts the act: what a permit would take of
// it, and what others had taken when the act was judged.
type budgeted struct {
	registry.Reservation
	Used capability.Amount `json:"used"`

	limit capability.Amount
	link  int   // from 0, the root
	fault error // why the act has no amount
}

// readBudgets finds the budgets that count the act, of every link, and how much of them
// is taken. Without any, nothing is read.
func (p *PDP) readBudgets(ctx context.Context, f *facts) error {
	f.findBudgets()
	if len(f.budgets) == 0 {
		return nil
	}
	return p.Store.View(ctx, f.readBalances)
}

// readBalances reads how much of the budgets that were found is taken, in a snapshot.
func (f *facts) readBalances(tx registry.Tx) (err error) {
	for i := range f.budgets {
		b := &f.budgets[i]
		if b.Used, err = tx.Reserved(b.Window); err != nil {
			return err
		}
	}
	return nil
}

// findBudgets measures the act by the budgets of the chain, root first. Nobody's budgets
// are looked at for an act that was not proven or a grant that is none.
func (f *facts) findBudgets() {
	if f.proof.code != "" || f.agent == nil || f.grant == nil || f.chain == nil || !f.grant.Issued(f.chain.Root().Hash()) {
		return
	}
	for i, link := range f.chain.Links() {
		c := link.Claims()
		for _, b := range c.Budgets {
			if !b.Covers(f.act) {
				continue
			}
			found := budgeted{limit: b.Limit, link: i}
			found.Window = registry.Window{Grant: f.grant.ID, Budget: b.String()}
			if i > 0 { // a grant has one whatever key its tokens are for
				found.Link = link.SigningInputHash()
			}
			found.Begin, found.End = b.WindowAt(f.now, time.Unix(c.NotBefore, 0).UTC(), time.Unix(c.Expires, 0).UTC())
			found.Amount, found.fault = b.Amount(f.act)
			f.budgets = append(f.budgets, found)
		}
	}
}

// checkBudgets denies what takes more of a budget than is left, and what a budget
// cannot measure.
func checkBudgets(f *facts) (out []Reason) {
	for _, b := range f.budgets {
		name := b.Budget
		if b.link > 0 {
			name = linkName(b.link) + ": " + name
		}
		switch left := b.limit - b.Used; {
		case b.fault != nil:
			out = append(out, Reason{BudgetUnmeasured, name + ": " + b.fault.Error()})
		case b.Amount > left:
			out = append(out, Reason{BudgetExhausted, fmt.Sprintf("%s: %s left until %s", name, left, b.End.Format(time.RFC3339))})
		}
	}
	return out
}

// refundable is how long after its window a budget is remembered, besides: decisions
// that are under way and outcomes that come at the last moment find it.
const refundable = time.Hour

// reserve takes of the budgets what a permit needs, in its transaction. Where another
// was faster, the act is judged again.
func (f *facts) reserve(tx registry.Tx, d Decision) error {
	if d.Verdict != Permit {
		return nil
	}
	outcome := registry.DefaultOutcomeIn
	if f.entry.OutcomeIn > 0 {
		outcome = time.Duration(f.entry.OutcomeIn) * time.Second
	}
	for _, b := range f.budgets {
		forget := f.now.Add(capability.PermitLife + outcome)
		if b.End.After(forget) {
			forget = b.End
		}
		err := tx.Reserve(b.Reservation, b.limit, forget.Add(refundable))
		if errors.Is(err, registry.Conflict) {
			return registry.ErrEpochMoved
		} else if err != nil {
			return err
		}
	}
	return nil
}

// reservations are what a permit took.
func (f *facts) reservations() (out []registry.Reservation) {
	for _, b := range f.budgets {
		out = append(out, b.Reservation)
	}
	return out
}
