package route

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/registry/capability"
)

// The ways in which a body becomes part of the act.
const (
	BodyNone   = ""       // there is none: a request with one is refused
	BodyJSON   = "json"   // a JSON object, whose members are arguments
	BodyDigest = "digest" // its SHA-256 is the argument DigestArgument (RFC 9530)
)

// DigestArgument is the argument that holds the digest of a body, in base64url.
const DigestArgument = "content_digest"

// Limits of a table.
const (
	MaxRoutes   = 256
	maxTemplate = 512 // bytes
)

// Table maps the requests to one resource server. Its digest pins it.
type Table struct {
	Audience string  `json:"audience"` // id of the resource server: the aud of action proofs
	Routes   []Route `json:"routes"`
}

// Route maps requests of one method whose path fits a template: /invoices/{id}/lines.
// A name in braces stands for one segment, and as the last one {name...} for the rest.
type Route struct {
	Method   string   `json:"method"` // GET, POST, ...
	Path     string   `json:"path"`
	Action   string   `json:"action"`         // verb:type, as in the catalogue
	Resource string   `json:"resource"`       // the resource's id, which may name variables of the path: {id}
	Body     string   `json:"body,omitempty"` // BodyNone | BodyJSON | BodyDigest
	segments []string // of Path
}

// Digest names the table: base64url SHA-256 of its JCS form.
func (t Table) Digest() (string, error) {
	form, err := canon.Marshal(t)
	return canon.Digest(form), err
}

// Error says what is wrong with a table, at an RFC 6901 pointer.
type Error struct{ Field, Detail string }

// Error returns "field: detail".
func (e *Error) Error() string { return e.Field + ": " + e.Detail }

var (
	methodRE   = regexp.MustCompile(`^[A-Z]{1,16}$`)
	variableRE = regexp.MustCompile(`^\{([a-z][a-z0-9_]{0,63})(\.\.\.)?\}$`)
	inTextRE   = regexp.MustCompile(`\{([^{}]*)\}`)
)

// Compile checks the table and makes it ready for Act. Errors: *Error.
func (t Table) Compile() (*Router, error) {
	if t.Audience == "" {
		return nil, &Error{"/audience", "is required"}
	}
	if len(t.Routes) == 0 || len(t.Routes) > MaxRoutes {
		return nil, &Error{"/routes", fmt.Sprintf("needs 1 to %d routes", MaxRoutes)}
	}
	r := &Router{audience: t.Audience, routes: slices.Clone(t.Routes)}
	for i := range r.routes {
		at := fmt.Sprintf("/routes/%d", i)
		if err := r.routes[i].compile(at); err != nil {
			return nil, err
		}
		for _, before := range r.routes[:i] {
			if before.overlaps(r.routes[i]) {
				return nil, &Error{at + "/path", "fits requests that an earlier route fits: of one method, two routes must differ in a fixed segment at the same place, or in length"}
			}
		}
	}
	return r, nil
}

func (r *Route) compile(at string) error {
	if !methodRE.MatchString(r.Method) {
		return &Error{at + "/method", "must be a method in capitals"}
	}
	set, err := capability.Parse(r.Action)
	if err != nil || set.Len() != 1 || set.String() != r.Action || strings.ContainsAny(r.Action, "/(;") || strings.HasSuffix(r.Action, ":none") {
		return &Error{at + "/action", "must be verb:type, such as read:invoices"}
	}
	if !slices.Contains([]string{BodyNone, BodyJSON, BodyDigest}, r.Body) {
		return &Error{at + "/body", "must be json, digest, or absent"}
	}
	if len(r.Path) > maxTemplate || len(r.Resource) > maxTemplate || r.Resource == "" {
		return &Error{at, fmt.Sprintf("path and resource must be 1 to %d bytes", maxTemplate)}
	}
	if r.segments, err = split(r.Path); err != nil {
		return &Error{at + "/path", err.Error()}
	}
	names := map[string]bool{}
	for i, s := range r.segments {
		m := variableRE.FindStringSubmatch(s)
		switch {
		case m == nil && strings.ContainsAny(s, "{}%"):
			return &Error{at + "/path", "a segment is fixed text without escapes, or {name}"}
		case m == nil:
			continue
		case m[2] != "" && i != len(r.segments)-1:
			return &Error{at + "/path", "only the last segment may stand for the rest"}
		case names[m[1]]:
			return &Error{at + "/path", "{" + m[1] + "} stands there twice"}
		}
		names[m[1]] = true
	}
	for _, m := range inTextRE.FindAllStringSubmatch(r.Resource, -1) {
		if !names[m[1]] {
			return &Error{at + "/resource", "{" + m[1] + "} is no variable of the path"}
		}
	}
	if strings.ContainsAny(inTextRE.ReplaceAllString(r.Resource, ""), "{}") {
		return &Error{at + "/resource", "has a brace without its other half"}
	}
	return nil
}

// overlaps reports whether some request fits both.
func (r Route) overlaps(o Route) bool {
	if r.Method != o.Method {
		return false
	}
	for i := 0; ; i++ {
		switch {
		case i == len(r.segments) || i == len(o.segments):
			return len(r.segments) == len(o.segments)
		case rest(r.segments[i]) || rest(o.segments[i]):
			return true
		case !variable(r.segments[i]) && !variable(o.segments[i]) && r.segments[i] != o.segments[i]:
			return false
		}
	}
}

func variable(segment string) bool { return strings.HasPrefix(segment, "{") }
func rest(segment string) bool     { return strings.HasSuffix(segment, "...}") }

// split takes a path apart, still escaped. "/" has no segments.
func split(path string) ([]string, error) {
	tail, ok := strings.CutPrefix(path, "/")
	switch {
	case !ok:
		return nil, fmt.Errorf("must begin with /")
	case tail == "":
		return nil, nil
	}
	segments := strings.Split(tail, "/")
	if slices.ContainsFunc(segments, func(s string) bool { return s == "" || s == "." || s == ".." }) {
		return nil, fmt.Errorf("has an empty or dot segment")
	}
	return segments, nil
}
