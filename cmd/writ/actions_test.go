package main

import (
	"path/filepath"
	"testing"

	"github.com/writ-registry/writ/client"
)

// TestAgentActions holds an agent to what its grant does not say.
func TestAgentActions(t *testing.T) {
	startRegistry(t, "none")
	file := filepath.Join(t.TempDir(), "courier.agent.json")
	writ(t, "agent", "new", "--name", "courier", "--out", file).want(t, 0)
	for _, args := range [][]string{{file}, {file, "read:invoices", "--any"}, {file, "read:invoices", "--none"}, {file, "--any", "--none"}} {
		writ(t, append([]string{"agent", "actions"}, args...)...).want(t, 1, "any")
	}
	writ(t, "agent", "actions", file, "read").want(t, 1, "verb:type")
	writ(t, "agent", "actions", file, "read:invoices", "create:shipment").want(t, 0, "held to", "create:shipment, read:invoices", "event")
	writ(t, "agent", "show", file).want(t, 0, "create:shipment, read:invoices")
	writ(t, "agent", "actions", file, "--none").want(t, 0, "it may do nothing")
	writ(t, "grant", "issue", "--agent", file, "read:invoices").want(t, 0)
	writ(t, "agent", "ask", "--agent", file, "read", "invoices/7").want(t, 2, "action_refused")
	if a := decode[client.Agent](t, writ(t, "agent", "show", file, "--json").want(t, 0)); a.Actions == nil || len(*a.Actions) > 0 {
		t.Errorf("%+v", a.Actions)
	}
	writ(t, "agent", "actions", file, "--any", "--json").want(t, 0)
	if a := decode[client.Agent](t, writ(t, "agent", "show", file, "--json").want(t, 0)); a.Actions != nil {
		t.Errorf("%+v", a.Actions)
	}
}
