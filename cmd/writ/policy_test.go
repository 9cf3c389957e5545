package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/writ-registry/writ/client"
)

// TestPolicyCommands writes, tries and activates the example beside the example
// catalogue, and is told where a text is wrong.
func TestPolicyCommands(t *testing.T) {
	examples, err := filepath.Abs(filepath.Join("..", "..", "examples"))
	if err != nil {
		t.Fatal(err)
	}
	startRegistry(t, "none")
	writ(t, "catalogue", "put", filepath.Join(examples, "catalogue.json")).want(t, 0)
	example := filepath.Join(examples, "policies.cedar")
	writ(t, "policy", "validate", example).want(t, 0, "4 policies, valid")
	bad := filepath.Join(t.TempDir(), "bad.cedar")
	if err := os.WriteFile(bad, []byte("permit(principal, action, resource);\n@id(\"x\") forbid(principal, action, resource) when { context.arguments.a > 1 };"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"validate", "push"} {
		writ(t, "policy", verb, bad).want(t, 1, bad+":2:1: x:", "not valid")
	}
	v := decode[client.PolicyValidity](t, writ(t, "policy", "validate", bad, "--json").want(t, 1))
	if v.Valid || len(v.Faults) != 1 || v.Faults[0].Line != 2 || v.Faults[0].Policy != "x" {
		t.Errorf("%+v", v)
	}
	pushed := decode[map[string]client.PolicySet](t, writ(t, "policy", "push", example, "--json").want(t, 0))["policies"]
	if pushed.Version != 1 || pushed.Policies != 4 || pushed.Active {
		t.Errorf("%+v", pushed)
	}
	writ(t, "policy", "dry-run", "1").want(t, 0, "0 decisions, 0 would be others")
	writ(t, "policy", "show", "active").want(t, 1, "no such")
	writ(t, "policy", "activate", "1").want(t, 0, "active", "event")
	writ(t, "policy", "activate", "one").want(t, 1, "no version")
	writ(t, "policy", "list").want(t, 0, "active", pushed.Digest)
	writ(t, "policy", "show", "active").want(t, 0, "office-hours")
}
