package did

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"

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

// multihash returns base58btc(multihash(SHA-256(data))), the one hash of did:webvh
// v1.0: 46 characters that begin with Qm.
func multihash(data []byte) string {
	sum := sha256.Sum256(data)
	return base58.Encode(append([]byte{0x12, 0x20}, sum[:]...))
}

// NextKeyHash returns the pre-rotation commitment to an update key (did:webvh v1.0,
// "Pre-Rotation Key Hash Generation and Verification").
func NextKeyHash(k jose.PublicKey) string { return multihash([]byte(k.Multikey())) }

// IsKeyHash reports whether s has the shape of a NextKeyHash.
func IsKeyHash(s string) bool { return isSHA256(s) }

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

// sign adds the proof of an update key.
func (e *logEntry) sign(s jose.Signer) error {
	form, err := e.canonical(e.VersionID)
	if err != nil {
		return err
	}
	p, err := newProof(s, form, e.VersionTime)
	if err != nil {
		return fmt.Errorf("sign DID log entry: %w", err)
	}
	e.Proof = []proof{p}
	return nil
}
