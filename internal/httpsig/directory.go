package httpsig

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
)

// The directory of keys of draft-meunier-webbotauth-httpsig-protocol-02.
const (
	DirectoryPath = "/.well-known/http-message-signatures-directory"
	DirectoryType = "application/http-message-signatures-directory+json" // its media type
	DirectoryTag  = "http-message-signatures-directory"                  // the tag of its signatures
)

// directoryKey is one key of the set (RFC 7517 section 4).
type directoryKey struct {
	jose.JWK
	Kid string `json:"kid"` // the thumbprint (RFC 7638)
	Use string `json:"use"`
}

// Directory returns the answer to GET DirectoryPath at origin: a JWK Set of keys in
// their order, as the body, and the header that says what it is and proves that the
// signers hold theirs ("Possession Proof on the Directory Response": "@authority" of
// the request and "content-digest" are covered). Each signer's key must be among
// keys; the labels are key0, key1 and so on by their place there. Errors: *Error with
// WrongMessage or Malformed, or a signer's own.
func Directory(origin string, keys []jose.PublicKey, signers []jose.Signer, created, expires time.Time) ([]byte, http.Header, error) {
	set := struct {
		Keys []directoryKey `json:"keys"`
	}{[]directoryKey{}}
	for _, k := range keys {
		set.Keys = append(set.Keys, directoryKey{k.JWK(), k.Thumbprint(), "sig"})
	}
	body, err := canon.Marshal(set)
	if err != nil {
		return nil, nil, refuse(Malformed, "directory: %v", err)
	}
	u, err := url.Parse(origin)
	if err != nil || normalOrigin(u) == "" {
		return nil, nil, refuse(WrongMessage, "origin is not http or https with a host")
	}
	header := http.Header{"Content-Type": {DirectoryType}, "Content-Digest": {ContentDigest(body)}}
	m := &Message{
		Status: http.StatusOK, Header: header,
		Request: &Message{Method: http.MethodGet, Origin: normalOrigin(u), Target: DirectoryPath},
	}
	for _, s := range signers {
		i := slices.Index(keys, s.Public())
		if i < 0 {
			return nil, nil, refuse(Malformed, "a signer's key is not of the directory")
		}
		input, signature, err := Sign(m, s, Params{
			Label: fmt.Sprintf("key%d", i), Components: []string{"@authority;req", "content-digest"},
			Created: created, Expires: expires, KeyID: s.Public().Thumbprint(), Tag: DirectoryTag,
		})
		if err != nil {
			return nil, nil, err
		}
		header.Add("Signature-Input", input)
		header.Add("Signature", signature)
	}
	return body, header, nil
}
