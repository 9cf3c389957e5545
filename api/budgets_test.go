package api_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-registry/writ/registry"
)

// TestBudgets: a budget from its text to its last permit, alone and among several.
func TestBudgets(t *testing.T) {
	w := open(t)
	w.Catalogue(t, registry.CatalogueAction{Action: "pay:invoice", Reversibility: registry.Reversible})
	const bank = "https://bank.example"
	a := w.NewAgent(t, "payer")
	pep := w.newPEP("gate", bank)
	body := map[string]any{"agent": a.ID, "capabilities": "pay:invoice", "audience": []string{bank}, "budgets": []string{"sum(pay:invoice,amount)<=1e4 per 86400s", "count(*) <= 1000"}}
	issued := w.must("POST", "/v1/grants", body)["grant"].(map[string]any)
	at := "/v1/grants/" + issued["id"].(string)
	const daily = "sum(pay:invoice, amount) <= 10000 per 24h"
	if got := w.must("GET", at, nil)["budgets"]; cmp.Diff([]any{"count(*) <= 1000", daily}, got) != "" {
		t.Errorf("budgets %v", got)
	}
	body["budgets"] = []string{"count(*) <= 1000", "sum(pay:invoice) <= 1"}
	w.refused(w.do("POST", "/v1/grants", body, as(w.Secret)), 400, "malformed", "/budgets/1")

	g, err := w.FindGrant(t.Context(), w.Operator, issued["id"].(string))
	if err != nil {
		t.Fatal(err)
	}
	pay := func(amount string) map[string]any {
		return authzen(a.Ask(t, g, "pay", "invoice", "7", `{"amount":`+amount+`}`))
	}
	if v := w.do("POST", "/v1/verify", pay("1"), as(pep)).json(t); v["active"] != true || cmp.Diff([]any{"count(*) <= 1000", daily}, v["budgets"]) != "" {
		t.Errorf("verified %v", v)
	}
	d := w.do("POST", "/access/v1/evaluation", pay("1999.5"), as(pep)).json(t)
	if c := d["context"].(map[string]any); d["decision"] != true || c["qualified"] != true || c["event"] == nil {
		t.Errorf("decision %v", d)
	}
	several := w.do("POST", evaluations, map[string]any{"evaluations": []any{pay("4000"), pay("4000"), pay("4000"), pay("4000"), pay(`"4000"`)}}, as(pep)).json(t)
	verdicts := map[string]int{}
	for _, item := range several["evaluations"].([]any) {
		reason := "permit"
		if m := item.(map[string]any); m["decision"] != true {
			r := m["context"].(map[string]any)["reasons"].([]any)[0].(map[string]any)
			if reason = r["code"].(string); reason == "budget_exhausted" && !strings.HasPrefix(r["detail"].(string), daily+": 0.5 left until ") {
				t.Errorf("reason %v", r)
			}
		}
		verdicts[reason]++
	}
	if diff := cmp.Diff(map[string]int{"permit": 2, "budget_exhausted": 2, "budget_unmeasured": 1}, verdicts); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	var left []string
	cursor := ""
	for {
		page := w.must("GET", at+"/budgets?limit=1"+cursor, nil)
		for _, item := range page["items"].([]any) {
			m := item.(map[string]any)
			left = append(left, fmt.Sprintf("%v: used %v, left %v", m["budget"], m["used"], m["left"]))
		}
		if page["next"] == nil {
			break
		}
		cursor = "&cursor=" + page["next"].(string)
	}
	if diff := cmp.Diff([]string{"count(*) <= 1000: used 3, left 997", daily + ": used 9999.5, left 0.5"}, left); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
