package api

import (
	"context"
	"crypto/x509"
	"errors"
	"math"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/writ-registry/writ/api/problem"
	"github.com/writ-registry/writ/internal/httpsig"
	"github.com/writ-registry/writ/internal/trace"
	"github.com/writ-registry/writ/registry"
)

// authenticated lets callers with a credential pass, and agents that signed the
// request where an agent may call.
func (s *server) authenticated(c *gin.Context) {
	token, err := bearer(c.Request.Header)
	signed := httpsig.IsSigned(c.Request)
	switch {
	case err != nil:
	case signed && len(c.Request.Header.Values("Authorization")) > 0:
		err = &registry.Error{Kind: registry.Malformed, Code: "two_credentials", Detail: "a request carries a bearer credential or a signature, not both"}
	case signed:
		err = s.identifyAgent(c)
	case token != "":
		err = s.identify(c, token)
	case len(presented(c.Request)) > 0:
		err = s.identifyCertificate(c)
	default:
		err = &registry.Error{Kind: registry.Unauthenticated, Code: "missing_credential", Detail: "this needs Authorization: Bearer with a credential of a principal or enforcement point, an agent's signature, or the certificate of an agent or enforcement point"}
	}
	if err != nil {
		s.refuse(c, err)
	}
}

// asker lets enforcement points pass by their credential or certificate, and
// agents that ask for themselves without one: their proof is in the body and names
// them. A certificate that an agent shows beside it must be its own.
func (s *server) asker(c *gin.Context) {
	r := requestOf(c.Request.Context())
	token, err := bearer(c.Request.Header)
	switch {
	case err != nil:
	case token == "":
		if len(presented(c.Request)) > 0 {
			err = s.identifyCertificate(c)
		} else {
			err = s.withinBudget(c)
		}
		var e *registry.Error
		if err == nil && r.caller.Kind == "" || errors.As(err, &e) && e.Code == "unknown_certificate" {
			err, r.caller = nil, registry.Caller{Actor: registry.Actor{Kind: registry.ActorAgent}}
		}
	default:
		if err = s.identify(c, token); err == nil && r.caller.Kind != registry.ActorPEP {
			err = registry.Errorf(registry.Denied, "only enforcement points and agents ask for decisions")
		}
	}
	if err != nil {
		s.refuse(c, err)
	}
}

// anyone lets everybody pass. Who sends a credential, or shows a certificate of the
// registry's, is known by it.
func (s *server) anyone(c *gin.Context) {
	token, err := bearer(c.Request.Header)
	switch {
	case err != nil:
	case token != "":
		err = s.identify(c, token)
	case len(presented(c.Request)) > 0:
		err = s.identifyCertificate(c)
		var e *registry.Error
		if errors.As(err, &e) && e.Code == "unknown_certificate" {
			err, requestOf(c.Request.Context()).caller = nil, registry.Caller{}
		}
	}
	if err != nil {
		s.refuse(c, err)
	}
}

// stranger lets anyone pass whose address has not failed too often: what they
// have to show is in the body.
func (s *server) stranger(c *gin.Context) {
	if err := s.withinBudget(c); err != nil {
		s.refuse(c, err)
	}
}

// identify finds whose credential it is, within the address's budget of failures.
// A certificate beside it must not be another's.
func (s *server) identify(c *gin.Context, token string) error {
	return s.recognize(c, func(ctx context.Context) (registry.Caller, error) {
		caller, err := s.Registry.Authenticate(ctx, token)
		if shown := presented(c.Request); err == nil && len(shown) > 0 {
			err = s.Registry.MatchCertificate(ctx, caller, shown)
		}
		return caller, err
	})
}

// identifyCertificate finds whose certificate the TLS client showed.
func (s *server) identifyCertificate(c *gin.Context) error {
	return s.recognize(c, func(ctx context.Context) (registry.Caller, error) {
		return s.Registry.AuthenticateCertificate(ctx, presented(c.Request))
	})
}

// presented is what the TLS client proved possession of, its leaf first. Headers
// with certificates are not looked at: whoever reaches the registry could set them.
func presented(r *http.Request) []*x509.Certificate {
	if r.TLS == nil {
		return nil
	}
	return r.TLS.PeerCertificates
}

func (s *server) recognize(c *gin.Context, find func(context.Context) (registry.Caller, error)) (err error) {
	if err := s.withinBudget(c); err != nil {
		return err
	}
	ctx, span := trace.Start(c.Request.Context(), "authenticate")
	defer func() { span.End(err) }()
	r := requestOf(ctx)
	if r.caller, err = find(ctx); err != nil {
		return err
	}
	span.Attr("writ.caller", r.caller.ID)
	span.Attr("writ.org", r.caller.Org)
	return s.withinQuota(c, r.caller)
}

func (s *server) withinBudget(c *gin.Context) error {
	if s.budget.clean() {
		return nil
	}
	wait := s.budget.wait(network(c.Request), s.Now())
	if wait <= 0 {
		return nil
	}
	p := problem.Of(problem.RateLimited, "too many failed authentications from this network address")
	p.RetryAfter = int(math.Ceil(wait.Seconds()))
	return p
}

// refuse answers an authentication error, counts it, and charges it to the
// address it came from. A missing credential costs nothing to find out.
func (s *server) refuse(c *gin.Context, err error) {
	s.charge(c, err)
	s.fail(c, err)
}

func (s *server) charge(c *gin.Context, err error) {
	var e *registry.Error
	if errors.As(err, &e) && e.Kind == registry.Unauthenticated {
		s.Metrics.refused.WithLabelValues(e.Code).Inc()
		if e.Code != "missing_credential" {
			s.budget.spend(network(c.Request), s.Now())
		}
	}
}

var errCredential = &registry.Error{Kind: registry.Unauthenticated, Code: "malformed_credential", Detail: "Authorization must be one Bearer credential"}

// bearer reads the credential of RFC 6750, section 2.1; "" where there is none.
func bearer(h http.Header) (string, error) {
	values := h.Values("Authorization")
	if len(values) == 0 {
		return "", nil
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	if len(values) > 1 || !ok || !strings.EqualFold(scheme, "Bearer") || !printable(token, 512) || strings.Contains(token, " ") {
		return "", errCredential
	}
	return token, nil
}

// network is what failures are charged to: an IPv4 address, or the /64 that one
// IPv6 subscriber has.
func network(r *http.Request) string {
	addr, err := netip.ParseAddr(remote(r))
	if err != nil {
		return r.RemoteAddr
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is4() {
		return addr.String()
	}
	p, err := addr.Prefix(64)
	if err != nil {
		return addr.String()
	}
	return p.String()
}

// Defaults of the failure budget.
const (
	DefaultFailureBurst = 100
	DefaultFailureRate  = 5.0
)

// maxTracked is how many addresses, or callers, a budget remembers.
const maxTracked = 1 << 16

// budget is a token bucket for each address, or each caller. One without a
// bucket has a full one.
type budget struct {
	burst, rate float64
	mu          sync.Mutex
	spent       map[string]debt // guarded by mu
}

// debt is how many tokens were missing at a time.
type debt struct {
	tokens float64
	at     time.Time
}

func newBudget(burst int, rate float64) *budget {
	return &budget{burst: float64(burst), rate: rate, spent: map[string]debt{}}
}

// clean reports that nobody owes anything.
func (b *budget) clean() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.spent) == 0
}

// left is what is still missing from d now.
func (b *budget) left(d debt, now time.Time) float64 {
	return max(0, d.tokens-max(0, now.Sub(d.at).Seconds())*b.rate)
}

// wait is how long the address must wait before it may try again; 0 = not.
func (b *budget) wait(addr string, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.owed(addr, now)
}

func (b *budget) owed(addr string, now time.Time) time.Duration {
	over := b.left(b.spent[addr], now) - (b.burst - 1)
	if over <= 0 {
		return 0
	}
	return time.Duration(over / b.rate * float64(time.Second))
}

// spend charges one failure.
func (b *budget) spend(addr string, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.charge(addr, now)
}

// take spends one token where there is one, else says how long to wait.
func (b *budget) take(caller string, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	wait := b.owed(caller, now)
	if wait <= 0 {
		b.charge(caller, now)
	}
	return wait
}

func (b *budget) charge(addr string, now time.Time) {
	if _, known := b.spent[addr]; !known && len(b.spent) >= maxTracked {
		b.forget(now)
	}
	b.spent[addr] = debt{min(b.left(b.spent[addr], now)+1, b.burst), now}
}

// forget makes room: addresses that owe nothing any more, else any one.
func (b *budget) forget(now time.Time) {
	for addr, d := range b.spent {
		if b.left(d, now) == 0 {
			delete(b.spent, addr)
		}
	}
	for addr := range b.spent {
		if len(b.spent) < maxTracked {
			return
		}
		delete(b.spent, addr)
	}
}
