package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/capability"
	"github.com/writ-registry/writ/registry/did"
	"github.com/writ-registry/writ/registry/statuslist"
)

// Foreign gives what is followed of issuers on a trust list. Package follow
// implements it.
//
// Agent and Status return the newest that was verified, however old: Checked says
// when. Where that is longer ago than the entry allows, or nothing was seen yet, they
// may ask the issuer once, within bounds. They are called only for an authenticated
// enforcement point and a grant that a pinned key signed. An error means that nothing
// is known.
type Foreign interface {
	Agent(ctx context.Context, t registry.Trust, agent did.DID) (ForeignAgent, error)
	Status(ctx context.Context, t registry.Trust, uri string) (ForeignStatus, error)
}

// ForeignAgent is the DID of an agent as it was last seen.
type ForeignAgent struct {
	Document    did.Document // of the current version
	Deactivated bool
	Checked     time.Time
	Alarm       *registry.Alarm
}

// ForeignStatus is a status list as it was last seen.
type ForeignStatus struct {
	Statuses *statuslist.Statuses
	Checked  time.Time
}

// maxForeignSkew is how far ahead of ours the clock of an issuer may be.
const maxForeignSkew = 30 * time.Second

// foreign returns the grant of another issuer that the request shows; nil where the
// token is no grant, or one of this registry's.
func (p *PDP) foreign(req Request) *capability.Grant {
	if p.Foreign == nil || len(req.Token) != 1 { // chains of others are not understood
		return nil
	}
	if _, err := p.chain(req.Token); err == nil {
		return nil
	}
	g, err := capability.ParseGrant(req.Token[0])
	if err != nil || g.Claims().Issuer == p.Issuing {
		return nil
	}
	return g
}

// foreigner is all that is known of a foreign grant and act.
type foreigner struct {
	now    time.Time
	req    Request
	act    string
	grant  *capability.Grant
	pep    *registry.PEP
	origin string
	trust  *registry.Trust    // nil: the org trusts no such issuer
	seen   *registry.Followed // of the issuer; nil: nothing yet
	kills  []registry.Kill    // over the asking org
	proof  capability.ActionClaims
}

// verifyForeign holds a foreign grant against the trust list of the enforcement
// point's org and what is followed of its issuer. The first group of checks that
// refuses ends it: nothing is fetched for what the list does not allow.
func (p *PDP) verifyForeign(ctx context.Context, caller registry.Caller, req Request, act string, g *capability.Grant) (Verification, error) {
	f := &foreigner{now: p.Now(), req: req, act: act, grant: g, pep: caller.PEP, origin: p.Origin}
	if err := p.Store.View(ctx, func(tx registry.Tx) error { return f.read(tx, caller.Org) }); err != nil {
		return Verification{}, err
	}
	reasons := append(f.checkIssuer(), f.checkTerms()...)
	if len(reasons) == 0 {
		reasons = f.checkAct()
	}
	if len(reasons) == 0 {
		reasons = append(p.checkForeignStatus(ctx, f), p.checkForeignAgent(ctx, f)...)
	}
	if len(reasons) > 0 {
		return Verification{Reasons: reasons}, nil
	}
	c := g.Claims()
	return Verification{
		Active: true, Reasons: []Reason{}, Issuer: c.Issuer, Subject: c.Subject, ClientID: c.ClientID, Scope: c.Scope,
		Audience: f.proof.Audience, ID: c.ID, Expires: c.Expires, Org: c.Org,
		Budgets: c.Budgets.Texts(),
	}, nil
}

func (f *foreigner) read(tx registry.Tx, org string) error {
	m, err := tx.Moment()
	if err != nil {
		return err
	}
	if m.Clock.After(f.now) {
		f.now = m.Clock
	}
	if _, f.kills, err = tx.Authority([]registry.Scope{{Kind: registry.ScopeGlobal}, {Kind: registry.ScopeOrg, ID: org}}); err != nil {
		return err
	}
	t, err := tx.TrustOf(org, f.grant.Claims().Issuer)
	if errors.Is(err, registry.NotFound) {
		return nil
	} else if err != nil {
		return err
	}
	f.trust = &t
	seen, err := tx.Followed(t.ID, registry.FollowedIssuer, t.Issuer)
	if err == nil {
		f.seen = &seen
	} else if errors.Is(err, registry.NotFound) {
		err = nil
	}
	return err
}

// checkIssuer: the org trusts the issuer, a pinned key signed, and nothing was seen
// of it that ends all trust.
func (f *foreigner) checkIssuer() (out []Reason) {
	for _, k := range f.kills {
		code := KillOrg
		if k.Scope.Kind == registry.ScopeGlobal {
			code = KillGlobal
		}
		out = append(out, Reason{code, k.Reason})
	}
	switch {
	case f.pep == nil:
		return append(out, Reason{AudienceRefused, "only an enforcement point asks about foreign grants"})
	case f.trust == nil:
		return append(out, Reason{Code: IssuerUntrusted})
	case !f.now.Before(f.trust.NotAfter):
		return append(out, Reason{TrustEnded, f.trust.NotAfter.Format(time.RFC3339)})
	case f.seen == nil:
		return append(out, Reason{IssuerUnknown, "it has not answered yet"})
	case f.seen.Alarm != nil:
		return append(out, Reason{IssuerAlarmed, string(f.seen.Alarm.Code)})
	}
	keys, err := f.trust.Keys()
	if err != nil || !slices.ContainsFunc(keys, func(k jose.PublicKey) bool { return f.grant.Verify(k) == nil }) {
		out = append(out, Reason{IssuerUntrusted, "no pinned key signed the grant"})
	}
	return out
}

// checkTerms holds the grant against what the entry accepts, and its own period.
func (f *foreigner) checkTerms() (out []Reason) {
	if f.trust == nil || f.pep == nil {
		return nil // said by checkIssuer
	}
	c := f.grant.Claims()
	subject, err := did.Parse(c.Subject)
	switch {
	case err != nil || subject.Method() != did.MethodWebVH: // a did:web is whoever holds the host
		out = append(out, Reason{VouchingRefused, "the subject is no did:webvh"})
	case !f.trust.Vouches(subject):
		out = append(out, Reason{VouchingRefused, "the issuer does not vouch for agents at this place"})
	}
	if len(f.trust.Orgs) > 0 && !slices.Contains(f.trust.Orgs, c.Org) {
		out = append(out, Reason{VouchingRefused, "the issuer does not vouch for this org of its own"})
	}
	if f.now.Add(maxForeignSkew).Before(time.Unix(max(c.NotBefore, c.IssuedAt), 0)) {
		out = append(out, Reason{Code: GrantNotYetValid})
	}
	if !f.now.Before(time.Unix(c.Expires, 0)) {
		out = append(out, Reason{Code: GrantExpired})
	}
	if c.AuthorityLevel > f.trust.AuthorityLevel {
		out = append(out, Reason{CeilingExceeded, fmt.Sprintf("authority level %d, at most %d is accepted", c.AuthorityLevel, f.trust.AuthorityLevel)})
	}
	ceiling, err := capability.Parse(f.trust.Capabilities)
	if err != nil || !ceiling.Match(f.req.Act).Covered {
		out = append(out, Reason{CeilingExceeded, "the trust list does not accept this act of it"})
	}
	if m := f.grant.Capabilities().Match(f.req.Act); !m.Covered {
		out = append(out, Reason{Code(m.Reason), m.Detail})
	}
	return out
}

// checkAct: the agent signed this very act, for this registry and a resource server
// that the caller guards, the grant names and the entry accepts.
func (f *foreigner) checkAct() []Reason {
	refuse := func(code, detail string) []Reason { return []Reason{{PossessionFailed, code + ": " + detail}} }
	if f.req.Subject != f.grant.Claims().Subject {
		return refuse(string(capability.WrongSubject), "the grant is another agent's")
	}
	proof, err := capability.ParseAction(f.req.Proof)
	if err == nil {
		err = proof.Verify(capability.ActionCheck{
			Key: f.grant.Key(), Now: f.now, PDP: f.origin, Subject: f.req.Subject, TokenHash: f.grant.Hash(), Act: f.req.Act, ActDigest: f.act, Audiences: f.pep.Resources,
		})
	}
	if err != nil {
		return refuse(code(err), err.Error())
	}
	f.proof = proof.Claims()
	if aud := f.proof.Audience; !slices.Contains(f.grant.Claims().Audience, aud) || !slices.Contains(f.trust.Audiences, aud) {
		return []Reason{{AudienceRefused, "the grant or the trust list names other resource servers"}}
	}
	return nil
}

// old reports whether something was last seen longer ago than the entry allows, or
// in the future.
func (f *foreigner) old(checked time.Time) bool {
	age := f.now.Sub(checked)
	return age > time.Duration(f.trust.MaxAge)*time.Second || age < -maxForeignSkew
}

// checkForeignStatus: the issuer's status list, as young as the entry demands, says
// that the grant stands.
func (p *PDP) checkForeignStatus(ctx context.Context, f *foreigner) []Reason {
	status := f.grant.Claims().Status
	if status == nil {
		return []Reason{{StatusStale, "the grant names no status list"}}
	}
	list, err := p.Foreign.Status(ctx, *f.trust, status.List.URI)
	switch {
	case err != nil:
		return []Reason{{StatusStale, "the status list is not known"}}
	case f.old(list.Checked):
		return []Reason{{StatusStale, "last seen " + list.Checked.UTC().Format(time.RFC3339)}}
	}
	s, err := list.Statuses.Get(int(status.List.Index))
	switch {
	case err != nil:
		return []Reason{{StatusStale, "the status list has no such place"}}
	case s == statuslist.Valid:
		return nil
	case s == statuslist.Suspended:
		return []Reason{{Code: GrantSuspended}}
	}
	return []Reason{{Code: GrantRevoked}}
}

// checkForeignAgent: the agent's DID, as young as the entry demands, names the key
// that the grant is bound to.
func (p *PDP) checkForeignAgent(ctx context.Context, f *foreigner) []Reason {
	subject, err := did.Parse(f.grant.Claims().Subject)
	var a ForeignAgent
	if err == nil {
		a, err = p.Foreign.Agent(ctx, *f.trust, subject)
	}
	key := f.grant.Key().Thumbprint()
	switch {
	case err != nil:
		return []Reason{{AgentUnresolved, "its DID is not known"}}
	case a.Alarm != nil:
		return []Reason{{IssuerAlarmed, string(a.Alarm.Code)}}
	case f.old(a.Checked):
		return []Reason{{AgentUnresolved, "its DID was last seen " + a.Checked.UTC().Format(time.RFC3339)}}
	case a.Deactivated:
		return []Reason{{Code: AgentRevoked}}
	case a.Document.ID != f.grant.Claims().Subject:
		return []Reason{{AgentUnresolved, "its DID has moved"}}
	}
	for _, m := range a.Document.VerificationMethod {
		if k, ok := a.Document.KeyAt(m.ID, f.now); ok && k.Thumbprint() == key && slices.Contains(a.Document.AssertionMethod, m.ID) {
			return nil
		}
	}
	return []Reason{{KeyEnded, "its DID does not name the key that the grant is bound to"}}
}

// OnHost reports whether an address is at the issuer's own origin: where a status
// list of its may be.
func OnHost(issuer did.DID, uri string) bool {
	place, err := issuer.URL()
	if err != nil {
		return false
	}
	base, _, _ := strings.Cut(place, "/.well-known/")
	return strings.HasPrefix(uri, base+"/")
}
