package verify

import (
	"fmt"
	"strconv"

	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"

	"github.com/writ-registry/writ/internal/canon"
)

// Trust is what the reader of a receipt believes beforehand. It MUST come from
// elsewhere than the receipt. The zero Trust believes nothing: signatures are
// then checked against the keys in the receipt and reported as self-asserted.
type Trust struct {
	// Logs are the logs to accept, with their keys. If any is named, receipts
	// from others fail.
	Logs []TrustedLog `json:"logs,omitempty"`
	// HeadKeys are the keys that may sign heads for ledgers: checksummed
	// Ethereum addresses. If any is named, others fail.
	HeadKeys []string `json:"head_keys,omitempty"`
	// Chains are the contracts to believe.
	Chains []TrustedChain `json:"chains,omitempty"`
	// Witnesses are the verifier keys of witnesses (C2SP tlog-cosignature):
	// Ed25519, key types 0x04 and 0x01, or ML-DSA-44, 0x06.
	Witnesses []string `json:"witnesses,omitempty"`
	// WitnessQuorum is how many of them must have cosigned; 0 means 1.
	WitnessQuorum int `json:"witness_quorum,omitempty"`
}

// TrustedLog is a log and one of its keys; a log that rotated has several.
type TrustedLog struct {
	Origin string `json:"origin"` // first line of its checkpoints
	VKey   string `json:"vkey"`   // verifier key (C2SP signed-note)
}

// TrustedChain is an anchor contract on a chain.
type TrustedChain struct {
	ChainID  string `json:"chain_id"` // EIP-155, decimal
	Contract string `json:"contract"` // checksummed address (ERC-55)
	// Independent: whoever runs the log does not run the chain.
	Independent bool `json:"independent"`
}

// ParseTrust reads a trust file: strict JSON with the members of Trust. It returns
// an error if a member is unknown or any key or address malformed.
func ParseTrust(data []byte) (Trust, error) {
	var t Trust
	if err := canon.Unmarshal(data, &t); err != nil {
		return Trust{}, fmt.Errorf("trust file: %w", err)
	}
	for i, l := range t.Logs {
		key, err := note.NewVerifier(l.VKey)
		if err != nil {
			return Trust{}, fmt.Errorf("trust file: log %d: vkey: %w", i+1, err)
		}
		if key.Name() != l.Origin {
			return Trust{}, fmt.Errorf("trust file: log %d: the vkey is named %q, the origin is %q", i+1, key.Name(), l.Origin)
		}
	}
	for _, k := range t.HeadKeys {
		if _, err := parseAddress(k); err != nil {
			return Trust{}, fmt.Errorf("trust file: head key: %w", err)
		}
	}
	for i, c := range t.Chains {
		if _, err := parseAddress(c.Contract); err != nil {
			return Trust{}, fmt.Errorf("trust file: chain %d: contract: %w", i+1, err)
		}
		if n, err := strconv.ParseUint(c.ChainID, 10, 64); err != nil || strconv.FormatUint(n, 10) != c.ChainID {
			return Trust{}, fmt.Errorf("trust file: chain %d: chain_id is not a decimal number", i+1)
		}
	}
	if t.WitnessQuorum < 0 || t.WitnessQuorum > len(t.Witnesses) {
		return Trust{}, fmt.Errorf("trust file: witness_quorum %d of %d witnesses", t.WitnessQuorum, len(t.Witnesses))
	}
	if _, err := t.witnessKeys(); err != nil {
		return Trust{}, fmt.Errorf("trust file: %w", err)
	}
	return t, nil
}

// witnessKeys parses the witnesses. A key named twice counts once.
func (t Trust) witnessKeys() ([]note.Verifier, error) {
	var keys []note.Verifier
	seen := make(map[string]bool)
	for _, text := range t.Witnesses {
		key, err := fnote.NewVerifierForCosignatureV1(text)
		if err != nil {
			return nil, fmt.Errorf("witness %q: %w", text, err)
		}
		if id := fmt.Sprintf("%s+%08x", key.Name(), key.KeyHash()); !seen[id] {
			seen[id] = true
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// chain returns the trusted chain of an anchor.
func (t Trust) chain(chainID, contract string) (TrustedChain, bool) {
	for _, c := range t.Chains {
		if c.ChainID == chainID && c.Contract == contract {
			return c, true
		}
	}
	return TrustedChain{}, false
}
