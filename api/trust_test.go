package api_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/registrytest"
)

// TestTrustRoutes: an entry is added, shown, published and removed.
func TestTrustRoutes(t *testing.T) {
	w := open(t)
	owner := w.tenant()
	body := map[string]any{
		"issuer": "did:web:friend.example", "token_keys": []string{registrytest.Key(1).Public().Multikey()}, "log_key": registrytest.LogKey(t, "friend.example/log", 1),
		"audiences": []string{"https://erp.example"}, "capabilities": "read:invoices", "public": true,
	}
	r := w.do("POST", "/v1/trust", body, as(owner))
	added := r.json(t)
	entry := added["trust"].(map[string]any)
	at := "/v1/trust/" + entry["id"].(string)
	if r.StatusCode != 201 || r.Header.Get("Location") != at || added["event"] == nil || entry["max_age"] != 60.0 {
		t.Fatalf("%d %s", r.StatusCode, r.body)
	}
	w.refused(w.do("POST", "/v1/trust", body, as(owner)), 409, "conflict", "/issuer")
	if got := w.do("GET", at, nil, as(owner)).json(t); cmp.Diff(entry, got) != "" {
		t.Error(cmp.Diff(entry, got))
	}
	list := w.do("GET", "/.well-known/writ-trust", nil)
	if list.Header.Get("Content-Type") != "application/trust-list+jwt" || !strings.Contains(list.Header.Get("Cache-Control"), "public") {
		t.Errorf("headers %v", list.Header)
	}
	if got := published(t, w, list.body); len(got.Entries) != 1 || got.Entries[0].Issuer != "did:web:friend.example" {
		t.Errorf("published %+v", got)
	}
	if r := w.do("DELETE", at+"?reason=over", nil, as(owner)); r.StatusCode != 200 || r.json(t)["event"] == nil {
		t.Errorf("remove: %d %s", r.StatusCode, r.body)
	}
	w.refused(w.do("GET", at, nil, as(owner)), 404, "not-found", "")
	if got := published(t, w, w.do("GET", "/.well-known/writ-trust", nil).body); len(got.Entries) != 0 {
		t.Errorf("published after the end: %+v", got)
	}
}

func published(t *testing.T, w *world, raw []byte) registry.TrustListClaims {
	t.Helper()
	token, err := jose.Parse(string(raw), registry.TypTrustList, 1<<20)
	if err == nil {
		err = token.Verify(w.TokenKey.Public())
	}
	var claims registry.TrustListClaims
	if err == nil {
		err = token.Claims(&claims)
	}
	if err != nil {
		t.Fatal(err)
	}
	return claims
}

// TestOrgSettings: policy and domain of an org, over the API.
func TestOrgSettings(t *testing.T) {
	w := open(t)
	owner := w.tenant()
	got := w.do("PUT", "/v1/orgs/acme/policy", `{"warn_key_age":3600}`, as(owner)).json(t)
	if p := got["org"].(map[string]any)["policy"].(map[string]any); p["warn_key_age"] != 3600.0 || got["event"] == nil {
		t.Errorf("policy: %v", got)
	}
	w.refused(w.do("PUT", "/v1/orgs/acme/domain", `{"domain":"agents.acme.example"}`, as(owner)), 403, "denied", "/domain")
	org := got["org"].(map[string]any)["id"].(string)
	w.TXT.Set("_writ.agents.acme.example", "v=spf1 -all", "org="+org)
	got = w.do("PUT", "/v1/orgs/acme/domain", `{"domain":"agents.acme.example"}`, as(owner)).json(t)
	if got["org"].(map[string]any)["domain"] != "agents.acme.example" || got["event"] == nil {
		t.Errorf("domain: %v", got)
	}
}
