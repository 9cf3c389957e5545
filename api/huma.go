package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/writ-registry/writ/api/problem"
	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/registry"
)

// huma's error model and its rules on null and case are variables of its package: this is the
// only package that uses it, so they are set here, once.
func init() {
	huma.DefaultArrayNullable, huma.ValidateStrictCasing = false, true
	huma.NewError = func(status int, msg string, errs ...error) huma.StatusError {
		return shapeError(nil, status, msg, errs)
	}
	huma.NewErrorWithContext = func(ctx huma.Context, status int, msg string, errs ...error) huma.StatusError {
		r := requestOf(ctx.Context())
		p := shapeError(r.body, status, msg, errs)
		p.Instance = r.path
		return p
	}
}

// newHuma makes the API that describes itself, on a router group that has
// authenticated the caller and read the body.
func newHuma(e *gin.Engine, v1 *gin.RouterGroup) huma.API {
	format := huma.Format{Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: decodeJSON}
	return humagin.NewWithGroup(e, v1, huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title:       "Writ",
				Version:     "1",
				Description: "A blockchain-anchored registry of identity and authority for AI agents.",
			},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"credential": {Type: "http", Scheme: "bearer", Description: "The credential of a principal or enforcement point."},
					"signature":  {Type: "apiKey", In: "header", Name: "Signature", Description: "An agent's HTTP message signature (RFC 9421), tag writ, keyid the DID URL of its key."},
				},
			},
		},
		// "json" is what huma looks for behind the + of application/problem+json.
		Formats:                      map[string]huma.Format{"application/json": format, "json": format},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
	})
}

// decodeJSON decodes a body that strictBody has let pass. Validation wants
// plain values; typed ones are matched by the exact name.
func decodeJSON(data []byte, v any) error {
	if _, plain := v.(*any); plain {
		return json.Unmarshal(data, v)
	}
	return canon.Unmarshal(data, v)
}

// route adds an operation of /v1: one call of a use case.
func route[I, O any](s *server, op huma.Operation, use func(context.Context, registry.Call, *I) (*O, error)) {
	op.Security = []map[string][]string{{"credential": {}}}
	if agentMay(op.Method, strings.NewReplacer("{", ":", "}", "").Replace(op.Path)) {
		op.Security = append(op.Security, map[string][]string{"signature": {}})
	}
	op.MaxBodyBytes, op.BodyReadTimeout = -1, -1 // the body is in memory already
	if op.Method != http.MethodGet {
		op.Parameters = append(op.Parameters, idempotencyKey)
	}
	huma.Register(s.huma, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := use(ctx, requestOf(ctx).call(), in)
		if err != nil {
			return nil, s.entitled(ctx, err)
		}
		return out, nil
	})
}

var idempotencyKey = &huma.Param{
	Name: "Idempotency-Key", In: "header",
	Description: "Makes the request safe to send again for 24 hours: the same key with the same body gets the first answer.",
	Schema:      &huma.Schema{Type: "string", MinLength: ptr(1), MaxLength: ptr(maxKey), Pattern: `^[\x20-\x7e]+$`},
}

func ptr[T any](v T) *T { return &v }

// changed is the output of an operation that may change something.
type changed[B any] struct {
	Replayed string `header:"Idempotency-Replayed" doc:"true where the Idempotency-Key was seen before"`
	Body     B
}

// created is the output of an operation that makes something with an address.
type created[B any] struct {
	Location string `header:"Location" doc:"Where the new thing is"`
	Replayed string `header:"Idempotency-Replayed" doc:"true where the Idempotency-Key was seen before"`
	Body     B
}

func change[T, B any](out registry.Outcome[T], body B) *changed[B] {
	a := &changed[B]{Body: body}
	if out.Replayed {
		a.Replayed = "true"
	}
	return a
}

func create[T, B any](out registry.Outcome[T], location string, body B) *created[B] {
	c := change(out, body)
	return &created[B]{location, c.Replayed, c.Body}
}

// eventOf is the promise of an outcome; nil where nothing changed.
func eventOf[T any](out registry.Outcome[T]) *registry.EventRef {
	if out.Event.CID == "" {
		return nil
	}
	return &out.Event
}

// plain is the output of an operation that only reads.
type plain[B any] struct{ Body B }

// shapeError makes the problem of what huma refuses: always 400, each fault
// with a pointer and its place in the body, never with the value.
func shapeError(body []byte, status int, msg string, errs []error) *problem.Problem {
	kind := registry.Malformed
	switch status {
	case http.StatusInternalServerError:
		kind = problem.Internal
	case http.StatusUnsupportedMediaType:
		kind = problem.MediaType
	}
	p := problem.Of(kind, msg)
	if kind == problem.Internal {
		p.Detail = ""
		return p
	}
	for _, err := range errs {
		p.Errors = append(p.Errors, fault(body, err))
	}
	if len(p.Errors) > 0 {
		p.Detail, p.Field = p.Errors[0].Detail, p.Errors[0].Field
	}
	if len(p.Errors) == 1 {
		p.Errors = nil
	}
	return p
}

var (
	missingMember = regexp.MustCompile(`^expected required property (\S+) to be present$`)
	decodedAt     = regexp.MustCompile(` at (/\S*) \(byte \d+\)$`)
)

// fault turns one of huma's errors, at "body.a[0].b" or "query.limit", into
// one at "/a/0/b" or "/limit".
func fault(body []byte, err error) problem.Item {
	var d *huma.ErrorDetail
	if !errors.As(err, &d) {
		return problem.Item{Detail: "is not valid"}
	}
	where, rest := d.Location, ""
	if i := strings.IndexAny(where, ".["); i >= 0 {
		where, rest = where[:i], d.Location[i:]
	}
	if where != "body" {
		return problem.Item{Detail: d.Message, Field: "/" + pointerToken(strings.TrimPrefix(rest, "."))}
	}
	if m := decodedAt.FindStringSubmatch(d.Message); m != nil && rest == "" {
		return problem.Item{Detail: d.Message, Field: m[1]}
	}
	pointer, offset, found := locate(body, rest)
	item := problem.Item{Detail: d.Message, Field: pointer}
	if m := missingMember.FindStringSubmatch(d.Message); m != nil {
		item.Detail, item.Field = "is required", pointer+"/"+pointerToken(m[1])
	} else if found {
		item.Detail += " (byte " + strconv.FormatInt(offset, 10) + ")"
	}
	return item
}

// pointerToken escapes a name for an RFC 6901 pointer.
func pointerToken(name string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

// locate finds the value at huma's path in the body. The path does not escape
// dots in names, so the body itself is asked which names there are.
func locate(body []byte, path string) (pointer string, offset int64, found bool) {
	at := walk(jsontext.NewDecoder(strings.NewReader(string(body))), path)
	if at == nil {
		return "", 0, false
	}
	return at.pointer, at.offset, true
}

type place struct {
	pointer string
	offset  int64
}

// walk descends into the next value of dec along path; nil where it does not
// lead anywhere. It reads the value to its end, or to what was found.
func walk(dec *jsontext.Decoder, path string) *place {
	if path == "" {
		value, err := dec.ReadValue()
		if err != nil {
			return nil
		}
		return &place{string(dec.StackPointer()), dec.InputOffset() - int64(len(value))}
	}
	open, err := dec.ReadToken()
	if err != nil || open.Kind() != '{' && open.Kind() != '[' {
		return nil
	}
	for i := 0; dec.PeekKind() != '}' && dec.PeekKind() != ']'; i++ {
		step := "[" + strconv.Itoa(i) + "]"
		if open.Kind() == '{' {
			name, err := dec.ReadToken()
			if err != nil {
				return nil
			}
			step = "." + name.String()
		}
		rest, on := strings.CutPrefix(path, step)
		if on && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			if found := walk(dec, rest); found != nil {
				return found
			}
		} else if dec.SkipValue() != nil {
			return nil
		}
	}
	_, _ = dec.ReadToken() // the end that was peeked at
	return nil
}
