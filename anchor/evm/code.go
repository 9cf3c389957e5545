package evm

import (
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/writ-registry/writ/anchor/evm/bind/loganchor"
)

//go:embed bind/loganchor/LogAnchor.runtime.json
var runtimeJSON []byte

// runtimeTemplate is the compiler's runtime code and where it leaves room for
// the values that the constructor fixes ("immutables", byte offsets).
type runtimeTemplate struct {
	Object     string           `json:"object"`
	Immutables map[string][]int `json:"immutables"`
}

// runtimeCode returns the code that a LogAnchor at an address of a chain must
// have, byte for byte.
func runtimeCode(chainID *big.Int, contract common.Address) ([]byte, error) {
	var t runtimeTemplate
	if err := json.Unmarshal(runtimeJSON, &t); err != nil {
		return nil, fmt.Errorf("bound runtime code: %w", err)
	}
	code, err := hex.DecodeString(t.Object)
	if err != nil {
		return nil, fmt.Errorf("bound runtime code: %w", err)
	}
	values := map[string][32]byte{
		"deploymentChainId":         common.BigToHash(chainID),
		"deploymentDomainSeparator": loganchor.DomainSeparator(chainID, contract),
	}
	for name, offsets := range t.Immutables {
		value, ok := values[name]
		if !ok {
			return nil, fmt.Errorf("bound runtime code has an immutable %q that nobody sets", name)
		}
		for _, at := range offsets {
			if at < 0 || at+32 > len(code) {
				return nil, errors.New("bound runtime code is shorter than its immutables")
			}
			copy(code[at:], value[:])
		}
	}
	return code, nil
}

// errNoCode says that an address holds no contract at all.
var errNoCode = errors.New("no contract at this address")

// checkCode compares deployed code with what this program was built against.
// Another code under a known address is another set of rules.
func checkCode(code []byte, chainID *big.Int, contract common.Address) error {
	if len(code) == 0 {
		return fmt.Errorf("contract %s: %w", contract, errNoCode)
	}
	want, err := runtimeCode(chainID, contract)
	if err != nil {
		return err
	}
	if got, want := crypto.Keccak256Hash(code), crypto.Keccak256Hash(want); got != want {
		return fmt.Errorf("contract %s has code with hash %s, this program is built for %s", contract, got, want)
	}
	return nil
}
