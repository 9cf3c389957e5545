package registry_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/registrytest"
)

// idp gives the operator's org an issuer.
func idp(t *testing.T, h *registrytest.House) registry.Issuer {
	t.Helper()
	out, err := h.SetSignInIssuer(t.Context(), h.Call(), "", registry.NewIssuer{URL: "https://idp.example", ClientID: "writ", GroupsClaim: "groups"})
	if err != nil {
		t.Fatal(err)
	}
	return out.Value
}

// TestSignIn: the first sign-in makes the principal, the second finds it; each change
// of what groups give is an event, and nothing else is.
func TestSignIn(t *testing.T) {
	h := registrytest.New(t)
	issuer := idp(t, h)
	s, secret := session(t, h, registry.HouseOrg, "alice", registry.RoleAuditor, registry.RoleOwner)
	v, err := h.Visit(t.Context(), secret)
	if err != nil {
		t.Fatal(err)
	}
	if p := v.Principal; p.ID != s.Principal || p.Issuer != issuer.URL || p.Subject != "alice" || p.DisplayName != "Alice" || p.Org != issuer.Org {
		t.Errorf("principal %+v", p)
	}
	if !slices.Equal(v.Caller.Roles, []registry.Role{registry.RoleAuditor}) || v.Tokens.ID != "i" || v.Due {
		t.Errorf("roles %v (an issuer makes no owner), tokens %+v, due %v", v.Caller.Roles, v.Tokens, v.Due)
	}
	if again := signIn(t, h, registry.HouseOrg, "alice", registry.RoleAuditor); again.Principal != s.Principal {
		t.Error("the same person is another principal")
	}
	if other := signIn(t, h, registry.HouseOrg, "Alice"); other.Principal == s.Principal {
		t.Error("a subject is compared without case")
	}
	signIn(t, h, registry.HouseOrg, "alice")
	if v, err = h.Visit(t.Context(), secret); err != nil || len(v.Caller.Roles) != 0 {
		t.Errorf("a role that another session lost: %v, %v", v.Caller.Roles, err)
	}
	events, err := h.ListEvents(t.Context(), h.Operator, "", "", registry.EventFilter{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range events {
		got = append(got, e.Type)
	}
	want := []string{"registry.created", "issuer.set", "principal.created", "principal.roles_set", "principal.created", "principal.roles_set"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestSessionEnds: by time, by the human's end, by another's hand, with its issuer.
func TestSessionEnds(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(*registrytest.House, registry.Session, string) error
		over bool
	}{
		"idle, almost": {func(h *registrytest.House, _ registry.Session, _ string) error {
			h.Clock.Add(registry.SessionIdle - time.Second)
			return nil
		}, false},
		"idle": {func(h *registrytest.House, _ registry.Session, _ string) error {
			h.Clock.Add(registry.SessionIdle)
			return nil
		}, true},
		"used, to its absolute end": {func(h *registrytest.House, _ registry.Session, secret string) error {
			for range int(registry.SessionLife / (20 * time.Minute)) {
				v, err := h.Visit(t.Context(), secret)
				if err != nil {
					return fmt.Errorf("before its end: %w", err)
				}
				if err := h.Touch(t.Context(), h.Call().Trace, secret, v, false); err != nil {
					return err
				}
				h.Clock.Add(20 * time.Minute)
			}
			return nil
		}, true},
		"suspended": {func(h *registrytest.House, s registry.Session, _ string) error {
			_, err := h.SuspendPrincipal(t.Context(), h.Call(), s.Principal, "")
			return err
		}, true},
		"suspended and resumed": {func(h *registrytest.House, s registry.Session, _ string) error {
			_, one := h.SuspendPrincipal(t.Context(), h.Call(), s.Principal, "")
			_, two := h.ResumePrincipal(t.Context(), h.Call(), s.Principal, "")
			return errors.Join(one, two)
		}, true},
		"left": {func(h *registrytest.House, s registry.Session, _ string) error {
			_, err := h.EndPrincipal(t.Context(), h.Call(), s.Principal, "")
			return err
		}, true},
		"ended by an owner": {func(h *registrytest.House, s registry.Session, _ string) error {
			_, err := h.EndSessions(t.Context(), h.Call(), s.Principal, s.ID)
			return err
		}, true},
		"another's ended": {func(h *registrytest.House, s registry.Session, _ string) error {
			other := signIn(t, h, registry.HouseOrg, "bob")
			_, err := h.EndSessions(t.Context(), h.Call(), other.Principal, "")
			return err
		}, false},
		"signed out": {func(h *registrytest.House, _ registry.Session, secret string) error {
			return h.SignOut(t.Context(), h.Call().Trace, secret)
		}, true},
		"issuer removed": {func(h *registrytest.House, s registry.Session, _ string) error {
			_, err := h.RemoveSignInIssuer(t.Context(), h.Call(), "", s.Issuer)
			return err
		}, true},
		"issuer changed": {func(h *registrytest.House, s registry.Session, _ string) error { idp(t, h); return nil }, true},
	} {
		t.Run(name, func(t *testing.T) {
			h := registrytest.New(t)
			idp(t, h)
			s, secret := session(t, h, registry.HouseOrg, "alice")
			if err := c.do(h, s, secret); err != nil {
				t.Fatal(err)
			}
			if _, err := h.Visit(t.Context(), secret); errors.Is(err, registry.Unauthenticated) != c.over || err != nil && !c.over {
				t.Errorf("got %v, want it to be over: %v", err, c.over)
			}
		})
	}
}

// TestGroupRolesLapse: five minutes after the issuer's last good answer.
func TestGroupRolesLapse(t *testing.T) {
	h := registrytest.New(t)
	ctx, trace := t.Context(), h.Call().Trace
	idp(t, h)
	s, secret := session(t, h, registry.HouseOrg, "alice", registry.RoleRegistrar)
	if _, err := h.SetRoles(ctx, h.Call(), s.Principal, []registry.Role{registry.RoleApprover}); err != nil {
		t.Fatal(err)
	}
	roles := func(due bool, want ...registry.Role) registry.Visit {
		t.Helper()
		v, err := h.Visit(ctx, secret)
		if err != nil || !slices.Equal(v.Caller.Roles, want) || v.Due != due {
			t.Errorf("roles %v, due %v, %v; want %v, %v", v.Caller.Roles, v.Due, err, want, due)
		}
		return v
	}
	h.Clock.Add(registry.GroupRolesLife - time.Second)
	roles(false, registry.RoleApprover, registry.RoleRegistrar)
	h.Clock.Add(time.Second)
	v := roles(true, registry.RoleApprover)
	if err := h.Touch(ctx, trace, secret, v, true); err != nil { // asked in vain
		t.Fatal(err)
	}
	roles(false, registry.RoleApprover)
	h.Clock.Add(5 * time.Second)
	roles(true, registry.RoleApprover)
	if err := h.Confirm(ctx, trace, secret, answer(t, h, registry.HouseOrg, "alice", registry.RoleAuditor)); err != nil {
		t.Fatal(err)
	}
	v = roles(false, registry.RoleApprover, registry.RoleAuditor)
	if !strings.HasPrefix(v.Tokens.Refresh, "r-") {
		t.Errorf("tokens %+v", v.Tokens)
	}
	if err := h.Confirm(ctx, trace, secret, answer(t, h, registry.HouseOrg, "bob")); !errors.Is(err, registry.Unauthenticated) {
		t.Errorf("an answer about another: %v", err)
	}
}

// TestSessionsAreBounded: the oldest of too many ends, and lists say what there is.
func TestSessionsAreBounded(t *testing.T) {
	h := registrytest.New(t)
	idp(t, h)
	first, secret := session(t, h, registry.HouseOrg, "alice")
	for range 32 {
		signIn(t, h, registry.HouseOrg, "alice")
	}
	list, err := h.ListSessions(t.Context(), h.Operator, first.Principal)
	if err != nil || len(list) != 32 {
		t.Errorf("%d sessions, %v", len(list), err)
	}
	_, err = h.Visit(t.Context(), secret)
	want(t, "the oldest", err, registry.Unauthenticated)
	_, err = h.EndSessions(t.Context(), h.Call(), first.Principal, first.ID)
	want(t, "one that is over is ended", err, registry.NotFound)
	if out, err := h.EndSessions(t.Context(), h.Call(), first.Principal, ""); err != nil || out.Value != 32 {
		t.Errorf("ended %d, %v", out.Value, err)
	}
}

// TestAnswerUnderOtherSettings: what an issuer said before its settings changed counts
// no more.
func TestAnswerUnderOtherSettings(t *testing.T) {
	h := registrytest.New(t)
	idp(t, h)
	old := answer(t, h, registry.HouseOrg, "alice", registry.RoleRegistrar)
	h.Clock.Add(time.Second)
	idp(t, h)
	_, err := h.SignIn(t.Context(), h.Call().Trace, old)
	want(t, "an answer of before", err, registry.Unauthenticated)
}
