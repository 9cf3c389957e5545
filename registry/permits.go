package registry

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/registry/capability"
)

// DefaultOutcomeIn is how long a resource has to say what became of an act, from when
// its permit was redeemed, or had expired.
const DefaultOutcomeIn = 15 * time.Minute

// PermitState is what is known of a permitted act.
type PermitState string

const (
	PermitIssued      PermitState = "issued"   // and perhaps redeemed offline
	PermitRedeemed    PermitState = "redeemed" // at the registry
	PermitLapsed      PermitState = "lapsed"   // to be redeemed at the registry, and never was
	PermitExecuted    PermitState = capability.Executed
	PermitFailed      PermitState = capability.Failed
	PermitNotExecuted PermitState = capability.NotExecuted
	PermitCompensated PermitState = capability.Compensated
	PermitUnknown     PermitState = "unknown" // the resource said nothing in time
)

// PermitStates lists them.
var PermitStates = []PermitState{PermitIssued, PermitRedeemed, PermitLapsed, PermitExecuted, PermitFailed, PermitNotExecuted, PermitCompensated, PermitUnknown}

// Permit is the permit of a qualified decision, and what became of the act. It has the
// decision's id.
type Permit struct {
	ID       string      `json:"id"`
	Org      string      `json:"org"`
	Agent    string      `json:"agent"`
	DID      string      `json:"did"`
	PEP      string      `json:"pep,omitempty"` // that asked for the decision; "": the agent did
	Audience string      `json:"audience"`      // the resource server
	Action   string      `json:"action"`        // verb:type
	Redeem   string      `json:"redeem"`        // offline | online
	Decision string      `json:"decision"`      // CID of the decision's event, which commits to resource and arguments
	State    PermitState `json:"state"`
	Issued   time.Time   `json:"issued"`
	Expires  time.Time   `json:"expires"`
	Redeemed time.Time   `json:"redeemed,omitzero"` // at the registry
	Reported time.Time   `json:"reported,omitzero"` // when the resource said what became of it
	Result   string      `json:"result,omitempty"`  // digest of what the resource answered
	Due      time.Time   `json:"due,omitzero"`      // when silence becomes unknown or lapsed

	// Of the catalogue as it was decided by.
	CompensatedBy string `json:"compensated_by,omitempty"` // verb:type
	CompensateIn  int64  `json:"compensate_in,omitempty"`  // seconds
	OutcomeIn     int64  `json:"outcome_in,omitempty"`     // seconds

	Epochs   []Epoch       `json:"epochs,omitempty"`   // that the decision rests on
	Reserved []Reservation `json:"reserved,omitempty"` // what it took of budgets
}

// Await sets when silence is taken for an answer.
func (p Permit) Await() Permit {
	within := DefaultOutcomeIn
	if p.OutcomeIn > 0 {
		within = time.Duration(p.OutcomeIn) * time.Second
	}
	switch {
	case p.State == PermitRedeemed:
		p.Due = p.Redeemed.Add(within)
	case p.State == PermitIssued && p.Redeem == capability.RedeemOnline:
		p.Due = p.Expires
	case p.State == PermitIssued:
		p.Due = p.Expires.Add(within)
	default:
		p.Due = time.Time{}
	}
	return p
}

// Undoable is until when the act can be undone; zero: it cannot, was never done, or was
// undone. Where nobody knows when it was done, it may have been at once.
func (p Permit) Undoable() time.Time {
	if p.CompensatedBy == "" || p.CompensateIn <= 0 {
		return time.Time{}
	}
	within := time.Duration(p.CompensateIn) * time.Second
	switch p.State {
	case PermitExecuted:
		return p.Reported.Add(within)
	case PermitIssued, PermitRedeemed, PermitFailed, PermitUnknown:
		return p.Issued.Add(within)
	}
	return time.Time{}
}

// guards reports whether the caller is an enforcement point of the resource server.
func (c Caller) guards(resource string) bool {
	return c.PEP != nil && slices.Contains(c.PEP.Resources, resource)
}

var errOnlyPEP = Errorf(Denied, "only an enforcement point that guards the resource server may do this")

// RedeemPermit uses up a permit, for the enforcement point that is about to do the act.
// What the decision rested on is looked at again: a stop that came meanwhile refuses.
// Once it is answered, nobody redeems the permit again.
func (r *Registry) RedeemPermit(ctx context.Context, call Call, raw string) (Outcome[Permit], error) {
	var none Outcome[Permit]
	if call.Caller.PEP == nil || r.PermitKey == nil {
		return none, errOnlyPEP
	}
	token, err := capability.ParsePermit(raw)
	if err != nil {
		return none, badPermit(err)
	}
	id := token.Claims().ID
	if err := checkID("/permit", id); err != nil {
		return none, err
	}
	var kept Permit
	var now time.Time
	err = r.Store.View(ctx, func(tx Tx) (err error) {
		if now, err = r.clock(tx); err == nil {
			kept, err = tx.Permit(id)
		}
		return err
	})
	if errors.Is(err, NotFound) {
		return none, &Error{Kind: Conflict, Code: "redeem_offline", Field: "/permit", Detail: "the decision is no evidence: its permit is redeemed in the audience's own store"}
	}
	if err == nil {
		err = badPermit(token.Verify(capability.PermitCheck{Key: r.PermitKey.Public(), Now: now, Issuer: r.Origin, Audiences: call.Caller.PEP.Resources}))
	}
	if err != nil {
		return none, err
	}
	out, err := commitOn(ctx, r, call, Command{Basis: Basis{Epochs: kept.Epochs}}, func(tx Tx) (Permit, Draft, error) {
		p, err := tx.Permit(id)
		if err == nil && p.State != PermitIssued {
			err = &Error{Kind: Conflict, Code: "redeemed", Field: "/permit", Detail: "the permit was used before"}
		}
		var now time.Time
		if err == nil {
			now, err = r.clock(tx)
		}
		if err == nil && !now.Before(p.Expires) {
			err = &Error{Kind: Denied, Code: string(capability.Stale), Field: "/permit", Detail: "the permit has expired"}
		}
		if err != nil {
			return p, Draft{}, err
		}
		p.State, p.Redeemed = PermitRedeemed, now
		p = p.Await()
		return p, Draft{Events: []EventDraft{{Type: EventPermitRedeemed, Org: p.Org, Agent: p.Agent, Body: PermitUsed{p.ID, p.DID, p.Audience, call.Caller.ID}}}}, tx.UpdatePermit(p)
	})
	if errors.Is(err, ErrEpochMoved) {
		err = &Error{Kind: Conflict, Code: "authority_moved", Field: "/permit", Detail: "what the permit rests on has changed since: ask for another decision"}
	}
	return out, err
}

// badPermit is for whoever presents a permit that is none for them.
func badPermit(err error) error {
	var e *capability.ProofError
	if !errors.As(err, &e) {
		return err
	}
	if e.Code == capability.Malformed {
		return &Error{Kind: Malformed, Field: "/permit", Detail: e.Detail}
	}
	return &Error{Kind: Denied, Code: string(e.Code), Field: "/permit", Detail: e.Detail}
}

// ReportOutcome records what the resource says became of a permitted act, in an
// outcome+jwt that the key of the enforcement point signed. Saying it again changes
// nothing.
func (r *Registry) ReportOutcome(ctx context.Context, call Call, id, raw string) (Outcome[Permit], error) {
	var none Outcome[Permit]
	pep := call.Caller.PEP
	if pep == nil {
		return none, errOnlyPEP
	}
	if pep.JWK == nil {
		return none, &Error{Kind: Denied, Code: "no_key", Detail: "the enforcement point has no key that signs outcomes"}
	}
	report, err := capability.ParseOutcome(raw)
	if err != nil {
		return none, &Error{Kind: Malformed, Field: "/outcome", Detail: err.Error(), Err: err}
	}
	key, err := pep.JWK.PublicKey()
	if err != nil {
		return none, err
	}
	if err := errors.Join(checkID("/permit", id), report.Verify(key, r.Origin, id)); err != nil {
		var e *capability.ProofError
		if errors.As(err, &e) {
			err = &Error{Kind: Denied, Code: string(e.Code), Field: "/outcome", Detail: e.Detail}
		}
		return none, err
	}
	return commit(ctx, r, call, false, func(tx Tx) (Permit, *EventDraft, error) {
		p, err := tx.Permit(id)
		if err == nil && !call.Caller.guards(p.Audience) {
			err = Errorf(NotFound, "no such permit")
		}
		if err != nil {
			return Permit{}, nil, hide(err, "permit")
		}
		to := PermitState(report.Claims().Outcome)
		if p.State == to {
			return p, nil, nil
		}
		if !p.may(to) {
			return p, nil, &Error{Kind: Conflict, Code: "outcome", Field: "/outcome", Detail: "the permit is " + string(p.State) + ", it cannot become " + string(to)}
		}
		now, err := r.clock(tx)
		if err != nil {
			return p, nil, err
		}
		if err := p.refund(tx, to); err != nil {
			return p, nil, err
		}
		p.State, p.Reported, p.Result = to, now, report.Claims().Result
		p = p.Await()
		hidden, commitment, err := canon.Commit("report", report.Raw())
		body := OutcomeReported{p.ID, p.DID, pep.ID, string(to), report.Hash(), map[string]string{"report": commitment}}
		return p, &EventDraft{Type: EventOutcomeReported, Org: p.Org, Agent: p.Agent, Body: body, Disclosures: []canon.Disclosure{hidden}},
			errors.Join(err, tx.UpdatePermit(p))
	})
}

// may reports whether a resource may say so of the act. What has to be redeemed at the
// registry, and was not, was not done.
func (p Permit) may(to PermitState) bool {
	switch p.State {
	case PermitExecuted, PermitFailed:
		return to == PermitCompensated
	case PermitRedeemed, PermitUnknown:
		return to != PermitCompensated
	case PermitIssued:
		return to == PermitNotExecuted || p.Redeem != capability.RedeemOnline && to != PermitCompensated
	}
	return false
}

// Settle takes silence for an answer: where a resource has not said in time what became
// of an act, that is unknown, once; what was never redeemed has lapsed. It does up to
// limit permits and returns how many were left to do, as Tend does.
func (r *Registry) Settle(ctx context.Context, limit int) (left int, err error) {
	due := func(tx Tx) ([]Permit, error) {
		now, err := r.clock(tx)
		if err != nil {
			return nil, err
		}
		return tx.DuePermits(now, limit+1)
	}
	var list []Permit
	if err := r.Store.View(ctx, func(tx Tx) (err error) { list, err = due(tx); return err }); err != nil || len(list) == 0 {
		return 0, err
	}
	_, err = commitDraft(ctx, r, Call{Trace: strings.Repeat("0", 32)}, false, func(tx Tx) (int, Draft, error) {
		list, err := due(tx)
		if err != nil {
			return 0, Draft{}, err
		}
		left = max(0, len(list)-limit)
		var d Draft
		for _, p := range list[:len(list)-left] {
			if p.State == PermitIssued && p.Redeem == capability.RedeemOnline {
				p.State = PermitLapsed
			} else {
				p.State = PermitUnknown
				d.Events = append(d.Events, EventDraft{Type: EventOutcomeUnknown, Org: p.Org, Agent: p.Agent, Actor: Actor{ActorRegistry, p.Org}, Body: OutcomeMissed{p.ID, p.DID, p.Audience}})
			}
			err = errors.Join(err, tx.UpdatePermit(p.Await()))
		}
		return len(list), d, err
	})
	return left, err
}

// ListPermits lists what became of the qualified permits of an org, or of one agent.
func (r *Registry) ListPermits(ctx context.Context, c Caller, orgRef, agentRef string, state PermitState, p Page) ([]Permit, error) {
	if state != "" && !slices.Contains(PermitStates, state) {
		return nil, Invalid("/state", "must be one of issued, redeemed, lapsed, executed, failed, not_executed, compensated, unknown")
	}
	if agentRef == "" {
		return listIn(ctx, r, c, orgRef, p, func(tx Tx, org string, p Page) ([]Permit, error) {
			return tx.ListPermits(PermitFilter{Org: org, State: state, Page: p})
		})
	}
	return listAbout(ctx, r, c, agentRef, p, func(tx Tx, a Agent, p Page) ([]Permit, error) {
		return tx.ListPermits(PermitFilter{Agent: a.ID, State: state, Page: p})
	})
}

// Undo is an act that can still be undone: the resource said that it was executed, or
// it may have been.
type Undo struct {
	Permit Permit `json:"permit"`
	// Resource is what was acted on, if it is not erased.
	Resource *capability.Resource `json:"resource,omitempty"`
	By       string               `json:"by"`    // the action that undoes it, verb:type
	Until    time.Time            `json:"until"` // the end of its time
}

// ListUndo lists what an agent did that can still be undone: who stopped it may want to.
func (r *Registry) ListUndo(ctx context.Context, c Caller, agentRef string, p Page) ([]Undo, error) {
	return listAbout(ctx, r, c, agentRef, p, func(tx Tx, a Agent, p Page) ([]Undo, error) {
		now, err := r.clock(tx)
		if err != nil {
			return nil, err
		}
		list, err := tx.UndoablePermits(a.ID, now, p)
		out := make([]Undo, len(list))
		for i, permit := range list {
			out[i] = Undo{Permit: permit, By: permit.CompensatedBy, Until: permit.Undoable()}
			if out[i].Resource, err = disclosed[capability.Resource](tx, permit.Decision, "resource"); err != nil {
				return nil, err
			}
		}
		return out, err
	})
}

// listAbout lists rows of one agent, for principals who may read it.
func listAbout[T any](ctx context.Context, r *Registry, c Caller, ref string, p Page, list func(Tx, Agent, Page) ([]T, error)) (out []T, err error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	err = r.Store.View(ctx, func(tx Tx) error {
		a, err := findAgent(tx, ref)
		if err == nil {
			err = c.sees(a.Org)
		}
		if err != nil {
			return hide(err, "agent")
		}
		out, err = list(tx, a, p)
		return err
	})
	return out, err
}

// disclosed is what a decision's event commits to under a name; nil where that is
// erased, or was never there.
func disclosed[T any](tx Tx, cid, name string) (*T, error) {
	hidden, err := tx.Disclosures(cid)
	for _, d := range hidden {
		if err == nil && d.Name == name {
			var out T
			err = canon.UnmarshalOpen(d.Value, &out)
			return &out, err
		}
	}
	return nil, err
}
