package evm

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/writ-registry/writ/anchor"
	"github.com/writ-registry/writ/anchor/evm/bind/loganchor"
)

// HeadKey is a log's head key: the secp256k1 key whose signature moves the
// log's head on a chain. It MUST NOT be the key of a Wallet.
type HeadKey struct{ key *ecdsa.PrivateKey }

// NewHeadKey makes a head key of 32 secret bytes. An error means that they are
// no secp256k1 scalar: zero, or not below the group order.
func NewHeadKey(secret [32]byte) (*HeadKey, error) {
	key, err := crypto.ToECDSA(secret[:])
	if err != nil {
		return nil, fmt.Errorf("head key: %w", err)
	}
	return &HeadKey{key}, nil
}

// Address returns the address that the contract knows the key by.
func (k *HeadKey) Address() common.Address { return crypto.PubkeyToAddress(k.key.PublicKey) }

// Signer returns the key as the head signer for one contract on one chain. Its
// signatures are worth nothing anywhere else (EIP-712 domain).
func (k *HeadKey) Signer(chainID *big.Int, contract common.Address) anchor.HeadSigner {
	return headSigner{k.key, new(big.Int).Set(chainID), contract}
}

type headSigner struct {
	key      *ecdsa.PrivateKey
	chainID  *big.Int
	contract common.Address
}

// HeadKey implements anchor.HeadSigner: the checksummed address (EIP-55).
func (s headSigner) HeadKey() string { return crypto.PubkeyToAddress(s.key.PublicKey).Hex() }

// SignHead implements anchor.HeadSigner: 65 bytes r || s || v over the EIP-712
// TreeHead, s in the lower half of the order, v 27 or 28.
func (s headSigner) SignHead(_ context.Context, logID [32]byte, head anchor.Head) ([]byte, error) {
	digest := loganchor.TreeHeadDigest(s.chainID, s.contract, logID, head.Size, head.Root)
	return loganchor.SignDigest(digest, s.key)
}

// Wallet pays for transactions. Whoever holds it can spend its balance and
// delay anchors, nothing else.
type Wallet struct{ key *ecdsa.PrivateKey }

// NewWallet makes a wallet of 32 secret bytes, with the error of NewHeadKey.
func NewWallet(secret [32]byte) (*Wallet, error) {
	key, err := crypto.ToECDSA(secret[:])
	if err != nil {
		return nil, fmt.Errorf("wallet key: %w", err)
	}
	return &Wallet{key}, nil
}

// Address returns the account that pays.
func (w *Wallet) Address() common.Address { return crypto.PubkeyToAddress(w.key.PublicKey) }

// sign signs tx for one chain.
func (w *Wallet) sign(tx *types.DynamicFeeTx) (*types.Transaction, error) {
	signed, err := types.SignNewTx(w.key, types.LatestSignerForChainID(tx.ChainID), tx)
	if err != nil {
		return nil, fmt.Errorf("sign transaction: %w", err)
	}
	return signed, nil
}

// LogID names the log that registrant registers under an origin line, the
// first line of its checkpoints: keccak256(abi.encode(registrant, origin)).
// Nobody but the registrant can take the name.
func LogID(registrant common.Address, origin string) [32]byte {
	return loganchor.LogID(registrant, origin)
}

// errKeysEqual is returned where one key would both sign heads and pay.
var errKeysEqual = errors.New("the head key must not be the wallet's key")
