package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/policy"
)

func (s *server) routeDecisions() {
	route(s, huma.Operation{OperationID: "get-decision", Method: http.MethodGet, Path: "/v1/decisions/{id}", Tags: []string{"decisions"},
		Summary: "A recorded decision with all that explains it",
		Description: "To principals of the org, operators and the agent itself. A permit of no consequence leaves no event, so there is nothing to read of it; " +
			"an id is looked for from a second before its own time until a minute after, a CID everywhere."}, s.getDecision)
	route(s, huma.Operation{OperationID: "replay-decision", Method: http.MethodPost, Path: "/v1/decisions/{id}/replay", Tags: []string{"decisions"},
		Summary: "Judge the preserved inputs of a decision again, by what is known now",
		Description: "At the recorded time, by the agents, grants, stops, catalogue and policies of now; where the policies are others, also by those of then. " +
			"It is no decision: nothing is recorded, consumed or permitted. 409 not_replayable: the inputs are erased, or were never proven."}, s.replayDecision)
}

// DecisionPath names a recorded decision.
type DecisionPath struct {
	ID string `path:"id" doc:"Of the decision, a UUIDv7, or the CID of its event"`
}

func (s *server) getDecision(ctx context.Context, call registry.Call, in *DecisionPath) (*plain[policy.Explanation], error) {
	ev, err := s.Registry.FindDecision(ctx, call.Caller, in.ID)
	if err != nil {
		return nil, err
	}
	out, err := s.PDP.Explanation(ctx, ev)
	return &plain[policy.Explanation]{out}, err
}

func (s *server) replayDecision(ctx context.Context, call registry.Call, in *DecisionPath) (*plain[policy.Replay], error) {
	ev, err := s.Registry.FindDecision(ctx, call.Caller, in.ID)
	if err != nil {
		return nil, err
	}
	out, err := s.PDP.Replay(ctx, ev)
	return &plain[policy.Replay]{out}, err
}
