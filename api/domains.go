package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/writ-registry/writ/registry"
)

func (s *server) routeDomains() {
	route(s, huma.Operation{OperationID: "put-org-domain", Method: http.MethodPut, Path: "/v1/orgs/{org}/domain", Tags: []string{"orgs"},
		Summary: "Give an org a domain of its own for the DIDs of agents registered from here on; owners only"}, s.putOrgDomain)
}

// NewOrgDomain is the body of put-org-domain.
type NewOrgDomain struct {
	Domain string `json:"domain" doc:"Host name; a TXT record _writ.DOMAIN with the text org=ID shows control. Empty: the registry's own again" example:"agents.acme.example"`
}

func (s *server) putOrgDomain(ctx context.Context, call registry.Call, in *struct {
	OrgPath
	Body NewOrgDomain
}) (*changed[OrgAnswer], error) {
	out, err := s.Registry.SetDomain(ctx, call, in.Org, in.Body.Domain)
	if err != nil {
		return nil, err
	}
	return change(out, OrgAnswer{out.Value, eventOf(out)}), nil
}
