package evm_test

import (
	"bufio"
	"flag"
	"math/big"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/writ-registry/writ/anchor"
	"github.com/writ-registry/writ/anchor/anchortest"
	"github.com/writ-registry/writ/anchor/evm"
)

var (
	ledgersFlag = flag.String("ledgers", "", "further ledgers to run the suite on, comma-separated: anvil")
	anvilFlag   = flag.String("anvil", "anvil", "the anvil program for -ledgers=anvil")
)

// TestAnvilSuite runs the ledger suite on another client than geth, over HTTP
// and through a network file's values only.
func TestAnvilSuite(t *testing.T) {
	if !slices.Contains(strings.Split(*ledgersFlag, ","), "anvil") {
		t.Skip("not asked for: -ledgers=anvil")
	}
	anchortest.Run(t, func(t testing.TB) anchortest.Harness {
		n := startAnvil(t)
		d, err := evm.Deploy(t.Context(), n, nil, wallet)
		if err != nil {
			t.Fatal(err)
		}
		n.Contract = d.Address
		if _, err := evm.Register(t.Context(), n, nil, wallet, registration()); err != nil {
			t.Fatal(err)
		}
		open := func() *evm.Ledger {
			l, err := evm.Open(t.Context(), evm.Config{Network: n, Wallet: wallet, Origin: origin, HeadKey: headKey.Address()})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			return l
		}
		l := open()
		return anchortest.Harness{
			Ledger: l, Signer: l.Signer(headKey),
			Reopen:   func() anchor.Ledger { return open() },
			Rollback: func(blocks int) { anvilCall(t, n.RPC, "anvil_rollback", blocks) },
		}
	})
}

// startAnvil starts a chain of its own for one test and funds the wallet.
func startAnvil(t testing.TB) evm.Network {
	t.Helper()
	cmd := exec.Command(*anvilFlag, "--port", "0", "--hardfork", "osaka")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		address, ok := strings.CutPrefix(lines.Text(), "Listening on ")
		if !ok {
			continue
		}
		go func() { // anvil stops when nobody reads what it prints
			for lines.Scan() {
			}
		}()
		n := evm.Network{
			Name: "anvil", ChainID: 31337, RPC: "http://" + address, OperatorsOwn: true,
			Finality: anchor.FinalityRule{Level: anchor.Safe, Confirmations: 1},
			Fees:     evm.FeePolicy{MaxFee: big.NewInt(100 * params.GWei), MaxTip: big.NewInt(10 * params.GWei)},
		}
		anvilCall(t, n.RPC, "anvil_setBalance", wallet.Address(), (*hexutil.Big)(big.NewInt(params.Ether)))
		return n
	}
	t.Fatal("anvil ended without listening")
	return evm.Network{}
}

func anvilCall(t testing.TB, url, method string, args ...any) {
	t.Helper()
	client, err := rpc.DialContext(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.CallContext(t.Context(), nil, method, args...); err != nil {
		t.Fatalf("%s: %v", method, err)
	}
}
