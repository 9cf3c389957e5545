package main

import (
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	wire "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/writ-registry/writ/client"
	"github.com/writ-registry/writ/registry/capability"
)

// otlp is an OpenTelemetry collector that remembers.
type otlp struct {
	*httptest.Server
	mu       sync.Mutex
	resource map[string]string
	got      []*wire.Span
	headers  http.Header
}

func newCollector(t *testing.T) *otlp {
	t.Helper()
	o := &otlp{}
	o.Server = httptest.NewServer(o)
	t.Cleanup(o.Close)
	return o
}

func (o *otlp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		body = z
	}
	raw, err := io.ReadAll(body)
	var req collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(raw, &req)
	}
	if err != nil || r.URL.Path != "/v1/traces" {
		http.Error(w, "not OTLP", http.StatusBadRequest)
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.headers = r.Header
	for _, rs := range req.GetResourceSpans() {
		o.resource = attributes(rs.GetResource().GetAttributes())
		for _, ss := range rs.GetScopeSpans() {
			o.got = append(o.got, ss.GetSpans()...)
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func attributes(list []*common.KeyValue) map[string]string {
	m := map[string]string{}
	for _, kv := range list {
		switch v := kv.GetValue().GetValue().(type) {
		case *common.AnyValue_StringValue:
			m[kv.GetKey()] = v.StringValue
		case *common.AnyValue_IntValue:
			m[kv.GetKey()] = "#"
		default:
			m[kv.GetKey()] = "?"
		}
	}
	return m
}

// spans are those that have come, of one name ("" = all) and trace ("" = all).
func (o *otlp) spans(name, trace string) (out []*wire.Span) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, s := range o.got {
		if (name == "" || s.GetName() == name) && (trace == "" || hex.EncodeToString(s.GetTraceId()) == trace) {
			out = append(out, s)
		}
	}
	return out
}

// traced sends the same traceparent with every request.
type traced string

func (p traced) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Traceparent", string(p))
	return http.DefaultTransport.RoundTrip(r)
}

func (r *running) as(token string, transport http.RoundTripper) *client.Client {
	r.t.Helper()
	c, err := client.New(r.server.URL, token, client.Options{Retries: -1, HTTP: &http.Client{Transport: transport}})
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// TestTraces follows one decision from the request to its anchor and receipt, by
// what a collector is told.
func TestTraces(t *testing.T) {
	o := newCollector(t)
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20collector")
	cfg := testConfig(t.TempDir())
	cfg.Chain, cfg.OTLPEndpoint = "embedded", o.URL
	r := start(t, cfg)

	agent, gateway := newTracedAgent(t, r)
	const trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	ask := func(transport http.RoundTripper) *client.EventRef {
		req, err := agent.Request(capability.Act{Action: "read", Resource: capability.Resource{Type: "invoices", ID: "secret-invoice"}}, "")
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.as(gateway, transport).Evaluate(t.Context(), req)
		if err != nil || !got.Permitted() {
			t.Fatalf("%+v, %v", got, err)
		}
		return got.Context.Event
	}
	told, own := ask(traced("00-"+trace+"-"+parent+"-01")), ask(nil)
	unsampled := ask(traced("00-1111111111111111111111111111111a-" + parent + "-00"))
	anchored(t, r)
	if _, err := r.Receipt(t.Context(), told.CID, false); err != nil {
		t.Fatal(err)
	}
	ids := map[string]string{} // trace-id in the artifact of each decision
	for _, e := range []*client.EventRef{told, own, unsampled} {
		ids[e.CID] = traceOfEvent(t, r, e.CID)
	}
	r.stop() // which sends what waits

	if ids[told.CID] != trace || ids[unsampled.CID] != strings.Repeat("1", 31)+"a" {
		t.Errorf("trace-ids of artifacts: %v", ids)
	}
	if n := len(o.spans("", ids[unsampled.CID])); n != 0 {
		t.Errorf("%d spans of a trace that its caller does not sample", n)
	}
	for _, cid := range []string{told.CID, own.CID} {
		root := o.spans("request", ids[cid])
		if len(root) != 1 {
			t.Fatalf("trace %s has %d requests", ids[cid], len(root))
		}
		under := ""
		if cid == told.CID {
			under = parent
		}
		if got := hex.EncodeToString(root[0].GetParentSpanId()); got != under || root[0].GetKind() != wire.Span_SPAN_KIND_SERVER {
			t.Errorf("the request stands under %q, want %q; kind %v", got, under, root[0].GetKind())
		}
		want := map[string]string{"http.request.method": "POST", "http.route": "/access/v1/evaluation", "http.response.status_code": "#"}
		if diff := cmp.Diff(want, attributes(root[0].GetAttributes())); diff != "" {
			t.Errorf("attributes of the request (-want +got):\n%s", diff)
		}
		for step, above := range map[string]string{"authenticate": "request", "authorize": "request", "record": "authorize", "log": "record"} {
			s, over := o.spans(step, ids[cid]), o.spans(above, ids[cid])
			if len(s) != 1 || len(over) != 1 || string(s[0].GetParentSpanId()) != string(over[0].GetSpanId()) {
				t.Errorf("%s does not stand under %s: %v", step, above, s)
			}
		}
	}
	outcomes := map[string]bool{}
	for _, s := range o.spans("anchor", "") {
		a := attributes(s.GetAttributes())
		outcomes[a["writ.outcome"]] = true
		if a["writ.ledger"] == "" || a["writ.size"] != "#" || !strings.HasPrefix(a["writ.tx"], "0x") {
			t.Errorf("an anchor: %v", a)
		}
	}
	if !outcomes["sent"] || len(outcomes) < 2 {
		t.Errorf("outcomes of anchors: %v", outcomes)
	}
	prove := o.spans("prove", "")
	if len(prove) != 1 || attributes(prove[0].GetAttributes())["writ.event"] != told.CID || attributes(prove[0].GetAttributes())["writ.grade"] != "anchored" {
		t.Errorf("receipts: %v", prove)
	}
	if len(o.spans("checkpoint", "")) == 0 {
		t.Error("no checkpoint")
	}
	if o.resource["service.name"] != "writ" || o.resource["service.version"] != version() || o.headers.Get("Authorization") != "Bearer collector" {
		t.Errorf("resource %v, headers %v", o.resource, o.headers)
	}
	harmless(t, o, "secret-invoice", gateway, r.Token, demoERP, "Bearer")
}

// harmless: what leaves the house is what the page says, and no secret.
func harmless(t *testing.T, o *otlp, secrets ...string) {
	t.Helper()
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `(\\w+)` \\|.*$")
	told := map[string]string{}
	for _, m := range row.FindAllStringSubmatch(string(page), -1) {
		told[m[1]] = m[0]
	}
	jws := regexp.MustCompile(`eyJ[A-Za-z0-9_-]{10}`)
	for _, s := range o.spans("", "") {
		raw, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range secrets {
			if strings.Contains(string(raw), secret) {
				t.Errorf("a %s span tells %q", s.GetName(), secret)
			}
		}
		for name := range attributes(s.GetAttributes()) {
			if !strings.Contains(told[s.GetName()], "`"+name+"`") {
				t.Errorf("%s of a %s span is not on the page", name, s.GetName())
			}
		}
		if jws.Match(raw) || s.GetStatus().GetMessage() != "" {
			t.Errorf("a %s span tells too much: %s", s.GetName(), raw)
		}
	}
}

func traceOfEvent(t *testing.T, r *running, cid string) string {
	t.Helper()
	artifact, _, _, err := r.db.Artifact(t.Context(), cid)
	var env struct{ Trace string }
	if err == nil {
		err = json.Unmarshal(artifact, &env)
	}
	if err != nil {
		t.Fatal(err)
	}
	return env.Trace
}

// newTracedAgent makes an agent that may read invoices, which is material, and an
// enforcement point.
func newTracedAgent(t *testing.T, r *running) (*client.AgentFile, string) {
	t.Helper()
	ctx := t.Context()
	no := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	org, err := r.CreateOrg(ctx, client.NewOrg{Name: "traced"})
	no(err)
	made, err := r.CreatePrincipal(ctx, client.NewPrincipal{Org: org.Value.ID, Roles: []string{"owner"}})
	no(err)
	owner := r.As(made.Secret)
	_, err = owner.ActivateCatalogue(ctx, org.Value.ID, []client.CatalogueAction{{Action: "read:invoices", Reversibility: "reversible", Material: true}})
	no(err)
	pep, err := owner.RegisterPEP(ctx, client.NewPEP{Name: "gateway", Resources: []string{demoERP}})
	no(err)
	key, err := client.GenerateAgentKey()
	no(err)
	in := client.NewAgent{Name: "agent", JWK: key.JWK()}
	in.Possession, err = key.ProvePossession(r.server.Origin, org.Value.ID, in.Name)
	no(err)
	agent, err := owner.RegisterAgent(ctx, in)
	no(err)
	file, err := client.NewAgentFile(r.server.Origin, agent.Value, key)
	no(err)
	_, err = owner.ApproveAgent(ctx, file.ID)
	no(err)
	grant, err := owner.IssueGrant(ctx, client.NewGrant{Agent: file.ID, Capabilities: "read:invoices", Audience: []string{demoERP}})
	no(err)
	file.Hold(grant.Value)
	return file, pep.Secret
}

// TestCollectorThatHangs: who collects spans can neither slow a request nor hold
// up the end; what it does not take is counted.
func TestCollectorThatHangs(t *testing.T) {
	release := make(chan struct{})
	hang := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer hang.Close()
	defer close(release)
	cfg := testConfig(t.TempDir())
	cfg.OTLPEndpoint = hang.URL
	r := start(t, cfg)
	var slowest time.Duration
	for range spanQueue + 1000 {
		began := time.Now()
		if status, _, body := get(t, r.server.URL+"/.well-known/authzen-configuration"); status != http.StatusOK {
			t.Fatalf("%d %s", status, body)
		}
		slowest = max(slowest, time.Since(began))
	}
	if slowest > 5*time.Second { // a collector that is waited for takes 10 s and more
		t.Errorf("a request took %v", slowest)
	}
	_, _, metrics := get(t, r.server.URL+"/metrics")
	if !regexp.MustCompile(`writ_trace_spans_total\{outcome="dropped"\} [1-9]`).MatchString(metrics) {
		t.Error("dropped spans are not counted")
	}
	began := time.Now()
	r.stop()
	if took := time.Since(began); took > spanFlush+10*time.Second {
		t.Errorf("the end took %v", took)
	}
}

// TestCollectorThatRefuses: also one that is not there, or says no.
func TestCollectorThatRefuses(t *testing.T) {
	none := httptest.NewServer(http.NotFoundHandler())
	defer none.Close()
	cfg := testConfig(t.TempDir())
	cfg.OTLPEndpoint = none.URL
	r := start(t, cfg)
	addOrgs(t, r.Client, 3)
	eventually(t, "count refused spans", func() (bool, error) {
		_, _, metrics := get(t, r.server.URL+"/metrics")
		return regexp.MustCompile(`writ_trace_spans_total\{outcome="refused"\} [1-9]`).MatchString(metrics), nil
	})
}
