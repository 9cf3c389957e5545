package verify_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/writ-registry/writ/anchor"
	"github.com/writ-registry/writ/client/verify"
	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry/capability"
)

// A registry that makes up an act cannot make up the agent's signature over it:
// whatever it commits to and opens, the layer that does not fit is named.
func TestInventedDecisions(t *testing.T) {
	other := must(jose.GenerateP256())(t)
	zero := canon.Digest(nil)
	for name, test := range map[string]struct {
		layer string
		edit  func(d *decision)
	}{
		"signed by another key": {"agent signature", func(d *decision) { d.proofKey = other }},
		"another audience":      {"agent signature", func(d *decision) { d.body["audience"] = "https://bank.example" }},
		"another token":         {"agent signature", func(d *decision) { d.claims.TokenHash = zero }},
		"token hash":            {"agent signature", func(d *decision) { d.body["token_hash"] = zero }},
		"proof hash":            {"agent signature", func(d *decision) { d.body["proof_hash"] = zero }},
		"token is no string":    {"agent signature", func(d *decision) { d.disclosures["token"] = 5 }},
		"token is no token":     {"agent signature", func(d *decision) { d.disclosures["token"] = "a.b.c" }},
		"other arguments": {"act", func(d *decision) {
			d.disclosures["payload"] = map[string]any{"arguments": json.RawMessage(`{"max_weight":400}`), "task": ""}
		}},
		"another task": {"act", func(d *decision) {
			d.disclosures["payload"] = map[string]any{"arguments": json.RawMessage(`{"max_weight":12.5}`), "task": "t2"}
		}},
		"another resource": {"act", func(d *decision) {
			d.disclosures["resource"] = map[string]string{"type": "shipment", "id": "s-2"}
		}},
		"another type": {"act", func(d *decision) { d.disclosures["resource"] = map[string]string{"type": "invoice", "id": "s-1"} }},
		"another verb": {"act", func(d *decision) { d.body["action"] = "delete:shipment" }},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorldWith(t, test.edit)
			r, err := verify.Verify(t.Context(), w.receipt(t, true), w.trust, nil)
			var refused *verify.Error
			if !errors.As(err, &refused) || len(refused.Layers) != 1 || refused.Layers[0].Layer != test.layer {
				t.Errorf("Verify = %v, want only layer %q to fail", err, test.layer)
			}
			if len(r.Facts) > 0 {
				t.Errorf("facts of a refused receipt: %v", r.Facts)
			}
			// Without the disclosures nothing is claimed of the agent, and nothing fails.
			if r, err = verify.Verify(t.Context(), w.receipt(t, false), w.trust, nil); err != nil {
				t.Fatal(err)
			}
			for _, f := range r.Facts {
				if f.Source != "asserted by registry" {
					t.Errorf("fact %+v", f)
				}
			}
		})
	}
}

func TestPartialDisclosure(t *testing.T) {
	w := newWorld(t)
	all := w.open
	keep := func(names string) []anchor.ReceiptDisclosure {
		var out []anchor.ReceiptDisclosure
		for _, d := range all {
			if strings.Contains(names, d.Name) {
				out = append(out, d)
			}
		}
		return out
	}
	for names, want := range map[string]map[string]verify.Status{
		"proof token":          {"disclosures": verify.Verified, "agent signature": verify.Verified, "act": verify.Unverified},
		"proof token resource": {"disclosures": verify.Verified, "agent signature": verify.Verified, "act": verify.Unverified},
		"proof":                {"disclosures": verify.Verified, "agent signature": verify.Unverified},
		"payload resource":     {"disclosures": verify.Verified, "agent signature": verify.Unverified},
	} {
		w.open = keep(names)
		r, err := verify.Verify(t.Context(), w.receipt(t, true), w.trust, nil)
		if err != nil {
			t.Fatal(err)
		}
		wantStatus(t, r, want)
	}
}

// An agent may sign under another of its DIDs; that both are one agent is then
// the registry's word.
func TestAgentUnderAnAlias(t *testing.T) {
	const alias = "did:web:registry.example:agents:a1"
	w := newWorldWith(t, func(d *decision) { d.claims.Issuer = alias })
	r, err := verify.Verify(t.Context(), w.receipt(t, true), w.trust, nil)
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, f := range r.Facts {
		found = found || strings.HasPrefix(f.Fact, alias) && f.Source == "asserted by registry"
	}
	if !found {
		t.Errorf("the facts do not say that %s is an alias by the registry's word: %+v", alias, r.Facts)
	}
}

// delegate has the act done by who stands at the end of a chain: the agent of the
// grant gave a part of it to another, and that one to a key of its own.
func delegate(t *testing.T, d *decision) (tokens []string, short *jose.PrivateKey) {
	t.Helper()
	helper := must(jose.GenerateEd25519())(t)
	short = must(jose.GenerateEd25519())(t)
	tokens = []string{d.token}
	for _, link := range []struct {
		by, to  *jose.PrivateKey
		subject string
		caps    string
	}{
		{d.agent, helper, "did:web:registry.example:agents:b2", "create:shipment(max_weight<=100)"},
		{helper, short, "", "create:shipment(max_weight<=50)"},
	} {
		chain := must(capability.ParseChain(tokens))(t)
		tokens = append(tokens, must(chain.Attenuate(link.by, "", capability.GrantClaims{
			Subject: link.subject, Confirmation: capability.Confirmation{JWK: link.to.Public().JWK()}, ID: capability.NewJTI(),
			IssuedAt: d.claims.IssuedAt, MaxDepth: 2, AuthorityLevel: 1, Capabilities: must(capability.Parse(link.caps))(t),
		}))(t))
	}
	leaf := must(capability.ParseChain(tokens))(t).Leaf()
	d.proofKey, d.claims.Issuer, d.claims.TokenHash = short, leaf.Claims().Subject, leaf.Hash()
	d.body["did"], d.body["token_hash"] = "did:web:registry.example:agents:b2", leaf.Hash()
	d.disclosures["token"], d.disclosures["chain"] = tokens[2], tokens[:2]
	return tokens, short
}

// TestDelegatedDecision: who gave what to whom is proven by their own signatures; that
// the first key is the agent's is the registry's word.
func TestDelegatedDecision(t *testing.T) {
	var tokens []string
	var short *jose.PrivateKey
	w := newWorldWith(t, func(d *decision) { tokens, short = delegate(t, d) })
	r, err := verify.Verify(t.Context(), w.receipt(t, true), w.trust, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantStatus(t, r, map[string]verify.Status{"agent signature": verify.Verified, "act": verify.Verified})
	links := must(capability.ParseChain(tokens))(t).Links()
	source := func(parts ...string) (sources []string) {
		for _, f := range r.Facts {
			if !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(f.Fact, p) }) {
				sources = append(sources, f.Source)
			}
		}
		return sources
	}
	for name, c := range map[string]struct{ got, want []string }{
		"the first link":  {source(links[0].Key().Thumbprint(), "gave create:shipment(max_weight<=100) to did:web:registry.example:agents:b2"), []string{"signed by agent"}},
		"the second link": {source(links[1].Key().Thumbprint(), "gave create:shipment(max_weight<=50) to did:key:"), []string{"signed by agent"}},
		"the act":         {source("whoever holds key " + short.Public().Thumbprint() + " asked for this act"), []string{"signed by agent"}},
		"the root":        {source(links[0].Key().Thumbprint(), "is that of "+agentDID), []string{"asserted by registry"}},
		"who answers":     {source("did:web:registry.example:agents:b2 answers for did:key:"), []string{"asserted by registry"}},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s is %v, want %v; facts %+v", name, c.got, c.want, r.Facts)
		}
	}
}

// TestInventedDelegations: a registry that makes up who delegated cannot make up the
// signatures of those who did.
func TestInventedDelegations(t *testing.T) {
	for name, edit := range map[string]func(t *testing.T, d *decision, tokens []string){
		"no chain":  func(_ *testing.T, d *decision, _ []string) { delete(d.disclosures, "chain") },
		"no middle": func(_ *testing.T, d *decision, tokens []string) { d.disclosures["chain"] = tokens[:1] },
		"swapped": func(_ *testing.T, d *decision, tokens []string) {
			d.disclosures["chain"] = []string{tokens[1], tokens[0]}
		},
		"twice": func(_ *testing.T, d *decision, tokens []string) {
			d.disclosures["chain"] = append(tokens[:2:2], tokens[1])
		},
		"chain is no list":   func(_ *testing.T, d *decision, tokens []string) { d.disclosures["chain"] = tokens[0] },
		"chain of no tokens": func(_ *testing.T, d *decision, _ []string) { d.disclosures["chain"] = []string{"a.b.c"} },
		"a middle by itself": func(t *testing.T, d *decision, tokens []string) {
			d.disclosures["chain"] = []string{tokens[0], resigned(t, tokens[1], d.proofKey)}
		},
		"a wider middle": func(t *testing.T, d *decision, tokens []string) {
			claims := must(capability.ParseChain(tokens))(t).Links()[1].Claims()
			claims.Capabilities = must(capability.Parse("create:shipment"))(t)
			d.disclosures["chain"] = []string{tokens[0], must(jose.Sign(d.agent, capability.TypGrant, "", claims))(t)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorldWith(t, func(d *decision) {
				tokens, _ := delegate(t, d)
				edit(t, d, tokens)
			})
			_, err := verify.Verify(t.Context(), w.receipt(t, true), w.trust, nil)
			var refused *verify.Error
			if !errors.As(err, &refused) || len(refused.Layers) != 1 || refused.Layers[0].Layer != "agent signature" {
				t.Errorf("Verify = %v, want only the agent signature to fail", err)
			}
		})
	}
}

// resigned is a token with another's signature.
func resigned(t *testing.T, token string, by jose.Signer) string {
	t.Helper()
	var claims capability.GrantClaims
	parsed := must(jose.Parse(token, capability.TypGrant, capability.MaxToken))(t)
	if err := parsed.Claims(&claims); err != nil {
		t.Fatal(err)
	}
	return must(jose.Sign(by, capability.TypGrant, "", claims))(t)
}
