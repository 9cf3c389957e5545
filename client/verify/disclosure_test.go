package verify_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/writ-registry/writ/anchor"
	"github.com/writ-registry/writ/client/verify"
	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
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
