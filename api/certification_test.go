package api_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/writ-registry/writ/client/manifest"
	"github.com/writ-registry/writ/registry"
)

// certified is a registry with the fixture of the scenario (c-1, c-1-4), as it is
// shipped, and the enforcement point that asks as the harness does.
func certified(t *testing.T) (*world, request) {
	t.Helper()
	m, err := manifest.Load("../examples/authzen-certification.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	w := open(t)
	var actions []registry.CatalogueAction
	raw, err := json.Marshal(m.Catalogue)
	if err == nil {
		err = json.Unmarshal(raw, &actions)
	}
	if err != nil {
		t.Fatal(err)
	}
	w.Catalogue(t, actions...)
	for _, e := range m.Entities {
		w.must("PUT", "/v1/orgs/operator/entities/"+e.Type+"/"+e.ID, map[string]any{"properties": e.Properties})
	}
	draft := w.must("POST", "/v1/orgs/operator/policies", map[string]any{"text": m.Policies.Text})
	set := draft["policies"].(map[string]any)
	w.must("POST", fmt.Sprintf("/v1/orgs/operator/policies/%v/activate", set["version"]), nil)
	pep := w.must("POST", "/v1/peps", map[string]any{
		"name": "harness", "resources": []string{"https://harness.example"}, "context_keys": []string{"subject.properties", "resource.properties"},
	})["secret"].(string)
	return w, as(pep)
}

// TestCertification is the AuthZEN Authorization API 1.0 certification scenario: all
// levels, with their sub-levels, by the ids of its tests.
func TestCertification(t *testing.T) {
	w, harness := certified(t)
	const (
		alice = `"subject":{"type":"user","id":"alice"}`
		bob   = `"subject":{"type":"user","id":"bob"}`
		admin = `"subject":{"type":"user","id":"bob","properties":{"role":"admin"}}`
		read  = `"action":{"name":"read"}`
		write = `"action":{"name":"write"}`
		rec1  = `"resource":{"type":"record","id":"record-1"}`
		rec2  = `"resource":{"type":"record","id":"record-2"}`
		live  = `"resource":{"type":"record","id":"record-1","properties":{"status":"active"}}`
		shut  = `"resource":{"type":"record","id":"record-2","properties":{"status":"archived"}}`
		soft  = `"action":{"name":"delete","properties":{"soft":true}}`
		hard  = `"action":{"name":"delete","properties":{"soft":false}}`
	)
	body := func(members ...string) string {
		out := "{"
		for i, m := range members {
			if i > 0 {
				out += ","
			}
			out += m
		}
		return out + "}"
	}
	decision := func(t *testing.T, path, body string) any {
		t.Helper()
		r := w.do("POST", path, body, harness)
		if r.StatusCode != 200 || r.Header.Get("Content-Type") != "application/json" {
			t.Fatalf("%d %s", r.StatusCode, r.body)
		}
		v := r.json(t)
		if c, ok := v["context"]; ok {
			if _, ok := c.(map[string]any); !ok {
				t.Errorf("context is %T", c)
			}
		}
		return v["decision"]
	}

	t.Run("Basic", func(t *testing.T) {
		for name, c := range map[string]struct {
			body string
			want bool
		}{
			"c-2-2-1 permit":                       {body(alice, read, rec1), true},
			"c-2-2-2 deny":                         {body(bob, write, rec1), false},
			"c-2-2-3 context":                      {body(alice, read, rec1, `"context":{"time":"2025-06-27T18:03-07:00","ip":"192.168.1.1"}`), true},
			"c-2-2-4 deny by resource properties":  {body(alice, write, shut), false},
			"c-2-2-5 permit by subject properties": {body(admin, write, shut), true},
			"c-2-2-6 permit by action properties":  {body(alice, soft, rec1), true},
			"c-2-2-7 deny by action properties":    {body(alice, hard, rec1), false},
			"c-2-2-9 unknown members":              {body(alice, read, rec1, `"foo":"bar"`, `"futureField":{"nested":true}`), true},
			"rule 2":                               {body(alice, write, rec1), true},
			"rule 3":                               {body(bob, read, rec1), true},
			"rule 6, of what is stored":            {body(bob, write, rec2), true},
			"rule 5, whatever is asserted instead": {body(alice, write, `"resource":{"type":"record","id":"record-2","properties":{"status":"active"}}`), false},
			"c-2-2-8 more properties": {body(`"subject":{"type":"user","id":"alice","properties":{"department":"Sales","role":"manager"}}`, `"action":{"name":"read","properties":{"method":"GET"}}`,
				`"resource":{"type":"record","id":"record-1","properties":{"status":"active","owner":"bob"}}`), true},
		} {
			t.Run(name, func(t *testing.T) {
				for range 3 { // c-2-6: the same decision each time
					if got := decision(t, evaluation, c.body); got != c.want {
						t.Errorf("got %v", got)
					}
				}
			})
		}
		for name, text := range map[string]string{
			"c-2-4-1 no subject": body(read, rec1), "c-2-4-1 no action": body(alice, rec1), "c-2-4-1 no resource": body(alice, read),
			"c-2-4-2 subject without type": body(`"subject":{"id":"alice"}`, read, rec1), "c-2-4-2 subject without id": body(`"subject":{"type":"user"}`, read, rec1),
			"c-2-4-2 action without name": body(alice, `"action":{}`, rec1), "c-2-4-2 resource without type": body(alice, read, `"resource":{"id":"record-1"}`),
			"c-2-4-2 resource without id": body(alice, read, `"resource":{"type":"record"}`), "c-2-4-4 malformed": `{"subject":`, "c-2-4-5 empty": "",
			"c-2-4-6 subject is text": body(`"subject":"alice"`, read, rec1), "c-2-4-6 name is a number": body(alice, `"action":{"name":123}`, rec1),
		} {
			if r := w.do("POST", evaluation, text, harness); r.StatusCode != 400 {
				t.Errorf("%s: %d %s", name, r.StatusCode, r.body)
			}
		}
		if r := w.do("POST", evaluation, body(alice, read, rec1), harness, header("Content-Type", "text/plain")); r.StatusCode != 400 {
			t.Errorf("c-2-4-3 another content type: %d", r.StatusCode)
		}
		if r := w.do("POST", evaluation, body(alice, read, rec1), harness, header("X-Request-ID", "bfe9eb29")); r.Header.Get("X-Request-Id") != "bfe9eb29" {
			t.Errorf("c-2-5-1 X-Request-ID: %q", r.Header.Get("X-Request-Id"))
		}
	})

	t.Run("Batch", func(t *testing.T) {
		for name, c := range map[string]struct {
			body string
			want []any // nil: not validated
		}{
			"c-3-2-1 evaluations":       {body(alice, read, `"evaluations":[{`+rec1+`},{`+rec2+`}]`), []any{true, nil}},
			"c-3-2-2 decisions":         {body(bob, rec1, `"evaluations":[{`+read+`},{`+write+`}]`), []any{true, false}},
			"c-3-2-3 properties":        {body(alice, write, `"evaluations":[{`+live+`},{`+shut+`}]`), []any{true, false}},
			"c-3-2-4 subject's":         {body(write, shut, `"evaluations":[{`+alice+`},{`+admin+`}]`), []any{false, true}},
			"c-3-2-5 no defaults":       {body(`"evaluations":[` + body(alice, read, rec1) + `,` + body(bob, write, rec1) + `]`), []any{true, false}},
			"c-3-2-6 context inherited": {body(alice, read, `"context":{"time":"a"}`, `"evaluations":[{`+rec1+`},{`+rec2+`,"context":{"source":"b"}}]`), []any{true, nil}},
			"c-3-2-7 all inherited":     {body(alice, write, live, `"evaluations":[{},{`+shut+`}]`), []any{true, false}},
			"c-3-4-1 one has failed":    {body(alice, read, `"options":{"evaluations_semantic":"execute_all"}`, `"evaluations":[{`+rec1+`},{}]`), []any{true, false}},
		} {
			t.Run(name, func(t *testing.T) {
				r := w.do("POST", evaluations, c.body, harness)
				if r.StatusCode != 200 {
					t.Fatalf("%d %s", r.StatusCode, r.body)
				}
				got := r.json(t)["evaluations"].([]any)
				if len(got) != len(c.want) {
					t.Fatalf("%d evaluations: %s", len(got), r.body)
				}
				for i, want := range c.want {
					d, ok := got[i].(map[string]any)["decision"].(bool)
					if !ok || want != nil && d != want {
						t.Errorf("%d: %s", i, r.body)
					}
				}
			})
		}
		for _, more := range []string{"", `,"evaluations":[]`} { // c-3-4-2, c-3-4-3
			if got := decision(t, evaluations, "{"+alice+","+read+","+rec1+more+"}"); got != true {
				t.Errorf("without evaluations (%q): %v", more, got)
			}
		}
	})

	t.Run("Search", func(t *testing.T) {
		const (
			users, records, anything = `"subject":{"type":"user"}`, `"resource":{"type":"record"}`, `"foo":"bar"`
			context                  = `"context":{"time":"2025-06-27T18:03-07:00","ip":"192.168.1.1"}`
		)
		search := func(t *testing.T, of, body string) map[string]any {
			t.Helper()
			r := w.do("POST", "/access/v1/search/"+of, body, harness, header("X-Request-ID", "bfe9eb29"))
			if r.StatusCode != 200 || r.Header.Get("Content-Type") != "application/json" || r.Header.Get("X-Request-Id") != "bfe9eb29" {
				t.Fatalf("%d %v %s", r.StatusCode, r.Header, r.body)
			}
			return r.json(t)
		}
		for name, c := range map[string]struct {
			of, body string
			want     []string // sorted
		}{
			"c-4-2-1 subjects":                   {"subject", body(users, read, rec1), []string{"user alice", "user bob"}},
			"c-4-2-2 subjects with context":      {"subject", body(users, read, rec1, context), []string{"user alice", "user bob"}},
			"c-4-2-3 subject id is ignored":      {"subject", body(alice, read, rec1), []string{"user alice", "user bob"}},
			"c-4-2-4 subjects by properties":     {"subject", body(users, write, shut), []string{"user bob"}},
			"c-4-3-1 resources":                  {"resource", body(alice, read, records), []string{"record record-1", "record record-2"}},
			"c-4-3-2 resources with context":     {"resource", body(alice, read, records, context), []string{"record record-1", "record record-2"}},
			"c-4-3-3 resource id is ignored":     {"resource", body(alice, read, rec1), []string{"record record-1", "record record-2"}},
			"c-4-3-4 resources by properties":    {"resource", body(admin, write, records), []string{"record record-2"}},
			"c-4-4-1 actions":                    {"action", body(alice, rec1), []string{"read", "write"}},
			"c-4-4-2 actions with context":       {"action", body(alice, rec1, context), []string{"read", "write"}},
			"c-4-4-3 actions by properties":      {"action", body(admin, shut), []string{"read", "write"}},
			"c-4-6-1 unknown subject, actions":   {"action", body(`"subject":{"type":"user","id":"nonexistent-user"}`, rec1), nil},
			"c-4-6-1 unknown subject, resources": {"resource", body(`"subject":{"type":"user","id":"nonexistent-user"}`, read, records), nil},
			"c-4-6-1 unknown resource, subjects": {"subject", body(users, read, `"resource":{"type":"record","id":"nonexistent-record"}`), nil},
			"c-4-6-1 unknown resource, actions":  {"action", body(alice, `"resource":{"type":"record","id":"nonexistent-record"}`), nil},
			"c-4-6-1 unknown action":             {"subject", body(users, `"action":{"name":"paint"}`, rec1), nil},
			"c-4-6-2 unknown type, subjects":     {"subject", body(`"subject":{"type":"spaceship"}`, read, rec1), nil},
			"c-4-6-2 unknown type, resources":    {"resource", body(alice, read, `"resource":{"type":"spaceship"}`), nil},
			"c-4-6-2 unknown type, actions":      {"action", body(alice, `"resource":{"type":"spaceship","id":"1"}`), nil},
			"c-5-5 unknown members":              {"action", body(alice, rec1, anything), []string{"read", "write"}},
		} {
			t.Run(name, func(t *testing.T) {
				v := search(t, c.of, c.body)
				var got []string
				for _, item := range v["results"].([]any) {
					m := item.(map[string]any)
					if c.of == "action" {
						got = append(got, m["name"].(string))
					} else {
						got = append(got, m["type"].(string)+" "+m["id"].(string))
					}
				}
				if !slices.Equal(got, c.want) {
					t.Errorf("got %q, want %q", got, c.want)
				}
			})
		}
		t.Run("c-4-5 pages", func(t *testing.T) {
			query := []string{users, read, rec1}
			first := search(t, "subject", body(append(query, `"page":{"limit":1}`)...))
			token, _ := first["page"].(map[string]any)["next_token"].(string)
			if len(first["results"].([]any)) != 1 || token == "" {
				t.Fatalf("c-4-5-1: %v", first)
			}
			second := search(t, "subject", body(append(query, `"page":{"token":"`+token+`"}`)...))
			if len(second["results"].([]any)) != 1 || second["page"].(map[string]any)["next_token"] != "" {
				t.Errorf("c-4-5-2: %v", second)
			}
		})
		for name, c := range map[string][2]string{
			"c-4-7-1 subjects, no action":           {"subject", body(users, rec1)},
			"c-4-7-1 resources, no subject":         {"resource", body(read, records)},
			"c-4-7-1 actions, no resource":          {"action", body(alice)},
			"c-4-7-2 subjects, resource without id": {"subject", body(users, read, records)},
			"c-4-7-2 resources, subject without id": {"resource", body(users, read, records)},
			"c-4-7-2 actions, subject without id":   {"action", body(users, rec1)},
		} {
			if r := w.do("POST", "/access/v1/search/"+c[0], c[1], harness); r.StatusCode != 400 {
				t.Errorf("%s: %d %s", name, r.StatusCode, r.body)
			}
		}
	})

	t.Run("Discovery", func(t *testing.T) {
		r := w.do("GET", "/.well-known/authzen-configuration", nil)
		if r.StatusCode != 200 || r.Header.Get("Content-Type") != "application/json" {
			t.Fatalf("%d %s", r.StatusCode, r.Header.Get("Content-Type"))
		}
		meta := r.json(t)
		if meta["policy_decision_point"] != w.Origin {
			t.Errorf("policy_decision_point %v", meta["policy_decision_point"])
		}
		for name, path := range map[string]string{
			"access_evaluation_endpoint": evaluation, "access_evaluations_endpoint": evaluations, "search_subject_endpoint": "/access/v1/search/subject",
			"search_resource_endpoint": "/access/v1/search/resource", "search_action_endpoint": "/access/v1/search/action",
		} {
			if meta[name] != w.Origin+path {
				t.Errorf("%s: %v", name, meta[name])
			}
		}
		if list, ok := meta["capabilities"]; ok {
			for _, c := range list.([]any) {
				if _, ok := c.(string); !ok {
					t.Errorf("capabilities %v", list)
				}
			}
		}
	})
}

// TestCertificationIsByProperties: the fixture says nothing of what it is not told.
func TestCertificationIsByProperties(t *testing.T) {
	w, harness := certified(t)
	ask := func(id, status string) bool {
		t.Helper()
		properties, err := json.Marshal(map[string]string{"status": status})
		if err != nil {
			t.Fatal(err)
		}
		r := w.do("POST", evaluation, `{"subject":{"type":"user","id":"alice"},"action":{"name":"write"},"resource":{"type":"record","id":"`+id+`","properties":`+string(properties)+`}}`, harness)
		return r.json(t)["decision"] == true
	}
	if !ask("record-3", "active") || ask("record-3", "archived") {
		t.Error("of a resource that nothing is stored of, what is asserted counts")
	}
}
