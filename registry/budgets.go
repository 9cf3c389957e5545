package registry

import (
	"context"
	"errors"
	"time"

	"github.com/writ-registry/writ/registry/capability"
)

// Amount is what acts take of budgets: an exact decimal.
type Amount = capability.Amount

// Window is one window of a budget: of a grant, or of a link that a holder made under
// it. All who act under the grant, or the link, share it.
type Window struct {
	Grant  string    `json:"grant"`          // at the root
	Link   string    `json:"link,omitempty"` // hash of the link's signing input; absent: the grant itself
	Budget string    `json:"budget"`         // canonical text
	Begin  time.Time `json:"begin"`
	End    time.Time `json:"end"` // exclusive
}

// Place orders the windows of a grant that one moment is in.
func (w Window) Place() string { return w.Link + " " + w.Budget }

// Reservation is an amount that was taken of a budget.
type Reservation struct {
	Window
	Amount Amount `json:"amount"`
}

// Balance is what there is of a budget in one window.
type Balance struct {
	Window
	Used Amount `json:"used"`
	Left Amount `json:"left"`
}

// Counts are how many acts of one verb:type an agent was permitted in the hour and in
// the day that run, by UTC. They are kept where the org's policies ask for them.
type Counts struct {
	Hour int64 `json:"hour"`
	Day  int64 `json:"day"`
}

// balance says what is left where so much was taken.
func (r Reservation) balance() (Balance, error) {
	b, err := capability.ParseBudget(r.Budget)
	return Balance{r.Window, r.Amount, b.Limit - r.Amount}, err
}

// GrantBudgets lists what there is now of the budgets of a grant, and then of those of
// links under it that were used in their window. Page.After is Window.Place.
func (r *Registry) GrantBudgets(ctx context.Context, c Caller, id string, p Page) (out []Balance, err error) {
	if err := first(checkID("/id", id), p.check()); err != nil {
		return nil, err
	}
	err = r.Store.View(ctx, func(tx Tx) error {
		out = nil
		g, err := grantFor(tx, c, id)
		if err != nil {
			return err
		}
		now, err := r.clock(tx)
		if err != nil {
			return err
		}
		budgets, err := capability.ParseBudgets(g.Budgets)
		if err != nil {
			return err
		}
		var list []Reservation
		for _, b := range budgets {
			w := Window{Grant: g.ID, Budget: b.String()}
			w.Begin, w.End = b.WindowAt(now, g.NotBefore, g.Expires)
			used, err := tx.Reserved(w)
			if err != nil {
				return err
			}
			if w.Place() > p.After {
				list = append(list, Reservation{w, used})
			}
		}
		links, err := tx.ListReserved(g.ID, now, p)
		if err != nil {
			return err
		}
		list = append(list, links...)
		for _, r := range list[:min(len(list), p.Limit)] {
			b, err := r.balance()
			if err != nil {
				return err
			}
			out = append(out, b)
		}
		return nil
	})
	return out, err
}

// refund gives back what a permit took, where the resource says that a permit which was
// redeemed at the registry, so that nobody can use it any more, was not executed. What
// is unknown, failed, lapsed or redeemed out of the registry's sight stays spent.
func (p Permit) refund(tx Tx, to PermitState) error {
	if p.State != PermitRedeemed || to != PermitNotExecuted {
		return nil
	}
	var err error
	for _, r := range p.Reserved {
		err = errors.Join(err, tx.Refund(r))
	}
	return err
}
