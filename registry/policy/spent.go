package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/capability"
)

// Spent is the port to a volatile memory of spent action proofs. It may be lost
// at any moment, as long as it notices.
//
// Begin makes it empty under a name that was never used before. Spend keeps
// record under key until expires, or returns the record that is there ("" means
// that there was none); two calls for one key never both get "". An error says
// that the store is not, unbroken since Begin, the one of that name, or that
// nobody knows; then nothing is known of the key. now never falls by more than
// maxFall. It is safe for concurrent use.
type Spent interface {
	Begin(ctx context.Context, name string, now time.Time) error
	Spend(ctx context.Context, name, key, record string, now, expires time.Time) (first string, err error)
}

const (
	// maxFall is how far the clock may be set back before the memory is left.
	maxFall = time.Minute
	// maxFactAge bounds what an unqualified permit may rest on.
	maxFactAge = 500 * time.Millisecond
	// retry is how long a lost memory is left alone.
	retry = time.Second
)

// spentScope's epoch is the fence between the memory and the database. It moves
// when an era begins. Nobody can stop it: it is no scope of authority.
var spentScope = registry.Scope{Kind: "proofs"}

// era is a time in which proofs are spent in one way: in the memory of that
// name and, where the answer is evidence, in the database as well; or, without
// a name, in the database alone. What is decided in an era reads its epoch from
// the database when all else is done: whoever has moved it knows that nothing
// more is spent in the eras before.
type era struct {
	epoch     uint64
	name      string
	watermark int64 // proofs issued until this second may be spent and forgotten
}

// spending is the state of the memory.
type spending struct {
	store  Spent
	mu     sync.Mutex // held while the era changes
	era    atomic.Pointer[era]
	latest atomic.Int64  // the latest second in which the memory alone was asked; never falls
	lost   chan struct{} // wakes Run
}

// errForgotten: the proof may have been spent in a memory that was lost.
var errForgotten = &registry.Error{Kind: registry.Unauthenticated, Code: string(capability.Stale),
	Detail: "the proof is older than the memory of spent proofs; sign the act again"}

// Remember lets unqualified permits be spent in s instead of the database. It
// is called once, before the first decision. A memory that does not answer is
// no error: Run tries again.
func (p *PDP) Remember(ctx context.Context, s Spent) error {
	p.spent.store, p.spent.lost = s, make(chan struct{}, 1)
	p.spent.mu.Lock()
	defer p.spent.mu.Unlock()
	epoch, watermark, err := p.fence(ctx)
	if errors.Is(err, registry.Unavailable) { // a full disk: decisions wait for it, Run too
		p.begin(&era{watermark: watermark})
		return nil
	} else if err != nil {
		return err
	}
	if epoch == 1 {
		watermark = -1 // there was no memory before: nothing is forgotten
	} else if wait := time.Unix(watermark+1, 0).Sub(p.Now()); wait > 0 && wait <= time.Second {
		select { // proofs of the second that is running would all be refused
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
	e := &era{epoch, eraName(), watermark}
	if err := s.Begin(ctx, e.name, p.Now()); err != nil {
		e.name = ""
	}
	p.begin(e)
	return nil
}

// begin publishes an era.
func (p *PDP) begin(e *era) {
	old := p.spent.era.Swap(e)
	if on := e.name != ""; p.Memory != nil && (old == nil || on != (old.name != "")) {
		p.Memory(on)
	}
}

func eraName() string { return capability.NewJTI() }

// fence moves the epoch of the memory, durably, and returns it with the second
// until which proofs may have been spent in the eras before.
func (p *PDP) fence(ctx context.Context) (epoch uint64, watermark int64, err error) {
	_, err = p.Store.Commit(context.WithoutCancel(ctx), registry.Command{Run: func(tx registry.Tx) (registry.Draft, error) {
		err := tx.BumpEpoch(spentScope)
		if err == nil {
			epoch, err = tx.Epoch(spentScope)
		}
		if err != nil {
			return registry.Draft{}, err
		}
		m, err := tx.Moment()
		watermark = max(m.Clock.Unix(), p.Now().Unix(), p.spent.latest.Load())
		return registry.Draft{}, err
	}})
	// What was spent while the command waited and ran.
	return epoch, max(watermark, p.Now().Unix(), p.spent.latest.Load()), err
}

// leave ends an era whose memory is lost: from here on the database decides
// alone. What was in the memory is answered by the watermark.
func (p *PDP) leave(ctx context.Context, e *era) error {
	p.spent.mu.Lock()
	defer p.spent.mu.Unlock()
	if p.spent.era.Load() != e {
		return nil // somebody was faster
	}
	epoch, watermark, err := p.fence(ctx)
	if err != nil {
		return err
	}
	if e.name == "" {
		watermark = max(watermark, e.watermark) // another process has moved it: what it spent is not known here
	}
	p.begin(&era{epoch: epoch, watermark: watermark})
	select {
	case p.spent.lost <- struct{}{}:
	default:
	}
	return nil
}

// enter begins an era with an empty memory. Every consumption of the era before
// is in the database by then, where the new era looks too.
func (p *PDP) enter(ctx context.Context) error {
	p.spent.mu.Lock()
	defer p.spent.mu.Unlock()
	e := p.spent.era.Load()
	if e.name != "" {
		return nil
	}
	name := eraName()
	if err := p.spent.store.Begin(ctx, name, p.Now()); err != nil {
		return err
	}
	epoch, watermark, err := p.fence(ctx)
	if err != nil {
		return err
	}
	if epoch == e.epoch+1 {
		watermark = e.watermark // nobody else had an era in between
	}
	p.begin(&era{epoch, name, watermark})
	return nil
}

// Run brings back a memory that was lost, until ctx ends.
func (p *PDP) Run(ctx context.Context) error {
	if p.spent.store == nil {
		<-ctx.Done()
		return nil
	}
	for {
		var wake <-chan time.Time
		if p.enter(ctx) != nil {
			wake = time.After(retry)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-p.spent.lost:
			// Not at once: what was lost a moment ago is seldom back.
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(retry):
			}
		case <-wake:
		}
	}
}

// use is a proof on its way to being spent.
type use struct {
	era    *era  // nil where there is no memory, or nothing was proven
	mine   mark  // what this call left in the memory
	first  *mark // what another call, or this one before, left there
	enough bool  // spent in the memory, and that is enough
}

// mark is the record of a use in the memory. Without epochs it says that the
// database decides; with them, that a permit was given on its word alone.
type mark struct{ decision, caller, body, epochs string }

func (m mark) String() string {
	return strings.Join([]string{m.decision, m.caller, m.body, m.epochs}, " ")
}

func parseMark(s string) (*mark, error) {
	f := strings.Split(s, " ")
	if len(f) != 4 {
		return nil, fmt.Errorf("a mark of %d parts", len(f))
	}
	return &mark{f[0], f[1], f[2], f[3]}, nil
}

// spend spends the proof in the memory, for every decision: so a proof that was
// used either way is refused in the other. A memory that fails is left before
// the database is asked.
func (p *PDP) spend(ctx context.Context, c registry.Caller, f *facts, d Decision, body string) (use, error) {
	if p.spent.store == nil || f.proof.code != "" {
		return use{}, nil
	}
	e := p.spent.era.Load()
	if f.fence != e.epoch {
		p.spent.mu.Lock() // waits for an era that is about to be published
		now := p.spent.era.Load()
		p.spent.mu.Unlock()
		if now == e && f.fence > e.epoch {
			if err := p.leave(ctx, e); err != nil {
				return use{}, err
			}
		}
		return use{}, registry.ErrEpochMoved
	}
	u := use{era: e, mine: mark{decision: d.ID, caller: callerKey(c), body: body}}
	if e.name == "" {
		return u, nil
	}
	now := f.now.Unix()
	fell := time.Duration(p.spent.latest.Load()-now)*time.Second > maxFall
	volatile := d.Verdict == Permit && !d.Qualified && f.proof.issued <= now && f.proof.issued > e.watermark && time.Since(f.read) <= maxFactAge &&
		(p.Ready == nil || p.Ready() == nil)
	if volatile {
		u.mine.epochs = epochsDigest(f.epochs)
		for latest := p.spent.latest.Load(); latest < now && !p.spent.latest.CompareAndSwap(latest, now); {
			latest = p.spent.latest.Load()
		}
	}
	err := errors.New("the clock was set back")
	if !fell {
		// A proof is fresh for MaxSkew. A caller that goes away proves nothing of the memory.
		expires := time.Unix(f.proof.issued, 0).Add(capability.MaxSkew + maxFall + 15*time.Second)
		var first string
		first, err = p.spent.store.Spend(context.WithoutCancel(ctx), e.name, f.proof.thumbprint+"."+f.proof.jti, u.mine.String(), f.now, expires)
		if err == nil && first != "" {
			u.first, err = parseMark(first)
		}
	}
	if err != nil {
		if err := p.leave(ctx, e); err != nil {
			return use{}, err
		}
		return use{}, registry.ErrEpochMoved // once more, without it
	}
	u.enough = volatile && u.first == nil
	return u, nil
}

// stands looks again, after the proof was spent in the memory, at what its
// permit rests on, and that the database knows nothing of the proof.
func (p *PDP) stands(ctx context.Context, f *facts) error {
	return p.Store.View(ctx, func(tx registry.Tx) error {
		m, err := tx.Moment()
		if err != nil {
			return err
		}
		if m.Authority != f.authority {
			now := standing{agent: f.agent, grant: f.grant, delegators: f.delegators}
			if err := now.readAuthority(tx); err != nil {
				return err
			}
			if now.fence != f.fence || !slices.Equal(now.epochs, f.epochs) {
				return registry.ErrEpochMoved
			}
		}
		_, err = tx.ProofUse(f.proof.thumbprint, f.proof.jti)
		if errors.Is(err, registry.NotFound) {
			return nil
		}
		if err == nil {
			err = registry.ErrEpochMoved // spent before: the transaction says how
		}
		return err
	})
}

// vouched: the memory, which holds every proof that was spent since its
// watermark, had not seen this one, so the database has not either. Should it
// have, consume finds out.
func (u use) vouched(f *facts) bool {
	return u.era != nil && u.era.name != "" && u.first == nil && f.proof.issued > u.era.watermark
}

// unrecorded says what a proof is worth that the database does not know: an
// earlier permit of the memory's, nothing, or (nil, nil) a first use.
func (u use) unrecorded(c registry.Caller, f *facts, d Decision) (*Decision, error) {
	switch {
	case u.era == nil:
		return nil, nil
	case u.first != nil && u.first.epochs != "" && u.first.decision != d.ID:
		same := c.PEP != nil && u.first.caller == u.mine.caller && u.first.body == u.mine.body && u.first.epochs == epochsDigest(f.epochs)
		if !same || d.Verdict != Permit || d.Qualified {
			return nil, errReplayed
		}
		d.ID, d.Repeated, d.Permit = u.first.decision, true, "" // its permit was not kept, and it has no other
		return &d, nil
	case f.proof.issued <= u.era.watermark:
		return nil, errForgotten
	}
	return nil, nil
}

// basis is what a command rests on: the epochs read, and the memory's.
func (u use) basis(f *facts) registry.Basis {
	epochs := f.epochs
	if u.era != nil {
		epochs = append(slices.Clone(epochs), registry.Epoch{Scope: spentScope, Value: u.era.epoch})
	}
	return registry.Basis{Epochs: epochs, Authority: f.authority}
}

func epochsDigest(epochs []registry.Epoch) string {
	var b strings.Builder
	for _, e := range epochs {
		fmt.Fprintf(&b, "%s %d\n", e.Scope.Key(), e.Value)
	}
	return canon.Digest([]byte(b.String()))
}
