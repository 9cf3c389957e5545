package did

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
)

// The verification relationships that a signature can be for (DID Core 1.0 section
// 5.3).
const (
	Authentication       = "authentication"
	AssertionMethod      = "assertionMethod"
	CapabilityInvocation = "capabilityInvocation"
	CapabilityDelegation = "capabilityDelegation"
)

// method is a verification method as others write it: with its key as a Multikey or a
// JWK, and perhaps a relative id.
type method struct {
	ID         string          `json:"id"`
	Type       string          `json:"type"`
	Controller string          `json:"controller"`
	Multibase  string          `json:"publicKeyMultibase"`
	JWK        json.RawMessage `json:"publicKeyJwk"`
	Expires    string          `json:"expires"`
	Revoked    string          `json:"revoked"`
}

// FindKey returns the key that a DID document, also one that this package would not
// write, gives to the DID URL id for a relationship at a time. The method may be of
// type Multikey, Ed25519VerificationKey2020, JsonWebKey or JsonWebKey2020, embedded in
// the relationship or referred to, by an absolute or a relative DID URL, and is
// controlled by the document's subject. It errs if there is none, more than one, or one
// that does not stand at that time.
func FindKey(document []byte, id, relationship string, at time.Time) (jose.PublicKey, error) {
	if !slices.Contains([]string{Authentication, AssertionMethod, CapabilityInvocation, CapabilityDelegation}, relationship) {
		return jose.PublicKey{}, fmt.Errorf("did: %q is no relationship of keys that sign", relationship)
	}
	var members map[string]json.RawMessage
	if err := canon.UnmarshalOpen(document, &members); err != nil {
		return jose.PublicKey{}, err
	}
	var subject string
	var listed, related []json.RawMessage
	for name, v := range map[string]any{"id": &subject, "verificationMethod": &listed, relationship: &related} {
		if data, ok := members[name]; ok {
			if err := canon.UnmarshalOpen(data, v); err != nil {
				return jose.PublicKey{}, fmt.Errorf("did: %s of the document: %w", name, err)
			}
		}
	}
	if _, err := Parse(subject); err != nil {
		return jose.PublicKey{}, err
	}
	if !strings.HasPrefix(id, subject+"#") {
		return jose.PublicKey{}, errors.New("did: the key is not of the document's subject")
	}
	named := func(ref string) bool { return ref == id || strings.HasPrefix(ref, "#") && subject+ref == id }

	var found []method
	referred := false
	for _, data := range related {
		var ref string
		if canon.Unmarshal(data, &ref) == nil {
			referred = referred || named(ref)
			continue
		}
		var m method
		if err := canon.UnmarshalOpen(data, &m); err != nil {
			return jose.PublicKey{}, fmt.Errorf("did: %s of the document: %w", relationship, err)
		}
		if named(m.ID) {
			found = append(found, m)
		}
	}
	for _, data := range listed {
		var m method
		if err := canon.UnmarshalOpen(data, &m); err != nil {
			return jose.PublicKey{}, fmt.Errorf("did: verificationMethod of the document: %w", err)
		}
		if referred && named(m.ID) {
			found = append(found, m)
		}
	}
	if len(found) != 1 {
		return jose.PublicKey{}, fmt.Errorf("did: the document has %d methods of that id for %s", len(found), relationship)
	}
	if m := found[0]; m.Controller != subject || !stands(at, m.Expires, m.Revoked) {
		return jose.PublicKey{}, errors.New("did: the key is another's, expired or revoked")
	}
	return found[0].key()
}

// key reads the one key of m.
func (m method) key() (jose.PublicKey, error) {
	switch {
	case m.JWK == nil && (m.Type == "Multikey" || m.Type == "Ed25519VerificationKey2020"):
		k, err := jose.ParseMultikey(m.Multibase)
		if err == nil && m.Type != "Multikey" && k.Alg() != jose.EdDSA {
			return jose.PublicKey{}, errors.New("did: the key is not of its type")
		}
		return k, err
	case m.Multibase == "" && (m.Type == "JsonWebKey" || m.Type == "JsonWebKey2020"):
		return jose.ParseJWK(m.JWK)
	}
	return jose.PublicKey{}, errors.New("did: the key's type is not known, or it has two")
}

// stands reports whether a key with these limits stands at a time. One that cannot be
// read ends it.
func stands(at time.Time, limits ...string) bool {
	for _, limit := range limits {
		if limit == "" {
			continue
		}
		if end, err := time.Parse(time.RFC3339, limit); err != nil || !at.Before(end) {
			return false
		}
	}
	return true
}
