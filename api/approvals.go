package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/writ-registry/writ/registry"
)

func (s *server) routeApprovals() {
	route(s, huma.Operation{OperationID: "list-approvals", Method: http.MethodGet, Path: "/v1/approvals", Tags: []string{"approvals"},
		Summary: "What humans of an org are, or were, asked to approve"}, s.listApprovals)
	route(s, huma.Operation{OperationID: "get-approval", Method: http.MethodGet, Path: "/v1/approvals/{approval}", Tags: []string{"approvals"},
		Summary: "One approval, with its statement and answers"}, s.getApproval)
	route(s, huma.Operation{OperationID: "get-statement", Method: http.MethodGet, Path: "/v1/approvals/{approval}/statement", Tags: []string{"approvals"},
		Summary: "The bytes that an approver is shown and signs the SHA-256 of", Description: "Canonical JSON (RFC 8785), with the arguments of the act in clear.",
		Responses: map[string]*huma.Response{"200": {
			Description: "The statement; its SHA-256 is of these very bytes",
			Content:     map[string]*huma.MediaType{"application/json": {Schema: &huma.Schema{Type: "object", AdditionalProperties: true}}},
		}}}, s.getStatement)
	route(s, huma.Operation{OperationID: "answer-approval", Method: http.MethodPost, Path: "/v1/approvals/{approval}/answer", Tags: []string{"approvals"},
		Summary:     "Approve or refuse, as a human",
		Description: "A yes carries the human's own signature over the SHA-256 of the statement: an approval+jwt by an active key, or a WebAuthn assertion whose challenge it is. A no needs none."}, s.answerApproval)

	route(s, huma.Operation{OperationID: "get-approval-rules", Method: http.MethodGet, Path: "/v1/orgs/{org}/approval-rules", Tags: []string{"approvals"},
		Summary: "Who must approve what in an org, and what is proposed"}, s.getApprovalRules)
	route(s, huma.Operation{OperationID: "propose-approval-rules", Method: http.MethodPut, Path: "/v1/orgs/{org}/approval-rules", Tags: []string{"approvals"},
		Summary: "Propose an org's rules, all of them; another human activates them"}, s.proposeApprovalRules)
	route(s, huma.Operation{OperationID: "activate-approval-rules", Method: http.MethodPost, Path: "/v1/orgs/{org}/approval-rules/activate", Tags: []string{"approvals"},
		Summary: "Make the proposed rules the org's; not who proposed them"}, s.activateApprovalRules)

	route(s, huma.Operation{OperationID: "list-authenticators", Method: http.MethodGet, Path: "/v1/principals/{principal}/authenticators", Tags: []string{"principals"},
		Summary: "What a human signs approvals with"}, s.listAuthenticators)
	route(s, huma.Operation{OperationID: "add-authenticator", Method: http.MethodPost, Path: "/v1/principals/{principal}/authenticators", Tags: []string{"principals"},
		DefaultStatus: http.StatusCreated, Summary: "Register what the caller (me) will sign approvals with; another human activates it",
		Description: "A key with an authenticator+jwt by it, or a browser's RegistrationResponseJSON to a challenge."}, s.addAuthenticator)
	route(s, huma.Operation{OperationID: "new-passkey-challenge", Method: http.MethodPost, Path: "/v1/principals/{principal}/authenticators/challenge", Tags: []string{"principals"},
		Summary: "A challenge for the registration of a passkey"}, s.newPasskeyChallenge)
	route(s, huma.Operation{OperationID: "activate-authenticator", Method: http.MethodPost, Path: "/v1/principals/{principal}/authenticators/{authenticator}/activate", Tags: []string{"principals"},
		Summary: "Let another human's authenticator count; owners, and for an org's first an operator"}, s.activateAuthenticator)
	route(s, huma.Operation{OperationID: "end-authenticator", Method: http.MethodPost, Path: "/v1/principals/{principal}/authenticators/{authenticator}/end", Tags: []string{"principals"},
		Summary: "End an authenticator for good; what it approved and was not used counts no more"}, s.endAuthenticator)
}

// ApprovalPath names an approval.
type ApprovalPath struct {
	Approval string `path:"approval" doc:"Id"`
}

// ApprovalAnswer is an approval and the event that records what changed.
type ApprovalAnswer struct {
	Approval registry.Approval  `json:"approval"`
	Event    *registry.EventRef `json:"event,omitempty"`
}

func (s *server) listApprovals(ctx context.Context, call registry.Call, in *struct {
	OrgFilter
	PageParams
	State string `query:"state" enum:"pending,approved,denied,expired,cancelled,consumed"`
}) (*plain[page[registry.Approval]], error) {
	return listed(in.PageParams, "approvals", func(a registry.Approval) string { return a.ID }, func(p registry.Page) ([]registry.Approval, error) {
		return s.Registry.ListApprovals(ctx, call.Caller, in.Org, registry.ApprovalState(in.State), p)
	})
}

// ApprovalRecord is an approval, and what became of the callback that was asked for.
type ApprovalRecord struct {
	registry.Approval
	Callback *CallbackRecord `json:"callback,omitempty" doc:"Absent where none was asked for"`
}

// CallbackRecord is what became of a callback.
type CallbackRecord struct {
	Status   string     `json:"status" enum:"waiting,due,delivered,given_up" doc:"waiting: the request is pending, or ended in a way that was not asked for"`
	Attempts int        `json:"attempts"`
	Next     *time.Time `json:"next,omitempty" doc:"Attempt"`
	Told     *time.Time `json:"told,omitempty"`
	Failure  string     `json:"failure,omitempty" doc:"Of the last attempt"`
}

func showCallback(c *registry.Callback) *CallbackRecord {
	if c == nil {
		return nil
	}
	out := &CallbackRecord{Status: "waiting", Attempts: c.Attempts, Failure: c.Failure}
	switch {
	case !c.Told.IsZero():
		out.Status, out.Told = "delivered", &c.Told
	case !c.Due.IsZero():
		out.Status, out.Next = "due", &c.Due
	case c.Notice != "":
		out.Status = "given_up"
	}
	return out
}

func (s *server) getApproval(ctx context.Context, call registry.Call, in *ApprovalPath) (*plain[ApprovalRecord], error) {
	a, err := s.Registry.FindApproval(ctx, call.Caller, in.Approval)
	var c *registry.Callback
	if err == nil {
		c, err = s.Registry.CallbackOf(ctx, a)
	}
	return &plain[ApprovalRecord]{ApprovalRecord{a, showCallback(c)}}, err
}

// statementBytes is a statement as it is.
type statementBytes struct {
	ContentType string `header:"Content-Type"`
	Body        []byte
}

func (s *server) getStatement(ctx context.Context, call registry.Call, in *struct {
	ApprovalPath
	BreakGlass bool `query:"break_glass" doc:"The statement of who approves past the rule"`
}) (*statementBytes, error) {
	a, err := s.Registry.FindApproval(ctx, call.Caller, in.Approval)
	if err != nil {
		return nil, err
	}
	form, _, err := a.StatementOf(in.BreakGlass)
	return &statementBytes{"application/json", form}, err
}

// NewAnswer is the body of answer-approval.
type NewAnswer struct {
	Verdict    string    `json:"verdict" enum:"approve,deny"`
	Reason     string    `json:"reason,omitempty" maxLength:"1024"`
	BreakGlass bool      `json:"break_glass,omitempty" doc:"Past the rule: two owners of the org, or operators, with reasons. It raises an alarm"`
	Signature  string    `json:"signature,omitempty" doc:"approval+jwt by an active key of the caller"`
	Assertion  arguments `json:"assertion,omitempty" doc:"AuthenticationResponseJSON (WebAuthn) by an active passkey of the caller"`
}

func (s *server) answerApproval(ctx context.Context, call registry.Call, in *struct {
	ApprovalPath
	Body NewAnswer
}) (*changed[ApprovalAnswer], error) {
	b := in.Body
	out, err := s.answer(ctx, call, in.Approval, registry.NewAnswer{
		Verdict: b.Verdict, Reason: b.Reason, BreakGlass: b.BreakGlass, Signature: b.Signature, Assertion: b.Assertion.RawMessage,
	})
	if err != nil {
		return nil, err
	}
	return change(out, ApprovalAnswer{out.Value, eventOf(out)}), nil
}

// answer records an answer and counts what came of it.
func (s *server) answer(ctx context.Context, call registry.Call, id string, in registry.NewAnswer) (registry.Outcome[registry.Approval], error) {
	out, err := s.Registry.AnswerApproval(ctx, call, id, in)
	if err == nil && !out.Replayed {
		s.Metrics.answered(out.Value)
	}
	return out, err
}

// NewApprovalRules is the body of propose-approval-rules.
type NewApprovalRules struct {
	Rules []registry.ApprovalRule `json:"rules" maxItems:"64" doc:"In order: the first that matches holds. None: one human with role approver"`
}

// ApprovalRulesAnswer is an org's rules and the event that records what changed.
type ApprovalRulesAnswer struct {
	Rules registry.ApprovalRules `json:"rules"`
	Event *registry.EventRef     `json:"event,omitempty"`
}

func (s *server) getApprovalRules(ctx context.Context, call registry.Call, in *struct {
	Org string `path:"org" doc:"Id or name"`
}) (*plain[registry.ApprovalRules], error) {
	org, err := s.Registry.FindOrg(ctx, call.Caller, in.Org)
	return &plain[registry.ApprovalRules]{org.Approvals}, err
}

func (s *server) proposeApprovalRules(ctx context.Context, call registry.Call, in *struct {
	Org  string `path:"org" doc:"Id or name"`
	Body NewApprovalRules
}) (*changed[ApprovalRulesAnswer], error) {
	out, err := s.Registry.ProposeApprovalRules(ctx, call, in.Org, in.Body.Rules)
	if err != nil {
		return nil, err
	}
	return change(out, ApprovalRulesAnswer{out.Value, eventOf(out)}), nil
}

// ActivatedRules is the body of activate-approval-rules.
type ActivatedRules struct {
	Digest string `json:"digest" doc:"Of the proposed rules that the caller has looked at"`
}

func (s *server) activateApprovalRules(ctx context.Context, call registry.Call, in *struct {
	Org  string `path:"org" doc:"Id or name"`
	Body ActivatedRules
}) (*changed[ApprovalRulesAnswer], error) {
	out, err := s.Registry.ActivateApprovalRules(ctx, call, in.Org, in.Body.Digest)
	if err != nil {
		return nil, err
	}
	return change(out, ApprovalRulesAnswer{out.Value, eventOf(out)}), nil
}

// NewAuthenticator is the body of add-authenticator.
type NewAuthenticator struct {
	Name       string     `json:"name" minLength:"1" maxLength:"64"`
	JWK        *publicJWK `json:"jwk,omitempty"`
	Possession string     `json:"possession,omitempty" doc:"authenticator+jwt by that key"`
	Challenge  string     `json:"challenge,omitempty" doc:"token of new-passkey-challenge"`
	Response   arguments  `json:"response,omitempty" doc:"RegistrationResponseJSON (WebAuthn)"`
}

// AuthenticatorAnswer is an authenticator and the event that records what changed.
type AuthenticatorAnswer struct {
	Authenticator Authenticator      `json:"authenticator"`
	Event         *registry.EventRef `json:"event,omitempty"`
}

// Authenticator is one as it is shown.
type Authenticator struct {
	ID          string                      `json:"id"`
	Principal   string                      `json:"principal"`
	Kind        string                      `json:"kind" enum:"key,passkey"`
	Name        string                      `json:"name"`
	State       registry.AuthenticatorState `json:"state" enum:"pending,active,ended"`
	Handle      string                      `json:"handle" doc:"RFC 7638 thumbprint, or credential id"`
	ActivatedBy string                      `json:"activated_by,omitempty"`
}

func showAuthenticator(a registry.Authenticator) Authenticator {
	return Authenticator{a.ID, a.Principal, a.Kind, a.Name, a.State, a.Handle, a.By}
}

// Authenticators are a human's.
type Authenticators struct {
	Items []Authenticator `json:"items"`
}

func (s *server) listAuthenticators(ctx context.Context, call registry.Call, in *PrincipalPath) (*plain[Authenticators], error) {
	list, err := s.Registry.ListAuthenticators(ctx, call.Caller, in.of(call.Caller))
	out := Authenticators{[]Authenticator{}}
	for _, a := range list {
		out.Items = append(out.Items, showAuthenticator(a))
	}
	return &plain[Authenticators]{out}, err
}

// of is the principal that a path names; me is the caller.
func (p PrincipalPath) of(c registry.Caller) string {
	if p.Principal == "me" {
		return c.ID
	}
	return p.Principal
}

var errNotSelf = registry.Errorf(registry.Denied, "people register what they sign with themselves")

func (s *server) addAuthenticator(ctx context.Context, call registry.Call, in *struct {
	PrincipalPath
	Body NewAuthenticator
}) (*changed[AuthenticatorAnswer], error) {
	b := in.Body
	if in.of(call.Caller) != call.Caller.ID {
		return nil, errNotSelf
	}
	n := registry.NewAuthenticator{Name: b.Name, Possession: b.Possession, Challenge: b.Challenge, Response: b.Response.RawMessage}
	if b.JWK != nil {
		n.JWK = b.JWK.RawMessage
	}
	out, err := s.Registry.AddAuthenticator(ctx, call, n)
	if err != nil {
		return nil, err
	}
	return change(out, AuthenticatorAnswer{showAuthenticator(out.Value), eventOf(out)}), nil
}

// PasskeyChallenge is what a browser is asked with.
type PasskeyChallenge struct {
	Challenge string `json:"challenge" doc:"base64url, for PublicKeyCredentialCreationOptions"`
	Token     string `json:"token" doc:"Comes back with the answer within ten minutes"`
	User      string `json:"user" doc:"The user handle: the principal's id"`
}

func (s *server) newPasskeyChallenge(_ context.Context, call registry.Call, in *PrincipalPath) (*plain[PasskeyChallenge], error) {
	if in.of(call.Caller) != call.Caller.ID {
		return nil, errNotSelf
	}
	challenge, token, err := s.Registry.NewChallenge(call.Caller)
	return &plain[PasskeyChallenge]{PasskeyChallenge{challenge, token, call.Caller.ID}}, err
}

// AuthenticatorPath names a human's authenticator.
type AuthenticatorPath struct {
	PrincipalPath
	Authenticator string `path:"authenticator" doc:"Id"`
}

func (s *server) activateAuthenticator(ctx context.Context, call registry.Call, in *AuthenticatorPath) (*changed[AuthenticatorAnswer], error) {
	out, err := s.Registry.ActivateAuthenticator(ctx, call, in.of(call.Caller), in.Authenticator)
	if err != nil {
		return nil, err
	}
	return change(out, AuthenticatorAnswer{showAuthenticator(out.Value), eventOf(out)}), nil
}

func (s *server) endAuthenticator(ctx context.Context, call registry.Call, in *struct {
	AuthenticatorPath
	Body *ReasonBody
}) (*changed[AuthenticatorAnswer], error) {
	out, err := s.Registry.EndAuthenticator(ctx, call, in.of(call.Caller), in.Authenticator, in.Body.text())
	if err != nil {
		return nil, err
	}
	return change(out, AuthenticatorAnswer{showAuthenticator(out.Value), eventOf(out)}), nil
}
