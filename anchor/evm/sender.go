package evm

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/writ-registry/writ/anchor"
)

// Client is what this package needs of an Ethereum node. ethclient.Client and
// the client of ethclient/simulated have it.
type Client interface {
	ChainID(ctx context.Context) (*big.Int, error)
	HeaderByNumber(ctx context.Context, number *big.Int) (*types.Header, error)
	CodeAt(ctx context.Context, account common.Address, block *big.Int) ([]byte, error)
	NonceAt(ctx context.Context, account common.Address, block *big.Int) (uint64, error)
	CallContract(ctx context.Context, call ethereum.CallMsg, block *big.Int) ([]byte, error)
	EstimateGas(ctx context.Context, call ethereum.CallMsg) (uint64, error)
	SuggestGasTipCap(ctx context.Context) (*big.Int, error)
	SendTransaction(ctx context.Context, tx *types.Transaction) error
	TransactionByHash(ctx context.Context, hash common.Hash) (tx *types.Transaction, pending bool, err error)
	TransactionReceipt(ctx context.Context, hash common.Hash) (*types.Receipt, error)
}

// sender builds, signs and sends the transactions of one wallet on one chain.
// It holds no state: nonces come from the chain, because one transaction at a
// time is in flight, and what was sent is in the caller's journal.
type sender struct {
	client  Client
	wallet  *Wallet
	chainID *big.Int
	fees    FeePolicy
}

// build makes the signed transaction to -> data (to nil creates a contract)
// with the next nonce. Transactions in replaces that hold this nonce are
// outbid. gas 0 means estimate, which also tells a transaction that would
// revert: then the error is translate's.
func (s sender) build(ctx context.Context, to *common.Address, data []byte, gas uint64, replaces []*types.Transaction) (*types.Transaction, error) {
	if gas == 0 {
		estimate, err := s.client.EstimateGas(ctx, ethereum.CallMsg{From: s.wallet.Address(), To: to, Data: data})
		if err != nil {
			return nil, fmt.Errorf("estimate gas: %w", translate(err))
		}
		gas = estimate + estimate/5 // the state may have moved by the time it runs
	}
	nonce, err := s.client.NonceAt(ctx, s.wallet.Address(), nil)
	if err != nil {
		return nil, fmt.Errorf("nonce of %s: %w", s.wallet.Address(), translate(err))
	}
	tip, fee, err := s.price(ctx, nonce, replaces)
	if err != nil {
		return nil, err
	}
	return s.wallet.sign(&types.DynamicFeeTx{
		ChainID: s.chainID, Nonce: nonce, GasTipCap: tip, GasFeeCap: fee, Gas: gas, To: to, Data: data,
	})
}

// price chooses tip and fee cap in wei per gas. The fee cap leaves room for
// the base fee to double, which takes at least six full blocks (EIP-1559: at
// most one eighth a block). A base fee above the network's bound, or a
// replacement that would have to bid above it, is ErrPushback.
func (s sender) price(ctx context.Context, nonce uint64, replaces []*types.Transaction) (tip, fee *big.Int, err error) {
	head, err := s.client.HeaderByNumber(ctx, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("read base fee: %w", translate(err))
	}
	if head.BaseFee == nil {
		return nil, nil, errors.New("the chain has no base fee: EIP-1559 is required")
	}
	suggested, err := s.client.SuggestGasTipCap(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("suggest tip: %w", translate(err))
	}
	tip = minInt(suggested, s.fees.MaxTip)
	fee = minInt(new(big.Int).Add(new(big.Int).Lsh(head.BaseFee, 1), tip), s.fees.MaxFee)
	for _, old := range replaces {
		if old.Nonce() != nonce {
			continue
		}
		tip = maxInt(tip, outbid(old.GasTipCap()))
		fee = maxInt(fee, outbid(old.GasFeeCap()))
	}
	if fee.Cmp(head.BaseFee) < 0 {
		return nil, nil, fmt.Errorf("base fee %s wei is above the cap of %s: %w", head.BaseFee, s.fees.MaxFee, anchor.ErrPushback)
	}
	if fee.Cmp(s.fees.MaxFee) > 0 || tip.Cmp(s.fees.MaxTip) > 0 {
		return nil, nil, fmt.Errorf("replacing would take a fee of %s and a tip of %s wei, above the caps of %s and %s: %w",
			fee, tip, s.fees.MaxFee, s.fees.MaxTip, anchor.ErrPushback)
	}
	return minInt(tip, fee), fee, nil
}

// outbid returns the least price at which nodes take a replacement of x:
// ceil(x * 1.125) + 1. geth asks for 10 %, others for 12.5 %.
func outbid(x *big.Int) *big.Int {
	y := new(big.Int).Mul(x, big.NewInt(9))
	y.Add(y, big.NewInt(7))
	y.Rsh(y, 3)
	return y.Add(y, big.NewInt(1))
}

// send hands tx to the node. Having it already is success, and so is having a
// better paid transaction of ours in its place. ErrRefused means
// that the nonce is taken by a transaction that is not tx; for every other
// error the transaction may or may not have arrived.
func (s sender) send(ctx context.Context, tx *types.Transaction) error {
	err := s.client.SendTransaction(ctx, tx)
	if err == nil {
		return nil
	}
	switch classify(err) {
	case sendKnown, sendOutbid:
		return nil
	case sendNonceTaken:
		_, rerr := s.client.TransactionReceipt(ctx, tx.Hash())
		if rerr == nil {
			return nil // by ourselves
		}
		if errors.Is(rerr, ethereum.NotFound) {
			return fmt.Errorf("%w: nonce %d is used by another transaction", anchor.ErrRefused, tx.Nonce())
		}
	}
	return fmt.Errorf("%w: %w", anchor.ErrPushback, err)
}

// sendOutcome is what the text of a send error means.
type sendOutcome int

const (
	sendUnclear    sendOutcome = iota
	sendKnown                  // the node has this very transaction
	sendOutbid                 // the node has a better paid one with this nonce
	sendNonceTaken             // a transaction with this nonce is included
)

// classify is the one place that reads error texts: JSON-RPC gives these no
// codes. geth, erigon, nethermind, besu and anvil word them as below.
func classify(err error) sendOutcome {
	text := strings.ToLower(err.Error())
	switch {
	case strings.Contains(text, "already known"),
		strings.Contains(text, "known transaction"),
		strings.Contains(text, "alreadyknown"),
		strings.Contains(text, "already imported"):
		return sendKnown
	case strings.Contains(text, "replacement transaction underpriced"),
		strings.Contains(text, "replacementnotallowed"):
		return sendOutbid
	case strings.Contains(text, "nonce too low"),
		strings.Contains(text, "nonce is too low"),
		strings.Contains(text, "oldnonce"):
		return sendNonceTaken
	}
	return sendUnclear
}

// do builds and sends a transaction and waits until it is in a block. It is
// for deployment and registration, which a person repeats when they fail, not
// for anchors.
func (s sender) do(ctx context.Context, to *common.Address, data []byte) (*types.Receipt, error) {
	tx, err := s.build(ctx, to, data, 0, nil)
	if err != nil {
		return nil, err
	}
	if err := s.send(ctx, tx); err != nil {
		return nil, err
	}
	receipt, err := s.wait(ctx, tx.Hash())
	if err != nil {
		return nil, fmt.Errorf("wait for transaction %s: %w", tx.Hash(), err)
	}
	if receipt.Status != types.ReceiptStatusSuccessful {
		return nil, fmt.Errorf("transaction %s reverted in block %d: %w", tx.Hash(), receipt.BlockNumber, anchor.ErrRefused)
	}
	return receipt, nil
}

// wait polls for a receipt, at first every 10 ms (embedded chain), then more
// and more slowly up to every 2 s, until ctx ends or the node has failed to
// answer ten times in a row.
func (s sender) wait(ctx context.Context, hash common.Hash) (*types.Receipt, error) {
	pause, failures := 10*time.Millisecond, 0
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-timer.C:
		}
		receipt, err := s.client.TransactionReceipt(ctx, hash)
		switch {
		case err == nil:
			return receipt, nil
		case errors.Is(err, ethereum.NotFound):
			failures = 0
		default:
			if failures++; failures == 10 {
				return nil, translate(err)
			}
		}
		timer.Reset(pause)
		pause = min(2*pause, 2*time.Second)
	}
}

func minInt(a, b *big.Int) *big.Int {
	if a.Cmp(b) < 0 {
		return a
	}
	return b
}

func maxInt(a, b *big.Int) *big.Int {
	if a.Cmp(b) > 0 {
		return a
	}
	return b
}
