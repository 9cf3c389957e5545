package capability

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// special holds the characters that a pattern writes behind a backslash.
const special = `*\();," `

// maxMatchedID is the longest resource id that a pattern is held against, in bytes.
// Matching costs pattern times id; no registry hands out longer ids.
const maxMatchedID = 2048

// pattern is a parsed id pattern: literal runs between stars.
type pattern []item

// item is a literal run, or a star if the run is empty.
type item struct {
	literal string
	any     bool // "**": crosses "/"
}

// globSpecial holds the characters that a wildcard constraint writes behind a
// backslash: its pattern is a JSON string, so the rest may stand as it is.
const globSpecial = `*\`

// parseGlob reads the pattern of a wildcard constraint.
func parseGlob(s string) (pattern, error) {
	p, _, err := readPattern(s, globSpecial, func(rune) bool { return true })
	if err != nil {
		return nil, fmt.Errorf("%w in a wildcard", err)
	}
	return p, nil
}

// parsePattern reads a pattern in any escaping. On error the offset is where.
func parsePattern(s string) (pattern, int, error) { return readPattern(s, special, patternRune) }

func readPattern(s, special string, plain func(rune) bool) (pattern, int, error) {
	if s == "" || len(s) > MaxPattern {
		return nil, 0, fmt.Errorf("a pattern of 1 to %d bytes", MaxPattern)
	}
	var p pattern
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case strings.HasPrefix(s[i:], "***"):
			return nil, i, errors.New("at most two stars")
		case strings.HasPrefix(s[i:], "**"):
			p, size = append(p, item{any: true}), 2
		case r == '*':
			p = append(p, item{})
		case r == '\\':
			escaped := s[i+1:]
			if escaped == "" || strings.IndexByte(special, escaped[0]) < 0 {
				return nil, i, fmt.Errorf("one of %q after a backslash", special)
			}
			p, size = p.add(escaped[:1]), 2
		case plain(r) && (r != utf8.RuneError || size > 1):
			p = p.add(s[i : i+size])
		default:
			return nil, i, errors.New("a printable character or an escape")
		}
		i += size
	}
	return p, 0, nil
}

func (p pattern) add(literal string) pattern {
	if n := len(p); n > 0 && p[n-1].literal != "" {
		p[n-1].literal += literal
		return p
	}
	return append(p, item{literal: literal})
}

// String returns the canonical escaping: only what must be escaped is.
func (p pattern) String() string { return p.text(special) }

func (p pattern) text(special string) string {
	var b strings.Builder
	for _, it := range p {
		switch {
		case it.any:
			b.WriteString("**")
		case it.literal == "":
			b.WriteByte('*')
		}
		for i := range len(it.literal) {
			if strings.IndexByte(special, it.literal[i]) >= 0 {
				b.WriteByte('\\')
			}
			b.WriteByte(it.literal[i])
		}
	}
	return b.String()
}

// match reports whether the whole of id fits p. It walks the items over the set of
// offsets that the items so far can reach, so that no pattern makes it backtrack.
func (p pattern) match(id string) bool {
	if len(p) == 0 {
		return true
	}
	if len(id) > maxMatchedID {
		return false
	}
	reach := make([]bool, len(id)+1)
	reach[0] = true
	for _, it := range p {
		next := make([]bool, len(id)+1)
		for at := range reach {
			switch {
			case it.literal != "":
				if reach[at] && strings.HasPrefix(id[at:], it.literal) {
					next[at+len(it.literal)] = true
				}
			case reach[at]:
				next[at] = true
			case at > 0:
				next[at] = next[at-1] && (it.any || id[at-1] != '/')
			}
		}
		reach = next
	}
	return reach[len(id)]
}

// within reports that whatever fits p fits parent too. It reads p as a text in which
// a star is a letter: only a star takes a star, and only "**" takes "**", so what it
// finds is so, and some of what is so it does not find ("*a" in "**a*").
func (p pattern) within(parent pattern) bool {
	if len(parent) == 0 {
		return true
	}
	if len(p) == 0 {
		return false // any id at all, also longer ones than a pattern is held against
	}
	const star, anything = 256, 257
	var letters []int
	for _, it := range p {
		switch {
		case it.any:
			letters = append(letters, anything)
		case it.literal == "":
			letters = append(letters, star)
		}
		for i := range len(it.literal) {
			letters = append(letters, int(it.literal[i]))
		}
	}
	reach := make([]bool, len(letters)+1)
	reach[0] = true
	for _, it := range parent {
		next := make([]bool, len(letters)+1)
		for at := range reach {
			switch {
			case it.literal != "":
				if end := at + len(it.literal); reach[at] && end <= len(letters) && spells(letters[at:end], it.literal) {
					next[end] = true
				}
			case reach[at]:
				next[at] = true
			case at > 0:
				next[at] = next[at-1] && (it.any || letters[at-1] != '/' && letters[at-1] != anything)
			}
		}
		reach = next
	}
	return reach[len(letters)]
}

func spells(letters []int, text string) bool {
	for i, l := range letters {
		if l != int(text[i]) {
			return false
		}
	}
	return true
}
