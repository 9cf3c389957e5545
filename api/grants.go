package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/capability"
)

func (s *server) routeGrants() {
	route(s, huma.Operation{OperationID: "issue-grant", Method: http.MethodPost, Path: "/v1/grants", Tags: []string{"grants"},
		DefaultStatus: http.StatusCreated, Summary: "Give an active agent capabilities"}, s.issueGrant)
	route(s, huma.Operation{OperationID: "list-grants", Method: http.MethodGet, Path: "/v1/grants", Tags: []string{"grants"},
		Summary: "The grants of an org or agent"}, s.listGrants)
	route(s, huma.Operation{OperationID: "get-grant", Method: http.MethodGet, Path: "/v1/grants/{id}", Tags: []string{"grants"},
		Summary: "One grant"}, s.getGrant)
	route(s, huma.Operation{OperationID: "list-budgets", Method: http.MethodGet, Path: "/v1/grants/{id}/budgets", Tags: []string{"grants"},
		Summary:     "What is left now of the budgets of a grant",
		Description: "First the grant's own, then those of links that holders made under it, as far as they were used in the window that runs."}, s.listBudgets)
	route(s, huma.Operation{OperationID: "revoke-grant", Method: http.MethodPost, Path: "/v1/grants/{id}/revoke", Tags: []string{"grants"},
		Summary: "End a grant for good"}, s.revokeGrant)
	route(s, huma.Operation{OperationID: "revoke-link", Method: http.MethodPost, Path: "/v1/grants/{id}/revocations", Tags: []string{"grants"},
		Summary:     "End a link that a holder made under a grant, with all that is under it",
		Description: "For registrars, by hash or chain, and for the agent of any link above, which signs the request and shows the chain."}, s.revokeLink)
}

// NewGrant is the body of issue-grant.
type NewGrant struct {
	Agent          string     `json:"agent" doc:"Id or DID"`
	Capabilities   string     `json:"capabilities" example:"read:invoices; create:shipment(max_weight<=500); execute:none"`
	Budgets        []string   `json:"budgets,omitempty" maxItems:"8" doc:"What all who act under the grant share" example:"[\"sum(pay:invoice, amount) <= 10000 per 24h\"]"`
	Audience       []string   `json:"audience,omitempty" doc:"Ids of resource servers; the registry's origin where absent"`
	Domain         string     `json:"domain,omitempty"`
	Workflow       string     `json:"workflow,omitempty"`
	AuthorityLevel *int       `json:"authority_level,omitempty" minimum:"0" maximum:"4" doc:"The agent's where absent"`
	Delegation     int        `json:"delegation,omitempty" minimum:"0" maximum:"7" doc:"How many links holders may make under it in a chain"`
	NotBefore      *time.Time `json:"not_before,omitempty" doc:"Now where absent"`
	Expires        *time.Time `json:"expires,omitempty" doc:"24 hours after not_before where absent"`
}

// GrantAnswer is a grant and the event that records what changed.
type GrantAnswer struct {
	Grant registry.Grant     `json:"grant"`
	Event *registry.EventRef `json:"event,omitempty" doc:"Absent where nothing changed"`
}

func (s *server) issueGrant(ctx context.Context, call registry.Call, in *struct{ Body NewGrant }) (*created[GrantAnswer], error) {
	b := in.Body
	out, err := s.Registry.IssueGrant(ctx, call, registry.NewGrant{
		Agent: b.Agent, Capabilities: b.Capabilities, Budgets: b.Budgets, Audience: b.Audience, Domain: b.Domain, Workflow: b.Workflow,
		AuthorityLevel: b.AuthorityLevel, Delegation: b.Delegation, NotBefore: orZero(b.NotBefore), Expires: orZero(b.Expires),
	})
	if err != nil {
		return nil, err
	}
	return create(out, "/v1/grants/"+out.Value.ID, GrantAnswer{out.Value, eventOf(out)}), nil
}

func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

func (s *server) listGrants(ctx context.Context, call registry.Call, in *struct {
	OrgFilter
	Agent  string               `query:"agent" doc:"Id or DID"`
	Status registry.GrantStatus `query:"status" enum:"active,revoked"`
	PageParams
}) (*plain[page[registry.Grant]], error) {
	org, agent := in.Org, in.Agent
	if agent != "" { // a foreign agent answers as an unknown one does, not with an empty list
		a, err := s.Registry.FindAgent(ctx, call.Caller, agent)
		if err != nil {
			return nil, err
		}
		if agent = a.ID; org == "" {
			org = a.Org
		}
	}
	return listed(in.PageParams, "grants", func(g registry.Grant) string { return g.ID }, func(p registry.Page) ([]registry.Grant, error) {
		return s.Registry.ListGrants(ctx, call.Caller, org, agent, in.Status, p)
	})
}

// GrantPath names a grant.
type GrantPath struct {
	ID string `path:"id"`
}

func (s *server) getGrant(ctx context.Context, call registry.Call, in *GrantPath) (*plain[registry.Grant], error) {
	g, err := s.Registry.FindGrant(ctx, call.Caller, in.ID)
	return &plain[registry.Grant]{g}, err
}

func (s *server) listBudgets(ctx context.Context, call registry.Call, in *struct {
	GrantPath
	PageParams
}) (*plain[page[registry.Balance]], error) {
	return listed(in.PageParams, "budgets", func(b registry.Balance) string { return b.Place() }, func(p registry.Page) ([]registry.Balance, error) {
		return s.Registry.GrantBudgets(ctx, call.Caller, in.ID, p)
	})
}

func (s *server) revokeGrant(ctx context.Context, call registry.Call, in *struct {
	GrantPath
	Body *ReasonBody
}) (*changed[GrantAnswer], error) {
	out, err := s.Registry.RevokeGrant(ctx, call, in.ID, in.Body.text())
	if err != nil {
		return nil, err
	}
	return change(out, GrantAnswer{out.Value, eventOf(out)}), nil
}

// LinkRevocation is the body of revoke-link: one of hash and chain, and a reason.
type LinkRevocation struct {
	Hash   string            `json:"hash,omitempty" doc:"base64url SHA-256 of the link's signing input, as verify names it"`
	Chain  capability.Tokens `json:"chain,omitempty" minItems:"2" maxItems:"8" doc:"The tokens that end in the link, root first"`
	Reason string            `json:"reason,omitempty" doc:"Machine name, 1 to 64 of [a-z0-9._-]"`
}

// LinkAnswer is a revoked link and the event that records it.
type LinkAnswer struct {
	Link  registry.RevokedLink `json:"link"`
	Event *registry.EventRef   `json:"event,omitempty" doc:"Absent where nothing changed"`
}

func (s *server) revokeLink(ctx context.Context, call registry.Call, in *struct {
	GrantPath
	Body LinkRevocation
}) (*changed[LinkAnswer], error) {
	b := in.Body
	out, err := s.Registry.RevokeLink(ctx, call, registry.LinkRevocation{Grant: in.ID, Hash: b.Hash, Chain: b.Chain, Reason: b.Reason})
	if err != nil {
		return nil, err
	}
	return change(out, LinkAnswer{out.Value, eventOf(out)}), nil
}
