package api

import (
	"errors"
	"net/http"
	"testing"

	table "github.com/writ-registry/writ/internal/route"
	"github.com/writ-registry/writ/registry"
)

// TestForwarded: which request a proxy asks about is not the agent's to say.
func TestForwarded(t *testing.T) {
	head := func(pairs ...string) http.Header {
		h := http.Header{}
		for i := 0; i < len(pairs); i += 2 {
			h.Add(pairs[i], pairs[i+1])
		}
		return h
	}
	for name, c := range map[string]struct {
		header http.Header
		want   table.Request
		code   string
	}{
		"nginx":                     {head("X-Original-Method", "PUT", "X-Original-URI", "/a?b=1", "X-Original-Body", "some", "Content-Digest", "d"), table.Request{Method: "PUT", Target: "/a?b=1", Length: -1, Digest: "d"}, ""},
		"nginx, no body":            {head("X-Original-Method", "DELETE", "X-Original-URI", "/a", "X-Original-Body", "none"), table.Request{Method: "DELETE", Target: "/a"}, ""},
		"nginx, a GET with a body":  {head("X-Original-Method", "GET", "X-Original-URI", "/a", "X-Original-Body", "some"), table.Request{Method: "GET", Target: "/a", Length: -1}, ""},
		"traefik":                   {head("X-Forwarded-Method", "GET", "X-Forwarded-Uri", "/a"), table.Request{Method: "GET", Target: "/a"}, ""},
		"traefik, a client's claim": {head("X-Forwarded-Method", "DELETE", "X-Forwarded-Uri", "/a", "X-Original-Body", "none"), table.Request{Method: "DELETE", Target: "/a", Length: -1}, ""},
		"both":                      {head("X-Original-Method", "GET", "X-Original-URI", "/a", "X-Forwarded-Uri", "/b"), table.Request{}, "ambiguous_request"},
		"a method of the other":     {head("X-Original-Method", "GET", "X-Forwarded-Method", "DELETE", "X-Forwarded-Uri", "/b"), table.Request{}, "ambiguous_request"},
		"one twice":                 {head("X-Original-Method", "GET", "X-Original-URI", "/a", "X-Original-URI", "/b"), table.Request{}, "ambiguous_request"},
		"nothing":                   {head(), table.Request{}, "original_missing"},
		"no method":                 {head("X-Original-URI", "/a"), table.Request{}, "original_missing"},
	} {
		got, err := forwarded(c.header)
		var e *registry.Error
		switch {
		case c.code != "" && (!errors.As(err, &e) || e.Code != c.code || e.Kind != registry.Denied):
			t.Errorf("%s: got %v, want %s", name, err, c.code)
		case c.code == "" && (err != nil || got.Method != c.want.Method || got.Target != c.want.Target || got.Length != c.want.Length || got.Digest != c.want.Digest):
			t.Errorf("%s: got %+v (%v), want %+v", name, got, err, c.want)
		}
	}
}
