package registry

import (
	"context"
	"encoding/json"
	"time"

	"github.com/writ-registry/writ/internal/jose"
)

// The kinds of vouchers.
const (
	VoucherBuilder  = "builder"  // signs what it built: build-signed
	VoucherAttester = "attester" // signs what it sees running: runtime-attested
)

// Voucher is a key whose holder vouches for parts of an org's agents.
type Voucher struct {
	ID         string    `json:"id"` // UUIDv7
	Org        string    `json:"org"`
	Kind       string    `json:"kind"` // builder | attester
	Name       string    `json:"name"`
	JWK        jose.JWK  `json:"jwk"`
	Thumbprint string    `json:"thumbprint"` // RFC 7638
	Created    time.Time `json:"created"`
	Revoked    time.Time `json:"revoked,omitzero"` // for good
}

func (v Voucher) source() string {
	if v.Kind == VoucherAttester {
		return SourceAttested
	}
	return SourceBuild
}

// NewVoucher is the input of RegisterVoucher.
type NewVoucher struct {
	Org  string // id or name; "" = the caller's
	Kind string
	Name string
	JWK  json.RawMessage // its public key
}

// RegisterVoucher lets the holder of a key vouch for parts of an org's agents. Its
// owner may. An agent's own key vouches for nothing.
func (r *Registry) RegisterVoucher(ctx context.Context, call Call, in NewVoucher) (Outcome[Voucher], error) {
	if in.Kind != VoucherBuilder && in.Kind != VoucherAttester {
		return Outcome[Voucher]{}, Invalid("/kind", "must be builder or attester")
	}
	if err := checkWord("/name", in.Name); err != nil {
		return Outcome[Voucher]{}, err
	}
	key, err := parseKey(in.JWK)
	if err != nil {
		return Outcome[Voucher]{}, err
	}
	v := Voucher{ID: NewID(), Kind: in.Kind, Name: in.Name, JWK: key.JWK(), Thumbprint: key.Thumbprint(), Created: r.now()}
	return commit(ctx, r, call, false, func(tx Tx) (Voucher, *EventDraft, error) {
		org, err := findOrg(tx, call.Caller, in.Org)
		if err == nil {
			err = call.Caller.may(org.ID, RoleOwner)
		}
		if err != nil {
			return v, nil, err
		}
		v := v // the closure may run twice
		v.Org = org.ID
		holders, err := tx.SearchAgents(AgentQuery{Org: org.ID, Thumbprint: v.Thumbprint, Page: Page{Limit: 1}})
		if err != nil {
			return v, nil, err
		}
		if len(holders) > 0 {
			return v, nil, &Error{Kind: Conflict, Code: "key_taken", Field: "/jwk", Detail: "it is an agent's key: an agent does not vouch for agents"}
		}
		return v, &EventDraft{Type: EventVoucherRegistered, Org: org.ID, Body: VoucherRegistered{v.ID, v.Kind, v.Thumbprint, key.Alg()}}, tx.InsertVoucher(v)
	})
}

// RevokeVoucher ends a voucher for good: it vouches for nothing more. Repeating it
// changes nothing. What it vouched for before stays recorded as it was.
func (r *Registry) RevokeVoucher(ctx context.Context, call Call, id, reason string) (Outcome[Voucher], error) {
	if err := first(checkID("/id", id), checkReason(reason)); err != nil {
		return Outcome[Voucher]{}, err
	}
	return commit(ctx, r, call, true, func(tx Tx) (Voucher, *EventDraft, error) {
		v, err := tx.Voucher(id)
		if err == nil {
			err = hide(call.Caller.may(v.Org, RoleOwner), "voucher")
		}
		if err != nil || !v.Revoked.IsZero() {
			return v, nil, err
		}
		v.Revoked = r.now()
		// No decision rests on a voucher, so no epoch moves.
		return v, &EventDraft{Type: EventVoucherRevoked, Org: v.Org, Body: VoucherRevoked{v.ID, v.Thumbprint, reason}}, tx.UpdateVoucher(v)
	})
}

// ListVouchers lists an org's vouchers, the revoked ones too.
func (r *Registry) ListVouchers(ctx context.Context, c Caller, orgRef string, p Page) ([]Voucher, error) {
	return listIn(ctx, r, c, orgRef, p, Tx.ListVouchers)
}
