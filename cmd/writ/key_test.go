package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/writ-registry/writ/client"
	"github.com/writ-registry/writ/client/verify"
)

// A key's life by commands: an agent commits to a key, rotates, recovers with the
// key it committed to, and its file works after each step.
func TestKeyCommands(t *testing.T) {
	startRegistry(t, "none")
	dir := t.TempDir()
	file, next := filepath.Join(dir, "a.agent.json"), filepath.Join(dir, "next.pem")
	run := func(args ...string) result { t.Helper(); return writ(t, args...) }
	ask := func(code int, texts ...string) {
		t.Helper()
		writ(t, "agent", "ask", "--agent", file, "read", "invoices/7").want(t, code, texts...)
	}

	writ(t, "key", "commit", next).want(t, 0, "Qm")
	if info, err := os.Stat(next); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the key to commit to: %v, %v", info, err)
	}
	catalogue := filepath.Join(dir, "cat.json")
	if err := os.WriteFile(catalogue, []byte(`{"actions": [{"action": "read:invoices", "reversibility": "reversible", "egress": false, "material": true, "min_level": 0}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	run("catalogue", "put", catalogue).want(t, 0)
	run("agent", "new", "--name", "a", "--grant", "read:invoices", "--next-key", next, "--spawn-depth", "1", "--spawn-max", "2", "--out", file).want(t, 0)
	ask(0, "permit")
	run("key", "rotate", file, filepath.Join(dir, "nobody.agent.json"), "--older-than", "1h").want(t, 1, "young enough", "1 of 2 rotations failed", "rotated 2 of 2")
	rotated := decode[struct{ Items []rotated }](t, run("key", "rotate", file, "--overlap", "0s", "--json")).Items[0]
	if rotated.Grants != 1 || rotated.Event == "" || rotated.Thumbprint == "" {
		t.Errorf("rotated: %+v", rotated)
	}
	if _, err := os.Stat(file + rotatingSuffix); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the waiting key is still there: %v", err)
	}
	ask(0, "permit")

	// Cut short after the registry has rotated: the next rotation finishes it.
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	waiting, err := pendingKey(file + rotatingSuffix)
	if err != nil {
		t.Fatal(err)
	}
	pem, err := waiting.PEM()
	if err != nil {
		t.Fatal(err)
	}
	run("key", "rotate", file, "--overlap", "0s").want(t, 0, waiting.Thumbprint())
	if err := os.WriteFile(file, before, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writeSecret(file+rotatingSuffix, pem); err != nil {
		t.Fatal(err)
	}
	run("key", "rotate", file).want(t, 0, waiting.Thumbprint())
	ask(0, "permit")

	keys := decode[struct{ Items []client.KeyRecord }](t, run("key", "list", file, "--json")).Items
	if len(keys) != 3 || keys[0].Status != "retired" || keys[2].Thumbprint != waiting.Thumbprint() {
		t.Errorf("keys: %+v", keys)
	}
	run("key", "compromise", file, keys[0].Thumbprint, "--from", place(keys[0].AddedIndex), "--reason", "drill").want(t, 0, "is compromised")
	run("key", "list", file).want(t, 0, "compromised", "SUSPECT FROM")

	// The agent itself, without a credential.
	t.Setenv("WRIT_TOKEN", "")
	run("key", "rotate", "--self", file, "--overlap", "0s").want(t, 0, "renewed")
	ask(0, "permit")

	// A child of the agent, registered by a registrar.
	child := filepath.Join(dir, "child.agent.json")
	run("agent", "new", "--name", "child", "--parent", file, "--out", child).want(t, 0, "active")
	run("agent", "spawn", file, "--depth", "0", "--max", "0").want(t, 0, "may have 0 children")
	run("agent", "new", "--name", "late", "--parent", file, "--out", filepath.Join(dir, "late.agent.json")).want(t, 1, "no right to register children")

	// Recovery needs no credential.
	run("key", "rotate", file, "--next-key", next, "--overlap", "0s").want(t, 0)
	run("key", "recover", "--with", next, file).want(t, 0, "has the key that it committed to")
	run("key", "recover", "--with", next, file).want(t, 1, "not_committed")
	run("key", "rotate", file, "--overlap", "0s").want(t, 0, "1 renewed")
	ask(0, "permit")
}

// TestReceiptsOfAKey: who has three files and no registry sees that the key was the
// agent's when something was decided, and that another was not.
func TestReceiptsOfAKey(t *testing.T) {
	startRegistry(t, "none")
	run := func(args ...string) result { t.Helper(); return writ(t, args...) }
	if err := os.WriteFile("cat.json", []byte(`{"actions": [{"action": "read:invoices", "reversibility": "reversible", "egress": false, "material": true, "min_level": 0}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	run("catalogue", "put", "cat.json").want(t, 0)
	run("agent", "new", "--name", "a", "--grant", "read:invoices", "--out", "a.agent.json").want(t, 0)
	decide := func() string {
		t.Helper()
		return decode[client.Decision](t, run("agent", "ask", "--agent", "a.agent.json", "read", "invoices/7", "--json").want(t, 0)).Context.Event.CID
	}
	first := decide()
	run("receipt", first, "-o", "d.writ.json", "--key").want(t, 1, "--disclose")
	run("receipt", first, "--disclose", "--key").want(t, 1, "--output")
	run("receipt", first, "-o", "d.writ.json", "--disclose", "--key").want(t, 0, "writ verify d.writ.json --key d.key.writ.json\n")
	run("verify", "d.writ.json", "--key", "d.key.writ.json").want(t, 0, "the key was the agent's when this was decided (added at ", "no end was shown")

	run("key", "rotate", "a.agent.json", "--overlap", "0s").want(t, 0)
	fetched := decode[receiptFetched](t, run("receipt", first, "-o", "d.writ.json", "--disclose", "--key", "--json").want(t, 0))
	if fetched.KeyEnd != "d.key-end.writ.json" || fetched.ValidWhenDecided == nil || !*fetched.ValidWhenDecided {
		t.Errorf("fetched %+v", fetched)
	}
	report := decode[verify.Report](t, run("verify", fetched.File, "--key", fetched.Key, "--key-end", fetched.KeyEnd, "--json").want(t, 0))
	if k := report.Key; k == nil || !k.ValidWhenDecided || k.Ended == nil || k.Added >= k.Decided || k.Decided >= *k.Ended {
		t.Errorf("key %+v", k)
	}

	run("receipt", decide(), "-o", "second.writ.json", "--disclose", "--key").want(t, 0)
	run("verify", "second.writ.json", "--key", "d.key.writ.json").want(t, 1, "FAIL  key ", "the action proof is signed by")
	run("verify", "second.writ.json", "--key", "second.key.writ.json", "--key-end", "d.key-end.writ.json").want(t, 1, "before the key was added")
	run("verify", "second.writ.json", "--key-end", "d.key-end.writ.json").want(t, 2, "--key-end needs --key")
	run("verify", "second.writ.json", "--key", "missing.writ.json").want(t, 2, "missing.writ.json")
}

// A retiring key leaves the document by itself.
func TestServerTends(t *testing.T) {
	startRegistry(t, "none")
	file := filepath.Join(t.TempDir(), "a.agent.json")
	run := func(args ...string) result { t.Helper(); return writ(t, args...) }
	run("agent", "new", "--name", "a", "--out", file).want(t, 0)
	run("key", "rotate", file, "--overlap", "1s").want(t, 0)
	for deadline := time.Now().Add(20 * time.Second); ; {
		keys := decode[struct{ Items []client.KeyRecord }](t, run("key", "list", file, "--json")).Items
		if keys[0].Status == "retired" && keys[0].EndedIndex != nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the earlier key is still %s", keys[0].Status)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
