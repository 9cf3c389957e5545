package evm_test

import (
	"errors"
	"math/big"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-registry/writ/anchor"
	"github.com/writ-registry/writ/anchor/evm"
)

func wantError(t testing.TB, err error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("got error %v, want one that says %q", err, text)
	}
}

func TestShippedNetworks(t *testing.T) {
	for _, name := range []string{"embedded", "geth-dev", "sepolia"} {
		n := network(t, name)
		if n.OperatorsOwn != (name != "sepolia") {
			t.Errorf("%s: operators_own is %t", name, n.OperatorsOwn)
		}
	}
	if n := network(t, "sepolia"); n.ChainID != 11155111 || n.Finality.Level != anchor.Finalized {
		t.Errorf("sepolia: %+v", n)
	}
}

const networkYAML = `name: test
chain_id: 7
rpc: http://127.0.0.1:1
contract: "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
deploy_block: 12
finality: confirmations:12
interval: 90s
fees: {max_fee_gwei: 1.5, max_tip_gwei: 0.000000001}
`

func TestParseNetwork(t *testing.T) {
	got, err := evm.ParseNetwork([]byte(networkYAML))
	if err != nil {
		t.Fatal(err)
	}
	if got.Contract.Hex() != "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed" || got.Interval != 90*time.Second {
		t.Errorf("got %+v", got)
	}
	if diff := cmp.Diff(anchor.FinalityRule{Level: anchor.Safe, Confirmations: 12}, got.Finality); diff != "" {
		t.Error(diff)
	}
	if got.Fees.MaxFee.Cmp(big.NewInt(1_500_000_000)) != 0 || got.Fees.MaxTip.Cmp(big.NewInt(1)) != 0 {
		t.Errorf("fees %s, %s", got.Fees.MaxFee, got.Fees.MaxTip)
	}
}

func TestParseNetworkRefuses(t *testing.T) {
	for _, tc := range []struct{ name, old, new, want string }{
		{"unknown key", "deploy_block: 12", "deploy_blok: 12", "deploy_blok"},
		{"repeated key", "chain_id: 7", "chain_id: 7\nchain_id: 8", "already defined"},
		{"second document", "chain_id: 7", "chain_id: 7\n---\nname: b", "more than one document"},
		{"name", "name: test", "name: ../test", "name"},
		{"no chain id", "chain_id: 7", "chain_id: 0", "chain_id is missing"},
		{"no endpoint", "rpc: http://127.0.0.1:1", "rpc: ''", "rpc or rpc_env"},
		{"checksum", "0x5aAeb", "0x5AAeb", "wrong checksum"},
		{"not an address", "0x5aAeb", "0x", "not an address"},
		{"finality", "confirmations:12", "confirmations:0", "finality rule"},
		{"finality word", "confirmations:12", "submitted", "finality rule"},
		{"negative interval", "90s", "-90s", "negative"},
		{"tip above fee", "max_fee_gwei: 1.5", "max_fee_gwei: 0.0000000001", "out of range"},
		{"no tip", "0.000000001", "0", "out of range"},
		{"not a number", "max_fee_gwei: 1.5", "max_fee_gwei: .nan", "out of range"},
		{"embedded with chain id", "name: test", "name: test\nembedded: true", "come from its folder"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			text := strings.Replace(networkYAML, tc.old, tc.new, 1)
			if text == networkYAML {
				t.Fatal("the case changes nothing")
			}
			_, err := evm.ParseNetwork([]byte(text))
			wantError(t, err, tc.want)
		})
	}
}

func TestLoadNetworkName(t *testing.T) {
	fsys := fstest.MapFS{"other.yaml": {Data: []byte(networkYAML)}}
	_, err := evm.LoadNetwork(fsys, "other")
	wantError(t, err, "describes test")
	_, err = evm.LoadNetwork(fsys, "../other")
	wantError(t, err, "network name")
}

func TestEndpointFromEnvironment(t *testing.T) {
	n := network(t, "sepolia")
	t.Setenv(n.RPCEnv, "")
	_, err := evm.Deploy(t.Context(), n, nil, wallet)
	wantError(t, err, n.RPCEnv)
	t.Setenv(n.RPCEnv, "http://127.0.0.1:1")
	_, err = evm.Deploy(t.Context(), n, nil, wallet)
	if !errors.Is(err, anchor.ErrPushback) {
		t.Errorf("an endpoint that does not answer: %v", err)
	}
}

func TestClassify(t *testing.T) {
	for text, want := range map[string]any{
		"already known":     evm.SendKnown, // geth, anvil
		"AlreadyKnown":      evm.SendKnown, // nethermind
		"Known transaction": evm.SendKnown, // besu
		"nonce too low: next nonce 9, tx nonce 5": evm.SendNonceTaken, // geth
		"OldNonce":                            evm.SendNonceTaken, // nethermind
		"Nonce too low":                       evm.SendNonceTaken, // besu
		"replacement transaction underpriced": evm.SendOutbid,     // geth, erigon, besu, anvil
		"ReplacementNotAllowed":               evm.SendOutbid,     // nethermind
		"insufficient funds for gas * price":  evm.SendUnclear,
		"connection refused":                  evm.SendUnclear,
	} {
		if got := any(evm.Classify(errors.New(text))); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}

func TestKeys(t *testing.T) {
	if _, err := evm.NewHeadKey([32]byte{}); err == nil {
		t.Error("zero is a head key")
	}
	if _, err := evm.NewWallet([32]byte{}); err == nil {
		t.Error("zero is a wallet")
	}
	s := headKey.Signer(big.NewInt(1), guardian)
	if s.HeadKey() != headKey.Address().Hex() {
		t.Errorf("head key %s", s.HeadKey())
	}
	one := must(s.SignHead(t.Context(), [32]byte{1}, anchor.Head{Size: 1}))
	half, _ := new(big.Int).SetString("7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0", 16)
	if len(one) != 65 || new(big.Int).SetBytes(one[32:64]).Cmp(half) > 0 || one[64] != 27 && one[64] != 28 {
		t.Errorf("signature %x", one)
	}
	for name, other := range map[string][]byte{
		"chain":    must(headKey.Signer(big.NewInt(2), guardian).SignHead(t.Context(), [32]byte{1}, anchor.Head{Size: 1})),
		"contract": must(headKey.Signer(big.NewInt(1), wallet.Address()).SignHead(t.Context(), [32]byte{1}, anchor.Head{Size: 1})),
		"log":      must(s.SignHead(t.Context(), [32]byte{2}, anchor.Head{Size: 1})),
		"size":     must(s.SignHead(t.Context(), [32]byte{1}, anchor.Head{Size: 2})),
		"root":     must(s.SignHead(t.Context(), [32]byte{1}, anchor.Head{Size: 1, Root: [32]byte{1}})),
	} {
		if string(other) == string(one) {
			t.Errorf("the signature does not depend on the %s", name)
		}
	}
}
