package registry_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/did"
	"github.com/writ-registry/writ/registry/policy"
	"github.com/writ-registry/writ/registry/registrytest"
)

// keysOf are the keys that the agent's DID resolves to, by its verified log.
func keysOf(t *testing.T, h *registrytest.House, a *registrytest.Agent) (keys []string, res did.Resolution) {
	t.Helper()
	lines, err := h.DIDLog(t.Context(), a.ID)
	if err != nil {
		t.Fatal(err)
	}
	if res, err = did.VerifyLog([]byte(strings.Join(lines, "\n")+"\n"), h.Clock.Now().Add(time.Minute)); err != nil {
		t.Fatalf("the DID log: %v", err)
	}
	doc, err := did.ParseDocument(res.Current().Document)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range doc.VerificationMethod {
		key, err := jose.ParseMultikey(m.PublicKeyMultibase)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key.Thumbprint())
	}
	slices.Sort(keys)
	return keys, res
}

func sorted(s ...string) []string { slices.Sort(s); return s }

// history maps the agent's keys to their status.
func history(t *testing.T, h *registrytest.House, a *registrytest.Agent) map[string]registry.AgentKey {
	t.Helper()
	list, err := h.AgentKeys(t.Context(), h.Operator, a.ID)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]registry.AgentKey{}
	for i, k := range list {
		if k.N != i+1 || k.AddedIndex == nil {
			t.Errorf("key %d is %+v", i, k)
		}
		out[k.Thumbprint] = k
	}
	return out
}

// decide asks with the agent's signer and grant as they are.
func decide(t *testing.T, h *registrytest.House, a registrytest.Agent, g registry.Grant) policy.Decision {
	t.Helper()
	h.Clock.Add(time.Second)
	d, err := h.PDP.Decide(t.Context(), h.PEPCall(t), a.Ask(t, g, "read", "invoices", "7", ""))
	if err != nil {
		t.Fatalf("decide: %v", err)
	}
	return d
}

func expect(t *testing.T, what string, d policy.Decision, want policy.Code) {
	t.Helper()
	switch {
	case want == "" && d.Verdict != policy.Permit, want != "" && (len(d.Reasons) == 0 || d.Reasons[0].Code != want):
		t.Errorf("%s: %s %v, want %q", what, d.Verdict, d.Reasons, want)
	}
}

// A rotation: both keys count for the overlap, each with its own token; after it
// the old one is gone from decisions at once and from the document by Tend.
func TestRotation(t *testing.T) {
	h := registrytest.New(t)
	a := h.NewAgent(t, "a")
	h.Catalogue(t, registry.CatalogueAction{Action: "read:invoices", Reversibility: registry.Reversible, Material: true})
	g := a.Grant(t, "read:invoices")
	before := *a
	h.Clock.Add(time.Minute)
	minute := time.Minute
	a.Rotate(t, func(n *registry.NewKey) { n.Overlap = &minute })
	renewed, err := h.FindGrant(t.Context(), h.Operator, g.ID)
	if err != nil || renewed.Token == g.Token || !renewed.Issued(g.TokenHash) {
		t.Fatalf("grant after rotation: %+v, %v", renewed, err)
	}
	if keys, res := keysOf(t, h, a); !slices.Equal(keys, sorted(before.Thumbprint, a.Thumbprint)) || len(res.Versions) != 2 {
		t.Errorf("in the overlap the DID has %v in %d versions", keys, len(res.Versions))
	}
	expect(t, "new key, new token", decide(t, h, *a, renewed), "")
	expect(t, "old key, old token", decide(t, h, before, g), "")
	expect(t, "old key, new token", decide(t, h, before, renewed), policy.PossessionFailed)

	if left, err := h.Tend(t.Context(), 10); err != nil || left != 0 {
		t.Fatal(left, err)
	}
	if keys, _ := keysOf(t, h, a); len(keys) != 2 {
		t.Errorf("tended too early: %v", keys)
	}
	h.Clock.Add(time.Minute)
	expect(t, "old key after the overlap", decide(t, h, before, g), policy.PossessionFailed)
	expect(t, "new key after the overlap", decide(t, h, *a, renewed), "")
	if _, err := h.Tend(t.Context(), 10); err != nil {
		t.Fatal(err)
	}
	if keys, res := keysOf(t, h, a); !slices.Equal(keys, []string{a.Thumbprint}) || len(res.Versions) != 3 {
		t.Errorf("after the overlap the DID has %v in %d versions", keys, len(res.Versions))
	}
	all := history(t, h, a)
	if old, now := all[before.Thumbprint], all[a.Thumbprint]; old.Status != registry.KeyRetired || old.EndedIndex == nil || *old.EndedIndex <= *now.AddedIndex || now.Status != registry.KeyActive {
		t.Errorf("history is %+v", all)
	}
	var taken *registry.Error
	if err := a.RotateTo(t, h.Call(), before.Signer); !errors.As(err, &taken) || taken.Code != "key_taken" {
		t.Errorf("back to an earlier key: %v", err)
	}
	if err := h.NewAgent(t, "b").RotateTo(t, h.Call(), before.Signer); !errors.As(err, &taken) || taken.Code != "key_taken" {
		t.Errorf("to another agent's earlier key: %v", err)
	}
	wrong := a.TryRotate(t, h.Call(), func(n *registry.NewKey) { n.Possession = h.Possession(t, before.Signer, a.Org, a.Name) })
	if !errors.Is(wrong, registry.Unauthenticated) {
		t.Errorf("without possession of the new key: %v", wrong)
	}
}

// Pre-rotation: who holds the key that the agent committed to needs nothing else,
// and the agent itself may use no other.
func TestRecovery(t *testing.T) {
	h := registrytest.New(t)
	next, other := registrytest.Key(21), registrytest.Key(22)
	a := h.NewAgent(t, "a", func(n *registry.NewAgent) { n.NextKeyHash = did.NextKeyHash(next.Public()) })
	h.Clock.Add(time.Second)
	nobody := registry.Call{Trace: h.Call().Trace}
	var e *registry.Error
	if err := a.RotateTo(t, a.Signed(), other); !errors.As(err, &e) || e.Code != "not_committed" {
		t.Errorf("the agent to another key: %v", err)
	}
	if err := a.RotateTo(t, nobody, other); !errors.As(err, &e) || e.Code != "not_committed" || e.Kind != registry.Unauthenticated {
		t.Errorf("anyone to another key: %v", err)
	}
	before := a.Thumbprint
	if err := a.RotateTo(t, nobody, next, func(n *registry.NewKey) { n.NextKeyHash = did.NextKeyHash(other.Public()) }); err != nil {
		t.Fatalf("recovery: %v", err)
	}
	if keys, _ := keysOf(t, h, a); !slices.Equal(keys, []string{next.Public().Thumbprint()}) {
		t.Errorf("after recovery the DID has %v", keys)
	}
	if k := history(t, h, a)[before]; k.Status != registry.KeyRetired || k.EndedIndex == nil {
		t.Errorf("the lost key is %+v", k)
	}
	h.Clock.Add(time.Second)
	if err := a.RotateTo(t, a.Signed(), other); err != nil {
		t.Errorf("the agent to the key it committed to: %v", err)
	}
}

// A compromised key counts from nowhere on, and the history says since when what
// it signed is suspect.
func TestCompromise(t *testing.T) {
	h := registrytest.New(t)
	a := h.NewAgent(t, "a")
	h.Catalogue(t, registry.CatalogueAction{Action: "read:invoices", Reversibility: registry.Reversible, Material: true})
	g := a.Grant(t, "read:invoices")
	expect(t, "at first", decide(t, h, *a, g), "")
	from := *history(t, h, a)[a.Thumbprint].AddedIndex + 1
	tooEarly := from - 2
	if _, err := h.EndKey(t.Context(), h.Call(), a.ID, a.Thumbprint, true, &tooEarly, ""); !errors.Is(err, registry.Malformed) {
		t.Errorf("from before the key was: %v", err)
	}
	out, err := h.EndKey(t.Context(), h.Call(), a.ID, a.Thumbprint, true, &from, "stolen-laptop")
	if err != nil || out.Value.CompromisedFrom == nil || *out.Value.CompromisedFrom != from || out.Value.EndedIndex == nil {
		t.Fatalf("compromise: %+v, %v", out.Value, err)
	}
	expect(t, "after it", decide(t, h, *a, g), policy.PossessionFailed)
	if keys, _ := keysOf(t, h, a); len(keys) != 0 {
		t.Errorf("the DID still has %v", keys)
	}
	if _, err := h.IssueGrant(t.Context(), h.Call(), registry.NewGrant{Agent: a.ID, Capabilities: "read:invoices"}); !errors.Is(err, registry.Conflict) {
		t.Errorf("a grant for a compromised key: %v", err)
	}
	again, err := h.EndKey(t.Context(), h.Call(), a.ID, a.Thumbprint, true, nil, "")
	if err != nil || again.Event.CID != "" {
		t.Errorf("repeated: %+v, %v", again.Event, err)
	}
	h.Clock.Add(time.Second)
	a.Rotate(t)
	renewed, err := h.FindGrant(t.Context(), h.Operator, g.ID)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "with another key", decide(t, h, *a, renewed), "")
}

// Revocation ends the DID, once Tend has come by.
func TestRevokedAgentsDIDIsDeactivated(t *testing.T) {
	h := registrytest.New(t)
	a := h.NewAgent(t, "a")
	h.Clock.Add(5 * time.Second)
	if _, err := h.RevokeAgent(t.Context(), h.Call(), a.ID, "over"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if left, err := h.Tend(t.Context(), 10); left != 0 || err != nil {
			t.Fatal(left, err)
		}
	}
	if _, res := keysOf(t, h, a); !res.Deactivated {
		t.Error("the DID is not deactivated")
	}
	if err := a.TryRotate(t, h.Call()); !errors.Is(err, registry.Revoked) {
		t.Errorf("rotated a revoked agent: %v", err)
	}
}

// A DID log that is full keeps no key alive: what ends a key, or the agent, works.
func TestFullDIDLog(t *testing.T) {
	h := registrytest.New(t)
	a := h.NewAgent(t, "a")
	h.Clock.Add(5 * time.Second)
	h.LimitDIDLogs(100)
	var e *registry.Error
	if err := a.TryRotate(t, h.Call()); !errors.As(err, &e) || e.Code != "did_log_full" {
		t.Errorf("rotate: %v", err)
	}
	if out, err := h.EndKey(t.Context(), h.Call(), a.ID, a.Thumbprint, true, nil, ""); err != nil || out.Value.Status != registry.KeyCompromised {
		t.Errorf("compromise: %+v, %v", out.Value, err)
	}
	if _, err := h.RevokeAgent(t.Context(), h.Call(), a.ID, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Tend(t.Context(), 10); err != nil {
		t.Fatal(err)
	}
	if _, res := keysOf(t, h, a); !res.Deactivated {
		t.Error("the DID is not deactivated")
	}
}

// Keys that no agent may have are refused by name and never stored.
func TestRefusedKeys(t *testing.T) {
	h := registrytest.New(t)
	a := h.NewAgent(t, "a")
	for name, jwk := range map[string]string{
		"private part": `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"}`,
		"wrong curve":  `{"kty":"EC","crv":"P-384","x":"AAAA","y":"AAAA"}`,
		"small order":  `{"kty":"OKP","crv":"Ed25519","x":"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`,
		"RSA":          `{"kty":"RSA","n":"AQAB","e":"AQAB"}`,
		"symmetric":    `{"kty":"oct","k":"AAAA"}`,
	} {
		var e *registry.Error
		if err := a.TryRotate(t, h.Call(), func(n *registry.NewKey) { n.JWK = json.RawMessage(jwk) }); !errors.As(err, &e) || e.Kind != registry.Malformed || e.Field != "/jwk" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(history(t, h, a)) != 1 {
		t.Error("a refused key was stored")
	}
}
