package verify_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"

	"github.com/writ-registry/writ/anchor"
	"github.com/writ-registry/writ/anchor/tlog"
	"github.com/writ-registry/writ/client/verify"
	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry/capability"
)

const (
	origin   = "registry.example/log"
	contract = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
	agentDID = "did:webvh:QmScid:registry.example:agents:a1"
)

// world is a registry with one decision in its log, and everything that a receipt
// for it is made from.
type world struct {
	log      *memoryLog
	artifact []byte
	index    uint64
	others   map[uint64][]byte // artifacts of other events, by their places
	anchors  []anchor.AnchorRecord
	open     []anchor.ReceiptDisclosure
	skey     string
	vkey     string
	headKey  *secp256k1.PrivateKey
	store    *memoryStore
	prover   *anchor.Prover
	signer   *anchor.Checkpointer
	witness  string // vkey of the witness that cosigned
	trust    verify.Trust
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// newWorld makes a log of 700 entries with the decision at 300, a witnessed and
// anchored checkpoint at 500 and the newest at 700.
func newWorld(t testing.TB) *world { return newWorldWith(t, func(*decision) {}) }

// decision is what can be wrong with the event.
type decision struct {
	proofKey    jose.Signer // signs the action proof
	claims      capability.ActionClaims
	body        map[string]any
	disclosures map[string]any
	others      map[uint64]event // of the log, by their places
	logOf       *world           // whose log key signs; nil = a new one

	agent *jose.PrivateKey // of the grant
	token string
}

// event is another event of the log.
type event struct {
	typ  string
	body map[string]any
}

func newWorldWith(t testing.TB, edit func(*decision)) *world {
	t.Helper()
	ctx := context.Background()
	w := &world{log: newMemoryLog(), store: &memoryStore{}, index: 300, others: map[uint64][]byte{}}
	w.headKey = must(secp256k1.GeneratePrivateKey())(t)
	logOf := w.decide(t, edit)

	skey, vkey, err := note.GenerateKey(rand.Reader, origin)
	if err != nil {
		t.Fatal(err)
	}
	if logOf != nil {
		skey, vkey = logOf.skey, logOf.vkey
	}
	wskey, wvkey, err := note.GenerateKey(rand.Reader, "witness.example/w1")
	if err != nil {
		t.Fatal(err)
	}
	w.skey, w.vkey, w.witness = skey, vkey, wvkey
	signer := must(note.NewSigner(skey))(t)
	verifier := must(note.NewVerifier(vkey))(t)
	c := anchor.NewCheckpointer(anchor.CheckpointerConfig{
		Log: w.log, Signer: signer, Verifier: verifier, Store: w.store, Home: &memoryHome{},
		Logger: slog.New(slog.DiscardHandler),
	})
	for i := range 700 {
		entry := verify.EntryOf([]byte{byte(i), byte(i >> 8)})
		if uint64(i) == w.index {
			entry = verify.EntryOf(w.artifact)
		} else if artifact := w.others[uint64(i)]; artifact != nil {
			entry = verify.EntryOf(artifact)
		}
		w.log.commit(t, entry)
		if i+1 == 500 || i+1 == 600 || i+1 == 700 {
			if err := c.Check(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	// A witness cosigns the checkpoint that is anchored.
	cosigner := must(fnote.NewSignerForCosignatureV1(wskey))(t)
	for i := range w.store.rows {
		n := must(note.Open(w.store.rows[i].Note, note.VerifierList(verifier)))(t)
		w.store.rows[i].Note = must(note.Sign(n, cosigner))(t)
	}
	w.signer = c
	w.prover = anchor.NewProver(anchor.ProverConfig{
		Log: w.log, Events: w, Checkpoints: c, Store: w.store, Anchors: w, LogKey: vkey,
	})
	w.trust = verify.Trust{
		Logs:      []verify.TrustedLog{{Origin: origin, VKey: vkey}},
		HeadKeys:  []string{verify.FormatAddress(address(w.headKey.PubKey()))},
		Chains:    []verify.TrustedChain{{ChainID: "11155111", Contract: contract, Independent: true}},
		Witnesses: []string{wvkey},
	}
	return w
}

// decide makes the event: an agent's signed act, permitted. It returns whose log
// key to use.
func (w *world) decide(t testing.TB, edit func(*decision)) *world {
	t.Helper()
	registry := must(jose.GenerateEd25519())(t)
	agent := must(jose.GenerateP256())(t)
	now := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC).Unix()
	token := must(capability.IssueGrant(registry, "", capability.GrantClaims{
		Issuer: "did:web:registry.example", Audience: []string{"https://erp.example"}, Subject: agentDID, ClientID: "a1",
		IssuedAt: now - 10, NotBefore: now - 10, Expires: now + 3600, ID: capability.NewJTI(),
		Confirmation: capability.Confirmation{JWK: agent.Public().JWK()},
		Capabilities: must(capability.Parse("create:shipment(max_weight<=500)"))(t),
		Actor:        capability.Actor{Subject: "p1"}, Org: "o1", AuthorityLevel: 2, MaxDepth: 2,
	}))(t)
	grant := must(capability.ParseGrant(token))(t)
	act := capability.Act{
		Action: "create", Resource: capability.Resource{Type: "shipment", ID: "s-1"},
		Arguments: json.RawMessage(`{"max_weight":12.5}`),
	}
	d := &decision{
		proofKey: agent,
		claims: capability.ActionClaims{
			Issuer: agentDID, Audience: "https://erp.example", PDP: "https://registry.example",
			TokenHash: grant.Hash(), ActDigest: must(act.Digest())(t), ID: capability.NewJTI(), IssuedAt: now, Expires: now + 30,
		},
		body: map[string]any{
			"did": agentDID, "action": "create:shipment", "audience": "https://erp.example", "verdict": "permit", "token_hash": grant.Hash(),
		},
		disclosures: map[string]any{
			"token": token, "payload": map[string]any{"arguments": act.Arguments, "task": act.Task}, "resource": act.Resource,
		},
	}
	d.agent, d.token = agent, token
	edit(d)
	proof := must(capability.SignAction(d.proofKey, "", d.claims))(t)
	if d.body["proof_hash"] == nil {
		d.body["proof_hash"] = must(capability.ParseAction(proof))(t).Hash()
	}
	d.disclosures["proof"] = proof

	commitments := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(d.disclosures)) {
		opened := must(canon.Disclose(name, d.disclosures[name]))(t)
		commitments[name] = must(opened.Commitment())(t)
		w.open = append(w.open, anchor.ReceiptDisclosure{Name: opened.Name, Salt: opened.Salt, Value: opened.Value})
	}
	d.body["commitments"] = commitments
	artifact := func(typ string, body map[string]any) []byte {
		return must(canon.Marshal(map[string]any{
			"v": 1, "type": typ, "log": origin, "org": "o1", "time": "2026-11-21T10:00:00.000Z", "nonce": canon.Nonce(32),
			"body": body,
		}))(t)
	}
	w.artifact = artifact("decision", d.body)
	for i, e := range d.others {
		w.others[i] = artifact(e.typ, e.body)
	}
	return d.logOf
}

// anchored adds an anchor of the head at size.
func (w *world) anchored(t testing.TB, size uint64, info anchor.Info, finality anchor.Finality) anchor.AnchorRecord {
	t.Helper()
	info.Kind, info.Contract, info.LogID = "evm", contract, [32]byte{1, 2, 3}
	head := anchor.Head{Size: size, Root: must(tlog.RootAt(context.Background(), w.log, size))(t)}
	digest := verify.TreeHeadDigest(info.ChainID, contract, info.LogID, size, head.Root)
	compact := ecdsa.SignCompact(w.headKey, digest[:], false)
	rec := anchor.AnchorRecord{
		Ledger: info, Head: head, HeadKey: verify.FormatAddress(address(w.headKey.PubKey())),
		Signature:    append(compact[1:], compact[0]),
		Confirmation: anchor.Confirmation{Finality: finality, TxHash: "0x" + hexOf(size)},
	}
	if finality.AtLeast(anchor.Included) {
		rec.Confirmation.Block, rec.Confirmation.BlockHash = 1000+size, "0x"+hexOf(1000+size)
	}
	w.anchors = append(w.anchors, rec)
	return rec
}

func (w *world) sepolia(t testing.TB, size uint64, f anchor.Finality) anchor.AnchorRecord {
	return w.anchored(t, size, anchor.Info{Name: "sepolia", ChainID: "11155111"}, f)
}

func (w *world) ownChain(t testing.TB, size uint64, f anchor.Finality) anchor.AnchorRecord {
	return w.anchored(t, size, anchor.Info{Name: "embedded", ChainID: "774411", OperatorsOwn: true}, f)
}

// receipt returns the file, with the disclosures if wanted.
func (w *world) receipt(t testing.TB, disclose bool) []byte {
	t.Helper()
	r := must(w.prover.Receipt(context.Background(), verify.CIDOf(w.artifact)))(t)
	if disclose {
		r.Disclosures = w.open
	}
	return must(r.Marshal())(t)
}

// other returns the file of another event.
func (w *world) other(t testing.TB, index uint64) []byte {
	t.Helper()
	r := must(w.prover.Receipt(context.Background(), verify.CIDOf(w.others[index])))(t)
	return must(r.Marshal())(t)
}

// check signs a checkpoint of the log as it is now.
func (w *world) check() error { return w.signer.Check(context.Background()) }

// Artifact implements anchor.Events.
func (w *world) Artifact(_ context.Context, cid string) ([]byte, uint64, string, error) {
	if cid == verify.CIDOf(w.artifact) {
		return w.artifact, w.index, origin, nil
	}
	for i, artifact := range w.others {
		if cid == verify.CIDOf(artifact) {
			return artifact, i, origin, nil
		}
	}
	return nil, 0, "", errUnknown
}

// NewestAnchors implements anchor.AnchorSource.
func (w *world) NewestAnchors(context.Context, string) ([]anchor.AnchorRecord, error) {
	return w.anchors, nil
}

func address(k *secp256k1.PublicKey) [20]byte {
	h := verify.Keccak(k.SerializeUncompressed()[1:])
	return [20]byte(h[12:])
}

func hexOf(n uint64) string {
	const digits = "0123456789abcdef"
	out := make([]byte, 64)
	for i := range out {
		out[len(out)-1-i] = digits[n&15]
		n >>= 4
	}
	return string(out)
}
