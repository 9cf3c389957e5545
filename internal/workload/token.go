package workload

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
)

const (
	// MaxToken is the longest token that is looked at, in bytes.
	MaxToken = 16 << 10
	// MaxLife is the longest life of a token: Entra ID gives managed identities a day, and
	// begins it five minutes early.
	MaxLife = 25 * time.Hour
	// Skew is how far the issuer's clock may be ahead.
	Skew = 30 * time.Second
)

// algorithms are the signatures that are verified (RFC 7518 section 3.1, RFC 8037). All
// are asymmetric: a MAC's key would be known to whoever verifies it.
var algorithms = []string{"RS256", "PS256", "ES256", "ES384", "EdDSA"}

// header is what a protected header may hold and what it must not (RFC 7515 section
// 4.1). Others, such as x5t, name keys in ways that are not used, and are ignored.
type header struct {
	Alg string `json:"alg"`
	Kid string `json:"kid"`
	Typ string `json:"typ"`

	Crit json.RawMessage `json:"crit"`
	JWK  json.RawMessage `json:"jwk"`
	JKU  json.RawMessage `json:"jku"`
	X5U  json.RawMessage `json:"x5u"`
	X5C  json.RawMessage `json:"x5c"`
	B64  json.RawMessage `json:"b64"`
	Zip  json.RawMessage `json:"zip"`
	Enc  json.RawMessage `json:"enc"`
}

// claims are those of every kind of token (RFC 7519 section 4.1). Times are whole seconds.
type claims struct {
	Iss string     `json:"iss"`
	Sub string     `json:"sub"`
	Aud audiences  `json:"aud"`
	Exp *int64     `json:"exp"`
	Nbf *int64     `json:"nbf"`
	Iat *int64     `json:"iat"`
	Jti string     `json:"jti"`
	Cnf *confirmed `json:"cnf"`
}

// confirmed is the key that a token is bound to (RFC 9449 section 6.1). A binding of
// another kind cannot be honoured, so it is not ignored.
type confirmed struct {
	JKT string `json:"jkt"`
}

// audiences is a string or an array of strings (RFC 7519 section 4.1.3).
type audiences []string

// UnmarshalJSON reads either form.
func (a *audiences) UnmarshalJSON(data []byte) error {
	var one string
	if len(data) > 0 && data[0] == '"' {
		if err := canon.Unmarshal(data, &one); err != nil {
			return err
		}
		*a = audiences{one}
		return nil
	}
	return canon.Unmarshal(data, (*[]string)(a))
}

// token is a parsed token: the claims of a stranger until its signature is verified.
type token struct {
	raw     string
	signed  string // the part that is signed: header "." payload
	payload []byte
	claims  claims
}

// parse reads a token as far as it can be read without its key.
func parse(raw string, allowed []string) (token, error) {
	if len(raw) > MaxToken {
		return token{}, fail(TooLarge, "the token is too long")
	}
	parts := strings.Split(raw, ".")
	if len(parts) != 3 || parts[2] == "" {
		return token{}, fail(Malformed, "not a compact JWS with a signature")
	}
	var h header
	if data, err := jose.DecodeBase64(parts[0]); err != nil || canon.UnmarshalOpen(data, &h) != nil {
		return token{}, fail(Malformed, "header is not base64url of strict JSON")
	}
	if err := h.check(allowed); err != nil {
		return token{}, err
	}
	payload, err := jose.DecodeBase64(parts[1])
	if err != nil {
		return token{}, fail(Malformed, "payload is not base64url")
	}
	t := token{raw: raw, signed: parts[0] + "." + parts[1], payload: payload}
	return t, t.decode(&t.claims)
}

// decode reads the payload strictly into v, but for members that v does not name.
func (t token) decode(v any) error {
	if err := canon.UnmarshalOpen(t.payload, v); err != nil {
		return fail(Malformed, "payload: "+err.Error())
	}
	return nil
}

func (h header) check(allowed []string) error {
	if !slices.Contains(allowed, h.Alg) {
		return fail(BadHeader, "alg is not one of "+strings.Join(allowed, ", "))
	}
	if h.Kid == "" {
		return fail(BadHeader, "kid is missing")
	}
	// A type of its own says that the token is for something else (RFC 8725 section 3.11).
	switch strings.TrimPrefix(strings.ToLower(h.Typ), "application/") {
	case "", "jwt", "at+jwt", "jose":
	default:
		return fail(BadHeader, "typ is not that of an access token")
	}
	for _, member := range []json.RawMessage{h.Crit, h.JWK, h.JKU, h.X5U, h.X5C, h.B64, h.Zip, h.Enc} {
		if member != nil {
			return fail(BadHeader, "crit, jwk, jku, x5u, x5c, b64, zip and enc are refused")
		}
	}
	return nil
}

// inTime checks the window of a token. iat may be missing only where the kind of token
// does not demand it; then the life that is left is bounded.
func (c claims) inTime(now time.Time, needIat bool) error {
	if c.Exp == nil || c.Iat == nil && needIat {
		return fail(BadTime, "exp or iat is missing")
	}
	exp := time.Unix(*c.Exp, 0)
	begin := now
	for _, from := range []*int64{c.Nbf, c.Iat} {
		if from != nil && time.Unix(*from, 0).After(now.Add(Skew)) {
			return fail(BadTime, "not valid yet")
		}
	}
	if c.Iat != nil {
		begin = time.Unix(*c.Iat, 0)
	}
	if !now.Before(exp) {
		return fail(BadTime, "expired")
	}
	if exp.Sub(begin) > MaxLife {
		return fail(BadTime, "valid for more than a day")
	}
	return nil
}
