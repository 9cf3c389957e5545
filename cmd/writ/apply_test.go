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
