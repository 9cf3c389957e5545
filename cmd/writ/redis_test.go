package main

import (
	"context"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/writ-registry/writ/client"
	"github.com/writ-registry/writ/internal/hotstate"
)

// TestRedisThatDoesNotAnswer: a registry starts and is ready without it, and a
// URL that can never work is refused without its password.
func TestRedisThatDoesNotAnswer(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.Redis = "redis://writ:hunter2@127.0.0.1:1"
	r := start(t, cfg)
	if r.redis == nil {
		t.Error("--redis is not wired")
	}
	if status, _, body := get(t, r.server.URL+"/readyz"); status != http.StatusOK {
		t.Errorf("readyz: %d %s", status, body)
	}
	r.stop()

	cfg = testConfig(t.TempDir())
	cfg.Redis = "http://writ:hunter2@127.0.0.1"
	if err := startFails(t, cfg); !strings.Contains(err.Error(), "--redis") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
}

// TestRedisHearsOfStops: a registry with --redis tells the others at its
// database that authority moved, and is told.
func TestRedisHearsOfStops(t *testing.T) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("no redis-server: scripts/debian.sh installs it where it may")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	_, port, _ := net.SplitHostPort(addr)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	redis := exec.CommandContext(ctx, "redis-server", "--bind", "127.0.0.1", "--port", port, "--dir", t.TempDir(), "--save", "")
	if err := redis.Start(); err != nil {
		t.Fatal(err)
	}
	defer redis.Wait()
	defer cancel()

	cfg := testConfig(t.TempDir())
	cfg.Redis = "redis://" + addr
	r := start(t, cfg)
	other, err := hotstate.OpenRedis(cfg.Redis, r.logOrigin)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	heard := make(chan uint64, 64)
	go other.Listen(ctx, func(n uint64) {
		select {
		case heard <- n:
		default:
		}
	})
	hear := func(want uint64) {
		t.Helper()
		for end := time.After(30 * time.Second); ; {
			select {
			case n := <-heard:
				if n == want {
					return
				}
			case <-end:
				t.Fatalf("did not hear of %d", want)
			}
		}
	}
	hear(hotstate.Unknown) // subscribed
	before, err := r.journal.Moment(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.SetKill(ctx, client.Scope{Kind: "global"}, "drill"); err != nil {
		t.Fatal(err)
	}
	after, err := r.journal.Moment(ctx, 0)
	if err != nil || after.Authority <= before.Authority {
		t.Fatalf("a kill moved %d to %d, %v", before.Authority, after.Authority, err)
	}
	hear(after.Authority)
}
