package api

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/capability"
	"github.com/writ-registry/writ/registry/policy"
)

// EvaluationRequest is an Access Evaluation request (OpenID AuthZEN
// Authorization API 1.0, section 6.1). Members that are not named here are
// ignored, as that specification demands.
type EvaluationRequest struct {
	Subject  *Entity            `json:"subject"`
	Action   *EvaluationAction  `json:"action"`
	Resource *Entity            `json:"resource"`
	Context  *EvaluationContext `json:"context,omitempty"`
	_        struct{}           `additionalProperties:"true"`
}

// Entity is a subject or resource (sections 5.1 and 5.2).
type Entity struct {
	Type       string          `json:"type" minLength:"1"`
	ID         string          `json:"id" minLength:"1"`
	Properties json.RawMessage `json:"properties,omitempty" doc:"An object; counts where the subject is no agent, the enforcement point may assert it, and the org knows nothing else"`
	_          struct{}        `additionalProperties:"true"`
}

// EvaluationAction is an action (section 5.3); its properties are the arguments.
type EvaluationAction struct {
	Name       string     `json:"name" minLength:"1"`
	Properties *arguments `json:"properties,omitempty"`
	_          struct{}   `additionalProperties:"true"`
}

// EvaluationContext is what Writ reads of the context (section 5.4).
type EvaluationContext struct {
	Token    tokens         `json:"token,omitempty"`
	Proof    string         `json:"proof,omitempty" doc:"agent-action+jwt by the agent over this very act, passed on unchanged"`
	Task     string         `json:"task,omitempty"`
	Domain   string         `json:"domain,omitempty" doc:"Asserted by the enforcement point, if it is registered for it"`
	Workflow string         `json:"workflow,omitempty" doc:"As domain"`
	Tool     string         `json:"tool,omitempty" doc:"As domain: base64url SHA-256 of the description of the tool that will be called, in its RFC 8785 form"`
	Approval *ShownApproval `json:"approval,omitempty" doc:"An approval of this very act, as the result of the request for it had it"`
	Permit   bool           `json:"permit,omitempty" doc:"Ask for a permit+jwt, for a resource server that is not the one that asks, or wants each act done once"`
	_        struct{}       `additionalProperties:"true"`
}

// EvaluationAnswer is an Access Evaluation response (section 6.2). Decision is
// true for a permit only.
type EvaluationAnswer struct {
	Decision bool              `json:"decision"`
	Context  EvaluationOutcome `json:"context"`
}

// EvaluationOutcome says why, and where the decision is recorded.
type EvaluationOutcome struct {
	ID           string             `json:"id"`
	Verdict      policy.Verdict     `json:"verdict" enum:"permit,deny,step_up"`
	Reasons      []EvaluationReason `json:"reasons" doc:"All of them, in order of precedence; empty for a permit, unless it is observed"`
	Observed     bool               `json:"observed,omitempty" doc:"Permitted under observation: without it the reasons would deny"`
	Qualified    bool               `json:"qualified" doc:"The decision is evidence; false for a permit of no consequence"`
	Event        *registry.EventRef `json:"event,omitempty"`
	PolicyDigest string             `json:"policy_digest"`
	Folded       bool               `json:"folded,omitempty" doc:"A repeat of a recorded denial, counted there"`
	Asserted     bool               `json:"pep_asserted,omitempty" doc:"The subject is no agent and proved nothing: it is known by the enforcement point's word"`
	Repeated     bool               `json:"repeated,omitempty" doc:"The recorded answer to the very same request"`
	Permit       string             `json:"permit,omitempty" doc:"permit+jwt of this decision, where one was asked for; it counts for 30 seconds, once"`
	Escalation
}

// EvaluationReason is a reason with its meaning in words.
type EvaluationReason struct {
	Code    policy.Code `json:"code"`
	Detail  string      `json:"detail,omitempty"`
	Meaning string      `json:"meaning"`
}

// evaluate answers whether the act may be done now. A "no" is an answer; only
// a request that is not one, and an agent that does not prove its own act, are
// errors.
func (s *server) evaluate(c *gin.Context) {
	ctx := c.Request.Context()
	out, err := s.decide(ctx, requestOf(ctx).body)
	if err != nil {
		s.refuse(c, err)
		return
	}
	send(c, http.StatusOK, "application/json", out)
}

// decide reads one evaluation and answers it.
func (s *server) decide(ctx context.Context, body []byte) (EvaluationAnswer, error) {
	req, err := readEvaluation(body)
	if err != nil {
		return EvaluationAnswer{}, err
	}
	call := requestOf(ctx).call()
	if a := call.Caller.Agent; a != nil {
		// Who it is on this connection is no more than a second lock: the proof decides.
		if req.Subject != a.DID && req.Subject != a.WebDID {
			return EvaluationAnswer{}, &registry.Error{Kind: registry.Unauthenticated, Code: "certificate_mismatch", Field: "/subject/id", Detail: "the certificate is another agent's"}
		}
		call.Caller = registry.Caller{Actor: registry.Actor{Kind: registry.ActorAgent}}
	}
	d, err := s.PDP.Decide(ctx, call, req)
	if err != nil {
		return EvaluationAnswer{}, err
	}
	s.Metrics.decision(d)
	out := EvaluationOutcome{
		ID: d.ID, Verdict: d.Verdict, Reasons: []EvaluationReason{}, Qualified: d.Qualified, Event: d.Event,
		PolicyDigest: d.PolicyDigest, Folded: d.Folded, Repeated: d.Repeated, Asserted: d.Asserted, Permit: d.Permit, Observed: d.Observed,
	}
	for _, reason := range d.Reasons {
		out.Reasons = append(out.Reasons, EvaluationReason{reason.Code, reason.Detail, policy.Meanings[reason.Code]})
	}
	out.Escalation, err = s.escalate(d, req.Approval)
	return EvaluationAnswer{d.Verdict == policy.Permit, out}, err
}

func readEvaluation(body []byte) (policy.Request, error) {
	var in EvaluationRequest
	if err := canon.UnmarshalOpen(body, &in); err != nil {
		return policy.Request{}, malformedJSON(err)
	}
	if at := simulation(body); at != "" {
		return policy.Request{}, registry.Invalid(at, "an evaluation is never a dry run: what it permits may be done")
	}
	switch {
	case in.Subject == nil:
		return policy.Request{}, missing("/subject")
	case in.Action == nil:
		return policy.Request{}, missing("/action")
	case in.Resource == nil:
		return policy.Request{}, missing("/resource")
	}
	if err := present("/subject/type", in.Subject.Type, "/subject/id", in.Subject.ID, "/action/name", in.Action.Name,
		"/resource/type", in.Resource.Type, "/resource/id", in.Resource.ID); err != nil {
		return policy.Request{}, err
	}
	if err := checkSubject(in.Subject.Type, in.Subject.ID); err != nil {
		return policy.Request{}, err
	}
	req := policy.Request{
		SubjectType: in.Subject.Type, Subject: in.Subject.ID,
		Act: capability.Act{Action: in.Action.Name, Resource: capability.Resource{Type: in.Resource.Type, ID: in.Resource.ID}},
	}
	var err error
	if req.Act.Arguments, err = in.Action.Properties.object(); err != nil {
		return policy.Request{}, err
	}
	if x := in.Context; x != nil {
		req.Token, req.Proof, req.Act.Task, req.Permit = x.Token.Tokens, x.Proof, x.Task, x.Permit
		req.Context = policy.Context{Domain: x.Domain, Workflow: x.Workflow, Tool: x.Tool}
		if x.Approval != nil {
			req.Approval = x.Approval.ID
		}
	}
	req.Context.Subject, req.Context.Resource = in.Subject.Properties, in.Resource.Properties
	return req, nil
}

// simulation finds a member dry_run at the top or anywhere in the context; it
// returns its pointer. Arguments and properties are others' words, and may
// hold one.
func simulation(body []byte) string {
	if !bytes.Contains(body, []byte("dry_run")) && !bytes.Contains(body, []byte(`\u`)) {
		return "" // no other escape spells one of its letters
	}
	dec := jsontext.NewDecoder(bytes.NewReader(body))
	for {
		tok, err := dec.ReadToken()
		if err != nil {
			return "" // the end: the text is known to be JSON
		}
		kind, n := dec.StackIndex(dec.StackDepth())
		if kind != '{' || n%2 != 1 || tok.Kind() != '"' {
			continue
		}
		switch name := tok.String(); {
		case name == "dry_run":
			return string(dec.StackPointer())
		case dec.StackDepth() == 1 && name != "context":
			if dec.SkipValue() != nil {
				return ""
			}
		}
	}
}

// authzenMetadata is the PDP's metadata document (section 9): what is built,
// and nothing else.
func (s *server) authzenMetadata(c *gin.Context) {
	send(c, http.StatusOK, "application/json", Metadata{
		PolicyDecisionPoint:       s.Registry.Origin,
		AccessEvaluationEndpoint:  s.Registry.Origin + "/access/v1/evaluation",
		AccessEvaluationsEndpoint: s.Registry.Origin + "/access/v1/evaluations",
		AccessRequestEndpoint:     s.Registry.Origin + requestsPath,
		JWKS:                      s.Registry.Origin + jwksPath,
		Capabilities:              []string{capabilityAccessRequest},
	})
}

// Metadata is the metadata of the policy decision point.
type Metadata struct {
	PolicyDecisionPoint       string   `json:"policy_decision_point" format:"uri"`
	AccessEvaluationEndpoint  string   `json:"access_evaluation_endpoint" format:"uri"`
	AccessEvaluationsEndpoint string   `json:"access_evaluations_endpoint" format:"uri"`
	AccessRequestEndpoint     string   `json:"access_request_endpoint" format:"uri"`
	JWKS                      string   `json:"jwks_uri" format:"uri"`
	Capabilities              []string `json:"capabilities"`
}
