package evm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/writ-registry/writ/anchor"
	"github.com/writ-registry/writ/anchor/evm/bind/loganchor"
)

// Deployment records where a contract is and how it came there. It is
// published: everything in it can be checked on the chain.
type Deployment struct {
	Contract string         `json:"contract"` // the contract's name, "LogAnchor"
	Network  string         `json:"network"`  // Network.Name
	ChainID  uint64         `json:"chain_id"`
	Address  common.Address `json:"address"`
	Deployer common.Address `json:"deployer"`
	TxHash   common.Hash    `json:"tx_hash"`
	Block    uint64         `json:"block"`
	// BlockHash is the block's hash when the deployment was seen; a reorg may
	// change it, the address and the code stay.
	BlockHash common.Hash `json:"block_hash"`
	// CodeHash is the Keccak-256 hash of the runtime code, compared with the
	// code this program was built with before the record was made.
	CodeHash common.Hash `json:"code_hash"`
	GasUsed  uint64      `json:"gas_used"`
	Time     time.Time   `json:"time"` // of the block
}

// Deploy puts a new LogAnchor on the network and returns once its code is on
// the chain and is, byte for byte, the code it should be. client nil dials the
// network's endpoint; n.Contract is ignored.
//
// It is not idempotent: each call makes a contract. When it fails after
// sending, the contract may exist all the same; it costs gas and has no other
// effect. Errors: anchor.ErrPushback as for Ledger.
func Deploy(ctx context.Context, n Network, client Client, wallet *Wallet) (Deployment, error) {
	d, err := deploy(ctx, n, client, wallet)
	if err != nil {
		return Deployment{}, fmt.Errorf("deploy LogAnchor on %s: %w", n.Name, err)
	}
	return d, nil
}

func deploy(ctx context.Context, n Network, client Client, wallet *Wallet) (Deployment, error) {
	client, closeClient, err := connect(ctx, n, client)
	if err != nil {
		return Deployment{}, err
	}
	defer closeClient()
	s := newSender(n, client, wallet)
	receipt, err := s.do(ctx, nil, common.FromHex(loganchor.LogAnchorMetaData.Bin))
	if err != nil {
		return Deployment{}, err
	}
	code, err := client.CodeAt(ctx, receipt.ContractAddress, receipt.BlockNumber)
	if err != nil {
		return Deployment{}, fmt.Errorf("read deployed code: %w", translate(err))
	}
	if err := checkCode(code, s.chainID, receipt.ContractAddress); err != nil {
		return Deployment{}, err
	}
	header, err := client.HeaderByNumber(ctx, receipt.BlockNumber)
	if err != nil {
		return Deployment{}, fmt.Errorf("read block %d: %w", receipt.BlockNumber, translate(err))
	}
	return Deployment{
		Contract: "LogAnchor", Network: n.Name, ChainID: n.ChainID,
		Address: receipt.ContractAddress, Deployer: wallet.Address(), TxHash: receipt.TxHash,
		Block: receipt.BlockNumber.Uint64(), BlockHash: receipt.BlockHash,
		CodeHash: crypto.Keccak256Hash(code), GasUsed: receipt.GasUsed,
		Time: time.Unix(int64(header.Time), 0).UTC(),
	}, nil
}

// newSender returns a sender on a network whose chain id is verified.
func newSender(n Network, client Client, wallet *Wallet) sender {
	return sender{client: client, wallet: wallet, chainID: new(big.Int).SetUint64(n.ChainID), fees: n.Fees}
}

// WriteFile keeps the record at path, durably.
func (d Deployment) WriteFile(path string) error {
	raw, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return err
	}
	return writeDurably(path, append(raw, '\n'))
}

// ReadDeployment reads a record that WriteFile wrote. A missing file is an
// error that wraps os.ErrNotExist.
func ReadDeployment(path string) (Deployment, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return Deployment{}, err
	}
	var d Deployment
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&d); err != nil {
		return Deployment{}, fmt.Errorf("deployment record %s: %w", path, err)
	}
	return d, nil
}

// DefaultMaxGrowth is how many entries one anchor may add to a log where
// nothing else is asked for: hours of the heaviest load, and a bound on what a
// stolen head key can do to the log in one transaction.
const DefaultMaxGrowth = 1 << 24

// Registration is what a log is registered with. It cannot be changed later,
// except for the head key by the guardian and after a delay.
type Registration struct {
	Origin  string         // the log's origin line
	HeadKey common.Address // signs the log's heads
	// Guardian may freeze the log and propose another head key. Keep it
	// offline; it MUST NOT be the head key and should not be the wallet.
	Guardian common.Address
	// MaxGrowth is the most entries one anchor may add, below 2^40; 0 means
	// DefaultMaxGrowth.
	MaxGrowth uint64
}

// Register registers a log under the wallet's address, unless it is registered
// already with the same head key, and returns its id. client nil dials the
// network's endpoint. Errors: anchor.ErrRefused when the contract does not
// take the registration (among others: another head key is registered),
// anchor.ErrPushback as for Ledger.
func Register(ctx context.Context, n Network, client Client, wallet *Wallet, r Registration) (logID [32]byte, err error) {
	logID = LogID(wallet.Address(), r.Origin)
	if err := register(ctx, n, client, wallet, logID, r); err != nil {
		return logID, fmt.Errorf("register log %q on %s: %w", r.Origin, n.Name, err)
	}
	return logID, nil
}

func register(ctx context.Context, n Network, client Client, wallet *Wallet, logID [32]byte, r Registration) error {
	if r.HeadKey == wallet.Address() {
		return errKeysEqual
	}
	if r.MaxGrowth == 0 {
		r.MaxGrowth = DefaultMaxGrowth
	}
	client, closeClient, err := connect(ctx, n, client)
	if err != nil {
		return err
	}
	defer closeClient()
	code, err := client.CodeAt(ctx, n.Contract, nil)
	if err != nil {
		return fmt.Errorf("read code of %s: %w", n.Contract, translate(err))
	}
	if err := checkCode(code, new(big.Int).SetUint64(n.ChainID), n.Contract); err != nil {
		return err // a call to an account without code would succeed and mean nothing
	}
	l := &Ledger{sender: newSender(n, client, wallet), contract: n.Contract, info: anchor.Info{LogID: logID}}
	state, err := l.logHead(ctx, nil)
	switch {
	case err == nil && state.HeadKey == r.HeadKey:
		return nil
	case err == nil:
		return fmt.Errorf("it is registered with head key %s: %w", state.HeadKey, anchor.ErrRefused)
	case !errors.Is(err, ErrNotRegistered):
		return err
	}
	data, err := binding.TryPackRegister(r.Origin, r.HeadKey, r.Guardian, r.MaxGrowth)
	if err != nil {
		return fmt.Errorf("encode register call: %w", err)
	}
	_, err = l.do(ctx, &n.Contract, data)
	return err
}

// DeploymentFile is the name of the record that an embedded chain keeps of its
// contract, in its folder.
const DeploymentFile = "LogAnchor.json"

// OpenLedger opens the log on the embedded chain, deploying the contract and
// registering the log where they are missing: on a new chain, and on one that
// lost its first blocks in a crash. cfg.Client, the chain id and contract of
// cfg.Network, and cfg.Gate when nil, are filled in from the chain;
// cfg.HeadKey comes from r, as does the origin.
func (c *Chain) OpenLedger(ctx context.Context, cfg Config, r Registration) (*Ledger, error) {
	cfg.Client, cfg.Network.ChainID = c.client, c.id.Uint64()
	cfg.Origin, cfg.HeadKey = r.Origin, r.HeadKey
	if cfg.Gate == nil {
		cfg.Gate = c.CheckDisk
	}
	d, err := c.deployed(ctx, cfg)
	if err != nil {
		return nil, err
	}
	cfg.Network.Contract, cfg.Network.DeployBlock = d.Address, d.Block
	if _, err := Register(ctx, cfg.Network, cfg.Client, cfg.Wallet, r); err != nil {
		return nil, err
	}
	return Open(ctx, cfg)
}

// deployed returns the record of the chain's contract. Without one, or when
// the chain does not hold what it says (it forgot the block, or this program
// brings another version), it deploys. A crash between deployment and record
// leaves a contract that nobody uses.
func (c *Chain) deployed(ctx context.Context, cfg Config) (Deployment, error) {
	path := filepath.Join(c.dir, DeploymentFile)
	d, err := ReadDeployment(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return Deployment{}, err
	}
	if err == nil {
		code, err := c.client.CodeAt(ctx, d.Address, nil)
		if err != nil {
			return Deployment{}, fmt.Errorf("read code of %s: %w", d.Address, translate(err))
		}
		err = checkCode(code, c.id, d.Address)
		if err == nil {
			return d, nil
		}
		c.log.Warn("deploying LogAnchor again", "because", err)
	}
	if d, err = Deploy(ctx, cfg.Network, c.client, cfg.Wallet); err != nil {
		return Deployment{}, err
	}
	return d, d.WriteFile(path)
}

// Deployment returns the record of the chain's contract; os.ErrNotExist before
// the first OpenLedger.
func (c *Chain) Deployment() (Deployment, error) {
	return ReadDeployment(filepath.Join(c.dir, DeploymentFile))
}
