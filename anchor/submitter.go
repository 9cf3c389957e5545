package anchor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/writ-registry/writ/anchor/tlog"
	"github.com/writ-registry/writ/internal/trace"
)

// Defaults of SubmitterConfig.
const (
	DefaultInterval     = 5 * time.Second
	DefaultPoll         = 200 * time.Millisecond
	DefaultReplaceAfter = 2 * time.Minute
)

// SubmitterConfig wires a Submitter. Ledger, Log, Signer and Attempts are
// required; zero values of the rest mean the defaults.
type SubmitterConfig struct {
	Ledger   Ledger
	Log      Log
	Signer   HeadSigner
	Attempts AttemptStore

	// Interval is the least time between two heads sent to the ledger.
	Interval time.Duration
	// Poll is how often an attempt that is not yet included is looked at. One
	// that is included and not settled is looked at a 25th as often.
	Poll time.Duration
	// ReplaceAfter is how long an attempt may wait for inclusion before it is
	// replaced by one for the newest head (which then takes its place on the
	// ledger, see Ledger.Prepare).
	ReplaceAfter time.Duration

	Tracer *trace.Tracer    // nil: no spans
	Logger *slog.Logger     // default: slog.Default()
	Now    func() time.Time // default: time.Now
}

// Submitter carries the signed heads of one log to one ledger.
//
// All of its memory is the journal, the ledger and the log; what it keeps
// besides is for people to look at. So starting is the same as going on, and a
// crash costs at most one repeated broadcast.
type Submitter struct {
	cfg   SubmitterConfig
	info  Info
	log   *slog.Logger
	nudge chan struct{}

	// waitingSince: when this process first saw an attempt wait for inclusion.
	// Owned by the Run goroutine.
	waitingSince map[int64]time.Time

	mu     sync.Mutex
	status SubmitterStatus
}

// SubmitterStatus is a snapshot for health checks, metrics and pages.
type SubmitterStatus struct {
	Ledger Info

	LogHead     Head // newest signed checkpoint, as of the last cycle
	LedgerHead  Head // what the ledger's newest block holds
	SettledHead Head // what it holds beyond its finality rule, as far as seen

	Open    int // attempts that are not settled
	Waiting int // of those, not included in a block

	// BehindSince is when the ledger was first seen to hold less than the log;
	// zero while it holds the newest head.
	BehindSince time.Time
	// LastCycle is the end of the last cycle without an error; zero before.
	LastCycle time.Time
	// LastAnchor is the confirmation seen last, at any grade from included on.
	LastAnchor Confirmation

	// Err is why the last cycle did not complete; empty when it did. ErrSince
	// is when the run of errors began.
	Err      string
	ErrSince time.Time
	// Halted says that Run has stopped on ErrFork: nothing is anchored until a
	// person has looked.
	Halted bool

	// Counters since the process started.
	Sent, Rebroadcast, Settled, Failed, Superseded, Reorged uint64
	GasUsed                                                 uint64 // by attempts this process saw settle or fail
}

// Behind is the number of log entries that the ledger's newest block does not
// cover.
func (s SubmitterStatus) Behind() uint64 {
	return s.LogHead.Size - min(s.LogHead.Size, s.LedgerHead.Size)
}

// NewSubmitter returns a Submitter; nothing happens before Run. It panics on a
// missing required field.
func NewSubmitter(cfg SubmitterConfig) *Submitter {
	if cfg.Ledger == nil || cfg.Log == nil || cfg.Signer == nil || cfg.Attempts == nil {
		panic("anchor: SubmitterConfig needs Ledger, Log, Signer and Attempts")
	}
	if cfg.Interval <= 0 {
		cfg.Interval = DefaultInterval
	}
	if cfg.Poll <= 0 {
		cfg.Poll = DefaultPoll
	}
	if cfg.ReplaceAfter <= 0 {
		cfg.ReplaceAfter = DefaultReplaceAfter
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	info := cfg.Ledger.Info()
	return &Submitter{
		cfg:          cfg,
		info:         info,
		log:          cfg.Logger.With("ledger", info.Name, "log", fmt.Sprintf("%x", info.LogID[:4])),
		nudge:        make(chan struct{}, 1),
		waitingSince: make(map[int64]time.Time),
		status:       SubmitterStatus{Ledger: info},
	}
}

// Nudge asks Run for a cycle now, interval or not. It never blocks.
func (s *Submitter) Nudge() {
	select {
	case s.nudge <- struct{}{}:
	default: // one is already due
	}
}

// Status returns a snapshot. Safe for concurrent use.
func (s *Submitter) Status() SubmitterStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

// Run anchors until ctx ends (then it returns nil) or the ledger and the log
// turn out to have forked (then an error that wraps ErrFork). Every other
// error is kept in the status, logged when it begins and ends, and tried again
// at the next interval. Run may be called again after it has returned, not
// while it runs.
func (s *Submitter) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var next time.Time // when the next head may go out
	due := true
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.nudge:
			due = true
		case <-timer.C:
		}
		due = due || !s.cfg.Now().Before(next)
		out, err := s.cycle(ctx, due)
		if ctx.Err() != nil {
			return nil
		}
		s.report(err)
		if errors.Is(err, ErrFork) {
			return err
		}
		if due && !out.held {
			due, next = false, s.cfg.Now().Add(s.cfg.Interval)
		}
		timer.Reset(s.pause(out, next))
	}
}

// pause returns how long Run sleeps. Inclusion is a matter of a block, so it is
// looked for often; settling takes many blocks on most ledgers.
func (s *Submitter) pause(out outcome, next time.Time) time.Duration {
	if out.waiting {
		return s.cfg.Poll
	}
	wait := max(next.Sub(s.cfg.Now()), 0)
	if s.Status().Open > 0 {
		wait = min(wait, 25*s.cfg.Poll)
	}
	return wait
}

// Once runs one cycle now, as Run does when a head is due, and returns its
// error: for commands and tests. It does not wait for inclusion; the next
// cycle finds out. It MUST NOT be called while Run runs.
func (s *Submitter) Once(ctx context.Context) error {
	_, err := s.cycle(ctx, true)
	s.report(err)
	return err
}

// outcome is what a cycle without an error leaves behind.
type outcome struct {
	waiting bool // an attempt waits for inclusion
	held    bool // and a newer head waits for that attempt
}

// cycle is the whole flow once: what became of what was sent, what the ledger
// holds, whether that fits the log, and, when send is set and there is
// something new, the next head.
func (s *Submitter) cycle(ctx context.Context, send bool) (outcome, error) {
	inFlight, included, err := s.follow(ctx)
	if err != nil {
		return outcome{}, err
	}
	onLedger, err := s.cfg.Ledger.Head(ctx, Included)
	if err != nil {
		return outcome{}, fmt.Errorf("read the head of ledger %s: %w", s.info.Name, err)
	}
	newest, err := s.compare(ctx, onLedger)
	if err != nil {
		return outcome{}, err
	}
	if err := s.learnSettled(ctx, onLedger); err != nil {
		return outcome{}, err
	}
	demoted, err := s.demote(ctx, onLedger)
	if err != nil {
		return outcome{}, err
	}
	if demoted || included > onLedger.Size {
		// The ledger has taken something back, or it answered twice from two
		// states. Nothing is built on that: look again.
		return outcome{waiting: true, held: send}, nil
	}
	if !send || newest.Size <= onLedger.Size {
		return outcome{waiting: len(inFlight) > 0}, nil
	}
	if !s.replaceable(inFlight) {
		return outcome{waiting: true, held: true}, nil
	}
	if err := s.submit(ctx, onLedger, newest, inFlight); err != nil {
		return outcome{}, err
	}
	return outcome{waiting: true}, nil
}

// follow asks the ledger about every open attempt, marks what changed and
// sends again what the ledger does not know. It returns the attempts that wait
// for inclusion, oldest first, and the largest size that it found included.
func (s *Submitter) follow(ctx context.Context) (inFlight []AttemptRecord, included uint64, err error) {
	open, err := s.cfg.Attempts.OpenAttempts(ctx, s.info.Name, s.info.LogID)
	if err != nil {
		return nil, 0, fmt.Errorf("read open anchor attempts: %w", err)
	}
	stillOpen := 0
	for _, rec := range open {
		state, err := s.followOne(ctx, rec)
		if err != nil {
			return nil, 0, err
		}
		switch state {
		case followWaiting:
			inFlight = append(inFlight, rec)
			stillOpen++
		case followIncluded:
			included = max(included, rec.Size)
			stillOpen++
		case followSettled:
			included = max(included, rec.Size)
		}
	}
	seen := make(map[int64]time.Time, len(inFlight))
	for _, rec := range inFlight {
		since, ok := s.waitingSince[rec.ID]
		if !ok {
			since = s.cfg.Now()
		}
		seen[rec.ID] = since
	}
	s.waitingSince = seen
	s.update(func(st *SubmitterStatus) { st.Open, st.Waiting = stillOpen, len(inFlight) })
	return inFlight, included, nil
}

// followed is what follow found out about one attempt.
type followed int

const (
	followDone     followed = iota // failed or superseded
	followSettled                  // in a block, for good
	followIncluded                 // in a block, not settled
	followWaiting                  // not in a block
)

func (s *Submitter) followOne(ctx context.Context, rec AttemptRecord) (followed, error) {
	if rec.ChainID != s.info.ChainID || rec.Contract != s.info.Contract {
		c := Confirmation{Finality: None, TxHash: rec.Tx, Reason: "the ledger it was made for was replaced"}
		return followDone, s.mark(ctx, rec, StateSuperseded, c)
	}
	c, err := s.cfg.Ledger.Status(ctx, rec.Attempt)
	if err != nil {
		return 0, fmt.Errorf("status of anchor %s: %w", rec.Tx, err)
	}
	switch {
	case c.Finality == Failed && c.BlockHash == "":
		return followDone, s.mark(ctx, rec, StateSuperseded, c)
	case c.Finality == Failed:
		return followDone, s.mark(ctx, rec, StateFailed, c)
	case s.info.Finality.Met(c.Finality):
		return followSettled, s.mark(ctx, rec, StateSettled, c)
	case c.Finality.AtLeast(Included):
		return followIncluded, s.mark(ctx, rec, StatePending, c)
	}
	// Not in a block. If it was in one, the ledger took it back.
	if rec.Confirmation.Finality.AtLeast(Included) {
		s.reorged(rec)
	}
	if err := s.mark(ctx, rec, StatePending, c); err != nil {
		return 0, err
	}
	if c.Finality == None {
		return s.broadcast(ctx, rec)
	}
	return followWaiting, nil
}

// broadcast sends a journalled attempt once more. Only a refusal decides
// anything; after every other error the next Status tells.
func (s *Submitter) broadcast(ctx context.Context, rec AttemptRecord) (followed, error) {
	err := s.cfg.Ledger.Broadcast(ctx, rec.Attempt)
	switch {
	case errors.Is(err, ErrRefused):
		c := Confirmation{Finality: None, TxHash: rec.Tx, Reason: err.Error()}
		return followDone, s.mark(ctx, rec, StateSuperseded, c)
	case err != nil:
		return 0, fmt.Errorf("broadcast anchor %s of head %d again: %w", rec.Tx, rec.Size, err)
	}
	s.log.Info("anchor sent again", "size", rec.Size, "tx", rec.Tx)
	s.update(func(st *SubmitterStatus) { st.Rebroadcast++ })
	return followWaiting, nil
}

// compare checks the ledger's head against the log and returns the newest head
// that may be anchored. The ledger was read first and the log only grows, so a
// ledger that is ahead is not a race.
func (s *Submitter) compare(ctx context.Context, onLedger Head) (newest Head, err error) {
	newest, err = s.cfg.Log.Head(ctx)
	if err != nil {
		return Head{}, fmt.Errorf("read the newest checkpoint: %w", err)
	}
	s.update(func(st *SubmitterStatus) {
		st.LogHead, st.LedgerHead = newest, onLedger
		switch {
		case newest.Size <= onLedger.Size:
			st.BehindSince = time.Time{}
		case st.BehindSince.IsZero():
			st.BehindSince = s.cfg.Now()
		}
	})
	if onLedger.Size == 0 {
		return newest, nil
	}
	if onLedger.Size > newest.Size {
		return Head{}, fmt.Errorf("ledger %s holds head %d, our newest checkpoint is %d: %w", s.info.Name, onLedger.Size, newest.Size, ErrFork)
	}
	ours, err := s.cfg.Log.HeadAt(ctx, onLedger.Size)
	if err != nil {
		return Head{}, fmt.Errorf("read our head at size %d: %w", onLedger.Size, err)
	}
	if ours != onLedger {
		return Head{}, fmt.Errorf("at size %d ledger %s holds root %x, our log has %x: %w", onLedger.Size, s.info.Name, onLedger.Root, ours.Root, ErrFork)
	}
	return newest, nil
}

// learnSettled asks the ledger for its settled head where this process has not
// seen one: after a start and after a reorg. It is for the status only.
func (s *Submitter) learnSettled(ctx context.Context, onLedger Head) error {
	if onLedger.Size == 0 || s.Status().SettledHead.Size > 0 {
		return nil
	}
	head, err := s.cfg.Ledger.Head(ctx, s.info.Finality.Level)
	if err != nil {
		return fmt.Errorf("read the settled head of ledger %s: %w", s.info.Name, err)
	}
	s.update(func(st *SubmitterStatus) { st.SettledHead = head })
	return nil
}

// demote reopens settled attempts that the ledger has forgotten: a reorg
// deeper than the finality rule, or an embedded chain that lost its last
// blocks in a crash. If the ledger's answer was merely stale, the next Status
// settles them again.
func (s *Submitter) demote(ctx context.Context, onLedger Head) (any bool, err error) {
	lost, err := s.cfg.Attempts.SettledAbove(ctx, s.info, onLedger.Size)
	if err != nil {
		return false, fmt.Errorf("read settled anchors above %d: %w", onLedger.Size, err)
	}
	for _, rec := range lost {
		s.reorged(rec)
		if err := s.mark(ctx, rec, StatePending, Confirmation{Finality: None, TxHash: rec.Tx, Reason: ErrReorged.Error()}); err != nil {
			return true, err
		}
	}
	return len(lost) > 0, nil
}

// replaceable reports whether a new attempt may be built now: nothing is in
// flight, or all of it has waited too long.
func (s *Submitter) replaceable(inFlight []AttemptRecord) bool {
	for _, rec := range inFlight {
		if s.cfg.Now().Sub(s.waitingSince[rec.ID]) < s.cfg.ReplaceAfter {
			return false
		}
	}
	return true
}

// submit builds, journals and sends the attempt that takes the ledger from
// onLedger to newest, or as far towards it as one anchor may go.
func (s *Submitter) submit(ctx context.Context, onLedger, newest Head, replaces []AttemptRecord) (err error) {
	ctx, span := s.span(ctx, time.Time{})
	defer func() { span.End(err) }()
	head, err := s.build(ctx, onLedger, newest)
	if err != nil {
		return err
	}
	old := make([]Attempt, len(replaces))
	for i, rec := range replaces {
		old[i] = rec.Attempt
	}
	attempt, err := s.cfg.Ledger.Prepare(ctx, head, old...)
	if err != nil {
		return fmt.Errorf("prepare anchor of head %d: %w", head.Size, err)
	}
	describe(span, head.Size, attempt.Tx, "sent")
	rec := AttemptRecord{
		Ledger: s.info.Name, ChainID: s.info.ChainID, Contract: s.info.Contract, LogID: s.info.LogID,
		Head: head.Head, HeadKey: head.HeadKey, Signature: head.Signature, Attempt: attempt,
	}
	// The commit point. A crash before it leaves nothing behind: the attempt
	// was never sent and is built anew. A crash after it leaves a row whose
	// bytes follow sends (again): the ledger takes one transaction only once.
	rec.ID, err = s.cfg.Attempts.SaveAttempt(ctx, rec)
	if err != nil {
		return fmt.Errorf("journal anchor of head %d: %w", head.Size, err)
	}
	s.waitingSince[rec.ID] = s.cfg.Now()
	s.update(func(st *SubmitterStatus) { st.Sent++; st.Open++; st.Waiting++ })
	s.log.Info("anchor sent", "size", head.Size, "from", onLedger.Size, "tx", attempt.Tx, "replaces", len(replaces))

	if err := s.cfg.Ledger.Broadcast(ctx, attempt); err != nil {
		// It may have arrived all the same. The row is open; follow finds out.
		return fmt.Errorf("broadcast anchor %s of head %d: %w", attempt.Tx, head.Size, err)
	}
	return nil
}

// build assembles the signed head. The proof is checked here, before anybody
// signs or pays for it: a proof that does not hold is our defect, no fork.
func (s *Submitter) build(ctx context.Context, from, to Head) (SignedHead, error) {
	if limit := s.info.MaxGrowth; limit > 0 && to.Size-from.Size > limit {
		var err error
		if to, err = s.cfg.Log.HeadAt(ctx, from.Size+limit); err != nil {
			return SignedHead{}, fmt.Errorf("read our head at size %d: %w", from.Size+limit, err)
		}
	}
	var path [][32]byte
	if from.Size > 0 {
		var err error
		if path, err = s.cfg.Log.ConsistencyProof(ctx, from.Size, to.Size); err != nil {
			return SignedHead{}, fmt.Errorf("consistency proof %d to %d: %w", from.Size, to.Size, err)
		}
		if err := tlog.VerifyConsistency(from.Size, to.Size, from.Root, to.Root, path); err != nil {
			return SignedHead{}, fmt.Errorf("our own proof does not hold: %w", err)
		}
	}
	sig, err := s.cfg.Signer.SignHead(ctx, s.info.LogID, to)
	if err != nil {
		return SignedHead{}, fmt.Errorf("sign head %d: %w", to.Size, err)
	}
	return SignedHead{
		LogID: s.info.LogID, Head: to, HeadKey: s.cfg.Signer.HeadKey(), Signature: sig,
		Prev: from, Proof: path,
	}, nil
}

// mark writes the row when something changed, and counts. A crash before it
// leaves the old state, from which follow comes to the same answer.
func (s *Submitter) mark(ctx context.Context, rec AttemptRecord, state AttemptState, c Confirmation) error {
	if c.TxHash == "" {
		c.TxHash = rec.Tx
	}
	if rec.State == state && rec.Confirmation == c {
		return nil
	}
	if err := s.cfg.Attempts.MarkAttempt(ctx, rec.ID, state, c); err != nil {
		return fmt.Errorf("mark anchor %s as %s: %w", rec.Tx, state, err)
	}
	_, span := s.span(ctx, rec.Created)
	describe(span, rec.Size, rec.Tx, became(state, c))
	span.End(nil)
	s.update(func(st *SubmitterStatus) {
		if c.Finality.AtLeast(Included) {
			st.LastAnchor = c
		}
		switch state {
		case StateSettled:
			st.Settled++
			st.GasUsed += c.GasUsed
			if rec.Size > st.SettledHead.Size {
				st.SettledHead = rec.Head
			}
		case StateFailed:
			st.Failed++
			st.GasUsed += c.GasUsed
		case StateSuperseded:
			st.Superseded++
		}
	})
	switch state {
	case StateSettled:
		s.log.Info("anchor settled", "size", rec.Size, "tx", rec.Tx, "finality", c.Finality, "block", c.Block, "gas", c.GasUsed)
	case StateFailed, StateSuperseded:
		s.log.Warn("anchor will not take effect", "size", rec.Size, "tx", rec.Tx, "state", state, "reason", c.Reason)
	}
	return nil
}

// span begins the span of an attempt: one for the sending, and one from then to
// each thing that becomes of it. Each is a trace of its own, for no request
// waits for it; the transaction tells which belong together.
func (s *Submitter) span(ctx context.Context, since time.Time) (context.Context, *trace.Span) {
	ctx, span := s.cfg.Tracer.Begin(ctx, "anchor", trace.Root{Since: since})
	span.Attr("writ.ledger", s.info.Name)
	return ctx, span
}

func describe(span *trace.Span, size uint64, tx, outcome string) {
	span.Int("writ.size", int64(size))
	span.Attr("writ.tx", tx)
	span.Attr("writ.outcome", outcome)
}

// became is the outcome of an attempt: its state where that is final and bad,
// else its finality.
func became(state AttemptState, c Confirmation) string {
	if state == StateFailed || state == StateSuperseded {
		return string(state)
	}
	return string(c.Finality)
}

// reorged counts and logs an anchor that the ledger took back.
func (s *Submitter) reorged(rec AttemptRecord) {
	s.log.Warn(ErrReorged.Error(), "size", rec.Size, "tx", rec.Tx, "was", rec.Confirmation.Finality, "block", rec.Confirmation.Block)
	s.update(func(st *SubmitterStatus) {
		st.Reorged++
		if st.SettledHead.Size >= rec.Size {
			st.SettledHead = Head{}
		}
	})
}

// report keeps the outcome of a cycle for Status and logs when a run of errors
// begins, changes or ends.
func (s *Submitter) report(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	var before string
	s.update(func(st *SubmitterStatus) {
		before = st.Err
		st.Err = text
		switch {
		case err == nil:
			st.LastCycle, st.ErrSince = s.cfg.Now(), time.Time{}
		case st.ErrSince.IsZero():
			st.ErrSince = s.cfg.Now()
		}
		st.Halted = errors.Is(err, ErrFork)
	})
	switch {
	case errors.Is(err, ErrFork):
		s.log.Error("anchoring stopped: ledger and log have forked", "err", err)
	case err != nil && text != before:
		s.log.Warn("anchoring held up", "err", err)
	case err == nil && before != "":
		s.log.Info("anchoring goes on")
	}
}

func (s *Submitter) update(f func(*SubmitterStatus)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.status)
}
