package api_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	gocmp "github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/capability"
	"github.com/writ-registry/writ/registry/did"
	"github.com/writ-registry/writ/registry/pki"
	"github.com/writ-registry/writ/registry/registrytest"
)

var update = flag.Bool("update", false, "write the generated files anew")

// TestOpenAPI keeps the committed description equal to the one that the
// handlers generate and serve, in both notations.
func TestOpenAPI(t *testing.T) {
	w := open(t)
	got := w.do("GET", "/openapi.yaml", nil).body
	if *update {
		if err := os.WriteFile("openapi.yaml", got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("openapi.yaml is stale: go test ./api -run OpenAPI -update")
	}
	var fromYAML, fromJSON any
	if err := yaml.Unmarshal(got, &fromYAML); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(w.do("GET", "/openapi.json", nil).body, &fromJSON); err != nil {
		t.Fatal(err)
	}
	normal, err := json.Marshal(fromYAML)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(normal, &fromYAML); err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(fromJSON, fromYAML); diff != "" {
		t.Errorf("openapi.json and openapi.yaml differ:\n%s", diff)
	}
}

// fits holds an answer against the description: every request of every test
// passes here.
func (w *world) fits(method, path string, res *http.Response, body []byte) {
	w.t.Helper()
	op := w.operation(method, path)
	if op == nil || res.StatusCode == http.StatusNotModified {
		return // pages, what there is not, and what has no content
	}
	described := op.Responses[fmt.Sprint(res.StatusCode)]
	if described == nil {
		described = op.Responses["default"]
	}
	media, _, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	content := described.Content[media]
	if err != nil || content == nil || res.StatusCode < 300 && op.Responses[fmt.Sprint(res.StatusCode)] == nil {
		w.t.Errorf("%s: %d with %q is not described", op.OperationID, res.StatusCode, media)
		return
	}
	if content.Schema == nil {
		return // not JSON
	}
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		w.t.Errorf("%s: %v\n%s", op.OperationID, err, body)
		return
	}
	var result huma.ValidateResult
	huma.Validate(w.spec.Components.Schemas, content.Schema, huma.NewPathBuffer(make([]byte, 0, 64), 0), huma.ModeReadFromServer, v, &result)
	for _, err := range result.Errors {
		w.t.Errorf("%s: %d does not fit its schema: %v\n%s", op.OperationID, res.StatusCode, err, body)
	}
}

var placeholder = regexp.MustCompile(`\\\{\w+\\\}`)

// operation finds what is described for a request.
func (w *world) operation(method, path string) *huma.Operation {
	operations := func(item *huma.PathItem) map[string]*huma.Operation {
		return map[string]*huma.Operation{"GET": item.Get, "POST": item.Post, "PUT": item.Put, "DELETE": item.Delete}
	}
	if item := w.spec.Paths[path]; item != nil { // such as /v1/agents/export, which is no agent
		return operations(item)[method]
	}
	for template, item := range w.spec.Paths {
		segment := "[^/]+"
		if strings.HasSuffix(template, "{path}") {
			segment = ".+"
		}
		if regexp.MustCompile("^" + placeholder.ReplaceAllString(regexp.QuoteMeta(template), segment) + "$").MatchString(path) {
			if op := operations(item)[method]; op != nil {
				return op
			}
		}
	}
	return nil
}

// TestEveryOperation calls each described operation so that it succeeds, and
// so that it fails where it can; fits looks at the answers. An operation
// without a row here fails the test.
func TestEveryOperation(t *testing.T) {
	w := open(t)
	w.Catalogue(t, registry.CatalogueAction{Action: "read:invoices", Reversibility: registry.Reversible, Material: true})
	a := w.NewAgent(t, "a")
	g := a.Grant(t, "read:invoices")
	w.checkpoint()
	fresh, err := jose.GenerateEd25519()
	if err != nil {
		t.Fatal(err)
	}
	requested := w.must("POST", "/v1/agents", map[string]any{
		"name": "b", "jwk": fresh.Public().JWK(), "possession": w.Possession(t, fresh, registry.HouseOrg, "b"), "org": registry.HouseOrg,
	})["agent"].(map[string]any)["id"].(string)
	other, err := jose.GenerateP256()
	if err != nil {
		t.Fatal(err)
	}
	second, third := registrytest.Key(32), registrytest.Key(33)
	voucher, attester := registrytest.Key(21), registrytest.Key(22)
	vouches := w.must("POST", "/v1/vouchers", map[string]any{"kind": "attester", "name": "tee", "jwk": attester.Public().JWK()})["voucher"].(map[string]any)["id"].(string)
	cid := w.must("GET", "/v1/events?type=grant.issued", nil)["items"].([]any)[0].(map[string]any)["cid"].(string)
	scope := map[string]any{"scope": map[string]any{"kind": "grant", "id": g.ID}, "reason": "drill"}
	b, enterprise := w.NewAgent(t, "bearer"), w.NewEnterprise(t, "CA")
	gate := w.PEP(t, "tls-gate", []string{"https://erp.example"}).Caller.ID
	leaf, err := w.IssueAgentCertificate(t.Context(), w.Call(), b.ID, registry.NewCertificate{CSR: registrytest.CSR(t, b.Signer)})
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := w.EnrolIssuer(t.Context(), w.Call(), "", registry.NewWorkloadIssuer{Kind: "okta", Issuer: "https://okta.example", Rules: []registry.EnrolmentRule{w.Rule("app:", true)}})
	if err != nil {
		t.Fatal(err)
	}
	enrolment := map[string]any{
		"org": "operator", "name": "prod-c", "jwk": registrytest.Key(61).Public().JWK(), "possession": w.Possession(t, registrytest.Key(61), "operator", "prod-c"),
		"token": w.Tokens.Token("https://okta.example", registry.Workload{Subject: "app:c", Digest: strings.Repeat("c", 43), Expires: w.Clock.Now().Add(time.Hour)}),
	}
	ask := func() any { return authzen(a.Ask(t, g, "read", "invoices", "7", `{"a":1.5}`)) }

	d, err := w.PDP.Decide(t.Context(), w.PEPCall(t), a.Ask(t, g, "read", "invoices", "1", ""))
	if err != nil || d.Event == nil {
		t.Fatal(d, err)
	}
	decided := d.Event.CID
	w.checkpoint()

	clerk := w.must("POST", "/v1/principals", `{"roles":["auditor"]}`)["principal"].(map[string]any)["id"].(string)
	person, mine := "/v1/principals/"+clerk, "/v1/peps/"+w.PEP(t, "mine", []string{"https://mine.example"}).Caller.ID
	session := func() string {
		issuer, err := w.SetSignInIssuer(t.Context(), w.Call(), "", registry.NewIssuer{URL: "https://people.example", ClientID: "writ"})
		if err != nil {
			t.Fatal(err)
		}
		s, err := w.SignIn(t.Context(), w.Call().Trace, registry.Identified{Issuer: issuer.Value, Subject: "alice"})
		if err != nil {
			t.Fatal(err)
		}
		return "/v1/principals/" + s.Value.Principal + "/sessions/" + s.Value.ID
	}()
	sessions := session[:strings.LastIndex(session, "/")]
	signIn := w.must("POST", "/v1/orgs/operator/issuers", `{"issuer":"https://gone.example","client_id":"writ"}`)["issuer"].(map[string]any)["id"].(string)
	credential := func(owner string) string {
		return owner + "/credentials/" + w.must("POST", owner+"/credentials/rotate", `{"overlap":60}`)["credential"].(map[string]any)["id"].(string) + "/revoke"
	}

	kept, handed, updater := w.NewAgent(t, "kept"), w.NewAgent(t, "handed"), registrytest.Key(70)
	handed.HandOver(t, updater)
	w.Clock.Add(2 * time.Second)
	entry := json.RawMessage(handed.NextEntry(t, updater, registrytest.Key(71)).Line)
	h := openHumans(t, w)
	c, toolKey := w.NewAgent(t, "permitted"), registrytest.Key(72)
	tool := w.must("POST", "/v1/peps", map[string]any{"name": "tool", "resources": []string{"https://tool.example"}, "jwk": toolKey.Public().JWK()})["secret"].(string)
	toolGrant := c.Grant(t, "read:invoices", func(n *registry.NewGrant) { n.Audience = []string{"https://tool.example"} })
	permitted := func() map[string]any {
		wanted := authzen(c.Ask(t, toolGrant, "read", "invoices", "7", ""))
		wanted["context"].(map[string]any)["permit"] = true
		return w.do("POST", "/access/v1/evaluation", wanted, as(tool)).json(t)["context"].(map[string]any)
	}
	// Redeemed as it is asked for: until then other rows move authority.
	redeem := func() any { return map[string]any{"permit": permitted()["permit"]} }
	permitID := permitted()["id"].(string)
	outcome, err := capability.SignOutcome(toolKey, capability.OutcomeClaims{Audience: w.Origin, Permit: permitID, Outcome: capability.Executed, IssuedAt: 1})
	if err != nil {
		t.Fatal(err)
	}

	type call struct {
		path string
		body any
	}
	none := call{}
	trusted := w.Trust(t, "did:web:friend.example").ID
	trust := map[string]any{"issuer": "did:web:other.example", "token_keys": []string{other.Public().Multikey()}, "log_key": registrytest.LogKey(t, "other.example/log", 1),
		"audiences": []string{"https://erp.example"}, "capabilities": "read:invoices"}
	rows := []struct {
		id       string
		good     call
		bad      call   // none: it cannot fail by the request
		noAccess bool   // public
		as       string // secret; "" = the operator's
	}{
		{id: "redeem-permit", good: call{"/v1/permits/redeem", redeem}, bad: call{"/v1/permits/redeem", `{"permit":"x"}`}, as: tool},
		{id: "report-outcome", good: call{"/v1/permits/" + permitID + "/outcome", map[string]any{"outcome": outcome}}, bad: call{"/v1/permits/" + permitID + "/outcome", `{"outcome":"x"}`}, as: tool},
		{id: "whoami", good: call{"/v1/whoami", nil}, bad: call{"/v1/whoami?x=1", nil}},
		{id: "create-org", good: call{"/v1/orgs", `{"name":"acme"}`}, bad: call{"/v1/orgs", `{"name":"acme"}`}},
		{id: "list-orgs", good: call{"/v1/orgs", nil}, bad: call{"/v1/orgs?limit=0", nil}},
		{id: "get-org", good: call{"/v1/orgs/acme", nil}, bad: call{"/v1/orgs/nobody", nil}},
		{id: "put-catalogue", good: call{"/v1/orgs/acme/catalogue", `{"actions":[{"action":"a:b","reversibility":"compensable","compensated_by":"c:d","compensate_in":60}]}`}, bad: call{"/v1/orgs/acme/catalogue", `{}`}},
		{id: "get-catalogue", good: call{"/v1/orgs/acme/catalogue", nil}, bad: call{"/v1/orgs/nobody/catalogue", nil}},
		{id: "create-principal", good: call{"/v1/principals", `{"roles":["auditor"],"display_name":"Ada"}`}, bad: call{"/v1/principals", `{"roles":["king"]}`}},
		{id: "list-principals", good: call{"/v1/principals", nil}, bad: call{"/v1/principals?org=nobody", nil}},
		{id: "get-principal", good: call{person, nil}, bad: call{"/v1/principals/x", nil}},
		{id: "set-roles", good: call{person + "/roles", `{"roles":["registrar"]}`}, bad: call{person + "/roles", `{"roles":["king"]}`}},
		{id: "suspend-principal", good: call{person + "/suspend", `{"reason":"drill"}`}, bad: call{person + "/suspend", `{"reason":"A drill"}`}},
		{id: "resume-principal", good: call{person + "/resume", nil}, bad: call{"/v1/principals/x/resume", nil}},
		{id: "list-principal-credentials", good: call{person + "/credentials", nil}, bad: call{"/v1/principals/x/credentials", nil}},
		{id: "rotate-principal-credential", good: call{person + "/credentials/rotate", `{"overlap":60}`}, bad: call{person + "/credentials/rotate", `{"overlap":-1}`}},
		{id: "revoke-principal-credential", good: call{credential(person), nil}, bad: call{person + "/credentials/x/revoke", nil}},
		{id: "list-sessions", good: call{sessions, nil}, bad: call{"/v1/principals/x/sessions", nil}},
		{id: "end-session", good: call{session, nil}, bad: call{session, nil}},
		{id: "end-sessions", good: call{sessions, nil}, bad: call{"/v1/principals/x/sessions", nil}},
		{id: "set-sign-in-issuer", good: call{"/v1/orgs/operator/issuers", `{"issuer":"https://login.example","client_id":"writ","client_secret":"s","groups_claim":"groups","mapping":{"Staff":["auditor"]}}`},
			bad: call{"/v1/orgs/operator/issuers", `{"issuer":"https://login.example","client_id":"writ","groups_claim":"groups","mapping":{"Staff":["owner"]}}`}},
		{id: "list-sign-in-issuers", good: call{"/v1/orgs/operator/issuers", nil}, bad: call{"/v1/orgs/nobody/issuers", nil}},
		{id: "remove-sign-in-issuer", good: call{"/v1/orgs/operator/issuers/" + signIn, nil}, bad: call{"/v1/orgs/operator/issuers/x", nil}},
		{id: "list-pep-credentials", good: call{mine + "/credentials", nil}, bad: call{"/v1/peps/x/credentials", nil}},
		{id: "rotate-pep-credential", good: call{mine + "/credentials/rotate", `{"overlap":5}`}, bad: call{mine + "/credentials/rotate", `{"x":1}`}},
		{id: "revoke-pep-credential", good: call{credential(mine), `{"reason":"lost"}`}, bad: call{mine + "/credentials/x/revoke", nil}},
		{id: "set-sponsor", good: call{"/v1/agents/" + a.ID + "/sponsor", map[string]any{"sponsor": w.Operator.ID}}, bad: call{"/v1/agents/" + a.ID + "/sponsor", `{"sponsor":"x"}`}},
		{id: "register-pep", good: call{"/v1/peps", `{"name":"gate","resources":["https://erp.example"],"context_keys":["domain"]}`}, bad: call{"/v1/peps", `{"name":"gate","resources":[]}`}},
		{id: "list-peps", good: call{"/v1/peps", nil}, bad: call{"/v1/peps?cursor=x", nil}},
		{id: "request-agent", good: call{"/v1/agents", map[string]any{"name": "c", "jwk": other.Public().JWK(), "possession": w.Possession(t, other, registry.HouseOrg, "c")}}, bad: call{"/v1/agents", `{"name":"c"}`}},
		{id: "list-agents", good: call{"/v1/agents?status=active", nil}, bad: call{"/v1/agents?status=x", nil}},
		{id: "export-agents", good: call{"/v1/agents/export?format=csv&name=a", nil}, bad: call{"/v1/agents/export?format=xml", nil}},
		{id: "offboard-agents", good: call{"/v1/agents/offboard", `{"filter":{"name":"nobody"}}`}, bad: call{"/v1/agents/offboard", `{}`}},
		{id: "put-composition", good: call{"/v1/agents/" + a.ID + "/composition", `{"parts":[{"kind":"model","name":"m","digest":"` + strings.Repeat("ab", 32) + `","source":"sponsor"}]}`}, bad: call{"/v1/agents/" + a.ID + "/composition", `{"parts":[{"kind":"model","name":"m","digest":"` + strings.Repeat("ab", 32) + `","source":"build-signed"}]}`}},
		{id: "register-voucher", good: call{"/v1/vouchers", map[string]any{"kind": "builder", "name": "ci", "jwk": voucher.Public().JWK()}}, bad: call{"/v1/vouchers", `{"kind":"friend"}`}},
		{id: "list-vouchers", good: call{"/v1/vouchers", nil}, bad: call{"/v1/vouchers?x=1", nil}},
		{id: "revoke-voucher", good: call{"/v1/vouchers/" + vouches + "/revoke", nil}, bad: call{"/v1/vouchers/x/revoke", nil}},
		{id: "end-principal", good: call{person + "/end", nil}, bad: call{"/v1/principals/x/end", nil}},
		{id: "list-unregistered", good: call{"/v1/inventory/unregistered", nil}, bad: call{"/v1/inventory/unregistered?org=nobody", nil}},
		{id: "get-agent", good: call{"/v1/agents/" + a.ID, nil}, bad: call{"/v1/agents/x", nil}},
		{id: "approve-agent", good: call{"/v1/agents/" + requested + "/approve", nil}, bad: call{"/v1/agents/" + requested + "/approve", `{"x":1}`}},
		{id: "suspend-agent", good: call{"/v1/agents/" + requested + "/suspend", `{"reason":"drill"}`}, bad: call{"/v1/agents/" + requested + "/suspend", `{"reason":"A drill"}`}},
		{id: "resume-agent", good: call{"/v1/agents/" + requested + "/resume", nil}, bad: call{"/v1/agents/x/resume", nil}},
		{id: "revoke-agent", good: call{"/v1/agents/" + requested + "/revoke", nil}, bad: call{"/v1/agents/x/revoke", nil}},
		{id: "issue-grant", good: call{"/v1/grants", map[string]any{"agent": a.ID, "capabilities": "read:invoices", "authority_level": 1, "expires": w.Clock.Now().AddDate(0, 0, 2)}}, bad: call{"/v1/grants", map[string]any{"agent": a.ID, "capabilities": "read"}}},
		{id: "list-grants", good: call{"/v1/grants?agent=" + a.ID + "&status=active", nil}, bad: call{"/v1/grants?status=x", nil}},
		{id: "get-grant", good: call{"/v1/grants/" + g.ID, nil}, bad: call{"/v1/grants/x", nil}},
		{id: "list-budgets", good: call{"/v1/grants/" + g.ID + "/budgets?limit=1", nil}, bad: call{"/v1/grants/x/budgets", nil}},
		{id: "list-kills", good: call{"/v1/kill", nil}, bad: call{"/v1/kill?x=1", nil}},
		{id: "set-kill", good: call{"/v1/kill", scope}, bad: call{"/v1/kill", `{"scope":{"kind":"global","id":"x"}}`}},
		{id: "release-kill", good: call{"/v1/kill/release", scope}, bad: call{"/v1/kill/release", scope}},
		{id: "list-events", good: call{"/v1/events?order=newest&limit=3", nil}, bad: call{"/v1/events?order=x", nil}},
		{id: "get-event", good: call{"/v1/events/" + cid, nil}, bad: call{"/v1/events/x", nil}},
		{id: "get-receipt", good: call{"/v1/events/" + cid + "/receipt", nil}, bad: call{"/v1/events/" + cid + "/receipt?disclose=some", nil}},
		{id: "get-decision-key", good: call{"/v1/events/" + decided + "/key", nil}, bad: call{"/v1/events/" + cid + "/key", nil}},
		{id: "put-org-domain", good: call{"/v1/orgs/acme/domain", `{"domain":""}`}, bad: call{"/v1/orgs/acme/domain", `{"domain":"localhost"}`}},
		{id: "add-trust", good: call{"/v1/trust", trust}, bad: call{"/v1/trust", trust}},
		{id: "list-trust", good: call{"/v1/trust", nil}, bad: call{"/v1/trust?org=nobody", nil}},
		{id: "get-trust", good: call{"/v1/trust/" + trusted, nil}, bad: call{"/v1/trust/x", nil}},
		{id: "remove-trust", good: call{"/v1/trust/" + trusted + "?reason=over", nil}, bad: call{"/v1/trust/" + trusted, nil}},
		{id: "get-trust-list", good: call{"/.well-known/writ-trust", nil}, noAccess: true},
		{id: "list-anchors", good: call{"/v1/anchors", nil}, bad: call{"/v1/anchors?limit=x", nil}},
		{id: "verify", good: call{"/v1/verify", ask()}, bad: call{"/v1/verify", `{}`}},
		{id: "revoke-link", good: call{"/v1/grants/" + g.ID + "/revocations", map[string]any{"hash": strings.Repeat("A", 43)}}, bad: call{"/v1/grants/" + g.ID + "/revocations", `{}`}},
		{id: "revoke-grant", good: call{"/v1/grants/" + g.ID + "/revoke", nil}, bad: call{"/v1/grants/x/revoke", nil}},
		{id: "set-spawn", good: call{"/v1/agents/" + a.ID + "/spawn", `{"depth":1,"max":5}`}, bad: call{"/v1/agents/" + a.ID + "/spawn", `{"depth":9,"max":5}`}},
		{id: "set-org-policy", good: call{"/v1/orgs/acme/policy", `{"warn_key_age":3600}`}, bad: call{"/v1/orgs/acme/policy", `{"max_key_age":-1}`}},
		{id: "issue-agent-certificate", good: call{"/v1/agents/" + b.ID + "/certificates", map[string]any{"csr": registrytest.CSR(t, b.Signer), "lifetime": 600}}, bad: call{"/v1/agents/" + b.ID + "/certificates", `{"csr":"x"}`}},
		{id: "issue-pep-certificate", good: call{"/v1/peps/" + gate + "/certificates", map[string]any{"csr": registrytest.CSR(t, registrytest.Key(60))}}, bad: call{"/v1/peps/" + gate + "/certificates", `{"csr":"x"}`}},
		{id: "list-certificates", good: call{"/v1/certificates?owner=" + b.ID, nil}, bad: call{"/v1/certificates?owner=x", nil}},
		{id: "get-certificate", good: call{"/v1/certificates/" + leaf.Value.Digest, nil}, bad: call{"/v1/certificates/" + strings.Repeat("x", 43), nil}},
		{id: "revoke-certificate", good: call{"/v1/certificates/" + leaf.Value.Digest + "/revoke", `{"reason":"replaced"}`}, bad: call{"/v1/certificates/x/revoke", nil}},
		{id: "get-ca-root", good: call{"/ca/root.pem", nil}, noAccess: true},
		{id: "get-ca-chain", good: call{"/ca/chain.pem", nil}, noAccess: true},
		{id: "enrol-root", good: call{"/v1/orgs/operator/roots", map[string]any{"pem": enterprise.PEM(), "rules": []any{w.Rule("uri:urn:prod:", true)}}}, bad: call{"/v1/orgs/operator/roots", map[string]any{"pem": enterprise.PEM(), "rules": []any{}}}},
		{id: "list-roots", good: call{"/v1/orgs/operator/roots", nil}, bad: call{"/v1/orgs/nobody/roots", nil}},
		{id: "remove-root", good: call{"/v1/orgs/operator/roots/" + pki.Digest(enterprise.Cert.Raw), nil}, bad: call{"/v1/orgs/operator/roots/x", nil}},
		{id: "enrol-issuer", good: call{"/v1/orgs/operator/workload-issuers", map[string]any{"kind": "okta", "issuer": "https://new.example", "rules": []any{w.Rule("app:", true)}}}, bad: call{"/v1/orgs/operator/workload-issuers", map[string]any{"kind": "x", "rules": []any{}}}},
		{id: "list-issuers", good: call{"/v1/orgs/operator/workload-issuers", nil}, bad: call{"/v1/orgs/nobody/workload-issuers", nil}},
		{id: "enrol", good: call{"/v1/enrolments", enrolment}, bad: call{"/v1/enrolments", enrolment}, noAccess: true},
		{id: "remove-issuer", good: call{"/v1/orgs/operator/workload-issuers/" + issuer.Value.ID, nil}, bad: call{"/v1/orgs/operator/workload-issuers/x", nil}},
		{id: "evaluate", good: call{"/access/v1/evaluation", ask()}, bad: call{"/access/v1/evaluation", `{}`}, noAccess: true},
		{id: "evaluate-all", good: call{"/access/v1/evaluations", map[string]any{"evaluations": []any{ask()}}}, bad: call{"/access/v1/evaluations", `{}`}, noAccess: true},
		{id: "search-subjects", good: call{"/access/v1/search/subject", `{"subject":{"type":"user"},"action":{"name":"read"},"resource":{"type":"invoices","id":"7"}}`}, bad: call{"/access/v1/search/subject", `{}`}, as: tool},
		{id: "search-resources", good: call{"/access/v1/search/resource", `{"subject":{"type":"user","id":"bob"},"action":{"name":"read"},"resource":{"type":"invoices"}}`}, bad: call{"/access/v1/search/resource", `{}`}, as: tool},
		{id: "search-actions", good: call{"/access/v1/search/action", `{"subject":{"type":"user","id":"bob"},"resource":{"type":"invoices","id":"7"}}`}, bad: call{"/access/v1/search/action", `{}`}, as: tool},
		{id: "authzen-configuration", good: call{"/.well-known/authzen-configuration", nil}, noAccess: true},
		{id: "get-log", good: call{"/v1/log", nil}, noAccess: true},
		{id: "get-checkpoint", good: call{"/log/checkpoint", nil}, noAccess: true},
		{id: "get-tile", good: call{"/log/tile/entries/000.p/1", nil}, bad: call{"/log/tile/0/999", nil}, noAccess: true},
		{id: "get-registry-did", good: call{"/.well-known/did.json", nil}, noAccess: true},
		{id: "get-agent-did", good: call{"/agents/" + a.ID + "/did.json", nil}, bad: call{"/agents/x/did.json", nil}, noAccess: true},
		{id: "get-agent-did-log", good: call{"/agents/" + a.ID + "/did.jsonl", nil}, bad: call{"/agents/x/did.jsonl", nil}, noAccess: true},
		{id: "resolve-did", good: call{"/1.0/identifiers/" + a.DID, nil}, bad: call{"/1.0/identifiers/x", nil}, noAccess: true},
		{id: "list-keys", good: call{"/v1/agents/" + a.ID + "/keys", nil}, bad: call{"/v1/agents/x/keys", nil}},
		{id: "rotate-key", good: call{"/v1/agents/" + a.ID + "/keys", map[string]any{"jwk": second.Public().JWK(), "possession": w.Possession(t, second, registry.HouseOrg, "a"), "overlap": 60, "next_key_hash": did.NextKeyHash(third.Public())}}, bad: call{"/v1/agents/" + a.ID + "/keys", `{}`}},
		{id: "retire-key", good: call{"/v1/agents/" + a.ID + "/keys/" + a.Thumbprint + "/retire", nil}, bad: call{"/v1/agents/" + a.ID + "/keys/x/retire", nil}},
		{id: "compromise-key", good: call{"/v1/agents/" + a.ID + "/keys/" + second.Public().Thumbprint() + "/compromise", `{"reason":"stolen-laptop"}`}, bad: call{"/v1/agents/" + a.ID + "/keys/" + second.Public().Thumbprint() + "/compromise", `{"from":-1}`}},
		{id: "recover-key", good: call{"/v1/agents/" + a.ID + "/recover", map[string]any{"jwk": third.Public().JWK(), "possession": w.Possession(t, third, registry.HouseOrg, "a")}}, bad: call{"/v1/agents/" + a.ID + "/recover", `{"jwk":{}}`}, noAccess: true},
		{id: "move-custody", good: call{"/v1/agents/" + kept.ID + "/custody", map[string]any{"jwk": updater.Public().JWK(), "possession": w.Possession(t, updater, registry.HouseOrg, "kept")}}, bad: call{"/v1/agents/" + kept.ID + "/custody", `{}`}},
		{id: "append-did", good: call{"/v1/agents/" + handed.ID + "/did", map[string]any{"entry": entry}}, bad: call{"/v1/agents/" + handed.ID + "/did", `{"entry":{}}`}},
		{id: "request-access", good: call{"/access/v1/requests", h.body}, bad: call{"/access/v1/requests", `{}`}, as: h.gate},
		{id: "get-access-request", good: call{h.task, nil}, bad: call{"/access/v1/requests/x", nil}, as: h.gate},
		{id: "list-approvals", good: call{"/v1/approvals?state=pending", nil}, bad: call{"/v1/approvals?state=x", nil}},
		{id: "get-approval", good: call{h.approval, nil}, bad: call{"/v1/approvals/x", nil}},
		{id: "get-statement", good: call{h.approval + "/statement?break_glass=true", nil}, bad: call{"/v1/approvals/x/statement", nil}},
		{id: "answer-approval", good: call{h.approval + "/answer", map[string]any{"verdict": "approve", "signature": h.ann.Signed(t, h.record, "approve", false).Signature}}, bad: call{h.approval + "/answer", `{"verdict":"perhaps"}`}, as: h.ann.Secret},
		{id: "cancel-access-request", good: call{h.second + "/cancel", `{"reason":"not-needed"}`}, bad: call{h.task + "/cancel", nil}, as: h.gate},
		{id: "get-verification-keys", good: call{"/access/v1/jwks", nil}, noAccess: true},
		{id: "propose-approval-rules", good: call{"/v1/orgs/operator/approval-rules", h.rules}, bad: call{"/v1/orgs/operator/approval-rules", `{"rules":[{"quorum":0,"role":"approver","lifetime":60}]}`}},
		{id: "get-approval-rules", good: call{"/v1/orgs/operator/approval-rules", nil}, bad: call{"/v1/orgs/nobody/approval-rules", nil}},
		{id: "activate-approval-rules", good: call{"/v1/orgs/operator/approval-rules/activate", map[string]any{"digest": h.digest}}, bad: call{"/v1/orgs/operator/approval-rules/activate", `{"digest":"x"}`}, as: h.owner},
		{id: "new-passkey-challenge", good: call{"/v1/principals/me/authenticators/challenge", nil}, bad: call{"/v1/principals/x/authenticators/challenge", nil}},
		{id: "add-authenticator", good: call{"/v1/principals/me/authenticators", h.newKey}, bad: call{"/v1/principals/me/authenticators", h.newKey}, as: h.ann.Secret},
		{id: "list-authenticators", good: call{"/v1/principals/" + h.ann.ID + "/authenticators", nil}, bad: call{"/v1/principals/x/authenticators", nil}},
		{id: "activate-authenticator", good: call{h.key + "/activate", nil}, bad: call{h.key + "x/activate", nil}, as: h.owner},
		{id: "end-authenticator", good: call{h.key + "/end", `{"reason":"lost"}`}, bad: call{h.key + "x/end", nil}, as: h.owner},
		{id: "get-decision", good: call{"/v1/decisions/" + d.ID, nil}, bad: call{"/v1/decisions/x", nil}},
		{id: "replay-decision", good: call{"/v1/decisions/" + decided + "/replay", nil}, bad: call{"/v1/decisions/" + registry.NewID() + "/replay", nil}},
		{id: "observe-agent", good: call{"/v1/agents/" + c.ID + "/observation", map[string]any{"until": w.Clock.Now().Add(time.Hour), "reason": "drill"}}, bad: call{"/v1/agents/" + c.ID + "/observation", map[string]any{"until": w.Clock.Now().Add(31 * 24 * time.Hour), "reason": "drill"}}},
		{id: "unobserve-agent", good: call{"/v1/agents/" + c.ID + "/observation", nil}, bad: call{"/v1/agents/x/observation", nil}},
		{id: "observe-org", good: call{"/v1/orgs/acme/observation", map[string]any{"until": w.Clock.Now().Add(time.Hour), "reason": "drill"}}, bad: call{"/v1/orgs/acme/observation", map[string]any{"until": w.Clock.Now(), "reason": "drill"}}},
		{id: "unobserve-org", good: call{"/v1/orgs/acme/observation", nil}, bad: call{"/v1/orgs/nobody/observation", nil}},
		{id: "get-coverage", good: call{"/v1/orgs/operator/observations?agent=" + c.ID, nil}, bad: call{"/v1/orgs/nobody/observations", nil}},
		{id: "set-actions", good: call{"/v1/agents/" + c.ID + "/actions", `{"actions":["read:invoices"]}`}, bad: call{"/v1/agents/" + c.ID + "/actions", `{"actions":["read"]}`}},
		{id: "clear-actions", good: call{"/v1/agents/" + c.ID + "/actions", nil}, bad: call{"/v1/agents/x/actions", nil}},
		{id: "simulate", good: call{"/v1/simulate", map[string]any{"agent": c.DID, "action": map[string]any{"name": "read", "properties": map[string]any{"a": 1}}, "resource": map[string]any{"type": "invoices", "id": "7"}, "capabilities": "read:invoices"}},
			bad: call{"/v1/simulate", map[string]any{"agent": c.DID, "action": map[string]any{"name": "read"}, "resource": map[string]any{"type": "invoices", "id": "7"}, "capabilities": "read"}}},
		{id: "put-entity", good: call{"/v1/orgs/operator/entities/user/alice%2F1", `{"properties":{"grade":3},"parents":[{"type":"group","id":"staff"}]}`}, bad: call{"/v1/orgs/operator/entities/user/alice", `{"properties":[]}`}},
		{id: "get-entity", good: call{"/v1/orgs/operator/entities/user/alice%2F1", nil}, bad: call{"/v1/orgs/operator/entities/user/bob", nil}},
		{id: "list-entities", good: call{"/v1/orgs/operator/entities", nil}, bad: call{"/v1/orgs/nobody/entities", nil}},
		{id: "put-entities", good: call{"/v1/orgs/operator/entities", `{"entities":[{"type":"user","id":"bob","properties":{"grade":3}},{"type":"user","id":"eve"}]}`}, bad: call{"/v1/orgs/operator/entities", `{"entities":[{"type":"user","id":"bob"},{"type":"user","id":"bob"}]}`}},
		{id: "delete-entity", good: call{"/v1/orgs/operator/entities/user/alice%2F1", nil}, bad: call{"/v1/orgs/operator/entities/user/alice%2F1", nil}},
		{id: "put-template", good: call{"/v1/orgs/operator/templates/reader", `{"capabilities":"read:invoices","lifetime":3600}`}, bad: call{"/v1/orgs/operator/templates/reader", `{"capabilities":"read"}`}},
		{id: "get-template", good: call{"/v1/orgs/operator/templates/reader", nil}, bad: call{"/v1/orgs/operator/templates/writer", nil}},
		{id: "list-templates", good: call{"/v1/orgs/operator/templates", nil}, bad: call{"/v1/orgs/nobody/templates", nil}},
		{id: "delete-template", good: call{"/v1/orgs/operator/templates/reader", nil}, bad: call{"/v1/orgs/operator/templates/reader", nil}},
		{id: "validate-policies", good: call{"/v1/orgs/operator/policies/validate", `{"text":"forbid"}`}, bad: call{"/v1/orgs/operator/policies/validate", `{}`}},
		{id: "draft-policies", good: call{"/v1/orgs/operator/policies", `{"text":"permit(principal, action, resource);"}`}, bad: call{"/v1/orgs/operator/policies", `{"text":"forbid"}`}},
		{id: "list-policies", good: call{"/v1/orgs/operator/policies", nil}, bad: call{"/v1/orgs/nobody/policies", nil}},
		{id: "get-policies", good: call{"/v1/orgs/operator/policies/1", nil}, bad: call{"/v1/orgs/operator/policies/active", nil}},
		{id: "dry-run-policies", good: call{"/v1/orgs/operator/policies/1/dry-run?limit=5", nil}, bad: call{"/v1/orgs/operator/policies/1/dry-run?before=x", nil}},
		{id: "activate-policies", good: call{"/v1/orgs/operator/policies/1/activate", nil}, bad: call{"/v1/orgs/operator/policies/2/activate", nil}},
		{id: "set-pep-key", good: call{mine + "/key", map[string]any{"jwk": registrytest.Key(73).Public().JWK()}}, bad: call{mine + "/key", `{}`}},
		{id: "set-pep-routes", good: call{mine + "/routes", `{"audience":"https://mine.example","routes":[{"method":"GET","path":"/a/{id}","action":"read:a","resource":"{id}"}],"credential":"Bearer x"}`},
			bad: call{mine + "/routes", `{"audience":"https://other.example","routes":[{"method":"GET","path":"/a/{id}","action":"read:a","resource":"{id}"}]}`}},
		{id: "set-pep-callbacks", good: call{mine + "/callbacks", `{"origins":["https://mine.example"]}`}, bad: call{mine + "/callbacks", `{"origins":["https://mine.example/path"]}`}},
		{id: "get-pep-routes", good: call{mine + "/routes", nil}, bad: call{"/v1/peps/x/routes", nil}},
		{id: "list-outcomes", good: call{"/v1/outcomes?state=executed&agent=" + c.ID, nil}, bad: call{"/v1/outcomes?state=x", nil}},
		{id: "list-undo", good: call{"/v1/agents/" + c.ID + "/undo", nil}, bad: call{"/v1/agents/x/undo", nil}},
		{id: "healthz", good: call{"/healthz", nil}, noAccess: true},
		{id: "readyz", good: call{"/readyz", nil}, noAccess: true},
		{id: "metrics", good: call{"/metrics", nil}, noAccess: true},
	}
	described := map[string]string{}
	for path, item := range w.spec.Paths {
		for method, op := range map[string]*huma.Operation{"GET": item.Get, "POST": item.Post, "PUT": item.Put, "DELETE": item.Delete} {
			if op != nil {
				described[op.OperationID] = method + " " + path
			}
		}
	}
	var called []string
	for _, row := range rows {
		called = append(called, row.id)
		method, _, _ := strings.Cut(described[row.id], " ")
		who := []request{as(cmp.Or(row.as, w.Secret))}
		if row.noAccess {
			who = nil
		} else if r := w.do(method, row.good.path, nil); r.StatusCode != 401 {
			t.Errorf("%s without a credential: %d %s", row.id, r.StatusCode, r.body)
		}
		if late, ok := row.good.body.(func() any); ok {
			row.good.body = late()
		}
		if r := w.do(method, row.good.path, row.good.body, who...); r.StatusCode/100 != 2 || w.operation(method, r.Request.URL.EscapedPath()).OperationID != row.id {
			t.Errorf("%s: %d %s", row.id, r.StatusCode, r.body)
		}
		if row.bad == none {
			continue
		}
		if r := w.do(method, row.bad.path, row.bad.body, who...); r.StatusCode < 400 || r.StatusCode >= 500 {
			t.Errorf("%s, wrongly: %d %s", row.id, r.StatusCode, r.body)
		}
	}
	slices.Sort(called)
	if diff := gocmp.Diff(slices.Sorted(maps.Keys(described)), called); diff != "" {
		t.Errorf("operations (-described +called):\n%s", diff)
	}
}
