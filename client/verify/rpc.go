package verify

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// RPC is an Ethereum JSON-RPC endpoint over HTTP. Whoever answers there is
// believed about the chain: use your own node, or one that the operator of the
// registry does not choose.
type RPC struct {
	URL    string
	Client *http.Client // nil: one that gives up on a request after ten seconds
}

const maxAnswer = 4 << 20 // bytes of one answer

var defaultClient = &http.Client{Timeout: 10 * time.Second}

// ledger checks what the chain holds. An endpoint that does not answer, or that
// serves another chain, leaves the layer unverified; one that answers and
// contradicts the receipt fails it.
func (v *verification) ledger(ctx context.Context, name string, a *anchoredHead, trustedKey bool) {
	if v.rpc == nil {
		v.add(name, Unverified, "", "%s: claimed %s in %s; no endpoint to ask", a.place(), a.Finality, a.Tx)
		return
	}
	found, err := v.rpc.find(ctx, a)
	var wrong contradiction
	switch {
	case errors.As(err, &wrong):
		v.add(name, Failed, "", "%s: %v", a.place(), err)
		return
	case err != nil:
		v.add(name, Unverified, "", "%s: %v", a.place(), err)
		return
	case found.level == "":
		v.add(name, Unverified, "", "%s: %s", a.place(), found.detail)
		return
	}
	chain, trusted := v.trust.chain(a.ChainID, a.Contract)
	if trusted {
		v.add(name, Verified, fmt.Sprintf("contract %s, endpoint %s", a.Contract, v.rpc.URL), "%s: %s: %s", a.place(), found.level, found.detail)
	} else {
		v.add(name, SelfAsserted, "", "%s: %s: %s; but the contract is the receipt's own choice, %s", a.place(), found.level, found.detail, a.Contract)
	}
	v.raiseGrade(a, found.level, trusted && trustedKey && chain.Independent && !*a.OperatorsOwn)
}

// raiseGrade notes a found anchor: an independent one beats any other, then
// finality decides.
func (v *verification) raiseGrade(a *anchoredHead, level string, independent bool) {
	g := &v.report.Grade
	rank := map[string]int{"included": 1, "safe": 2, "finalized": 3}
	if g.Level == "" || g.Level == "none" {
		return // the checkpoint failed
	}
	if g.Level == "anchored" && (g.Independent && !independent || g.Independent == independent && rank[g.Finality] >= rank[level]) {
		return
	}
	if g.Level == "witnessed" && !independent {
		return // weaker than the witnesses; the layer says what was found
	}
	g.Level, g.Finality, g.Chain, g.Independent = "anchored", level, a.place(), independent
}

// contradiction is an answer that makes the receipt wrong.
type contradiction string

func (c contradiction) Error() string { return string(c) }

// found is what an endpoint knows of an anchored head. level is the highest block
// tag at which the contract holds the head, "" if it was not shown to.
type found struct {
	level  string // included, safe or finalized
	detail string
}

type block struct {
	Number quantity `json:"number"`
	Hash   string   `json:"hash"`
}

// find asks, in this order: is it the chain, is the contract there, what does the
// contract hold, and which transaction brought the head. All reads of contract
// state are pinned to block hashes, so that a balancer in front of several nodes
// cannot mix two views (EIP-1898).
func (r *RPC) find(ctx context.Context, a *anchoredHead) (found, error) {
	var id quantity
	if err := r.call(ctx, &id, "eth_chainId"); err != nil {
		return found{}, err
	}
	if uint64(id) != a.chainID {
		return found{}, fmt.Errorf("the endpoint serves chain %d", id)
	}
	latest, err := r.block(ctx, "latest")
	if err != nil {
		return found{}, err
	}
	if latest == nil {
		return found{}, errors.New("the endpoint has no latest block")
	}
	var code string
	if err := r.call(ctx, &code, "eth_getCode", a.Contract, at(latest)); err != nil {
		return found{}, err
	}
	if code == "0x" || code == "" {
		return found{}, contradiction("there is no contract at " + a.Contract)
	}
	onChain, err := r.head(ctx, a, latest)
	if err != nil {
		return found{}, err
	}
	switch {
	case onChain.size < a.Size:
		return found{}, contradiction(fmt.Sprintf("the contract holds %d entries, the anchor has %d: it was dropped, or is not sent", onChain.size, a.Size))
	case onChain.size == a.Size && onChain.root != a.root:
		return found{}, contradiction(fmt.Sprintf("the contract holds another root at size %d", a.Size))
	}
	event, err := r.event(ctx, a)
	if err != nil {
		return found{}, err
	}
	if event == nil && onChain.size > a.Size {
		return found{detail: fmt.Sprintf("the contract holds a larger head (%d), and transaction %s did not bring this one", onChain.size, a.Tx)}, nil
	}
	return r.level(ctx, a, event)
}

// level returns how final the head is: the block that brought it is at or below
// that tag or, without its transaction, the contract holds it at that tag.
func (r *RPC) level(ctx context.Context, a *anchoredHead, event *block) (found, error) {
	best := found{level: "included", detail: fmt.Sprintf("the contract's newest block holds head %d", a.Size)}
	if event != nil {
		best.detail = fmt.Sprintf("block %d brought head %d", event.Number, a.Size)
	}
	for _, tag := range []string{"safe", "finalized"} {
		b, err := r.block(ctx, tag)
		if err != nil || b == nil {
			break // chains without such blocks say so in many ways
		}
		if event != nil {
			if event.Number > b.Number {
				break
			}
		} else {
			h, err := r.head(ctx, a, b)
			if err != nil || h.size != a.Size || h.root != a.root {
				break
			}
		}
		best.level = tag
	}
	return best, nil
}

// event returns the block in which the anchor's transaction moved the head, nil
// if the transaction is unknown or did not. A block that is not the receipt's, or
// not of the current chain, is a contradiction: the anchor was reorganized.
func (r *RPC) event(ctx context.Context, a *anchoredHead) (*block, error) {
	var receipt *struct {
		Status      quantity `json:"status"`
		BlockNumber quantity `json:"blockNumber"`
		BlockHash   string   `json:"blockHash"`
		Logs        []struct {
			Address string   `json:"address"`
			Topics  []string `json:"topics"`
			Data    string   `json:"data"`
		} `json:"logs"`
	}
	if err := r.call(ctx, &receipt, "eth_getTransactionReceipt", a.Tx); err != nil {
		return nil, err
	}
	if receipt == nil || receipt.Status != 1 {
		return nil, nil
	}
	moved := false
	topic := keccak([]byte("HeadAnchored(bytes32,uint64,bytes32)"))
	data := "0x" + hex.EncodeToString(word(a.Size)) + hex.EncodeToString(a.root[:])
	for _, l := range receipt.Logs {
		moved = moved || strings.EqualFold(l.Address, a.Contract) && len(l.Topics) == 2 &&
			l.Topics[0] == "0x"+hex.EncodeToString(topic[:]) && l.Topics[1] == a.LogID && l.Data == data
	}
	if !moved {
		return nil, nil
	}
	b, err := r.block(ctx, "0x"+strconv.FormatUint(uint64(receipt.BlockNumber), 16))
	if err != nil {
		return nil, err
	}
	if b == nil || b.Hash != receipt.BlockHash {
		return nil, errors.New("the endpoint contradicts itself about the block: a reorganization in progress, ask again")
	}
	if a.Block != nil && (*a.Block != uint64(b.Number) || a.BlockHash != b.Hash) {
		return nil, contradiction(fmt.Sprintf("the receipt names block %d (%s), the chain has it in %d (%s): it was reorganized, ask for a new receipt",
			*a.Block, a.BlockHash, b.Number, b.Hash))
	}
	return b, nil
}

type contractHead struct {
	size uint64
	root [32]byte
}

// head returns the log's head in the contract at a block; of a frozen log the
// last good one, which is what there is to rely on.
func (r *RPC) head(ctx context.Context, a *anchoredHead, b *block) (contractHead, error) {
	// returns (uint64 size, bytes32 root, address headKey, uint64 maxGrowth, bool frozen)
	words, err := r.view(ctx, a, b, "head(bytes32)", 5)
	if err != nil {
		return contractHead{}, err
	}
	size, root := words[0], words[1]
	if words[4] != ([32]byte{}) {
		// returns (address guardian, address pendingHeadKey, uint64 rotationReadyAt, bytes32 predecessor,
		// bytes32 successor, uint64 lastGoodSize, bytes32 lastGoodRoot)
		if words, err = r.view(ctx, a, b, "logState(bytes32)", 7); err != nil {
			return contractHead{}, err
		}
		size, root = words[5], words[6]
	}
	n, err := strconv.ParseUint(hex.EncodeToString(size[:]), 16, 64)
	if err != nil {
		return contractHead{}, errors.New("the contract's answer holds no uint64 size")
	}
	return contractHead{n, root}, nil
}

// view calls a function of one argument, the log id, and returns n words.
func (r *RPC) view(ctx context.Context, a *anchoredHead, b *block, signature string, n int) ([][32]byte, error) {
	selector := keccak([]byte(signature))
	var answer string
	err := r.call(ctx, &answer, "eth_call", map[string]string{
		"to":   a.Contract,
		"data": "0x" + hex.EncodeToString(selector[:4]) + hex.EncodeToString(a.logID[:]),
	}, at(b))
	if err != nil {
		return nil, err
	}
	data, err := hex.DecodeString(strings.TrimPrefix(answer, "0x"))
	if err != nil || len(data) != n*32 {
		return nil, contradiction(fmt.Sprintf("the contract at %s does not answer %s as a LogAnchor does", a.Contract, signature))
	}
	words := make([][32]byte, n)
	for i := range words {
		words[i] = [32]byte(data[i*32:])
	}
	return words, nil
}

// at names a block by hash, for a state read (EIP-1898).
func at(b *block) any {
	return map[string]any{"blockHash": b.Hash, "requireCanonical": true}
}

func (r *RPC) block(ctx context.Context, tag string) (*block, error) {
	var b *block
	err := r.call(ctx, &b, "eth_getBlockByNumber", tag, false)
	return b, err
}

// quantity is a JSON-RPC QUANTITY: 0x and hexadecimal digits.
type quantity uint64

// UnmarshalJSON implements json.Unmarshaler.
func (q *quantity) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(text, "0x"), 16, 64)
	if err != nil {
		return fmt.Errorf("not a quantity: %.40q", text)
	}
	*q = quantity(n)
	return nil
}

// call does one JSON-RPC 2.0 request. Every error, also one that the endpoint
// reports, says nothing about the receipt.
func (r *RPC) call(ctx context.Context, result any, method string, params ...any) error {
	if params == nil {
		params = []any{}
	}
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("endpoint: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	client := r.Client
	if client == nil {
		client = defaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("endpoint: %w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("endpoint: %s: %w", method, err)
	}
	var envelope struct {
		Result json.RawMessage `json:"result"`
		Error  *struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	if err := json.Unmarshal(answer, &envelope); err != nil {
		return fmt.Errorf("endpoint: %s: status %d, no JSON-RPC answer", method, resp.StatusCode)
	}
	if envelope.Error != nil {
		return fmt.Errorf("endpoint: %s: %d %s", method, envelope.Error.Code, envelope.Error.Message)
	}
	if err := json.Unmarshal(envelope.Result, result); err != nil {
		return fmt.Errorf("endpoint: %s: %w", method, err)
	}
	return nil
}
