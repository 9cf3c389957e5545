package api_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-registry/writ/registry"
)

const evaluations = "/access/v1/evaluations"

// TestEvaluations asks about several acts at once, under each semantic.
func TestEvaluations(t *testing.T) {
	w := open(t)
	w.Catalogue(t,
		registry.CatalogueAction{Action: "read:invoices", Reversibility: registry.Reversible},
		registry.CatalogueAction{Action: "create:shipment", Reversibility: registry.Reversible, Material: true},
	)
	const erp = "https://erp.example"
	a := w.NewAgent(t, "a")
	g := a.Grant(t, "read:invoices; create:shipment(weight<=500)", func(n *registry.NewGrant) { n.Audience = []string{erp} })
	pep := w.newPEP("gate", erp)
	ask := func(verb, typ, args string) map[string]any { return authzen(a.Ask(t, g, verb, typ, "7", args)) }
	read := func() map[string]any { return ask("read", "invoices", "") }
	heavy := func() map[string]any { return ask("create", "shipment", `{"weight":501}`) }
	unproven := func() map[string]any {
		m := read()
		m["context"] = map[string]any{"token": m["context"].(map[string]any)["token"]}
		return m
	}
	// outcome says an item in short: permit, a reason, or an error's status and field.
	outcome := func(v any) string {
		m := v.(map[string]any)
		c := m["context"].(map[string]any)
		switch reasons, _ := c["reasons"].([]any); {
		case c["error"] != nil:
			e := c["error"].(map[string]any)
			field, _ := e["field"].(string)
			if m["decision"] != false || e["message"] == "" || !strings.HasPrefix(e["type"].(string), "urn:writ:problem:") {
				t.Errorf("item %v", m)
			}
			return fmt.Sprintf("%v %s", e["status"], field)
		case len(reasons) > 0:
			return reasons[0].(map[string]any)["code"].(string)
		case m["decision"] == true:
			return "permit"
		}
		return "no reason"
	}
	list := func(items ...map[string]any) map[string]any { return map[string]any{"evaluations": items} }
	with := func(m map[string]any, name string, v any) map[string]any {
		m = maps.Clone(m)
		m[name] = v
		return m
	}
	semantic := func(m map[string]any, s string) map[string]any {
		return with(m, "options", map[string]any{"evaluations_semantic": s, "another": 1})
	}
	common := read()
	context := common["context"]
	delete(common, "context")

	for name, c := range map[string]struct {
		body   map[string]any
		caller request
		want   []string
	}{
		"all":                 {list(read(), heavy(), read()), as(pep), []string{"permit", "argument_refused", "permit"}},
		"all, by name":        {semantic(list(heavy(), read()), "execute_all"), as(pep), []string{"argument_refused", "permit"}},
		"first deny":          {semantic(list(read(), heavy(), read()), "deny_on_first_deny"), as(pep), []string{"permit", "argument_refused"}},
		"first deny, none":    {semantic(list(read(), read()), "deny_on_first_deny"), as(pep), []string{"permit", "permit"}},
		"first permit":        {semantic(list(heavy(), read(), read()), "permit_on_first_permit"), as(pep), []string{"argument_refused", "permit"}},
		"a failure is a deny": {semantic(list(with(read(), "resource", 1), read()), "deny_on_first_deny"), as(pep), []string{"400 /evaluations/0/resource"}},
		"failures":            {list(map[string]any{}, read(), with(read(), "subject", nil)), as(pep), []string{"400 /evaluations/0/subject", "permit", "400 /evaluations/2/subject"}},
		"unproven, by a PEP":  {list(unproven(), read()), as(pep), []string{"possession_failed", "permit"}},
		"unproven, directly":  {list(unproven(), read()), nil, []string{"401 ", "permit"}},
		"defaults":            {with(maps.Clone(common), "evaluations", []any{map[string]any{"context": context}}), as(pep), []string{"permit"}},
		"an item's own wins":  {with(read(), "evaluations", []any{heavy()}), as(pep), []string{"argument_refused"}},
		"nothing is merged": {with(read(), "evaluations", []any{map[string]any{"resource": map[string]any{"type": "invoices"}}}), as(pep),
			[]string{"400 /evaluations/0/resource/id"}},
	} {
		t.Run(name, func(t *testing.T) {
			opts := []request{}
			if c.caller != nil {
				opts = append(opts, c.caller)
			}
			r := w.do("POST", evaluations, c.body, opts...)
			if r.StatusCode != 200 {
				t.Fatalf("%d %s", r.StatusCode, r.body)
			}
			v := r.json(t)
			var got []string
			for _, item := range v["evaluations"].([]any) {
				got = append(got, outcome(item))
			}
			if diff := cmp.Diff(c.want, got); diff != "" || len(v) != 1 {
				t.Errorf("(-want +got)\n%s\n%s", diff, r.body)
			}
		})
	}

	t.Run("one proof is one act", func(t *testing.T) {
		same := ask("create", "shipment", `{"weight":1}`)
		r := w.do("POST", evaluations, list(same, same, same), as(pep)).json(t)
		ids := map[any]bool{}
		for _, item := range r["evaluations"].([]any) {
			ids[item.(map[string]any)["context"].(map[string]any)["id"]] = true
		}
		if len(ids) != 1 {
			t.Errorf("the same act, asked three times at once: %v", r)
		}
	})
	t.Run("no evaluations", func(t *testing.T) {
		for _, body := range []map[string]any{read(), with(read(), "evaluations", []any{})} {
			if v := w.do("POST", evaluations, body, as(pep)).json(t); v["decision"] != true || v["evaluations"] != nil {
				t.Errorf("got %v", v)
			}
		}
		w.refused(w.do("POST", evaluations, list(), as(pep)), 400, "malformed", "/subject")
	})
	t.Run("the payload", func(t *testing.T) {
		many := make([]map[string]any, 101)
		for i := range many {
			many[i] = map[string]any{}
		}
		for field, body := range map[string]map[string]any{
			"/evaluations":                   list(many...),
			"/evaluations/1":                 {"evaluations": []any{read(), 1}},
			"/options/evaluations_semantic":  semantic(list(read()), "some"),
			"/options/dry_run":               with(list(read()), "options", map[string]any{"dry_run": true}),
			"/evaluations/0/context/dry_run": list(with(read(), "context", map[string]any{"dry_run": 1})),
		} {
			r := w.do("POST", evaluations, body, as(pep))
			if strings.HasSuffix(field, "/context/dry_run") { // an item's own fault
				if got := outcome(r.json(t)["evaluations"].([]any)[0]); got != "400 "+field {
					t.Errorf("%s: %s", field, got)
				}
				continue
			}
			w.refused(r, 400, "malformed", field)
		}
	})
}
