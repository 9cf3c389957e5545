package registry

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/ipfs/go-cid"

	"github.com/writ-registry/writ/internal/canon"
)

// FindEvent returns an event and its disclosures to those entitled: principals
// of its org with a role that reads evidence, and operators. Foreign and
// unknown CIDs answer alike.
func (r *Registry) FindEvent(ctx context.Context, c Caller, id string) (Event, []canon.Disclosure, error) {
	if err := checkCID(id); err != nil {
		return Event{}, nil, err
	}
	var ev Event
	var dis []canon.Disclosure
	err := r.Store.View(ctx, func(tx Tx) (err error) {
		if ev, err = tx.EventByCID(id); err != nil {
			return err
		}
		if err := c.sees(ev.Org); err != nil {
			return err
		}
		dis, err = tx.Disclosures(id)
		return err
	})
	if err = hide(err, "event"); err != nil {
		return Event{}, nil, err
	}
	return ev, dis, nil
}

// checkCID refuses all but CIDv1, raw, sha2-256, in base32 lower case.
func checkCID(s string) error {
	c, err := cid.Decode(s)
	if err == nil && (c.Version() != 1 || c.Type() != cid.Raw || c.Prefix().MhType != 0x12 || c.Prefix().MhLength != 32 || c.String() != s) {
		err = fmt.Errorf("want CIDv1, raw, sha2-256, base32")
	}
	if err != nil {
		return &Error{Kind: Malformed, Field: "/cid", Detail: "not the CID of an artifact: " + err.Error(), Err: err}
	}
	return nil
}

// ListEvents lists events of an org that the caller may see, in log order, or
// newest first. An operator may leave the org out and sees all.
func (r *Registry) ListEvents(ctx context.Context, c Caller, orgRef, agentRef string, f EventFilter) ([]Event, error) {
	if f.After != "" {
		if n, err := strconv.ParseUint(f.After, 10, 63); err != nil || strconv.FormatUint(n, 10) != f.After {
			return nil, Invalid("/cursor", "not a cursor of this list")
		}
	}
	if orgRef == "" && c.Operator() {
		return r.listEvents(ctx, c, agentRef, f)
	}
	org, err := r.FindOrg(ctx, c, orgRef)
	if err != nil {
		return nil, err
	}
	if c.Agent != nil {
		if agentRef = cmp.Or(agentRef, c.ID); !c.Agent.named(agentRef) {
			return nil, Errorf(Denied, "an agent lists its own events only")
		}
	} else if err := c.sees(org.ID); err != nil {
		return nil, err
	}
	f.Org = org.ID
	return r.listEvents(ctx, c, agentRef, f)
}

func (r *Registry) listEvents(ctx context.Context, c Caller, agentRef string, f EventFilter) (list []Event, err error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	if agentRef != "" {
		a, err := r.FindAgent(ctx, c, agentRef)
		if err != nil {
			return nil, err
		}
		f.Agent = a.ID
	}
	err = r.Store.View(ctx, func(tx Tx) (err error) { list, err = tx.ListEvents(f); return err })
	return slices.Clip(list), err
}
