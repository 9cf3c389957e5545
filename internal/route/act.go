package route

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/url"
	"strings"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/registry/capability"
)

// Router maps requests to acts. It is safe for concurrent use.
type Router struct {
	audience string
	routes   []Route
}

// Audience is the id of the resource server that the table is for.
func (r *Router) Audience() string { return r.audience }

// Request is an HTTP request, as it was received.
type Request struct {
	Method string
	Target string // origin form of RFC 9112, section 3.2.1: path and query, still escaped
	// Seen: Body is the whole body. Otherwise Length says whether there is one, and
	// Digest is its Content-Digest, which whoever executes the request must compare.
	Body   []byte
	Seen   bool
	Length int64  // -1: not known
	Digest string // Content-Digest field (RFC 9530); "" = none
	Media  string // Content-Type
	Coding string // Content-Encoding
	Task   string
}

// Overriding are header fields by which some servers take a request for another one.
// Who maps requests refuses those that have one.
var Overriding = []string{"X-Http-Method-Override", "X-Http-Method", "X-Method-Override", "X-Original-Url", "X-Rewrite-Url"}

// The reasons why a request is no act.
var (
	ErrNoRoute = errors.New("no route fits the request")
	ErrRequest = errors.New("the request cannot be mapped")
	ErrUnseen  = errors.New("the body is an argument of the act, and the proxy did not pass it on")
)

func unfit(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrRequest, fmt.Sprintf(format, args...))
}

// Act maps a request. Errors: ErrNoRoute, ErrRequest and ErrUnseen, by errors.Is;
// their text holds nothing of the body.
func (r *Router) Act(q Request) (capability.Act, error) {
	path, query, _ := strings.Cut(q.Target, "?")
	if strings.ContainsAny(q.Target, "#\\;") || strings.ContainsFunc(q.Target, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return capability.Act{}, unfit("its target has characters that servers read differently")
	}
	segments, err := split(path)
	if err != nil {
		return capability.Act{}, unfit("its path %v", err)
	}
	for i := range r.routes {
		vars, ok, err := r.routes[i].match(q.Method, segments)
		if err != nil {
			return capability.Act{}, err
		}
		if ok {
			return r.routes[i].act(q, vars, query)
		}
	}
	return capability.Act{}, ErrNoRoute
}

// match fits a path to the template and returns its variables, unescaped once.
func (r *Route) match(method string, segments []string) (map[string]string, bool, error) {
	n := len(r.segments)
	open := n > 0 && rest(r.segments[n-1])
	if method != r.Method || len(segments) < n || !open && len(segments) != n {
		return nil, false, nil
	}
	vars := map[string]string{}
	for i, want := range r.segments {
		if !variable(want) {
			// Fixed text has no escapes: another spelling of it is another path here.
			if segments[i] != want {
				return nil, false, nil
			}
			continue
		}
		raw := segments[i : i+1]
		name := strings.Trim(want, "{}")
		if open && i == n-1 {
			raw, name = segments[i:], strings.TrimSuffix(name, "...")
		}
		parts := make([]string, len(raw))
		for j, s := range raw {
			text, err := url.PathUnescape(s)
			if err != nil || text == "" || text == "." || text == ".." || strings.ContainsAny(text, "/\\%;") || strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c == 0x7f || c == 0xfffd }) {
				return nil, false, unfit("a segment of its path is one that servers read differently")
			}
			parts[j] = text
		}
		vars[name] = strings.Join(parts, "/")
	}
	return vars, true, nil
}

func (r *Route) act(q Request, vars map[string]string, query string) (capability.Act, error) {
	verb, kind, _ := strings.Cut(r.Action, ":")
	act := capability.Act{Action: verb, Resource: capability.Resource{Type: kind}, Task: q.Task}
	used := map[string]bool{}
	act.Resource.ID = inTextRE.ReplaceAllStringFunc(r.Resource, func(m string) string {
		name := strings.Trim(m, "{}")
		used[name] = true
		return vars[name]
	})
	args := map[string]json.RawMessage{}
	put := func(name string, value json.RawMessage) error {
		if _, twice := args[name]; twice {
			return unfit("two of its parts are the argument %q", name)
		}
		args[name] = value
		return nil
	}
	for name, value := range vars {
		if !used[name] {
			args[name] = canon.AppendString(nil, value)
		}
	}
	params, err := url.ParseQuery(query)
	if err != nil || strings.Contains(query, "+") {
		return act, unfit("its query is not well-formed, or has a + that is not escaped: write %%20 for a space")
	}
	for name, values := range params {
		if text := name + values[0]; strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c == 0x7f || c == 0xfffd }) {
			return act, unfit("its query has characters that servers read differently")
		}
		if len(values) != 1 {
			return act, unfit("its query has %q more than once", name)
		}
		if err := put(name, canon.AppendString(nil, values[0])); err != nil {
			return act, err
		}
	}
	if err := r.body(q, put); err != nil {
		return act, err
	}
	if len(args) > 0 {
		if act.Arguments, err = canon.Marshal(args); err != nil {
			return act, unfit("its parts are not UTF-8")
		}
	}
	return act, nil
}

// body puts the body into the arguments.
func (r *Route) body(q Request, put func(string, json.RawMessage) error) error {
	some := q.Seen && len(q.Body) > 0 || !q.Seen && q.Length != 0
	switch {
	case r.Body == BodyNone && some:
		return unfit("its route has no body")
	case r.Body == BodyNone:
		return nil
	case r.Body == BodyDigest:
		digest, err := q.digest()
		if err != nil {
			return err
		}
		return put(DigestArgument, canon.AppendString(nil, digest))
	case !q.Seen && some:
		return ErrUnseen
	case !some:
		return nil
	case q.Coding != "" && !strings.EqualFold(q.Coding, "identity"):
		return unfit("its body is compressed")
	}
	if media, _, err := mime.ParseMediaType(q.Media); err != nil || media != "application/json" {
		return unfit("its body is not application/json")
	}
	var members map[string]json.RawMessage
	if err := canon.Unmarshal(q.Body, &members); err != nil || members == nil {
		return unfit("its body is not one strict JSON object")
	}
	for name, value := range members {
		if err := put(name, value); err != nil {
			return err
		}
	}
	return nil
}

// digest is base64url of the SHA-256 of the body: as seen, or as Content-Digest says.
func (q Request) digest() (string, error) {
	if q.Seen {
		sum := sha256.Sum256(q.Body)
		if q.Digest != "" && q.Digest != FormatDigest(q.Body) {
			return "", unfit("its Content-Digest is not that of its body")
		}
		return base64.RawURLEncoding.EncodeToString(sum[:]), nil
	}
	text, ok := strings.CutPrefix(q.Digest, "sha-256=:")
	text, closed := strings.CutSuffix(text, ":")
	sum, err := base64.StdEncoding.Strict().DecodeString(text)
	if !ok || !closed || err != nil || len(sum) != sha256.Size {
		return "", unfit("its Content-Digest is not one sha-256")
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}

// FormatDigest is the Content-Digest of a body, with SHA-256 (RFC 9530, section 2).
func FormatDigest(body []byte) string {
	sum := sha256.Sum256(body)
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}
