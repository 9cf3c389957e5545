package policy

import (
	"errors"
	"time"

	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/capability"
)

// Mint makes the PDP give out permits where they are asked for: k signs them, and is
// kid in the registry's DID document. It is called once, before the first decision.
func (p *PDP) Mint(k jose.Signer, kid string) { p.permits, p.permitKey = k, kid }

// mint signs the permit of a decision that was asked for one; any other has none. It
// has the decision's id, so that a decision never has two. Nothing here is durable:
// the decision, with its permit in it, is given out once it is recorded.
func (p *PDP) mint(req Request, f *facts, act string, d *Decision) error {
	d.Permit = ""
	if !req.Permit || d.Verdict != Permit || p.permits == nil {
		return nil
	}
	iat := f.now.Unix()
	exp := min(iat+int64(capability.PermitLife/time.Second), f.grant.Expires.Unix(), f.chain.Leaf().Claims().Expires)
	if d.Observed {
		exp = min(exp, f.observedUntil().Unix())
	}
	var err error
	d.Permit, err = capability.SignPermit(p.permits, p.permitKey, capability.PermitClaims{
		Issuer: p.Origin, Audience: f.proof.audience, Subject: req.Subject, Confirm: capability.Confirmed{Thumbprint: f.proof.thumbprint},
		ActDigest: act, Epochs: epochsDigest(f.epochs), Redeem: redemption(f.entry), ID: d.ID, IssuedAt: iat, Expires: max(exp, iat+1),
	})
	return err
}

// redemption: what cannot be undone is never redeemed on the word of the permit alone.
func redemption(e registry.CatalogueAction) string {
	if e.Reversibility == registry.Irreversible {
		return capability.RedeemOnline
	}
	return capability.RedeemOffline
}

// keep records the permit of a qualified decision, in the decision's transaction: it
// may be redeemed, and what became of the act is asked for.
func (f *facts) keep(tx registry.Tx, d Decision) error {
	if d.Permit == "" || !d.Qualified {
		return nil
	}
	permit, err := capability.ParsePermit(d.Permit)
	if err != nil {
		return errors.Join(errors.New("the permit that was just signed is none"), err)
	}
	c := permit.Claims()
	row := registry.Permit{
		ID: d.ID, Org: f.agent.Org, Agent: f.agent.ID, DID: f.agent.DID, Audience: c.Audience, Action: f.entry.Action,
		Redeem: c.Redeem, State: registry.PermitIssued, Issued: time.Unix(c.IssuedAt, 0).UTC(), Expires: time.Unix(c.Expires, 0).UTC(),
		CompensatedBy: f.entry.CompensatedBy, CompensateIn: f.entry.CompensateIn, OutcomeIn: f.entry.OutcomeIn, Epochs: f.epochs,
	}
	if f.pep != nil {
		row.PEP = f.pep.ID
	}
	if d.Event != nil {
		row.Decision = d.Event.CID
	}
	return tx.InsertPermit(row.Await())
}
