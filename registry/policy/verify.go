package policy

import (
	"context"
	"crypto/sha256"

	"github.com/writ-registry/writ/registry"
)

// Verification is the answer of Verify, after RFC 7662, section 2.2: whether
// the token and the proof stand now. It is no decision.
type Verification struct {
	Active   bool     `json:"active"`
	Reasons  []Reason `json:"reasons"`
	Issuer   string   `json:"iss,omitempty"` // of a foreign grant
	Subject  string   `json:"sub,omitempty"`
	ClientID string   `json:"client_id,omitempty"`
	Scope    string   `json:"scope,omitempty"`
	Audience string   `json:"aud,omitempty"`
	ID       string   `json:"jti,omitempty"`
	Expires  int64    `json:"exp,omitempty"`
	Org      string   `json:"org,omitempty"`
	Budgets  []string `json:"budgets,omitempty"` // of all its links; what is left of them only decisions know
	Chain    []Link   `json:"chain,omitempty"`   // root first; absent for one token
}

// Link is one grant of a chain that stands.
type Link struct {
	Subject      string `json:"sub"` // DID of the holder
	ID           string `json:"jti"`
	Hash         string `json:"hash"`       // of the signing input: what a revocation names
	Thumbprint   string `json:"thumbprint"` // of the holder's key
	Capabilities string `json:"capabilities"`
	Expires      int64  `json:"exp"`
}

// Verify checks a grant token, its status and the agent's possession of it, for
// a resource server of any organization. It weighs no policy, consumes nothing
// and records nothing: a caller that executes on its word alone gives up
// replay protection, policy and evidence.
func (p *PDP) Verify(ctx context.Context, caller registry.Caller, req Request) (Verification, error) {
	act, err := req.actDigest()
	if err != nil {
		return Verification{}, err
	}
	if g := p.foreign(req); g != nil {
		return p.verifyForeign(ctx, caller, req, act, g)
	}
	f, err := p.load(ctx, caller, req, act)
	if err != nil {
		return Verification{}, err
	}
	if f.proof.action != nil { // the next hop of the call will ask as well
		p.proofs.SetIfAbsent(sha256.Sum256([]byte(req.Proof)), f.proof.action)
	}
	v := Verification{Reasons: []Reason{}}
	for _, check := range []func(*facts) []Reason{checkStatus, checkPossession, checkGrant, checkCapability} {
		v.Reasons = append(v.Reasons, check(f)...)
	}
	if f.proof.code != "" && !f.insider() {
		v.Reasons = checkPossession(f)
	}
	if len(v.Reasons) > 0 {
		return v, nil
	}
	for _, g := range f.chain.Links() {
		c := g.Claims()
		v.Chain = append(v.Chain, Link{c.Subject, c.ID, g.SigningInputHash(), g.Key().Thumbprint(), c.Capabilities.String(), c.Expires})
		v.Budgets = append(v.Budgets, c.Budgets.Texts()...)
	}
	if len(v.Chain) == 1 {
		v.Chain = nil
	}
	c := f.chain.Leaf().Claims()
	v.Active, v.Subject, v.ClientID, v.Scope, v.Audience, v.ID, v.Expires, v.Org = true, c.Subject, c.ClientID, c.Scope, f.proof.audience, c.ID, c.Expires, c.Org
	return v, nil
}

// Explain says a recorded decision in words: each reason with its meaning.
func Explain(codes []string) []Reason {
	out := make([]Reason, len(codes))
	for i, c := range codes {
		out[i] = Reason{Code(c), Meanings[Code(c)]}
	}
	return out
}
