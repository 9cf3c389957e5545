package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/writ-registry/writ/client"
)

// TestInventoryCommands: search, export and the end of many.
func TestInventoryCommands(t *testing.T) {
	startRegistry(t, "none")
	for _, name := range []string{"batch-1", "batch-2", "courier"} {
		writ(t, "agent", "new", "--name", name, "--domain", "logistics", "--grant", "read:"+strings.TrimRight(name, "-12")).want(t, 0)
	}
	find := func(args ...string) string {
		t.Helper()
		list := decode[struct{ Items []client.InventoryItem }](t, writ(t, append([]string{"agent", "list", "--json"}, args...)...).want(t, 0))
		var names []string
		for _, it := range list.Items {
			names = append(names, it.Name)
		}
		return strings.Join(names, " ")
	}
	for args, want := range map[string]string{
		"": "batch-1 batch-2 courier", "--name batch": "batch-1 batch-2", "--capability read:courier": "courier", "--domain logistics --status active --limit 2": "batch-1 batch-2",
		"--idle 1h": "batch-1 batch-2 courier", "--acted 1h": "", "--key-older 90d": "", "--unused 1s --name courier": "",
	} {
		if got := find(strings.Fields(args)...); got != want {
			t.Errorf("list %s: %q, want %q", args, got, want)
		}
	}
	writ(t, "agent", "list", "--idle", "soon").want(t, 1, "--idle")
	writ(t, "agent", "list", "--name", "courier").want(t, 0, "LAST ACT", "courier")

	writ(t, "agent", "export", "-o", "agents.csv").want(t, 0)
	f, err := os.Open("agents.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if rows, err := csv.NewReader(f).ReadAll(); err != nil || len(rows) != 4 || rows[3][4] != "courier" {
		t.Errorf("export: %v, %v", rows, err)
	}
	var all []client.InventoryItem
	if err := json.Unmarshal([]byte(writ(t, "agent", "export", "--format", "json", "--name", "batch").want(t, 0).out), &all); err != nil || len(all) != 2 {
		t.Errorf("export as JSON: %d, %v", len(all), err)
	}
	writ(t, "agent", "export", "--format", "xml", "-o", "agents.xml").want(t, 1, "400")
	if _, err := os.Stat("agents.xml"); err == nil {
		t.Error("a refused export left a file")
	}

	writ(t, "agent", "offboard").want(t, 1, "400")
	writ(t, "agent", "offboard", "--name", "batch", "--dry-run").want(t, 0, "batch-1", "2 agents would end")
	writ(t, "agent", "offboard", "batch-1.agent.json", "--name", "batch").want(t, 1, "not both")
	if err := os.WriteFile("ids", fmt.Appendf(nil, "%s\n", all[1].DID), 0o600); err != nil {
		t.Fatal(err)
	}
	writ(t, "agent", "offboard", "batch-1.agent.json", "--list", "ids", "--reason", "project-over").want(t, 0, "2 agents ended", "2 of 2 ended")
	if got := find("--status", "revoked"); got != "batch-1 batch-2" {
		t.Errorf("revoked: %q", got)
	}
	writ(t, "agent", "offboard", "--name", "batch").want(t, 0, "0 agents ended")
}

// TestCompositionCommands: what an agent is made of, by whose word.
func TestCompositionCommands(t *testing.T) {
	startRegistry(t, "none")
	writ(t, "agent", "new", "--name", "a").want(t, 0)
	if err := os.WriteFile("manifest.json", []byte(`{"tools":[]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	writ(t, "voucher", "new", "--name", "ci", "--kind", "builder", "--key", "ci.key.pem").want(t, 0, "ci", "event")
	writ(t, "voucher", "new", "--name", "ci2", "--kind", "builder", "--key", "ci.key.pem").want(t, 1, "409")
	statement := writ(t, "voucher", "sign", "--key", "ci.key.pem", "--part", "tools:erp=@manifest.json").want(t, 0).out
	if err := os.WriteFile("build.jwt", []byte(statement), 0o600); err != nil {
		t.Fatal(err)
	}
	model := "model:m-7=sha256:" + strings.Repeat("ab", 32)
	writ(t, "agent", "composition", "a.agent.json", "--part", model, "--statement", "build.jwt").want(t, 0, "vouched for by: sponsor", "vouched for by: build-signed", "event")
	writ(t, "agent", "composition", "a.agent.json", "--part", model, "--statement", "build.jwt").want(t, 0, "nothing changed")
	writ(t, "agent", "composition", "a.agent.json", "--part", "model=x").want(t, 1, "--part")
	id := decode[struct{ Items []client.Voucher }](t, writ(t, "voucher", "list", "--json").want(t, 0)).Items[0].ID
	writ(t, "voucher", "revoke", id, "--reason", "ci-replaced").want(t, 0, "nothing more")
	writ(t, "agent", "composition", "a.agent.json", "--statement", "build.jwt").want(t, 1, "voucher_revoked")
	writ(t, "voucher", "list").want(t, 0, "REVOKED", "ci")
}
