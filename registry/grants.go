package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/registry/capability"
)

// Lifetimes of grants.
const (
	DefaultGrantLife = 24 * time.Hour
	MaxGrantLife     = 366 * 24 * time.Hour
)

// NewGrant is the input of IssueGrant.
type NewGrant struct {
	Agent          string   // id or DID
	Capabilities   string   // "read:invoices; execute:none"
	Budgets        []string // "sum(pay:invoice, amount) <= 10000 per 24h", up to capability.MaxBudgets
	Audience       []string // resource server ids; none = the registry's origin
	Domain         string
	Workflow       string
	AuthorityLevel *int      // nil = the agent's
	Delegation     int       // how many links may follow in a chain, 0 to capability.MaxDepth
	NotBefore      time.Time // zero = now
	Expires        time.Time // zero = 24 hours after NotBefore
}

// IssueGrant gives an active agent capabilities, within what it is approved
// for, and returns the grant with its token.
func (r *Registry) IssueGrant(ctx context.Context, call Call, in NewGrant) (Outcome[Grant], error) {
	n, err := r.readGrant(in)
	if err != nil {
		return Outcome[Grant]{}, err
	}
	return commit(ctx, r, call, false, func(tx Tx) (Grant, *EventDraft, error) {
		a, err := findAgent(tx, in.Agent)
		if err != nil {
			return n.grant, nil, err
		}
		if err := call.Caller.may(a.Org, RoleRegistrar); err != nil {
			return n.grant, nil, hide(err, "agent")
		}
		return r.issue(tx, a, *n)
	})
}

// grantee is a grant that has been looked at as far as that needs no transaction.
type grantee struct {
	grant Grant
	caps  capability.Set
	level *int
}

// readGrant validates a grant.
func (r *Registry) readGrant(in NewGrant) (*grantee, error) {
	caps, err := capability.Parse(in.Capabilities)
	if err != nil {
		return nil, &Error{Kind: Malformed, Field: "/capabilities", Detail: err.Error(), Err: err}
	}
	budgets, err := capability.ParseBudgets(in.Budgets)
	if err != nil {
		var e *capability.BudgetError
		field := "/budgets"
		if errors.As(err, &e) {
			field = fmt.Sprintf("/budgets/%d", e.Index)
			err = e.Err
		}
		return nil, &Error{Kind: Malformed, Field: field, Detail: err.Error(), Err: err}
	}
	g, err := r.newGrant(in)
	g.Capabilities, g.Budgets = caps.String(), budgets.Texts()
	return &grantee{g, caps, in.AuthorityLevel}, err
}

// issue writes a grant to an agent that may have it, and drafts its event.
func (r *Registry) issue(tx Tx, a Agent, n grantee) (Grant, *EventDraft, error) {
	g := n.grant
	if err := r.stands(tx, a); err != nil {
		return g, nil, err
	}
	if err := g.fit(a, n.level); err != nil {
		return g, nil, err
	}
	var err error
	if g.StatusIndex, err = tx.NextCounter(PlaceCounter); err != nil {
		return g, nil, err
	}
	epoch, err := tx.Epoch(Scope{ScopeOrg, a.Org})
	if err != nil {
		return g, nil, err
	}
	if err := r.signGrant(&g, a, n.caps, epoch); err != nil {
		return g, nil, err
	}
	body := GrantIssued{
		Grant: g.ID, DID: a.DID, TokenHash: g.TokenHash, Capabilities: canon.Digest([]byte(g.Capabilities)),
		Audience: g.Audience, Domain: g.Domain, Workflow: g.Workflow, AuthorityLevel: g.AuthorityLevel,
		NotBefore: g.NotBefore.Format(TimeFormat), Expires: g.Expires.Format(TimeFormat),
	}
	if len(g.Budgets) > 0 {
		form, err := canon.Marshal(g.Budgets)
		if err != nil {
			return g, nil, err
		}
		body.Budgets = canon.Digest(form)
	}
	return g, &EventDraft{Type: EventGrantIssued, Org: g.Org, Agent: g.Agent, Body: body}, tx.InsertGrant(g)
}

func (r *Registry) newGrant(in NewGrant) (Grant, error) {
	g := Grant{
		ID: NewID(), Audience: in.Audience, Domain: in.Domain, Workflow: in.Workflow, Delegation: in.Delegation,
		NotBefore: in.NotBefore.UTC().Truncate(time.Second), Expires: in.Expires.UTC().Truncate(time.Second), Status: GrantActive, Created: r.now(),
	}
	if len(g.Audience) == 0 {
		g.Audience = []string{r.Origin}
	}
	if err := checkResources("/audience", g.Audience); err != nil {
		return g, err
	}
	if in.NotBefore.IsZero() {
		g.NotBefore = g.Created.Truncate(time.Second)
	}
	if in.Expires.IsZero() {
		g.Expires = g.NotBefore.Add(DefaultGrantLife)
	}
	if life := g.Expires.Sub(g.NotBefore); life <= 0 || life > MaxGrantLife {
		return g, Invalid("/expires", "must be after not_before, by 366 days at most")
	}
	if !g.Expires.After(g.Created) {
		return g, Invalid("/expires", "is in the past")
	}
	for field, s := range map[string]string{"/domain": g.Domain, "/workflow": g.Workflow} {
		if s != "" {
			if err := checkWord(field, s); err != nil {
				return g, err
			}
		}
	}
	if g.Delegation < 0 || g.Delegation > capability.MaxDepth {
		return g, Invalid("/delegation", "must be 0 to %d", capability.MaxDepth)
	}
	if in.AuthorityLevel != nil {
		return g, checkLevel("/authority_level", *in.AuthorityLevel)
	}
	return g, nil
}

// fit refuses a grant that is wider than what the agent is approved for.
func (g *Grant) fit(a Agent, level *int) error {
	g.Org, g.Agent, g.AuthorityLevel = a.Org, a.ID, a.AuthorityLevel
	if level != nil {
		g.AuthorityLevel = *level
	}
	switch {
	case g.AuthorityLevel > a.AuthorityLevel:
		return Invalid("/authority_level", "is above the agent's, which is %d", a.AuthorityLevel)
	case g.Domain != "" && len(a.Domains) > 0 && !slices.Contains(a.Domains, g.Domain):
		return Invalid("/domain", "the agent is not approved for it")
	case g.Workflow != "" && len(a.Workflows) > 0 && !slices.Contains(a.Workflows, g.Workflow):
		return Invalid("/workflow", "the agent is not approved for it")
	}
	return nil
}

func (r *Registry) signGrant(g *Grant, a Agent, caps capability.Set, epoch uint64) error {
	budgets, err := capability.ParseBudgets(g.Budgets)
	if err != nil {
		return fmt.Errorf("budgets of grant %s: %w", g.ID, err)
	}
	list, index := listOf(g.StatusIndex)
	token, err := capability.IssueGrant(r.TokenKey, r.TokenKeyID(), capability.GrantClaims{
		Issuer: r.DID, Audience: g.Audience, Subject: a.DID, ClientID: a.ID,
		IssuedAt: g.Created.Unix(), NotBefore: g.NotBefore.Unix(), Expires: g.Expires.Unix(), ID: g.ID,
		Confirmation: capability.Confirmation{JWK: a.JWK}, Capabilities: caps, Budgets: budgets,
		Status:   &capability.Status{List: capability.StatusList{Index: int64(index), URI: r.StatusListURI(list)}},
		MaxDepth: g.Delegation, Actor: capability.Actor{Subject: a.Sponsor}, PolicyEpoch: int64(epoch),
		Org: g.Org, Domain: g.Domain, Workflow: g.Workflow, AuthorityLevel: g.AuthorityLevel,
	})
	if err != nil {
		return fmt.Errorf("sign grant token: %w", err)
	}
	g.Token, g.TokenHash = token, canon.Digest([]byte(token))
	return nil
}

// RevokeGrant ends a grant for good. Repeating it changes nothing.
func (r *Registry) RevokeGrant(ctx context.Context, call Call, id, reason string) (Outcome[Grant], error) {
	if err := first(checkID("/id", id), checkReason(reason)); err != nil {
		return Outcome[Grant]{}, err
	}
	return commit(ctx, r, call, true, func(tx Tx) (Grant, *EventDraft, error) {
		g, err := tx.Grant(id)
		if err != nil {
			return g, nil, err
		}
		if err := call.Caller.may(g.Org, RoleRegistrar); err != nil {
			return Grant{}, nil, hide(err, "grant")
		}
		if g.Status == GrantRevoked {
			return g, nil, nil
		}
		a, err := tx.Agent(g.Agent)
		if err != nil {
			return g, nil, err
		}
		g.Status = GrantRevoked
		return g, &EventDraft{Type: EventGrantRevoked, Org: g.Org, Agent: g.Agent, Body: GrantEnded{g.ID, a.DID, reason}},
			errors.Join(tx.UpdateGrant(g), tx.BumpEpoch(Scope{ScopeGrant, g.ID}))
	})
}

// FindGrant returns a grant.
func (r *Registry) FindGrant(ctx context.Context, c Caller, id string) (Grant, error) {
	if err := checkID("/id", id); err != nil {
		return Grant{}, err
	}
	var g Grant
	err := r.Store.View(ctx, func(tx Tx) (err error) { g, err = grantFor(tx, c, id); return err })
	return g, err
}

// grantFor returns a grant to who may read it.
func grantFor(tx Tx, c Caller, id string) (Grant, error) {
	g, err := tx.Grant(id)
	if err == nil {
		if err = c.sees(g.Org); c.is(g.Agent) {
			err = nil
		}
		err = hide(err, "grant")
	}
	if err != nil {
		return Grant{}, err
	}
	return g, nil
}

// ListGrants lists the grants of an org, or of one of its agents (id or DID).
func (r *Registry) ListGrants(ctx context.Context, c Caller, orgRef, agentRef string, status GrantStatus, p Page) ([]Grant, error) {
	if status != "" && status != GrantActive && status != GrantRevoked {
		return nil, Invalid("/status", "must be active or revoked")
	}
	if c.Agent != nil {
		if agentRef == "" {
			agentRef = c.ID
		}
		if _, err := r.FindAgent(ctx, c, agentRef); err != nil {
			return nil, err
		}
	}
	return listFor(ctx, r, c, orgRef, p, func(tx Tx, org string, p Page) ([]Grant, error) {
		f := GrantFilter{Org: org, Status: status, Page: p}
		if agentRef != "" {
			a, err := findAgent(tx, agentRef)
			if err == nil && a.Org != org {
				err = Errorf(NotFound, "no such agent")
			}
			if err != nil {
				return nil, err
			}
			f.Agent = a.ID
		}
		return tx.ListGrants(f)
	})
}
