package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
)

// Onboarded is an agent that is ready to act.
type Onboarded struct {
	Agent Agent  `json:"agent"`
	Grant *Grant `json:"grant,omitempty"` // its first, with its token
}

// OnboardAgent registers an agent, approves it and, unless grant is nil, gives it
// its first grant: all of it in one commit, or nothing. grant.Agent is ignored. A
// registrar may; where the org separates duties, nobody may do all of it.
func (r *Registry) OnboardAgent(ctx context.Context, call Call, in NewAgent, grant *NewGrant) (Outcome[Onboarded], error) {
	var none Outcome[Onboarded]
	if call.Caller.Kind != ActorPrincipal {
		return none, Errorf(Denied, "only a principal approves agents")
	}
	n, err := r.readAgent(ctx, call.Caller, in)
	if err != nil {
		return none, err
	}
	var first *grantee
	if grant != nil {
		if first, err = r.readGrant(*grant); err != nil {
			return none, within("/grant", err)
		}
	}
	return commitDraft(ctx, r, call, false, func(tx Tx) (Onboarded, Draft, error) {
		return r.onboard(tx, *n, first)
	})
}

func (r *Registry) onboard(tx Tx, n newcomer, first *grantee) (Onboarded, Draft, error) {
	var out Onboarded
	org, err := tx.Org(n.org.ID)
	if err != nil {
		return out, Draft{}, err
	}
	if org.Policy.SeparateDuties {
		return out, Draft{}, errSeparate
	}
	a, d, err := r.register(tx, n)
	if err != nil {
		return out, d, err
	}
	if a.Status == AgentRequested { // a child is active already
		// No decision rests on an agent that was not there, so no epoch moves.
		a.Status = AgentActive
		d.Events = append(d.Events, EventDraft{Type: EventAgentApproved, Org: a.Org, Agent: a.ID, Body: AgentStatusChanged{a.DID, AgentActive, ""}})
		if err := tx.UpdateAgent(a); err != nil {
			return out, d, err
		}
	}
	out.Agent = a
	if first == nil {
		return out, d, nil
	}
	g, ev, err := r.issue(tx, a, *first)
	if err != nil {
		return out, d, within("/grant", err)
	}
	out.Grant, d.Events = &g, append(d.Events, *ev)
	return out, d, nil
}

// within names the member of the input that holds the one an error is about.
func within(field string, err error) error {
	var e *Error
	if errors.As(err, &e) {
		return pointed(field+e.Field, err)
	}
	return err
}

// pointed names the member of the input that an error is about, whatever it named.
func pointed(field string, err error) error {
	var e *Error
	if errors.As(err, &e) {
		named := *e
		named.Field = field
		return &named
	}
	return err
}

// Limits of OffboardAgents.
const (
	MaxOffboard  = 1000 // agents named at once
	OffboardPage = 100  // agents ended by one call, which is one commit
)

// Offboarding says which agents are to be ended: those that are named, or those of
// an org that the query finds, of which it needs a sponsor, name prefix, parent or
// last act.
type Offboarding struct {
	Org    string     // id or name, for a query; "" = the caller's
	Agents []string   // ids or DIDs
	Query  AgentQuery // where no agents are named
	Reason string     // machine name
	DryRun bool       // say what would be done
}

// Offboarded is what one call did, or would do.
type Offboarded struct {
	Agents []OffboardedAgent `json:"agents"`
	Left   int               `json:"left"` // how many are still to be ended: call again
}

// OffboardedAgent is an agent that was ended, with its grants.
type OffboardedAgent struct {
	ID     string   `json:"id"`
	DID    string   `json:"did"`
	Name   string   `json:"name"`
	Grants []string `json:"grants"` // ids of those that ended with it
}

// OffboardAgents ends agents for good, and their grants, each by its own event: at
// most OffboardPage agents a call, in one commit, so that what is left is what the
// next call does. Agents that have ended already are passed over.
func (r *Registry) OffboardAgents(ctx context.Context, call Call, in Offboarding) (Outcome[Offboarded], error) {
	if err := in.check(); err != nil {
		return Outcome[Offboarded]{}, err
	}
	if in.DryRun {
		var out Outcome[Offboarded]
		err := r.Store.View(ctx, func(tx Tx) error {
			agents, left, err := r.leaving(tx, call.Caller, in)
			if err != nil {
				return err
			}
			out.Value = Offboarded{[]OffboardedAgent{}, len(agents) + left}
			for _, a := range agents {
				grants, err := activeGrants(tx, a)
				if err != nil {
					return err
				}
				out.Value.Agents = append(out.Value.Agents, offboarded(a, grants))
			}
			return nil
		})
		return out, err
	}
	return commitDraft(ctx, r, call, true, func(tx Tx) (Offboarded, Draft, error) {
		agents, left, err := r.leaving(tx, call.Caller, in)
		out, d := Offboarded{[]OffboardedAgent{}, left}, Draft{}
		if err != nil {
			return out, d, err
		}
		for _, a := range agents {
			grants, err := activeGrants(tx, a)
			if err == nil {
				err = r.offboard(tx, &d, a, grants, in.Reason)
			}
			if err != nil {
				return out, d, err
			}
			out.Agents = append(out.Agents, offboarded(a, grants))
		}
		return out, d, nil
	})
}

func (in Offboarding) check() error {
	if err := checkReason(in.Reason); err != nil {
		return err
	}
	q := in.Query
	narrow := q.Sponsor != "" || q.NamePrefix != "" || q.Parent != "" || !q.ActedBefore.IsZero()
	switch {
	case len(in.Agents) > MaxOffboard:
		return &Error{Kind: TooLarge, Field: "/agents", Detail: "more than 1,000 agents"}
	case len(in.Agents) > 0 && narrow:
		return Invalid("/agents", "name agents or give a filter, not both")
	case len(in.Agents) == 0 && !narrow:
		return Invalid("/agents", "name agents, or give a filter with sponsor, name, parent or unused_since")
	}
	return q.check()
}

// leaving finds the agents of one page, and how many come after.
func (r *Registry) leaving(tx Tx, c Caller, in Offboarding) (agents []Agent, left int, err error) {
	if len(in.Agents) == 0 {
		return r.leavingBy(tx, c, in)
	}
	seen := map[string]bool{}
	for i, ref := range in.Agents {
		a, err := findAgent(tx, ref)
		if err == nil {
			err = hide(c.may(a.Org, RoleRegistrar), "agent")
		}
		if err != nil {
			return nil, 0, pointed(fmt.Sprintf("/agents/%d", i), err)
		}
		switch {
		case a.Status == AgentRevoked || seen[a.ID]:
		case len(agents) < OffboardPage:
			agents = append(agents, a)
		default:
			left++
		}
		seen[a.ID] = true
	}
	return agents, left, nil
}

func (r *Registry) leavingBy(tx Tx, c Caller, in Offboarding) ([]Agent, int, error) {
	org, err := findOrg(tx, c, in.Org)
	if err == nil {
		err = c.may(org.ID, RoleRegistrar)
	}
	if err != nil {
		return nil, 0, err
	}
	q := in.Query
	if err := q.in(tx, org.ID, r.now()); err != nil {
		return nil, 0, err
	}
	q.Standing, q.CreatedBefore, q.Page = true, q.ActedBefore, Page{Limit: OffboardPage}
	found, err := tx.SearchAgents(q)
	if err != nil {
		return nil, 0, err
	}
	all, err := tx.CountAgents(q)
	agents := make([]Agent, len(found))
	for i, it := range found {
		agents[i] = it.Agent
	}
	return agents, all - len(found), err
}

func activeGrants(tx Tx, a Agent) ([]Grant, error) {
	var all []Grant
	for p := (Page{Limit: MaxPage}); ; {
		some, err := tx.ListGrants(GrantFilter{Agent: a.ID, Status: GrantActive, Page: p})
		if all = append(all, some...); err != nil || len(some) < p.Limit {
			return all, err
		}
		p.After = some[len(some)-1].ID
	}
}

// offboard ends an agent and its grants.
func (r *Registry) offboard(tx Tx, d *Draft, a Agent, grants []Grant, reason string) error {
	a.Status, a.Updated, a.DIDPending = AgentRevoked, r.now(), cmp.Or(a.DIDPending, r.now())
	d.Events = append(d.Events, EventDraft{Type: EventAgentRevoked, Org: a.Org, Agent: a.ID, Body: AgentStatusChanged{a.DID, AgentRevoked, reason}})
	// Its DID follows; a stop does not wait for it.
	err := errors.Join(tx.UpdateAgent(a), tx.BumpEpoch(Scope{ScopeAgent, a.ID}), tx.Tend(a.ID, r.now()))
	for _, g := range grants {
		g.Status = GrantRevoked
		d.Events = append(d.Events, EventDraft{Type: EventGrantRevoked, Org: g.Org, Agent: g.Agent, Body: GrantEnded{g.ID, a.DID, reason}})
		err = errors.Join(err, tx.UpdateGrant(g), tx.BumpEpoch(Scope{ScopeGrant, g.ID}))
	}
	return err
}

func offboarded(a Agent, grants []Grant) OffboardedAgent {
	out := OffboardedAgent{a.ID, a.DID, a.Name, make([]string, len(grants))}
	for i, g := range grants {
		out.Grants[i] = g.ID
	}
	return out
}
