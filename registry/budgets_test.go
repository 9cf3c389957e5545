package registry_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/capability"
	"github.com/writ-registry/writ/registry/registrytest"
)

// TestRefund: only what was redeemed at the registry, and then not executed by the
// resource's signed word, is given back, once and to the window it was taken from.
func TestRefund(t *testing.T) {
	redeem := func(t *testing.T, p *permits, token, _ string) {
		if _, err := p.RedeemPermit(t.Context(), p.pep, token); err != nil {
			t.Fatal(err)
		}
	}
	report := func(outcome string) func(*testing.T, *permits, string, string) {
		return func(t *testing.T, p *permits, _, id string) {
			if _, err := p.report(id, outcome); err != nil {
				t.Fatal(err)
			}
		}
	}
	silence := func(t *testing.T, p *permits, _, _ string) { p.Clock.Add(20 * time.Minute); p.settle() }
	for name, c := range map[string]struct {
		steps []func(t *testing.T, p *permits, token, id string)
		used  string
	}{
		"issued":                     {nil, "7"},
		"redeemed":                   {[]func(*testing.T, *permits, string, string){redeem}, "7"},
		"not executed":               {[]func(*testing.T, *permits, string, string){redeem, report(capability.NotExecuted)}, "0"},
		"not executed, twice":        {[]func(*testing.T, *permits, string, string){redeem, report(capability.NotExecuted), report(capability.NotExecuted)}, "0"},
		"not executed, not redeemed": {[]func(*testing.T, *permits, string, string){report(capability.NotExecuted)}, "7"},
		"not executed, but unknown":  {[]func(*testing.T, *permits, string, string){redeem, silence, report(capability.NotExecuted)}, "7"},
		"unknown":                    {[]func(*testing.T, *permits, string, string){redeem, silence}, "7"},
		"executed":                   {[]func(*testing.T, *permits, string, string){redeem, report(capability.Executed)}, "7"},
		"failed":                     {[]func(*testing.T, *permits, string, string){redeem, report(capability.Failed)}, "7"},
		"compensated":                {[]func(*testing.T, *permits, string, string){redeem, report(capability.Executed), report(capability.Compensated)}, "7"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPermits(t)
			p.t = t
			p.grant = p.agent.Grant(t, "create:shipment", func(n *registry.NewGrant) {
				n.Audience, n.Budgets = []string{dock}, []string{"sum(create:shipment, weight) <= 10 per 1h"}
			})
			p.args = `{"weight":7}`
			token, id := p.permit()
			for _, step := range c.steps {
				step(t, p, token, id)
			}
			list, err := p.GrantBudgets(t.Context(), p.Operator, p.grant.ID, registry.Page{})
			if err != nil || len(list) != 1 || list[0].Used.String() != c.used {
				t.Errorf("%+v, %v, want %s used", list, err, c.used)
			}
		})
	}
	t.Run("of a window that is over", func(t *testing.T) {
		p := newPermits(t)
		p.grant = p.agent.Grant(t, "create:shipment", func(n *registry.NewGrant) {
			n.Audience, n.Budgets = []string{dock}, []string{"count(create:shipment) <= 1 per 10s"}
		})
		token, id := p.permit()
		redeem(t, p, token, id)
		p.Clock.Add(10 * time.Second)
		second, _ := p.permit()
		redeem(t, p, second, "")
		report(capability.NotExecuted)(t, p, token, id)
		list, err := p.GrantBudgets(t.Context(), p.Operator, p.grant.ID, registry.Page{})
		if err != nil || len(list) != 1 || list[0].Left.String() != "0" {
			t.Errorf("%+v, %v: the window that runs is not the one it was taken from", list, err)
		}
	})
}

func TestGrantWithBudgets(t *testing.T) {
	h := registrytest.New(t)
	a := h.NewAgent(t, "a")
	g := a.Grant(t, "pay:invoice", func(n *registry.NewGrant) {
		n.Budgets = []string{"sum(pay:invoice,amount)<=10000 per 1440m", "count(*) <= 5", "count(*)<=5"}
	})
	want := []string{"count(*) <= 5", "sum(pay:invoice, amount) <= 10000 per 24h"}
	if !slices.Equal(g.Budgets, want) {
		t.Errorf("got %q", g.Budgets)
	}
	token, err := capability.ParseGrant(g.Token)
	if err != nil || !slices.Equal(token.Claims().Budgets.Texts(), want) {
		t.Errorf("token %v, %v", token, err)
	}
	events, err := h.ListEvents(t.Context(), h.Operator, "", a.ID, registry.EventFilter{Type: registry.EventGrantIssued})
	if err != nil || len(events) != 1 {
		t.Fatalf("%d events, %v", len(events), err)
	}
	form, err := canon.Marshal(want)
	if err != nil || !strings.Contains(string(events[0].Artifact), `"budgets":"`+canon.Digest(form)+`"`) {
		t.Errorf("%s, %v", events[0].Artifact, err)
	}
	for field, budgets := range map[string][]string{
		"/budgets/1": {"count(*) <= 5", "count(*) <= 0"},
		"/budgets/8": slices.Repeat([]string{"count(*) <= 5"}, 9),
	} {
		_, err := h.IssueGrant(t.Context(), h.Call(), registry.NewGrant{Agent: a.ID, Capabilities: "pay:invoice", Budgets: budgets})
		var e *registry.Error
		if !errors.As(err, &e) || e.Kind != registry.Malformed || e.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	if list, err := h.GrantBudgets(t.Context(), h.Operator, a.Grant(t, "pay:invoice").ID, registry.Page{}); err != nil || len(list) != 0 {
		t.Errorf("a grant without: %+v, %v", list, err)
	}
	if _, err := h.GrantBudgets(t.Context(), h.Operator, registry.NewID(), registry.Page{}); !errors.Is(err, registry.NotFound) {
		t.Errorf("no grant: %v", err)
	}
}
