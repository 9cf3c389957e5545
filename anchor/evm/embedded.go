package evm

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/rawdb"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/eth"
	"github.com/ethereum/go-ethereum/eth/catalyst"
	"github.com/ethereum/go-ethereum/eth/ethconfig"
	"github.com/ethereum/go-ethereum/eth/filters"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/ethereum/go-ethereum/node"
	"github.com/ethereum/go-ethereum/p2p"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/writ-registry/writ/anchor"
)

// DefaultDiskReserve is the free space in bytes below which the embedded chain
// does not start and does not go on.
const DefaultDiskReserve = 256 << 20

// EmbeddedOptions configures an embedded chain. The zero value works except
// for Account.
type EmbeddedOptions struct {
	// Account is funded in the genesis block with more than it can ever spend.
	// It is part of the chain: a folder opens only with the account it was
	// created with.
	Account common.Address

	// HTTPPort is the TCP port of the JSON-RPC server on 127.0.0.1; 0 takes any
	// free one.
	HTTPPort int

	// FreeBytes returns the free space, in bytes, of the file system that holds
	// dir. nil means unchecked. geth ends the whole process when a write
	// fails, so the chain has to stop before that: see Chain.Run.
	FreeBytes func(dir string) (uint64, error)
	// DiskReserve replaces DefaultDiskReserve when not 0.
	DiskReserve uint64

	Logger *slog.Logger // default: slog.Default()

	// loseBlocks takes back the newest blocks while opening, which is when a
	// crash shows. For tests.
	loseBlocks int
}

// Chain is a one-node Ethereum chain in this process, kept in a folder. It
// makes a block for every transaction and lets anyone on this machine read it
// and send transactions over JSON-RPC (HTTP, modules eth, net and web3, on
// loopback only). It has no peers and opens no other port.
//
// The chain is run by the operator of the log. It shows the mechanism, to a
// developer or in a demo; it proves nothing to outsiders.
//
// Durability: a clean Close loses nothing. A crash may lose the newest blocks
// (0 to 10 were measured with this configuration); geth's default storage
// scheme would go back to the last clean stop. Whoever anchors here therefore
// compares heads at every start and sends again what is gone, which the
// Submitter does anyway.
type Chain struct {
	dir     string
	id      *big.Int
	node    *node.Node
	eth     *eth.Ethereum
	client  *ethclient.Client
	opts    EmbeddedOptions
	log     *slog.Logger
	miner   *miner
	closing sync.Once
	closed  error
}

// OpenEmbedded opens the chain kept in dir, creating it in a missing or empty
// folder. It refuses a folder that holds anything else, a chain made with
// another account or under other fork rules, a folder in use by another
// process and, with ErrPushback, a disk below its reserve.
func OpenEmbedded(ctx context.Context, dir string, opts EmbeddedOptions) (*Chain, error) {
	if opts.DiskReserve == 0 {
		opts.DiskReserve = DefaultDiskReserve
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	c := &Chain{dir: dir, opts: opts, log: opts.Logger.With("chain", "embedded")}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open embedded chain: %w", err)
	}
	if err := c.CheckDisk(); err != nil {
		return nil, fmt.Errorf("open embedded chain: %w", err)
	}
	genesis, err := loadGenesis(dir, opts.Account)
	if err != nil {
		return nil, fmt.Errorf("open embedded chain in %s: %w", dir, err)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	quietGeth(c.log)
	if err := c.start(genesis); err != nil {
		return nil, fmt.Errorf("start embedded chain in %s: %w", dir, err)
	}
	return c, nil
}

// start assembles and starts the node. On an error nothing keeps running.
func (c *Chain) start(genesis *core.Genesis) (err error) {
	stack, err := node.New(&node.Config{
		Name:    "writ",
		DataDir: c.dir,
		// No peers, no discovery, no listener; no IPC path; an HTTP server only.
		P2P:              p2p.Config{NoDiscovery: true, NoDial: true, MaxPeers: 0, ListenAddr: ""},
		HTTPHost:         "127.0.0.1",
		HTTPPort:         c.opts.HTTPPort,
		HTTPModules:      []string{"eth", "net", "web3"},
		HTTPVirtualHosts: []string{"localhost"}, // the defence against DNS rebinding
		HTTPTimeouts:     rpc.DefaultHTTPTimeouts,
	})
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			stack.Close()
		}
	}()

	backend, err := eth.New(stack, embeddedConfig(genesis))
	if err != nil {
		return err
	}
	if got, want := backend.BlockChain().Genesis().Hash(), genesis.ToBlock().Hash(); got != want {
		return fmt.Errorf("the stored chain begins with %s, the folder's marker with %s", got, want)
	}
	if n := c.opts.loseBlocks; n > 0 {
		bc := backend.BlockChain()
		if err := bc.SetHead(bc.CurrentBlock().Number.Uint64() - uint64(n)); err != nil {
			return err
		}
	}
	// eth.New does not register this; without it there is no eth_getLogs.
	stack.RegisterAPIs([]rpc.API{{
		Namespace: "eth",
		Service:   filters.NewFilterAPI(filters.NewFilterSystem(backend.APIBackend, filters.Config{})),
	}})
	beacon, err := catalyst.NewSimulatedBeacon(0, common.Address{}, backend)
	if err != nil {
		return err
	}
	if err := stack.Start(); err != nil {
		return err
	}
	// The finalized block is stored, the safe one is not: without this a
	// reopened chain would have no safe block before its next transaction.
	backend.BlockChain().SetSafe(backend.BlockChain().CurrentBlock())
	c.node, c.eth, c.id = stack, backend, genesis.Config.ChainID
	c.client = ethclient.NewClient(stack.Attach())
	c.miner = startMiner(backend, beacon)
	return nil
}

// embeddedConfig sizes geth for one writer and a handful of readers.
func embeddedConfig(genesis *core.Genesis) *ethconfig.Config {
	cfg := ethconfig.Defaults
	cfg.Genesis = genesis
	cfg.SyncMode = ethconfig.FullSync
	// The hash scheme without pruning writes every block's state at once. With
	// the path scheme a crash rewinds to the last clean stop.
	cfg.StateScheme = rawdb.HashScheme
	cfg.NoPruning = true
	cfg.TransactionHistory = 0 // receipts stay findable by hash for ever
	// No index of events: keeping it takes more work than the blocks, and a
	// fifth of a second at every start. eth_getLogs reads the headers' Bloom
	// filters instead.
	cfg.LogNoHistory = true
	cfg.DatabaseCache = 16
	cfg.TrieCleanCache = 16
	cfg.TrieDirtyCache = 0
	cfg.SnapshotCache = 0
	cfg.TxPool.NoLocals = true
	cfg.TxPool.Journal = ""
	cfg.BlobPool.Datadir = "" // no blobs here
	cfg.Miner.GasCeil = genesis.GasLimit
	return &cfg
}

// ChainID returns the chain's id: random, chosen when the folder was created,
// above any id in public use and below 2^52, so that JavaScript can hold it.
func (c *Chain) ChainID() *big.Int { return new(big.Int).Set(c.id) }

// Client returns a client inside the process. It is closed with the chain.
func (c *Chain) Client() *ethclient.Client { return c.client }

// Endpoint returns the JSON-RPC URL, "http://127.0.0.1:<port>".
func (c *Chain) Endpoint() string { return c.node.HTTPEndpoint() }

// CheckDisk returns an error that wraps anchor.ErrPushback when the file
// system has less free space than the reserve.
func (c *Chain) CheckDisk() error {
	if c.opts.FreeBytes == nil {
		return nil
	}
	free, err := c.opts.FreeBytes(c.dir)
	if err != nil {
		return fmt.Errorf("free space of %s: %w", c.dir, err)
	}
	if free < c.opts.DiskReserve {
		return fmt.Errorf("%d bytes free, the embedded chain needs %d: %w", free, c.opts.DiskReserve, anchor.ErrPushback)
	}
	return nil
}

// Run watches the disk until ctx ends (then it returns nil). When the reserve
// is reached it closes the chain, because geth answers a failed write by
// ending the process, and returns the error of CheckDisk.
func (c *Chain) Run(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for {
		if err := c.CheckDisk(); errors.Is(err, anchor.ErrPushback) {
			return errors.Join(fmt.Errorf("embedded chain stopped: %w", err), c.Close())
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Close stops the chain and writes everything to disk. Closing twice is
// harmless and returns the same.
func (c *Chain) Close() error {
	c.closing.Do(func() {
		c.miner.stop()
		c.client.Close()
		if err := c.node.Close(); err != nil {
			c.closed = fmt.Errorf("close embedded chain: %w", err)
		}
	})
	return c.closed
}

// marker is the file that makes a folder an embedded chain. It is written
// before the first block, so a crash while creating leaves either an empty
// folder or one that opens.
type marker struct {
	Version int            `json:"v"`
	ChainID uint64         `json:"chain_id"`
	Account common.Address `json:"account"`
	Genesis common.Hash    `json:"genesis"`
	// Fork is the newest fork the chain runs under. The genesis hash does not
	// depend on it, and reopening under another one would change the rules
	// (and the price) of what is already there.
	Fork string `json:"fork"`
}

const markerFile = "chain.json"

// loadGenesis returns the genesis block of the chain in dir, making one for an
// empty folder.
func loadGenesis(dir string, account common.Address) (*core.Genesis, error) {
	if account == (common.Address{}) {
		return nil, errors.New("no account to fund")
	}
	path := filepath.Join(dir, markerFile)
	raw, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			// What a crash inside writeDurably left is no reason to refuse.
			if !strings.HasPrefix(e.Name(), tempPrefix) {
				return nil, fmt.Errorf("not empty and without %s: not a chain of ours", markerFile)
			}
		}
		return createGenesis(path, account)
	}
	if err != nil {
		return nil, err
	}
	var m marker
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&m); err != nil {
		return nil, fmt.Errorf("%s: %w", markerFile, err)
	}
	if m.Version != 1 {
		return nil, fmt.Errorf("%s: version %d is newer than this program", markerFile, m.Version)
	}
	if m.Account != account {
		return nil, fmt.Errorf("the chain was made for account %s, not %s", m.Account, account)
	}
	genesis := embeddedGenesis(m.ChainID, account)
	if got := forkName(genesis.Config); got != m.Fork {
		return nil, fmt.Errorf("the chain runs under %s, this program would continue it under %s", m.Fork, got)
	}
	if got := genesis.ToBlock().Hash(); got != m.Genesis {
		return nil, fmt.Errorf("the chain begins with %s, this program would begin it with %s", m.Genesis, got)
	}
	return genesis, nil
}

func createGenesis(path string, account common.Address) (*core.Genesis, error) {
	var random [8]byte
	if _, err := rand.Read(random[:]); err != nil {
		return nil, err
	}
	// 2^48 .. 2^49: no public chain is there, and it is exact as a float64.
	id := 1<<48 | binary.BigEndian.Uint64(random[:])>>16
	genesis := embeddedGenesis(id, account)
	raw, err := json.MarshalIndent(marker{
		Version: 1, ChainID: id, Account: account,
		Genesis: genesis.ToBlock().Hash(), Fork: forkName(genesis.Config),
	}, "", "  ")
	if err != nil {
		return nil, err
	}
	return genesis, writeDurably(path, append(raw, '\n'))
}

// embeddedGenesis is the same block for the same arguments, for ever.
func embeddedGenesis(chainID uint64, account common.Address) *core.Genesis {
	genesis := core.DeveloperGenesisBlock(30_000_000, &account)
	config := *genesis.Config
	config.ChainID = new(big.Int).SetUint64(chainID)
	// geth's developer chain already switches on the repricing of a fork that
	// no public network runs; under it an anchor costs three times as much.
	config.BogotaTime = nil
	config.AmsterdamTime = nil
	genesis.Config = &config
	genesis.ExtraData = fmt.Appendf(nil, "writ %d", chainID) // otherwise the hash would not tell one folder from another
	// Any amount will do, but a balance near 2^256 confuses wallets.
	genesis.Alloc[account] = types.Account{Balance: new(big.Int).Mul(big.NewInt(1_000_000_000), big.NewInt(params.Ether))}
	return genesis
}

// forkName names the newest fork of a configuration whose forks are all at
// genesis.
func forkName(config *params.ChainConfig) string {
	return config.LatestFork(0).String()
}

// tempPrefix begins the names of files that are not whole yet.
const tempPrefix = ".tmp-"

// writeDurably replaces the file at path. When it returns nil the new content
// survives a power cut; a crash inside leaves the old file or the new one.
func writeDurably(path string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), tempPrefix+"*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // no effect after the rename
	_, err = tmp.Write(data)
	if err == nil {
		err = tmp.Sync()
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
