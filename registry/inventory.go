package registry

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/writ-registry/writ/registry/capability"
)

// AgentQuery searches the agents of an org; empty fields match all. Page.After is
// the Place of the last item of the page before.
type AgentQuery struct {
	Org        string
	Status     AgentStatus
	Sponsor    string // principal id
	Domain     string // approved for it by name: an agent that is approved for any is not meant
	Workflow   string // likewise
	Capability string // verb:type that an active, unexpired grant covers, with whatever constraints
	NamePrefix string
	Parent     string // agent id
	Thumbprint string // of its key now

	KeyBefore     time.Time // its key is from before then
	ActedSince    time.Time // it was seen to act then or later
	ActedBefore   time.Time // it was not seen to act since; nor, perhaps, ever
	UnusedSince   time.Time // it holds an active grant that was issued before then and not seen in use since
	CreatedBefore time.Time
	Standing      bool // not revoked
	SponsorGone   bool // who answers for it is suspended or has left, so it may do nothing

	Now time.Time // for what expires
	Page
}

// AgentOrder is what a search is read along, and so the order of its list.
type AgentOrder string

// The orders, the narrowest first. All but the four that say otherwise are in id
// order: that of registration.
const (
	ByThumbprint AgentOrder = "thumbprint"
	ByParent     AgentOrder = "parent"
	ByCapability AgentOrder = "capability"
	ByName       AgentOrder = "name" // by name
	BySponsor    AgentOrder = "sponsor"
	ByWorkflow   AgentOrder = "workflow"
	ByDomain     AgentOrder = "domain"
	ByUnused     AgentOrder = "unused"   // longest unused grant first
	ByKeyAge     AgentOrder = "key"      // oldest key first
	ByLastAct    AgentOrder = "last_act" // longest idle first
	ByStatus     AgentOrder = "status"
	ByID         AgentOrder = "id"
)

// By is the filter that the search is read along. The others are asked of each
// agent that it yields.
func (q AgentQuery) By() AgentOrder {
	switch {
	case q.Thumbprint != "":
		return ByThumbprint
	case q.Parent != "":
		return ByParent
	case q.Capability != "":
		return ByCapability
	case q.NamePrefix != "":
		return ByName
	case q.Sponsor != "":
		return BySponsor
	case q.Workflow != "":
		return ByWorkflow
	case q.Domain != "":
		return ByDomain
	case !q.UnusedSince.IsZero():
		return ByUnused
	case !q.KeyBefore.IsZero():
		return ByKeyAge
	case !q.ActedSince.IsZero() || !q.ActedBefore.IsZero():
		return ByLastAct
	case q.Status != "":
		return ByStatus
	}
	return ByID
}

// InventoryItem is an agent as a search finds it.
type InventoryItem struct {
	Agent
	// LastAct is when the log last saw it act; zero: never. Permits without an event
	// are not seen.
	LastAct time.Time `json:"last_act,omitzero"`
	Place   string    `json:"-"` // in the order of the search
}

// InventoryTx searches agents, and holds who vouches for them.
type InventoryTx interface {
	SearchAgents(AgentQuery) ([]InventoryItem, error)
	CountAgents(AgentQuery) (int, error) // Page does not matter

	ListUnregistered(org string, p Page) ([]Unregistered, error) // Page.After is a Place

	Voucher(id string) (Voucher, error)
	VoucherByKey(org, thumbprint string) (Voucher, error)
	ListVouchers(org string, p Page) ([]Voucher, error)
	InsertVoucher(Voucher) error // Conflict: the key is a voucher of the org, or was
	UpdateVoucher(Voucher) error
}

func (q AgentQuery) check() error {
	if q.Status != "" && !slices.Contains([]AgentStatus{AgentRequested, AgentActive, AgentSuspended, AgentRevoked}, q.Status) {
		return Invalid("/status", "must be requested, active, suspended or revoked")
	}
	for field, word := range map[string]string{"/domain": q.Domain, "/workflow": q.Workflow, "/name": q.NamePrefix} {
		if word != "" {
			if err := checkWord(field, word); err != nil {
				return err
			}
		}
	}
	if q.Sponsor != "" {
		if err := checkID("/sponsor", q.Sponsor); err != nil {
			return err
		}
	}
	if q.Capability != "" {
		return checkAction("/capability", q.Capability)
	}
	return nil
}

// SearchAgents lists the agents of an org that all filters of the query match.
// q.Parent may be a DID.
func (r *Registry) SearchAgents(ctx context.Context, c Caller, orgRef string, q AgentQuery) ([]InventoryItem, error) {
	if err := q.check(); err != nil {
		return nil, err
	}
	if c.Agent != nil {
		if q.Parent != "" && !c.Agent.named(q.Parent) {
			return nil, Errorf(Denied, "an agent lists its own children only")
		}
		q.Parent = c.ID
	}
	return listFor(ctx, r, c, orgRef, q.Page, func(tx Tx, org string, p Page) ([]InventoryItem, error) {
		if err := q.in(tx, org, r.now()); err != nil {
			return nil, err
		}
		q.Page = p
		return tx.SearchAgents(q)
	})
}

// in completes a query within an org.
func (q *AgentQuery) in(tx Tx, org string, now time.Time) error {
	q.Org, q.Now = org, now
	if q.Parent == "" {
		return nil
	}
	parent, err := findAgent(tx, q.Parent)
	if err == nil && parent.Org != org {
		err = Errorf(NotFound, "no such agent")
	}
	q.Parent = parent.ID
	return at("/parent", err)
}

// Actions are the verb:type pairs that the grant covers in some way.
func (g Grant) Actions() []string {
	set, err := capability.Parse(g.Capabilities)
	if err != nil {
		return nil // what covers nothing has none
	}
	taken := map[string]bool{}
	for _, c := range set.All() {
		if c.None {
			taken[c.Verb] = true
		}
	}
	var out []string
	for _, action := range strings.Fields(set.Scope()) {
		if verb, _, _ := strings.Cut(action, ":"); !taken[verb] {
			out = append(out, action)
		}
	}
	return out
}
