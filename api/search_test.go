package api_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/writ-registry/writ/api"
	"github.com/writ-registry/writ/registry"
)

const (
	searchSubject  = "/access/v1/search/subject"
	searchResource = "/access/v1/search/resource"
	searchAction   = "/access/v1/search/action"
)

// records is a registry where everybody named u... may read records r1 to r5.
func records(t *testing.T, change ...func(*api.Config)) (*world, string) {
	t.Helper()
	w := open(t, change...)
	w.Catalogue(t, registry.CatalogueAction{Action: "read:record", Reversibility: registry.Reversible})
	var list []any
	for i := range 5 {
		list = append(list, map[string]any{"type": "user", "id": fmt.Sprint("u", i+1)}, map[string]any{"type": "record", "id": fmt.Sprint("r", i+1)})
	}
	w.must("PUT", "/v1/orgs/operator/entities", map[string]any{"entities": list})
	drafted := w.must("POST", "/v1/orgs/operator/policies", map[string]any{"text": `permit(principal is User, action, resource);`})
	w.must("POST", fmt.Sprintf("/v1/orgs/operator/policies/%v/activate", drafted["policies"].(map[string]any)["version"]), nil)
	return w, w.newPEP("gate", "https://erp.example")
}

// TestSearchRefuses: what is no search is a 400 that names its place; nobody but an
// enforcement point is answered.
func TestSearchRefuses(t *testing.T) {
	w, pep := records(t)
	const user, action, record = `"subject":{"type":"user"}`, `"action":{"name":"read"}`, `"resource":{"type":"record","id":"r1"}`
	whole := "{" + user + "," + action + "," + record
	for name, c := range map[string]struct{ path, body, field string }{
		"nothing":               {searchSubject, ``, ""},
		"no object":             {searchSubject, `[]`, ""},
		"cut off":               {searchSubject, whole, ""},
		"twice":                 {searchSubject, whole + `,"page":{"limit":1,"limit":2}}`, "/page/limit"},
		"no subject":            {searchSubject, `{` + action + `,` + record + `}`, "/subject"},
		"subject is null":       {searchSubject, `{"subject":null,` + action + `,` + record + `}`, "/subject"},
		"subject is text":       {searchSubject, `{"subject":"user",` + action + `,` + record + `}`, "/subject"},
		"subject without type":  {searchSubject, `{"subject":{"id":"u1"},` + action + `,` + record + `}`, "/subject/type"},
		"no action":             {searchSubject, `{` + user + `,` + record + `}`, "/action/name"},
		"action without name":   {searchSubject, `{` + user + `,"action":{},` + record + `}`, "/action/name"},
		"properties are a list": {searchSubject, `{` + user + `,"action":{"name":"read","properties":[]},` + record + `}`, "/action/properties"},
		"no resource":           {searchSubject, `{` + user + `,` + action + `}`, "/resource"},
		"resource without id":   {searchSubject, `{` + user + `,` + action + `,"resource":{"type":"record"}}`, "/resource/id"},
		"subject without id":    {searchResource, whole + `}`, "/subject/id"},
		"agent without DID":     {searchResource, `{"subject":{"type":"agent","id":"bot"},` + action + `,` + record + `}`, "/subject/id"},
		"nobody's actions":      {searchAction, `{` + user + `,` + record + `}`, "/subject/id"},
		"page is a number":      {searchSubject, whole + `,"page":1}`, "/page"},
		"limit is negative":     {searchSubject, whole + `,"page":{"limit":-1}}`, "/page/limit"},
		"limit is no integer":   {searchSubject, whole + `,"page":{"limit":1.5}}`, "/page/limit"},
		"limit is text":         {searchSubject, whole + `,"page":{"limit":"1"}}`, "/page/limit"},
		"token is a number":     {searchSubject, whole + `,"page":{"token":1}}`, "/page/token"},
		"token is made up":      {searchSubject, whole + `,"page":{"token":"x"}}`, "/page/token"},
	} {
		t.Run(name, func(t *testing.T) { w.refused(w.do("POST", c.path, c.body, as(pep)), 400, "malformed", c.field) })
	}
	whole += "}"
	w.refused(w.do("POST", searchSubject, whole, as(pep), header("Content-Type", "text/plain")), 400, "malformed", "")
	w.refused(w.do("POST", searchSubject, strings.Repeat(" ", api.MaxBody)+whole, as(pep)), 413, "too-large", "")

	a := w.NewAgent(t, "a")
	for _, path := range []string{searchSubject, searchResource, searchAction} {
		w.refused(w.do("POST", path, whole), 401, "unauthenticated", "")
		w.refused(w.do("POST", path, whole, w.by(a)), 401, "unauthenticated", "")
		w.refused(w.do("POST", path, whole, as(w.Secret)), 403, "denied", "")
	}
}

// TestSearchTokens: a next_token is of one search by one enforcement point, shows
// nothing, and goes on with what was asked first.
func TestSearchTokens(t *testing.T) {
	w, pep := records(t)
	other := w.newPEP("other", "https://shop.example")
	body := func(change ...string) string {
		return strings.NewReplacer(change...).Replace(
			`{"subject":{"type":"user"},"action":{"name":"read"},"resource":{"type":"record","id":"r1"},"context":{"n":1},"page":{"limit":2}}`)
	}
	search := func(body string) (ids []any, next string) {
		t.Helper()
		r := w.do("POST", searchSubject, body, as(pep))
		if r.StatusCode != 200 || !strings.HasPrefix(string(r.body), `{"page":`) {
			t.Fatalf("%d %s", r.StatusCode, r.body)
		}
		v := r.json(t)
		for _, item := range v["results"].([]any) {
			ids = append(ids, item.(map[string]any)["id"])
		}
		page := v["page"].(map[string]any)
		if page["count"] != float64(len(ids)) || v["context"].(map[string]any)["pep_asserted"] != true {
			t.Errorf("%v", v)
		}
		return ids, page["next_token"].(string)
	}
	ids, next := search(body())
	if fmt.Sprint(ids) != "[u1 u2]" || next == "" {
		t.Fatalf("%v %q", ids, next)
	}
	if raw, err := base64.RawURLEncoding.DecodeString(next); err != nil || strings.Contains(string(raw), "u2") {
		t.Errorf("the token shows where it is: %q %v", raw, err)
	}
	token := `"page":{"token":"` + next + `"}`
	for _, again := range []string{ // the same, with or without the limit, in whatever order
		body(`"page":{"limit":2}`, token), body(`"page":{"limit":2}`, `"page":{"limit":2,"token":"`+next+`"}`),
		`{` + token + `, "context":{"n":1},"resource":{"id":"r1","type":"record"},"action":{"name":"read"},"subject":{"type":"user"},"later":true}`,
	} {
		ids, last := search(again)
		if fmt.Sprint(ids) != "[u3 u4]" {
			t.Fatalf("the second page: %v", ids)
		}
		if ids, end := search(body(`"page":{"limit":2}`, `"page":{"token":"`+last+`"}`)); fmt.Sprint(ids) != "[u5]" || end != "" {
			t.Errorf("the third page: %v %q", ids, end)
		}
	}
	if ids, next := search(body(`"limit":2`, `"limit":99999`)); len(ids) != 5 || next != "" {
		t.Errorf("all of them: %v %q", ids, next)
	}
	if ids, next := search(body(`"limit":2`, `"limit":0`)); len(ids) != 0 || next == "" {
		t.Errorf("none of them: %v %q", ids, next)
	}
	const at = `"page":{"limit":2}`
	for name, change := range map[string][]string{
		"another resource": {`"r1"`, `"r2"`}, "another context": {`"n":1`, `"n":2`}, "another number": {`"n":1`, `"n":1.0`}, "no context": {`"context":{"n":1},`, ``},
		"another type": {`"user"`, `"users"`}, "an id beside it": {`"type":"user"`, `"type":"user","id":"u1"`}, "arguments": {`"name":"read"`, `"name":"read","properties":{}`},
	} {
		t.Run(name, func(t *testing.T) {
			w.refused(w.do("POST", searchSubject, body(append(change, at, token)...), as(pep)), 400, "malformed", "/page/token")
		})
	}
	w.refused(w.do("POST", searchSubject, body(at, `"page":{"limit":3,"token":"`+next+`"}`), as(pep)), 400, "malformed", "/page/limit")
	w.refused(w.do("POST", searchSubject, body(at, token), as(other)), 400, "malformed", "/page/token")
	w.refused(w.do("POST", searchAction, body(at, token, `"type":"user"`, `"type":"user","id":"u1"`), as(pep)), 400, "malformed", "/page/token")
	w.refused(w.do("POST", searchSubject, body(at, `"page":{"token":"`+next[1:]+`"}`), as(pep)), 400, "malformed", "/page/token")
}

// TestSearchAgents: agents are found by their grants, and the answer says that nobody
// has proven anything; then the agent's own proof decides.
func TestSearchAgents(t *testing.T) {
	w, pep := records(t)
	a := w.NewAgent(t, "a")
	g := a.Grant(t, "read:record", func(n *registry.NewGrant) { n.Audience = []string{"https://erp.example"} })
	for path, c := range map[string]struct{ body, want string }{
		searchSubject:  {`{"subject":{"type":"agent"},"action":{"name":"read"},"resource":{"type":"record","id":"r1"}}`, `[{"type":"agent","id":"` + a.DID + `"}]`},
		searchResource: {`{"subject":{"type":"agent","id":"` + a.DID + `"},"action":{"name":"read"},"resource":{"type":"record"},"page":{"limit":1}}`, `[{"type":"record","id":"r1"}]`},
		searchAction:   {`{"subject":{"type":"agent","id":"` + a.DID + `"},"resource":{"type":"record","id":"r1"}}`, `[{"name":"read"}]`},
	} {
		r := w.do("POST", path, c.body, as(pep))
		if r.StatusCode != 200 || !strings.Contains(string(r.body), `"results":`+c.want) {
			t.Errorf("%s: %d %s", path, r.StatusCode, r.body)
		}
		if said := r.json(t)["context"].(map[string]any); said["possession"] != "not_proven" || said["pep_asserted"] != nil || said["policy_digest"] == "" {
			t.Errorf("%s: %v", path, said)
		}
	}
	if d := w.do("POST", evaluation, authzen(a.Ask(t, g, "read", "record", "r1", "")), as(pep)).json(t); d["decision"] != true {
		t.Errorf("what was found is not permitted: %v", d)
	}
	metrics := string(w.do("GET", "/metrics", nil).body)
	for _, line := range []string{`writ_search_candidates_total{for="subject",found="true"} 1`, `writ_search_candidates_total{for="action",found="false"} 0`} {
		if !strings.Contains(metrics, line) {
			t.Errorf("metrics do not have %s", line)
		}
	}
}

// TestSearchQuota: a search costs its caller as much as what it looks at.
func TestSearchQuota(t *testing.T) {
	w, pep := records(t, func(c *api.Config) { c.CallerBurst, c.CallerRate = 20, 1e-9 })
	var list []any
	for i := range 100 {
		list = append(list, map[string]any{"type": "guest", "id": fmt.Sprint(i)})
	}
	w.must("PUT", "/v1/orgs/operator/entities", map[string]any{"entities": list})
	const body = `{"subject":{"type":"guest"},"action":{"name":"read"},"resource":{"type":"record","id":"r1"}}`
	for range 2 { // 11 requests each
		if r := w.do("POST", searchSubject, body, as(pep)); r.StatusCode != 200 {
			t.Fatalf("%d %s", r.StatusCode, r.body)
		}
	}
	w.refused(w.do("POST", searchSubject, body, as(pep)), 429, "rate-limited", "")
}
