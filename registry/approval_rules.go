package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/writ-registry/writ/internal/canon"
)

// ApprovalRule says who must approve an act that needs it. The first rule of an org
// that matches holds; where none does, DefaultApproval.
type ApprovalRule struct {
	// What it is for; empty members match all.
	Action        string        `json:"action,omitempty"` // verb:type; * for any verb or any type
	Domain        string        `json:"domain,omitempty"` // of the catalogue's entry
	Reversibility Reversibility `json:"reversibility,omitempty"`

	Quorum         int      `json:"quorum"`                    // distinct humans, 1 to MaxQuorum
	Role           Role     `json:"role"`                      // that each of them holds by an act inside the registry
	Orgs           []string `json:"orgs,omitempty"`            // whose humans may, beside the agent's own org
	ReasonRequired bool     `json:"reason_required,omitempty"` // with an answer
	Lifetime       int64    `json:"lifetime"`                  // how long an approval is good, in seconds
}

// Limits of approval rules.
const (
	MaxQuorum           = 10
	MaxApprovalRules    = 64
	MaxApprovalLifetime = 24 * time.Hour
)

// DefaultApproval is the rule where an org has none: one human with role approver.
var DefaultApproval = ApprovalRule{Quorum: 1, Role: RoleApprover, Lifetime: 900}

// ApprovalRules are an org's. A change needs two humans: one proposes, another activates.
type ApprovalRules struct {
	Rules    []ApprovalRule `json:"rules,omitempty"`
	Proposed *ProposedRules `json:"proposed,omitempty"`
}

// ProposedRules wait for another human.
type ProposedRules struct {
	Rules  []ApprovalRule `json:"rules"`
	Digest string         `json:"digest"` // of the JCS form of Rules
	By     string         `json:"by"`     // principal
	At     time.Time      `json:"at"`
}

// For is the rule for an action of the org's catalogue.
func (r ApprovalRules) For(e CatalogueAction) ApprovalRule {
	for _, rule := range r.Rules {
		if rule.matches(e) {
			return rule
		}
	}
	return DefaultApproval
}

func (r ApprovalRule) matches(e CatalogueAction) bool {
	verb, kind, _ := strings.Cut(r.Action, ":")
	haveVerb, haveKind, _ := strings.Cut(e.Action, ":")
	fits := func(want, have string) bool { return want == "" || want == "*" || want == have }
	return fits(verb, haveVerb) && fits(kind, haveKind) && fits(r.Domain, e.Domain) && fits(string(r.Reversibility), string(e.Reversibility))
}

// Digest names the rule: what was asked for by another is not approved by it.
func (r ApprovalRule) Digest() string {
	form, err := canon.Marshal(r)
	if err != nil {
		panic(err) // plain members
	}
	return canon.Digest(form)
}

func (r ApprovalRule) check(at string) error {
	if verb, kind, ok := strings.Cut(r.Action, ":"); r.Action != "" && (!ok || verb == "" || kind == "" || len(r.Action) > 2*maxName) {
		return Invalid(at+"/action", "must be verb:type, with * for any")
	}
	if !slices.Contains([]Reversibility{"", Reversible, Compensable, Irreversible}, r.Reversibility) {
		return Invalid(at+"/reversibility", "must be reversible, compensable or irreversible")
	}
	if r.Domain != "" {
		if err := checkWord(at+"/domain", r.Domain); err != nil {
			return err
		}
	}
	if r.Quorum < 1 || r.Quorum > MaxQuorum {
		return Invalid(at+"/quorum", "must be 1 to %d", MaxQuorum)
	}
	if !slices.Contains(Roles, r.Role) {
		return Invalid(at+"/role", "must be one of %s", join(Roles))
	}
	if r.Lifetime < 1 || r.Lifetime > int64(MaxApprovalLifetime/time.Second) {
		return Invalid(at+"/lifetime", "must be 1 to %d seconds", int64(MaxApprovalLifetime/time.Second))
	}
	for i, org := range r.Orgs {
		if err := checkID(fmt.Sprintf("%s/orgs/%d", at, i), org); err != nil {
			return err
		}
		if slices.Contains(r.Orgs[:i], org) {
			return Invalid(fmt.Sprintf("%s/orgs/%d", at, i), "is named twice")
		}
	}
	return nil
}

// ProposeApprovalRules asks for an org's rules to be these. A policy author or owner
// may; nothing changes before another human activates them.
func (r *Registry) ProposeApprovalRules(ctx context.Context, call Call, orgRef string, rules []ApprovalRule) (Outcome[ApprovalRules], error) {
	if len(rules) > MaxApprovalRules {
		return Outcome[ApprovalRules]{}, &Error{Kind: TooLarge, Field: "/rules", Detail: fmt.Sprintf("more than %d rules", MaxApprovalRules)}
	}
	for i, rule := range rules {
		if err := rule.check(fmt.Sprintf("/rules/%d", i)); err != nil {
			return Outcome[ApprovalRules]{}, err
		}
	}
	form, err := canon.Marshal(nonNil(rules))
	if err != nil {
		return Outcome[ApprovalRules]{}, err
	}
	p := &ProposedRules{nonNil(rules), canon.Digest(form), call.Caller.ID, r.now()}
	return commit(ctx, r, call, false, func(tx Tx) (ApprovalRules, *EventDraft, error) {
		org, err := rulesOrg(tx, call.Caller, orgRef)
		if err != nil {
			return ApprovalRules{}, nil, err
		}
		for i, rule := range p.Rules {
			for j, other := range rule.Orgs {
				if _, err := tx.Org(other); errors.Is(err, NotFound) {
					return ApprovalRules{}, nil, Invalid(fmt.Sprintf("/rules/%d/orgs/%d", i, j), "there is no such org")
				} else if err != nil {
					return ApprovalRules{}, nil, err
				}
			}
		}
		org.Approvals.Proposed = p
		return org.Approvals, &EventDraft{Type: EventRulesProposed, Org: org.ID, Body: ApprovalRulesChanged{p.Digest, len(p.Rules), p.By}},
			errors.Join(tx.UpdateOrg(org), tx.BumpEpoch(Scope{ScopeOrg, org.ID}))
	})
}

// ActivateApprovalRules makes the proposed rules of this digest the org's. Another
// policy author or owner than who proposed them may. What was asked for by other rules
// must be asked for again.
func (r *Registry) ActivateApprovalRules(ctx context.Context, call Call, orgRef, digest string) (Outcome[ApprovalRules], error) {
	return commit(ctx, r, call, false, func(tx Tx) (ApprovalRules, *EventDraft, error) {
		org, err := rulesOrg(tx, call.Caller, orgRef)
		if err != nil {
			return ApprovalRules{}, nil, err
		}
		p := org.Approvals.Proposed
		switch {
		case p == nil || p.Digest != digest:
			return org.Approvals, nil, &Error{Kind: Conflict, Code: "rules_changed", Field: "/digest", Detail: "these are not the rules that are proposed now"}
		case p.By == call.Caller.ID:
			return org.Approvals, nil, notAlone("another human activates what one has proposed")
		}
		org.Approvals = ApprovalRules{Rules: p.Rules}
		return org.Approvals, &EventDraft{Type: EventRulesActivated, Org: org.ID, Body: ApprovalRulesChanged{p.Digest, len(p.Rules), p.By}},
			errors.Join(tx.UpdateOrg(org), tx.BumpEpoch(Scope{ScopeOrg, org.ID}))
	})
}

func rulesOrg(tx Tx, c Caller, ref string) (Org, error) {
	org, err := findOrg(tx, c, ref)
	if err == nil {
		err = c.may(org.ID, RolePolicyAuthor)
	}
	return org, err
}
