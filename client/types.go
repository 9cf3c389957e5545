package client

import (
	"encoding/json"
	"time"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry/capability"
)

// Caller is whom a credential belongs to.
type Caller struct {
	Kind    string   `json:"kind"` // principal | pep | agent
	ID      string   `json:"id"`
	Org     string   `json:"org"`
	OrgName string   `json:"org_name"`
	Roles   []string `json:"roles"`
}

// Org is a tenant of the registry.
type Org struct {
	ID          string    `json:"id"`
	Name        string    `json:"name"`
	DisplayName string    `json:"display_name,omitempty"`
	Policy      OrgPolicy `json:"policy,omitzero"`
	Domain      string    `json:"domain,omitempty"` // of its agents' DIDs; "" = the registry's origin
	Created     time.Time `json:"created"`

	Observation *Observation `json:"observation,omitempty"`
}

// NewOrg is the input of CreateOrg.
type NewOrg struct {
	Name        string `json:"name"`
	DisplayName string `json:"display_name,omitempty"`
}

// Principal is an accountable human.
type Principal struct {
	ID          string    `json:"id"`
	Org         string    `json:"org"`
	DisplayName string    `json:"display_name,omitempty"`
	Roles       []string  `json:"roles"`                 // given inside the registry
	GroupRoles  []string  `json:"group_roles,omitempty"` // by groups of the issuer; in its sessions only
	Status      string    `json:"status,omitempty"`      // "" = active | suspended | left
	Issuer      string    `json:"issuer,omitempty"`      // where the human signs in, and as whom
	Subject     string    `json:"subject,omitempty"`
	Created     time.Time `json:"created"`
}

// Credential is a bearer credential, without its secret.
type Credential struct {
	ID        string    `json:"id"`
	Hint      string    `json:"hint"` // last 4 hex digits of its SHA-256
	Created   time.Time `json:"created,omitzero"`
	Expires   time.Time `json:"expires,omitzero"`
	Bootstrap bool      `json:"bootstrap,omitempty"` // of the registry's first start
}

// Session is a human signed in to the pages.
type Session struct {
	ID      string    `json:"id"`
	Issuer  string    `json:"issuer"` // id
	Created time.Time `json:"created"`
	Seen    time.Time `json:"seen"`
	Checked time.Time `json:"checked"` // when the issuer last answered for the human
	Expires time.Time `json:"expires"`
}

// Issuer is where people of an org sign in.
type Issuer struct {
	ID            string              `json:"id"`
	Org           string              `json:"org"`
	Issuer        string              `json:"issuer"`
	ClientID      string              `json:"client_id"`
	HasSecret     bool                `json:"has_secret"`
	Scopes        []string            `json:"scopes,omitempty"`
	Prompt        string              `json:"prompt,omitempty"`
	GroupsClaim   string              `json:"groups_claim,omitempty"`
	Mapping       map[string][]string `json:"mapping,omitempty"`
	KeepBootstrap bool                `json:"keep_bootstrap,omitempty"`
	Created       time.Time           `json:"created"`
	Updated       time.Time           `json:"updated"`
}

// NewIssuer is the input of SetSignInIssuer.
type NewIssuer struct {
	Issuer        string              `json:"issuer"`
	ClientID      string              `json:"client_id"`
	ClientSecret  *string             `json:"client_secret,omitempty"` // nil: the one there is
	Scopes        []string            `json:"scopes,omitempty"`
	Prompt        string              `json:"prompt,omitempty"`
	GroupsClaim   string              `json:"groups_claim,omitempty"`
	Mapping       map[string][]string `json:"mapping,omitempty"` // group to registrar, policy_author, auditor
	KeepBootstrap bool                `json:"keep_bootstrap,omitempty"`
	NoCheck       bool                `json:"no_check,omitempty"`
}

// NewPrincipal is the input of CreatePrincipal.
type NewPrincipal struct {
	Org         string   `json:"org,omitempty"` // id or name; "" = the caller's
	DisplayName string   `json:"display_name,omitempty"`
	Roles       []string `json:"roles"` // owner, registrar, policy_author, approver, auditor, operator
}

// PEP is a registered policy enforcement point.
type PEP struct {
	ID          string    `json:"id"`
	Org         string    `json:"org"`
	Name        string    `json:"name"`
	Resources   []string  `json:"resources"`
	ContextKeys []string  `json:"context_keys,omitempty"`
	JWK         *jose.JWK `json:"jwk,omitempty"` // signs outcomes
	Callbacks   []string  `json:"callbacks,omitempty"`
	Created     time.Time `json:"created"`
}

// NewPEP is the input of RegisterPEP.
type NewPEP struct {
	Org         string    `json:"org,omitempty"`
	Name        string    `json:"name"`
	Resources   []string  `json:"resources"` // ids of the resource servers it guards
	ContextKeys []string  `json:"context_keys,omitempty"`
	JWK         *jose.JWK `json:"jwk,omitempty"` // AgentKey.JWK of the key that signs outcomes
}

// Component is one part of an agent's runtime composition.
type Component struct {
	Kind   string `json:"kind"` // model | runtime | tools | api
	Name   string `json:"name"`
	Digest string `json:"digest"` // sha256, hex
	Source string `json:"source"` // who vouches: self | sponsor | build-signed | runtime-attested

	Voucher   string `json:"voucher,omitempty"`   // of the last two: who signed for it
	Statement string `json:"statement,omitempty"` // base64url SHA-256 of what was signed
}

// Agent is a registered agent.
type Agent struct {
	ID             string      `json:"id"`
	DID            string      `json:"did"`
	WebDID         string      `json:"web_did"`
	Org            string      `json:"org"`
	Sponsor        string      `json:"sponsor"`
	Name           string      `json:"name"`
	Purpose        string      `json:"purpose,omitempty"`
	Role           string      `json:"role,omitempty"`
	Domains        []string    `json:"domains,omitempty"`
	Workflows      []string    `json:"workflows,omitempty"`
	AuthorityLevel int         `json:"authority_level"`
	Composition    []Component `json:"composition,omitempty"`
	Status         string      `json:"status"` // requested | active | suspended | revoked
	JWK            jose.JWK    `json:"jwk"`
	Thumbprint     string      `json:"thumbprint"`
	KeyID          string      `json:"key_id"`
	Custodial      bool        `json:"custodial"`            // the registry holds the DID's update key
	DIDPending     time.Time   `json:"did_pending,omitzero"` // since when its DID log says otherwise of its keys
	TrustSince     time.Time   `json:"trust_since,omitzero"` // when its composition changed last
	Created        time.Time   `json:"created"`
	Updated        time.Time   `json:"updated"`

	KeySince    time.Time     `json:"key_since,omitzero"`      // zero: at Created
	KeyEnded    bool          `json:"key_ended,omitempty"`     // JWK is compromised; the agent needs another
	Retiring    []RetiringKey `json:"retiring,omitempty"`      // keys before JWK that still count
	NextKeyHash string        `json:"next_key_hash,omitempty"` // commitment to the key after JWK
	Parent      string        `json:"parent,omitempty"`        // the agent whose child it is
	Ancestors   []string      `json:"ancestors,omitempty"`     // parent, its parent, ...
	Spawn       Spawn         `json:"spawn,omitzero"`

	Observation *Observation `json:"observation,omitempty"`
	Actions     *[]string    `json:"actions,omitempty"` // verb:type that it is held to; nil = any
}

// KeyAge is how long the agent has had its key.
func (a Agent) KeyAge(now time.Time) time.Duration {
	if a.KeySince.IsZero() {
		return now.Sub(a.Created)
	}
	return now.Sub(a.KeySince)
}

// RetiringKey is an earlier key of an agent that counts until a time.
type RetiringKey struct {
	Thumbprint string    `json:"thumbprint"`
	JWK        jose.JWK  `json:"jwk"`
	NotAfter   time.Time `json:"not_after"`
}

// Spawn is an agent's right to register children.
type Spawn struct {
	Depth int `json:"depth"` // generations below; 0 = no children
	Max   int `json:"max"`   // children at once
}

// NewKey is the input of RotateKey and RecoverKey.
type NewKey struct {
	JWK         jose.JWK `json:"jwk"`
	Possession  string   `json:"possession"`              // AgentKey.ProvePossession
	Overlap     *int64   `json:"overlap,omitempty"`       // seconds that the key before goes on; nil = an hour. Not for RecoverKey
	NextKeyHash string   `json:"next_key_hash,omitempty"` // AgentKey.Commitment of the key after this one
}

// KeyRecord is a key that an agent has or had.
type KeyRecord struct {
	Thumbprint string    `json:"thumbprint"`
	Agent      string    `json:"agent"`
	N          int       `json:"n"`
	KeyID      string    `json:"key_id"`
	JWK        jose.JWK  `json:"jwk"`
	Status     string    `json:"status"` // active | retiring | retired | compromised
	Added      time.Time `json:"added"`
	NotAfter   time.Time `json:"not_after,omitzero"`
	Version    string    `json:"version"` // versionId of the DID log entry that added it
	// Places in the log: it counted from AddedIndex to EndedIndex, and what it signed
	// from CompromisedFrom on is suspect.
	AddedIndex      *uint64 `json:"added_index,omitempty"`
	EndedIndex      *uint64 `json:"ended_index,omitempty"`
	CompromisedFrom *uint64 `json:"compromised_from,omitempty"`
}

// OrgPolicy is what an org demands of its agents and people.
type OrgPolicy struct {
	MaxKeyAge      int64 `json:"max_key_age,omitempty"`  // seconds; 0 = no limit
	WarnKeyAge     int64 `json:"warn_key_age,omitempty"` // seconds; 0 = never
	SeparateDuties bool  `json:"separate_duties,omitempty"`
}

// NewAgent is the input of RegisterAgent.
type NewAgent struct {
	Org            string      `json:"org,omitempty"`     // id or name; "" = the caller's
	Sponsor        string      `json:"sponsor,omitempty"` // principal id; "" = the caller
	Name           string      `json:"name"`
	Purpose        string      `json:"purpose,omitempty"`
	Role           string      `json:"role,omitempty"`
	Domains        []string    `json:"domains,omitempty"`
	Workflows      []string    `json:"workflows,omitempty"`
	AuthorityLevel int         `json:"authority_level"`
	Composition    []Component `json:"composition,omitempty"`
	JWK            jose.JWK    `json:"jwk"`
	Possession     string      `json:"possession"`              // AgentKey.ProvePossession
	NextKeyHash    string      `json:"next_key_hash,omitempty"` // AgentKey.Commitment of the key after it
	Parent         string      `json:"parent,omitempty"`        // of a child: id or DID
	Spawn          *Spawn      `json:"spawn,omitempty"`         // its right to register children
}

// Grant is a capability grant. Its token is worth nothing without the agent's key.
type Grant struct {
	ID             string    `json:"id"`
	Org            string    `json:"org"`
	Agent          string    `json:"agent"`
	Capabilities   string    `json:"capabilities"`
	Budgets        []string  `json:"budgets,omitempty"`
	Audience       []string  `json:"audience"`
	Domain         string    `json:"domain,omitempty"`
	Workflow       string    `json:"workflow,omitempty"`
	AuthorityLevel int       `json:"authority_level"`
	Delegation     int       `json:"delegation,omitempty"`
	NotBefore      time.Time `json:"not_before"`
	Expires        time.Time `json:"expires"`
	Status         string    `json:"status"` // active | revoked
	StatusIndex    int64     `json:"status_index"`
	Token          string    `json:"token"`
	TokenHash      string    `json:"token_hash"`
	Created        time.Time `json:"created"`
}

// Balance is what there is of a budget, of a grant or of a link under it, in the window
// that runs. Amounts are decimals.
type Balance struct {
	Grant  string    `json:"grant"`
	Link   string    `json:"link,omitempty"` // hash of the link's signing input; "" = the grant's own
	Budget string    `json:"budget"`
	Used   string    `json:"used"`
	Left   string    `json:"left"`
	Begin  time.Time `json:"begin"`
	End    time.Time `json:"end"`
}

// RevokedLink is a link that a holder made under a grant, and that counts no more.
type RevokedLink struct {
	Grant string    `json:"grant"`
	Hash  string    `json:"hash"` // of its signing input
	Since time.Time `json:"since"`
}

// NewGrant is the input of IssueGrant.
type NewGrant struct {
	Agent          string     `json:"agent"`                  // id or DID
	Template       string     `json:"template,omitempty"`     // name of a template of the agent's org; what it says may not be said beside it
	Capabilities   string     `json:"capabilities,omitempty"` // "read:invoices; execute:none"
	Budgets        []string   `json:"budgets,omitempty"`      // "sum(pay:invoice, amount) <= 10000 per 24h": shared by all who act under it
	Audience       []string   `json:"audience,omitempty"`     // resource server ids; none = the registry's origin
	Domain         string     `json:"domain,omitempty"`
	Workflow       string     `json:"workflow,omitempty"`
	AuthorityLevel *int       `json:"authority_level,omitempty"` // nil = the agent's
	Delegation     int        `json:"delegation,omitempty"`      // how many links may follow in a chain, 0 to 7
	NotBefore      *time.Time `json:"not_before,omitempty"`      // nil = now
	Expires        *time.Time `json:"expires,omitempty"`         // nil = a day after NotBefore
}

// CatalogueAction is what an org knows of an action. What its catalogue does not
// name is taken as irreversible, egress and material.
type CatalogueAction struct {
	Action        string `json:"action"`        // verb:type
	Reversibility string `json:"reversibility"` // reversible | compensable | irreversible
	Egress        bool   `json:"egress"`
	Material      bool   `json:"material"`
	MinLevel      int    `json:"min_level"`
	Domain        string `json:"domain,omitempty"`
	Workflow      string `json:"workflow,omitempty"`
	CompensatedBy string `json:"compensated_by,omitempty"`
	CompensateIn  int64  `json:"compensate_in,omitempty"` // seconds
	OutcomeIn     int64  `json:"outcome_in,omitempty"`    // seconds until silence about it is unknown; 0 = 900

	// Of an imported action: the tool, the digest of its description, and what that
	// suggests until a policy author has reviewed it.
	Tool  string `json:"tool,omitempty"`
	Pin   string `json:"pin,omitempty"`
	Guess *Guess `json:"guess,omitempty"`
}

// Guess is what the description of a tool suggests of an action.
type Guess struct {
	Reversibility string `json:"reversibility"`
	Egress        bool   `json:"egress"`
	Material      bool   `json:"material"`
	CompensatedBy string `json:"compensated_by,omitempty"`
	Why           string `json:"why"`
}

// Catalogue is an org's set of actions.
type Catalogue struct {
	Org     string            `json:"org"`
	Actions []CatalogueAction `json:"actions"`
	Digest  string            `json:"digest"`
	Updated time.Time         `json:"updated"`
}

// Scope names a piece of authority that can be stopped.
type Scope struct {
	Kind string `json:"kind"` // global | org | agent | grant
	ID   string `json:"id,omitempty"`
}

// String is the scope as people write it: "global", "agent:ID".
func (s Scope) String() string {
	if s.ID == "" {
		return s.Kind
	}
	return s.Kind + ":" + s.ID
}

// Kill is a stop that is in force.
type Kill struct {
	Scope  Scope     `json:"scope"`
	Org    string    `json:"org,omitempty"`
	Reason string    `json:"reason"`
	By     string    `json:"by"`
	Since  time.Time `json:"since"`
}

// EventRef says where an event is: durable, at this index of the log.
type EventRef struct {
	CID    string    `json:"cid"`
	Index  uint64    `json:"index"`
	OrgSeq uint64    `json:"org_seq"`
	Seq    uint64    `json:"seq,omitempty"`
	Time   time.Time `json:"time"`
}

// Event is a recorded event. Artifact holds the bytes whose CID it has.
type Event struct {
	CID      string          `json:"cid"`
	Log      string          `json:"log"`
	Index    uint64          `json:"index"`
	Org      string          `json:"org"`
	OrgSeq   uint64          `json:"org_seq"`
	Agent    string          `json:"agent,omitempty"`
	Seq      uint64          `json:"seq,omitempty"`
	Type     string          `json:"type"`
	Time     time.Time       `json:"time"`
	Artifact json.RawMessage `json:"artifact"`
}

// EventRecord is an event with the values that it commits to and, of a decision,
// its reasons in words.
type EventRecord struct {
	Event       Event              `json:"event"`
	Disclosures []canon.Disclosure `json:"disclosures"`
	Explanation []Reason           `json:"explanation,omitempty"`
}

// DecisionKey is the key that signed a decision's action proof, with the events
// between which it counted.
type DecisionKey struct {
	DID              string    `json:"did"`
	Thumbprint       string    `json:"thumbprint"`
	DecidedIndex     uint64    `json:"decided_index"`
	Added            KeyEvent  `json:"added"`
	Ended            *KeyEvent `json:"ended,omitempty"` // nil while the key counts
	ValidWhenDecided bool      `json:"valid_when_decided"`
}

// KeyEvent is an event in the life of a key.
type KeyEvent struct {
	Type    string          `json:"type"`
	CID     string          `json:"cid"`
	Index   uint64          `json:"index"`
	From    uint64          `json:"from"`    // place of the log from which on it holds; of a compromise perhaps before Index
	Receipt json.RawMessage `json:"receipt"` // a *.writ.json file as it is, without a final line feed
}

// Reason is why a verdict is what it is.
type Reason struct {
	Code    string `json:"code"`
	Detail  string `json:"detail,omitempty"`
	Meaning string `json:"meaning,omitempty"`
}

// Subject, Action and Context are those of OpenID AuthZEN Authorization API 1.0,
// section 5.
type Subject struct {
	Type string `json:"type"` // "agent"
	ID   string `json:"id"`   // its DID
}

// Action is what is to be done; Properties are its arguments.
type Action struct {
	Name       string          `json:"name"`
	Properties json.RawMessage `json:"properties,omitempty"`
}

// Context carries the agent's grant and proof. Domain and Workflow are for
// enforcement points that are registered to assert them.
type Context struct {
	Token    capability.Tokens `json:"token,omitempty"` // one, or a chain, root first
	Proof    string            `json:"proof,omitempty"`
	Task     string            `json:"task,omitempty"`
	Domain   string            `json:"domain,omitempty"`
	Workflow string            `json:"workflow,omitempty"`
	Tool     string            `json:"tool,omitempty"`   // digest of the description of the tool that will be called
	Permit   bool              `json:"permit,omitempty"` // ask for DecisionContext.Permit
	// Approval is the result of a request to humans, for the act that it was for.
	Approval *ShownApproval `json:"approval,omitempty"`
}

// EvaluationRequest asks whether an act may be done now.
type EvaluationRequest struct {
	Subject  Subject             `json:"subject"`
	Action   Action              `json:"action"`
	Resource capability.Resource `json:"resource"`
	Context  Context             `json:"context"`
}

// The verdicts of a decision.
const (
	Permit = "permit"
	Deny   = "deny"
	StepUp = "step_up" // a human must approve; until then it is a no
)

// Decision is the registry's answer about one act. Only Permitted means yes.
type Decision struct {
	Decision bool            `json:"decision"`
	Context  DecisionContext `json:"context"`
}

// DecisionContext is what lies behind the yes or no.
type DecisionContext struct {
	ID           string    `json:"id"`
	Verdict      string    `json:"verdict"`
	Reasons      []Reason  `json:"reasons"`
	Observed     bool      `json:"observed,omitempty"` // permitted under observation, in spite of the reasons
	Qualified    bool      `json:"qualified"`          // whether it is evidence, with an event
	Event        *EventRef `json:"event,omitempty"`    // where it is recorded
	PolicyDigest string    `json:"policy_digest"`
	Folded       bool      `json:"folded,omitempty"`   // a repeat of a recorded denial
	Repeated     bool      `json:"repeated,omitempty"` // the same request again: the recorded answer
	Permit       string    `json:"permit,omitempty"`   // permit+jwt, where one was asked for

	EvaluationID  string             `json:"evaluation_id,omitempty"`  // of a step_up
	Reason        string             `json:"reason,omitempty"`         // as EvaluationID
	AccessRequest *RequestableDenial `json:"access_request,omitempty"` // how humans can be asked; nil: they cannot
	NextAction    string             `json:"next_action,omitempty"`    // after an approval that was not good: request | retry | none
	RetryAfter    int                `json:"retry_after,omitempty"`    // seconds
	Approval      *ShownApproval     `json:"approval,omitempty"`       // that a permit used up
}

// Permitted reports whether the act may be done. An answer that contradicts
// itself is a no.
func (d Decision) Permitted() bool { return d.Decision && d.Context.Verdict == Permit }

// Verification is the answer of Verify: whether grant and proof stand now. It is
// no decision.
type Verification struct {
	Active   bool     `json:"active"`
	Reasons  []Reason `json:"reasons"`
	Issuer   string   `json:"iss,omitempty"` // of a grant of another registry
	Subject  string   `json:"sub,omitempty"`
	ClientID string   `json:"client_id,omitempty"`
	Scope    string   `json:"scope,omitempty"`
	Audience string   `json:"aud,omitempty"`
	ID       string   `json:"jti,omitempty"`
	Expires  int64    `json:"exp,omitempty"`
	Org      string   `json:"org,omitempty"`
	Budgets  []string `json:"budgets,omitempty"` // of all its links; what is left of them only decisions know
	Chain    []Link   `json:"chain,omitempty"`   // root first; none for one token
}

// Link is one grant of a chain that stands.
type Link struct {
	Subject      string `json:"sub"`
	ID           string `json:"jti"`
	Hash         string `json:"hash"`       // of its signing input
	Thumbprint   string `json:"thumbprint"` // of the holder's key
	Capabilities string `json:"capabilities"`
	Expires      int64  `json:"exp"`
}

// LogInfo is the log and its newest signed checkpoint.
type LogInfo struct {
	Origin     string     `json:"origin"`
	Size       uint64     `json:"size"`
	Root       string     `json:"root"`
	VKey       string     `json:"vkey"` // C2SP signed-note verifier key
	Checkpoint Checkpoint `json:"checkpoint"`
}

// Checkpoint is a signed state of the log.
type Checkpoint struct {
	Size uint64    `json:"size"`
	Root string    `json:"root"`
	Time time.Time `json:"time"`
}

// Anchor is one attempt to put a head of the log on a ledger.
type Anchor struct {
	ID           int64     `json:"id"`
	Ledger       string    `json:"ledger"`
	Kind         string    `json:"kind,omitempty"`
	ChainID      string    `json:"chain_id"`
	Contract     string    `json:"contract"`
	LogID        string    `json:"log_id"`
	OperatorsOwn bool      `json:"operators_own"` // it proves nothing to outsiders
	Size         uint64    `json:"size"`
	Root         string    `json:"root"` // base64url
	HeadKey      string    `json:"head_key"`
	Tx           string    `json:"tx"`
	State        string    `json:"state"`    // pending | settled | failed | superseded
	Finality     string    `json:"finality"` // none | submitted | included | safe | finalized | failed
	Block        uint64    `json:"block,omitempty"`
	BlockHash    string    `json:"block_hash,omitempty"`
	GasUsed      uint64    `json:"gas_used,omitempty"`
	Reason       string    `json:"reason,omitempty"`
	Created      time.Time `json:"created"`
	Updated      time.Time `json:"updated"`
}
