package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/writ-registry/writ/client"
)

// An agent delegates to another, and that one to a key that nobody registered; then
// its link is revoked.
func TestAttenuate(t *testing.T) {
	r := start(t, testConfig(t.TempDir()))
	t.Setenv("WRIT_URL", r.server.URL)
	t.Setenv("WRIT_TOKEN", r.Token)
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	if _, err := r.ActivateCatalogue(t.Context(), "operator", []client.CatalogueAction{{Action: "read:invoices", Reversibility: "reversible"}}); err != nil {
		t.Fatal(err)
	}
	buyer, clerk, helper := file("buyer.agent.json"), file("clerk.agent.json"), file("helper.agent.json")
	for name, path := range map[string]string{"buyer": buyer, "clerk": clerk} {
		writ(t, "agent", "new", "--name", name, "--out", path).want(t, 0)
	}
	writ(t, "grant", "issue", "--agent", buyer, "--delegate", "9", "read:invoices").want(t, 1, "delegation")
	writ(t, "grant", "issue", "--agent", buyer, "--delegate", "2", "read:invoices").want(t, 0)
	writ(t, "grant", "attenuate", "--agent", buyer, "--to", clerk, "--can", "write:invoices").want(t, 1, "not within")
	chain := writ(t, "grant", "attenuate", "--agent", buyer, "--to", clerk, "--can", "read:invoices/2026-*", "--delegate", "1").want(t, 0)
	writ(t, "grant", "attenuate", "--agent", clerk, "--new", helper, "--can", "read:invoices/*").want(t, 1, "not within")
	writ(t, "grant", "attenuate", "--agent", clerk, "--new", helper, "--can", "read:invoices/2026-1").want(t, 0)
	writ(t, "grant", "attenuate", "--agent", helper, "--new", file("x"), "--can", "read:invoices/2026-1").want(t, 1, "depth")
	ask := func(agent, id string) result {
		return writ(t, "agent", "ask", "--agent", agent, "read", "invoices/"+id)
	}
	ask(clerk, "2026-2").want(t, 0, "permit")
	ask(clerk, "2025-2").want(t, 2, "capability_missing")
	ask(helper, "2026-1").want(t, 0, "permit")
	ask(helper, "2026-2").want(t, 2, "capability_missing")

	shown := file("clerk.chain.json")
	if err := os.WriteFile(shown, []byte(chain.out), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := client.LoadAgentFile(buyer)
	if err != nil {
		t.Fatal(err)
	}
	writ(t, "grant", "revoke", f.Grants[0].ID, "--chain", shown, "--reason", "drill").want(t, 0, "is revoked")
	ask(clerk, "2026-2").want(t, 2, "grant_revoked")
	ask(helper, "2026-1").want(t, 2, "grant_revoked")
	ask(buyer, "2026-2").want(t, 0, "permit")
}
