package registry

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/writ-registry/writ/internal/jose"
)

// SetPEPKey gives an enforcement point the key that its outcomes are signed with. A
// registrar may, and not the enforcement point itself: whoever has stolen its
// credential would report for it.
func (r *Registry) SetPEPKey(ctx context.Context, call Call, id string, jwk json.RawMessage) (Outcome[PEP], error) {
	key, err := parseKey(jwk)
	if err != nil {
		return Outcome[PEP]{}, err
	}
	return commit(ctx, r, call, false, func(tx Tx) (PEP, *EventDraft, error) {
		p, err := governedPEP(tx, call.Caller, id, RoleRegistrar)
		if err != nil {
			return PEP{}, nil, err
		}
		if p.JWK != nil && *p.JWK == key.JWK() {
			return p, nil, nil
		}
		ev, err := p.setKey(tx, key)
		return p, &ev, errors.Join(err, tx.UpdatePEP(p), tx.BumpEpoch(Scope{ScopeOrg, p.Org}))
	})
}

// governedPEP is an enforcement point, for principals of its org who have the role.
func governedPEP(tx Tx, c Caller, id string, role Role) (PEP, error) {
	if err := checkID("/pep", id); err != nil {
		return PEP{}, err
	}
	p, err := tx.PEP(id)
	if err == nil {
		err = c.may(p.Org, role)
	}
	return p, hide(err, "enforcement point")
}

// setKey changes p and drafts the event. An agent's own key says nothing of what became
// of acts.
func (p *PEP) setKey(tx Tx, key jose.PublicKey) (EventDraft, error) {
	holders, err := tx.SearchAgents(AgentQuery{Org: p.Org, Thumbprint: key.Thumbprint(), Page: Page{Limit: 1}})
	if err == nil && len(holders) > 0 {
		err = &Error{Kind: Conflict, Code: "key_taken", Field: "/jwk", Detail: "it is an agent's key"}
	}
	body := PEPKeySet{PEP: p.ID, Thumbprint: key.Thumbprint()}
	if p.JWK != nil {
		before, e := p.JWK.PublicKey()
		body.Previous, err = before.Thumbprint(), errors.Join(err, e)
	}
	jwk := key.JWK()
	p.JWK = &jwk
	return EventDraft{Type: EventPEPKeySet, Org: p.Org, Body: body}, err
}
