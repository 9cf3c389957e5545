package capability

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-registry/writ/internal/canon"
)

const weight = "create:shipment(max_weight<=500)"

var matchCases = []struct {
	set, action, resource, args string
	reason                      string // "" is covered
}{
	{"read:invoices", "read", "invoices", "", ""},
	{"read:invoices", "read", "invoices", `{"anything":[null]}`, ""},
	{"read:invoices", "read", "invoice", "", ReasonMissing},
	{"read:invoices", "Read", "invoices", "", ReasonMissing},
	{"read:invoices", "", "", "", ReasonMissing},
	{"read:invoices", "read", "invoices", `[]`, ReasonArgument},
	{"read:invoices", "read", "invoices", `{"a":1,"a":2}`, ReasonArgument},
	{"read:invoices", "read", "invoices", `null`, ReasonArgument},
	{"execute:none; execute:script", "execute", "script", "", ReasonNone},
	{"execute:none", "execute", "none", "", ReasonNone},

	// The world is closed once there are parentheses.
	{weight, "create", "shipment", `{"max_weight":500}`, ""},
	{weight, "create", "shipment", `{"max_weight":5.0e2}`, ""},
	{weight, "create", "shipment", `{"max_weight":500.00000000000006}`, ReasonArgument},
	{weight, "create", "shipment", `{"max_weight":501}`, ReasonArgument},
	{weight, "create", "shipment", `{"max_weight":"1"}`, ReasonArgument},
	{weight, "create", "shipment", `{"max_weight":null}`, ReasonArgument},
	{weight, "create", "shipment", `{"max_weight":[1]}`, ReasonArgument},
	{weight, "create", "shipment", `{"Max_weight":1}`, ReasonArgument},
	{weight, "create", "shipment", `{"max_weight":1,"x":1}`, ReasonArgument},
	{weight, "create", "shipment", `{}`, ReasonArgument},
	{weight, "create", "shipment", "", ReasonArgument},
	{"a:b()", "a", "b", "", ""},
	{"a:b()", "a", "b", "{}", ""},
	{"a:b()", "a", "b", `{"x":null}`, ReasonArgument},
	{"a:b(x)", "a", "b", `{"x":{"deep":[1]}}`, ""},
	{"a:b(x)", "a", "b", "", ""},
	{"a:b(x)", "a", "b", `{"y":1}`, ReasonArgument},
	{"a:b(); a:b(x)", "a", "b", `{"x":1}`, ""},

	// Comparisons.
	{"a:b(x==0.1)", "a", "b", `{"x":0.10}`, ""},
	{"a:b(x==0.3)", "a", "b", `{"x":0.30000000000000004}`, ReasonArgument},
	{"a:b(x==0)", "a", "b", `{"x":-0}`, ""},
	{"a:b(x<0.1)", "a", "b", `{"x":0.1}`, ReasonArgument},
	{"a:b(x>=1, x<2)", "a", "b", `{"x":1.5}`, ""},
	{"a:b(x>=1, x<2)", "a", "b", `{"x":2}`, ReasonArgument},
	{"a:b(x>1)", "a", "b", `{"x":1}`, ReasonArgument},
	{"a:b(x==1)", "a", "b", `{"x":"1"}`, ReasonArgument},
	{"a:b(x==true)", "a", "b", `{"x":"true"}`, ReasonArgument},
	{"a:b(x==true)", "a", "b", `{"x":true}`, ""},
	{`a:b(x=="é")`, "a", "b", `{"x":"\u00e9"}`, ""},
	{`a:b(x=="é")`, "a", "b", `{"x":"e\u0301"}`, ReasonArgument},
	{"a:b(x in [c, 2])", "a", "b", `{"x":2}`, ""},
	{"a:b(x in [c, 2])", "a", "b", `{"x":"2"}`, ReasonArgument},
	{"a:b(x!=prod)", "a", "b", `{"x":"test"}`, ""},
	{"a:b(x!=prod)", "a", "b", `{"x":"prod"}`, ReasonArgument},
	{"a:b(x!=prod)", "a", "b", `{"x":["prod"]}`, ReasonArgument},
	{"a:b(x!=prod)", "a", "b", `{"x":null}`, ReasonArgument},
	{"a:b(x!=prod)", "a", "b", `{"x":1}`, ReasonArgument},
	{"a:b(x!=prod)", "a", "b", `{}`, ReasonArgument},
	{"a:b(x not in [p, 1])", "a", "b", `{"x":2}`, ""},
	{"a:b(x not in [p, 1])", "a", "b", `{"x":1}`, ReasonArgument},
	{"a:b(x not in [p, 1])", "a", "b", `{"x":true}`, ReasonArgument},
	{`a:b(x^="/data/")`, "a", "b", `{"x":"/data/1"}`, ""},
	{`a:b(x^="/data/")`, "a", "b", `{"x":"/dat"}`, ReasonArgument},
	{`a:b(x^="1")`, "a", "b", `{"x":12}`, ReasonArgument},

	// Arrays, paths, networks, wildcards, combinations.
	{"a:b(x contains [1, c])", "a", "b", `{"x":["c",2,1]}`, ""},
	{"a:b(x contains [1, c])", "a", "b", `{"x":["c","1"]}`, ReasonArgument},
	{"a:b(x contains [1])", "a", "b", `{"x":1}`, ReasonArgument},
	{"a:b(x contains [1])", "a", "b", `{"x":[1,[1]]}`, ReasonArgument},
	{"a:b(x subset [1, c])", "a", "b", `{"x":[]}`, ""},
	{"a:b(x subset [1, c])", "a", "b", `{"x":["c","c"]}`, ""},
	{"a:b(x subset [1, c])", "a", "b", `{"x":["c",2]}`, ReasonArgument},
	{"a:b(x subset [1, c])", "a", "b", `{"x":["c",null]}`, ReasonArgument},
	{"a:b(x==1)", "a", "b", `{"x":[1]}`, ReasonArgument},
	{`a:b(x subpath "/data")`, "a", "b", `{"x":"/data"}`, ""},
	{`a:b(x subpath "/data")`, "a", "b", `{"x":"/data/a.b/..c"}`, ""},
	{`a:b(x subpath "/")`, "a", "b", `{"x":"/etc"}`, ""},
	{`a:b(x subpath "/")`, "a", "b", `{"x":"etc"}`, ReasonArgument},
	{`a:b(x subpath data)`, "a", "b", `{"x":"data/1"}`, ""},
	{`a:b(x subpath data)`, "a", "b", `{"x":"/data/1"}`, ReasonArgument},
	{`a:b(x subpath "/data")`, "a", "b", `{"x":"/database"}`, ReasonArgument},
	{`a:b(x subpath "/data")`, "a", "b", `{"x":"/data/../etc"}`, ReasonArgument},
	{`a:b(x subpath "/data")`, "a", "b", `{"x":"/data/./a"}`, ReasonArgument},
	{`a:b(x subpath "/data")`, "a", "b", `{"x":"/data//a"}`, ReasonArgument},
	{`a:b(x subpath "/data")`, "a", "b", `{"x":"/data/"}`, ReasonArgument},
	{`a:b(x subpath "/data")`, "a", "b", `{"x":"/data/..\\etc"}`, ReasonArgument},
	{`a:b(x subpath "/data")`, "a", "b", `{"x":"/data/%2e%2e/etc"}`, ReasonArgument},
	{`a:b(x subpath "/data")`, "a", "b", `{"x":"/data/a\u0000"}`, ReasonArgument},
	{`a:b(x subpath "/data")`, "a", "b", `{"x":""}`, ReasonArgument},
	{`a:b(x cidr "10.0.0.0/8")`, "a", "b", `{"x":"10.255.0.1"}`, ""},
	{`a:b(x cidr "10.0.0.0/8")`, "a", "b", `{"x":"11.0.0.1"}`, ReasonArgument},
	{`a:b(x cidr "10.0.0.0/8")`, "a", "b", `{"x":"::ffff:10.0.0.1"}`, ReasonArgument},
	{`a:b(x cidr "10.0.0.0/8")`, "a", "b", `{"x":"010.0.0.1"}`, ReasonArgument},
	{`a:b(x cidr "10.0.0.0/8")`, "a", "b", `{"x":"10.0.0.0/16"}`, ReasonArgument},
	{`a:b(x cidr "fe80::/10")`, "a", "b", `{"x":"fe80::1"}`, ""},
	{`a:b(x cidr "fe80::/10")`, "a", "b", `{"x":"fe80::1%eth0"}`, ReasonArgument},
	{`a:b(x wildcard "inv-*")`, "a", "b", `{"x":"inv-7"}`, ""},
	{`a:b(x wildcard "inv-*")`, "a", "b", `{"x":"inv-7/8"}`, ReasonArgument},
	{`a:b(x wildcard "inv-**")`, "a", "b", `{"x":"inv-7/8"}`, ""},
	{`a:b(x wildcard "a\\*")`, "a", "b", `{"x":"a*"}`, ""},
	{`a:b(x wildcard "a\\*")`, "a", "b", `{"x":"ab"}`, ReasonArgument},
	{`a:b(x wildcard "1")`, "a", "b", `{"x":1}`, ReasonArgument},
	{"a:b(x any(<5, ==10, all(>20, <30)))", "a", "b", `{"x":25}`, ""},
	{"a:b(x any(<5, ==10, all(>20, <30)))", "a", "b", `{"x":10}`, ""},
	{"a:b(x any(<5, ==10, all(>20, <30)))", "a", "b", `{"x":30}`, ReasonArgument},
	{"a:b(x any(<5, ==10, all(>20, <30)))", "a", "b", `{}`, ReasonArgument},
	{"a:b(x all(^=a, ^=ab))", "a", "b", `{"x":"abc"}`, ""},
	{"a:b(x all(^=a, ^=ab))", "a", "b", `{"x":"ac"}`, ReasonArgument},

	// Patterns.
	{"a:b/x", "a", "b/x", "", ""},
	{"a:b/x", "a", "b/xy", "", ReasonMissing},
	{"a:b/x*", "a", "b/x", "", ""},
	{"a:b/x*", "a", "b/xy", "", ""},
	{"a:b/x*", "a", "b/x/y", "", ReasonMissing},
	{"a:b/x**", "a", "b/x/y", "", ""},
	{"a:b/**/*.pdf", "a", "b/q/w/e.pdf", "", ""},
	{"a:b/**/*.pdf", "a", "b/e.pdf", "", ReasonMissing},
	{"a:b/*", "a", "b/", "", ""},
	{`a:b/\*`, "a", "b/*", "", ""},
	{`a:b/\*`, "a", "b/x", "", ReasonMissing},
	{"a:b/*a*b", "a", "b/aab", "", ""},
	{"a:b/*a*b", "a", "b/aaba", "", ReasonMissing},
	{"a:b/É", "a", "b/É", "", ""},
	{"a:b/**", "a", "b/" + strings.Repeat("x", maxMatchedID+1), "", ReasonMissing},
}

func TestMatch(t *testing.T) {
	for _, c := range matchCases {
		kind, id, _ := strings.Cut(c.resource, "/")
		got := MustParse(c.set).Match(Act{Action: c.action, Resource: Resource{kind, id}, Arguments: json.RawMessage(c.args)})
		if got.Reason != c.reason || got.Covered != (c.reason == "") || (got.Detail == "") != got.Covered {
			t.Errorf("%s does %s %.40s %s: got %+v, want %q", c.set, c.action, c.resource, c.args, got, c.reason)
		}
	}
	if got := (Set{}).Match(Act{}); got.Reason != ReasonMissing {
		t.Errorf("the empty set: got %+v", got)
	}
}

func TestMatchNamesTheCapability(t *testing.T) {
	s := MustParse("create:shipment(max_weight<=5); create:shipment(max_weight<=500)")
	for args, want := range map[string]Match{
		`{"max_weight":50}`: {Covered: true, Capability: "create:shipment(max_weight<=500)"},
		`{"max_weight":501}`: {
			Reason: ReasonArgument, Capability: "create:shipment(max_weight<=5)",
			Detail: "argument max_weight is not within max_weight<=5",
		},
		`{"z":1,"max_weight":5,"b\u0000":1}`: {
			Reason: ReasonArgument, Capability: "create:shipment(max_weight<=5)",
			Detail: `argument "b\x00" is not permitted`,
		},
	} {
		got := s.Match(Act{Action: "create", Resource: Resource{Type: "shipment"}, Arguments: json.RawMessage(args)})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", args, diff)
		}
	}
}

// No pattern makes matching slow: a matcher that backtracks would not come back.
func TestMatchDoesNotBacktrack(t *testing.T) {
	s := MustParse("a:b/" + strings.Repeat("*a", 127) + "b")
	if m := s.Match(Act{Action: "a", Resource: Resource{"b", strings.Repeat("a", maxMatchedID)}}); m.Covered {
		t.Error("covered")
	}
}

func TestDigest(t *testing.T) {
	// The form is {"action":"create","arguments":{"a":[1,2.5],"b":"é"},
	// "resource":{"id":"7","type":"shipment"},"task":""}, hashed by sha256sum.
	const want = "kAYSyNmUB7R-ca213DkRcTACzeu3dLr3XnpO73fIEzM"
	a := Act{Action: "create", Resource: Resource{"shipment", "7"}, Arguments: json.RawMessage(` {"b":"\u00e9", "a":[1.0,2.50]}`)}
	got, err := a.Digest()
	if err != nil || got != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	digest := func(a Act) string {
		t.Helper()
		d, err := a.Digest()
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	if digest(Act{}) != digest(Act{Arguments: json.RawMessage("{}")}) {
		t.Error("no arguments and {} differ")
	}
	seen := map[string]bool{digest(Act{}): true}
	for _, other := range []Act{
		{Action: "x"}, {Resource: Resource{Type: "x"}}, {Resource: Resource{ID: "x"}}, {Task: "x"},
		{Arguments: json.RawMessage(`{"x":null}`)}, {Arguments: json.RawMessage(`{"x":""}`)},
	} {
		if d := digest(other); seen[d] {
			t.Errorf("%+v has the digest of another act", other)
		} else {
			seen[d] = true
		}
	}
	for _, bad := range []Act{
		{Arguments: json.RawMessage(`[]`)}, {Arguments: json.RawMessage(`{"a":1,"a":1}`)}, {Arguments: json.RawMessage(`{`)},
		{Arguments: json.RawMessage(`{"a":0.1000000000000000055511151231257827}`)}, {Action: "\xff"}, {Task: "\xff"},
		{Arguments: json.RawMessage("{\"a\":\"\xff\"}")}, {Arguments: json.RawMessage(`{} {}`)}, {Arguments: json.RawMessage(` `)},
	} {
		if d, err := bad.Digest(); err == nil {
			t.Errorf("%+v: got %s", bad, d)
		}
	}
}

// marshalledDigest is the definition of Act.Digest, by way of a struct.
func marshalledDigest(a Act) (string, error) {
	args := a.Arguments
	if len(args) == 0 {
		args = json.RawMessage("{}")
	}
	if err := canon.Check(args); err != nil {
		return "", err
	}
	if bytes.TrimLeft(args, " \t\r\n")[0] != '{' {
		return "", errNoObject
	}
	form, err := canon.Marshal(map[string]any{
		"action": a.Action, "arguments": args, "task": a.Task, "resource": map[string]string{"id": a.Resource.ID, "type": a.Resource.Type},
	})
	return canon.Digest(form), err
}

func FuzzDigest(f *testing.F) {
	f.Add("create", "shipment", "7", "t", []byte(` {"b":"\u00e9<", "a":[1.0,2.50,{"d":1,"c":{}}]}`))
	f.Add("a\"\\", "\u2028", "<&>", "\x00\x1f\x7f", []byte(nil))
	f.Add("é", "😀", "\xff", "", []byte(`{"a":1,"a":2}`))
	for _, depth := range []int{30, 31, 32} { // with the act around them, 32 is one too deep
		f.Add("a", "b", "c", "", []byte(strings.Repeat(`{"a":`, depth)+"1"+strings.Repeat("}", depth)))
	}
	for _, args := range []string{`[]`, ` `, `{`, `{} {}`, `null`, `{"a":1e-1000000}`, `{"a":-0}`} {
		f.Add("a", "b", "c", "", []byte(args))
	}
	f.Fuzz(func(t *testing.T, action, kind, id, task string, args []byte) {
		a := Act{Action: action, Resource: Resource{kind, id}, Arguments: args, Task: task}
		got, err := a.Digest()
		if !utf8.ValidString(action + "|" + kind + "|" + id + "|" + task) {
			if err == nil {
				t.Errorf("%+v: got %s", a, got)
			}
			return
		}
		want, wantErr := marshalledDigest(a)
		if (err == nil) != (wantErr == nil) || err == nil && got != want {
			t.Errorf("%+v: got %s, %v, want %s, %v", a, got, err, want, wantErr)
		}
		// What has no digest for its arguments' sake is not covered either.
		if m := MustParse("a:b; a:b(x)").Match(Act{Action: "a", Resource: Resource{Type: "b"}, Arguments: args}); m.Covered && canon.Check(args) != nil && len(args) > 0 {
			t.Errorf("%q is covered", args)
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	s := MustParse("read:invoices; create:shipment(max_weight<=500, carrier in [dhl, ups]); execute:none")
	a := Act{Action: "create", Resource: Resource{"shipment", "7"}, Arguments: json.RawMessage(`{"max_weight":12.5,"carrier":"ups"}`)}
	for b.Loop() {
		if m := s.Match(a); !m.Covered {
			b.Fatal(m)
		}
	}
}
