package registry_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/capability"
	"github.com/writ-registry/writ/registry/did"
	"github.com/writ-registry/writ/registry/registrytest"
)

// tenant is an org with an owner of its own.
func tenant(t *testing.T, h *registrytest.House, name string) (registry.Org, registry.Call) {
	t.Helper()
	org, err := h.CreateOrg(t.Context(), h.Call(), registry.NewOrg{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return org.Value, principal(t, h, name, registry.RoleOwner)
}

func principal(t *testing.T, h *registrytest.House, org string, roles ...registry.Role) registry.Call {
	t.Helper()
	out, err := h.CreatePrincipal(t.Context(), h.Call(), registry.NewPrincipal{Org: org, Roles: roles})
	if err != nil {
		t.Fatal(err)
	}
	c, err := h.Authenticate(t.Context(), out.Secret)
	if err != nil {
		t.Fatal(err)
	}
	return registry.Call{Caller: c, Trace: strings.Repeat("0", 32)}
}

func want(t *testing.T, what string, err error, kind registry.Kind) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("%s: got %v, want %s", what, err, kind)
	}
}

func TestAgentLife(t *testing.T) {
	h := registrytest.New(t)
	a := h.NewAgent(t, "a")
	ctx, call := t.Context(), h.Call()
	step := func(what string, f func() (registry.Outcome[registry.Agent], error), status registry.AgentStatus, recorded bool) {
		t.Helper()
		out, err := f()
		if err != nil || out.Value.Status != status || (out.Event.CID != "") != recorded {
			t.Errorf("%s: %s, event %q, %v", what, out.Value.Status, out.Event.CID, err)
		}
	}
	suspend := func() (registry.Outcome[registry.Agent], error) { return h.SuspendAgent(ctx, call, a.ID, "drill") }
	resume := func() (registry.Outcome[registry.Agent], error) { return h.ResumeAgent(ctx, call, a.DID, "") }
	revoke := func() (registry.Outcome[registry.Agent], error) { return h.RevokeAgent(ctx, call, a.WebDID, "") }
	step("suspend", suspend, registry.AgentSuspended, true)
	step("suspend again", suspend, registry.AgentSuspended, false)
	step("resume", resume, registry.AgentActive, true)
	step("revoke", revoke, registry.AgentRevoked, true)
	step("revoke again", revoke, registry.AgentRevoked, false)
	_, err := resume()
	want(t, "resume a revoked agent", err, registry.Revoked)
	_, err = h.IssueGrant(ctx, call, registry.NewGrant{Agent: a.ID, Capabilities: "read:x"})
	want(t, "grant to a revoked agent", err, registry.Revoked)
}

func TestRegistrationProvesPossession(t *testing.T) {
	h := registrytest.New(t)
	a := h.NewAgent(t, "a")
	jwk, _ := json.Marshal(a.JWK)
	other, _ := jose.GenerateEd25519()
	otherJWK, _ := json.Marshal(other.Public().JWK())
	for name, c := range map[string]struct {
		in   registry.NewAgent
		kind registry.Kind
		code string
	}{
		"a key that is taken": {registry.NewAgent{JWK: jwk, Possession: h.Possession(t, a.Signer, registry.HouseOrg, "b")}, registry.Conflict, "key_taken"},
		"another's signature": {registry.NewAgent{JWK: otherJWK, Possession: h.Possession(t, a.Signer, registry.HouseOrg, "b")}, registry.Unauthenticated, "signature"},
		"for another name":    {registry.NewAgent{JWK: otherJWK, Possession: h.Possession(t, other, registry.HouseOrg, "c")}, registry.Unauthenticated, "wrong_act"},
		"for another org":     {registry.NewAgent{JWK: otherJWK, Possession: h.Possession(t, other, "elsewhere", "b")}, registry.Unauthenticated, "wrong_act"},
		"garbage":             {registry.NewAgent{JWK: otherJWK, Possession: "x.y.z"}, registry.Unauthenticated, "malformed"},
		"a private key":       {registry.NewAgent{JWK: json.RawMessage(`{"kty":"OKP","crv":"Ed25519","x":"` + other.Public().JWK().X + `","d":"AAAA"}`), Possession: "x"}, registry.Malformed, ""},
	} {
		c.in.Name = "b"
		_, err := h.RequestAgent(t.Context(), h.Call(), c.in)
		var e *registry.Error
		if !errors.As(err, &e) || e.Kind != c.kind || e.Code != c.code {
			t.Errorf("%s: got %v, want %s %s", name, err, c.kind, c.code)
		}
	}
}

// TestDIDs: every agent has a did:webvh whose log verifies, marked custodial,
// and a parallel did:web.
func TestDIDs(t *testing.T) {
	h := registrytest.New(t)
	a := h.NewAgent(t, "a")
	entries, err := h.DIDLog(t.Context(), a.ID)
	if err != nil {
		t.Fatal(err)
	}
	res, err := did.VerifyLog([]byte(strings.Join(entries, "\n")+"\n"), h.Clock.Now().Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if res.DID.String() != a.DID || !strings.Contains(entries[0], a.WebDID) || len(res.NextKeyHashes) != 1 {
		t.Errorf("resolved %s, want %s with its did:web and pre-rotation: %s", res.DID, a.DID, entries[0])
	}
	if !strings.Contains(entries[0], "UpdateKeyCustody") {
		t.Error("the document does not say that its update key is in custody")
	}
}

func TestGrantsFitTheAgent(t *testing.T) {
	h := registrytest.New(t)
	a := h.NewAgent(t, "a", func(n *registry.NewAgent) {
		n.Domains, n.Workflows, n.AuthorityLevel = []string{"finance"}, []string{"q1"}, 2
	})
	level := func(n int) *int { return &n }
	for name, c := range map[string]struct {
		in   registry.NewGrant
		kind registry.Kind
	}{
		"level":        {registry.NewGrant{AuthorityLevel: level(3)}, registry.Malformed},
		"domain":       {registry.NewGrant{Domain: "sales"}, registry.Malformed},
		"workflow":     {registry.NewGrant{Workflow: "q2"}, registry.Malformed},
		"text":         {registry.NewGrant{Capabilities: "read:"}, registry.Malformed},
		"past":         {registry.NewGrant{Expires: h.Clock.Now().Add(-time.Hour), NotBefore: h.Clock.Now().Add(-2 * time.Hour)}, registry.Malformed},
		"too long":     {registry.NewGrant{Expires: h.Clock.Now().Add(400 * 24 * time.Hour)}, registry.Malformed},
		"no such":      {registry.NewGrant{Agent: registry.NewID()}, registry.NotFound},
		"not an agent": {registry.NewGrant{Agent: "did:"}, registry.Malformed},
		"audience":     {registry.NewGrant{Audience: []string{"erp"}}, registry.Malformed},
	} {
		if c.in.Agent == "" {
			c.in.Agent = a.ID
		}
		if c.in.Capabilities == "" {
			c.in.Capabilities = "read:x"
		}
		_, err := h.IssueGrant(t.Context(), h.Call(), c.in)
		want(t, name, err, c.kind)
	}
	g := a.Grant(t, "b:y; a:x; none:none", func(n *registry.NewGrant) { n.Domain, n.Workflow = "finance", "q1" })
	token, err := capability.ParseGrant(g.Token)
	if err != nil {
		t.Fatal(err)
	}
	if err := token.Verify(h.TokenKey.Public()); err != nil {
		t.Error(err)
	}
	c := token.Claims()
	if c.Subject != a.DID || c.Issuer != h.DID || c.Actor.Subject != a.Sponsor || c.Status == nil || token.Key().Thumbprint() != a.Thumbprint {
		t.Errorf("claims %+v", c)
	}
	second := a.Grant(t, "read:x")
	if second.StatusIndex == g.StatusIndex {
		t.Error("two grants share a place in the status list")
	}
}

// TestTenantsAreIsolated: foreign and unknown answer alike, everywhere.
func TestTenantsAreIsolated(t *testing.T) {
	h := registrytest.New(t)
	ctx := t.Context()
	acme, owner := tenant(t, h, "acme")
	_, foreign := tenant(t, h, "rival")
	a := h.NewAgent(t, "a", func(n *registry.NewAgent) { n.Org, n.Sponsor = acme.Name, owner.Caller.ID })
	g := a.Grant(t, "read:x")
	events, err := h.ListEvents(ctx, owner.Caller, "", "", registry.EventFilter{})
	if err != nil || len(events) < 4 {
		t.Fatalf("the owner sees %d events, %v", len(events), err)
	}
	for _, ev := range events {
		if ev.Org != acme.ID {
			t.Errorf("the owner of acme sees an event of %s", ev.Org)
		}
	}
	tries := map[string]func(registry.Call) error{
		"agent":        func(c registry.Call) error { _, err := h.FindAgent(ctx, c.Caller, a.ID); return err },
		"agent by DID": func(c registry.Call) error { _, err := h.FindAgent(ctx, c.Caller, a.DID); return err },
		"grant":        func(c registry.Call) error { _, err := h.FindGrant(ctx, c.Caller, g.ID); return err },
		"event":        func(c registry.Call) error { _, _, err := h.FindEvent(ctx, c.Caller, events[0].CID); return err },
		"org":          func(c registry.Call) error { _, err := h.FindOrg(ctx, c.Caller, acme.ID); return err },
		"agents": func(c registry.Call) error {
			_, err := h.ListAgents(ctx, c.Caller, acme.ID, "", registry.Page{})
			return err
		},
		"grants": func(c registry.Call) error {
			_, err := h.ListGrants(ctx, c.Caller, "acme", "", "", registry.Page{})
			return err
		},
		"principals": func(c registry.Call) error {
			_, err := h.ListPrincipals(ctx, c.Caller, "acme", registry.Page{})
			return err
		},
		"peps": func(c registry.Call) error { _, err := h.ListPEPs(ctx, c.Caller, "acme", registry.Page{}); return err },
		"events": func(c registry.Call) error {
			_, err := h.ListEvents(ctx, c.Caller, "acme", "", registry.EventFilter{})
			return err
		},
		"catalogue":    func(c registry.Call) error { _, err := h.CatalogueOf(ctx, c.Caller, "acme"); return err },
		"revoke agent": func(c registry.Call) error { _, err := h.RevokeAgent(ctx, c, a.ID, ""); return err },
		"revoke grant": func(c registry.Call) error { _, err := h.RevokeGrant(ctx, c, g.ID, ""); return err },
		"kill agent": func(c registry.Call) error {
			_, err := h.SetKill(ctx, c, registry.Scope{Kind: registry.ScopeAgent, ID: a.ID}, "")
			return err
		},
		"kill org": func(c registry.Call) error {
			_, err := h.SetKill(ctx, c, registry.Scope{Kind: registry.ScopeOrg, ID: acme.ID}, "")
			return err
		},
		"issue grant": func(c registry.Call) error {
			_, err := h.IssueGrant(ctx, c, registry.NewGrant{Agent: a.ID, Capabilities: "read:x"})
			return err
		},
		"add principal": func(c registry.Call) error {
			_, err := h.CreatePrincipal(ctx, c, registry.NewPrincipal{Org: "acme", Roles: []registry.Role{registry.RoleOwner}})
			return err
		},
		"add pep": func(c registry.Call) error {
			_, err := h.RegisterPEP(ctx, c, registry.NewPEP{Org: "acme", Name: "p", Resources: []string{"https://x"}})
			return err
		},
		"set catalogue": func(c registry.Call) error { _, err := h.ActivateCatalogue(ctx, c, "acme", nil, ""); return err },
	}
	for name, try := range tries {
		want(t, "a rival: "+name, try(foreign), registry.NotFound)
		if try(owner) != nil && !slices.Contains([]string{"issue grant", "revoke grant"}, name) {
			t.Errorf("the owner: %s: %v", name, try(owner))
		}
	}
	_, err = h.SetKill(ctx, owner, registry.Scope{Kind: registry.ScopeGlobal}, "")
	want(t, "an owner stops everything", err, registry.Denied)
	_, err = h.CreateOrg(ctx, owner, registry.NewOrg{Name: "x"})
	want(t, "an owner creates an org", err, registry.Denied)
	_, err = h.CreatePrincipal(ctx, owner, registry.NewPrincipal{Roles: []registry.Role{registry.RoleOperator}})
	want(t, "an owner makes an operator", err, registry.Denied)
}

func TestRoles(t *testing.T) {
	h := registrytest.New(t)
	ctx := t.Context()
	org, _ := tenant(t, h, "acme")
	auditor := principal(t, h, "acme", registry.RoleAuditor)
	author := principal(t, h, "acme", registry.RolePolicyAuthor)
	registrar := principal(t, h, "acme", registry.RoleRegistrar)
	kill := registry.Scope{Kind: registry.ScopeOrg, ID: org.ID}
	_, err := h.SetKill(ctx, auditor, kill, "")
	want(t, "an auditor kills", err, registry.Denied)
	_, err = h.ActivateCatalogue(ctx, registrar, "", nil, "")
	want(t, "a registrar writes policy", err, registry.Denied)
	if _, err := h.ActivateCatalogue(ctx, author, "", nil, ""); err != nil {
		t.Error(err)
	}
	if _, err := h.SetKill(ctx, registrar, kill, "drill"); err != nil {
		t.Error(err)
	}
	if list, err := h.ListKills(ctx, auditor.Caller); err != nil || len(list) != 1 {
		t.Errorf("stops in force: %v, %v", list, err)
	}
	pep := h.PEP(t, "gate", []string{"https://erp.example"})
	_, err = h.ListAgents(ctx, pep.Caller, "", "", registry.Page{})
	want(t, "an enforcement point lists agents", err, registry.Denied)
	_, err = h.Authenticate(ctx, "writ_principal_unknown")
	want(t, "an unknown credential", err, registry.Unauthenticated)
}

func TestCatalogueIsChecked(t *testing.T) {
	h := registrytest.New(t)
	for name, a := range map[string]registry.CatalogueAction{
		"no type":        {Action: "read", Reversibility: registry.Reversible},
		"constraint":     {Action: "read:x(a<=1)", Reversibility: registry.Reversible},
		"pattern":        {Action: "read:x/*", Reversibility: registry.Reversible},
		"none":           {Action: "read:none", Reversibility: registry.Reversible},
		"reversibility":  {Action: "read:x"},
		"no deadline":    {Action: "read:x", Reversibility: registry.Compensable, CompensatedBy: "undo:x"},
		"no undo":        {Action: "read:x", Reversibility: registry.Compensable, CompensateIn: 60},
		"undo of nought": {Action: "read:x", Reversibility: registry.Reversible, CompensatedBy: "undo:x"},
		"level":          {Action: "read:x", Reversibility: registry.Reversible, MinLevel: 5},
		"pin":            {Action: "read:x", Reversibility: registry.Reversible, Pin: "abc"},
		"guessed safe":   {Action: "read:x", Reversibility: registry.Reversible, Egress: true, Material: true, Guess: &registry.Guess{Reversibility: registry.Reversible}},
		"guessed inside": {Action: "read:x", Reversibility: registry.Irreversible, Material: true, Guess: &registry.Guess{Reversibility: registry.Reversible}},
		"guess":          {Action: "read:x", Reversibility: registry.Irreversible, Egress: true, Material: true, Guess: &registry.Guess{Reversibility: "maybe"}},
		"guessed undo":   {Action: "read:x", Reversibility: registry.Irreversible, Egress: true, Material: true, Guess: &registry.Guess{Reversibility: registry.Compensable, CompensatedBy: "x"}},
	} {
		_, err := h.ActivateCatalogue(t.Context(), h.Call(), "", []registry.CatalogueAction{a}, "")
		want(t, name, err, registry.Malformed)
	}
	twice := registry.CatalogueAction{Action: "read:x", Reversibility: registry.Reversible}
	_, err := h.ActivateCatalogue(t.Context(), h.Call(), "", []registry.CatalogueAction{twice, twice}, "")
	want(t, "named twice", err, registry.Malformed)

	first, err := h.ActivateCatalogue(t.Context(), h.Call(), "", []registry.CatalogueAction{twice}, "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.ActivateCatalogue(t.Context(), h.Call(), "", nil, canon.Digest(nil))
	want(t, "made from another", err, registry.Conflict)
	if _, err := h.ActivateCatalogue(t.Context(), h.Call(), "", nil, first.Value.Digest); err != nil {
		t.Errorf("made from the one in force: %v", err)
	}
}

func TestStablePaging(t *testing.T) {
	h := registrytest.New(t)
	for _, n := range []string{"a", "b", "c", "d", "e"} {
		h.NewAgent(t, n)
	}
	var names []string
	after := ""
	for {
		list, err := h.ListAgents(t.Context(), h.Operator, "", "", registry.Page{After: after, Limit: 2})
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			break
		}
		for _, a := range list {
			names = append(names, a.Name)
		}
		after = list[len(list)-1].ID
	}
	if !slices.Equal(names, []string{"a", "b", "c", "d", "e"}) {
		t.Errorf("got %v", names)
	}
	_, err := h.ListAgents(t.Context(), h.Operator, "", "", registry.Page{Limit: 1001})
	want(t, "a page of 1001", err, registry.Malformed)
}

func TestKeysAreThoseOfTheLog(t *testing.T) {
	h := registrytest.New(t)
	if err := h.CheckKeys(t.Context()); err != nil {
		t.Error(err)
	}
	h.TokenKey = registrytest.Key(9)
	want(t, "another token key", h.CheckKeys(t.Context()), registry.Conflict)
}
