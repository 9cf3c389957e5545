package loganchor

import (
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
)

//go:embed LogAnchor.runtime.json
var runtimeJSON []byte

// RuntimeCode is the code that an address of a chain holds if, and only if, it is this contract: to be compared with what the chain
// says before a log is trusted to it. It differs by chain and address, since the constructor writes both into it.
func RuntimeCode(chainID *big.Int, contract common.Address) ([]byte, error) {
	var runtime struct {
		Immutables map[string][]int `json:"immutables"`
		Object     string           `json:"object"`
	}
	if err := json.Unmarshal(runtimeJSON, &runtime); err != nil {
		return nil, fmt.Errorf("runtime code: %w", err)
	}
	code, err := hex.DecodeString(runtime.Object)
	if err != nil {
		return nil, fmt.Errorf("runtime code: %w", err)
	}
	domain := DomainSeparator(chainID, contract)
	words := map[string][]byte{
		"deploymentChainId":         common.BigToHash(chainID).Bytes(),
		"deploymentDomainSeparator": domain[:],
	}
	for name, places := range runtime.Immutables {
		word, ok := words[name]
		if !ok {
			return nil, fmt.Errorf("runtime code: unknown immutable %q", name)
		}
		for _, start := range places {
			if start < 0 || start+len(word) > len(code) {
				return nil, fmt.Errorf("runtime code: immutable %q at %d is outside", name, start)
			}
			copy(code[start:], word)
		}
	}
	return code, nil
}
