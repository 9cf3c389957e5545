package cedar

import "fmt"

// Limits of a text. The parser and the evaluator call themselves for what is
// nested and for each operator of a chain, so both are bounded before they begin.
const (
	MaxText     = 1 << 20
	MaxPolicies = 2000
	MaxPolicy   = 16 << 10 // bytes of one policy
	MaxNesting  = 32       // of brackets
)

// checkLimits reads the text's brackets, strings and comments, and nothing else.
func checkLimits(text string) *Fault {
	if len(text) > MaxText {
		return &Fault{Line: 1, Column: 1, Msg: fmt.Sprintf("longer than %d bytes", MaxText)}
	}
	line, bol, depth, policies, begin := 1, 0, 0, 0, 0
	fault := func(i int, format string, args ...any) *Fault {
		return &Fault{Line: line, Column: i - bol + 1, Msg: fmt.Sprintf(format, args...)}
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\n':
			line, bol = line+1, i+1
		case c == '"':
			for i++; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
				if i < len(text) && text[i] == '\n' {
					line, bol = line+1, i+1
				}
			}
		case c == '/' && i+1 < len(text) && text[i+1] == '/':
			for i+1 < len(text) && text[i+1] != '\n' {
				i++
			}
		case c == '(' || c == '[' || c == '{':
			if depth++; depth > MaxNesting {
				return fault(i, "brackets nested deeper than %d", MaxNesting)
			}
		case c == ')' || c == ']' || c == '}':
			depth--
		case c == ';':
			if policies++; policies > MaxPolicies {
				return fault(i, "more than %d policies", MaxPolicies)
			}
			begin = i + 1
		}
		if i-begin > MaxPolicy {
			return fault(i, "a policy longer than %d bytes", MaxPolicy)
		}
	}
	return nil
}
