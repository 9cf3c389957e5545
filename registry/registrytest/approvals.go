package registrytest

import (
	"encoding/json"
	"testing"

	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/capability"
	"github.com/writ-registry/writ/registry/policy"
)

// Human is a principal with a key of their own that another human has activated.
type Human struct {
	registry.Caller
	Signer        *jose.PrivateKey
	Authenticator registry.Authenticator
	Secret        string
	house         *House
}

// Human adds one to an org ("" = the operator's).
func (h *House) Human(t testing.TB, org string, roles ...registry.Role) *Human {
	t.Helper()
	out, err := h.CreatePrincipal(t.Context(), h.Call(), registry.NewPrincipal{Org: org, Roles: roles})
	if err != nil {
		t.Fatalf("create principal: %v", err)
	}
	caller, err := h.Authenticate(t.Context(), out.Secret)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.GenerateEd25519()
	if err != nil {
		t.Fatal(err)
	}
	p := &Human{Caller: caller, Signer: signer, Secret: out.Secret, house: h}
	in := registry.NewAuthenticator{Name: "key", Possession: p.Possession(t)}
	in.JWK, _ = json.Marshal(signer.Public().JWK())
	added, err := h.AddAuthenticator(t.Context(), p.Call(), in)
	if err != nil {
		t.Fatalf("add authenticator: %v", err)
	}
	p.Authenticator = added.Value
	owner := h.Owner(t, caller.Org)
	if _, err := h.ActivateAuthenticator(t.Context(), owner, p.ID, added.Value.ID); err != nil {
		t.Fatalf("activate authenticator: %v", err)
	}
	return p
}

// Owner is a call by an owner of an org.
func (h *House) Owner(t testing.TB, org string) registry.Call {
	t.Helper()
	out, err := h.CreatePrincipal(t.Context(), h.Call(), registry.NewPrincipal{Org: org, Roles: []registry.Role{registry.RoleOwner}})
	if err != nil {
		t.Fatalf("create owner: %v", err)
	}
	c, err := h.Authenticate(t.Context(), out.Secret)
	if err != nil {
		t.Fatal(err)
	}
	return registry.Call{Caller: c, Trace: h.Call().Trace}
}

// Call is a call by the human.
func (p *Human) Call() registry.Call {
	return registry.Call{Caller: p.Caller, Trace: p.house.Call().Trace}
}

// Possession proves that the human holds the key.
func (p *Human) Possession(t testing.TB) string {
	t.Helper()
	now := p.house.Clock.Now().Unix()
	proof, err := capability.SignAuthenticator(p.Signer, capability.AuthenticatorClaims{Audience: Origin, Subject: p.ID, ID: capability.NewJTI(), IssuedAt: now, Expires: now + 60})
	if err != nil {
		t.Fatal(err)
	}
	return proof
}

// Signed is an answer with the human's signature over the statement.
func (p *Human) Signed(t testing.TB, a registry.Approval, verdict string, glass bool) registry.NewAnswer {
	t.Helper()
	_, statement, err := a.StatementOf(glass)
	if err != nil {
		t.Fatal(err)
	}
	now := p.house.Clock.Now().Unix()
	signature, err := capability.SignApproval(p.Signer, capability.ApprovalClaims{
		Audience: Origin, ID: capability.NewJTI(), IssuedAt: now, Expires: now + 60, Approval: a.ID, Statement: statement, Verdict: verdict,
	})
	if err != nil {
		t.Fatal(err)
	}
	return registry.NewAnswer{Verdict: verdict, BreakGlass: glass, Reason: "seen", Signature: signature}
}

// Answer answers.
func (p *Human) Answer(t testing.TB, a registry.Approval, verdict string) (registry.Approval, error) {
	t.Helper()
	out, err := p.house.AnswerApproval(t.Context(), p.Call(), a.ID, p.Signed(t, a, verdict, false))
	return out.Value, err
}

// Approve answers yes.
func (p *Human) Approve(t testing.TB, a registry.Approval) registry.Approval {
	t.Helper()
	out, err := p.Answer(t, a, capability.Approve)
	if err != nil {
		t.Fatalf("approve: %v", err)
	}
	return out
}

// RequestFor asks humans for what a step_up was about.
func (h *House) RequestFor(t testing.TB, call registry.Call, d policy.Decision, req policy.Request) (registry.Approval, error) {
	t.Helper()
	if d.Verdict != policy.StepUp || d.Binding == nil || d.Event == nil {
		t.Fatalf("nobody is asked for %+v", d)
	}
	b := *d.Binding
	b.Decision, b.Event = d.ID, d.Event.CID
	token, _, err := h.BindingToken(b, d.Event.Time)
	if err != nil {
		t.Fatal(err)
	}
	out, err := h.RequestApproval(t.Context(), call, registry.NewApproval{Token: token, Decision: d.ID, Subject: req.Subject, Act: req.Act, Justification: "the supplier waits"})
	return out.Value, err
}
