package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/registry"
)

func (s *server) routeIAM() {
	route(s, huma.Operation{OperationID: "enrol-root", Method: http.MethodPost, Path: "/v1/orgs/{org}/roots", Tags: []string{"enrolment"},
		DefaultStatus: http.StatusCreated, Summary: "Let agents of the org enrol with certificates below a CA of its own; owners only"}, s.enrolRoot)
	route(s, huma.Operation{OperationID: "list-roots", Method: http.MethodGet, Path: "/v1/orgs/{org}/roots", Tags: []string{"enrolment"},
		Summary: "The org's own CAs"}, s.listRoots)
	route(s, huma.Operation{OperationID: "remove-root", Method: http.MethodDelete, Path: "/v1/orgs/{org}/roots/{root}", Tags: []string{"enrolment"},
		Summary: "Believe a CA of the org no more; owners only"}, s.removeRoot)
	route(s, huma.Operation{OperationID: "enrol-issuer", Method: http.MethodPost, Path: "/v1/orgs/{org}/workload-issuers", Tags: []string{"enrolment"},
		DefaultStatus: http.StatusCreated, Summary: "Let agents of the org enrol with tokens of an issuer; owners only"}, s.enrolIssuer)
	route(s, huma.Operation{OperationID: "list-issuers", Method: http.MethodGet, Path: "/v1/orgs/{org}/workload-issuers", Tags: []string{"enrolment"},
		Summary: "The issuers of workload tokens that the org trusts"}, s.listIssuers)
	route(s, huma.Operation{OperationID: "remove-issuer", Method: http.MethodDelete, Path: "/v1/orgs/{org}/workload-issuers/{issuer}", Tags: []string{"enrolment"},
		Summary: "Believe an issuer no more; owners only. Agents that it vouched for stay"}, s.removeIssuer)
}

// NewRoot is the body of enrol-root.
type NewRoot struct {
	PEM   string                   `json:"pem" maxLength:"65536" doc:"One CA certificate"`
	Rules []registry.EnrolmentRule `json:"rules" minItems:"1" maxItems:"64" doc:"The first that matches says what a workload is enrolled as"`
}

// RootAnswer is a root and the event that records what changed.
type RootAnswer struct {
	Root  registry.EnterpriseRoot `json:"root"`
	Event *registry.EventRef      `json:"event,omitempty"`
}

func (s *server) enrolRoot(ctx context.Context, call registry.Call, in *struct {
	OrgPath
	Body NewRoot
}) (*changed[RootAnswer], error) {
	return rootChanged(s.Registry.EnrolRoot(ctx, call, in.Org, registry.NewEnterpriseRoot(in.Body)))
}

func (s *server) removeRoot(ctx context.Context, call registry.Call, in *struct {
	OrgPath
	Root string `path:"root" minLength:"43" maxLength:"43" doc:"base64url SHA-256 of its DER"`
}) (*changed[RootAnswer], error) {
	return rootChanged(s.Registry.RemoveRoot(ctx, call, in.Org, in.Root))
}

func rootChanged(out registry.Outcome[registry.EnterpriseRoot], err error) (*changed[RootAnswer], error) {
	if err != nil {
		return nil, err
	}
	return change(out, RootAnswer{out.Value, eventOf(out)}), nil
}

func (s *server) listRoots(ctx context.Context, call registry.Call, in *struct {
	OrgPath
	PageParams
}) (*plain[page[registry.EnterpriseRoot]], error) {
	return listed(in.PageParams, "roots", func(r registry.EnterpriseRoot) string { return r.Digest }, func(p registry.Page) ([]registry.EnterpriseRoot, error) {
		return s.Registry.ListRoots(ctx, call.Caller, in.Org, p)
	})
}

// NewIssuer is the body of enrol-issuer.
type NewIssuer struct {
	Kind        string                   `json:"kind" enum:"entra,okta,kubernetes,spiffe"`
	Issuer      string                   `json:"issuer,omitempty" doc:"iss of its tokens, an https URL; absent for SPIFFE without one" example:"https://login.microsoftonline.com/{tenant}/v2.0"`
	JWKS        string                   `json:"jwks,omitempty" doc:"https URL of its keys, if not to be discovered"`
	TrustDomain string                   `json:"trust_domain,omitempty" doc:"SPIFFE trust domain"`
	Audience    string                   `json:"audience,omitempty" doc:"The one aud of its tokens; the registry's origin where absent"`
	Rules       []registry.EnrolmentRule `json:"rules" minItems:"1" maxItems:"64" doc:"The first that matches says what a workload is enrolled as"`
}

// IssuerAnswer is a workload issuer and the event that records what changed.
type IssuerAnswer struct {
	Issuer registry.WorkloadIssuer `json:"issuer"`
	Event  *registry.EventRef      `json:"event,omitempty"`
}

func (s *server) enrolIssuer(ctx context.Context, call registry.Call, in *struct {
	OrgPath
	Body NewIssuer
}) (*changed[IssuerAnswer], error) {
	return issuerChanged(s.Registry.EnrolIssuer(ctx, call, in.Org, registry.NewWorkloadIssuer(in.Body)))
}

func (s *server) removeIssuer(ctx context.Context, call registry.Call, in *struct {
	OrgPath
	Issuer string `path:"issuer" doc:"Id"`
}) (*changed[IssuerAnswer], error) {
	return issuerChanged(s.Registry.RemoveIssuer(ctx, call, in.Org, in.Issuer))
}

func issuerChanged(out registry.Outcome[registry.WorkloadIssuer], err error) (*changed[IssuerAnswer], error) {
	if err != nil {
		return nil, err
	}
	return change(out, IssuerAnswer{out.Value, eventOf(out)}), nil
}

func (s *server) listIssuers(ctx context.Context, call registry.Call, in *struct {
	OrgPath
	PageParams
}) (*plain[page[registry.WorkloadIssuer]], error) {
	return listed(in.PageParams, "issuers", func(i registry.WorkloadIssuer) string { return i.ID }, func(p registry.Page) ([]registry.WorkloadIssuer, error) {
		return s.Registry.ListIssuers(ctx, call.Caller, in.Org, p)
	})
}

// NewEnrolment is the body of enrol.
type NewEnrolment struct {
	Org         string    `json:"org" doc:"Id or name"`
	Name        string    `json:"name" doc:"Of the agent, as a rule of the org allows it"`
	Token       string    `json:"token,omitempty" doc:"Of the workload, by an issuer of the org. Absent: the TLS client certificate speaks for it"`
	JWK         publicJWK `json:"jwk"`
	Possession  string    `json:"possession" doc:"agent-pop+jwt by that key, for this registry, org and name"`
	NextKeyHash string    `json:"next_key_hash,omitempty" doc:"Commitment to the key after this one"`
}

// maxEnrolment is the longest body of an enrolment, in bytes: a stranger's.
const maxEnrolment = 64 << 10

// brief is limit for strangers.
func (s *server) brief(c *gin.Context) {
	if c.Request.ContentLength > maxEnrolment {
		s.fail(c, registry.Errorf(registry.TooLarge, "the body is longer than %d bytes", maxEnrolment))
		return
	}
	c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, maxEnrolment)
}

// enrol makes an agent of a workload that its org's own IAM vouches for. Nobody
// else vouches for the caller, so it is charged for failures.
func (s *server) enrol(c *gin.Context) {
	r := requestOf(c.Request.Context())
	var in NewEnrolment
	if err := canon.Unmarshal(r.body, &in); err != nil {
		s.fail(c, malformedJSON(err))
		return
	}
	out, err := s.Registry.Enrol(c.Request.Context(), registry.Call{Trace: r.trace}, registry.NewEnrolment{
		Org: in.Org, Name: in.Name, Token: in.Token, JWK: in.JWK.RawMessage, Possession: in.Possession, NextKeyHash: in.NextKeyHash,
		Presented: presented(c.Request),
	})
	if err != nil {
		s.refuse(c, err)
		return
	}
	send(c, http.StatusOK, "application/json", AgentAnswer{out.Value, eventOf(out)})
}
