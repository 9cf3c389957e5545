package notify_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-registry/writ/internal/httpsig"
	"github.com/writ-registry/writ/internal/notify"
	"github.com/writ-registry/writ/internal/resolve"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/capability"
	"github.com/writ-registry/writ/registry/registrytest"
)

const tasks = registrytest.Origin + "/access/v1/requests"

// desk is a house with an act that needs a human, and an enforcement point that is told
// what the human said.
type desk struct {
	*registrytest.House
	t      *testing.T
	agent  *registrytest.Agent
	grant  registry.Grant
	gate   registry.Call
	ann    *registrytest.Human
	origin string // of the receiver
	acts   int
	fence  resolve.Config

	mu   sync.Mutex
	seen []string // outcomes

	answer http.HandlerFunc
	got    chan received
}

type received struct {
	*http.Request
	body []byte
}

func open(t *testing.T) *desk {
	h := registrytest.New(t)
	d := &desk{House: h, t: t, agent: h.NewAgent(t, "payer"), gate: h.PEPCall(t), ann: h.Human(t, "", registry.RoleApprover), got: make(chan received, 100)}
	d.grant = d.agent.Grant(t, "execute:payment")
	d.answer = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		d.got <- received{r, body}
		d.answer(w, r)
	}))
	t.Cleanup(srv.Close)
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate()) // it is for example.com
	d.origin = "https://example.com:" + u.Port()
	d.fence = resolve.Config{
		RootCAs: roots, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Lookup: func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
		},
	}
	d.register(d.origin)
	return d
}

func (d *desk) register(origins ...string) {
	d.t.Helper()
	if _, err := d.SetPEPCallbacks(d.t.Context(), d.Call(), d.gate.Caller.ID, origins); err != nil {
		d.t.Fatal(err)
	}
}

// sender is what a process at the registry's database runs.
func (d *desk) sender() *notify.Sender {
	return notify.New(notify.Config{
		Registry: d.Registry, Tasks: tasks, Resolve: d.fence, Now: d.Clock.Now, Logger: slog.New(slog.DiscardHandler),
		Observe: func(outcome string) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.seen = append(d.seen, outcome)
		},
	})
}

func (d *desk) round(s *notify.Sender) {
	d.t.Helper()
	if err := s.Round(d.t.Context()); err != nil {
		d.t.Fatal(err)
	}
}

// ask asks for an approval of another act each time.
func (d *desk) ask(cb *registry.NewCallback) (registry.Approval, error) {
	d.t.Helper()
	d.acts++
	req := d.agent.Ask(d.t, d.grant, "execute", "payment", "p", fmt.Sprintf(`{"n":%d}`, d.acts))
	dec, err := d.PDP.Decide(d.t.Context(), d.gate, req)
	if err != nil {
		d.t.Fatal(err)
	}
	b := *dec.Binding
	b.Decision, b.Event = dec.ID, dec.Event.CID
	token, _, err := d.BindingToken(b, dec.Event.Time)
	if err != nil {
		d.t.Fatal(err)
	}
	out, err := d.RequestApproval(d.t.Context(), d.gate, registry.NewApproval{Token: token, Subject: req.Subject, Act: req.Act, Callback: cb})
	return out.Value, err
}

func (d *desk) request(events ...string) registry.Approval {
	d.t.Helper()
	a, err := d.ask(&registry.NewCallback{Endpoint: d.origin + "/hook?k=v", State: "opaque \"state\"", Events: events})
	if err != nil {
		d.t.Fatalf("request: %v", err)
	}
	return a
}

// verify reads a callback as a receiver does, with the key of the registry's directory.
func (d *desk) verify(r received) (task string) {
	d.t.Helper()
	m, err := httpsig.NewRequest(r.Request, d.origin)
	if err != nil {
		d.t.Fatal(err)
	}
	s, err := httpsig.Parse(m, httpsig.Policy{
		Tag: notify.Tag, Require: []string{"@method", "@target-uri", "content-digest", "idempotency-key"},
		Now: d.Clock.Now(), MaxAge: time.Minute, MaxSkew: time.Minute, MaxLifetime: time.Minute,
	})
	if err != nil {
		d.t.Fatal(err)
	}
	if key := d.CallbackKey.Public(); s.KeyID != key.Thumbprint() || s.Verify(key, r.body) != nil {
		d.t.Errorf("the signature of %s does not hold", s.KeyID)
	}
	if s.Verify(d.CallbackKey.Public(), append(r.body, ' ')) == nil {
		d.t.Error("another body passes")
	}
	return r.Header.Get("Idempotency-Key")
}

// TestNotify: each end of a request is told once, signed, and holds nothing of use.
func TestNotify(t *testing.T) {
	d := open(t)
	s := d.sender()
	want := map[string]string{}
	approved, denied, cancelled := d.request(), d.request(), d.request()
	d.round(s)
	if len(d.got) != 0 {
		t.Fatal("told before there was anything")
	}
	d.ann.Approve(t, approved)
	want[approved.ID] = "approved"
	if _, err := d.ann.Answer(t, denied, capability.Refuse); err != nil {
		t.Fatal(err)
	}
	want[denied.ID] = "denied"
	if _, err := d.CancelApproval(t.Context(), d.gate, cancelled.ID, ""); err != nil {
		t.Fatal(err)
	}
	want[cancelled.ID] = "cancelled"
	d.Clock.Add(registry.ApprovalCoolDown)
	ran := d.request()
	onlyYes := d.request("approved", "failed")
	d.Clock.Add(registry.ApprovalWait)
	if _, err := d.ExpireApprovals(t.Context(), 10); err != nil { // what was approved, too, which is no news
		t.Fatal(err)
	}
	want[ran.ID] = "expired"
	d.round(s)
	d.round(s)
	got := map[string]string{}
	for range len(d.got) {
		r := <-d.got
		id := d.verify(r)
		var body map[string]any
		if err := json.Unmarshal(r.body, &body); err != nil {
			t.Fatal(err)
		}
		status := body["task"].(map[string]any)["status"].(string)
		if diff := cmp.Diff(map[string]any{"state": `opaque "state"`, "task": map[string]any{"id": id, "status": status, "status_endpoint": tasks + "/" + id}}, body); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
		if got[id] != "" || r.Method != "POST" || r.URL.String() != "/hook?k=v" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s (%s before)", r.Method, r.URL, got[id])
		}
		got[id] = status
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if c, err := d.CallbackOf(t.Context(), approved); err != nil || c.Told.IsZero() || c.Attempts != 1 || c.State != "" {
		t.Errorf("%+v (%v)", c, err)
	}
	if c, err := d.CallbackOf(t.Context(), onlyYes); err != nil || c.Attempts != 0 || !c.Due.IsZero() {
		t.Errorf("not asked for: %+v (%v)", c, err)
	}
}

// TestNotifyAgain: what fails is made again, by whichever process is there, with pauses
// that grow.
func TestNotifyAgain(t *testing.T) {
	d := open(t)
	a := d.request()
	d.ann.Approve(t, a)
	d.answer = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }
	d.round(d.sender())
	d.round(d.sender())
	if len(d.got) != 1 {
		t.Fatalf("%d attempts at once", len(d.got))
	}
	ended, end := context.WithCancel(t.Context()) // a process that dies over its attempt
	d.answer = func(_ http.ResponseWriter, r *http.Request) { end(); <-r.Context().Done() }
	d.Clock.Add(registry.CallbackWait)
	_ = d.sender().Round(ended)
	d.answer = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", d.origin+"/elsewhere")
		w.WriteHeader(http.StatusTemporaryRedirect)
	}
	d.Clock.Add(2 * registry.CallbackWait)
	d.round(d.sender())
	if c, err := d.CallbackOf(t.Context(), a); err != nil || c.Attempts != 3 || c.Failure != "the receiver answers 307" || len(d.got) != 3 {
		t.Fatalf("%d calls, %+v (%v)", len(d.got), c, err)
	}
	d.answer = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }
	d.Clock.Add(4 * registry.CallbackWait)
	d.round(d.sender())
	d.Clock.Add(registry.CallbackLife)
	d.round(d.sender())
	for range len(d.got) {
		if r := <-d.got; r.URL.Path != "/hook" || r.Header.Get("Idempotency-Key") != a.ID {
			t.Errorf("%s of %s", r.URL, r.Header.Get("Idempotency-Key"))
		}
	}
	if diff := cmp.Diff([]string{notify.Failed, notify.Failed, notify.Delivered}, d.seen); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// TestNotifyGivesUp: after a day.
func TestNotifyGivesUp(t *testing.T) {
	d := open(t)
	d.answer = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }
	b := d.request()
	d.ann.Approve(t, b)
	for range 60 {
		d.round(d.sender())
		d.Clock.Add(registry.MaxCallbackWait)
	}
	if c, err := d.CallbackOf(t.Context(), b); err != nil || !c.Due.IsZero() || !c.Told.IsZero() || c.State != "" {
		t.Errorf("%+v (%v)", c, err)
	}
	if n := len(d.seen); n > 40 || d.seen[n-1] != notify.GivenUp || slices.Contains(d.seen[:n-1], notify.GivenUp) {
		t.Errorf("%q", d.seen)
	}
}

// TestSlowReceiver: who is slow holds no other enforcement point.
func TestSlowReceiver(t *testing.T) {
	d := open(t)
	release := make(chan struct{})
	d.answer = func(_ http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/hook") {
			<-release
		}
	}
	for range 12 { // more than are in hand at once
		d.ann.Approve(t, d.request())
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- d.sender().Run(ctx) }()
	<-d.got // the slow one holds it
	d.gate = d.PEP(t, "second", []string{registrytest.Origin})
	d.register(d.origin)
	quick, err := d.ask(&registry.NewCallback{Endpoint: d.origin + "/quick"})
	if err != nil {
		t.Fatal(err)
	}
	d.ann.Approve(t, quick)
	for r := range d.got {
		if r.Header.Get("Idempotency-Key") == quick.ID {
			break
		}
	}
	close(release)
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestWhereCallbacksGo: to registered origins at public addresses.
func TestWhereCallbacksGo(t *testing.T) {
	d := open(t)
	for _, endpoint := range []string{"https://evil.example/hook", "http://example.com/hook", d.origin + "0/hook", "https://u@" + strings.TrimPrefix(d.origin, "https://"), d.origin + "/#f", "hook", ""} {
		var e *registry.Error
		if _, err := d.ask(&registry.NewCallback{Endpoint: endpoint}); !errors.As(err, &e) || e.Kind != registry.Malformed || e.Field != "/callback/endpoint" {
			t.Errorf("%q: %v", endpoint, err)
		}
	}
	for _, origin := range []string{"http://pep.example", "https://PEP.example", "https://pep.example/", "https://pep.example:443", "https://u@pep.example", "ftp://pep.example", "pep.example"} {
		if _, err := d.SetPEPCallbacks(t.Context(), d.Call(), d.gate.Caller.ID, []string{origin}); !errors.Is(err, registry.Malformed) {
			t.Errorf("%q: %v", origin, err)
		}
	}
	if _, err := d.SetPEPCallbacks(t.Context(), d.gate, d.gate.Caller.ID, nil); !errors.Is(err, registry.Denied) {
		t.Errorf("by the enforcement point itself: %v", err)
	}
	check := notify.Check(resolve.Config{Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	for origin, ok := range map[string]bool{
		"https://pep.example": true, "https://10.1.2.3:8443": true, "https://8.8.8.8": true,
		"https://192.168.0.1": false, "https://169.254.169.254": false, "https://[::1]": false, "http://localhost:80": false, "https://8.8.8.8:22": false,
	} {
		u, err := url.Parse(origin)
		if err != nil {
			t.Fatal(err)
		}
		if err := check(u); (err == nil) != ok {
			t.Errorf("%s: %v", origin, err)
		}
	}
	// A name that leads inside is found out when it is called, and told in few words.
	d.fence.Allow = nil
	a := d.request()
	d.ann.Approve(t, a)
	d.round(d.sender())
	if c, err := d.CallbackOf(t.Context(), a); err != nil || c.Failure != "the host is not at a public address and port" || len(d.got) != 0 {
		t.Errorf("%d calls, %+v (%v)", len(d.got), c, err)
	}
	// An origin that was withdrawn is not called any more.
	d.register()
	d.Clock.Add(registry.CallbackWait)
	d.round(d.sender())
	if c, err := d.CallbackOf(t.Context(), a); err != nil || !c.Due.IsZero() || c.Attempts != 1 || c.Failure != "its origin was withdrawn" {
		t.Errorf("%+v (%v)", c, err)
	}
}
