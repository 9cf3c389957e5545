// Package policy is the policy decision point (PDP): it decides, before an
// agent acts, whether it may. It stands outside the agent, which can neither
// reach nor attest its own authority.
//
// Decide is the flow: authenticate the act, load the facts, judge, record.
// judge is pure and holds the one ordered list of checks; a "no" is a value.
// Whatever cannot be known denies.
package policy

import (
	"encoding/json"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/capability"
)

// Verdict is the answer to "may this be done now?".
type Verdict string

const (
	Permit Verdict = "permit"
	Deny   Verdict = "deny"
	StepUp Verdict = "step_up" // a human must approve; until then it is a no
)

// Code is a machine-readable reason of a verdict. Codes are stable.
type Code string

// The reasons, in the order of precedence in which a decision lists them.
const (
	KillGlobal         Code = "kill_global"
	KillOrg            Code = "kill_org"
	KillAgent          Code = "kill_agent"
	KillGrant          Code = "kill_grant"
	AgentUnknown       Code = "agent_unknown"
	AgentNotApproved   Code = "agent_not_approved"
	AgentSuspended     Code = "agent_suspended"
	AgentRevoked       Code = "agent_revoked"
	AncestorStopped    Code = "ancestor_stopped"
	DelegatorStopped   Code = "delegator_stopped"
	SponsorGone        Code = "sponsor_gone"
	PossessionFailed   Code = "possession_failed"
	GrantUnknown       Code = "grant_unknown"
	GrantForeign       Code = "grant_foreign"
	IdentityRefused    Code = "identity_refused"
	KeyEnded           Code = "key_ended"
	KeyExpired         Code = "key_expired"
	GrantRevoked       Code = "grant_revoked"
	GrantNotYetValid   Code = "grant_not_yet_valid"
	GrantExpired       Code = "grant_expired"
	AudienceRefused    Code = "audience_refused"
	CapabilityNone     Code = capability.ReasonNone
	CapabilityMissing  Code = capability.ReasonMissing
	ArgumentRefused    Code = capability.ReasonArgument
	DomainRefused      Code = "domain_refused"
	WorkflowRefused    Code = "workflow_refused"
	LevelTooLow        Code = "level_too_low"
	ActionRefused      Code = "action_refused"
	ContextRefused     Code = "context_refused"
	ToolChanged        Code = "tool_changed"
	PolicyForbid       Code = "policy_forbid"
	PolicyError        Code = "policy_error"
	PolicyNoPermit     Code = "policy_no_permit"
	BudgetExhausted    Code = "budget_exhausted"
	BudgetUnmeasured   Code = "budget_unmeasured"
	ApprovalRequired   Code = "approval_required"
	SubjectUnsupported Code = "subject_unsupported"

	// Of the approval that was shown for an act that needs one.
	ApprovalUnknown  Code = registry.ApprovalUnknown
	ApprovalPending  Code = registry.ApprovalWaits
	ApprovalDenied   Code = registry.ApprovalRefused
	ApprovalMismatch Code = registry.ApprovalMismatch
	ApprovalExpired  Code = registry.ApprovalTooOld
	ApprovalConsumed Code = registry.ApprovalUsedUp
	ApproverGone     Code = registry.ApprovalApprovers

	// Of grants of foreign registries, in a verification.
	IssuerUntrusted Code = "issuer_untrusted"
	IssuerUnknown   Code = "issuer_unknown"
	IssuerAlarmed   Code = "issuer_alarmed"
	TrustEnded      Code = "trust_ended"
	VouchingRefused Code = "vouching_refused"
	CeilingExceeded Code = "ceiling_exceeded"
	StatusStale     Code = "status_stale"
	GrantSuspended  Code = "grant_suspended"
	AgentUnresolved Code = "agent_unresolved"
)

// Meanings says each reason in words, for people who ask why.
var Meanings = map[Code]string{
	KillGlobal:         "the operator has stopped everything",
	KillOrg:            "the organization is stopped",
	KillAgent:          "the agent is stopped by the kill switch",
	KillGrant:          "the grant is stopped by the kill switch",
	AgentUnknown:       "no registered agent has this DID",
	AgentNotApproved:   "a registrar has not approved the agent yet",
	AgentSuspended:     "the agent is suspended",
	AgentRevoked:       "the agent is revoked, for good",
	AncestorStopped:    "an agent that this one descends from is stopped, suspended or revoked",
	DelegatorStopped:   "an agent that the grant was delegated by is stopped, suspended or revoked, or what it stands on is",
	SponsorGone:        "the human who answers for the agent is suspended or has left",
	PossessionFailed:   "the act was not proven to be the agent's own: its signature over this very act is missing, wrong, stale or used before",
	GrantUnknown:       "the grant token was not issued by this registry",
	GrantForeign:       "the grant belongs to another agent or another key",
	IdentityRefused:    "the chain names a holder that is no registered agent of the organization",
	KeyEnded:           "the grant token is bound to an earlier key of the agent, which does not count any more",
	KeyExpired:         "the agent's key is older than its organization allows",
	GrantRevoked:       "the grant is revoked",
	GrantNotYetValid:   "the grant is not valid yet",
	GrantExpired:       "the grant has expired",
	AudienceRefused:    "the grant is not for this resource server, or the enforcement point does not guard it",
	CapabilityNone:     "the grant takes this verb away explicitly (verb:none)",
	CapabilityMissing:  "nothing in the grant covers this action on this resource",
	ArgumentRefused:    "the grant covers the action, but not with these arguments",
	DomainRefused:      "the action belongs to a business domain that the grant or the agent does not have",
	WorkflowRefused:    "the action belongs to a workflow that the grant or the agent does not have",
	LevelTooLow:        "the action needs a higher authority level",
	ActionRefused:      "the agent, one that it descends from, or one that the grant was delegated by, is held to other actions",
	ContextRefused:     "the enforcement point asserted context that it may not assert",
	ToolChanged:        "the tool is not described as it was when a policy author put it into the catalogue",
	PolicyForbid:       "a policy of the organization forbids it",
	PolicyError:        "a policy of the organization could not be evaluated for this act, so nobody knows that it does not forbid it",
	PolicyNoPermit:     "no policy of the organization permits it",
	BudgetExhausted:    "the act would take more than is left of a budget of the grant, or of a link of its chain, in this window",
	BudgetUnmeasured:   "a budget of the grant sums an argument that the act does not have as a number from 0 on, with six decimals at most",
	ApprovalRequired:   "the act cannot be undone, or a policy of the organization asks for it: a human must approve it",
	SubjectUnsupported: "about other subjects than agents only enforcement points may ask",

	ApprovalUnknown:  "there is no such approval",
	ApprovalPending:  "the humans have not answered yet",
	ApprovalDenied:   "a human refused",
	ApprovalMismatch: "the approval is for another act: other arguments, agent, composition, grant, resource server, policy, catalogue or rule",
	ApprovalExpired:  "the approval, or the request for it, is over",
	ApprovalConsumed: "the approval was used: it is good once",
	ApproverGone:     "a human who approved is suspended, has left, or may not approve any more",

	IssuerUntrusted: "the organization does not trust the registry that issued the grant, or not this key",
	IssuerUnknown:   "the registry that issued the grant is trusted, and has not been seen yet",
	IssuerAlarmed:   "the registry that issued the grant, or the agent's DID, contradicted itself: an owner must look",
	TrustEnded:      "the entry of the trust list has ended",
	VouchingRefused: "the trust list does not let this registry vouch for this agent",
	CeilingExceeded: "the grant or the act is above what the trust list accepts of this registry",
	StatusStale:     "what the issuer says of the grant is not known, or too old",
	GrantSuspended:  "the grant is suspended",
	AgentUnresolved: "the agent's DID is not known, or what is known of it is too old",
}

// Reason is why a verdict is what it is.
type Reason struct {
	Code   Code   `json:"code"`
	Detail string `json:"detail,omitempty"` // for people; holds no argument values
}

// Request is the act to be decided about, as an enforcement point or the agent
// itself states it. Nothing in it but the proven act is believed.
type Request struct {
	SubjectType string
	Subject     string // DID of the agent, in any of its spellings
	Act         capability.Act
	Token       capability.Tokens // agent-cap+jwt, or a chain of them
	Proof       string            // agent-action+jwt over the act
	Context     Context
	Approval    string // id of an approval of this very act; "" = none
	Permit      bool   // a permit is asked for (PDP.Mint)

	proof *capability.Action // Proof, parsed, if it was
}

// Context is what the enforcement point asserts about the circumstances.
type Context struct {
	Domain   string
	Workflow string
	Tool     string // digest of the description of the tool that will be called

	// Properties of the subject and the resource, JSON objects, as asserted; of other
	// subjects than agents only.
	Subject, Resource json.RawMessage
}

// Decision is the PDP's answer.
type Decision struct {
	ID           string             `json:"id"` // UUIDv7
	Verdict      Verdict            `json:"verdict"`
	Reasons      []Reason           `json:"reasons"`            // all of them, in order; empty for permit, unless it is observed
	Observed     bool               `json:"observed,omitempty"` // permitted in spite of the reasons, which are of coverage (Relaxed)
	Qualified    bool               `json:"qualified"`
	QualifiedBy  []string           `json:"qualified_by,omitempty"`
	PolicyDigest string             `json:"policy_digest"`
	Event        *registry.EventRef `json:"event,omitempty"`    // where it is recorded
	Asserted     bool               `json:"asserted,omitempty"` // the subject is known by the enforcement point's word only
	Folded       bool               `json:"folded,omitempty"`   // a repeat of a recorded denial, counted there
	Repeated     bool               `json:"repeated,omitempty"`
	Epochs       []registry.Epoch   `json:"epochs,omitempty"`
	Binding      *registry.Binding  `json:"binding,omitempty"`  // of a step_up: what humans can be asked to approve
	Approval     string             `json:"approval,omitempty"` // that this permit consumed
	Permit       string             `json:"permit,omitempty"`   // permit+jwt, where one was asked for
	failure      string             // the possession code, for a 401
}

// PolicyDigest names the rules a decision was made by where the org has no policies
// of its own: this ordered list of checks. digestWith joins the org's.
var PolicyDigest = func() string {
	names := make([]string, len(checks))
	for i, c := range checks {
		names[i] = c.name
	}
	form, err := canon.Marshal(map[string]any{"checks": names, "version": 4})
	if err != nil {
		panic(err) // constant input
	}
	return canon.Digest(form)
}()
