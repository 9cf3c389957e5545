// Package journal is the one commit pipeline of the registry: it records and
// logs. It implements registry.Store over a database (the port Backend).
//
// Life of a command. Commit queues it. Run takes whatever is queued when the
// previous commit ends, urgent commands before others, and in ONE transaction
//
//  1. locks the head of the log,
//  2. reads again the authority epochs that each command rests on (a kill that
//     came first wins),
//  3. runs the command; one that fails sinks alone,
//  4. gives its events their sequence numbers, previous CIDs and canonical
//     bytes, and writes them,
//  5. writes the leaves, tiles and new head for all of them,
//  6. commits. This is the commit point: before it nothing happened, after it
//     everything did.
//
// Only then is any caller answered. There is no other state than the
// database's: after a crash anywhere, Run starts again from the head it finds.
// What it remembers of the log's edge holds as long as the head it locks is the
// one it wrote.
package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/writ-registry/writ/anchor/tlog"
	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/trace"
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
	Chain(org, agent string) (Link, error) // of an org's or an agent's sequence, the other is ""; the zero Link where there is none
	InsertEvent(registry.Event, []canon.Disclosure) error

	// Answer returns the kept answer to an idempotency key; NotFound.
	Answer(scope, key string) (Answer, error)
	InsertAnswer(scope, key string, a Answer) error
	Expire(before time.Time, most int) error // forgets proofs, folded denials, answers and windows of budgets, at most so many of each

	Nested(f func() error) error // runs f under a savepoint
	Writes() int                 // grows with each statement that changed something
	Commit() error
	Rollback() error
}

// Head is the committed state of the log, and its clock.
type Head struct {
	Size      uint64
	Root      tlog.Hash
	Time      time.Time // of the last event; never falls
	Authority uint64    // registry.Moment's; PutHead leaves it alone
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
	Moved    func(authority uint64)                 // after a commit that moved authority, before it is answered; must not wait; nil = none
}

const (
	keep       = 24 * time.Hour         // how long an idempotency key is remembered
	sweepEvery = 100 * time.Millisecond // how often what has expired is forgotten,
	sweepMost  = 2048                   // and how much of it at once
)

// ErrBusy is pushback: the queue is full. Try again after a moment.
var ErrBusy = registry.Errorf(registry.Unavailable, "too many writes are waiting; try again shortly")

var errStopped = registry.Errorf(registry.Unavailable, "the registry is shutting down")

// Journal implements registry.Store. Run must be running for Commit to return.
type Journal struct {
	Config
	urgent  chan *pending
	queue   chan *pending
	stopped chan struct{} // closed when Run has ended
	moment  atomic.Pointer[registry.Moment]
	edge    *edge // Run's own
}

type pending struct {
	ctx    context.Context
	urgent bool
	run    func(*run) (registry.Commit, error)
	out    registry.Commit
	err    error
	span   *trace.Span
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

// Moment implements registry.Store.
func (j *Journal) Moment(ctx context.Context, within time.Duration) (registry.Moment, error) {
	if m := j.moment.Load(); m != nil && !m.Read.IsZero() && time.Since(m.Read) <= within {
		return *m, nil
	}
	read := time.Now()
	err := j.Backend.View(ctx, func(tx registry.Tx) error {
		m, err := tx.Moment()
		if err == nil {
			m.Read = read
			j.advance(m)
		}
		return err
	})
	if err != nil {
		return registry.Moment{}, err
	}
	return *j.moment.Load(), nil
}

// Notice tells that another process has moved authority to a count, or may have
// (^0): the next Moment is read from the database.
func (j *Journal) Notice(authority uint64) {
	for {
		m := j.moment.Load()
		if m == nil || m.Authority >= authority {
			return
		}
		stale := *m
		stale.Read = time.Time{}
		if j.moment.CompareAndSwap(m, &stale) {
			return
		}
	}
}

// advance publishes a committed moment. Neither its clock nor its count falls.
func (j *Journal) advance(m registry.Moment) {
	for {
		old := j.moment.Load()
		if old != nil && (m.Authority < old.Authority || m.Authority == old.Authority && m.Read.Before(old.Read)) {
			return
		}
		if old != nil && m.Clock.Before(old.Clock) {
			m.Clock = old.Clock
		}
		if j.moment.CompareAndSwap(old, &m) {
			return
		}
	}
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
		sweep := started.Sub(swept) > sweepEvery
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
		j.edge = nil
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
	for _, p := range batch {
		_, p.span = trace.Start(p.ctx, "log")
		p.span.Int("writ.batch", int64(len(batch)))
	}
	defer func() {
		for _, p := range batch {
			p.span.End(p.err)
		}
	}()
	err := j.try(ctx, batch, sweep, false)
	if errors.Is(err, errSpoilt) {
		err = j.try(ctx, batch, sweep, true)
	}
	if err != nil {
		fail(err)
	}
}

// errSpoilt: a command failed after it had changed something. All of the batch
// is run again, each command under a savepoint.
var errSpoilt = errors.New("a command failed half-way")

func (j *Journal) try(ctx context.Context, batch []*pending, sweep, careful bool) error {
	read := time.Now()
	tx, err := j.Backend.Begin(ctx)
	if err != nil {
		return err
	}
	b := &run{j: j, tx: &batchTx{Tx: tx}, careful: careful, chains: map[string]Link{}, mine: map[string]Link{}}
	if err := b.all(ctx, batch, sweep); err != nil {
		tx.Rollback()
		return err
	}
	if err := tx.Commit(); err != nil { // the commit point
		return err
	}
	j.edge.keep(b)
	j.advance(registry.Moment{Clock: b.head.Time, Authority: b.head.Authority, Read: read})
	if b.tx.moved && j.Moved != nil {
		j.Moved(b.head.Authority)
	}
	return nil
}

// batchTx notices that authority moves.
type batchTx struct {
	Tx
	moved bool
}

func (t *batchTx) BumpEpoch(s registry.Scope) error {
	t.moved = true
	return t.Tx.BumpEpoch(s)
}

// run is one batch on its way through a transaction.
type run struct {
	j       *Journal
	tx      *batchTx
	careful bool // each command under a savepoint
	edge    *edge
	head    Head
	entries [][]byte
	chains  map[string]Link // sequences that the commands so far continued
	mine    map[string]Link // and the command in hand, which may yet be undone
	grown   tlog.Appended
}

func (b *run) all(ctx context.Context, batch []*pending, sweep bool) (err error) {
	if b.head, err = b.tx.LockHead(); err != nil {
		return fmt.Errorf("lock head: %w", err)
	}
	b.edge = b.j.edgeAt(b.head)
	clock := b.head.Time
	if now := b.j.Now().UTC().Truncate(time.Millisecond); now.After(clock) {
		b.head.Time = now
	}
	if sweep {
		if err := b.tx.Expire(b.head.Time, sweepMost); err != nil {
			return fmt.Errorf("forget expired rows: %w", err)
		}
	}
	for _, p := range batch {
		n, writes := len(b.entries), b.tx.Writes()
		clear(b.mine)
		step := func() (err error) { p.out, err = p.run(b); return err }
		if b.careful {
			p.err = b.tx.Nested(step)
		} else {
			p.err = step()
		}
		switch {
		case p.err == nil:
			maps.Copy(b.chains, b.mine)
			continue
		case sinksBatch(p.err):
			return p.err
		case !b.careful && b.tx.Writes() != writes:
			return errSpoilt
		}
		b.entries = b.entries[:n]
	}
	if b.tx.moved {
		m, err := b.tx.Moment()
		if err != nil {
			return fmt.Errorf("read what moved: %w", err)
		}
		b.head.Authority = m.Authority
	}
	if len(b.entries) == 0 {
		b.head.Time = clock
		return nil
	}
	b.grown, err = tlog.Append(ctx, b, b.head.Size, b.entries)
	if err != nil {
		return fmt.Errorf("append to log: %w", err)
	}
	if err := b.tx.PutTiles(b.grown.Tiles, b.grown.Bundles); err != nil {
		return fmt.Errorf("write tiles: %w", err)
	}
	b.head.Size, b.head.Root = b.grown.Size, b.grown.Root
	return b.tx.PutHead(b.head)
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
	if err := b.unmoved(cmd.Basis); err != nil {
		return registry.Commit{}, err
	}
	d, err := cmd.Run(b.tx)
	if err != nil {
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
func (b *run) unmoved(basis registry.Basis) error {
	if len(basis.Epochs) == 0 || basis.Authority == b.head.Authority && !b.tx.moved {
		return nil
	}
	scopes := make([]registry.Scope, len(basis.Epochs))
	for i, e := range basis.Epochs {
		scopes[i] = e.Scope
	}
	now, _, err := b.tx.Authority(scopes)
	if err == nil && !slices.Equal(now, basis.Epochs) {
		err = registry.ErrEpochMoved
	}
	return err
}
