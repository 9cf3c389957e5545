package capability

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
)

// texts maps what people write to its canonical form.
var texts = map[string]string{
	"read:invoices; create:shipment(max_weight<=500); execute:none": "create:shipment(max_weight<=500); execute:none; read:invoices",
	"a:b":                                          "a:b",
	" a:b\n;\tc:d ":                                "a:b; c:d",
	"a:b;a:b":                                      "a:b",
	"a:b; a:none; a:c(x<1)":                        "a:none",
	"a:b()":                                        "a:b()",
	"a:b ( x , y )":                                "a:b(x, y)",
	"a:b(y<=2, x>1.50, x < 1e3)":                   "a:b(x<1000, x>1.5, y<=2)",
	"a:b(x==-0)":                                   "a:b(x==0)",
	"a:b(x!=\"a b\", y==\"plain\")":                `a:b(x!="a b", y==plain)`,
	`a:b(x=="true", y==true, z=="\u0041")`:         `a:b(x=="true", y==true, z==A)`,
	`a:b(x==")", y=="\"", z=="")`:                  `a:b(x==")", y=="\"", z=="")`,
	"a:b(x in [c, 2, \"a\", true, 10, a])":         "a:b(x in [a, c, 10, 2, true])",
	"a:b(x  not  in[a])":                           "a:b(x not in [a])",
	"a:b(in in [in], not not in [not], not<5)":     "a:b(in in [in], not<5, not not in [not])",
	`a:b(path ^= "/data/")`:                        `a:b(path^="/data/")`,
	"a:b(p^=x)":                                    "a:b(p^=x)",
	"a:b/x*":                                       "a:b/x*",
	"a:b/**/*.pdf(x)":                              "a:b/**/*.pdf(x)",
	`a:b/\*\ \(\)\;\,\"\\`:                         `a:b/\*\ \(\)\;\,\"\\`,
	"a:b/urn:x#1?é日":                               "a:b/urn:x#1?é日",
	"a-b.c_d:_e":                                   "a-b.c_d:_e",
	`a:b(x contains [b,a,1], y subset [r])`:        "a:b(x contains [a, b, 1], y subset [r])",
	`a:b(x subpath "/data", y cidr "fc00::/7")`:    `a:b(x subpath "/data", y cidr "fc00::/7")`,
	`a:b(x wildcard "inv-* (1)\\*", y wildcard a)`: `a:b(x wildcard "inv-* (1)\\*", y wildcard a)`,
	`a:b(x any( ==10 , all(>20,<30), <5))`:         "a:b(x any(<5, ==10, all(<30, >20)))",
	`a:b(x all(^=a, ^="ab", !=abc), x any(==a, ==a, ==b))`: "a:b(x all(!=abc, ^=a, ^=ab), x any(==a, ==b))",
	"any:all(contains contains [any], any any(==x, ==y))":  "any:all(any any(==x, ==y), contains contains [any])",
}

func TestParse(t *testing.T) {
	for text, want := range texts {
		s, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := s.String(); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
		checkForms(t, s)
	}
}

// checkForms demands that text and claim lead back to s.
func checkForms(t *testing.T, s Set) {
	t.Helper()
	again, err := Parse(s.String())
	if err != nil || !again.Equal(s) {
		t.Errorf("Parse(%s) is %s, %v", s, again, err)
	}
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var claimed Set
	if err := json.Unmarshal(data, &claimed); err != nil || !claimed.Equal(s) {
		t.Errorf("%s: the claim %s is %s, %v", s, data, claimed, err)
	}
}

func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                                "1:1: expected verb, found end of text",
		"read":                            `1:5: expected ":", found end of text`,
		"read:":                           "1:6: expected resource type or none, found end of text",
		"read :x":                         `1:5: expected ":", found ' '`,
		"a:b;":                            "1:5: expected verb, found end of text",
		"a:b\nc:d":                        `2:1: expected ";" or end of text, found 'c'`,
		"a:b/":                            "1:5: expected a pattern of 1 to 256 bytes, found end of text",
		"a:b/***":                         "1:5: expected at most two stars, found '*'",
		`a:b/\x`:                          `1:5: expected one of "*\\();,\" " after a backslash, found '\\'`,
		"a:b/x\u200e":                     "1:6: expected a printable character or an escape, found '\\u200e'",
		"a:none(x)":                       `1:7: expected ";" or end of text, found '('`,
		"a:none/x":                        `1:7: expected ";" or end of text, found '/'`,
		"a:b(":                            "1:5: expected argument name, found end of text",
		"a:b(x":                           "1:6: expected a comparison, found end of text",
		"a:b(x,)":                         "1:7: expected argument name, found ')'",
		"a:b(x=1)":                        "1:6: expected a comparison, found '='",
		"a:b(x<a)":                        "1:7: expected a number after x<, found 'a'",
		"a:b(x^=1)":                       "1:8: expected a string after x^=, found '1'",
		"a:b(x<=5":                        `1:9: expected "," or ")", found end of text`,
		"a:b(x<=5 y)":                     `1:10: expected "," or ")", found 'y'`,
		"a:b(x not [1])":                  "1:11: expected in, found '['",
		"a:b(x in 1)":                     `1:10: expected "[", found '1'`,
		"a:b(x in [])":                    "1:11: expected a value, found ']'",
		"a:b(x in [1)":                    `1:12: expected "," or "]", found ')'`,
		"a:b(x==null)":                    "1:8: expected a value (not a string, number or boolean), found 'n'",
		"a:b(x==01)":                      "1:8: expected a value (",
		"a:b(x==1.)":                      "1:8: expected a value (",
		"a:b(x==1e999)":                   "1:8: expected a value (number out of the range",
		"a:b(x==\"a)":                     `1:11: expected closing "\"", found end of text`,
		`a:b(x=="\q")`:                    "1:8: expected a JSON string (",
		`a:b(x=="\ud800")`:                "1:8: expected a JSON string (",
		"a:b(x any(<1))":                  "1:10: expected two or more different constraints after x any, found '('",
		"a:b(x any(y<1, y<2))":            "1:11: expected a comparison, found 'y'",
		"a:b(x any <1)":                   `1:11: expected "(", found '<'`,
		"a:b(x any(<1 <2))":               `1:14: expected "," or ")", found '<'`,
		"a:b(x all(any(all(any(all(":      "1:26: expected at most 4 levels of all and any",
		`a:b(x subpath "/a//b")`:          "1:15: expected a path without empty",
		`a:b(x cidr "10.0.0.1/8")`:        "1:12: expected a network such as",
		`a:b(x contains 1)`:               `1:16: expected "["`,
		`a:b(x wildcard "")`:              "1:16: expected a pattern of 1 to 256 bytes in a wildcard",
		"a:b(x<1, x<2)":                   "1:4: expected at most one constraint < on x, found '('",
		"a:b(x, x<2)":                     "1:4: expected x either alone or constrained, found '('",
		"a:b(x, x)":                       "1:4: expected x either alone or constrained, found '('",
		"a:b(1x<2)":                       "1:5: expected argument name, found '1'",
		"a:b\xff":                         "1:4: expected UTF-8, found ",
		"é:b":                             "1:1: expected verb, found 'é'",
		"a:b(x==9007199254740993)":        "1:8: expected a value (number does not round-trip",
		strings.Repeat("a", 65) + ":b":    "1:1: expected verb of at most 64 characters",
		"a:b/" + strings.Repeat("x", 257): "1:5: expected a pattern of 1 to 256 bytes",
		strings.Repeat("a", MaxText+1):    "1:16385: expected at most 16384 bytes",
	} {
		_, err := Parse(text)
		var e *SyntaxError
		if !errors.As(err, &e) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%.80s: got %v, want %s", text, err, want)
		}
	}
}

func TestLimits(t *testing.T) {
	list := func(n int, format, sep string) string {
		var parts []string
		for i := range n {
			parts = append(parts, fmt.Sprintf(format, i))
		}
		return strings.Join(parts, sep)
	}
	for text, ok := range map[string]bool{
		list(MaxSet, "v%d:t", "; "):                              true,
		list(MaxSet+1, "v%d:t", "; "):                            false,
		"a:b(" + list(MaxConstraints, "x%d", ", ") + ")":         true,
		"a:b(" + list(MaxConstraints+1, "x%d", ", ") + ")":       false,
		"a:b(x in [" + list(3000, "%d", ",") + "])":              false, // canonical text too long
		"a:b(x in [" + list(2000, "%d", ",") + "])":              true,
		strings.Repeat("a", MaxName) + ":b":                      true,
		"a:b/" + strings.Repeat("*/", 128):                       true,
		"a:b(x==\"" + strings.Repeat("a ", MaxText/2-10) + "\")": true,
	} {
		if _, err := Parse(text); (err == nil) != ok {
			t.Errorf("%.40s… of %d bytes: got %v", text, len(text), err)
		}
	}
}

func TestClaim(t *testing.T) {
	s := MustParse(`read:invoices; create:shipment(max_weight<=500, carrier in [dhl, ups]); execute:none; ` +
		`get:file/a/\*(path^="/data/", mode!=x, n>1, n not in [3], free); get:file()`)
	want := `[{"actions":{` +
		`"create":{"shipment":[{"arguments":{"carrier":{"one_of":["dhl","ups"]},"max_weight":{"range":{"lte":500}}}}]},` +
		`"execute":{},` +
		`"get":{"file":[{"arguments":{}},{"arguments":{"free":{},"mode":{"not_exact":"x"},"n":{"not_one_of":[3],"range":{"gt":1}},` +
		`"path":{"prefix":"/data/"}},"id":"a/\\*"}]},` +
		`"read":{"invoices":[{}]}},"type":"agent_capability"}]`
	got, err := canon.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got, want := s.Scope(), "create:shipment get:file read:invoices"; got != want {
		t.Errorf("got scope %q, want %q", got, want)
	}
}

func TestClaimRefused(t *testing.T) {
	action := func(s string) string {
		return `[{"type":"agent_capability","actions":{"a":` + s + `}}]`
	}
	args := func(s string) string { return action(`{"b":[{"arguments":` + s + `}]}`) }
	for name, text := range map[string]string{
		"no object":              `[]`,
		"two objects":            `[{"type":"agent_capability","actions":{}},{"type":"agent_capability","actions":{}}]`,
		"other type":             `[{"type":"payment","actions":{}}]`,
		"no type":                `[{"actions":{}}]`,
		"unknown member":         `[{"type":"agent_capability","actions":{},"locations":[]}]`,
		"actions null":           `[{"type":"agent_capability","actions":null}]`,
		"verb no name":           `[{"type":"agent_capability","actions":{"a b":{}}}]`,
		"types null":             action(`null`),
		"type none":              action(`{"none":[{}]}`),
		"type no name":           action(`{"":[{}]}`),
		"no alternative":         action(`{"b":[]}`),
		"alternative null":       action(`{"b":[null]}`),
		"alternative repeated":   action(`{"b":[{},{}]}`),
		"alternatives unsorted":  action(`{"b":[{"id":"z"},{"id":"a"}]}`),
		"id empty":               action(`{"b":[{"id":""}]}`),
		"id needlessly escaped":  action(`{"b":[{"id":"\\a"}]}`),
		"id null":                action(`{"b":[{"id":null}]}`),
		"arguments null":         args(`null`), // must not mean: any arguments
		"argument null":          args(`{"x":null}`),
		"argument no name":       args(`{"x y":{}}`),
		"constraint unknown":     args(`{"x":{"regex":"a"}}`),
		"cidr with host bits":    args(`{"x":{"cidr":"10.0.0.1/8"}}`),
		"cidr of IPv4 in IPv6":   args(`{"x":{"cidr":"::ffff:10.0.0.0/104"}}`),
		"subpath climbs":         args(`{"x":{"subpath":"/a/../b"}}`),
		"wildcard of three":      args(`{"x":{"wildcard":"a***"}}`),
		"contains nothing":       args(`{"x":{"contains":[]}}`),
		"all of one":             args(`{"x":{"all":[{"exact":1}]}}`),
		"any of nothing":         args(`{"x":{"any":[{"exact":1},{}]}}`),
		"any of two in one":      args(`{"x":{"any":[{"exact":1},{"range":{"gt":1,"lt":5}}]}}`),
		"any unsorted":           args(`{"x":{"any":[{"exact":2},{"exact":1}]}}`),
		"any too deep":           args(`{"x":{"any":[{"all":[{"any":[{"all":[{"any":[{"exact":1},{"exact":2}]},{"exact":3}]},{"exact":4}]},{"exact":5}]},{"exact":6}]}}`),
		"exact null":             args(`{"x":{"exact":null}}`),
		"exact an array":         args(`{"x":{"exact":[1]}}`),
		"exact not round-trip":   args(`{"x":{"exact":9007199254740993}}`),
		"range of strings":       args(`{"x":{"range":{"lte":"5"}}}`),
		"range empty":            args(`{"x":{"range":{}}}`),
		"range unknown":          args(`{"x":{"range":{"max":5}}}`),
		"prefix a number":        args(`{"x":{"prefix":5}}`),
		"one_of empty":           args(`{"x":{"one_of":[]}}`),
		"one_of unsorted":        args(`{"x":{"one_of":["b","a"]}}`),
		"one_of repeated":        args(`{"x":{"one_of":["a","a"]}}`),
		"duplicate member":       args(`{"x":{"exact":1,"exact":2}}`),
		"member in another case": args(`{"x":{"Exact":1}}`),
		"too many constraints":   args(`{` + strings.TrimSuffix(strings.Repeat(`"x":{},`, 40), ",") + `}`),
	} {
		var s Set
		if err := s.UnmarshalJSON([]byte(text)); err == nil {
			t.Errorf("%s: accepted as %s", name, s)
		}
	}
	// Spacing, member order and number spelling are JSON's, not ours.
	var s Set
	if err := s.UnmarshalJSON([]byte(` [ {"actions":{"a":{"b":[{"arguments":{"x":{"exact":5.0}}}]}},"type":"agent_capability"} ]`)); err != nil {
		t.Error(err)
	}
}

// What is signed has the form that the standard encoder and jsontext give to it.
func TestCanonicalForms(t *testing.T) {
	grant := testGrantClaims()
	values := []any{grant, &grant, testActionClaims(t), testRegistrationClaims(), agentKey.Public().JWK(), testAct.Resource, jose.Header{Alg: jose.EdDSA, Typ: TypGrant}}
	for text := range texts {
		set := MustParse(text)
		grant.Capabilities, grant.Domain, grant.Status = set, "<é\u2028>", nil
		values = append(values, set, grant)
	}
	for _, v := range values {
		raw := jsontext.Value(must[[]byte](t)(json.Marshal(v)))
		if err := raw.Canonicalize(); err != nil {
			t.Fatal(err)
		}
		if got := must[[]byte](t)(canon.Marshal(v)); string(got) != string(raw) {
			t.Errorf("got %s, want %s", got, raw)
		}
	}
}

func FuzzText(f *testing.F) {
	for text := range texts {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := Parse(text); err == nil {
			checkForms(t, s)
			s.Match(Act{Action: "a", Resource: Resource{"b", "x/y"}, Arguments: json.RawMessage(`{"x":1}`)})
		}
	})
}

func FuzzClaim(f *testing.F) {
	for text := range texts {
		data, err := MustParse(text).MarshalJSON()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var s Set
		if err := s.UnmarshalJSON(data); err == nil && s.Len() > 0 {
			checkForms(t, s)
		}
	})
}

func BenchmarkParseText(b *testing.B) {
	for b.Loop() {
		if _, err := Parse("read:invoices; create:shipment(max_weight<=500); execute:none"); err != nil {
			b.Fatal(err)
		}
	}
}
