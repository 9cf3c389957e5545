package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/writ-registry/writ/client"
)

// result is what a command did.
type result struct {
	out, err string
	code     int
}

// writ runs a command line as main does.
func writ(t *testing.T, args ...string) result {
	t.Helper()
	return writIn(t, "", args...)
}

func writIn(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	root := testRoot()
	root.SetArgs(args)
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(&out)
	root.SetErr(&errs)
	err := root.ExecuteContext(t.Context())
	r := result{out: out.String(), err: errs.String()}
	var code exitCode
	switch {
	case errors.As(err, &code):
		r.code = int(code)
	case err != nil:
		r.code, r.err = 1, r.err+err.Error()
	}
	return r
}

// testRoot is the program's root with every command of the client under it.
func testRoot() *cobra.Command {
	root := newRootCmd()
	for _, cmd := range clientCommands() {
		if found, _, err := root.Find([]string{cmd.Name()}); err != nil || found == root {
			root.AddCommand(cmd)
		}
	}
	return root
}

func TestMainKnowsEveryCommand(t *testing.T) {
	root := newRootCmd()
	for _, cmd := range clientCommands() {
		if found, _, err := root.Find([]string{cmd.Name()}); err != nil || found == root {
			t.Errorf("newRootCmd does not add %q: root.AddCommand(clientCommands()...) would", cmd.Name())
		}
	}
}

// want fails the test unless the command ended so and said all of texts.
func (r result) want(t *testing.T, code int, texts ...string) result {
	t.Helper()
	if r.code != code {
		t.Fatalf("exit status %d, want %d\nout: %s\nerr: %s", r.code, code, r.out, r.err)
	}
	for _, text := range texts {
		if !strings.Contains(r.out+r.err, text) {
			t.Errorf("%q is missing\nout: %s\nerr: %s", text, r.out, r.err)
		}
	}
	return r
}

func decode[T any](t *testing.T, r result) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(r.out), &v); err != nil {
		t.Fatalf("%v in %s", err, r.out)
	}
	return v
}

// startRegistry runs a registry without a chain and makes its folder the one
// that commands find by themselves.
func startRegistry(t *testing.T, chain string) *server {
	t.Helper()
	for _, name := range []string{"WRIT_URL", "WRIT_TOKEN", "WRIT_PEP_TOKEN", "WRIT_DATA"} {
		t.Setenv(name, "")
	}
	t.Chdir(t.TempDir())
	cfg := defaultServeConfig()
	cfg.Listen, cfg.Chain, cfg.AnchorInterval = "127.0.0.1:0", chain, 100*time.Millisecond
	s, err := startServer(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestCommandsAgainstARegistry(t *testing.T) {
	startRegistry(t, "none")
	const caps = "read:invoices; create:shipment(weight<=500); execute:none"
	if err := os.WriteFile("cat.json", []byte(`{"actions": [
		{"action": "read:invoices", "reversibility": "reversible", "egress": false, "material": true, "min_level": 0},
		{"action": "create:shipment", "reversibility": "reversible", "egress": false, "material": true, "min_level": 0}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	org := decode[map[string]client.Org](t, writ(t, "org", "create", "acme", "--json").want(t, 0))["org"]
	writ(t, "org", "list").want(t, 0, "acme", org.ID)
	owner := decode[struct {
		Principal client.Principal
		Secret    string
	}](t, writ(t, "principal", "create", "--org", "acme", "--role", "owner", "--display-name", "Ada", "--json").want(t, 0))
	writ(t, "principal", "list", "--org", "acme").want(t, 0, owner.Principal.ID, "Ada")
	t.Setenv("WRIT_TOKEN", owner.Secret)
	writ(t, "catalogue", "put", "cat.json").want(t, 0, "read:invoices", "event")
	writ(t, "catalogue", "show", "--org", "acme").want(t, 0, "create:shipment")
	pep := decode[struct {
		PEP    client.PEP
		Secret string
	}](t, writ(t, "pep", "create", "gateway", "--resource", "https://erp.example", "--json").want(t, 0))

	made := decode[agentMade](t, writ(t, "agent", "new", "--name", "invoices", "--grant", caps, "--audience", "https://erp.example", "--json").want(t, 0))
	if made.Status != "active" || made.AgentFile != "invoices.agent.json" || made.Grant == nil || !strings.HasPrefix(made.DID, "did:webvh:") || len(made.Events) != 3 {
		t.Fatalf("got %+v", made)
	}
	info, err := os.Stat(made.AgentFile)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v (%v), want 0600", info.Mode(), err)
	}
	writ(t, "agent", "new", "--name", "invoices").want(t, 1, "not overwritten")
	writ(t, "agent", "list", "--status", "active").want(t, 0, made.ID)
	writ(t, "agent", "show", made.AgentFile).want(t, 0, made.DID)
	writ(t, "agent", "show", made.DID).want(t, 0, made.ID)
	writ(t, "grant", "list", "--agent", made.AgentFile).want(t, 0, made.Grant.ID)

	// Permit, deny and step_up have an exit status each.
	permit := writ(t, "agent", "ask", "--agent", made.AgentFile, "read", "invoices/1").want(t, 0, "permit")
	if strings.Contains(permit.out, "\x1b[") {
		t.Errorf("colours outside of a terminal: %q", permit.out)
	}
	denied := writ(t, "agent", "ask", "--agent", made.AgentFile, "execute", "payments/1", "--args", `{"amount": 5}`, "--pep-token", pep.Secret, "--json").want(t, 2)
	deny := decode[client.Decision](t, denied)
	writ(t, "agent", "ask", "--agent", made.AgentFile, "create", "shipment/7", "--args", `{"weight": 501}`).want(t, 2, "argument_refused")
	writ(t, "agent", "ask", "--agent", made.AgentFile, "create", "shipment/7", "--args", `{"weight": 500}`).want(t, 0)
	writ(t, "grant", "issue", "--agent", made.AgentFile, "erase:customer", "--audience", "https://erp.example", "--expires", "1h").want(t, 0, "added to")
	writ(t, "agent", "ask", "--agent", made.AgentFile, "erase", "customer/9").want(t, 3, "approval_required", "Until a human has approved")
	writ(t, "agent", "ask", "--agent", made.AgentFile, "read", "invoices").want(t, 1, "TYPE/ID")

	// A signed request passes through any program, once.
	body := writ(t, "sign", "--agent", made.AgentFile, "read", "invoices/2").want(t, 0).out
	url, err := readLine("writ-data/address")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{http.StatusOK, http.StatusUnauthorized} {
		resp, err := http.Post(url+"/access/v1/evaluation", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("status %d, want %d", resp.StatusCode, want)
		}
	}
	if proof := writ(t, "sign", "--proof-only", "--agent", made.AgentFile, "read", "invoices/2").want(t, 0).out; strings.Count(proof, ".") != 2 {
		t.Errorf("no compact JWS: %q", proof)
	}

	t.Run("evidence", func(t *testing.T) { checkEvidence(t, deny.Context.Event.CID) })

	// Stops stop.
	scope := "agent:" + made.AgentFile
	writ(t, "kill", "set", "--scope", scope, "--reason", "drill").want(t, 0, "stopped", "event")
	writ(t, "kill", "list").want(t, 0, made.ID, "drill")
	writ(t, "agent", "ask", "--agent", made.AgentFile, "read", "invoices/1").want(t, 2, "kill_agent")
	writ(t, "kill", "release", "--scope", scope).want(t, 0, "released")
	writ(t, "kill", "list").want(t, 0, "Nothing is stopped")
	writ(t, "kill", "set", "--scope", "planet").want(t, 1, "want global, org:ORG")
	writ(t, "agent", "suspend", made.AgentFile, "--reason", "drill").want(t, 0, "suspended")
	writ(t, "agent", "suspend", made.AgentFile).want(t, 0, "nothing changed")
	writ(t, "agent", "resume", made.ID).want(t, 0, "active")
	writ(t, "agent", "ask", "--agent", made.AgentFile, "read", "invoices/1").want(t, 0)
	writ(t, "grant", "revoke", made.Grant.ID, "--reason", "drill").want(t, 0, "revoked")
	writ(t, "agent", "ask", "--agent", made.AgentFile, "read", "invoices/1", "--grant", made.Grant.ID).want(t, 2, "grant_revoked")
	writ(t, "agent", "revoke", made.AgentFile).want(t, 0, "revoked")
	writ(t, "agent", "resume", made.AgentFile).want(t, 1, "410")
}

// checkEvidence explains a denial, fetches its receipt, verifies it, and sees it
// refused once a byte is changed.
func checkEvidence(t *testing.T, cid string) {
	writ(t, "explain", cid).want(t, 0, "deny  execute payments/1", "capability_none", "takes this verb away", "signed by agent", "asserted by registry", "amount")
	e := decode[explanation](t, writ(t, "explain", cid, "--json").want(t, 0))
	if !e.Verified || e.Verdict != client.Deny || len(e.Facts) == 0 {
		t.Errorf("got %+v", e)
	}
	writ(t, "receipt", cid, "-o", "r.writ.json").want(t, 0, "r.writ.json")
	writ(t, "verify", "r.writ.json").want(t, 0, "verified, grade")
	receipt, err := os.ReadFile("r.writ.json")
	if err != nil {
		t.Fatal(err)
	}
	writIn(t, string(receipt), "verify", "-", "--json").want(t, 0, `"ok":true`)
	for _, at := range []int{len(receipt) / 4, len(receipt) / 2, len(receipt) - 20} {
		flipped := bytes.Clone(receipt)
		flipped[at] ^= 1
		writIn(t, string(flipped), "verify", "-").want(t, 1, "REFUSED")
	}
	writ(t, "verify", "missing.writ.json").want(t, 2, "missing.writ.json")
	writ(t, "verify", "r.writ.json", "--trust", "missing.json").want(t, 2, "missing.json")
}

func TestAgentWithoutApproval(t *testing.T) {
	startRegistry(t, "none")
	writ(t, "agent", "new", "--name", "a", "--no-approve", "--grant", "read:x").want(t, 1, "--no-approve")
	made := decode[agentMade](t, writ(t, "agent", "new", "--name", "a", "--no-approve", "--out", "x.json", "--json").want(t, 0))
	if made.Status != "requested" || made.Grant != nil {
		t.Errorf("got %+v", made)
	}
	writ(t, "grant", "issue", "--agent", "x.json", "read:x").want(t, 1, "409")
	writ(t, "agent", "approve", "x.json").want(t, 0, "active", "event")
	writ(t, "grant", "issue", "--agent", "x.json", "read:x").want(t, 0)
	f, err := client.LoadAgentFile("x.json")
	if err != nil || len(f.Grants) != 1 {
		t.Errorf("grants %v (%v), want one", f, err)
	}
	// A key that could not be kept leaves no usable agent behind.
	writ(t, "agent", "new", "--name", "b", "--out", filepath.Join("no", "such", "folder.json")).want(t, 1, "revoked again")
	writ(t, "agent", "list", "--status", "revoked").want(t, 0, "b  ")
}

// TestConnection: where a command goes, and what it takes along.
func TestConnection(t *testing.T) {
	t.Chdir(t.TempDir())
	for dir, file := range map[string]string{"writ-data": "http://localhost:1", "other": "http://localhost:2"} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{addressFile: file, tokenFile: "token of " + dir} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.WriteFile("secret", []byte("from a file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const here, there = "http://localhost:1", "https://writ.example"
	for _, tc := range []struct {
		name             string
		conn             connection
		dataGiven        bool
		envURL, envToken string
		url, token       string
		wrong            bool
	}{
		{name: "the folder", conn: connection{data: "writ-data"}, url: here, token: "token of writ-data"},
		{name: "another folder", conn: connection{data: "other"}, dataGiven: true, url: "http://localhost:2", token: "token of other"},
		{name: "a folder named beats the environment", conn: connection{data: "other"}, dataGiven: true, envURL: there, envToken: "e", url: "http://localhost:2", token: "token of other"},
		{name: "environment", conn: connection{data: "writ-data"}, envURL: there, envToken: "e", url: there, token: "e"},
		{name: "flags beat the environment", conn: connection{url: here, token: "f", data: "writ-data"}, envURL: there, envToken: "e", url: here, token: "f"},
		{name: "own credential, local address", conn: connection{token: "f", data: "writ-data"}, url: here, token: "f"},
		{name: "the local credential stays here", conn: connection{url: there, data: "writ-data"}, url: there, token: ""},
		{name: "the local address by name", conn: connection{url: here + "/", data: "writ-data"}, url: here, token: "token of writ-data"},
		{name: "credential in a file", conn: connection{url: there, token: "@secret", data: "writ-data"}, url: there, token: "from a file"},
		{name: "credential in no file", conn: connection{url: there, token: "@none", data: "writ-data"}, wrong: true},
		{name: "nothing", conn: connection{data: "none"}, wrong: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Setenv("WRIT_URL", tc.envURL)
			t.Setenv("WRIT_TOKEN", tc.envToken)
			url, token, err := tc.conn.resolve(tc.dataGiven)
			if url != tc.url || token != tc.token || (err != nil) != tc.wrong {
				t.Errorf("got %q %q %v", url, token, err)
			}
		})
	}
}

// TestLostSecret: a credential whose answer got lost is said to be lost.
func TestLostSecret(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Idempotency-Replayed", "true")
		fmt.Fprint(w, `{"pep":{"id":"p","name":"g"},"event":{"cid":"b"}}`)
	}))
	defer s.Close()
	writ(t, "pep", "create", "g", "--resource", "https://x.example", "--url", s.URL, "--token", "t").want(t, 0, "got lost")
}

// TestForeignTextIsHarmless: names cannot move the cursor or turn text around.
func TestForeignTextIsHarmless(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"items":[{"name":"a\u001b[2Jb\nc\u202ed","status":"active"}]}`)
	}))
	defer s.Close()
	out := writ(t, "agent", "list", "--url", s.URL, "--token", "t").want(t, 0).out
	if strings.ContainsAny(out, "\x1b\u202e") || strings.Count(out, "\n") != 2 {
		t.Errorf("got %q", out)
	}
}

func TestEveryCommandHasHelp(t *testing.T) {
	for _, top := range clientCommands() {
		for _, cmd := range append(top.Commands(), top) {
			if cmd.Runnable() && cmd.Example == "" {
				t.Errorf("%s has no example", cmd.CommandPath())
			}
			if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
				t.Errorf("%s: short help %q", cmd.CommandPath(), cmd.Short)
			}
			if cmd.Runnable() && cmd.Flags().Lookup("json") == nil && top.PersistentFlags().Lookup("json") == nil {
				t.Errorf("%s has no --json", cmd.CommandPath())
			}
		}
	}
}

func TestMoment(t *testing.T) {
	if m, err := moment(""); m != nil || err != nil {
		t.Errorf("got %v, %v", m, err)
	}
	at, err := moment("2030-01-02T03:04:05Z")
	if err != nil || !at.Equal(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)) {
		t.Errorf("got %v, %v", at, err)
	}
	if in, err := moment("8h"); err != nil || time.Until(*in) > 8*time.Hour || time.Until(*in) < 8*time.Hour-time.Minute {
		t.Errorf("got %v, %v", in, err)
	}
	if _, err := moment("tomorrow"); err == nil {
		t.Error("tomorrow was read")
	}
}

func TestShortDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		24 * time.Hour: "24h", 90 * time.Minute: "1h30m", 10 * time.Minute: "10m", 30 * time.Second: "30s", time.Hour + time.Second: "1h0m1s",
	} {
		if got := shortDuration(d); got != want {
			t.Errorf("%s: got %s, want %s", d, got, want)
		}
	}
}

func TestReadCatalogue(t *testing.T) {
	want := []client.CatalogueAction{{Action: "read:x", Reversibility: "reversible"}}
	for _, text := range []string{`{"actions":[{"action":"read:x","reversibility":"reversible"}]}`, ` [{"action":"read:x","reversibility":"reversible"}]`} {
		got, err := readCatalogue("-", strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	for _, text := range []string{``, `{"action":[]}`, `[{"actoin":"x"}]`, `{"actions":[],"actions":[]}`} {
		if _, err := readCatalogue("-", strings.NewReader(text)); err == nil {
			t.Errorf("%q was read", text)
		}
	}
}

func TestChainArguments(t *testing.T) {
	t.Chdir(t.TempDir())
	key := strings.Repeat("11", 32)
	if err := os.WriteFile("wallet.key", []byte("0x"+key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("open.key", []byte(key), 0o644); err != nil {
		t.Fatal(err)
	}
	const good = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
	writ(t, "chain", "deploy", "--network", "embedded", "--key", "wallet.key").want(t, 1, "by itself")
	writ(t, "chain", "deploy", "--network", "nowhere", "--key", "wallet.key").want(t, 1, "nowhere")
	writ(t, "chain", "deploy", "--network", "geth-dev", "--key", "open.key").want(t, 1, "chmod 600")
	writ(t, "chain", "register", "--network", "geth-dev", "--key", "wallet.key", "--origin", "o", "--head-key", strings.ToUpper(good[2:4])+good[4:], "--guardian", good).want(t, 1, "--head-key")
	writ(t, "chain", "register", "--network", "geth-dev", "--key", "wallet.key", "--origin", "o", "--head-key", good[:41]+"D", "--guardian", good).want(t, 1, "checksum")
	writ(t, "chain", "register", "--network", "geth-dev", "--key", "wallet.key", "--origin", "o", "--head-key", good, "--guardian", strings.ToLower(good)).want(t, 1, "deploy one first")
}

// TestInterrupted: a command ends when it is told to.
func TestInterrupted(t *testing.T) {
	asked := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	}))
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		root := newRootCmd()
		root.SetArgs([]string{"org", "list", "--url", s.URL, "--token", "t"})
		done <- root.ExecuteContext(ctx)
	}()
	<-asked
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestPeopleCommands: the life of a human, of credentials and of an agent's sponsor.
func TestPeopleCommands(t *testing.T) {
	startRegistry(t, "none")
	writ(t, "org", "create", "acme").want(t, 0)
	type made struct {
		Principal  client.Principal
		Credential client.Credential
		Secret     string
	}
	create := func(roles ...string) made {
		args := []string{"principal", "create", "--org", "acme", "--json"}
		for _, r := range roles {
			args = append(args, "--role", r)
		}
		return decode[made](t, writ(t, args...).want(t, 0))
	}
	owner, clerk := create("owner"), create("auditor")
	t.Setenv("WRIT_TOKEN", owner.Secret)
	writ(t, "principal", "roles", clerk.Principal.ID, "--role", "registrar").want(t, 0, "registrar", "event")
	writ(t, "principal", "roles", owner.Principal.ID).want(t, 1, "last active owner")
	writ(t, "principal", "suspend", clerk.Principal.ID, "--reason", "drill").want(t, 0, "suspended", "event")
	writ(t, "principal", "list").want(t, 0, "suspended")
	writ(t, "org", "list", "--token", clerk.Secret).want(t, 1, "suspended")
	writ(t, "principal", "resume", clerk.Principal.ID).want(t, 0, "active")
	fresh := decode[made](t, writ(t, "principal", "credential", "rotate", clerk.Principal.ID, "--overlap", "1h", "--json").want(t, 0))
	writ(t, "principal", "credential", "list", clerk.Principal.ID, "--token", fresh.Secret).want(t, 0, fresh.Credential.ID, fresh.Credential.Hint)
	writ(t, "principal", "credential", "revoke", clerk.Principal.ID, fresh.Credential.ID).want(t, 0, "revoked")
	writ(t, "org", "list", "--token", fresh.Secret).want(t, 1, "not known")
	writ(t, "org", "list", "--token", clerk.Secret).want(t, 0, "acme")

	agent := decode[agentMade](t, writ(t, "agent", "new", "--name", "a", "--json").want(t, 0))
	writ(t, "agent", "sponsor", agent.AgentFile, clerk.Principal.ID).want(t, 0, clerk.Principal.ID)
	writ(t, "agent", "list", "--sponsor-gone").want(t, 0)
	writ(t, "principal", "end", clerk.Principal.ID).want(t, 0, "left")
	writ(t, "agent", "list", "--sponsor-gone").want(t, 0, agent.ID)
	writ(t, "principal", "show", clerk.Principal.ID).want(t, 0, "left")
	writ(t, "principal", "session", "list", owner.Principal.ID).want(t, 0)
	writ(t, "principal", "session", "end", owner.Principal.ID).want(t, 1, "--all")
	writ(t, "principal", "session", "end", owner.Principal.ID, "--all").want(t, 0, "0 ended")
	writ(t, "org", "issuer", "set", "acme", "https://idp.example", "--client-id", "writ", "--client-secret", "plain").want(t, 1, "@FILE")
	writ(t, "org", "issuer", "set", "acme", "https://idp.example", "--client-id", "writ", "--map", "owner").want(t, 1, "GROUP=ROLE")
	writ(t, "org", "issuer", "list", "acme").want(t, 0)
}
