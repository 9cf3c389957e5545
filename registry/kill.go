package registry

import (
	"context"
	"errors"
)

// SetKill stops a scope: until it is released nothing in it is permitted. The
// answer comes once the stop is durable and every later decision sees it.
// Repeating it changes nothing.
func (r *Registry) SetKill(ctx context.Context, call Call, s Scope, reason string) (Outcome[Kill], error) {
	if err := first(s.check(), checkReason(reason)); err != nil {
		return Outcome[Kill]{}, err
	}
	return commit(ctx, r, call, true, func(tx Tx) (Kill, *EventDraft, error) {
		org, agent, err := r.killable(tx, call.Caller, s)
		if err != nil {
			return Kill{}, nil, err
		}
		k, err := tx.Kill(s)
		if err == nil {
			return k, nil, nil
		} else if !errors.Is(err, NotFound) {
			return k, nil, err
		}
		k = Kill{Scope: s, Org: org, Reason: reason, By: call.Caller.ID, Since: r.now()}
		ev, err := killEvent(tx, EventKillSet, s, reason, org, agent, call.Caller)
		return k, ev, errors.Join(err, tx.PutKill(k))
	})
}

// ReleaseKill lifts a stop.
func (r *Registry) ReleaseKill(ctx context.Context, call Call, s Scope, reason string) (Outcome[Kill], error) {
	if err := first(s.check(), checkReason(reason)); err != nil {
		return Outcome[Kill]{}, err
	}
	return commit(ctx, r, call, false, func(tx Tx) (Kill, *EventDraft, error) {
		org, agent, err := r.killable(tx, call.Caller, s)
		if err != nil {
			return Kill{}, nil, err
		}
		k, err := tx.Kill(s)
		if err != nil {
			return k, nil, err
		}
		ev, err := killEvent(tx, EventKillReleased, s, reason, org, agent, call.Caller)
		return k, ev, errors.Join(err, tx.DeleteKill(s))
	})
}

// ListKills lists the stops in force that the caller may see.
func (r *Registry) ListKills(ctx context.Context, c Caller) (list []Kill, err error) {
	if c.Kind != ActorPrincipal {
		return nil, Errorf(Denied, "only a principal may list")
	}
	org := c.Org
	if c.Operator() {
		org = ""
	}
	err = r.Store.View(ctx, func(tx Tx) (err error) { list, err = tx.ListKills(org); return err })
	return list, err
}

func (s Scope) check() error {
	switch s.Kind {
	case ScopeGlobal:
		if s.ID != "" {
			return Invalid("/scope/id", "a global stop has none")
		}
		return nil
	case ScopeOrg, ScopeAgent, ScopeGrant:
		return checkID("/scope/id", s.ID)
	}
	return Invalid("/scope/kind", "must be global, org, agent or grant")
}

// killable finds the org and agent that a scope belongs to, and refuses callers
// who may not stop it.
func (r *Registry) killable(tx Tx, c Caller, s Scope) (org, agent string, err error) {
	switch s.Kind {
	case ScopeGlobal:
		if !c.Operator() {
			return "", "", Errorf(Denied, "only an operator stops everything")
		}
		return "", "", nil
	case ScopeOrg:
		o, e := tx.Org(s.ID)
		org, err = o.ID, e
	case ScopeAgent:
		a, e := tx.Agent(s.ID)
		org, agent, err = a.Org, a.ID, e
	default:
		g, e := tx.Grant(s.ID)
		org, agent, err = g.Org, g.Agent, e
	}
	if err == nil {
		err = c.may(org, RoleRegistrar)
	}
	return org, agent, hide(err, string(s.Kind))
}

func killEvent(tx Tx, typ string, s Scope, reason, org, agent string, c Caller) (*EventDraft, error) {
	if err := tx.BumpEpoch(s); err != nil {
		return nil, err
	}
	epoch, err := tx.Epoch(s)
	if org == "" {
		org = c.Org // a global stop is recorded in the operator's sequence
	}
	return &EventDraft{Type: typ, Org: org, Agent: agent, Body: KillChanged{s.Key(), int64(epoch), reason}}, err
}
