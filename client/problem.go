package client

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/writ-registry/writ/internal/canon"
)

// Problem is the registry's account of why a call failed: a problem document
// (RFC 9457). An answer that is none, such as a proxy's, becomes a Problem of
// its status.
type Problem struct {
	Type     string          `json:"type"`
	Title    string          `json:"title"`
	Status   int             `json:"status"`
	Detail   string          `json:"detail"`
	Instance string          `json:"instance"`
	Code     string          `json:"code"`   // machine-readable reason within the type, "" if none
	Field    string          `json:"field"`  // RFC 6901 pointer to the member at fault, "" if none
	Errors   json.RawMessage `json:"errors"` // further faults, as the registry sent them

	RequestID  string        `json:"-"` // names the request in the registry's log
	RetryAfter time.Duration `json:"-"` // how long the registry asks to wait, 0 if it does not say
}

// Error says what went wrong, for people, in one line.
func (p *Problem) Error() string {
	s := p.Detail
	if s == "" {
		s = p.Title
	}
	if p.Field != "" {
		s += " (" + p.Field + ")"
	}
	if p.Code != "" {
		s += " [" + p.Code + "]"
	}
	return fmt.Sprintf("%d %s: %s", p.Status, strings.ToLower(http.StatusText(p.Status)), s)
}

// Temporary reports whether the same request may succeed later: the registry is
// overloaded, or says when to come back (such as for a receipt that no
// checkpoint covers yet).
func (p *Problem) Temporary() bool {
	return p.Status == http.StatusServiceUnavailable || p.Status == http.StatusTooManyRequests || p.RetryAfter > 0
}

// readProblem makes a Problem of an answer whose status is not 2xx. The status
// of the answer wins over the one in the document, as RFC 9457 section 3.1.3
// makes the latter advisory.
func readProblem(resp *http.Response, body []byte, now time.Time) *Problem {
	p := &Problem{}
	media, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || media != "application/problem+json" || canon.UnmarshalOpen(body, p) != nil {
		*p = Problem{Detail: "the answer is not a problem document"}
	}
	p.Status = resp.StatusCode
	if p.Type == "" {
		p.Type = "about:blank"
	}
	if p.Title == "" {
		p.Title = http.StatusText(resp.StatusCode)
	}
	p.RequestID = resp.Header.Get("X-Request-ID")
	p.RetryAfter = retryAfter(resp.Header.Get("Retry-After"), now)
	return p
}

// retryAfter reads a Retry-After field (RFC 9110 section 10.2.3): seconds or a
// date. What is neither, or lies in the past, is 0.
func retryAfter(field string, now time.Time) time.Duration {
	if field == "" {
		return 0
	}
	var seconds int64
	if n, err := fmt.Sscanf(field, "%d", &seconds); err == nil && n == 1 && fmt.Sprint(seconds) == field {
		if seconds < 0 || seconds > int64(24*time.Hour/time.Second) {
			return 0
		}
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(field); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
