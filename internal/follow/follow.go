// Package follow keeps up with the registries on trust lists, so that their grants
// can be verified while they are out of reach, and what they once said cannot be taken
// back: the keys of their DID documents, the newest checkpoints of their logs, the
// status lists and the DIDs of agents that grants shown here name.
//
// What contradicts a pin or an earlier sight is an alarm. It is remembered and recorded,
// and nothing of the issuer (for a forked DID: of the agent) is believed until an owner
// has looked. What merely does not answer grows old: policy refuses what is older than
// the entry of the trust list allows.
//
// All exchanges pass package resolve's fence. Whether an event is in a foreign log is
// the affair of its receipt.
package follow

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/sync/errgroup"

	"github.com/writ-registry/writ/anchor/tlog"
	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/resolve"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/did"
	"github.com/writ-registry/writ/registry/policy"
	"github.com/writ-registry/writ/registry/statuslist"
)

// DefaultInterval is how often an issuer is asked.
const DefaultInterval = 20 * time.Second

// What is asked about here is followed for this long after, the newest first.
const (
	followFor   = time.Hour
	maxAgents   = 1000
	maxStatuses = 256
)

const (
	maxCheckpoint = 64 << 10 // bytes, with the signatures of many witnesses
	maxTile       = 8 << 10  // 256 hashes
	atOnce        = 8        // exchanges of a round
)

// again is how long an answer or failure stands before who is asked about something
// old asks once more.
const again = time.Second

// Config is what a Follower works with. Registry is required.
type Config struct {
	Registry *registry.Registry
	Resolve  resolve.Config // Memory is the follower's own
	Interval time.Duration  // 0 = DefaultInterval
	Now      func() time.Time
	Logger   *slog.Logger
	// Observe, if set, is told after each round how long ago an issuer last answered
	// and whether there is an alarm.
	Observe func(issuer string, age time.Duration, alarm bool)
}

// Follower follows. It is safe for concurrent use.
type Follower struct {
	Config
	resolver *resolve.Resolver
	lists    *otter.Cache[string, *statuslist.Statuses] // verified, by digest of the token

	mu    sync.Mutex
	asked map[string]time.Time // names asked about since the last round
}

var _ policy.Foreign = (*Follower)(nil)

// New makes a Follower.
func New(c Config) *Follower {
	if c.Interval == 0 {
		c.Interval = DefaultInterval
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	c.Resolve.Memory, c.Resolve.Now, c.Resolve.NegativeTTL = memory{c.Registry}, c.Now, again
	return &Follower{
		Config: c, resolver: resolve.New(c.Resolve), asked: map[string]time.Time{},
		lists: otter.Must(&otter.Options[string, *statuslist.Statuses]{MaximumSize: maxStatuses}),
	}
}

// Run makes a round at once and then at every interval, until ctx ends.
func (f *Follower) Run(ctx context.Context) error {
	tick := time.NewTicker(f.Interval)
	defer tick.Stop()
	for {
		if err := f.Round(ctx); err != nil && ctx.Err() == nil {
			f.Logger.Error("follow the trust list", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Round asks every issuer and looks after what was asked about lately. An issuer that
// does not answer is logged and stays as it was.
func (f *Follower) Round(ctx context.Context) error {
	var entries []registry.Trust
	var agents, lists []registry.Followed
	since := f.Now().Add(-followFor)
	err := f.Registry.Store.View(ctx, func(tx registry.Tx) (err error) {
		if entries, err = allTrust(tx); err == nil {
			agents, err = tx.ListFollowed(registry.FollowedAgent, since, maxAgents)
		}
		if err == nil {
			lists, err = tx.ListFollowed(registry.FollowedStatus, since, maxStatuses)
		}
		return err
	})
	if err != nil {
		return err
	}
	byID := map[string]registry.Trust{}
	var round errgroup.Group
	round.SetLimit(atOnce)
	ask := func(what, name string, task func() error) {
		round.Go(func() error {
			if err := task(); err != nil && ctx.Err() == nil {
				f.Logger.Warn("not followed", "what", what, "name", name, "err", err)
			}
			return nil
		})
	}
	for _, t := range entries {
		if !f.Now().Before(t.NotAfter) {
			continue
		}
		byID[t.ID] = t
		ask("issuer", t.Issuer, func() error { return f.issuer(ctx, t) })
	}
	for _, l := range lists {
		if t, ok := byID[l.Trust]; ok {
			ask("status list", l.Name, func() error { _, err := f.status(ctx, t, l.Name, l.Seen); return err })
		}
	}
	for _, a := range agents {
		doc, err := did.ParseDocument([]byte(a.Text))
		if err != nil || a.Alarm != nil {
			continue
		}
		d, err := did.Parse(doc.ID)
		for _, t := range byID {
			if err == nil && t.Vouches(d) {
				ask("agent", doc.ID, func() error { _, err := f.agent(ctx, t, d, a.Seen); return err })
				break
			}
		}
	}
	return errors.Join(round.Wait(), f.observe(ctx, entries))
}

func allTrust(tx registry.Tx) (all []registry.Trust, err error) {
	p := registry.Page{Limit: registry.MaxPage}
	for {
		list, err := tx.ListTrust("", p)
		if err != nil || len(list) == 0 {
			return all, err
		}
		all, p.After = append(all, list...), list[len(list)-1].ID
	}
}

func (f *Follower) observe(ctx context.Context, entries []registry.Trust) error {
	if f.Observe == nil {
		return nil
	}
	return f.Registry.Store.View(ctx, func(tx registry.Tx) error {
		for _, t := range entries {
			seen, err := tx.Followed(t.ID, registry.FollowedIssuer, t.Issuer)
			switch {
			case err == nil:
				f.Observe(t.Issuer, f.Now().Sub(seen.Checked), seen.Alarm != nil)
			case !errors.Is(err, registry.NotFound):
				return err
			}
		}
		return nil
	})
}

// known reads what is followed under a name; the zero value where nothing is.
func (f *Follower) known(ctx context.Context, trust string, kind registry.FollowedKind, name string) (have registry.Followed, err error) {
	err = f.Registry.Store.View(ctx, func(tx registry.Tx) error {
		have, err = tx.Followed(trust, kind, name)
		if errors.Is(err, registry.NotFound) {
			return nil
		}
		return err
	})
	return have, err
}

// seen is when a name was last asked about: before, or since the last round.
func (f *Follower) seen(name string, before time.Time) time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	if at, ok := f.asked[name]; ok {
		delete(f.asked, name)
		return at
	}
	return before
}

func (f *Follower) ask(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.asked[name]; ok || len(f.asked) < 4*maxAgents {
		f.asked[name] = f.Now()
	}
}

// base is where an issuer's resources are, with a final slash.
func base(issuer string) (string, error) {
	d, err := did.Parse(issuer)
	if err != nil {
		return "", err
	}
	at, err := d.URL()
	return strings.TrimSuffix(strings.TrimSuffix(at, "did.json"), ".well-known/"), err
}

// issuer compares the keys and the newest checkpoint of an issuer with what is pinned
// and what was seen.
func (f *Follower) issuer(ctx context.Context, t registry.Trust) error {
	have, err := f.known(ctx, t.ID, registry.FollowedIssuer, t.Issuer)
	if err != nil || have.Alarm != nil {
		return err
	}
	if err := f.issuerKeys(ctx, t); err != nil {
		return err
	}
	at, err := base(t.Issuer)
	if err != nil {
		return err
	}
	signed, err := f.resolver.Fetch(ctx, at+"log/checkpoint", "text/plain", maxCheckpoint)
	if err != nil {
		return err
	}
	head, err := f.checkpoint(ctx, t, at, have.Text, signed)
	if err != nil {
		return err
	}
	now := f.Now()
	return f.Registry.Follow(ctx, []registry.Followed{{
		Trust: t.ID, Kind: registry.FollowedIssuer, Name: t.Issuer, Text: string(signed), Number: head.Size, Checked: now, Seen: now,
	}})
}

// issuerKeys: every key that the DID document lets sign is pinned.
func (f *Follower) issuerKeys(ctx context.Context, t registry.Trust) error {
	fresh := again
	res, err := f.resolver.Resolve(ctx, t.Issuer, resolve.Options{MaxAge: &fresh})
	if err != nil {
		return err
	}
	doc, err := did.ParseDocument(res.Document)
	if err != nil {
		return err
	}
	pinned := map[string]bool{}
	for _, k := range t.TokenKeys {
		pinned[k] = true
	}
	if len(doc.AssertionMethod) == 0 {
		return errors.New("its DID document names no key")
	}
	for _, id := range doc.AssertionMethod {
		if k, ok := doc.Key(id); !ok || !pinned[k.Multikey()] {
			return f.alarm(ctx, t, registry.FollowedIssuer, t.Issuer, registry.AlarmKey, "its DID document names "+id, res.Document)
		}
	}
	return nil
}

// alarm raises one and returns it as the error of the task.
func (f *Follower) alarm(ctx context.Context, t registry.Trust, kind registry.FollowedKind, name string, code registry.AlarmCode, detail string, evidence []byte) error {
	f.Logger.Error("an issuer contradicts itself or its pins", "issuer", t.Issuer, "org", t.Org, "subject", name, "code", code, "detail", detail)
	subject, err := did.Parse(name)
	if err == nil {
		err = f.Registry.RaiseAlarm(ctx, t.ID, kind, subject, code, detail, canon.Digest(evidence))
	}
	return errors.Join(fmt.Errorf("alarm %s: %s", code, detail), err)
}

// checkpoint verifies a checkpoint with the pinned key and its consistency with the
// one before ("" = none).
func (f *Follower) checkpoint(ctx context.Context, t registry.Trust, at, before string, signed []byte) (tlog.Checkpoint, error) {
	key, err := note.NewVerifier(t.LogKey)
	if err != nil {
		return tlog.Checkpoint{}, err
	}
	alarm := func(code registry.AlarmCode, detail string) (tlog.Checkpoint, error) {
		return tlog.Checkpoint{}, f.alarm(ctx, t, registry.FollowedIssuer, t.Issuer, code, detail, signed)
	}
	head, err := tlog.OpenCheckpoint(signed, key.Name(), key)
	if errors.Is(err, tlog.ErrProof) {
		return alarm(registry.AlarmLogKey, "the pinned key did not sign its checkpoint")
	}
	if err != nil || before == "" {
		return head, err
	}
	last, err := tlog.OpenCheckpoint([]byte(before), key.Name(), key)
	switch {
	case err != nil:
		return head, fmt.Errorf("the checkpoint before: %w", err)
	case head.Size < last.Size:
		return alarm(registry.AlarmLogShrunk, fmt.Sprintf("its log has %d entries and had %d", head.Size, last.Size))
	case head.Size == last.Size && head.Root != last.Root:
		return alarm(registry.AlarmLogFork, fmt.Sprintf("two logs of %d entries", head.Size))
	case head.Size == last.Size || last.Size == 0:
		return head, nil
	}
	// Twice, and from the tiles anew: one wrong tile on the way is no fork.
	for range 2 {
		tiles := &tiles{follower: f, base: at, size: head.Size}
		proof, perr := tlog.ConsistencyProof(ctx, tiles, last.Size, head.Size)
		if perr != nil {
			return head, perr
		}
		if err = tlog.VerifyConsistency(last.Size, head.Size, last.Root, head.Root, proof); err == nil {
			return head, nil
		}
	}
	return alarm(registry.AlarmLogFork, fmt.Sprintf("its log of %d entries does not continue that of %d: %v", head.Size, last.Size, err))
}

// tiles reads a foreign log of a size (C2SP tlog-tiles).
type tiles struct {
	follower *Follower
	base     string
	size     uint64
}

// HashTile implements tlog.Reader.
func (r *tiles) HashTile(ctx context.Context, level int, index uint64) ([]byte, error) {
	width := min(r.size>>(8*level)-min(r.size>>(8*level), index*256), 256)
	if width == 0 {
		return nil, tlog.ErrMissing
	}
	return r.follower.resolver.Fetch(ctx, r.base+"log/"+tlog.TilePath(level, index, int(width)), "application/octet-stream", maxTile)
}

// EntryBundle implements tlog.Reader. A proof of consistency needs none.
func (r *tiles) EntryBundle(context.Context, uint64) ([]byte, error) { return nil, tlog.ErrMissing }

// Status implements policy.Foreign.
func (f *Follower) Status(ctx context.Context, t registry.Trust, uri string) (policy.ForeignStatus, error) {
	have, err := f.known(ctx, t.ID, registry.FollowedStatus, uri)
	if err != nil {
		return policy.ForeignStatus{}, err
	}
	f.ask(uri)
	if f.old(t, have.Checked) {
		if newer, err := f.status(ctx, t, uri, f.Now()); err == nil {
			have = newer
		}
	}
	if have.Text == "" {
		return policy.ForeignStatus{}, errors.New("the status list was never seen")
	}
	list, err := f.verified(t, uri, have.Text)
	return policy.ForeignStatus{Statuses: list, Checked: have.Checked}, err
}

// old reports whether something is older than the entry allows.
func (f *Follower) old(t registry.Trust, checked time.Time) bool {
	return f.Now().Sub(checked) > time.Duration(t.MaxAge)*time.Second
}

// status fetches a status list. One that was signed before the one that is known is
// refused.
func (f *Follower) status(ctx context.Context, t registry.Trust, uri string, seen time.Time) (registry.Followed, error) {
	issuer, err := did.Parse(t.Issuer)
	if err != nil || !policy.OnHost(issuer, uri) {
		return registry.Followed{}, errors.New("the status list is not at the issuer's origin")
	}
	raw, err := f.resolver.Fetch(ctx, uri, statuslist.MediaType, statuslist.MaxToken)
	if err != nil {
		return registry.Followed{}, err
	}
	raw = bytes.TrimSpace(raw)
	if _, err := f.verified(t, uri, string(raw)); err != nil {
		return registry.Followed{}, err
	}
	token, err := statuslist.Parse(string(raw))
	if err != nil {
		return registry.Followed{}, err
	}
	have, err := f.known(ctx, t.ID, registry.FollowedStatus, uri)
	if err == nil && uint64(token.Claims().IssuedAt) < have.Number {
		err = errors.New("the status list is older than the one before")
	}
	if err != nil {
		return registry.Followed{}, err
	}
	next := registry.Followed{
		Trust: t.ID, Kind: registry.FollowedStatus, Name: uri, Text: string(raw), Number: uint64(token.Claims().IssuedAt),
		Checked: f.Now(), Seen: f.seen(uri, seen),
	}
	return next, f.Registry.Follow(ctx, []registry.Followed{next})
}

// verified verifies a status list token by the pinned keys, once for its bytes; its
// exp is looked at when it comes.
func (f *Follower) verified(t registry.Trust, uri, raw string) (*statuslist.Statuses, error) {
	name := t.ID + " " + uri + " " + canon.Digest([]byte(raw))
	if list, ok := f.lists.GetIfPresent(name); ok {
		return list, nil
	}
	token, err := statuslist.Parse(raw)
	if err != nil {
		return nil, err
	}
	keys, err := t.Keys()
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		var list *statuslist.Statuses
		if list, err = token.Verify(statuslist.Check{Key: k, URI: uri, Now: f.Now()}); err == nil {
			f.lists.Set(name, list)
			return list, nil
		}
	}
	return nil, err
}
