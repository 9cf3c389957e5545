package api

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/writ-registry/writ/registry"
)

func (s *server) routeAgents() {
	route(s, huma.Operation{OperationID: "request-agent", Method: http.MethodPost, Path: "/v1/agents", Tags: []string{"agents"},
		DefaultStatus: http.StatusCreated, Summary: "Register an agent with its key; it may do nothing until it is approved",
		Description: "With approve, and a first grant if there is one, all of it is one commit, or nothing."}, s.requestAgent)
	route(s, huma.Operation{OperationID: "get-agent", Method: http.MethodGet, Path: "/v1/agents/{agent}", Tags: []string{"agents"},
		Summary: "One agent, by id or by any of its DIDs"}, s.getAgent)
	route(s, huma.Operation{OperationID: "set-sponsor", Method: http.MethodPut, Path: "/v1/agents/{agent}/sponsor", Tags: []string{"agents"},
		Summary: "Have another human of the org answer for an agent"}, s.setSponsor)
	route(s, huma.Operation{OperationID: "set-actions", Method: http.MethodPut, Path: "/v1/agents/{agent}/actions", Tags: []string{"agents"},
		Summary:     "Hold an agent to some actions of its org's catalogue, whatever its grants say",
		Description: "Other acts are denied, action_refused: its own, those of its descendants, and those that rest on a grant that it handed on."}, s.setActions)
	route(s, huma.Operation{OperationID: "clear-actions", Method: http.MethodDelete, Path: "/v1/agents/{agent}/actions", Tags: []string{"agents"},
		Summary: "Let an agent do again whatever its grants cover"}, s.clearActions)
	for _, m := range []struct {
		verb, summary string
		move          func(context.Context, registry.Call, string, string) (registry.Outcome[registry.Agent], error)
	}{
		{"approve", "Let a requested agent act within its grants", func(ctx context.Context, call registry.Call, id, _ string) (registry.Outcome[registry.Agent], error) {
			return s.Registry.ApproveAgent(ctx, call, id)
		}},
		{"suspend", "Stop an agent until it is resumed", s.Registry.SuspendAgent},
		{"resume", "Let a suspended agent act again", s.Registry.ResumeAgent},
		{"revoke", "End an agent for good", s.Registry.RevokeAgent},
	} {
		route(s, huma.Operation{OperationID: m.verb + "-agent", Method: http.MethodPost, Path: "/v1/agents/{agent}/" + m.verb, Tags: []string{"agents"}, Summary: m.summary},
			func(ctx context.Context, call registry.Call, in *struct {
				AgentPath
				Body *ReasonBody
			}) (*changed[AgentAnswer], error) {
				out, err := m.move(ctx, call, in.Agent, in.Body.text())
				if err != nil {
					return nil, err
				}
				return change(out, AgentAnswer{out.Value, eventOf(out)}), nil
			})
	}
}

// NewAgent is the body of request-agent.
type NewAgent struct {
	Org            string         `json:"org,omitempty" doc:"Id or name; the caller's own where absent"`
	Sponsor        string         `json:"sponsor,omitempty" doc:"The accountable principal; the caller where absent"`
	Name           string         `json:"name"`
	Purpose        string         `json:"purpose,omitempty"`
	Role           string         `json:"role,omitempty"`
	Domains        []string       `json:"domains,omitempty" doc:"Approved business domains; none = any"`
	Workflows      []string       `json:"workflows,omitempty" doc:"Approved workflows; none = any"`
	AuthorityLevel int            `json:"authority_level,omitempty" minimum:"0" maximum:"4"`
	Composition    []NewComponent `json:"composition,omitempty"`
	JWK            publicJWK      `json:"jwk"`
	Possession     string         `json:"possession" doc:"agent-pop+jwt by that key, for this registry, org and name"`
	NextKeyHash    string         `json:"next_key_hash,omitempty" doc:"Commitment to the key after it (pre-rotation)"`
	Parent         string         `json:"parent,omitempty" doc:"Id or DID of the agent whose child it is; an agent that calls is the parent"`
	Spawn          *NewSpawn      `json:"spawn,omitempty" doc:"Its right to register children; none where absent"`
	Approve        bool           `json:"approve,omitempty" doc:"Approve it as well; the caller needs the right to, and an org that does not separate duties"`
	Grant          *FirstGrant    `json:"grant,omitempty" doc:"With approve: issue it this grant"`
}

// NewComponent is one part of an agent's runtime composition.
type NewComponent struct {
	Kind   string `json:"kind" enum:"model,runtime,tools,api"`
	Name   string `json:"name"`
	Digest string `json:"digest" doc:"SHA-256 of the artifact or manifest, 64 hex digits"`
	Source string `json:"source" enum:"self,sponsor" doc:"Who vouches for it"`
}

// publicJWK is a JWK as it was sent: package jose reads it, more strictly than
// a schema could.
type publicJWK struct{ json.RawMessage }

// Schema describes what jose.ParseJWK accepts.
func (publicJWK) Schema(huma.Registry) *huma.Schema {
	text := &huma.Schema{Type: "string"}
	return &huma.Schema{
		Type: "object", Description: "An Ed25519 or P-256 public key (RFC 7517, RFC 8037)", AdditionalProperties: true,
		Properties: map[string]*huma.Schema{"kty": text, "crv": text, "x": text, "y": text},
		Required:   []string{"kty", "crv", "x"},
	}
}

// AgentAnswer is an agent and the event that records what changed.
type AgentAnswer struct {
	Agent registry.Agent     `json:"agent"`
	Event *registry.EventRef `json:"event,omitempty" doc:"Absent where nothing changed"`
}

// NewAgentAnswer is a registered agent with what it was given.
type NewAgentAnswer struct {
	Agent  registry.Agent      `json:"agent"`
	Grant  *registry.Grant     `json:"grant,omitempty" doc:"Its first grant, if one was asked for"`
	Event  *registry.EventRef  `json:"event,omitempty" doc:"The first of events"`
	Events []registry.EventRef `json:"events,omitempty" doc:"All that was recorded, in order"`
}

func (s *server) requestAgent(ctx context.Context, call registry.Call, in *struct{ Body NewAgent }) (*created[NewAgentAnswer], error) {
	b := in.Body
	parts := make([]registry.Component, len(b.Composition))
	for i, c := range b.Composition {
		parts[i] = registry.Component{Kind: c.Kind, Name: c.Name, Digest: c.Digest, Source: c.Source}
	}
	var spawn registry.Spawn
	if b.Spawn != nil {
		spawn = registry.Spawn(*b.Spawn)
	}
	agent := registry.NewAgent{
		NextKeyHash: b.NextKeyHash, Parent: b.Parent, Spawn: spawn,
		Org: b.Org, Sponsor: b.Sponsor, Name: b.Name, Purpose: b.Purpose, Role: b.Role, Domains: b.Domains, Workflows: b.Workflows,
		AuthorityLevel: b.AuthorityLevel, Composition: parts, JWK: b.JWK.RawMessage, Possession: b.Possession,
	}
	if b.Approve {
		return s.onboardAgent(ctx, call, agent, b.Grant)
	}
	if b.Grant != nil {
		return nil, registry.Invalid("/grant", "needs approve: only an active agent holds a grant")
	}
	out, err := s.Registry.RequestAgent(ctx, call, agent)
	if err != nil {
		return nil, err
	}
	return create(out, "/v1/agents/"+out.Value.ID, NewAgentAnswer{out.Value, nil, eventOf(out), out.Events}), nil
}

// AgentPath names an agent.
type AgentPath struct {
	Agent string `path:"agent" doc:"Id, or percent-encoded DID"`
}

func (s *server) getAgent(ctx context.Context, call registry.Call, in *AgentPath) (*plain[registry.Agent], error) {
	a, err := s.Registry.FindAgent(ctx, call.Caller, in.Agent)
	return &plain[registry.Agent]{a}, err
}

// NewSponsor is the body of set-sponsor.
type NewSponsor struct {
	Sponsor string `json:"sponsor" doc:"Id of an active principal of the agent's org"`
}

func (s *server) setSponsor(ctx context.Context, call registry.Call, in *struct {
	AgentPath
	Body NewSponsor
}) (*changed[AgentAnswer], error) {
	out, err := s.Registry.SetSponsor(ctx, call, in.Agent, in.Body.Sponsor)
	if err != nil {
		return nil, err
	}
	return change(out, AgentAnswer{out.Value, eventOf(out)}), nil
}

// ReasonBody is the optional body of what stops or ends something.
type ReasonBody struct {
	Reason string `json:"reason,omitempty" doc:"Machine name, 1 to 64 of [a-z0-9._-]" example:"key-compromise"`
}

func (r *ReasonBody) text() string {
	if r == nil {
		return ""
	}
	return r.Reason
}

// NewActions is the body of set-actions.
type NewActions struct {
	Actions []string `json:"actions" doc:"verb:type, at most 200; none = it may do nothing" example:"[\"read:invoices\"]"`
}

func (s *server) setActions(ctx context.Context, call registry.Call, in *struct {
	AgentPath
	Body NewActions
}) (*changed[AgentAnswer], error) {
	out, err := s.Registry.SetActions(ctx, call, in.Agent, in.Body.Actions)
	if err != nil {
		return nil, err
	}
	return change(out, AgentAnswer{out.Value, eventOf(out)}), nil
}

func (s *server) clearActions(ctx context.Context, call registry.Call, in *AgentPath) (*changed[AgentAnswer], error) {
	out, err := s.Registry.ClearActions(ctx, call, in.Agent)
	if err != nil {
		return nil, err
	}
	return change(out, AgentAnswer{out.Value, eventOf(out)}), nil
}
