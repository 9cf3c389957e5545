package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// MaxActions is how many actions an agent can be held to.
const MaxActions = 200

// ActionSet is the actions of its org's catalogue that an agent is held to: verb:type,
// sorted, each once. Nil: any; empty: none. It gives no authority, grants do.
type ActionSet []string

// Holds reports whether an action is among them.
func (s *ActionSet) Holds(action string) bool {
	if s == nil {
		return true
	}
	_, found := slices.BinarySearch(*s, action)
	return found
}

// within reports whether all that s holds other does.
func (s *ActionSet) within(other *ActionSet) bool {
	if s == nil {
		return other == nil
	}
	return !slices.ContainsFunc(*s, func(action string) bool { return !other.Holds(action) })
}

// SetActions holds an agent, and what it hands on or has as children, to some actions of
// its org's catalogue, whatever its grants say. Registrars and policy authors of its org
// may; where duties are separate, who wants the agent may narrow it only. Decisions in
// flight are made again. An action that the catalogue does not have may be named.
func (r *Registry) SetActions(ctx context.Context, call Call, ref string, actions []string) (Outcome[Agent], error) {
	if len(actions) > MaxActions {
		return Outcome[Agent]{}, &Error{Kind: TooLarge, Field: "/actions", Detail: fmt.Sprintf("more than %d actions", MaxActions)}
	}
	for i, a := range actions {
		if err := checkAction(fmt.Sprintf("/actions/%d", i), a); err != nil {
			return Outcome[Agent]{}, err
		}
	}
	to := ActionSet(nonNil(slices.Compact(slices.Sorted(slices.Values(actions)))))
	return r.setActions(ctx, call, ref, &to)
}

// ClearActions lets an agent do any action again that its grants cover. Repeating it
// changes nothing.
func (r *Registry) ClearActions(ctx context.Context, call Call, ref string) (Outcome[Agent], error) {
	return r.setActions(ctx, call, ref, nil)
}

func (r *Registry) setActions(ctx context.Context, call Call, ref string, to *ActionSet) (Outcome[Agent], error) {
	return commit(ctx, r, call, to != nil, func(tx Tx) (Agent, *EventDraft, error) {
		a, err := findAgent(tx, ref)
		if err == nil {
			err = call.Caller.may(a.Org, RoleRegistrar, RolePolicyAuthor)
		}
		if err != nil {
			return Agent{}, nil, hide(err, "agent")
		}
		narrower := to.within(a.Actions)
		switch {
		case narrower && a.Actions.within(to):
			return a, nil, nil
		case a.Status == AgentRevoked:
			return a, nil, Errorf(Revoked, "the agent is revoked, for good")
		case !narrower:
			if err := separate(tx, call.Caller, a); err != nil {
				return a, nil, err
			}
		}
		body := ActionsSet{DID: a.DID, Any: to == nil, Actions: []string{}}
		if to != nil {
			body.Actions = *to
		}
		a.Actions, a.Updated = to, r.now()
		return a, &EventDraft{Type: EventActionsSet, Org: a.Org, Agent: a.ID, Body: body},
			errors.Join(tx.UpdateAgent(a), tx.BumpEpoch(Scope{ScopeAgent, a.ID}))
	})
}
