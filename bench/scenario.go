package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	mrand "math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/writ-registry/writ/client"
	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry/capability"
)

// target is a running server with the requests it can be sent.
type target struct {
	name    string // and version
	server  *child
	close   func() error
	agents  int
	entries func() int64 // of its log, -1 where it has none
	notes   []string
	// prepare makes the work of a run of n requests. due says when each is sent,
	// from the moment the run begins; nil where nobody knows.
	prepare func(ctx context.Context, n int, due []time.Duration) (work, error)
}

// A decision has its durable event; a light one has none, as no consequence is known of
// the act; an asserted one is light, about a user, on an enforcement point's word.
var scenarios = []string{"decision", "light", "asserted", "verify", "resolve", "register", "log"}

// Proofs are fresh for 30 seconds on either side of their iat
// (capability.MaxSkew). Signed ahead, they are dated to be fresh when they are
// sent, so no signature is made in the measured time.
const (
	datedAhead = 28 * time.Second
	longest    = 50 * time.Second // of a run whose proofs all bear one date
)

func jsonHead(bearer string) string {
	return "Content-Type: application/json\r\nAuthorization: Bearer " + bearer + "\r\n"
}

// openWrit starts a registry on a seeded folder.
func openWrit(ctx context.Context, o options, h *house) (*target, error) {
	active := o.active
	if active == 0 || active > h.Agents {
		active = h.Agents
	}
	which := make([]int, active)
	random := mrand.New(mrand.NewPCG(3, 4))
	for i := range which {
		which[i] = i
		if active < h.Agents {
			which[i] = random.IntN(h.Agents) // anywhere in the table
		}
	}
	var crowd []held
	// All of a large crowd would not fit a short run: those who act are drawn.
	if most := 100_000; len(which) > most {
		for i := range which[:most] {
			which[i] = random.IntN(h.Agents)
		}
		which = which[:most]
	}
	crowd, err := h.agents(ctx, which)
	if err != nil {
		return nil, err
	}
	c, err := serveWrit(ctx, o.writ, h.dir, o.chain)
	if err != nil {
		return nil, err
	}
	t := &target{name: "writ", server: c, close: c.stop, agents: h.Agents, entries: func() int64 { return logSize(c.URL) }}
	t.notes = append(t.notes, fmt.Sprintf("chain %s", o.chain), fmt.Sprintf("%d agents act", len(which)))
	switch o.scenario {
	case "decision", "light":
		verb, want := benchVerb, `"cid":"` // a permit that has its event
		if o.scenario == "light" {
			verb, want = "read", `"qualified":false`
		}
		t.prepare = func(ctx context.Context, n int, due []time.Duration) (work, error) {
			requests, err := signAll(n, func(i int, begun time.Time) ([]byte, error) {
				at := begun.Add(datedAhead)
				if due != nil {
					at = begun.Add(due[i] + datedAhead - 5*time.Second)
				}
				body, err := crowd[i%len(crowd)].ask(h, verb, i, at)
				return request("POST", "/access/v1/evaluation", c.host(), jsonHead(h.Secret), body), err
			})
			return work{addr: c.host(), requests: requests, check: wantStatus(200, want)}, err
		}
	case "asserted":
		if err := know(ctx, c.URL, h, o.agents); err != nil {
			return nil, errors.Join(err, c.stop())
		}
		t.notes = append(t.notes, fmt.Sprintf("%d users, Cedar policy, no signatures", o.agents))
		t.prepare = func(context.Context, int, []time.Duration) (work, error) {
			requests := make([][]byte, max(1000, o.agents))
			for i := range requests {
				body := fmt.Appendf(nil, `{"subject":{"type":"user","id":%q},"action":{"name":"read","properties":{"amount":%d}},"resource":{"type":%q,"id":"2026-%d"}}`,
					"user-"+strconv.Itoa(i%o.agents), 1+i%500, benchType, i)
				requests[i] = request("POST", "/access/v1/evaluation", c.host(), jsonHead(h.Secret), body)
			}
			return work{addr: c.host(), requests: requests, repeat: true, check: wantStatus(200, `"decision":true`)}, nil
		}
	case "verify":
		t.prepare = func(ctx context.Context, n int, due []time.Duration) (work, error) {
			requests, err := signAll(min(n, len(crowd)), func(i int, begun time.Time) ([]byte, error) {
				body, err := crowd[i].ask(h, benchVerb, i, begun.Add(datedAhead))
				return request("POST", "/v1/verify", c.host(), jsonHead(h.Secret), body), err
			})
			return work{addr: c.host(), requests: requests, repeat: true, check: wantStatus(200, `"active":true`)}, err
		}
	case "resolve":
		t.prepare = func(context.Context, int, []time.Duration) (work, error) {
			requests := make([][]byte, len(crowd))
			for i, a := range crowd {
				requests[i] = request("GET", "/1.0/identifiers/"+a.did, c.host(), "Accept: application/did-resolution\r\n", nil)
			}
			return work{addr: c.host(), requests: requests, repeat: true, check: wantStatus(200, `"versionId":"1-`)}, nil
		}
	case "register":
		token, err := operatorToken(h.dir)
		if err != nil {
			return nil, errors.Join(err, c.stop())
		}
		t.prepare = func(ctx context.Context, n int, due []time.Duration) (work, error) {
			requests, err := signAll(n, func(i int, begun time.Time) ([]byte, error) {
				body, err := registration(h, begun.Add(datedAhead))
				return request("POST", "/v1/agents", c.host(), jsonHead(token), body), err
			})
			return work{addr: c.host(), requests: requests, check: wantStatus(201, `"requested"`)}, err
		}
	}
	return t, nil
}

// know tells the registry of users, and of a policy that asks of them what opaPolicy
// asks of an agent.
func know(ctx context.Context, url string, h *house, users int) error {
	token, err := operatorToken(h.dir)
	if err != nil {
		return err
	}
	api, err := client.New(url, token, client.Options{})
	if err != nil {
		return err
	}
	set, err := api.DraftPolicies(ctx, h.Org, `permit (principal is User, action == Action::"read:`+benchType+`", resource)
	when { principal has status && principal.status == "active" && principal has amount && context.arguments has amount && context.arguments.amount <= principal.amount };`)
	if err == nil {
		_, err = api.ActivatePolicies(ctx, h.Org, set.Value.Version)
	}
	for n := 0; n < users && err == nil; n += client.MaxEntities {
		var list []client.StoredEntity
		for i := n; i < min(users, n+client.MaxEntities); i++ {
			list = append(list, client.StoredEntity{Type: "user", ID: "user-" + strconv.Itoa(i), Properties: json.RawMessage(`{"status":"active","amount":500}`)})
		}
		_, err = api.PutEntities(ctx, h.Org, list)
	}
	return err
}

// ask is an evaluation request for the i-th act, proven at a time.
func (a *held) ask(h *house, verb string, i int, at time.Time) ([]byte, error) {
	act := capability.Act{
		Action: verb, Resource: capability.Resource{Type: benchType, ID: "2026-" + strconv.Itoa(i)},
		Arguments: json.RawMessage(`{"amount":` + strconv.Itoa(1+i%500) + `}`),
	}
	adg, err := act.Digest()
	if err != nil {
		return nil, err
	}
	proof, err := capability.SignAction(a.key, a.keyID, capability.ActionClaims{
		Issuer: a.did, Audience: benchAudience, PDP: h.Origin, TokenHash: a.hash, ActDigest: adg,
		ID: capability.NewJTI(), IssuedAt: at.Unix(), Expires: at.Add(capability.MaxLifetime).Unix(),
	})
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{
		"subject":  map[string]any{"type": "agent", "id": a.did},
		"action":   map[string]any{"name": act.Action, "properties": act.Arguments},
		"resource": act.Resource,
		"context":  map[string]any{"token": a.token, "proof": proof},
	})
}

// registration asks for a new agent with a new key.
func registration(h *house, at time.Time) ([]byte, error) {
	key, err := jose.GenerateEd25519()
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("late-%x", key.Public().Thumbprint()[:8])
	pop, err := capability.SignRegistration(key, capability.RegistrationClaims{
		Audience: h.Origin, ID: capability.NewJTI(), Org: h.Org, Name: name,
		IssuedAt: at.Unix(), Expires: at.Add(capability.MaxLifetime).Unix(),
	})
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{"org": h.Org, "name": name, "authority_level": 1, "jwk": key.Public().JWK(), "possession": pop})
}

// signAll makes n requests on all processors, before the measured time.
func signAll(n int, one func(i int, begun time.Time) ([]byte, error)) ([][]byte, error) {
	out, errs := make([][]byte, n), make([]error, runtime.GOMAXPROCS(0))
	begun := time.Now()
	var wg sync.WaitGroup
	for w := range errs {
		wg.Go(func() {
			for i := w; i < n && errs[w] == nil; i += len(errs) {
				out[i], errs[w] = one(i, begun)
			}
		})
	}
	wg.Wait()
	return out, errors.Join(errs...)
}

// logSize asks a registry for the size of its log.
func logSize(url string) int64 {
	resp, err := http.Get(url + "/v1/log")
	if err != nil {
		return -1
	}
	defer resp.Body.Close()
	var info struct {
		Size int64 `json:"size"`
	}
	if json.NewDecoder(resp.Body).Decode(&info) != nil {
		return -1
	}
	return info.Size
}

// entryBytes is how long a raw entry is.
const entryBytes = 512

// rawEntries is the work of appending n random entries.
func rawEntries(addr, path string, n int) (work, error) {
	requests, err := signAll(n, func(int, time.Time) ([]byte, error) {
		b := make([]byte, entryBytes)
		rand.Read(b)
		return request("POST", path, addr, "Content-Type: application/octet-stream\r\n", b), nil
	})
	return work{addr: addr, requests: requests, check: wantIndex}, err
}

// wantIndex: the answer to an append is its index in decimal.
func wantIndex(status int, body []byte) error {
	if _, err := strconv.ParseUint(string(body), 10, 64); status != 200 || err != nil {
		return fmt.Errorf("status %d: %.300s", status, body)
	}
	return nil
}

// openLog starts the conformance build, which takes raw entries, on an empty
// folder.
func openLog(ctx context.Context, o options) (*target, error) {
	dir, err := os.MkdirTemp(o.tmp, "writ-bench-")
	if err != nil {
		return nil, err
	}
	c, err := serveWrit(ctx, o.writLog, filepath.Join(dir, "data"), o.chain)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return &target{
		name: "writ", server: c, entries: func() int64 { return logSize(c.URL) },
		close: func() error { return errors.Join(c.stop(), os.RemoveAll(dir)) },
		notes: []string{"conformance build", "chain " + o.chain, fmt.Sprintf("entries of %d bytes", entryBytes)},
		prepare: func(_ context.Context, n int, _ []time.Duration) (work, error) {
			return rawEntries(c.host(), "/log/add", n)
		},
	}, nil
}

// run measures one target and returns its row.
func run(ctx context.Context, o options, t *target) (row, error) {
	r := row{
		Scenario: o.scenario, Target: t.name, Clients: o.clients, Rate: o.rate, Agents: t.agents, Entries: t.entries(),
		ReadyMS: ms(t.server.Ready), Notes: append([]string{}, t.notes...),
	}
	// Connections, caches and statements are warm before anything is measured,
	// and the pace tells how many requests a closed loop needs.
	const warm = 2 * time.Second
	w, err := t.prepare(ctx, 20_000, nil)
	if err != nil {
		return r, err
	}
	m := drive(ctx, w, o.clients, nil, warm)
	if len(m.latency) == 0 {
		return r, fmt.Errorf("%s: no request was answered: %w", t.name, m.first)
	}
	var due []time.Duration
	n := int(1.5*float64(len(m.latency))/m.took.Seconds()*o.duration.Seconds()) + 1000
	if o.rate > 0 {
		due = schedule(o.rate, o.duration, o.poisson)
		n = len(due)
	}
	if w, err = t.prepare(ctx, n, due); err != nil {
		return r, err
	}
	// What making the requests left behind is not the server's to wait for.
	runtime.GC()
	time.Sleep(500 * time.Millisecond)

	r.Load = loadavg()
	before, self := t.server.usage(), usageOf(os.Getpid())
	m = drive(ctx, w, o.clients, due, o.duration)
	after, selfAfter := t.server.usage(), usageOf(os.Getpid())
	if err := ctx.Err(); err != nil {
		return r, err
	}
	r.fill(m)
	if n := float64(len(m.latency)); n > 0 {
		r.ServerCPU = round(float64((after.cpu - before.cpu).Microseconds()) / n)
		r.LoadCPU = round(float64((selfAfter.cpu - self.cpu).Microseconds()) / n)
	}
	r.RSS, r.RSSPeak = math.Round(after.rss), math.Round(after.peak)
	return r, nil
}

// row is one line of the output.
type row struct {
	Scenario  string   `json:"scenario"`
	Target    string   `json:"target"`
	Clients   int      `json:"clients"`
	Rate      float64  `json:"rate"`     // asked for, a second; 0 in a closed loop
	Answered  int      `json:"answered"` // requests
	PerSec    float64  `json:"per_second"`
	P50       float64  `json:"p50_ms"`
	P90       float64  `json:"p90_ms"`
	P99       float64  `json:"p99_ms"`
	P999      float64  `json:"p999_ms"`
	Max       float64  `json:"max_ms"`
	Errors    int      `json:"errors"` // answers that were not the expected one, and requests never sent
	RSS       float64  `json:"rss_mb"`
	RSSPeak   float64  `json:"rss_peak_mb"`
	ReadyMS   float64  `json:"ready_ms"`      // from exec to the first good answer
	Agents    int      `json:"agents"`        // that the target knows
	Entries   int64    `json:"entries"`       // of its log, at the beginning; -1 = it has none
	LagP99    float64  `json:"lag_p99_ms"`    // open loop: how late the generator was
	Seconds   float64  `json:"seconds"`       //
	ServerCPU float64  `json:"server_cpu_us"` // processor time of the server, an answer
	LoadCPU   float64  `json:"load_cpu_us"`   // of the generator, on the same processors
	Load      string   `json:"loadavg"`       // of the machine, just before
	Notes     []string `json:"notes,omitempty"`
	Error     string   `json:"error,omitempty"` // of errors, the first; or why there are no figures
}

func (r *row) fill(m measured) {
	r.Answered, r.Errors, r.Seconds = len(m.latency), m.errors+m.unsent, round(m.took.Seconds())
	if s := m.took.Seconds(); s > 0 {
		r.PerSec = math.Round(float64(len(m.latency)) / s)
	}
	for at, p := range map[*float64]float64{&r.P50: 50, &r.P90: 90, &r.P99: 99, &r.P999: 99.9, &r.Max: 100} {
		*at = ms(percentile(m.latency, p))
	}
	r.LagP99 = ms(percentile(m.lag, 99))
	if m.first != nil {
		r.Error = m.first.Error()
	}
	if m.unsent > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("%d requests were due and never sent: the server fell behind by %s", m.unsent, grace))
	}
	if r.LagP99 > 1 {
		r.Notes = append(r.Notes, "the generator was late itself: the machine was too busy for this rate, and the figures are not the server's alone")
	}
	if m.dry {
		r.Notes = append(r.Notes, "ended early: out of requests")
	}
}

func ms(d time.Duration) float64 { return round(float64(d) / float64(time.Millisecond)) }

func round(f float64) float64 { return math.Round(f*1000) / 1000 }

func known(scenario string) bool { return slices.Contains(scenarios, scenario) }
