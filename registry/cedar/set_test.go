package cedar_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-registry/writ/registry/cedar"
)

var schema = cedar.Schema{
	Actions: []string{"read:invoices", "create:shipment", "execute:payment", "read:todo-item"},
	Types:   []string{"team"},
}

func compile(t testing.TB, text string) *cedar.Set {
	t.Helper()
	s, err := cedar.Compile(text, schema)
	if err != nil {
		t.Fatalf("%s\n%v", text, err)
	}
	return s
}

// TestCompileRefuses: every fault names its policy and place.
func TestCompileRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		text   string
		policy string
		line   int
		column int
		msg    string
	}{
		"no policy":          {"permit", "", 1, 7, "want ("},
		"missing semicolon":  {"permit(principal, action, resource)\n\nforbid(principal, action, resource);", "", 3, 7, "want ;"},
		"bad operator":       {"permit(principal, action, resource)\n  when { 1 ++ 2 };", "", 2, 15, "invalid primary"},
		"open string":        {`permit(principal == User::"a, action, resource);`, "", 1, 27, "not terminated"},
		"unknown action":     {"permit(principal, action, resource);\n\n forbid(principal, action == Action::\"fly:plane\", resource);", "policy1", 3, 2, "unrecognized action"},
		"unknown type":       {`@id("a") forbid(principal in Planet::"mars", action, resource);`, "a", 1, 1, "unrecognized entity type `Planet`"},
		"wrong resource":     {`forbid(principal, action == Action::"read:invoices", resource is shipment);`, "policy0", 1, 1, "applicable action"},
		"unknown context":    {`forbid(principal, action, resource) when { context.weather == "rain" };`, "policy0", 1, 1, "weather"},
		"wrong kind":         {`forbid(principal, action, resource) when { context.time.hour == "9" };`, "policy0", 1, 1, ""},
		"unguarded argument": {`forbid(principal, action, resource) when { context.arguments.amount > 5 };`, "policy0", 1, 1, "may be absent"},
		"unguarded property": {`permit(principal is User, action, resource) when { principal.department == "Sales" };`, "policy0", 1, 1, "may be absent"},
		"two kinds":          {`forbid(principal, action, resource) when { context.arguments has x && context.arguments.x > 5 && context.arguments.x like "a*" };`, "policy0", 1, 1, "`x` is used as a whole number and as text"},
		"no truth value":     {`forbid(principal, action, resource) when { 1 };`, "policy0", 1, 1, ""},
		"unknown attribute":  {`forbid(principal is Agent, action, resource) when { principal.colour == "red" };`, "policy0", 1, 1, "colour"},
		"id twice":           {"@id(\"a\") permit(principal, action, resource);\n@id(\"a\") forbid(principal, action, resource);", "a", 2, 1, "another policy has this id"},
		"id of another":      {"@id(\"policy1\") permit(principal, action, resource);\nforbid(principal, action, resource);", "policy1", 2, 1, "another policy"},
		"bad id":             {`@id("a b") permit(principal, action, resource);`, "policy0", 1, 1, "@id must be"},
		"step-up of permit":  {`@step_up("why") permit(principal, action, resource);`, "policy0", 1, 1, "is for forbid"},
		"too many":           {strings.Repeat("permit(principal,action,resource);\n", cedar.MaxPolicies+1), "", cedar.MaxPolicies + 1, 34, "more than 2000"},
		"too long":           {strings.Repeat(" ", cedar.MaxText+1), "", 1, 1, "longer than"},
		"too long a policy":  {"forbid(principal, action, resource) when { " + strings.Repeat("true && ", 3000) + "true };", "", 1, cedar.MaxPolicy + 2, "a policy longer"},
		"too deep":           {"forbid(principal, action, resource) when {\n" + strings.Repeat("(", 100000), "", 2, cedar.MaxNesting, "nested deeper"},
		"deep in a string":   {`permit(principal, action, resource) when { context.task == "((((((((((((((((((((((((((((((((((((((((" } ; x`, "", 1, 108, "unexpected effect"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := cedar.Compile(c.text, schema)
			var faults cedar.Faults
			if !errors.As(err, &faults) || len(faults) == 0 {
				t.Fatalf("got %v", err)
			}
			f := faults[0]
			if f.Policy != c.policy || f.Line != c.line || f.Column != c.column || !strings.Contains(f.Msg, c.msg) {
				t.Errorf("got %s", f.Error())
			}
			if f.Msg == "" {
				t.Error("a fault without words")
			}
		})
	}
}

// TestCompileAccepts: what an author would write, with whatever guard it needs.
func TestCompileAccepts(t *testing.T) {
	for _, text := range []string{
		``,
		"// nothing but a comment ((((",
		`permit(principal, action, resource);`,
		`forbid(principal is Agent, action == Action::"create:shipment", resource is shipment) when { context.arguments has weight && context.arguments.weight > 500 };`,
		`forbid(principal, action, resource) when { context.decimals has amount && context.decimals.amount.greaterThan(decimal("499.99")) };`,
		`forbid(principal is Agent, action, resource) when { principal.level < 3 && !principal.domains.contains("finance") };`,
		`permit(principal is User, action == Action::"read:invoices", resource) when { resource has owner && resource.owner == principal.id };`,
		`permit(principal in team::"sales", action in [Action::"read:invoices", Action::"read:todo-item"], resource);`,
		`forbid(principal, action, resource is todo_x2ditem) unless { context.time.hour >= 8 && context.time.weekday <= 5 };`,
		`forbid(principal, action, resource) when { context.risk.egress && context.origin.server != "https://erp.example" };`,
		`forbid(principal, action, resource) when { context.arguments has to && context.arguments.to has country && !["DE", "FR"].contains(context.arguments.to.country) };`,
		`forbid(principal, action, resource) when { context.arguments has tags && context.arguments.tags.contains("secret") };`,
		`forbid(principal, action, resource) when { context.arguments has to && context.arguments.to like "*@evil.example" };`,
		`forbid(principal == Agent::"did:web:a.example", action, resource == invoices::"7");`,
	} {
		if _, err := cedar.Compile(text, schema); err != nil {
			t.Errorf("%s\n%v", text, err)
		}
	}
}

func entity(t testing.TB, typ, id, properties string, parents ...cedar.UID) *cedar.Entity {
	t.Helper()
	e, err := cedar.NewEntity(cedar.UID{Type: typ, ID: id}, []byte(properties), parents)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func bot(level int, parents ...cedar.UID) *cedar.Entity {
	return cedar.Agent{DID: "did:web:a.example", Name: "bot", Domains: []string{"finance"}, Level: level}.Entity(parents)
}

// TestNarrow: what forbids say of an agent, and that what they cannot read is
// never silently not forbidden.
func TestNarrow(t *testing.T) {
	s := compile(t, `
@id("heavy") forbid(principal, action == Action::"create:shipment", resource) when { context.arguments has weight && context.arguments.weight > 500 };
@id("dear") @step_up("above the limit") forbid(principal, action == Action::"execute:payment", resource)
	when { context.decimals has amount && context.decimals.amount.greaterThan(decimal("499.99")) };
@id("junior") forbid(principal is Agent, action == Action::"execute:payment", resource) when { principal.level < 3 };
@id("night") forbid(principal, action, resource is invoices) unless { context.time.hour >= 8 && context.time.hour < 18 };
@id("quarantine") forbid(principal in team::"quarantine", action, resource);
@id("seven") forbid(principal, action, resource == invoices::"7");
@id("never") permit(principal, action, resource);
`)
	day, night := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC), time.Date(2026, 11, 23, 22, 0, 0, 0, time.UTC)
	ask := func(action, id, args string) cedar.Request {
		_, typ, _ := strings.Cut(action, ":")
		return cedar.Request{Principal: bot(3), Resource: entity(t, typ, id, ""), Action: action, Context: cedar.Context{Time: day, Arguments: []byte(args)}}
	}
	for name, c := range map[string]struct {
		req  cedar.Request
		with func(*cedar.Request)
		want cedar.Result
	}{
		"light":              {req: ask("create:shipment", "1", `{"weight":500}`)},
		"heavy":              {req: ask("create:shipment", "1", `{"weight":501}`), want: cedar.Result{Forbidden: []string{"heavy"}}},
		"whole by another":   {req: ask("create:shipment", "1", `{"weight":5.01e2}`), want: cedar.Result{Forbidden: []string{"heavy"}}},
		"weight as text":     {req: ask("create:shipment", "1", `{"weight":"501"}`), want: cedar.Result{Failed: []string{"heavy"}}},
		"weight with places": {req: ask("create:shipment", "1", `{"weight":1.5}`), want: cedar.Result{Failed: []string{"heavy"}}},
		"weight null":        {req: ask("create:shipment", "1", `{"weight":null}`), want: cedar.Result{Failed: []string{"heavy"}}},
		"no weight":          {req: ask("create:shipment", "1", `{}`)},
		"cheap":              {req: ask("execute:payment", "1", `{"amount":499.99}`)},
		"dear":               {req: ask("execute:payment", "1", `{"amount":500}`), want: cedar.Result{StepUps: []cedar.StepUp{{Policy: "dear", Reason: "above the limit"}}}},
		"amount as text":     {req: ask("execute:payment", "1", `{"amount":"1"}`), want: cedar.Result{Failed: []string{"dear"}}},
		"amount beyond":      {req: ask("execute:payment", "1", `{"amount":1e300}`), want: cedar.Result{Failed: []string{"dear"}}},
		"junior":             {req: ask("execute:payment", "1", `{}`), with: func(r *cedar.Request) { r.Principal = bot(2) }, want: cedar.Result{Forbidden: []string{"junior"}}},
		"day":                {req: ask("read:invoices", "1", ``)},
		"night":              {req: ask("read:invoices", "1", ``), with: func(r *cedar.Request) { r.Context.Time = night }, want: cedar.Result{Forbidden: []string{"night"}}},
		"one resource":       {req: ask("read:invoices", "7", ``), want: cedar.Result{Forbidden: []string{"seven"}}},
		"same id elsewhere":  {req: ask("read:todo-item", "7", ``)},
		"in a group": {req: ask("create:shipment", "1", ``), with: func(r *cedar.Request) { r.Principal = bot(3, cedar.UID{Type: "team", ID: "quarantine"}) },
			want: cedar.Result{Forbidden: []string{"quarantine"}}},
		"in a group of a group": {req: ask("create:shipment", "1", ``), with: func(r *cedar.Request) {
			r.Principal = bot(3, cedar.UID{Type: "team", ID: "new"})
			r.Groups = []*cedar.Entity{entity(t, "team", "new", "", cedar.UID{Type: "team", ID: "quarantine"})}
		}, want: cedar.Result{Forbidden: []string{"quarantine"}}},
	} {
		t.Run(name, func(t *testing.T) {
			if c.with != nil {
				c.with(&c.req)
			}
			got, err := s.Narrow(c.req)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestEvaluate: others need a permit, and a permit that fails permits nothing.
func TestEvaluate(t *testing.T) {
	s := compile(t, `
@id("own") permit(principal is User, action == Action::"read:invoices", resource) when { resource has owner && resource.owner == principal.id };
@id("sales") permit(principal in team::"sales", action, resource);
@id("grade") permit(principal is User, action == Action::"create:shipment", resource) when { principal has grade && principal.grade > 3 };
@id("away") forbid(principal is User, action, resource) when { principal has away && principal.away };
`)
	sales := []cedar.UID{{Type: "team", ID: "sales"}}
	for name, c := range map[string]struct {
		principal, resource *cedar.Entity
		action              string
		want                cedar.Result
	}{
		"own":         {entity(t, "user", "ann", ``), entity(t, "invoices", "1", `{"owner":"ann"}`), "read:invoices", cedar.Result{Permitted: []string{"own"}}},
		"another's":   {entity(t, "user", "ann", ``), entity(t, "invoices", "1", `{"owner":"bob"}`), "read:invoices", cedar.Result{}},
		"nobody's":    {entity(t, "user", "ann", ``), entity(t, "invoices", "1", ``), "read:invoices", cedar.Result{}},
		"a group":     {entity(t, "user", "ann", ``, sales...), entity(t, "shipment", "1", ``), "create:shipment", cedar.Result{Permitted: []string{"sales"}}},
		"both":        {entity(t, "user", "ann", `{"away":true}`, sales...), entity(t, "shipment", "1", ``), "create:shipment", cedar.Result{Permitted: []string{"sales"}, Forbidden: []string{"away"}}},
		"fails":       {entity(t, "user", "ann", `{"grade":"4"}`), entity(t, "shipment", "1", ``), "create:shipment", cedar.Result{}},
		"failed no":   {entity(t, "user", "ann", `{"away":"yes"}`, sales...), entity(t, "shipment", "1", ``), "create:shipment", cedar.Result{Permitted: []string{"sales"}, Failed: []string{"away"}}},
		"false id":    {entity(t, "user", "ann", `{"id":"bob"}`), entity(t, "invoices", "1", `{"owner":"bob"}`), "read:invoices", cedar.Result{}},
		"capital":     {entity(t, "User", "ann", ``), entity(t, "invoices", "1", `{"owner":"ann"}`), "read:invoices", cedar.Result{}},
		"other group": {entity(t, "user", "ann", ``, cedar.UID{Type: "Team", ID: "sales"}), entity(t, "shipment", "1", ``), "create:shipment", cedar.Result{}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := s.Evaluate(cedar.Request{Principal: c.principal, Resource: c.resource, Action: c.action})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDigest(t *testing.T) {
	const a, b = `@id("a") permit(principal, action, resource);`, `@id("b") forbid(principal, action, resource) when { context.task == "x" };`
	same := compile(t, a+b).Digest()
	for _, text := range []string{b + a, "// why\n" + a + "\n\n" + strings.ReplaceAll(b, " ", "\n ")} {
		if got := compile(t, text).Digest(); got != same {
			t.Errorf("%s: another digest", text)
		}
	}
	for _, text := range []string{a, b, strings.Replace(a+b, `"x"`, `"y"`, 1), strings.Replace(a+b, `"b"`, `"c"`, 1), strings.Replace(a+b, "forbid", "permit", 1), ``} {
		if got := compile(t, text).Digest(); got == same {
			t.Errorf("%s: the same digest", text)
		}
	}
}

// TestLargestSet: as many policies as there may be, over as many actions, are
// validated in reasonable time and every one of them is found.
func TestLargestSet(t *testing.T) {
	var text strings.Builder
	wide := cedar.Schema{}
	for i := range 1000 {
		wide.Actions = append(wide.Actions, fmt.Sprintf("read:t%d", i%50)+fmt.Sprintf("x%d", i))
	}
	for i := range cedar.MaxPolicies {
		fmt.Fprintf(&text, "forbid(principal, action == Action::%q, resource) when { context.arguments has n && context.arguments.n == %d };\n", wide.Actions[i%1000], i)
	}
	s, err := cedar.Compile(text.String(), wide)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{0, 999, 1000, 1999} {
		action := wide.Actions[i%1000]
		got, err := s.Narrow(cedar.Request{Principal: bot(3), Resource: entity(t, action[5:], "1", ""), Action: action, Context: cedar.Context{Arguments: fmt.Appendf(nil, `{"n":%d}`, i)}})
		if err != nil || !cmp.Equal(got.Forbidden, []string{fmt.Sprintf("policy%d", i)}) {
			t.Errorf("policy %d: %v %v", i, got, err)
		}
	}
}

func FuzzCompile(f *testing.F) {
	for _, seed := range []string{
		`permit(principal, action, resource);`, `@id("a") @step_up("b") forbid(principal is Agent, action == Action::"read:invoices", resource) when { context.arguments has x && context.arguments.x > 5 };`,
		`forbid(principal in team::"x", action in [Action::"read:invoices"], resource is invoices in team::"y") unless { context.decimals has a && context.decimals.a.lessThan(decimal("1.5")) };`,
		`permit(principal, action, resource) when { if principal has a then principal.a.b.c == resource.d else ["x", "y"].containsAny(resource.e) || !(-1 * 2 + 3 > context.time.hour) };`,
		`forbid(principal, action, resource) when { {"a": context}.a.domain like "\*x*" && ip("10.0.0.1").isInRange(ip("10.0.0.0/8")) && principal.hasTag("x") };`,
	} {
		f.Add(seed)
	}
	req := cedar.Request{Principal: bot(3), Resource: entity(f, "invoices", "7", `{"d":1,"e":["x"]}`), Action: "read:invoices", Context: cedar.Context{Arguments: []byte(`{"x":6,"a":1.25}`)}}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := cedar.Compile(text, schema)
		if err != nil {
			var faults cedar.Faults
			if !errors.As(err, &faults) || len(faults) == 0 || faults[0].Line < 1 || faults[0].Column < 1 {
				t.Fatalf("a refusal without a place: %v", err)
			}
			return
		}
		if s.Len() != len(s.IDs()) || s.Digest() == "" {
			t.Fatal("a set without names or digest")
		}
		narrow, err := s.Narrow(req)
		if err != nil {
			t.Fatal(err)
		}
		whole, err := s.Evaluate(req)
		if err != nil {
			t.Fatal(err)
		}
		whole.Permitted = nil
		if diff := cmp.Diff(narrow, whole); diff != "" {
			t.Fatalf("forbids say two things: %s", diff)
		}
	})
}

// BenchmarkNarrow is what a set of 1,000 policies adds to a decision. In "spread"
// they are for 100 actions; in "agents" each is for one agent; in "all" every one
// must be evaluated.
func BenchmarkNarrow(b *testing.B) {
	wide := cedar.Schema{}
	for i := range 100 {
		wide.Actions = append(wide.Actions, fmt.Sprintf("read:t%d", i))
	}
	for name, policy := range map[string]func(i int) string{
		"spread": func(i int) string {
			return fmt.Sprintf("forbid(principal is Agent, action == Action::%q, resource) when { context.arguments has n && context.arguments.n > %d };", wide.Actions[i%100], 1000+i)
		},
		"agents": func(i int) string {
			return fmt.Sprintf("forbid(principal == Agent::\"did:web:a%d.example\", action, resource) when { context.time.hour > 25 };", i)
		},
		"all": func(i int) string {
			return fmt.Sprintf("forbid(principal, action, resource) when { context.risk.level > %d };", 10+i)
		},
		"one": func(i int) string {
			if i > 0 {
				return ""
			}
			return "forbid(principal, action, resource) when { context.risk.level > 10 };"
		},
	} {
		var text strings.Builder
		for i := range 1000 {
			text.WriteString(policy(i) + "\n")
		}
		s, err := cedar.Compile(text.String(), wide)
		if err != nil {
			b.Fatal(err)
		}
		req := cedar.Request{Principal: bot(3), Resource: entity(b, "t7", "1", ""), Action: "read:t7", Context: cedar.Context{Time: time.Unix(1, 0), Arguments: []byte(`{"n":5,"to":"x"}`)}}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if got, err := s.Narrow(req); err != nil || got.Forbidden != nil {
					b.Fatal(got, err)
				}
			}
		})
	}
}
