//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/writ-registry/writ/anchor"
	"github.com/writ-registry/writ/client"
)

// TestFullDisk fills a small file system under the running program. Writes are
// refused with a remedy, nothing that was acknowledged is lost, nothing that was
// refused is there, and with space again the same process goes on.
func TestFullDisk(t *testing.T) {
	for _, c := range []struct {
		name, chain   string
		size, reserve uint64
	}{
		{"reserve", "none", 64 << 20, 16 << 20},
		{"last byte", "none", 48 << 20, 0}, // SQLite itself meets the end of the disk
		{"embedded chain", "embedded", 384 << 20, 32 << 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := smallDisk(t, c.size)
			cfg := testConfig(dir)
			cfg.Chain, cfg.DiskReserve = c.chain, c.reserve
			d := &drill{t: t, cfg: cfg, acked: map[string]uint64{}, known: map[anchor.Head]bool{}}
			p := d.start()
			d.base = len(d.events())
			load := d.startLoad("before")
			d.progress(100)
			var ballast []string
			clear := func() {
				for _, file := range ballast {
					if err := os.Remove(file); err != nil {
						t.Fatal(err)
					}
				}
				ballast = nil
			}
			var before []func(context.Context) error
			if c.chain == "embedded" {
				// The chain stops first. What it writes as it stops may reach into the
				// reserve; without it, there is room again, and the registry goes on.
				ballast = append(ballast, fill(t, dir, 2*c.reserve-1<<20))
				eventually(t, "stop the chain", func() (bool, error) {
					return strings.Contains(p.out.String(), "embedded chain stopped"), nil
				})
				clear()
				first := load
				load = d.startLoad("between")
				d.progress(100)
				ballast = append(ballast, fill(t, dir, c.reserve/2))
				before = first.refusals()
			} else {
				ballast = append(ballast, fill(t, dir, c.reserve/2))
			}
			refused := slices.Concat(before, load.refusals())
			status, _, body := get(t, p.URL+"/readyz")
			if full := status == http.StatusServiceUnavailable && strings.Contains(body, "writable"); full != (c.reserve > 0) {
				t.Errorf("readyz on a full disk: %d %s", status, body)
			}
			d.verifyAcknowledged(d.events()) // reads go on

			clear()
			d.repeat(refused)
			load = d.startLoad("after")
			d.progress(100)
			if status, _, body := get(t, p.URL+"/readyz"); status != http.StatusOK {
				t.Errorf("readyz with space again: %d %s", status, body)
			}
			again := fill(t, dir, c.reserve/2)
			load.refusals()
			if err := os.Remove(again); err != nil {
				t.Fatal(err)
			}
			events := d.events()
			leaves := d.verifyEvents(events)
			d.verifyAcknowledged(events)
			d.verifyLog(leaves) // its checkpoint follows, too
			if status := p.terminate(t); status != 0 {
				t.Errorf("exit status %d\n%s", status, p.out)
			}
			if c.chain == "embedded" { // with a start the chain is back, and catches up
				p = d.start()
				d.verify(p)
				if status := p.terminate(t); status != 0 {
					t.Errorf("exit status %d\n%s", status, p.out)
				}
			}
			d.verifyDatabase()
		})
	}
}

// smallDisk mounts a file system of so many bytes, which takes root.
func smallDisk(t *testing.T, size uint64) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Skipf("a small file system cannot be mounted: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// fill takes what is free in dir but for some bytes, and returns the file that
// holds it.
func fill(t *testing.T, dir string, leave uint64) string {
	t.Helper()
	f, err := os.CreateTemp(dir, "ballast-*")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for { // the program takes its part meanwhile, and gives some back
		free, err := freeBytes(dir)
		if err != nil {
			t.Fatal(err)
		}
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		if free <= leave {
			return f.Name()
		}
		err = syscall.Fallocate(int(f.Fd()), 0, info.Size(), int64(free-leave))
		if err != nil && !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EINTR) {
			t.Fatal(err)
		}
	}
}

// load is writers that work until they are refused.
type load struct {
	d       *drill
	writers []*writer
	errs    []error
	ended   sync.WaitGroup
}

func (d *drill) startLoad(name string) *load {
	l := &load{d: d, errs: make([]error, 4)}
	for i := range l.errs {
		w := &writer{d: d, name: fmt.Sprint(name, "-", i), answered: func() {}}
		l.writers = append(l.writers, w)
		l.ended.Go(func() { l.errs[i] = w.work(d.t.Context(), d.operator) })
	}
	return l
}

// progress waits until n more calls are answered.
func (d *drill) progress(n int) {
	d.t.Helper()
	until := d.count() + n
	eventually(d.t, "write", func() (bool, error) { return d.count() >= until, nil })
}

// refusals waits for the end of the load, sees that each writer was told to try
// again, and returns the calls to try.
func (l *load) refusals() (calls []func(context.Context) error) {
	l.d.t.Helper()
	l.ended.Wait()
	for i, err := range l.errs {
		var p *client.Problem
		if !errors.As(err, &p) || p.Status != http.StatusServiceUnavailable || p.RetryAfter <= 0 || p.Type != "urn:writ:problem:unavailable" {
			l.d.t.Errorf("writer %s ended with %v, want a problem with status 503 and Retry-After", l.writers[i].name, err)
		}
		calls = append(calls, l.writers[i].lost)
	}
	return calls
}
