package api

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/writ-registry/writ/api/problem"
	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/registry"
)

// MaxBody is the longest request body that is read.
const MaxBody = 1 << 20

// maxKey is the longest Idempotency-Key.
const maxKey = 255

var errTooLong = registry.Errorf(registry.TooLarge, "the body is longer than %d bytes", MaxBody)

// limit refuses a body that says it is too long, before anything else is
// looked at, and cuts off one that does not say.
func (s *server) limit(c *gin.Context) {
	if c.Request.ContentLength > MaxBody {
		s.fail(c, errTooLong)
		return
	}
	c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, MaxBody)
}

// strictBody reads the body of a /v1 request and refuses all but one strict
// JSON value, and query parameters that are given twice.
func (s *server) strictBody(c *gin.Context) {
	if c.Request.URL.RawQuery != "" {
		query, err := queryOf(c.Request)
		if err != nil {
			s.fail(c, err)
			return
		}
		for name, values := range query {
			if len(values) > 1 {
				s.fail(c, registry.Invalid("/"+pointerToken(name), "is given more than once"))
				return
			}
		}
	}
	if c.Request.Method == http.MethodGet {
		return
	}
	if err := readJSON(c, false); err != nil {
		s.fail(c, err)
		return
	}
	c.Request.Body = io.NopCloser(bytes.NewReader(requestOf(c.Request.Context()).body)) // huma reads it again
}

// openBody reads the body of an AuthZEN request, which there must be. Any fault of
// it is a 400 there (AuthZEN Authorization API 1.0, section 10.1.2), other media
// types too.
func (s *server) openBody(c *gin.Context) {
	err := readJSON(c, true)
	var e *registry.Error
	if errors.As(err, &e) && e.Kind == problem.MediaType {
		err = registry.Errorf(registry.Malformed, "%s", e.Detail)
	}
	if err != nil {
		s.fail(c, err)
	}
}

// trusted is how much memory a request gets for what it says it will send; more
// it gets as it comes.
const trusted = 16 << 10

// readWhole reads the body within the limit.
func readWhole(c *gin.Context) ([]byte, error) {
	var buf bytes.Buffer
	buf.Grow(int(min(max(c.Request.ContentLength, 0), trusted)) + bytes.MinRead)
	_, err := buf.ReadFrom(c.Request.Body)
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		return nil, registry.Errorf(registry.TooLarge, "the body is longer than %d bytes", tooLong.Limit)
	case err != nil:
		return nil, &registry.Error{Kind: registry.Malformed, Detail: "the body did not arrive whole", Err: err}
	}
	return buf.Bytes(), nil
}

// readJSON keeps the body in the request.
func readJSON(c *gin.Context, required bool) error {
	data, err := readWhole(c)
	switch {
	case err != nil:
		return err
	case len(data) == 0 && required:
		return registry.Errorf(registry.Malformed, "the request body is missing")
	case len(data) == 0:
		return nil
	}
	if err := checkMediaType(c.Request.Header); err != nil {
		return err
	}
	if err := canon.Check(data); err != nil {
		return malformedJSON(err)
	}
	requestOf(c.Request.Context()).body = data
	return nil
}

func checkMediaType(h http.Header) error {
	if media := h.Get("Content-Type"); media != "application/json" {
		kind, params, err := mime.ParseMediaType(media)
		charset, named := params["charset"]
		if err != nil || kind != "application/json" || named && !strings.EqualFold(charset, "utf-8") {
			return registry.Errorf(problem.MediaType, "the body must be application/json")
		}
	}
	if e := h.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return registry.Errorf(problem.MediaType, "compressed bodies are not read")
	}
	return nil
}

// malformedJSON says where a JSON text is at fault, and not what it held.
func malformedJSON(err error) error {
	var syn *canon.SyntaxError
	if !errors.As(err, &syn) {
		return registry.Errorf(registry.Malformed, "the body is not JSON")
	}
	return &registry.Error{Kind: registry.Malformed, Code: "json", Field: syn.Pointer, Detail: fmt.Sprintf("%s (byte %d)", syn.Msg, syn.Offset)}
}

// idempotent takes the Idempotency-Key of a request that changes something. It
// runs after authentication: a key belongs to its caller.
func (s *server) idempotent(c *gin.Context) {
	keys := c.Request.Header.Values("Idempotency-Key")
	if c.Request.Method == http.MethodGet || len(keys) == 0 {
		return
	}
	if len(keys) > 1 || !printable(keys[0], maxKey) {
		s.fail(c, &registry.Error{Kind: registry.Malformed, Code: "idempotency_key", Detail: fmt.Sprintf("Idempotency-Key must be 1 to %d printable ASCII characters, once", maxKey)})
		return
	}
	r := requestOf(c.Request.Context())
	form := r.body
	if len(form) > 0 {
		var err error
		if form, err = canon.Canonical(form); err != nil { // it passed Check
			s.fail(c, err)
			return
		}
	}
	r.idem = &registry.Idempotency{
		Scope:  fmt.Sprintf("%s:%s %s %s", r.caller.Kind, r.caller.ID, c.Request.Method, c.Request.URL.EscapedPath()),
		Key:    keys[0],
		Digest: canon.Digest(form),
	}
}

// queryOf parses the query string strictly: what does not parse is refused,
// not dropped.
func queryOf(r *http.Request) (url.Values, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, registry.Errorf(registry.Malformed, "the query string is not well-formed")
	}
	return q, nil
}
