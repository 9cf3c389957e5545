package api

import (
	"bytes"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/capability"
	"github.com/writ-registry/writ/registry/did"
	"github.com/writ-registry/writ/registry/policy"
)

// VerifyRequest is an act with its token and proof, in AuthZEN's shape.
type VerifyRequest struct {
	Subject  *VerifySubject  `json:"subject"`
	Action   *VerifyAction   `json:"action"`
	Resource *VerifyResource `json:"resource"`
	Context  *VerifyContext  `json:"context"`
}

// VerifySubject is the agent.
type VerifySubject struct {
	Type string `json:"type" enum:"agent"`
	ID   string `json:"id" minLength:"1" doc:"DID of the agent"`
}

// VerifyAction is what the agent does; its properties are the arguments.
type VerifyAction struct {
	Name       string     `json:"name" minLength:"1"`
	Properties *arguments `json:"properties,omitempty"`
}

// VerifyResource is what it does it to.
type VerifyResource struct {
	Type string `json:"type" minLength:"1"`
	ID   string `json:"id" minLength:"1"`
}

// VerifyContext is what the agent shows for it.
type VerifyContext struct {
	Token tokens `json:"token"`
	Proof string `json:"proof" minLength:"1" doc:"agent-action+jwt over the act"`
	Task  string `json:"task,omitempty"`
}

// tokens is a grant token, or a chain.
type tokens struct{ capability.Tokens }

// Schema says that it is a string or an array.
func (tokens) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Description: "agent-cap+jwt: the agent's grant; or the chain of them that ends in it, root first",
		OneOf: []*huma.Schema{
			{Type: "string", MinLength: new(1)},
			{Type: "array", Items: &huma.Schema{Type: "string"}, MinItems: new(1), MaxItems: new(capability.MaxLinks)},
		},
	}
}

func (t tokens) first() string {
	if len(t.Tokens) == 0 {
		return ""
	}
	return t.Tokens[0]
}

// arguments is a JSON object whose very text is signed.
type arguments struct{ json.RawMessage }

// Schema says that it is any object.
func (arguments) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: "object", AdditionalProperties: true}
}

// verify answers whether a token and proof stand now. A resource server asks it
// for each call that it takes, so it is plain gin, as the evaluation is.
func (s *server) verify(c *gin.Context) {
	ctx := c.Request.Context()
	r := requestOf(ctx)
	req, err := readVerify(r.body)
	if err == nil && c.Request.URL.RawQuery != "" {
		err = registry.Errorf(registry.Malformed, "there are no query parameters here")
	}
	if err != nil {
		s.fail(c, err)
		return
	}
	v, err := s.PDP.Verify(ctx, r.caller, req)
	if err != nil {
		s.fail(c, err)
		return
	}
	send(c, http.StatusOK, "application/json", v)
}

func readVerify(body []byte) (policy.Request, error) {
	if len(body) == 0 {
		return policy.Request{}, registry.Errorf(registry.Malformed, "the request body is missing")
	}
	var in VerifyRequest
	if err := canon.Unmarshal(body, &in); err != nil {
		return policy.Request{}, malformedJSON(err)
	}
	switch {
	case in.Subject == nil:
		return policy.Request{}, missing("/subject")
	case in.Action == nil:
		return policy.Request{}, missing("/action")
	case in.Resource == nil:
		return policy.Request{}, missing("/resource")
	case in.Context == nil:
		return policy.Request{}, missing("/context")
	}
	if err := present("/subject/type", in.Subject.Type, "/subject/id", in.Subject.ID, "/action/name", in.Action.Name,
		"/resource/type", in.Resource.Type, "/resource/id", in.Resource.ID, "/context/token", in.Context.Token.first(), "/context/proof", in.Context.Proof); err != nil {
		return policy.Request{}, err
	}
	if in.Subject.Type != "agent" {
		return policy.Request{}, registry.Invalid("/subject/type", "must be agent")
	}
	if err := checkSubject(in.Subject.Type, in.Subject.ID); err != nil {
		return policy.Request{}, err
	}
	arguments, err := in.Action.Properties.object()
	return policy.Request{
		SubjectType: in.Subject.Type, Subject: in.Subject.ID, Token: in.Context.Token.Tokens, Proof: in.Context.Proof,
		Act: capability.Act{
			Action: in.Action.Name, Resource: capability.Resource{Type: in.Resource.Type, ID: in.Resource.ID},
			Arguments: arguments, Task: in.Context.Task,
		},
	}, err
}

// object is the text of the arguments; nil where there are none.
func (a *arguments) object() (json.RawMessage, error) {
	switch {
	case a == nil:
		return nil, nil
	case !bytes.HasPrefix(a.RawMessage, []byte("{")):
		return nil, registry.Invalid("/action/properties", "must be an object")
	}
	return a.RawMessage, nil
}

func missing(at string) error { return registry.Invalid(at, "is required") }

// present refuses the first member without text: at, text, at, text, ...
func present(members ...string) error {
	for i := 0; i < len(members); i += 2 {
		if members[i+1] == "" {
			return missing(members[i])
		}
	}
	return nil
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
