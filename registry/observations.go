package registry

import (
	"context"
	"errors"
	"time"
)

// MaxObservation is how long an observation lasts, at most.
const MaxObservation = 30 * 24 * time.Hour

// Observation is a time in which what an agent's grants, or those of all agents of an
// org, do not cover is permitted all the same, and recorded: to learn what they need. It
// ends by the decision's clock, whoever forgets it. What else stands against an act
// does (policy.Relaxed).
type Observation struct {
	Until  time.Time `json:"until"` // whole seconds
	Reason string    `json:"reason"`
	By     string    `json:"by"` // the principal who began it
	Since  time.Time `json:"since"`
}

// Runs reports whether it has not ended; nil has.
func (o *Observation) Runs(now time.Time) bool { return o != nil && now.Before(o.Until) }

// Observed is an observation and what it is of: an agent or an org.
type Observed struct {
	Scope Scope  `json:"scope"`
	Org   string `json:"org"`
	Observation
}

// newObservation reads what is asked for.
func (r *Registry) newObservation(by Caller, until time.Time, reason string) (*Observation, error) {
	if err := checkReason(reason); err != nil {
		return nil, err
	}
	o := &Observation{Until: until.UTC().Truncate(time.Second), Reason: reason, By: by.ID, Since: r.now()}
	switch left := o.Until.Sub(o.Since); {
	case reason == "":
		return nil, Invalid("/reason", "is required: somebody will ask why")
	case left <= 0 || left > MaxObservation:
		return nil, Invalid("/until", "must be in the future, within 30 days")
	}
	return o, nil
}

// says reports whether the one says what the other does.
func (o *Observation) says(other *Observation) bool {
	return o != nil && o.Until.Equal(other.Until) && o.Reason == other.Reason
}

func (o *Observation) event(typ string, s Scope) *EventDraft {
	return &EventDraft{Type: typ, Body: ObservationChanged{Scope: s.Key(), Until: o.Until.Format(TimeFormat), Reason: o.Reason}}
}

// ObserveAgent begins the observation of an agent, or makes it another. Registrars and
// policy authors of its org may; where duties are separate, not who wants the agent.
// Decisions in flight are made again.
func (r *Registry) ObserveAgent(ctx context.Context, call Call, ref string, until time.Time, reason string) (Outcome[Agent], error) {
	o, err := r.newObservation(call.Caller, until, reason)
	if err != nil {
		return Outcome[Agent]{}, err
	}
	return r.setAgentObservation(ctx, call, ref, o)
}

// UnobserveAgent ends the observation of an agent. Repeating it changes nothing.
func (r *Registry) UnobserveAgent(ctx context.Context, call Call, ref string) (Outcome[Agent], error) {
	return r.setAgentObservation(ctx, call, ref, nil)
}

func (r *Registry) setAgentObservation(ctx context.Context, call Call, ref string, to *Observation) (Outcome[Agent], error) {
	return commit(ctx, r, call, to == nil, func(tx Tx) (Agent, *EventDraft, error) {
		a, err := findAgent(tx, ref)
		if err == nil {
			err = call.Caller.may(a.Org, RoleRegistrar, RolePolicyAuthor)
		}
		if err != nil {
			return Agent{}, nil, hide(err, "agent")
		}
		was := a.Observation
		if to == nil && was == nil || to != nil && was.says(to) {
			return a, nil, nil
		}
		if to != nil {
			if a.Status == AgentRevoked {
				return a, nil, Errorf(Revoked, "the agent is revoked, for good")
			}
			if err := separate(tx, call.Caller, a); err != nil {
				return a, nil, err
			}
		}
		scope := Scope{ScopeAgent, a.ID}
		ev := changeObservation(was, to, scope)
		ev.Org, ev.Agent, a.Observation = a.Org, a.ID, to
		return a, ev, errors.Join(tx.UpdateAgent(a), tx.BumpEpoch(scope))
	})
}

// ObserveOrg begins the observation of all agents of an org, and of what its policies
// say of others, or makes it another. Its owner may. Decisions in flight are made again.
func (r *Registry) ObserveOrg(ctx context.Context, call Call, ref string, until time.Time, reason string) (Outcome[Org], error) {
	o, err := r.newObservation(call.Caller, until, reason)
	if err != nil {
		return Outcome[Org]{}, err
	}
	return r.setOrgObservation(ctx, call, ref, o)
}

// UnobserveOrg ends the observation of an org. Repeating it changes nothing.
func (r *Registry) UnobserveOrg(ctx context.Context, call Call, ref string) (Outcome[Org], error) {
	return r.setOrgObservation(ctx, call, ref, nil)
}

func (r *Registry) setOrgObservation(ctx context.Context, call Call, ref string, to *Observation) (Outcome[Org], error) {
	return commit(ctx, r, call, to == nil, func(tx Tx) (Org, *EventDraft, error) {
		org, err := ownOrg(tx, call.Caller, ref)
		if err != nil {
			return Org{}, nil, err
		}
		was := org.Observation
		if to == nil && was == nil || to != nil && was.says(to) {
			return org, nil, nil
		}
		scope := Scope{ScopeOrg, org.ID}
		ev := changeObservation(was, to, scope)
		ev.Org, org.Observation = org.ID, to
		return org, ev, errors.Join(tx.UpdateOrg(org), tx.BumpEpoch(scope))
	})
}

func changeObservation(was, to *Observation, s Scope) *EventDraft {
	if to == nil {
		return was.event(EventObservationEnded, s)
	}
	return to.event(EventObservationBegun, s)
}

// Observations are those that run, of all orgs, for the operator's eyes: at most limit.
func (r *Registry) Observations(ctx context.Context, limit int) (list []Observed, err error) {
	err = r.Store.View(ctx, func(tx Tx) (err error) { list, err = tx.Observed(r.now(), limit); return err })
	return list, err
}
