package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/writ-registry/writ/client"
)

// TestObserveCommands learns what an agent needs, and says of a decision why it was made
// and that it would not be made again.
func TestObserveCommands(t *testing.T) {
	startRegistry(t, "none")
	catalogue := filepath.Join(t.TempDir(), "catalogue.json")
	if err := os.WriteFile(catalogue, []byte(`[{"action":"read:invoices","reversibility":"reversible","egress":false,"material":false,"min_level":0}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	writ(t, "catalogue", "put", catalogue).want(t, 0)
	file := filepath.Join(t.TempDir(), "courier.agent.json")
	writ(t, "agent", "new", "--name", "courier", "--out", file).want(t, 0)
	writ(t, "grant", "issue", "--agent", file, "create:shipment").want(t, 0)

	writ(t, "observe", "start", file, "--for", "721h", "--reason", "onboarding").want(t, 1, "within 30 days")
	writ(t, "observe", "start", "--for", "1h", "--reason", "onboarding").want(t, 1, "AGENT")
	writ(t, "observe", "start", file, "--for", "1h", "--reason", "onboarding").want(t, 0, "UNDER OBSERVATION", "event")
	writ(t, "agent", "show", file).want(t, 0, "UNDER OBSERVATION")
	asked := decode[client.Decision](t, writ(t, "agent", "ask", "--agent", file, "read", "invoices/7", "--args", `{"year":2026}`, "--json").want(t, 0))
	writ(t, "decision", "get", asked.Context.ID).want(t, 0, "permit (observed)", "capability_missing", `{"year":2026}`)
	writ(t, "decision", "replay", asked.Context.ID).want(t, 0, "then as now")
	report := decode[client.Coverage](t, writ(t, "observe", "report", file, "--json").want(t, 0))
	if len(report.Agents) != 1 || report.Agents[0].Template.Capabilities != "read:invoices(year==2026)" {
		t.Errorf("%+v", report)
	}
	writ(t, "observe", "report").want(t, 0, "courier-observed", "1 decisions were observed")
	writ(t, "observe", "report", file, "--save").want(t, 0, "templates are saved")
	writ(t, "observe", "stop", file).want(t, 0, "event")
	writ(t, "decision", "replay", asked.Context.ID).want(t, 0, "deny now", "observation.ended")
	writ(t, "simulate", file, "read", "invoices/7").want(t, 0, "deny", "capability_missing", "possession")
	writ(t, "simulate", file, "read", "invoices/7", "--capabilities", "read:invoices").want(t, 0, "permit", "grant")
	writ(t, "grant", "issue", "--agent", file, "--template", "courier-observed").want(t, 0)
	writ(t, "simulate", file, "read", "invoices/7", "--args", `{"year":2026}`).want(t, 0, "permit")
	writ(t, "simulate", file, "read", "invoices/7", "--args", `{"year":2027}`).want(t, 0, "deny")
	writ(t, "observe", "start", "--org", "operator", "--for", "1h", "--reason", "drill").want(t, 0, "UNDER OBSERVATION")
	writ(t, "observe", "stop", "--org", "operator").want(t, 0, "event")
}
