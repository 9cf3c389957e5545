package anchortest

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/writ-registry/writ/anchor"
	"github.com/writ-registry/writ/anchor/tlog"
)

// Memory is a ledger in memory with one paying account: it has a pool, blocks,
// a sequence number that excludes a second transaction for the same place, and
// it checks signature and proof when a transaction is included, as a contract
// does. Safe for concurrent use.
//
// Its state is that of the chain, so it survives every restart that a test
// plays on the other side.
type Memory struct {
	key  ed25519.PublicKey
	info anchor.Info

	mu     sync.Mutex
	manual bool
	blocks []memoryBlock
	pool   []memoryTx // at most one per sequence number
}

var _ anchor.Ledger = (*Memory)(nil)

type memoryBlock struct {
	tx     memoryTx
	after  anchor.Head // the ledger's head after this block
	reason string      // why the transaction had no effect
	salt   uint64      // tells a block from the one it replaced
}

type memoryTx struct {
	Seq  uint64 // place in the account's order
	Bid  uint64 // the higher one stays in the pool
	Head anchor.SignedHead
	id   string
}

// NewMemory returns an empty ledger that includes a transaction as soon as it
// is broadcast (see Manual), and the signer of the log's head key. Blocks are
// finalized as soon as they are made.
func NewMemory() (*Memory, anchor.HeadSigner) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	return &Memory{
		key: key.Public().(ed25519.PublicKey),
		info: anchor.Info{
			Name: "memory", Kind: "memory", ChainID: "1", Contract: "memory",
			LogID: sha256.Sum256([]byte("memory log")), OperatorsOwn: true,
			Finality: anchor.FinalityRule{Level: anchor.Finalized},
		},
	}, memorySigner{key}
}

type memorySigner struct{ key ed25519.PrivateKey }

func (s memorySigner) HeadKey() string {
	return hex.EncodeToString(s.key.Public().(ed25519.PublicKey))
}

func (s memorySigner) SignHead(ctx context.Context, logID [32]byte, head anchor.Head) ([]byte, error) {
	return ed25519.Sign(s.key, headMessage(logID, head)), ctx.Err()
}

func headMessage(logID [32]byte, head anchor.Head) []byte {
	msg := binary.BigEndian.AppendUint64(logID[:], head.Size)
	return append(msg, head.Root[:]...)
}

// SetMaxGrowth limits how many entries an anchor may add. Call it before use.
func (m *Memory) SetMaxGrowth(n uint64) { m.info.MaxGrowth = n }

// Manual leaves inclusion to Mine when on.
func (m *Memory) Manual(on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.manual = on
}

// Mine includes what can be included, one transaction a block.
func (m *Memory) Mine() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mine()
}

func (m *Memory) mine() {
	for {
		i := slices.IndexFunc(m.pool, func(tx memoryTx) bool { return tx.Seq == uint64(len(m.blocks)) })
		if i < 0 {
			m.pool = slices.DeleteFunc(m.pool, func(tx memoryTx) bool { return tx.Seq < uint64(len(m.blocks)) })
			return
		}
		b := memoryBlock{tx: m.pool[i], after: m.head(), salt: uint64(time.Now().UnixNano())}
		if err := m.check(b.tx.Head); err != nil {
			b.reason = err.Error()
		} else {
			b.after = b.tx.Head.Head
		}
		m.blocks = append(m.blocks, b)
	}
}

// Rollback forgets the newest n blocks and the pool, as a chain does that lost
// its last writes in a crash.
func (m *Memory) Rollback(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.blocks = m.blocks[:max(len(m.blocks)-n, 0)]
	m.pool = nil
}

// Drop empties the pool.
func (m *Memory) Drop() { m.Rollback(0) }

// Blocks returns how many transactions have been included, failed ones too.
func (m *Memory) Blocks() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.blocks)
}

func (m *Memory) head() anchor.Head {
	if len(m.blocks) == 0 {
		return anchor.Head{}
	}
	return m.blocks[len(m.blocks)-1].after
}

// check applies the rules of the port to a head.
func (m *Memory) check(h anchor.SignedHead) error {
	now := m.head()
	switch {
	case h.LogID != m.info.LogID:
		return fmt.Errorf("unknown log: %w", anchor.ErrRefused)
	case h.Head == now:
		return nil
	case h.Size < now.Size:
		return fmt.Errorf("stale size %d, head is %d: %w", h.Size, now.Size, anchor.ErrRefused)
	case h.Size == now.Size:
		return fmt.Errorf("%w: %w: conflicting root at size %d", anchor.ErrRefused, anchor.ErrFork, h.Size)
	case m.info.MaxGrowth > 0 && h.Size-now.Size > m.info.MaxGrowth:
		return fmt.Errorf("growth above %d: %w", m.info.MaxGrowth, anchor.ErrRefused)
	case !ed25519.Verify(m.key, headMessage(h.LogID, h.Head), h.Signature):
		return fmt.Errorf("invalid signature: %w", anchor.ErrRefused)
	case now.Size == 0 && len(h.Proof) == 0:
		return nil
	}
	if err := tlog.VerifyConsistency(now.Size, h.Size, now.Root, h.Root, h.Proof); err != nil {
		return fmt.Errorf("%w: %w", anchor.ErrRefused, err)
	}
	return nil
}

// Info implements anchor.Ledger.
func (m *Memory) Info() anchor.Info { return m.info }

// Head implements anchor.Ledger.
func (m *Memory) Head(ctx context.Context, _ anchor.Finality) (anchor.Head, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.head(), ctx.Err()
}

// Prepare implements anchor.Ledger.
func (m *Memory) Prepare(ctx context.Context, head anchor.SignedHead, replaces ...anchor.Attempt) (anchor.Attempt, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return anchor.Attempt{}, err
	}
	if err := m.check(head); err != nil {
		return anchor.Attempt{}, err
	}
	tx := memoryTx{Seq: uint64(len(m.blocks)), Head: head}
	for _, a := range replaces {
		old, err := decodeTx(a)
		if err != nil {
			return anchor.Attempt{}, err
		}
		tx.Bid = max(tx.Bid, old.Bid+1)
	}
	raw, err := json.Marshal(tx)
	if err != nil {
		return anchor.Attempt{}, err
	}
	return anchor.Attempt{Tx: txID(raw), Raw: raw}, nil
}

func txID(raw []byte) string {
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

func decodeTx(a anchor.Attempt) (tx memoryTx, err error) {
	if txID(a.Raw) != a.Tx {
		return tx, errors.New("damaged attempt")
	}
	tx.id = a.Tx
	return tx, json.Unmarshal(a.Raw, &tx)
}

// Broadcast implements anchor.Ledger.
func (m *Memory) Broadcast(ctx context.Context, a anchor.Attempt) error {
	tx, err := decodeTx(a)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if tx.Seq < uint64(len(m.blocks)) {
		if m.blocks[tx.Seq].tx.id == tx.id {
			return nil
		}
		return fmt.Errorf("sequence %d is used: %w", tx.Seq, anchor.ErrRefused)
	}
	i := slices.IndexFunc(m.pool, func(p memoryTx) bool { return p.Seq == tx.Seq })
	switch {
	case i < 0:
		m.pool = append(m.pool, tx)
	case m.pool[i].Bid < tx.Bid:
		m.pool[i] = tx
	}
	if !m.manual {
		m.mine()
	}
	return nil
}

// Status implements anchor.Ledger.
func (m *Memory) Status(ctx context.Context, a anchor.Attempt) (anchor.Confirmation, error) {
	tx, err := decodeTx(a)
	if err != nil {
		return anchor.Confirmation{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return anchor.Confirmation{}, err
	}
	c := anchor.Confirmation{Finality: anchor.None, TxHash: a.Tx}
	switch {
	case tx.Seq < uint64(len(m.blocks)) && m.blocks[tx.Seq].tx.id == a.Tx:
		b := m.blocks[tx.Seq]
		c.Finality, c.Reason = anchor.Finalized, b.reason
		if b.reason != "" {
			c.Finality = anchor.Failed
		}
		c.Block = tx.Seq + 1
		c.BlockHash = txID(fmt.Append(nil, b.tx.id, b.salt))
		c.GasUsed = 1
		c.Time = time.Unix(int64(c.Block), 0).UTC()
	case tx.Seq < uint64(len(m.blocks)):
		c.Finality, c.Reason = anchor.Failed, "sequence used by another transaction"
	case slices.ContainsFunc(m.pool, func(p memoryTx) bool { return p.id == a.Tx }):
		c.Finality = anchor.Submitted
	}
	return c, nil
}
