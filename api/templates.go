package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/writ-registry/writ/registry"
)

func (s *server) routeTemplates() {
	route(s, huma.Operation{OperationID: "put-template", Method: http.MethodPut, Path: "/v1/orgs/{org}/templates/{name}", Tags: []string{"grants"},
		Summary:     "Say what grants by this name are; policy authors and registrars",
		Description: "All of it. A template gives no authority: grants are issued from it one by one, and those that were stay as they are."}, s.putTemplate)
	route(s, huma.Operation{OperationID: "get-template", Method: http.MethodGet, Path: "/v1/orgs/{org}/templates/{name}", Tags: []string{"grants"},
		Summary: "A grant template of an org"}, s.getTemplate)
	route(s, huma.Operation{OperationID: "list-templates", Method: http.MethodGet, Path: "/v1/orgs/{org}/templates", Tags: []string{"grants"},
		Summary: "The grant templates of an org, in order of name"}, s.listTemplates)
	route(s, huma.Operation{OperationID: "delete-template", Method: http.MethodDelete, Path: "/v1/orgs/{org}/templates/{name}", Tags: []string{"grants"},
		Summary: "Issue no more grants from a template; those that were stand"}, s.deleteTemplate)
}

// TemplatePath names a template of an org.
type TemplatePath struct {
	OrgPath
	Name string `path:"name" doc:"1 to 64 of [a-z0-9._-]" example:"invoice-reader"`
}

// NewTemplate is the body of put-template. What it leaves out, a grant may say.
type NewTemplate struct {
	Description    string   `json:"description,omitempty"`
	Capabilities   string   `json:"capabilities" example:"read:invoices; create:shipment(max_weight<=500); execute:none"`
	Budgets        []string `json:"budgets,omitempty" maxItems:"8" doc:"What all who act under a grant share" example:"[\"sum(pay:invoice, amount) <= 10000 per 24h\"]"`
	Audience       []string `json:"audience,omitempty" doc:"Ids of resource servers"`
	Domain         string   `json:"domain,omitempty"`
	Workflow       string   `json:"workflow,omitempty"`
	AuthorityLevel *int     `json:"authority_level,omitempty" minimum:"0" maximum:"4"`
	Delegation     int      `json:"delegation,omitempty" minimum:"0" maximum:"7" doc:"How many links holders may make under it in a chain"`
	Lifetime       int64    `json:"lifetime,omitempty" minimum:"0" maximum:"31622400" doc:"Seconds from not_before to expires"`
}

// TemplateAnswer is a template and the event that records the change.
type TemplateAnswer struct {
	Template registry.GrantTemplate `json:"template"`
	Event    *registry.EventRef     `json:"event,omitempty" doc:"Absent where nothing changed"`
}

func (s *server) putTemplate(ctx context.Context, call registry.Call, in *struct {
	TemplatePath
	Body NewTemplate
}) (*changed[TemplateAnswer], error) {
	b := in.Body
	out, err := s.Registry.PutGrantTemplate(ctx, call, in.Org, registry.GrantTemplate{
		Name: in.Name, Description: b.Description, Capabilities: b.Capabilities, Budgets: b.Budgets, Audience: b.Audience, Domain: b.Domain, Workflow: b.Workflow,
		AuthorityLevel: b.AuthorityLevel, Delegation: b.Delegation, Lifetime: b.Lifetime,
	})
	if err != nil {
		return nil, err
	}
	return change(out, TemplateAnswer{out.Value, eventOf(out)}), nil
}

func (s *server) getTemplate(ctx context.Context, call registry.Call, in *TemplatePath) (*plain[registry.GrantTemplate], error) {
	t, err := s.Registry.FindGrantTemplate(ctx, call.Caller, in.Org, in.Name)
	return &plain[registry.GrantTemplate]{t}, err
}

func (s *server) listTemplates(ctx context.Context, call registry.Call, in *struct {
	OrgPath
	PageParams
}) (*plain[page[registry.GrantTemplate]], error) {
	place := func(t registry.GrantTemplate) string { return t.Name }
	return listed(in.PageParams, "templates", place, func(p registry.Page) ([]registry.GrantTemplate, error) {
		return s.Registry.ListGrantTemplates(ctx, call.Caller, in.Org, p)
	})
}

func (s *server) deleteTemplate(ctx context.Context, call registry.Call, in *TemplatePath) (*changed[TemplateAnswer], error) {
	out, err := s.Registry.DeleteGrantTemplate(ctx, call, in.Org, in.Name)
	if err != nil {
		return nil, err
	}
	return change(out, TemplateAnswer{out.Value, eventOf(out)}), nil
}
