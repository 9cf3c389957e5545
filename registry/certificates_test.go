package registry_test

import (
	"context"
	"crypto/x509"
	"slices"
	"testing"
	"time"

	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/pki"
	"github.com/writ-registry/writ/registry/registrytest"
)

// certify issues a certificate for the agent's own key and returns it with the
// chain that a client presents.
func certify(t *testing.T, h *registrytest.House, a *registrytest.Agent) (registry.Certificate, []*x509.Certificate) {
	t.Helper()
	out, err := h.IssueAgentCertificate(t.Context(), h.Call(), a.ID, registry.NewCertificate{CSR: registrytest.CSR(t, a.Signer)})
	if err != nil {
		t.Fatal(err)
	}
	return out.Value, registrytest.Chain(t, out.Value.PEM)
}

// refusedAs wants a caller's certificate to be refused with a code.
func refusedAs(t *testing.T, h *registrytest.House, what string, presented []*x509.Certificate, code string) {
	t.Helper()
	c, err := h.AuthenticateCertificate(t.Context(), presented)
	if registrytest.Code(err) != code {
		t.Errorf("%s: %v, %v, want %s", what, c.Actor, err, code)
	}
	want(t, what, err, registry.Unauthenticated)
}

func TestCertificateLife(t *testing.T) {
	h := registrytest.New(t)
	a := h.NewAgent(t, "a")
	c, chain := certify(t, h, a)
	if c.Kind != registry.CertificateDID || c.Agent != a.ID || !slices.Equal(c.Names, []string{a.DID, a.WebDID}) || c.Thumbprint != a.Thumbprint {
		t.Errorf("issued %+v", c)
	}
	caller, err := h.AuthenticateCertificate(t.Context(), chain)
	if err != nil || caller.Kind != registry.ActorAgent || caller.ID != a.ID || caller.Agent == nil || caller.Org != a.Org {
		t.Fatalf("authenticated %+v, %v", caller, err)
	}
	if _, err := h.AuthenticateCertificate(t.Context(), chain[:1]); err != nil {
		t.Errorf("the leaf alone: %v", err)
	}
	// The agent renews by itself, and ends what it has.
	own := registry.Call{Caller: caller}
	renewed, err := h.IssueAgentCertificate(t.Context(), own, a.ID, registry.NewCertificate{CSR: registrytest.CSR(t, a.Signer, a.DID), Lifetime: time.Hour})
	if err != nil || renewed.Value.NotAfter.Sub(h.Clock.Now()) > time.Hour {
		t.Fatalf("renew: %+v, %v", renewed.Value, err)
	}
	for i, recorded := range []bool{true, false} {
		out, err := h.RevokeCertificate(t.Context(), own, c.Digest, "replaced")
		if err != nil || out.Value.Status != registry.CertificateRevoked || (out.Event.CID != "") != recorded {
			t.Errorf("revoke %d: %+v, %v", i, out, err)
		}
	}
	refusedAs(t, h, "revoked", chain, "certificate_revoked")
	second := registrytest.Chain(t, renewed.Value.PEM)
	h.Clock.Add(2 * time.Hour)
	refusedAs(t, h, "expired", second, "certificate_expired")

	list, err := h.ListCertificates(t.Context(), h.Operator, "", a.ID, registry.Page{})
	if err != nil || len(list) != 2 || list[0].Status != registry.CertificateRevoked {
		t.Errorf("those that have ended stay: %d, %v", len(list), err)
	}
	var issued []registry.Event
	for _, typ := range []string{registry.EventCAOpened, registry.EventCertificateIssued, registry.EventCertificateRevoked} {
		events, err := h.ListEvents(t.Context(), h.Operator, "", "", registry.EventFilter{Type: typ})
		if err != nil {
			t.Fatal(err)
		}
		issued = append(issued, events...)
	}
	if len(issued) != 4 || issued[0].Index > issued[1].Index {
		t.Errorf("events of the authority, two leaves and an end: %v", issued)
	}
}

// TestCertificateEndsWithItsAgent: whatever stops an agent stops its certificate at
// the next call.
func TestCertificateEndsWithItsAgent(t *testing.T) {
	ctx := context.Background()
	for name, c := range map[string]struct {
		stop func(h *registrytest.House, a *registrytest.Agent) error
		code string
	}{
		"suspended": {func(h *registrytest.House, a *registrytest.Agent) error {
			_, err := h.SuspendAgent(ctx, h.Call(), a.ID, "")
			return err
		}, "agent_suspended"},
		"revoked": {func(h *registrytest.House, a *registrytest.Agent) error {
			_, err := h.RevokeAgent(ctx, h.Call(), a.ID, "")
			return err
		}, "agent_revoked"},
		"killed": {func(h *registrytest.House, a *registrytest.Agent) error {
			_, err := h.SetKill(ctx, h.Call(), registry.Scope{Kind: registry.ScopeOrg, ID: a.Org}, "")
			return err
		}, "killed"},
		"key compromised": {func(h *registrytest.House, a *registrytest.Agent) error {
			_, err := h.EndKey(ctx, h.Call(), a.ID, a.Thumbprint, true, nil, "")
			return err
		}, "foreign_key"},
		"key too old": {func(h *registrytest.House, a *registrytest.Agent) error {
			_, err := h.SetOrgPolicy(ctx, h.Call(), "", registry.OrgPolicy{MaxKeyAge: 60})
			h.Clock.Add(2 * time.Minute)
			return err
		}, "key_expired"},
	} {
		t.Run(name, func(t *testing.T) {
			h := registrytest.New(t)
			a := h.NewAgent(t, "a")
			_, chain := certify(t, h, a)
			if _, err := h.AuthenticateCertificate(ctx, chain); err != nil {
				t.Fatal(err)
			}
			if err := c.stop(h, a); err != nil {
				t.Fatal(err)
			}
			refusedAs(t, h, name, chain, c.code)
			if _, err := h.IssueAgentCertificate(ctx, h.Call(), a.ID, registry.NewCertificate{CSR: registrytest.CSR(t, a.Signer)}); err == nil {
				t.Error("it got another one")
			}
		})
	}
}

// TestStopBetween: a stop that is committed after a certificate was believed, and
// before the call that it came with, ends the call.
func TestStopBetween(t *testing.T) {
	h := registrytest.New(t)
	a := h.NewAgent(t, "a", func(in *registry.NewAgent) { in.Spawn = registry.Spawn{Depth: 1, Max: 1} })
	_, chain := certify(t, h, a)
	caller, err := h.AuthenticateCertificate(t.Context(), chain)
	if err != nil {
		t.Fatal(err)
	}
	call := registry.Call{Caller: caller, Trace: h.Call().Trace}
	scope := registry.Scope{Kind: registry.ScopeAgent, ID: a.ID}
	if _, err := h.SetKill(t.Context(), h.Call(), scope, "drill"); err != nil {
		t.Fatal(err)
	}
	err = a.TryRotate(t, call)
	want(t, "rotate after the stop", err, registry.Denied)
	if registrytest.Code(err) != "killed" {
		t.Errorf("rotate after the stop: %v", err)
	}
	if _, err := h.ReleaseKill(t.Context(), h.Call(), scope, ""); err != nil {
		t.Fatal(err)
	}
	if err := a.TryRotate(t, call, func(in *registry.NewKey) { in.Overlap = new(time.Duration) }); err != nil {
		t.Errorf("after its release: %v", err)
	}
	want(t, "by the key before", a.TryRotate(t, call), registry.Unauthenticated)
}

func TestCertificateRequestsRefused(t *testing.T) {
	h := registrytest.New(t)
	a, other := h.NewAgent(t, "a"), h.NewAgent(t, "b")
	_, owner := tenant(t, h, "acme")
	csr := registrytest.CSR(t, a.Signer)
	for name, c := range map[string]struct {
		call registry.Call
		ref  string
		in   registry.NewCertificate
		kind registry.Kind
		code string
	}{
		"another agent's DID":   {h.Call(), a.ID, registry.NewCertificate{CSR: registrytest.CSR(t, a.Signer, other.DID)}, registry.Malformed, "foreign_name"},
		"another agent's key":   {h.Call(), a.ID, registry.NewCertificate{CSR: registrytest.CSR(t, other.Signer)}, registry.Denied, "foreign_key"},
		"by another agent":      {other.Signed(), a.ID, registry.NewCertificate{CSR: csr}, registry.Denied, ""},
		"by another org":        {owner, a.ID, registry.NewCertificate{CSR: csr}, registry.NotFound, ""},
		"no request":            {h.Call(), a.ID, registry.NewCertificate{CSR: "x"}, registry.Malformed, "malformed"},
		"a week":                {h.Call(), a.ID, registry.NewCertificate{CSR: csr, Lifetime: 168 * time.Hour}, registry.Malformed, ""},
		"a PEP's kind":          {h.Call(), a.ID, registry.NewCertificate{CSR: csr, Kind: registry.CertificatePEP}, registry.Malformed, ""},
		"an enterprise's kind":  {h.Call(), a.ID, registry.NewCertificate{CSR: csr, Kind: registry.CertificateEnterprise}, registry.Malformed, ""},
		"of an agent not there": {h.Call(), registry.NewID(), registry.NewCertificate{CSR: csr}, registry.NotFound, ""},
	} {
		_, err := h.IssueAgentCertificate(t.Context(), c.call, c.ref, c.in)
		want(t, name, err, c.kind)
		if registrytest.Code(err) != c.code {
			t.Errorf("%s: %v, want code %q", name, err, c.code)
		}
	}
	if list, err := h.ListCertificates(t.Context(), h.Operator, "", "", registry.Page{}); err != nil || len(list) != 0 {
		t.Errorf("%d certificates, %v", len(list), err)
	}
}

// TestSVIDsAndEnforcementPoints: a key of its own for a SPIFFE ID names the agent to
// others, and to the registry only if it is the agent's; an enforcement point's
// certificate is one of its credentials.
func TestSVIDsAndEnforcementPoints(t *testing.T) {
	h := registrytest.New(t)
	a := h.NewAgent(t, "a")
	fresh, err := jose.GenerateP256()
	if err != nil {
		t.Fatal(err)
	}
	svid := func(key *jose.PrivateKey) []*x509.Certificate {
		out, err := h.IssueAgentCertificate(t.Context(), h.Call(), a.ID, registry.NewCertificate{CSR: registrytest.CSR(t, key), Kind: registry.CertificateSVID})
		if err != nil || !slices.Equal(out.Value.Names, []string{"spiffe://" + registrytest.TrustDomain + "/org/" + registry.HouseOrg + "/agent/" + a.ID}) {
			t.Fatalf("SVID: %v, %v", out.Value.Names, err)
		}
		return registrytest.Chain(t, out.Value.PEM)
	}
	refusedAs(t, h, "an SVID with a key of its own", svid(fresh), "foreign_key")
	if c, err := h.AuthenticateCertificate(t.Context(), svid(a.Signer)); err != nil || c.ID != a.ID {
		t.Errorf("an SVID with the agent's key: %v, %v", c, err)
	}

	pep := h.PEP(t, "gate", []string{registrytest.Origin})
	key := registrytest.Key(9)
	in := registry.NewCertificate{CSR: registrytest.CSR(t, key)}
	_, err = h.IssuePEPCertificate(t.Context(), pep, pep.Caller.ID, in)
	want(t, "an enforcement point asks for its first", err, registry.Denied)
	out, err := h.IssuePEPCertificate(t.Context(), h.Call(), pep.Caller.ID, in)
	if err != nil {
		t.Fatal(err)
	}
	chain := registrytest.Chain(t, out.Value.PEM)
	caller, err := h.AuthenticateCertificate(t.Context(), chain)
	if err != nil || caller.PEP == nil || caller.Actor != pep.Caller.Actor {
		t.Fatalf("authenticated %+v, %v", caller, err)
	}
	if err := h.MatchCertificate(t.Context(), pep.Caller, chain); err != nil {
		t.Errorf("certificate and bearer of one: %v", err)
	}
	if err := h.MatchCertificate(t.Context(), h.Operator, chain); registrytest.Code(err) != "certificate_mismatch" {
		t.Errorf("certificate and bearer of two: %v", err)
	}
	call := registry.Call{Caller: caller}
	if _, err := h.IssuePEPCertificate(t.Context(), call, caller.ID, in); err != nil {
		t.Errorf("renew: %v", err)
	}
	_, err = h.IssuePEPCertificate(t.Context(), call, caller.ID, registry.NewCertificate{CSR: registrytest.CSR(t, fresh)})
	want(t, "renew with another key", err, registry.Denied)
}

// TestUnloggedCertificate: a leaf of the registry's own authority that the log holds
// no issuance of speaks for nobody.
func TestUnloggedCertificate(t *testing.T) {
	h := registrytest.New(t)
	a := h.NewAgent(t, "a")
	certify(t, h, a)
	authority, err := h.Certifier.Authority(h.Clock.Now(), false)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := authority.Issue([]byte(registrytest.CSR(t, a.Signer)), pki.EnforcementPoint("acme", registry.NewID()), h.Clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	chain := registrytest.Chain(t, string(leaf.PEM()))
	refusedAs(t, h, "unlogged", chain, "unknown_certificate")
	if err := h.MatchCertificate(t.Context(), h.Operator, chain); err != nil {
		t.Errorf("an unknown certificate says nothing beside a credential: %v", err)
	}
}
