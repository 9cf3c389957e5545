package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/writ-registry/writ/registry"
)

func (s *server) routePrincipals() {
	route(s, huma.Operation{OperationID: "create-principal", Method: http.MethodPost, Path: "/v1/principals", Tags: []string{"principals"},
		DefaultStatus: http.StatusCreated, Summary: "Add an accountable human; the secret is shown once"}, s.createPrincipal)
	route(s, huma.Operation{OperationID: "list-principals", Method: http.MethodGet, Path: "/v1/principals", Tags: []string{"principals"},
		Summary: "The humans of an org"}, s.listPrincipals)
}

// NewPrincipal is the body of create-principal.
type NewPrincipal struct {
	Org         string          `json:"org,omitempty" doc:"Id or name; the caller's own where absent"`
	DisplayName string          `json:"display_name,omitempty"`
	Roles       []registry.Role `json:"roles" minItems:"1" enum:"owner,registrar,policy_author,approver,auditor,operator"`
}

// PrincipalAnswer is a principal, its credential, and the event that records it.
type PrincipalAnswer struct {
	Principal registry.Principal `json:"principal"`
	Secret    string             `json:"secret,omitempty" doc:"The credential; never shown again, and absent in a replay"`
	Event     *registry.EventRef `json:"event,omitempty"`
}

func (s *server) createPrincipal(ctx context.Context, call registry.Call, in *struct{ Body NewPrincipal }) (*changed[PrincipalAnswer], error) {
	out, err := s.Registry.CreatePrincipal(ctx, call, registry.NewPrincipal(in.Body))
	if err != nil {
		return nil, err
	}
	return change(out, PrincipalAnswer{out.Value, out.Secret, eventOf(out)}), nil
}

// OrgFilter narrows a list to one org.
type OrgFilter struct {
	Org string `query:"org" doc:"Id or name; the caller's own where absent"`
}

func (s *server) listPrincipals(ctx context.Context, call registry.Call, in *struct {
	OrgFilter
	PageParams
}) (*plain[page[registry.Principal]], error) {
	return listed(in.PageParams, "principals", func(p registry.Principal) string { return p.ID }, func(p registry.Page) ([]registry.Principal, error) {
		return s.Registry.ListPrincipals(ctx, call.Caller, in.Org, p)
	})
}
