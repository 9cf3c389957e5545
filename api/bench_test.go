package api_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/writ-registry/writ/api"
	"github.com/writ-registry/writ/registry"
)

// BenchmarkHTTP is what the door itself costs: everything between net/http and
// the use case, without sockets. An evaluation about a user is permitted by one of
// 1,000 policies and leaves no event; a token that is none is refused before
// anything is read.
func BenchmarkHTTP(b *testing.B) {
	w := open(b, func(c *api.Config) {
		c.Logger = slog.New(slog.NewJSONHandler(&sink{}, nil))
		c.CallerBurst, c.CallerRate = 1e9, 1e9
	})
	pep := w.newPEP("gate", "https://erp.example")
	w.Catalogue(b, registry.CatalogueAction{Action: "read:invoices", Reversibility: registry.Reversible})
	w.must("PUT", "/v1/orgs/operator/entities/user/rick", `{"properties":{"department":"Sales"}}`)
	w.must("POST", "/v1/orgs/operator/policies", map[string]string{"text": `permit(principal is User, action == Action::"read:invoices", resource) when { principal has department && principal.department == "Sales" };` +
		strings.Repeat("\n"+`forbid(principal is Agent, action == Action::"read:invoices", resource) when { context.time.hour > 25 };`, 999)})
	w.must("POST", "/v1/orgs/operator/policies/1/activate", nil)
	a := w.NewAgent(b, "a")
	proven := authzen(a.Ask(b, a.Grant(b, "read:invoices"), "read", "invoices", "7", `{"from":"2026-01-01"}`))
	encode := func(v any) string {
		raw, err := json.Marshal(v)
		if err != nil {
			b.Fatal(err)
		}
		return string(raw)
	}
	subject := func(kind, id string) map[string]any { // the same act, about another
		return map[string]any{"subject": map[string]any{"type": kind, "id": id},
			"action": proven["action"], "resource": proven["resource"], "context": proven["context"]}
	}
	unproven := subject("agent", "did:web:example.org:nobody")
	for _, c := range []struct{ name, method, path, body string }{
		{"healthz", "GET", "/healthz", ""},
		{"whoami", "GET", "/v1/whoami", ""},
		{"evaluation", "POST", evaluation, encode(subject("user", "rick"))},
		{"verify/unknown", "POST", "/v1/verify", encode(unproven)},
		{"verify", "POST", "/v1/verify", encode(proven)},
	} {
		b.Run(c.name, func(b *testing.B) {
			r := httptest.NewRequest(c.method, c.path, nil)
			r.Header.Set("Authorization", "Bearer "+pep)
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("User-Agent", "bench")
			r.ContentLength = int64(len(c.body))
			out := &sink{header: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				clear(out.header)
				r.Body = io.NopCloser(strings.NewReader(c.body))
				w.handler.ServeHTTP(out, r)
				if out.status != http.StatusOK {
					b.Fatalf("status %d", out.status)
				}
			}
		})
	}
}

// sink is an answer that nobody reads.
type sink struct {
	header http.Header
	status int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }
func (s *sink) WriteHeader(status int)      { s.status = status }
