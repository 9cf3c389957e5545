package main

import (
	"os"
	"testing"

	"github.com/writ-registry/writ/client"
	"github.com/writ-registry/writ/client/verify"
)

// TestTrustCommands: keys are fetched, compared and pinned; without a comparison
// nothing is.
func TestTrustCommands(t *testing.T) {
	other := start(t, testConfig(t.TempDir()))
	startRegistry(t, "none")
	add := []string{"trust", "add", other.server.URL, "--audience", "https://erp.example", "--capabilities", "read:invoices", "--level", "2"}
	got := decode[struct {
		Issuer       string               `json:"issuer"`
		Fingerprints []client.Fingerprint `json:"fingerprints"`
		Pinned       bool                 `json:"pinned"`
	}](t, writ(t, append(add, "--json")...).want(t, 0))
	if got.Pinned || len(got.Fingerprints) < 2 {
		t.Fatalf("got %+v", got)
	}
	writ(t, append(add, "--pin", got.Fingerprints[0].Print)...).want(t, 1, "not those", "Nothing is pinned")
	writ(t, "trust", "list").want(t, 0, "ISSUER")
	writ(t, "trust", "export").want(t, 1, "empty")
	for _, p := range got.Fingerprints {
		add = append(add, "--pin", p.Print)
	}
	entry := decode[map[string]client.Trust](t, writ(t, append(add, "--json")...).want(t, 0))["trust"]
	if entry.Issuer != got.Issuer || entry.MaxAge != 60 || entry.AuthorityLevel != 2 {
		t.Errorf("pinned %+v", entry)
	}
	writ(t, "trust", "list").want(t, 0, got.Issuer, entry.ID)
	writ(t, "trust", "show", entry.ID).want(t, 0, got.Fingerprints[0].Print, "read:invoices, level 2")

	// A receipt of the other registry verifies by the exported file, and by that only.
	events, err := client.Collect(other.Events(t.Context(), client.EventFilter{}), 1)
	if err != nil {
		t.Fatal(err)
	}
	receipt, err := other.Receipt(t.Context(), events[0].CID, false)
	if err != nil {
		t.Fatal(err)
	}
	other.stop()
	file := writ(t, "trust", "export").want(t, 0)
	if err := os.WriteFile("trust.json", []byte(file.out), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("theirs.writ.json", receipt, 0o600); err != nil {
		t.Fatal(err)
	}
	report := decode[verify.Report](t, writ(t, "verify", "theirs.writ.json", "--trust", "trust.json", "--json").want(t, 0))
	for _, l := range report.Layers {
		if l.Layer == "checkpoint" && l.Status != verify.Verified {
			t.Errorf("the checkpoint is %s: %s", l.Status, l.Detail)
		}
	}

	writ(t, "trust", "remove", entry.ID, "--reason", "over").want(t, 0, "removed")
	writ(t, "trust", "show", entry.ID).want(t, 1, "404")
}

// TestOrgSettingsCommands: an org's policy is changed a part at a time.
func TestOrgSettingsCommands(t *testing.T) {
	startRegistry(t, "none")
	writ(t, "org", "create", "acme").want(t, 0)
	writ(t, "org", "policy", "acme", "--max-key-age", "2160h", "--separate-duties").want(t, 0, "2160h", "separate", "event")
	org := decode[map[string]client.Org](t, writ(t, "org", "policy", "acme", "--warn-key-age", "24h", "--json").want(t, 0))["org"]
	if org.Policy != (client.OrgPolicy{MaxKeyAge: 2160 * 3600, WarnKeyAge: 24 * 3600, SeparateDuties: true}) {
		t.Errorf("policy %+v", org.Policy)
	}
	writ(t, "org", "domain", "acme", "agents.acme.invalid").want(t, 1, "_writ.agents.acme.invalid", "org="+org.ID)
}
