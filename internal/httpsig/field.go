package httpsig

import (
	"encoding/base64"
	"strconv"
	"strings"
)

// Limits of structured fields.
const (
	maxField   = 16 << 10 // bytes of a field, its values joined
	maxMembers = 64       // members of a dictionary, of an inner list, or parameters of one
	maxKey     = 64       // bytes of a key
)

// token is the value of an sf-token (RFC 8941 section 3.3.4).
type token string

// node is an item or an inner list (RFC 8941 sections 3.3 and 3.1.1). value is an
// int64, string, token, []byte or bool, or for an inner list a []node of items.
type node struct {
	value  any
	params []param
}

type param struct {
	key   string
	value any
}

// member is one member of a dictionary (RFC 8941 section 3.2).
type member struct {
	key string
	node
}

var strictBase64 = base64.StdEncoding.Strict()

// parseDictionary reads a dictionary (RFC 8941 section 4.2.2) of at most maxField
// bytes; keys may not repeat. Errors: *Error with Malformed.
func parseDictionary(text string) ([]member, error) {
	if len(text) > maxField {
		return nil, refuse(Malformed, "field is longer than %d bytes", maxField)
	}
	p := &parser{text: text}
	p.skip(" ")
	if p.end() {
		return nil, nil
	}
	var members []member
	for {
		m, err := p.member()
		if err != nil {
			return nil, err
		}
		for _, other := range members {
			if other.key == m.key {
				return nil, p.fail("key %s repeats", m.key)
			}
		}
		if members = append(members, m); len(members) > maxMembers {
			return nil, p.fail("more than %d members", maxMembers)
		}
		p.skip(" \t")
		if p.end() {
			return members, nil
		}
		if !p.take(',') {
			return nil, p.fail("expected a comma")
		}
		p.skip(" \t")
		if p.end() {
			return nil, p.fail("expected a member after the comma")
		}
	}
}

// parser reads text from pos on.
type parser struct {
	text string
	pos  int
}

func (p *parser) end() bool { return p.pos == len(p.text) }

// peek returns the next byte, 0 at the end: no byte 0 is ever expected.
func (p *parser) peek() byte {
	if p.end() {
		return 0
	}
	return p.text[p.pos]
}

func (p *parser) take(c byte) bool {
	if p.peek() != c || p.end() {
		return false
	}
	p.pos++
	return true
}

func (p *parser) skip(set string) {
	for !p.end() && strings.IndexByte(set, p.text[p.pos]) >= 0 {
		p.pos++
	}
}

func (p *parser) fail(format string, args ...any) error {
	return refuse(Malformed, "structured field, byte %d: "+format, append([]any{p.pos}, args...)...)
}

func (p *parser) member() (member, error) {
	key, err := p.key()
	if err != nil {
		return member{}, err
	}
	if p.take('=') {
		n, err := p.node()
		return member{key, n}, err
	}
	params, err := p.params()
	return member{key, node{true, params}}, err
}

// key reads a key (RFC 8941 section 4.2.3.3).
func (p *parser) key() (string, error) {
	start := p.pos
	if c := p.peek(); !lower(c) && c != '*' {
		return "", p.fail("expected a key")
	}
	for c := p.peek(); lower(c) || digit(c) || c != 0 && strings.IndexByte("_-.*", c) >= 0; c = p.peek() {
		p.pos++
	}
	if p.pos-start > maxKey {
		return "", p.fail("key is longer than %d bytes", maxKey)
	}
	return p.text[start:p.pos], nil
}

func (p *parser) node() (node, error) {
	if p.peek() != '(' {
		return p.item()
	}
	p.pos++
	list := []node{}
	for {
		p.skip(" ")
		if p.take(')') {
			break
		}
		n, err := p.item()
		if err != nil {
			return node{}, err
		}
		if c := p.peek(); c != ' ' && c != ')' {
			return node{}, p.fail("expected a space or a closing parenthesis")
		}
		if list = append(list, n); len(list) > maxMembers {
			return node{}, p.fail("more than %d items", maxMembers)
		}
	}
	params, err := p.params()
	return node{list, params}, err
}

func (p *parser) item() (node, error) {
	v, err := p.bare()
	if err != nil {
		return node{}, err
	}
	params, err := p.params()
	return node{v, params}, err
}

// params reads parameters (RFC 8941 section 4.2.3.2); keys may not repeat.
func (p *parser) params() ([]param, error) {
	var params []param
	for p.take(';') {
		p.skip(" ")
		key, err := p.key()
		if err != nil {
			return nil, err
		}
		for _, other := range params {
			if other.key == key {
				return nil, p.fail("parameter %s repeats", key)
			}
		}
		var v any = true
		if p.take('=') {
			if v, err = p.bare(); err != nil {
				return nil, err
			}
		}
		if params = append(params, param{key, v}); len(params) > maxMembers {
			return nil, p.fail("more than %d parameters", maxMembers)
		}
	}
	return params, nil
}

// bare reads a bare item (RFC 8941 section 4.2.3.1).
func (p *parser) bare() (any, error) {
	switch c := p.peek(); {
	case c == '"':
		return p.str()
	case c == ':':
		return p.bytes()
	case c == '?':
		p.pos++
		if p.take('1') {
			return true, nil
		}
		if p.take('0') {
			return false, nil
		}
		return nil, p.fail("expected 0 or 1")
	case c == '-' || digit(c):
		return p.integer()
	case c == '*' || lower(c) || 'A' <= c && c <= 'Z':
		start := p.pos
		for c := p.peek(); tchar(c) || c == ':' || c == '/'; c = p.peek() {
			p.pos++
		}
		return token(p.text[start:p.pos]), nil
	}
	return nil, p.fail("expected a string, token, integer, byte sequence or boolean")
}

func (p *parser) str() (any, error) {
	p.pos++
	var s strings.Builder
	for !p.end() {
		c := p.text[p.pos]
		p.pos++
		switch {
		case c == '"':
			return s.String(), nil
		case c == '\\':
			if c = p.peek(); c != '"' && c != '\\' {
				return nil, p.fail("only quotation mark and backslash are escaped")
			}
			p.pos++
		case c < ' ' || c > '~':
			return nil, p.fail("a string is printable ASCII")
		}
		s.WriteByte(c)
	}
	return nil, p.fail("a string does not end")
}

func (p *parser) bytes() (any, error) {
	text, _, ok := strings.Cut(p.text[p.pos+1:], ":")
	if !ok {
		return nil, p.fail("a byte sequence does not end")
	}
	// The standard decoder skips line breaks even in strict mode.
	b, err := strictBase64.DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") {
		return nil, p.fail("a byte sequence is not canonical padded base64")
	}
	p.pos += len(text) + 2
	return b, nil
}

func (p *parser) integer() (any, error) {
	start := p.pos
	p.take('-')
	first := p.pos
	for digit(p.peek()) {
		p.pos++
	}
	if n := p.pos - first; n == 0 || n > 15 || p.peek() == '.' {
		return nil, p.fail("expected an integer of 1 to 15 digits")
	}
	v, err := strconv.ParseInt(p.text[start:p.pos], 10, 64)
	if err != nil {
		return nil, p.fail("not an integer")
	}
	return v, nil
}

func lower(c byte) bool { return 'a' <= c && c <= 'z' }
func digit(c byte) bool { return '0' <= c && c <= '9' }

// tchar reports whether c may stand in a token of RFC 9110 section 5.6.2.
func tchar(c byte) bool {
	return lower(c) || 'A' <= c && c <= 'Z' || digit(c) || c != 0 && strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// dictionary serializes members (RFC 8941 section 4.1.2).
func dictionary(members ...member) string {
	var out []byte
	for i, m := range members {
		if i > 0 {
			out = append(out, ", "...)
		}
		if out = append(out, m.key...); m.value == true {
			out = appendParams(out, m.params)
			continue
		}
		out = appendNode(append(out, '='), m.node)
	}
	return string(out)
}

// appendNode serializes an item or an inner list (RFC 8941 sections 4.1.3, 4.1.1.1).
func appendNode(dst []byte, n node) []byte {
	list, ok := n.value.([]node)
	if !ok {
		return appendParams(appendBare(dst, n.value), n.params)
	}
	dst = append(dst, '(')
	for i, item := range list {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = appendNode(dst, item)
	}
	return appendParams(append(dst, ')'), n.params)
}

func appendParams(dst []byte, params []param) []byte {
	for _, p := range params {
		dst = append(append(dst, ';'), p.key...)
		if p.value != true {
			dst = appendBare(append(dst, '='), p.value)
		}
	}
	return dst
}

func appendBare(dst []byte, v any) []byte {
	switch v := v.(type) {
	case int64:
		return strconv.AppendInt(dst, v, 10)
	case token:
		return append(dst, v...)
	case []byte:
		dst = base64.StdEncoding.AppendEncode(append(dst, ':'), v)
		return append(dst, ':')
	case bool:
		if v {
			return append(dst, "?1"...)
		}
		return append(dst, "?0"...)
	case string:
		dst = append(dst, '"')
		for i := range len(v) {
			if v[i] == '"' || v[i] == '\\' {
				dst = append(dst, '\\')
			}
			dst = append(dst, v[i])
		}
		return append(dst, '"')
	}
	panic("httpsig: a value that no parser makes")
}
