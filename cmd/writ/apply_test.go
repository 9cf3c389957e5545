package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/writ-registry/writ/client"
	"github.com/writ-registry/writ/client/manifest"
	"github.com/writ-registry/writ/registry/capability"
)

// TestApplyCertification applies the example to a registry and asks what the scenario
// asks; what export writes of it, applied, changes nothing.
func TestApplyCertification(t *testing.T) {
	example, err := filepath.Abs(filepath.Join("..", "..", "examples", "authzen-certification.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	startRegistry(t, "none")
	writ(t, "apply", "-f", example, "--dry-run").want(t, 2, "+ action read:record", `+ entity user::"bob"`, "+ policies 5 policies", "= 0 unchanged")
	writ(t, "catalogue", "show", "--json").want(t, 0, `"actions":[]`)
	writ(t, "apply", "-f", example).want(t, 0, "done: activate the catalogue", "done: put 4 entities", "done: draft and activate the policies")
	again := decode[manifest.Plan](t, writ(t, "apply", "-f", example, "--prune", "--json").want(t, 0))
	if len(again.Changes) != 0 || again.Unchanged != 8 {
		t.Errorf("the second time: %+v", again)
	}

	made := decode[map[string]any](t, writ(t, "pep", "create", "harness", "--resource", "https://harness.example",
		"--context-key", "subject.properties", "--context-key", "resource.properties", "--json").want(t, 0))
	address, err := readLine(filepath.Join("writ-data", addressFile))
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(address, made["secret"].(string), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []struct {
		who, verb, record string
		want              bool
	}{{"alice", "read", "record-1", true}, {"alice", "write", "record-2", false}, {"bob", "read", "record-1", true}, {"bob", "write", "record-1", false}, {"bob", "write", "record-2", true}} {
		d, err := c.Evaluate(t.Context(), client.EvaluationRequest{
			Subject: client.Subject{Type: "user", ID: q.who}, Action: client.Action{Name: q.verb}, Resource: capability.Resource{Type: "record", ID: q.record},
		})
		if err != nil || d.Decision != q.want {
			t.Errorf("%s may %s %s: %v, %v", q.who, q.verb, q.record, d.Decision, err)
		}
	}

	writ(t, "export", "-o", "out.yaml").want(t, 0)
	writ(t, "apply", "-f", "out.yaml", "--prune").want(t, 0, "= 11 unchanged\n")
	inJSON := writ(t, "export", "--json").want(t, 0)
	writIn(t, inJSON.out, "apply", "-f", "-", "--prune", "--dry-run").want(t, 0, "= 11 unchanged\n")
	first, err := os.ReadFile("out.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if second := writ(t, "export").want(t, 0).out; second != string(first) {
		t.Errorf("exported twice:\n%s\n%s", first, second)
	}
}

const acmeManifest = `writ: 1
org: {name: acme, policy: {separate_duties: true}}
catalogue:
  - {action: read:invoices, reversibility: reversible}
  - {action: execute:payment, reversibility: irreversible, material: true}
entities:
  - {type: user, id: alice, properties: {grade: 3}}
policies: {file: acme.cedar}
templates:
  - {name: reader, capabilities: "read:invoices; execute:none", lifetime: 3600}
approval_rules:
  - {action: "*:payment", quorum: 1, role: approver, lifetime: 900}
`

// person is a human of acme, and what they are called by the commands.
func person(t *testing.T, roles ...string) (id, secret string) {
	t.Helper()
	args := []string{"principal", "create", "--org", "acme", "--json"}
	for _, r := range roles {
		args = append(args, "--role", r)
	}
	made := decode[struct {
		Principal client.Principal
		Secret    string
	}](t, writ(t, args...).want(t, 0))
	return made.Principal.ID, made.Secret
}

// TestApplyByTwo: what needs two humans waits for the second, who applies the same.
func TestApplyByTwo(t *testing.T) {
	startRegistry(t, "none")
	put := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("acme.yaml", acmeManifest)
	put("acme.cedar", "forbid (principal is Agent, action, resource)\nwhen { context.arguments.n > \"x\" };\n")
	writ(t, "apply", "-f", "acme.yaml").want(t, 1, "acme.cedar:1:1: ")
	writ(t, "org", "show", "acme").want(t, 1, "404")
	put("acme.cedar", `permit (principal is User, action == Action::"read:invoices", resource) when { principal has grade && principal.grade > 2 };`)

	// The operator creates the org and drafts; a second human brings both into force.
	writ(t, "apply", "-f", "acme.yaml").want(t, 3, "+ org acme", "policy of the org acme", "separate_duties: none -> true", "another than you activates", "done: propose the approval rules")
	writ(t, "policy", "show", "active", "--org", "acme").want(t, 1, "no such")
	writ(t, "apply", "-f", "acme.yaml").want(t, 3, "? policies version 1", "? approval rules 1 rules", "= 6 unchanged")
	_, ann := person(t, "owner")
	t.Setenv("WRIT_TOKEN", ann)
	writ(t, "apply", "-f", "acme.yaml", "--dry-run").want(t, 2, "~ policies version 1: activate (drafted by ", "~ approval rules 1 rules: activate (proposed by ")
	writ(t, "apply", "-f", "acme.yaml").want(t, 0, "done: activate the policies", "done: activate the approval rules")
	writ(t, "apply", "-f", "acme.yaml", "--prune").want(t, 0, "= 8 unchanged\n")
	writ(t, "export", "-o", "out.yaml").want(t, 0)
	writ(t, "apply", "-f", "out.yaml", "--prune").want(t, 0, "= 8 unchanged\n")

	// Templates: a grant is issued from one.
	writ(t, "template", "get", "reader").want(t, 0, "execute:none", "1h0m0s")
	writ(t, "template", "list").want(t, 0, "reader")
	writ(t, "agent", "new", "--name", "invoices", "--no-approve").want(t, 0)
	_, bob := person(t, "registrar")
	t.Setenv("WRIT_TOKEN", bob)
	writ(t, "agent", "approve", "invoices.agent.json").want(t, 0)
	writ(t, "grant", "issue", "--agent", "invoices.agent.json", "--template", "reader", "read:invoices").want(t, 1, "or --template")
	writ(t, "grant", "issue", "--agent", "invoices.agent.json", "--template", "reader", "--expires", "8h").want(t, 1, "is said by the template reader (/expires)")
	writ(t, "grant", "issue", "--agent", "invoices.agent.json", "--template", "reader").want(t, 0, "execute:none")

	// It stops at the first refusal: a registrar writes entities and templates, no catalogue.
	put("next.yaml", `writ: 1
entities:
  - {type: user, id: alice, properties: {grade: 4}}
templates: []
approval_rules: []
`)
	writ(t, "apply", "-f", "next.yaml").want(t, 0, `~ entity user::"alice"`, "properties.grade: 3 -> 4", "= 0 unchanged; 2 more are not in the manifest")
	stopped := writ(t, "apply", "-f", "next.yaml", "--prune").want(t, 1, "- template reader", "- approval rules 0 rules", "done: delete a template", "refused; not done:\n- approval rules", "403")
	if stopped.out == "" || writ(t, "template", "list", "--json").want(t, 0).out != "{\"items\":[]}\n" {
		t.Errorf("what was before the refusal is done: %+v", stopped)
	}
	left := decode[manifest.Plan](t, writ(t, "apply", "-f", "next.yaml", "--prune", "--json").want(t, 1))
	if len(left.Changes) != 1 || left.Changes[0].Op != manifest.Delete || left.Changes[0].Done {
		t.Errorf("%+v", left)
	}

	// Another's name for the org is refused; pruning takes only what sections name.
	t.Setenv("WRIT_TOKEN", ann)
	put("named.yaml", "writ: 1\norg: {name: acme, display_name: Acme}\n")
	writ(t, "apply", "-f", "named.yaml").want(t, 1, "named.yaml:2:33: org.display_name: the org is called")
	put("foreign.yaml", "writ: 1\norg: {name: beta}\n")
	writ(t, "apply", "-f", "foreign.yaml").want(t, 1, "foreign.yaml:2:13: org.name: there is no such org")
	put("pruned.yaml", "writ: 1\nentities: []\ncatalogue:\n  - {action: read:invoices, reversibility: reversible, material: true}\n")
	writ(t, "apply", "-f", "pruned.yaml", "--prune").want(t, 0, "material: false -> true", "- action execute:payment", `- entity user::"alice"`, "= 0 unchanged\n")
	writ(t, "policy", "show", "active").want(t, 0, "principal.grade > 2")
	writ(t, "catalogue", "show", "--json").want(t, 0, `"material":true`)
	writ(t, "template", "set", "reader", "read:invoices").want(t, 0, "event")
	writ(t, "template", "delete", "reader").want(t, 0, "is deleted")
}
