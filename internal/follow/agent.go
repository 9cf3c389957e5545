package follow

import (
	"context"
	"errors"
	"time"

	"github.com/writ-registry/writ/internal/resolve"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/did"
	"github.com/writ-registry/writ/registry/policy"
)

// deactivated stands for the document of a DID that has ended.
const deactivated = "deactivated"

// Agent implements policy.Foreign.
func (f *Follower) Agent(ctx context.Context, t registry.Trust, d did.DID) (policy.ForeignAgent, error) {
	have, err := f.known(ctx, "", registry.FollowedAgent, d.SCID())
	if err != nil {
		return policy.ForeignAgent{}, err
	}
	f.ask(d.SCID())
	if have.Alarm == nil && (have.Text == "" || f.old(t, have.Checked)) {
		newer, err := f.agent(ctx, t, d, f.Now())
		if err == nil {
			have = newer
		} else if have, err = f.known(ctx, "", registry.FollowedAgent, d.SCID()); err != nil { // there may be an alarm now
			return policy.ForeignAgent{}, err
		}
	}
	out := policy.ForeignAgent{Checked: have.Checked, Alarm: have.Alarm, Deactivated: have.Text == deactivated}
	switch {
	case have.Alarm != nil || out.Deactivated:
		return out, nil
	case have.Text == "":
		return out, errors.New("the DID was never seen")
	}
	out.Document, err = did.ParseDocument([]byte(have.Text))
	return out, err
}

// agent resolves a DID anew. A log that is another one than was seen is an alarm; a
// shorter one is refused, and what was seen of it grows old.
func (f *Follower) agent(ctx context.Context, t registry.Trust, d did.DID, seen time.Time) (registry.Followed, error) {
	fresh := again
	res, err := f.resolver.Resolve(ctx, d.String(), resolve.Options{MaxAge: &fresh})
	if errors.Is(err, resolve.Forked) {
		return registry.Followed{}, f.alarm(ctx, t, registry.FollowedAgent, d.String(), registry.AlarmDIDFork, "its DID log is another one than was seen", []byte(err.Error()))
	}
	if err != nil {
		return registry.Followed{}, err
	}
	if res.Log == nil {
		return registry.Followed{}, errors.New("the DID has no log")
	}
	next := registry.Followed{
		Kind: registry.FollowedAgent, Name: d.SCID(), Text: string(res.Document), Number: uint64(len(res.Log.Versions)),
		Version: res.Log.Current().ID, Checked: res.Fetched, Seen: f.seen(d.SCID(), seen),
	}
	if res.Log.Deactivated {
		next.Text = deactivated
	}
	return next, f.Registry.Follow(ctx, []registry.Followed{next})
}

// memory is resolve.Memory in the database.
type memory struct{ registry *registry.Registry }

// Highest implements resolve.Memory.
func (m memory) Highest(ctx context.Context, scid string) (versionID string, entries int, ok bool, err error) {
	err = m.registry.Store.View(ctx, func(tx registry.Tx) error {
		have, err := tx.Followed("", registry.FollowedAgent, scid)
		if errors.Is(err, registry.NotFound) {
			return nil
		}
		versionID, entries, ok = have.Version, int(have.Number), err == nil && have.Version != ""
		return err
	})
	return versionID, entries, ok, err
}

// Remember implements resolve.Memory. What the log says is kept with it by
// Follower.agent; a crash in between leaves a version without a text, which counts as
// never checked.
func (m memory) Remember(ctx context.Context, scid, versionID string, entries int) error {
	return m.registry.Follow(ctx, []registry.Followed{{Kind: registry.FollowedAgent, Name: scid, Version: versionID, Number: uint64(entries)}})
}
