package policy_test

import (
	"testing"

	"github.com/writ-registry/writ/internal/hotstate"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/policy"
	"github.com/writ-registry/writ/registry/registrytest"
)

// TestNothingRememberedOutlivesAStop: what a decision point remembers of an
// agent and its grant is gone the moment that authority moves, by whatever use
// case, in this process and in another one at the same database, which nobody
// has told.
func TestNothingRememberedOutlivesAStop(t *testing.T) {
	for _, c := range []struct {
		name string
		stop func(t *testing.T, h *registrytest.House, a *registrytest.Agent, g registry.Grant) error
		want policy.Code
	}{
		{"kill everything", kill(registry.ScopeGlobal), policy.KillGlobal},
		{"kill the org", kill(registry.ScopeOrg), policy.KillOrg},
		{"kill the agent", kill(registry.ScopeAgent), policy.KillAgent},
		{"kill the grant", kill(registry.ScopeGrant), policy.KillGrant},
		{"suspend", func(t *testing.T, h *registrytest.House, a *registrytest.Agent, _ registry.Grant) error {
			_, err := h.SuspendAgent(t.Context(), h.Call(), a.ID, "drill")
			return err
		}, policy.AgentSuspended},
		{"revoke the agent", func(t *testing.T, h *registrytest.House, a *registrytest.Agent, _ registry.Grant) error {
			_, err := h.RevokeAgent(t.Context(), h.Call(), a.ID, "drill")
			return err
		}, policy.AgentRevoked},
		{"revoke the grant", func(t *testing.T, h *registrytest.House, _ *registrytest.Agent, g registry.Grant) error {
			_, err := h.RevokeGrant(t.Context(), h.Call(), g.ID, "drill")
			return err
		}, policy.GrantRevoked},
		{"a stricter catalogue", func(t *testing.T, h *registrytest.House, _ *registrytest.Agent, _ registry.Grant) error {
			h.Catalogue(t, registry.CatalogueAction{Action: "read:invoices", Reversibility: registry.Reversible, MinLevel: 4},
				registry.CatalogueAction{Action: "create:shipment", Reversibility: registry.Reversible, Material: true, MinLevel: 4})
			return nil
		}, policy.LevelTooLow},
		{"held to nothing", func(t *testing.T, h *registrytest.House, a *registrytest.Agent, _ registry.Grant) error {
			_, err := h.SetActions(t.Context(), h.Call(), a.ID, nil)
			return err
		}, policy.ActionRefused},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			h := registrytest.Open(t, dir)
			if _, err := h.Bootstrap(t.Context(), "writ_principal_test"); err != nil {
				t.Fatal(err)
			}
			var err error
			if h.Operator, err = h.Authenticate(t.Context(), "writ_principal_test"); err != nil {
				t.Fatal(err)
			}
			h.Catalogue(t, registry.CatalogueAction{Action: "read:invoices", Reversibility: registry.Reversible},
				registry.CatalogueAction{Action: "create:shipment", Reversibility: registry.Reversible, Material: true})
			a := h.NewAgent(t, "a")
			g := a.Grant(t, "read:invoices; create:shipment")
			if err := h.PDP.Remember(t.Context(), &hotstate.Memory{}); err != nil {
				t.Fatal(err)
			}
			houses := map[string]*registrytest.House{"this process": h, "another": registrytest.Open(t, dir)}
			for name, house := range houses {
				for _, verb := range [][2]string{{"read", "invoices"}, {"create", "shipment"}} {
					if d := decide(t, house, a.Direct(), a.Ask(t, g, verb[0], verb[1], "1", "")); d.Verdict != policy.Permit {
						t.Fatalf("%s: %+v", name, d)
					}
				}
			}
			if err := c.stop(t, h, a, g); err != nil {
				t.Fatal(err)
			}
			if v, err := h.PDP.Verify(t.Context(), a.Direct().Caller, a.Ask(t, g, "read", "invoices", "1", "")); c.want != policy.LevelTooLow && c.want != policy.ActionRefused && (err != nil || v.Active) {
				t.Errorf("verified: %+v, %v", v, err)
			}
			for name, house := range houses {
				for _, verb := range [][2]string{{"read", "invoices"}, {"create", "shipment"}} {
					if d := decide(t, house, a.Direct(), a.Ask(t, g, verb[0], verb[1], "1", "")); d.Verdict != policy.Deny || codes(d)[0] != c.want {
						t.Errorf("%s, %v: %+v", name, verb, d)
					}
				}
			}
		})
	}
}

func kill(kind registry.ScopeKind) func(*testing.T, *registrytest.House, *registrytest.Agent, registry.Grant) error {
	return func(t *testing.T, h *registrytest.House, a *registrytest.Agent, g registry.Grant) error {
		id := map[registry.ScopeKind]string{registry.ScopeOrg: a.Org, registry.ScopeAgent: a.ID, registry.ScopeGrant: g.ID}[kind]
		_, err := h.SetKill(t.Context(), h.Call(), registry.Scope{Kind: kind, ID: id}, "drill")
		return err
	}
}
