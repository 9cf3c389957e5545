package did

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mr-tron/base58"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
)

const (
	methodVersion = "did:webvh:1.0"
	placeholder   = "{SCID}"
)

// logEntry is one line of a log (did:webvh v1.0, "The DID Log File").
type logEntry struct {
	VersionID   string          `json:"versionId"`
	VersionTime string          `json:"versionTime"`
	Parameters  json.RawMessage `json:"parameters"`
	State       json.RawMessage `json:"state"`
	Proof       []proof         `json:"proof,omitempty"`
}

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

// parameters are the did:webvh v1.0 method parameters. nil means absent, which
// keeps the value of the entry before.
type parameters struct {
	Method        *string   `json:"method,omitempty"`
	SCID          *string   `json:"scid,omitempty"`
	UpdateKeys    *[]string `json:"updateKeys,omitempty"`
	NextKeyHashes *[]string `json:"nextKeyHashes,omitempty"`
	Portable      *bool     `json:"portable,omitempty"`
	Witness       *witness  `json:"witness,omitempty"`
	Watchers      *[]string `json:"watchers,omitempty"`
	Deactivated   *bool     `json:"deactivated,omitempty"`
	TTL           *int64    `json:"ttl,omitempty"` // seconds
}

type witness struct {
	Threshold *int `json:"threshold,omitempty"`
	Witnesses *[]struct {
		ID string `json:"id"`
	} `json:"witnesses,omitempty"`
}

// multihash returns base58btc(multihash(SHA-256(data))), the one hash of did:webvh
// v1.0: 46 characters that begin with Qm.
func multihash(data []byte) string {
	sum := sha256.Sum256(data)
	return base58.Encode(append([]byte{0x12, 0x20}, sum[:]...))
}

// NextKeyHash returns the pre-rotation commitment to an update key (did:webvh v1.0,
// "Pre-Rotation Key Hash Generation and Verification").
func NextKeyHash(k jose.PublicKey) string { return multihash([]byte(k.Multikey())) }

// canonical returns the RFC 8785 form of e without proof and with the given
// versionId: the input of the SCID, of the entry hash and of the proof.
func (e logEntry) canonical(versionID string) ([]byte, error) {
	e.VersionID, e.Proof = versionID, nil
	return canon.Marshal(e)
}

// entryHash returns the hash of e after a predecessor, whose versionId it takes;
// that of the first entry is the SCID ("Generate Entry Hash").
func (e logEntry) entryHash(predecessor string) (string, error) {
	form, err := e.canonical(predecessor)
	return multihash(form), err
}

// scid returns the SCID of e as the first entry ("Generate SCID"), in which current
// stands for it: the placeholder when making it, the claimed SCID when verifying.
func (e logEntry) scid(current string) (string, error) {
	form, err := e.canonical(placeholder)
	if err != nil {
		return "", err
	}
	form, err = canon.Canonical([]byte(strings.ReplaceAll(string(form), current, placeholder)))
	return multihash(form), err
}

// sign adds the eddsa-jcs-2022 proof of an update key.
func (e *logEntry) sign(s jose.Signer) error {
	key := s.Public()
	if key.Alg() != jose.EdDSA {
		return errors.New("did: an update key is not Ed25519")
	}
	p := proof{
		Type:               "DataIntegrityProof",
		Cryptosuite:        "eddsa-jcs-2022",
		VerificationMethod: Key(key).KeyURL(key),
		Created:            e.VersionTime,
		ProofPurpose:       "assertionMethod",
	}
	hash, err := e.proofHash(p)
	if err != nil {
		return err
	}
	sig, err := s.Sign(hash)
	if err != nil {
		return fmt.Errorf("sign DID log entry: %w", err)
	}
	p.ProofValue = "z" + base58.Encode(sig)
	e.Proof = []proof{p}
	return nil
}

// proofHash returns what a proof signs: SHA-256 of the proof without its value,
// then SHA-256 of the entry (Data Integrity EdDSA Cryptosuites 1.0 section 3.3.4).
func (e logEntry) proofHash(p proof) ([]byte, error) {
	p.ProofValue = ""
	config, err := canon.Marshal(p)
	if err != nil {
		return nil, err
	}
	form, err := e.canonical(e.VersionID)
	if err != nil {
		return nil, err
	}
	a, b := sha256.Sum256(config), sha256.Sum256(form)
	return append(a[:], b[:]...), nil
}

// verify checks p over e and returns the Multikey of its key.
func (p proof) verify(e logEntry) (string, error) {
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
	hash, err := e.proofHash(p)
	if err != nil {
		return "", err
	}
	return fragment, key.Verify(hash, sig)
}

// line returns e as it is appended to a log.
func (e logEntry) line() ([]byte, error) {
	form, err := canon.Marshal(e)
	return append(form, '\n'), err
}
