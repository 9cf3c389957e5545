package api_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/writ-registry/writ/anchor"
	"github.com/writ-registry/writ/anchor/tlog"
	"github.com/writ-registry/writ/api"
	"github.com/writ-registry/writ/client/verify"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/did"
	"github.com/writ-registry/writ/registry/registrytest"
)

// remoteLog reads a log as a monitor does: over HTTP, full tiles and partial.
type remoteLog struct {
	w    *world
	size uint64
}

func (l remoteLog) HashTile(_ context.Context, level int, index uint64) ([]byte, error) {
	return l.read(level, index, l.size>>(8*level))
}

func (l remoteLog) EntryBundle(_ context.Context, index uint64) ([]byte, error) {
	return l.read(tlog.EntriesLevel, index, l.size)
}

func (l remoteLog) read(level int, index, n uint64) ([]byte, error) {
	width := min(n-index*tlog.TileWidth, tlog.TileWidth)
	r := l.w.do("GET", "/log/"+tlog.TilePath(level, index, int(width)), nil)
	if r.StatusCode != 200 || !strings.Contains(r.Header.Get("Cache-Control"), "immutable") {
		return nil, fmt.Errorf("%d %s", r.StatusCode, r.body)
	}
	return r.body, nil
}

// TestPublicLog re-verifies the log from outside, with what is public only.
func TestPublicLog(t *testing.T) {
	w := open(t)
	w.refused(w.do("GET", "/log/checkpoint", nil), 404, "not-found", "")
	w.checkpoint()
	old := w.do("GET", "/log/checkpoint", nil)
	w.NewAgent(t, "a")
	w.refused(w.do("GET", "/log/tile/0/000.p/200", nil), 404, "not-found", "")
	w.checkpoint()

	state := w.do("GET", "/v1/log", nil).json(t)
	verifier, err := note.NewVerifier(state["vkey"].(string))
	if err != nil {
		t.Fatal(err)
	}
	r := w.do("GET", "/log/checkpoint", nil)
	if r.Header.Get("Cache-Control") != "no-cache" || r.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("headers of the checkpoint: %v", r.Header)
	}
	first, err1 := tlog.OpenCheckpoint(old.body, state["origin"].(string), verifier)
	now, err2 := tlog.OpenCheckpoint(r.body, state["origin"].(string), verifier)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if first.Size != 1 || now.Size != 3 || state["size"] != 3.0 || state["checkpoint"].(map[string]any)["size"] != 3.0 {
		t.Fatalf("checkpoints %v and %v, state %v", first, now, state)
	}
	log := remoteLog{w, now.Size}
	path, err := tlog.ConsistencyProof(t.Context(), log, first.Size, now.Size)
	if err == nil {
		err = tlog.VerifyConsistency(first.Size, now.Size, first.Root, now.Root, path)
	}
	if err != nil {
		t.Errorf("consistency: %v", err)
	}
	bundle, err := log.EntryBundle(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := tlog.ParseBundle(bundle)
	if err != nil || len(entries) != 3 {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	for i, e := range entries {
		path, err := tlog.InclusionProof(t.Context(), log, uint64(i), now.Size)
		if err == nil {
			err = tlog.VerifyInclusion(tlog.LeafHash(e), uint64(i), now.Size, path, now.Root)
		}
		if err != nil {
			t.Errorf("entry %d: %v", i, err)
		}
	}
	for _, bad := range []string{"0/0", "0/000.p/256", "0/x000/000", "64/000", "../checkpoint", "entries/000.p/0"} {
		w.refused(w.do("GET", "/log/tile/"+bad, nil), 400, "malformed", "")
	}
}

// TestReceipt: the file that is downloaded verifies offline, once a checkpoint
// covers the event.
func TestReceipt(t *testing.T) {
	w := open(t)
	w.Catalogue(t, registry.CatalogueAction{Action: "read:invoices", Reversibility: registry.Reversible, Material: true})
	a := w.NewAgent(t, "a")
	g := a.Grant(t, "read:invoices")
	d := w.do("POST", evaluation, authzen(a.Ask(t, g, "read", "invoices", "7", ""))).json(t)
	cid := d["context"].(map[string]any)["event"].(map[string]any)["cid"].(string)
	at := "/v1/events/" + cid + "/receipt"
	r := w.do("GET", at, nil, as(w.Secret))
	if w.refused(r, 404, "not-found", ""); r.Header.Get("Retry-After") == "" || !strings.Contains(string(r.body), "yet") {
		t.Errorf("before a checkpoint: %s %v", r.body, r.Header)
	}
	w.checkpoint()
	state := w.do("GET", "/v1/log", nil).json(t)
	trust := verify.Trust{Logs: []verify.TrustedLog{{Origin: registrytest.LogOrigin, VKey: state["vkey"].(string)}}}
	for path, disclosures := range map[string]bool{at: false, at + "?disclose=all": true} {
		r := w.do("GET", path, nil, as(w.Secret))
		if r.StatusCode != 200 || !strings.Contains(r.Header.Get("Content-Disposition"), cid+".writ.json") {
			t.Fatalf("%d %s %v", r.StatusCode, r.body, r.Header)
		}
		if bytes.Contains(r.body, []byte(`"disclosures"`)) != disclosures {
			t.Errorf("%s: disclosures are not %v", path, disclosures)
		}
		report, err := verify.Verify(t.Context(), r.body, trust, nil)
		if err != nil {
			t.Errorf("%s: %v\n%s", path, err, report.Summary())
		}
	}
}

// TestDIDs: what is published is what the DIDs resolve to.
func TestDIDs(t *testing.T) {
	w := open(t)
	a := w.NewAgent(t, "a")
	r := w.do("GET", "/agents/"+a.ID+"/did.jsonl", nil)
	res, err := did.VerifyLog(r.body, w.Clock.Now())
	if err != nil || res.DID.String() != a.DID {
		t.Errorf("did:webvh log: %v, %v", res.DID, err)
	}
	doc, err := did.ParseDocument(w.do("GET", "/agents/"+a.ID+"/did.json", nil).body)
	if err != nil || doc.ID != a.WebDID {
		t.Errorf("did:web document: %v, %v", doc.ID, err)
	}
	own, err := did.ParseDocument(w.do("GET", "/.well-known/did.json", nil).body)
	if err != nil || own.ID != w.DID {
		t.Fatalf("the registry's document: %v, %v", own.ID, err)
	}
	if key, ok := own.Key(w.TokenKeyID()); !ok || key != registrytest.Key(1).Public() {
		t.Error("the registry's document does not hold the key of its tokens")
	}
	w.refused(w.do("GET", "/agents/"+registry.NewID()+"/did.jsonl", nil), 404, "not-found", "")
	w.refused(w.do("GET", "/agents/x/did.json", nil), 400, "malformed", "/id")
}

func TestReady(t *testing.T) {
	var failing error
	w := open(t, func(c *api.Config) {
		c.Ready = func(context.Context) []api.Check { return []api.Check{{"database", nil}, {"disk reserve", failing}} }
	})
	if r := w.do("GET", "/readyz", nil); r.StatusCode != 200 || len(r.json(t)["checks"].([]any)) != 2 {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
	failing = errors.New("12 MiB left on /dev/sda1")
	r := w.do("GET", "/readyz", nil)
	p := w.refused(r, 503, "unavailable", "")
	if items, _ := p["errors"].([]any); len(items) != 1 || p["code"] != "not_ready" || r.Header.Get("Retry-After") == "" || bytes.Contains(r.body, []byte("sda1")) {
		t.Errorf("%s", r.body)
	}
	if !strings.Contains(w.logs.String(), "sda1") {
		t.Error("the cause is not in the log")
	}
	if r := w.do("GET", "/healthz", nil); r.StatusCode != 200 {
		t.Errorf("healthz: %d", r.StatusCode)
	}
}

func TestMetrics(t *testing.T) {
	w := open(t, func(c *api.Config) {
		c.Anchored = heads{
			{Ledger: anchor.Info{Name: "embedded", OperatorsOwn: true}, Head: anchor.Head{Size: 1}, Confirmation: anchor.Confirmation{Finality: anchor.Safe}},
			{Ledger: anchor.Info{Name: "embedded", OperatorsOwn: true}, Head: anchor.Head{Size: 2}, Confirmation: anchor.Confirmation{Finality: anchor.Submitted}},
		}
		c.Metrics = api.NewMetrics()
		c.Metrics.ObserveCommit(3, 0)
	})
	w.NewAgent(t, "a")
	w.checkpoint()
	w.Clock.Add(90e9)
	w.must("GET", "/v1/whoami", nil)
	w.do("GET", "/no/such/path", nil)
	w.do("BREW", "/v1/orgs", nil)
	text := string(w.do("GET", "/metrics", nil).body)
	for _, want := range []string{
		"writ_log_size 3", "writ_checkpoint_size 3", "writ_checkpoint_age_seconds 90",
		`writ_anchored_size{ledger="embedded",operators_own="true"} 1`, `writ_anchor_lag_entries{ledger="embedded",operators_own="true"} 2`,
		`writ_http_requests_total{method="GET",route="/v1/whoami",status="200"} 1`,
		`writ_http_requests_total{method="GET",route="unmatched",status="404"} 1`,
		`writ_http_requests_total{method="other",route="unmatched",status="405"} 1`,
		`writ_journal_batch_commands_sum 3`, `writ_http_request_seconds_count{route="/v1/whoami"} 1`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("metrics do not have %s", want)
		}
	}
}

type heads []anchor.AnchorRecord

func (h heads) NewestAnchors(context.Context, string) ([]anchor.AnchorRecord, error) { return h, nil }

// TestRequestNames: every answer is named, the caller's name is kept where it
// is one, and the access log has it.
func TestRequestNames(t *testing.T) {
	w := open(t)
	made := regexp.MustCompile(`^[0-9a-f]{32}$`)
	for sent, kept := range map[string]bool{"": false, "order 7": true, strings.Repeat("x", 128): true, strings.Repeat("x", 129): false, "caf\u00e9": false} {
		r := w.do("GET", "/healthz", nil, func(r *http.Request) {
			if sent != "" {
				r.Header.Set("X-Request-ID", sent)
			}
		})
		if got := r.Header.Get("X-Request-ID"); kept && got != sent || !kept && !made.MatchString(got) {
			t.Errorf("X-Request-ID %q became %q", sent, got)
		}
	}
	trace := strings.Repeat("ab", 16)
	org := w.must("POST", "/v1/orgs", `{"name":"acme"}`, header("Traceparent", "00-"+trace+"-00f067aa0ba902b7-01"))
	cid := org["event"].(map[string]any)["cid"].(string)
	ev := w.must("GET", "/v1/events/"+cid, nil)["event"].(map[string]any)["artifact"].(map[string]any)
	if ev["trace"] != trace {
		t.Errorf("trace of the event: %v", ev["trace"])
	}
	for _, bad := range []string{"00-" + strings.Repeat("0", 32) + "-00f067aa0ba902b7-01", "00-" + trace, "ff-" + trace + "-00f067aa0ba902b7-01", "00-" + strings.ToUpper(trace) + "-00f067aa0ba902b7-01"} {
		w.do("GET", "/healthz", nil, header("Traceparent", bad), header("X-Request-ID", "bad-"+bad))
	}
	seen := 0
	lines := bufio.NewScanner(strings.NewReader(w.logs.String()))
	for lines.Scan() {
		var line map[string]any
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		if line["msg"] != "request" {
			continue
		}
		seen++
		if line["route"] == "/v1/orgs" && (line["trace"] != trace || line["caller"] != "principal:"+w.Operator.ID || line["status"] != 201.0) {
			t.Errorf("access log: %v", line)
		}
		if id, _ := line["request_id"].(string); strings.HasPrefix(id, "bad-") && (line["trace"] == trace || !made.MatchString(line["trace"].(string))) {
			t.Errorf("a trace was taken from a bad traceparent: %v", line)
		}
	}
	if want := 5 + 2 + 4; seen != want {
		t.Errorf("%d access log lines, want %d", seen, want)
	}
}

func TestUnknownResources(t *testing.T) {
	w := open(t)
	w.refused(w.do("GET", "/v1/nothing", nil), 404, "not-found", "")
	w.refused(w.do("GET", "/v1/agents/", nil), 404, "not-found", "")
	w.refused(w.do("DELETE", "/v1/orgs", nil, as(w.Secret)), 405, "method-not-allowed", "")
	for _, path := range []string{"/docs", "/schemas/Org.json", "/openapi-3.0.json"} { // huma's own pages are off
		w.refused(w.do("GET", path, nil), 404, "not-found", "")
	}
	r := w.do("GET", "/v1/whoami", nil, as(w.Secret))
	for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Link": ""} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if strings.Contains(string(r.body), "$schema") {
		t.Errorf("%s", r.body)
	}
}

// TestPages: anyone sees what the log makes public, the entitled see more, and
// what agents write is text.
func TestPages(t *testing.T) {
	w := open(t, func(c *api.Config) {
		c.Anchors = func(_ context.Context, before int64, limit int) ([]anchor.AttemptRecord, error) {
			return []anchor.AttemptRecord{{ID: 1, Ledger: "embedded", ChainID: "7", Contract: "0xC", Head: anchor.Head{Size: 1}, Attempt: anchor.Attempt{Tx: "0xfeed"},
				State: anchor.StateSettled, Confirmation: anchor.Confirmation{Finality: anchor.Safe, Block: 12}}}[:min(1, int(2-min(before, 2)))], nil
		}
		c.Ledgers = []anchor.Info{{Name: "embedded", ChainID: "7", Contract: "0xC", Kind: "evm", OperatorsOwn: true}}
	})
	w.Catalogue(t, registry.CatalogueAction{Action: "read:invoices", Reversibility: registry.Reversible, Material: true})
	evil := `<script>alert("x")</script>`
	a := w.NewAgent(t, "invoice-agent", func(n *registry.NewAgent) { n.Purpose = evil })
	g := a.Grant(t, "read:invoices")
	denied := w.do("POST", evaluation, authzen(a.Ask(t, g, "write", "invoices", "7", `{"note":"`+"<b>"+`"}`))).json(t)
	cid := denied["context"].(map[string]any)["event"].(map[string]any)["cid"].(string)
	w.checkpoint()
	foreign := w.tenant()

	login := func(secret string) request { return func(r *http.Request) { r.SetBasicAuth("anything", secret) } }
	page := func(path string, status int, who ...request) string {
		t.Helper()
		r := w.do("GET", path, nil, who...)
		if r.StatusCode != status || r.Header.Get("Content-Type") != "text/html; charset=utf-8" || !strings.Contains(r.Header.Get("Content-Security-Policy"), "style-src 'self'") {
			t.Errorf("%s: %d %v", path, r.StatusCode, r.Header)
		}
		if strings.Contains(string(r.body), "<script") || strings.Contains(string(r.body), "//fonts") {
			t.Errorf("%s holds script or something from elsewhere", path)
		}
		return string(r.body)
	}
	has := func(where, body string, wants ...string) {
		t.Helper()
		for _, want := range wants {
			if !strings.Contains(body, want) {
				t.Errorf("%s does not show %q", where, want)
			}
		}
	}
	front := page("/", 200)
	has("the front page", front, cid, "operator's own chain", "embedded", "0xfeed", "Sign in", registrytest.LogOrigin)
	for _, secret := range []string{"invoice-agent", a.ID, "agent.requested"} {
		if strings.Contains(front, secret) {
			t.Errorf("the front page shows %q to anyone", secret)
		}
	}
	for _, path := range []string{"/ui/", "/ui/login", "/ui/agents/" + a.ID, "/ui/events/" + cid, "/ui/events/" + cid + "/receipt"} {
		page(path, 401)
		page(path, 401, login("wrong"))
		if r := w.do("GET", path, nil); !strings.HasPrefix(r.Header.Get("WWW-Authenticate"), "Basic realm=") {
			t.Errorf("%s does not ask for a credential", path)
		}
	}
	page("/ui/", 403, login(w.newPEP("gate", "https://erp.example")))
	if r := w.do("GET", "/ui/login", nil, login(w.Secret)); r.StatusCode != 303 || r.Header.Get("Location") != "/ui/" {
		t.Errorf("login: %d %q", r.StatusCode, r.Header.Get("Location"))
	}
	w.must("POST", "/v1/kill", map[string]any{"scope": map[string]any{"kind": "agent", "id": a.ID}, "reason": "drill"})
	has("the overview", page("/ui/", 200, login(w.Secret)), "invoice-agent", "&lt;script&gt;", "agent.requested", "decision", "drill", "operator")
	has("the agent page", page("/ui/agents/"+a.ID, 200, login(w.Secret)), a.DID, "read:invoices", "grant.issued", "&lt;script&gt;")
	has("the event page", page("/ui/events/"+cid, 200, login(w.Secret)), "capability_missing", "nothing in the grant covers", "payload", "&lt;b&gt;")
	if r := w.do("GET", "/ui/events/"+cid+"/receipt", nil, login(w.Secret)); r.StatusCode != 200 || !json.Valid(r.body) {
		t.Errorf("receipt: %d %s", r.StatusCode, r.body)
	}
	page("/ui/agents/"+a.ID, 404, login(foreign))
	page("/ui/events/"+cid, 404, login(foreign))
	if strings.Contains(page("/ui/", 200, login(foreign)), "invoice-agent") {
		t.Error("a tenant sees a foreign agent")
	}
	if r := w.do("GET", "/ui/style.css", nil); r.StatusCode != 200 || r.Header.Get("Content-Type") != "text/css; charset=utf-8" {
		t.Errorf("style: %d %v", r.StatusCode, r.Header)
	}
	if dir := os.Getenv("WRIT_PAGES"); dir != "" { // for people who want to look
		for name, path := range map[string]string{"front": "/", "overview": "/ui/", "agent": "/ui/agents/" + a.ID, "event": "/ui/events/" + cid} {
			html := strings.ReplaceAll(string(w.do("GET", path, nil, login(w.Secret)).body), "/ui/style.css", "style.css")
			if err := os.WriteFile(dir+"/"+name+".html", []byte(html), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}
