package client

import (
	"context"
	"iter"
	"net/http"
	"time"

	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry/capability"
)

// Voucher is a key whose holder vouches for parts of an org's agents.
type Voucher struct {
	ID         string    `json:"id"`
	Org        string    `json:"org"`
	Kind       string    `json:"kind"` // builder | attester
	Name       string    `json:"name"`
	JWK        jose.JWK  `json:"jwk"`
	Thumbprint string    `json:"thumbprint"`
	Created    time.Time `json:"created"`
	Revoked    time.Time `json:"revoked,omitzero"`
}

// NewVoucher is the input of RegisterVoucher.
type NewVoucher struct {
	Org  string   `json:"org,omitempty"` // id or name; "" = the caller's
	Kind string   `json:"kind"`
	Name string   `json:"name"`
	JWK  jose.JWK `json:"jwk"`
}

// RegisterVoucher lets the holder of a key vouch for parts of an org's agents.
func (c *Client) RegisterVoucher(ctx context.Context, in NewVoucher) (Change[Voucher], error) {
	return change[Voucher](ctx, c, http.MethodPost, "/v1/vouchers", "voucher", in)
}

// Vouchers lists an org's vouchers; "" is the caller's org.
func (c *Client) Vouchers(ctx context.Context, org string) iter.Seq2[Voucher, error] {
	return list[Voucher](ctx, c, "/v1/vouchers", filter("org", org))
}

// RevokeVoucher ends a voucher for good.
func (c *Client) RevokeVoucher(ctx context.Context, id, reason string) (Change[Voucher], error) {
	return change[Voucher](ctx, c, http.MethodPost, at("/v1/vouchers", id)+"/revoke", "voucher", because(reason))
}

// SetComposition says what an agent is made of. Parts that are build-signed or
// runtime-attested need a statement that names them (AgentKey.Vouch).
func (c *Client) SetComposition(ctx context.Context, ref string, parts []Component, statements []string) (Change[Agent], error) {
	if parts == nil {
		parts = []Component{}
	}
	in := struct {
		Parts      []Component `json:"parts"`
		Statements []string    `json:"statements,omitempty"`
	}{parts, statements}
	return change[Agent](ctx, c, http.MethodPut, at("/v1/agents", ref)+"/composition", "agent", in)
}

// Vouch signs, with the key of a voucher, that parts of an agent are what they say.
// agent, its DID, may be empty for a builder. An attester's statement lives a day at
// most, a builder's a year.
func (k *AgentKey) Vouch(origin, agent string, life time.Duration, parts []Component) (string, error) {
	now := time.Now()
	c := capability.CompositionClaims{
		Audience: origin, Subject: agent, ID: capability.NewJTI(), IssuedAt: now.Unix(), Expires: now.Add(life).Unix(),
	}
	for _, p := range parts {
		c.Parts = append(c.Parts, capability.Part{Kind: p.Kind, Name: p.Name, Digest: p.Digest})
	}
	return capability.SignComposition(k.private, c)
}
