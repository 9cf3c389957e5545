// Package notify makes the callbacks of requests for approval (AuthZEN Access Request
// and Approval Profile, draft 1, section "Callback Completion"): it tells enforcement
// points, at origins that are registered for them, that a request is not pending any
// more. What is to be told, and how often, is package registry's to say.
//
// A callback is a POST that only tells: what counts is the request's status. It is signed
// by a key in the registry's directory (RFC 9421, tag "writ-callback") over method, target,
// content type, Content-Digest (RFC 9530) and Idempotency-Key, which is the task's id: a
// callback may come more than once. All exchanges pass package resolve's fence.
package notify

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/httpsig"
	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/internal/resolve"
	"github.com/writ-registry/writ/registry"
)

// Tag is the tag of the signature of a callback.
const Tag = "writ-callback"

// What became of an attempt.
const (
	Delivered = "delivered" // the receiver answered 2xx
	Failed    = "failed"    // it is tried again
	GivenUp   = "given_up"  // it is not
)

const (
	every     = time.Second      // how often what is due is looked for
	timeout   = 10 * time.Second // of an attempt
	lifetime  = time.Minute      // of a signature
	maxAnswer = 4 << 10          // bytes that are read of an answer, and thrown away
	maxAtOnce = 256              // callbacks in hand
)

// Config is what a Sender works with. Registry and Tasks are required.
type Config struct {
	Registry *registry.Registry // its CallbackKey signs
	Tasks    string             // URL under which tasks have their status, without the last slash
	Resolve  resolve.Config     // where callbacks may go, as resolve.NewClient reads it; an attempt takes 10 s at most
	Now      func() time.Time   // nil: time.Now
	Logger   *slog.Logger       // nil: slog.Default()
	Observe  func(outcome string)
}

// Sender makes callbacks. It is safe for concurrent use.
type Sender struct {
	Config
	client *http.Client

	mu   sync.Mutex
	busy map[string]int // callbacks in hand by enforcement point
}

// New makes a Sender.
func New(c Config) *Sender {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Observe == nil {
		c.Observe = func(string) {}
	}
	c.Resolve.Timeout = timeout
	return &Sender{Config: c, client: resolve.NewClient(c.Resolve), busy: map[string]int{}}
}

// Check returns the registry's CheckCallback: it refuses an origin at an address that is
// not reached under c. The addresses of a host that has a name are looked at when it is
// called.
func Check(c resolve.Config) func(origin *url.URL) error {
	return func(origin *url.URL) error {
		addr, err := netip.ParseAddr(origin.Hostname())
		if err != nil && origin.Hostname() != "localhost" {
			return nil
		}
		if err != nil {
			addr = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		}
		port, err := strconv.ParseUint(origin.Port(), 10, 16)
		if err != nil {
			port = map[string]uint64{"https": 443, "http": 80}[origin.Scheme]
		}
		return c.Reaches(netip.AddrPortFrom(addr, uint16(port)))
	}
}

// Run makes what is due until ctx ends. Who is slow holds nobody else: each enforcement
// point has callbacks of its own in hand, a few at a time.
func (s *Sender) Run(ctx context.Context) error {
	var hands sync.WaitGroup
	defer hands.Wait()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if err := s.begin(ctx, &hands); err != nil && ctx.Err() == nil {
			s.Logger.Warn("callbacks are not made yet", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Round makes what is due now, and returns when that is done.
func (s *Sender) Round(ctx context.Context) error {
	var hands sync.WaitGroup
	defer hands.Wait()
	return s.begin(ctx, &hands)
}

// begin takes what is due for enforcement points that nothing is in hand for.
func (s *Sender) begin(ctx context.Context, hands *sync.WaitGroup) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var skip []string
	room := maxAtOnce
	for pep, n := range s.busy {
		skip = append(skip, pep)
		room -= n
	}
	if room <= 0 {
		return nil
	}
	taken, err := s.Registry.TakeCallbacks(ctx, skip, room)
	for _, c := range taken {
		s.busy[c.PEP]++
		hands.Go(func() {
			defer s.done(c.PEP)
			s.call(ctx, c)
		})
	}
	return err
}

func (s *Sender) done(pep string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy[pep]--; s.busy[pep] == 0 {
		delete(s.busy, pep)
	}
}

// call makes one attempt and records what became of it. One that ctx ends is nobody's
// failure: it is made again when its time comes.
func (s *Sender) call(ctx context.Context, c registry.Callback) {
	failure := s.post(ctx, c)
	if failure != "" && ctx.Err() != nil {
		return
	}
	over, err := s.Registry.SettleCallback(ctx, c, failure)
	outcome := Delivered
	switch {
	case failure != "" && over:
		outcome = GivenUp
	case failure != "":
		outcome = Failed
	}
	s.Observe(outcome)
	log := s.Logger.With("approval", c.Approval, "pep", c.PEP, "attempt", c.Attempts)
	switch {
	case err != nil && ctx.Err() == nil:
		log.Warn("what became of a callback is not recorded: it may be made again", "err", err)
	case outcome != Delivered:
		log.Warn("a callback was not taken", "outcome", outcome, "failure", failure)
	}
}

// notice is the body of a callback. It holds nothing that could be used.
type notice struct {
	State string `json:"state,omitempty"`
	Task  task   `json:"task"`
}

type task struct {
	ID             string                 `json:"id"`
	Status         registry.ApprovalState `json:"status"`
	StatusEndpoint string                 `json:"status_endpoint"`
}

// covered is what the signature of a callback covers.
var covered = []string{"@method", "@target-uri", "content-type", "content-digest", "idempotency-key"}

// post makes one attempt and says why it failed; "": it did not. That shows nothing of
// the endpoint, which may hold secrets, nor of what is behind the fence.
func (s *Sender) post(ctx context.Context, c registry.Callback) (failure string) {
	req, err := s.request(ctx, c)
	if err != nil {
		return "it cannot be sent"
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return resolve.Explain(err)
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer) // what it says is not asked for
	if resp.StatusCode/100 != 2 {
		return fmt.Sprintf("the receiver answers %d", resp.StatusCode)
	}
	return ""
}

// request is a signed callback.
func (s *Sender) request(ctx context.Context, c registry.Callback) (*http.Request, error) {
	body, err := canon.Marshal(notice{c.State, task{c.Approval, c.Notice, s.Tasks + "/" + c.Approval}})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Endpoint, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Content-Digest", httpsig.ContentDigest(body))
	req.Header.Set("Idempotency-Key", c.Approval)
	req.Header.Set("User-Agent", "writ")
	m, err := httpsig.NewRequest(req, "")
	if err != nil {
		return nil, err
	}
	var nonce [16]byte
	rand.Read(nonce[:]) // never fails: crypto/rand crashes the program instead
	key, now := s.Registry.CallbackKey, s.Now()
	input, signature, err := httpsig.Sign(m, key, httpsig.Params{
		Label: "writ", Components: covered, Created: now, Expires: now.Add(lifetime),
		KeyID: key.Public().Thumbprint(), Nonce: jose.EncodeBase64(nonce[:]), Tag: Tag,
	})
	if err != nil {
		return nil, err
	}
	req.Header.Set("Signature-Input", input)
	req.Header.Set("Signature", signature)
	return req, nil
}
