package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/ethclient"

	"github.com/writ-registry/writ/anchor"
	"github.com/writ-registry/writ/anchor/evm"
	"github.com/writ-registry/writ/anchor/evm/bind/loganchor"
	"github.com/writ-registry/writ/client"
	"github.com/writ-registry/writ/client/verify"
)

// receiptAnchor is what the demo reads of an anchor in a receipt.
type receiptAnchor struct {
	Chain        string `json:"chain"`
	ChainID      string `json:"chain_id"`
	Contract     string `json:"contract"`
	LogID        string `json:"log_id"`
	HeadKey      string `json:"head_key"`
	Tx           string `json:"tx"`
	Size         uint64 `json:"size"`
	Root         string `json:"root"`
	Block        uint64 `json:"block"`
	Finality     string `json:"finality"`
	OperatorsOwn bool   `json:"operators_own"`
}

func (a receiptAnchor) label() string {
	if a.OperatorsOwn {
		return "operator's own chain " + a.ChainID
	}
	return fmt.Sprintf("%s, chain %s", a.Chain, a.ChainID)
}

// anchored waits until a chain holds every event of the demo.
func (d *demo) anchored(ctx context.Context) (err error) {
	d.chapter("Anchored")
	if d.events, err = client.Collect(d.client.Events(ctx, client.EventFilter{Org: d.org.ID}), 0); err != nil {
		return err
	}
	if len(d.events) == 0 {
		return errors.New("the organization has no events")
	}
	newest := d.events[len(d.events)-1]
	d.printf("  waiting for the chain to hold entry %d ...\n\n", newest.Index)
	at, err := d.waitForAnchor(ctx, newest)
	if err != nil {
		return err
	}
	if d.contract, err = openContract(ctx, d.rpc, at); err != nil {
		return err
	}
	tx, err := d.contract.chain.TransactionReceipt(ctx, common.HexToHash(at.Tx))
	if err != nil {
		return fmt.Errorf("transaction %s: %w", at.Tx, err)
	}
	d.result.Anchor = demoAnchor{at.label(), at.ChainID, at.Contract, at.Tx, tx.GasUsed, at.Size, at.Root, at.Finality}
	log, err := d.client.Log(ctx)
	if err != nil {
		return err
	}
	d.result.Log = demoLog{log.Size, log.Root}
	for _, e := range d.events {
		d.check(e.Index < at.Size, "event %s is not anchored: it is entry %d, the anchored head has %d", e.CID, e.Index, at.Size)
	}
	for _, dec := range d.result.Decisions {
		d.check(dec.Event == "" || d.recorded(dec.Event), "the event of %s %s is not in the log", dec.Action, dec.Resource)
	}
	d.fields("events", fmt.Sprintf("%d of this organization, all in the log", len(d.events)),
		"head", fmt.Sprintf("%d entries, root %s", at.Size, at.Root), "chain", at.label(), "contract", at.Contract,
		"transaction", at.Tx, "block", fmt.Sprintf("%d, %s, %d gas", at.Block, at.Finality, tx.GasUsed))
	return nil
}

func (d *demo) recorded(cid string) bool {
	for _, e := range d.events {
		if e.CID == cid {
			return true
		}
	}
	return false
}

// waitForAnchor fetches the receipt of an event until a block holds it.
func (d *demo) waitForAnchor(ctx context.Context, e client.Event) (receiptAnchor, error) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		receipt, err := d.client.Receipt(ctx, e.CID, false)
		if err != nil {
			return receiptAnchor{}, fmt.Errorf("receipt of %s: %w", e.CID, err)
		}
		var file struct {
			Anchors []receiptAnchor `json:"anchors"`
		}
		if err := json.Unmarshal(receipt, &file); err != nil {
			return receiptAnchor{}, fmt.Errorf("receipt of %s: %w", e.CID, err)
		}
		for _, a := range file.Anchors {
			if anchor.Finality(a.Finality).AtLeast(anchor.Included) {
				return a, nil
			}
		}
		select {
		case <-ctx.Done():
			return receiptAnchor{}, fmt.Errorf("entry %d was not anchored in time: %w", e.Index, ctx.Err())
		case <-tick.C:
		}
	}
}

// receipts verifies the receipt of every event, offline and on the chain, and
// sees each refused once it is changed.
func (d *demo) receipts(ctx context.Context) error {
	d.chapter("Receipts")
	log, err := d.client.Log(ctx)
	if err != nil {
		return err
	}
	_, headKey, err := d.contract.head(ctx, nil)
	if err != nil {
		return err
	}
	trust := verify.Trust{
		Logs:     []verify.TrustedLog{{Origin: log.Origin, VKey: log.VKey}},
		HeadKeys: []string{headKey},
		Chains:   []verify.TrustedChain{{ChainID: d.result.Anchor.ChainID, Contract: d.result.Anchor.Contract}},
	}
	for _, e := range d.events {
		receipt, err := d.client.Receipt(ctx, e.CID, true)
		if err != nil {
			return fmt.Errorf("receipt of %s: %w", e.CID, err)
		}
		d.verifyOne(ctx, e, receipt, trust)
	}
	n := len(d.events)
	got := d.result.Receipts
	d.check(got.Verified == n && got.OnChain == n && got.TamperedRejected == n, "of %d receipts %d verified offline, %d on the chain; %d tampered ones were refused", n, got.Verified, got.OnChain, got.TamperedRejected)
	want := d.proven()
	d.check(got.AgentSigned == want, "%d decisions carry the agent's own signature, %d should", got.AgentSigned, want)
	d.fields("offline", fmt.Sprintf("%d of %d verified, trusting the log key that the registry publishes", got.Verified, n),
		"signed", fmt.Sprintf("%d decisions carry the agent's own signature over the act", got.AgentSigned),
		"on-chain", fmt.Sprintf("%d of %d found in the contract", got.OnChain, n),
		"tampered", fmt.Sprintf("%d of %d refused, with one value changed and the checksum made to fit", got.TamperedRejected, n))
	return nil
}

// proven counts the recorded decisions on acts that were the agent's own.
func (d *demo) proven() int {
	events := map[string]bool{}
	for _, dec := range d.result.Decisions {
		if dec.Event != "" && !slices.Contains(dec.Reasons, possessionFailed) {
			events[dec.Event] = true
		}
	}
	return len(events) + d.relayed
}

// verifyOne checks one receipt, and its refusal once it is changed.
func (d *demo) verifyOne(ctx context.Context, e client.Event, receipt []byte, trust verify.Trust) {
	report, err := verify.Verify(ctx, receipt, trust, nil)
	switch {
	case err != nil:
		d.surprise("the receipt of %s %s does not verify: %v", e.Type, e.CID, err)
	case report.CID != e.CID || !bytes.Equal(report.Artifact, e.Artifact):
		d.surprise("the receipt of %s is that of another event", e.CID)
	default:
		d.result.Receipts.Verified++
	}
	for _, l := range report.Layers {
		if l.Layer == "agent signature" && l.Status == verify.Verified {
			d.result.Receipts.AgentSigned++
		}
	}
	report, err = verify.Verify(ctx, receipt, trust, &verify.RPC{URL: d.rpc})
	switch {
	case err != nil:
		d.surprise("the chain contradicts the receipt of %s %s: %v", e.Type, e.CID, err)
	case report.Grade.Level != "anchored":
		d.surprise("the chain does not confirm the receipt of %s %s: %s", e.Type, e.CID, report.Grade)
	default:
		d.result.Receipts.OnChain++
	}
	forged, err := tamper(receipt)
	if err != nil {
		d.surprise("tamper with the receipt of %s: %v", e.CID, err)
		return
	}
	if _, err := verify.Verify(ctx, forged, trust, nil); err == nil {
		d.surprise("a tampered receipt of %s %s was believed", e.Type, e.CID)
		return
	}
	d.result.Receipts.TamperedRejected++
}

// tamper changes what a receipt says and makes its checksum fit again: another
// verdict for a decision, another trace for the rest. The artifact stays
// canonical JSON, so only the log can tell.
func tamper(receipt []byte) ([]byte, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(receipt, &members); err != nil {
		return nil, err
	}
	var text string
	if err := json.Unmarshal(members["artifact"], &text); err != nil {
		return nil, err
	}
	artifact, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil, err
	}
	forged := string(artifact)
	for _, r := range [][2]string{
		{`"verdict":"deny"`, `"verdict":"permit"`}, {`"verdict":"step_up"`, `"verdict":"permit"`}, {`"verdict":"permit"`, `"verdict":"deny"`},
		{`"trace":"0`, `"trace":"1`}, {`"trace":"`, `"trace":"0`},
	} {
		if !strings.Contains(forged, r[0]) {
			continue
		}
		forged = strings.Replace(forged, r[0], r[1], 1)
		break
	}
	if forged == string(artifact) {
		return nil, errors.New("nothing to change")
	}
	if members["artifact"], err = json.Marshal(base64.RawURLEncoding.EncodeToString([]byte(forged))); err != nil {
		return nil, err
	}
	file, err := json.Marshal(members)
	if err != nil {
		return nil, err
	}
	return verify.Seal(file)
}

// rewrites sees the contract refuse every other history.
func (d *demo) rewrites(ctx context.Context) error {
	d.chapter("Rewriting history")
	c := d.contract
	block, err := c.chain.HeaderByNumber(ctx, nil)
	if err != nil {
		return fmt.Errorf("newest block: %w", err)
	}
	before, _, err := c.head(ctx, block.Number)
	if err != nil {
		return err
	}
	var root [32]byte
	rand.Read(root[:]) // never fails
	longer, other := anchor.Head{Size: before.Size + 1, Root: root}, anchor.Head{Size: before.Size, Root: root}
	signature, err := c.sign(ctx, longer)
	if err != nil {
		return err
	}
	d.rewrite("a longer history, signed by another key", "LogAnchorInvalidSignature", c.anchor(ctx, block.Number, longer, [][32]byte{root}, signature))
	d.rewrite("another root for the size that is anchored", "LogAnchorConflictingRoot", c.anchor(ctx, block.Number, other, nil, signature))
	if d.tryRewrite != nil {
		d.rewrite("another history, signed by the log's own key", "LogAnchorInconsistent", d.tryRewrite(ctx))
	}
	after, _, err := c.head(ctx, nil)
	if err != nil {
		return err
	}
	d.check(after.Size >= before.Size && (after.Size > before.Size || after.Root == before.Root), "the contract's head moved from %s to %s", before, after)
	d.printf("\n  The contract's head is still %d entries, and each event is proven under it.\n", after.Size)
	if strings.HasPrefix(d.result.Anchor.Chain, "operator's own") {
		d.printf("  This is the operator's own chain: it shows the mechanism and proves nothing to\n  outsiders. History anchored on an independent chain cannot be rewritten without\n  that chain refusing it.\n")
	}
	return nil
}

// rewrite notes how an attempt ended.
func (d *demo) rewrite(attempt, want string, err error) {
	got := refusal(err)
	d.result.Rewrites = append(d.result.Rewrites, demoRewrite{attempt, got})
	d.printf("  %s  %-45s  %s\n", d.verdict(client.Deny, "refused"), attempt, printable(got))
	d.check(got == want, "%s: the contract should refuse with %s, it said %q", attempt, want, got)
}

// demoContract is the anchor contract as anyone sees it over JSON-RPC.
type demoContract struct {
	chain   *ethclient.Client
	address common.Address
	chainID *big.Int
	logID   [32]byte
}

func openContract(ctx context.Context, rpc string, at receiptAnchor) (*demoContract, error) {
	id, err := hex.DecodeString(strings.TrimPrefix(at.LogID, "0x"))
	if err != nil || len(id) != 32 {
		return nil, fmt.Errorf("log id %q", at.LogID)
	}
	c := &demoContract{address: common.HexToAddress(at.Contract), logID: [32]byte(id)}
	if c.chain, err = ethclient.DialContext(ctx, rpc); err == nil {
		c.chainID, err = c.chain.ChainID(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("chain at %s: %w", rpc, err)
	}
	if c.chainID.String() != at.ChainID {
		return nil, fmt.Errorf("%s serves chain %s, the registry anchors on %s", rpc, c.chainID, at.ChainID)
	}
	return c, nil
}

// head is what the contract holds at a block (nil: the newest): the head, and
// the address of the key that signs the next one.
func (c *demoContract) head(ctx context.Context, block *big.Int) (anchor.Head, string, error) {
	data := loganchor.NewLogAnchor().PackHead(c.logID)
	out, err := c.chain.CallContract(ctx, ethereum.CallMsg{To: &c.address, Data: data}, block)
	if err != nil {
		return anchor.Head{}, "", fmt.Errorf("read the contract's head: %w", err)
	}
	h, err := loganchor.NewLogAnchor().UnpackHead(out)
	return anchor.Head{Size: h.Size, Root: h.Root}, h.HeadKey.Hex(), err
}

// sign signs a head with a key that is not the log's.
func (c *demoContract) sign(ctx context.Context, head anchor.Head) ([]byte, error) {
	var secret [32]byte
	rand.Read(secret[:]) // never fails
	key, err := evm.NewHeadKey(secret)
	if err != nil {
		return nil, err
	}
	return key.Signer(c.chainID, c.address).SignHead(ctx, c.logID, head)
}

// anchor asks the contract to take a head on top of a block. It leaves no trace
// (eth_call); the contract's answer is that to a transaction.
func (c *demoContract) anchor(ctx context.Context, block *big.Int, head anchor.Head, proof [][32]byte, signature []byte) error {
	data, err := loganchor.NewLogAnchor().TryPackAnchor(c.logID, head.Size, head.Root, proof, signature)
	if err != nil {
		return err
	}
	_, err = c.chain.CallContract(ctx, ethereum.CallMsg{To: &c.address, Data: data}, block)
	return err
}
