package resolve

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/registry/did"
)

// MaxDocument is the longest did.json that is read, in bytes.
const MaxDocument = 256 << 10

// clockTolerance is how far ahead of ours the clock of a controller may be (did:webvh
// v1.0, "Read (Resolve)": at most five minutes).
const clockTolerance = time.Minute

// maxFailures bounds the DIDs that are remembered not to resolve.
const maxFailures = 1 << 12

// Config is how a Resolver works. The zero value is one for the open Internet.
type Config struct {
	Allow   []netip.Prefix // addresses beside the public ones, at any port: private networks, tests
	Ports   []uint16       // at public addresses; nil: 443
	RootCAs *x509.CertPool // nil: those of the system
	// Lookup returns the addresses of a host; nil asks the system.
	Lookup  func(ctx context.Context, host string) ([]netip.Addr, error)
	Timeout time.Duration // of an exchange, from looking the host up to the last byte; 0: 10 s
	Memory  Memory        // nil: an InMemory

	MaxTTL      time.Duration    // however long a log advises; 0: an hour
	WebTTL      time.Duration    // of a did:web, which advises nothing; 0: 5 minutes
	NegativeTTL time.Duration    // of a failure; 0: 10 s
	MaxStale    time.Duration    // the oldest answer that a caller may ask for; 0: a day
	CacheBytes  int              // 0: 64 MiB
	Now         func() time.Time // nil: time.Now
}

func (c *Config) fill() {
	def := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	def(&c.Timeout, 10*time.Second)
	def(&c.MaxTTL, time.Hour)
	def(&c.WebTTL, 5*time.Minute)
	def(&c.NegativeTTL, 10*time.Second)
	def(&c.MaxStale, 24*time.Hour)
	if c.Ports == nil {
		c.Ports = []uint16{443}
	}
	if c.CacheBytes == 0 {
		c.CacheBytes = 64 << 20
	}
	if c.Lookup == nil {
		c.Lookup = systemLookup
	}
	if c.Memory == nil {
		c.Memory = NewInMemory()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
}

// Assurance says what stands behind an answer.
type Assurance string

const (
	AssuranceKey  Assurance = "key"  // did:key: the DID is the key
	AssuranceLog  Assurance = "log"  // did:webvh: a log that proves itself and has not been taken back
	AssuranceHost Assurance = "host" // did:web: whoever holds the host; never enough for irreversible acts
)

// Options are what a caller may ask for.
type Options struct {
	Version did.VersionQuery
	// MaxAge is the oldest answer that will do, fresh or not by its own ttl; nil leaves
	// it to the ttl, and 0 asks the host.
	MaxAge *time.Duration
	// Cached answers from what is known already, and asks no host: for callers who may
	// not have anything fetched. What is not known is an error with Reason Uncached.
	Cached bool
}

// Result is a resolved DID. It is shared between callers: nothing in it may be
// changed.
type Result struct {
	DID       did.DID         // as asked for; of a portable log it may be a former one
	Document  json.RawMessage // as published; nil if the DID is deactivated
	Metadata  did.Metadata
	Assurance Assurance
	Log       *did.Resolution // of a did:webvh: every version of it; else nil
	Fetched   time.Time       // when the host was asked; of a did:key now
}

// Resolver resolves foreign DIDs. It may be used from several goroutines.
type Resolver struct {
	config    Config
	exchanger *exchanger
	answers   *otter.Cache[string, *answer] // by DID
	// failures are kept apart, so that a host that is down does not take the answer
	// from a caller whom an older one will do.
	failures *otter.Cache[string, *answer] // by DID
	flights  singleflight.Group            // by DID
	slots    *semaphore.Weighted
}

// answer is what is known of a DID since it was asked for.
type answer struct {
	log      *did.Resolution // did:webvh
	document json.RawMessage // did:web
	err      *Error          // or why neither
	asked    time.Time
	ttl      time.Duration
	size     int // bytes that were read for it
}

// New returns a Resolver.
func New(c Config) *Resolver {
	c.fill()
	return &Resolver{
		config:    c,
		exchanger: newExchanger(c),
		slots:     semaphore.NewWeighted(maxConcurrent),
		answers: otter.Must(&otter.Options[string, *answer]{
			MaximumWeight: uint64(c.CacheBytes),
			// What is parsed takes about as much again.
			Weigher: func(_ string, a *answer) uint32 { return uint32(2*a.size + 1024) },
		}),
		failures: otter.Must(&otter.Options[string, *answer]{MaximumSize: maxFailures}),
	}
}

// Resolve returns the document of a DID and what is known about it (DID Resolution 1.0
// section 4). Whoever waits for the same DID shares one exchange, which goes on if one
// of them gives up. Errors: *Error.
func (r *Resolver) Resolve(ctx context.Context, text string, opts Options) (Result, error) {
	d, err := did.Parse(text)
	if err != nil {
		return Result{}, &Error{text, InvalidDID, "", "not a DID", err}
	}
	if v := opts.Version; v.VersionID != "" && (v.VersionNumber != 0 || !v.VersionTime.IsZero()) || v.VersionNumber != 0 && !v.VersionTime.IsZero() {
		return Result{}, &Error{text, InvalidOptions, "", "more than one way to name a version", nil}
	}
	switch d.Method() {
	case did.MethodKey:
		return r.resolveKey(d, opts)
	case did.MethodWeb, did.MethodWebVH:
	default:
		return Result{}, &Error{text, MethodNotSupported, "", "the method is none of web, webvh and key", nil}
	}
	a, err := r.answer(ctx, d, opts)
	if err != nil {
		return Result{}, err
	}
	if a.log == nil {
		return r.versionless(d, a.document, AssuranceHost, a.asked, opts)
	}
	doc, metadata, ok := a.log.Resolve(opts.Version)
	if !ok {
		return Result{}, &Error{text, NotFound, "", "the log has no such version", nil}
	}
	if d != a.log.DID {
		metadata.CanonicalID = a.log.DID.String()
	}
	return Result{d, doc, metadata, AssuranceLog, a.log, a.asked}, nil
}

// Fetch returns the body at an https URL of at most limit bytes, behind the same fence
// as documents: for what a resolved issuer publishes beside them. It remembers nothing.
// Errors: *Error, with the URL for a DID.
func (r *Resolver) Fetch(ctx context.Context, rawURL, accept string, limit int64) ([]byte, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return nil, &Error{rawURL, InvalidOptions, "", "not an https URL of a host", err}
	}
	ctx, cancel := context.WithTimeout(ctx, r.config.Timeout)
	defer cancel()
	var body []byte
	err = r.inSlot(ctx, func() error {
		body, err = r.exchanger.get(ctx, u.String(), accept, limit)
		return err
	})
	if err != nil {
		return nil, named(rawURL, err)
	}
	return body, nil
}

func (r *Resolver) resolveKey(d did.DID, opts Options) (Result, error) {
	doc, err := did.KeyDocument(d)
	if err != nil {
		return Result{}, &Error{d.String(), InvalidDID, "", "not a DID", err}
	}
	form, err := doc.Canonical()
	if err != nil {
		return Result{}, &Error{d.String(), Internal, "", "no document", err}
	}
	return r.versionless(d, form, AssuranceKey, r.config.Now(), opts)
}

// versionless is the result of a method that knows no versions.
func (r *Resolver) versionless(d did.DID, doc json.RawMessage, by Assurance, at time.Time, opts Options) (Result, error) {
	if opts.Version != (did.VersionQuery{}) {
		return Result{}, &Error{d.String(), NotFound, "", "the method has no versions", nil}
	}
	return Result{DID: d, Document: doc, Assurance: by, Fetched: at}, nil
}

// answer returns one that is fresh enough, from memory or from the host.
func (r *Resolver) answer(ctx context.Context, d did.DID, opts Options) (*answer, error) {
	if a := r.known(d, opts); a != nil {
		return a.result()
	}
	if opts.Cached {
		return nil, &Error{d.String(), Internal, Uncached, "it is not known here, and was not asked for", nil}
	}
	flight := r.flights.DoChan(d.String(), func() (any, error) {
		if a := r.known(d, opts); a != nil { // an exchange ended since we looked
			return a, nil
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.config.Timeout)
		defer cancel()
		a := r.ask(ctx, d)
		if a.err != nil {
			r.failures.Set(d.String(), a)
		} else {
			r.answers.Set(d.String(), a)
			r.failures.Invalidate(d.String())
		}
		return a, nil
	})
	select {
	case done := <-flight:
		return done.Val.(*answer).result()
	case <-ctx.Done():
		return nil, &Error{d.String(), Internal, Timeout, "the caller gave up", ctx.Err()}
	}
}

// known returns an answer or failure that is fresh enough, or nil.
func (r *Resolver) known(d did.DID, opts Options) *answer {
	if a, ok := r.answers.GetIfPresent(d.String()); ok && r.fresh(a, opts) {
		return a
	}
	if a, ok := r.failures.GetIfPresent(d.String()); ok && r.fresh(a, opts) {
		return a
	}
	return nil
}

// fresh reports whether an answer is young enough: below its own ttl, or below what
// the caller asked for. One from the future of our clock never is. A failure is kept for
// nobody longer than its ttl.
func (r *Resolver) fresh(a *answer, opts Options) bool {
	limit := a.ttl
	if opts.MaxAge != nil {
		limit = min(*opts.MaxAge, r.config.MaxStale)
		if a.err != nil {
			limit = min(limit, a.ttl)
		}
	}
	age := r.config.Now().Sub(a.asked)
	return age >= 0 && age < limit
}

func (a *answer) result() (*answer, error) {
	if a.err != nil {
		return nil, a.err
	}
	return a, nil
}

// ask asks the host of d.
func (r *Resolver) ask(ctx context.Context, d did.DID) *answer {
	a := &answer{asked: r.config.Now()}
	err := r.inSlot(ctx, func() error {
		if d.Method() == did.MethodWeb {
			return r.askWeb(ctx, d, a)
		}
		return r.askWebVH(ctx, d, a)
	})
	if err != nil {
		return &answer{err: named(d.String(), err), asked: a.asked, ttl: r.config.NegativeTTL}
	}
	return a
}

// inSlot runs one of at most maxConcurrent exchanges.
func (r *Resolver) inSlot(ctx context.Context, exchange func() error) error {
	if err := r.slots.Acquire(ctx, 1); err != nil {
		return &Error{Code: Internal, Reason: Timeout, Detail: "too many exchanges wait", Err: err}
	}
	defer r.slots.Release(1)
	return exchange()
}

// named returns err as the *Error of a DID or URL.
func named(subject string, err error) *Error {
	e := &Error{Code: Internal, Detail: "cannot be resolved now", Err: err}
	errors.As(err, &e)
	e.DID = subject
	return e
}

const (
	acceptDocument  = "application/did, application/did+json;q=0.9, application/did+ld+json;q=0.9, application/json;q=0.8, */*;q=0.1"
	acceptLog       = "text/jsonl, application/jsonl;q=0.9, */*;q=0.1"
	acceptWitnesses = "application/json, */*;q=0.1"
)

// askWeb fetches a did.json (did:web section 3.2): strict JSON, and the document of d.
func (r *Resolver) askWeb(ctx context.Context, d did.DID, a *answer) error {
	place, err := d.URL()
	if err != nil {
		return err
	}
	body, err := r.exchanger.get(ctx, place, acceptDocument, MaxDocument)
	if err != nil {
		return err
	}
	var doc struct {
		ID string `json:"id"`
	}
	if err := canon.UnmarshalOpen(body, &doc); err != nil {
		return &Error{Code: InvalidDocument, Detail: "the document is not strict JSON", Err: err}
	}
	if doc.ID != d.String() {
		return &Error{Code: InvalidDocument, Reason: OtherDID, Detail: "the document is not that of the DID"}
	}
	a.document, a.ttl, a.size = body, r.config.WebTTL, len(body)
	return nil
}

// askWebVH fetches and verifies a log, and the proofs of its witnesses if it has any.
func (r *Resolver) askWebVH(ctx context.Context, d did.DID, a *answer) error {
	place, err := d.URL()
	if err != nil {
		return err
	}
	body, err := r.exchanger.get(ctx, place, acceptLog, did.MaxLog)
	if err != nil {
		return err
	}
	now := r.config.Now().Add(clockTolerance)
	log, err := did.VerifyLog(body, now)
	if errors.Is(err, did.Unwitnessed) {
		log, err = r.verifyWitnessed(ctx, d, body, now, err)
	}
	if err != nil {
		var e *Error
		if errors.As(err, &e) {
			return e
		}
		return &Error{Code: InvalidDID, Detail: "the log does not verify", Err: err}
	}
	if !log.Knows(d) {
		return &Error{Code: InvalidDID, Reason: OtherDID, Detail: "the log is not that of the DID"}
	}
	if err := r.compare(ctx, log); err != nil {
		return err
	}
	a.log, a.ttl, a.size = &log, min(log.TTL, r.config.MaxTTL), len(body)
	return nil
}

// verifyWitnessed is VerifyLog with the proofs that the host publishes. Where it has
// none, what the log lacks is told, not the missing file.
func (r *Resolver) verifyWitnessed(ctx context.Context, d did.DID, body []byte, now time.Time, lacking error) (did.Resolution, error) {
	place, err := d.WitnessURL()
	if err != nil {
		return did.Resolution{}, err
	}
	file, err := r.exchanger.get(ctx, place, acceptWitnesses, did.MaxWitnessFile)
	if errors.Is(err, NotFound) {
		return did.Resolution{}, lacking
	}
	if err != nil {
		return did.Resolution{}, err
	}
	proofs, err := did.ParseWitnessProofs(file)
	if err != nil {
		return did.Resolution{}, err
	}
	return did.VerifyLog(body, now, proofs...)
}

// compare refuses a log that is not what was seen of it before, or less, and remembers
// it if it is more. It is not remembered before it was verified, and not served before
// it is remembered.
func (r *Resolver) compare(ctx context.Context, log did.Resolution) error {
	scid, entries := log.DID.SCID(), len(log.Versions)
	versionID, seen, ok, err := r.config.Memory.Highest(ctx, scid)
	switch {
	case err != nil:
		return &Error{Code: Internal, Detail: "what was seen before is not known now", Err: fmt.Errorf("read highest version: %w", err)}
	case ok && entries < seen:
		return &Error{Code: InvalidDID, Reason: Truncated, Detail: fmt.Sprintf("the log has %d entries and had %d", entries, seen)}
	case ok && log.Versions[seen-1].ID != versionID:
		return &Error{Code: InvalidDID, Reason: Forked, Detail: fmt.Sprintf("entry %d of the log was another one", seen)}
	case ok && entries == seen:
		return nil
	}
	if err := r.config.Memory.Remember(ctx, scid, log.Current().ID, entries); err != nil {
		return &Error{Code: Internal, Detail: "what is seen cannot be remembered now", Err: fmt.Errorf("remember highest version: %w", err)}
	}
	return nil
}
