// Package registry is the domain of Writ: orgs, the humans who answer for
// agents, the agents, the grants that say what each may do, and what stops
// them. It holds the use cases, the state they keep (through the port Store)
// and the events they record. It knows no SQL, no HTTP and no ledger.
//
// A use case reads: validate the input, check that the caller may, and hand
// one Command to the Store, which makes the state change and its event durable
// together or not at all. Deciding about acts is package policy.
package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/maypok86/otter/v2"

	"github.com/writ-registry/writ/internal/jose"
)

// Config is what a Registry needs to be one.
type Config struct {
	Store     Store
	Origin    string // public origin, part of every identifier; no trailing slash
	DID       string // the registry's own did:web, issuer of tokens
	TokenKey  jose.Signer
	StatusKey jose.Signer                                    // signs status lists
	PermitKey jose.Signer                                    // signs permits; nil: there are none
	UpdateKey jose.Signer                                    // signs the first entry of the DID logs it holds in custody
	NextKey   jose.Signer                                    // signs the second of those that were made before Successor
	Successor func(agent string, n int) (jose.Signer, error) // signs the n-th entry of an agent's DID log, from 2
	Now       func() time.Time                               // nil = time.Now
	// LookupTXT asks DNS, as net.Resolver does; nil: orgs have no domains of their own.
	LookupTXT func(ctx context.Context, name string) ([]string, error)

	Certifier   Certifier // nil: no certificates are issued or believed
	TrustDomain string    // of SPIFFE IDs; "": none are given
	Workloads   Workloads // nil: no tokens of workloads are believed
	// Sealer keeps the client secrets of issuers, and CheckIssuer refuses settings
	// that can never work, or, where it may ask, an issuer that is not there. Without
	// them nobody signs in by an issuer.
	Sealer      *Sealer
	CheckIssuer func(ctx context.Context, i Issuer, ask bool) error
	Passkeys    Passkeys // nil: humans approve with keys of their own only
	// CheckCallback refuses an origin that callbacks can never go to; nil: there are no
	// callbacks. CallbackKey signs them.
	CheckCallback func(origin *url.URL) error
	CallbackKey   jose.Signer
}

// Registry offers the use cases. It is safe for concurrent use.
type Registry struct {
	Config
	callers    *otter.Cache[[32]byte, known]
	statuses   *statusLists
	nonces     *nonces
	maxDIDLog  int // the constant; tests change it
	published  *published
	opened     *atomic.Value // of CAOpened: the authority that the log is known to name
	identities *otter.Cache[string, *identity]
	waiting    *waiters // for approvals
	routers    *otter.Cache[string, router]
}

// published is the trust list as it was last signed.
type published struct {
	sync.Mutex
	token     string
	authority uint64
	at        time.Time
}

// New makes a Registry.
func New(c Config) *Registry {
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Registry{Config: c, callers: newCallers(), statuses: &statusLists{}, nonces: newNonces(c.Now()), maxDIDLog: maxDIDLog, published: &published{}, opened: &atomic.Value{}, identities: newIdentities(), waiting: &waiters{byID: map[string]*waiter{}}, routers: newRouters()}
}

// TokenKeyID is the DID URL of the key that signs grant tokens.
func (r *Registry) TokenKeyID() string { return r.DID + "#" + r.TokenKey.Public().Multikey() }

// StatusKeyID is the DID URL of the key that signs status lists.
func (r *Registry) StatusKeyID() string { return r.DID + "#" + r.StatusKey.Public().Multikey() }

// PermitKeyID is the DID URL of the key that signs permits.
func (r *Registry) PermitKeyID() string { return r.DID + "#" + r.PermitKey.Public().Multikey() }

func (r *Registry) now() time.Time { return r.Now().UTC().Truncate(time.Millisecond) }

// Caller is an authenticated principal, enforcement point or agent.
type Caller struct {
	Actor
	Org   string
	Roles []Role
	PEP   *PEP   // set for enforcement points
	Agent *Agent // set for agents that signed the request, as they were then
	Key   string // thumbprint of the certificate's key, where one authenticated the caller
}

// is reports whether the caller is the agent itself, by its own signature.
func (c Caller) is(agent string) bool {
	return c.Kind == ActorAgent && c.Agent != nil && c.Agent.ID == agent
}

// Operator reports whether the caller runs the registry.
func (c Caller) Operator() bool { return slices.Contains(c.Roles, RoleOperator) }

// may refuses a caller that is not of the org or holds none of the roles. An
// owner holds every role of its org, an operator those of every org. Foreign
// and unknown orgs answer alike.
func (c Caller) may(org string, roles ...Role) error {
	if c.Operator() {
		return nil
	}
	if c.Kind != ActorPrincipal {
		return Errorf(Denied, "only a principal may do this")
	}
	if c.Org != org {
		return errNoOrg
	}
	for _, have := range c.Roles {
		if have == RoleOwner || slices.Contains(roles, have) {
			return nil
		}
	}
	return Errorf(Denied, "needs one of the roles %s", join(roles))
}

var errNoOrg = Errorf(NotFound, "no such org, or it is not yours")

// stillMay reads again, at the place in the log that the command will have, what a
// human was when the request was authenticated: who has been suspended meanwhile,
// or has lost a role, does not act by what was true before.
func stillMay(tx Tx, c Caller) error {
	if c.Kind != ActorPrincipal {
		return nil
	}
	p, err := tx.Principal(c.ID)
	if err != nil {
		return err
	}
	if err := p.mayAct(); err != nil {
		return err
	}
	for _, role := range c.Roles {
		if !p.holds(role) && !slices.Contains(p.GroupRoles, role) {
			return &Error{Kind: Denied, Code: "roles_changed", Detail: "the caller's roles changed just now; try again"}
		}
	}
	return nil
}

// Call is what every writing use case is told about the request around it.
type Call struct {
	Caller    Caller
	Signature Signature    // of an agent that signed the call; zero: none did
	Trace     string       // 32 hex digits
	Idem      *Idempotency // nil where the caller sent no key
}

// Outcome is the answer of a writing use case.
type Outcome[T any] struct {
	Value    T
	Event    EventRef   // of the first event; zero where nothing changed
	Events   []EventRef // all of them, in order
	Secret   string     // a new credential: shown once, never stored, empty in a replay
	Replayed bool       // the Idempotency-Key was seen before; Value is the first answer
}

// commit runs one use case of at most one event as a Command. A nil draft records
// nothing.
func commit[T any](ctx context.Context, r *Registry, call Call, urgent bool, run func(Tx) (T, *EventDraft, error)) (Outcome[T], error) {
	return commitDraft(ctx, r, call, urgent, func(tx Tx) (T, Draft, error) {
		v, ev, err := run(tx)
		if ev == nil {
			return v, Draft{}, err
		}
		return v, Draft{Events: []EventDraft{*ev}}, err
	})
}

// commitDraft runs one use case as a Command. The events that it drafts are the
// caller's, unless they name another actor; what it returns is the result.
func commitDraft[T any](ctx context.Context, r *Registry, call Call, urgent bool, run func(Tx) (T, Draft, error)) (Outcome[T], error) {
	return commitOn(ctx, r, call, Command{Urgent: urgent}, run)
}

// commitOn is commitDraft for a Command that rests on authority which was read before:
// its Basis. ErrEpochMoved: it has moved.
func commitOn[T any](ctx context.Context, r *Registry, call Call, cmd Command, run func(Tx) (T, Draft, error)) (Outcome[T], error) {
	var out Outcome[T]
	cmd.Idem, cmd.Run = call.Idem, func(tx Tx) (Draft, error) {
		if err := stillMay(tx, call.Caller); err != nil {
			return Draft{}, err
		}
		if err := r.again(tx, call); err != nil {
			return Draft{}, err
		}
		v, d, err := run(tx)
		if err != nil {
			return Draft{}, err
		}
		out.Value, d.Result = v, v
		for i := range d.Events {
			if d.Events[i].Actor.Kind == "" {
				d.Events[i].Actor = call.Caller.Actor
			}
			d.Events[i].Trace = call.Trace
		}
		return d, nil
	}
	done, err := r.Store.Commit(ctx, cmd)
	if err != nil {
		return Outcome[T]{}, err
	}
	if done.Replayed != nil {
		out.Replayed = true
		if err := json.Unmarshal(done.Replayed, &out.Value); err != nil {
			return Outcome[T]{}, fmt.Errorf("read the first answer: %w", err)
		}
	}
	if len(done.Events) > 0 {
		out.Event, out.Events = done.Events[0], done.Events
	}
	return out, nil
}

// NewID is a fresh UUIDv7 (RFC 9562, section 5.7).
func NewID() string { return uuid.Must(uuid.NewV7()).String() }

// checkID refuses what is not a UUID in its one canonical spelling.
func checkID(field, id string) error {
	u, err := uuid.Parse(id)
	if err != nil || u.String() != id {
		return Invalid(field, "not a UUID in lower-case 8-4-4-4-12 form")
	}
	return nil
}

// Limits on strings and lists of the API.
const (
	maxName = 64
	maxText = 1024
	maxList = 64
	MaxPage = 1000
)

func checkText(field, s string, max int, required bool) error {
	switch {
	case required && strings.TrimSpace(s) == "":
		return Invalid(field, "is required")
	case len(s) > max:
		return &Error{Kind: TooLarge, Field: field, Detail: fmt.Sprintf("longer than %d bytes", max)}
	case strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f || r == 0xfffd || bidi(r) }):
		return Invalid(field, "holds a control or direction-changing character")
	}
	return nil
}

// bidi are the characters that make text read otherwise than it is (Trojan
// Source): embeddings, overrides and isolates.
func bidi(r rune) bool {
	return r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0x200e || r == 0x200f
}

// checkWord refuses what is not a short machine name: [a-z0-9][a-z0-9._-]*.
func checkWord(field, s string) error {
	ok := s != "" && len(s) <= maxName
	for i, c := range []byte(s) {
		lower := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		ok = ok && (lower || i > 0 && (c == '-' || c == '_' || c == '.'))
	}
	if !ok {
		return Invalid(field, "must be 1 to %d characters of [a-z0-9._-], beginning with a letter or digit", maxName)
	}
	return nil
}

func checkWords(field string, list []string) error {
	if len(list) > maxList {
		return &Error{Kind: TooLarge, Field: field, Detail: fmt.Sprintf("more than %d items", maxList)}
	}
	for i, s := range list {
		at := fmt.Sprintf("%s/%d", field, i)
		if err := checkWord(at, s); err != nil {
			return err
		}
		if slices.Contains(list[:i], s) {
			return Invalid(at, "is named twice")
		}
	}
	return nil
}

// checkResources refuses what is not a list of resource server ids: absolute
// URIs without fragment, each once.
func checkResources(field string, list []string) error {
	if len(list) == 0 {
		return Invalid(field, "needs at least one resource server id")
	}
	if len(list) > maxList {
		return &Error{Kind: TooLarge, Field: field, Detail: fmt.Sprintf("more than %d items", maxList)}
	}
	for i, s := range list {
		at := fmt.Sprintf("%s/%d", field, i)
		if err := checkText(at, s, 512, true); err != nil {
			return err
		}
		scheme, rest, ok := strings.Cut(s, ":")
		if !ok || scheme == "" || rest == "" || strings.ContainsAny(s, "# ") {
			return Invalid(at, "must be an absolute URI without fragment, such as https://erp.example")
		}
		if slices.Contains(list[:i], s) {
			return Invalid(at, "is named twice")
		}
	}
	return nil
}

func checkLevel(field string, n int) error {
	if n < 0 || n > 4 {
		return Invalid(field, "authority level must be 0 to 4")
	}
	return nil
}

func (p *Page) check() error {
	if p.Limit < 0 || p.Limit > MaxPage {
		return Invalid("/limit", "must be 1 to %d", MaxPage)
	}
	if p.Limit == 0 {
		p.Limit = 100
	}
	return nil
}

func join(roles []Role) string {
	s := make([]string, len(roles))
	for i, r := range roles {
		s[i] = string(r)
	}
	return strings.Join(s, ", ")
}
