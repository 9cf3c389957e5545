package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-registry/writ/registry/capability"
)

// newTest returns a client of a server and the pauses it made.
func newTest(t *testing.T, h http.HandlerFunc) (*Client, *[]time.Duration) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	var pauses []time.Duration
	c, err := New(s.URL+"/", "secret", Options{pause: func(_ context.Context, d time.Duration) error {
		pauses = append(pauses, d)
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return c, &pauses
}

func problemAnswer(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/problem+json; charset=utf-8")
	w.WriteHeader(status)
	fmt.Fprint(w, body)
}

func TestNewRefusesWhatIsNoAddress(t *testing.T) {
	for _, base := range []string{"", "localhost:8080", "ftp://host", "http://", "http://user:pass@host", "http://host?x=1", "http://host#f", "http://ho st"} {
		if _, err := New(base, "", Options{}); err == nil {
			t.Errorf("New(%q) succeeded", base)
		}
	}
}

func TestProblems(t *testing.T) {
	for _, tc := range []struct {
		name, contentType, body string
		status                  int
		header                  http.Header
		want                    Problem
		text                    string
	}{
		{
			name: "whole", contentType: "application/problem+json", status: 400,
			body:   `{"type":"urn:writ:problem:malformed","title":"The request is malformed","status":400,"detail":"not a key","instance":"/v1/agents","code":"bad_key","field":"/jwk","later":1}`,
			header: http.Header{"X-Request-Id": {"r-1"}},
			want: Problem{Type: "urn:writ:problem:malformed", Title: "The request is malformed", Status: 400, Detail: "not a key",
				Instance: "/v1/agents", Code: "bad_key", Field: "/jwk", RequestID: "r-1"},
			text: "400 bad request: not a key (/jwk) [bad_key]",
		},
		{
			name: "status of the answer wins", contentType: "application/problem+json", status: 409, body: `{"status":200,"title":"No"}`,
			want: Problem{Type: "about:blank", Title: "No", Status: 409}, text: "409 conflict: No",
		},
		{
			name: "a proxy's page", contentType: "text/html", status: 502, body: `<h1>Bad gateway</h1>`,
			want: Problem{Type: "about:blank", Title: "Bad Gateway", Status: 502, Detail: "the answer is not a problem document"},
			text: "502 bad gateway: the answer is not a problem document",
		},
		{
			name: "broken", contentType: "application/problem+json", status: 404, body: `{"title":`,
			want: Problem{Type: "about:blank", Title: "Not Found", Status: 404, Detail: "the answer is not a problem document"},
			text: "404 not found: the answer is not a problem document",
		},
		{
			name: "two meanings", contentType: "application/problem+json", status: 404, body: `{"title":"a","title":"b"}`,
			want: Problem{Type: "about:blank", Title: "Not Found", Status: 404, Detail: "the answer is not a problem document"},
			text: "404 not found: the answer is not a problem document",
		},
		{
			name: "several faults", contentType: "application/problem+json", status: 400, body: `{"errors":[{"detail":"x","field":"/a"}]}`,
			want: Problem{Type: "about:blank", Title: "Bad Request", Status: 400, Errors: json.RawMessage(`[{"detail":"x","field":"/a"}]`)},
			text: "400 bad request: Bad Request",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, pauses := newTest(t, func(w http.ResponseWriter, _ *http.Request) {
				for k, v := range tc.header {
					w.Header()[k] = v
				}
				w.Header().Set("Content-Type", tc.contentType)
				w.WriteHeader(tc.status)
				fmt.Fprint(w, tc.body)
			})
			_, err := c.Whoami(t.Context())
			var p *Problem
			if !errors.As(err, &p) {
				t.Fatalf("got %v, want a *Problem", err)
			}
			if diff := cmp.Diff(tc.want, *p); diff != "" {
				t.Error(diff)
			}
			if p.Error() != tc.text {
				t.Errorf("got %q, want %q", p.Error(), tc.text)
			}
			if len(*pauses) != 0 {
				t.Errorf("it was tried again after %v", *pauses)
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	for field, want := range map[string]time.Duration{
		"": 0, "3": 3 * time.Second, "0": 0, "-1": 0, "1.5": 0, "99999999999": 0, "soon": 0, "3 ": 0,
		"Wed, 02 Jan 2030 03:04:15 GMT": 10 * time.Second,
		"Wed, 02 Jan 2030 03:04:00 GMT": 0,
	} {
		if got := retryAfter(field, now); got != want {
			t.Errorf("retryAfter(%q) = %s, want %s", field, got, want)
		}
	}
}

// TestRetriesAreOneCommand: all tries of a writing call carry one key, and wait
// as long as the registry asks.
func TestRetriesAreOneCommand(t *testing.T) {
	var keys, bodies []string
	c, pauses := newTest(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		keys, bodies = append(keys, r.Header.Get("Idempotency-Key")), append(bodies, string(body))
		if len(keys) < 3 {
			w.Header().Set("Retry-After", "2")
			problemAnswer(w, 503, `{"detail":"busy"}`)
			return
		}
		w.Header().Set("Idempotency-Replayed", "true")
		w.WriteHeader(201)
		fmt.Fprint(w, `{"org":{"id":"o","name":"acme","new_member":1},"event":{"cid":"b1","index":7,"org_seq":1,"time":"2030-01-02T03:04:05.678Z"}}`)
	})
	got, err := c.CreateOrg(t.Context(), NewOrg{Name: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	if len(keys) != 3 || keys[0] == "" || keys[0] != keys[1] || keys[1] != keys[2] {
		t.Errorf("keys %q: want three times the same one", keys)
	}
	if bodies[0] != `{"name":"acme"}` || bodies[2] != bodies[0] {
		t.Errorf("bodies %q", bodies)
	}
	if diff := cmp.Diff([]time.Duration{2 * time.Second, 2 * time.Second}, *pauses); diff != "" {
		t.Error(diff)
	}
	if got.Value.Name != "acme" || got.Event == nil || got.Event.Index != 7 || !got.Replayed || got.Secret != "" {
		t.Errorf("got %+v", got)
	}
	if _, err := c.CreateOrg(t.Context(), NewOrg{Name: "acme"}); err != nil || keys[3] == keys[0] {
		t.Errorf("another call has the key of the first (%v)", err)
	}
	ctx := WithIdempotencyKey(t.Context(), "mine")
	if _, err := c.CreateOrg(ctx, NewOrg{Name: "acme"}); err != nil || keys[4] != "mine" {
		t.Errorf("key %q, want the caller's (%v)", keys[4], err)
	}
}

func TestRetriesAreBounded(t *testing.T) {
	for _, tc := range []struct {
		name, after string
		status      int
		tries       int
	}{
		{"always busy", "1", 503, 4},
		{"always limited, no hint", "", 429, 4},
		{"not covered by a checkpoint yet", "1", 404, 4},
		{"longer than we wait", "60", 503, 1},
		{"no such thing", "", 404, 1},
		{"the registry failed", "", 500, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tries := 0
			c, _ := newTest(t, func(w http.ResponseWriter, _ *http.Request) {
				tries++
				if tc.after != "" {
					w.Header().Set("Retry-After", tc.after)
				}
				problemAnswer(w, tc.status, `{}`)
			})
			_, err := c.Agent(t.Context(), "a")
			var p *Problem
			if !errors.As(err, &p) || p.Status != tc.status {
				t.Errorf("got %v, want a problem of status %d", err, tc.status)
			}
			if tries != tc.tries {
				t.Errorf("%d tries, want %d", tries, tc.tries)
			}
		})
	}
}

// cut ends the first n connections without an answer.
func cut(n int32, then http.HandlerFunc) (http.HandlerFunc, *atomic.Int32) {
	var tries atomic.Int32
	return func(w http.ResponseWriter, r *http.Request) {
		if tries.Add(1) <= n {
			panic(http.ErrAbortHandler)
		}
		then(w, r)
	}, &tries
}

func TestLostAnswers(t *testing.T) {
	permit := func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"decision":true,"context":{"verdict":"permit"}}`)
	}
	t.Run("of a command", func(t *testing.T) {
		h, tries := cut(1, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"agent":{"id":"a"}}`) })
		c, _ := newTest(t, h)
		if _, err := c.ApproveAgent(t.Context(), "a"); err != nil || tries.Load() != 2 {
			t.Errorf("%d tries, %v", tries.Load(), err)
		}
	})
	t.Run("of an enforcement point's question", func(t *testing.T) {
		h, tries := cut(1, permit)
		c, _ := newTest(t, h)
		if d, err := c.Evaluate(t.Context(), EvaluationRequest{}); err != nil || !d.Permitted() || tries.Load() != 2 {
			t.Errorf("%d tries, %v", tries.Load(), err)
		}
	})
	t.Run("of an agent's own question", func(t *testing.T) {
		h, tries := cut(1, permit)
		c, _ := newTest(t, h)
		if d, err := c.As("").Evaluate(t.Context(), EvaluationRequest{}); err == nil || d.Permitted() || tries.Load() != 1 {
			t.Errorf("%d tries, %v: its proof may be spent, it must be signed anew", tries.Load(), err)
		}
	})
}

func TestCancelledWhileWaiting(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "10")
		problemAnswer(w, 503, `{"detail":"busy"}`)
		cancel()
	}))
	defer s.Close()
	c, err := New(s.URL, "", Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Log(ctx)
	var p *Problem
	if err == nil || !errors.As(err, &p) && !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestContradictionsAreNoPermit: whatever is unclear is a no.
func TestContradictionsAreNoPermit(t *testing.T) {
	for body, want := range map[string]bool{
		`{"decision":true,"context":{"verdict":"permit"}}`:  true,
		`{"decision":true,"context":{"verdict":"deny"}}`:    false,
		`{"decision":true,"context":{"verdict":"step_up"}}`: false,
		`{"decision":false,"context":{"verdict":"permit"}}`: false,
		`{"decision":true}`: false,
		`{}`:                false,
		`{"Decision":true,"context":{"verdict":"permit"}}`:                  false,
		`{"decision":"true","context":{"verdict":"permit"}}`:                false,
		`{"decision":false,"decision":true,"context":{"verdict":"permit"}}`: false,
		`true`: false,
		``:     false,
	} {
		c, _ := newTest(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) })
		d, _ := c.Evaluate(t.Context(), EvaluationRequest{})
		if d.Permitted() != want {
			t.Errorf("%s: permitted is %v, want %v", body, d.Permitted(), want)
		}
	}
}

func TestPaths(t *testing.T) {
	var got, auth string
	c, _ := newTest(t, func(w http.ResponseWriter, r *http.Request) {
		got, auth = r.Method+" "+r.RequestURI, r.Header.Get("Authorization")
		fmt.Fprint(w, `{"policy_decision_point":"https://writ.example/","agent":{},"items":[],"catalogue":{},"kill":{}}`)
	})
	ctx := t.Context()
	for want, call := range map[string]func() error{
		"GET /v1/agents/did:webvh:x:localhost%253A80:agents:1": func() error {
			_, err := c.Agent(ctx, "did:webvh:x:localhost%3A80:agents:1")
			return err
		},
		"POST /v1/agents/a%2Fb/revoke": func() error { _, err := c.RevokeAgent(ctx, "a/b", "x"); return err },
		"PUT /v1/orgs/acme/catalogue":  func() error { _, err := c.ActivateCatalogue(ctx, "acme", nil); return err },
		"GET /v1/grants?agent=a&status=active": func() error {
			_, err := Collect(c.Grants(ctx, GrantFilter{Agent: "a", Status: "active"}), 0)
			return err
		},
		"GET /v1/events?order=newest&org=o&type=decision": func() error {
			_, err := Collect(c.Events(ctx, EventFilter{Org: "o", Type: "decision", Newest: true}), 0)
			return err
		},
		"GET /v1/events/bafk/receipt?disclose=all": func() error { _, err := c.Receipt(ctx, "bafk", true); return err },
	} {
		if err := call(); err != nil || got != want || auth != "Bearer secret" {
			t.Errorf("got %s (%q, %v), want %s", got, auth, err, want)
		}
	}
	origin, err := c.Origin(ctx)
	if err != nil || origin != "https://writ.example" || auth != "" {
		t.Errorf("origin %q, %v; sent %q", origin, err, auth)
	}
}

func TestLists(t *testing.T) {
	pages := map[string]string{
		"":   `{"items":[{"id":"1"},{"id":"2"}],"next":"c1"}`,
		"c1": `{"items":[{"id":"3"}]}`,
	}
	c, _ := newTest(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("status") != "active" {
			t.Errorf("the filter is lost: %s", r.URL)
		}
		fmt.Fprint(w, pages[r.URL.Query().Get("cursor")])
	})
	ids := func(limit int) (out string) {
		agents, err := Collect(c.Agents(t.Context(), "", "active"), limit)
		if err != nil {
			return err.Error()
		}
		for _, a := range agents {
			out += a.ID
		}
		return out
	}
	if got := ids(0) + " " + ids(2) + " " + ids(1); got != "123 12 1" {
		t.Errorf("got %q", got)
	}
	pages["c1"] = `{"items":[],"next":"c1"}`
	if got := ids(0); !strings.Contains(got, "does not advance") {
		t.Errorf("got %q", got)
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	body := ""
	c, _ := newTest(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) })
	for _, body = range []string{``, `[]`, `{"event":{}}`, `{"org":null}`, `{"org":1}`, `{"org":{"id":1}}`, `{"org":{}} x`} {
		if ch, err := c.CreateOrg(t.Context(), NewOrg{}); err == nil {
			t.Errorf("%q was taken as %+v", body, ch)
		}
	}
}

// TestArgumentsArriveAsSigned: what is sent digests to what was signed.
func TestArgumentsArriveAsSigned(t *testing.T) {
	var sent struct {
		Action Action
	}
	c, _ := newTest(t, func(w http.ResponseWriter, r *http.Request) {
		if err := json.NewDecoder(r.Body).Decode(&sent); err != nil {
			t.Error(err)
		}
		fmt.Fprint(w, `{}`)
	})
	args := json.RawMessage(`{"b": 1.0, "a": "<&>\u2028", "n": null, "Z": [1e3]}`)
	want, err := capability.Act{Action: "x", Arguments: args}.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Evaluate(t.Context(), EvaluationRequest{Action: Action{Name: "x", Properties: args}}); err != nil {
		t.Fatal(err)
	}
	got, err := capability.Act{Action: "x", Arguments: sent.Action.Properties}.Digest()
	if err != nil || got != want {
		t.Errorf("digest %s, want %s (%v): sent %s", got, want, err, sent.Action.Properties)
	}
}

func ExampleClient_Evaluate() {
	c, err := New("http://localhost:8080", "", Options{Retries: -1})
	if err != nil {
		fmt.Println(err)
		return
	}
	agent, err := LoadAgentFile("invoices.agent.json")
	if err != nil {
		fmt.Println("no agent")
		return
	}
	req, err := agent.Request(capability.Act{Action: "read", Resource: capability.Resource{Type: "invoices", ID: "2026-0042"}}, "")
	if err != nil {
		fmt.Println(err)
		return
	}
	if d, err := c.Evaluate(context.Background(), req); err == nil && d.Permitted() {
		fmt.Println("read the invoice")
	}
	// Output: no agent
}
