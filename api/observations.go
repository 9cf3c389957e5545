package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/policy"
)

func (s *server) routeObservations() {
	const what = "Until the time given, at most 30 days from now, what grants do not cover is permitted all the same, and recorded as observed. " +
		"Stops, status, possession, the grant's own validity, verb:none, forbid and what a human must approve hold as ever."
	route(s, huma.Operation{OperationID: "observe-agent", Method: http.MethodPut, Path: "/v1/agents/{agent}/observation", Tags: []string{"observations"},
		Summary: "Observe an agent: permit what its grants do not cover, and record it", Description: what}, s.observeAgent)
	route(s, huma.Operation{OperationID: "unobserve-agent", Method: http.MethodDelete, Path: "/v1/agents/{agent}/observation", Tags: []string{"observations"},
		Summary: "End the observation of an agent"}, s.unobserveAgent)
	route(s, huma.Operation{OperationID: "observe-org", Method: http.MethodPut, Path: "/v1/orgs/{org}/observation", Tags: []string{"observations"},
		Summary: "Observe all agents of an org, and what its policies do not permit others", Description: what}, s.observeOrg)
	route(s, huma.Operation{OperationID: "unobserve-org", Method: http.MethodDelete, Path: "/v1/orgs/{org}/observation", Tags: []string{"observations"},
		Summary: "End the observation of an org"}, s.unobserveOrg)
	route(s, huma.Operation{OperationID: "get-coverage", Method: http.MethodGet, Path: "/v1/orgs/{org}/observations", Tags: []string{"observations"},
		Summary: "Which grants would have covered what was observed"}, s.getCoverage)
}

// NewObservation is the body of observe-agent and observe-org.
type NewObservation struct {
	Until  time.Time `json:"until" doc:"When it ends by itself, within 30 days"`
	Reason string    `json:"reason" doc:"A word that says why, such as onboarding"`
}

func (s *server) observeAgent(ctx context.Context, call registry.Call, in *struct {
	AgentPath
	Body NewObservation
}) (*changed[AgentAnswer], error) {
	out, err := s.Registry.ObserveAgent(ctx, call, in.Agent, in.Body.Until, in.Body.Reason)
	if err != nil {
		return nil, err
	}
	s.logger(ctx).WarnContext(ctx, "an agent is observed: what its grants do not cover is permitted", "agent", out.Value.ID, "until", out.Value.Observation.Until)
	return change(out, AgentAnswer{out.Value, eventOf(out)}), nil
}

func (s *server) unobserveAgent(ctx context.Context, call registry.Call, in *AgentPath) (*changed[AgentAnswer], error) {
	out, err := s.Registry.UnobserveAgent(ctx, call, in.Agent)
	if err != nil {
		return nil, err
	}
	return change(out, AgentAnswer{out.Value, eventOf(out)}), nil
}

func (s *server) observeOrg(ctx context.Context, call registry.Call, in *struct {
	OrgPath
	Body NewObservation
}) (*changed[OrgAnswer], error) {
	out, err := s.Registry.ObserveOrg(ctx, call, in.Org, in.Body.Until, in.Body.Reason)
	if err != nil {
		return nil, err
	}
	s.logger(ctx).WarnContext(ctx, "an org is observed: what grants do not cover is permitted", "org", out.Value.ID, "until", out.Value.Observation.Until)
	return change(out, OrgAnswer{out.Value, eventOf(out)}), nil
}

func (s *server) unobserveOrg(ctx context.Context, call registry.Call, in *OrgPath) (*changed[OrgAnswer], error) {
	out, err := s.Registry.UnobserveOrg(ctx, call, in.Org)
	if err != nil {
		return nil, err
	}
	return change(out, OrgAnswer{out.Value, eventOf(out)}), nil
}

func (s *server) getCoverage(ctx context.Context, call registry.Call, in *struct {
	OrgPath
	Agent string    `query:"agent" doc:"Id or DID; all where absent"`
	Since time.Time `query:"since" doc:"All that is kept where absent"`
}) (*plain[policy.Coverage], error) {
	org, agent, err := s.Registry.MayReadDecisions(ctx, call.Caller, in.Org, in.Agent)
	if err != nil {
		return nil, err
	}
	out, err := s.PDP.Coverage(ctx, org, agent, in.Since)
	return &plain[policy.Coverage]{out}, err
}
