package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/writ-registry/writ/api/problem"
	"github.com/writ-registry/writ/internal/trace"
	"github.com/writ-registry/writ/registry"
)

// request is what is known of a request so far. One goroutine owns it.
type request struct {
	id     string
	path   string // as it was sent
	trace  string // W3C trace-id
	span   *trace.Span
	caller registry.Caller
	signed registry.Signature // where the caller is an agent that signed the request
	idem   *registry.Idempotency
	body   []byte          // strict JSON, once it has been read
	code   string          // of the problem answered, for the access log
	org    string          // name of the org of a person who is signed in to the pages
	visit  *registry.Visit // of a person who is signed in by an issuer
	form   string          // what forms of that session have in them
}

type requestKey struct{}

// requestOf returns the request that begin put into the context.
func requestOf(ctx context.Context) *request { return ctx.Value(requestKey{}).(*request) }

func (r *request) call() registry.Call {
	return registry.Call{Caller: r.caller, Signature: r.signed, Trace: r.trace, Idem: r.idem}
}

// begin names the request and sets the headers that every answer has.
func (s *server) begin(c *gin.Context) {
	root := traceOf(c.GetHeader("Traceparent"))
	r := &request{id: c.GetHeader("X-Request-Id"), path: c.Request.URL.EscapedPath(), trace: root.Trace}
	if !printable(r.id, 128) {
		r.id = randomHex()
	}
	ctx := context.WithValue(c.Request.Context(), requestKey{}, r)
	if !probe(c) {
		ctx, r.span = s.Tracer.Begin(ctx, "request", root)
	}
	c.Request = c.Request.WithContext(ctx)
	h := c.Writer.Header()
	for _, header := range everyAnswer {
		h[header.name] = header.value
	}
	h["X-Request-Id"] = []string{r.id}
}

// everyAnswer is the headers that every answer has, by their canonical names.
// The values are shared: to change one is to set another in its place.
var everyAnswer = []struct {
	name  string
	value []string
}{
	{"X-Content-Type-Options", []string{"nosniff"}},
	{"Content-Security-Policy", []string{"default-src 'none'; frame-ancestors 'none'"}},
	{"Referrer-Policy", []string{"no-referrer"}},
	{"Cache-Control", []string{"no-store"}}, // what is public and cacheable says so itself
}

// traceOf reads a valid traceparent (W3C Trace Context, section 3.2.2), or makes
// a trace-id. It is in the artifact as well: a span and its evidence share it.
func traceOf(parent string) trace.Root {
	if parent == "" {
		return trace.Root{Trace: randomHex()}
	}
	p := strings.Split(parent, "-")
	version := len(p) >= 4 && isLowerHex(p[0], 2) && p[0] != "ff" && (p[0] != "00" || len(p) == 4)
	if version && isLowerHex(p[1], 32) && isLowerHex(p[2], 16) && isLowerHex(p[3], 2) &&
		strings.Trim(p[1], "0") != "" && strings.Trim(p[2], "0") != "" {
		return trace.Root{Trace: p[1], Span: p[2], Sampled: strings.IndexByte("13579bdf", p[3][1]) >= 0}
	}
	return trace.Root{Trace: randomHex()}
}

func isLowerHex(s string, n int) bool {
	return len(s) == n && strings.Trim(s, "0123456789abcdef") == ""
}

func randomHex() string {
	var b [16]byte
	var text [32]byte
	rand.Read(b[:]) // never fails
	hex.Encode(text[:], b[:])
	return string(text[:])
}

// printable reports 1 to max printable ASCII characters.
func printable(s string, max int) bool {
	return s != "" && len(s) <= max && !strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r > 0x7e })
}

// observe counts the request and logs one line about it: who, what, how long.
// Neither bodies nor headers nor query strings are in it.
func (s *server) observe(c *gin.Context) {
	started := time.Now()
	c.Next()
	took := time.Since(started)
	s.Metrics.request(c, took)
	r := requestOf(c.Request.Context())
	r.endSpan(c)
	if !s.Logger.Enabled(c.Request.Context(), slog.LevelInfo) {
		return
	}
	attrs := append(make([]slog.Attr, 0, 10),
		slog.String("method", method(c.Request.Method)), slog.String("route", c.FullPath()), slog.Int("status", c.Writer.Status()),
		slog.Int("bytes", max(c.Writer.Size(), 0)), slog.Duration("took", took), slog.String("remote", remote(c.Request)),
		slog.String("request_id", r.id), slog.String("trace", r.trace),
	)
	if r.caller.ID != "" {
		attrs = append(attrs, slog.String("caller", string(r.caller.Kind)+":"+r.caller.ID))
	}
	if r.code != "" {
		attrs = append(attrs, slog.String("code", r.code))
	}
	s.Logger.LogAttrs(c.Request.Context(), slog.LevelInfo, "request", attrs...)
}

var errServer = errors.New("answered 5xx")

// endSpan says how the request ended, in the words of OpenTelemetry's
// conventions for HTTP where there are such. The path is not in it: the
// identifiers there say more than the route.
func (r *request) endSpan(c *gin.Context) {
	if r.span == nil {
		return
	}
	r.span.Attr("http.request.method", method(c.Request.Method))
	r.span.Attr("http.route", c.FullPath())
	r.span.Int("http.response.status_code", int64(c.Writer.Status()))
	if r.code != "" {
		r.span.Attr("writ.code", r.code)
	}
	var err error
	if c.Writer.Status() >= http.StatusInternalServerError {
		err = errServer
	}
	r.span.End(err)
}

// remote is the peer's address. Forwarding headers are not believed.
func remote(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// recover turns a panic into a 500. The stack goes to the log, once.
func (s *server) recover(c *gin.Context) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			panic(v) // net/http's own way to cut a connection
		}
		s.Logger.ErrorContext(c.Request.Context(), "panic", "value", fmt.Sprint(v), "stack", string(debug.Stack()))
		if !c.Writer.Written() {
			s.write(c, problem.Of(problem.Internal, ""))
		}
		c.Abort()
	}()
	c.Next()
}

// params unescapes path parameters, exactly once: routing saw them escaped.
func (s *server) params(c *gin.Context) {
	for i, p := range c.Params {
		v, err := url.PathUnescape(p.Value)
		if err != nil {
			s.fail(c, registry.Invalid("/"+p.Key, "is not percent-encoded correctly"))
			return
		}
		c.Params[i].Value = v
	}
}

// fail answers with the problem of err and ends the request.
func (s *server) fail(c *gin.Context, err error) {
	s.write(c, s.problem(c.Request.Context(), err))
	c.Abort()
}

// problem makes the problem of err and notes it in the request.
func (s *server) problem(ctx context.Context, err error) *problem.Problem {
	r := requestOf(ctx)
	p := problem.From(ctx, s.logger(ctx), err)
	p.Instance, r.code = r.path, p.Code
	return p
}

// entitled is problem for those who may see some things and not others: what
// is not theirs answers as what is not, whichever use case noticed it.
func (s *server) entitled(ctx context.Context, err error) *problem.Problem {
	p := s.problem(ctx, err)
	if errors.Is(err, registry.NotFound) {
		p.Detail = "there is no such thing, or it is not yours to see"
	}
	return p
}

// logger names the request in what is logged about it.
func (s *server) logger(ctx context.Context) *slog.Logger {
	r := requestOf(ctx)
	return s.Logger.With("request_id", r.id, "trace", r.trace)
}

func (s *server) write(c *gin.Context, p *problem.Problem) {
	r := requestOf(c.Request.Context())
	p.Instance, r.code = r.path, p.Code
	for name, values := range p.GetHeaders() {
		c.Writer.Header()[name] = values
	}
	send(c, p.Status, problem.ContentType, p)
}

// answer is a text that is being made.
type answer struct {
	buf bytes.Buffer
	enc *json.Encoder
}

// answers are those that are not in use.
var answers = sync.Pool{New: func() any {
	a := &answer{}
	a.enc = json.NewEncoder(&a.buf)
	a.enc.SetEscapeHTML(false) // artifacts keep their canonical bytes
	return a
}}

// maxKept is the longest answer whose memory is used again.
const maxKept = 64 << 10

// send writes v as JSON. What the registry answers always encodes.
func send(c *gin.Context, status int, contentType string, v any) {
	a := answers.Get().(*answer)
	a.buf.Reset()
	if err := a.enc.Encode(v); err != nil {
		panic(err)
	}
	c.Writer.Header()["Content-Type"] = []string{contentType}
	c.Status(status)
	_, _ = c.Writer.Write(a.buf.Bytes()) // who has gone needs no answer
	if a.buf.Cap() <= maxKept {
		answers.Put(a)
	}
}

func (s *server) noRoute(c *gin.Context) {
	s.fail(c, registry.Errorf(registry.NotFound, "no such resource"))
}

func (s *server) noMethod(c *gin.Context) {
	s.fail(c, registry.Errorf(problem.Method, "this resource does not answer to %s", method(c.Request.Method)))
}
