package loganchor

import (
	"crypto/ecdsa"
	"encoding/binary"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
)

// The EIP-712 domain and type of the head key's signatures. The contract states them again in eip712Domain.
const (
	DomainName    = "Writ LogAnchor"
	DomainVersion = "1"
	DomainType    = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
	TreeHeadType  = "TreeHead(bytes32 logId,uint64 size,bytes32 root)"
)

// Limits that the contract enforces on every log.
const (
	MaxSize   = 1<<48 - 1 // leaves in a tree
	MaxGrowth = 1<<40 - 1 // what a log may be registered with
)

// EmptyRoot is the root of the empty tree, SHA-256(""): what head returns of a log that was never anchored.
var EmptyRoot = [32]byte(common.FromHex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"))

var logIDArguments = func() abi.Arguments {
	address, err := abi.NewType("address", "", nil)
	if err != nil {
		panic(err)
	}
	text, err := abi.NewType("string", "", nil)
	if err != nil {
		panic(err)
	}
	return abi.Arguments{{Type: address}, {Type: text}}
}()

// LogID is the id of the log that registrant registers under originLine: keccak256(abi.encode(registrant, originLine)).
func LogID(registrant common.Address, originLine string) [32]byte {
	encoded, err := logIDArguments.Pack(registrant, originLine)
	if err != nil {
		panic(err) // the types are fixed above
	}
	return crypto.Keccak256Hash(encoded)
}

// DomainSeparator is the EIP-712 domain separator of the contract at an address of a chain.
func DomainSeparator(chainID *big.Int, contract common.Address) [32]byte {
	return crypto.Keccak256Hash(
		crypto.Keccak256([]byte(DomainType)),
		crypto.Keccak256([]byte(DomainName)),
		crypto.Keccak256([]byte(DomainVersion)),
		common.BigToHash(chainID).Bytes(),
		common.LeftPadBytes(contract.Bytes(), 32),
	)
}

// TreeHeadDigest is what the head key of a log signs to let its head move to (size, root) in this contract on this chain, and
// nowhere else.
func TreeHeadDigest(chainID *big.Int, contract common.Address, logID [32]byte, size uint64, root [32]byte) [32]byte {
	var paddedSize [32]byte
	binary.BigEndian.PutUint64(paddedSize[24:], size)
	treeHead := crypto.Keccak256(crypto.Keccak256([]byte(TreeHeadType)), logID[:], paddedSize[:], root[:])
	domain := DomainSeparator(chainID, contract)
	return crypto.Keccak256Hash([]byte{0x19, 0x01}, domain[:], treeHead)
}

// SignDigest signs a TreeHeadDigest in the form that the contract takes: r || s || v, low s, v 27 or 28.
func SignDigest(digest [32]byte, headKey *ecdsa.PrivateKey) ([]byte, error) {
	signature, err := crypto.Sign(digest[:], headKey)
	if err != nil {
		return nil, fmt.Errorf("sign tree head: %w", err)
	}
	signature[64] += 27
	return signature, nil
}
