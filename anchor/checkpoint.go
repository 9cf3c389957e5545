package anchor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/writ-registry/writ/anchor/tlog"
	"github.com/writ-registry/writ/internal/trace"
)

// Defaults of CheckpointerConfig.
const (
	// DefaultCheckpointInterval keeps a checkpoint less than 100 ms behind the
	// committed head, the signature and two syncs to disk included.
	DefaultCheckpointInterval = 50 * time.Millisecond
	// DefaultCheckpointKeep is longer than an anchor attempt needs to be
	// journalled after the checkpoint it is made for.
	DefaultCheckpointKeep = 10 * time.Minute
)

// CommittedLog is the Checkpointer's view of one log: what the last commit left.
//
// Head MUST return a head only once it and all tiles below it are durable, and
// MUST NOT return a smaller one while the process runs. Tiles may be ahead of
// it. Safe for concurrent use. An error means that it could not be read.
type CommittedLog interface {
	tlog.Reader
	// Origin is the log's name, the first line of its checkpoints.
	Origin() string
	// Head is the number of committed entries and their RFC 6962 root hash.
	Head(ctx context.Context) (size uint64, root [32]byte, err error)
}

// SignedCheckpoint is a checkpoint with its signed note (C2SP tlog-checkpoint).
type SignedCheckpoint struct {
	tlog.Checkpoint
	Note []byte    // the bytes to publish
	Time time.Time // when it was signed (UTC, our clock); informational
}

// CheckpointStore keeps signed checkpoints next to the log, so that receipts can
// be made against the ones that were anchored.
//
// Durability: SaveCheckpoint returns nil only when the row would survive a power
// cut. An error leaves open whether it was written. Safe for concurrent use.
type CheckpointStore interface {
	// SaveCheckpoint adds c. The same (origin, size, root) again changes
	// nothing; another root at the same size is ErrFork.
	SaveCheckpoint(ctx context.Context, c SignedCheckpoint) error

	// LatestCheckpoint returns the largest checkpoint of a log, nil if it has
	// none.
	LatestCheckpoint(ctx context.Context, origin string) (*SignedCheckpoint, error)

	// CheckpointAt returns the checkpoint of exactly that size, nil if it was
	// never saved or has been pruned.
	CheckpointAt(ctx context.Context, origin string, size uint64) (*SignedCheckpoint, error)

	// PruneCheckpoints deletes the checkpoints of a log that were signed before
	// a time, except the latest and those of the sizes in keep.
	PruneCheckpoints(ctx context.Context, origin string, before time.Time, keep []uint64) error
}

// CheckpointerConfig wires a Checkpointer. Log, Signer, Verifier, Store and Home
// are required; zero values of the rest mean the defaults.
type CheckpointerConfig struct {
	Log      CommittedLog
	Signer   note.Signer   // the checkpoint key; its name is the log's origin
	Verifier note.Verifier // the same key; reads back what was signed before
	Store    CheckpointStore
	Home     CheckpointHome

	// NewHome says that the second home is new although the log is not: after
	// a move to another machine, by a person who knows that this database is
	// the newest one. Without it a missing second home refuses to start.
	NewHome bool

	// Interval is the time between two looks at the committed head.
	Interval time.Duration
	// KeepFor is how long a checkpoint is kept that nothing refers to.
	KeepFor time.Duration
	// Anchors, if set, names the anchored heads, whose checkpoints are kept.
	Anchors AnchorSource

	Tracer *trace.Tracer    // nil: no spans
	Logger *slog.Logger     // default: slog.Default()
	Now    func() time.Time // default: time.Now
}

// Checkpointer signs the heads of one log and guards it against its own past.
//
// A log whose database was rolled back (an old backup, a lost disk) would go on
// from an older head and sign a second history. So the last signed checkpoint is
// also kept in a second home, outside the database's failure domain, and before
// each signature the committed head is proven to extend both: the one in the
// database and the one at home. A head that is smaller or does not extend them
// is [ErrFork]: nothing is signed any more and a person decides.
//
// # The life of a checkpoint
//
//	head committed -> compared with home and database -> signed
//	  -> second home durable   <- the commit point: from here on this head is promised
//	  -> database durable
//	  -> visible (Latest, Head; publication, receipts and anchoring follow)
//
// A crash before the commit point leaves nothing. A crash after it leaves a
// signed checkpoint that nobody has seen; start-up finds it at home and either
// publishes it or signs one that extends it.
type Checkpointer struct {
	cfg    CheckpointerConfig
	origin string
	log    *slog.Logger

	// signing serializes everything from the comparison to the publication.
	signing sync.Mutex
	pruned  time.Time // owned by the holder of signing

	mu      sync.Mutex
	latest  *SignedCheckpoint // published; nil before the first Check
	refused error             // wraps ErrFork; set once, never cleared
	alarm   chan struct{}     // closed with refused
}

// NewCheckpointer returns a Checkpointer; nothing is read or signed before Check
// or Run. It panics on a missing required field.
func NewCheckpointer(cfg CheckpointerConfig) *Checkpointer {
	if cfg.Log == nil || cfg.Signer == nil || cfg.Verifier == nil || cfg.Store == nil || cfg.Home == nil {
		panic("anchor: CheckpointerConfig needs Log, Signer, Verifier, Store and Home")
	}
	if cfg.Interval <= 0 {
		cfg.Interval = DefaultCheckpointInterval
	}
	if cfg.KeepFor <= 0 {
		cfg.KeepFor = DefaultCheckpointKeep
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Checkpointer{
		cfg:    cfg,
		origin: cfg.Log.Origin(),
		log:    cfg.Logger.With("log", cfg.Log.Origin()),
		alarm:  make(chan struct{}),
	}
}

// Check compares the committed head with the second home and the database and
// publishes a checkpoint of it, which for a new log is one of size 0. It is the
// start-up step: until it has returned nil, nothing may be served from the log.
//
// It returns an error that wraps ErrFork if the head is behind either of them,
// contradicts it, or the second home is missing or not ours; any other error is
// that of a read or write and may go away.
func (c *Checkpointer) Check(ctx context.Context) error {
	return c.publish(ctx)
}

// Run signs a checkpoint whenever the committed head has moved, until ctx ends
// (then it returns nil) or the log turns out to contradict its past (then an
// error that wraps ErrFork, after which nothing is signed even if Run is called
// again). Every other error is logged when it begins and ends, and the step is
// tried again at the next interval.
func (c *Checkpointer) Run(ctx context.Context) error {
	ticker := time.NewTicker(c.cfg.Interval)
	defer ticker.Stop()
	failing := false
	for {
		err := c.publish(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ErrFork):
			c.log.Error("log contradicts its signed past; nothing is signed any more", "err", err)
			return err
		case err != nil && !failing:
			c.log.Warn("checkpoint not signed; trying again", "err", err)
		case err == nil && failing:
			c.log.Info("checkpoints are signed again")
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-c.alarm: // CheckHead refused: the next publish returns its error
		case <-ticker.C:
		}
	}
}

// Refused returns the error that stopped signing, or nil. It wraps ErrFork.
// Readiness checks ask it. Safe for concurrent use.
func (c *Checkpointer) Refused() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refused
}

// Latest returns the newest published checkpoint; false before the first one.
// Safe for concurrent use.
func (c *Checkpointer) Latest() (SignedCheckpoint, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.latest == nil {
		return SignedCheckpoint{}, false
	}
	return *c.latest, true
}

// CheckHead compares a head that a ledger holds with the log. A ledger that is
// ahead of the committed head, or holds another root, knows of a history that we
// have lost: CheckHead returns an error that wraps ErrFork, and from then on the
// Checkpointer signs nothing. The ledger MUST have been read before the call, so
// that a head committed in between cannot look like a fork. Size 0 is a ledger
// that holds no head and agrees with every log.
func (c *Checkpointer) CheckHead(ctx context.Context, size uint64, root [32]byte) error {
	if size == 0 {
		return nil
	}
	// No signature may come between the comparison and the refusal.
	c.signing.Lock()
	defer c.signing.Unlock()
	head, err := c.committed(ctx)
	if err != nil {
		return err
	}
	ledger := tlog.Checkpoint{Origin: c.origin, Size: size, Root: root}
	return c.refuseOnFork(c.extends(ctx, ledger, head, "the ledger's head"))
}

// publish is the whole flow once: compare, sign, store at home, store in the
// database, show.
func (c *Checkpointer) publish(ctx context.Context) (err error) {
	c.signing.Lock()
	defer c.signing.Unlock()
	if err := c.Refused(); err != nil {
		return err
	}
	head, err := c.committed(ctx)
	if err != nil {
		return err
	}
	if latest, ok := c.Latest(); ok && latest.Checkpoint == head {
		c.prune(ctx)
		return nil
	}
	ctx, span := c.cfg.Tracer.Begin(ctx, "checkpoint", trace.Root{})
	span.Int("writ.size", int64(head.Size))
	defer func() { span.End(err) }()
	atHome, inStore, err := c.past(ctx)
	if err != nil {
		return c.refuseOnFork(err)
	}
	for _, past := range []struct {
		c    *SignedCheckpoint
		what string
	}{{atHome, "the checkpoint in the second home"}, {inStore, "the last signed checkpoint"}} {
		if past.c == nil || past.c == inStore && atHome != nil && atHome.Checkpoint == inStore.Checkpoint {
			continue // nothing, or the same once more
		}
		if err := c.extends(ctx, past.c.Checkpoint, head, past.what); err != nil {
			return c.refuseOnFork(err)
		}
	}

	next, err := c.sign(head, atHome, inStore)
	if err != nil {
		return err
	}
	if atHome == nil || atHome.Checkpoint != head {
		// The commit point: once the home may hold it, no other history can be
		// signed. An error leaves open whether it does; the next round reads it
		// back and takes it as the past.
		if err := c.cfg.Home.Save(ctx, next.Note); err != nil {
			return fmt.Errorf("store checkpoint %d in its second home: %w", head.Size, err)
		}
	}
	if inStore == nil || inStore.Checkpoint != head {
		if err := c.cfg.Store.SaveCheckpoint(ctx, next); err != nil {
			return c.refuseOnFork(fmt.Errorf("store checkpoint %d: %w", head.Size, err))
		}
	}
	c.mu.Lock()
	c.latest = &next
	c.mu.Unlock()
	c.prune(ctx)
	return nil
}

// committed returns the committed head, which is all that is ever signed.
func (c *Checkpointer) committed(ctx context.Context) (tlog.Checkpoint, error) {
	size, root, err := c.cfg.Log.Head(ctx)
	if err != nil {
		return tlog.Checkpoint{}, fmt.Errorf("read committed head: %w", err)
	}
	if size == 0 {
		root = tlog.EmptyRoot() // whatever a new database says of it
	}
	return tlog.Checkpoint{Origin: c.origin, Size: size, Root: root}, nil
}

// past reads what was signed before, from both homes. Either may be nil: both
// for a new log, the one in the store after a crash during the first start.
func (c *Checkpointer) past(ctx context.Context) (atHome, inStore *SignedCheckpoint, err error) {
	raw, err := c.cfg.Home.Load(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("read the second home: %w", err)
	}
	if raw != nil {
		cp, err := c.open(raw)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: the second home holds no checkpoint of this log and key: %w", ErrFork, err)
		}
		atHome = &SignedCheckpoint{Checkpoint: cp, Note: raw, Time: c.cfg.Now().UTC()}
	}
	inStore, err = c.cfg.Store.LatestCheckpoint(ctx, c.origin)
	if err != nil {
		return nil, nil, fmt.Errorf("read the last signed checkpoint: %w", err)
	}
	if inStore == nil {
		return atHome, nil, nil
	}
	cp, err := c.open(inStore.Note)
	if err == nil && cp != inStore.Checkpoint {
		err = fmt.Errorf("%w: note and columns differ", tlog.ErrInvalid)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%w: the last checkpoint in the database is not one of this log and key: %w", ErrFork, err)
	}
	if atHome == nil && !c.cfg.NewHome {
		return nil, nil, fmt.Errorf("%w: the second home is missing, so nothing shows whether this database is the newest: "+
			"bring the file back, or confirm a new second home", ErrFork)
	}
	return atHome, inStore, nil
}

// open reads a signed checkpoint. The one that was published last was read back
// when it was signed.
func (c *Checkpointer) open(signed []byte) (tlog.Checkpoint, error) {
	if latest, ok := c.Latest(); ok && bytes.Equal(signed, latest.Note) {
		return latest.Checkpoint, nil
	}
	return tlog.OpenCheckpoint(signed, c.origin, c.cfg.Verifier)
}

// extends checks that the log at head has past as a prefix, by a consistency
// proof made from our own tiles (RFC 9162 section 2.1.4). It returns an error
// that wraps ErrFork if not; what names the past in it.
//
// Tiles that cannot give a proof which fits are not told apart from a false
// past: both mean that this database does not hold what was promised.
func (c *Checkpointer) extends(ctx context.Context, past, head tlog.Checkpoint, what string) error {
	if past.Size > head.Size {
		return fmt.Errorf("%w: the log has %d entries, %s has %d", ErrFork, head.Size, what, past.Size)
	}
	path, err := tlog.ConsistencyProof(ctx, c.cfg.Log, past.Size, head.Size)
	if errors.Is(err, tlog.ErrMissing) || errors.Is(err, tlog.ErrInvalid) {
		return fmt.Errorf("%w: no proof from %s (size %d) to the log (size %d): %w", ErrFork, what, past.Size, head.Size, err)
	}
	if err != nil {
		return fmt.Errorf("prove that the log extends %s: %w", what, err)
	}
	if err := tlog.VerifyConsistency(past.Size, head.Size, past.Root, head.Root, path); err != nil {
		return fmt.Errorf("%w: the log does not extend %s: %w", ErrFork, what, err)
	}
	return nil
}

// sign returns the signed checkpoint of head. Where one was stored before a
// crash it is that one, so that a head has one note.
func (c *Checkpointer) sign(head tlog.Checkpoint, before ...*SignedCheckpoint) (SignedCheckpoint, error) {
	for _, b := range before {
		if b != nil && b.Checkpoint == head {
			return *b, nil
		}
	}
	signed, err := tlog.SignCheckpoint(head, c.cfg.Signer)
	if err != nil {
		return SignedCheckpoint{}, err
	}
	// A signer may be remote, or hold another key than the one that is
	// published: nothing leaves before it reads back.
	if _, err := tlog.OpenCheckpoint(signed, c.origin, c.cfg.Verifier); err != nil {
		return SignedCheckpoint{}, fmt.Errorf("read back the signature on checkpoint %d: %w", head.Size, err)
	}
	return SignedCheckpoint{Checkpoint: head, Note: signed, Time: c.cfg.Now().UTC()}, nil
}

// refuseOnFork makes a fork final.
func (c *Checkpointer) refuseOnFork(err error) error {
	if !errors.Is(err, ErrFork) {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refused == nil {
		c.refused = err
		close(c.alarm)
	}
	return err
}

// prune drops checkpoints nobody needs, at most once in KeepFor. Every entry of
// the log is provable under the newest anchored heads, so only those are kept. A
// failure costs space until the next time and is no reason not to sign.
func (c *Checkpointer) prune(ctx context.Context) {
	now := c.cfg.Now()
	if now.Sub(c.pruned) < c.cfg.KeepFor {
		return
	}
	c.pruned = now
	var keep []uint64
	if c.cfg.Anchors != nil {
		records, err := c.cfg.Anchors.NewestAnchors(ctx, c.origin)
		if err != nil {
			c.log.Warn("old checkpoints not pruned: anchored heads unknown", "err", err)
			return
		}
		for _, r := range records {
			keep = append(keep, r.Size)
		}
	}
	if err := c.cfg.Store.PruneCheckpoints(ctx, c.origin, now.Add(-c.cfg.KeepFor), keep); err != nil {
		c.log.Warn("old checkpoints not pruned", "err", err)
	}
}

// Head implements [Log] for the Submitter: the head of the newest published
// checkpoint, the zero Head if there is none or the log is empty.
func (c *Checkpointer) Head(context.Context) (Head, error) {
	if err := c.Refused(); err != nil {
		return Head{}, err
	}
	latest, ok := c.Latest()
	if !ok || latest.Size == 0 {
		return Head{}, nil
	}
	return Head{Size: latest.Size, Root: latest.Root}, nil
}

// HeadAt implements [Log]: the head at a size that the newest published
// checkpoint covers, ErrNotIntegrated beyond it.
func (c *Checkpointer) HeadAt(ctx context.Context, size uint64) (Head, error) {
	if err := c.covered(size); err != nil {
		return Head{}, err
	}
	if size == 0 {
		return Head{}, nil
	}
	root, err := tlog.RootAt(ctx, c.cfg.Log, size)
	if err != nil {
		return Head{}, fmt.Errorf("root at size %d: %w", size, err)
	}
	return Head{Size: size, Root: root}, nil
}

// ConsistencyProof implements [Log].
func (c *Checkpointer) ConsistencyProof(ctx context.Context, from, to uint64) ([][32]byte, error) {
	if err := c.covered(to); err != nil {
		return nil, err
	}
	return tlog.ConsistencyProof(ctx, c.cfg.Log, from, to)
}

func (c *Checkpointer) covered(size uint64) error {
	if err := c.Refused(); err != nil {
		return err
	}
	if latest, ok := c.Latest(); !ok || size > latest.Size {
		return fmt.Errorf("size %d is beyond the newest checkpoint: %w", size, ErrNotIntegrated)
	}
	return nil
}
