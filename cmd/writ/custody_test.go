package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/writ-registry/writ/client"
)

// A DID out of custody, by commands: handed over, brought up to a rotation, by a log
// that was made elsewhere, and ended once its agent is revoked.
func TestCustodyCommands(t *testing.T) {
	startRegistry(t, "none")
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	run := func(args ...string) result { t.Helper(); return writ(t, args...) }
	file := at("a.agent.json")
	for _, n := range []string{"1.pem", "2.pem", "3.pem"} {
		run("key", "commit", at(n)).want(t, 0, "Qm")
	}
	run("agent", "new", "--name", "a", "--out", file).want(t, 0)
	run("agent", "did", "push", file, "--key", at("1.pem"), "--next-key", at("2.pem")).want(t, 1, "did not commit to this update key")
	run("agent", "custody", file, "--key", at("1.pem"), "--also", "Qm").want(t, 1, "next_key_hashes")
	run("agent", "custody", file, "--key", at("1.pem")).want(t, 0, "by its controller alone")
	run("agent", "custody", file, "--key", at("2.pem")).want(t, 1, "self_custody")
	run("key", "rotate", file, "--overlap", "0s").want(t, 0)
	run("agent", "show", file).want(t, 0, "the agent's own", "behind since")
	run("agent", "did", "push", file, "--key", at("3.pem"), "--next-key", at("2.pem")).want(t, 1, "did not commit to this update key")
	run("agent", "did", "push", file, "--self", "--key", at("1.pem"), "--next-key", at("2.pem")).want(t, 0, "one entry more")
	if a := decode[client.Agent](t, run("agent", "show", file, "--json")); a.Custodial || !a.DIDPending.IsZero() {
		t.Errorf("after the push: custodial %t, pending %v", a.Custodial, a.DIDPending)
	}

	// The next one is made without the registry and sent as a file.
	f, err := client.LoadAgentFile(file)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, err := client.New(f.Registry, "", client.Options{Agent: f})
	if err != nil {
		t.Fatal(err)
	}
	log, err := elsewhere.DIDLog(t.Context(), f.ID)
	if err != nil {
		t.Fatal(err)
	}
	jsonl := at("did.jsonl")
	write := func(lines ...[]byte) {
		t.Helper()
		for _, line := range lines {
			log = append(log, line...)
		}
		if err := os.WriteFile(jsonl, log, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write()
	run("agent", "did", "push", file, "--log", jsonl).want(t, 1, "the registry has 3")
	made := push{key: at("2.pem"), next: []string{at("3.pem")}}
	lines, err := made.make(decode[client.Agent](t, run("agent", "show", file, "--json")), log)
	if err != nil {
		t.Fatal(err)
	}
	write(lines...)
	run("agent", "did", "push", file, "--log", jsonl).want(t, 0, "one entry more")
	run("agent", "did", "push", file).want(t, 1, "give either --key, or --log")

	run("agent", "revoke", file).want(t, 0)
	run("agent", "show", file).want(t, 0, "behind since")
	run("agent", "did", "push", file, "--key", at("3.pem")).want(t, 0, "2 entries more")
	run("agent", "show", file, "--json").want(t, 0, `"custodial":false`)
}
