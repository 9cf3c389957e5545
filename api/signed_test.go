package api_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/writ-registry/writ/internal/httpsig"
	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/registrytest"
)

// signed signs a request as an agent.
func (w *world) signed(key jose.Signer, keyID string) request {
	return func(r *http.Request) {
		var body []byte
		if r.GetBody != nil {
			in, err := r.GetBody()
			if err == nil {
				body, err = io.ReadAll(in)
			}
			if err != nil {
				w.t.Fatal(err)
			}
		}
		if err := httpsig.SignRequest(r, registrytest.Origin, body, key, keyID, w.Clock.Now()); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) by(a *registrytest.Agent) request { return w.signed(a.Signer, a.KeyID) }

// again sends the signature of an earlier request.
func again(r reply) request {
	return func(to *http.Request) {
		for _, name := range []string{"Signature", "Signature-Input", "Content-Digest"} {
			to.Header[name] = r.Request.Header[name]
		}
	}
}

// TestSignedCalls: an agent knows itself, has a child and rotates its key by its own
// signature, and does nothing else.
func TestSignedCalls(t *testing.T) {
	w := open(t)
	a := w.NewAgent(t, "parent", func(in *registry.NewAgent) { in.Spawn = registry.Spawn{Depth: 1, Max: 2} })
	other := w.NewAgent(t, "other")
	g, foreign := a.Grant(t, "read:x"), other.Grant(t, "read:x")
	get := func(path string) map[string]any {
		t.Helper()
		r := w.do("GET", path, nil, w.by(a))
		if r.StatusCode != 200 {
			t.Fatalf("%s: %d %s", path, r.StatusCode, r.body)
		}
		return r.json(t)
	}
	if who := get("/v1/whoami"); who["kind"] != "agent" || who["id"] != a.ID {
		t.Errorf("whoami: %v", who)
	}
	childKey := registrytest.Key(9)
	child := map[string]any{"name": "child", "jwk": childKey.Public().JWK(), "possession": w.Possession(t, childKey, registry.HouseOrg, "child")}
	r := w.do("POST", "/v1/agents", child, w.by(a))
	if r.StatusCode != 201 {
		t.Fatalf("child: %d %s", r.StatusCode, r.body)
	}
	if p := w.refused(w.do("POST", "/v1/agents", child, again(r)), 401, "unauthenticated", ""); p["code"] != "replayed" {
		t.Errorf("the same signature again: %v", p)
	}
	childID := r.json(t)["agent"].(map[string]any)["id"].(string)
	if items := get("/v1/agents")["items"].([]any); len(items) != 1 || items[0].(map[string]any)["id"] != childID {
		t.Errorf("an agent lists its children: %v", items)
	}
	get("/v1/agents/" + a.ID)
	get("/v1/agents/" + childID)
	get("/v1/agents/" + a.ID + "/keys")
	if items := get("/v1/grants")["items"].([]any); len(items) != 1 || items[0].(map[string]any)["id"] != g.ID {
		t.Errorf("an agent lists its grants: %v", items)
	}
	get("/v1/grants/" + g.ID)
	if items := get("/v1/events")["items"].([]any); len(items) == 0 {
		t.Error("an agent lists no events of its own")
	}
	for path, status := range map[string]int{
		"/v1/agents/" + other.ID: 404, "/v1/agents/" + other.ID + "/keys": 404, "/v1/grants/" + foreign.ID: 403, "/v1/grants?agent=" + other.ID: 404,
		"/v1/agents?parent=" + other.ID: 403, "/v1/events?agent=" + other.ID: 403, "/v1/orgs": 403, "/v1/peps": 403, "/v1/principals": 403, "/v1/kill": 403, "/v1/agents/export": 403,
	} {
		if r := w.do("GET", path, nil, w.by(a)); r.StatusCode != status {
			t.Errorf("GET %s: %d %s, want %d", path, r.StatusCode, r.body, status)
		}
	}
	for _, path := range []string{"/v1/grants", "/v1/kill", "/v1/agents/" + a.ID + "/approve", "/v1/verify"} {
		w.refused(w.do("POST", path, "{}", w.by(a)), 403, "denied", "")
	}

	next := registrytest.Key(10)
	r = w.do("POST", "/v1/agents/"+a.ID+"/keys", map[string]any{"jwk": next.Public().JWK(), "possession": w.Possession(t, next, registry.HouseOrg, "parent"), "overlap": 0}, w.by(a))
	if r.StatusCode != 201 {
		t.Fatalf("rotate: %d %s", r.StatusCode, r.body)
	}
	w.refused(w.do("GET", "/v1/whoami", nil, w.by(a)), 401, "unauthenticated", "")
	keyID := r.json(t)["agent"].(map[string]any)["key_id"].(string)
	if r := w.do("GET", "/v1/whoami", nil, w.signed(next, keyID)); r.StatusCode != 200 {
		t.Errorf("with the new key: %d %s", r.StatusCode, r.body)
	}
}

// TestSignedCallsRefused: what a signature does not prove, it does not open.
func TestSignedCallsRefused(t *testing.T) {
	w := open(t)
	a, b := w.NewAgent(t, "a"), w.NewAgent(t, "b")
	const path = "/v1/whoami"
	good := w.do("GET", path, nil, w.by(a))
	if good.StatusCode != 200 {
		t.Fatalf("%d %s", good.StatusCode, good.body)
	}
	for name, c := range map[string]struct {
		method string
		body   any
		change []request
		status int
		code   string
	}{
		"replay":              {"GET", nil, []request{again(good)}, 401, "replayed"},
		"both credentials":    {"GET", nil, []request{w.by(a), as(w.Secret)}, 400, "two_credentials"},
		"another's key":       {"GET", nil, []request{w.signed(b.Signer, a.KeyID)}, 401, "signature"},
		"a key of no agent":   {"GET", nil, []request{w.signed(a.Signer, a.DID+"#z6Mk")}, 401, "unknown_key"},
		"a DID of nobody":     {"GET", nil, []request{w.signed(a.Signer, "did:web:example.com#z6Mk")}, 401, "unknown_key"},
		"another method":      {"POST", "{}", []request{func(r *http.Request) { r.Method = "GET"; w.by(a)(r); r.Method = "POST" }}, 401, "signature"},
		"another body":        {"POST", `{"name":"c"}`, []request{w.by(a), func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(strings.NewReader(`{"name":"d"}`)), 12 }}, 401, "wrong_digest"},
		"another path":        {"GET", nil, []request{w.by(a), func(r *http.Request) { r.URL.Path = "/v1/agents" }}, 401, "signature"},
		"signed too long ago": {"GET", nil, []request{func(r *http.Request) { w.Clock.Add(-time.Minute); w.by(a)(r); w.Clock.Add(time.Minute) }}, 401, "stale"},
		"garbage":             {"GET", nil, []request{header("Signature-Input", "x"), header("Signature", "y")}, 401, "malformed"},
	} {
		at := path
		if c.body != nil {
			at = "/v1/agents"
		}
		r := w.do(c.method, at, c.body, c.change...)
		var p struct{ Code string }
		_ = json.Unmarshal(r.body, &p) // a body that is not JSON has no code
		if r.StatusCode != c.status || p.Code != c.code {
			t.Errorf("%s: %d %s, want %d %s", name, r.StatusCode, r.body, c.status, c.code)
		}
	}
	if _, err := w.SuspendAgent(t.Context(), w.Call(), a.ID, ""); err != nil {
		t.Fatal(err)
	}
	if p := w.refused(w.do("GET", path, nil, w.by(a)), 403, "denied", ""); p["code"] != "agent_suspended" {
		t.Errorf("suspended: %v", p)
	}
}

// TestKeyDirectories: the registry's keys are listed and prove themselves, an
// agent's are listed.
func TestKeyDirectories(t *testing.T) {
	w := open(t)
	a := w.NewAgent(t, "a")
	keys := func(r reply) []any { return r.json(t)["keys"].([]any) }
	r := w.do("GET", httpsig.DirectoryPath, nil)
	if r.StatusCode != 200 || len(keys(r)) != 3 || len(r.Header.Values("Signature")) != 3 || r.Header.Get("Content-Type") != httpsig.DirectoryType {
		t.Errorf("registry: %d %s %v", r.StatusCode, r.body, r.Header)
	}
	m := &httpsig.Message{Status: 200, Header: r.Header, Request: &httpsig.Message{Method: "GET", Origin: registrytest.Origin, Target: httpsig.DirectoryPath}}
	sig, err := httpsig.Parse(m, httpsig.Policy{Label: "key0", Tag: httpsig.DirectoryTag, Require: []string{"@authority;req", "content-digest"}, Now: w.Clock.Now()})
	if err == nil {
		err = sig.Verify(w.TokenKey.Public(), r.body)
	}
	if err != nil {
		t.Errorf("the directory does not prove the token key: %v", err)
	}
	at := "/agents/" + a.ID + "/http-message-signatures-directory"
	if r := w.do("GET", at, nil); r.StatusCode != 200 || len(keys(r)) != 1 || keys(r)[0].(map[string]any)["kid"] != a.Thumbprint || r.Header.Get("Signature") != "" {
		t.Errorf("agent: %d %s", r.StatusCode, r.body)
	}
	if _, err := w.RevokeAgent(t.Context(), w.Call(), a.ID, ""); err != nil {
		t.Fatal(err)
	}
	if r := w.do("GET", at, nil); len(keys(r)) != 0 {
		t.Errorf("revoked agent: %s", r.body)
	}
}
