package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/writ-registry/writ/client"
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
