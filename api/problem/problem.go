// Package problem is the one place where an error becomes an answer: the table
// from error kinds to HTTP statuses, and the RFC 9457 problem document that is
// sent. Every door of the registry uses it.
package problem

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/writ-registry/writ/anchor"
	"github.com/writ-registry/writ/registry"
)

// ContentType is the media type of a Problem (RFC 9457, section 3).
const ContentType = "application/problem+json"

// Kinds that only a door has; the domain's are in package registry.
const (
	MediaType   registry.Kind = "unsupported-media-type"
	Method      registry.Kind = "method-not-allowed"
	RateLimited registry.Kind = "rate-limited"
	Internal    registry.Kind = "internal"
)

// entry is what one kind of error is to a caller.
type entry struct {
	Kind       registry.Kind
	Status     int
	Title      string
	RetryAfter int // seconds; 0 = do not say
}

// table is the whole mapping. The type URI of a kind is urn:writ:problem: and
// the kind; it is a name, and stable.
var table = []entry{
	{registry.Malformed, http.StatusBadRequest, "The request is malformed", 0},
	{registry.Unauthenticated, http.StatusUnauthorized, "The caller or its proof is not authentic", 0},
	{registry.Denied, http.StatusForbidden, "The caller may not do this", 0},
	{registry.NotFound, http.StatusNotFound, "There is no such thing", 0},
	{Method, http.StatusMethodNotAllowed, "This resource has no such method", 0},
	{registry.Conflict, http.StatusConflict, "The state does not allow it", 0},
	{registry.Revoked, http.StatusGone, "It has ended for good", 0},
	{registry.TooLarge, http.StatusRequestEntityTooLarge, "Something is over its limit", 0},
	{MediaType, http.StatusUnsupportedMediaType, "The body is not in a supported format", 0},
	{registry.Mismatch, http.StatusUnprocessableEntity, "The Idempotency-Key belongs to another request", 0},
	{RateLimited, http.StatusTooManyRequests, "Too many requests", 0},
	{Internal, http.StatusInternalServerError, "The registry failed", 0},
	{registry.Unavailable, http.StatusServiceUnavailable, "Try again later", 1},
}

// sentinels are the errors of package anchor that callers can act on, with the
// sentence to say.
var sentinels = []struct {
	err    error
	entry  entry
	detail string
}{
	{anchor.ErrNotIntegrated, entry{registry.NotFound, http.StatusNotFound, "There is no such thing yet", 1}, "the event is recorded, and no signed checkpoint covers it yet"},
	{anchor.ErrPushback, entry{registry.Unavailable, http.StatusServiceUnavailable, "Try again later", 5}, "the ledger takes no more for the moment"},
	{anchor.ErrFork, entry{registry.Unavailable, http.StatusServiceUnavailable, "Try again later", 60}, "the log is stopped until an operator has looked at it"},
	{anchor.ErrReorged, entry{registry.Unavailable, http.StatusServiceUnavailable, "Try again later", 5}, "the ledger dropped the anchor; it is being sent again"},
}

// Problem is an RFC 9457 problem document.
type Problem struct {
	Type     string `json:"type" format:"uri" doc:"Stable name of the kind of problem" example:"urn:writ:problem:not-found"`
	Title    string `json:"title" doc:"The kind of problem, in words"`
	Status   int    `json:"status" doc:"The HTTP status"`
	Detail   string `json:"detail,omitempty" doc:"What happened here"`
	Instance string `json:"instance,omitempty" doc:"The path of the request"`
	Code     string `json:"code,omitempty" doc:"Machine-readable reason where the type alone is not enough"`
	Field    string `json:"field,omitempty" doc:"RFC 6901 pointer to the member of the input at fault"`
	Errors   []Item `json:"errors,omitempty" doc:"All faults, where there are several"`

	RetryAfter int `json:"-"` // seconds; 0 = do not say
}

// Item is one fault of several.
type Item struct {
	Detail string `json:"detail"`
	Field  string `json:"field,omitempty" doc:"RFC 6901 pointer"`

	Policy string `json:"policy,omitempty" doc:"Id of the Cedar policy at fault"`
	Line   int    `json:"line,omitempty" doc:"Of the text, from 1"`
	Column int    `json:"column,omitempty" doc:"From 1"`
}

// Error makes a Problem an error, so that handlers return it.
func (p *Problem) Error() string { return p.Title + ": " + p.Detail }

// GetStatus is the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType replaces the media type of the answer.
func (p *Problem) ContentType(string) string { return ContentType }

// GetHeaders are the headers that go with the problem.
func (p *Problem) GetHeaders() http.Header {
	h := http.Header{}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="writ"`) // RFC 9110, section 11.6.1: a 401 has one
	}
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	return h
}

// Of makes a Problem of a kind.
func Of(kind registry.Kind, detail string) *Problem {
	for _, e := range table {
		if e.Kind == kind {
			return e.problem(detail)
		}
	}
	return Of(Internal, "")
}

func (e entry) problem(detail string) *Problem {
	return &Problem{Type: "urn:writ:problem:" + string(e.Kind), Title: e.Title, Status: e.Status, Detail: detail, RetryAfter: e.RetryAfter}
}

// From makes the Problem of an error. The outermost *registry.Error wins, and
// only its Detail, Code and Field are shown. What is in no table is a 500
// without detail. Causes that an operator must know of are logged, once, here.
func From(ctx context.Context, log *slog.Logger, err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	p = classify(err)
	switch {
	case ctx.Err() != nil: // the caller has gone; nobody is to be told
	case p.Status == http.StatusInternalServerError:
		log.ErrorContext(ctx, "request failed", "err", err)
	case p.Status == http.StatusServiceUnavailable:
		log.WarnContext(ctx, "request refused for now", "err", err)
	}
	return p
}

func classify(err error) *Problem {
	var e *registry.Error
	if errors.As(err, &e) {
		p := Of(e.Kind, e.Detail)
		if p.Status != http.StatusInternalServerError {
			p.Code, p.Field = e.Code, e.Field
		}
		return p
	}
	for _, s := range sentinels {
		if errors.Is(err, s.err) {
			return s.entry.problem(s.detail)
		}
	}
	var kind registry.Kind
	if errors.As(err, &kind) { // a bare kind: nothing to show but itself
		return Of(kind, "")
	}
	return Of(Internal, "")
}
