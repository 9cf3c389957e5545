package registry

// The bodies of the events, one closed schema each (docs/schemas). A new field
// means a new version of the envelope. They hold ids, enums, times, digests
// and commitments only.

// EnvelopeVersion is the v of every artifact.
const EnvelopeVersion = 1

// Event types.
const (
	EventRegistryCreated    = "registry.created"
	EventOrgCreated         = "org.created"
	EventPrincipalCreated   = "principal.created"
	EventPrincipalSuspended = "principal.suspended"
	EventPrincipalResumed   = "principal.resumed"
	EventPrincipalLeft      = "principal.left"
	EventRolesSet           = "principal.roles_set"
	EventCredentialRotated  = "credential.rotated"
	EventCredentialRevoked  = "credential.revoked"
	EventSignInSet          = "issuer.set"
	EventSignInRemoved      = "issuer.removed"
	EventSponsorChanged     = "agent.sponsor_changed"
	EventPEPRegistered      = "pep.registered"
	EventCatalogueActivated = "catalogue.activated"
	EventAgentRequested     = "agent.requested"
	EventAgentApproved      = "agent.approved"
	EventAgentSuspended     = "agent.suspended"
	EventAgentResumed       = "agent.resumed"
	EventAgentRevoked       = "agent.revoked"
	EventAgentSpawned       = "agent.spawned"
	EventSpawnSet           = "agent.spawn_set"
	EventKeyRotated         = "agent.key_rotated"
	EventKeyEnded           = "agent.key_ended"
	EventDIDDeactivated     = "agent.did_deactivated"
	EventOrgPolicySet       = "org.policy_set"
	EventOrgDomainSet       = "org.domain_set"
	EventTrustAdded         = "trust.added"
	EventTrustRemoved       = "trust.removed"
	EventTrustAlarmed       = "trust.alarmed"
	EventCompositionChanged = "agent.composition_changed"
	EventVoucherRegistered  = "voucher.registered"
	EventVoucherRevoked     = "voucher.revoked"
	EventGrantIssued        = "grant.issued"
	EventGrantRevoked       = "grant.revoked"
	EventKillSet            = "kill.set"
	EventKillReleased       = "kill.released"
	EventDecision           = "decision"
	EventCAOpened           = "ca.opened"
	EventCertificateIssued  = "certificate.issued"
	EventCertificateRevoked = "certificate.revoked"
	EventRootEnrolled       = "org.root_enrolled"
	EventRootRemoved        = "org.root_removed"
	EventIssuerEnrolled     = "org.issuer_enrolled"
	EventIssuerRemoved      = "org.issuer_removed"
	EventAgentEnrolled      = "agent.enrolled"
	EventCustodyMoved       = "agent.custody_moved"
	EventDIDUpdated         = "agent.did_updated"
	EventLinkRevoked        = "grant.link_revoked"

	EventApprovalRequested      = "approval.requested"
	EventApprovalAnswered       = "approval.answered"
	EventApprovalExpired        = "approval.expired"
	EventApprovalCancelled      = "approval.cancelled"
	EventApprovalConsumed       = "approval.consumed"
	EventGlassBroken            = "approval.glass_broken"
	EventRulesProposed          = "approval_rules.proposed"
	EventRulesActivated         = "approval_rules.activated"
	EventAuthenticatorAdded     = "authenticator.added"
	EventAuthenticatorActivated = "authenticator.activated"
	EventAuthenticatorEnded     = "authenticator.ended"
	EventPoliciesActivated      = "policy.activated"
	EventAssertedDecision       = "decision.asserted"
	EventEntitySet              = "entity.set"
	EventEntityRemoved          = "entity.removed"
	EventTemplateSet            = "template.set"
	EventTemplateRemoved        = "template.removed"
	EventPEPKeySet              = "pep.key_set"
	EventPEPRoutesSet           = "pep.routes_set"
	EventPermitRedeemed         = "permit.redeemed"
	EventOutcomeReported        = "outcome.reported"
	EventOutcomeUnknown         = "outcome.unknown"
	EventObservationBegun       = "observation.begun"
	EventObservationEnded       = "observation.ended"
	EventPEPCallbacksSet        = "pep.callbacks_set"
	EventActionsSet             = "agent.actions_set"
)

// RegistryCreated is the first event of every log: whose it is and which keys
// speak for it.
type RegistryCreated struct {
	Origin    string `json:"origin"`
	DID       string `json:"did"`
	TokenKey  string `json:"token_key"`  // Multikey
	UpdateKey string `json:"update_key"` // Multikey
	Operator  string `json:"operator"`   // principal id
}

// OrgCreated: a tenant exists.
type OrgCreated struct {
	Org  string `json:"org"`
	Name string `json:"name"`
}

// PrincipalCreated: a human may act for the org in these roles.
type PrincipalCreated struct {
	Principal string `json:"principal"`
	Roles     []Role `json:"roles"`
}

// PrincipalStatusChanged is the body of principal.suspended, resumed and left. What
// the human answers for stands or falls with it.
type PrincipalStatusChanged struct {
	Principal string `json:"principal"`
	Status    string `json:"status"` // active | suspended | left
	Reason    string `json:"reason"`
}

// RolesSet: these are the roles that the human has from this source from here on.
type RolesSet struct {
	Principal string `json:"principal"`
	Roles     []Role `json:"roles"`
	Source    string `json:"source"` // registry: set by a human; groups: of the org's issuer, for as long as it says so
}

// CredentialRotated: a principal or enforcement point has a new credential.
type CredentialRotated struct {
	Owner         Actor  `json:"owner"`
	Credential    string `json:"credential"`
	PreviousUntil string `json:"previous_until"` // when those before end; "" = here
}

// CredentialRevoked: a credential has ended.
type CredentialRevoked struct {
	Owner      Actor  `json:"owner"`
	Credential string `json:"credential"`
	Reason     string `json:"reason"`
}

// SignInChanged is the body of issuer.set and issuer.removed: where people of the
// org sign in, and what their groups are worth.
type SignInChanged struct {
	Issuer string `json:"issuer"` // id
	Config string `json:"config"` // digest of the JCS form of the settings, without secret
}

// SponsorChanged: another human answers for the agent from here on.
type SponsorChanged struct {
	DID      string `json:"did"`
	Sponsor  string `json:"sponsor"`
	Previous string `json:"previous"`
}

// PEPRegistered: an enforcement point guards these resource servers.
type PEPRegistered struct {
	PEP         string   `json:"pep"`
	Resources   []string `json:"resources"`
	ContextKeys []string `json:"context_keys"`
}

// CatalogueActivated: the org's actions are now those of this digest.
type CatalogueActivated struct {
	Digest  string `json:"digest"`
	Actions int    `json:"actions"`
}

// AgentRegistration is the body of agent.requested: an agent with this key asks
// to be registered.
type AgentRegistration struct {
	DID            string   `json:"did"`
	WebDID         string   `json:"web_did"`
	DIDEntryHash   string   `json:"did_entry_hash"` // did:webvh entry hash
	Thumbprint     string   `json:"thumbprint"`
	KeyAlg         string   `json:"key_alg"`
	PossessionHash string   `json:"possession_hash"` // of the agent-pop+jwt
	Sponsor        string   `json:"sponsor"`
	Role           string   `json:"role"`
	Domains        []string `json:"domains"`
	Workflows      []string `json:"workflows"`
	AuthorityLevel int      `json:"authority_level"`
	Composition    string   `json:"composition"` // digest of the JCS form of the components
	Custodial      bool     `json:"custodial"`
}

// AgentStatusChanged is the body of approved, suspended, resumed and revoked.
type AgentStatusChanged struct {
	DID    string      `json:"did"`
	Status AgentStatus `json:"status"`
	Reason string      `json:"reason"` // machine name, "" for approval
}

// AgentSpawned follows the agent.requested of a child: its parent may have it. It
// is active from here on, and stopped with any of its ancestors.
type AgentSpawned struct {
	DID        string `json:"did"`
	Parent     string `json:"parent"` // agent id
	ParentDID  string `json:"parent_did"`
	SpawnDepth int    `json:"spawn_depth"`
	SpawnMax   int    `json:"spawn_max"`
}

// SpawnSet: the agent may register children, this many at once and this many
// generations deep.
type SpawnSet struct {
	DID        string `json:"did"`
	SpawnDepth int    `json:"spawn_depth"`
	SpawnMax   int    `json:"spawn_max"`
}

// KeyRotated: the agent has another key from here on.
type KeyRotated struct {
	DID            string         `json:"did"`
	Thumbprint     string         `json:"thumbprint"`
	KeyAlg         string         `json:"key_alg"`
	PossessionHash string         `json:"possession_hash"` // of the agent-pop+jwt by the new key
	Previous       string         `json:"previous"`        // thumbprint of the key before
	PreviousUntil  string         `json:"previous_until"`  // when that ends; "" = here
	By             string         `json:"by"`              // registrar | agent | recovery
	NextKeyHash    string         `json:"next_key_hash"`   // commitment to the key after; "" = none
	DIDEntryHash   string         `json:"did_entry_hash"`  // "" where the registry does not hold the update key
	Renewed        []GrantRenewed `json:"renewed"`         // tokens for the new key
}

// GrantRenewed is a grant with a token for a new key.
type GrantRenewed struct {
	Grant     string `json:"grant"`
	TokenHash string `json:"token_hash"`
}

// KeyEnd is the body of agent.key_ended: a key of the agent counts no more.
type KeyEnd struct {
	DID             string    `json:"did"`
	Thumbprint      string    `json:"thumbprint"`
	Status          KeyStatus `json:"status"`           // retired | compromised
	CompromisedFrom string    `json:"compromised_from"` // place in the log, decimal; "" = here, or not compromised
	DIDEntryHash    string    `json:"did_entry_hash"`   // "" where the registry does not hold the update key
	Reason          string    `json:"reason"`
}

// DIDDeactivated: the DID of a revoked agent resolves to no key any more.
type DIDDeactivated struct {
	DID          string `json:"did"`
	DIDEntryHash string `json:"did_entry_hash"`
}

// OrgPolicySet: what the org demands of its agents and people from here on.
type OrgPolicySet struct {
	MaxKeyAge      int64 `json:"max_key_age"`  // seconds; 0 = no limit
	WarnKeyAge     int64 `json:"warn_key_age"` // seconds; 0 = never
	SeparateDuties bool  `json:"separate_duties"`
}

// OrgDomainSet: the DIDs of the org's new agents are at this domain.
type OrgDomainSet struct {
	Domain string `json:"domain"` // "" = the registry's origin
}

// TrustAdded: the org accepts grants of a foreign registry, signed by these keys.
type TrustAdded struct {
	Trust     string   `json:"trust"`
	Issuer    string   `json:"issuer"`     // DID
	TokenKeys []string `json:"token_keys"` // Multikeys
	LogKey    string   `json:"log_key"`    // C2SP signed-note verifier key
	Terms     string   `json:"terms"`      // digest of who, where and how far
	Public    bool     `json:"public"`
}

// TrustRemoved: it accepts them no more.
type TrustRemoved struct {
	Trust  string `json:"trust"`
	Issuer string `json:"issuer"`
	Reason string `json:"reason"`
}

// TrustAlarmed: an issuer, or an agent of it, contradicted itself or what is pinned;
// nothing of it is believed.
type TrustAlarmed struct {
	Trust    string    `json:"trust"`
	Issuer   string    `json:"issuer"`
	Subject  string    `json:"subject"` // DID of the issuer or of the agent
	Code     AlarmCode `json:"code"`
	Evidence string    `json:"evidence"` // digest of what was shown
}

// CompositionChanged: the agent is made of other parts from here on, or others
// vouch for them. Trust in what it was ends here.
type CompositionChanged struct {
	DID         string            `json:"did"`
	Composition string            `json:"composition"` // digest of the JCS form of the components
	Previous    string            `json:"previous"`    // that of before
	Source      string            `json:"source"`      // the lowest of the parts' sources; none where there are no parts
	Parts       int               `json:"parts"`
	Statements  []string          `json:"statements"`  // hashes of the composition+jwt that vouch
	Vouchers    []string          `json:"vouchers"`    // ids of who signed them
	Commitments map[string]string `json:"commitments"` // composition, statements
}

// VoucherRegistered: the holder of a key may vouch for parts of the org's agents.
type VoucherRegistered struct {
	Voucher    string `json:"voucher"`
	Kind       string `json:"kind"` // builder | attester
	Thumbprint string `json:"thumbprint"`
	KeyAlg     string `json:"key_alg"`
}

// VoucherRevoked: it vouches for nothing more. What it vouched for before stays
// recorded as it was.
type VoucherRevoked struct {
	Voucher    string `json:"voucher"`
	Thumbprint string `json:"thumbprint"`
	Reason     string `json:"reason"`
}

// GrantIssued: the agent holds a grant.
type GrantIssued struct {
	Grant          string   `json:"grant"`
	DID            string   `json:"did"`
	TokenHash      string   `json:"token_hash"`
	Capabilities   string   `json:"capabilities"` // digest of the canonical text
	Audience       []string `json:"audience"`
	Domain         string   `json:"domain"`
	Workflow       string   `json:"workflow"`
	AuthorityLevel int      `json:"authority_level"`
	NotBefore      string   `json:"not_before"`
	Expires        string   `json:"expires"`
	Budgets        string   `json:"budgets,omitempty"` // digest of the JCS form of their canonical texts; absent where there are none
}

// GrantEnded: the grant is revoked.
type GrantEnded struct {
	Grant  string `json:"grant"`
	DID    string `json:"did"`
	Reason string `json:"reason"`
}

// LinkRevoked: a link that a holder made under the grant, and what is under it, count
// no more.
type LinkRevoked struct {
	Grant  string `json:"grant"`
	DID    string `json:"did"`  // of the agent that the grant was issued to
	Link   string `json:"link"` // SHA-256 of the link's signing input
	Reason string `json:"reason"`
}

// KillChanged is the body of kill.set and kill.released.
type KillChanged struct {
	Scope  string `json:"scope"` // global | org:ID | agent:ID | grant:ID
	Epoch  int64  `json:"epoch"` // after the change
	Reason string `json:"reason"`
}

// ObservationChanged is the body of observation.begun and observation.ended: what the
// grants of an agent, or of all agents of an org, do not cover is permitted and recorded
// from here on, until a time; or is no more. That the time has come has no event.
type ObservationChanged struct {
	Scope  string `json:"scope"` // org:ID | agent:ID
	Until  string `json:"until"`
	Reason string `json:"reason"`
}

// ActionsSet: whatever its grants say, the agent is held to these actions of its org's
// catalogue, or to none, from here on; or any is let again.
type ActionsSet struct {
	DID     string   `json:"did"`
	Any     bool     `json:"any"`
	Actions []string `json:"actions"` // verb:type, sorted, each once; empty where any is let
}

// CAOpened: certificates are issued by this authority from here on. Digests are
// base64url of the SHA-256 of the DER.
type CAOpened struct {
	Root     string `json:"root"`      // of the last certificate of its chain, where trust begins
	Issuing  string `json:"issuing"`   // of the certificate that signs leaves
	NotAfter string `json:"not_after"` // of the chain
}

// CertificateIssued: this certificate speaks for the agent or enforcement point.
type CertificateIssued struct {
	Certificate string          `json:"certificate"` // digest
	Serial      string          `json:"serial"`
	Kind        CertificateKind `json:"kind"`
	PEP         string          `json:"pep"`    // "" where it is an agent's
	Issuer      string          `json:"issuer"` // digest of the CA: that of ca.opened, or the enterprise's root
	Names       string          `json:"names"`  // digest of the JCS form of the URI SANs
	Thumbprint  string          `json:"thumbprint"`
	NotBefore   string          `json:"not_before"`
	NotAfter    string          `json:"not_after"`
}

// CertificateEnded: this certificate counts no more.
type CertificateEnded struct {
	Certificate string `json:"certificate"`
	Serial      string `json:"serial"`
	PEP         string `json:"pep"`
	Reason      string `json:"reason"`
}

// RootChanged is the body of org.root_enrolled and org.root_removed: the org's
// agents may, or may no more, be enrolled with certificates below this one.
type RootChanged struct {
	Root  string `json:"root"`  // digest
	Rules string `json:"rules"` // digest of the JCS form
}

// IssuerChanged is the body of org.issuer_enrolled and org.issuer_removed: the
// org's agents may, or may no more, be enrolled with tokens of this issuer.
type IssuerChanged struct {
	Issuer string `json:"issuer"` // id
	Kind   string `json:"kind"`
	Config string `json:"config"` // digest of the JCS form, rules included
}

// AgentEnrolled follows the agent.requested of an agent that the org's own IAM
// vouched for.
type AgentEnrolled struct {
	DID         string            `json:"did"`
	Kind        string            `json:"kind"`     // entra | okta | kubernetes | spiffe | x509
	Issuer      string            `json:"issuer"`   // id of the workload issuer; "" for x509
	Evidence    string            `json:"evidence"` // digest of the token as signed, or of the certificate
	Rules       string            `json:"rules"`    // digest of the JCS form of the rules that were asked
	Rule        int               `json:"rule"`     // which of them matched, from 0
	Approved    bool              `json:"approved"`
	Commitments map[string]string `json:"commitments"` // issuer, subject
}

// CustodyMoved: the registry has signed its last entry of the agent's DID log. The
// next is signed by a key that one of these commitments is to.
type CustodyMoved struct {
	DID            string   `json:"did"`
	DIDEntryHash   string   `json:"did_entry_hash"`
	NextKeyHashes  []string `json:"next_key_hashes"` // did.NextKeyHash
	PossessionHash string   `json:"possession_hash"` // of the agent-pop+jwt by one of the keys
	Custodial      bool     `json:"custodial"`       // false
}

// DIDUpdated: the agent's controller has added an entry to its DID log.
type DIDUpdated struct {
	DID          string `json:"did"`
	DIDEntryHash string `json:"did_entry_hash"`
	Entry        int    `json:"entry"`   // its number, from 1
	Pending      bool   `json:"pending"` // it says otherwise of the agent's keys than the registry
}

// DecisionMade is the body of a decision event.
type DecisionMade struct {
	Decision        string            `json:"decision"` // UUIDv7
	DID             string            `json:"did"`
	Grant           string            `json:"grant"`      // "" where none was found
	TokenHash       string            `json:"token_hash"` // "" where none was shown
	ProofHash       string            `json:"proof_hash"` // SHA-256 of the compact action proof
	Audience        string            `json:"audience"`
	PEP             string            `json:"pep"`    // "" for a direct call
	Action          string            `json:"action"` // verb:type
	Verdict         string            `json:"verdict"`
	Reasons         []string          `json:"reasons"`
	QualifiedBy     []string          `json:"qualified_by"`
	PolicyDigest    string            `json:"policy_digest"`
	CatalogueDigest string            `json:"catalogue_digest"`
	Epochs          map[string]int64  `json:"epochs"`      // global, org, agent, grant
	Commitments     map[string]string `json:"commitments"` // payload, resource, proof, token; context where some was asserted, chain, budgets as read where some count the act
	Folds           bool              `json:"folds"`       // repeats of this denial are counted, not logged

	// Of a permit that humans approved; absent from every other decision. Their signatures
	// are the commitment approvals.
	Approval  string   `json:"approval,omitempty"`
	Approvers []string `json:"approvers,omitempty"` // principals

	// Of a permit under observation: the reasons are those that it would have been denied
	// for. Absent from every other decision.
	Observed bool `json:"observed,omitempty"`
}

// PoliciesActivated: these Cedar policies of the org hold from here on. None is a
// set as well: it says nothing of agents and permits others nothing.
type PoliciesActivated struct {
	Version  int64  `json:"version"`
	Digest   string `json:"digest"`
	Policies int    `json:"policies"`
	Previous string `json:"previous"` // digest of those before; "" = none
}

// EntityChanged is the body of entity.set and entity.removed: what the org knows of
// a user, group, resource or agent is this, or nothing, from here on.
type EntityChanged struct {
	Commitments map[string]string `json:"commitments"` // entity
}

// TemplateChanged is the body of template.set and template.removed: grants may be
// issued from this template of the org, or no more. It gives no authority.
type TemplateChanged struct {
	Name   string `json:"name"`
	Digest string `json:"digest"` // of the JCS form of what it says, or said
}

// AssertedDecision is the body of decision.asserted: a decision about a subject that
// is no agent, on the word of an enforcement point of the org.
type AssertedDecision struct {
	Decision        string            `json:"decision"` // UUIDv7
	PEP             string            `json:"pep"`
	Action          string            `json:"action"` // verb:type
	Verdict         string            `json:"verdict"`
	Reasons         []string          `json:"reasons"`
	QualifiedBy     []string          `json:"qualified_by"`
	PolicyDigest    string            `json:"policy_digest"`
	CatalogueDigest string            `json:"catalogue_digest"`
	Epochs          map[string]int64  `json:"epochs"`      // global, org
	Commitments     map[string]string `json:"commitments"` // subject, payload, resource, and context where some was asserted
	Folds           bool              `json:"folds"`       // repeats of this denial are counted, not logged

	// Of a permit under observation, as in DecisionMade.
	Observed bool `json:"observed,omitempty"`
}

// ApprovalRequest is the body of approval.requested: humans are asked to approve an act.
type ApprovalRequest struct {
	Approval  string `json:"approval"`
	DID       string `json:"did"`
	Decision  string `json:"decision"`  // that was step_up
	Action    string `json:"action"`    // verb:type
	ActDigest string `json:"adg"`       // of the act, with its arguments
	Rule      string `json:"rule"`      // digest of the approver rule
	Quorum    int    `json:"quorum"`    // humans
	Statement string `json:"statement"` // SHA-256 of what they are shown
	Expires   string `json:"expires"`
}

// ApprovalAnswered: a human said yes or no.
type ApprovalAnswered struct {
	Approval      string            `json:"approval"`
	DID           string            `json:"did"`
	Principal     string            `json:"principal"`
	Verdict       string            `json:"verdict"` // approve | deny
	BreakGlass    bool              `json:"break_glass"`
	State         ApprovalState     `json:"state"`          // of the approval, by this answer
	Authenticator string            `json:"authenticator"`  // "" where a refusal was not signed
	SignatureHash string            `json:"signature_hash"` // as authenticator
	Statement     string            `json:"statement"`      // SHA-256 of what was shown
	Until         string            `json:"until"`          // how long the approval is good; "" where it is none
	Commitments   map[string]string `json:"commitments"`    // reason, signature
}

// ApprovalEnded is the body of approval.expired and approval.cancelled.
type ApprovalEnded struct {
	Approval string `json:"approval"`
	DID      string `json:"did"`
	Was      string `json:"was"` // pending | approved
	Reason   string `json:"reason"`
}

// ApprovalUsed is the body of approval.consumed: the permit after which the approval is
// good for nothing.
type ApprovalUsed struct {
	Approval  string   `json:"approval"`
	DID       string   `json:"did"`
	Decision  string   `json:"decision"`
	Approvers []string `json:"approvers"`
}

// GlassBroken is the body of approval.glass_broken: two humans approved past the rule.
// Somebody must look.
type GlassBroken struct {
	Approval  string   `json:"approval"`
	DID       string   `json:"did"`
	Approvers []string `json:"approvers"`
}

// ApprovalRulesChanged is the body of approval_rules.proposed and activated.
type ApprovalRulesChanged struct {
	Digest     string `json:"digest"` // of the JCS form of the rules
	Rules      int    `json:"rules"`
	ProposedBy string `json:"proposed_by"` // principal
}

// AuthenticatorChanged is the body of authenticator.added, activated and ended: what a
// human may sign with.
type AuthenticatorChanged struct {
	Authenticator string `json:"authenticator"`
	Principal     string `json:"principal"`
	Kind          string `json:"kind"`       // key | passkey
	KeyDigest     string `json:"key_digest"` // thumbprint, or SHA-256 of the credential id
	Reason        string `json:"reason"`
}

// PEPKeySet: outcomes that the enforcement point reports are signed by this key.
type PEPKeySet struct {
	PEP        string `json:"pep"`
	Thumbprint string `json:"thumbprint"`
	Previous   string `json:"previous"` // thumbprint of the key before; "" = there was none
}

// PEPRoutesSet: requests that proxies ask about for the enforcement point are these
// acts.
type PEPRoutesSet struct {
	PEP    string `json:"pep"`
	Routes string `json:"routes"` // digest of the JCS form of the table
	Inject bool   `json:"inject"` // the proxy is given a credential for what it guards
}

// PermitUsed is the body of permit.redeemed: the enforcement point is about to do the
// act, and nobody does it again.
type PermitUsed struct {
	Permit   string `json:"permit"` // id of the decision
	DID      string `json:"did"`
	Audience string `json:"audience"`
	PEP      string `json:"pep"`
}

// OutcomeReported: this is what the resource says became of a permitted act.
type OutcomeReported struct {
	Permit      string            `json:"permit"` // id of the decision
	DID         string            `json:"did"`
	PEP         string            `json:"pep"`
	Outcome     string            `json:"outcome"`     // executed | failed | not_executed | compensated
	ReportHash  string            `json:"report_hash"` // SHA-256 of the compact outcome+jwt
	Commitments map[string]string `json:"commitments"` // report
}

// OutcomeMissed is the body of outcome.unknown: the resource has not said in time what
// became of a permitted act.
type OutcomeMissed struct {
	Permit   string `json:"permit"` // id of the decision
	DID      string `json:"did"`
	Audience string `json:"audience"`
}

// TimeFormat is how artifacts write a time: RFC 3339, UTC, milliseconds.
const TimeFormat = "2006-01-02T15:04:05.000Z"

// PEPCallbacksSet: what becomes of the enforcement point's requests for approval may be
// told at these origins, and at no other.
type PEPCallbacksSet struct {
	PEP     string   `json:"pep"`
	Origins []string `json:"origins"`
}
