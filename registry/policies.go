package registry

import (
	"context"
	"errors"
	"time"

	"github.com/writ-registry/writ/registry/cedar"
)

// PolicySet is a version of an org's Cedar policies. A version never changes; it
// says something only while it is the active one.
type PolicySet struct {
	Org      string    `json:"org"`
	Version  int64     `json:"version"` // 1, 2, ... in the org
	Digest   string    `json:"digest"`  // cedar.Set.Digest
	Policies int       `json:"policies"`
	Author   string    `json:"author"` // principal id
	Created  time.Time `json:"created"`
	Active   bool      `json:"active"`
	Text     string    `json:"text,omitempty"` // where one version is asked for
}

// ActivePolicies says which version of an org's policies holds.
type ActivePolicies struct {
	Version int64     `json:"version"` // 0 = none
	Digest  string    `json:"digest"`
	By      string    `json:"by"` // principal id
	Since   time.Time `json:"since"`
}

// DraftPolicies validates a text of Cedar policies against what the org knows and
// keeps it as a new version, which says nothing yet. What is wrong with the text
// is cedar.Faults. An empty text is a set, too: to activate it ends the others.
func (r *Registry) DraftPolicies(ctx context.Context, call Call, orgRef, text string) (Outcome[PolicySet], error) {
	var none Outcome[PolicySet]
	set, _, err := r.ValidatePolicies(ctx, call.Caller, orgRef, text)
	if err != nil {
		return none, err
	}
	return commit(ctx, r, call, false, func(tx Tx) (PolicySet, *EventDraft, error) {
		s := PolicySet{Digest: set.Digest(), Policies: set.Len(), Author: call.Caller.ID, Created: r.now(), Text: text}
		org, err := authoredOrg(tx, call.Caller, orgRef)
		if err != nil {
			return s, nil, err
		}
		n, err := tx.NextCounter("policies:" + org.ID)
		if err != nil {
			return s, nil, err
		}
		s.Org, s.Version = org.ID, n+1
		err = tx.InsertPolicySet(s)
		s.Text = ""
		return s, nil, err
	})
}

// ValidatePolicies compiles a text against the catalogue and the types of entities
// that the org has now, and returns the digest of that catalogue as well. What is
// wrong with it is cedar.Faults. Its policy authors may.
func (r *Registry) ValidatePolicies(ctx context.Context, c Caller, orgRef, text string) (*cedar.Set, string, error) {
	var schema cedar.Schema
	var catalogue Catalogue
	err := r.Store.View(ctx, func(tx Tx) error {
		org, err := authoredOrg(tx, c, orgRef)
		if err != nil {
			return err
		}
		if catalogue, err = tx.Catalogue(org.ID); err != nil {
			return err
		}
		schema.Types, err = tx.EntityTypes(org.ID, maxEntityTypes)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	for _, a := range catalogue.Actions {
		schema.Actions = append(schema.Actions, a.Action)
	}
	set, err := cedar.Compile(text, schema)
	return set, catalogue.Digest, err
}

func authoredOrg(tx Tx, c Caller, ref string) (Org, error) {
	org, err := findOrg(tx, c, ref)
	if err == nil {
		err = c.may(org.ID, RolePolicyAuthor)
	}
	return org, err
}

// ActivatePolicies makes a version the one that holds, after it was validated once
// more. Where the org separates duties, another than its author must. Decisions in
// flight are made again.
func (r *Registry) ActivatePolicies(ctx context.Context, call Call, orgRef string, version int64) (Outcome[PolicySet], error) {
	var none Outcome[PolicySet]
	draft, err := r.DraftedPolicies(ctx, call.Caller, orgRef, version)
	if err != nil {
		return none, err
	}
	_, validated, err := r.ValidatePolicies(ctx, call.Caller, draft.Org, draft.Text)
	if err != nil {
		return none, err
	}
	return commit(ctx, r, call, false, func(tx Tx) (PolicySet, *EventDraft, error) {
		org, err := authoredOrg(tx, call.Caller, draft.Org)
		if err != nil {
			return draft, nil, err
		}
		s, err := tx.PolicySet(org.ID, version)
		if err != nil {
			return s, nil, err
		}
		s.Active = true
		if org.Policy.SeparateDuties && s.Author == call.Caller.ID {
			return s, nil, &Error{Kind: Denied, Code: "separate_duties", Detail: "the org wants another than their author to activate policies"}
		}
		was, err := tx.ActivePolicies(org.ID)
		if err != nil || was.Version == version {
			return s, nil, err
		}
		catalogue, err := tx.Catalogue(org.ID)
		if err == nil && catalogue.Digest != validated {
			err = Errorf(Conflict, "the catalogue changed while the policies were validated; try again")
		}
		if err != nil {
			return s, nil, err
		}
		now := ActivePolicies{Version: version, Digest: s.Digest, By: call.Caller.ID, Since: r.now()}
		return s, &EventDraft{Type: EventPoliciesActivated, Org: org.ID, Body: PoliciesActivated{version, s.Digest, s.Policies, was.Digest}},
			errors.Join(tx.PutActivePolicies(org.ID, now), tx.BumpEpoch(Scope{ScopeOrg, org.ID}))
	})
}

// DraftedPolicies returns a version with its text, to the org's policy authors.
func (r *Registry) DraftedPolicies(ctx context.Context, c Caller, orgRef string, version int64) (PolicySet, error) {
	return r.policies(ctx, c, orgRef, version, RolePolicyAuthor)
}

// FindPolicies returns a version with its text; 0 is the active one.
func (r *Registry) FindPolicies(ctx context.Context, c Caller, orgRef string, version int64) (PolicySet, error) {
	return r.policies(ctx, c, orgRef, version, Roles...)
}

func (r *Registry) policies(ctx context.Context, c Caller, orgRef string, version int64, roles ...Role) (s PolicySet, err error) {
	err = r.Store.View(ctx, func(tx Tx) error {
		org, err := findOrg(tx, c, orgRef)
		if err == nil {
			err = c.may(org.ID, roles...)
		}
		if err != nil {
			return err
		}
		active, err := tx.ActivePolicies(org.ID)
		if err != nil {
			return err
		}
		if version == 0 {
			version = active.Version
		}
		if s, err = tx.PolicySet(org.ID, version); err != nil {
			return err
		}
		s.Active = s.Version == active.Version
		s.Text, err = tx.PolicyText(org.ID, version)
		return err
	})
	return s, err
}

// ListPolicies lists the versions of an org's policies, newest first, without their
// texts.
func (r *Registry) ListPolicies(ctx context.Context, c Caller, orgRef string, p Page) ([]PolicySet, error) {
	return listIn(ctx, r, c, orgRef, p, func(tx Tx, org string, p Page) ([]PolicySet, error) {
		list, err := tx.ListPolicySets(org, p)
		if err != nil {
			return nil, err
		}
		active, err := tx.ActivePolicies(org)
		for i := range list {
			list[i].Active = list[i].Version == active.Version
		}
		return list, err
	})
}
