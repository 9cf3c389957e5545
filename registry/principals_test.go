package registry_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/policy"
	"github.com/writ-registry/writ/registry/registrytest"
)

// code is the machine-readable reason of an error.
func code(err error) string {
	var e *registry.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// person is a principal with its credential.
func person(t *testing.T, h *registrytest.House, org string, roles ...registry.Role) registry.Outcome[registry.Principal] {
	t.Helper()
	out, err := h.CreatePrincipal(t.Context(), h.Call(), registry.NewPrincipal{Org: org, Roles: roles})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestSuspendedPrincipal: nothing of a human counts while they are suspended, from the
// answer on; their agents wait for them, or for another sponsor.
func TestSuspendedPrincipal(t *testing.T) {
	h := registrytest.New(t)
	ctx, call := t.Context(), h.Call()
	p := person(t, h, "", registry.RoleRegistrar)
	caller, err := h.Authenticate(ctx, p.Secret)
	if err != nil {
		t.Fatal(err)
	}
	inHand := registry.Call{Caller: caller, Trace: call.Trace} // a request that was authenticated before
	a := h.NewAgent(t, "a", func(n *registry.NewAgent) { n.Sponsor = p.Value.ID })
	g := a.Grant(t, "read:invoices")
	first := func() (policy.Verdict, policy.Code) {
		t.Helper()
		d, err := h.PDP.Decide(ctx, a.Direct(), a.Ask(t, g, "read", "invoices", "7", ""))
		if err != nil {
			t.Fatal(err)
		}
		if len(d.Reasons) == 0 {
			return d.Verdict, ""
		}
		return d.Verdict, d.Reasons[0].Code
	}
	orphans := func() int {
		t.Helper()
		list, err := h.SearchAgents(ctx, h.Operator, "", registry.AgentQuery{SponsorGone: true})
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	if _, why := first(); why == policy.SponsorGone || orphans() != 0 {
		t.Fatalf("before: %s, %d orphans", why, orphans())
	}
	out, err := h.SuspendPrincipal(ctx, call, p.Value.ID, "drill")
	if err != nil || out.Value.Status != registry.PrincipalSuspended || out.Event.CID == "" {
		t.Fatalf("suspend: %+v, %v", out, err)
	}
	if again, err := h.SuspendPrincipal(ctx, call, p.Value.ID, ""); err != nil || again.Event.CID != "" {
		t.Errorf("suspended again: %+v, %v", again, err)
	}
	if _, err := h.Authenticate(ctx, p.Secret); code(err) != "principal_suspended" {
		t.Errorf("authenticated: %v", err)
	}
	if _, err := h.SuspendAgent(ctx, inHand, a.ID, "x"); code(err) != "principal_suspended" {
		t.Errorf("a request that was in hand: %v", err)
	}
	if verdict, why := first(); verdict != policy.Deny || why != policy.SponsorGone || orphans() != 1 {
		t.Errorf("the agent: %s %s, %d orphans", verdict, why, orphans())
	}
	if _, err := h.ResumePrincipal(ctx, call, p.Value.ID, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Authenticate(ctx, p.Secret); err != nil {
		t.Errorf("resumed: %v", err)
	}
	if _, err := h.EndPrincipal(ctx, call, p.Value.ID, "retired"); err != nil {
		t.Fatal(err)
	}
	_, err = h.Authenticate(ctx, p.Secret)
	want(t, "who has left authenticates", err, registry.Unauthenticated)
	_, err = h.ResumePrincipal(ctx, call, p.Value.ID, "")
	want(t, "who has left comes back", err, registry.Revoked)
	_, err = h.SetRoles(ctx, call, p.Value.ID, []registry.Role{registry.RoleAuditor})
	want(t, "who has left gets roles", err, registry.Revoked)
	_, err = h.SetSponsor(ctx, call, h.NewAgent(t, "b").ID, p.Value.ID)
	want(t, "who has left sponsors", err, registry.Malformed)

	moved, err := h.SetSponsor(ctx, call, a.ID, h.Operator.ID)
	if err != nil || moved.Value.Sponsor != h.Operator.ID || orphans() != 0 {
		t.Errorf("another sponsor: %+v, %v, %d orphans", moved, err, orphans())
	}
	if _, why := first(); why == policy.SponsorGone {
		t.Errorf("with another sponsor: %s", why)
	}
}

// TestLastOneStays: an org keeps an owner, the registry an operator, by every path.
func TestLastOneStays(t *testing.T) {
	h := registrytest.New(t)
	ctx, call := t.Context(), h.Call()
	_, owner := tenant(t, h, "acme")
	for who, c := range map[string]struct {
		call registry.Call
		id   string
		code string
	}{"owner": {owner, owner.Caller.ID, "last_owner"}, "operator": {call, h.Operator.ID, "last_operator"}} {
		_, end := h.EndPrincipal(ctx, c.call, c.id, "")
		_, suspend := h.SuspendPrincipal(ctx, c.call, c.id, "")
		_, roles := h.SetRoles(ctx, c.call, c.id, []registry.Role{registry.RoleAuditor})
		list, err := h.ListCredentials(ctx, c.call.Caller, c.call.Caller.Actor)
		if err != nil || len(list) != 1 {
			t.Fatalf("%s: %v, %v", who, list, err)
		}
		_, revoke := h.RevokeCredential(ctx, c.call, c.call.Caller.Actor, list[0].ID, "")
		for what, err := range map[string]error{"ends": end, "suspends": suspend, "demotes": roles, "locks out": revoke} {
			if code(err) != c.code {
				t.Errorf("the last %s %s themselves: %v, want %s", who, what, err, c.code)
			}
		}
	}
	second := person(t, h, "acme", registry.RoleOwner)
	if _, err := h.SuspendPrincipal(ctx, owner, second.Value.ID, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := h.EndPrincipal(ctx, owner, owner.Caller.ID, ""); code(err) != "last_owner" {
		t.Errorf("the last active owner left: %v", err)
	}
	if _, err := h.ResumePrincipal(ctx, owner, second.Value.ID, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := h.EndPrincipal(ctx, owner, owner.Caller.ID, ""); err != nil {
		t.Errorf("an owner beside another cannot leave: %v", err)
	}
}

// TestWhoSetsRoles: owners for their org, operators alone for operators, nobody for
// themselves where duties are separate.
func TestWhoSetsRoles(t *testing.T) {
	h := registrytest.New(t)
	ctx := t.Context()
	_, owner := tenant(t, h, "acme")
	_, rival := tenant(t, h, "rival")
	clerk := person(t, h, "acme", registry.RoleRegistrar)
	clerkCaller, err := h.Authenticate(ctx, clerk.Secret)
	if err != nil {
		t.Fatal(err)
	}
	clerkCall := registry.Call{Caller: clerkCaller, Trace: owner.Trace}
	set := func(call registry.Call, id string, roles ...registry.Role) error {
		_, err := h.SetRoles(ctx, call, id, roles)
		return err
	}
	want(t, "a registrar sets roles", set(clerkCall, clerk.Value.ID, registry.RoleOwner), registry.Denied)
	want(t, "a rival sets roles", set(rival, clerk.Value.ID, registry.RoleAuditor), registry.NotFound)
	want(t, "an owner makes an operator", set(owner, clerk.Value.ID, registry.RoleOperator), registry.Denied)
	want(t, "a role twice", set(owner, clerk.Value.ID, registry.RoleAuditor, registry.RoleAuditor), registry.Malformed)
	inHouse := person(t, h, "acme", registry.RoleOperator)
	want(t, "an owner demotes an operator", set(owner, inHouse.Value.ID), registry.Denied)
	_, err = h.SuspendPrincipal(ctx, owner, inHouse.Value.ID, "")
	want(t, "an owner suspends an operator", err, registry.Denied)
	_, err = h.RotateCredential(ctx, owner, registry.Actor{Kind: registry.ActorPrincipal, ID: inHouse.Value.ID}, 0)
	want(t, "an owner takes an operator's credential", err, registry.Denied)

	if err := set(owner, clerk.Value.ID, registry.RoleAuditor, registry.RolePolicyAuthor); err != nil {
		t.Fatal(err)
	}
	if _, err := h.RegisterPEP(ctx, clerkCall, registry.NewPEP{Name: "g", Resources: []string{"https://g"}}); code(err) != "roles_changed" {
		t.Errorf("a request that was authenticated with the roles before: %v", err)
	}
	now, err := h.Authenticate(ctx, clerk.Secret)
	if err != nil || !slices.Equal(now.Roles, []registry.Role{registry.RolePolicyAuthor, registry.RoleAuditor}) {
		t.Errorf("roles %v, %v", now.Roles, err)
	}
	if _, err := h.SetOrgPolicy(ctx, owner, "", registry.OrgPolicy{SeparateDuties: true}); err != nil {
		t.Fatal(err)
	}
	if err := set(owner, owner.Caller.ID, registry.RoleOwner, registry.RoleApprover); code(err) != "separate_duties" {
		t.Errorf("an owner widens their own roles: %v", err)
	}
	if err := set(owner, clerk.Value.ID, registry.RoleAuditor); err != nil {
		t.Errorf("another's: %v", err)
	}
}

// TestSponsorOfOnesChoice: who finds an agent another sponsor does not approve it then.
func TestSponsorOfOnesChoice(t *testing.T) {
	h := registrytest.New(t)
	ctx := t.Context()
	if _, err := h.SetOrgPolicy(ctx, h.Call(), "", registry.OrgPolicy{SeparateDuties: true}); err != nil {
		t.Fatal(err)
	}
	registrar, other := principal(t, h, "", registry.RoleRegistrar), principal(t, h, "", registry.RoleRegistrar)
	a := h.RequestOnly(t, "a", func(n *registry.NewAgent) { n.Sponsor = registrar.Caller.ID })
	if _, err := h.SetSponsor(ctx, registrar, a.ID, other.Caller.ID); err != nil {
		t.Fatal(err)
	}
	for who, call := range map[string]registry.Call{"who chose the sponsor": registrar, "the sponsor": other, "who asked": h.Call()} {
		if _, err := h.ApproveAgent(ctx, call, a.ID); code(err) != "separate_duties" {
			t.Errorf("%s approves: %v", who, err)
		}
	}
	if _, err := h.ApproveAgent(ctx, principal(t, h, "", registry.RoleRegistrar), a.ID); err != nil {
		t.Errorf("somebody else: %v", err)
	}
}

// TestCredentials: rotation at once and with an overlap, revocation, and what lists show.
func TestCredentials(t *testing.T) {
	h := registrytest.New(t)
	ctx, call := t.Context(), h.Call()
	p, gate := person(t, h, "", registry.RoleAuditor), h.PEP(t, "gate", []string{"https://erp.example"})
	for _, owner := range []registry.Actor{{Kind: registry.ActorPrincipal, ID: p.Value.ID}, gate.Caller.Actor} {
		knows := func(what, secret string, kind error) {
			t.Helper()
			if _, err := h.Authenticate(ctx, secret); !errors.Is(err, kind) {
				t.Errorf("%s of a %s: %v, want %v", what, owner.Kind, err, kind)
			}
		}
		rotate := func(overlap time.Duration) string {
			t.Helper()
			out, err := h.RotateCredential(ctx, call, owner, overlap)
			if err != nil || out.Secret == "" || out.Event.CID == "" {
				t.Fatalf("%+v, %v", out, err)
			}
			knows("the new one", out.Secret, nil)
			return out.Secret
		}
		first := rotate(0)
		second := rotate(time.Hour)
		knows("the old one, in the overlap", first, nil)
		list, err := h.ListCredentials(ctx, h.Operator, owner)
		if err != nil || len(list) != 2 || list[0].Expires.IsZero() || !list[1].Expires.IsZero() || len(list[0].Hint) != 4 || list[0].Hint == list[1].Hint {
			t.Errorf("listed %+v, %v", list, err)
		}
		h.Clock.Add(time.Hour)
		knows("the old one, after the overlap", first, registry.Unauthenticated)
		knows("the second", second, nil)
		third := rotate(0)
		knows("one that was replaced at once", second, registry.Unauthenticated)
		list, err = h.ListCredentials(ctx, h.Operator, owner)
		if err != nil || len(list) != 1 {
			t.Fatalf("listed %+v, %v", list, err)
		}
		if _, err := h.RevokeCredential(ctx, call, owner, list[0].ID, "lost"); err != nil {
			t.Fatal(err)
		}
		knows("a revoked one", third, registry.Unauthenticated)
		_, err = h.RevokeCredential(ctx, call, owner, list[0].ID, "lost")
		want(t, "revoked again", err, registry.NotFound)
	}
	_, err := h.RotateCredential(ctx, call, gate.Caller.Actor, registry.MaxCredentialOverlap+time.Second)
	want(t, "too long an overlap", err, registry.Malformed)
}

// TestWhoseCredentials: everyone their own, a registrar enforcement points', an owner
// people's, a stranger nobody's.
func TestWhoseCredentials(t *testing.T) {
	h := registrytest.New(t)
	ctx := t.Context()
	_, owner := tenant(t, h, "acme")
	_, rival := tenant(t, h, "rival")
	auditor, registrar := principal(t, h, "acme", registry.RoleAuditor), principal(t, h, "acme", registry.RoleRegistrar)
	out, err := h.RegisterPEP(ctx, registrar, registry.NewPEP{Name: "gate", Resources: []string{"https://erp.example"}})
	if err != nil {
		t.Fatal(err)
	}
	gate, err := h.Authenticate(ctx, out.Secret)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		who   string
		call  registry.Call
		owner registry.Actor
		want  error
	}{
		{"an auditor, its own", auditor, auditor.Caller.Actor, nil},
		{"an auditor, another's", auditor, registrar.Caller.Actor, registry.Denied},
		{"an auditor, a gate's", auditor, gate.Actor, registry.Denied},
		{"a registrar, a gate's", registrar, gate.Actor, nil},
		{"a gate, its own", registry.Call{Caller: gate, Trace: owner.Trace}, gate.Actor, nil},
		{"a gate, a human's", registry.Call{Caller: gate, Trace: owner.Trace}, auditor.Caller.Actor, registry.Denied},
		{"an owner, a human's", owner, auditor.Caller.Actor, nil},
		{"a rival, a human's", rival, auditor.Caller.Actor, registry.NotFound},
		{"a rival, a gate's", rival, gate.Actor, registry.NotFound},
	} {
		_, list := h.ListCredentials(ctx, c.call.Caller, c.owner)
		_, rotate := h.RotateCredential(ctx, c.call, c.owner, time.Minute)
		if !errors.Is(list, c.want) || !errors.Is(rotate, c.want) {
			t.Errorf("%s: list %v, rotate %v; want %v", c.who, list, rotate, c.want)
		}
	}
	_, err = h.ListSessions(ctx, rival.Caller, auditor.Caller.ID)
	want(t, "a rival lists sessions", err, registry.NotFound)
	_, err = h.EndSessions(ctx, rival, auditor.Caller.ID, "")
	want(t, "a rival ends sessions", err, registry.NotFound)
}

// TestResourcesAreOneOrgs: two orgs cannot both decide about a resource server.
func TestResourcesAreOneOrgs(t *testing.T) {
	h := registrytest.New(t)
	_, acme := tenant(t, h, "acme")
	_, rival := tenant(t, h, "rival")
	register := func(call registry.Call, resources ...string) error {
		_, err := h.RegisterPEP(t.Context(), call, registry.NewPEP{Name: "gate", Resources: resources})
		return err
	}
	if err := register(acme, "https://erp.example"); err != nil {
		t.Fatal(err)
	}
	if err := register(acme, "https://erp.example", "https://crm.example"); err != nil {
		t.Errorf("a second gate of the same org: %v", err)
	}
	if err := register(rival, "https://own.example", "https://erp.example"); code(err) != "resource_taken" {
		t.Errorf("another org: %v", err)
	}
	if err := register(acme, "https://own.example"); err != nil {
		t.Errorf("a refused registration keeps its claims: %v", err)
	}
}

// TestBootstrapCredentialEnds: once somebody who comes by an issuer runs the registry.
func TestBootstrapCredentialEnds(t *testing.T) {
	for _, keep := range []bool{false, true} {
		h := registrytest.New(t)
		ctx, call := t.Context(), h.Call()
		issuer, err := h.SetSignInIssuer(ctx, call, "", registry.NewIssuer{URL: "https://idp.example", ClientID: "writ", KeepBootstrap: keep})
		if err != nil {
			t.Fatal(err)
		}
		s, err := h.SignIn(ctx, call.Trace, registry.Identified{Issuer: issuer.Value, Subject: "alice"})
		if err != nil {
			t.Fatal(err)
		}
		byHand := person(t, h, "", registry.RoleOwner)
		if _, err := h.SetRoles(ctx, call, byHand.Value.ID, []registry.Role{registry.RoleOwner, registry.RoleOperator}); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Authenticate(ctx, h.Secret); err != nil {
			t.Fatalf("an operator without an issuer ends it: %v", err)
		}
		out, err := h.SetRoles(ctx, call, s.Value.Principal, []registry.Role{registry.RoleOperator})
		if err != nil || (len(out.Events) == 2) == keep {
			t.Fatalf("%+v, %v", out.Events, err)
		}
		if _, err := h.Authenticate(ctx, h.Secret); (err == nil) != keep {
			t.Errorf("keep %v: the credential of the first start: %v", keep, err)
		}
	}
}

// TestIssuers: one org's, by its owner, with a mapping that gives no more than it may.
func TestIssuers(t *testing.T) {
	h := registrytest.New(t)
	ctx := t.Context()
	_, acme := tenant(t, h, "acme")
	_, rival := tenant(t, h, "rival")
	in := registry.NewIssuer{URL: "https://idp.example", ClientID: "writ", ClientSecret: ptr("of the client"), GroupsClaim: "groups",
		Mapping: map[string][]registry.Role{"Staff": {registry.RoleAuditor}}}
	out, err := h.SetSignInIssuer(ctx, acme, "", in)
	if err != nil {
		t.Fatal(err)
	}
	if secret, err := h.ClientSecret(out.Value); err != nil || secret != "of the client" || out.Value.Secret == secret {
		t.Errorf("the secret is kept as %q, and read as %q, %v", out.Value.Secret, secret, err)
	}
	moved := out.Value
	moved.ID = registry.NewID()
	if _, err := h.ClientSecret(moved); code(err) != "issuer_secret" {
		t.Errorf("a secret in another row: %v", err)
	}
	_, err = h.SetSignInIssuer(ctx, rival, "", in)
	if code(err) != "issuer_taken" {
		t.Errorf("another org's: %v", err)
	}
	_, err = h.SetSignInIssuer(ctx, principal(t, h, "acme", registry.RoleRegistrar), "", in)
	want(t, "a registrar", err, registry.Denied)
	_, err = h.RemoveSignInIssuer(ctx, rival, "", out.Value.ID)
	want(t, "a rival removes it", err, registry.NotFound)
	for _, role := range []registry.Role{registry.RoleOwner, registry.RoleApprover, registry.RoleOperator, "king"} {
		bad := in
		bad.Mapping = map[string][]registry.Role{"Staff": {role}}
		_, err = h.SetSignInIssuer(ctx, acme, "", bad)
		want(t, "groups give "+string(role), err, registry.Malformed)
	}
	in.ClientSecret, in.Prompt = nil, "consent"
	again, err := h.SetSignInIssuer(ctx, acme, "", in)
	if err != nil || again.Value.ID != out.Value.ID || again.Value.Prompt != "consent" {
		t.Fatalf("set again: %+v, %v", again.Value, err)
	}
	if secret, err := h.ClientSecret(again.Value); err != nil || secret != "of the client" {
		t.Errorf("the secret of before: %q, %v", secret, err)
	}
	in.ClientID = "other"
	if other, err := h.SetSignInIssuer(ctx, acme, "", in); err != nil || other.Value.Secret != "" {
		t.Errorf("another client keeps the secret: %+v, %v", other.Value, err)
	}

	// Nobody changes the issuer that speaks for them, where duties are separate.
	s := signIn(t, h, "acme", "alice")
	if _, err := h.SetRoles(ctx, acme, s.Principal, []registry.Role{registry.RoleOwner}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.SetOrgPolicy(ctx, acme, "", registry.OrgPolicy{SeparateDuties: true}); err != nil {
		t.Fatal(err)
	}
	alice := registry.Call{Caller: registry.Caller{Actor: registry.Actor{Kind: registry.ActorPrincipal, ID: s.Principal}, Org: acme.Caller.Org, Roles: []registry.Role{registry.RoleOwner}}, Trace: acme.Trace}
	_, set := h.SetSignInIssuer(ctx, alice, "", in)
	_, remove := h.RemoveSignInIssuer(ctx, alice, "", out.Value.ID)
	if code(set) != "separate_duties" || code(remove) != "separate_duties" {
		t.Errorf("by one who comes from it: %v, %v", set, remove)
	}
	if _, err := h.RemoveSignInIssuer(ctx, acme, "", out.Value.ID); err != nil {
		t.Error(err)
	}
	if _, err := h.SetSignInIssuer(ctx, rival, "", in); err != nil {
		t.Errorf("an issuer that was given up: %v", err)
	}
}

func ptr[T any](v T) *T { return &v }

// signIn begins a session as the first issuer of an org would, and returns it.
func signIn(t *testing.T, h *registrytest.House, org, subject string, roles ...registry.Role) registry.Session {
	t.Helper()
	s, _ := session(t, h, org, subject, roles...)
	return s
}

func session(t *testing.T, h *registrytest.House, org, subject string, roles ...registry.Role) (registry.Session, string) {
	t.Helper()
	out, err := h.SignIn(t.Context(), h.Call().Trace, answer(t, h, org, subject, roles...))
	if err != nil {
		t.Fatal(err)
	}
	return out.Value, out.Secret
}

func answer(t *testing.T, h *registrytest.House, org, subject string, roles ...registry.Role) registry.Identified {
	t.Helper()
	list, err := h.IssuersOf(t.Context(), org)
	if err != nil || len(list) == 0 {
		t.Fatalf("issuers of %s: %v, %v", org, list, err)
	}
	return registry.Identified{Issuer: list[0], Subject: subject, Name: "Alice", Roles: roles, Tokens: registry.IssuerTokens{Refresh: "r-" + canon.Nonce(4), ID: "i"}}
}
