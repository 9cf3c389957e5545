package api

import (
	"encoding/json"
	"net/http"
	"reflect"
	"regexp"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"github.com/writ-registry/writ/api/problem"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/did"
	"github.com/writ-registry/writ/registry/policy"
)

// spec is the OpenAPI 3.1 description as it is served. The YAML is also
// committed as openapi.yaml; a test keeps the two equal.
type spec struct{ yaml, json []byte }

// describe completes the description with what is not under /v1, and writes it.
func (s *server) describe() (err error) {
	o := s.huma.OpenAPI()
	for _, p := range public {
		op := &huma.Operation{OperationID: p.id, Method: p.method, Path: p.path, Summary: p.summary, Description: p.description,
			Tags: []string{p.tag}, Responses: map[string]*huma.Response{}}
		for _, name := range pathParams.FindAllStringSubmatch(p.path, -1) {
			op.Parameters = append(op.Parameters, &huma.Param{Name: name[1], In: "path", Required: true, Schema: &huma.Schema{Type: "string"}})
		}
		if p.body != nil {
			op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/json": {Schema: s.schema(p.body)}}}
		}
		ok := &huma.Response{Description: p.answer, Content: map[string]*huma.MediaType{p.media: {}}}
		if p.out != nil {
			ok.Content[p.media].Schema = s.schema(p.out)
		}
		op.Responses["200"] = ok
		op.Responses["default"] = &huma.Response{Description: "Error", Content: map[string]*huma.MediaType{problem.ContentType: {Schema: s.schema(problem.Problem{})}}}
		switch p.path {
		case "/v1/verify", searchPath + "subject", searchPath + "resource", searchPath + "action":
			op.Security = []map[string][]string{{"credential": {}}}
		case identifiers + "{did}": // a stranger has none
			op.Security = []map[string][]string{{"credential": {}}, {}}
			describeResolution(op, ok.Content[mediaResult].Schema)
		case RequestsPath:
			op.Security = []map[string][]string{{"credential": {}}, {"signature": {}}}
			op.Responses["201"], op.Responses["202"] = ok, ok
			delete(op.Responses, "200")
		case RequestsPath + "/{id}", RequestsPath + "/{id}/cancel":
			op.Security = []map[string][]string{{"credential": {}}, {"signature": {}}}
		case "/access/v1/evaluation": // an agent that asks for itself has none
			op.Security = []map[string][]string{{"credential": {}}, {}}
		case "/access/v1/evaluations":
			op.Security = []map[string][]string{{"credential": {}}, {}}
			one := ok.Content["application/json"] // without evaluations the answer is a decision
			one.Schema = &huma.Schema{OneOf: []*huma.Schema{one.Schema, s.schema(EvaluationAnswer{})}}
		}
		o.AddOperation(op)
	}
	s.enumerate()
	if s.spec.yaml, err = o.YAML(); err != nil {
		return err
	}
	s.spec.json, err = json.Marshal(o)
	return err
}

func (s *server) schema(v any) *huma.Schema {
	return s.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeOf(v), true, "")
}

var pathParams = regexp.MustCompile(`\{(\w+)\}`)

// public are the operations that are not huma's: in the order of the routes.
var public = []struct {
	method, path, id, tag, summary, description string
	body                                        any // request, nil = none
	media, answer                               string
	out                                         any // response, nil = not JSON
}{
	{http.MethodPost, "/access/v1/evaluation", "evaluate", "authzen", "May this act be done now?",
		"OpenID AuthZEN Authorization API 1.0, Access Evaluation. An enforcement point sends its credential; an agent that asks for itself sends none, and its proof in context.proof is its credential.",
		EvaluationRequest{}, "application/json", "The decision; a denial is an answer, not an error", EvaluationAnswer{}},
	{http.MethodPost, "/access/v1/evaluations", "evaluate-all", "authzen", "May these acts be done now?",
		"OpenID AuthZEN Authorization API 1.0, Access Evaluations: up to 100, each act with a proof of its own. One that fails is a denial that says why in context.error; without evaluations it is an Access Evaluation.",
		EvaluationsRequest{}, "application/json", "Decisions, in order", EvaluationsAnswer{}},
	{http.MethodPost, searchPath + "subject", "search-subjects", "authzen", "Who may do this?",
		"OpenID AuthZEN Authorization API 1.0, Subject Search, for enforcement points. Of type agent: agents of the org that hold a grant for a resource server of the enforcement point. No decision, and no permit.",
		SearchRequest{}, "application/json", "What would be permitted", SearchAnswer{}},
	{http.MethodPost, searchPath + "resource", "search-resources", "authzen", "What may this be done to?",
		"OpenID AuthZEN Authorization API 1.0, Resource Search, for enforcement points: among the entities that the org has stored. No decision, and no permit.",
		SearchRequest{}, "application/json", "What would be permitted", SearchAnswer{}},
	{http.MethodPost, searchPath + "action", "search-actions", "authzen", "What may be done here?",
		"OpenID AuthZEN Authorization API 1.0, Action Search, for enforcement points: among the actions of the org's catalogue, without arguments. No decision, and no permit.",
		SearchRequest{}, "application/json", "What would be permitted", SearchAnswer{}},
	{http.MethodPost, RequestsPath, "request-access", "authzen", "Ask humans to approve an act that a step_up asked for",
		"AuthZEN Access Request and Approval Profile, draft 1. The enforcement point that got the answer sends its credential; an agent that asked for itself signs the request (RFC 9421). Idempotency-Key is read. 202 while humans are to answer; 201 where they have.",
		AccessRequest{}, "application/json", "The task", AccessTask{}},
	{http.MethodGet, RequestsPath + "/{id}", "get-access-request", "authzen", "Where a request is; wait=30s waits until it moves", "", nil, "application/json", "The task and its result", AccessTask{}},
	{http.MethodPost, RequestsPath + "/{id}/cancel", "cancel-access-request", "authzen", "Cancel a pending request", "", nil, "application/json", "The task", AccessTask{}},
	{http.MethodGet, jwksPath, "get-verification-keys", "authzen", "The key that binding tokens are signed with", "", nil, "application/jwk-set+json", "A JWK Set", VerificationKeys{}},
	{http.MethodPost, "/v1/verify", "verify", "verify", "Whether a grant token and action proof stand now",
		"For a resource server of any organization. It weighs no policy, consumes nothing and records nothing: " +
			"who executes on this word alone gives up replay protection, policy and evidence.",
		VerifyRequest{}, "application/json", "Whether they do, or why not", policy.Verification{}},
	{http.MethodPost, "/v1/agents/{agent}/recover", "recover-key", "keys", "Give an agent the key that it committed to",
		"Pre-rotated recovery: the possession proof by that key is all that is asked for. The keys before end at once.",
		RecoverKey{}, "application/json", "The agent with its new key", AgentAnswer{}},
	{http.MethodPost, "/v1/enrolments", "enrol", "enrolment", "Become an agent on the word of the org's own IAM",
		"A token of one of the org's workload issuers, or a TLS client certificate below one of its roots, beside the agent's own proof of its key. Needs no credential.",
		NewEnrolment{}, "application/json", "The agent; active where the org's rule says so", AgentAnswer{}},
	{http.MethodGet, "/ca/root.pem", "get-ca-root", "certificates", "The certificate that verifiers of certificates trust", "404 before the first certificate was issued.", nil, mediaPEM, "One certificate", nil},
	{http.MethodGet, "/ca/chain.pem", "get-ca-chain", "certificates", "The X.509 authority, from the certificate that signs leaves up to the root", "", nil, mediaPEM, "Certificates", nil},
	{http.MethodGet, "/.well-known/authzen-configuration", "authzen-configuration", "authzen", "Metadata of the policy decision point", "",
		nil, "application/json", "Metadata", Metadata{}},
	{http.MethodGet, "/v1/log", "get-log", "log", "The log as it stands", "", nil, "application/json", "Head and newest checkpoint", LogState{}},
	{http.MethodGet, "/log/checkpoint", "get-checkpoint", "log", "The newest signed checkpoint", "C2SP tlog-checkpoint.", nil, "text/plain", "A signed note", nil},
	{http.MethodGet, "/log/tile/{path}", "get-tile", "log", "A hash tile or entry bundle", "C2SP tlog-tiles; path is as it says there, with its slashes.",
		nil, "application/octet-stream", "The tile", nil},
	{http.MethodGet, "/.well-known/did.json", "get-registry-did", "did", "The registry's did:web document", "", nil, "application/did+json", "DID document", did.Document{}},
	{http.MethodGet, "/.well-known/writ-trust", "get-trust-list", "trust", "Whom the orgs of this registry trust, as far as they publish it",
		"A compact JWS of typ trust-list+jwt by the registry's token key.", nil, "application/trust-list+jwt", "The signed list", nil},
	{http.MethodGet, "/agents/{id}/did.json", "get-agent-did", "did", "An agent's parallel did:web document", "", nil, "application/did+json", "DID document", did.Document{}},
	{http.MethodGet, "/agents/{id}/did.jsonl", "get-agent-did-log", "did", "An agent's did:webvh log", "", nil, "text/jsonl", "JSON Lines", nil},
	{http.MethodGet, identifiers + "{did}", "resolve-did", "did", "Resolve a DID",
		"W3C DID Resolution over HTTP, as a driver of a Universal Resolver: did:webvh and did:web of this registry and, for callers with a credential, of others; did:key. " +
			"Options: versionId, versionTime or versionNumber; noCache=true. Accept: application/did-resolution, or application/did, application/did+json or application/did+ld+json for the document alone.",
		nil, mediaResult, "DID resolution result", ResolutionResult{}},
	{http.MethodGet, "/healthz", "healthz", "operations", "Whether the process answers", "", nil, "application/json", "It does", Health{}},
	{http.MethodGet, "/readyz", "readyz", "operations", "Whether requests can be served", "", nil, "application/json", "They can", Health{}},
	{http.MethodGet, "/metrics", "metrics", "operations", "Metrics for Prometheus", "", nil, "text/plain", "Text exposition format", nil},
}

// enumerate says which values the registry's own enumerations have. They are
// strings to Go; huma sees no more than that.
func (s *server) enumerate() {
	roles := make([]any, len(registry.Roles))
	for i, r := range registry.Roles {
		roles[i] = string(r)
	}
	schemas := s.huma.OpenAPI().Components.Schemas.Map()
	for _, e := range []struct {
		schema, member string
		values         []any
	}{
		{"Agent", "status", []any{"requested", "active", "suspended", "revoked"}},
		{"InventoryItem", "status", []any{"requested", "active", "suspended", "revoked"}},
		{"Principal", "status", []any{"suspended", "left"}},
		{"Grant", "status", []any{"active", "revoked"}},
		{"CatalogueAction", "reversibility", []any{"reversible", "compensable", "irreversible"}},
		{"Certificate", "kind", []any{"did", "svid", "pep", "enterprise"}},
		{"Certificate", "status", []any{"active", "revoked"}},
		{"Scope", "kind", []any{"global", "org", "agent", "grant"}},
	} {
		schemas[e.schema].Properties[e.member].Enum = e.values
	}
	for _, member := range []string{"roles", "group_roles"} {
		schemas["Principal"].Properties[member].Items = &huma.Schema{Type: "string", Enum: roles}
	}
	schemas["Event"].Properties["artifact"] = &huma.Schema{Type: "object", AdditionalProperties: true, Description: "The artifact; its text here is its canonical form, whose SHA-256 is in the CID. Schemas: docs/schemas"}
	strings := &huma.Schema{OneOf: []*huma.Schema{{Type: "string"}, {Type: "array", Items: &huma.Schema{Type: "string"}}}}
	for _, member := range []string{"@context", "controller"} {
		schemas["Document"].Properties[member] = strings
	}
	for _, schema := range schemas {
		schema.PrecomputeMessages()
	}
}

func (s *server) serveYAML(c *gin.Context) { s.serveSpec(c, "application/yaml", s.spec.yaml) }

func (s *server) serveJSON(c *gin.Context) { s.serveSpec(c, "application/json", s.spec.json) }

func (s *server) serveSpec(c *gin.Context, media string, data []byte) {
	c.Header("Cache-Control", "public, max-age=300")
	c.Data(http.StatusOK, media, data)
}
