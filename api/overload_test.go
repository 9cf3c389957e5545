package api_test

import (
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/writ-registry/writ/api"
	"github.com/writ-registry/writ/registry"
)

// TestCallerQuota: one caller's requests are bounded, others' and stops are
// not, and time heals it.
func TestCallerQuota(t *testing.T) {
	w := open(t, func(c *api.Config) { c.CallerBurst, c.CallerRate = 3, 0.5 })
	other := w.tenant() // two requests of the operator
	w.must("GET", "/v1/whoami", nil)
	for range 2 { // refusals cost nothing
		r := w.do("GET", "/v1/whoami", nil, as(w.Secret))
		w.refused(r, 429, "rate-limited", "")
		if got := r.Header.Get("Retry-After"); got != "2" {
			t.Errorf("Retry-After %q", got)
		}
	}
	if r := w.do("GET", "/v1/whoami", nil, as(other)); r.StatusCode != 200 {
		t.Errorf("another caller: %d %s", r.StatusCode, r.body)
	}
	w.must("POST", "/v1/kill", map[string]any{"scope": map[string]any{"kind": "global"}})
	for _, path := range []string{"/v1/agents/%s/revoke", "/v1/agents/%s/suspend", "/v1/grants/%s/revoke"} {
		w.refused(w.do("POST", fmt.Sprintf(path, registry.NewID()), `{}`, as(w.Secret)), 404, "not-found", "")
	}
	w.refused(w.do("POST", "/v1/kill/release", `{"scope":{"kind":"global"}}`, as(w.Secret)), 429, "rate-limited", "")
	w.Clock.Add(2 * time.Second)
	w.must("GET", "/v1/whoami", nil)
	w.refused(w.do("GET", "/v1/whoami", nil, as(w.Secret)), 429, "rate-limited", "")
}

// TestInFlight: requests in hand are bounded. Stops and probes pass, and the
// place of one that ends is free again.
func TestInFlight(t *testing.T) {
	w := open(t, func(c *api.Config) { c.MaxInFlight = 1 })
	type answer struct {
		status int
		err    error
	}
	held := make(chan answer, 1)
	hold := func() *io.PipeWriter { // sends a request whose body does not end
		body, more := io.Pipe()
		go func() {
			var a answer
			req, err := http.NewRequestWithContext(t.Context(), "POST", w.url+"/v1/orgs", body)
			if a.err = err; err == nil {
				req.Header.Set("Authorization", "Bearer "+w.Secret)
				req.Header.Set("Content-Type", "application/json")
				var res *http.Response
				if res, a.err = http.DefaultClient.Do(req); a.err == nil {
					a.status = res.StatusCode
					res.Body.Close()
				}
			}
			body.Close()
			held <- a
		}()
		if _, err := io.WriteString(more, `{"name":`); err != nil {
			t.Fatal(err)
		}
		return more
	}
	more := hold()
	r := w.do("GET", "/v1/whoami", nil, as(w.Secret))
	for polls := 1; r.StatusCode == 200; polls++ { // until the other has come
		if polls%100 == 0 { // it met another, and its answer waits for the end of its body
			more.Close()
			<-held
			more = hold()
		}
		select {
		case a := <-held: // it met the one before in the only place
			if a.status != 503 {
				t.Fatalf("the held request: %+v", a)
			}
			more = hold()
		default:
		}
		time.Sleep(time.Millisecond) // leaves it the place
		r = w.do("GET", "/v1/whoami", nil, as(w.Secret))
	}
	w.refused(r, 503, "unavailable", "")
	if r.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		if r := w.do("GET", path, nil); r.StatusCode != 200 {
			t.Errorf("%s: %d", path, r.StatusCode)
		}
	}
	w.must("POST", "/v1/kill", map[string]any{"scope": map[string]any{"kind": "global"}})
	if _, err := io.WriteString(more, `"late"}`); err != nil {
		t.Fatal(err)
	}
	more.Close()
	if a := <-held; a.status != 201 {
		t.Fatalf("the held request: %+v", a)
	}
	for r = w.do("GET", "/v1/whoami", nil, as(w.Secret)); r.StatusCode == 503; {
		r = w.do("GET", "/v1/whoami", nil, as(w.Secret)) // its answer comes before its end
	}
	if r.StatusCode != 200 {
		t.Errorf("when there is room again: %d %s", r.StatusCode, r.body)
	}
}
