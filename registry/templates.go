package registry

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/registry/capability"
)

// GrantTemplate is a grant without its agent and its moment, by a name of the org's.
// It gives no authority: a registrar issues grants from it, each by a call of its own,
// and what it says later changes none of them. An empty member is left to who issues.
type GrantTemplate struct {
	Name           string    `json:"name"` // 1 to 64 of [a-z0-9._-], unique in the org
	Description    string    `json:"description,omitempty"`
	Capabilities   string    `json:"capabilities"`      // canonical text form
	Budgets        []string  `json:"budgets,omitempty"` // canonical text form
	Audience       []string  `json:"audience,omitempty"`
	Domain         string    `json:"domain,omitempty"`
	Workflow       string    `json:"workflow,omitempty"`
	AuthorityLevel *int      `json:"authority_level,omitempty"`
	Delegation     int       `json:"delegation,omitempty"`
	Lifetime       int64     `json:"lifetime,omitempty"` // seconds from not_before to expires
	Updated        time.Time `json:"updated,omitzero"`
}

// PutGrantTemplate makes a template anew. The org's policy authors and registrars
// may. No decision rests on one, so none is made again.
func (r *Registry) PutGrantTemplate(ctx context.Context, call Call, orgRef string, t GrantTemplate) (Outcome[GrantTemplate], error) {
	var none Outcome[GrantTemplate]
	if err := t.check(); err != nil {
		return none, err
	}
	t.Updated = r.now()
	return commit(ctx, r, call, false, func(tx Tx) (GrantTemplate, *EventDraft, error) {
		org, err := entityOrg(tx, call.Caller, orgRef)
		if err != nil {
			return t, nil, err
		}
		was, err := tx.GrantTemplate(org.ID, t.Name)
		switch {
		case err == nil && was.digest() == t.digest():
			return was, nil, nil
		case err != nil && !errors.Is(err, NotFound):
			return t, nil, err
		}
		return t, t.event(EventTemplateSet, org.ID), tx.PutGrantTemplate(org.ID, t)
	})
}

// DeleteGrantTemplate forgets a template. Grants that were issued from it stand.
func (r *Registry) DeleteGrantTemplate(ctx context.Context, call Call, orgRef, name string) (Outcome[GrantTemplate], error) {
	return commit(ctx, r, call, false, func(tx Tx) (GrantTemplate, *EventDraft, error) {
		org, err := entityOrg(tx, call.Caller, orgRef)
		if err != nil {
			return GrantTemplate{}, nil, err
		}
		t, err := tx.GrantTemplate(org.ID, name)
		if err != nil {
			return t, nil, err
		}
		return t, t.event(EventTemplateRemoved, org.ID), tx.DeleteGrantTemplate(org.ID, name)
	})
}

// FindGrantTemplate returns a template of an org.
func (r *Registry) FindGrantTemplate(ctx context.Context, c Caller, orgRef, name string) (t GrantTemplate, err error) {
	err = r.Store.View(ctx, func(tx Tx) error {
		org, err := findOrg(tx, c, orgRef)
		if err == nil {
			err = c.sees(org.ID)
		}
		if err == nil {
			t, err = tx.GrantTemplate(org.ID, name)
		}
		return err
	})
	return t, err
}

// ListGrantTemplates lists the templates of an org in order of name.
func (r *Registry) ListGrantTemplates(ctx context.Context, c Caller, orgRef string, p Page) ([]GrantTemplate, error) {
	return listIn(ctx, r, c, orgRef, p, Tx.ListGrantTemplates)
}

// fill completes a grant by the template. What both say is refused: whoever reads the
// template knows what is in every grant of it, and no request changes any of that.
func (t GrantTemplate) fill(in NewGrant) (NewGrant, error) {
	level := cmp.Or(in.AuthorityLevel, t.AuthorityLevel)
	for field, both := range map[string]bool{
		"/capabilities":    in.Capabilities != "",
		"/budgets":         len(t.Budgets) > 0 && len(in.Budgets) > 0,
		"/audience":        len(t.Audience) > 0 && len(in.Audience) > 0,
		"/domain":          t.Domain != "" && in.Domain != "",
		"/workflow":        t.Workflow != "" && in.Workflow != "",
		"/authority_level": t.AuthorityLevel != nil && in.AuthorityLevel != nil,
		"/delegation":      t.Delegation != 0 && in.Delegation != 0,
		"/expires":         t.Lifetime != 0 && !in.Expires.IsZero(),
	} {
		if both {
			return in, Invalid(field, "is said by the template %s", t.Name)
		}
	}
	if len(t.Audience) > 0 {
		in.Audience = slices.Clone(t.Audience)
	}
	if len(t.Budgets) > 0 {
		in.Budgets = slices.Clone(t.Budgets)
	}
	in.Capabilities, in.AuthorityLevel = t.Capabilities, level
	in.Domain, in.Workflow, in.Delegation = cmp.Or(t.Domain, in.Domain), cmp.Or(t.Workflow, in.Workflow), cmp.Or(t.Delegation, in.Delegation)
	in.lifetime = time.Duration(t.Lifetime) * time.Second
	return in, nil
}

// check refuses a template that no grant could be issued from, and puts its
// capabilities in canonical form.
func (t *GrantTemplate) check() error {
	caps, err := capability.Parse(t.Capabilities)
	if err != nil {
		return &Error{Kind: Malformed, Field: "/capabilities", Detail: err.Error(), Err: err}
	}
	t.Capabilities = caps.String()
	budgets, err := capability.ParseBudgets(t.Budgets)
	if err != nil {
		return &Error{Kind: Malformed, Field: "/budgets", Detail: err.Error(), Err: err}
	}
	t.Budgets = budgets.Texts()
	if err := first(checkWord("/name", t.Name), checkText("/description", t.Description, maxText, false)); err != nil {
		return err
	}
	if t.Lifetime < 0 || t.Lifetime > int64(MaxGrantLife/time.Second) {
		return Invalid("/lifetime", "must be 0 to %d seconds", int64(MaxGrantLife/time.Second))
	}
	if len(t.Audience) > 0 {
		if err := checkResources("/audience", t.Audience); err != nil {
			return err
		}
	}
	return checkReach(t.Domain, t.Workflow, t.Delegation, t.AuthorityLevel)
}

// digest is that of the JCS form of all that the template says.
func (t GrantTemplate) digest() string {
	t.Updated = time.Time{}
	form, err := canon.Marshal(t)
	if err != nil {
		panic(err) // plain members
	}
	return canon.Digest(form)
}

func (t GrantTemplate) event(typ, org string) *EventDraft {
	return &EventDraft{Type: typ, Org: org, Body: TemplateChanged{t.Name, t.digest()}}
}
