package api

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/writ-registry/writ/api/problem"
	table "github.com/writ-registry/writ/internal/route"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/capability"
	"github.com/writ-registry/writ/registry/policy"
)

// Header fields by which an agent proves a request, through an enforcement point that
// knows no AuthZEN. Package client has the same names.
const (
	headerToken = "Writ-Token" // agent-cap+jwt, or a chain of them, root first, joined by ~
	headerProof = "Writ-Proof" // agent-action+jwt over the act that the request is
	headerTask  = "Writ-Task"  // optional
)

// extAuthz is the path prefix that Envoy puts before the path of the request it asks
// about.
const extAuthz = "/access/v1/ext-authz"

// gateway lets enforcement points pass, by their credential or certificate, and nobody
// else. What the request says of others' requests, or asks of others' rights, is
// believed or answered for no other reason.
func (s *server) gateway(c *gin.Context) {
	token, err := bearer(c.Request.Header)
	switch {
	case err != nil:
	case token == "" && len(presented(c.Request)) > 0:
		err = s.identifyCertificate(c)
	case token == "":
		err = &registry.Error{Kind: registry.Unauthenticated, Code: "missing_credential", Detail: "this needs the credential of an enforcement point"}
	default:
		err = s.identify(c, token)
	}
	if err == nil && requestOf(c.Request.Context()).caller.PEP == nil {
		err = registry.Errorf(registry.Denied, "only enforcement points ask this")
	}
	if err != nil {
		s.refuse(c, err)
	}
}

// forwardAuth answers a proxy that asks about the request it was sent: nginx
// (auth_request), Traefik (ForwardAuth) and Caddy (forward_auth).
func (s *server) forwardAuth(c *gin.Context) {
	q, err := forwarded(c.Request.Header)
	if err != nil {
		s.fail(c, err)
		return
	}
	s.gate(c, q)
}

// forwarded reads which request a proxy asks about: X-Original-Method and
// X-Original-URI as configurations of nginx name them, or X-Forwarded-Method and
// X-Forwarded-Uri as Traefik and Caddy set them. Both together, or one twice, come of
// the agent: it would choose which request is looked at.
func forwarded(h http.Header) (q table.Request, err error) {
	method, target := single(h, "X-Original-Method", &err), single(h, "X-Original-Uri", &err)
	body := single(h, "X-Original-Body", &err)
	if other := single(h, "X-Forwarded-Uri", &err); other != "" || target == "" {
		if target != "" || method != "" {
			return q, ambiguous("X-Original-URI and X-Forwarded-Uri")
		}
		// Who sets these passes on what clients send as X-Original-Body.
		method, target, body = single(h, "X-Forwarded-Method", &err), other, ""
	}
	if err == nil && (method == "" || target == "") {
		err = &registry.Error{Kind: registry.Denied, Code: "original_missing", Detail: "the proxy must say which request it asks about: X-Original-Method and X-Original-URI, or X-Forwarded-Method and X-Forwarded-Uri"}
	}
	q = table.Request{Method: method, Target: target, Length: -1, Digest: single(h, "Content-Digest", &err)}
	// X-Original-Body, beside X-Original-URI, says whether there is a body. Without it, GET and HEAD have none
	// (RFC 9110, section 9.3.1), and of others it is not known.
	if body == "none" || body == "" && (method == http.MethodGet || method == http.MethodHead) {
		q.Length = 0
	}
	return q, err
}

// forwardEnvoy answers Envoy's ext_authz filter in HTTP mode, which sends the request
// itself, under a prefix, and its body where it is configured to.
func (s *server) forwardEnvoy(c *gin.Context) {
	h := c.Request.Header
	var err error
	q := table.Request{
		Method: c.Request.Method, Target: strings.TrimPrefix(c.Request.RequestURI, extAuthz), Length: -1,
		Digest: single(h, "Content-Digest", &err), Media: single(h, "Content-Type", &err), Coding: single(h, "Content-Encoding", &err),
	}
	if single(h, "X-Envoy-Auth-Partial-Body", &err) == "false" {
		if q.Body, err = readWhole(c); err == nil {
			q.Seen = true
		}
	} else if q.Method == http.MethodGet || q.Method == http.MethodHead {
		q.Length = 0
	}
	if err != nil {
		s.fail(c, err)
		return
	}
	s.gate(c, q)
}

// single is the one value of a header field; "" if it is absent.
func single(h http.Header, name string, err *error) string {
	switch values := h.Values(name); {
	case len(values) == 0:
		return ""
	case len(values) > 1:
		*err = ambiguous(name)
		return ""
	default:
		return values[0]
	}
}

func ambiguous(what string) error {
	return &registry.Error{Kind: registry.Denied, Code: "ambiguous_request", Detail: what + " are given more than once: the proxy must replace what clients send"}
}

// gate decides about the request q. 200 lets it pass, with the credential for what it
// goes to; 401 asks for a proof, 403 is a no. Proxies take any other answer for a
// failure, and let nothing pass.
func (s *server) gate(c *gin.Context, q table.Request) {
	call := requestOf(c.Request.Context()).call()
	d, req, inject, err := s.decideRequest(c.Request.Context(), call, q, c.Request.Header)
	if err == nil {
		s.Metrics.decision(d)
		err = refusal(d)
	}
	if d.ID != "" {
		c.Header("Writ-Decision", d.ID)
		c.Header("Writ-Verdict", string(d.Verdict))
	}
	if err != nil { // the address is the proxy's, and pays for no agent's failures
		s.failGate(c, err)
		return
	}
	c.Header("Writ-Agent", req.Subject)
	if inject.Header != "" {
		c.Writer.Header()[inject.Header] = []string{inject.Value}
	}
	c.Status(http.StatusOK)
}

// failGate answers 403 for what would be 400 elsewhere: proxies let 401 and 403 through
// to the agent, which is at fault, and hide the rest.
func (s *server) failGate(c *gin.Context, err error) {
	p := s.problem(c.Request.Context(), err)
	switch p.Status {
	case http.StatusUnauthorized: // the agent's, not the proxy's
	case http.StatusServiceUnavailable, http.StatusInternalServerError, http.StatusTooManyRequests:
		p.Status = http.StatusServiceUnavailable
	default:
		denied := problem.Of(registry.Denied, p.Detail)
		denied.Code = p.Code
		p = denied
	}
	c.Header("Writ-Reason", p.Code) // what a proxy can pass on, where it answers a page of its own
	s.write(c, p)
	c.Abort()
}

// refusal says why a decision lets nothing pass; nil if it does.
func refusal(d policy.Decision) error {
	switch {
	case d.Repeated:
		// The proxy was asked twice with one proof: the recorded answer was for the
		// first time.
		return &registry.Error{Kind: registry.Unauthenticated, Code: "replayed", Detail: "the action proof was used before"}
	case d.Verdict == policy.Permit:
		return nil
	}
	first := policy.Reason{}
	if len(d.Reasons) > 0 {
		first = d.Reasons[0]
	}
	e := &registry.Error{Kind: registry.Denied, Code: string(first.Code), Detail: policy.Meanings[first.Code]}
	if first.Code == policy.PossessionFailed {
		e.Kind = registry.Unauthenticated
		e.Detail = first.Detail
	}
	return e
}

// decideRequest maps a request by the enforcement point's table and decides about it.
func (s *server) decideRequest(ctx context.Context, call registry.Call, q table.Request, h http.Header) (d policy.Decision, req policy.Request, inject registry.Injection, err error) {
	for _, name := range table.Overriding {
		if len(h.Values(name)) > 0 {
			return d, req, inject, &registry.Error{Kind: registry.Denied, Code: "ambiguous_request", Detail: name + " makes some servers read another request"}
		}
	}
	token, proof := single(h, headerToken, &err), single(h, headerProof, &err)
	q.Task = single(h, headerTask, &err)
	if err != nil {
		return d, req, inject, err
	}
	if token == "" || proof == "" {
		return d, req, inject, &registry.Error{Kind: registry.Unauthenticated, Code: "missing", Detail: headerToken + " and " + headerProof + " are required"}
	}
	action, err := capability.ParseAction(proof)
	if err != nil {
		return d, req, inject, &registry.Error{Kind: registry.Unauthenticated, Code: string(capability.Malformed), Detail: err.Error()}
	}
	pep := *call.Caller.PEP
	router, inject, err := s.Registry.RouterOf(ctx, pep)
	if errors.Is(err, registry.NotFound) {
		err = &registry.Error{Kind: registry.Denied, Code: "no_routes", Detail: "the enforcement point has no table of routes"}
	}
	if err != nil {
		return d, req, inject, err
	}
	act, err := router.Act(q)
	if err != nil {
		return d, req, inject, unmapped(err)
	}
	// The request goes to one resource server, whichever else the point guards.
	pep.Resources = []string{router.Audience()}
	call.Caller.PEP = &pep
	req = policy.Request{SubjectType: "agent", Subject: action.Claims().Issuer, Act: act, Token: strings.Split(token, "~"), Proof: proof}
	if err := checkSubject(req.SubjectType, req.Subject); err != nil {
		return d, req, inject, err
	}
	d, err = s.PDP.Decide(ctx, call, req)
	return d, req, inject, err
}

func unmapped(err error) error {
	code := "request_unfit"
	switch {
	case errors.Is(err, table.ErrNoRoute):
		code = "route_unknown"
	case errors.Is(err, table.ErrUnseen):
		code = "body_unseen"
	}
	return &registry.Error{Kind: registry.Denied, Code: code, Detail: err.Error()}
}

// envoyMethods are those that a proxy may ask about under Envoy's prefix.
var envoyMethods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions}

func (s *server) routeForwardAuth(e *gin.Engine) {
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost} {
		e.Handle(method, "/access/v1/forward-auth", s.limit, s.gateway, s.forwardAuth)
	}
	for _, method := range envoyMethods {
		e.Handle(method, extAuthz+"/*path", s.limit, s.gateway, s.forwardEnvoy)
	}
}
