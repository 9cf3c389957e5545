package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/writ-registry/writ/registry"
)

func (s *server) routePermits() {
	route(s, huma.Operation{OperationID: "redeem-permit", Method: http.MethodPost, Path: "/v1/permits/redeem", Tags: []string{"permits"},
		Summary:     "Use a permit up, before the act is done",
		Description: "For the enforcement point that guards the permit's aud. What the decision rested on is looked at again; a stop that came meanwhile refuses."}, s.redeemPermit)
	route(s, huma.Operation{OperationID: "report-outcome", Method: http.MethodPost, Path: "/v1/permits/{permit}/outcome", Tags: []string{"permits"},
		Summary: "Say what became of a permitted act, signed by the enforcement point's key"}, s.reportOutcome)
	route(s, huma.Operation{OperationID: "list-outcomes", Method: http.MethodGet, Path: "/v1/outcomes", Tags: []string{"permits"},
		Summary: "What became of permitted acts"}, s.listOutcomes)
	route(s, huma.Operation{OperationID: "list-undo", Method: http.MethodGet, Path: "/v1/agents/{agent}/undo", Tags: []string{"permits"},
		Summary: "What an agent did that can still be undone, and by which action"}, s.listUndo)
}

// Redemption is the body of redeem-permit.
type Redemption struct {
	Permit string `json:"permit" minLength:"1" maxLength:"16384" doc:"permit+jwt, as the decision gave it"`
}

// OutcomeReport is the body of report-outcome.
type OutcomeReport struct {
	Outcome string `json:"outcome" minLength:"1" maxLength:"16384" doc:"outcome+jwt"`
}

// PermitAnswer is a permit and the event that records what became of it.
type PermitAnswer struct {
	Permit registry.Permit    `json:"permit"`
	Event  *registry.EventRef `json:"event,omitempty" doc:"Absent where nothing changed"`
}

func (s *server) redeemPermit(ctx context.Context, call registry.Call, in *struct{ Body Redemption }) (*changed[PermitAnswer], error) {
	return permitted(s.Registry.RedeemPermit(ctx, call, in.Body.Permit))
}

func (s *server) reportOutcome(ctx context.Context, call registry.Call, in *struct {
	Permit string `path:"permit" doc:"Its jti: the id of the decision"`
	Body   OutcomeReport
}) (*changed[PermitAnswer], error) {
	return permitted(s.Registry.ReportOutcome(ctx, call, in.Permit, in.Body.Outcome))
}

func permitted(out registry.Outcome[registry.Permit], err error) (*changed[PermitAnswer], error) {
	if err != nil {
		return nil, err
	}
	return change(out, PermitAnswer{out.Value, eventOf(out)}), nil
}

func (s *server) listOutcomes(ctx context.Context, call registry.Call, in *struct {
	OrgFilter
	Agent string               `query:"agent" doc:"Id or DID"`
	State registry.PermitState `query:"state" enum:"issued,redeemed,lapsed,executed,failed,not_executed,compensated,unknown"`
	PageParams
}) (*plain[page[registry.Permit]], error) {
	return listed(in.PageParams, "outcomes", func(p registry.Permit) string { return p.ID }, func(p registry.Page) ([]registry.Permit, error) {
		return s.Registry.ListPermits(ctx, call.Caller, in.Org, in.Agent, in.State, p)
	})
}

func (s *server) listUndo(ctx context.Context, call registry.Call, in *struct {
	AgentPath
	Descendants bool `query:"descendants" doc:"And what its descendants did, which a stop of the agent stops, too"`
	PageParams
}) (*plain[page[registry.Undo]], error) {
	return listed(in.PageParams, "undo", func(u registry.Undo) string { return u.Permit.ID }, func(p registry.Page) ([]registry.Undo, error) {
		return s.Registry.ListUndo(ctx, call.Caller, in.Agent, in.Descendants, p)
	})
}
