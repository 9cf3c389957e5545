package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// FindPrincipal returns a human of an org, for anyone of that org.
func (r *Registry) FindPrincipal(ctx context.Context, c Caller, id string) (Principal, error) {
	var p Principal
	err := r.Store.View(ctx, func(tx Tx) (err error) { p, err = findPrincipal(tx, id); return err })
	if err == nil {
		err = hide(c.sees(p.Org), "principal")
	}
	if err != nil {
		return Principal{}, err
	}
	return p, nil
}

// Self returns the human that the caller is, whatever roles they have.
func (r *Registry) Self(ctx context.Context, c Caller) (p Principal, err error) {
	err = r.Store.View(ctx, func(tx Tx) (err error) { p, err = tx.Principal(c.ID); return err })
	return p, err
}

func findPrincipal(tx Tx, id string) (Principal, error) {
	if err := checkID("/principal", id); err != nil {
		return Principal{}, err
	}
	return tx.Principal(id)
}

// governed finds a human whom the caller may change: an owner those of its org, and
// operators only operators.
func governed(tx Tx, c Caller, id string) (Principal, error) {
	p, err := findPrincipal(tx, id)
	if err == nil {
		err = c.may(p.Org, RoleOwner)
	}
	if err != nil {
		return Principal{}, hide(err, "principal")
	}
	if p.holds(RoleOperator) && !c.Operator() {
		return Principal{}, Errorf(Denied, "only an operator changes an operator")
	}
	return p, nil
}

// SuspendPrincipal stops a human until it is resumed: no credential of theirs counts,
// their sessions end, and the agents they sponsor may do nothing.
func (r *Registry) SuspendPrincipal(ctx context.Context, call Call, id, reason string) (Outcome[Principal], error) {
	return r.movePrincipal(ctx, call, id, PrincipalSuspended, EventPrincipalSuspended, reason)
}

// ResumePrincipal lets a suspended human act again. Sessions stay ended.
func (r *Registry) ResumePrincipal(ctx context.Context, call Call, id, reason string) (Outcome[Principal], error) {
	return r.movePrincipal(ctx, call, id, PrincipalActive, EventPrincipalResumed, reason)
}

// EndPrincipal records that a human has left, for good. Agents that they sponsor wait
// for another sponsor.
func (r *Registry) EndPrincipal(ctx context.Context, call Call, id, reason string) (Outcome[Principal], error) {
	return r.movePrincipal(ctx, call, id, PrincipalLeft, EventPrincipalLeft, reason)
}

// movePrincipal changes a human's status. Moving to the status they have changes
// nothing and records nothing.
func (r *Registry) movePrincipal(ctx context.Context, call Call, id string, to PrincipalStatus, event, reason string) (Outcome[Principal], error) {
	if err := checkReason(reason); err != nil {
		return Outcome[Principal]{}, err
	}
	return commit(ctx, r, call, to != PrincipalActive, func(tx Tx) (Principal, *EventDraft, error) {
		p, err := governed(tx, call.Caller, id)
		switch {
		case err != nil:
			return p, nil, err
		case p.Status == to:
			return p, nil, nil
		case p.Status == PrincipalLeft:
			return p, nil, Errorf(Revoked, "the human has left, for good")
		}
		if to != PrincipalActive {
			if err := leavesOthers(tx, p, nil); err != nil {
				return p, nil, err
			}
			if err := tx.DeleteSessions(p.ID, ""); err != nil {
				return p, nil, err
			}
		}
		if to == PrincipalLeft {
			if err := endCredentials(tx, Actor{ActorPrincipal, p.ID}); err != nil {
				return p, nil, err
			}
		}
		p.Status = to
		return p, &EventDraft{Type: event, Org: p.Org, Body: PrincipalStatusChanged{p.ID, to.word(), reason}},
			errors.Join(tx.UpdatePrincipal(p), tx.BumpEpoch(Scope{ScopeOrg, p.Org}))
	})
}

// word is the status in events, where nothing is said by an empty string.
func (s PrincipalStatus) word() string {
	if s == PrincipalActive {
		return "active"
	}
	return string(s)
}

// mayAct refuses a human who is not active.
func (p Principal) mayAct() error {
	if p.Status == PrincipalActive {
		return nil
	}
	return &Error{Kind: Unauthenticated, Code: "principal_" + string(p.Status), Detail: "the principal is suspended or has left"}
}

// leavesOthers refuses to take owner or operator from the last one who has it: nobody
// could give it back. keep are the roles that stay.
func leavesOthers(tx Tx, p Principal, keep []Role) error {
	if p.Status != PrincipalActive {
		return nil // not counted
	}
	for role, org := range map[Role]string{RoleOwner: p.Org, RoleOperator: ""} {
		if !p.holds(role) || slices.Contains(keep, role) {
			continue
		}
		n, err := tx.CountHolders(org, role)
		if err != nil {
			return err
		}
		if n < 2 {
			return &Error{Kind: Conflict, Code: "last_" + string(role), Detail: fmt.Sprintf("this is the last active %s; make another one first", role)}
		}
	}
	return nil
}

// SetRoles replaces the roles that a human has by an act inside the registry; what
// groups of the org's issuer give is apart. The first human of an issuer who becomes
// an owner or operator of the operator's org ends the credential of the first start,
// unless that issuer says otherwise.
func (r *Registry) SetRoles(ctx context.Context, call Call, id string, to []Role) (Outcome[Principal], error) {
	if err := checkRoles("/roles", to); err != nil {
		return Outcome[Principal]{}, err
	}
	roles := []Role{}
	for _, role := range Roles {
		if slices.Contains(to, role) {
			roles = append(roles, role)
		}
	}
	return commitDraft(ctx, r, call, false, func(tx Tx) (Principal, Draft, error) {
		p, err := governed(tx, call.Caller, id)
		if err == nil && p.Status == PrincipalLeft {
			err = Errorf(Revoked, "the human has left, for good")
		}
		if err == nil {
			err = mayGive(tx, call.Caller, p, roles)
		}
		if err != nil {
			return p, Draft{}, err
		}
		if len(roles) == len(p.Roles) && !slices.ContainsFunc(roles, func(role Role) bool { return !p.holds(role) }) {
			return p, Draft{}, nil
		}
		if err := leavesOthers(tx, p, roles); err != nil {
			return p, Draft{}, err
		}
		p.Roles = roles
		d := Draft{Events: []EventDraft{{Type: EventRolesSet, Org: p.Org, Body: RolesSet{p.ID, roles, "registry"}}}}
		ended, err := endBootstrap(tx, p)
		d.Events = append(d.Events, ended...)
		return p, d, errors.Join(err, tx.UpdatePrincipal(p), tx.BumpEpoch(Scope{ScopeOrg, p.Org}))
	})
}

// mayGive refuses what only an operator gives or takes, and, where the org separates
// duties, that somebody widens their own roles.
func mayGive(tx Tx, c Caller, p Principal, roles []Role) error {
	if slices.Contains(roles, RoleOperator) && !c.Operator() {
		return Errorf(Denied, "only an operator makes operators")
	}
	if c.Kind != ActorPrincipal || c.ID != p.ID {
		return nil
	}
	org, err := tx.Org(p.Org)
	if err == nil && org.Policy.SeparateDuties && slices.ContainsFunc(roles, func(role Role) bool { return !p.holds(role) }) {
		err = notAlone("the org wants another human to widen one's roles")
	}
	return err
}

// endBootstrap ends the credential of the first start once somebody who comes by an
// issuer can do what it does.
func endBootstrap(tx Tx, p Principal) ([]EventDraft, error) {
	if p.Issuer == "" || !p.holds(RoleOperator) && !p.holds(RoleOwner) {
		return nil, nil
	}
	house, err := tx.OrgByName(HouseOrg)
	if err != nil || house.ID != p.Org {
		return nil, err
	}
	if keep, err := keepsBootstrap(tx, p); keep || err != nil {
		return nil, err
	}
	c, err := tx.BootstrapCredential()
	if errors.Is(err, NotFound) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	return []EventDraft{{Type: EventCredentialRevoked, Org: house.ID, Body: CredentialRevoked{c.Owner, c.ID, "first-owner"}}}, tx.DeleteCredential(c.ID)
}

// checkRoles refuses what is not a list of roles, each once.
func checkRoles(field string, list []Role) error {
	if len(list) > len(Roles) {
		return &Error{Kind: TooLarge, Field: field, Detail: fmt.Sprintf("more than %d roles", len(Roles))}
	}
	for i, role := range list {
		if !slices.Contains(Roles, role) || slices.Contains(list[:i], role) {
			return Invalid(fmt.Sprintf("%s/%d", field, i), "must be one of %s, each once", join(Roles))
		}
	}
	return nil
}
