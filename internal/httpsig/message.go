package httpsig

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Message is what a signature can cover of an HTTP request or response. Field
// values are as they were received or will be sent.
type Message struct {
	Method string // of a request; "" for a response
	// Origin is the scheme and authority of the request's target URI, lower case and
	// without a default port: "https://writ.example".
	Origin string
	// Target is the request target in origin form, byte for byte as on the request
	// line (RFC 9112 section 3.2.1): path and query, percent-encoded.
	Target  string
	Status  int // of a response
	Header  http.Header
	Trailer http.Header
	Request *Message // of a response: the request that it answers, or nil

	// Dictionaries are further fields, in lower case, that are known to be
	// structured dictionaries, for the parameters sf and key.
	Dictionaries []string
}

// dictionaries are fields that are known to be structured dictionaries (RFC 9421
// sections 4.1, 4.2 and 5.1; RFC 9530 sections 2 and 3).
var dictionaries = []string{"signature", "signature-input", "accept-signature", "content-digest", "repr-digest"}

// NewRequest returns the message of a request, incoming or outgoing. origin is that
// of the target URI: a server gives the one that it was configured with, as Host is
// the caller's to choose; with "" an outgoing request's own URL is taken. Errors:
// *Error with WrongMessage.
func NewRequest(r *http.Request, origin string) (*Message, error) {
	u := r.URL
	if origin != "" {
		var err error
		if u, err = url.Parse(origin); err != nil {
			return nil, refuse(WrongMessage, "origin is no URL")
		}
	}
	m := &Message{Method: r.Method, Target: r.RequestURI, Header: r.Header.Clone(), Trailer: r.Trailer}
	if m.Method == "" {
		m.Method = http.MethodGet // as the client of net/http has it
	}
	if m.Target == "" {
		m.Target = r.URL.RequestURI()
	}
	if m.Origin = normalOrigin(u); m.Origin == "" {
		return nil, refuse(WrongMessage, "origin is not http or https with a host")
	}
	if !strings.HasPrefix(m.Target, "/") || strings.ContainsRune(m.Target, '#') {
		return nil, refuse(WrongMessage, "request target is not in origin form")
	}
	if m.Header == nil {
		m.Header = http.Header{}
	}
	// net/http keeps these two apart from the other fields.
	if m.Header.Get("Host") == "" && r.Host != "" {
		m.Header.Set("Host", r.Host)
	}
	if m.Header.Get("Content-Length") == "" && r.ContentLength > 0 {
		m.Header.Set("Content-Length", strconv.FormatInt(r.ContentLength, 10))
	}
	return m, nil
}

// normalOrigin returns the origin of u, its authority normalized as RFC 9421 section
// 2.2.3 says, or "" if it is none.
func normalOrigin(u *url.URL) string {
	scheme, host, port := strings.ToLower(u.Scheme), strings.ToLower(u.Host), u.Port()
	if scheme != "http" && scheme != "https" || u.Hostname() == "" || u.User != nil {
		return ""
	}
	if scheme == "http" && port == "80" || scheme == "https" && port == "443" {
		host = strings.TrimSuffix(host, ":"+port)
	}
	return scheme + "://" + strings.TrimSuffix(host, ":")
}

// base returns the signature base of m for the covered components and parameters of
// input (RFC 9421 section 2.5). Errors: *Error with Component.
func (m *Message) base(input node) ([]byte, error) {
	var out []byte
	var seen []string
	for _, c := range input.value.([]node) {
		id := identity(c)
		if slices.Contains(seen, id) {
			return nil, refuse(Component, "%s is covered twice", id)
		}
		seen = append(seen, id)
		value, err := m.component(c)
		if err != nil {
			return nil, err
		}
		for i := range len(value) {
			if (value[i] < ' ' && value[i] != '\t') || value[i] > '~' {
				return nil, refuse(Component, "value of %s is not printable ASCII", id)
			}
		}
		out = append(append(appendNode(out, c), ": "...), value...)
		out = append(out, '\n')
	}
	return appendNode(append(out, `"@signature-params": `...), input), nil
}

// identity returns the serialization of a component identifier with its parameters
// sorted: their order is kept but does not distinguish (RFC 9421 section 2).
func identity(c node) string {
	params := slices.Clone(c.params)
	slices.SortFunc(params, func(a, b param) int { return strings.Compare(a.key, b.key) })
	return string(appendNode(nil, node{c.value, params}))
}

// options are the parameters of a component identifier.
type options struct {
	sf, bs, req, tr bool
	key, name       *string
}

func readOptions(c node) (options, error) {
	var o options
	flags := map[string]*bool{"sf": &o.sf, "bs": &o.bs, "req": &o.req, "tr": &o.tr}
	texts := map[string]**string{"key": &o.key, "name": &o.name}
	for _, p := range c.params {
		if flag := flags[p.key]; flag != nil && p.value == true {
			*flag = true
		} else if text, ok := p.value.(string); ok && texts[p.key] != nil {
			*texts[p.key] = &text
		} else {
			return o, refuse(Component, "parameter %s is unknown or not of its type", p.key)
		}
	}
	return o, nil
}

// component returns the value of one covered component (RFC 9421 sections 2.1, 2.2).
func (m *Message) component(c node) (string, error) {
	name, ok := c.value.(string)
	if !ok {
		return "", refuse(Component, "a component is not named by a string")
	}
	o, err := readOptions(c)
	if err != nil {
		return "", err
	}
	if o.req {
		if m.Request == nil {
			return "", refuse(Component, "req without a request that was answered")
		}
		m = m.Request
	}
	if strings.HasPrefix(name, "@") {
		return m.derived(name, o)
	}
	if o.name != nil {
		return "", refuse(Component, "parameter name belongs to @query-param")
	}
	return m.field(name, o)
}

func (m *Message) derived(name string, o options) (string, error) {
	if o.sf || o.bs || o.tr || o.key != nil || (o.name != nil) != (name == "@query-param") {
		return "", refuse(Component, "%s does not take these parameters", name)
	}
	if name == "@status" {
		if m.Method != "" || m.Status < 100 || m.Status > 999 {
			return "", refuse(Component, "@status of what is no response")
		}
		return strconv.Itoa(m.Status), nil
	}
	if m.Method == "" {
		return "", refuse(Component, "%s of what is no request", name)
	}
	path, query, hasQuery := strings.Cut(m.Target, "?")
	scheme, authority, _ := strings.Cut(m.Origin, "://")
	switch name {
	case "@method":
		return m.Method, nil
	case "@target-uri":
		return m.Origin + m.Target, nil
	case "@authority":
		return authority, nil
	case "@scheme":
		return scheme, nil
	case "@request-target":
		return m.Target, nil
	case "@path":
		return path, nil
	case "@query":
		return "?" + query, nil
	case "@query-param":
		if !hasQuery {
			return "", refuse(Component, "no query")
		}
		return queryParam(query, *o.name)
	}
	return "", refuse(Component, "%s is not known", identity(node{value: name}))
}

// queryParam returns the value of the one parameter whose encoded name is name (RFC
// 9421 section 2.2.8).
func queryParam(query, name string) (string, error) {
	var found *string
	for pair := range strings.SplitSeq(query, "&") {
		key, value, _ := strings.Cut(pair, "=")
		encoded, err := recode(key)
		if err != nil {
			return "", err
		}
		if pair == "" || encoded != name {
			continue
		}
		if found != nil {
			return "", refuse(Component, "the query parameter occurs twice")
		}
		if value, err = recode(value); err != nil {
			return "", err
		}
		found = &value
	}
	if found == nil {
		return "", refuse(Component, "the query parameter does not occur")
	}
	return *found, nil
}

// recode decodes a name or value of application/x-www-form-urlencoded and encodes it
// in the one way of the URL standard's "percent-encode after encoding".
func recode(s string) (string, error) {
	s, err := url.QueryUnescape(s)
	if err != nil || !utf8.ValidString(s) {
		return "", refuse(Component, "the query is not percent-encoded UTF-8")
	}
	const hex = "0123456789ABCDEF"
	var out strings.Builder
	for i := range len(s) {
		c := s[i]
		if lower(c) || 'A' <= c && c <= 'Z' || digit(c) || strings.IndexByte("*-._", c) >= 0 {
			out.WriteByte(c)
		} else {
			out.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return out.String(), nil
}

// field returns the value of a field (RFC 9421 section 2.1).
func (m *Message) field(name string, o options) (string, error) {
	if name == "" || name != strings.ToLower(name) || strings.ContainsFunc(name, func(r rune) bool { return r > '~' || !tchar(byte(r)) }) {
		return "", refuse(Component, "%q is no field name in lower case", name)
	}
	if o.bs && (o.sf || o.key != nil) {
		return "", refuse(Component, "bs excludes sf and key")
	}
	values := m.values(name, o.tr)
	if len(values) == 0 {
		return "", refuse(Component, "field %s is not there", name)
	}
	if o.bs {
		var out []byte
		for i, v := range values {
			if i > 0 {
				out = append(out, ", "...)
			}
			out = appendBare(out, []byte(v))
		}
		return string(out), nil
	}
	joined := strings.Join(values, ", ")
	if !o.sf && o.key == nil {
		return joined, nil
	}
	if !slices.Contains(dictionaries, name) && !slices.Contains(m.Dictionaries, name) {
		return "", refuse(Component, "field %s is not known to be a dictionary", name)
	}
	members, err := parseDictionary(joined)
	if err != nil {
		return "", refuse(Component, "field %s: %v", name, err)
	}
	if o.key == nil {
		return dictionary(members...), nil
	}
	for _, d := range members {
		if d.key == *o.key {
			return string(appendNode(nil, d.node)), nil
		}
	}
	return "", refuse(Component, "field %s has not the member %q", name, *o.key)
}

// folding is an obsolete line folding (RFC 9112 section 5.2).
var folding = regexp.MustCompile(`[ \t]*\r?\n[ \t]+`)

// values returns the values of a field, trimmed and unfolded (RFC 9421 section 2.1,
// steps 2 and 3). A line break that folds nothing stays, and base refuses it.
func (m *Message) values(name string, trailer bool) []string {
	fields := m.Header
	if trailer {
		fields = m.Trailer
	}
	values := slices.Clone(fields[http.CanonicalHeaderKey(name)])
	for i, v := range values {
		values[i] = strings.Trim(folding.ReplaceAllLiteralString(v, " "), " \t")
	}
	return values
}
