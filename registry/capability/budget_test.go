package capability

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
)

func mustBudget(t testing.TB, text string) Budget {
	t.Helper()
	b, err := ParseBudget(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParseBudget(t *testing.T) {
	for text, want := range map[string]string{
		"count(pay:invoice) <= 10 per 1h":                 "",
		"sum(pay:invoice, amount) <= 10000 per 24h":       "",
		"count(*) <= 1000":                                "",
		"sum(*, amount) <= 0.000001 per 1s":               "",
		"count(a:b) <= 1000000000000 per 8784h":           "",
		"  count ( pay:invoice )<=10 per 60m ":            "count(pay:invoice) <= 10 per 1h",
		"sum(pay:invoice,amount)<=1e4 per 86400s":         "sum(pay:invoice, amount) <= 10000 per 24h",
		"sum(pay:invoice,amount)<=10.50":                  "sum(pay:invoice, amount) <= 10.5",
		"count(count:sum) <= 1 per 90s":                   "",
		"count(pay:invoice) <= 10 per 90m":                "",
		"sum(pay:invoice, amount)\t<=\r\n10000 per  24h ": "sum(pay:invoice, amount) <= 10000 per 24h",
	} {
		b, err := ParseBudget(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if want == "" {
			want = text
		}
		if got := b.String(); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	for text, offset := range map[string]int{
		"":                               0,
		"max(a:b) <= 1":                  0,
		"counts(a:b) <= 1":               0,
		"count a:b <= 1":                 6,
		"count(a) <= 1":                  7,
		"count(a:none) <= 1":             8,
		"count(a:*) <= 1":                8,
		"count(a:b, c) <= 1":             9,
		"sum(a:b) <= 1":                  7,
		"sum(a:b, ) <= 1":                9,
		"count(a:b) < 1":                 11,
		"count(a:b) <= ":                 14,
		"count(a:b) <= x":                14,
		"count(a:b) <= 0":                14,
		"count(a:b) <= -1":               14,
		"count(a:b) <= 1.5":              14,
		"count(a:b) <= 01":               14,
		"sum(a:b, c) <= 0.0000001":       15,
		"sum(a:b, c) <= 1000000000001":   15,
		"sum(a:b, c) <= 1e400":           15,
		"count(a:b) <= 1 per":            19,
		"count(a:b) <= 1 per 1":          20,
		"count(a:b) <= 1 per 1d":         20,
		"count(a:b) <= 1 per 1 h":        20,
		"count(a:b) <= 1 per -1h":        20,
		"count(a:b) <= 1 per 0h":         20, // no window is no "per"
		"count(a:b) <= 1 per 8785h":      14,
		"count(a:b) <= 1 per 999999999h": 14,
		"count(a:b) <= 1 per 1h x":       23,
		"count(a:b) <= 1; count(a:c)<=1": 15,
		"count(a:b) <= 1 per99h":         16,
	} {
		_, err := ParseBudget(text)
		var e *SyntaxError
		if !errors.As(err, &e) || e.Offset != offset {
			t.Errorf("%q: got %v, want an error at %d", text, err, offset)
		}
	}
}

func TestAmounts(t *testing.T) {
	for text, want := range map[string]Amount{
		"0": 0, "-0": 0, "1": 1e6, "0.1": 1e5, "1.50": 15e5, "0.000001": 1, "1e2": 1e8, "12.5E-1": 125e4, "1e-6": 1, "1000000000000": 1e18,
	} {
		got, err := parseAmount([]byte(text))
		if err != nil || got != want {
			t.Errorf("%s: got %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-1", "-0.000001", "0.0000001", "1e-7", "1.0000001", "1000000000000.000001", "1e21", "1e400", "null", "true", `"1"`, "[1]", "{}", "1 2", "0.1000000000000000055"} {
		if got, err := parseAmount([]byte(text)); err == nil {
			t.Errorf("%s: got %s", text, got)
		}
	}
	// Ten times a tenth is one, as it is not in binary fractions.
	var sum Amount
	for range 10 {
		n, err := parseAmount([]byte("0.1"))
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	if sum.String() != "1" || Amount(-15e5).String() != "-1.5" {
		t.Errorf("got %s and %s", sum, Amount(-15e5))
	}
}

func TestBudgetAmount(t *testing.T) {
	act := func(args string) Act {
		return Act{Action: "pay", Resource: Resource{"invoice", "7"}, Arguments: json.RawMessage(args)}
	}
	sum := mustBudget(t, "sum(pay:invoice, amount) <= 10000")
	for args, want := range map[string]string{
		`{"amount":12.5}`: "12.5", `{"amount":0}`: "0", `{"amount":1e3,"to":"x"}`: "1000",
		`{}`: "", ``: "", `{"amount":"12"}`: "", `{"amount":null}`: "", `{"amount":-1}`: "", `{"amount":[1]}`: "", `{"amount":0.1234567}`: "",
		`{"Amount":1}`: "", `{"amount":3,"amount":4}`: "", `[1]`: "", `{"amount":1e13}`: "",
	} {
		got, err := sum.Amount(act(args))
		switch {
		case want == "" && err == nil:
			t.Errorf("%s: got %s", args, got)
		case want == "" && strings.Contains(strings.ReplaceAll(err.Error(), errAmount.Error(), ""), "0.1234567"):
			t.Errorf("%s: the error tells the value: %v", args, err)
		case want != "" && (err != nil || got.String() != want):
			t.Errorf("%s: got %s, %v, want %s", args, got, err, want)
		}
	}
	if n, err := mustBudget(t, "count(*) <= 1").Amount(act(`{"amount":7}`)); err != nil || n.String() != "1" {
		t.Errorf("a count: %s, %v", n, err)
	}
	for text, want := range map[string]bool{"count(*) <= 1": true, "count(pay:invoice) <= 1": true, "count(pay:bill) <= 1": false, "count(read:invoice) <= 1": false} {
		if got := mustBudget(t, text).Covers(act("{}")); got != want {
			t.Errorf("%s covers: %t", text, got)
		}
	}
}

func TestBudgetWindows(t *testing.T) {
	hourly, whole := mustBudget(t, "count(*) <= 1 per 1h"), mustBudget(t, "count(*) <= 1")
	for _, w := range []struct {
		b          Budget
		at         time.Duration
		begin, end time.Duration
	}{
		{hourly, 0, 0, time.Hour},
		{hourly, time.Hour - 1, 0, time.Hour},
		{hourly, time.Hour, time.Hour, 2 * time.Hour},
		{hourly, 47*time.Hour + 1, 47 * time.Hour, 48 * time.Hour},
		{hourly, -30 * time.Second, 0, time.Hour}, // by another's clock: no window of its own
		{whole, 47 * time.Hour, 0, 48 * time.Hour},
	} {
		begin, end := w.b.WindowAt(testNow.Add(w.at), testNow, testNow.Add(48*time.Hour))
		if !begin.Equal(testNow.Add(w.begin)) || !end.Equal(testNow.Add(w.end)) {
			t.Errorf("%s after %s: got %s to %s", w.b, w.at, begin, end)
		}
	}
}

func TestBudgetsInTokens(t *testing.T) {
	texts := []string{"sum(pay:invoice, amount) <= 10000 per 24h", "count(*) <= 1000", "count(*)<=1000"}
	budgets, err := ParseBudgets(texts)
	if err != nil || !slices.Equal(budgets.Texts(), []string{"count(*) <= 1000", "sum(pay:invoice, amount) <= 10000 per 24h"}) {
		t.Fatalf("%q, %v", budgets.Texts(), err)
	}
	claims := testGrantClaims()
	claims.Budgets = budgets
	raw, err := IssueGrant(issuerKey, "", claims)
	if err != nil {
		t.Fatal(err)
	}
	g, err := ParseGrant(raw)
	if err != nil || !slices.Equal(g.Claims().Budgets, budgets) {
		t.Fatalf("%v, %v", g, err)
	}
	var form struct {
		Budgets json.RawMessage `json:"budgets"`
	}
	if err := canon.UnmarshalOpen(g.token.Payload, &form); err != nil {
		t.Fatal(err)
	}
	want := `[{"action":"*","limit":"1000","measure":"count"},{"action":"pay:invoice","argument":"amount","limit":"10000","measure":"sum","window":86400}]`
	if string(form.Budgets) != want {
		t.Errorf("claim %s", form.Budgets)
	}

	slices.Reverse(claims.Budgets)
	for name, bad := range map[string]Budgets{
		"order":     claims.Budgets,
		"twice":     {budgets[0], budgets[0]},
		"argument":  {{Measure: Count, Action: "*", Argument: "x", Limit: amountUnit}},
		"measure":   {{Measure: "max", Action: "*", Limit: amountUnit}},
		"nothing":   {{}},
		"injection": {{Measure: Count, Action: "*) <= 9 per 1h", Limit: amountUnit}},
		"fraction":  {{Measure: Count, Action: "*", Limit: 1}},
		"window":    {{Measure: Count, Action: "*", Limit: amountUnit, Window: time.Millisecond}},
	} {
		claims.Budgets = bad
		if _, err := IssueGrant(issuerKey, "", claims); !errors.Is(err, Malformed) {
			t.Errorf("%s: issued, %v", name, err)
		}
	}
	for name, claim := range map[string]string{
		"null":          `null`,
		"none":          `[]`,
		"null member":   `[null]`,
		"text":          `["count(*) <= 1000"]`,
		"number":        `[{"action":"*","limit":1000,"measure":"count"}]`,
		"unknown":       `[{"action":"*","limit":"1000","measure":"count","per":"1h"}]`,
		"spelling":      `[{"action":"*","limit":"1000.0","measure":"count"}]`,
		"no window":     `[{"action":"*","limit":"1000","measure":"count","window":0}]`,
		"endless":       `[{"action":"*","limit":"1000","measure":"count","window":9223372037}]`,
		"case":          `[{"action":"*","limit":"1000","Measure":"count"}]`,
		"no limit":      `[{"action":"*","measure":"count"}]`,
		"out of order":  `[{"action":"b:c","limit":"1","measure":"count"},{"action":"a:c","limit":"1","measure":"count"}]`,
		"more than all": "[" + strings.TrimSuffix(strings.Repeat(`{"action":"*","limit":"1000","measure":"count"},`, MaxBudgets+1), ",") + "]",
	} {
		var members map[string]json.RawMessage
		if err := canon.Unmarshal(g.token.Payload, &members); err != nil {
			t.Fatal(err)
		}
		members["budgets"] = json.RawMessage(claim)
		if _, err := ParseGrant(must[string](t)(jose.Sign(issuerKey, TypGrant, "", members))); !errors.Is(err, Malformed) {
			t.Errorf("%s: %v", name, err)
		}
	}

	many := make([]string, MaxBudgets+1)
	for i := range many {
		many[i] = fmt.Sprintf("count(a:b) <= %d", i+1)
	}
	var e *BudgetError
	if _, err := ParseBudgets(many); !errors.As(err, &e) || e.Index != MaxBudgets {
		t.Errorf("nine budgets: %v", err)
	}
	if _, err := ParseBudgets([]string{many[0], "count"}); !errors.As(err, &e) || e.Index != 1 {
		t.Errorf("no budget: %v", err)
	}
}

func FuzzParseBudget(f *testing.F) {
	f.Add("count(pay:invoice) <= 10 per 1h", "12.5")
	f.Add("sum(pay:invoice, amount) <= 10000.5 per 24h", "1e3")
	f.Fuzz(func(t *testing.T, text, number string) {
		b, err := ParseBudget(text)
		if err != nil {
			var e *SyntaxError
			if !errors.As(err, &e) {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		if again, err := ParseBudget(b.String()); err != nil || again != b {
			t.Errorf("%q: its own text %q is %v, %v", text, b, again, err)
		}
		form, err := canon.Marshal(b)
		var read Budget
		if err == nil {
			err = canon.Unmarshal(form, &read)
		}
		if err != nil || read != b || (Budgets{read}).check() != nil {
			t.Errorf("%q: its claim %s is %v, %v", text, form, read, err)
		}
		act := Act{Action: "pay", Resource: Resource{"invoice", "7"}, Arguments: json.RawMessage(`{"amount":` + number + `}`)}
		if n, err := b.Amount(act); err == nil && (n < 0 || n > MaxAmount) {
			t.Errorf("%s takes %s of %s", number, n, b)
		}
	})
}
