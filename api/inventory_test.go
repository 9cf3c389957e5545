package api_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry"
)

func (w *world) newcomer(name string, more map[string]any) map[string]any {
	w.t.Helper()
	key, err := jose.GenerateEd25519()
	if err != nil {
		w.t.Fatal(err)
	}
	body := map[string]any{"name": name, "jwk": key.Public().JWK(), "possession": w.Possession(w.t, key, registry.HouseOrg, name)}
	for k, v := range more {
		body[k] = v
	}
	return body
}

// TestOnboardInOneCall: the answer holds agent, grant with token, and all events;
// sent again with its key, it is the first answer.
func TestOnboardInOneCall(t *testing.T) {
	w := open(t)
	body := w.newcomer("a", map[string]any{"approve": true, "authority_level": 1, "grant": map[string]any{"capabilities": "read:x", "audience": []string{"https://erp.example"}}})
	first := w.do("POST", "/v1/agents", body, as(w.Secret), header("Idempotency-Key", "row 1"))
	var out struct {
		Agent  registry.Agent
		Grant  registry.Grant
		Event  registry.EventRef
		Events []registry.EventRef
	}
	if err := json.Unmarshal(first.body, &out); err != nil || first.StatusCode != 201 {
		t.Fatalf("%d %s", first.StatusCode, first.body)
	}
	if out.Agent.Status != registry.AgentActive || out.Grant.Token == "" || len(out.Events) != 3 || out.Event != out.Events[0] {
		t.Errorf("%s", first.body)
	}
	again := w.do("POST", "/v1/agents", body, as(w.Secret), header("Idempotency-Key", "row 1"))
	if again.StatusCode != 201 || again.Header.Get("Idempotency-Replayed") != "true" || string(again.body) != string(first.body) {
		t.Errorf("again: %d %s", again.StatusCode, again.body)
	}
	w.refused(w.do("POST", "/v1/agents", w.newcomer("b", map[string]any{"grant": map[string]any{"capabilities": "read:x"}}), as(w.Secret)), 400, "malformed", "/grant")
	w.refused(w.do("POST", "/v1/agents", w.newcomer("b", map[string]any{"approve": true, "grant": map[string]any{"capabilities": "read"}}), as(w.Secret)), 400, "malformed", "/grant/capabilities")
}

func TestSearchByFilters(t *testing.T) {
	w := open(t)
	for i := range 5 {
		w.must("POST", "/v1/agents", w.newcomer(fmt.Sprintf("clerk-%d", i), map[string]any{"approve": i > 0, "domains": []string{"finance"}}))
	}
	w.NewAgent(t, "courier")
	now := url.QueryEscape(w.Clock.Now().Add(time.Hour).Format(time.RFC3339))
	for query, want := range map[string]int{
		"": 6, "name=clerk": 5, "name=clerk&status=active": 4, "domain=finance&name=clerk-3": 1, "workflow=q1": 0, "capability=read:x": 0,
		"acted_before=" + now: 6, "acted_since=" + now: 0, "key_before=" + now + "&domain=finance": 5, "unused_since=" + now: 0, "sponsor=" + w.Operator.ID: 6,
	} {
		var got []string
		for cursor := ""; ; {
			page := w.must("GET", "/v1/agents?limit=2&"+query+cursor, nil)
			for _, it := range page["items"].([]any) {
				got = append(got, it.(map[string]any)["name"].(string))
			}
			next, more := page["next"].(string)
			if !more {
				break
			}
			cursor = "&cursor=" + next
		}
		if len(got) != want || len(slices.Compact(slices.Sorted(slices.Values(got)))) != want {
			t.Errorf("%q: %v, want %d", query, got, want)
		}
	}
	next := w.must("GET", "/v1/agents?limit=1&name=clerk", nil)["next"].(string)
	w.refused(w.do("GET", "/v1/agents?limit=1&cursor="+next, nil, as(w.Secret)), 400, "malformed", "/cursor")
	w.refused(w.do("GET", "/v1/agents?acted_since=yesterday", nil, as(w.Secret)), 400, "malformed", "/acted_since")
}

// TestExport: a file holds all agents, whatever their number, and no formulas.
func TestExport(t *testing.T) {
	w := open(t)
	const n = 510 // more than a page
	for i := range n {
		w.RequestOnly(t, fmt.Sprintf("bot-%03d", i), func(in *registry.NewAgent) { in.Purpose = []string{`=1+1`, `+1`, `-1`, `@x`, `a,"b"`}[i%5] })
	}
	r := w.do("GET", "/v1/agents/export?format=csv", nil, as(w.Secret))
	rows, err := csv.NewReader(strings.NewReader(string(r.body))).ReadAll()
	if err != nil || len(rows) != n+1 || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/csv") || !strings.Contains(r.Header.Get("Content-Disposition"), "agents.csv") {
		t.Fatalf("%d rows, %v, %v", len(rows), r.Header, err)
	}
	purpose := slices.Index(rows[0], "purpose")
	for i, want := range []string{`'=1+1`, `'+1`, `'-1`, `'@x`, `a,"b"`} {
		if got := rows[i+1][purpose]; got != want {
			t.Errorf("purpose %d is %q, want %q", i, got, want)
		}
	}
	var all []registry.InventoryItem
	if r := w.do("GET", "/v1/agents/export", nil, as(w.Secret)); json.Unmarshal(r.body, &all) != nil || len(all) != n || all[n-1].Name != "bot-509" {
		t.Errorf("%d agents in %.200s", len(all), r.body)
	}
	if r := w.do("GET", "/v1/agents/export?name=nobody", nil, as(w.Secret)); string(r.body) != "[]\n" {
		t.Errorf("nobody: %s", r.body)
	}
	w.refused(w.do("GET", "/v1/agents/export?org=nobody", nil, as(w.Secret)), 404, "not-found", "")
}

func TestOffboarding(t *testing.T) {
	w := open(t)
	var ids []string
	for i := range 3 {
		ids = append(ids, w.NewAgent(t, fmt.Sprintf("bot-%d", i)).ID)
	}
	dry := w.must("POST", "/v1/agents/offboard", map[string]any{"filter": map[string]any{"name": "bot"}, "dry_run": true})
	if len(dry["agents"].([]any)) != 3 || dry["left"] != 3.0 || dry["events"] != nil {
		t.Errorf("dry run: %v", dry)
	}
	done := w.must("POST", "/v1/agents/offboard", map[string]any{"agents": ids[:2], "reason": "project-over"})
	if len(done["agents"].([]any)) != 2 || done["left"] != 0.0 || len(done["events"].([]any)) != 2 {
		t.Errorf("by name: %v", done)
	}
	w.refused(w.do("POST", "/v1/agents/offboard", map[string]any{"filter": map[string]any{"org": registry.HouseOrg}}, as(w.Secret)), 400, "malformed", "/agents")
	w.refused(w.do("POST", "/v1/agents/offboard", map[string]any{"agents": []string{ids[0], registry.NewID()}}, as(w.Secret)), 404, "not-found", "/agents/1")
}
