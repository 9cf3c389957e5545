// Package journal is the one commit pipeline of the registry: it records and
// logs. It implements registry.Store over a database (the port Backend).
//
// Life of a command. Commit queues it. Run takes whatever is queued when the
// previous commit ends, urgent commands before others, and in ONE transaction
//
//  1. locks the head of the log,
//  2. runs each command under a savepoint, so that a bad one sinks alone,
//  3. reads again the authority epochs it used (a kill that came first wins),
//  4. gives its events their sequence numbers, previous CIDs and canonical
//     bytes, and writes them,
//  5. writes the leaves, tiles and new head for all of them,
//  6. commits. This is the commit point: before it nothing happened, after it
//     everything did.
//
// Only then is any caller answered. There is no other state than the
// database's: after a crash anywhere, Run starts again from the head it finds.
package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/writ-registry/writ/anchor/tlog"
	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/registry"
)

// Backend is the database behind the journal.
//
// Begin opens the single write transaction; a second one waits. What Commit of
// the Tx returns without error MUST survive a crash of the process and of the
// machine.
type Backend interface {
	Begin(ctx context.Context) (Tx, error)
	View(ctx context.Context, f func(registry.Tx) error) error
}

// Tx is a write transaction: the registry's aggregates, and what only the
// journal writes.
type Tx interface {
	registry.Tx
	tlog.Reader // of the journal's log, as this transaction sees it

	LockHead() (Head, error) // held until the transaction ends
	PutHead(Head) error
	PutTiles([]tlog.Tile, []tlog.Bundle) error
	Chain(scope string) (Link, error) // the zero Link where there is none
	PutChain(scope string, l Link) error
	InsertEvent(registry.Event, []canon.Disclosure) error

	// Answer returns the kept answer to an idempotency key; NotFound.
	Answer(scope, key string) (Answer, error)
	InsertAnswer(scope, key string, a Answer) error
	Expire(before time.Time) error // forgets proofs, folded denials and answers

	Nested(f func() error) error // runs f under a savepoint
	Commit() error
	Rollback() error
}

// Head is the committed state of the log, and its clock.
type Head struct {
	Size uint64
	Root tlog.Hash
	Time time.Time // of the last event; never falls
}

// Link is the last event of an org's or agent's sequence.
type Link struct {
	Seq uint64
	CID string
}

// Answer is what an idempotency key was answered.
type Answer struct {
	Digest  string              `json:"-"`
	Result  json.RawMessage     `json:"result"`
	Events  []registry.EventRef `json:"events"`
	Expires time.Time           `json:"-"`
}

// Config of a Journal. Zero values work where a comment says so.
type Config struct {
	Backend  Backend
	Log      string                                 // origin line of the log
	Now      func() time.Time                       // nil = time.Now
	Queue    int                                    // commands that may wait; 0 = 4096
	MaxBatch int                                    // commands in one commit; 0 = 256
	Ready    func() error                           // asked before each batch; an error refuses it (disk reserve, fork)
	Observe  func(commands int, took time.Duration) // after each commit; nil = none
}

// keep is how long an idempotency key is remembered.
const keep = 24 * time.Hour

// ErrBusy is pushback: the queue is full. Try again after a moment.
var ErrBusy = registry.Errorf(registry.Unavailable, "too many writes are waiting; try again shortly")

var errStopped = registry.Errorf(registry.Unavailable, "the registry is shutting down")

// Journal implements registry.Store. Run must be running for Commit to return.
type Journal struct {
	Config
	urgent  chan *pending
	queue   chan *pending
	stopped chan struct{} // closed when Run has ended
}

type pending struct {
	ctx    context.Context
	urgent bool
	run    func(*run) (registry.Commit, error)
	out    registry.Commit
	err    error
	done   chan struct{}
}

// New makes a Journal.
func New(c Config) *Journal {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Queue == 0 {
		c.Queue = 4096
	}
	if c.MaxBatch == 0 {
		c.MaxBatch = 256
	}
	return &Journal{Config: c, urgent: make(chan *pending, c.Queue), queue: make(chan *pending, c.Queue), stopped: make(chan struct{})}
}

// View implements registry.Store.
func (j *Journal) View(ctx context.Context, f func(registry.Tx) error) error {
	return j.Backend.View(ctx, f)
}

// Commit implements registry.Store. A command whose ctx ends while it waits is
// dropped; once it runs, Commit answers with what became of it.
func (j *Journal) Commit(ctx context.Context, cmd registry.Command) (registry.Commit, error) {
	return j.wait(&pending{
		ctx: ctx, urgent: cmd.Urgent, done: make(chan struct{}),
		run: func(b *run) (registry.Commit, error) { return b.one(cmd) },
	})
}

// wait queues p and returns what became of it.
func (j *Journal) wait(p *pending) (registry.Commit, error) {
	queue := j.queue
	if p.urgent {
		queue = j.urgent
	}
	select {
	case queue <- p:
	case <-j.stopped:
		return registry.Commit{}, errStopped
	default:
		return registry.Commit{}, ErrBusy
	}
	select {
	case <-p.done:
		return p.out, p.err
	case <-j.stopped:
		select {
		case <-p.done: // answered before the end
			return p.out, p.err
		default:
			return registry.Commit{}, errStopped
		}
	}
}

// Run commits batches until ctx ends. It finishes the batch in hand, answers
// it, and leaves the rest to errStopped.
func (j *Journal) Run(ctx context.Context) error {
	defer close(j.stopped)
	var swept time.Time
	for {
		batch := j.gather(ctx)
		if batch == nil {
			return nil
		}
		started := time.Now()
		// The batch in hand is finished even when ctx has ended.
		sweep := started.Sub(swept) > time.Minute
		if sweep {
			swept = started
		}
		j.commit(context.WithoutCancel(ctx), batch, sweep)
		for _, p := range batch {
			close(p.done)
		}
		if j.Observe != nil {
			j.Observe(len(batch), time.Since(started))
		}
	}
}

// gather waits for a command and takes all that are queued with it. Urgent ones
// are committed without them: a kill does not wait for a full batch. The one
// ordinary command that may be in hand goes with them, so that these get on, too.
func (j *Journal) gather(ctx context.Context) []*pending {
	var batch []*pending
	add := func(p *pending) {
		if err := p.ctx.Err(); err != nil {
			p.err = &registry.Error{Kind: registry.Unavailable, Detail: "the caller went away", Err: err}
			close(p.done)
			return
		}
		batch = append(batch, p)
	}
	for len(batch) == 0 {
		select {
		case <-ctx.Done():
			return nil
		case p := <-j.urgent:
			add(p)
		case p := <-j.queue:
			add(p)
		}
	}
	take := func(queue chan *pending) {
		for len(batch) < j.MaxBatch {
			select {
			case p := <-queue:
				add(p)
			default:
				return
			}
		}
	}
	first := batch[0]
	batch = batch[:0]
	take(j.urgent)
	if first.urgent {
		batch = append([]*pending{first}, batch...)
	} else {
		batch = append(batch, first)
	}
	if !batch[0].urgent {
		take(j.queue)
	}
	return batch
}

// commit runs a batch in one transaction and sets each command's outcome. An
// error of the database fails them all: nobody is acknowledged.
func (j *Journal) commit(ctx context.Context, batch []*pending, sweep bool) {
	fail := func(err error) {
		for _, p := range batch {
			p.out, p.err = registry.Commit{}, &registry.Error{Kind: registry.Unavailable, Detail: "the write was not made durable; try again", Err: err}
		}
	}
	if j.Ready != nil {
		if err := j.Ready(); err != nil {
			fail(err)
			return
		}
	}
	tx, err := j.Backend.Begin(ctx)
	if err != nil {
		fail(err)
		return
	}
	b := &run{j: j, tx: tx, chains: map[string]Link{}}
	if err := b.all(ctx, batch, sweep); err != nil {
		tx.Rollback()
		fail(err)
		return
	}
	if err := tx.Commit(); err != nil { // the commit point
		fail(err)
	}
}

// run is one batch on its way through a transaction.
type run struct {
	j       *Journal
	tx      Tx
	head    Head
	entries [][]byte
	chains  map[string]Link // sequences that the commands so far continued
	mine    map[string]Link // and the command in hand, which may yet be undone
}

func (b *run) all(ctx context.Context, batch []*pending, sweep bool) (err error) {
	if b.head, err = b.tx.LockHead(); err != nil {
		return fmt.Errorf("lock head: %w", err)
	}
	if now := b.j.Now().UTC().Truncate(time.Millisecond); now.After(b.head.Time) {
		b.head.Time = now
	}
	if sweep {
		if err := b.tx.Expire(b.head.Time); err != nil {
			return fmt.Errorf("forget expired rows: %w", err)
		}
	}
	for _, p := range batch {
		n := len(b.entries)
		b.mine = map[string]Link{}
		p.err = b.tx.Nested(func() (err error) { p.out, err = p.run(b); return err })
		if p.err == nil {
			maps.Copy(b.chains, b.mine)
		} else {
			b.entries = b.entries[:n]
			if sinksBatch(p.err) {
				return p.err
			}
		}
	}
	if len(b.entries) == 0 {
		return nil
	}
	for scope, l := range b.chains {
		if err := b.tx.PutChain(scope, l); err != nil {
			return fmt.Errorf("write chain: %w", err)
		}
	}
	grown, err := tlog.Append(ctx, b.tx, b.head.Size, b.entries)
	if err != nil {
		return fmt.Errorf("append to log: %w", err)
	}
	if err := b.tx.PutTiles(grown.Tiles, grown.Bundles); err != nil {
		return fmt.Errorf("write tiles: %w", err)
	}
	return b.tx.PutHead(Head{Size: grown.Size, Root: grown.Root, Time: b.head.Time})
}

// sinksBatch tells an error of the database, after which the transaction is
// not to be trusted, from a command's own, which sinks that command alone.
func sinksBatch(err error) bool { return errors.Is(err, registry.Unavailable) }

func (b *run) one(cmd registry.Command) (registry.Commit, error) {
	if cmd.Idem != nil {
		switch a, err := b.tx.Answer(cmd.Idem.Scope, cmd.Idem.Key); {
		case err == nil && a.Digest != cmd.Idem.Digest:
			return registry.Commit{}, registry.Errorf(registry.Mismatch, "this Idempotency-Key was used with another request")
		case err == nil:
			return registry.Commit{Events: a.Events, Replayed: a.Result}, nil
		case !errors.Is(err, registry.NotFound):
			return registry.Commit{}, err
		}
	}
	d, err := cmd.Run(b.tx)
	if err != nil {
		return registry.Commit{}, err
	}
	if err := b.unmoved(d.Epochs); err != nil {
		return registry.Commit{}, err
	}
	out := registry.Commit{}
	for _, ev := range d.Events {
		ref, err := b.sequence(ev)
		if err != nil {
			return out, err
		}
		out.Events = append(out.Events, ref)
	}
	if d.Sequenced != nil {
		if err := d.Sequenced(b.tx, out.Events); err != nil {
			return out, err
		}
	}
	if cmd.Idem != nil {
		result, err := json.Marshal(d.Result)
		if err != nil {
			return out, fmt.Errorf("keep answer: %w", err)
		}
		a := Answer{Digest: cmd.Idem.Digest, Result: result, Events: out.Events, Expires: b.head.Time.Add(keep)}
		if err := b.tx.InsertAnswer(cmd.Idem.Scope, cmd.Idem.Key, a); err != nil {
			return out, err
		}
	}
	return out, nil
}

// unmoved reads again the authority epochs that a command rests on. The head is
// locked: whatever stops authority has its place before this or after.
func (b *run) unmoved(epochs []registry.Epoch) error {
	if len(epochs) == 0 {
		return nil
	}
	scopes := make([]registry.Scope, len(epochs))
	for i, e := range epochs {
		scopes[i] = e.Scope
	}
	now, _, err := b.tx.Authority(scopes)
	if err == nil && !slices.Equal(now, epochs) {
		err = registry.ErrEpochMoved
	}
	return err
}
