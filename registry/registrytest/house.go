// Package registrytest builds registries for tests, on the real store: SQLite
// in a temporary folder, the real journal, the real decision point. There is
// no second, in-memory store: it would be one more thing to keep true.
package registrytest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"net/url"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/writ-registry/writ/internal/hotstate"
	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/internal/passkey"
	"github.com/writ-registry/writ/internal/sqlstore"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/capability"
	"github.com/writ-registry/writ/registry/did"
	"github.com/writ-registry/writ/registry/journal"
	"github.com/writ-registry/writ/registry/policy"
)

// Origin is the public origin of a House.
const Origin = "http://localhost:8080"

// LogOrigin is the origin line of its log.
const LogOrigin = "localhost:8080/log"

// House is a running registry with its operator.
type House struct {
	*registry.Registry
	PDP      *policy.PDP
	DB       *sqlstore.DB
	Journal  *journal.Journal
	Operator registry.Caller
	Secret   string // the operator's credential
	Clock    *Clock
	TXT      *Zone      // what it hears from DNS
	Tokens   *Workloads // believed ones

	gate registry.Call
}

// Zone is DNS as a test sets it: TXT records by name. The test sets it before it
// asks.
type Zone struct {
	mu      sync.Mutex
	records map[string][]string
}

// Set sets the TXT records of a name.
func (z *Zone) Set(name string, records ...string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.records[name] = records
}

func (z *Zone) lookup(_ context.Context, name string) ([]string, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if r, ok := z.records[name]; ok {
		return r, nil
	}
	return nil, fmt.Errorf("%s: no such host", name)
}

// Clock is a clock that a test moves.
type Clock struct {
	mu sync.Mutex
	t  time.Time
}

// Now is the clock's time.
func (c *Clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.t }

// Add moves the clock.
func (c *Clock) Add(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.t = c.t.Add(d) }

// Option changes how a House is built.
type Option func(*journal.Config)

// WithBackend wraps the journal's database, to break it on purpose.
func WithBackend(wrap func(journal.Backend) journal.Backend) Option {
	return func(c *journal.Config) { c.Backend = wrap(c.Backend) }
}

// New starts a House that ends with the test.
func New(t testing.TB, opts ...Option) *House {
	t.Helper()
	h := Open(t, t.TempDir(), opts...)
	h.Secret = registry.NewSecret(registry.ActorPrincipal)
	if _, err := h.Bootstrap(t.Context(), h.Secret); err != nil {
		t.Fatalf("bootstrap: %v", err)
	}
	var err error
	if h.Operator, err = h.Authenticate(t.Context(), h.Secret); err != nil {
		t.Fatalf("authenticate the operator: %v", err)
	}
	if err := h.PDP.Remember(t.Context(), &hotstate.Memory{}); err != nil {
		t.Fatalf("memory of spent proofs: %v", err)
	}
	return h
}

// Open starts a House on a folder that may hold one already.
func Open(t testing.TB, dir string, opts ...Option) *House {
	t.Helper()
	db, err := sqlstore.Open(t.Context(), filepath.Join(dir, "writ.db"))
	if err != nil {
		t.Fatal(err)
	}
	backend, err := db.Journal(t.Context(), LogOrigin)
	if err != nil {
		t.Fatal(err)
	}
	clock := &Clock{t: time.Now().UTC().Truncate(time.Second)}
	cfg := journal.Config{Backend: backend, Log: LogOrigin, Now: clock.Now}
	for _, o := range opts {
		o(&cfg)
	}
	j := journal.New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); j.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done; db.Close() })

	web, err := did.Web(Origin)
	if err != nil {
		t.Fatal(err)
	}
	token, update, next := Key(1), Key(2), Key(3)
	passkeys, err := passkey.New(Origin)
	if err != nil {
		t.Fatal(err)
	}
	zone := &Zone{records: map[string][]string{}}
	tokens := &Workloads{}
	r := registry.New(registry.Config{
		Certifier: &Certifier{}, TrustDomain: TrustDomain, Workloads: tokens,
		Store: j, Origin: Origin, DID: web.String(), TokenKey: token, StatusKey: Key(4), PermitKey: Key(5), UpdateKey: update, NextKey: next, Now: clock.Now,
		Successor: func(agent string, n int) (jose.Signer, error) { return next.Derive(fmt.Sprint(agent, n)) },
		LookupTXT: zone.lookup,
		Sealer:    registry.NewSealer([32]byte{4}), CheckIssuer: func(context.Context, registry.Issuer, bool) error { return nil },
		Passkeys: passkeys, CheckCallback: func(*url.URL) error { return nil }, CallbackKey: Key(6),
	})
	pdp := policy.New(j, Origin, token.Public(), clock.Now)
	pdp.Mint(r.PermitKey, r.PermitKeyID())
	return &House{Registry: r, PDP: pdp, DB: db, Journal: j, Clock: clock, TXT: zone, Tokens: tokens}
}

// Key is a fixed Ed25519 key.
func Key(n byte) *jose.PrivateKey { return jose.NewEd25519FromSeed([32]byte{n}) }

// Call is a call by the operator.
func (h *House) Call() registry.Call {
	return registry.Call{Caller: h.Operator, Trace: "00000000000000000000000000000001"}
}

// Agent is a registered, approved agent with its key.
type Agent struct {
	registry.Agent
	Signer *jose.PrivateKey
	house  *House
}

// NewAgent registers and approves an agent in an org ("" = the operator's).
func (h *House) NewAgent(t testing.TB, name string, change ...func(*registry.NewAgent)) *Agent {
	t.Helper()
	a := h.RequestOnly(t, name, change...)
	out, err := h.ApproveAgent(t.Context(), h.Call(), a.ID)
	if err != nil {
		t.Fatalf("approve agent: %v", err)
	}
	a.Agent = out.Value
	return a
}

// RequestOnly registers an agent and leaves its approval.
func (h *House) RequestOnly(t testing.TB, name string, change ...func(*registry.NewAgent)) *Agent {
	t.Helper()
	signer, err := jose.GenerateEd25519()
	if err != nil {
		t.Fatal(err)
	}
	in := registry.NewAgent{Org: registry.HouseOrg, Name: name, AuthorityLevel: 2}
	for _, f := range change {
		f(&in)
	}
	in.JWK, _ = json.Marshal(signer.Public().JWK())
	in.Possession = h.Possession(t, signer, in.Org, in.Name)
	out, err := h.RequestAgent(t.Context(), h.Call(), in)
	if err != nil {
		t.Fatalf("request agent: %v", err)
	}
	return &Agent{out.Value, signer, h}
}

// Child registers a child of the agent, by the agent's own call.
func (a *Agent) Child(t testing.TB, name string, change ...func(*registry.NewAgent)) *Agent {
	t.Helper()
	child, err := a.TryChild(t, name, change...)
	if err != nil {
		t.Fatalf("register child: %v", err)
	}
	return child
}

// TryChild is Child where a refusal is expected.
func (a *Agent) TryChild(t testing.TB, name string, change ...func(*registry.NewAgent)) (*Agent, error) {
	t.Helper()
	signer, err := jose.GenerateEd25519()
	if err != nil {
		t.Fatal(err)
	}
	in := registry.NewAgent{Name: name}
	for _, f := range change {
		f(&in)
	}
	in.JWK, _ = json.Marshal(signer.Public().JWK())
	in.Possession = a.house.Possession(t, signer, a.Org, in.Name)
	out, err := a.house.RequestAgent(t.Context(), a.Signed(), in)
	return &Agent{out.Value, signer, a.house}, err
}

// Rotate gives the agent a new key, by the operator's call.
func (a *Agent) Rotate(t testing.TB, change ...func(*registry.NewKey)) {
	t.Helper()
	if err := a.TryRotate(t, a.house.Call(), change...); err != nil {
		t.Fatalf("rotate: %v", err)
	}
}

// TryRotate is Rotate by any call, where a refusal is expected.
func (a *Agent) TryRotate(t testing.TB, call registry.Call, change ...func(*registry.NewKey)) error {
	t.Helper()
	signer, err := jose.GenerateEd25519()
	if err != nil {
		t.Fatal(err)
	}
	return a.RotateTo(t, call, signer, change...)
}

// RotateTo is TryRotate to a given key.
func (a *Agent) RotateTo(t testing.TB, call registry.Call, signer *jose.PrivateKey, change ...func(*registry.NewKey)) error {
	t.Helper()
	in := registry.NewKey{Agent: a.ID}
	in.JWK, _ = json.Marshal(signer.Public().JWK())
	in.Possession = a.house.Possession(t, signer, a.Org, a.Name)
	for _, f := range change {
		f(&in)
	}
	out, err := a.house.RotateKey(t.Context(), call, in)
	if err == nil {
		a.Agent, a.Signer = out.Value, signer
	}
	return err
}

// Signed is a call by the agent that its own signature authenticated.
func (a *Agent) Signed() registry.Call {
	return registry.Call{
		Caller: registry.Caller{Actor: registry.Actor{Kind: registry.ActorAgent, ID: a.ID}, Org: a.Org, Agent: &a.Agent},
		Trace:  "00000000000000000000000000000004",
	}
}

// Possession signs a registration.
func (h *House) Possession(t testing.TB, signer *jose.PrivateKey, org, name string) string {
	t.Helper()
	now := h.Clock.Now().Unix()
	s, err := capability.SignRegistration(signer, capability.RegistrationClaims{
		Issuer: signer.Public().ThumbprintURI(), Audience: Origin, ID: capability.NewJTI(), IssuedAt: now, Expires: now + 60, Org: org, Name: name,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Grant issues a grant to the agent.
func (a *Agent) Grant(t testing.TB, capabilities string, change ...func(*registry.NewGrant)) registry.Grant {
	t.Helper()
	in := registry.NewGrant{Agent: a.ID, Capabilities: capabilities}
	for _, f := range change {
		f(&in)
	}
	out, err := a.house.IssueGrant(t.Context(), a.house.Call(), in)
	if err != nil {
		t.Fatalf("issue grant: %v", err)
	}
	return out.Value
}

// Ask makes a proven request for verb:type/id with JSON arguments.
func (a *Agent) Ask(t testing.TB, g registry.Grant, verb, typ, id, args string, change ...func(*capability.ActionClaims)) policy.Request {
	t.Helper()
	act := capability.Act{Action: verb, Resource: capability.Resource{Type: typ, ID: id}, Arguments: json.RawMessage(args)}
	adg, err := act.Digest()
	if err != nil {
		t.Fatal(err)
	}
	now := a.house.Clock.Now().Unix()
	c := capability.ActionClaims{
		Issuer: a.DID, Audience: g.Audience[0], PDP: Origin, TokenHash: g.TokenHash, ActDigest: adg, ID: capability.NewJTI(), IssuedAt: now, Expires: now + 60,
	}
	for _, f := range change {
		f(&c)
	}
	proof, err := capability.SignAction(a.Signer, a.KeyID, c)
	if err != nil {
		t.Fatal(err)
	}
	return policy.Request{SubjectType: "agent", Subject: a.DID, Act: act, Token: capability.Tokens{g.Token}, Proof: proof}
}

// Direct is the call of an agent that asks for itself.
func (a *Agent) Direct() registry.Call {
	return registry.Call{Caller: registry.Caller{Actor: registry.Actor{Kind: registry.ActorAgent}}, Trace: "00000000000000000000000000000002"}
}

// PEP registers an enforcement point and returns a call by it.
func (h *House) PEP(t testing.TB, name string, resources []string, contextKeys ...string) registry.Call {
	t.Helper()
	out, err := h.RegisterPEP(t.Context(), h.Call(), registry.NewPEP{Org: registry.HouseOrg, Name: name, Resources: resources, ContextKeys: contextKeys})
	if err != nil {
		t.Fatalf("register PEP: %v", err)
	}
	c, err := h.Authenticate(t.Context(), out.Secret)
	if err != nil {
		t.Fatal(err)
	}
	return registry.Call{Caller: c, Trace: "00000000000000000000000000000003"}
}

// PEPCall is a call by an enforcement point that guards the default audience.
func (h *House) PEPCall(t testing.TB) registry.Call {
	t.Helper()
	if h.gate.Trace == "" {
		h.gate = h.PEP(t, "gate", []string{Origin})
	}
	return h.gate
}

// Catalogue activates actions for the operator's org: each is
// "verb:type reversibility [egress] [material]".
func (h *House) Catalogue(t testing.TB, actions ...registry.CatalogueAction) {
	t.Helper()
	if _, err := h.ActivateCatalogue(t.Context(), h.Call(), registry.HouseOrg, actions, ""); err != nil {
		t.Fatalf("activate catalogue: %v", err)
	}
}

// LogKey is the verifier key of a log, made of a number.
func LogKey(t testing.TB, origin string, n byte) string {
	t.Helper()
	public := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize)).Public().(ed25519.PublicKey)
	key, err := note.NewEd25519VerifierKey(origin, public)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Trust puts an issuer on the trust list of the operator's org.
func (h *House) Trust(t testing.TB, issuer string, change ...func(*registry.NewTrust)) registry.Trust {
	t.Helper()
	in := registry.NewTrust{
		Org: registry.HouseOrg, Issuer: issuer, TokenKeys: []string{Key(1).Public().Multikey()}, LogKey: LogKey(t, "other.example/log", 4),
		Audiences: []string{"https://erp.example"}, Capabilities: "read:invoices", AuthorityLevel: 2,
	}
	for _, f := range change {
		f(&in)
	}
	out, err := h.AddTrust(t.Context(), h.Call(), in)
	if err != nil {
		t.Fatalf("add trust: %v", err)
	}
	return out.Value
}
