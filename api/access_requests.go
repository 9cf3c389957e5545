package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/capability"
	"github.com/writ-registry/writ/registry/policy"
)

// The endpoints of the AuthZEN Access Request and Approval Profile, draft 1. Tasks are
// below RequestsPath.
const (
	RequestsPath = "/access/v1/requests"
	jwksPath     = "/access/v1/jwks"

	capabilityAccessRequest = "urn:openid:authzen:capability:access-request"
	accessErrors            = "urn:openid:authzen:access-request:error:"
)

// maxWait is the longest that a poll waits.
const maxWait = 30 * time.Second

// RequestableDenial says how a human can be asked (section "Requestable Denial
// Context").
type RequestableDenial struct {
	Endpoint     string    `json:"endpoint" format:"uri"`
	ExpiresAt    time.Time `json:"expires_at"`
	BindingToken string    `json:"binding_token" doc:"Comes back unchanged; access-binding+jwt"`
}

// Escalation is what the outcome of an evaluation says of approvals; nothing where
// no human is needed.
type Escalation struct {
	EvaluationID  string             `json:"evaluation_id,omitempty" doc:"Of a step_up: the decision"`
	EvaluatedAt   *time.Time         `json:"evaluated_at,omitempty"`
	Reason        string             `json:"reason,omitempty" doc:"The reason that a human can lift, or why the approval that was shown did not"`
	AccessRequest *RequestableDenial `json:"access_request,omitempty"`
	NextAction    string             `json:"next_action,omitempty" enum:"request,retry,none" doc:"After an approval that was shown and is not good"`
	RetryAfter    int                `json:"retry_after,omitempty" doc:"Seconds, with retry"`
	Approval      *ShownApproval     `json:"approval,omitempty" doc:"Of a permit: the approval that it used up"`
}

// ShownApproval is an approval in an evaluation, or the result of a request.
type ShownApproval struct {
	ID            string     `json:"id" minLength:"1"`
	ApprovedAt    *time.Time `json:"approved_at,omitempty"`
	ApprovedUntil *time.Time `json:"approved_until,omitempty"`
	_             struct{}   `additionalProperties:"true"`
}

// escalate says how a human can be asked, and what came of the approval that was shown.
func (s *server) escalate(d policy.Decision, shown string) (e Escalation, err error) {
	switch {
	case d.Verdict == policy.Permit && d.Approval != "":
		e.Approval = &ShownApproval{ID: d.Approval}
	case d.Verdict == policy.Deny && shown != "":
		e.Reason, e.NextAction = "policy_denied", "none"
	}
	if d.Verdict != policy.StepUp {
		return e, nil
	}
	last := d.Reasons[len(d.Reasons)-1].Code // what is said of the approval comes after the need of one
	e.EvaluationID, e.Reason = d.ID, string(last)
	if shown != "" {
		e.NextAction = "request"
	}
	switch last {
	case policy.ApprovalPending:
		e.NextAction, e.RetryAfter = "retry", 5
	case policy.ApprovalDenied, policy.ApprovalUnknown:
		e.NextAction = "none"
	}
	if d.Event == nil || d.Binding == nil {
		return e, nil
	}
	e.EvaluatedAt = &d.Event.Time
	if e.NextAction != "" && e.NextAction != "request" {
		return e, nil
	}
	b := *d.Binding
	b.Decision, b.Event = d.ID, d.Event.CID
	token, until, err := s.Registry.BindingToken(b, d.Event.Time)
	e.AccessRequest = &RequestableDenial{s.Registry.Origin + RequestsPath, until, token}
	return e, err
}

// AccessRequest is a submission (section "Access Request Submission"). Members that are
// not named here are ignored; items is refused.
type AccessRequest struct {
	Subject  *Entity               `json:"subject"`
	Action   *EvaluationAction     `json:"action"`
	Resource *Entity               `json:"resource"`
	Items    json.RawMessage       `json:"items,omitempty" hidden:"true"`
	Callback *AccessCallback       `json:"callback,omitempty"`
	Context  *AccessRequestContext `json:"context,omitempty"`
	Denial   *Denial               `json:"denial"`
	_        struct{}              `additionalProperties:"true"`
}

// AccessCallback is where the enforcement point is told that the task has ended (section
// "Callback Completion").
type AccessCallback struct {
	Endpoint string   `json:"endpoint" format:"uri" doc:"Of an origin that is registered for the enforcement point"`
	State    string   `json:"state,omitempty" doc:"Comes back unchanged"`
	Events   []string `json:"events,omitempty" doc:"Which ends are told; absent: all. approved, denied, expired, cancelled"`
	_        struct{} `additionalProperties:"true"`
}

// AccessRequestContext is what is read of its context.
type AccessRequestContext struct {
	Task          string   `json:"task,omitempty"`
	Justification string   `json:"business_justification,omitempty" doc:"Shown to the humans, as the words of who asks"`
	_             struct{} `additionalProperties:"true"`
}

// Denial binds a submission to the decision that asked for it.
type Denial struct {
	EvaluationID string   `json:"evaluation_id,omitempty"`
	BindingToken string   `json:"binding_token"`
	_            struct{} `additionalProperties:"true"`
}

// AccessTask is a task handle and, once approved, its result.
type AccessTask struct {
	Task   Task        `json:"task"`
	Result *TaskResult `json:"result,omitempty"`
}

// Task is where a request is.
type Task struct {
	ID             string            `json:"id"`
	Status         string            `json:"status" enum:"pending,approved,denied,expired,cancelled"`
	StatusEndpoint string            `json:"status_endpoint" format:"uri"`
	ExpiresAt      *time.Time        `json:"expires_at,omitempty"`
	Links          map[string]string `json:"links,omitempty"`
}

// TaskResult tells to evaluate again with the approval in context.approval.
type TaskResult struct {
	Mode     string        `json:"mode" enum:"reevaluate"`
	Approval ShownApproval `json:"approval"`
}

// requestAccess asks humans for what an evaluation said they could be asked for.
func (s *server) requestAccess(c *gin.Context) {
	r := requestOf(c.Request.Context())
	in, err := readAccessRequest(r.body)
	if err != nil {
		s.failAccess(c, err)
		return
	}
	out, err := s.Registry.RequestApproval(c.Request.Context(), r.call(), in)
	if err != nil {
		s.failAccess(c, err)
		return
	}
	task := s.task(out.Value)
	status := http.StatusAccepted
	if out.Value.State != registry.ApprovalPending {
		status = http.StatusCreated
	}
	c.Header("Location", task.Task.StatusEndpoint)
	if out.Replayed {
		c.Header("Idempotency-Replayed", "true")
	}
	send(c, status, "application/json", task)
}

func readAccessRequest(body []byte) (registry.NewApproval, error) {
	var in AccessRequest
	if err := canon.UnmarshalOpen(body, &in); err != nil {
		return registry.NewApproval{}, malformedJSON(err)
	}
	switch {
	case len(in.Items) > 0:
		return registry.NewApproval{}, registry.Invalid("/items", "acts are approved one by one")
	case in.Subject == nil:
		return registry.NewApproval{}, missing("/subject")
	case in.Action == nil:
		return registry.NewApproval{}, missing("/action")
	case in.Resource == nil:
		return registry.NewApproval{}, missing("/resource")
	case in.Denial == nil || in.Denial.BindingToken == "":
		return registry.NewApproval{}, &registry.Error{Kind: registry.Malformed, Code: "invalid_denial_binding", Field: "/denial/binding_token", Detail: "is required"}
	}
	out := registry.NewApproval{
		Token: in.Denial.BindingToken, Decision: in.Denial.EvaluationID, Subject: in.Subject.ID,
		Act: capability.Act{Action: in.Action.Name, Resource: capability.Resource{Type: in.Resource.Type, ID: in.Resource.ID}},
	}
	var err error
	if out.Act.Arguments, err = in.Action.Properties.object(); err != nil {
		return out, err
	}
	if x := in.Callback; x != nil {
		out.Callback = &registry.NewCallback{Endpoint: x.Endpoint, State: x.State, Events: x.Events}
	}
	if x := in.Context; x != nil {
		out.Act.Task, out.Justification = x.Task, x.Justification
	}
	return out, nil
}

// task is a request as the profile shows it.
func (s *server) task(a registry.Approval) AccessTask {
	at := s.Registry.Origin + RequestsPath + "/" + a.ID
	out := AccessTask{Task: Task{ID: a.ID, Status: string(a.State), StatusEndpoint: at}}
	switch a.State {
	case registry.ApprovalPending:
		out.Task.ExpiresAt = &a.Expires
		out.Task.Links = map[string]string{"cancel": at + "/cancel", "review": s.Registry.Origin + "/ui/approvals/" + a.ID}
	case registry.ApprovalApproved, registry.ApprovalConsumed:
		out.Task.Status = string(registry.ApprovalApproved)
		out.Result = &TaskResult{"reevaluate", ShownApproval{ID: a.ID, ApprovedAt: &a.Answered, ApprovedUntil: &a.Until}}
	}
	return out
}

// accessStatus says where a request is; wait=30s waits until it moves.
func (s *server) accessStatus(c *gin.Context) {
	query, err := queryOf(c.Request)
	var wait time.Duration
	if text := query.Get("wait"); err == nil && text != "" {
		if wait, err = time.ParseDuration(text); err != nil || wait < 0 {
			err = registry.Invalid("/wait", "must be a duration such as 30s")
		}
	}
	var a registry.Approval
	if err == nil {
		ctx := c.Request.Context()
		a, err = s.Registry.TrackApproval(ctx, requestOf(ctx).call(), c.Param("id"), min(wait, maxWait))
	}
	if err != nil {
		s.failAccess(c, err)
		return
	}
	send(c, http.StatusOK, "application/json", s.task(a))
}

// Cancellation is the body of a cancellation, which may be absent.
type Cancellation struct {
	Reason string   `json:"reason,omitempty" doc:"Machine name, 1 to 64 of [a-z0-9._-]"`
	_      struct{} `additionalProperties:"true"`
}

func (s *server) cancelAccess(c *gin.Context) {
	r := requestOf(c.Request.Context())
	var in Cancellation
	err := readJSON(c, false)
	if err == nil && len(r.body) > 0 {
		if err = canon.UnmarshalOpen(r.body, &in); err != nil {
			err = malformedJSON(err)
		}
	}
	var out registry.Outcome[registry.Approval]
	if err == nil {
		out, err = s.Registry.CancelApproval(c.Request.Context(), r.call(), c.Param("id"), in.Reason)
	}
	if err != nil {
		s.failAccess(c, err)
		return
	}
	send(c, http.StatusOK, "application/json", s.task(out.Value))
}

// failAccess answers with the profile's problem types where it has one.
func (s *server) failAccess(c *gin.Context, err error) {
	s.charge(c, err)
	p := *s.problem(c.Request.Context(), err)
	name, status := p.Code, p.Status
	switch {
	case errors.Is(err, registry.NotFound):
		name = "unknown_task"
	case errors.Is(err, registry.Mismatch):
		name, status = "duplicate_request", http.StatusConflict
	}
	switch name {
	case "invalid_denial_binding", "not_requestable", "expired_denial", "invalid_task_state", "unknown_task", "duplicate_request":
		p.Type, p.Status = accessErrors+name, status
	}
	s.write(c, &p)
	c.Abort()
}

// VerificationKeys is a JWK Set (RFC 7517).
type VerificationKeys struct {
	Keys []VerificationKey `json:"keys"`
}

// VerificationKey is a public key for signatures of the decision point.
type VerificationKey struct {
	jose.JWK
	KeyID string `json:"kid"`
	Use   string `json:"use"`
	Alg   string `json:"alg"`
}

func (s *server) verificationKeys(c *gin.Context) {
	key := s.Registry.TokenKey.Public()
	c.Header("Cache-Control", "public, max-age=300")
	send(c, http.StatusOK, "application/jwk-set+json", VerificationKeys{[]VerificationKey{{key.JWK(), s.Registry.TokenKeyID(), "sig", key.Alg()}}})
}
