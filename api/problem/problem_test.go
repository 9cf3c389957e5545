package problem_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/writ-registry/writ/anchor"
	"github.com/writ-registry/writ/api/problem"
	"github.com/writ-registry/writ/registry"
)

func TestTable(t *testing.T) {
	inner := &registry.Error{Kind: registry.Conflict, Code: "inner", Field: "/inner", Detail: "inner", Err: errors.New("secret")}
	for name, c := range map[string]struct {
		err           error
		status        int
		kind          string
		retry, logged bool
		shown         string // code, field and detail
	}{
		"malformed":       {registry.Invalid("/name", "is bad"), 400, "malformed", false, false, " /name is bad"},
		"unauthenticated": {&registry.Error{Kind: registry.Unauthenticated, Code: "stale", Detail: "d"}, 401, "unauthenticated", false, false, "stale  d"},
		"denied":          {registry.Errorf(registry.Denied, "d"), 403, "denied", false, false, "  d"},
		"not found":       {registry.Errorf(registry.NotFound, "d"), 404, "not-found", false, false, "  d"},
		"conflict":        {registry.Errorf(registry.Conflict, "d"), 409, "conflict", false, false, "  d"},
		"revoked":         {registry.Errorf(registry.Revoked, "d"), 410, "revoked", false, false, "  d"},
		"too large":       {registry.Errorf(registry.TooLarge, "d"), 413, "too-large", false, false, "  d"},
		"key reuse":       {registry.Errorf(registry.Mismatch, "d"), 422, "key-reuse", false, false, "  d"},
		"unavailable":     {registry.Errorf(registry.Unavailable, "d"), 503, "unavailable", true, true, "  d"},
		"method":          {registry.Errorf(problem.Method, "d"), 405, "method-not-allowed", false, false, "  d"},
		"media type":      {registry.Errorf(problem.MediaType, "d"), 415, "unsupported-media-type", false, false, "  d"},
		"rate":            {registry.Errorf(problem.RateLimited, "d"), 429, "rate-limited", false, false, "  d"},
		"bare kind":       {fmt.Errorf("wrapped: %w", registry.NotFound), 404, "not-found", false, false, "  "},
		"outermost wins":  {&registry.Error{Kind: registry.NotFound, Detail: "outer", Err: fmt.Errorf("secret: %w", inner)}, 404, "not-found", false, false, "  outer"},
		"wrapped":         {fmt.Errorf("secret: %w", inner), 409, "conflict", false, false, "inner /inner inner"},
		"not integrated":  {fmt.Errorf("secret: %w", anchor.ErrNotIntegrated), 404, "not-found", true, false, "  the event is recorded, and no signed checkpoint covers it yet"},
		"pushback":        {fmt.Errorf("secret: %w", anchor.ErrPushback), 503, "unavailable", true, true, "  the ledger takes no more for the moment"},
		"fork":            {fmt.Errorf("secret: %w", anchor.ErrFork), 503, "unavailable", true, true, "  the log is stopped until an operator has looked at it"},
		"reorged":         {fmt.Errorf("secret: %w", anchor.ErrReorged), 503, "unavailable", true, true, "  the ledger dropped the anchor; it is being sent again"},
		"unknown kind":    {&registry.Error{Kind: "new", Code: "c", Field: "/f", Detail: "secret"}, 500, "internal", false, true, "  "},
		"anything else":   {errors.New("secret"), 500, "internal", false, true, "  "},
		"a problem":       {fmt.Errorf("secret: %w", problem.Of(registry.Denied, "d")), 403, "denied", false, false, "  d"},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			p := problem.From(t.Context(), slog.New(slog.NewTextHandler(&log, nil)), c.err)
			if p.Status != c.status || p.Type != "urn:writ:problem:"+c.kind || p.Title == "" {
				t.Errorf("got %d %s %q", p.Status, p.Type, p.Title)
			}
			if got := p.Code + " " + p.Field + " " + p.Detail; got != c.shown {
				t.Errorf("shows %q, want %q", got, c.shown)
			}
			if raw, err := json.Marshal(p); err != nil || bytes.Contains(raw, []byte("secret")) {
				t.Errorf("%s (%v)", raw, err)
			}
			if got := p.GetHeaders().Get("Retry-After") != ""; got != c.retry {
				t.Errorf("Retry-After: %v", p.GetHeaders())
			}
			if got := p.GetHeaders().Get("WWW-Authenticate") != ""; got != (c.status == 401) {
				t.Errorf("WWW-Authenticate: %v", p.GetHeaders())
			}
			if lines := strings.Count(log.String(), "\n"); lines != map[bool]int{true: 1}[c.logged] {
				t.Errorf("%d lines in the log: %s", lines, log.String())
			}
		})
	}
}

// TestGoneCaller: what failed because the caller hung up is nobody's alarm.
func TestGoneCaller(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var log bytes.Buffer
	problem.From(ctx, slog.New(slog.NewTextHandler(&log, nil)), context.Canceled)
	if log.Len() > 0 {
		t.Errorf("log: %s", log.String())
	}
}
