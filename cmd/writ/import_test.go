package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-registry/writ/client"
)

// TestImport: WRIT_IMPORT_AGENTS agents (200 unless it is set) register in one run,
// with progress; what was interrupted anywhere goes on, and nobody registers twice.
func TestImport(t *testing.T) {
	n := 200
	if text := os.Getenv("WRIT_IMPORT_AGENTS"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	startRegistry(t, "none")
	var b strings.Builder
	b.WriteString("name,purpose,domains,authority_level,grant\n")
	for i := range n {
		fmt.Fprintf(&b, "bot-%05d,\"keeps, and carries\",finance logistics,2,read:invoices\n", i)
	}
	if err := os.WriteFile("agents.csv", []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) importReport {
		t.Helper()
		r := writ(t, append([]string{"agent", "import", "agents.csv", "--keys", "keys", "--json"}, args...)...).want(t, 0)
		return decode[importReport](t, r)
	}
	if dry := run("--dry-run"); dry.Results[rowNew] != n {
		t.Fatalf("dry run: %v", dry.Results)
	}
	if _, err := os.Stat("keys"); err == nil {
		t.Error("a dry run made the folder")
	}
	done := writ(t, "agent", "import", "agents.csv", "--keys", "keys").want(t, 0, fmt.Sprintf("%d registered", n), fmt.Sprintf("%d of %d registered", n, n))
	t.Log(done.err[strings.LastIndex(strings.TrimSpace(done.err), "\n")+1:])

	lost, never := filepath.Join("keys", "bot-00003"), filepath.Join("keys", "bot-00004")
	file, err := client.LoadAgentFile(lost + ".agent.json")
	if err != nil || len(file.Grants) != 1 {
		t.Fatalf("%+v, %v", file, err)
	}
	if info, err := os.Stat(lost + ".agent.json"); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of an agent file: %v, %v", info.Mode(), err)
	}
	// A crash between the answer and the file, and one that lost everything.
	for _, err := range []error{os.WriteFile(lost+".key.pem", []byte(file.Key), 0o600), os.Remove(lost + ".agent.json"), os.Remove(never + ".agent.json")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	again := run()
	if diff := cmp.Diff(map[string]int{rowThere: n - 2, rowResumed: 1, rowRegistered: 1}, again.Results); diff != "" {
		t.Errorf("again (-want +got):\n%s", diff)
	}
	if back, err := client.LoadAgentFile(lost + ".agent.json"); err != nil || back.DID != file.DID || len(back.Grants) != 1 || back.Grants[0].Token != file.Grants[0].Token {
		t.Errorf("found again by its key: %+v, %v", back, err)
	}
	list := decode[struct{ Items []client.InventoryItem }](t, writ(t, "agent", "list", "--name", "bot-", "--domain", "logistics", "--json").want(t, 0))
	if len(list.Items) != n+1 { // one was registered anew: its key was gone
		t.Errorf("%d agents", len(list.Items))
	}
	left, err := filepath.Glob(filepath.Join("keys", "*.pem"))
	if err != nil || len(left) != 0 {
		t.Errorf("keys without an agent: %v, %v", left, err)
	}
}

// TestImportOtherFiles: JSON and the configurations of MCP clients; a row that
// fails does not keep the others from it.
func TestImportOtherFiles(t *testing.T) {
	startRegistry(t, "none")
	for name, text := range map[string]string{
		"agents.json": `{"agents":[{"name":"a","authority_level":1,"composition":[{"kind":"model","name":"m","digest":"` + strings.Repeat("ab", 32) + `","source":"sponsor"}]},{"name":"b","sponsor":"nobody"}]}`,
		"claude.json": `{"mcpServers":{"GitHub Tools":{"command":"npx","args":["-y","server"],"env":{"TOKEN":"secret"}},"files":{"command":"files"}},"theme":"dark"}`,
		"vscode.json": `{"servers":{"remote":{"type":"http","url":"https://mcp.example/"}},"inputs":[]}`,
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := writ(t, "agent", "import", "agents.json", "--keys", "keys").want(t, 1, "1 registered", "1 failed", "/sponsor")
	if strings.Contains(r.out, "\ta\t") {
		t.Error(r.out)
	}
	writ(t, "agent", "import", "claude.json", "--keys", "keys").want(t, 0, "2 registered")
	writ(t, "agent", "import", "vscode.json", "--keys", "keys", "--no-approve").want(t, 0, "1 registered")
	writ(t, "agent", "list", "--status", "requested").want(t, 0, "remote")
	a := writ(t, "agent", "show", filepath.Join("keys", "github-tools.agent.json")).want(t, 0, "GitHub Tools", "vouched for by: self")
	if strings.Contains(a.out, "secret") {
		t.Error("the environment of a server was read")
	}
	if left, err := filepath.Glob(filepath.Join("keys", "*.pem")); err != nil || len(left) != 0 {
		t.Errorf("keys without an agent: %v, %v", left, err)
	}
}

func TestImportRefusesFiles(t *testing.T) {
	for text, want := range map[string]string{
		"": "empty", "name,color\na,red\n": `column "color"`, "purpose\nx\n": "no column name", "name\nA B\n": "want 1 to 64", "name\na\na\n": "agents 1 and 2",
		"name,authority_level\na,x\n": "line 2", "name,role\na\n": "wrong number of fields", `{"x":1}`: "neither", `{"mcpServers":{"a":{}}}`: "want a command or a url",
		`[{"name":"a","more":1}]`: "more", `{"mcpServers":{"a":{"command":"x"},"A":{"command":"y"}}}`: "both named a", `{"agents":[{"name":"a"}],"agents":[]}`: "agents",
	} {
		if agents, err := readImport([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v; want %q", text, agents, err, want)
		}
	}
}
