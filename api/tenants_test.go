package api_test

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/registrytest"
)

// victim is what the org of the victim has, by the names of path parameters and of
// what bodies name.
type victim map[string]string

// tenantCall is how another org's owner calls a route with ids that are not its own.
type tenantCall struct {
	query string
	body  any
	// shut: the answer must be 403 or 404. Otherwise it is a success that shows
	// nothing of the victim: a list, or what everybody sees.
	shut bool
}

// tenantCalls has a row for every operation that answers to credentials.
func tenantCalls(t *testing.T, w *world, v victim) map[string]tenantCall {
	scope := func(kind, id string) map[string]any {
		return map[string]any{"scope": map[string]any{"kind": kind, "id": id}}
	}
	key := registrytest.Key(99)
	agent := map[string]any{"org": v["org"], "name": "mole", "jwk": key.Public().JWK(), "possession": w.Possession(t, key, v["org"], "mole")}
	act := map[string]any{
		"subject": map[string]any{"type": "agent", "id": v["did"]}, "action": map[string]any{"name": "read"},
		"resource": map[string]any{"type": "invoices", "id": "1"}, "context": map[string]any{"token": v["token"], "proof": "x.y.z"},
	}
	shut := func(body any) tenantCall { return tenantCall{body: body, shut: true} }
	of := "?org=" + v["org"]
	return map[string]tenantCall{
		"GET /v1/whoami":                                                  {},
		"POST /v1/orgs":                                                   shut(map[string]any{"name": "third"}),
		"GET /v1/orgs":                                                    {},
		"GET /v1/orgs/{org}":                                              shut(nil),
		"PUT /v1/orgs/{org}/catalogue":                                    shut(map[string]any{"actions": []any{}}),
		"GET /v1/orgs/{org}/catalogue":                                    shut(nil),
		"PUT /v1/orgs/{org}/policy":                                       shut(map[string]any{"max_key_age": 60}),
		"PUT /v1/orgs/{org}/domain":                                       shut(map[string]any{"domain": "agents.acme.example"}),
		"POST /v1/principals":                                             shut(map[string]any{"org": v["org"], "roles": []string{"auditor"}}),
		"GET /v1/principals":                                              {query: of, shut: true},
		"POST /v1/peps":                                                   shut(map[string]any{"org": v["org"], "name": "mole", "resources": []string{"https://erp.example"}}),
		"GET /v1/peps":                                                    {query: of, shut: true},
		"POST /v1/agents":                                                 shut(agent),
		"GET /v1/agents":                                                  {query: of, shut: true},
		"GET /v1/agents/export":                                           {query: of, shut: true},
		"POST /v1/agents/offboard":                                        shut(map[string]any{"agents": []string{v["agent"]}}),
		"PUT /v1/agents/{agent}/composition":                              shut(map[string]any{"parts": []any{}}),
		"POST /v1/vouchers":                                               shut(map[string]any{"org": v["org"], "kind": "builder", "name": "mole", "jwk": key.Public().JWK()}),
		"GET /v1/vouchers":                                                {query: of, shut: true},
		"POST /v1/vouchers/{voucher}/revoke":                              shut(nil),
		"GET /v1/agents/{agent}":                                          shut(nil),
		"POST /v1/agents/{agent}/approve":                                 shut(nil),
		"POST /v1/agents/{agent}/suspend":                                 shut(nil),
		"POST /v1/agents/{agent}/resume":                                  shut(nil),
		"POST /v1/agents/{agent}/revoke":                                  shut(nil),
		"GET /v1/agents/{agent}/keys":                                     shut(nil),
		"POST /v1/agents/{agent}/keys":                                    shut(map[string]any{"jwk": key.Public().JWK(), "possession": w.Possession(t, key, v["org"], "a")}),
		"POST /v1/agents/{agent}/keys/{key}/retire":                       shut(nil),
		"POST /v1/agents/{agent}/keys/{key}/compromise":                   shut(nil),
		"PUT /v1/agents/{agent}/spawn":                                    shut(map[string]any{"depth": 1, "max": 1}),
		"POST /v1/grants":                                                 shut(map[string]any{"agent": v["agent"], "capabilities": "read:invoices"}),
		"GET /v1/grants":                                                  {query: "?agent=" + v["agent"], shut: true},
		"GET /v1/grants/{id}":                                             shut(nil),
		"GET /v1/grants/{id}/budgets":                                     shut(nil),
		"POST /v1/grants/{id}/revoke":                                     shut(nil),
		"POST /v1/grants/{id}/revocations":                                shut(map[string]any{"hash": strings.Repeat("A", 43)}),
		"POST /v1/kill":                                                   shut(scope("org", v["org"])),
		"GET /v1/kill":                                                    {},
		"POST /v1/kill/release":                                           shut(scope("agent", v["agent"])),
		"GET /v1/events":                                                  {query: of, shut: true},
		"GET /v1/events/{cid}":                                            shut(nil),
		"GET /v1/events/{cid}/receipt":                                    shut(nil),
		"GET /v1/events/{cid}/key":                                        shut(nil),
		"GET /v1/anchors":                                                 {}, // of the one log of all orgs: sizes, hashes and ledgers
		"POST /v1/trust":                                                  shut(map[string]any{"org": v["org"], "issuer": "did:web:mole.example", "token_keys": []string{registrytest.Key(1).Public().Multikey()}, "log_key": registrytest.LogKey(t, "mole.example/log", 1), "audiences": []string{"https://erp.example"}, "capabilities": "read:invoices"}),
		"GET /v1/trust":                                                   {query: of, shut: true},
		"GET /v1/trust/{trust}":                                           shut(nil),
		"DELETE /v1/trust/{trust}":                                        shut(nil),
		"POST /v1/agents/{agent}/certificates":                            shut(map[string]any{"csr": registrytest.CSR(t, key)}),
		"POST /v1/peps/{pep}/certificates":                                shut(map[string]any{"csr": registrytest.CSR(t, key)}),
		"GET /v1/certificates":                                            {query: of, shut: true},
		"GET /v1/certificates/{digest}":                                   shut(nil),
		"POST /v1/certificates/{digest}/revoke":                           shut(nil),
		"POST /v1/orgs/{org}/roots":                                       shut(map[string]any{"pem": w.NewEnterprise(t, "Mole CA").PEM(), "rules": []any{w.Rule("uri:urn:prod:", true)}}),
		"GET /v1/orgs/{org}/roots":                                        shut(nil),
		"DELETE /v1/orgs/{org}/roots/{root}":                              shut(nil),
		"POST /v1/orgs/{org}/workload-issuers":                            shut(map[string]any{"kind": "okta", "issuer": "https://mole.example", "rules": []any{w.Rule("app:", true)}}),
		"GET /v1/orgs/{org}/workload-issuers":                             shut(nil),
		"DELETE /v1/orgs/{org}/workload-issuers/{issuer}":                 shut(nil),
		"GET /v1/principals/{principal}":                                  shut(nil),
		"PUT /v1/principals/{principal}/roles":                            shut(map[string]any{"roles": []string{"owner"}}),
		"POST /v1/principals/{principal}/suspend":                         shut(nil),
		"POST /v1/principals/{principal}/resume":                          shut(nil),
		"POST /v1/principals/{principal}/end":                             shut(nil),
		"GET /v1/principals/{principal}/sessions":                         shut(nil),
		"DELETE /v1/principals/{principal}/sessions":                      shut(nil),
		"DELETE /v1/principals/{principal}/sessions/{session}":            shut(nil),
		"GET /v1/principals/{principal}/credentials":                      shut(nil),
		"POST /v1/principals/{principal}/credentials/rotate":              shut(nil),
		"POST /v1/principals/{principal}/credentials/{credential}/revoke": shut(nil),
		"GET /v1/peps/{pep}/credentials":                                  shut(nil),
		"POST /v1/peps/{pep}/credentials/rotate":                          shut(nil),
		"POST /v1/peps/{pep}/credentials/{credential}/revoke":             shut(nil),
		"POST /v1/orgs/{org}/issuers":                                     shut(map[string]any{"issuer": "https://mole.example", "client_id": "writ"}),
		"GET /v1/orgs/{org}/issuers":                                      shut(nil),
		"DELETE /v1/orgs/{org}/issuers/{sign_in}":                         shut(nil),
		"PUT /v1/agents/{agent}/sponsor":                                  shut(map[string]any{"sponsor": v["principal"]}),
		"POST /v1/orgs/{org}/policies/validate":                           shut(map[string]any{"text": ""}),
		"POST /v1/orgs/{org}/policies":                                    shut(map[string]any{"text": ""}),
		"GET /v1/orgs/{org}/policies":                                     shut(nil),
		"GET /v1/orgs/{org}/policies/{version}":                           shut(nil),
		"POST /v1/orgs/{org}/policies/{version}/dry-run":                  shut(nil),
		"POST /v1/orgs/{org}/policies/{version}/activate":                 shut(nil),
		"PUT /v1/orgs/{org}/entities/{type}/{id}":                         shut(map[string]any{}),
		"GET /v1/orgs/{org}/entities/{type}/{id}":                         shut(nil),
		"GET /v1/orgs/{org}/entities":                                     shut(nil),
		"DELETE /v1/orgs/{org}/entities/{type}/{id}":                      shut(nil),
		"PUT /v1/orgs/{org}/templates/{name}":                             shut(map[string]any{"capabilities": "read:invoices"}),
		"GET /v1/orgs/{org}/templates/{name}":                             shut(nil),
		"GET /v1/orgs/{org}/templates":                                    shut(nil),
		"DELETE /v1/orgs/{org}/templates/{name}":                          shut(nil),
		"PUT /v1/orgs/{org}/entities":                                     shut(map[string]any{"entities": []any{map[string]any{"type": "user", "id": "mole"}}}),
		"GET /v1/decisions/{id}":                                          shut(nil),
		"POST /v1/decisions/{id}/replay":                                  shut(nil),
		"PUT /v1/agents/{agent}/observation":                              shut(map[string]any{"until": w.Clock.Now().Add(time.Hour), "reason": "drill"}),
		"DELETE /v1/agents/{agent}/observation":                           shut(nil),
		"PUT /v1/agents/{agent}/actions":                                  shut(map[string]any{"actions": []string{"read:invoices"}}),
		"DELETE /v1/agents/{agent}/actions":                               shut(nil),
		"PUT /v1/orgs/{org}/observation":                                  shut(map[string]any{"until": w.Clock.Now().Add(time.Hour), "reason": "drill"}),
		"DELETE /v1/orgs/{org}/observation":                               shut(nil),
		"GET /v1/orgs/{org}/observations":                                 shut(nil),
		"POST /v1/simulate":                                               shut(map[string]any{"agent": v["did"], "action": map[string]any{"name": "read"}, "resource": act["resource"]}),
		// DIDs are public, to whoever knows them.
		"GET /1.0/identifiers/{did}":     {},
		"GET /v1/inventory/unregistered": {query: of, shut: true},
		"PUT /v1/agents/{agent}/custody": shut(map[string]any{"jwk": key.Public().JWK(), "possession": w.Possession(t, key, v["org"], "a")}),
		"POST /v1/agents/{agent}/did":    shut(map[string]any{"entry": map[string]any{"versionId": "2-x", "versionTime": "", "parameters": map[string]any{}, "state": map[string]any{}, "proof": []any{}}}),
		"PUT /v1/peps/{pep}/key":         shut(map[string]any{"jwk": key.Public().JWK()}),
		"PUT /v1/peps/{pep}/routes":      shut(map[string]any{"audience": "https://erp.example", "routes": []any{map[string]any{"method": "GET", "path": "/a", "action": "read:a", "resource": "a"}}}),
		"GET /v1/peps/{pep}/routes":      shut(nil),
		"PUT /v1/peps/{pep}/callbacks":   shut(map[string]any{"origins": []string{"https://mole.example"}}),
		"GET /v1/outcomes":               {query: of, shut: true},
		"GET /v1/agents/{agent}/undo":    shut(nil),
		// For enforcement points, of what they guard.
		"POST /v1/permits/redeem":           shut(map[string]any{"permit": "x.y.z"}),
		"POST /v1/permits/{permit}/outcome": shut(map[string]any{"outcome": "x.y.z"}),
		// Any org's resource server may ask; who proves nothing is told nothing.
		"POST /v1/verify":                                                         {body: act},
		"GET /v1/approvals":                                                       {query: of, shut: true},
		"GET /v1/approvals/{approval}":                                            shut(nil),
		"GET /v1/approvals/{approval}/statement":                                  shut(nil),
		"POST /v1/approvals/{approval}/answer":                                    shut(map[string]any{"verdict": "deny"}),
		"GET /v1/orgs/{org}/approval-rules":                                       shut(nil),
		"PUT /v1/orgs/{org}/approval-rules":                                       shut(map[string]any{"rules": []any{}}),
		"POST /v1/orgs/{org}/approval-rules/activate":                             shut(map[string]any{"digest": "x"}),
		"GET /v1/principals/{principal}/authenticators":                           shut(nil),
		"POST /v1/principals/{principal}/authenticators":                          shut(map[string]any{"name": "mole"}),
		"POST /v1/principals/{principal}/authenticators/challenge":                shut(nil),
		"POST /v1/principals/{principal}/authenticators/{authenticator}/activate": shut(nil),
		"POST /v1/principals/{principal}/authenticators/{authenticator}/end":      shut(nil),
		"GET /access/v1/requests/{id}":                                            shut(nil),
		"POST /access/v1/requests/{id}/cancel":                                    shut(nil),
		"POST /access/v1/requests": shut(map[string]any{
			"subject": act["subject"], "action": act["action"], "resource": act["resource"], "denial": map[string]any{"binding_token": "x.y.z"}}),
		// A principal asks for no decisions.
		"POST /access/v1/evaluation":  shut(act),
		"POST /access/v1/evaluations": shut(map[string]any{"evaluations": []any{act}}),
		// Nor does it search.
		"POST /access/v1/search/subject":  shut(act),
		"POST /access/v1/search/resource": shut(act),
		"POST /access/v1/search/action":   shut(act),
	}
}

// TestTenantsAreApart calls every operation as the owner of another org, with ids
// of the victim. A route without a row fails: say what another tenant gets of it.
func TestTenantsAreApart(t *testing.T) {
	w := open(t)
	v := settle(t, w)
	w.must("POST", "/v1/orgs", `{"name":"beta"}`)
	thief := w.must("POST", "/v1/principals", `{"org":"beta","roles":["owner","auditor","registrar"]}`)["secret"].(string)
	calls := tenantCalls(t, w, v)
	for path, item := range w.spec.Paths {
		for method, op := range map[string]*huma.Operation{
			"GET": item.Get, "POST": item.Post, "PUT": item.Put, "DELETE": item.Delete, "PATCH": item.Patch,
		} {
			name := method + " " + path
			call, known := calls[name]
			delete(calls, name)
			switch {
			case op == nil:
			case !known && len(op.Security) == 0: // public: the log, DIDs, probes, recovery by the agent's own key
			case !known:
				t.Errorf("%s has no row in tenantCalls: what does another org's owner get of it?", name)
			default:
				t.Run(name, func(t *testing.T) { v.apart(t, w, thief, method, path, call) })
			}
		}
	}
	for name := range calls {
		t.Errorf("the row %s is for no route", name)
	}
	// The lists of the thief's own org hold nothing of the victim's.
	for _, list := range []string{"orgs", "principals", "peps", "agents", "grants", "events", "kill", "trust", "certificates", "vouchers", "approvals"} {
		t.Run("own "+list, func(t *testing.T) { v.apart(t, w, thief, "GET", "/v1/"+list, tenantCall{}) })
	}
	if got := w.must("GET", "/v1/agents/"+v["agent"], nil); got["status"] != "active" {
		t.Errorf("the victim's agent is %v after all that", got["status"])
	}
	if got := w.must("GET", "/v1/trust/"+v["trust"], nil); got["org"] != v["org"] {
		t.Errorf("the victim's trust entry: %v", got)
	}
}

// apart makes one call and sees that it gives nothing of the victim away.
func (v victim) apart(t *testing.T, w *world, thief, method, path string, call tenantCall) {
	ids := map[string]string{"{org}": v["org"], "{agent}": v["agent"], "{id}": v["grant"], "{cid}": v["event"], "{trust}": v["trust"], "{voucher}": v["voucher"], "{pep}": v["pep"], "{principal}": v["principal"], "{key}": v["key"],
		"{digest}": v["certificate"], "{root}": v["root"], "{issuer}": v["issuer"], "{sign_in}": v["sign_in"], "{session}": v["session"], "{credential}": v["credential"], "{did}": w.DID,
		"{approval}": v["approval"], "{authenticator}": v["authenticator"],
		"{version}": v["version"], "{type}": v["type"], "{permit}": registry.NewID(), "{name}": v["template"]}
	if strings.HasPrefix(path, "/access/v1/requests/") {
		ids["{id}"] = v["approval"]
	}
	at := path
	for placeholder, id := range ids {
		at = strings.ReplaceAll(at, placeholder, url.PathEscape(id))
	}
	if strings.Contains(at, "{") {
		t.Fatalf("%s: give the victim an id for the path's parameter", path)
	}
	r := w.do(method, at+call.query, call.body, as(thief))
	if call.shut {
		if r.StatusCode != http.StatusNotFound && r.StatusCode != http.StatusForbidden {
			t.Errorf("got %d %s, want 403 or 404", r.StatusCode, r.body)
		}
	} else if r.StatusCode != http.StatusOK {
		t.Errorf("got %d %s, want a success that shows nothing", r.StatusCode, r.body)
	}
	for _, name := range slices.Sorted(maps.Keys(v)) {
		sent := strings.Contains(at+call.query, v[name]) // it comes back as the problem's instance
		if !sent && strings.Contains(string(r.body), v[name]) {
			t.Errorf("the answer shows the victim's %s: %s", name, r.body)
		}
	}
}

// settle makes an org with one of everything.
func settle(t *testing.T, w *world) victim {
	secret := w.tenant()
	own := func(path string, body any) map[string]any {
		t.Helper()
		r := w.do("POST", path, body, as(secret))
		if r.StatusCode/100 != 2 {
			t.Fatalf("%s: %d %s", path, r.StatusCode, r.body)
		}
		return r.json(t)
	}
	signer, err := jose.GenerateEd25519()
	if err != nil {
		t.Fatal(err)
	}
	v := victim{"org": w.do("GET", "/v1/whoami", nil, as(secret)).json(t)["org"].(string)}
	member := func(answer map[string]any, what, name string) string {
		return answer[what].(map[string]any)[name].(string)
	}
	agent := own("/v1/agents", map[string]any{"name": "a", "jwk": signer.Public().JWK(), "possession": w.Possession(t, signer, "acme", "a")})
	v["agent"], v["did"], v["event"] = member(agent, "agent", "id"), member(agent, "agent", "did"), member(agent, "event", "cid")
	v["key"] = member(agent, "agent", "thumbprint")
	own("/v1/agents/"+v["agent"]+"/approve", nil)
	grant := own("/v1/grants", map[string]any{"agent": v["agent"], "capabilities": "read:invoices"})
	v["grant"], v["token"] = member(grant, "grant", "id"), member(grant, "grant", "token")
	v["pep"] = member(own("/v1/peps", map[string]any{"name": "gate", "resources": []string{"https://erp.example"}}), "pep", "id")
	v["principal"] = member(own("/v1/principals", map[string]any{"roles": []string{"auditor"}}), "principal", "id")
	v["voucher"] = member(own("/v1/vouchers", map[string]any{"kind": "builder", "name": "ci", "jwk": registrytest.Key(97).Public().JWK()}), "voucher", "id")
	v["credential"] = member(own("/v1/principals/"+v["principal"]+"/credentials/rotate", nil), "credential", "id")
	v["sign_in"] = member(own("/v1/orgs/acme/issuers", map[string]any{"issuer": "https://people.example", "client_id": "writ"}), "issuer", "id")
	list, err := w.IssuersOf(t.Context(), "acme")
	if err != nil || len(list) != 1 {
		t.Fatalf("issuers: %v, %v", list, err)
	}
	session, err := w.SignIn(t.Context(), w.Call().Trace, registry.Identified{Issuer: list[0], Subject: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	v["session"] = session.Value.ID
	v["trust"] = member(own("/v1/trust", map[string]any{
		"issuer": "did:web:friend.example", "token_keys": []string{registrytest.Key(1).Public().Multikey()}, "log_key": registrytest.LogKey(t, "friend.example/log", 1),
		"audiences": []string{"https://erp.example"}, "capabilities": "read:invoices",
	}), "trust", "id")
	approval := registry.Approval{ID: registry.NewID(), Org: v["org"], Agent: v["agent"], State: registry.ApprovalPending, Requested: w.Clock.Now(), Expires: w.Clock.Now().Add(time.Hour)}
	authenticator := registry.Authenticator{ID: registry.NewID(), Org: v["org"], Principal: v["principal"], Kind: registry.AuthenticatorKey, State: registry.AuthenticatorPending, Handle: "x"}
	if _, err := w.Store.Commit(t.Context(), registry.Command{Run: func(tx registry.Tx) (registry.Draft, error) {
		return registry.Draft{}, errors.Join(tx.InsertApproval(approval), tx.InsertAuthenticator(authenticator))
	}}); err != nil {
		t.Fatal(err)
	}
	v["approval"], v["authenticator"] = approval.ID, authenticator.ID
	v["certificate"] = member(own("/v1/agents/"+v["agent"]+"/certificates", map[string]any{"csr": registrytest.CSR(t, signer)}), "certificate", "digest")
	rule := w.Rule("x:", false)
	rule.Agent.Sponsor = v["principal"]
	v["root"] = member(own("/v1/orgs/acme/roots", map[string]any{"pem": w.NewEnterprise(t, "Acme CA").PEM(), "rules": []any{rule}}), "root", "digest")
	v["issuer"] = member(own("/v1/orgs/acme/workload-issuers", map[string]any{"kind": "okta", "issuer": "https://acme.example", "rules": []any{rule}}), "issuer", "id")
	own("/v1/orgs/acme/policies", map[string]any{"text": ""})
	v["version"], v["type"] = "1", "user"
	if _, err := w.PutEntity(t.Context(), w.Call(), "acme", registry.Entity{Type: "user", ID: v["grant"]}); err != nil { // {id} is a grant's elsewhere
		t.Fatal(err)
	}
	if _, err := w.PutGrantTemplate(t.Context(), w.Call(), "acme", registry.GrantTemplate{Name: "victims-reader", Capabilities: "read:invoices"}); err != nil {
		t.Fatal(err)
	}
	v["template"] = "victims-reader"
	own("/v1/kill", map[string]any{"scope": map[string]any{"kind": "grant", "id": v["grant"]}})
	w.checkpoint()
	return v
}
