package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/writ-registry/writ/client"
)

const whole = `writ: 1
org: {name: acme, display_name: Acme Freight, policy: {max_key_age: 7776000, separate_duties: true}}
catalogue:
  - {action: read:invoices, reversibility: reversible, material: true}
  - action: create:shipment
    reversibility: compensable
    compensated_by: delete:shipment
    compensate_in: 3600
    min_level: 2
entities:
  - type: user
    id: "42"
    properties: {since: 2026-01-01, grade: 3, ratio: 0.5, tags: [a, 'null'], of: {x: null}}
    parents: [{type: group, id: staff}]
  - {type: group, id: staff}
policies: |
  permit (principal, action, resource);
templates:
  - {name: reader, capabilities: "read:invoices; execute:none", authority_level: 0, lifetime: 3600}
approval_rules:
  - {action: "*:payment", quorum: 2, role: approver, lifetime: 900}
`

func TestParse(t *testing.T) {
	m, err := Parse("acme.yaml", []byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	level := 0
	want := &Manifest{
		Format: 1, Org: &Org{Name: "acme", DisplayName: "Acme Freight", Policy: &client.OrgPolicy{MaxKeyAge: 7776000, SeparateDuties: true}},
		Catalogue: []client.CatalogueAction{
			{Action: "read:invoices", Reversibility: "reversible", Material: true},
			{Action: "create:shipment", Reversibility: "compensable", CompensatedBy: "delete:shipment", CompensateIn: 3600, MinLevel: 2},
		},
		Entities: []client.StoredEntity{
			{Type: "user", ID: "42", Properties: json.RawMessage(`{"grade":3,"of":{"x":null},"ratio":0.5,"since":"2026-01-01","tags":["a","null"]}`), Parents: []client.EntityRef{{Type: "group", ID: "staff"}}},
			{Type: "group", ID: "staff", Properties: json.RawMessage(`{}`)},
		},
		Policies:  &Policies{Text: "permit (principal, action, resource);\n"},
		Templates: []client.GrantTemplate{{Name: "reader", Capabilities: m.Templates[0].Capabilities, AuthorityLevel: &level, Lifetime: 3600}},
		Rules:     []client.ApprovalRule{{Action: "*:payment", Quorum: 2, Role: "approver", Lifetime: 900}},
	}
	if diff := cmp.Diff(want, m, cmpopts.IgnoreUnexported(Manifest{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := m.Templates[0].Capabilities; !strings.Contains(got, "execute:none") {
		t.Errorf("capabilities %q", got)
	}
	none, err := Parse("x", []byte("writ: 1\ncatalogue: []\n"))
	if err != nil || none.Catalogue == nil || none.Entities != nil {
		t.Errorf("a section that is empty is not one that is absent: %+v, %v", none, err)
	}
}

// TestParseRefuses: each fault is named with its place, before anything is read of a
// registry.
func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                                  "m.yaml: there is nothing in it",
		"writ: 1\n---\nwrit: 1\n":           "m.yaml:2:1: a second document; a manifest is one",
		"writ: [":                           "m.yaml:1: did not find expected node content",
		"[]":                                "m.yaml:1:1: must be a mapping, not a list",
		"catalogue: []":                     "m.yaml:1:1: lacks writ",
		"writ: 01":                          "m.yaml:1:7: writ: must be a whole number, not the number 01",
		"writ: 2":                           "m.yaml:1:7: writ: must be 1, the version of the format that this program reads",
		"writ: 1\nentitys: []":              "m.yaml:2:1: entitys: is not known; there are writ, org, catalogue, entities, policies, templates, approval_rules",
		"writ: 1\nentities:":                "m.yaml:2:10: entities: must be a list ([] for none), not nothing",
		"writ: 1\nentities: {}":             "m.yaml:2:11: entities: must be a list ([] for none), not a mapping",
		"writ: 1\nwrit: 1":                  "m.yaml:2:1: writ: is there twice; first on line 1",
		"writ: 1\norg: {name: A b}":         "m.yaml:2:13: org.name: must be 1 to 64 of [a-z0-9._-]",
		"writ: 1\norg: {nam: a}":            "m.yaml:2:7: org.nam: is not known; there are name, display_name, policy",
		"writ: 1\nentities:\n- {type: a}":   "m.yaml:3:3: entities[0]: lacks id",
		"writ: 1\npolicies: {}":             "m.yaml:2:11: policies.file: must name a file",
		"writ: 1\npolicies: [a]":            "m.yaml:2:11: policies: must be text or a mapping with file, not a list",
		"writ: 1\norg: &a {name: x}\nb: *a": "m.yaml:3:1: b: is not known; there are writ, org, catalogue, entities, policies, templates, approval_rules",
		"writ: 1\ncatalogue:\n- &a {action: a:b, reversibility: reversible}\n- *a":                                                         "m.yaml:4:3: catalogue[1]: must be a mapping, not an alias: write out what it stands for",
		"writ: 1\ncatalogue:\n- {action: read, reversibility: reversible}":                                                                 "m.yaml:3:12: catalogue[0].action: must be verb:type, such as read:invoices",
		"writ: 1\ncatalogue:\n- {action: read:a, reversibility: maybe}":                                                                    "m.yaml:3:35: catalogue[0].reversibility: must be reversible, compensable or irreversible",
		"writ: 1\ncatalogue:\n- {action: read:a, reversibility: reversible, egress: perhaps}":                                              "m.yaml:3:55: catalogue[0].egress: must be true or false, not text",
		"writ: 1\ncatalogue:\n- {action: read:a, reversibility: reversible}\n- {action: read:a, reversibility: reversible}":                "m.yaml:4:3: catalogue[1]: read:a is there twice; first on line 3",
		"writ: 1\nentities:\n- {type: user, id: 42}":                                                                                       "m.yaml:3:20: entities[0].id: must be text (in quotes where it looks like something else), not the number 42",
		"writ: 1\nentities:\n- {type: user, id: a, updated: 2026-01-01}":                                                                   "m.yaml:3:23: entities[0].updated: is not known; there are type, id, properties, parents",
		"writ: 1\nentities:\n- {type: user, id: a, properties: {a: 1, a: 2}}":                                                              "m.yaml:3:42: entities[0].properties.a: is there twice; first on line 3",
		"writ: 1\nentities:\n- {type: user, id: a, properties: {a: .inf}}":                                                                 "m.yaml:3:39: entities[0].properties.a: must be a JSON value, not the number .inf",
		"writ: 1\nentities:\n- {type: user, id: a, properties: {1: 2}}":                                                                    "m.yaml:3:36: entities[0].properties: a key must be text, in quotes where it looks like something else",
		"writ: 1\nentities:\n- {type: user, id: a, properties: !x {}}":                                                                     "m.yaml:3:35: entities[0].properties: must be a mapping, not !x",
		"writ: 1\nentities:\n- {type: user, id: a}\n- {type: user, id: a}":                                                                 "m.yaml:4:3: entities[1]: user::\"a\" is there twice; first on line 3",
		"writ: 1\ntemplates:\n- {name: a, capabilities: read}":                                                                             "m.yaml:3:27: templates[0].capabilities: ",
		"writ: 1\ntemplates:\n- {name: a, capabilities: \"read:x\", authority_level: 5}":                                                   "m.yaml:3:54: templates[0].authority_level: must be 0 to 4",
		"writ: 1\ntemplates:\n- {name: a, capabilities: \"read:x\", lifetime: -1}":                                                         "m.yaml:3:47: templates[0].lifetime: must be 0 or more",
		"writ: 1\napproval_rules:\n- {quorum: 1, role: approver}":                                                                          "m.yaml:3:3: approval_rules[0]: lacks lifetime",
		"writ: 1\napproval_rules:\n- {quorum: 11, role: approver, lifetime: 60}":                                                           "m.yaml:3:12: approval_rules[0].quorum: must be 1 to 10",
		"writ: 1\ncatalogue:\n- {action: read, reversibility: x}\n- {action: b, reversibility: reversible, more: 1}\n- {action: read:a}\n": "m.yaml:3:12: ",
	} {
		_, err := Parse("m.yaml", []byte(text))
		var faults Faults
		if !errors.As(err, &faults) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q:\n got %v\nwant %s", text, err, want)
		}
	}
}

// TestDocumentation: the example of docs/manifest.md is one.
func TestDocumentation(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "manifest.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```yaml\n")
	text, _, _ := strings.Cut(rest, "```")
	m, err := Parse("manifest.md", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	s := &State{Me: client.Caller{Roles: []string{"operator"}}}
	plan, err := Compare(m, s, false)
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, ch := range plan.Changes {
		if !slices.Contains(kinds, ch.Kind) {
			kinds = append(kinds, ch.Kind)
		}
	}
	if want := []string{"org", "policy of the org", "action", "entity", "policies", "template", "approval rules"}; !slices.Equal(kinds, want) {
		t.Errorf("it changes %v, want %v", kinds, want)
	}
}

// TestTextFault finds the line of a policy in the file that it stands in.
func TestTextFault(t *testing.T) {
	for name, text := range map[string]string{
		"m.yaml:5:9: policies: x":                    "writ: 1\npolicies: |\n\n    permit (a);\n    forbid();\n",
		"m.yaml:2:11: policies: line 3, column 5: x": "writ: 1\npolicies: \"a\\nb\"\n",
	} {
		m, err := Parse("m.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if got := m.textFault(3, 5, "x").String(); got != name {
			t.Errorf("got %s, want %s", got, name)
		}
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"m.yaml": "writ: 1\npolicies: {file: p.cedar}\n", "p.cedar": "forbid"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m, err := Load(filepath.Join(dir, "m.yaml"), nil)
	if err != nil || m.Policies.Text != "forbid" {
		t.Fatal(m, err)
	}
	if got := m.textFault(1, 2, "x").String(); got != filepath.Join(dir, "p.cedar")+":1:2: x" {
		t.Error(got)
	}
	if err := os.Remove(filepath.Join(dir, "p.cedar")); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(filepath.Join(dir, "m.yaml"), nil); err == nil || !strings.Contains(err.Error(), "m.yaml:2:18: policies.file: ") {
		t.Error(err)
	}
}

func TestDiffer(t *testing.T) {
	old := client.StoredEntity{Type: "user", ID: "a", Properties: json.RawMessage(`{"grade":3,"of":{"x":1},"gone":true}`)}
	next := client.StoredEntity{Type: "user", ID: "a", Properties: json.RawMessage(`{"grade":4,"of":{"x":1,"y":[1]}}`), Parents: []client.EntityRef{{Type: "group", ID: "staff"}}}
	want := []Field{{"parents", "", `[{"id":"staff","type":"group"}]`}, {"properties.gone", "true", ""}, {"properties.grade", "3", "4"}, {"properties.of.y", "", "[1]"}}
	if diff := cmp.Diff(want, differ(old, next)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := differ(next, next); got != nil {
		t.Errorf("the same differs: %v", got)
	}
	a, b := client.ApprovalRule{Quorum: 1, Role: "approver", Lifetime: 60}, client.ApprovalRule{Quorum: 2, Role: "approver", Lifetime: 60}
	if diff := cmp.Diff([]Field{{"[0].quorum", "1", "2"}}, differ([]client.ApprovalRule{a, a}, []client.ApprovalRule{b, a})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]Field{{Path: "2", Old: "b"}, {Path: "2", New: "x"}, {Path: "3", New: "y"}}, differentLines("a\nb\nc\n", "a\nx\ny\nc\n")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// FuzzParse: what is read is written such that it is read as the same, as YAML and as
// JSON, and nothing breaks the reader.
func FuzzParse(f *testing.F) {
	f.Add([]byte(whole))
	for _, text := range []string{" a\n", "\n\na\n", "a\r\nb\n", "a\tb \n\tc\n", "a\n\n\n", "#x\n", "'", "\ufeff\nb", "a\u2028b\n", "\x07", "- a\n- b\n", "null", "2026-01-01", "a: b"} {
		form, err := json.Marshal(text)
		if err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(`{writ: 1, policies: ` + string(form) + `, entities: [{type: user, id: ` + string(form) + `, properties: {` + string(form) + `: ` + string(form) + `}}]}`))
	}
	example, err := os.ReadFile(filepath.Join("..", "..", "examples", "authzen-certification.yaml"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(example)
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Parse("m.yaml", data)
		if err != nil || m.Policies != nil && m.Policies.File != "" {
			return
		}
		for name, write := range map[string]func(*Manifest, *bytes.Buffer) error{
			"YAML": func(m *Manifest, b *bytes.Buffer) error { return m.Write(b) },
			"JSON": func(m *Manifest, b *bytes.Buffer) error { return m.WriteJSON(b) },
		} {
			var out bytes.Buffer
			if err := write(m, &out); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			again, err := Parse("again", out.Bytes())
			if err != nil {
				t.Fatalf("%s: %v in:\n%s", name, err, out.Bytes())
			}
			if diff := cmp.Diff(m, again, cmpopts.IgnoreUnexported(Manifest{}), cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("%s: -first +again:\n%s\n%s", name, diff, out.Bytes())
			}
		}
	})
}
