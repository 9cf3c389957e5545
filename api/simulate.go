package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/writ-registry/writ/api/problem"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/capability"
	"github.com/writ-registry/writ/registry/policy"
)

func (s *server) routeSimulation() {
	route(s, huma.Operation{OperationID: "simulate", Method: http.MethodPost, Path: "/v1/simulate", Tags: []string{"decisions"},
		Summary: "What would be decided now, had the agent proven the act",
		Description: "For policy authors of the agent's org, and operators. With a grant, or capabilities and policies to try. " +
			"The answer is no AuthZEN response: it permits nothing, and nothing is recorded or consumed."}, s.simulate)
}

// SimulationRequest is the body of simulate.
type SimulationRequest struct {
	Agent        string             `json:"agent" doc:"Id or DID"`
	Action       SimulatedAction    `json:"action"`
	Resource     SimulatedResource  `json:"resource"`
	Context      *SimulationContext `json:"context,omitempty"`
	Audience     string             `json:"audience,omitempty" doc:"The resource server; absent: the first that the grant names"`
	PEP          string             `json:"pep,omitempty" doc:"Id of the enforcement point that would ask; absent: one that may assert the context"`
	Grant        string             `json:"grant,omitempty" doc:"Id of the grant to try; absent: the best that the agent has"`
	Capabilities string             `json:"capabilities,omitempty" doc:"What a grant to try would say, in place of grant" example:"read:invoices; create:shipment(weight<=500)"`
	Policies     *string            `json:"policies,omitempty" maxLength:"1048576" doc:"Cedar policies to try in place of those that hold"`
}

// SimulatedAction is the action and its arguments.
type SimulatedAction struct {
	Name       string     `json:"name" minLength:"1"`
	Properties *arguments `json:"properties,omitempty"`
}

// SimulatedResource is what is acted on.
type SimulatedResource struct {
	Type string `json:"type" minLength:"1"`
	ID   string `json:"id" minLength:"1"`
}

// SimulationContext is what an evaluation's context could say, but for what proves it.
type SimulationContext struct {
	Task     string `json:"task,omitempty"`
	Domain   string `json:"domain,omitempty"`
	Workflow string `json:"workflow,omitempty"`
	Tool     string `json:"tool,omitempty" doc:"Digest of the description of the tool"`
}

func (s *server) simulate(ctx context.Context, call registry.Call, in *struct{ Body SimulationRequest }) (*plain[policy.Simulation], error) {
	b := in.Body
	if b.Grant != "" && b.Capabilities != "" {
		return nil, registry.Invalid("/capabilities", "are tried in place of a grant, not with one")
	}
	a, err := s.Registry.MaySimulate(ctx, call.Caller, b.Agent)
	if err != nil {
		return nil, err
	}
	t := policy.Trial{
		Agent: a, Act: capability.Act{Action: b.Action.Name, Resource: capability.Resource(b.Resource)},
		Audience: b.Audience, PEP: b.PEP, Grant: b.Grant, Capabilities: b.Capabilities,
	}
	if t.Act.Arguments, err = b.Action.Properties.object(); err != nil {
		return nil, err
	}
	if x := b.Context; x != nil {
		t.Act.Task, t.Context = x.Task, policy.Context{Domain: x.Domain, Workflow: x.Workflow, Tool: x.Tool}
	}
	if b.Policies != nil {
		t.Policies, _, err = s.Registry.ValidatePolicies(ctx, call.Caller, a.Org, *b.Policies)
		if err != nil {
			err = policyProblem(err)
			var p *problem.Problem
			if errors.As(err, &p) {
				p.Field = "/policies"
			}
			return nil, err
		}
	}
	out, err := s.PDP.Simulate(ctx, t)
	if err == nil {
		s.Metrics.simulated(out)
	}
	return &plain[policy.Simulation]{out}, err
}
