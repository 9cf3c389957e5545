package did

import (
	"crypto/sha256"
	"errors"
	"strings"
	"time"

	"github.com/mr-tron/base58"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
)

// proof is a Data Integrity proof (VC Data Integrity 1.0 section 2.1) with the
// members that did:webvh uses; others are refused rather than not understood.
type proof struct {
	Type               string `json:"type"`
	Cryptosuite        string `json:"cryptosuite"`
	VerificationMethod string `json:"verificationMethod"`
	Created            string `json:"created,omitempty"`
	ProofPurpose       string `json:"proofPurpose"`
	ProofValue         string `json:"proofValue,omitempty"`
}

// newProof signs a document in its RFC 8785 form by eddsa-jcs-2022. The key names
// itself, as a did:key.
func newProof(s jose.Signer, document []byte, created string) (proof, error) {
	key := s.Public()
	if key.Alg() != jose.EdDSA {
		return proof{}, errors.New("did: a key that signs log entries is Ed25519")
	}
	p := proof{
		Type:               "DataIntegrityProof",
		Cryptosuite:        "eddsa-jcs-2022",
		VerificationMethod: Key(key).KeyURL(key),
		Created:            created,
		ProofPurpose:       "assertionMethod",
	}
	hash, err := p.hash(document)
	if err != nil {
		return proof{}, err
	}
	sig, err := s.Sign(hash)
	if err != nil {
		return proof{}, err
	}
	p.ProofValue = "z" + base58.Encode(sig)
	return p, nil
}

// hash returns what p signs: SHA-256 of p without its value, then SHA-256 of the
// document (Data Integrity EdDSA Cryptosuites 1.0 section 3.3.4).
func (p proof) hash(document []byte) ([]byte, error) {
	p.ProofValue = ""
	config, err := canon.Marshal(p)
	if err != nil {
		return nil, err
	}
	a, b := sha256.Sum256(config), sha256.Sum256(document)
	return append(a[:], b[:]...), nil
}

// verify checks p over a document in its RFC 8785 form and returns the Multikey of
// its key. The key is the body of a did:key, which the fragment must repeat (did:webvh
// v1.0, "Witness DIDs and Reputation"); nothing is looked up.
func (p proof) verify(document []byte) (string, error) {
	if p.Type != "DataIntegrityProof" || p.Cryptosuite != "eddsa-jcs-2022" || p.ProofPurpose != "assertionMethod" {
		return "", errors.New("not an eddsa-jcs-2022 proof for assertionMethod")
	}
	if _, err := time.Parse(time.RFC3339, p.Created); p.Created != "" && err != nil {
		return "", errors.New("created is not a date and time")
	}
	id, fragment, err := ParseURL(p.VerificationMethod)
	if err != nil {
		return "", err
	}
	key, err := id.PublicKey()
	if err != nil || key.Alg() != jose.EdDSA || fragment != key.Multikey() {
		return "", errors.New("verificationMethod is not the did:key URL of an Ed25519 key")
	}
	// 64 bytes are at most 88 characters of base58.
	if len(p.ProofValue) > 89 || !strings.HasPrefix(p.ProofValue, "z") {
		return "", errors.New("proofValue is not a base58btc signature")
	}
	sig, err := base58.Decode(p.ProofValue[1:])
	if err != nil {
		return "", errors.New("proofValue is not a base58btc signature")
	}
	hash, err := p.hash(document)
	if err != nil {
		return "", err
	}
	return fragment, key.Verify(hash, sig)
}
