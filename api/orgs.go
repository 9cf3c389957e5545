package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/writ-registry/writ/registry"
)

func (s *server) routeOrgs() {
	route(s, huma.Operation{OperationID: "whoami", Method: http.MethodGet, Path: "/v1/whoami", Tags: []string{"orgs"},
		Summary: "Who the credential belongs to"}, s.whoami)
	route(s, huma.Operation{OperationID: "create-org", Method: http.MethodPost, Path: "/v1/orgs", Tags: []string{"orgs"},
		DefaultStatus: http.StatusCreated, Summary: "Add a tenant; operators only"}, s.createOrg)
	route(s, huma.Operation{OperationID: "list-orgs", Method: http.MethodGet, Path: "/v1/orgs", Tags: []string{"orgs"},
		Summary: "The orgs that the caller may see"}, s.listOrgs)
	route(s, huma.Operation{OperationID: "get-org", Method: http.MethodGet, Path: "/v1/orgs/{org}", Tags: []string{"orgs"},
		Summary: "One org"}, s.getOrg)
	route(s, huma.Operation{OperationID: "put-catalogue", Method: http.MethodPut, Path: "/v1/orgs/{org}/catalogue", Tags: []string{"orgs"},
		Summary: "Activate an action catalogue, replacing the one in force"}, s.putCatalogue)
	route(s, huma.Operation{OperationID: "get-catalogue", Method: http.MethodGet, Path: "/v1/orgs/{org}/catalogue", Tags: []string{"orgs"},
		Summary: "The action catalogue in force"}, s.getCatalogue)
}

// Identity is who a credential belongs to.
type Identity struct {
	Kind    registry.ActorKind `json:"kind" enum:"principal,pep,agent"`
	ID      string             `json:"id"`
	Org     string             `json:"org"`
	OrgName string             `json:"org_name"`
	Roles   []registry.Role    `json:"roles" doc:"Empty for an enforcement point or agent"`
}

func (s *server) whoami(ctx context.Context, call registry.Call, _ *struct{}) (*plain[Identity], error) {
	c := call.Caller
	org, err := s.Registry.FindOrg(ctx, c, c.Org)
	if err != nil {
		return nil, err
	}
	return &plain[Identity]{Identity{c.Kind, c.ID, c.Org, org.Name, append([]registry.Role{}, c.Roles...)}}, nil
}

// NewOrg is the body of create-org.
type NewOrg struct {
	Name        string `json:"name" doc:"1 to 64 of [a-z0-9._-], unique" example:"acme"`
	DisplayName string `json:"display_name,omitempty"`
}

// OrgAnswer is an org and the event that records it.
type OrgAnswer struct {
	Org   registry.Org       `json:"org"`
	Event *registry.EventRef `json:"event,omitempty"`
}

func (s *server) createOrg(ctx context.Context, call registry.Call, in *struct{ Body NewOrg }) (*created[OrgAnswer], error) {
	out, err := s.Registry.CreateOrg(ctx, call, registry.NewOrg(in.Body))
	if err != nil {
		return nil, err
	}
	return create(out, "/v1/orgs/"+out.Value.ID, OrgAnswer{out.Value, eventOf(out)}), nil
}

func (s *server) listOrgs(ctx context.Context, call registry.Call, in *PageParams) (*plain[page[registry.Org]], error) {
	return listed(*in, "orgs", func(o registry.Org) string { return o.ID }, func(p registry.Page) ([]registry.Org, error) {
		return s.Registry.ListOrgs(ctx, call.Caller, p)
	})
}

// OrgPath names an org.
type OrgPath struct {
	Org string `path:"org" doc:"Id or name"`
}

func (s *server) getOrg(ctx context.Context, call registry.Call, in *OrgPath) (*plain[registry.Org], error) {
	org, err := s.Registry.FindOrg(ctx, call.Caller, in.Org)
	return &plain[registry.Org]{org}, err
}

// NewCatalogue is the body of put-catalogue.
type NewCatalogue struct {
	Actions  []NewAction `json:"actions" maxItems:"1000"`
	Replaces string      `json:"replaces,omitempty" doc:"Digest of the catalogue that it was made from; 409 if that is not in force any more"`
}

// NewAction says what an action of the catalogue does to the world.
type NewAction struct {
	Action        string                 `json:"action" doc:"verb:type" example:"create:shipment"`
	Reversibility registry.Reversibility `json:"reversibility" enum:"reversible,compensable,irreversible"`
	Egress        bool                   `json:"egress,omitempty" doc:"An argument leaves the house"`
	Material      bool                   `json:"material,omitempty" doc:"Affects systems, data, people or compliance"`
	MinLevel      int                    `json:"min_level,omitempty" minimum:"0" maximum:"4"`
	Domain        string                 `json:"domain,omitempty"`
	Workflow      string                 `json:"workflow,omitempty"`
	CompensatedBy string                 `json:"compensated_by,omitempty" doc:"verb:type that undoes it; for a compensable action"`
	CompensateIn  int64                  `json:"compensate_in,omitempty" doc:"Seconds within which it can be undone"`
	OutcomeIn     int64                  `json:"outcome_in,omitempty" doc:"Seconds within which the resource says what became of it; 0 = 900"`

	Tool  string          `json:"tool,omitempty" doc:"What it was imported from: the tool, as it calls itself"`
	Pin   string          `json:"pin,omitempty" doc:"base64url SHA-256 of the tool's description: asserted as another, the action is refused"`
	Guess *registry.Guess `json:"guess,omitempty" doc:"What the description suggests, until a policy author has reviewed it; so long the action must be irreversible, egress and material"`
}

// CatalogueAnswer is a catalogue and the event that records it.
type CatalogueAnswer struct {
	Catalogue registry.Catalogue `json:"catalogue"`
	Event     *registry.EventRef `json:"event,omitempty"`
}

func (s *server) putCatalogue(ctx context.Context, call registry.Call, in *struct {
	OrgPath
	Body NewCatalogue
}) (*changed[CatalogueAnswer], error) {
	actions := make([]registry.CatalogueAction, len(in.Body.Actions))
	for i, a := range in.Body.Actions {
		actions[i] = registry.CatalogueAction(a)
	}
	out, err := s.Registry.ActivateCatalogue(ctx, call, in.Org, actions, in.Body.Replaces)
	if err != nil {
		return nil, err
	}
	return change(out, CatalogueAnswer{out.Value, eventOf(out)}), nil
}

func (s *server) getCatalogue(ctx context.Context, call registry.Call, in *OrgPath) (*plain[CatalogueAnswer], error) {
	cat, err := s.Registry.CatalogueOf(ctx, call.Caller, in.Org)
	return &plain[CatalogueAnswer]{CatalogueAnswer{Catalogue: cat}}, err
}
