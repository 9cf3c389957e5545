package api

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/capability"
	"github.com/writ-registry/writ/registry/did"
	"github.com/writ-registry/writ/registry/policy"
)

func (s *server) routeVerify() {
	route(s, huma.Operation{OperationID: "verify", Method: http.MethodPost, Path: "/v1/verify", Tags: []string{"verify"},
		Summary: "Whether a grant token and action proof stand now",
		Description: "For a resource server of any organization. It weighs no policy, consumes nothing and records nothing: " +
			"who executes on this word alone gives up replay protection, policy and evidence."}, s.verify)
}

// VerifyRequest is an act with its token and proof, in AuthZEN's shape.
type VerifyRequest struct {
	Subject  VerifySubject       `json:"subject"`
	Action   VerifyAction        `json:"action"`
	Resource capability.Resource `json:"resource"`
	Context  VerifyContext       `json:"context"`
}

// VerifySubject is the agent.
type VerifySubject struct {
	Type string `json:"type" enum:"agent"`
	ID   string `json:"id" doc:"DID of the agent"`
}

// VerifyAction is what the agent does; its properties are the arguments.
type VerifyAction struct {
	Name       string     `json:"name"`
	Properties *arguments `json:"properties,omitempty"`
}

// VerifyContext is what the agent shows for it.
type VerifyContext struct {
	Token string `json:"token" doc:"agent-cap+jwt"`
	Proof string `json:"proof" doc:"agent-action+jwt over the act"`
	Task  string `json:"task,omitempty"`
}

// arguments is a JSON object whose very text is signed.
type arguments struct{ json.RawMessage }

// Schema says that it is any object.
func (arguments) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: "object", AdditionalProperties: true}
}

func (s *server) verify(ctx context.Context, call registry.Call, in *struct{ Body VerifyRequest }) (*plain[policy.Verification], error) {
	b := in.Body
	if err := checkSubject(b.Subject.Type, b.Subject.ID); err != nil {
		return nil, err
	}
	req := policy.Request{
		SubjectType: b.Subject.Type, Subject: b.Subject.ID, Token: b.Context.Token, Proof: b.Context.Proof,
		Act: capability.Act{Action: b.Action.Name, Resource: b.Resource, Task: b.Context.Task},
	}
	if b.Action.Properties != nil {
		req.Act.Arguments = b.Action.Properties.RawMessage
	}
	v, err := s.PDP.Verify(ctx, call.Caller, req)
	return &plain[policy.Verification]{v}, err
}

// checkSubject refuses an agent that is not named by a DID.
func checkSubject(kind, id string) error {
	if kind != "agent" {
		return nil
	}
	if _, err := did.Parse(id); err != nil {
		return &registry.Error{Kind: registry.Malformed, Code: "did", Field: "/subject/id", Detail: err.Error(), Err: err}
	}
	return nil
}
