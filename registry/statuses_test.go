package registry_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/registrytest"
	"github.com/writ-registry/writ/registry/statuslist"
)

// statuses reads the published status of each grant, as a relying party would.
func statuses(t *testing.T, r *registry.Registry, now time.Time, grants map[string]registry.Grant) map[string]string {
	t.Helper()
	published, err := r.StatusList(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	token, err := statuslist.Parse(published.Token)
	if err != nil {
		t.Fatal(err)
	}
	if token.KeyID() != r.StatusKeyID() {
		t.Errorf("kid %s", token.KeyID())
	}
	list, err := token.Verify(statuslist.Check{Key: r.StatusKey.Public(), URI: r.StatusListURI(1), Now: now, MaxAge: registry.StatusTTL})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for name, g := range grants {
		s, err := list.Get(int(g.StatusIndex))
		if err != nil {
			t.Fatal(err)
		}
		out[name] = s.String()
	}
	return out
}

// TestStatusFollows: whatever stops or ends a grant is in the next list that is
// asked for, and lifting it too. The list that followed the moves is the same as
// one read whole.
func TestStatusFollows(t *testing.T) {
	h := registrytest.New(t)
	org, owner := tenant(t, h, "acme")
	spawn := func(in *registry.NewAgent) { in.Org, in.Spawn = "acme", registry.Spawn{Depth: 1, Max: 2} }
	sponsored := func(in *registry.NewAgent) { in.Org, in.Sponsor = "acme", owner.Caller.ID }
	parent := h.NewAgent(t, "parent", spawn, func(in *registry.NewAgent) { in.Sponsor = owner.Caller.ID })
	child := parent.Child(t, "child")
	other, elsewhere := h.NewAgent(t, "other", sponsored), h.NewAgent(t, "elsewhere")
	grants := map[string]registry.Grant{
		"parent": parent.Grant(t, "read:a"), "parent 2": parent.Grant(t, "read:b"), "child": child.Grant(t, "read:a"),
		"other": other.Grant(t, "read:a"), "elsewhere": elsewhere.Grant(t, "read:a"),
	}
	call := h.Call()
	kill := func(s registry.Scope) func() error {
		return func() error { _, err := h.SetKill(t.Context(), call, s, "drill"); return err }
	}
	release := func(s registry.Scope) func() error {
		return func() error { _, err := h.ReleaseKill(t.Context(), call, s, ""); return err }
	}
	change := func(scope registry.Scope, f func(tx registry.Tx) error) func() error {
		return func() error {
			_, err := h.Store.Commit(t.Context(), registry.Command{Run: func(tx registry.Tx) (registry.Draft, error) {
				return registry.Draft{}, errors.Join(f(tx), tx.BumpEpoch(scope))
			}})
			return err
		}
	}
	sponsor := func(to registry.PrincipalStatus) func() error {
		return change(registry.Scope{Kind: registry.ScopeOrg, ID: org.ID}, func(tx registry.Tx) error {
			p, err := tx.Principal(owner.Caller.ID)
			p.Status = to
			return errors.Join(err, tx.UpdatePrincipal(p))
		})
	}
	keyEnded := func(to bool) func() error {
		return change(registry.Scope{Kind: registry.ScopeAgent, ID: parent.ID}, func(tx registry.Tx) error {
			a, err := tx.Agent(parent.ID)
			a.KeyEnded = to
			return errors.Join(err, tx.UpdateAgent(a))
		})
	}
	global, ofOrg := registry.Scope{Kind: registry.ScopeGlobal}, registry.Scope{Kind: registry.ScopeOrg, ID: org.ID}
	ofParent, ofGrant := registry.Scope{Kind: registry.ScopeAgent, ID: parent.ID}, registry.Scope{Kind: registry.ScopeGrant, ID: grants["child"].ID}
	for _, step := range []struct {
		name string
		do   func() error
		want string // of parent, parent 2, child, other, elsewhere
	}{
		{"nothing", func() error { return nil }, "valid valid valid valid valid"},
		{"agent suspended", func() error { _, err := h.SuspendAgent(t.Context(), call, parent.ID, ""); return err }, "suspended suspended suspended valid valid"},
		{"agent resumed", func() error { _, err := h.ResumeAgent(t.Context(), call, parent.ID, ""); return err }, "valid valid valid valid valid"},
		{"agent killed", kill(ofParent), "suspended suspended suspended valid valid"},
		{"agent released", release(ofParent), "valid valid valid valid valid"},
		{"grant killed", kill(ofGrant), "valid valid suspended valid valid"},
		{"grant released", release(ofGrant), "valid valid valid valid valid"},
		{"key ended", keyEnded(true), "suspended suspended valid valid valid"},
		{"another key", keyEnded(false), "valid valid valid valid valid"},
		{"org killed", kill(ofOrg), "suspended suspended suspended suspended valid"},
		{"org released", release(ofOrg), "valid valid valid valid valid"},
		{"sponsor suspended", sponsor(registry.PrincipalSuspended), "suspended suspended suspended suspended valid"},
		{"sponsor back", sponsor(registry.PrincipalActive), "valid valid valid valid valid"},
		{"all killed", kill(global), "suspended suspended suspended suspended suspended"},
		{"grant revoked meanwhile", func() error { _, err := h.RevokeGrant(t.Context(), call, grants["parent 2"].ID, ""); return err }, "suspended invalid suspended suspended suspended"},
		{"all released", release(global), "valid invalid valid valid valid"},
		{"parent revoked", func() error { _, err := h.RevokeAgent(t.Context(), call, parent.ID, ""); return err }, "invalid invalid invalid valid valid"},
		{"revoked and killed", kill(ofParent), "invalid invalid invalid valid valid"},
	} {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		want := map[string]string{}
		for i, s := range strings.Fields(step.want) {
			want[[]string{"parent", "parent 2", "child", "other", "elsewhere"}[i]] = s
		}
		got := statuses(t, h.Registry, h.Clock.Now(), grants)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", step.name, diff)
		}
		whole := statuses(t, registry.New(h.Config), h.Clock.Now(), grants)
		if diff := cmp.Diff(whole, got); diff != "" {
			t.Errorf("%s: (-read whole +followed)\n%s", step.name, diff)
		}
	}
}

// TestStatusTokens: a list is signed anew when it changed or half its time is over,
// and not else.
func TestStatusTokens(t *testing.T) {
	h := registrytest.New(t)
	g := h.NewAgent(t, "a").Grant(t, "read:x")
	get := func() string {
		t.Helper()
		l, err := h.StatusList(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		return l.Token
	}
	first := get()
	if get() != first {
		t.Error("signed again, and nothing had changed")
	}
	h.NewAgent(t, "b") // moves authority, and no grant's
	if get() != first {
		t.Error("signed again for another's move")
	}
	h.Clock.Add(registry.StatusTTL / 2)
	if get() == first {
		t.Error("not signed again though half the time is over")
	}
	first = get()
	if _, err := h.RevokeGrant(t.Context(), h.Call(), g.ID, ""); err != nil {
		t.Fatal(err)
	}
	if get() == first {
		t.Error("a revocation is not in the next list")
	}
	for _, n := range []int{0, 2, -1} {
		_, err := h.StatusList(t.Context(), n)
		want(t, fmt.Sprint("list ", n), err, registry.NotFound)
	}
	for purpose, ok := range map[string]bool{"revocation": true, "suspension": true, "message": false} {
		if _, err := h.StatusCredential(t.Context(), 1, purpose); (err == nil) != ok {
			t.Errorf("purpose %s: %v", purpose, err)
		}
	}
}
