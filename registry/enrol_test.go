package registry_test

import (
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/registrytest"
)

const (
	kubernetes = "https://k8s.example"
	account    = "system:serviceaccount:prod:invoices"
)

// trust enrols an issuer of Kubernetes tokens for the operator's org.
func trust(t *testing.T, h *registrytest.House, approve bool) registry.WorkloadIssuer {
	t.Helper()
	out, err := h.EnrolIssuer(t.Context(), h.Call(), "", registry.NewWorkloadIssuer{
		Kind: "kubernetes", Issuer: kubernetes, Rules: []registry.EnrolmentRule{h.Rule("system:serviceaccount:prod:", approve)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.Value
}

func newKey(t *testing.T) *jose.PrivateKey {
	t.Helper()
	key, err := jose.GenerateEd25519()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// bearing is an enrolment with a token that says this.
func bearing(t *testing.T, h *registrytest.House, key *jose.PrivateKey, says registry.Workload) registry.NewEnrolment {
	t.Helper()
	if says.Subject == "" {
		says.Subject = account
	}
	says.Expires = h.Clock.Now().Add(time.Hour)
	in := h.Enrolment(t, key, registry.HouseOrg, "prod-invoices")
	in.Token = h.Tokens.Token(kubernetes, says)
	return in
}

func TestEnrolByToken(t *testing.T) {
	h := registrytest.New(t)
	trust(t, h, true)
	key := newKey(t)
	in := bearing(t, h, key, registry.Workload{Instance: "uid-1"})
	out, err := h.Enrol(t.Context(), registry.Call{}, in)
	if err != nil {
		t.Fatal(err)
	}
	a := out.Value
	if a.Status != registry.AgentActive || a.Sponsor != h.Operator.ID || a.Role != "clerk" || a.AuthorityLevel != 1 || a.Thumbprint != key.Public().Thumbprint() {
		t.Errorf("enrolled as %+v", a)
	}
	events, err := h.ListEvents(t.Context(), h.Operator, "", a.ID, registry.EventFilter{})
	if err != nil {
		t.Fatal(err)
	}
	var types []string
	for _, e := range events {
		types = append(types, e.Type)
		if strings.Contains(string(e.Artifact), "serviceaccount") || strings.Contains(string(e.Artifact), "k8s") {
			t.Errorf("%s names what is the org's own: %s", e.Type, e.Artifact)
		}
	}
	if got := strings.Join(types, " "); got != "agent.requested agent.enrolled agent.approved" {
		t.Errorf("events: %s", got)
	}

	again := func(what string, in registry.NewEnrolment, kind registry.Kind, code string) {
		t.Helper()
		_, err := h.Enrol(t.Context(), registry.Call{}, in)
		want(t, what, err, kind)
		if registrytest.Code(err) != code {
			t.Errorf("%s: %v, want code %s", what, err, code)
		}
	}
	again("the same token", in, registry.Unauthenticated, "token_spent")
	again("another token", bearing(t, h, newKey(t), registry.Workload{Instance: "uid-1"}), registry.Conflict, "already_enrolled")
	again("a later account of that name", bearing(t, h, newKey(t), registry.Workload{Instance: "uid-2"}), registry.Conflict, "another_instance")
	if _, err := h.RevokeAgent(t.Context(), h.Call(), a.ID, ""); err != nil {
		t.Fatal(err)
	}
	again("a revoked agent's workload", bearing(t, h, newKey(t), registry.Workload{Instance: "uid-1"}), registry.Conflict, "already_enrolled")
}

func TestEnrolmentRefused(t *testing.T) {
	h := registrytest.New(t)
	issuer := trust(t, h, true)
	_, owner := tenant(t, h, "acme")
	key := newKey(t)
	good := func(says registry.Workload) registry.NewEnrolment { return bearing(t, h, key, says) }
	taken := bearing(t, h, h.NewAgent(t, "a").Signer, registry.Workload{})
	stolen := good(registry.Workload{})
	stolen.Possession = h.Possession(t, newKey(t), registry.HouseOrg, stolen.Name)
	elsewhere := h.Enrolment(t, key, "acme", "prod-invoices")
	elsewhere.Token = good(registry.Workload{}).Token
	nowhere := h.Enrolment(t, key, "nobody", "prod-invoices")
	nowhere.Token = elsewhere.Token
	name := h.Enrolment(t, key, registry.HouseOrg, "test-invoices")
	name.Token = elsewhere.Token
	unknown := good(registry.Workload{})
	unknown.Token = h.Tokens.Token("https://other.example", registry.Workload{Subject: account})
	forged := good(registry.Workload{})
	forged.Token = "forged"
	for what, c := range map[string]struct {
		in   registry.NewEnrolment
		kind registry.Kind
		code string
	}{
		"another's key":             {stolen, registry.Unauthenticated, "signature"},
		"a key that is an agent's":  {taken, registry.Conflict, "key_taken"},
		"a token for another key":   {good(registry.Workload{Thumbprint: newKey(t).Public().Thumbprint()}), registry.Unauthenticated, "token_bound"},
		"a subject without a rule":  {good(registry.Workload{Subject: "system:serviceaccount:production:invoices"}), registry.Denied, "no_rule"},
		"a name outside the rule":   {name, registry.Malformed, ""},
		"an issuer of another org":  {elsewhere, registry.Unauthenticated, "unknown_issuer"},
		"an org that is not there":  {nowhere, registry.Unauthenticated, "unknown_issuer"},
		"an issuer nobody enrolled": {unknown, registry.Unauthenticated, "unknown_issuer"},
		"a forged token":            {forged, registry.Unauthenticated, "token_signature"},
		"nothing":                   {h.Enrolment(t, key, registry.HouseOrg, "prod-invoices"), registry.Unauthenticated, "missing_credential"},
	} {
		_, err := h.Enrol(t.Context(), registry.Call{}, c.in)
		want(t, what, err, c.kind)
		if registrytest.Code(err) != c.code {
			t.Errorf("%s: %v, want code %q", what, err, c.code)
		}
	}
	_, err := h.EnrolIssuer(t.Context(), owner, "acme", registry.NewWorkloadIssuer{Kind: "kubernetes", Issuer: kubernetes, Rules: []registry.EnrolmentRule{{
		Match: []registry.Condition{{Attribute: "subject", Prefix: "system:"}}, Agent: registry.AgentTemplate{Sponsor: owner.Caller.ID},
	}}})
	want(t, "an issuer of two orgs", err, registry.Conflict)
	_, err = h.RemoveIssuer(t.Context(), owner, "acme", issuer.ID)
	want(t, "another org's issuer", err, registry.NotFound)
	if _, err := h.RemoveIssuer(t.Context(), h.Call(), "", issuer.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Enrol(t.Context(), registry.Call{}, good(registry.Workload{})); registrytest.Code(err) != "unknown_issuer" {
		t.Errorf("an issuer that was removed: %v", err)
	}
}

// TestEnrolmentNeedsItsSponsor: nobody is enrolled in the name of a human who is
// not there, nor into a stopped org, nor approved by the one who answers for them
// where duties are separate.
func TestEnrolmentNeedsItsSponsor(t *testing.T) {
	h := registrytest.New(t)
	trust(t, h, true)
	if _, err := h.SetOrgPolicy(t.Context(), h.Call(), "", registry.OrgPolicy{SeparateDuties: true}); err != nil {
		t.Fatal(err)
	}
	out, err := h.Enrol(t.Context(), registry.Call{}, bearing(t, h, newKey(t), registry.Workload{}))
	if err != nil || out.Value.Status != registry.AgentRequested {
		t.Errorf("a rule of its own sponsor: %s, %v", out.Value.Status, err)
	}
	if _, err := h.SetOrgPolicy(t.Context(), h.Call(), "", registry.OrgPolicy{}); err != nil {
		t.Fatal(err)
	}
	scope := registry.Scope{Kind: registry.ScopeOrg, ID: h.Operator.Org}
	if _, err := h.SetKill(t.Context(), h.Call(), scope, ""); err != nil {
		t.Fatal(err)
	}
	other := registry.Workload{Subject: "system:serviceaccount:prod:other"}
	if _, err := h.Enrol(t.Context(), registry.Call{}, bearing(t, h, newKey(t), other)); registrytest.Code(err) != "killed" {
		t.Errorf("into a stopped org: %v", err)
	}
	if _, err := h.ReleaseKill(t.Context(), h.Call(), scope, ""); err != nil {
		t.Fatal(err)
	}
	_, err = h.Store.Commit(t.Context(), registry.Command{Run: func(tx registry.Tx) (registry.Draft, error) {
		p, err := tx.Principal(h.Operator.ID)
		if err != nil {
			return registry.Draft{}, err
		}
		p.Status = registry.PrincipalLeft
		return registry.Draft{}, tx.UpdatePrincipal(p)
	}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.Enrol(t.Context(), registry.Call{}, bearing(t, h, newKey(t), other))
	want(t, "in the name of somebody who left", err, registry.Malformed)
}

func TestRulesRefused(t *testing.T) {
	h := registrytest.New(t)
	good := h.Rule("prod:", false)
	rule := func(change func(*registry.EnrolmentRule)) []registry.EnrolmentRule {
		r := good
		r.Match = []registry.Condition{good.Match[0]}
		change(&r)
		return []registry.EnrolmentRule{r}
	}
	_, owner := tenant(t, h, "acme")
	for name, rules := range map[string][]registry.EnrolmentRule{
		"none":                   {},
		"everybody":              rule(func(r *registry.EnrolmentRule) { r.Match = nil }),
		"an empty condition":     rule(func(r *registry.EnrolmentRule) { r.Match[0].Prefix = "" }),
		"both ways":              rule(func(r *registry.EnrolmentRule) { r.Match[0].Equals = "x" }),
		"half a word":            rule(func(r *registry.EnrolmentRule) { r.Match[0].Prefix = "prod" }),
		"nobody answers":         rule(func(r *registry.EnrolmentRule) { r.Agent.Sponsor = registry.NewID() }),
		"another org's sponsor":  rule(func(r *registry.EnrolmentRule) { r.Agent.Sponsor = owner.Caller.ID }),
		"a level too high":       rule(func(r *registry.EnrolmentRule) { r.Agent.AuthorityLevel = 5 }),
		"a role that is no word": rule(func(r *registry.EnrolmentRule) { r.Agent.Role = "A clerk" }),
	} {
		_, err := h.EnrolIssuer(t.Context(), h.Call(), "", registry.NewWorkloadIssuer{Kind: "okta", Issuer: "https://okta.example", Rules: rules})
		want(t, name, err, registry.Malformed)
	}
	_, err := h.EnrolIssuer(t.Context(), principal(t, h, registry.HouseOrg, registry.RoleRegistrar), "", registry.NewWorkloadIssuer{
		Kind: "okta", Issuer: "https://okta.example", Rules: []registry.EnrolmentRule{good},
	})
	want(t, "by a registrar", err, registry.Denied)
}

// TestEnrolByCertificate: an org's own CA speaks for that org alone, and what it
// certified counts until the root goes.
func TestEnrolByCertificate(t *testing.T) {
	h := registrytest.New(t)
	_, owner := tenant(t, h, "acme")
	ours, theirs := h.NewEnterprise(t, "Operator CA"), h.NewEnterprise(t, "Acme CA")
	enrolRoot := func(call registry.Call, org string, e *registrytest.Enterprise, sponsor string) registry.EnterpriseRoot {
		t.Helper()
		rule := h.Rule("uri:urn:prod:", true)
		rule.Agent.Sponsor = sponsor
		out, err := h.EnrolRoot(t.Context(), call, org, registry.NewEnterpriseRoot{PEM: e.PEM(), Rules: []registry.EnrolmentRule{rule}})
		if err != nil {
			t.Fatal(err)
		}
		return out.Value
	}
	root := enrolRoot(h.Call(), registry.HouseOrg, ours, h.Operator.ID)
	enrolRoot(owner, "acme", theirs, owner.Caller.ID)
	_, err := h.EnrolRoot(t.Context(), owner, "acme", registry.NewEnterpriseRoot{PEM: ours.PEM(), Rules: root.Rules})
	want(t, "a root of two orgs", err, registry.Malformed) // its rule names another org's sponsor

	key := newKey(t)
	leaf := ours.Client(t, key, "urn:prod:courier")
	in := h.Enrolment(t, key, registry.HouseOrg, "prod-courier")
	in.Presented = []*x509.Certificate{leaf}
	foreign := h.Enrolment(t, key, "acme", "prod-courier")
	foreign.Presented = in.Presented
	if _, err := h.Enrol(t.Context(), registry.Call{}, foreign); registrytest.Code(err) != "certificate_untrusted" {
		t.Errorf("the operator's CA for acme: %v", err)
	}
	out, err := h.Enrol(t.Context(), registry.Call{}, in)
	if err != nil || out.Value.Status != registry.AgentActive {
		t.Fatalf("enrol: %v, %v", out.Value, err)
	}
	again := h.Enrolment(t, newKey(t), registry.HouseOrg, "prod-courier")
	again.Presented = []*x509.Certificate{leaf}
	if _, err := h.Enrol(t.Context(), registry.Call{}, again); registrytest.Code(err) != "already_enrolled" {
		t.Errorf("again: %v", err)
	}
	if c, err := h.AuthenticateCertificate(t.Context(), in.Presented); err != nil || c.ID != out.Value.ID {
		t.Errorf("its own certificate: %v, %v", c, err)
	}
	refusedAs(t, h, "one of the same CA that nobody enrolled with", []*x509.Certificate{ours.Client(t, key, "urn:prod:courier")}, "unknown_certificate")
	if _, err := h.RemoveRoot(t.Context(), h.Call(), "", root.Digest); err != nil {
		t.Fatal(err)
	}
	if _, err := h.AuthenticateCertificate(t.Context(), in.Presented); registrytest.Code(err) != "certificate_untrusted" {
		t.Errorf("its root is gone: %v", err)
	}
}

func TestRootsRefused(t *testing.T) {
	h := registrytest.New(t)
	certify(t, h, h.NewAgent(t, "a"))
	own, err := h.CAChain()
	if err != nil {
		t.Fatal(err)
	}
	e := h.NewEnterprise(t, "CA")
	key := newKey(t)
	pemOf := func(c *x509.Certificate) string { return (&registrytest.Enterprise{Cert: c}).PEM() }
	for name, text := range map[string]string{
		"nothing": "", "no certificate": "-----BEGIN X-----\n-----END X-----\n", "two": e.PEM() + h.NewEnterprise(t, "other").PEM(),
		"a leaf": pemOf(e.Client(t, key, "urn:x")), "the registry's root": pemOf(own[1]), "its issuing key": pemOf(own[0]),
	} {
		_, err := h.EnrolRoot(t.Context(), h.Call(), "", registry.NewEnterpriseRoot{PEM: text, Rules: []registry.EnrolmentRule{h.Rule("uri:urn:prod:", true)}})
		want(t, name, err, registry.Malformed)
	}
}
