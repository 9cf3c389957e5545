package main

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/writ-registry/writ/anchor/evm"
)

// TestChainDeployAndRegister puts the contract on a chain that it reaches like
// any other, over JSON-RPC, and a log into the contract.
func TestChainDeployAndRegister(t *testing.T) {
	t.Chdir(t.TempDir())
	secret := [32]byte{31: 7}
	wallet, err := evm.NewWallet(secret)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("wallet.key", []byte(hex.EncodeToString(secret[:])+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	chain, err := evm.OpenEmbedded(t.Context(), filepath.Join(t.TempDir(), "chain"), evm.EmbeddedOptions{Account: wallet.Address()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := chain.Close(); err != nil {
			t.Error(err)
		}
	})
	network := fmt.Sprintf("name: test-chain\nchain_id: %s\nrpc: %s\noperators_own: true\nfinality: safe\nfees: {max_fee_gwei: 100, max_tip_gwei: 10}\n",
		chain.ChainID(), chain.Endpoint())
	if err := os.WriteFile("test-chain.yaml", []byte(network), 0o600); err != nil {
		t.Fatal(err)
	}
	writ(t, "chain", "deploy", "--network", "test-chain.yaml", "--key", "wallet.key").want(t, 0, "LogAnchor is on test-chain", "operator's own chain", "this program's")
	d := decode[evm.Deployment](t, writ(t, "chain", "deploy", "--network", "./test-chain.yaml", "--key", "wallet.key", "--record", "record.json", "--json").want(t, 0))
	if record, err := evm.ReadDeployment("record.json"); err != nil || record.Address != d.Address || d.GasUsed == 0 {
		t.Errorf("record %+v (%v), want that of %+v", record, err, d)
	}

	register := func(headKey string) result {
		return writ(t, "chain", "register", "--network", "test-chain.yaml", "--key", "wallet.key", "--origin", "writ.example/log",
			"--head-key", headKey, "--guardian", "0x"+strings.Repeat("22", 20), "--json")
	}
	headKey := "0x" + strings.Repeat("11", 20)
	register(headKey).want(t, 1, "deploy one first")
	if err := os.WriteFile("test-chain.yaml", []byte(network+fmt.Sprintf("contract: %q\n", d.Address.Hex())), 0o600); err != nil {
		t.Fatal(err)
	}
	id := evm.LogID(wallet.Address(), "writ.example/log")
	register(headKey).want(t, 0, "0x"+hex.EncodeToString(id[:]))
	register(headKey).want(t, 0) // again changes nothing
	register("0x"+strings.Repeat("33", 20)).want(t, 1, "registered with head key")
}
