package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/mod/sumdb/note"

	"github.com/writ-registry/writ/anchor"
	"github.com/writ-registry/writ/api"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/policy"
	"github.com/writ-registry/writ/registry/registrytest"
)

// world is a registry behind a real server, with a real log, checkpoints and
// receipts.
type world struct {
	*registrytest.House
	t   testing.TB
	url string

	handler http.Handler
	logKey  string // C2SP signed-note verifier key
	logs    *lines
	sign    *anchor.Checkpointer
	spec    *huma.OpenAPI
}

// lines is a log that a test reads.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) { l.mu.Lock(); defer l.mu.Unlock(); return l.b.Write(p) }

func (l *lines) String() string { l.mu.Lock(); defer l.mu.Unlock(); return l.b.String() }

// artifacts shows the prover the committed events.
type artifacts struct{ store registry.Store }

func (a artifacts) Artifact(ctx context.Context, cid string) (artifact []byte, index uint64, origin string, err error) {
	err = a.store.View(ctx, func(tx registry.Tx) error {
		ev, err := tx.EventByCID(cid)
		artifact, index, origin = ev.Artifact, ev.Index, ev.Log
		return err
	})
	return artifact, index, origin, err
}

func open(t testing.TB, change ...func(*api.Config)) *world {
	t.Helper()
	h := registrytest.New(t)
	skey, vkey, err := note.GenerateKey(nil, registrytest.LogOrigin)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	home := anchor.NewFileHome(filepath.Join(t.TempDir(), "checkpoint"))
	log := h.DB.Log(registrytest.LogOrigin)
	sign := anchor.NewCheckpointer(anchor.CheckpointerConfig{Log: log, Signer: signer, Verifier: verifier, Store: h.DB.Checkpoints(), Home: home, Now: h.Clock.Now})
	w := &world{House: h, t: t, logKey: vkey, logs: &lines{}, sign: sign}
	cfg := api.Config{
		Registry: h.Registry, PDP: h.PDP, Log: log, LogKey: vkey, Checkpoints: sign,
		Receipts: anchor.NewProver(anchor.ProverConfig{Log: log, Events: artifacts{h.Store}, Checkpoints: sign, Store: h.DB.Checkpoints(), LogKey: vkey}),
		Logger:   slog.New(slog.NewJSONHandler(w.logs, nil)), Now: h.Clock.Now,
	}
	for _, f := range change {
		f(&cfg)
	}
	handler, described, err := api.Described(cfg)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	w.handler, w.url, w.spec = handler, srv.URL, described
	return w
}

// checkpoint signs what is committed.
func (w *world) checkpoint() {
	w.t.Helper()
	if err := w.sign.Check(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// reply is an answer, read whole.
type reply struct {
	*http.Response
	body []byte
}

func (r reply) json(t testing.TB) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(r.body, &v); err != nil {
		t.Fatalf("%d %s: %v", r.StatusCode, r.body, err)
	}
	return v
}

// request changes a request before it is sent.
type request func(*http.Request)

func as(secret string) request {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+secret) }
}

func header(name, value string) request {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

// do sends a request. body is nil, a string that is sent as it is, or a value
// that is sent as JSON.
func (w *world) do(method, path string, body any, change ...request) reply {
	w.t.Helper()
	var data io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		data = strings.NewReader(b)
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			w.t.Fatal(err)
		}
		data = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, data)
	if err != nil {
		w.t.Fatal(err)
	}
	if data != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, f := range change {
		f(req)
	}
	client := http.Client{Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	out, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	w.fits(method, req.URL.EscapedPath(), res, out)
	return reply{res, out}
}

// must sends a request of the operator and wants a success.
func (w *world) must(method, path string, body any, change ...request) map[string]any {
	w.t.Helper()
	r := w.do(method, path, body, append([]request{as(w.Secret)}, change...)...)
	if r.StatusCode/100 != 2 {
		w.t.Fatalf("%s %s: %d %s", method, path, r.StatusCode, r.body)
	}
	return r.json(w.t)
}

// refused wants a problem of that status, type and field, in the right shape.
func (w *world) refused(r reply, status int, kind, field string) map[string]any {
	w.t.Helper()
	p := map[string]any{}
	if err := json.Unmarshal(r.body, &p); err != nil {
		w.t.Errorf("%s %s: %d %s", r.Request.Method, r.Request.URL.Path, r.StatusCode, r.body)
		return p
	}
	got, _ := p["field"].(string)
	if r.StatusCode != status || p["status"] != float64(status) || p["type"] != "urn:writ:problem:"+kind || got != field ||
		r.Header.Get("Content-Type") != "application/problem+json" || p["instance"] != r.Request.URL.EscapedPath() || p["title"] == "" {
		w.t.Errorf("%s %s: got %d %s\nwant %d %s, field %q", r.Request.Method, r.Request.URL.Path, r.StatusCode, r.body, status, kind, field)
	}
	return p
}

// tenant makes the org acme with an owner, whose credential it returns.
func (w *world) tenant() string {
	w.t.Helper()
	w.must("POST", "/v1/orgs", `{"name":"acme"}`)
	return w.must("POST", "/v1/principals", `{"org":"acme","roles":["owner"]}`)["secret"].(string)
}

// newPEP registers an enforcement point and returns its credential.
func (w *world) newPEP(name string, resources ...string) string {
	w.t.Helper()
	return w.must("POST", "/v1/peps", map[string]any{"name": name, "resources": resources, "context_keys": []string{"domain"}})["secret"].(string)
}

// authzen is a policy request in its wire form.
func authzen(r policy.Request) map[string]any {
	action := map[string]any{"name": r.Act.Action}
	if len(r.Act.Arguments) > 0 {
		action["properties"] = r.Act.Arguments
	}
	context := map[string]any{"token": r.Token, "proof": r.Proof}
	if r.Act.Task != "" {
		context["task"] = r.Act.Task
	}
	return map[string]any{
		"subject": map[string]any{"type": r.SubjectType, "id": r.Subject}, "action": action,
		"resource": map[string]any{"type": r.Act.Resource.Type, "id": r.Act.Resource.ID}, "context": context,
	}
}
