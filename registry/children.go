package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// adopt makes a newcomer the child of an agent, within that agent's rights: same
// org, same sponsor, and nothing that the parent does not have itself.
func (r *Registry) adopt(tx Tx, a *Agent, parentRef string) error {
	parent, err := findAgent(tx, parentRef)
	if err == nil && parent.Org != a.Org {
		err = Errorf(NotFound, "no such agent")
	}
	if err != nil {
		return at("/parent", err)
	}
	if err := r.stands(tx, parent); err != nil {
		return at("/parent", err)
	}
	for i, id := range parent.Ancestors { // their rights may have shrunk since
		above, err := tx.Agent(id)
		if err != nil {
			return err
		}
		if above.Spawn.Depth < i+2 {
			return &Error{Kind: Denied, Code: "no_spawn", Field: "/parent", Detail: fmt.Sprintf("the agent %s above it has no right to descendants that far down", id)}
		}
	}
	children, err := tx.CountChildren(parent.ID)
	switch {
	case err != nil:
		return err
	case parent.Spawn.Depth < 1 || parent.Spawn.Max < 1:
		return &Error{Kind: Denied, Code: "no_spawn", Field: "/parent", Detail: "the agent has no right to register children"}
	case children >= parent.Spawn.Max:
		return &Error{Kind: Denied, Code: "too_many_children", Field: "/parent", Detail: fmt.Sprintf("the agent has %d children, as many as it may", children)}
	case a.Spawn.Depth >= parent.Spawn.Depth:
		return Invalid("/spawn/depth", "must be below the parent's, which is %d", parent.Spawn.Depth)
	case a.Spawn.Max > parent.Spawn.Max:
		return Invalid("/spawn/max", "is above the parent's, which is %d", parent.Spawn.Max)
	case a.AuthorityLevel > parent.AuthorityLevel:
		return Invalid("/authority_level", "is above the parent's, which is %d", parent.AuthorityLevel)
	case a.Role != "" && a.Role != parent.Role:
		return Invalid("/role", "must be the parent's or none: nobody approved another for it")
	case !narrower(a.Domains, parent.Domains):
		return Invalid("/domains", "must name some of the parent's and no others")
	case !narrower(a.Workflows, parent.Workflows):
		return Invalid("/workflows", "must name some of the parent's and no others")
	case a.Sponsor != "" && a.Sponsor != parent.Sponsor:
		return Invalid("/sponsor", "must be the parent's")
	}
	a.Parent, a.Sponsor, a.Status = parent.ID, parent.Sponsor, AgentActive
	a.Ancestors = append([]string{parent.ID}, parent.Ancestors...)
	return nil
}

// narrower reports whether an approved list is within another. An empty list is
// for any, so only an empty one holds it.
func narrower(child, parent []string) bool {
	if len(parent) == 0 {
		return true
	}
	return len(child) > 0 && !slices.ContainsFunc(child, func(s string) bool { return !slices.Contains(parent, s) })
}

// stands refuses an agent that may not act now: by its own status or key, a stop
// that covers it, an ancestor or its sponsor. Every path that gives out authority
// asks it, as decisions ask their own checks.
func (r *Registry) stands(tx Tx, a Agent) error {
	refuse := func(kind Kind, code, format string, args ...any) error {
		e := Errorf(kind, format, args...)
		e.Code = code
		return e
	}
	switch {
	case a.Status == AgentRevoked:
		return refuse(Revoked, "agent_revoked", "the agent is revoked, for good")
	case a.Status != AgentActive:
		return refuse(Conflict, "agent_"+string(a.Status), "the agent is %s", a.Status)
	case a.KeyEnded:
		return refuse(Conflict, "key_ended", "the agent's key is compromised; it needs another first")
	}
	scopes := []Scope{{Kind: ScopeGlobal}, {ScopeOrg, a.Org}, {ScopeAgent, a.ID}}
	for _, id := range a.Ancestors {
		parent, err := tx.Agent(id)
		if err != nil {
			return err
		}
		if parent.Status != AgentActive {
			return refuse(Conflict, "ancestor_stopped", "the agent %s, which it descends from, is %s", parent.ID, parent.Status)
		}
		scopes = append(scopes, Scope{ScopeAgent, id})
	}
	if _, kills, err := tx.Authority(scopes); err != nil {
		return err
	} else if len(kills) > 0 {
		return refuse(Conflict, "killed", "the kill switch covers the agent (%s)", kills[0].Scope.Key())
	}
	sponsor, err := tx.Principal(a.Sponsor)
	if err != nil {
		return err
	}
	if sponsor.Status != PrincipalActive {
		return refuse(Conflict, "sponsor_gone", "the human who answers for the agent is suspended or has left")
	}
	org, err := tx.Org(a.Org)
	if err != nil {
		return err
	}
	if limit := org.Policy.MaxKeyAge; limit > 0 && a.KeyAge(r.now()).Seconds() > float64(limit) {
		return refuse(Conflict, "key_expired", "the agent's key is older than its org allows; it needs another first")
	}
	return nil
}

// at names the member of the input that an error is about.
func at(field string, err error) error {
	var e *Error
	if errors.As(err, &e) && e.Field == "" {
		named := *e
		named.Field = field
		return &named
	}
	return err
}

func (s Spawn) check(field string) error {
	switch {
	case s.Depth < 0 || s.Depth > MaxSpawnDepth:
		return Invalid(field+"/depth", "must be 0 to %d", MaxSpawnDepth)
	case s.Max < 0 || s.Max > MaxChildren:
		return Invalid(field+"/max", "must be 0 to %d", MaxChildren)
	case (s.Depth == 0) != (s.Max == 0):
		return Invalid(field, "depth and max are both above 0, or both 0")
	}
	return nil
}

// SetSpawn changes an agent's right to register children. Those it has stay.
func (r *Registry) SetSpawn(ctx context.Context, call Call, ref string, to Spawn) (Outcome[Agent], error) {
	if err := to.check("/spawn"); err != nil {
		return Outcome[Agent]{}, err
	}
	return commit(ctx, r, call, false, func(tx Tx) (Agent, *EventDraft, error) {
		a, err := findAgent(tx, ref)
		if err == nil {
			err = call.Caller.may(a.Org, RoleRegistrar)
		}
		if err != nil {
			return Agent{}, nil, hide(err, "agent")
		}
		if a.Spawn == to {
			return a, nil, nil
		}
		if a.Parent != "" {
			parent, err := tx.Agent(a.Parent)
			if err != nil {
				return a, nil, err
			}
			if to.Depth >= parent.Spawn.Depth {
				return a, nil, Invalid("/spawn/depth", "must be below the parent's, which is %d", parent.Spawn.Depth)
			}
		}
		a.Spawn, a.Updated = to, r.now()
		return a, &EventDraft{Type: EventSpawnSet, Org: a.Org, Agent: a.ID, Body: SpawnSet{a.DID, to.Depth, to.Max}},
			errors.Join(tx.UpdateAgent(a), tx.BumpEpoch(Scope{ScopeAgent, a.ID}))
	})
}
