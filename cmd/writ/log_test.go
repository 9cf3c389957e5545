package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog" // the Go checksum database's tree, none of ours
)

// monitor reads a log over HTTP and trusts nothing of it but the verifier key.
// Trees, tiles and proofs are those of golang.org/x/mod/sumdb/tlog: code of
// another author, which the tiled logs of C2SP descend from.
type monitor struct {
	url  string // of the log, without a slash
	key  note.Verifier
	tree tlog.Tree // the last checkpoint that verified
}

func newMonitor(t *testing.T, url, data string) *monitor {
	t.Helper()
	l, err := readLogIdentity(data)
	if err != nil {
		t.Fatal(err)
	}
	key, err := note.NewVerifier(l.VKey)
	if err != nil {
		t.Fatal(err)
	}
	return &monitor{url: url + "/log", key: key, tree: tlog.Tree{Hash: emptyTree(t)}}
}

func emptyTree(t *testing.T) tlog.Hash {
	t.Helper()
	h, err := tlog.TreeHash(0, nil)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func (m *monitor) get(path string) ([]byte, error) {
	res, err := http.Get(m.url + path)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s: %s", path, res.Status, body)
	}
	return body, err
}

// checkpoint fetches the newest checkpoint and checks its name and signature.
func (m *monitor) checkpoint() (tlog.Tree, error) {
	raw, err := m.get("/checkpoint")
	if err != nil {
		return tlog.Tree{}, err
	}
	signed, err := note.Open(raw, note.VerifierList(m.key))
	if err != nil {
		return tlog.Tree{}, err
	}
	// The text is that of the checksum database but for its first line.
	text, ok := strings.CutPrefix(signed.Text, m.key.Name()+"\n")
	if !ok {
		return tlog.Tree{}, fmt.Errorf("a checkpoint of another log: %q", signed.Text)
	}
	return tlog.ParseTree([]byte("go.sum database tree\n" + text))
}

// follow waits for a checkpoint of at least size entries and proves, from the
// tiles, that it extends the one before.
func (m *monitor) follow(ctx context.Context, size int64) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	tree, err := m.checkpoint()
	for ; err == nil && tree.N < size; tree, err = m.checkpoint() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("no checkpoint of %d entries, only of %d: %w", size, tree.N, ctx.Err())
		case <-time.After(time.Millisecond):
		}
	}
	if err != nil {
		return err
	}
	if m.tree.N > 0 { // every tree extends the empty one, and there is no proof to make
		proof, err := tlog.ProveTree(tree.N, m.tree.N, tlog.TileHashReader(tree, m))
		if err == nil {
			err = tlog.CheckTree(proof, tree.N, tree.Hash, m.tree.N, m.tree.Hash)
		}
		if err != nil {
			return fmt.Errorf("from %d to %d entries: %w", m.tree.N, tree.N, err)
		}
	}
	m.tree = tree
	return nil
}

// entries downloads the log and proves each entry to be where it is.
func (m *monitor) entries() ([][]byte, error) {
	hashes := tlog.TileHashReader(m.tree, m)
	var all [][]byte
	for int64(len(all)) < m.tree.N {
		first := int64(len(all))
		data, err := m.tile(tlog.Tile{H: m.Height(), L: -1, N: first / 256, W: int(min(256, m.tree.N-first))})
		if err != nil {
			return nil, err
		}
		for len(data) > 0 {
			var length uint16
			if _, err := binary.Decode(data, binary.BigEndian, &length); err != nil || len(data) < 2+int(length) {
				return nil, fmt.Errorf("the bundle from entry %d is cut off", first)
			}
			entry := data[2 : 2+int(length)]
			at := int64(len(all))
			proof, err := tlog.ProveRecord(m.tree.N, at, hashes)
			if err == nil {
				err = tlog.CheckRecord(proof, m.tree.N, m.tree.Hash, at, tlog.RecordHash(entry))
			}
			if err != nil {
				return nil, fmt.Errorf("entry %d: %w", at, err)
			}
			all, data = append(all, entry), data[2+len(entry):]
		}
	}
	return all, nil
}

// Height implements tlog.TileReader.
func (*monitor) Height() int { return 8 }

// SaveTiles implements tlog.TileReader; nothing is kept.
func (*monitor) SaveTiles([]tlog.Tile, [][]byte) {}

// ReadTiles implements tlog.TileReader.
func (m *monitor) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	out := make([][]byte, len(tiles))
	var err error
	for i, t := range tiles {
		var e error
		out[i], e = m.tile(t)
		err = errors.Join(err, e)
	}
	return out, err
}

// tile fetches one tile. C2SP leaves the height out of the path, which is
// always 8, and calls the level of the entries so.
func (m *monitor) tile(t tlog.Tile) ([]byte, error) {
	path := strings.Replace(t.Path(), "tile/8/", "/tile/", 1)
	return m.get(strings.Replace(path, "/tile/data/", "/tile/entries/", 1))
}

// TestAnotherAuthorsClientReadsTheLog across the edges of tiles and of partial
// tiles.
func TestAnotherAuthorsClientReadsTheLog(t *testing.T) {
	if conformanceBuild {
		t.Skip("a conformance build has no events")
	}
	r := start(t, testConfig(t.TempDir()))
	m := newMonitor(t, r.server.URL, r.cfg.Data)
	if err := m.follow(t.Context(), 1); err != nil { // the operator's own event
		t.Fatal(err)
	}
	var cids []string
	for _, n := range []int{3, 252, 1, 70} { // 4, 256, 257 and 327 entries
		for _, ev := range addOrgs(t, r.Client, n) {
			cids = append(cids, ev.CID)
		}
		if err := m.follow(t.Context(), int64(1+len(cids))); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := m.entries()
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1+len(cids) {
		t.Fatalf("%d entries, want %d", len(entries), 1+len(cids))
	}
	for i, c := range cids {
		if id, err := cid.Decode(c); err != nil || !bytes.Equal(entries[1+i], id.Bytes()) {
			t.Errorf("entry %d is not the CID of its event", 1+i)
		}
	}
	// The same client notices a tile that lies.
	m.tree.Hash[0] ^= 1
	if _, err := m.entries(); err == nil {
		t.Error("entries verify against a root that is not theirs")
	}
}

// TestOrdinaryBuildTakesNoRawEntries: neither the route nor the code is there.
func TestOrdinaryBuildTakesNoRawEntries(t *testing.T) {
	if conformanceBuild {
		t.Skip("this is the conformance build")
	}
	r := start(t, testConfig(t.TempDir()))
	res, err := http.Post(r.server.URL+"/log/add", "application/octet-stream", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusNotFound {
		t.Errorf("POST /log/add: %s", res.Status)
	}
	if _, ok := any(r.journal).(interface {
		AppendRaw(context.Context, []byte) (uint64, error)
	}); ok {
		t.Error("the journal takes raw entries")
	}
	files := func(tags string) string {
		out, err := exec.Command("go", "list", "-tags", tags, "-deps", "-f", "{{.GoFiles}}", ".").Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	if strings.Contains(files(""), "_conformance.go") || !strings.Contains(files("conformance"), "_conformance.go") {
		t.Error("a file named _conformance.go is compiled without the tag, or none with it")
	}
}

// TestOrdinaryBuildRefusesConformanceFolder, before it does anything there.
func TestOrdinaryBuildRefusesConformanceFolder(t *testing.T) {
	if conformanceBuild {
		t.Skip("this is the conformance build")
	}
	cfg := testConfig(t.TempDir())
	r := start(t, cfg)
	if err := r.db.SetMeta(t.Context(), "build", "conformance"); err != nil {
		t.Fatal(err)
	}
	r.stop()
	if err := startFails(t, cfg); !strings.Contains(err.Error(), "raw entries") {
		t.Errorf("refused with: %v", err)
	}
}

func TestLogIdentity(t *testing.T) {
	if conformanceBuild {
		t.Skip("names the log of an ordinary build")
	}
	writ(t, "log", "vkey", "--data", t.TempDir()).want(t, 1, "holds no log")
	s := startRegistry(t, "none")
	writ(t, "log", "vkey").want(t, 0).is(t, s.logKey+"\n")
	writ(t, "log", "origin").want(t, 0).is(t, s.logOrigin+"\n")
	l := decode[logIdentity](t, writ(t, "log", "vkey", "--json").want(t, 0))
	if l.VKey != s.logKey || l.Origin != s.logOrigin {
		t.Errorf("identity %+v", l)
	}
	path := filepath.Join(s.cfg.Data, "keys", keyCheckpoint+".key")
	if err := os.WriteFile(path, []byte("PRIVATE+KEY+x\nno verifier\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	writ(t, "log", "vkey").want(t, 1, "key checkpoint")
}

// is compares all that a command wrote.
func (r result) is(t *testing.T, out string) {
	t.Helper()
	if r.out != out {
		t.Errorf("wrote %q, want %q", r.out, out)
	}
}
