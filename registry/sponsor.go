package registry

import (
	"context"
	"errors"
)

// SetSponsor has another human answer for an agent: an active principal of its org. A
// registrar may. Children keep theirs, and are moved one by one.
func (r *Registry) SetSponsor(ctx context.Context, call Call, ref, sponsor string) (Outcome[Agent], error) {
	if err := checkID("/sponsor", sponsor); err != nil {
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
		if a.Status == AgentRevoked {
			return a, nil, Errorf(Revoked, "the agent is revoked, for good")
		}
		if a.Sponsor == sponsor {
			return a, nil, nil
		}
		p, err := tx.Principal(sponsor)
		if errors.Is(err, NotFound) || err == nil && (p.Org != a.Org || p.Status != PrincipalActive) {
			return a, nil, Invalid("/sponsor", "must be an active principal of the agent's org")
		} else if err != nil {
			return a, nil, err
		}
		previous := a.Sponsor
		a.Sponsor, a.Updated = sponsor, r.now()
		return a, &EventDraft{Type: EventSponsorChanged, Org: a.Org, Agent: a.ID, Body: SponsorChanged{a.DID, sponsor, previous}},
			errors.Join(tx.UpdateAgent(a), tx.BumpEpoch(Scope{ScopeAgent, a.ID}))
	})
}
