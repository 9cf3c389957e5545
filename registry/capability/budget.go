package capability

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/writ-registry/writ/internal/canon"
)

// Limits of budgets.
const (
	MaxBudgets = 8                                      // in one token
	MaxAmount  = Amount(1_000_000_000_000) * amountUnit // a limit, and what one act may take
	MaxWindow  = 366 * 24 * time.Hour                   // of a budget
	amountUnit = Amount(1_000_000)                      // Amount is in millionths
	decimals   = 6                                      // of an amount
)

// Amount is a decimal with up to six places, as a whole number of millionths. It is
// exact: amounts are added and compared as integers.
type Amount int64

// String returns the shortest decimal: no exponent, no zeros at the end.
func (a Amount) String() string {
	sign := ""
	if a < 0 {
		sign, a = "-", -a
	}
	text := sign + strconv.FormatInt(int64(a/amountUnit), 10)
	if rest := a % amountUnit; rest != 0 {
		text += "." + strings.TrimRight(fmt.Sprintf("%0*d", decimals, int64(rest)), "0")
	}
	return text
}

// MarshalText returns String.
func (a Amount) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads any spelling of a decimal of 0 to MaxAmount.
func (a *Amount) UnmarshalText(text []byte) (err error) {
	*a, err = parseAmount(text)
	return err
}

var errAmount = fmt.Errorf("a number from 0 to %s with at most %d decimals", MaxAmount, decimals)

// parseAmount reads a JSON number that is a decimal of 0 to MaxAmount. What a double
// does not hold exactly, in the sense of package canon, is refused.
func parseAmount(number []byte) (Amount, error) {
	form, err := canon.Canonical(number)
	if err != nil {
		return 0, errAmount
	}
	// The canonical form has an exponent only below a millionth or far above MaxAmount.
	whole, rest, _ := strings.Cut(string(form), ".")
	if len(rest) > decimals {
		return 0, errAmount
	}
	n, err := strconv.ParseInt(whole+rest+strings.Repeat("0", decimals-len(rest)), 10, 64)
	if err != nil || n < 0 || Amount(n) > MaxAmount {
		return 0, errAmount // a string, null, too large, negative
	}
	return Amount(n), nil
}

// Measure is what a budget counts.
type Measure string

// The measures.
const (
	Count Measure = "count" // permitted acts
	Sum   Measure = "sum"   // the values of one argument over permitted acts
)

// Budget bounds what is permitted under one link of a chain, and under all that is
// below it, together: each permit takes its amount of it, until a window ends. A
// budget in a token says only that there is one; how much is left of it the registry
// knows that decides. So a budget is never attenuated: a link adds its own, and those
// above count all the same.
//
// People write it as
//
//	count(pay:invoice) <= 10 per 1h
//	sum(pay:invoice, amount) <= 10000 per 24h
//	count(*) <= 1000
//
// in this grammar (the terms of the package documentation; white space may stand
// between any two tokens but not inside verb:type, nor between a number and its unit):
//
//	budget = ( "count" , "(" , action , ")" | "sum" , "(" , action , "," , name , ")" ) ,
//	         "<=" , number , [ "per" , window ] ;
//	action = name , ":" , name | "*" ;
//	window = digit , { digit } , ( "h" | "m" | "s" ) ;
//
// "*" is every action. A limit is above 0 and has at most six decimals, none for
// count. Windows follow one another without gap from the token's nbf on; without one,
// the budget is for the life of the token.
type Budget struct {
	Measure  Measure
	Action   string // verb:type, or "*"
	Argument string // of Sum: a member of action.properties
	Limit    Amount
	Window   time.Duration // whole seconds; 0 = the life of the token
}

// ParseBudget reads the text form. The error is a *SyntaxError.
func ParseBudget(text string) (Budget, error) {
	p := &parser{text: text}
	b, err := p.budget()
	if err == nil && !p.end() {
		err = p.fail("end of text")
	}
	return b, err
}

func (p *parser) budget() (b Budget, err error) {
	p.space()
	switch {
	case p.word(string(Count)):
		b.Measure = Count
	case p.word(string(Sum)):
		b.Measure = Sum
	default:
		return b, p.fail("count or sum")
	}
	if err := p.token("("); err != nil {
		return b, err
	}
	if b.Action, err = p.budgetAction(); err != nil {
		return b, err
	}
	if b.Measure == Sum {
		if err := p.token(","); err != nil {
			return b, err
		}
		if b.Argument, err = p.name("argument name"); err != nil {
			return b, err
		}
	}
	if err := p.token(")"); err != nil {
		return b, err
	}
	if err := p.token("<="); err != nil {
		return b, err
	}
	start := p.pos
	for !p.end() && strings.IndexByte("+-.eE0123456789", p.peek()) >= 0 {
		p.pos++
	}
	if b.Limit, err = parseAmount([]byte(p.text[start:p.pos])); err != nil {
		return b, p.failAt(start, err.Error())
	}
	p.space()
	if p.word("per") {
		p.space()
		if b.Window, err = p.window(); err != nil {
			return b, err
		}
		p.space()
	}
	if err := b.check(); err != nil {
		return b, p.failAt(start, err.Error())
	}
	return b, nil
}

// token reads one token and the white space on both sides of it.
func (p *parser) token(t string) error {
	p.space()
	if !p.take(t) {
		return p.fail(strconv.Quote(t))
	}
	p.space()
	return nil
}

func (p *parser) budgetAction() (string, error) {
	if p.take("*") {
		return "*", nil
	}
	verb, err := p.name(`verb or "*"`)
	if err != nil {
		return "", err
	}
	if !p.take(":") {
		return "", p.fail(`":"`)
	}
	start := p.pos
	kind, err := p.name("resource type")
	if err == nil && kind == "none" {
		err = p.failAt(start, "resource type")
	}
	return verb + ":" + kind, err
}

// units of windows, the longest first.
var units = []struct {
	name byte
	long time.Duration
}{{'h', time.Hour}, {'m', time.Minute}, {'s', time.Second}}

func (p *parser) window() (time.Duration, error) {
	start := p.pos
	for !p.end() && '0' <= p.peek() && p.peek() <= '9' {
		p.pos++
	}
	n, err := strconv.ParseInt(p.text[start:p.pos], 10, 32)
	for _, u := range units {
		if err == nil && n > 0 && p.take(string(u.name)) {
			return min(time.Duration(n)*u.long, MaxWindow+1), nil
		}
	}
	return 0, p.failAt(start, "a window such as 24h, 30m or 10s")
}

// check says what was expected of a budget, as in SyntaxError.
func (b Budget) check() error {
	switch {
	case b.Limit <= 0 || b.Limit > MaxAmount:
		return errors.New("a limit above 0")
	case b.Measure == Count && b.Limit%amountUnit != 0:
		return errors.New("a whole number of acts")
	case b.Window < 0 || b.Window > MaxWindow || b.Window%time.Second != 0:
		return fmt.Errorf("a window of 1 second to %.0f hours", MaxWindow.Hours())
	}
	return nil
}

// String returns the canonical text of b, which ParseBudget reads back.
func (b Budget) String() string {
	what := b.Action
	if b.Measure == Sum {
		what += ", " + b.Argument
	}
	text := fmt.Sprintf("%s(%s) <= %s", b.Measure, what, b.Limit)
	for _, u := range units {
		if b.Window > 0 && b.Window%u.long == 0 {
			return fmt.Sprintf("%s per %d%c", text, b.Window/u.long, u.name)
		}
	}
	return text
}

// Covers reports whether permits for an act are counted.
func (b Budget) Covers(a Act) bool {
	return b.Action == "*" || b.Action == a.Action+":"+a.Resource.Type
}

// Amount returns what a permit for the act takes of b: 1 of a count, the value of the
// argument of a sum. An argument that is absent, negative, no number, too large or
// finer than a millionth is an error, never nothing.
func (b Budget) Amount(a Act) (Amount, error) {
	if b.Measure == Count {
		return amountUnit, nil
	}
	args, err := a.decoded()
	if err != nil {
		return 0, err
	}
	raw, present := args[b.Argument]
	if !present {
		return 0, fmt.Errorf("argument %s is missing", b.Argument)
	}
	n, err := parseAmount(raw)
	if err != nil {
		return 0, fmt.Errorf("argument %s is not %w", b.Argument, err)
	}
	return n, nil
}

// WindowAt returns the window that now is in, begin <= now < end, of a budget in a token
// with these nbf and exp. Before nbf it is the first one.
func (b Budget) WindowAt(now, nbf, exp time.Time) (begin, end time.Time) {
	if b.Window == 0 {
		return nbf, exp
	}
	begin = nbf.Add(max(0, now.Sub(nbf)).Truncate(b.Window))
	return begin, begin.Add(b.Window)
}

// Budgets are those of one token, by their texts and without repetition.
type Budgets []Budget

// ParseBudgets reads the text forms of the budgets of one token. Errors: *BudgetError.
func ParseBudgets(texts []string) (Budgets, error) {
	if len(texts) > MaxBudgets {
		return nil, &BudgetError{MaxBudgets, fmt.Errorf("a token has at most %d budgets", MaxBudgets)}
	}
	var out Budgets
	for i, text := range texts {
		b, err := ParseBudget(text)
		if err != nil {
			return nil, &BudgetError{i, err}
		}
		out = append(out, b)
	}
	return out.inOrder(), nil
}

// BudgetError says which of several texts is no budget, from 0, and why.
type BudgetError struct {
	Index int
	Err   error
}

// Error returns "budget N: why", from 1 as people count.
func (e *BudgetError) Error() string { return fmt.Sprintf("budget %d: %v", e.Index+1, e.Err) }

// Unwrap returns why.
func (e *BudgetError) Unwrap() error { return e.Err }

func (bs Budgets) inOrder() Budgets {
	slices.SortFunc(bs, func(a, b Budget) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(bs)
}

// Texts returns the canonical texts, in order.
func (bs Budgets) Texts() []string {
	var out []string
	for _, b := range bs {
		out = append(out, b.String())
	}
	return out
}

// check demands budgets in their one form: what has no text is none.
func (bs Budgets) check() error {
	if len(bs) > MaxBudgets {
		return fmt.Errorf("budgets has more than %d members", MaxBudgets)
	}
	for _, b := range bs {
		if read, err := ParseBudget(b.String()); err != nil || read != b {
			return fmt.Errorf("budgets has a member that is no budget: %q", b.String())
		}
	}
	if !slices.Equal(bs, slices.Clone(bs).inOrder()) {
		return errors.New("budgets is not in the order of its texts, each once")
	}
	return nil
}

// budgetClaim is the token form of a budget.
type budgetClaim struct {
	Measure  Measure `json:"measure"`
	Action   string  `json:"action"`
	Argument string  `json:"argument,omitempty"` // of sum
	Limit    Amount  `json:"limit"`              // a string
	Window   int64   `json:"window,omitempty"`   // seconds; absent: the life of the token
}

// MarshalJSON returns the member of the claim budgets (package doc).
func (b Budget) MarshalJSON() ([]byte, error) {
	return canon.Marshal(budgetClaim{b.Measure, b.Action, b.Argument, b.Limit, int64(b.Window / time.Second)})
}

// UnmarshalJSON reads a member of the claim; whether it is in its one form is for
// who reads the token.
func (b *Budget) UnmarshalJSON(data []byte) error {
	var c budgetClaim
	if err := canon.Unmarshal(data, &c); err != nil {
		return err
	}
	if c.Window < 0 || c.Window > int64(MaxWindow/time.Second) {
		return errors.New("window is out of range")
	}
	*b = Budget{c.Measure, c.Action, c.Argument, c.Limit, time.Duration(c.Window) * time.Second}
	return nil
}
