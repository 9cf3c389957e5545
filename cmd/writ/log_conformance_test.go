//go:build conformance

package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/writ-registry/writ/anchor/tlog"
)

// add appends an entry over HTTP, as the tools of others do.
func add(t *testing.T, url string, entry []byte) (index int64, status int) {
	t.Helper()
	res, err := http.Post(url+"/log/add", "application/octet-stream", bytes.NewReader(entry))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode == http.StatusOK {
		if index, err = strconv.ParseInt(string(body), 10, 64); err != nil {
			t.Fatalf("the answer is no index: %q", body)
		}
	}
	return index, res.StatusCode
}

// TestConformanceLog is the short form of make conformance, without its tools.
func TestConformanceLog(t *testing.T) {
	cfg := testConfig(t.TempDir())
	r := start(t, cfg)
	m := newMonitor(t, r.server.URL, cfg.Data)
	if tree, err := m.checkpoint(); err != nil || tree != m.tree {
		t.Fatalf("the first checkpoint is of %d entries, %v; want the empty log's", tree.N, err)
	}
	if !strings.HasSuffix(strings.SplitN(m.key.Name(), "/", 2)[0], ".test") {
		t.Errorf("log %s might be somebody's", m.key.Name())
	}

	// The shortest and the longest entry, and one too long.
	var want [][]byte
	for _, n := range []int{0, 1, tlog.MaxEntry} {
		entry := bytes.Repeat([]byte{0xa5}, n)
		if index, status := add(t, r.server.URL, entry); status != http.StatusOK || index != int64(len(want)) {
			t.Fatalf("%d bytes: status %d, index %d", n, status, index)
		}
		want = append(want, entry)
	}
	if _, status := add(t, r.server.URL, make([]byte, tlog.MaxEntry+1)); status != http.StatusRequestEntityTooLarge {
		t.Errorf("an entry too long: status %d", status)
	}
	if err := m.follow(t.Context(), int64(len(want))); err != nil {
		t.Fatal(err)
	}

	// Many writers: each entry is where its writer was told.
	const writers, each = 16, 40
	want = append(want, make([][]byte, writers*each)...)
	var wg sync.WaitGroup
	var mu sync.Mutex
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				entry := fmt.Appendf(nil, "%d-%d-%0*d", w, i, rand.IntN(600), 0)
				index, status := add(t, r.server.URL, entry)
				mu.Lock()
				if status != http.StatusOK || index >= int64(len(want)) || want[index] != nil {
					t.Errorf("status %d, index %d, which was given before or is too high", status, index)
				} else {
					want[index] = entry
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if err := m.follow(t.Context(), int64(len(want))); err != nil {
		t.Fatal(err)
	}

	// It goes on after a restart, and the tree is still the same one.
	r.stop()
	r = start(t, cfg)
	m.url = r.server.URL + "/log"
	want = append(want, []byte("after the restart"))
	if index, status := add(t, r.server.URL, want[len(want)-1]); status != http.StatusOK || index != int64(len(want)-1) {
		t.Fatalf("after a restart: status %d, index %d", status, index)
	}
	if err := m.follow(t.Context(), int64(len(want))); err != nil {
		t.Fatal(err)
	}
	got, err := m.entries()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.EqualFunc(got, want, bytes.Equal) {
		t.Errorf("the log holds other entries, or in another order, than its writers were told")
	}
}

// TestConformanceCheckpointLag measures how long after its commit an entry is
// under a signed checkpoint. The bound is on the median: one slow disk or busy
// moment is no defect. It looks at a clock, so only make conformance runs it.
func TestConformanceCheckpointLag(t *testing.T) {
	if os.Getenv("WRIT_MEASURE") == "" {
		t.Skip("a measurement: set WRIT_MEASURE=1")
	}
	r := start(t, testConfig(t.TempDir()))
	m := newMonitor(t, r.server.URL, r.cfg.Data)
	var lags []time.Duration
	for i := range 41 {
		time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond) // anywhere between two checkpoints
		index, status := add(t, r.server.URL, fmt.Appendf(nil, "entry %d", i))
		if status != http.StatusOK {
			t.Fatalf("status %d", status)
		}
		committed := time.Now()
		for tree := m.tree; tree.N <= index; {
			var err error
			if tree, err = m.checkpoint(); err != nil {
				t.Fatal(err)
			}
		}
		lags = append(lags, time.Since(committed))
	}
	slices.Sort(lags)
	median := lags[len(lags)/2]
	t.Logf("commit to signed checkpoint: median %v, worst of %d %v", median.Round(time.Millisecond), len(lags), lags[len(lags)-1].Round(time.Millisecond))
	if median > 100*time.Millisecond {
		t.Errorf("a checkpoint takes %v", median)
	}
}

// TestConformanceFolders: a folder that the build did not create is refused,
// its own opens again.
func TestConformanceFolders(t *testing.T) {
	cfg := testConfig(t.TempDir())
	r := start(t, cfg)
	if mark, err := r.db.Meta(t.Context(), "build"); err != nil || mark != "conformance" {
		t.Errorf("mark %q, %v", mark, err)
	}
	if _, err := os.Stat(filepath.Join(cfg.Data, tokenFile)); !os.IsNotExist(err) {
		t.Errorf("there is an operator: %v", err)
	}
	r.stop()
	start(t, cfg).stop()

	// A registry's folder, as the upgrade test keeps it.
	foreign := testConfig(t.TempDir())
	copyPrivate(t, filepath.Join("testdata", fixtures[0], "data"), foreign.Data)
	if err := startFails(t, foreign); !strings.Contains(err.Error(), "not created by this conformance build") {
		t.Errorf("refused with: %v", err)
	}
}
