package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry/capability"
)

// HouseOrg is the name of the org that a first start creates: the operator's.
const HouseOrg = "operator"

// Bootstrap prepares an empty registry: the operator's org, its first
// principal with the role operator and the given credential (see NewSecret),
// and the event that opens the log. The caller keeps the credential safe before
// it calls, so that a crash in between locks nobody out. Conflict: it was done
// before.
func (r *Registry) Bootstrap(ctx context.Context, secret string) (Outcome[Principal], error) {
	org := Org{ID: NewID(), Name: HouseOrg, DisplayName: "Registry operator", Created: r.now()}
	p := Principal{ID: NewID(), Org: org.ID, DisplayName: "First operator", Roles: []Role{RoleOperator}, Created: r.now()}
	first := newCredential(secret, Actor{ActorPrincipal, p.ID}, r.now())
	first.Bootstrap = true
	call := Call{Caller: Caller{Actor: Actor{Kind: ActorRegistry, ID: org.ID}}, Trace: strings.Repeat("0", 32)}
	return commit(ctx, r, call, false, func(tx Tx) (Principal, *EventDraft, error) {
		if err := errors.Join(tx.InsertOrg(org), tx.InsertPrincipal(p), tx.InsertCredential(first)); err != nil {
			return p, nil, err
		}
		return p, &EventDraft{Type: EventRegistryCreated, Org: org.ID, Body: RegistryCreated{
			Origin: r.Origin, DID: r.DID, TokenKey: r.TokenKey.Public().Multikey(),
			UpdateKey: r.UpdateKey.Public().Multikey(), Operator: p.ID,
		}}, nil
	})
}

// CheckKeys compares the registry's keys with those that the first event of its
// log names. A lost key file that was silently replaced would end every grant
// and orphan every DID; a rotation is an event, and there is none yet.
func (r *Registry) CheckKeys(ctx context.Context) error {
	var list []Event
	err := r.Store.View(ctx, func(tx Tx) (err error) {
		list, err = tx.ListEvents(EventFilter{Type: EventRegistryCreated, Page: Page{Limit: 1}})
		return err
	})
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return Errorf(Conflict, "the log does not begin with %s", EventRegistryCreated)
	}
	var artifact struct {
		Body RegistryCreated `json:"body"`
	}
	if err := canon.UnmarshalOpen(list[0].Artifact, &artifact); err != nil {
		return fmt.Errorf("read the first event: %w", err)
	}
	for _, k := range []struct {
		name, logged string
		held         jose.PublicKey
	}{{"token", artifact.Body.TokenKey, r.TokenKey.Public()}, {"did-update", artifact.Body.UpdateKey, r.UpdateKey.Public()}} {
		if k.held.Multikey() != k.logged {
			return Errorf(Conflict, "the %s key is not the one this registry was created with (%s): restore its file", k.name, k.logged)
		}
	}
	return nil
}

// NewOrg is the input of CreateOrg.
type NewOrg struct {
	Name        string
	DisplayName string
}

// CreateOrg adds a tenant. Only an operator may.
func (r *Registry) CreateOrg(ctx context.Context, call Call, in NewOrg) (Outcome[Org], error) {
	if !call.Caller.Operator() {
		return Outcome[Org]{}, Errorf(Denied, "only an operator creates orgs")
	}
	if err := first(checkWord("/name", in.Name), checkText("/display_name", in.DisplayName, maxText, false)); err != nil {
		return Outcome[Org]{}, err
	}
	org := Org{ID: NewID(), Name: in.Name, DisplayName: in.DisplayName, Created: r.now()}
	return commit(ctx, r, call, false, func(tx Tx) (Org, *EventDraft, error) {
		return org, &EventDraft{Type: EventOrgCreated, Org: org.ID, Body: OrgCreated{org.ID, org.Name}}, tx.InsertOrg(org)
	})
}

// FindOrg returns an org by id or name. "" is the caller's own.
func (r *Registry) FindOrg(ctx context.Context, c Caller, ref string) (Org, error) {
	var org Org
	err := r.Store.View(ctx, func(tx Tx) (err error) { org, err = findOrg(tx, c, ref); return err })
	return org, err
}

// findOrg answers alike for foreign and unknown orgs.
func findOrg(tx Tx, c Caller, ref string) (org Org, err error) {
	switch {
	case ref == "":
		org, err = tx.Org(c.Org)
	case checkID("/org", ref) == nil:
		org, err = tx.Org(ref)
	default:
		org, err = tx.OrgByName(ref)
	}
	if errors.Is(err, NotFound) || err == nil && !c.Operator() && c.Org != org.ID {
		return Org{}, errNoOrg
	}
	return org, err
}

// ListOrgs lists the orgs that the caller may see.
func (r *Registry) ListOrgs(ctx context.Context, c Caller, p Page) (list []Org, err error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	err = r.Store.View(ctx, func(tx Tx) (err error) {
		if c.Operator() {
			list, err = tx.ListOrgs(p)
			return err
		}
		org, err := tx.Org(c.Org)
		if err == nil && org.ID > p.After {
			list = []Org{org}
		}
		return err
	})
	return list, err
}

// NewPrincipal is the input of CreatePrincipal.
type NewPrincipal struct {
	Org         string // id or name; "" = the caller's
	DisplayName string
	Roles       []Role
}

// CreatePrincipal adds a human and gives out its credential once. An owner may
// for its org; only an operator makes operators.
func (r *Registry) CreatePrincipal(ctx context.Context, call Call, in NewPrincipal) (Outcome[Principal], error) {
	var none Outcome[Principal]
	if err := checkText("/display_name", in.DisplayName, maxText, false); err != nil {
		return none, err
	}
	if len(in.Roles) == 0 {
		return none, Invalid("/roles", "needs at least one of %s", join(Roles))
	}
	if err := checkRoles("/roles", in.Roles); err != nil {
		return none, err
	}
	if slices.Contains(in.Roles, RoleOperator) && !call.Caller.Operator() {
		return none, Errorf(Denied, "only an operator makes operators")
	}
	p := Principal{ID: NewID(), DisplayName: in.DisplayName, Roles: in.Roles, Created: r.now()}
	secret := NewSecret(ActorPrincipal)
	out, err := commit(ctx, r, call, false, func(tx Tx) (Principal, *EventDraft, error) {
		org, err := findOrg(tx, call.Caller, in.Org)
		if err != nil {
			return p, nil, err
		}
		if err := call.Caller.may(org.ID, RoleOwner); err != nil {
			return p, nil, err
		}
		p.Org = org.ID
		return p, &EventDraft{Type: EventPrincipalCreated, Org: org.ID, Body: PrincipalCreated{p.ID, p.Roles}},
			errors.Join(tx.InsertPrincipal(p), tx.InsertCredential(newCredential(secret, Actor{ActorPrincipal, p.ID}, r.now())))
	})
	return withSecret(out, secret), err
}

// ListPrincipals lists an org's humans.
func (r *Registry) ListPrincipals(ctx context.Context, c Caller, orgRef string, p Page) ([]Principal, error) {
	return listIn(ctx, r, c, orgRef, p, Tx.ListPrincipals)
}

// NewPEP is the input of RegisterPEP.
type NewPEP struct {
	Org         string
	Name        string
	Resources   []string
	ContextKeys []string
	JWK         json.RawMessage // its public key that signs outcomes; none = it has none yet
}

// RegisterPEP adds an enforcement point and gives out its credential once.
func (r *Registry) RegisterPEP(ctx context.Context, call Call, in NewPEP) (Outcome[PEP], error) {
	err := first(checkWord("/name", in.Name), checkResources("/resources", in.Resources), checkWords("/context_keys", in.ContextKeys))
	if err != nil {
		return Outcome[PEP]{}, err
	}
	p := PEP{ID: NewID(), Name: in.Name, Resources: in.Resources, ContextKeys: in.ContextKeys, Created: r.now()}
	var key jose.PublicKey
	if len(in.JWK) > 0 {
		if key, err = parseKey(in.JWK); err != nil {
			return Outcome[PEP]{}, err
		}
	}
	secret := NewSecret(ActorPEP)
	out, err := commitDraft(ctx, r, call, false, func(tx Tx) (PEP, Draft, error) {
		org, err := findOrg(tx, call.Caller, in.Org)
		if err != nil {
			return p, Draft{}, err
		}
		if err := call.Caller.may(org.ID, RoleRegistrar); err != nil {
			return p, Draft{}, err
		}
		p.Org = org.ID
		for i, id := range p.Resources {
			if err := tx.ClaimResource(id, org.ID); err != nil {
				return p, Draft{}, resourceTaken(fmt.Sprintf("/resources/%d", i), err)
			}
		}
		d := Draft{Events: []EventDraft{{Type: EventPEPRegistered, Org: org.ID, Body: PEPRegistered{p.ID, p.Resources, nonNil(p.ContextKeys)}}}}
		if key.Valid() {
			set, err := p.setKey(tx, key)
			if err != nil {
				return p, Draft{}, err
			}
			d.Events = append(d.Events, set)
		}
		return p, d, errors.Join(tx.InsertPEP(p), tx.InsertCredential(newCredential(secret, Actor{ActorPEP, p.ID}, r.now())))
	})
	return withSecret(out, secret), err
}

// resourceTaken says that a resource server is another org's: were it both's, the
// enforcement points of each could decide about the other's acts.
func resourceTaken(field string, err error) error {
	if errors.Is(err, Conflict) {
		return &Error{Kind: Conflict, Code: "resource_taken", Field: field, Detail: "another org has an enforcement point for this resource server", Err: err}
	}
	return err
}

// ListPEPs lists an org's enforcement points.
func (r *Registry) ListPEPs(ctx context.Context, c Caller, orgRef string, p Page) ([]PEP, error) {
	return listIn(ctx, r, c, orgRef, p, Tx.ListPEPs)
}

// ActivateCatalogue replaces an org's set of actions; where replaces is not empty,
// only the set of that digest: Conflict if another is in force. Decisions in flight are
// made again.
func (r *Registry) ActivateCatalogue(ctx context.Context, call Call, orgRef string, actions []CatalogueAction, replaces string) (Outcome[Catalogue], error) {
	var none Outcome[Catalogue]
	if len(actions) > MaxPage {
		return none, &Error{Kind: TooLarge, Field: "/actions", Detail: fmt.Sprintf("more than %d actions", MaxPage)}
	}
	sorted := slices.Clone(actions)
	slices.SortFunc(sorted, func(a, b CatalogueAction) int { return compare(a.Action, b.Action) })
	for i, a := range actions {
		if err := a.check(fmt.Sprintf("/actions/%d", i)); err != nil {
			return none, err
		}
	}
	for i := 1; i < len(sorted); i++ {
		if sorted[i].Action == sorted[i-1].Action {
			return none, Invalid("/actions", "%s is named twice", sorted[i].Action)
		}
	}
	form, err := canon.Marshal(sorted)
	if err != nil {
		return none, err
	}
	cat := Catalogue{Actions: nonNil(sorted), Digest: canon.Digest(form), Updated: r.now()}
	return commit(ctx, r, call, false, func(tx Tx) (Catalogue, *EventDraft, error) {
		org, err := findOrg(tx, call.Caller, orgRef)
		if err != nil {
			return cat, nil, err
		}
		if err := call.Caller.may(org.ID, RolePolicyAuthor); err != nil {
			return cat, nil, err
		}
		if replaces != "" {
			switch old, err := tx.Catalogue(org.ID); {
			case err != nil:
				return cat, nil, err
			case old.Digest != replaces:
				return cat, nil, &Error{Kind: Conflict, Code: "replaced", Field: "/replaces", Detail: "another catalogue has come into force since"}
			}
		}
		cat.Org = org.ID
		return cat, &EventDraft{Type: EventCatalogueActivated, Org: org.ID, Body: CatalogueActivated{cat.Digest, len(sorted)}},
			errors.Join(tx.PutCatalogue(cat), tx.BumpEpoch(Scope{ScopeOrg, org.ID}))
	})
}

// CatalogueOf returns an org's active catalogue.
func (r *Registry) CatalogueOf(ctx context.Context, c Caller, orgRef string) (Catalogue, error) {
	org, err := r.FindOrg(ctx, c, orgRef)
	if err != nil {
		return Catalogue{}, err
	}
	var cat Catalogue
	err = r.Store.View(ctx, func(tx Tx) (err error) { cat, err = tx.Catalogue(org.ID); return err })
	return cat, err
}

func (a CatalogueAction) check(at string) error {
	if err := checkAction(at+"/action", a.Action); err != nil {
		return err
	}
	switch a.Reversibility {
	case Reversible, Irreversible:
		if a.CompensatedBy != "" || a.CompensateIn != 0 {
			return Invalid(at+"/compensated_by", "only a compensable action has one")
		}
	case Compensable:
		if err := checkAction(at+"/compensated_by", a.CompensatedBy); err != nil {
			return err
		}
		if a.CompensateIn <= 0 || a.CompensateIn > int64(366*24*time.Hour/time.Second) {
			return Invalid(at+"/compensate_in", "must be 1 second to 366 days, in seconds")
		}
	default:
		return Invalid(at+"/reversibility", "must be reversible, compensable or irreversible")
	}
	if err := a.checkImport(at); err != nil {
		return err
	}
	if err := checkLevel(at+"/min_level", a.MinLevel); err != nil {
		return err
	}
	if a.OutcomeIn < 0 || a.OutcomeIn > int64(7*24*time.Hour/time.Second) {
		return Invalid(at+"/outcome_in", "must be 0 seconds to 7 days, in seconds")
	}
	for field, s := range map[string]string{"/domain": a.Domain, "/workflow": a.Workflow} {
		if s != "" {
			if err := checkWord(at+field, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkImport: until somebody has looked at it, a tool's own word makes nothing safer.
func (a CatalogueAction) checkImport(at string) error {
	if err := checkText(at+"/tool", a.Tool, maxText, false); err != nil {
		return err
	}
	if a.Pin != "" && !canon.IsDigest(a.Pin) {
		return Invalid(at+"/pin", "must be the base64url SHA-256 of the tool's description, 43 characters")
	}
	switch {
	case a.Guess == nil:
		return nil
	case a.Reversibility != Irreversible || !a.Egress || !a.Material:
		return Invalid(at+"/guess", "an action that nobody has reviewed is irreversible, egress and material")
	case !slices.Contains([]Reversibility{Reversible, Compensable, Irreversible}, a.Guess.Reversibility):
		return Invalid(at+"/guess/reversibility", "must be reversible, compensable or irreversible")
	case a.Guess.CompensatedBy != "" && checkAction("", a.Guess.CompensatedBy) != nil:
		return Invalid(at+"/guess/compensated_by", "must be verb:type, such as delete:invoices")
	}
	return checkText(at+"/guess/why", a.Guess.Why, maxText, false)
}

// checkAction refuses what is not verb:type in the grammar of capabilities.
func checkAction(field, s string) error {
	set, err := capability.Parse(s)
	if err != nil || set.Len() != 1 || set.String() != s || strings.ContainsAny(s, "/(;") || strings.HasSuffix(s, ":none") {
		return Invalid(field, "must be verb:type, such as read:invoices")
	}
	return nil
}

// listIn lists rows of one org that any of its principals may see.
func listIn[T any](ctx context.Context, r *Registry, c Caller, orgRef string, p Page, list func(Tx, string, Page) ([]T, error)) ([]T, error) {
	if c.Kind != ActorPrincipal {
		return nil, Errorf(Denied, "only a principal may list")
	}
	return listFor(ctx, r, c, orgRef, p, list)
}

// listFor lists rows of one org; list says which of them the caller may see.
func listFor[T any](ctx context.Context, r *Registry, c Caller, orgRef string, p Page, list func(Tx, string, Page) ([]T, error)) (out []T, err error) {
	org, err := r.FindOrg(ctx, c, orgRef)
	if err != nil {
		return nil, err
	}
	if c.Kind != ActorPrincipal && c.Agent == nil {
		return nil, Errorf(Denied, "only a principal may list")
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	err = r.Store.View(ctx, func(tx Tx) (err error) { out, err = list(tx, org.ID, p); return err })
	return out, err
}

func withSecret[T any](out Outcome[T], secret string) Outcome[T] {
	if !out.Replayed {
		out.Secret = secret
	}
	return out
}

func nonNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// first is the first fault, in the order of the fields.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
