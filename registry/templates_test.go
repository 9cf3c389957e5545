package registry_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/registrytest"
)

// TestGrantTemplate: a template fills a grant, what both say is refused, and neither
// the template's change nor its end touches what was issued.
func TestGrantTemplate(t *testing.T) {
	h := registrytest.New(t)
	ctx, call := t.Context(), h.Call()
	level := 0
	put := func(tpl registry.GrantTemplate) registry.Outcome[registry.GrantTemplate] {
		t.Helper()
		out, err := h.PutGrantTemplate(ctx, call, registry.HouseOrg, tpl)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	reader := registry.GrantTemplate{
		Name: "reader", Capabilities: "read:invoices;execute:none", Audience: []string{"https://erp.example"}, Domain: "finance",
		AuthorityLevel: &level, Delegation: 2, Lifetime: 3600, Budgets: []string{"count(read:invoices)<=10 per 3600s"},
	}
	first := put(reader)
	if len(first.Events) != 1 || first.Value.Capabilities != "execute:none; read:invoices" && first.Value.Capabilities != "read:invoices; execute:none" {
		t.Errorf("%+v", first)
	}
	if again := put(reader); len(again.Events) != 0 {
		t.Errorf("the same again is recorded: %+v", again.Events)
	}
	put(registry.GrantTemplate{Name: "bare", Capabilities: "read:invoices"})

	a := h.NewAgent(t, "a")
	g, err := h.IssueGrant(ctx, call, registry.NewGrant{Agent: a.ID, Template: "reader", Workflow: "closing"})
	if err != nil {
		t.Fatal(err)
	}
	got := g.Value
	want := registry.Grant{
		Capabilities: first.Value.Capabilities, Audience: []string{"https://erp.example"}, Domain: "finance", Workflow: "closing", Delegation: 2, Expires: got.NotBefore.Add(time.Hour),
		Budgets: []string{"count(read:invoices) <= 10 per 1h"},
	}
	if diff := cmp.Diff(want, registry.Grant{Capabilities: got.Capabilities, Audience: got.Audience, Domain: got.Domain, Workflow: got.Workflow,
		AuthorityLevel: got.AuthorityLevel, Delegation: got.Delegation, Expires: got.Expires, Budgets: got.Budgets}); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	one := 1
	for field, in := range map[string]registry.NewGrant{
		"/capabilities":    {Capabilities: "read:invoices"},
		"/audience":        {Audience: []string{"https://erp.example"}},
		"/budgets":         {Budgets: []string{"count(*) <= 5"}},
		"/domain":          {Domain: "finance"},
		"/authority_level": {AuthorityLevel: &one},
		"/delegation":      {Delegation: 1},
		"/expires":         {Expires: h.Clock.Now().Add(time.Minute)},
	} {
		in.Agent, in.Template = a.ID, "reader"
		var e *registry.Error
		if _, err := h.IssueGrant(ctx, call, in); !errors.As(err, &e) || e.Field != field {
			t.Errorf("%s said twice: %v", field, err)
		}
		if in.Template = "bare"; field != "/capabilities" {
			if _, err := h.IssueGrant(ctx, call, in); err != nil {
				t.Errorf("%s left to the request: %v", field, err)
			}
		}
	}
	var e *registry.Error
	if _, err := h.IssueGrant(ctx, call, registry.NewGrant{Agent: a.ID, Template: "none"}); !errors.As(err, &e) || e.Field != "/template" {
		t.Errorf("of no template: %v", err)
	}

	if _, err := h.DeleteGrantTemplate(ctx, call, registry.HouseOrg, "reader"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.FindGrantTemplate(ctx, h.Operator, "", "reader"); !errors.Is(err, registry.NotFound) {
		t.Errorf("after its end: %v", err)
	}
	if left, err := h.FindGrant(ctx, h.Operator, got.ID); err != nil || left.Status != registry.GrantActive {
		t.Errorf("a grant of it: %+v, %v", left, err)
	}
	list, err := h.ListGrantTemplates(ctx, h.Operator, "", registry.Page{Limit: 10})
	if err != nil || len(list) != 1 || list[0].Name != "bare" {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestGrantTemplateRefused(t *testing.T) {
	h := registrytest.New(t)
	nine := 9
	for name, c := range map[string]struct {
		tpl   registry.GrantTemplate
		field string
	}{
		"no word":         {registry.GrantTemplate{Name: "A reader", Capabilities: "read:x"}, "/name"},
		"no capabilities": {registry.GrantTemplate{Name: "a"}, "/capabilities"},
		"no level":        {registry.GrantTemplate{Name: "a", Capabilities: "read:x", AuthorityLevel: &nine}, "/authority_level"},
		"too long":        {registry.GrantTemplate{Name: "a", Capabilities: "read:x", Lifetime: int64(registry.MaxGrantLife/time.Second) + 1}, "/lifetime"},
		"too deep":        {registry.GrantTemplate{Name: "a", Capabilities: "read:x", Delegation: 8}, "/delegation"},
		"no server":       {registry.GrantTemplate{Name: "a", Capabilities: "read:x", Audience: []string{"not a url"}}, "/audience/0"},
		"no domain":       {registry.GrantTemplate{Name: "a", Capabilities: "read:x", Domain: "A b"}, "/domain"},
	} {
		var e *registry.Error
		if _, err := h.PutGrantTemplate(t.Context(), h.Call(), "", c.tpl); !errors.As(err, &e) || e.Field != c.field {
			t.Errorf("%s: %v, want it at %s", name, err, c.field)
		}
	}
	auditor := h.Human(t, "", registry.RoleAuditor)
	if _, err := h.PutGrantTemplate(t.Context(), auditor.Call(), "", registry.GrantTemplate{Name: "a", Capabilities: "read:x"}); !errors.Is(err, registry.Denied) {
		t.Errorf("an auditor: %v", err)
	}
}
