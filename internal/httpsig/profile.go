package httpsig

import (
	"crypto/rand"
	"net/http"
	"strings"
	"time"

	"github.com/writ-registry/writ/internal/jose"
)

// Tag is the tag of a direct call of an agent to its registry.
const Tag = "writ"

// The window of a direct call, as of every proof of possession.
const (
	MaxSkew     = 30 * time.Second // between created and the registry's clock, either way
	MaxLifetime = 60 * time.Second // from created to expires
)

// SignRequest signs an outgoing request with this package's profile: it sets
// Content-Digest if there is a body, and Signature-Input and Signature. origin is the
// registry's public one, "" to take that of the request's URL; keyID is the DID URL
// of the signer's key. Signatures that the request carries already are kept. Errors:
// *Error with WrongMessage, Malformed or Component, or the signer's own.
func SignRequest(r *http.Request, origin string, body []byte, s jose.Signer, keyID string, now time.Time) error {
	components := []string{"@method", "@target-uri"}
	if len(body) > 0 {
		r.Header.Set("Content-Digest", ContentDigest(body))
		components = append(components, "content-digest")
	}
	m, err := NewRequest(r, origin)
	if err != nil {
		return err
	}
	var nonce [16]byte
	rand.Read(nonce[:]) // never fails: crypto/rand crashes the program instead
	input, signature, err := Sign(m, s, Params{
		Label: Tag, Components: components, Created: now, Expires: now.Add(MaxLifetime),
		KeyID: keyID, Nonce: jose.EncodeBase64(nonce[:]), Tag: Tag,
	})
	if err != nil {
		return err
	}
	r.Header.Add("Signature-Input", input)
	r.Header.Add("Signature", signature)
	return nil
}

// ParseRequest finds the signature of an incoming direct call under this package's
// profile and checks all of it but the signature, which the caller has Verify do
// with the key of KeyID and the body that it read. origin is the registry's own, now
// its clock. The caller spends (key, Nonce) before it acts. Errors: those of
// NewRequest and Parse.
func ParseRequest(r *http.Request, origin string, now time.Time) (*Signature, error) {
	if origin == "" {
		return nil, refuse(WrongMessage, "no origin")
	}
	m, err := NewRequest(r, origin)
	if err != nil {
		return nil, err
	}
	s, err := Parse(m, Policy{
		Tag: Tag, Require: []string{"@method", "@target-uri"},
		Now: now, MaxAge: MaxSkew, MaxSkew: MaxSkew, MaxLifetime: MaxLifetime,
	})
	if err != nil {
		return nil, err
	}
	if did, fragment, ok := strings.Cut(s.KeyID, "#"); !ok || fragment == "" || !strings.HasPrefix(did, "did:") {
		return nil, refuse(Malformed, "keyid is no DID URL of a key")
	}
	if b, err := jose.DecodeBase64(s.Nonce); err != nil || len(b) < 16 || len(b) > 64 {
		return nil, refuse(Malformed, "nonce is not base64url of 16 to 64 bytes")
	}
	return s, nil
}

// IsSigned reports whether a request carries a signature of whatever tag, so that a
// server knows which authentication it is asked for.
func IsSigned(r *http.Request) bool { return r.Header.Get("Signature-Input") != "" }
