package client

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"time"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry/capability"
)

// RequestableDenial is how humans can be asked for what a decision denied.
type RequestableDenial struct {
	Endpoint     string    `json:"endpoint"`
	ExpiresAt    time.Time `json:"expires_at"`
	BindingToken string    `json:"binding_token"`
}

// ShownApproval is an approval as it is shown in an evaluation.
type ShownApproval struct {
	ID            string     `json:"id"`
	ApprovedAt    *time.Time `json:"approved_at,omitempty"`
	ApprovedUntil *time.Time `json:"approved_until,omitempty"`
}

// ApprovalTask is a request to humans, and its result once they have approved.
type ApprovalTask struct {
	Task struct {
		ID        string     `json:"id"`
		Status    string     `json:"status"` // pending | approved | denied | expired | cancelled
		ExpiresAt *time.Time `json:"expires_at,omitempty"`
	} `json:"task"`
	Result *struct {
		Mode     string        `json:"mode"`
		Approval ShownApproval `json:"approval"`
	} `json:"result,omitempty"`
}

// RequestApproval asks humans for what a decision denied, with the words of who asks.
// Once the task is approved, evaluate the same act again, newly proven, with the
// result's approval in the context.
func (c *Client) RequestApproval(ctx context.Context, req EvaluationRequest, d Decision, justification string) (ApprovalTask, error) {
	var out ApprovalTask
	in := map[string]any{"subject": req.Subject, "action": req.Action, "resource": req.Resource}
	more := map[string]string{}
	if req.Context.Task != "" {
		more["task"] = req.Context.Task
	}
	if justification != "" {
		more["business_justification"] = justification
	}
	in["context"] = more
	if x := d.Context.AccessRequest; x != nil {
		in["denial"] = map[string]any{"evaluation_id": d.Context.EvaluationID, "expires_at": x.ExpiresAt, "reason": d.Context.Reason, "binding_token": x.BindingToken}
	}
	_, err := c.read(ctx, request{method: http.MethodPost, path: "/access/v1/requests", body: in, repeatable: true}, &out)
	return out, err
}

// maxWait leaves time for the answer, before the client gives up on a request.
const maxWait = 20 * time.Second

// ApprovalTask says where a request is; it waits that long for it to move, 20 s at most.
func (c *Client) ApprovalTask(ctx context.Context, id string, wait time.Duration) (ApprovalTask, error) {
	var out ApprovalTask
	q := url.Values{}
	if wait > 0 {
		q.Set("wait", min(wait, maxWait).String())
	}
	err := c.get(ctx, at("/access/v1/requests", id), q, &out)
	return out, err
}

// Approval is what humans are asked to approve, and what they said.
type Approval struct {
	ID        string           `json:"id"`
	Org       string           `json:"org"`
	Agent     string           `json:"agent"`
	DID       string           `json:"did"`
	State     string           `json:"state"`
	Binding   json.RawMessage  `json:"binding"`
	Rule      ApprovalRule     `json:"rule"`
	Statement string           `json:"statement"` // canonical JSON; its SHA-256 is what is signed
	Digest    string           `json:"digest"`
	Requested time.Time        `json:"requested"`
	Expires   time.Time        `json:"expires"`
	Answers   []ApprovalAnswer `json:"answers,omitempty"`
	Until     time.Time        `json:"until,omitzero"`
	Consumer  string           `json:"consumed_by,omitempty"`
	Glass     bool             `json:"broken_glass,omitempty"`
	Callback  *CallbackRecord  `json:"callback,omitempty"` // of Approval only; nil: none was asked for
}

// CallbackRecord is what became of the callback of a request.
type CallbackRecord struct {
	Status   string    `json:"status"` // waiting | due | delivered | given_up
	Attempts int       `json:"attempts"`
	Next     time.Time `json:"next,omitzero"`
	Told     time.Time `json:"told,omitzero"`
	Failure  string    `json:"failure,omitempty"` // of the last attempt
}

// ApprovalAnswer is what one human said.
type ApprovalAnswer struct {
	Principal     string    `json:"principal"`
	Verdict       string    `json:"verdict"` // approve | deny
	Reason        string    `json:"reason,omitempty"`
	BreakGlass    bool      `json:"break_glass,omitempty"`
	Authenticator string    `json:"authenticator,omitempty"`
	Signature     string    `json:"signature,omitempty"`
	Time          time.Time `json:"time"`
}

// Approvals lists what humans of an org ("" = the caller's) were asked; "" is any state.
func (c *Client) Approvals(ctx context.Context, org, state string) iter.Seq2[Approval, error] {
	return list[Approval](ctx, c, "/v1/approvals", filter("org", org, "state", state))
}

// Approval returns one.
func (c *Client) Approval(ctx context.Context, id string) (Approval, error) {
	return fetch[Approval](ctx, c, at("/v1/approvals", id))
}

// ApprovalStatement returns the bytes that an approver is shown, and the base64url of
// their SHA-256, which is computed here.
func (c *Client) ApprovalStatement(ctx context.Context, id string, breakGlass bool) (form []byte, digest string, err error) {
	q := url.Values{}
	if breakGlass {
		q.Set("break_glass", "true")
	}
	a, err := c.do(ctx, request{method: http.MethodGet, path: at("/v1/approvals", id) + "/statement", query: q, repeatable: true})
	return a.body, canon.Digest(a.body), err
}

// NewApprovalAnswer is a human's answer.
type NewApprovalAnswer struct {
	Verdict    string `json:"verdict"` // approve | deny
	Reason     string `json:"reason,omitempty"`
	BreakGlass bool   `json:"break_glass,omitempty"`
	Signature  string `json:"signature,omitempty"` // of SignApproval
}

// AnswerApproval answers.
func (c *Client) AnswerApproval(ctx context.Context, id string, in NewApprovalAnswer) (Change[Approval], error) {
	return change[Approval](ctx, c, http.MethodPost, at("/v1/approvals", id)+"/answer", "approval", in)
}

// SignApproval signs an answer over the statement of this digest. It is good for a
// minute.
func (k *AgentKey) SignApproval(origin, approval, digest, verdict string) (string, error) {
	now := time.Now()
	return capability.SignApproval(k.private, capability.ApprovalClaims{
		Audience: origin, ID: capability.NewJTI(), IssuedAt: now.Unix(), Expires: now.Add(capability.MaxLifetime).Unix(),
		Approval: approval, Statement: digest, Verdict: verdict,
	})
}

// ApprovalRule says who must approve an act that needs it.
type ApprovalRule struct {
	Action         string   `json:"action,omitempty"`
	Domain         string   `json:"domain,omitempty"`
	Reversibility  string   `json:"reversibility,omitempty"`
	Quorum         int      `json:"quorum"`
	Role           string   `json:"role"`
	Orgs           []string `json:"orgs,omitempty"`
	ReasonRequired bool     `json:"reason_required,omitempty"`
	Lifetime       int64    `json:"lifetime"` // seconds
}

// ApprovalRules are an org's, and those that wait for another human.
type ApprovalRules struct {
	Rules    []ApprovalRule `json:"rules,omitempty"`
	Proposed *struct {
		Rules  []ApprovalRule `json:"rules"`
		Digest string         `json:"digest"`
		By     string         `json:"by"`
		At     time.Time      `json:"at"`
	} `json:"proposed,omitempty"`
}

// ApprovalRules returns an org's rules.
func (c *Client) ApprovalRules(ctx context.Context, org string) (ApprovalRules, error) {
	return fetch[ApprovalRules](ctx, c, at("/v1/orgs", org)+"/approval-rules")
}

// ProposeApprovalRules asks for the org's rules to be these.
func (c *Client) ProposeApprovalRules(ctx context.Context, org string, rules []ApprovalRule) (Change[ApprovalRules], error) {
	if rules == nil {
		rules = []ApprovalRule{}
	}
	return change[ApprovalRules](ctx, c, http.MethodPut, at("/v1/orgs", org)+"/approval-rules", "rules", map[string]any{"rules": rules})
}

// ActivateApprovalRules makes the proposed rules of this digest the org's; not who
// proposed them may.
func (c *Client) ActivateApprovalRules(ctx context.Context, org, digest string) (Change[ApprovalRules], error) {
	return change[ApprovalRules](ctx, c, http.MethodPost, at("/v1/orgs", org)+"/approval-rules/activate", "rules", map[string]string{"digest": digest})
}

// Authenticator is what a human signs approvals with.
type Authenticator struct {
	ID          string `json:"id"`
	Principal   string `json:"principal"`
	Kind        string `json:"kind"` // key | passkey
	Name        string `json:"name"`
	State       string `json:"state"` // pending | active | ended
	Handle      string `json:"handle"`
	ActivatedBy string `json:"activated_by,omitempty"`
}

// AddAuthenticator registers the key as one that the caller, whose id principal is, will
// sign with. Another human activates it.
func (c *Client) AddAuthenticator(ctx context.Context, origin, principal, name string, key *AgentKey) (Change[Authenticator], error) {
	now := time.Now()
	proof, err := capability.SignAuthenticator(key.private, capability.AuthenticatorClaims{
		Audience: origin, Subject: principal, ID: capability.NewJTI(), IssuedAt: now.Unix(), Expires: now.Add(capability.MaxLifetime).Unix(),
	})
	if err != nil {
		return Change[Authenticator]{}, err
	}
	return change[Authenticator](ctx, c, http.MethodPost, "/v1/principals/me/authenticators", "authenticator", struct {
		Name       string   `json:"name"`
		JWK        jose.JWK `json:"jwk"`
		Possession string   `json:"possession"`
	}{name, key.JWK(), proof})
}

// Authenticators lists a human's; me is the caller.
func (c *Client) Authenticators(ctx context.Context, principal string) ([]Authenticator, error) {
	var out struct {
		Items []Authenticator `json:"items"`
	}
	err := c.get(ctx, at("/v1/principals", principal)+"/authenticators", nil, &out)
	return out.Items, err
}

// ActivateAuthenticator lets another human's authenticator count.
func (c *Client) ActivateAuthenticator(ctx context.Context, principal, id string) (Change[Authenticator], error) {
	return change[Authenticator](ctx, c, http.MethodPost, at(at("/v1/principals", principal)+"/authenticators", id)+"/activate", "authenticator", struct{}{})
}

// EndAuthenticator ends an authenticator for good.
func (c *Client) EndAuthenticator(ctx context.Context, principal, id, reason string) (Change[Authenticator], error) {
	return change[Authenticator](ctx, c, http.MethodPost, at(at("/v1/principals", principal)+"/authenticators", id)+"/end", "authenticator", because(reason))
}
