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
	Policy      OrgPolicy `json:"policy,omitzero"`
	Domain      string    `json:"domain,omitempty"` // of its agents' DIDs; "" = the registry's origin
	Created     time.Time `json:"created"`

	Approvals ApprovalRules `json:"approvals,omitzero"` // who must approve what

	Observation *Observation `json:"observation,omitempty"` // of all its agents; nil: none was begun, or it was ended
}

// OrgPolicy is what an org demands of its agents and people. The zero value
// demands nothing beyond the registry's own rules.
type OrgPolicy struct {
	// MaxKeyAge is how old an agent's key may be, in seconds; an older one proves
	// nothing any more. 0 = no limit.
	MaxKeyAge int64 `json:"max_key_age,omitempty"`
	// WarnKeyAge is the age at which a key is listed as due, in seconds; 0 = never.
	WarnKeyAge int64 `json:"warn_key_age,omitempty"`
	// SeparateDuties: who asked for an agent does not approve it, and nobody
	// approves an agent they sponsor.
	SeparateDuties bool `json:"separate_duties,omitempty"`
}

// Role is what a principal may do in its org (an operator: in every org).
type Role string

const (
	RoleOwner        Role = "owner"         // everything in the org
	RoleRegistrar    Role = "registrar"     // requests, approves and stops agents; issues grants
	RolePolicyAuthor Role = "policy_author" // activates the catalogue and the policies
	RoleApprover     Role = "approver"      // approves acts that need a human
	RoleAuditor      Role = "auditor"       // reads events and receipts
	RoleOperator     Role = "operator"      // runs the registry: all orgs, global kill
)

// Roles lists every role, in the order of the documentation.
var Roles = []Role{RoleOwner, RoleRegistrar, RolePolicyAuthor, RoleApprover, RoleAuditor, RoleOperator}

// Principal is an accountable human. Events name it by ID only; what a person
// may ask to erase (the display name) stays out of them.
type Principal struct {
	ID          string `json:"id"`
	Org         string `json:"org"`
	DisplayName string `json:"display_name,omitempty"`
	Roles       []Role `json:"roles"`
	// Status says whether the human may act and answer for agents: where it is not
	// active, neither may the agents that the human sponsors.
	Status PrincipalStatus `json:"status,omitempty"`
	// Issuer (its URL) and Subject are who the human is to the org's issuer; empty
	// for those who were never signed in there. GroupRoles is what the issuer's last
	// answer gave: it counts in a session, and only while the answer is young.
	Issuer     string    `json:"issuer,omitempty"`
	Subject    string    `json:"subject,omitempty"`
	GroupRoles []Role    `json:"group_roles,omitempty"`
	Created    time.Time `json:"created"`
}

// holds reports whether the human has the role by an act inside the registry.
func (p Principal) holds(role Role) bool { return slices.Contains(p.Roles, role) }

// PrincipalStatus is where a human is in the org. "" is active.
type PrincipalStatus string

const (
	PrincipalActive    PrincipalStatus = ""
	PrincipalSuspended PrincipalStatus = "suspended"
	PrincipalLeft      PrincipalStatus = "left" // for good
)

// Credential is a bearer secret of a principal or an enforcement point, by its
// hash. The secret itself is shown once and kept nowhere.
type Credential struct {
	ID        string    `json:"id"`
	Owner     Actor     `json:"owner"`
	Hash      [32]byte  `json:"-"`
	Hint      string    `json:"hint"`                // the last 4 hex digits of Hash, to tell them apart
	Created   time.Time `json:"created,omitzero"`    // zero: before this was kept
	Expires   time.Time `json:"expires,omitzero"`    // zero: never
	Bootstrap bool      `json:"bootstrap,omitempty"` // of the first start
}

// PEP is a registered policy enforcement point: it guards resource servers and
// asks for decisions on the acts that reach them.
type PEP struct {
	ID          string    `json:"id"`
	Org         string    `json:"org"`
	Name        string    `json:"name"`
	Resources   []string  `json:"resources"`              // resource server ids, the aud of action proofs
	ContextKeys []string  `json:"context_keys,omitempty"` // context members it may assert
	JWK         *jose.JWK `json:"jwk,omitempty"`          // signs what became of permitted acts; nil: it cannot say
	Callbacks   []string  `json:"callbacks,omitempty"`    // origins that it may have told of approvals
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

	// Of the last two: who signed for it, and the base64url SHA-256 of what was signed.
	Voucher   string `json:"voucher,omitempty"`
	Statement string `json:"statement,omitempty"`
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

	// DIDPending is since when its DID log says otherwise of its keys than the registry,
	// which decides by what it knows itself. Zero: they agree. Where the registry holds
	// the update key, the log follows by itself; else by its controller's next entry.
	DIDPending time.Time `json:"did_pending,omitzero"`

	// TrustSince is when its composition changed last: what was learned of it before
	// was learned of another agent. Zero: it is as it was registered.
	TrustSince time.Time `json:"trust_since,omitzero"`

	KeySince    time.Time     `json:"key_since,omitzero"`      // when JWK became its key; zero: at Created
	KeyEnded    bool          `json:"key_ended,omitempty"`     // JWK is compromised: it counts no more, and the agent needs another
	Retiring    []RetiringKey `json:"retiring,omitempty"`      // keys before JWK that still count, at most MaxRetiring
	NextKeyHash string        `json:"next_key_hash,omitempty"` // commitment to the key after JWK (did.NextKeyHash); "" = none

	Parent    string   `json:"parent,omitempty"`    // the agent that registered it
	Ancestors []string `json:"ancestors,omitempty"` // parent, its parent, ..., at most MaxSpawnDepth
	Spawn     Spawn    `json:"spawn,omitzero"`      // its right to register children

	Observation *Observation `json:"observation,omitempty"` // nil: none was begun, or it was ended
	Actions     *ActionSet   `json:"actions,omitempty"`     // that it is held to; nil: any
}

// RetiringKey is an earlier key of an agent that counts until a time.
type RetiringKey struct {
	Thumbprint string    `json:"thumbprint"`
	JWK        jose.JWK  `json:"jwk"`
	NotAfter   time.Time `json:"not_after"`
}

// Spawn is an agent's right to register children of its own, which may have
// children while Depth lasts. Stopping an agent stops its descendants.
type Spawn struct {
	Depth int `json:"depth,omitempty"` // generations below, 0 to MaxSpawnDepth; 0 = no children
	Max   int `json:"max,omitempty"`   // children at once that are not revoked, 0 to MaxChildren
}

// Limits of an agent's keys and family.
const (
	MaxRetiring   = 4
	MaxSpawnDepth = 8
	MaxChildren   = 1000
)

// Key is the agent's public key.
func (a Agent) Key() (jose.PublicKey, error) {
	return a.JWK.PublicKey()
}

// Holds reports whether a key, by its thumbprint, counts as the agent's at a time.
func (a Agent) Holds(thumbprint string, now time.Time) bool {
	if thumbprint == a.Thumbprint {
		return !a.KeyEnded
	}
	for _, k := range a.Retiring {
		if k.Thumbprint == thumbprint {
			return now.Before(k.NotAfter)
		}
	}
	return false
}

// KeyAge is how long the agent has had its key.
func (a Agent) KeyAge(now time.Time) time.Duration {
	if a.KeySince.IsZero() {
		return now.Sub(a.Created)
	}
	return now.Sub(a.KeySince)
}

// KeyStatus is where a key is in its life.
type KeyStatus string

const (
	KeyActive      KeyStatus = "active"
	KeyRetiring    KeyStatus = "retiring"    // counts until NotAfter
	KeyRetired     KeyStatus = "retired"     // ended by rotation
	KeyCompromised KeyStatus = "compromised" // from CompromisedFrom on, whatever it signed is suspect
)

// AgentKey is one key that an agent has or had. The history of an agent's keys
// is never shortened: which key counted when something was decided follows from
// the places in the log.
type AgentKey struct {
	Thumbprint string    `json:"thumbprint"` // RFC 7638, base64url SHA-256; no two agents ever share one
	Agent      string    `json:"agent"`
	N          int       `json:"n"` // from 1, in the agent's own order
	KeyID      string    `json:"key_id"`
	JWK        jose.JWK  `json:"jwk"`
	Status     KeyStatus `json:"status"`
	Added      time.Time `json:"added"`
	NotAfter   time.Time `json:"not_after,omitzero"` // of a retiring or retired key
	Version    string    `json:"version"`            // versionId of the DID log entry that added it

	// Places in the log: of the event that added the key, and of the one that ended
	// it. What lies between them was decided while the key counted.
	AddedIndex      *uint64 `json:"added_index,omitempty"`
	EndedIndex      *uint64 `json:"ended_index,omitempty"`
	CompromisedFrom *uint64 `json:"compromised_from,omitempty"`
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
	Capabilities   string      `json:"capabilities"`      // canonical text form
	Budgets        []string    `json:"budgets,omitempty"` // canonical text forms, in order
	Audience       []string    `json:"audience"`          // resource server ids it is for
	Domain         string      `json:"domain,omitempty"`
	Workflow       string      `json:"workflow,omitempty"`
	AuthorityLevel int         `json:"authority_level"`
	Delegation     int         `json:"delegation,omitempty"` // how many links may follow in a chain, 0 to capability.MaxDepth
	NotBefore      time.Time   `json:"not_before"`
	Expires        time.Time   `json:"expires"`
	Status         GrantStatus `json:"status"`
	StatusIndex    int64       `json:"status_index"` // place in the status lists: see StatusListURI
	Token          string      `json:"token"`
	TokenHash      string      `json:"token_hash"`        // base64url SHA-256 of Token
	Earlier        []string    `json:"earlier,omitempty"` // hashes of its tokens for keys before, newest first
	Created        time.Time   `json:"created"`
}

// RevokedLink is a grant that a holder made under a grant of the registry, and that
// counts no more, nor does what was made under it.
type RevokedLink struct {
	Grant string    `json:"grant"` // at the root
	Hash  string    `json:"hash"`  // base64url SHA-256 of the link's signing input
	By    Actor     `json:"by"`
	Since time.Time `json:"since"`
}

// Issued reports whether a token, by its hash, is one of the grant's. Whether the
// key it is bound to still counts is another question (Agent.Holds).
func (g Grant) Issued(tokenHash string) bool {
	return tokenHash == g.TokenHash || slices.Contains(g.Earlier, tokenHash)
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
	OutcomeIn     int64         `json:"outcome_in,omitempty"`     // seconds in which the resource says what became of it; 0 = DefaultOutcomeIn

	// Of an entry that was imported: the tool that it is about, and the digest of the
	// description that was read (package tools). Guess is there until a policy author
	// has reviewed the entry; so long it is irreversible, egress and material.
	Tool  string `json:"tool,omitempty"`
	Pin   string `json:"pin,omitempty"`
	Guess *Guess `json:"guess,omitempty"`
}

// Guess is what the description of a tool suggests of an action.
type Guess struct {
	Reversibility Reversibility `json:"reversibility"`
	Egress        bool          `json:"egress"`
	Material      bool          `json:"material"`
	CompensatedBy string        `json:"compensated_by,omitempty"`
	Why           string        `json:"why"`
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

// Entry is the catalogue's word on an action; what it does not know is irreversible,
// egress and material.
func (c Catalogue) Entry(action string) CatalogueAction {
	if e, ok := c.Find(action); ok {
		return e
	}
	return CatalogueAction{Action: action, Reversibility: Irreversible, Egress: true, Material: true}
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
