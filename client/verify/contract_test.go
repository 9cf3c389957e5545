package verify_test

import (
	"crypto/sha256"
	"log/slog"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/writ-registry/writ/anchor"
	"github.com/writ-registry/writ/anchor/evm"
	"github.com/writ-registry/writ/anchor/tlog"
	chainconfig "github.com/writ-registry/writ/chain-config"
	"github.com/writ-registry/writ/client/verify"
)

// TestAgainstTheContract anchors with the real adapter in the real contract and
// verifies over JSON-RPC: what this package computes by hand (EIP-712, ABI, event
// topics) is what the contract does. Only tests of this package know a node.
func TestAgainstTheContract(t *testing.T) {
	ctx := t.Context()
	w := newWorld(t)
	wallet := must(evm.NewWallet(sha256.Sum256([]byte("wallet"))))(t)
	key := must(evm.NewHeadKey(sha256.Sum256([]byte("head key"))))(t)
	chain := must(evm.OpenEmbedded(ctx, t.TempDir(), evm.EmbeddedOptions{Account: wallet.Address(), Logger: slog.New(slog.DiscardHandler)}))(t)
	defer chain.Close()
	network := must(evm.LoadNetwork(chainconfig.Files, "embedded"))(t)
	ledger := must(chain.OpenLedger(ctx, evm.Config{Network: network, Wallet: wallet},
		evm.Registration{Origin: origin, HeadKey: key.Address(), Guardian: common.HexToAddress("0xA1")}))(t)
	defer ledger.Close()
	info := ledger.Info()

	var at anchor.Head
	move := func(size uint64) anchor.AnchorRecord {
		t.Helper()
		head := anchor.SignedHead{LogID: info.LogID, Prev: at, HeadKey: ledger.Signer(key).HeadKey()}
		head.Head = anchor.Head{Size: size, Root: must(tlog.RootAt(ctx, w.log, size))(t)}
		head.Proof = must(tlog.ConsistencyProof(ctx, w.log, at.Size, size))(t)
		head.Signature = must(ledger.Signer(key).SignHead(ctx, info.LogID, head.Head))(t)
		attempt := must(ledger.Prepare(ctx, head))(t)
		if err := ledger.Broadcast(ctx, attempt); err != nil {
			t.Fatal(err)
		}
		var c anchor.Confirmation
		for !c.Finality.AtLeast(anchor.Included) {
			c = must(ledger.Status(ctx, attempt))(t)
		}
		at = head.Head
		return anchor.AnchorRecord{Ledger: info, Head: head.Head, HeadKey: head.HeadKey, Signature: head.Signature, Confirmation: c}
	}

	trust := w.trust
	trust.Witnesses = nil
	trust.HeadKeys = []string{key.Address().Hex()}
	trust.Chains = []verify.TrustedChain{{ChainID: info.ChainID, Contract: info.Contract}}
	rpc := &verify.RPC{URL: chain.Endpoint()}
	check := func(file []byte, says string) {
		t.Helper()
		r, err := verify.Verify(ctx, file, trust, rpc)
		if err != nil {
			t.Fatal(err)
		}
		wantStatus(t, r, map[string]verify.Status{
			"anchor 1: link": verify.Verified, "anchor 1: head signature": verify.Verified, "anchor 1: ledger": verify.Verified,
		})
		var text strings.Builder
		if err := r.WriteText(&text); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{says, "operator's own chain " + info.ChainID, "operator's word"} {
			if !strings.Contains(text.String(), want) {
				t.Errorf("the report does not say %q:\n%s", want, text.String())
			}
		}
		if r.Grade.Level != "anchored" || r.Grade.Independent {
			t.Errorf("grade = %+v", r.Grade)
		}
	}

	w.anchors = []anchor.AnchorRecord{move(500)}
	first := w.receipt(t, true)
	check(first, "brought head 500")
	second := move(700)
	check(first, "brought head 500") // the contract has moved on
	w.anchors = []anchor.AnchorRecord{second}
	check(w.receipt(t, true), "brought head 700")

	// A head that was signed and never sent is not in the contract.
	w.log.commit(t, []byte("more"))
	forged := second
	forged.Head = anchor.Head{Size: 701, Root: must(tlog.RootAt(ctx, w.log, 701))(t)}
	forged.Signature = must(ledger.Signer(key).SignHead(ctx, info.LogID, forged.Head))(t)
	w.anchors = []anchor.AnchorRecord{forged}
	if err := w.check(); err != nil {
		t.Fatal(err)
	}
	r, err := verify.Verify(ctx, w.receipt(t, true), trust, rpc)
	if err == nil || !strings.Contains(err.Error(), "the contract holds 700 entries") {
		t.Errorf("Verify of an anchor that was never sent = %v, %+v", err, r)
	}
}
