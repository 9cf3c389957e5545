package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"github.com/writ-registry/writ/registry"
)

func (s *server) routeTrust() {
	route(s, huma.Operation{OperationID: "add-trust", Method: http.MethodPost, Path: "/v1/trust", Tags: []string{"trust"},
		DefaultStatus: http.StatusCreated, Summary: "Accept grants of a foreign registry, within bounds; owners only"}, s.addTrust)
	route(s, huma.Operation{OperationID: "list-trust", Method: http.MethodGet, Path: "/v1/trust", Tags: []string{"trust"},
		Summary: "The trust list of an org, with the standing of each issuer"}, s.listTrust)
	route(s, huma.Operation{OperationID: "get-trust", Method: http.MethodGet, Path: "/v1/trust/{trust}", Tags: []string{"trust"},
		Summary: "One entry of the trust list"}, s.getTrust)
	route(s, huma.Operation{OperationID: "remove-trust", Method: http.MethodDelete, Path: "/v1/trust/{trust}", Tags: []string{"trust"},
		Summary: "Accept nothing of an issuer any more, and forget what was followed of it; owners only"}, s.removeTrust)
}

// NewTrust is the body of add-trust.
type NewTrust struct {
	Org            string    `json:"org,omitempty" doc:"Id or name; the caller's own where absent"`
	Issuer         string    `json:"issuer" doc:"did:web of the foreign registry" example:"did:web:registry.example"`
	TokenKeys      []string  `json:"token_keys" minItems:"1" maxItems:"4" doc:"Multikeys of the only keys that may sign for it"`
	LogKey         string    `json:"log_key" doc:"Verifier key of its log (C2SP signed-note)"`
	Agents         []string  `json:"agents,omitempty" doc:"Where DIDs of its agents may be: a host, or a host and a path, as in a DID; the issuer's host where absent"`
	Orgs           []string  `json:"orgs,omitempty" doc:"Ids of its orgs; none = any"`
	Audiences      []string  `json:"audiences" minItems:"1" doc:"Ids of our own resource servers that it is accepted at"`
	Capabilities   string    `json:"capabilities" doc:"The ceiling: an act must be covered by the grant and by this" example:"read:invoices"`
	AuthorityLevel int       `json:"authority_level,omitempty" minimum:"0" maximum:"4" doc:"Of a grant, at most"`
	MaxAge         int64     `json:"max_age,omitempty" doc:"Seconds for which what is followed counts; 60 where absent"`
	NotAfter       time.Time `json:"not_after,omitzero" doc:"When the entry ends; in a year where absent"`
	Public         bool      `json:"public,omitempty" doc:"Shown in /.well-known/writ-trust"`
}

// TrustAnswer is an entry of a trust list and the event that records it.
type TrustAnswer struct {
	Trust registry.Trust     `json:"trust"`
	Event *registry.EventRef `json:"event,omitempty"`
}

func (s *server) addTrust(ctx context.Context, call registry.Call, in *struct{ Body NewTrust }) (*created[TrustAnswer], error) {
	out, err := s.Registry.AddTrust(ctx, call, registry.NewTrust(in.Body))
	if err != nil {
		return nil, err
	}
	return create(out, "/v1/trust/"+out.Value.ID, TrustAnswer{out.Value, eventOf(out)}), nil
}

func (s *server) listTrust(ctx context.Context, call registry.Call, in *struct {
	OrgFilter
	PageParams
}) (*plain[page[registry.Trust]], error) {
	return listed(in.PageParams, "trust", func(t registry.Trust) string { return t.ID }, func(p registry.Page) ([]registry.Trust, error) {
		return s.Registry.ListTrust(ctx, call.Caller, in.Org, p)
	})
}

// TrustPath names an entry of a trust list.
type TrustPath struct {
	Trust string `path:"trust" doc:"Id"`
}

func (s *server) getTrust(ctx context.Context, call registry.Call, in *TrustPath) (*plain[registry.Trust], error) {
	t, err := s.Registry.FindTrust(ctx, call.Caller, in.Trust)
	return &plain[registry.Trust]{t}, err
}

func (s *server) removeTrust(ctx context.Context, call registry.Call, in *struct {
	TrustPath
	Reason string `query:"reason" doc:"Machine name, 1 to 64 of [a-z0-9._-]"`
}) (*changed[TrustAnswer], error) {
	out, err := s.Registry.RemoveTrust(ctx, call, in.Trust, in.Reason)
	if err != nil {
		return nil, err
	}
	return change(out, TrustAnswer{out.Value, eventOf(out)}), nil
}

// trustList is the published trust list: a JWS, for anyone.
func (s *server) trustList(c *gin.Context) {
	token, err := s.Registry.PublishTrust(c.Request.Context())
	if err != nil {
		s.fail(c, err)
		return
	}
	c.Header("Cache-Control", "public, max-age=60")
	c.Data(http.StatusOK, "application/trust-list+jwt", []byte(token))
}
