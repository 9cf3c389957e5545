package api

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"
	"github.com/maypok86/otter/v2"

	"github.com/writ-registry/writ/api/problem"
	"github.com/writ-registry/writ/internal/resolve"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/did"
)

// identifiers is the path of the HTTPS binding of DID Resolution 1.0 (section 12.1).
const identifiers = "/1.0/identifiers/"

// Media types of answers. The last is what the result was called before it had a
// media type of its own; drivers of Universal Resolvers are still asked for it.
const (
	mediaResult    = "application/did-resolution"
	mediaDocument  = "application/did"
	mediaOldResult = `application/ld+json;profile="https://w3id.org/did-resolution"`
)

var mediaDocuments = []string{mediaDocument, "application/did+json", "application/did+ld+json"}

// ResolutionResult is a DID resolution result (DID Resolution 1.0 section 5).
type ResolutionResult struct {
	Document   any                `json:"didDocument" doc:"The DID document; null if there is none, or not any more"`
	Resolution ResolutionMetadata `json:"didResolutionMetadata"`
	Metadata   DocumentMetadata   `json:"didDocumentMetadata"`
}

// DocumentMetadata speaks of the document (DID Resolution 1.0 section 4.3).
type DocumentMetadata did.Metadata

// ResolutionMetadata says how the resolution went (DID Resolution 1.0 section 4.2).
type ResolutionMetadata struct {
	ContentType string           `json:"contentType,omitempty" doc:"Of the document"`
	Assurance   string           `json:"assurance,omitempty" enum:"key,log,host" doc:"What stands behind the document: the DID itself, a log that proves itself, or whoever holds the host"`
	Error       *ResolutionError `json:"error,omitempty"`
}

// ResolutionError is an error of DID Resolution 1.0 section 10, as RFC 9457 has them.
type ResolutionError struct {
	Type   string `json:"type" format:"uri"`
	Title  string `json:"title" doc:"The error's short name, as older resolvers write it"`
	Detail string `json:"detail,omitempty"`
}

// resolved is what became of a resolution.
type resolved struct {
	ResolutionResult
	status int
	public bool // the same for every caller, and good to keep
	of     rendering
}

// rendering names an answer about an own DID, as long as no version was asked for: a log
// of as many entries always gives the same. The zero value names none.
type rendering struct {
	did     string
	entries int
	media   string
}

// rendered is an answer in the form that is sent.
type rendered struct {
	body []byte
	tag  string
}

const maxRendered = 32 << 20 // bytes

func newRenderings() *otter.Cache[rendering, rendered] {
	return otter.Must(&otter.Options[rendering, rendered]{
		MaximumWeight: maxRendered,
		Weigher:       func(k rendering, r rendered) uint32 { return uint32(len(k.did) + len(r.body) + 256) },
	})
}

// preflight lets the pages of any origin send a credential along.
func (s *server) preflight(c *gin.Context) {
	h := c.Writer.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", "GET")
	h.Set("Access-Control-Allow-Headers", "Authorization")
	h.Set("Access-Control-Max-Age", "86400")
	c.Status(http.StatusNoContent)
}

// resolveDID resolves one DID. Nothing is fetched for a caller without a credential:
// who has none gets the registry's own DIDs, did:key, and what is known of others.
func (s *server) resolveDID(c *gin.Context) {
	media, ok := accepted(c.Request.Header.Values("Accept"))
	d, opts, err := resolutionInput(c.Request)
	var out resolved
	whose := "none"
	switch {
	case !ok:
		out = unresolved(resolve.RepresentationNotSupported, "DID documents are application/did, application/did+json or application/did+ld+json, results application/did-resolution")
	case err != nil:
		out = unresolvedBy(err)
	default:
		out, whose = s.resolve(c.Request.Context(), d, opts)
	}
	outcome := "ok"
	switch {
	case out.Resolution.Error != nil:
		outcome = out.Resolution.Error.Title
	case out.Metadata.Deactivated:
		outcome = "deactivated"
	}
	s.Metrics.resolved.WithLabelValues(whose, outcome).Inc()
	s.sendResolved(c, out, media)
}

// resolutionInput reads the DID and the options. A DID stands in the path as it is or,
// as whatever stands there ought to, percent-encoded: what is a DID is not decoded, for
// then the port of did:web:host%3A8080 would become a path.
func resolutionInput(r *http.Request) (did.DID, resolve.Options, error) {
	var opts resolve.Options
	text := strings.TrimPrefix(requestOf(r.Context()).path, identifiers)
	d, err := did.Parse(text)
	if err != nil {
		if decoded, e := url.PathUnescape(text); e == nil && decoded != text {
			d, err = did.Parse(decoded)
		}
	}
	if err != nil {
		return d, opts, &resolve.Error{Code: resolve.InvalidDID, Detail: err.Error()}
	}
	if r.URL.RawQuery == "" {
		return d, opts, nil
	}
	query, err := queryOf(r)
	if err == nil {
		opts.Version, err = did.ParseVersionQuery(query)
	}
	if err != nil {
		return d, opts, &resolve.Error{Code: resolve.InvalidOptions, Detail: err.Error()}
	}
	for _, name := range []string{"service", "serviceType", "relativeRef", "hl", "transformKeys"} {
		if query.Has(name) { // to leave one out would answer another question
			return d, opts, &resolve.Error{Code: resolve.InvalidOptions, Detail: "the DID parameter " + name + " is not supported: nothing is dereferenced here"}
		}
	}
	if query.Get("noCache") == "true" {
		opts.MaxAge = new(time.Duration(0))
	}
	return d, opts, nil
}

// resolve resolves d, and says whose it is.
func (s *server) resolve(ctx context.Context, d did.DID, opts resolve.Options) (out resolved, whose string) {
	if d.String() == s.Registry.DID {
		if opts.Version != (did.VersionQuery{}) {
			return unresolved(resolve.NotFound, "did:web knows no versions"), "own"
		}
		return resolved{ResolutionResult{s.registryDocument(), ResolutionMetadata{mediaDocument, string(resolve.AssuranceHost), nil}, DocumentMetadata{}}, http.StatusOK, true, rendering{}}, "own"
	}
	if d.Method() == did.MethodWeb || d.Method() == did.MethodWebVH {
		found, err := s.Registry.ResolveDID(ctx, d, opts.Version)
		switch {
		case err == nil:
			by := resolve.AssuranceLog
			if d.Method() == did.MethodWeb {
				by = resolve.AssuranceHost
			}
			out = answered(found.Document, found.Metadata, by, true)
			if opts.Version == (did.VersionQuery{}) {
				out.of = rendering{did: d.String(), entries: found.Entries}
			}
			return out, "own"
		case !errors.Is(err, registry.NotFound):
			p := s.problem(ctx, err) // logged there
			out = unresolved(resolve.Internal, p.Detail)
			out.status = p.Status
			return out, "own"
		case s.Registry.Hosts(d):
			return unresolved(resolve.NotFound, "this registry has no such DID or version"), "own"
		}
	}
	whose = "foreign"
	if d.Method() == did.MethodKey {
		whose = "key"
	}
	if s.Resolver == nil && whose == "foreign" {
		return unresolved(resolve.MethodNotSupported, "this registry resolves its own DIDs and did:key only"), whose
	}
	resolver := s.Resolver
	if resolver == nil {
		resolver = offline
	}
	opts.Cached = requestOf(ctx).caller.ID == ""
	if opts.Cached {
		opts.MaxAge = nil // what is fresh enough is not a stranger's to say
	}
	found, err := resolver.Resolve(ctx, d.String(), opts)
	if err != nil {
		return unresolvedBy(err), whose
	}
	return answered(found.Document, found.Metadata, found.Assurance, whose == "key"), whose
}

// offline resolves did:key, which is nowhere to be fetched.
var offline = resolve.New(resolve.Config{})

// answered is a result. That of a deactivated DID is 410, whichever version is in it
// (DID Resolution 1.0 section 12.1).
func answered(document json.RawMessage, m did.Metadata, by resolve.Assurance, public bool) resolved {
	out := resolved{ResolutionResult{nil, ResolutionMetadata{"", string(by), nil}, DocumentMetadata(m)}, http.StatusOK, public, rendering{}}
	if document != nil {
		out.Document, out.Resolution.ContentType = document, mediaDocument
	}
	if m.Deactivated {
		out.status = http.StatusGone
	}
	return out
}

func unresolved(code resolve.Code, detail string) resolved {
	return resolved{ResolutionResult{Resolution: ResolutionMetadata{Error: &ResolutionError{code.URI(), string(code), detail}}}, code.Status(), false, rendering{}}
}

// unresolvedBy says why a DID does not resolve, and nothing of the operator's.
func unresolvedBy(err error) resolved {
	var e *resolve.Error
	if !errors.As(err, &e) {
		return unresolved(resolve.Internal, "")
	}
	out := unresolved(e.Code, e.Detail)
	if errors.Is(err, resolve.Uncached) {
		out.status = http.StatusUnauthorized
		out.Resolution.Error = &ResolutionError{"urn:writ:problem:unauthenticated", string(resolve.Uncached), "this DID is not known here, and only for callers with a credential is it fetched"}
	}
	return out
}

// sendResolved answers with the result or, where that was asked for and there is one,
// with the document alone.
func (s *server) sendResolved(c *gin.Context, r resolved, media string) {
	document := slices.Contains(mediaDocuments, media) && r.Document != nil
	if !document && media != mediaOldResult {
		media = mediaResult
	}
	r.of.media = media
	form, known := rendered{}, false
	if r.of.did != "" {
		form, known = s.renderings.GetIfPresent(r.of)
	}
	if !known {
		form = r.render(document)
		if r.of.did != "" {
			s.renderings.Set(r.of, form)
		}
	}
	h := c.Writer.Header()
	h["Access-Control-Allow-Origin"] = []string{"*"}
	h["Vary"] = []string{"Accept, Authorization"}
	if r.status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", problem.Of(registry.Unauthenticated, "").GetHeaders().Get("WWW-Authenticate"))
	}
	if r.public {
		h["Cache-Control"] = []string{didCaching}
		h["Etag"] = []string{form.tag}
		if r.status == http.StatusOK && slices.Contains(splitList(c.Request.Header.Values("If-None-Match")), form.tag) {
			c.Status(http.StatusNotModified)
			return
		}
	}
	h["Content-Type"] = []string{media}
	c.Status(r.status)
	_, _ = c.Writer.Write(form.body) // who has gone needs no answer
}

// render makes the form that is sent, with its entity tag.
func (r resolved) render(document bool) rendered {
	var v any = r.ResolutionResult
	if document {
		v = r.Document
	}
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // documents are JSON, or they would not have been read
	}
	sum := sha256.New()
	sum.Write(body)
	sum.Write([]byte(r.of.media))
	return rendered{body, `"` + base64.RawURLEncoding.EncodeToString(sum.Sum(nil)[:16]) + `"`}
}

// accepted chooses the media type of the answer by the Accept header (RFC 9110,
// section 12.5.1), and the result where all are as welcome or nothing was said.
func accepted(header []string) (media string, ok bool) {
	best := 0.0
	list := splitList(header)
	if len(list) == 0 {
		return mediaResult, true
	}
	for _, item := range list {
		kind, params, err := mime.ParseMediaType(item)
		if err != nil {
			continue
		}
		quality := 1.0
		if q, given := params["q"]; given {
			if quality, err = strconv.ParseFloat(q, 64); err != nil {
				continue
			}
		}
		is := ""
		switch {
		case kind == "*/*" || kind == "application/*" || kind == mediaResult:
			is = mediaResult
		case kind == "application/ld+json" && params["profile"] == "https://w3id.org/did-resolution":
			is = mediaOldResult
		case slices.Contains(mediaDocuments, kind):
			is = kind
		}
		if is != "" && quality > best {
			media, best = is, quality
		}
	}
	return cmp.Or(media, mediaResult), media != ""
}

// splitList splits a list header at its commas. What holds one within quotes is not
// understood, and no tag or media type of ours does.
func splitList(header []string) (out []string) {
	for item := range strings.SplitSeq(strings.Join(header, ","), ",") {
		if item = strings.TrimSpace(item); item != "" {
			out = append(out, item)
		}
	}
	return out
}

// describeResolution adds what the table of operations has no room for: documents by
// themselves, and errors, which are results.
func describeResolution(op *huma.Operation, result *huma.Schema) {
	content := map[string]*huma.MediaType{mediaResult: {Schema: result}, "application/ld+json": {Schema: result}}
	for _, media := range mediaDocuments {
		content[media] = &huma.MediaType{}
	}
	op.Responses["200"].Content = content
	op.Responses["410"] = &huma.Response{Description: "The DID is deactivated", Content: content}
	op.Responses["default"].Content[mediaResult] = &huma.MediaType{Schema: result}
	for _, name := range []string{"versionId", "versionTime", "versionNumber", "noCache"} {
		op.Parameters = append(op.Parameters, &huma.Param{Name: name, In: "query", Schema: &huma.Schema{Type: "string"}})
	}
}
