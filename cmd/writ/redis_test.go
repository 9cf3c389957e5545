package main

import (
	"net/http"
	"strings"
	"testing"
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
