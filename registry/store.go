package registry

import (
	"cmp"
	"context"
	"encoding/json"
	"time"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/registry/statuslist"
)

func compare(a, b string) int { return cmp.Compare(a, b) }

// Store is the port to the registry's truth. Package journal implements it.
//
// Commit runs the command in a transaction together with others and returns
// when it is durable: the state that Run changed, the events it drafted, their
// leaves and the log's head are one commit. Run may be called more than once
// and MUST have no effect but on tx. If Run fails, nothing of it is kept and
// its error is returned. ErrEpochMoved means that an authority epoch the basis
// names has moved: evaluate again. Any I/O error means that nobody in the
// batch was acknowledged.
//
// View runs f on one consistent snapshot of committed state.
//
// Moment is the newest committed moment that is known, and no older than what
// any answered Commit of this process left. It asks the database where it has
// not for longer than within: then others may have written.
type Store interface {
	Commit(ctx context.Context, cmd Command) (Commit, error)
	View(ctx context.Context, f func(Tx) error) error
	Moment(ctx context.Context, within time.Duration) (Moment, error)
}

// Moment is a state of the database.
type Moment struct {
	Clock time.Time // of the log's last event; never falls
	// Authority counts how often any epoch was moved, from 1. While it stands, so
	// does every agent, grant, catalogue, stop and epoch.
	Authority uint64
	Read      time.Time // by the monotonic clock: when this was the newest
}

// Command is one unit of work for Commit.
type Command struct {
	Urgent bool         // kill and revocation pass the queue
	Idem   *Idempotency // nil where the caller sent no key
	Basis  Basis
	Run    func(tx Tx) (Draft, error)
}

// Basis is the authority that a command rests on: epochs that are read again
// after the log's head is locked. A difference is ErrEpochMoved. Where
// Authority (Moment.Authority as the epochs were read) still stands, so do they.
type Basis struct {
	Epochs    []Epoch
	Authority uint64
}

// Draft is what a command wants recorded.
type Draft struct {
	Events []EventDraft
	Result any // kept with the idempotency key, as JSON
	// Sequenced, if set, runs in the transaction once the events have their
	// places; for rows that must name their own event.
	Sequenced func(tx Tx, refs []EventRef) error
}

// Commit is what became of a command.
type Commit struct {
	Events   []EventRef
	Replayed json.RawMessage // the first answer's Result, if the key was seen before
}

// Idempotency identifies a request that may be sent again.
type Idempotency struct {
	Scope  string // caller, method and path
	Key    string
	Digest string // of the request body
}

// ErrEpochMoved is returned by Commit when authority moved under a decision.
var ErrEpochMoved = Errorf(Conflict, "authority changed while the decision was made")

// Tx reads and writes aggregates inside a transaction. Getters return an error
// of kind NotFound where there is no row; inserts one of kind Conflict where a
// unique value is taken. Lists are in id order, after Page.After.
type Tx interface {
	OrgTx
	PrincipalTx
	SignInTx
	AgentTx
	InventoryTx
	GrantTx
	AuthorityTx
	StatusTx
	EvidenceTx
	TrustTx
	CertificateTx
	EnrolmentTx
	ApprovalTx
	PolicyTx
	EntityTx
	PermitTx
	BudgetTx
	TemplateTx
	CallbackTx
}

// OrgTx holds orgs, their enforcement points and catalogues.
type OrgTx interface {
	Org(id string) (Org, error)
	OrgByName(name string) (Org, error)
	ListOrgs(Page) ([]Org, error)
	InsertOrg(Org) error
	UpdateOrg(Org) error // with BumpEpoch of the org

	PEP(id string) (PEP, error)
	ListPEPs(org string, p Page) ([]PEP, error)
	InsertPEP(PEP) error
	UpdatePEP(PEP) error // with BumpEpoch of its org
	// PEPRoutes returns an enforcement point's table and its sealed credential, "" = none.
	PEPRoutes(pep string) (r PEPRoutes, secret string, err error)
	PutPEPRoutes(r PEPRoutes, secret string) error // with BumpEpoch of its org
	// ClaimResource makes a resource server the org's. Conflict: it is another's.
	ClaimResource(resource, org string) error

	Catalogue(org string) (Catalogue, error) // the zero catalogue where none was activated
	PutCatalogue(Catalogue) error            // with BumpEpoch of the org
}

// PrincipalTx holds humans and the credentials of every caller.
type PrincipalTx interface {
	Principal(id string) (Principal, error)
	ListPrincipals(org string, p Page) ([]Principal, error)
	InsertPrincipal(Principal) error
	UpdatePrincipal(Principal) error // with BumpEpoch of its org: its agents stand or fall with it
	// CountHolders counts the active humans of an org ("" = of all) who hold a role.
	CountHolders(org string, role Role) (int, error)

	Credential(hash [32]byte) (Credential, error)
	ListCredentials(owner Actor) ([]Credential, error)
	InsertCredential(Credential) error
	UpdateCredential(Credential) error // its end; with BumpEpoch of the owner's org
	DeleteCredential(id string) error  // with BumpEpoch of the owner's org
	BootstrapCredential() (Credential, error)
}

// SignInTx holds where people sign in, and who is signed in.
type SignInTx interface {
	Issuer(id string) (Issuer, error)
	ListIssuers(org string) ([]Issuer, error)
	PutIssuer(Issuer) error // Conflict: the URL is another's
	DeleteIssuer(id string) error

	// PrincipalByIdentity finds a human by org, URL of the issuer, and subject.
	PrincipalByIdentity(org, issuer, subject string) (Principal, error)

	Session(hash [32]byte) (Session, error)
	ListSessions(principal string) ([]Session, error) // oldest first
	InsertSession(hash [32]byte, s Session) error
	UpdateSession(Session) error
	DeleteSession(id string) error
	DeleteSessions(principal, issuer string) error // of the one or the other
}

// AgentFilter narrows a list of agents; empty fields match all.
type AgentFilter struct {
	Org    string
	Status AgentStatus
	Page
}

// AgentTx holds agents, their DIDs and DID logs.
type AgentTx interface {
	Agent(id string) (Agent, error)
	AgentByDID(did string) (Agent, error) // by any alias
	ListAgents(AgentFilter) ([]Agent, error)
	InsertAgent(a Agent, dids []string, entry string) error // Conflict: the key or a DID is taken
	UpdateAgent(Agent) error                                // with BumpEpoch of the agent
	CountChildren(parent string) (int, error)               // that are not revoked

	DIDLog(agent string) ([]string, error) // JSON Lines entries, oldest first
	CountDIDEntries(agent string) (int, error)
	// AppendDIDEntry adds the n-th entry of a DID log. With BumpEpoch of the agent,
	// which those who keep DID logs in memory go by. Conflict: there is one.
	AppendDIDEntry(agent string, n int, entry string) error

	AgentKeys(agent string) ([]AgentKey, error) // in order of N
	InsertAgentKey(AgentKey) error              // Conflict: the key is an agent's, or was
	UpdateAgentKey(AgentKey) error

	// Tend has the agent's DID log looked at from due on; the zero time: no more.
	Tend(agent string, due time.Time) error
	DueAgents(now time.Time, limit int) ([]string, error)
}

// GrantFilter narrows a list of grants; empty fields match all.
type GrantFilter struct {
	Org, Agent string
	Status     GrantStatus
	Page
}

// ActionGrants asks for the active grants of an org that cover an action in some way,
// in order of agent and id.
type ActionGrants struct {
	Org, Action string
	Agent       string    // "" = of any
	Now         time.Time // those that have ended by then are left out
	Page                  // After is a Place
}

// Place is where a grant stands among those of its action, for ActionGrants.
func (g Grant) Place() string { return GrantPlace(g.Agent, g.ID) }

// GrantPlace is the place of a grant by its agent and id. The id "~" is after all.
func GrantPlace(agent, id string) string { return agent + "/" + id }

// GrantTx holds grants.
type GrantTx interface {
	Grant(id string) (Grant, error)
	ListGrants(GrantFilter) ([]Grant, error)
	ListActionGrants(ActionGrants) ([]Grant, error)
	InsertGrant(Grant) error
	UpdateGrant(Grant) error // with BumpEpoch of the grant
	// RevokedLinks returns those of the hashes that name a revoked link under a grant.
	RevokedLinks(grant string, hashes []string) ([]string, error)
	CountRevokedLinks(grant string) (int, error)
	InsertRevokedLink(RevokedLink) error    // with BumpEpoch of the grant; Conflict: it is
	NextCounter(name string) (int64, error) // 0, 1, 2, ...
}

// AuthorityTx holds what stops authority.
type AuthorityTx interface {
	Kill(Scope) (Kill, error)
	ListKills(org string) ([]Kill, error) // of the org and global; all where org is ""
	PutKill(Kill) error
	DeleteKill(Scope) error
	Epoch(Scope) (uint64, error)
	// Moment is that of the snapshot, but for Read. Its clock never falls,
	// whatever the machine's clock does.
	Moment() (Moment, error)
	// Authority reads the epochs of the scopes, in their order, and the stops in
	// force among them.
	Authority([]Scope) ([]Epoch, []Kill, error)
	BumpEpoch(Scope) error
	Observed(now time.Time, limit int) ([]Observed, error) // whose Observation runs
}

// EventFilter narrows a list of events; empty fields match all. Page.After is
// a decimal index.
type EventFilter struct {
	Org, Agent, Type string
	Newest           bool // newest first, before Page.After
	Page
}

// StatusTx says of grants, by their places in the status lists, what became of
// them: Invalid where the grant, its agent or an ancestor is revoked, else Suspended
// where one of them is suspended or stopped, the org or everything is, the sponsor
// is not active, or the agent has no key that counts; else Valid. What time brings
// (a grant's end, a key's age) is not in it.
type StatusTx interface {
	// Moved lists the scopes whose epoch has moved since a count of authority
	// (Moment.Authority), in the order of their moves.
	Moved(since uint64, limit int) ([]Scope, error)
	LastPlace() (int64, error) // that was given to a grant; -1 before the first
	// StoppedGrants calls each for every grant that is not Valid. A place may come
	// more than once; Invalid outweighs Suspended.
	StoppedGrants(each func(place int64, s statuslist.Status)) error
	// GrantStatuses calls each for a grant, or for every grant of an agent and its
	// descendants, Valid ones too.
	GrantStatuses(s Scope, each func(place int64, s statuslist.Status)) error
}

// EvidenceTx holds events, consumed proofs and folded denials.
type EvidenceTx interface {
	EventByCID(cid string) (Event, error)
	ListEvents(EventFilter) ([]Event, error)
	Disclosures(cid string) ([]canon.Disclosure, error)

	// ConsumeProof records that a proof was used. Conflict: it was before.
	ConsumeProof(ProofUse) error
	ProofUse(thumbprint, jti string) (ProofUse, error)

	// Fold counts a denial; first is the answer of the first one, if any.
	Fold(key string) (first json.RawMessage, err error)
	InsertFold(key string, answer json.RawMessage, expires int64) error // unix milliseconds
}

// CertificateFilter narrows a list of an org's certificates; Owner is an agent or
// enforcement point, empty for all.
type CertificateFilter struct {
	Org, Owner string
	Page
}

// CertificateTx holds X.509 certificates, those that have ended too.
type CertificateTx interface {
	Certificate(digest string) (Certificate, error)
	ListCertificates(CertificateFilter) ([]Certificate, error)
	InsertCertificate(Certificate) error
	UpdateCertificate(Certificate) error
}

// EnrolmentTx holds what the IAM of orgs is believed about, and which workload is
// which agent.
type EnrolmentTx interface {
	EnterpriseRoot(digest string) (EnterpriseRoot, error)
	ListEnterpriseRoots(org string, p Page) ([]EnterpriseRoot, error) // in order of digest
	InsertEnterpriseRoot(EnterpriseRoot) error                        // Conflict: it is an org's
	DeleteEnterpriseRoot(digest string) error

	WorkloadIssuer(id string) (WorkloadIssuer, error)
	ListWorkloadIssuers(org string, p Page) ([]WorkloadIssuer, error)
	InsertWorkloadIssuer(WorkloadIssuer) error // Conflict: its name is an org's
	DeleteWorkloadIssuer(id string) error

	Enrolment(org, issuer, subject string) (Enrolment, error)
	InsertEnrolment(Enrolment) error // Conflict: the workload or the agent has one
	// SpendToken records that a token was used. Conflict: it was before.
	SpendToken(digest string, expires, now time.Time) error
}

// PermitFilter narrows a list of permits; empty fields match all.
type PermitFilter struct {
	Org, Agent string
	State      PermitState
	Page
}

// PermitTx holds the permits of qualified decisions, and what became of them.
type PermitTx interface {
	Permit(id string) (Permit, error)
	ListPermits(PermitFilter) ([]Permit, error)
	InsertPermit(Permit) error
	UpdatePermit(Permit) error
	DuePermits(now time.Time, limit int) ([]Permit, error) // whose Due has come, the oldest first
	// UndoablePermits returns those whose Undoable is after now, of an agent or of its
	// descendants, too.
	UndoablePermits(agent string, descendants bool, now time.Time, p Page) ([]Permit, error)
}

// BudgetTx holds what permits have taken of budgets, window by window, and how many an
// agent had.
type BudgetTx interface {
	Reserved(Window) (Amount, error) // 0 where nothing was taken
	// Reserve takes of a budget with this limit, in the transaction of the permit. The
	// window is remembered until forget at least. Conflict: not so much is left.
	Reserve(r Reservation, limit Amount, forget time.Time) error
	Refund(Reservation) error // nothing where the window is forgotten
	// ListReserved lists the windows of links under a grant that now is in; Page.After is
	// Window.Place.
	ListReserved(grant string, now time.Time, p Page) ([]Reservation, error)

	Counts(agent, action string, now time.Time) (Counts, error)
	CountAct(agent, action string, now time.Time) error // one more
}

// ProofUse is the consumption of an action proof.
type ProofUse struct {
	Thumbprint, JTI string
	Caller          string          // who presented it
	Digest          string          // of the request it came in
	Answer          json.RawMessage // what was answered
	Expires         int64           // unix milliseconds; forgotten after
}

// PolicyTx holds the versions of an org's Cedar policies.
type PolicyTx interface {
	PolicySet(org string, version int64) (PolicySet, error) // without Text
	PolicyText(org string, version int64) (string, error)
	ListPolicySets(org string, p Page) ([]PolicySet, error) // newest first; Page.After is a version
	InsertPolicySet(PolicySet) error

	ActivePolicies(org string) (ActivePolicies, error)    // the zero value where none were activated
	PutActivePolicies(org string, a ActivePolicies) error // with BumpEpoch of the org
}

// EntityTx holds what an org knows of its users, groups and resources.
type EntityTx interface {
	Entity(org, typ, id string) (Entity, error)
	ListEntities(org, typ string, p Page) ([]Entity, error) // typ "" = all, in order of type and id; Page.After is Entity.Place
	EntityTypes(org string, limit int) ([]string, error)    // those there are any of
	PutEntity(org string, e Entity) error                   // with BumpEpoch of the org
	DeleteEntity(org, typ, id string) error                 // with BumpEpoch of the org
}

// TemplateTx holds the grant templates of orgs.
type TemplateTx interface {
	GrantTemplate(org, name string) (GrantTemplate, error)
	ListGrantTemplates(org string, p Page) ([]GrantTemplate, error) // in order of name, which Page.After is
	PutGrantTemplate(org string, t GrantTemplate) error
	DeleteGrantTemplate(org, name string) error
}
