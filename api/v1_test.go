package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-registry/writ/anchor"
	"github.com/writ-registry/writ/api"
	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/journal"
	"github.com/writ-registry/writ/registry/registrytest"
)

// TestStory walks one org through everything that /v1 does.
func TestStory(t *testing.T) {
	w := open(t)
	who := w.must("GET", "/v1/whoami", nil)
	if who["kind"] != "principal" || who["org_name"] != registry.HouseOrg || fmt.Sprint(who["roles"]) != "[operator]" {
		t.Errorf("whoami: %v", who)
	}
	r := w.do("POST", "/v1/orgs", map[string]any{"name": "acme", "display_name": "Acme, Ltd."}, as(w.Secret))
	org := r.json(t)["org"].(map[string]any)
	if r.StatusCode != 201 || r.Header.Get("Location") != "/v1/orgs/"+org["id"].(string) {
		t.Errorf("create org: %d, Location %q", r.StatusCode, r.Header.Get("Location"))
	}
	if got := w.must("GET", "/v1/orgs/acme", nil); got["id"] != org["id"] {
		t.Errorf("org by name: %v", got)
	}
	owner := w.must("POST", "/v1/principals", map[string]any{"org": "acme", "roles": []string{"owner"}})
	secret := owner["secret"].(string)
	if who := w.do("GET", "/v1/whoami", nil, as(secret)).json(t); who["org"] != org["id"] {
		t.Errorf("the new owner: %v", who)
	}

	cat := w.do("PUT", "/v1/orgs/acme/catalogue", `{"actions":[{"action":"read:invoices","reversibility":"reversible"}]}`, as(secret)).json(t)
	if got := w.do("GET", "/v1/orgs/acme/catalogue", nil, as(secret)).json(t); cmp.Diff(cat["catalogue"], got["catalogue"]) != "" || cat["event"] == nil {
		t.Errorf("catalogue: activated %v, got %v", cat, got)
	}

	signer := registrytest.Key(7)
	agent := w.do("POST", "/v1/agents", map[string]any{
		"name": "invoice-agent", "purpose": "reads invoices", "authority_level": 2, "jwk": signer.Public().JWK(),
		"possession":  w.Possession(t, signer, "acme", "invoice-agent"),
		"composition": []any{map[string]any{"kind": "model", "name": "m", "digest": strings.Repeat("ab", 32), "source": "self"}},
	}, as(secret)).json(t)["agent"].(map[string]any)
	at := "/v1/agents/" + agent["id"].(string)
	byDID := w.do("GET", "/v1/agents/"+url.PathEscape(agent["did"].(string)), nil, as(secret))
	if byDID.StatusCode != 200 || byDID.json(t)["id"] != agent["id"] {
		t.Errorf("agent by DID: %d %s", byDID.StatusCode, byDID.body)
	}
	for _, step := range []struct{ verb, body, status string }{
		{"approve", "", "active"}, {"suspend", `{"reason":"drill"}`, "suspended"}, {"resume", `{}`, "active"},
	} {
		body := any(nil)
		if step.body != "" {
			body = step.body
		}
		got := w.do("POST", at+"/"+step.verb, body, as(secret)).json(t)
		if a := got["agent"].(map[string]any); a["status"] != step.status || got["event"] == nil {
			t.Errorf("%s: %v", step.verb, got)
		}
	}
	if again := w.do("POST", at+"/resume", nil, as(secret)); again.StatusCode != 200 || again.json(t)["event"] != nil {
		t.Errorf("resuming an active agent must change nothing: %s", again.body)
	}

	grant := w.do("POST", "/v1/grants", map[string]any{"agent": agent["did"], "capabilities": "read:invoices"}, as(secret)).json(t)["grant"].(map[string]any)
	if got := w.do("GET", "/v1/grants/"+grant["id"].(string), nil, as(secret)).json(t); cmp.Diff(got, grant) != "" {
		t.Errorf("grant: %s", cmp.Diff(got, grant))
	}
	scope := map[string]any{"scope": map[string]any{"kind": "agent", "id": agent["id"]}}
	if k := w.do("POST", "/v1/kill", scope, as(secret)).json(t); k["event"] == nil {
		t.Errorf("kill: %v", k)
	}
	if k := w.do("GET", "/v1/kill", nil, as(secret)).json(t); len(k["items"].([]any)) != 1 {
		t.Errorf("stops in force: %v", k)
	}
	if k := w.do("POST", "/v1/kill/release", scope, as(secret)).json(t); k["event"] == nil {
		t.Errorf("release: %v", k)
	}
	for range 2 { // ending what has ended changes nothing
		if r := w.do("POST", "/v1/grants/"+grant["id"].(string)+"/revoke", nil, as(secret)); r.json(t)["grant"].(map[string]any)["status"] != "revoked" {
			t.Errorf("revoke grant: %s", r.body)
		}
	}
	w.do("POST", at+"/revoke", nil, as(secret))
	w.refused(w.do("POST", at+"/resume", nil, as(secret)), 410, "revoked", "")

	var types []string
	for _, e := range w.do("GET", "/v1/events", nil, as(secret)).json(t)["items"].([]any) {
		types = append(types, e.(map[string]any)["type"].(string))
	}
	want := []string{"org.created", "principal.created", "catalogue.activated", "agent.requested", "agent.approved", "agent.suspended",
		"agent.resumed", "grant.issued", "kill.set", "kill.released", "grant.revoked", "agent.revoked"}
	if diff := cmp.Diff(want, types); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// TestStrictJSON: every body passes one scanner, and the answer says where.
func TestStrictJSON(t *testing.T) {
	w := open(t)
	deep := `{"name":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`
	cases := map[string]struct{ body, field, detail string }{
		"duplicate name":      {`{"name":"a","name":"b"}`, "/name", "byte 12"},
		"duplicate, nested":   {`{"name":{"x":1,"x":2}}`, "/name/x", "byte 15"},
		"folded case":         {`{"name":"a","NAME":"b"}`, "/NAME", "unexpected property (byte 19)"},
		"unknown member":      {`{"name":"a","more":1}`, "/more", "byte 19"},
		"dotted member":       {`{"name":"a","a.b":1}`, "/a.b", "byte 18"},
		"too deep":            {deep, strings.Repeat("/0", 31), "deeper"},
		"lone surrogate":      {`{"name":"\ud800"}`, "/name", "byte"},
		"invalid UTF-8":       {"{\"name\":\"\xff\"}", "/name", "byte"},
		"number too precise":  {`{"name":9007199254740993}`, "/name", "double"},
		"wrong type":          {`{"name":1}`, "/name", "expected string (byte 8)"},
		"null":                {`{"name":null}`, "/name", "expected string"},
		"missing member":      {`{"display_name":"A"}`, "/name", "is required"},
		"bad name":            {`{"name":"A b"}`, "/name", "must be"},
		"direction character": {`{"name":"a","display_name":"\u202e"}`, "/display_name", "character"},
		"text after":          {`{"name":"a"} {}`, "", "after"},
		"cut off":             {`{"name":"a"`, "", "EOF (byte 11)"},
		"no object":           {`[]`, "", "expected object"},
		"no body":             {``, "", "required"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			field := c.field
			if name == "too deep" {
				field = "/name" + field
			}
			p := w.refused(w.do("POST", "/v1/orgs", c.body, as(w.Secret)), 400, "malformed", field)
			if detail, _ := p["detail"].(string); !strings.Contains(detail, c.detail) {
				t.Errorf("detail %q does not say %q", detail, c.detail)
			}
		})
	}
	t.Run("several faults", func(t *testing.T) {
		p := w.refused(w.do("POST", "/v1/kill", `{"scope":{"kind":"x","more":1}}`, as(w.Secret)), 400, "malformed", "/scope/kind")
		if errs, _ := p["errors"].([]any); len(errs) != 2 {
			t.Errorf("errors: %v", p["errors"])
		}
	})
	t.Run("values are not echoed", func(t *testing.T) {
		r := w.do("POST", "/v1/orgs", `{"name":{"very-secret-value":"very-secret-value"}}`, as(w.Secret))
		if w.refused(r, 400, "malformed", "/name"); bytes.Contains(r.body, []byte("very-secret-value")) {
			t.Errorf("%s", r.body)
		}
	})
	t.Run("an integer in another spelling", func(t *testing.T) {
		w.refused(w.do("POST", "/v1/agents", `{"name":"a","authority_level":1e0,"jwk":{"kty":"","crv":"","x":""},"possession":"x"}`, as(w.Secret)), 400, "malformed", "/authority_level")
	})
	t.Run("not JSON", func(t *testing.T) {
		w.refused(w.do("POST", "/v1/orgs", `name=a`, as(w.Secret), header("Content-Type", "application/x-www-form-urlencoded")), 415, "unsupported-media-type", "")
		w.refused(w.do("POST", "/v1/orgs", `{}`, as(w.Secret), header("Content-Type", "application/json; charset=latin1")), 415, "unsupported-media-type", "")
		w.refused(w.do("POST", "/v1/orgs", `{}`, as(w.Secret), header("Content-Encoding", "gzip")), 415, "unsupported-media-type", "")
		w.refused(w.do("POST", "/v1/orgs", `{"name":`, as(w.Secret)), 400, "malformed", "/name")
	})
	if n := len(w.must("GET", "/v1/orgs", nil)["items"].([]any)); n != 1 {
		t.Errorf("%d orgs after refused requests only", n)
	}
}

// TestMalformedValues: DIDs, keys, capabilities, CIDs and cursors are refused
// with the member and the place in it.
func TestMalformedValues(t *testing.T) {
	w := open(t)
	a := w.NewAgent(t, "a")
	key := a.Signer.Public().JWK()
	agent := func(jwk any, possession string) map[string]any {
		return map[string]any{"name": "b", "jwk": jwk, "possession": possession}
	}
	get := func(path string) reply { return w.do("GET", path, nil, as(w.Secret)) }
	cases := map[string]struct {
		r              reply
		field, pattern string
	}{
		"DID in the path":      {get("/v1/agents/did:web:exa_mple.org"), "/agent", "character 12"},
		"neither id nor DID":   {get("/v1/agents/x"), "/agent", "character 1"},
		"DID in the query":     {get("/v1/grants?agent=did:web:"), "/agent", "character"},
		"escape":               {get("/v1/agents/did%3Aweb%3Aexample.org%253a1"), "/agent", "character"},
		"capability":           {w.do("POST", "/v1/grants", map[string]any{"agent": a.ID, "capabilities": "read:invoices; create shipment"}, as(w.Secret)), "/capabilities", "22"},
		"JWK of another kind":  {w.do("POST", "/v1/agents", agent(map[string]any{"kty": "RSA", "crv": "", "x": key.X}, "x"), as(w.Secret)), "/jwk", "Ed25519"},
		"JWK of another shape": {w.do("POST", "/v1/agents", agent(map[string]any{"kty": "OKP", "crv": "Ed25519", "x": 7}, "x"), as(w.Secret)), "/jwk/x", "expected string"},
		"private JWK":          {w.do("POST", "/v1/agents", agent(map[string]any{"kty": "OKP", "crv": "Ed25519", "x": key.X, "d": key.X}, "x"), as(w.Secret)), "/jwk", "private"},
		"JWK of small order":   {w.do("POST", "/v1/agents", agent(map[string]any{"kty": "OKP", "crv": "Ed25519", "x": strings.Repeat("A", 43)}, "x"), as(w.Secret)), "/jwk", ""},
		"id":                   {get("/v1/grants/AB"), "/id", "UUID"},
		"CID":                  {get("/v1/events/bafk"), "/cid", "CID"},
		"CID of another codec": {get("/v1/events/bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"), "/cid", "raw"},
		"cursor, no base64":    {get("/v1/agents?cursor=ab.d"), "/cursor", "character 3"},
		"cursor, no JSON":      {get("/v1/agents?cursor=abcd"), "/cursor", "gave out"},
		"limit":                {get("/v1/agents?limit=1001"), "/limit", "1000"},
		"limit zero":           {get("/v1/agents?limit=0"), "/limit", ""},
		"limit word":           {get("/v1/agents?limit=ten"), "/limit", "integer"},
		"limit twice":          {get("/v1/agents?limit=1&limit=2"), "/limit", "more than once"},
		"unknown parameter":    {get("/v1/agents?page=2"), "/page", "unknown"},
		"query string":         {get("/v1/agents?a;b"), "", "query"},
		"status":               {get("/v1/agents?status=dead"), "/status", "one of"},
		"order":                {get("/v1/events?order=up"), "/order", "one of"},
		"key header":           {w.do("POST", "/v1/orgs", `{"name":"x"}`, as(w.Secret), header("Idempotency-Key", strings.Repeat("k", 256))), "", "255"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			p := w.refused(c.r, 400, "malformed", c.field)
			if detail, _ := p["detail"].(string); !strings.Contains(detail, c.pattern) {
				t.Errorf("detail %q does not say %q", detail, c.pattern)
			}
		})
	}
	t.Run("possession", func(t *testing.T) {
		other, err := jose.GenerateEd25519()
		if err != nil {
			t.Fatal(err)
		}
		for name, pop := range map[string]string{
			"malformed": "x", "signature": w.Possession(t, other, registry.HouseOrg, "b"), "wrong_act": w.Possession(t, a.Signer, registry.HouseOrg, "c"),
		} {
			if p := w.refused(w.do("POST", "/v1/agents", agent(key, pop), as(w.Secret)), 401, "unauthenticated", "/possession"); p["code"] != name {
				t.Errorf("code %v, want %s", p["code"], name)
			}
		}
		taken := w.do("POST", "/v1/agents", agent(key, w.Possession(t, a.Signer, registry.HouseOrg, "b")), as(w.Secret))
		if p := w.refused(taken, 409, "conflict", "/jwk"); p["code"] != "key_taken" {
			t.Errorf("code %v", p["code"])
		}
	})
}

func TestLimits(t *testing.T) {
	w := open(t)
	body := func(n int) string {
		const frame = `{"name":"a","display_name":""}`
		return strings.Replace(frame, `""`, `"`+strings.Repeat("x", n-len(frame))+`"`, 1)
	}
	w.refused(w.do("POST", "/v1/orgs", body(api.MaxBody), as(w.Secret)), 413, "too-large", "/display_name") // read, and the name is too long
	w.refused(w.do("POST", "/v1/orgs", body(api.MaxBody+1), as(w.Secret)), 413, "too-large", "")
	w.refused(w.do("POST", "/v1/orgs", body(api.MaxBody+1)), 413, "too-large", "") // before the caller is asked for
	chunked := func(r *http.Request) { r.ContentLength = -1 }
	w.refused(w.do("POST", "/v1/orgs", body(api.MaxBody+1), as(w.Secret), chunked), 413, "too-large", "")
	w.refused(w.do("POST", "/access/v1/evaluation", body(api.MaxBody+1), chunked), 413, "too-large", "")
	w.refused(w.do("POST", "/v1/orgs", `{"name":`), 401, "unauthenticated", "") // never the body of an unknown caller
}

func TestAuthentication(t *testing.T) {
	w := open(t)
	pep := w.newPEP("gate", "https://erp.example")
	code := func(r reply, status int, want string) {
		t.Helper()
		kind := map[int]string{401: "unauthenticated", 403: "denied"}[status]
		if p := w.refused(r, status, kind, ""); want != "" && p["code"] != want {
			t.Errorf("code %v, want %s", p["code"], want)
		}
		if status == 401 && !strings.HasPrefix(r.Header.Get("WWW-Authenticate"), "Bearer ") {
			t.Errorf("WWW-Authenticate: %q", r.Header.Get("WWW-Authenticate"))
		}
	}
	code(w.do("GET", "/v1/whoami", nil), 401, "missing_credential")
	code(w.do("GET", "/v1/whoami", nil, as("writ_principal_x")), 401, "unknown_credential")
	code(w.do("GET", "/v1/whoami", nil, header("Authorization", "Basic eDp5")), 401, "malformed_credential")
	code(w.do("GET", "/v1/whoami", nil, header("Authorization", "Bearer a b")), 401, "malformed_credential")
	code(w.do("GET", "/v1/whoami", nil, as(w.Secret), func(r *http.Request) { r.Header.Add("Authorization", "Bearer x") }), 401, "malformed_credential")
	if who := w.do("GET", "/v1/whoami", nil, as(pep)).json(t); who["kind"] != "pep" || who["roles"] == nil {
		t.Errorf("whoami of an enforcement point: %v", who)
	}
	code(w.do("GET", "/v1/agents", nil, as(pep)), 403, "")
	code(w.do("POST", "/v1/orgs", `{"name":"x"}`, as(pep)), 403, "")
	code(w.do("POST", "/access/v1/evaluation", `{}`, as(w.Secret)), 403, "")
	if strings.Contains(w.logs.String(), "writ_p") {
		t.Error("a credential is in the log")
	}
}

// TestFailureBudget: failures of one address are bounded, and successes wait
// with them; time heals it.
func TestFailureBudget(t *testing.T) {
	w := open(t, func(c *api.Config) { c.FailureBurst, c.FailureRate = 3, 0.5 })
	for range 3 {
		w.refused(w.do("GET", "/v1/whoami", nil, as("wrong")), 401, "unauthenticated", "")
	}
	for _, r := range []reply{
		w.do("GET", "/v1/whoami", nil, as("wrong")), w.do("GET", "/v1/whoami", nil, as(w.Secret)), w.do("POST", "/access/v1/evaluation", `{}`),
	} {
		w.refused(r, 429, "rate-limited", "")
		if r.Header.Get("Retry-After") != "2" {
			t.Errorf("Retry-After %q", r.Header.Get("Retry-After"))
		}
	}
	w.Clock.Add(2e9)
	w.must("GET", "/v1/whoami", nil)
}

// TestTenancy: what is of another org answers exactly as what is not.
func TestTenancy(t *testing.T) {
	w := open(t)
	a := w.NewAgent(t, "a")
	g := a.Grant(t, "read:invoices")
	events := w.must("GET", "/v1/events?agent="+a.ID, nil)["items"].([]any)
	cid := events[0].(map[string]any)["cid"].(string)
	foreign := w.tenant()

	unknown := registry.NewID()
	noCID := journal.CID([]byte("nobody recorded this")).String()
	kill := func(kind, id string) map[string]any {
		return map[string]any{"scope": map[string]any{"kind": kind, "id": id}}
	}
	grant := func(agent string) map[string]any {
		return map[string]any{"agent": agent, "capabilities": "read:invoices"}
	}
	for _, c := range []struct {
		method, mine, nobodys string
		body, nobody          any
	}{
		{"GET", "/v1/agents/" + a.ID, "/v1/agents/" + unknown, nil, nil},
		{"GET", "/v1/agents/" + url.PathEscape(a.DID), "/v1/agents/" + url.PathEscape(strings.Replace(a.DID, a.ID, unknown, 1)), nil, nil},
		{"GET", "/v1/agents/" + url.PathEscape(a.WebDID), "/v1/agents/" + unknown, nil, nil},
		{"POST", "/v1/agents/" + a.ID + "/revoke", "/v1/agents/" + unknown + "/revoke", nil, nil},
		{"GET", "/v1/grants/" + g.ID, "/v1/grants/" + unknown, nil, nil},
		{"POST", "/v1/grants/" + g.ID + "/revoke", "/v1/grants/" + unknown + "/revoke", nil, nil},
		{"GET", "/v1/events/" + cid, "/v1/events/" + noCID, nil, nil},
		{"GET", "/v1/events/" + cid + "/receipt", "/v1/events/" + noCID + "/receipt", nil, nil},
		{"GET", "/v1/orgs/" + a.Org, "/v1/orgs/" + unknown, nil, nil},
		{"GET", "/v1/orgs/" + registry.HouseOrg, "/v1/orgs/nobody", nil, nil},
		{"GET", "/v1/orgs/" + a.Org + "/catalogue", "/v1/orgs/" + unknown + "/catalogue", nil, nil},
		{"PUT", "/v1/orgs/" + a.Org + "/catalogue", "/v1/orgs/" + unknown + "/catalogue", `{"actions":[]}`, `{"actions":[]}`},
		{"GET", "/v1/agents?org=" + a.Org, "/v1/agents?org=" + unknown, nil, nil},
		{"GET", "/v1/principals?org=" + a.Org, "/v1/principals?org=" + unknown, nil, nil},
		{"GET", "/v1/peps?org=" + a.Org, "/v1/peps?org=" + unknown, nil, nil},
		{"GET", "/v1/events?org=" + a.Org, "/v1/events?org=" + unknown, nil, nil},
		{"GET", "/v1/events?agent=" + a.ID, "/v1/events?agent=" + unknown, nil, nil},
		{"GET", "/v1/grants?agent=" + a.ID, "/v1/grants?agent=" + unknown, nil, nil},
		{"POST", "/v1/kill", "/v1/kill", kill("agent", a.ID), kill("agent", unknown)},
		{"POST", "/v1/kill", "/v1/kill", kill("org", a.Org), kill("org", unknown)},
		{"POST", "/v1/kill", "/v1/kill", kill("grant", g.ID), kill("grant", unknown)},
		{"POST", "/v1/grants", "/v1/grants", grant(a.ID), grant(unknown)},
		{"POST", "/v1/principals", "/v1/principals", map[string]any{"org": a.Org, "roles": []string{"owner"}}, map[string]any{"org": unknown, "roles": []string{"owner"}}},
	} {
		t.Run(c.method+" "+strings.ReplaceAll(c.mine, "/", " "), func(t *testing.T) {
			got, want := w.do(c.method, c.mine, c.body, as(foreign)), w.do(c.method, c.nobodys, c.nobody, as(foreign))
			gotBody, wantBody := got.json(t), want.json(t)
			delete(gotBody, "instance")
			delete(wantBody, "instance")
			if got.StatusCode != 404 || cmp.Diff(wantBody, gotBody) != "" {
				t.Errorf("foreign %d %s\nunknown %d %s", got.StatusCode, got.body, want.StatusCode, want.body)
			}
		})
	}
	if n := len(w.do("GET", "/v1/orgs", nil, as(foreign)).json(t)["items"].([]any)); n != 1 {
		t.Errorf("a tenant sees %d orgs", n)
	}
	for _, e := range w.do("GET", "/v1/events", nil, as(foreign)).json(t)["items"].([]any) {
		if e.(map[string]any)["org"] == a.Org {
			t.Errorf("a tenant sees a foreign event: %v", e)
		}
	}
}

// TestPaging: pages are stable, neither repeat nor skip, and end.
func TestPaging(t *testing.T) {
	w := open(t)
	var want []string
	for i := range 6 {
		want = append(want, w.NewAgent(t, fmt.Sprintf("agent-%d", i)).ID)
	}
	walk := func(path string, id func(map[string]any) string) (ids []string, pages int) {
		next := ""
		for {
			page := w.must("GET", path+next, nil)
			pages++
			for _, it := range page["items"].([]any) {
				ids = append(ids, id(it.(map[string]any)))
			}
			cursor, more := page["next"].(string)
			if !more {
				return ids, pages
			}
			next = "&cursor=" + cursor
		}
	}
	byID := func(m map[string]any) string { return m["id"].(string) }
	byIndex := func(m map[string]any) string { return fmt.Sprint(m["index"]) }
	for limit, pages := range map[int]int{1: 6, 2: 3, 4: 2, 6: 1, 1000: 1} {
		got, n := walk(fmt.Sprintf("/v1/agents?limit=%d", limit), byID)
		if diff := cmp.Diff(want, got); diff != "" || n != pages {
			t.Errorf("limit %d: %d pages, want %d\n%s", limit, n, pages, diff)
		}
	}
	oldest, _ := walk("/v1/events?limit=5", byIndex)
	newest, _ := walk("/v1/events?limit=5&order=newest", byIndex)
	if slices.Reverse(newest); len(oldest) != 13 || cmp.Diff(oldest, newest) != "" {
		t.Errorf("events: %v and reversed %v", oldest, newest)
	}
	cursor := w.must("GET", "/v1/agents?limit=1", nil)["next"].(string)
	w.refused(w.do("GET", "/v1/grants?cursor="+cursor, nil, as(w.Secret)), 400, "malformed", "/cursor")
	w.refused(w.do("GET", "/v1/agents?cursor="+cursor+"=", nil, as(w.Secret)), 400, "malformed", "/cursor")
	if page := w.must("GET", "/v1/grants", nil); len(page["items"].([]any)) != 0 || page["next"] != nil {
		t.Errorf("an empty list: %v", page)
	}
}

func TestIdempotency(t *testing.T) {
	w := open(t)
	owner := w.tenant()
	key := header("Idempotency-Key", "a key")
	body := `{"name":"gate","resources":["https://erp.example"]}`
	first := w.do("POST", "/v1/peps", body, as(w.Secret), key)
	again := w.do("POST", "/v1/peps", `{ "resources":["https://erp.example"], "name":"gate" }`, as(w.Secret), key) // the same request, written otherwise
	if first.StatusCode != 201 || again.StatusCode != 201 || first.Header.Get("Idempotency-Replayed") != "" || again.Header.Get("Idempotency-Replayed") != "true" {
		t.Fatalf("%d %q, %d %q", first.StatusCode, first.Header.Get("Idempotency-Replayed"), again.StatusCode, again.Header.Get("Idempotency-Replayed"))
	}
	a, b := first.json(t), again.json(t)
	if a["secret"] == nil || b["secret"] != nil {
		t.Errorf("a secret is shown once: %v, %v", a["secret"], b["secret"])
	}
	delete(a, "secret")
	if diff := cmp.Diff(a, b); diff != "" {
		t.Errorf("replay (-first +again):\n%s", diff)
	}
	w.refused(w.do("POST", "/v1/peps", `{"name":"other","resources":["https://erp.example"]}`, as(w.Secret), key), 422, "key-reuse", "")
	// Another caller's key, and another operation's, are other keys.
	if r := w.do("POST", "/v1/peps", strings.Replace(body, "erp", "acme", 1), as(owner), key); r.StatusCode != 201 || r.Header.Get("Idempotency-Replayed") != "" {
		t.Errorf("another caller: %d %s", r.StatusCode, r.body)
	}
	if r := w.do("POST", "/v1/orgs", `{"name":"b"}`, as(w.Secret), key); r.StatusCode != 201 || r.Header.Get("Idempotency-Replayed") != "" {
		t.Errorf("another operation: %d %s", r.StatusCode, r.body)
	}
	// A refused request leaves its key free.
	free := header("Idempotency-Key", "free")
	w.refused(w.do("POST", "/v1/orgs", `{"name":"b"}`, as(w.Secret), free), 409, "conflict", "")
	if r := w.do("POST", "/v1/orgs", `{"name":"c"}`, as(w.Secret), free); r.StatusCode != 201 {
		t.Errorf("after a refusal: %d %s", r.StatusCode, r.body)
	}
	if n := len(w.must("GET", "/v1/peps", nil)["items"].([]any)); n != 1 {
		t.Errorf("%d enforcement points", n)
	}
	// Authentication comes first: a key opens nothing.
	w.refused(w.do("POST", "/v1/peps", body, key), 401, "unauthenticated", "")
}

// broken fails where a test wants it to.
type broken struct {
	registry.Store
	err error
}

func (b broken) View(_ context.Context, f func(registry.Tx) error) error { return b.err }

// TestInternal: what no table knows is a 500 that says nothing, and the
// operator's log says it once.
func TestInternal(t *testing.T) {
	w := open(t, func(c *api.Config) {
		r := *c.Registry
		r.Store = broken{r.Store, errors.New("disk on fire at sector 7")}
		c.Registry = &r
	})
	r := w.do("GET", "/v1/whoami", nil, as(w.Secret))
	if w.refused(r, 500, "internal", ""); bytes.Contains(r.body, []byte("fire")) || strings.Count(w.logs.String(), "sector 7") != 1 {
		t.Errorf("%s\nlog: %s", r.body, w.logs.String())
	}
	w = open(t, func(c *api.Config) {
		r := *c.Registry
		r.Store = broken{r.Store, &registry.Error{Kind: registry.Unavailable, Detail: "the database did not answer", Err: errors.New("locked")}}
		c.Registry = &r
	})
	r = w.do("GET", "/v1/whoami", nil, as(w.Secret))
	if w.refused(r, 503, "unavailable", ""); r.Header.Get("Retry-After") == "" || bytes.Contains(r.body, []byte("locked")) || !strings.Contains(w.logs.String(), "locked") {
		t.Errorf("%s %v\nlog: %s", r.body, r.Header, w.logs.String())
	}
}

// TestPanic: a broken invariant is a 500 for one caller, and the server goes on.
func TestPanic(t *testing.T) {
	w := open(t, func(c *api.Config) {
		c.Anchors = func(context.Context, int64, int) ([]anchor.AttemptRecord, error) { panic("invariant 7 is broken") }
	})
	r := w.do("GET", "/v1/anchors", nil, as(w.Secret))
	if w.refused(r, 500, "internal", ""); bytes.Contains(r.body, []byte("invariant")) || strings.Count(w.logs.String(), "invariant 7") != 1 {
		t.Errorf("%s\nlog: %s", r.body, w.logs.String())
	}
	w.must("GET", "/v1/whoami", nil)
}

// TestArtifactBytes: the artifact in an answer is the recorded bytes.
func TestArtifactBytes(t *testing.T) {
	w := open(t)
	r := w.do("GET", "/v1/events", nil, as(w.Secret))
	var list struct {
		Items []struct {
			CID      string          `json:"cid"`
			Artifact json.RawMessage `json:"artifact"`
		} `json:"items"`
	}
	if err := json.Unmarshal(r.body, &list); err != nil || len(list.Items) == 0 {
		t.Fatalf("%v %s", err, r.body)
	}
	for _, e := range list.Items {
		if got := journal.CID(e.Artifact).String(); got != e.CID {
			t.Errorf("artifact of %s hashes to %s", e.CID, got)
		}
	}
}
