package api_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/capability"
	"github.com/writ-registry/writ/registry/registrytest"
)

// payer is an agent behind an enforcement point, and a human who can approve.
type payer struct {
	*registrytest.Agent
	grant registry.Grant
	gate  string // the enforcement point's credential
	ann   *registrytest.Human
}

func openPayer(t *testing.T, w *world) *payer {
	t.Helper()
	a := w.NewAgent(t, "payer")
	g := a.Grant(t, "wire:money", func(n *registry.NewGrant) { n.Audience = []string{"https://bank.example"} })
	gate := w.must("POST", "/v1/peps", `{"name":"bank","resources":["https://bank.example"]}`)["secret"].(string)
	return &payer{a, g, gate, w.Human(t, "", registry.RoleApprover)}
}

// stepUp evaluates a payment, which the catalogue does not know, and returns the request
// to the humans that the answer asks for.
func (p *payer) stepUp(t *testing.T, w *world, args string) (submission, outcome map[string]any) {
	t.Helper()
	body := authzen(p.Ask(t, p.grant, "wire", "money", "m1", args))
	r := w.do("POST", "/access/v1/evaluation", body, as(p.gate)).json(t)
	outcome = r["context"].(map[string]any)
	if r["decision"] != false || outcome["verdict"] != "step_up" {
		t.Fatalf("%v", r)
	}
	denial := outcome["access_request"].(map[string]any)
	return map[string]any{
		"subject": body["subject"], "action": body["action"], "resource": body["resource"], "context": map[string]any{"business_justification": "due today"},
		"denial": map[string]any{"evaluation_id": outcome["evaluation_id"], "expires_at": denial["expires_at"], "reason": outcome["reason"], "binding_token": denial["binding_token"]},
	}, outcome
}

// humans are what TestEveryOperation needs of approvals.
type humans struct {
	*payer
	body, rules, newKey                 any
	task, second, approval, digest, key string
	owner                               string
	record                              registry.Approval
}

func openHumans(t *testing.T, w *world) *humans {
	h := &humans{payer: openPayer(t, w)}
	ask := func(args string) (any, string) {
		body, _ := h.stepUp(t, w, args)
		r := w.do("POST", "/access/v1/requests", body, as(h.gate))
		return body, r.json(t)["task"].(map[string]any)["id"].(string)
	}
	var id, second string
	h.body, id = ask(`{"amount":1}`)
	_, second = ask(`{"amount":2}`)
	h.task, h.second, h.approval = "/access/v1/requests/"+id, "/access/v1/requests/"+second, "/v1/approvals/"+id
	var err error
	if h.record, err = w.FindApproval(t.Context(), w.Operator, id); err != nil {
		t.Fatal(err)
	}
	rules := []registry.ApprovalRule{{Action: "wire:*", Quorum: 2, Role: registry.RoleApprover, Lifetime: 60}}
	form, err := canon.Marshal(rules)
	if err != nil {
		t.Fatal(err)
	}
	h.rules, h.digest = map[string]any{"rules": rules}, canon.Digest(form)
	h.owner = w.must("POST", "/v1/principals", `{"roles":["owner"]}`)["secret"].(string)
	h.key = "/v1/principals/" + h.ann.ID + "/authenticators/" + h.ann.Authenticator.ID
	signer, err := jose.GenerateP256()
	if err != nil {
		t.Fatal(err)
	}
	h.newKey = map[string]any{"name": "second", "jwk": signer.Public().JWK(), "possession": possession(t, w, signer, h.ann.ID)}
	return h
}

func possession(t *testing.T, w *world, signer jose.Signer, principal string) string {
	t.Helper()
	now := w.Clock.Now().Unix()
	proof, err := capability.SignAuthenticator(signer, capability.AuthenticatorClaims{Audience: w.Origin, Subject: principal, ID: capability.NewJTI(), IssuedAt: now, Expires: now + 60})
	if err != nil {
		t.Fatal(err)
	}
	return proof
}

// TestAccessRequest is the profile from the denial to the permit.
func TestAccessRequest(t *testing.T) {
	w := open(t)
	p := openPayer(t, w)
	meta := w.must("GET", "/.well-known/authzen-configuration", nil)
	if meta["access_request_endpoint"] != w.Origin+"/access/v1/requests" || meta["jwks_uri"] != w.Origin+"/access/v1/jwks" ||
		!slices.Contains(meta["capabilities"].([]any), any("urn:openid:authzen:capability:access-request")) {
		t.Errorf("metadata %v", meta)
	}
	body, denied := p.stepUp(t, w, `{"amount":1}`)
	if denied["evaluation_id"] != denied["id"] || denied["reason"] != "approval_required" || denied["evaluated_at"] == nil || denied["next_action"] != nil {
		t.Errorf("denial %v", denied)
	}
	keys := w.must("GET", "/access/v1/jwks", nil)["keys"].([]any)
	raw, err := json.Marshal(keys[0])
	if err != nil {
		t.Fatal(err)
	}
	key, err := jose.ParseJWK(raw)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jose.Parse(denied["access_request"].(map[string]any)["binding_token"].(string), registry.TypBinding, capability.MaxToken)
	if err != nil || token.Verify(key) != nil || token.Header.Kid != keys[0].(map[string]any)["kid"] {
		t.Errorf("the binding token does not verify with the published key: %v", err)
	}

	once := header("Idempotency-Key", "k1")
	r := w.do("POST", "/access/v1/requests", body, as(p.gate), once)
	task := r.json(t)["task"].(map[string]any)
	at := strings.TrimPrefix(task["status_endpoint"].(string), w.Origin)
	if r.StatusCode != http.StatusAccepted || task["status"] != "pending" || r.Header.Get("Location") != task["status_endpoint"] {
		t.Fatalf("%d %s", r.StatusCode, r.body)
	}
	if again := w.do("POST", "/access/v1/requests", body, as(p.gate), once); again.StatusCode != http.StatusAccepted || again.json(t)["task"].(map[string]any)["id"] != task["id"] {
		t.Errorf("sent again: %d %s", again.StatusCode, again.body)
	}
	a, err := w.FindApproval(t.Context(), w.Operator, task["id"].(string))
	if err != nil {
		t.Fatal(err)
	}
	statement := w.do("GET", "/v1/approvals/"+a.ID+"/statement", nil, as(p.ann.Secret))
	if canon.Digest(statement.body) != a.Digest || !strings.Contains(string(statement.body), `"arguments":{"amount":1}`) || !strings.Contains(string(statement.body), "due today") {
		t.Errorf("statement %s", statement.body)
	}
	got := make(chan reply)
	go func() { got <- w.do("GET", at+"?wait=30s", nil, as(p.gate)) }()
	if r := w.do("POST", "/v1/approvals/"+a.ID+"/answer", map[string]any{"verdict": "approve", "signature": p.ann.Signed(t, a, "approve", false).Signature}, as(p.ann.Secret)); r.StatusCode != 200 {
		t.Fatalf("answer: %d %s", r.StatusCode, r.body)
	}
	done := (<-got).json(t)
	result, _ := done["result"].(map[string]any)
	if done["task"].(map[string]any)["status"] != "approved" || result["mode"] != "reevaluate" || result["approval"].(map[string]any)["approved_until"] == nil {
		t.Fatalf("done: %v", done)
	}
	evaluate := func(args string) map[string]any {
		again := authzen(p.Ask(t, p.grant, "wire", "money", "m1", args))
		again["context"].(map[string]any)["approval"] = result["approval"]
		return w.do("POST", "/access/v1/evaluation", again, as(p.gate)).json(t)
	}
	if r := evaluate(`{"amount":2}`); r["decision"] != false || r["context"].(map[string]any)["next_action"] != "request" || r["context"].(map[string]any)["reason"] != "approval_mismatch" || r["context"].(map[string]any)["access_request"] == nil {
		t.Errorf("other arguments: %v", r)
	}
	if r := evaluate(`{"amount":1}`); r["decision"] != true || r["context"].(map[string]any)["approval"].(map[string]any)["id"] != a.ID {
		t.Errorf("approved: %v", r)
	}
	if r := evaluate(`{"amount":1}`); r["decision"] != false || r["context"].(map[string]any)["reason"] != "approval_consumed" {
		t.Errorf("a second time: %v", r)
	}
	if metrics := string(w.do("GET", "/metrics", nil).body); !strings.Contains(metrics, `writ_approval_answers_total{state="approved"} 1`) {
		t.Error("the answer is not counted")
	}
}

// TestAccessRequestProblems: what is refused has the profile's names.
func TestAccessRequestProblems(t *testing.T) {
	w := open(t)
	p := openPayer(t, w)
	body, _ := p.stepUp(t, w, `{"amount":1}`)
	with := func(name string, v any) map[string]any {
		out := map[string]any{}
		for k, x := range body {
			out[k] = x
		}
		out[name] = v
		return out
	}
	const urn = "urn:openid:authzen:access-request:error:"
	for name, c := range map[string]struct {
		body   any
		status int
		typ    string
	}{
		"no denial":          {with("denial", nil), 400, urn + "invalid_denial_binding"},
		"forged":             {with("denial", map[string]any{"binding_token": "x.y.z"}), 400, urn + "invalid_denial_binding"},
		"other act":          {with("action", map[string]any{"name": "wire", "properties": map[string]any{"amount": 9}}), 400, urn + "invalid_denial_binding"},
		"other task":         {with("context", map[string]any{"task": "x"}), 400, urn + "invalid_denial_binding"},
		"bundle":             {with("items", []any{}), 400, "urn:writ:problem:malformed"},
		"callback":           {with("callback", map[string]any{"endpoint": "https://169.254.169.254/"}), 400, "urn:writ:problem:malformed"},
		"callback to a page": {with("callback", map[string]any{"endpoint": "http://bank.example/"}), 400, "urn:writ:problem:malformed"},
		"a novel":            {with("context", map[string]any{"business_justification": strings.Repeat("a", 2000)}), 413, "urn:writ:problem:too-large"},
		"as evaluation says": {body, 202, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := w.do("POST", "/access/v1/requests", c.body, as(p.gate))
			if v := r.json(t); r.StatusCode != c.status || c.typ != "" && v["type"] != c.typ {
				t.Errorf("%d %s", r.StatusCode, r.body)
			}
		})
	}
	key := header("Idempotency-Key", "k")
	w.do("POST", "/access/v1/requests", body, as(p.gate), key)
	if r := w.do("POST", "/access/v1/requests", with("client", map[string]any{"id": "x"}), as(p.gate), key); r.StatusCode != 409 || r.json(t)["type"] != urn+"duplicate_request" {
		t.Errorf("another body: %d %s", r.StatusCode, r.body)
	}
	id := w.do("POST", "/access/v1/requests", body, as(p.gate)).json(t)["task"].(map[string]any)["id"].(string)
	for path, want := range map[string]string{"/access/v1/requests/" + registry.NewID(): "unknown_task", "/access/v1/requests/x": "unknown_task"} {
		if r := w.do("GET", path, nil, as(p.gate)); r.StatusCode != 404 || r.json(t)["type"] != urn+want {
			t.Errorf("%s: %d %s", path, r.StatusCode, r.body)
		}
	}
	if r := w.do("POST", "/access/v1/requests/"+id+"/cancel", nil, as(p.gate)); r.StatusCode != 200 || r.json(t)["task"].(map[string]any)["status"] != "cancelled" {
		t.Errorf("cancel: %d %s", r.StatusCode, r.body)
	}
	if r := w.do("POST", "/access/v1/requests/"+id+"/cancel", nil, as(p.gate)); r.StatusCode != 409 || r.json(t)["type"] != urn+"invalid_task_state" {
		t.Errorf("cancel again: %d %s", r.StatusCode, r.body)
	}
	w.Clock.Add(registry.BindingLife)
	if r := w.do("POST", "/access/v1/requests", body, as(p.gate)); r.StatusCode != 410 || r.json(t)["type"] != urn+"expired_denial" {
		t.Errorf("late: %d %s", r.StatusCode, r.body)
	}
}

func refused(t *testing.T, err error, code string) {
	t.Helper()
	var e *registry.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Errorf("got %v, want code %s", err, code)
	}
}
