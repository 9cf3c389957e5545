package httpsig

import (
	"strings"
	"time"

	"github.com/writ-registry/writ/internal/jose"
)

// Signature algorithms (RFC 9421 sections 3.3.6 and 3.3.4), by the names of the HTTP
// Signature Algorithms registry.
const (
	Ed25519 = "ed25519"
	ES256   = "ecdsa-p256-sha256"
)

// algorithms maps the names to those of package jose.
var algorithms = map[string]string{Ed25519: jose.EdDSA, ES256: jose.ES256}

// Params are what a signer chooses. Components are component identifiers without the
// quotation marks around the name: "@method", "content-digest", "@authority;req",
// `@query-param;name="Pet"`. Zero times and empty strings are left out of the
// signature, except that Label is required; times are cut to whole seconds.
type Params struct {
	Label      string // a key of RFC 8941 section 3.1.2, unique in the message
	Components []string
	Created    time.Time
	Expires    time.Time
	KeyID      string
	Alg        string
	Nonce      string
	Tag        string
}

// node returns the signature parameters as an inner list (RFC 9421 section 2.3).
func (p Params) node() (node, error) {
	list := []node{}
	for _, text := range p.Components {
		c, err := parseComponent(text)
		if err != nil {
			return node{}, err
		}
		list = append(list, c)
	}
	n := node{value: list}
	for _, t := range []struct {
		key string
		at  time.Time
	}{{"created", p.Created}, {"expires", p.Expires}} {
		if !t.at.IsZero() {
			n.params = append(n.params, param{t.key, t.at.Unix()})
		}
	}
	for _, s := range []struct{ key, text string }{{"keyid", p.KeyID}, {"alg", p.Alg}, {"nonce", p.Nonce}, {"tag", p.Tag}} {
		if s.text != "" {
			n.params = append(n.params, param{s.key, s.text})
		}
	}
	return n, nil
}

// parseComponent reads a component identifier as Params writes it.
func parseComponent(text string) (node, error) {
	name, _, _ := strings.Cut(text, ";")
	p := &parser{text: text, pos: len(name)}
	list, err := p.params()
	if err == nil && !p.end() {
		err = p.fail("expected a parameter")
	}
	return node{name, list}, err
}

// Sign signs m and returns the values to add to the fields Signature-Input and
// Signature (RFC 9421 sections 3.1 and 4). Errors: *Error with Malformed, Component
// or WrongAlg, or the signer's own.
func Sign(m *Message, s jose.Signer, p Params) (input, signature string, err error) {
	if p.Alg != "" && algorithms[p.Alg] != s.Public().Alg() {
		return "", "", refuse(WrongAlg, "alg does not fit the key")
	}
	n, err := p.node()
	if err != nil {
		return "", "", err
	}
	base, err := m.base(n)
	if err != nil {
		return "", "", err
	}
	input = dictionary(member{p.Label, n})
	// What cannot be read again (a label, a control character) is not sent.
	if again, err := parseDictionary(input); err != nil || len(again) != 1 || dictionary(again...) != input {
		return "", "", refuse(Malformed, "label or a parameter is not of its grammar")
	}
	sig, err := s.Sign(base)
	if err != nil {
		return "", "", err
	}
	return input, dictionary(member{p.Label, node{value: sig}}), nil
}
