package evm

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"time"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/writ-registry/writ/anchor"
	"github.com/writ-registry/writ/anchor/evm/bind/loganchor"
)

// Config opens a Ledger. Network, Wallet and Origin are required.
type Config struct {
	Network Network
	// Client replaces the endpoint of Network: an embedded chain's client, a
	// test's. The caller closes it.
	Client Client

	// Wallet pays. Its nonces belong to this Ledger alone.
	Wallet *Wallet
	// Origin is the log's origin line, and Registrant the account that
	// registered it; zero means the wallet.
	Origin     string
	Registrant common.Address
	// HeadKey, when not zero, must be the head key that the contract holds for
	// the log: found out at Open instead of at the first refused anchor.
	HeadKey common.Address

	// GasLimit, in gas units, is what every anchor is sent with. 0, the
	// default, estimates, which finds a refusal before it costs anything.
	GasLimit uint64
	// Gate, when not nil, is asked before every transaction is sent; its error
	// keeps the transaction here. Chain.CheckDisk is one.
	Gate func() error
}

// Ledger is one log on one LogAnchor contract. It implements anchor.Ledger.
type Ledger struct {
	sender
	contract common.Address
	info     anchor.Info
	rule     anchor.FinalityRule
	gas      uint64
	gate     func() error
	close    func()
}

var _ anchor.Ledger = (*Ledger)(nil)

// binding packs calls and unpacks answers; it is immutable.
var binding = loganchor.NewLogAnchor()

// Open connects to the network and checks everything that a wrong
// configuration could have wrong: the chain's id, the contract's code, the
// log's registration and its head key. It sends nothing.
//
// An error that wraps ErrNotRegistered means that all but the registration is
// there: see Register. Close the Ledger after use.
func Open(ctx context.Context, cfg Config) (*Ledger, error) {
	l, err := open(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open ledger %s: %w", cfg.Network.Name, err)
	}
	return l, nil
}

// ErrNotRegistered says that the contract does not know the log.
var ErrNotRegistered = errors.New("the log is not registered with the contract")

func open(ctx context.Context, cfg Config) (*Ledger, error) {
	if cfg.Wallet == nil || cfg.Origin == "" {
		return nil, errors.New("wallet or origin is missing")
	}
	if cfg.HeadKey == cfg.Wallet.Address() {
		return nil, errKeysEqual
	}
	if cfg.Network.Contract == (common.Address{}) {
		return nil, errors.New("the network file names no contract: deploy one first")
	}
	client, closeClient, err := connect(ctx, cfg.Network, cfg.Client)
	if err != nil {
		return nil, err
	}
	l, err := newLedger(ctx, cfg, client)
	if err != nil {
		closeClient()
		return nil, err
	}
	l.close = closeClient
	return l, nil
}

func newLedger(ctx context.Context, cfg Config, client Client) (*Ledger, error) {
	n := cfg.Network
	chainID := new(big.Int).SetUint64(n.ChainID)
	code, err := client.CodeAt(ctx, n.Contract, nil)
	if err != nil {
		return nil, fmt.Errorf("read code of %s: %w", n.Contract, translate(err))
	}
	if err := checkCode(code, chainID, n.Contract); err != nil {
		return nil, err
	}
	registrant := cfg.Registrant
	if registrant == (common.Address{}) {
		registrant = cfg.Wallet.Address()
	}
	l := &Ledger{
		sender:   newSender(n, client, cfg.Wallet),
		contract: n.Contract,
		rule:     n.Finality,
		gas:      cfg.GasLimit,
		gate:     cfg.Gate,
		info: anchor.Info{
			Name: n.Name, Kind: "evm",
			ChainID: strconv.FormatUint(n.ChainID, 10), Contract: n.Contract.Hex(),
			LogID:    LogID(registrant, cfg.Origin),
			Finality: n.Finality, OperatorsOwn: n.OperatorsOwn,
		},
	}
	state, err := l.logHead(ctx, nil)
	if err != nil {
		return nil, err
	}
	if cfg.HeadKey != (common.Address{}) && state.HeadKey != cfg.HeadKey {
		return nil, fmt.Errorf("the contract holds head key %s for log %q, ours is %s", state.HeadKey, cfg.Origin, cfg.HeadKey)
	}
	l.info.MaxGrowth = state.MaxGrowth
	return l, nil
}

// connect returns the client for a network whose chain id is verified, and
// what closes it.
func connect(ctx context.Context, n Network, client Client) (Client, func(), error) {
	closeClient := func() {}
	if client == nil {
		url, err := n.endpoint()
		if err != nil {
			return nil, nil, err
		}
		dialed, err := ethclient.DialContext(ctx, url)
		if err != nil {
			return nil, nil, fmt.Errorf("dial: %w", translate(err))
		}
		client, closeClient = dialed, dialed.Close
	}
	id, err := client.ChainID(ctx)
	if err != nil {
		closeClient()
		return nil, nil, fmt.Errorf("read chain id: %w", translate(err))
	}
	if !id.IsUint64() || id.Uint64() != n.ChainID {
		closeClient()
		return nil, nil, fmt.Errorf("the endpoint serves chain %s, the network file says %d", id, n.ChainID)
	}
	return client, closeClient, nil
}

// Close ends the connection that Open made.
func (l *Ledger) Close() error {
	l.close()
	return nil
}

// Info implements anchor.Ledger.
func (l *Ledger) Info() anchor.Info { return l.info }

// Signer binds a head key to this ledger.
func (l *Ledger) Signer(key *HeadKey) anchor.HeadSigner { return key.Signer(l.chainID, l.contract) }

// Head implements anchor.Ledger. Below Included there is nothing to read: such
// a level reads as Included. A block before the log's registration holds the
// zero Head.
func (l *Ledger) Head(ctx context.Context, level anchor.Finality) (anchor.Head, error) {
	if err := ctx.Err(); err != nil { // a client inside the process may answer all the same
		return anchor.Head{}, err
	}
	block, err := l.blockAt(ctx, level)
	if err != nil {
		return anchor.Head{}, err
	}
	if block != nil && block.Sign() == 0 {
		return anchor.Head{}, nil // no block of that level so far
	}
	state, err := l.logHead(ctx, block)
	if errors.Is(err, ErrNotRegistered) && block != nil {
		return anchor.Head{}, nil
	}
	if err != nil || state.Size == 0 {
		return anchor.Head{}, err
	}
	return anchor.Head{Size: state.Size, Root: state.Root}, nil
}

// logHead calls head(logId) at a block; nil is the newest.
func (l *Ledger) logHead(ctx context.Context, block *big.Int) (loganchor.HeadOutput, error) {
	data := binding.PackHead(l.info.LogID)
	out, err := l.client.CallContract(ctx, ethereum.CallMsg{To: &l.contract, Data: data}, block)
	if DecodeRevert(err) == "LogAnchorUnknownLog" || err == nil && len(out) == 0 {
		return loganchor.HeadOutput{}, ErrNotRegistered
	}
	if err != nil {
		return loganchor.HeadOutput{}, fmt.Errorf("call head: %w", translate(err))
	}
	return binding.UnpackHead(out)
}

// blockAt returns the number of the newest block of a level: nil for the
// newest of all, zero when the chain has none of that level.
func (l *Ledger) blockAt(ctx context.Context, level anchor.Finality) (*big.Int, error) {
	if !level.AtLeast(anchor.Safe) {
		return nil, nil
	}
	marks, err := l.marks(ctx)
	if err != nil {
		return nil, err
	}
	if level == anchor.Finalized {
		return new(big.Int).SetUint64(marks.finalized), nil
	}
	return new(big.Int).SetUint64(marks.safe), nil
}

// marks are the chain's heads by level, as block numbers.
type marks struct{ latest, safe, finalized uint64 }

func (l *Ledger) marks(ctx context.Context) (m marks, err error) {
	if m.latest, err = l.headNumber(ctx, rpc.LatestBlockNumber); err != nil {
		return m, err
	}
	if m.finalized, err = l.headNumber(ctx, rpc.FinalizedBlockNumber); err != nil {
		return m, err
	}
	if n := l.rule.Confirmations; n > 0 {
		if m.latest+1 >= n {
			m.safe = m.latest + 1 - n
		}
	} else if m.safe, err = l.headNumber(ctx, rpc.SafeBlockNumber); err != nil {
		return m, err
	}
	// An endpoint that claims a finalized block above its newest one is wrong;
	// believe the lesser claim.
	m.finalized = min(m.finalized, m.latest)
	m.safe = min(max(m.safe, m.finalized), m.latest)
	return m, nil
}

// headNumber returns the block number behind a tag, 0 where the node has none:
// a young chain has no finalized block, and some chains never do.
func (l *Ledger) headNumber(ctx context.Context, tag rpc.BlockNumber) (uint64, error) {
	h, err := l.client.HeaderByNumber(ctx, big.NewInt(int64(tag)))
	var answered rpc.Error
	switch {
	case err == nil:
		return h.Number.Uint64(), nil
	case tag != rpc.LatestBlockNumber && (errors.Is(err, ethereum.NotFound) || errors.As(err, &answered)):
		return 0, nil
	}
	return 0, fmt.Errorf("read %s block: %w", tag, translate(err))
}

// Prepare implements anchor.Ledger.
func (l *Ledger) Prepare(ctx context.Context, head anchor.SignedHead, replaces ...anchor.Attempt) (anchor.Attempt, error) {
	if err := ctx.Err(); err != nil {
		return anchor.Attempt{}, err
	}
	old := make([]*types.Transaction, len(replaces))
	for i, a := range replaces {
		tx, err := decode(a)
		if err != nil {
			return anchor.Attempt{}, err
		}
		old[i] = tx
	}
	data, err := packAnchor(head)
	if err != nil {
		return anchor.Attempt{}, err
	}
	tx, err := l.build(ctx, &l.contract, data, l.gas, old)
	if err != nil {
		return anchor.Attempt{}, err
	}
	raw, err := tx.MarshalBinary()
	if err != nil {
		return anchor.Attempt{}, fmt.Errorf("encode transaction: %w", err)
	}
	return anchor.Attempt{Tx: tx.Hash().Hex(), Raw: raw}, nil
}

// Simulate asks the contract, without sending anything, whether it would take
// head now: nil, or what Prepare would return. The error carries the name of
// the contract's own error (DecodeRevert finds it in an error of the node).
func (l *Ledger) Simulate(ctx context.Context, head anchor.SignedHead) error {
	data, err := packAnchor(head)
	if err != nil {
		return err
	}
	if _, err := l.client.CallContract(ctx, ethereum.CallMsg{To: &l.contract, Data: data}, nil); err != nil {
		return translate(err)
	}
	return nil
}

func packAnchor(head anchor.SignedHead) ([]byte, error) {
	data, err := binding.TryPackAnchor(head.LogID, head.Size, head.Root, head.Proof, head.Signature)
	if err != nil {
		return nil, fmt.Errorf("encode anchor call: %w", err)
	}
	return data, nil
}

// decode reads a journalled transaction. An error means a damaged journal.
func decode(a anchor.Attempt) (*types.Transaction, error) {
	tx := new(types.Transaction)
	if err := tx.UnmarshalBinary(a.Raw); err != nil {
		return nil, fmt.Errorf("decode transaction %s: %w", a.Tx, err)
	}
	if tx.Hash().Hex() != a.Tx {
		return nil, fmt.Errorf("transaction bytes hash to %s, the attempt is %s", tx.Hash(), a.Tx)
	}
	return tx, nil
}

// Broadcast implements anchor.Ledger.
func (l *Ledger) Broadcast(ctx context.Context, attempt anchor.Attempt) error {
	tx, err := decode(attempt)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return err
	}
	if l.gate != nil {
		if err := l.gate(); err != nil {
			return err
		}
	}
	return l.send(ctx, tx)
}

// Status implements anchor.Ledger.
func (l *Ledger) Status(ctx context.Context, attempt anchor.Attempt) (anchor.Confirmation, error) {
	tx, err := decode(attempt)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return anchor.Confirmation{}, err
	}
	receipt, err := l.receipt(ctx, tx.Hash())
	if err != nil {
		return anchor.Confirmation{}, err
	}
	if receipt == nil {
		var c anchor.Confirmation
		if receipt, c, err = l.notIncluded(ctx, tx); err != nil || receipt == nil {
			return c, err
		}
	}
	return l.included(ctx, tx, receipt)
}

// receipt returns nil when the node has none.
func (l *Ledger) receipt(ctx context.Context, hash common.Hash) (*types.Receipt, error) {
	r, err := l.client.TransactionReceipt(ctx, hash)
	if errors.Is(err, ethereum.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read receipt: %w", translate(err))
	}
	return r, nil
}

// notIncluded tells a transaction without a receipt: pending, unknown, or out
// of the race because its nonce is used. The receipt is read again after the
// nonce, because the transaction may have been included in between.
func (l *Ledger) notIncluded(ctx context.Context, tx *types.Transaction) (*types.Receipt, anchor.Confirmation, error) {
	c := anchor.Confirmation{Finality: anchor.None, TxHash: tx.Hash().Hex()}
	nonce, err := l.client.NonceAt(ctx, l.wallet.Address(), nil)
	if err != nil {
		return nil, c, fmt.Errorf("read nonce: %w", translate(err))
	}
	if nonce > tx.Nonce() {
		receipt, err := l.receipt(ctx, tx.Hash())
		if receipt == nil && err == nil {
			c.Finality = anchor.Failed
			c.Reason = fmt.Sprintf("nonce %d is used by another transaction", tx.Nonce())
		}
		return receipt, c, err
	}
	_, _, err = l.client.TransactionByHash(ctx, tx.Hash())
	switch {
	case err == nil:
		c.Finality = anchor.Submitted
	case !errors.Is(err, ethereum.NotFound):
		return nil, c, fmt.Errorf("look up transaction: %w", translate(err))
	}
	return nil, c, nil
}

// included grades a transaction that has a receipt.
func (l *Ledger) included(ctx context.Context, tx *types.Transaction, receipt *types.Receipt) (anchor.Confirmation, error) {
	marks, err := l.marks(ctx)
	if err != nil {
		return anchor.Confirmation{}, err
	}
	c := anchor.Confirmation{Finality: anchor.Submitted, TxHash: tx.Hash().Hex()}
	header, err := l.client.HeaderByNumber(ctx, receipt.BlockNumber)
	if errors.Is(err, ethereum.NotFound) || err == nil && (header.Hash() != receipt.BlockHash || header.Number.Uint64() > marks.latest) {
		return c, nil // the node is between two heads; the next call tells
	}
	if err != nil {
		return c, fmt.Errorf("read block %d: %w", receipt.BlockNumber, translate(err))
	}
	c.Block, c.BlockHash = receipt.BlockNumber.Uint64(), receipt.BlockHash.Hex()
	c.GasUsed, c.Time = receipt.GasUsed, time.Unix(int64(header.Time), 0).UTC()
	switch {
	case receipt.Status != types.ReceiptStatusSuccessful:
		c.Finality, c.Reason = anchor.Failed, l.reason(ctx, tx, receipt)
	case c.Block <= marks.finalized:
		c.Finality = anchor.Finalized
	case c.Block <= marks.safe:
		c.Finality = anchor.Safe
	default:
		c.Finality = anchor.Included
	}
	return c, nil
}

// reason runs a reverted transaction again on the state after its block. The
// state may have moved within the block, so this is a hint for people.
func (l *Ledger) reason(ctx context.Context, tx *types.Transaction, receipt *types.Receipt) string {
	_, err := l.client.CallContract(ctx, ethereum.CallMsg{From: l.wallet.Address(), To: tx.To(), Gas: tx.Gas(), Data: tx.Data()}, receipt.BlockNumber)
	if text := describeRevert(err); text != "" {
		return text
	}
	return "reverted"
}
