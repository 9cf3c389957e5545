package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/writ-registry/writ/anchor/tlog"
	"github.com/writ-registry/writ/internal/sqlstore"
	"github.com/writ-registry/writ/registry/did"
	"github.com/writ-registry/writ/registry/journal"
)

// TestSeededFolder: the real server opens what the seeder made and decides on
// it, and everything in it is what the use cases would have written.
func TestSeededFolder(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the server")
	}
	tmp := t.TempDir()
	writ := filepath.Join(tmp, "writ")
	// As scripts/build.sh builds it, so that nothing is compiled twice.
	build := exec.Command("go", "build", "-trimpath", "-o", writ, "../cmd/writ")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	ctx := t.Context()
	dir := filepath.Join(tmp, "data")
	const agents, entries = 40, 70_000 // past two levels of tiles and one batch of the seeder
	h, err := seed(ctx, writ, dir, agents, entries, nil)
	if err != nil {
		t.Fatal(err)
	}
	if h.Entries != entries {
		t.Errorf("%d entries", h.Entries)
	}
	verifyWhole(ctx, t, h)

	h, err = openHouse(dir)
	if err != nil {
		t.Fatal(err)
	}
	o := options{clients: 4, agents: 20, writ: writ, chain: "none", active: 0}
	for _, o.scenario = range []string{"decision", "light", "asserted", "verify", "register"} {
		target, err := openWrit(ctx, o, h)
		if err != nil {
			t.Fatal(err)
		}
		before := target.entries()
		w, err := target.prepare(ctx, 60, nil)
		if err != nil {
			t.Fatal(err)
		}
		w.repeat = false
		m := drive(ctx, w, o.clients, nil, 30e9)
		if len(m.latency) != len(w.requests) || m.errors > 0 {
			t.Errorf("%s: %d of %d answered: %v", o.scenario, len(m.latency), len(w.requests), m.first)
		}
		if grown := target.entries() - before; grown != map[string]int64{"decision": 60, "register": 60}[o.scenario] {
			t.Errorf("%s: the log grew by %d", o.scenario, grown)
		}
		h.Entries = target.entries()
		if err := target.close(); err != nil {
			t.Error(err)
		}
	}
	verifyWhole(ctx, t, h) // the server went on where the seeder ended
}

// verifyWhole reads a folder from end to end: the tree is that of the
// artifacts, each names the one before it, sequences have no gap, DID logs
// verify.
func verifyWhole(ctx context.Context, t *testing.T, h *house) {
	t.Helper()
	if err := check(ctx, h); err != nil {
		t.Fatal(err)
	}
	store, err := sqlstore.Open(ctx, filepath.Join(h.dir, "writ.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	rows, err := store.Reader().QueryContext(ctx, `SELECT place, cid, agent, seq, org_seq, artifact FROM events ORDER BY place`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var leaves [][]byte
	prev, seqs, orgSeq := "", map[string]uint64{}, uint64(0)
	for rows.Next() {
		var i, seq, org uint64
		var cid, agent string
		var artifact []byte
		if err := rows.Scan(&i, &cid, &agent, &seq, &org, &artifact); err != nil {
			t.Fatal(err)
		}
		var env journal.Envelope
		if err := json.Unmarshal(artifact, &env); err != nil {
			t.Fatal(err)
		}
		orgSeq++
		if agent != "" {
			seqs[agent]++
		}
		if journal.CID(artifact).String() != cid || env.Prev != prev || env.Seq != seq || env.OrgSeq != org || org != orgSeq || seq != seqs[agent] || env.Agent != agent {
			t.Fatalf("entry %d is not in its place: %s", i, artifact)
		}
		prev = cid
		leaves = append(leaves, journal.CID(artifact).Bytes())
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	whole, err := tlog.Append(ctx, &edge{}, 0, leaves)
	if err != nil {
		t.Fatal(err)
	}
	size, root, err := store.Log(strings.SplitN(h.Origin, "://", 2)[1] + "/log").Head(ctx)
	if err != nil || size != whole.Size || root != whole.Root {
		t.Fatalf("head %d %x, the artifacts make %d %x: %v", size, root, whole.Size, whole.Root, err)
	}
	var line string
	if err := store.Reader().QueryRowContext(ctx, `SELECT entry FROM did_entries LIMIT 1`).Scan(&line); err != nil {
		t.Fatal(err)
	}
	if _, err := did.VerifyLog([]byte(line+"\n"), h.Base.Add(1e9)); err != nil {
		t.Error(fmt.Errorf("DID log: %w", err))
	}
}
