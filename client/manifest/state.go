package manifest

import (
	"context"
	"errors"
	"strconv"

	"github.com/writ-registry/writ/client"
	"github.com/writ-registry/writ/internal/canon"
)

// State is what the registry holds of what a manifest says.
type State struct {
	Me        client.Caller
	Org       *client.Org // nil: there is none
	Catalogue client.Catalogue
	Entities  []client.StoredEntity
	Active    client.PolicySet // the zero value where none were activated
	Draft     client.PolicySet // the newest after Active, with its text
	Templates []client.GrantTemplate
	Rules     client.ApprovalRules
}

// Read reads the state of an org, by id or name ("" = the caller's): the sections of
// m, or all where m is nil. What m names and there is not may be created.
func Read(ctx context.Context, c *client.Client, ref string, m *Manifest) (*State, error) {
	if m == nil {
		m = &Manifest{
			Catalogue: []client.CatalogueAction{}, Entities: []client.StoredEntity{}, Policies: &Policies{},
			Templates: []client.GrantTemplate{}, Rules: []client.ApprovalRule{},
		}
	}
	s := &State{}
	var err error
	if s.Me, err = c.Whoami(ctx); err != nil {
		return nil, err
	}
	if m.Org != nil && m.Org.Name != "" {
		ref = m.Org.Name
	}
	if ref == "" {
		ref = s.Me.Org
	}
	org, err := c.Org(ctx, ref)
	if missing(err) && m.Org != nil && m.Org.Name != "" {
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	s.Org = &org
	// Policies are held against the catalogue and the types of the entities.
	if m.Catalogue != nil || m.Policies != nil {
		if s.Catalogue, err = c.Catalogue(ctx, org.ID); err != nil {
			return nil, err
		}
	}
	if m.Entities != nil || m.Policies != nil {
		if s.Entities, err = client.Collect(c.Entities(ctx, org.ID, ""), 0); err != nil {
			return nil, err
		}
		for i := range s.Entities {
			e := &s.Entities[i]
			if e.Properties, err = canon.Canonical(e.Properties); err != nil {
				return nil, err
			}
			if len(e.Parents) == 0 {
				e.Parents = nil
			}
		}
	}
	if m.Policies != nil {
		if err := s.readPolicies(ctx, c); err != nil {
			return nil, err
		}
	}
	if m.Templates != nil {
		if s.Templates, err = client.Collect(c.GrantTemplates(ctx, org.ID), 0); err != nil {
			return nil, err
		}
	}
	if m.Rules != nil {
		s.Rules, err = c.ApprovalRules(ctx, org.ID)
	}
	return s, err
}

func (s *State) readPolicies(ctx context.Context, c *client.Client) (err error) {
	if s.Active, err = c.Policies(ctx, s.Org.ID, "active"); err != nil && !missing(err) {
		return err
	}
	for p, err := range c.PolicySets(ctx, s.Org.ID) {
		if err != nil {
			return err
		}
		if p.Version > s.Active.Version {
			s.Draft, err = c.Policies(ctx, s.Org.ID, strconv.FormatInt(p.Version, 10))
		}
		return err
	}
	return nil
}

func missing(err error) bool {
	var p *client.Problem
	return errors.As(err, &p) && p.Type == "urn:writ:problem:not-found"
}

// Manifest is the state as a manifest of all sections.
func (s *State) Manifest() *Manifest {
	policy := s.Org.Policy
	m := &Manifest{
		Format: Format, Org: &Org{Name: s.Org.Name, DisplayName: s.Org.DisplayName, Policy: &policy}, Catalogue: s.Catalogue.Actions, Entities: s.Entities,
		Policies: &Policies{Text: s.Active.Text}, Templates: s.Templates, Rules: s.Rules.Rules,
	}
	if m.Catalogue == nil {
		m.Catalogue = []client.CatalogueAction{}
	}
	if m.Rules == nil {
		m.Rules = []client.ApprovalRule{}
	}
	return m
}
