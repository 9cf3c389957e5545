package api_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/capability"
)

const evaluation = "/access/v1/evaluation"

// TestEvaluation asks directly and through an enforcement point, with proofs
// that hold and proofs that do not.
func TestEvaluation(t *testing.T) {
	w := open(t)
	w.Catalogue(t,
		registry.CatalogueAction{Action: "read:invoices", Reversibility: registry.Reversible},
		registry.CatalogueAction{Action: "create:shipment", Reversibility: registry.Compensable, Material: true, CompensatedBy: "cancel:shipment", CompensateIn: 60},
		registry.CatalogueAction{Action: "execute:payment", Reversibility: registry.Irreversible, Material: true},
	)
	const erp = "https://erp.example"
	a, b := w.NewAgent(t, "a"), w.NewAgent(t, "b")
	g := a.Grant(t, "read:invoices; create:shipment(weight<=500); execute:payment", func(n *registry.NewGrant) { n.Audience = []string{erp} })
	pep := w.newPEP("gate", erp)
	foreign := w.newPEP("other-gate", "https://crm.example")

	decided := func(r reply, decision bool, verdict, reason string) map[string]any {
		t.Helper()
		if r.StatusCode != 200 {
			t.Fatalf("%d %s", r.StatusCode, r.body)
		}
		v := r.json(t)
		c := v["context"].(map[string]any)
		first := ""
		if reasons := c["reasons"].([]any); len(reasons) > 0 {
			first = reasons[0].(map[string]any)["code"].(string)
			if reasons[0].(map[string]any)["meaning"] == "" {
				t.Errorf("a reason without meaning: %s", r.body)
			}
		}
		if v["decision"] != decision || c["verdict"] != verdict || first != reason {
			t.Errorf("got %s\nwant %v %s %q", r.body, decision, verdict, reason)
		}
		return c
	}
	ask := func(verb, typ, args string, claims ...func(*capability.ActionClaims)) map[string]any {
		return authzen(a.Ask(t, g, verb, typ, "7", args, claims...))
	}

	c := decided(w.do("POST", evaluation, ask("read", "invoices", ""), as(pep)), true, "permit", "")
	if c["qualified"] != false || c["event"] != nil || c["policy_digest"] == "" {
		t.Errorf("a reversible read: %v", c)
	}
	c = decided(w.do("POST", evaluation, ask("create", "shipment", `{"weight":499.5}`)), true, "permit", "")
	cid, _ := c["event"].(map[string]any)["cid"].(string)
	ev := w.must("GET", "/v1/events/"+cid, nil)
	if n := len(ev["disclosures"].([]any)); n != 4 || ev["explanation"] != nil {
		t.Errorf("the event of a permit: %d disclosures, explanation %v", n, ev["explanation"])
	}
	c = decided(w.do("POST", evaluation, ask("create", "shipment", `{"weight":501}`), as(pep)), false, "deny", "argument_refused")
	cid, _ = c["event"].(map[string]any)["cid"].(string)
	if ev := w.must("GET", "/v1/events/"+cid, nil); len(ev["explanation"].([]any)) != 1 {
		t.Errorf("the event of a denial: %v", ev["explanation"])
	}
	decided(w.do("POST", evaluation, ask("execute", "payment", `{}`), as(pep)), false, "step_up", "approval_required")
	decided(w.do("POST", evaluation, map[string]any{
		"subject": map[string]any{"type": "user", "id": "rick"}, "action": map[string]any{"name": "read"}, "resource": map[string]any{"type": "todo", "id": "1"},
	}, as(pep)), false, "deny", "policy_no_permit")

	t.Run("proofs", func(t *testing.T) {
		set := func(path string, v any) func(map[string]any) {
			return func(m map[string]any) {
				names := strings.Split(path, "/")
				for _, n := range names[:len(names)-1] {
					m = m[n].(map[string]any)
				}
				m[names[len(names)-1]] = v
			}
		}
		for name, c := range map[string]struct {
			change func(map[string]any)
			claims func(*capability.ActionClaims)
			code   string
		}{
			"wrong arguments":  {change: set("action/properties", map[string]any{"x": 1}), code: "wrong_act"},
			"wrong resource":   {change: set("resource/id", "8"), code: "wrong_act"},
			"wrong task":       {change: set("context/task", "other"), code: "wrong_act"},
			"foreign subject":  {change: set("subject/id", b.DID), code: "signature"},
			"missing":          {change: set("context/proof", ""), code: "missing"},
			"malformed":        {change: set("context/proof", "a.b"), code: "malformed"},
			"malformed token":  {change: set("context/token", "a.b"), code: "malformed"},
			"stale":            {claims: func(c *capability.ActionClaims) { c.IssuedAt -= 120; c.Expires -= 120 }, code: "stale"},
			"foreign registry": {claims: func(c *capability.ActionClaims) { c.PDP = "https://evil.example" }, code: "wrong_pdp"},
			"foreign resource": {claims: func(c *capability.ActionClaims) { c.Audience = "https://crm.example" }, code: "wrong_audience"},
			"foreign token":    {claims: func(c *capability.ActionClaims) { c.TokenHash = canon.Digest([]byte("x")) }, code: "wrong_token"},
		} {
			t.Run(name, func(t *testing.T) {
				claims := func(*capability.ActionClaims) {}
				if c.claims != nil {
					claims = c.claims
				}
				body := ask("read", "invoices", "", claims)
				if c.change != nil {
					c.change(body)
				}
				r := w.do("POST", evaluation, body)
				if p := w.refused(r, 401, "unauthenticated", ""); p["code"] != c.code || r.Header.Get("WWW-Authenticate") == "" {
					t.Errorf("direct: code %v, want %s", p["code"], c.code)
				}
				decided(w.do("POST", evaluation, body, as(pep)), false, "deny", "possession_failed")
			})
		}
		decided(w.do("POST", evaluation, ask("read", "invoices", ""), as(foreign)), false, "deny", "possession_failed")
	})
	t.Run("replay", func(t *testing.T) {
		body := ask("create", "shipment", `{"weight":1}`)
		first := decided(w.do("POST", evaluation, body, as(pep)), true, "permit", "")
		again := decided(w.do("POST", evaluation, body, as(pep)), true, "permit", "")
		if again["repeated"] != true || again["id"] != first["id"] {
			t.Errorf("the same enforcement point, the same body: %v", again)
		}
		if p := w.refused(w.do("POST", evaluation, body), 401, "unauthenticated", ""); p["code"] != "replayed" {
			t.Errorf("replayed by another: %v", p)
		}
		other := maps.Clone(body)
		other["context"] = maps.Clone(body["context"].(map[string]any))
		other["context"].(map[string]any)["domain"] = "finance"
		decided(w.do("POST", evaluation, other, as(pep)), false, "deny", "possession_failed")
	})
	t.Run("context", func(t *testing.T) {
		body := ask("read", "invoices", "")
		body["context"].(map[string]any)["workflow"] = "order-to-cash" // it may assert a domain, and no workflow
		decided(w.do("POST", evaluation, body, as(pep)), false, "deny", "context_refused")
	})
	t.Run("a stop", func(t *testing.T) {
		scope := map[string]any{"scope": map[string]any{"kind": "agent", "id": a.ID}, "reason": "drill"}
		w.must("POST", "/v1/kill", scope)
		decided(w.do("POST", evaluation, ask("read", "invoices", ""), as(pep)), false, "deny", "kill_agent")
		w.must("POST", "/v1/kill/release", scope)
		decided(w.do("POST", evaluation, ask("read", "invoices", ""), as(pep)), true, "permit", "")
	})
	t.Run("unknown members are ignored", func(t *testing.T) {
		body := ask("read", "invoices", `{"dry_run":true}`) // an argument may be called so
		body["more"] = 1
		for _, m := range []string{"subject", "resource", "context"} {
			body[m].(map[string]any)["more"] = map[string]any{"x": nil}
		}
		body["subject"].(map[string]any)["properties"] = map[string]any{"dry_run": true}
		decided(w.do("POST", evaluation, body, as(pep), header("Idempotency-Key", "ignored here")), true, "permit", "")
	})
	for _, want := range []string{`writ_decisions_total{reason="",verdict="permit"}`, `writ_decisions_total{reason="possession_failed",verdict="deny"}`, `writ_authentication_failures_total{code="stale"} 1`} {
		if m := string(w.do("GET", "/metrics", nil).body); !strings.Contains(m, want) {
			t.Errorf("metrics do not have %s", want)
		}
	}
}

func TestEvaluationShape(t *testing.T) {
	w := open(t)
	pep := w.newPEP("gate", "https://erp.example")
	const subject, action, resource = `"subject":{"type":"agent","id":"did:web:example.org:a"}`, `"action":{"name":"read"}`, `"resource":{"type":"invoices","id":"7"}`
	whole := func(more string) string { return "{" + subject + "," + action + "," + resource + more + "}" }
	for name, c := range map[string]struct{ body, field string }{
		"nothing":               {``, ""},
		"no object":             {`[]`, ""},
		"no subject":            {"{" + action + "," + resource + "}", "/subject"},
		"no action":             {"{" + subject + "," + resource + "}", "/action"},
		"no resource":           {"{" + subject + "," + action + "}", "/resource"},
		"null resource":         {"{" + subject + "," + action + `,"resource":null}`, "/resource"},
		"no subject id":         {`{"subject":{"type":"agent"},` + action + "," + resource + "}", "/subject/id"},
		"no resource id":        {"{" + subject + "," + action + `,"resource":{"type":"x"}}`, "/resource/id"},
		"wrong type":            {"{" + subject + "," + resource + `,"action":{"name":1}}`, "/action/name"},
		"arguments of no shape": {"{" + subject + "," + resource + `,"action":{"name":"read","properties":[]}}`, "/action/properties"},
		"malformed DID":         {`{"subject":{"type":"agent","id":"did:web:"},` + action + "," + resource + "}", "/subject/id"},
		"token of another type": {whole(`,"context":{"token":1}`), "/context/token"},
		"context of no shape":   {whole(`,"context":"x"`), "/context"},
		"dry run":               {whole(`,"context":{"dry_run":false}`), "/context/dry_run"},
		"nested dry run":        {whole(`,"context":{"a":[{"dry_run":1}]}`), "/context/a/0/dry_run"},
		"dry run at the top":    {whole(`,"dry_run":true`), "/dry_run"},
		"duplicate name":        {whole(`,"context":{"task":"a","task":"b"}`), "/context/task"},
		"imprecise argument":    {"{" + subject + "," + resource + `,"action":{"name":"read","properties":{"n":0.1000000000000000000000000001}}}`, "/action/properties/n"},
	} {
		t.Run(name, func(t *testing.T) {
			w.refused(w.do("POST", evaluation, c.body, as(pep)), 400, "malformed", c.field)
			w.refused(w.do("POST", evaluation, c.body), 400, "malformed", c.field)
		})
	}
	w.refused(w.do("POST", evaluation, whole(""), header("Content-Type", "text/plain")), 400, "malformed", "")
	w.refused(w.do("GET", evaluation, nil), 405, "method-not-allowed", "")

	meta := w.do("GET", "/.well-known/authzen-configuration", nil).json(t)
	if meta["policy_decision_point"] != w.Origin || meta["access_evaluation_endpoint"] != w.Origin+evaluation || meta["access_evaluations_endpoint"] != w.Origin+evaluation+"s" || len(meta) != 9 {
		t.Errorf("metadata: %v", meta)
	}
}

// TestVerify answers for resource servers of any org, records nothing and
// spends nothing.
func TestVerify(t *testing.T) {
	w := open(t)
	foreign := w.tenant()
	a := w.NewAgent(t, "a")
	g := a.Grant(t, "read:invoices")
	size, _, err := w.DB.Log("localhost:8080/log").Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	body := authzen(a.Ask(t, g, "read", "invoices", "7", `{"n":1.5}`))
	for range 2 {
		if v := w.do("POST", "/v1/verify", body, as(foreign)).json(t); v["active"] != true || v["sub"] != a.DID {
			t.Errorf("verify: %v", v)
		}
	}
	body["resource"].(map[string]any)["id"] = "8"
	if v := w.do("POST", "/v1/verify", body, as(foreign)).json(t); v["active"] != false || len(v["reasons"].([]any)) != 1 {
		t.Errorf("verify another act: %v", v)
	}
	if now, _, err := w.DB.Log("localhost:8080/log").Head(t.Context()); err != nil || now != size {
		t.Errorf("the log grew from %d to %d (%v)", size, now, err)
	}
	body["more"] = 1
	w.refused(w.do("POST", "/v1/verify", body, as(foreign)), 400, "malformed", "/more")
	delete(body, "more")
	w.refused(w.do("POST", "/v1/verify?x=1", body, as(foreign)), 400, "malformed", "")
	w.refused(w.do("POST", "/v1/verify", nil, as(foreign)), 400, "malformed", "")
	for at, c := range map[string]string{
		"/subject":           `{"action":{"name":"a"},"resource":{"type":"t","id":"1"},"context":{"token":"t","proof":"p"}}`,
		"/context":           `{"subject":{"type":"agent","id":"did:web:a.example"},"action":{"name":"a"},"resource":{"type":"t","id":"1"}}`,
		"/context/proof":     `{"subject":{"type":"agent","id":"did:web:a.example"},"action":{"name":"a"},"resource":{"type":"t","id":"1"},"context":{"token":"t"}}`,
		"/subject/type":      `{"subject":{"type":"user","id":"rick"},"action":{"name":"a"},"resource":{"type":"t","id":"1"},"context":{"token":"t","proof":"p"}}`,
		"/resource/more":     `{"subject":{"type":"agent","id":"did:web:a.example"},"action":{"name":"a"},"resource":{"type":"t","id":"1","more":1},"context":{"token":"t","proof":"p"}}`,
		"/action/properties": `{"subject":{"type":"agent","id":"did:web:a.example"},"action":{"name":"a","properties":[]},"resource":{"type":"t","id":"1"},"context":{"token":"t","proof":"p"}}`,
		"/subject/id":        `{"subject":{"type":"agent","id":"did:web:a_b"},"action":{"name":"a"},"resource":{"type":"t","id":"1"},"context":{"token":"t","proof":"p"}}`,
	} {
		w.refused(w.do("POST", "/v1/verify", c, as(foreign)), 400, "malformed", at)
	}
	w.refused(w.do("POST", "/v1/verify", body), 401, "unauthenticated", "")
}

// TestDryRun: a simulation is refused in whatever spelling it comes.
func TestDryRun(t *testing.T) {
	w := open(t)
	pep := w.newPEP("gate", "https://erp.example")
	const rest = `"subject":{"type":"user","id":"rick"},"action":{"name":"read","properties":{"dry_run":true}},"resource":{"type":"todo","id":"1"}`
	for body, at := range map[string]string{
		`{"dry_run":true,` + rest + `}`:                          "/dry_run",
		`{"dry\u005frun":1,` + rest + `}`:                        "/dry_run",
		`{"context":{"a":[{"\u0064ry_run":1}]},` + rest + `}`:    "/context/a/0/dry_run",
		`{"context":{"\u0064\u0072y_ru\u006e":{}},` + rest + `}`: "/context/dry_run",
	} {
		w.refused(w.do("POST", evaluation, body, as(pep)), 400, "malformed", at)
	}
	if r := w.do("POST", evaluation, "{"+rest+"}", as(pep)); r.StatusCode != 200 {
		t.Errorf("arguments are others' words: %d %s", r.StatusCode, r.body)
	}
}

// TestAssertedSubjects: about a subject that is no agent an enforcement point is
// answered by the org's policies, and the answer says that it rests on its word.
func TestAssertedSubjects(t *testing.T) {
	w := open(t)
	w.Catalogue(t, registry.CatalogueAction{Action: "read:record", Reversibility: registry.Reversible}, registry.CatalogueAction{Action: "write:record", Reversibility: registry.Reversible})
	pep := w.newPEP("gate", "https://erp.example")
	w.must("PUT", "/v1/orgs/operator/entities/user/alice", `{"properties":{"department":"Sales"}}`)
	drafted := w.must("POST", "/v1/orgs/operator/policies", map[string]any{"text": `
permit(principal is User, action == Action::"read:record", resource) when { principal has department && principal.department == "Sales" };`})
	version := drafted["policies"].(map[string]any)["version"].(float64)
	w.must("POST", fmt.Sprintf("/v1/orgs/operator/policies/%v/activate", version), nil)
	ask := func(verb, who string) map[string]any {
		return map[string]any{"subject": map[string]any{"type": "user", "id": who, "properties": map[string]any{"department": "Sales"}},
			"action": map[string]any{"name": verb}, "resource": map[string]any{"type": "record", "id": "1"}}
	}
	for _, c := range []struct {
		verb, who string
		decision  bool
		reason    string
	}{{"read", "alice", true, ""}, {"write", "alice", false, "policy_no_permit"}, {"read", "bob", false, "policy_no_permit"}} {
		v := w.do("POST", evaluation, ask(c.verb, c.who), as(pep)).json(t)
		said := v["context"].(map[string]any)
		reason := ""
		if list := said["reasons"].([]any); len(list) > 0 {
			reason = list[0].(map[string]any)["code"].(string)
		}
		if v["decision"] != c.decision || reason != c.reason || said["pep_asserted"] != true || (said["event"] == nil) != c.decision {
			t.Errorf("%s %s: %v", c.who, c.verb, v)
		}
	}
	if r := w.do("POST", evaluation, ask("read", "alice")); !strings.Contains(string(r.body), "subject_unsupported") {
		t.Errorf("asked by nobody: %s", r.body)
	}

	r := w.do("POST", "/v1/orgs/operator/policies", map[string]any{
		"text": "permit(principal, action, resource);\n@id(\"x\") forbid(principal, action, resource) when { context.arguments.a > 1 };",
	}, as(w.Secret))
	p := w.refused(r, 400, "malformed", "/text")
	fault := p["errors"].([]any)[0].(map[string]any)
	if p["code"] != "policy_invalid" || fault["line"] != 2.0 || fault["column"] != 1.0 || fault["policy"] != "x" {
		t.Errorf("the place of a fault: %s", r.body)
	}
	preview := w.must("POST", "/v1/orgs/operator/policies/active/dry-run", nil)
	if preview["examined"] != 2.0 || len(preview["changed"].([]any)) != 0 {
		t.Errorf("the policies that made the decisions would change them: %v", preview)
	}
}
