package verify_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/writ-registry/writ/anchor"
	"github.com/writ-registry/writ/client/verify"
)

// chain is a JSON-RPC endpoint with one anchor contract. Blocks have the number
// n and the hash 0x…n.
type chain struct {
	id                      uint64
	latest, safe, finalized uint64
	code                    string
	heads                   []chainHead // by block
	frozenAt                *chainHead
	txs                     map[string]map[string]any
	down                    bool
	methods                 []string
}

type chainHead struct {
	block uint64
	anchor.Head
}

func (c *chain) serve(t *testing.T) *verify.RPC {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var req struct {
			Method string            `json:"method"`
			Params []json.RawMessage `json:"params"`
		}
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil || c.down {
			http.Error(w, "out of order", http.StatusBadGateway)
			return
		}
		c.methods = append(c.methods, req.Method)
		json.NewEncoder(w).Encode(map[string]any{"jsonrpc": "2.0", "id": 1, "result": c.answer(t, req.Method, req.Params)})
	}))
	t.Cleanup(s.Close)
	return &verify.RPC{URL: s.URL}
}

func (c *chain) answer(t *testing.T, method string, params []json.RawMessage) any {
	switch method {
	case "eth_chainId":
		return fmt.Sprintf("0x%x", c.id)
	case "eth_getCode":
		return c.code
	case "eth_getBlockByNumber":
		return c.block(strings.Trim(string(params[0]), `"`))
	case "eth_getTransactionReceipt":
		if tx, ok := c.txs[strings.Trim(string(params[0]), `"`)]; ok {
			return tx
		}
		return nil
	case "eth_call":
		var call struct{ To, Data string }
		var at struct{ BlockHash string }
		if json.Unmarshal(params[0], &call) != nil || json.Unmarshal(params[1], &at) != nil || at.BlockHash == "" || call.To != contract {
			t.Errorf("eth_call %s: not the contract at a block hash", params)
		}
		return c.call(call.Data, at.BlockHash)
	}
	t.Errorf("unexpected method %s", method)
	return nil
}

func (c *chain) block(tag string) any {
	n := map[string]uint64{"latest": c.latest, "safe": c.safe, "finalized": c.finalized}[tag]
	if strings.HasPrefix(tag, "0x") {
		fmt.Sscanf(tag, "0x%x", &n)
	}
	if n == 0 || n > c.latest {
		return nil
	}
	return map[string]any{"number": fmt.Sprintf("0x%x", n), "hash": "0x" + hexOf(n)}
}

func (c *chain) call(data, blockHash string) string {
	var at chainHead
	for _, h := range c.heads {
		if "0x"+hexOf(h.block) <= blockHash {
			at = h
		}
	}
	word := hexOf
	frozen := uint64(0)
	if c.frozenAt != nil {
		frozen = 1
	}
	switch selector := data[2:10]; selector {
	case selectorOf("head(bytes32)"):
		return "0x" + word(at.Size) + hex.EncodeToString(at.Root[:]) + word(0) + word(1<<20) + word(frozen)
	case selectorOf("logState(bytes32)"):
		return "0x" + strings.Repeat(word(0), 5) + word(c.frozenAt.Size) + hex.EncodeToString(c.frozenAt.Root[:])
	}
	return "0x"
}

func selectorOf(signature string) string {
	h := verify.Keccak([]byte(signature))
	return hex.EncodeToString(h[:4])
}

// include puts an anchor into the block that its record names.
func (c *chain) include(rec anchor.AnchorRecord) {
	n := rec.Confirmation.Block
	topic := verify.Keccak([]byte("HeadAnchored(bytes32,uint64,bytes32)"))
	c.heads = append(c.heads, chainHead{n, rec.Head})
	c.txs[rec.Confirmation.TxHash] = map[string]any{
		"status": "0x1", "blockNumber": fmt.Sprintf("0x%x", n), "blockHash": "0x" + hexOf(n),
		"logs": []any{map[string]any{
			"address": strings.ToLower(contract),
			"topics":  []string{"0x" + hex.EncodeToString(topic[:]), "0x" + hex.EncodeToString(rec.Ledger.LogID[:])},
			"data":    "0x" + hexOf(rec.Size) + hex.EncodeToString(rec.Root[:]),
		}},
	}
}

func newChain(id uint64) *chain {
	return &chain{id: id, latest: 5000, safe: 4900, finalized: 4800, code: "0x60", txs: map[string]map[string]any{}}
}

func TestVerifyOnChain(t *testing.T) {
	w := newWorld(t)
	rec := w.sepolia(t, 500, anchor.Included) // block 1500
	file := w.receipt(t, false)
	later := anchor.Head{Size: 900, Root: [32]byte{9}}

	tests := map[string]struct {
		edit   func(c *chain, trust *verify.Trust)
		status verify.Status // of the ledger layer
		grade  verify.Grade
		says   string
	}{
		"finalized": {
			func(*chain, *verify.Trust) {}, verify.Verified,
			verify.Grade{Level: "anchored", Finality: "finalized", Independent: true}, "block 1500 brought head 500",
		},
		"safe": {
			func(c *chain, _ *verify.Trust) { c.finalized = 1499 }, verify.Verified,
			verify.Grade{Level: "anchored", Finality: "safe", Independent: true}, "safe",
		},
		"included": {
			func(c *chain, _ *verify.Trust) { c.safe, c.finalized = 1499, 1400 }, verify.Verified,
			verify.Grade{Level: "anchored", Finality: "included", Independent: true}, "included",
		},
		"a chain without tags": {
			func(c *chain, _ *verify.Trust) { c.safe, c.finalized = 0, 0 }, verify.Verified,
			verify.Grade{Level: "anchored", Finality: "included", Independent: true}, "included",
		},
		"the head has moved on": {
			func(c *chain, _ *verify.Trust) { c.heads = append(c.heads, chainHead{1600, later}) }, verify.Verified,
			verify.Grade{Level: "anchored", Finality: "finalized", Independent: true}, "block 1500",
		},
		"moved on, transaction unknown": {
			func(c *chain, _ *verify.Trust) {
				c.heads, c.txs = append(c.heads, chainHead{1600, later}), nil
			}, verify.Unverified, verify.Grade{Level: "checkpointed"}, "larger head",
		},
		"transaction unknown, head is there": {
			func(c *chain, _ *verify.Trust) { c.txs, c.finalized = nil, 1499 }, verify.Verified,
			verify.Grade{Level: "anchored", Finality: "safe", Independent: true}, "newest block holds",
		},
		"transaction reverted, head is there": {
			func(c *chain, _ *verify.Trust) { c.txs[rec.Confirmation.TxHash]["status"] = "0x0" }, verify.Verified,
			verify.Grade{Level: "anchored", Finality: "finalized", Independent: true}, "newest block holds",
		},
		"contract not in trust": {
			func(_ *chain, tr *verify.Trust) { tr.Chains = nil }, verify.SelfAsserted,
			verify.Grade{Level: "anchored", Finality: "finalized"}, "receipt's own choice",
		},
		"chain not independent": {
			func(_ *chain, tr *verify.Trust) { tr.Chains[0].Independent = false }, verify.Verified,
			verify.Grade{Level: "anchored", Finality: "finalized"}, "finalized",
		},
		"head key not in trust": {
			func(_ *chain, tr *verify.Trust) { tr.HeadKeys = nil }, verify.Verified,
			verify.Grade{Level: "anchored", Finality: "finalized"}, "finalized",
		},
		"frozen above": {
			func(c *chain, _ *verify.Trust) { c.frozenAt = &chainHead{Head: rec.Head} }, verify.Verified,
			verify.Grade{Level: "anchored", Finality: "finalized", Independent: true}, "block 1500",
		},
		"frozen below": {
			func(c *chain, _ *verify.Trust) { c.frozenAt = &chainHead{Head: anchor.Head{Size: 400}} }, verify.Failed,
			verify.Grade{Level: "none"}, "holds 400 entries",
		},
		"dropped": {
			func(c *chain, _ *verify.Trust) { c.heads, c.txs = nil, nil }, verify.Failed,
			verify.Grade{Level: "none"}, "holds 0 entries",
		},
		"another root": {
			func(c *chain, _ *verify.Trust) { c.heads[0].Root[0] ^= 1 }, verify.Failed,
			verify.Grade{Level: "none"}, "another root",
		},
		"reorganized into another block": {
			func(c *chain, _ *verify.Trust) {
				c.txs[rec.Confirmation.TxHash]["blockNumber"] = "0x5dd"
				c.txs[rec.Confirmation.TxHash]["blockHash"] = "0x" + hexOf(0x5dd)
			}, verify.Failed, verify.Grade{Level: "none"}, "reorganized",
		},
		"no contract": {
			func(c *chain, _ *verify.Trust) { c.code = "0x" }, verify.Failed,
			verify.Grade{Level: "none"}, "no contract",
		},
		"another chain": {
			func(c *chain, _ *verify.Trust) { c.id = 1 }, verify.Unverified,
			verify.Grade{Level: "checkpointed"}, "serves chain 1",
		},
		"endpoint down": {
			func(c *chain, _ *verify.Trust) { c.down = true }, verify.Unverified,
			verify.Grade{Level: "checkpointed"}, "502",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c, trust := newChain(11155111), w.trust
			trust.Witnesses = nil
			trust.Chains = append([]verify.TrustedChain(nil), trust.Chains...)
			c.include(rec)
			test.edit(c, &trust)
			r, err := verify.Verify(t.Context(), file, trust, c.serve(t))
			if (err != nil) != (test.status == verify.Failed) {
				t.Errorf("Verify = %v", err)
			}
			wantStatus(t, r, map[string]verify.Status{"anchor 1: ledger": test.status})
			if detail := fmt.Sprint(r.Layers); !strings.Contains(detail, test.says) {
				t.Errorf("the report does not say %q: %s", test.says, detail)
			}
			r.Grade.Chain, r.Grade.Witnesses = "", 0
			if r.Grade != test.grade {
				t.Errorf("grade = %+v, want %+v", r.Grade, test.grade)
			}
		})
	}
}

// An anchor on the operator's own chain never raises a receipt above what
// witnesses give it, is never independent, and is called what it is.
func TestOperatorsOwnChain(t *testing.T) {
	w := newWorld(t)
	rec := w.ownChain(t, 500, anchor.Safe)
	file := w.receipt(t, false)
	c := newChain(774411)
	c.include(rec)
	trust := w.trust
	trust.Chains = []verify.TrustedChain{{ChainID: "774411", Contract: contract, Independent: true}}
	r, err := verify.Verify(t.Context(), file, trust, c.serve(t))
	if err != nil {
		t.Fatal(err)
	}
	if r.Grade.Level != "witnessed" || r.Grade.Independent {
		t.Errorf("grade = %+v, want witnessed", r.Grade)
	}
	trust.Witnesses = nil
	if r, err = verify.Verify(t.Context(), file, trust, c.serve(t)); err != nil {
		t.Fatal(err)
	}
	if got := r.Grade.String(); r.Grade.Independent || got != "anchored (finalized, operator's own chain 774411)" {
		t.Errorf("grade = %q, %+v", got, r.Grade)
	}
	if !strings.Contains(r.Summary(), "operator's word") {
		t.Errorf("summary = %q", r.Summary())
	}
}
