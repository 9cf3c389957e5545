package policy_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/capability"
	"github.com/writ-registry/writ/registry/policy"
	"github.com/writ-registry/writ/registry/registrytest"
)

// relay is a chain of three agents, and a key that the last one delegates to: root,
// middle, leaf, ephemeral.
type relay struct {
	*registrytest.House
	agents []*registrytest.Agent
	grant  registry.Grant
	tokens capability.Tokens // of the three agents
	short  *jose.PrivateKey
	pep    registry.Call
}

const relayed = "https://erp.example"

func newRelay(t testing.TB) *relay {
	t.Helper()
	h := registrytest.New(t)
	h.Catalogue(t, invoices...)
	r := &relay{House: h, short: jose.NewEd25519FromSeed([32]byte{77}), pep: h.PEP(t, "gate", []string{relayed})}
	for _, name := range []string{"root", "middle", "leaf"} {
		r.agents = append(r.agents, h.NewAgent(t, name))
	}
	r.grant = r.agents[0].Grant(t, "read:invoices; create:shipment(weight<=500)", func(n *registry.NewGrant) {
		n.Audience, n.Delegation = []string{relayed}, capability.MaxDepth
	})
	r.tokens = capability.Tokens{r.grant.Token}
	for i := 1; i < 3; i++ {
		r.tokens = r.grow(t, r.tokens, r.agents[i-1].Signer, r.agents[i].DID, r.agents[i].Signer)
	}
	return r
}

// grow adds a link to a chain, by its holder, for another.
func (r *relay) grow(t testing.TB, tokens capability.Tokens, by *jose.PrivateKey, to string, key *jose.PrivateKey, change ...func(*capability.GrantClaims)) capability.Tokens {
	t.Helper()
	c, err := capability.ParseChain(tokens)
	if err != nil {
		t.Fatal(err)
	}
	child := capability.GrantClaims{
		Subject: to, Confirmation: capability.Confirmation{JWK: key.Public().JWK()}, ID: capability.NewJTI(), IssuedAt: r.Clock.Now().Unix(),
		Capabilities: capability.MustParse("read:invoices; create:shipment(weight<=100)"), AuthorityLevel: 2, MaxDepth: capability.MaxDepth,
	}
	for _, f := range change {
		f(&child)
	}
	raw, err := c.Attenuate(by, "", child)
	if err != nil {
		t.Fatal(err)
	}
	return append(slices.Clone(tokens), raw)
}

// ask is an act of the last holder of a chain.
func (r *relay) ask(t testing.TB, tokens capability.Tokens, key *jose.PrivateKey, verb, kind, args string) policy.Request {
	t.Helper()
	return r.askAt(t, relayed, tokens, key, verb, kind, args)
}

func (r *relay) askAt(t testing.TB, aud string, tokens capability.Tokens, key *jose.PrivateKey, verb, kind, args string) policy.Request {
	t.Helper()
	c, err := capability.ParseChain(tokens)
	if err != nil {
		t.Fatal(err)
	}
	act := capability.Act{Action: verb, Resource: capability.Resource{Type: kind, ID: "7"}, Arguments: json.RawMessage(args)}
	adg, err := act.Digest()
	if err != nil {
		t.Fatal(err)
	}
	now, subject := r.Clock.Now().Unix(), c.Leaf().Claims().Subject
	proof, err := capability.SignAction(key, "", capability.ActionClaims{
		Issuer: subject, Audience: aud, PDP: registrytest.Origin, TokenHash: c.Leaf().Hash(), ActDigest: adg, ID: capability.NewJTI(), IssuedAt: now, Expires: now + 60,
	})
	if err != nil {
		t.Fatal(err)
	}
	return policy.Request{SubjectType: "agent", Subject: subject, Act: act, Token: tokens, Proof: proof}
}

func (r *relay) leaf() *jose.PrivateKey { return r.agents[2].Signer }

func TestChainDecides(t *testing.T) {
	r := newRelay(t)
	d := decide(t, r.House, r.pep, r.ask(t, r.tokens, r.leaf(), "create", "shipment", `{"weight":100}`))
	if d.Verdict != policy.Permit || d.Event == nil {
		t.Fatalf("%+v", d)
	}
	ev, dis, err := r.FindEvent(t.Context(), r.Operator, d.Event.CID)
	if err != nil || ev.Agent != r.agents[2].ID {
		t.Fatalf("event of agent %s, %v", ev.Agent, err)
	}
	var above []string
	for _, x := range dis {
		if x.Name == "chain" {
			if err := json.Unmarshal(x.Value, &above); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !slices.Equal(above, r.tokens[:2]) {
		t.Errorf("the evidence holds %d tokens above the leaf's", len(above))
	}
	d = decide(t, r.House, r.pep, r.ask(t, r.tokens, r.leaf(), "create", "shipment", `{"weight":101}`))
	if !slices.Equal(codes(d), []policy.Code{policy.ArgumentRefused}) {
		t.Errorf("what the root may and the leaf may not: %+v", d)
	}
	// Whoever holds the last key acts, and the nearest registered agent answers for it.
	short := r.grow(t, r.tokens, r.leaf(), "", r.short)
	d = decide(t, r.House, r.pep, r.ask(t, short, r.short, "create", "shipment", `{"weight":1}`))
	if d.Verdict != policy.Permit || d.Event == nil {
		t.Fatalf("ephemeral: %+v", d)
	}
	if ev, _, err := r.FindEvent(t.Context(), r.Operator, d.Event.CID); err != nil || ev.Agent != r.agents[2].ID {
		t.Errorf("event of agent %s, %v", ev.Agent, err)
	}
	v, err := r.PDP.Verify(t.Context(), r.pep.Caller, r.ask(t, short, r.short, "read", "invoices", ""))
	if err != nil || !v.Active || len(v.Chain) != 4 || v.Chain[0].Subject != r.agents[0].DID || v.Chain[3].ID != v.ID {
		t.Errorf("verified: %+v, %v", v, err)
	}
	r.Clock.Add(capability.MaxEphemeralLife)
	d = decide(t, r.House, r.pep, r.ask(t, short, r.short, "read", "invoices", ""))
	if !slices.Equal(codes(d), []policy.Code{policy.GrantExpired}) {
		t.Errorf("ephemeral, after its time: %+v", d)
	}
}

// Whatever ends an ancestor, its agent, its grant or its link ends the leaf at once,
// also where the leaf's standing is remembered.
func TestChainStops(t *testing.T) {
	type stop func(t *testing.T, r *relay) error
	of := func(n int, f func(t *testing.T, r *relay, a *registrytest.Agent) error) stop {
		return func(t *testing.T, r *relay) error { return f(t, r, r.agents[n]) }
	}
	killed := func(t *testing.T, r *relay, a *registrytest.Agent) error {
		_, err := r.SetKill(t.Context(), r.Call(), registry.Scope{Kind: registry.ScopeAgent, ID: a.ID}, "drill")
		return err
	}
	revoked := func(t *testing.T, r *relay, a *registrytest.Agent) error {
		_, err := r.RevokeAgent(t.Context(), r.Call(), a.ID, "drill")
		return err
	}
	suspended := func(t *testing.T, r *relay, a *registrytest.Agent) error {
		_, err := r.SuspendAgent(t.Context(), r.Call(), a.ID, "drill")
		return err
	}
	stolen := func(t *testing.T, r *relay, a *registrytest.Agent) error {
		_, err := r.EndKey(t.Context(), r.Call(), a.ID, a.Thumbprint, true, nil, "stolen")
		return err
	}
	link := func(n int, call func(*relay) registry.Call) stop {
		return func(t *testing.T, r *relay) error {
			_, err := r.RevokeLink(t.Context(), call(r), registry.LinkRevocation{Grant: r.grant.ID, Chain: r.tokens[:n+1], Reason: "drill"})
			return err
		}
	}
	for name, c := range map[string]struct {
		stop stop
		want policy.Code
	}{
		"kill the root":      {of(0, killed), policy.DelegatorStopped},
		"kill the middle":    {of(1, killed), policy.DelegatorStopped},
		"kill the leaf":      {of(2, killed), policy.KillAgent},
		"revoke the root":    {of(0, revoked), policy.DelegatorStopped},
		"revoke the middle":  {of(1, revoked), policy.DelegatorStopped},
		"suspend the root":   {of(0, suspended), policy.DelegatorStopped},
		"suspend the middle": {of(1, suspended), policy.DelegatorStopped},
		"the root's key":     {of(0, stolen), policy.KeyEnded},
		"the middle's key":   {of(1, stolen), policy.KeyEnded},
		"revoke the grant": {func(t *testing.T, r *relay) error {
			_, err := r.RevokeGrant(t.Context(), r.Call(), r.grant.ID, "drill")
			return err
		}, policy.GrantRevoked},
		"kill the grant": {func(t *testing.T, r *relay) error {
			_, err := r.SetKill(t.Context(), r.Call(), registry.Scope{Kind: registry.ScopeGrant, ID: r.grant.ID}, "drill")
			return err
		}, policy.KillGrant},
		"revoke the middle's link":           {link(1, func(r *relay) registry.Call { return r.Call() }), policy.GrantRevoked},
		"the root revokes the middle's link": {link(1, func(r *relay) registry.Call { return r.agents[0].Signed() }), policy.GrantRevoked},
		"the root revokes the leaf's link":   {link(2, func(r *relay) registry.Call { return r.agents[0].Signed() }), policy.GrantRevoked},
		"the middle revokes the leaf's link": {link(2, func(r *relay) registry.Call { return r.agents[1].Signed() }), policy.GrantRevoked},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRelay(t)
			short := r.grow(t, r.tokens, r.leaf(), "", r.short)
			try := func() []policy.Decision {
				return []policy.Decision{
					decide(t, r.House, r.pep, r.ask(t, r.tokens, r.leaf(), "read", "invoices", "")),
					decide(t, r.House, r.pep, r.ask(t, r.tokens, r.leaf(), "create", "shipment", `{"weight":1}`)),
					decide(t, r.House, r.pep, r.ask(t, short, r.short, "read", "invoices", "")),
				}
			}
			for _, d := range try() {
				if d.Verdict != policy.Permit {
					t.Fatalf("before: %+v", d)
				}
			}
			if err := c.stop(t, r); err != nil {
				t.Fatal(err)
			}
			for i, d := range try() {
				if d.Verdict != policy.Deny || !slices.Contains(codes(d), c.want) {
					t.Errorf("act %d: %+v, want %s", i, d, c.want)
				}
			}
		})
	}
}

// A stop of an ancestor that comes between the judgement and its commit wins.
func TestStopOfAnAncestorWins(t *testing.T) {
	for _, n := range []int{0, 1} {
		r := newRelay(t)
		req := r.ask(t, r.tokens, r.leaf(), "create", "shipment", `{"weight":1}`)
		policy.BetweenJudgementAndCommit(r.PDP, func() {
			if _, err := r.SetKill(t.Context(), r.Call(), registry.Scope{Kind: registry.ScopeAgent, ID: r.agents[n].ID}, "drill"); err != nil {
				t.Error(err)
			}
		})
		if d := decide(t, r.House, r.pep, req); d.Verdict != policy.Deny || codes(d)[0] != policy.DelegatorStopped {
			t.Errorf("link %d: %+v", n, d)
		}
	}
}

func TestChainRefused(t *testing.T) {
	r := newRelay(t)
	other := r.Grant(t)
	for name, c := range map[string]struct {
		tokens capability.Tokens
		key    *jose.PrivateKey
		want   string // code of a direct call
	}{
		"no root":           {r.tokens[1:], r.leaf(), "linkage"},
		"no middle":         {capability.Tokens{r.tokens[0], r.tokens[2]}, r.leaf(), "linkage"},
		"under another":     {capability.Tokens{other.Token, r.tokens[1], r.tokens[2]}, r.leaf(), "linkage"},
		"swapped":           {capability.Tokens{r.tokens[0], r.tokens[2], r.tokens[1]}, r.leaf(), "linkage"},
		"by the root":       {r.tokens, r.agents[0].Signer, "signature"},
		"by another key":    {r.tokens, r.short, "signature"},
		"nobody's":          {nil, r.leaf(), "missing"},
		"tokens of a chain": {slices.Repeat(r.tokens[:1], 9), r.leaf(), "depth"},
	} {
		req := r.ask(t, r.tokens, c.key, "read", "invoices", "")
		req.Token = c.tokens
		_, err := r.PDP.Decide(t.Context(), r.agents[2].Direct(), req)
		var e *registry.Error
		if !errors.As(err, &e) || e.Kind != registry.Unauthenticated || e.Code != c.want {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
		if d := decide(t, r.House, r.pep, req); d.Verdict != policy.Deny || codes(d)[0] != policy.PossessionFailed {
			t.Errorf("%s, relayed: %+v", name, d)
		}
	}
	// A link for an agent under another's key, and for an agent nobody knows.
	for name, c := range map[string]struct {
		to   string
		want policy.Code
	}{
		"another's key": {r.agents[0].DID, policy.KeyEnded},
		"unknown":       {"did:web:localhost%3A8080:agents:nobody", policy.IdentityRefused},
	} {
		tokens := r.grow(t, r.tokens[:1], r.agents[0].Signer, c.to, r.agents[1].Signer)
		tokens = r.grow(t, tokens, r.agents[1].Signer, r.agents[2].DID, r.leaf())
		if d := decide(t, r.House, r.pep, r.ask(t, tokens, r.leaf(), "read", "invoices", "")); !slices.Contains(codes(d), c.want) {
			t.Errorf("%s: %+v", name, d)
		}
	}
	// The registry's own grants are delegable as far as they say.
	flat := r.agents[0].Grant(t, "read:invoices", func(n *registry.NewGrant) { n.Audience = []string{relayed} })
	chain, err := capability.ParseChain(capability.Tokens{flat.Token})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := chain.Attenuate(r.agents[0].Signer, "", capability.GrantClaims{Confirmation: capability.Confirmation{JWK: r.short.Public().JWK()}}); !errors.Is(err, capability.Depth) {
		t.Errorf("a grant without delegation: %v", err)
	}
}

// Grant is one of another agent.
func (r *relay) Grant(t testing.TB) registry.Grant {
	return r.NewAgent(t, "other").Grant(t, "read:invoices", func(n *registry.NewGrant) { n.Audience = []string{relayed} })
}

func TestRevokeLinkRefused(t *testing.T) {
	r := newRelay(t)
	hash := func(n int) string {
		c, err := capability.ParseChain(r.tokens)
		if err != nil {
			t.Fatal(err)
		}
		return c.Links()[n].SigningInputHash()
	}
	for name, c := range map[string]struct {
		call registry.Call
		in   registry.LinkRevocation
		want registry.Kind
	}{
		"the leaf its own":        {r.agents[2].Signed(), registry.LinkRevocation{Chain: r.tokens}, registry.Denied},
		"the middle its own":      {r.agents[1].Signed(), registry.LinkRevocation{Chain: r.tokens[:2]}, registry.Denied},
		"an agent by hash":        {r.agents[0].Signed(), registry.LinkRevocation{Hash: hash(2)}, registry.Denied},
		"the root":                {r.Call(), registry.LinkRevocation{Chain: r.tokens[:1]}, registry.Malformed},
		"nothing":                 {r.Call(), registry.LinkRevocation{}, registry.Malformed},
		"both":                    {r.Call(), registry.LinkRevocation{Hash: hash(1), Chain: r.tokens}, registry.Malformed},
		"no hash":                 {r.Call(), registry.LinkRevocation{Hash: "x"}, registry.Malformed},
		"a chain of another root": {r.Call(), registry.LinkRevocation{Chain: capability.Tokens{r.Grant(t).Token, r.tokens[1]}}, registry.Malformed},
	} {
		c.in.Grant = r.grant.ID
		if _, err := r.RevokeLink(t.Context(), c.call, c.in); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
	in := registry.LinkRevocation{Grant: r.grant.ID, Hash: hash(1)}
	one, err := r.RevokeLink(t.Context(), r.Call(), in)
	if err != nil || one.Event.CID == "" {
		t.Fatalf("%+v, %v", one, err)
	}
	if two, err := r.RevokeLink(t.Context(), r.Call(), in); err != nil || two.Event.CID != "" {
		t.Errorf("again: %+v, %v", two, err)
	}
	// What is above it stands.
	if d := decide(t, r.House, r.agents[0].Direct(), r.ask(t, r.tokens[:1], r.agents[0].Signer, "read", "invoices", "")); d.Verdict != policy.Permit {
		t.Errorf("the root: %+v", d)
	}
}

// paying is a relay whose grant is for payments, and a human who approves them.
func paying(t *testing.T) (*relay, *registrytest.Human) {
	r := newRelay(t)
	r.grant = r.agents[0].Grant(t, "execute:payment", func(n *registry.NewGrant) {
		n.Audience, n.Delegation = []string{relayed}, capability.MaxDepth
	})
	r.tokens = capability.Tokens{r.grant.Token}
	return r, r.Human(t, "", registry.RoleApprover)
}

// TestChainApproved: a human approves the act of the last holder, under the very chain
// that was shown.
func TestChainApproved(t *testing.T) {
	r, ann := paying(t)
	to := func(limit string) func(*capability.GrantClaims) {
		return func(c *capability.GrantClaims) {
			c.Capabilities = capability.MustParse("execute:payment(amount<=" + limit + ")")
		}
	}
	middle := r.grow(t, r.tokens, r.agents[0].Signer, r.agents[1].DID, r.agents[1].Signer, to("1000"))
	leaf := r.grow(t, middle, r.agents[1].Signer, r.agents[2].DID, r.leaf(), to("900"))
	other := r.grow(t, middle, r.agents[1].Signer, r.agents[2].DID, r.leaf(), to("900"))
	ask := func(tokens capability.Tokens, args, approval string) policy.Request {
		req := r.ask(t, tokens, r.leaf(), "execute", "payment", args)
		req.Approval = approval
		return req
	}
	if d := decide(t, r.House, r.pep, ask(leaf, `{"amount":901}`, "")); !slices.Contains(codes(d), policy.ArgumentRefused) || d.Binding != nil {
		t.Errorf("above the last link: %+v", d)
	}
	const args = `{"amount":900}`
	req := ask(leaf, args, "")
	a, err := r.RequestFor(t, r.pep, decide(t, r.House, r.pep, req), req)
	if err != nil {
		t.Fatal(err)
	}
	var s registry.Statement
	if err := canon.Unmarshal([]byte(a.Statement), &s); err != nil || s.Capabilities != "execute:payment(amount<=900)" || s.Agent.ID != r.agents[2].ID || s.Binding.Grant != r.grant.ID {
		t.Errorf("the human is shown %s (%v)", a.Statement, err)
	}
	ann.Approve(t, a)
	for name, c := range map[string]policy.Request{"another link, alike": ask(other, args, a.ID), "other arguments": ask(leaf, `{"amount":899}`, a.ID)} {
		if d := decide(t, r.House, r.pep, c); d.Verdict != policy.StepUp || !slices.Contains(codes(d), policy.ApprovalMismatch) {
			t.Errorf("%s: %+v", name, d)
		}
	}
	if d := decide(t, r.House, r.pep, ask(leaf, args, a.ID)); d.Verdict != policy.Permit || d.Approval != a.ID {
		t.Errorf("approved: %+v", d)
	}
	if d := decide(t, r.House, r.pep, ask(leaf, args, a.ID)); d.Verdict != policy.StepUp || !slices.Contains(codes(d), policy.ApprovalConsumed) {
		t.Errorf("again: %+v", d)
	}
}

// TestChainStoppedAfterApproval: what a human approved is not done when who delegated
// is stopped meanwhile.
func TestChainStoppedAfterApproval(t *testing.T) {
	r, ann := paying(t)
	pay := func(c *capability.GrantClaims) { c.Capabilities = capability.MustParse("execute:payment") }
	tokens := r.grow(t, r.tokens, r.agents[0].Signer, r.agents[2].DID, r.leaf(), pay)
	req := r.ask(t, tokens, r.leaf(), "execute", "payment", "")
	a, err := r.RequestFor(t, r.pep, decide(t, r.House, r.pep, req), req)
	if err != nil {
		t.Fatal(err)
	}
	ann.Approve(t, a)
	if _, err := r.SuspendAgent(t.Context(), r.Call(), r.agents[0].ID, "suspicious"); err != nil {
		t.Fatal(err)
	}
	req = r.ask(t, tokens, r.leaf(), "execute", "payment", "")
	req.Approval = a.ID
	if d := decide(t, r.House, r.pep, req); d.Verdict != policy.Deny || !slices.Contains(codes(d), policy.DelegatorStopped) {
		t.Errorf("%+v", d)
	}
}

// TestChainUnderPolicies: a policy that forbids an agent forbids it as a delegator,
// too, and whoever acts for it.
func TestChainUnderPolicies(t *testing.T) {
	r := newRelay(t)
	ask := func() policy.Decision {
		return decide(t, r.House, r.pep, r.ask(t, r.tokens, r.leaf(), "read", "invoices", ""))
	}
	if d := ask(); d.Verdict != policy.Permit {
		t.Fatalf("%+v", d)
	}
	for i, a := range r.agents {
		activate(t, r.House, fmt.Sprintf(`@id("f") forbid (principal == Agent::%q, action, resource);`, a.DID))
		if d := ask(); d.Verdict != policy.Deny || !slices.Contains(codes(d), policy.PolicyForbid) {
			t.Errorf("agent %d of the chain is forbidden: %+v", i, d)
		}
	}
	activate(t, r.House, `@id("others") forbid (principal == Agent::"did:web:other.example", action, resource);`)
	if d := ask(); d.Verdict != policy.Permit {
		t.Errorf("another is forbidden: %+v", d)
	}
	// What the last key did not sign for itself counts for its agent.
	key := r.grow(t, r.tokens, r.leaf(), "", r.short)
	activate(t, r.House, fmt.Sprintf(`@id("f") forbid (principal == Agent::%q, action, resource);`, r.agents[2].DID))
	if d := decide(t, r.House, r.pep, r.ask(t, key, r.short, "read", "invoices", "")); d.Verdict != policy.Deny || !slices.Contains(codes(d), policy.PolicyForbid) {
		t.Errorf("by a key of its own: %+v", d)
	}
}

// BenchmarkDecideChain is an unqualified decision on a chain of three, from request to
// answer, without HTTP: one that was seen before, and one that was not.
func BenchmarkDecideChain(b *testing.B) {
	r := newRelay(b)
	run := func(b *testing.B, tokens func() capability.Tokens) {
		for b.Loop() {
			b.StopTimer()
			shown := tokens()
			req := r.ask(b, shown, r.leaf(), "read", "invoices", "")
			b.StartTimer()
			d, err := r.PDP.Decide(b.Context(), r.pep, req)
			if err != nil || d.Verdict != policy.Permit {
				b.Fatalf("%+v, %v", d, err)
			}
		}
	}
	b.Run("cached", func(b *testing.B) { run(b, func() capability.Tokens { return r.tokens }) })
	b.Run("uncached", func(b *testing.B) {
		run(b, func() capability.Tokens {
			return r.grow(b, r.tokens[:2], r.agents[1].Signer, r.agents[2].DID, r.leaf())
		})
	})
}
