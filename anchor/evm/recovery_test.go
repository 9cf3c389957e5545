package evm_test

import (
	"math/big"
	"os"
	"path/filepath"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/writ-registry/writ/anchor"
	"github.com/writ-registry/writ/anchor/evm"
)

// A crash while the chain's folder was made leaves a file that is not whole;
// the next start goes on. Registering where there is no contract is an error,
// though a call to an empty account succeeds.
func TestEmbeddedAfterHalfAStart(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ".tmp-123"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	wallet, err := evm.NewWallet([32]byte{31: 7})
	if err != nil {
		t.Fatal(err)
	}
	chain, err := evm.OpenEmbedded(t.Context(), dir, evm.EmbeddedOptions{Account: wallet.Address()})
	if err != nil {
		t.Fatal(err)
	}
	defer chain.Close()
	n := evm.Network{
		Name: "test", ChainID: chain.ChainID().Uint64(), Contract: common.HexToAddress("0x1234"), Finality: anchor.FinalityRule{Level: anchor.Safe},
		Fees: evm.FeePolicy{MaxFee: big.NewInt(100e9), MaxTip: big.NewInt(10e9)},
	}
	_, err = evm.Register(t.Context(), n, chain.Client(), wallet, evm.Registration{Origin: "o", HeadKey: common.HexToAddress("0x1"), Guardian: common.HexToAddress("0x2")})
	if err == nil {
		t.Error("registered with an account that has no code")
	}
}
