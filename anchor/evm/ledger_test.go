package evm_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"sync/atomic"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/eth/ethconfig"
	"github.com/ethereum/go-ethereum/ethclient/simulated"
	"github.com/ethereum/go-ethereum/node"
	"github.com/ethereum/go-ethereum/params"

	"github.com/writ-registry/writ/anchor"
	"github.com/writ-registry/writ/anchor/anchortest"
	"github.com/writ-registry/writ/anchor/evm"
	chainconfig "github.com/writ-registry/writ/chain-config"
)

const origin = "registry.example/log"

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func secret(name string) [32]byte { return sha256.Sum256([]byte(name)) }

var (
	wallet   = must(evm.NewWallet(secret("wallet")))
	headKey  = must(evm.NewHeadKey(secret("head key")))
	guardian = common.HexToAddress("0x00000000000000000000000000000000000000A1")
)

func registration() evm.Registration {
	return evm.Registration{Origin: origin, HeadKey: headKey.Address(), Guardian: guardian}
}

// network returns a shipped network file.
func network(t testing.TB, name string) evm.Network {
	t.Helper()
	n, err := evm.LoadNetwork(chainconfig.Files, name)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// openChain opens an embedded chain that the test closes.
func openChain(t testing.TB, dir string) *evm.Chain {
	t.Helper()
	return openChainWith(t, dir, embeddedOptions())
}

func embeddedOptions() evm.EmbeddedOptions {
	return evm.EmbeddedOptions{Account: wallet.Address(), Logger: quiet()}
}

func openChainWith(t testing.TB, dir string, opts evm.EmbeddedOptions) *evm.Chain {
	t.Helper()
	c, err := evm.OpenEmbedded(t.Context(), dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func quiet() *slog.Logger {
	if os.Getenv("WRIT_TEST_LOG") != "" {
		return slog.Default()
	}
	return slog.New(slog.DiscardHandler)
}

func openLedger(t testing.TB, c *evm.Chain) *evm.Ledger {
	t.Helper()
	l, err := c.OpenLedger(t.Context(), evm.Config{Network: network(t, "embedded"), Wallet: wallet}, registration())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// reopened is a ledger whose process is replaced by a new one.
type reopened struct{ anchor.Ledger }

// TestEmbeddedSuite runs the ledger suite on the embedded chain. Reopening is
// a clean stop and a new start of the whole node.
func TestEmbeddedSuite(t *testing.T) {
	anchortest.Run(t, func(t testing.TB) anchortest.Harness {
		dir := t.TempDir()
		c := openChain(t, dir)
		l := openLedger(t, c)
		current := &reopened{l}
		reopen := func(opts evm.EmbeddedOptions) {
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			c = openChainWith(t, dir, opts)
			current.Ledger = openLedger(t, c)
		}
		return anchortest.Harness{
			Ledger: current, Signer: l.Signer(headKey),
			Reopen: func() anchor.Ledger {
				reopen(embeddedOptions())
				return current
			},
			Rollback: func(blocks int) { reopen(embeddedOptions().LoseBlocks(blocks)) },
		}
	})
}

// simulatedChain is geth's test backend under the rules of the public
// networks. Blocks are made by hand.
func simulatedChain(t testing.TB) (*simulated.Backend, evm.Network) {
	t.Helper()
	backend := simulated.NewBackend(
		types.GenesisAlloc{wallet.Address(): {Balance: new(big.Int).Mul(big.NewInt(1000), big.NewInt(params.Ether))}},
		func(_ *node.Config, cfg *ethconfig.Config) {
			// The default mixes in a fork that no public network runs.
			genesis := *cfg.Genesis.Config
			genesis.BogotaTime = nil
			cfg.Genesis = &core.Genesis{Config: &genesis, GasLimit: cfg.Genesis.GasLimit, Alloc: cfg.Genesis.Alloc}
		})
	t.Cleanup(func() { backend.Close() })
	return backend, evm.Network{
		Name: "simulated", ChainID: 1337, RPC: "none",
		Finality: anchor.FinalityRule{Level: anchor.Safe},
		Fees:     evm.FeePolicy{MaxFee: big.NewInt(100 * params.GWei), MaxTip: big.NewInt(10 * params.GWei)},
	}
}

// counting notes that there is something to make a block of: an empty block
// for every turn of a waiting loop would bury the others.
type counting struct {
	simulated.Client
	sent atomic.Int64
}

func (c *counting) SendTransaction(ctx context.Context, tx *types.Transaction) error {
	defer c.sent.Add(1)
	return c.Client.SendTransaction(ctx, tx)
}

// mining makes a block after each transaction, for set-up.
type mining struct {
	simulated.Client
	backend *simulated.Backend
}

func (m mining) SendTransaction(ctx context.Context, tx *types.Transaction) error {
	err := m.Client.SendTransaction(ctx, tx)
	m.backend.Commit()
	return err
}

// simulatedLedger deploys, registers and opens; setUp may change the
// configuration before it is opened.
func simulatedLedger(t testing.TB, setUp func(*evm.Config)) (*simulated.Backend, *evm.Ledger) {
	t.Helper()
	backend, n := simulatedChain(t)
	client := mining{backend.Client(), backend}
	d, err := evm.Deploy(t.Context(), n, client, wallet)
	if err != nil {
		t.Fatal(err)
	}
	n.Contract, n.DeployBlock = d.Address, d.Block
	if _, err := evm.Register(t.Context(), n, client, wallet, registration()); err != nil {
		t.Fatal(err)
	}
	cfg := evm.Config{Network: n, Client: backend.Client(), Wallet: wallet, Origin: origin, HeadKey: headKey.Address()}
	if setUp != nil {
		setUp(&cfg)
	}
	l, err := evm.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return backend, l
}

func TestSimulatedSuite(t *testing.T) {
	anchortest.Run(t, func(t testing.TB) anchortest.Harness {
		var client *counting
		backend, l := simulatedLedger(t, func(c *evm.Config) {
			client = &counting{Client: c.Client.(simulated.Client)}
			c.Client = client
		})
		return anchortest.Harness{
			Ledger: l, Signer: l.Signer(headKey),
			Mine: func() {
				if client.sent.Swap(0) > 0 {
					backend.Commit()
				}
			},
			Rollback: func(blocks int) {
				backend.Rollback()
				head, err := backend.Client().HeaderByNumber(t.Context(), nil)
				if err != nil {
					t.Fatal(err)
				}
				parent, err := backend.Client().HeaderByNumber(t.Context(), new(big.Int).Sub(head.Number, big.NewInt(int64(blocks))))
				if err != nil {
					t.Fatal(err)
				}
				if err := backend.Fork(parent.Hash()); err != nil {
					t.Fatal(err)
				}
				backend.Rollback() // the pool took the transactions back
			},
		}
	})
}

// anchorHead takes the log to size, by hand.
func anchorHead(t testing.TB, l *evm.Ledger, log *anchortest.Log, size uint64, mine func()) anchor.Confirmation {
	t.Helper()
	prev, err := l.Head(t.Context(), anchor.Included)
	if err != nil {
		t.Fatal(err)
	}
	head, err := log.Signed(t.Context(), l.Signer(headKey), l.Info().LogID, prev, size)
	if err != nil {
		t.Fatal(err)
	}
	a, err := l.Prepare(t.Context(), head)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Broadcast(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	mine()
	c, err := l.Status(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestGas(t *testing.T) {
	backend, l := simulatedLedger(t, nil)
	mine := func() { backend.Commit() }
	log := anchortest.NewLog(2000)
	anchorHead(t, l, log, 1, mine)
	for _, tc := range []struct{ size, most uint64 }{{2, 46_000}, {1000, 56_000}, {2000, 56_000}} {
		c := anchorHead(t, l, log, tc.size, mine)
		if c.Finality != anchor.Safe {
			t.Fatalf("size %d: %+v", tc.size, c)
		}
		t.Logf("anchor to size %d: %d gas", tc.size, c.GasUsed)
		if c.GasUsed > tc.most {
			t.Errorf("anchor to size %d took %d gas, more than %d", tc.size, c.GasUsed, tc.most)
		}
	}
}

func TestFailedOnChain(t *testing.T) {
	backend, l := simulatedLedger(t, func(c *evm.Config) { c.GasLimit = 300_000 })
	log := anchortest.NewLog(9)
	anchorHead(t, l, log, 5, func() { backend.Commit() })
	forged := log.Fork(2, 7)
	head, err := forged.Signed(t.Context(), l.Signer(headKey), l.Info().LogID, forged.Newest(), 8)
	if err != nil {
		t.Fatal(err)
	}

	simErr := l.Simulate(t.Context(), head)
	if !errors.Is(simErr, anchor.ErrRefused) || evm.DecodeRevert(simErr) != "LogAnchorInconsistent" {
		t.Errorf("Simulate: %v (%s)", simErr, evm.DecodeRevert(simErr))
	}
	a, err := l.Prepare(t.Context(), head) // with a fixed gas limit nothing is asked first
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Broadcast(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	backend.Commit()
	c, err := l.Status(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("LogAnchorInconsistent(logId: 0x%x, firstSize: 5, secondSize: 8)", l.Info().LogID)
	if c.Finality != anchor.Failed || c.BlockHash == "" || c.GasUsed == 0 || c.Reason != want {
		t.Errorf("confirmation of a reverted anchor: %+v", c)
	}
}

func TestReplacement(t *testing.T) {
	backend, l := simulatedLedger(t, nil)
	log := anchortest.NewLog(9)
	signer := l.Signer(headKey)
	sign := func(size uint64) anchor.SignedHead {
		return must(log.Signed(t.Context(), signer, l.Info().LogID, anchor.Head{}, size))
	}
	first := must(l.Prepare(t.Context(), sign(3)))
	if err := l.Broadcast(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if c := must(l.Status(t.Context(), first)); c.Finality != anchor.Submitted {
		t.Fatalf("status in the pool: %+v", c)
	}
	second := must(l.Prepare(t.Context(), sign(9), first))
	if err := l.Broadcast(t.Context(), second); err != nil {
		t.Fatalf("the pool refuses the replacement: %v", err)
	}
	if err := l.Broadcast(t.Context(), first); err != nil {
		t.Errorf("broadcast of an outbid transaction: %v", err)
	}
	backend.Commit()
	if c := must(l.Status(t.Context(), second)); c.Finality != anchor.Safe {
		t.Errorf("the replacement: %+v", c)
	}
	if c := must(l.Status(t.Context(), first)); c.Finality != anchor.Failed || c.BlockHash != "" {
		t.Errorf("the replaced transaction: %+v", c)
	}
	if err := l.Broadcast(t.Context(), first); !errors.Is(err, anchor.ErrRefused) {
		t.Errorf("broadcast of the replaced transaction: %v", err)
	}
}

func TestFeeCaps(t *testing.T) {
	_, l := simulatedLedger(t, func(c *evm.Config) {
		c.Network.Fees = evm.FeePolicy{MaxFee: big.NewInt(1), MaxTip: big.NewInt(1)}
	})
	log := anchortest.NewLog(3)
	head := must(log.Signed(t.Context(), l.Signer(headKey), l.Info().LogID, anchor.Head{}, 3))
	if _, err := l.Prepare(t.Context(), head); !errors.Is(err, anchor.ErrPushback) {
		t.Errorf("base fee above the cap: got %v, want ErrPushback", err)
	}
	// Outbidding stops at the cap too.
	_, l = simulatedLedger(t, func(c *evm.Config) { c.Network.Fees.MaxTip = big.NewInt(1) })
	head.LogID = l.Info().LogID
	head = must(log.Signed(t.Context(), l.Signer(headKey), l.Info().LogID, anchor.Head{}, 3))
	a := must(l.Prepare(t.Context(), head))
	if _, err := l.Prepare(t.Context(), head, a); !errors.Is(err, anchor.ErrPushback) {
		t.Errorf("replacement above the cap: got %v, want ErrPushback", err)
	}
}

func TestOutbid(t *testing.T) {
	for _, x := range []int64{0, 1, 7, 8, 9, 1_000_000_007} {
		got := evm.Outbid(big.NewInt(x)).Int64()
		want := (x*1125+999)/1000 + 1
		if got != want {
			t.Errorf("outbid %d: got %d, want %d", x, got, want)
		}
	}
}

func TestConfirmations(t *testing.T) {
	backend, l := simulatedLedger(t, func(c *evm.Config) {
		c.Network.Finality = anchor.FinalityRule{Level: anchor.Safe, Confirmations: 3}
	})
	log := anchortest.NewLog(3)
	if got := anchorHead(t, l, log, 2, func() { backend.Commit() }); got.Finality != anchor.Included {
		t.Fatalf("after one block: %+v", got)
	}
	if h := must(l.Head(t.Context(), anchor.Safe)); h != (anchor.Head{}) {
		t.Errorf("safe head after one block: %v", h)
	}
	backend.Commit()
	backend.Commit()
	if h := must(l.Head(t.Context(), anchor.Safe)); h.Size != 2 {
		t.Errorf("safe head after three blocks: %v", h)
	}
	if l.Info().Finality.Met(anchor.Included) || !l.Info().Finality.Met(anchor.Safe) {
		t.Error("the rule counts wrongly")
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, tc := range []struct {
		name string
		want string
		set  func(*evm.Config)
	}{
		{"chain id", "serves chain 1337", func(c *evm.Config) { c.Network.ChainID = 1 }},
		{"no contract", "names no contract", func(c *evm.Config) { c.Network.Contract = common.Address{} }},
		{"no code", "no contract at this address", func(c *evm.Config) { c.Network.Contract = guardian }},
		{"other code", "this program is built for", func(c *evm.Config) {
			c.Network.Contract = params.BeaconRootsAddress // a system contract of every chain
		}},
		{"other log", evm.ErrNotRegistered.Error(), func(c *evm.Config) { c.Origin = "other.example/log" }},
		{"other registrant", evm.ErrNotRegistered.Error(), func(c *evm.Config) { c.Registrant = guardian }},
		{"other head key", "the contract holds head key", func(c *evm.Config) { c.HeadKey = guardian }},
		{"one key for both", "must not be the wallet's key", func(c *evm.Config) { c.HeadKey = wallet.Address() }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			backend, l := simulatedLedger(t, nil)
			cfg := evm.Config{Client: backend.Client(), Wallet: wallet, Origin: origin, HeadKey: headKey.Address()}
			_, cfg.Network = simulatedChain(t)
			cfg.Network.Contract = common.HexToAddress(l.Info().Contract)
			tc.set(&cfg)
			_, err := evm.Open(t.Context(), cfg)
			wantError(t, err, tc.want)
		})
	}
}

func TestRegisterTwice(t *testing.T) {
	backend, n := simulatedChain(t)
	client := mining{backend.Client(), backend}
	d := must(evm.Deploy(t.Context(), n, client, wallet))
	n.Contract = d.Address
	id := must(evm.Register(t.Context(), n, client, wallet, registration()))
	if id != evm.LogID(wallet.Address(), origin) {
		t.Errorf("log id %x", id)
	}
	before := must(backend.Client().BlockNumber(t.Context()))
	if again := must(evm.Register(t.Context(), n, client, wallet, registration())); again != id {
		t.Errorf("log id %x, then %x", id, again)
	}
	if after := must(backend.Client().BlockNumber(t.Context())); after != before {
		t.Error("registering again sent a transaction")
	}
	other := registration()
	other.HeadKey = common.Address{1}
	if _, err := evm.Register(t.Context(), n, client, wallet, other); !errors.Is(err, anchor.ErrRefused) {
		t.Errorf("registering with another head key: %v", err)
	}
	// What the contract itself refuses comes back by name.
	other.Origin, other.HeadKey = "other.example/log", guardian
	if _, err := evm.Register(t.Context(), n, client, wallet, other); evm.DecodeRevert(err) != "LogAnchorInvalidHeadKey" {
		t.Errorf("head key that is the guardian: %v", err)
	}
}
