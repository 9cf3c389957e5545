package policy_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/capability"
	"github.com/writ-registry/writ/registry/did"
	"github.com/writ-registry/writ/registry/policy"
	"github.com/writ-registry/writ/registry/registrytest"
	"github.com/writ-registry/writ/registry/statuslist"
)

const (
	foreignIssuer = "did:web:other.example"
	foreignLists  = "https://other.example/status/"
	foreignERP    = "https://erp.example"
)

// Keys of the foreign registry, its agent, and of strangers.
var (
	issuerKey   = registrytest.Key(40)
	agentKey    = registrytest.Key(41)
	strangerKey = registrytest.Key(42)
)

// sight is what is followed, and counts who looks: a fake policy.Foreign.
type sight struct {
	agent             policy.ForeignAgent
	status            policy.ForeignStatus
	noAgent, noStatus error
	asked             int
}

func (s *sight) Agent(context.Context, registry.Trust, did.DID) (policy.ForeignAgent, error) {
	s.asked++
	return s.agent, s.noAgent
}

func (s *sight) Status(context.Context, registry.Trust, string) (policy.ForeignStatus, error) {
	s.asked++
	return s.status, s.noStatus
}

// abroad is an act of an agent of another registry that stands, with all that a case
// may make of it before it is asked about.
type abroad struct {
	*registrytest.House
	t       *testing.T
	sees    sight
	entry   registry.NewTrust
	trusts  bool // the entry is on the list
	follows bool // the issuer has answered
	grant   capability.GrantClaims
	signer  *jose.PrivateKey // of the grant
	proof   capability.ActionClaims
	prover  *jose.PrivateKey
	subject string // as the caller names it
	act     capability.Act
	caller  registry.Caller
}

func newAbroad(t *testing.T) *abroad {
	t.Helper()
	h := registrytest.New(t)
	now := h.Clock.Now()
	genesis, err := did.Genesis(did.GenesisParams{
		Origin: "https://other.example", Path: []string{"agents", "a"}, Time: now, Signer: issuerKey,
		NextKeys: []jose.PublicKey{strangerKey.Public()}, Keys: []jose.PublicKey{agentKey.Public()},
	})
	if err != nil {
		t.Fatal(err)
	}
	w := &abroad{
		House: h, t: t, trusts: true, follows: true, signer: issuerKey, prover: agentKey, subject: genesis.DID.String(),
		sees: sight{
			agent:  policy.ForeignAgent{Document: genesis.Document, Checked: now},
			status: policy.ForeignStatus{Statuses: statuses(t, statuslist.Valid, now), Checked: now},
		},
		entry: registry.NewTrust{
			Org: registry.HouseOrg, Issuer: foreignIssuer, TokenKeys: []string{issuerKey.Public().Multikey()}, LogKey: registrytest.LogKey(t, "other.example/log", 4),
			Audiences: []string{foreignERP}, Capabilities: "read:invoices", AuthorityLevel: 2, MaxAge: 60,
		},
		act:    capability.Act{Action: "read", Resource: capability.Resource{Type: "invoices", ID: "7"}},
		caller: h.PEP(t, "erp-gateway", []string{foreignERP, "https://crm.example"}).Caller,
		grant: capability.GrantClaims{
			Issuer: foreignIssuer, Audience: []string{foreignERP}, Subject: genesis.DID.String(), ClientID: "a",
			IssuedAt: now.Unix(), NotBefore: now.Unix(), Expires: now.Add(time.Hour).Unix(), ID: capability.NewJTI(),
			Confirmation: capability.Confirmation{JWK: agentKey.Public().JWK()}, Capabilities: capability.MustParse("read:invoices; create:shipment"),
			Status: &capability.Status{List: capability.StatusList{Index: 1, URI: foreignLists + "1"}},
			Actor:  capability.Actor{Subject: "p"}, Org: "org-of-theirs", AuthorityLevel: 1,
		},
	}
	w.proof = capability.ActionClaims{
		Issuer: genesis.DID.String(), Audience: foreignERP, PDP: registrytest.Origin, ID: capability.NewJTI(), IssuedAt: now.Unix(), Expires: now.Unix() + 60,
	}
	return w
}

// statuses is a foreign status list, of which place 1 has a status.
func statuses(t *testing.T, s statuslist.Status, now time.Time) *statuslist.Statuses {
	t.Helper()
	list, err := statuslist.New(2, 4)
	if err == nil {
		err = list.Set(1, s)
	}
	if err != nil {
		t.Fatal(err)
	}
	raw, err := statuslist.Sign(issuerKey, "", statuslist.Claims{Subject: foreignLists + "1", IssuedAt: now.Unix(), StatusList: list.Encode()})
	if err != nil {
		t.Fatal(err)
	}
	token, err := statuslist.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	out, err := token.Verify(statuslist.Check{Key: issuerKey.Public(), URI: foreignLists + "1", Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// verify puts the entry on the list, has after happen, and asks about the act.
func (w *abroad) verify(after func(*abroad, registry.Trust)) policy.Verification {
	w.t.Helper()
	must := func(err error) {
		w.t.Helper()
		if err != nil {
			w.t.Fatal(err)
		}
	}
	ctx := w.t.Context()
	w.PDP.Foreign, w.PDP.Issuing = &w.sees, "did:web:localhost%3A8080"
	var entry registry.Trust
	if w.trusts {
		out, err := w.AddTrust(ctx, w.Call(), w.entry)
		must(err)
		entry = out.Value
	}
	if w.follows {
		now := w.Clock.Now()
		must(w.Follow(ctx, []registry.Followed{{Trust: entry.ID, Kind: registry.FollowedIssuer, Name: foreignIssuer, Number: 1, Checked: now, Seen: now}}))
	}
	raw, err := capability.IssueGrant(w.signer, foreignIssuer+"#k", w.grant)
	must(err)
	grant, err := capability.ParseGrant(raw)
	must(err)
	if w.proof.TokenHash == "" {
		w.proof.TokenHash = grant.Hash()
	}
	if w.proof.ActDigest == "" {
		w.proof.ActDigest, err = w.act.Digest()
		must(err)
	}
	proof, err := capability.SignAction(w.prover, "", w.proof)
	must(err)
	if after != nil {
		after(w, entry)
	}
	v, err := w.PDP.Verify(ctx, w.caller, policy.Request{SubjectType: "agent", Subject: w.subject, Act: w.act, Token: capability.Tokens{raw}, Proof: proof})
	must(err)
	return v
}

// TestForeignRefusals gives every reason of a foreign grant's refusal once, from an act
// that stands: nothing is looked up for what the trust list, the grant or the proof
// refuses already.
func TestForeignRefusals(t *testing.T) {
	stop := func(kind registry.ScopeKind) func(*abroad, registry.Trust) {
		return func(w *abroad, _ registry.Trust) {
			scope := registry.Scope{Kind: kind}
			if kind == registry.ScopeOrg {
				scope.ID = w.Operator.Org
			}
			if _, err := w.SetKill(w.t.Context(), w.Call(), scope, "drill"); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	for name, c := range map[string]struct {
		change func(*abroad)
		after  func(*abroad, registry.Trust)
		want   []policy.Code
		looks  bool // at what is followed of the agent and the grant
	}{
		"stands":                   {want: nil, looks: true},
		"our org is stopped":       {after: stop(registry.ScopeOrg), want: []policy.Code{policy.KillOrg}},
		"everything is stopped":    {after: stop(registry.ScopeGlobal), want: []policy.Code{policy.KillGlobal}},
		"asked by a person":        {change: func(w *abroad) { w.caller = w.Operator }, want: []policy.Code{policy.AudienceRefused}},
		"not on the list":          {change: func(w *abroad) { w.trusts, w.follows = false, false }, want: []policy.Code{policy.IssuerUntrusted}},
		"signed by no pinned key":  {change: func(w *abroad) { w.signer = strangerKey }, want: []policy.Code{policy.IssuerUntrusted}},
		"has never answered":       {change: func(w *abroad) { w.follows = false }, want: []policy.Code{policy.IssuerUnknown}},
		"entry has ended":          {change: func(w *abroad) { w.entry.NotAfter = w.Clock.Now().Add(30 * time.Second) }, after: func(w *abroad, _ registry.Trust) { w.Clock.Add(30 * time.Second) }, want: []policy.Code{policy.TrustEnded}},
		"subject is a did:web":     {change: func(w *abroad) { w.grant.Subject = "did:web:other.example:agents:a" }, want: []policy.Code{policy.VouchingRefused}},
		"subject is no DID":        {change: func(w *abroad) { w.grant.Subject = "a" }, want: []policy.Code{policy.VouchingRefused}},
		"agent is elsewhere":       {change: func(w *abroad) { w.entry.Agents = []string{"other.example:robots"} }, want: []policy.Code{policy.VouchingRefused}},
		"of another org of theirs": {change: func(w *abroad) { w.entry.Orgs = []string{registry.NewID()} }, want: []policy.Code{policy.VouchingRefused}},
		"not valid yet":            {change: func(w *abroad) { w.grant.NotBefore += 31 }, want: []policy.Code{policy.GrantNotYetValid}},
		"expired":                  {change: func(w *abroad) { w.grant.IssuedAt, w.grant.NotBefore, w.grant.Expires = 1, 1, w.Clock.Now().Unix() }, want: []policy.Code{policy.GrantExpired}},
		"level above the ceiling":  {change: func(w *abroad) { w.grant.AuthorityLevel = 3 }, want: []policy.Code{policy.CeilingExceeded}},
		"act above the ceiling":    {change: func(w *abroad) { w.act.Action, w.act.Resource.Type = "create", "shipment" }, want: []policy.Code{policy.CeilingExceeded}},
		"act above the grant":      {change: func(w *abroad) { w.entry.Capabilities, w.act.Action = "read:invoices; delete:invoices", "delete" }, want: []policy.Code{policy.CapabilityMissing}},
		"argument above the grant": {change: func(w *abroad) {
			w.grant.Capabilities, w.act.Arguments = capability.MustParse("read:invoices(amount<=5)"), json.RawMessage(`{"amount":6}`)
		}, want: []policy.Code{policy.ArgumentRefused}},
		"another agent's grant":      {change: func(w *abroad) { w.subject = "did:web:other.example:agents:b" }, want: []policy.Code{policy.PossessionFailed}},
		"proof by another key":       {change: func(w *abroad) { w.prover = strangerKey }, want: []policy.Code{policy.PossessionFailed}},
		"proof for another registry": {change: func(w *abroad) { w.proof.PDP = "https://evil.example" }, want: []policy.Code{policy.PossessionFailed}},
		"proof over another act":     {change: func(w *abroad) { w.proof.ActDigest = w.digest("write") }, want: []policy.Code{policy.PossessionFailed}},
		"proof is old":               {change: func(w *abroad) { w.proof.IssuedAt -= 3600; w.proof.Expires -= 3600 }, want: []policy.Code{policy.PossessionFailed}},
		"resource not in the grant": {change: func(w *abroad) {
			w.proof.Audience, w.entry.Audiences = "https://crm.example", []string{"https://crm.example"}
		}, want: []policy.Code{policy.AudienceRefused}},
		"resource not on the list": {change: func(w *abroad) {
			w.proof.Audience, w.grant.Audience = "https://crm.example", []string{"https://crm.example"}
		}, want: []policy.Code{policy.AudienceRefused}},
		"grant without a status":      {change: func(w *abroad) { w.grant.Status = nil }, want: []policy.Code{policy.StatusStale}, looks: true},
		"status list never seen":      {change: func(w *abroad) { w.sees.noStatus = errors.New("down") }, want: []policy.Code{policy.StatusStale}, looks: true},
		"status list is old":          {change: func(w *abroad) { w.sees.status.Checked = w.Clock.Now().Add(-61 * time.Second) }, want: []policy.Code{policy.StatusStale}, looks: true},
		"status list of tomorrow":     {change: func(w *abroad) { w.sees.status.Checked = w.Clock.Now().Add(31 * time.Second) }, want: []policy.Code{policy.StatusStale}, looks: true},
		"beyond the status list":      {change: func(w *abroad) { w.grant.Status.List.Index = 4 }, want: []policy.Code{policy.StatusStale}, looks: true},
		"suspended":                   {change: func(w *abroad) { w.says(statuslist.Suspended) }, want: []policy.Code{policy.GrantSuspended}, looks: true},
		"revoked":                     {change: func(w *abroad) { w.says(statuslist.Invalid) }, want: []policy.Code{policy.GrantRevoked}, looks: true},
		"status of their own meaning": {change: func(w *abroad) { w.says(3) }, want: []policy.Code{policy.GrantRevoked}, looks: true},
		"agent never seen":            {change: func(w *abroad) { w.sees.noAgent = errors.New("down") }, want: []policy.Code{policy.AgentUnresolved}, looks: true},
		"agent seen long ago":         {change: func(w *abroad) { w.sees.agent.Checked = w.Clock.Now().Add(-61 * time.Second) }, want: []policy.Code{policy.AgentUnresolved}, looks: true},
		"agent's DID has moved":       {change: func(w *abroad) { w.sees.agent.Document.ID += "2" }, want: []policy.Code{policy.AgentUnresolved}, looks: true},
		"agent's DID has forked":      {change: func(w *abroad) { w.sees.agent.Alarm = &registry.Alarm{Code: registry.AlarmDIDFork} }, want: []policy.Code{policy.IssuerAlarmed}, looks: true},
		"agent's DID has ended":       {change: func(w *abroad) { w.sees.agent.Deactivated = true }, want: []policy.Code{policy.AgentRevoked}, looks: true},
		"key is not the agent's": {change: func(w *abroad) {
			w.sees.agent.Document.VerificationMethod[0].PublicKeyMultibase = strangerKey.Public().Multikey()
		}, want: []policy.Code{policy.KeyEnded}, looks: true},
		"key has expired": {change: func(w *abroad) {
			w.sees.agent.Document.VerificationMethod[0].Expires = w.Clock.Now().Format(time.RFC3339)
		}, want: []policy.Code{policy.KeyEnded}, looks: true},
		"key is for something else": {change: func(w *abroad) { w.sees.agent.Document.AssertionMethod = nil }, want: []policy.Code{policy.KeyEnded}, looks: true},
		"all that is known is old":  {change: func(w *abroad) { w.sees.agent.Checked, w.sees.status.Checked = time.Time{}, time.Time{} }, want: []policy.Code{policy.StatusStale, policy.AgentUnresolved}, looks: true},
		"issuer contradicts itself": {after: func(w *abroad, entry registry.Trust) {
			d, err := did.Parse(foreignIssuer)
			if err == nil {
				err = w.RaiseAlarm(w.t.Context(), entry.ID, registry.FollowedIssuer, d, registry.AlarmLogFork, "two logs", "")
			}
			if err != nil {
				w.t.Fatal(err)
			}
		}, want: []policy.Code{policy.IssuerAlarmed}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newAbroad(t)
			if c.change != nil {
				c.change(w)
			}
			v := w.verify(c.after)
			var got []policy.Code
			for _, r := range v.Reasons {
				got = append(got, r.Code)
			}
			if !slices.Equal(got, c.want) || v.Active != (len(c.want) == 0) {
				t.Errorf("active %t, %v, want %q", v.Active, v.Reasons, c.want)
			}
			if (w.sees.asked > 0) != c.looks {
				t.Errorf("looked up %d times", w.sees.asked)
			}
			if v.Active && (v.Issuer != foreignIssuer || v.Subject != w.subject || v.Audience != foreignERP) {
				t.Errorf("%+v", v)
			}
		})
	}
}

// says has the issuer give the grant a status.
func (w *abroad) says(s statuslist.Status) { w.sees.status.Statuses = statuses(w.t, s, w.Clock.Now()) }

// digest is that of the act with another verb.
func (w *abroad) digest(verb string) string {
	w.t.Helper()
	other := w.act
	other.Action = verb
	d, err := other.Digest()
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}
