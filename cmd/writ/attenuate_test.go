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

// Two agents share what the grant and its holder allow.
func TestBudgets(t *testing.T) {
	r := start(t, testConfig(t.TempDir()))
	t.Setenv("WRIT_URL", r.server.URL)
	t.Setenv("WRIT_TOKEN", r.Token)
	dir := t.TempDir()
	buyer, helper := filepath.Join(dir, "buyer.agent.json"), filepath.Join(dir, "helper.agent.json")
	if _, err := r.ActivateCatalogue(t.Context(), "operator", []client.CatalogueAction{{Action: "pay:invoice", Reversibility: "reversible"}}); err != nil {
		t.Fatal(err)
	}
	writ(t, "agent", "new", "--name", "buyer", "--out", buyer).want(t, 0)
	writ(t, "grant", "issue", "--agent", buyer, "--budget", "sum(pay:invoice) <= 1", "pay:invoice").want(t, 1, "--budget: budget 1: 1:16: expected")
	const daily = "sum(pay:invoice, amount) <= 100 per 24h"
	writ(t, "grant", "issue", "--agent", buyer, "--delegate", "1", "--budget", daily, "--budget", "count(*) <= 5", "pay:invoice").want(t, 0, daily)
	writ(t, "grant", "attenuate", "--agent", buyer, "--new", helper, "--can", "pay:invoice", "--budget", "count(pay:invoice) <= 0").want(t, 1, "budget 1")
	writ(t, "grant", "attenuate", "--agent", buyer, "--new", helper, "--can", "pay:invoice", "--budget", "count(pay:invoice) <= 2").want(t, 0)
	pay := func(agent, amount string) result {
		return writ(t, "agent", "ask", "--agent", agent, "--args", `{"amount":`+amount+`}`, "pay", "invoice/7")
	}
	pay(helper, "60.5").want(t, 0, "permit")
	pay(buyer, "60.5").want(t, 2, "budget_exhausted", daily+": 39.5 left until ")
	pay(helper, "1").want(t, 0, "permit")
	pay(helper, "1").want(t, 2, "link 1 of the chain: count(pay:invoice) <= 2: 0 left")
	pay(buyer, "38.5").want(t, 0, "permit")
	f, err := client.LoadAgentFile(buyer)
	if err != nil {
		t.Fatal(err)
	}
	writ(t, "grant", "budgets", f.Grants[0].ID).want(t, 0, "BUDGET", "count(*) <= 5", daily, "count(pay:invoice) <= 2")
	writ(t, "grant", "budgets", "--json", f.Grants[0].ID).want(t, 0, `"budget":"`+daily+`","used":"100","left":"0"`)
}
