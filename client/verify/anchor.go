package verify

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
	"golang.org/x/crypto/sha3"

	"github.com/writ-registry/writ/anchor/tlog"
	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
)

// anchorFile is an anchor of type evm as the receipt holds it.
type anchorFile struct {
	Type         string   `json:"type"`
	Chain        string   `json:"chain"`    // the operator's name for it
	ChainID      string   `json:"chain_id"` // EIP-155, decimal
	Contract     string   `json:"contract"` // ERC-55
	LogID        string   `json:"log_id"`   // 0x, 32 bytes
	Size         uint64   `json:"size"`
	Root         string   `json:"root"`      // base64url, 32 bytes
	HeadKey      string   `json:"head_key"`  // ERC-55
	Signature    string   `json:"signature"` // base64url, r || s || v
	Tx           string   `json:"tx"`        // 0x, 32 bytes
	Block        *uint64  `json:"block"`     // absent until included
	BlockHash    string   `json:"block_hash"`
	Finality     string   `json:"finality"` // as the registry saw it last
	OperatorsOwn *bool    `json:"operators_own"`
	Consistency  []string `json:"consistency"` // base64url, absent for the checkpoint itself
}

// anchoredHead is an anchorFile with its values decoded and checked.
type anchoredHead struct {
	anchorFile
	chainID   uint64
	contract  [20]byte
	logID     [32]byte
	root      tlog.Hash
	headKey   [20]byte
	signature []byte
	tx        [32]byte
	path      []tlog.Hash
}

// place names the ledger in reports. Whose chain it is belongs to its name.
func (a *anchoredHead) place() string {
	if *a.OperatorsOwn {
		return "operator's own chain " + a.ChainID
	}
	return fmt.Sprintf("%s, chain %s", a.Chain, a.ChainID)
}

// anchor checks one member of anchors: its link to the checkpoint, the head key's
// signature and, with an endpoint, what the chain holds.
func (v *verification) anchor(ctx context.Context, name string, raw json.RawMessage, index uint64, head tlog.Checkpoint) {
	var kind struct {
		Type string `json:"type"`
	}
	if err := canon.UnmarshalOpen(raw, &kind); err != nil {
		v.add(name, Failed, "", "%v", err)
		return
	}
	if kind.Type == "" {
		v.add(name, Failed, "", "the anchor has no type")
		return
	}
	if kind.Type != "evm" {
		v.add(name, Unverified, "", "this verifier does not know ledgers of type %q", kind.Type)
		return
	}
	a, err := parseAnchor(raw)
	if err != nil {
		v.add(name, Failed, "", "%v", err)
		return
	}
	v.link(name+": link", a, index, head)
	trustedKey := v.headSignature(name+": head signature", a)
	v.ledger(ctx, name+": ledger", a, trustedKey)
}

// link checks that the anchored head covers the entry: it is the receipt's
// checkpoint or linked to it by a consistency proof (RFC 9162 section 2.1.4.2).
func (v *verification) link(name string, a *anchoredHead, index uint64, head tlog.Checkpoint) {
	switch {
	case a.Size <= index:
		v.add(name, Failed, "", "the anchored head has %d entries and does not cover entry %d", a.Size, index)
	case a.Size == head.Size && (a.root != head.Root || len(a.path) > 0):
		v.add(name, Failed, "", "the anchored head and the checkpoint have %d entries and differ", a.Size)
	case a.Size == head.Size:
		v.add(name, Verified, "", "the anchored head is the checkpoint")
	default:
		small, large := tlog.Checkpoint{Size: a.Size, Root: a.root}, head
		if small.Size > large.Size {
			small, large = large, small
		}
		if err := tlog.VerifyConsistency(small.Size, large.Size, small.Root, large.Root, a.path); err != nil {
			v.add(name, Failed, "", "%v", err)
			return
		}
		v.add(name, Verified, "", "the anchored head %d and the checkpoint %d are one history", a.Size, head.Size)
	}
}

// headSignature checks the signature that the contract demands (EIP-712). It
// reports whether the key is one that the reader trusts.
func (v *verification) headSignature(name string, a *anchoredHead) bool {
	signer, err := recoverAddress(treeHeadDigest(a), a.signature)
	switch {
	case err != nil:
		v.add(name, Failed, "", "%v", err)
	case signer != a.headKey:
		v.add(name, Failed, "", "signed by %s, not by the head key %s", formatAddress(signer), a.HeadKey)
	case len(v.trust.HeadKeys) == 0:
		v.add(name, SelfAsserted, "", "head %d for chain %s, signed by the head key in the receipt itself", a.Size, a.ChainID)
	case !slices.Contains(v.trust.HeadKeys, a.HeadKey):
		v.add(name, Failed, "", "head key %s is not among the trusted ones", a.HeadKey)
	default:
		v.add(name, Verified, "head key "+a.HeadKey, "head %d for chain %s", a.Size, a.ChainID)
		return true
	}
	return false
}

func parseAnchor(raw json.RawMessage) (*anchoredHead, error) {
	a := &anchoredHead{}
	var members map[string]json.RawMessage
	err := errors.Join(canon.Unmarshal(raw, &a.anchorFile), canon.Unmarshal(raw, &members))
	if err != nil {
		return nil, err
	}
	for name, value := range members {
		if value[0] == 'n' {
			return nil, fmt.Errorf("member %q is null: leave it out", name)
		}
	}
	// A missing word must not read as the better of two.
	if a.OperatorsOwn == nil || a.Chain == "" {
		return nil, errors.New("chain or operators_own is missing")
	}
	if a.chainID, err = strconv.ParseUint(a.ChainID, 10, 64); err != nil || strconv.FormatUint(a.chainID, 10) != a.ChainID {
		return nil, errors.New("chain_id is not a decimal number")
	}
	if a.contract, err = parseAddress(a.Contract); err != nil {
		return nil, fmt.Errorf("contract: %w", err)
	}
	if a.headKey, err = parseAddress(a.HeadKey); err != nil {
		return nil, fmt.Errorf("head_key: %w", err)
	}
	if a.logID, err = parseHash(a.LogID); err != nil {
		return nil, fmt.Errorf("log_id: %w", err)
	}
	if a.tx, err = parseHash(a.Tx); err != nil {
		return nil, fmt.Errorf("tx: %w", err)
	}
	if a.root, err = parseRoot(a.Root); err != nil {
		return nil, fmt.Errorf("root: %w", err)
	}
	if a.signature, err = jose.DecodeBase64(a.Signature); err != nil {
		return nil, fmt.Errorf("signature: %w", err)
	}
	for _, text := range a.Consistency {
		h, err := parseRoot(text)
		if err != nil {
			return nil, fmt.Errorf("consistency: %w", err)
		}
		a.path = append(a.path, h)
	}
	included := a.Finality == "included" || a.Finality == "safe" || a.Finality == "finalized"
	if !included && a.Finality != "submitted" {
		return nil, fmt.Errorf("finality %q", a.Finality)
	}
	if included != (a.Block != nil) || included != (a.BlockHash != "") {
		return nil, errors.New("block and block_hash do not fit finality")
	}
	if included {
		if _, err := parseHash(a.BlockHash); err != nil {
			return nil, fmt.Errorf("block_hash: %w", err)
		}
	}
	return a, nil
}

func parseRoot(text string) (tlog.Hash, error) {
	b, err := jose.DecodeBase64(text)
	if err != nil || len(b) != tlog.HashSize {
		return tlog.Hash{}, errors.New("not the base64url of 32 bytes")
	}
	return tlog.Hash(b), nil
}

// parseHash reads 0x and 64 digits in lower case.
func parseHash(text string) (h [32]byte, err error) {
	digits, ok := strings.CutPrefix(text, "0x")
	b, err := hex.DecodeString(digits)
	if !ok || err != nil || len(b) != 32 || hex.EncodeToString(b) != digits {
		return h, errors.New("not 0x and 64 lower-case hexadecimal digits")
	}
	return [32]byte(b), nil
}

// parseAddress reads an address in the one spelling of ERC-55.
func parseAddress(text string) (a [20]byte, err error) {
	digits, ok := strings.CutPrefix(text, "0x")
	b, err := hex.DecodeString(digits)
	if !ok || err != nil || len(b) != 20 || formatAddress([20]byte(b)) != text {
		return a, errors.New("not a checksummed Ethereum address (ERC-55)")
	}
	return [20]byte(b), nil
}

// formatAddress writes an address with its checksum: a letter is in upper case
// where the digit of the Keccak-256 of the lower-case digits is 8 or more
// (ERC-55).
func formatAddress(a [20]byte) string {
	text := []byte(hex.EncodeToString(a[:]))
	sum := keccak(text)
	for i, c := range text {
		if c >= 'a' && sum[i/2]>>(4*(1-uint(i%2)))&8 != 0 {
			text[i] = c - 'a' + 'A'
		}
	}
	return "0x" + string(text)
}

func keccak(parts ...[]byte) (out [32]byte) {
	h := sha3.NewLegacyKeccak256()
	for _, p := range parts {
		h.Write(p)
	}
	h.Sum(out[:0])
	return out
}

// The types of the contract's EIP-712 signatures; see contracts/evm.
var (
	domainType   = keccak([]byte("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"))
	domainName   = keccak([]byte("Writ LogAnchor"))
	domainV      = keccak([]byte("1"))
	treeHeadType = keccak([]byte("TreeHead(bytes32 logId,uint64 size,bytes32 root)"))
)

// treeHeadDigest returns the digest that the head key signs: keccak256(0x19 0x01
// || domain separator || struct hash), EIP-712.
func treeHeadDigest(a *anchoredHead) [32]byte {
	domain := keccak(domainType[:], domainName[:], domainV[:], word(a.chainID), pad(a.contract[:]))
	head := keccak(treeHeadType[:], a.logID[:], word(a.Size), a.root[:])
	return keccak([]byte{0x19, 0x01}, domain[:], head[:])
}

// word is an unsigned integer and pad are bytes as 32 bytes (Solidity ABI).
func word(n uint64) []byte { return pad(new(big.Int).SetUint64(n).Bytes()) }
func pad(b []byte) []byte  { return append(make([]byte, 32-len(b)), b...) }

// recoverAddress returns who signed digest. Of the spellings of a signature it
// takes one: r || s || v, s in the lower half, v 27 or 28, as the contract does.
func recoverAddress(digest [32]byte, sig []byte) (a [20]byte, err error) {
	if len(sig) != 65 || sig[64] != 27 && sig[64] != 28 {
		return a, errors.New("signature is not 65 bytes r || s || v with v 27 or 28")
	}
	var s secp256k1.ModNScalar
	if s.SetByteSlice(sig[32:64]) || s.IsOverHalfOrder() {
		return a, errors.New("signature is malleable: s is not in the lower half")
	}
	// RecoverCompact wants v first.
	key, _, err := ecdsa.RecoverCompact(append([]byte{sig[64]}, sig[:64]...), digest[:])
	if err != nil {
		return a, fmt.Errorf("signature: %w", err)
	}
	h := keccak(key.SerializeUncompressed()[1:])
	return [20]byte(h[12:]), nil
}
