package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry/did"
)

// SetOrgPolicy changes what an org demands of its agents and people. Its owner may.
func (r *Registry) SetOrgPolicy(ctx context.Context, call Call, orgRef string, to OrgPolicy) (Outcome[Org], error) {
	const century = 100 * 365 * 24 * 3600
	for field, age := range map[string]int64{"/max_key_age": to.MaxKeyAge, "/warn_key_age": to.WarnKeyAge} {
		if age < 0 || age > century {
			return Outcome[Org]{}, Invalid(field, "must be 0 to %d seconds", century)
		}
	}
	return commit(ctx, r, call, false, func(tx Tx) (Org, *EventDraft, error) {
		org, err := findOrg(tx, call.Caller, orgRef)
		if err == nil {
			err = call.Caller.may(org.ID, RoleOwner)
		}
		if err != nil || org.Policy == to {
			return org, nil, err
		}
		org.Policy = to
		return org, &EventDraft{Type: EventOrgPolicySet, Org: org.ID, Body: OrgPolicySet(to)},
			errors.Join(tx.UpdateOrg(org), tx.BumpEpoch(Scope{ScopeOrg, org.ID}))
	})
}

// checkKeyHash refuses what is no commitment of did.NextKeyHash.
func checkKeyHash(field, s string) error {
	if s != "" && !did.IsKeyHash(s) {
		return Invalid(field, "must be the base58btc SHA-256 multihash of the next key's Multikey, 46 characters that begin with Qm")
	}
	return nil
}

// successor signs the n-th entry of an agent's DID log, from 2 on.
func (r *Registry) successor(agent string, n int) (jose.Signer, error) {
	key, err := r.Successor(agent, n)
	if err != nil {
		return nil, fmt.Errorf("derive DID update key: %w", err)
	}
	return key, nil
}
