package statuslist

import (
	"bytes"
	"compress/zlib"
	"io"
	"time"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
)

const (
	// Typ is the JWS typ of a status list token (section 5.1 of the draft).
	Typ = "statuslist+jwt"
	// MediaType is that of the answer that holds one (section 8.2).
	MediaType = "application/statuslist+jwt"
	// MaxToken is the longest status list token that is parsed, in bytes: an array
	// of MaxArray bytes that no compression makes shorter, twice in base64.
	MaxToken = 2 << 20
	// MaxSkew is how far ahead of the verifier's clock iat may be.
	MaxSkew = 30 * time.Second
)

// StatusList is the claim status_list (section 4.2).
type StatusList struct {
	Bits int    `json:"bits"`
	List string `json:"lst"` // base64url of ZLIB
}

// Claims is the payload of a status list token (section 5.1). Times are whole seconds
// since 1970 UTC.
type Claims struct {
	Issuer     string     `json:"iss,omitempty"`
	Subject    string     `json:"sub"` // the address of the token, as the tokens in question name it
	IssuedAt   int64      `json:"iat"`
	Expires    int64      `json:"exp,omitempty"`
	TTL        int64      `json:"ttl,omitempty"` // seconds for which a reader may keep it
	StatusList StatusList `json:"status_list"`
}

func (c Claims) check() error {
	switch {
	case c.Subject == "":
		return refuse(Malformed, "sub is missing")
	case c.IssuedAt <= 0:
		return refuse(Malformed, "iat is missing or out of range")
	case c.Expires < 0 || c.Expires > 0 && c.Expires <= c.IssuedAt:
		return refuse(Malformed, "exp is not after iat")
	case c.TTL < 0:
		return refuse(Malformed, "ttl is negative")
	case c.StatusList.List == "":
		return refuse(Malformed, "status_list.lst is missing")
	}
	return checkBits(c.StatusList.Bits)
}

// Sign returns the status list token of c. kid, if not empty, is the DID URL of the
// key. Errors: *Error with Malformed, or the signer's own.
func Sign(s jose.Signer, kid string, c Claims) (string, error) {
	if err := c.check(); err != nil {
		return "", err
	}
	return jose.Sign(s, Typ, kid, c)
}

// Token is a parsed status list token. It says nothing until Verify has succeeded.
type Token struct {
	token  *jose.Token
	claims Claims
}

// Parse reads a status list token of at most MaxToken bytes and checks its shape; the
// list is not decompressed yet. Other claims are passed over, as the draft has it.
// Errors: *Error with Malformed.
func Parse(raw string) (*Token, error) {
	token, err := jose.Parse(raw, Typ, MaxToken)
	if err != nil {
		return nil, refuse(Malformed, "%v", err)
	}
	t := &Token{token: token}
	if err := canon.UnmarshalOpen(token.Payload, &t.claims); err != nil {
		return nil, refuse(Malformed, "claims: %v", err)
	}
	if err := t.claims.check(); err != nil {
		return nil, err
	}
	return t, nil
}

// Claims returns the claims.
func (t *Token) Claims() Claims { return t.claims }

// KeyID returns the header's kid, a hint at the issuer's key; it may be "".
func (t *Token) KeyID() string { return t.token.Header.Kid }

// Check is what a verifier knows by itself and holds a status list token against.
type Check struct {
	Key    jose.PublicKey // that the issuer signs status lists with
	URI    string         // of the claim status.status_list.uri of the token in question
	Now    time.Time      // the verifier's clock
	MaxAge time.Duration  // how long before Now iat may be; 0: any
}

// Verify holds the token against check: signature, sub, exp, age, in this order
// (section 8.3, steps 3 and 4), then decompresses the list. Errors: *Error with
// BadSignature, WrongSubject, Stale or Malformed.
func (t *Token) Verify(check Check) (*Statuses, error) {
	if err := t.token.Verify(check.Key); err != nil {
		return nil, refuse(BadSignature, "%v", err)
	}
	age := check.Now.Sub(time.Unix(t.claims.IssuedAt, 0))
	switch {
	case t.claims.Subject != check.URI:
		return nil, refuse(WrongSubject, "sub is not the address of this list")
	case t.claims.Expires != 0 && !check.Now.Before(time.Unix(t.claims.Expires, 0)):
		return nil, refuse(Stale, "exp has passed")
	case age < -MaxSkew:
		return nil, refuse(Stale, "iat is more than %s ahead", MaxSkew)
	case check.MaxAge > 0 && age > check.MaxAge:
		return nil, refuse(Stale, "iat is more than %s ago", check.MaxAge)
	}
	a, err := t.claims.StatusList.decode()
	if err != nil {
		return nil, err
	}
	return &Statuses{a}, nil
}

// decode decompresses the list, into at most MaxArray bytes.
func (s StatusList) decode() (array, error) {
	if err := checkBits(s.Bits); err != nil {
		return array{}, err
	}
	compressed, err := jose.DecodeBase64(s.List)
	if err != nil {
		return array{}, refuse(Malformed, "lst: %v", err)
	}
	in := bytes.NewReader(compressed)
	r, err := zlib.NewReader(in)
	if err != nil {
		return array{}, refuse(Malformed, "lst is not ZLIB")
	}
	data, err := io.ReadAll(io.LimitReader(r, MaxArray+1))
	switch {
	case err != nil:
		return array{}, refuse(Malformed, "lst is not ZLIB")
	case len(data) > MaxArray:
		return array{}, refuse(Malformed, "lst holds more than %d bytes", MaxArray)
	case len(data) == 0:
		return array{}, refuse(Malformed, "lst holds nothing")
	case in.Len() > 0:
		return array{}, refuse(Malformed, "lst goes on after its end")
	}
	return array{s.Bits, data}, nil
}

// Statuses is a list that was verified. It does not change.
type Statuses struct{ array array }

// Len returns how many statuses there are; the last ones may be padding.
func (s *Statuses) Len() int { return s.array.len() }

// Get returns the status at index i. Errors: *Error with OutOfRange, upon which the
// token in question must be refused (section 8.3, step 6).
func (s *Statuses) Get(i int) (Status, error) { return s.array.get(i) }
