package httpsig

import (
	"slices"
	"strings"
	"time"

	"github.com/writ-registry/writ/internal/jose"
)

// maxText is the longest keyid, nonce, alg or tag that is read, in bytes.
const maxText = 2048

// Policy is what a verifier demands of a signature (RFC 9421 section 3.2.1). Exactly
// one signature of the message may have the label and tag; those that differ are
// passed over.
type Policy struct {
	Label   string        // of the signature; "": any
	Tag     string        // of the signature; "": any
	Require []string      // components that must be covered, as in Params
	Now     time.Time     // the verifier's clock
	MaxAge  time.Duration // how long before Now created may be; 0: created may be missing or of any age
	MaxSkew time.Duration // how long after Now created may be
	// MaxLifetime is how long after created expires may be; 0: expires may be missing
	// or of any distance. In either case it may not have passed.
	MaxLifetime time.Duration
	Algs        []string // algorithms that are allowed, by name; nil: both of this package
}

// Signature is a signature of a message as Parse found it. It proves nothing until
// Verify has succeeded with a key that the caller trusts.
type Signature struct {
	Label      string
	Components []string // as in Params
	Created    int64    // seconds since 1970, 0 if missing
	Expires    int64    // seconds since 1970, 0 if missing
	KeyID      string
	Alg        string // "" if missing
	Nonce      string
	Tag        string

	base   []byte
	value  []byte
	digest *string  // of Content-Digest, if that is covered
	algs   []string // of the policy
}

// Parse finds the one signature of m that p asks for and holds all of it but the
// signature itself against p: grammar, parameters, window, coverage, in this order.
// Errors: *Error with Malformed, Missing, Ambiguous, WrongAlg, Lifetime, Stale,
// Uncovered or Component.
func Parse(m *Message, p Policy) (*Signature, error) {
	input, value, err := m.find(p)
	if err != nil {
		return nil, err
	}
	list, ok := input.value.([]node)
	if !ok {
		return nil, refuse(Malformed, "Signature-Input: not an inner list")
	}
	s := &Signature{Label: input.key, value: value, algs: p.Algs}
	if err := s.read(input.params); err != nil {
		return nil, err
	}
	if s.Alg != "" && algorithms[s.Alg] == "" {
		return nil, refuse(WrongAlg, "alg is not one that is known")
	}
	if err := s.checkWindow(p); err != nil {
		return nil, err
	}
	var covered []string
	for _, c := range list {
		if _, ok := c.value.(string); !ok {
			return nil, refuse(Malformed, "Signature-Input: a component is not named by a string")
		}
		s.Components = append(s.Components, strings.Replace(string(appendNode(nil, node{value: c.value})), `"`, "", 2)+string(appendParams(nil, c.params)))
		covered = append(covered, identity(c))
	}
	for _, text := range p.Require {
		c, err := parseComponent(text)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(covered, identity(c)) {
			return nil, refuse(Uncovered, "%s is not covered", text)
		}
	}
	if s.base, err = m.base(input.node); err != nil {
		return nil, err
	}
	if slices.Contains(covered, `"content-digest"`) {
		digest := strings.Join(m.values("content-digest", false), ", ")
		s.digest = &digest
	}
	return s, nil
}

// find returns the member of Signature-Input that p asks for and the signature of
// its label (RFC 9421 section 4).
func (m *Message) find(p Policy) (input member, value []byte, err error) {
	inputs, err := parseDictionary(strings.Join(m.values("signature-input", false), ", "))
	if err != nil {
		return member{}, nil, err
	}
	values, err := parseDictionary(strings.Join(m.values("signature", false), ", "))
	if err != nil {
		return member{}, nil, err
	}
	if len(inputs) != len(values) {
		return member{}, nil, refuse(Malformed, "Signature and Signature-Input have not the same labels")
	}
	found := 0
	for _, in := range inputs {
		i := slices.IndexFunc(values, func(v member) bool { return v.key == in.key })
		if i < 0 {
			return member{}, nil, refuse(Malformed, "Signature and Signature-Input have not the same labels")
		}
		if p.Label != "" && in.key != p.Label || p.Tag != "" && !slices.Contains(in.params, param{"tag", p.Tag}) {
			continue
		}
		found++
		sig, ok := values[i].value.([]byte)
		if !ok || len(values[i].params) > 0 {
			return member{}, nil, refuse(Malformed, "Signature: not a byte sequence")
		}
		input, value = in, sig
	}
	switch found {
	case 0:
		return member{}, nil, refuse(Missing, "no signature of the wanted label and tag")
	case 1:
		return input, value, nil
	}
	return member{}, nil, refuse(Ambiguous, "%d signatures of the wanted label and tag", found)
}

// read reads the signature parameters of RFC 9421 section 2.3.
func (s *Signature) read(params []param) error {
	times := map[string]*int64{"created": &s.Created, "expires": &s.Expires}
	texts := map[string]*string{"keyid": &s.KeyID, "alg": &s.Alg, "nonce": &s.Nonce, "tag": &s.Tag}
	for _, p := range params {
		if at, ok := p.value.(int64); ok && times[p.key] != nil && at > 0 {
			*times[p.key] = at
		} else if text, ok := p.value.(string); ok && texts[p.key] != nil && text != "" && len(text) <= maxText {
			*texts[p.key] = text
		} else {
			return refuse(Malformed, "Signature-Input: parameter %s is unknown or out of range", p.key)
		}
	}
	return nil
}

func (s *Signature) checkWindow(p Policy) error {
	created, expires := time.Unix(s.Created, 0), time.Unix(s.Expires, 0)
	if p.MaxAge > 0 && s.Created == 0 {
		return refuse(Malformed, "created is missing")
	}
	if p.MaxLifetime > 0 && (s.Created == 0 || s.Expires <= s.Created || expires.Sub(created) > p.MaxLifetime) {
		return refuse(Lifetime, "expires is not within %s after created", p.MaxLifetime)
	}
	if p.MaxAge > 0 && p.Now.Sub(created) > p.MaxAge {
		return refuse(Stale, "created is more than %s ago", p.MaxAge)
	}
	if s.Created != 0 && created.Sub(p.Now) > p.MaxSkew {
		return refuse(Stale, "created is more than %s ahead", p.MaxSkew)
	}
	if s.Expires != 0 && !p.Now.Before(expires) {
		return refuse(Stale, "expires has passed")
	}
	return nil
}

// Verify proves that key signed the message, and that body, the content as received,
// is what the covered Content-Digest says. A body that is not empty must be covered;
// a digest that is covered must be that of the body even if it is empty. Errors:
// *Error with WrongAlg, BadSignature, Uncovered, Malformed or WrongDigest, in this
// order: nothing is hashed for a stranger.
func (s *Signature) Verify(key jose.PublicKey, body []byte) error {
	if s.Alg != "" && algorithms[s.Alg] != key.Alg() {
		return refuse(WrongAlg, "alg does not fit the key")
	}
	if s.algs != nil && !slices.ContainsFunc(s.algs, func(name string) bool { return algorithms[name] == key.Alg() }) {
		return refuse(WrongAlg, "the key's algorithm is not allowed")
	}
	if err := key.Verify(s.base, s.value); err != nil {
		return refuse(BadSignature, "%v", err)
	}
	if s.digest != nil {
		return CheckDigest(*s.digest, body)
	}
	if len(body) > 0 {
		return refuse(Uncovered, "content-digest is not covered, and there is a body")
	}
	return nil
}
