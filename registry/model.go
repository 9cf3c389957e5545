package registry

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
)

// Org is a tenant: it owns principals, agents, enforcement points, grants and
// a catalogue, and has its own sequence of events.
type Org struct {
	ID          string    `json:"id"`   // UUIDv7
	Name        string    `json:"name"` // unique, [a-z0-9-]
	DisplayName string    `json:"display_name,omitempty"`
	Created     time.Time `json:"created"`
}

// Role is what a principal may do in its org (an operator: in every org).
type Role string

const (
	RoleOwner        Role = "owner"         // everything in the org
	RoleRegistrar    Role = "registrar"     // requests, approves and stops agents; issues grants
	RolePolicyAuthor Role = "policy_author" // activates the catalogue
	RoleApprover     Role = "approver"      // answers a step-up (a later capability)
	RoleAuditor      Role = "auditor"       // reads events and receipts
	RoleOperator     Role = "operator"      // runs the registry: all orgs, global kill
)

// Roles lists every role, in the order of the documentation.
var Roles = []Role{RoleOwner, RoleRegistrar, RolePolicyAuthor, RoleApprover, RoleAuditor, RoleOperator}

// Principal is an accountable human. Events name it by ID only; what a person
// may ask to erase (the display name) stays out of them.
type Principal struct {
	ID          string    `json:"id"`
	Org         string    `json:"org"`
	DisplayName string    `json:"display_name,omitempty"`
	Roles       []Role    `json:"roles"`
	Created     time.Time `json:"created"`
}

// PEP is a registered policy enforcement point: it guards resource servers and
// asks for decisions on the acts that reach them.
type PEP struct {
	ID          string    `json:"id"`
	Org         string    `json:"org"`
	Name        string    `json:"name"`
	Resources   []string  `json:"resources"`              // resource server ids, the aud of action proofs
	ContextKeys []string  `json:"context_keys,omitempty"` // context members it may assert
	Created     time.Time `json:"created"`
}

// AgentStatus is where an agent is in its life.
type AgentStatus string

const (
	AgentRequested AgentStatus = "requested"
	AgentActive    AgentStatus = "active"
	AgentSuspended AgentStatus = "suspended"
	AgentRevoked   AgentStatus = "revoked" // for good
)

// Component is one part of an agent's runtime composition.
type Component struct {
	Kind   string `json:"kind"`   // model | runtime | tools | api
	Name   string `json:"name"`   // as its maker calls it
	Digest string `json:"digest"` // sha256 of the artifact or manifest, hex
	Source string `json:"source"` // who vouches: self | sponsor | build-signed | runtime-attested
}

// Agent is a registered autonomous agent: persistent, not a session.
type Agent struct {
	ID             string      `json:"id"`  // UUIDv7
	DID            string      `json:"did"` // did:webvh, canonical
	WebDID         string      `json:"web_did"`
	Org            string      `json:"org"`
	Sponsor        string      `json:"sponsor"` // the accountable principal
	Name           string      `json:"name"`
	Purpose        string      `json:"purpose,omitempty"`
	Role           string      `json:"role,omitempty"`
	Domains        []string    `json:"domains,omitempty"`   // approved business domains; none named = any
	Workflows      []string    `json:"workflows,omitempty"` // approved workflows; none named = any
	AuthorityLevel int         `json:"authority_level"`     // 0-4, as the org's catalogue defines them
	Composition    []Component `json:"composition,omitempty"`
	Status         AgentStatus `json:"status"`
	JWK            jose.JWK    `json:"jwk"`
	Thumbprint     string      `json:"thumbprint"` // RFC 7638, base64url SHA-256
	KeyID          string      `json:"key_id"`     // DID URL of the verification method
	Custodial      bool        `json:"custodial"`  // the registry holds the DID's update key
	Created        time.Time   `json:"created"`
	Updated        time.Time   `json:"updated"`
}

// Key is the agent's public key.
func (a Agent) Key() (jose.PublicKey, error) {
	return a.JWK.PublicKey()
}

// GrantStatus is whether a grant still stands (its dates are looked at apart).
type GrantStatus string

const (
	GrantActive  GrantStatus = "active"
	GrantRevoked GrantStatus = "revoked"
)

// Grant is a capability grant of an org to one of its agents. Token is its
// portable form, an agent-cap+jwt that is worth nothing without the agent's key.
type Grant struct {
	ID             string      `json:"id"` // UUIDv7, the token's jti
	Org            string      `json:"org"`
	Agent          string      `json:"agent"`
	Capabilities   string      `json:"capabilities"` // canonical text form
	Audience       []string    `json:"audience"`     // resource server ids it is for
	Domain         string      `json:"domain,omitempty"`
	Workflow       string      `json:"workflow,omitempty"`
	AuthorityLevel int         `json:"authority_level"`
	NotBefore      time.Time   `json:"not_before"`
	Expires        time.Time   `json:"expires"`
	Status         GrantStatus `json:"status"`
	StatusIndex    int64       `json:"status_index"` // place in the status list
	Token          string      `json:"token"`
	TokenHash      string      `json:"token_hash"` // base64url SHA-256 of Token
	Created        time.Time   `json:"created"`
}

// Reversibility says whether an act can be undone.
type Reversibility string

const (
	Reversible   Reversibility = "reversible"
	Compensable  Reversibility = "compensable" // undone by another act, within a deadline
	Irreversible Reversibility = "irreversible"
)

// CatalogueAction is what an org knows of an action. An action that is not in
// the catalogue is irreversible, egress and material.
type CatalogueAction struct {
	Action        string        `json:"action"` // verb:type
	Reversibility Reversibility `json:"reversibility"`
	Egress        bool          `json:"egress"`   // an argument leaves the house
	Material      bool          `json:"material"` // affects systems, data, people or compliance
	MinLevel      int           `json:"min_level"`
	Domain        string        `json:"domain,omitempty"`
	Workflow      string        `json:"workflow,omitempty"`
	CompensatedBy string        `json:"compensated_by,omitempty"` // verb:type
	CompensateIn  int64         `json:"compensate_in,omitempty"`  // seconds
}

// Catalogue is an org's set of actions, activated whole.
type Catalogue struct {
	Org     string            `json:"org"`
	Actions []CatalogueAction `json:"actions"` // sorted by Action
	Digest  string            `json:"digest"`  // base64url SHA-256 of the JCS form of Actions
	Updated time.Time         `json:"updated"`
}

// Find returns the entry of verb:type.
func (c Catalogue) Find(action string) (CatalogueAction, bool) {
	i, ok := slices.BinarySearchFunc(c.Actions, action, func(a CatalogueAction, want string) int {
		return compare(a.Action, want)
	})
	if !ok {
		return CatalogueAction{}, false
	}
	return c.Actions[i], true
}

// ScopeKind is what a kill or an epoch covers.
type ScopeKind string

const (
	ScopeGlobal ScopeKind = "global"
	ScopeOrg    ScopeKind = "org"
	ScopeAgent  ScopeKind = "agent"
	ScopeGrant  ScopeKind = "grant"
)

// Scope names a piece of authority: everything, an org, an agent or a grant.
type Scope struct {
	Kind ScopeKind `json:"kind"`
	ID   string    `json:"id,omitempty"` // empty for global
}

// Key is the scope as one string, for storage.
func (s Scope) Key() string {
	if s.Kind == ScopeGlobal {
		return string(ScopeGlobal)
	}
	return string(s.Kind) + ":" + s.ID
}

// Kill is a stop that is in force.
type Kill struct {
	Scope  Scope     `json:"scope"`
	Org    string    `json:"org,omitempty"` // empty for global
	Reason string    `json:"reason"`
	By     string    `json:"by"`
	Since  time.Time `json:"since"`
}

// Epoch is how often the authority of a scope has moved. A decision keeps the
// epochs it read; they are read again after the log's head is locked.
type Epoch struct {
	Scope Scope  `json:"scope"`
	Value uint64 `json:"value"`
}

// Actor is who caused an event, by id only.
type Actor struct {
	Kind ActorKind `json:"kind"`
	ID   string    `json:"id"`
}

// ActorKind tells callers apart.
type ActorKind string

const (
	ActorPrincipal ActorKind = "principal"
	ActorPEP       ActorKind = "pep"
	ActorAgent     ActorKind = "agent"
	ActorRegistry  ActorKind = "registry"
)

// Event is a recorded qualified event: an artifact, its CID and its place.
type Event struct {
	CID      string          `json:"cid"` // CIDv1, raw, sha2-256
	Log      string          `json:"log"`
	Index    uint64          `json:"index"`
	Org      string          `json:"org"`
	OrgSeq   uint64          `json:"org_seq"`
	Agent    string          `json:"agent,omitempty"`
	Seq      uint64          `json:"seq,omitempty"` // in the agent's own sequence
	Type     string          `json:"type"`
	Time     time.Time       `json:"time"`
	Artifact json.RawMessage `json:"artifact"` // canonical bytes
}

// EventRef is the promise that a command's answer carries: the event is
// durable at this index of the log.
type EventRef struct {
	CID    string    `json:"cid"`
	Index  uint64    `json:"index"`
	OrgSeq uint64    `json:"org_seq"`
	Seq    uint64    `json:"seq,omitempty"`
	Time   time.Time `json:"time"`
}

// Body is an event's body in the artifact profile: what SealBody returned.
type Body []byte

// SealBody encodes a body by its json tags in canonical form, and checks that it
// is in the artifact profile (canon.CheckArtifact).
func SealBody(v any) (Body, error) {
	form, err := canon.Marshal(v)
	if err == nil {
		err = canon.CheckArtifact(form)
	}
	return form, err
}

// EventDraft is an event before its place is known. Body is sealed already (a
// Body), or will be.
type EventDraft struct {
	Type        string
	Org         string
	Agent       string // the agent it is about, if it is about one
	Actor       Actor
	Trace       string // 32 hex digits, W3C trace-id
	Body        any
	Disclosures []canon.Disclosure
}

// Page asks for Limit rows after the id After (or index, for events).
type Page struct {
	After string
	Limit int
}
