package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/writ-registry/writ/api/problem"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/cedar"
	"github.com/writ-registry/writ/registry/policy"
)

func (s *server) routePolicies() {
	route(s, huma.Operation{OperationID: "validate-policies", Method: http.MethodPost, Path: "/v1/orgs/{org}/policies/validate", Tags: []string{"policies"},
		Summary: "Hold Cedar policies against what the org knows, and keep nothing"}, s.validatePolicies)
	route(s, huma.Operation{OperationID: "draft-policies", Method: http.MethodPost, Path: "/v1/orgs/{org}/policies", Tags: []string{"policies"},
		DefaultStatus: http.StatusCreated, Summary: "Keep Cedar policies as a new version, which says nothing yet",
		Description: "What does not validate is refused: errors has each fault with its line, column and policy."}, s.draftPolicies)
	route(s, huma.Operation{OperationID: "list-policies", Method: http.MethodGet, Path: "/v1/orgs/{org}/policies", Tags: []string{"policies"},
		Summary: "The versions of an org's policies, newest first"}, s.listPolicies)
	route(s, huma.Operation{OperationID: "get-policies", Method: http.MethodGet, Path: "/v1/orgs/{org}/policies/{version}", Tags: []string{"policies"},
		Summary: "One version with its text; active is the one that holds"}, s.getPolicies)
	route(s, huma.Operation{OperationID: "dry-run-policies", Method: http.MethodPost, Path: "/v1/orgs/{org}/policies/{version}/dry-run", Tags: []string{"policies"},
		Summary:     "What a version would have made of recorded decisions",
		Description: "Of the newest ones, or of those before an event. Permits that left no event are not seen; agents, entities and the catalogue are as they are now."}, s.dryRunPolicies)
	route(s, huma.Operation{OperationID: "activate-policies", Method: http.MethodPost, Path: "/v1/orgs/{org}/policies/{version}/activate", Tags: []string{"policies"},
		Summary: "Make a version the one that holds; where the org separates duties, not by its author"}, s.activatePolicies)
}

// PolicyText is the body of draft-policies and validate-policies.
type PolicyText struct {
	Text string `json:"text" maxLength:"1048576" doc:"Cedar policies; empty: none, which ends those that hold once it is activated" example:"forbid(principal is Agent, action, resource) when { context.risk.egress };"`
}

// PolicyFaults is the answer of validate-policies.
type PolicyFaults struct {
	Valid    bool          `json:"valid"`
	Policies int           `json:"policies"`
	Digest   string        `json:"digest,omitempty"`
	Faults   []cedar.Fault `json:"faults"`
}

// PolicyPath names a version of an org's policies.
type PolicyPath struct {
	OrgPath
	Version string `path:"version" doc:"Number, or active" pattern:"^(active|[1-9][0-9]{0,15})$"`
}

func (p PolicyPath) number() int64 {
	n, err := strconv.ParseInt(p.Version, 10, 64)
	if err != nil {
		return 0 // active
	}
	return n
}

// PolicyAnswer is a version and the event that records its activation.
type PolicyAnswer struct {
	Policies registry.PolicySet `json:"policies"`
	Event    *registry.EventRef `json:"event,omitempty"`
}

func (s *server) validatePolicies(ctx context.Context, call registry.Call, in *struct {
	OrgPath
	Body PolicyText
}) (*plain[PolicyFaults], error) {
	set, _, err := s.Registry.ValidatePolicies(ctx, call.Caller, in.Org, in.Body.Text)
	var faults cedar.Faults
	if errors.As(err, &faults) {
		return &plain[PolicyFaults]{PolicyFaults{Faults: faults}}, nil
	}
	if err != nil {
		return nil, err
	}
	return &plain[PolicyFaults]{PolicyFaults{true, set.Len(), set.Digest(), []cedar.Fault{}}}, nil
}

func (s *server) draftPolicies(ctx context.Context, call registry.Call, in *struct {
	OrgPath
	Body PolicyText
}) (*created[PolicyAnswer], error) {
	out, err := s.Registry.DraftPolicies(ctx, call, in.Org, in.Body.Text)
	if err != nil {
		return nil, policyProblem(err)
	}
	p := out.Value
	return create(out, "/v1/orgs/"+p.Org+"/policies/"+strconv.FormatInt(p.Version, 10), PolicyAnswer{Policies: p}), nil
}

// policyProblem shows every fault of a text with its place.
func policyProblem(err error) error {
	var faults cedar.Faults
	if !errors.As(err, &faults) {
		return err
	}
	p := problem.Of(registry.Malformed, faults[0].Error())
	p.Code, p.Field = "policy_invalid", "/text"
	for _, f := range faults {
		p.Errors = append(p.Errors, problem.Item{Detail: f.Msg, Field: "/text", Policy: f.Policy, Line: f.Line, Column: f.Column})
	}
	return p
}

func (s *server) listPolicies(ctx context.Context, call registry.Call, in *struct {
	OrgPath
	PageParams
}) (*plain[page[registry.PolicySet]], error) {
	place := func(p registry.PolicySet) string { return strconv.FormatInt(p.Version, 10) }
	return listed(in.PageParams, "policies", place, func(p registry.Page) ([]registry.PolicySet, error) {
		return s.Registry.ListPolicies(ctx, call.Caller, in.Org, p)
	})
}

func (s *server) getPolicies(ctx context.Context, call registry.Call, in *PolicyPath) (*plain[registry.PolicySet], error) {
	p, err := s.Registry.FindPolicies(ctx, call.Caller, in.Org, in.number())
	return &plain[registry.PolicySet]{p}, err
}

func (s *server) dryRunPolicies(ctx context.Context, call registry.Call, in *struct {
	PolicyPath
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"200" doc:"How many decisions to look at"`
	Before string `query:"before" doc:"Index of an event: look at decisions before it (next of an answer)"`
}) (*plain[policy.Preview], error) {
	p, err := s.Registry.DraftedPolicies(ctx, call.Caller, in.Org, in.number())
	if err != nil {
		return nil, err
	}
	set, err := cedar.Parse(p.Text)
	if err != nil {
		return nil, policyProblem(err)
	}
	out, err := s.PDP.Preview(ctx, p.Org, set, registry.Page{After: in.Before, Limit: in.Limit})
	return &plain[policy.Preview]{out}, err
}

func (s *server) activatePolicies(ctx context.Context, call registry.Call, in *PolicyPath) (*changed[PolicyAnswer], error) {
	out, err := s.Registry.ActivatePolicies(ctx, call, in.Org, in.number())
	if err != nil {
		return nil, policyProblem(err)
	}
	return change(out, PolicyAnswer{out.Value, eventOf(out)}), nil
}
