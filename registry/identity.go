package registry

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/writ-registry/writ/registry/did"
)

// Identity is a DID of an agent as anyone may resolve it (DID Resolution 1.0 section 4).
// It is shared between callers: nothing in it may be changed.
type Identity struct {
	Document json.RawMessage // nil if the DID is deactivated and no older version was asked for
	Metadata did.Metadata
	Entries  int // of the log that says so: the same DID and version with as many are the same
}

// Hosts reports whether a DID is one of this registry's host. None of those is anybody
// else's to answer for.
func (r *Registry) Hosts(d did.DID) bool {
	own, err := did.Parse(r.DID)
	return err == nil && d.Host() == own.Host()
}

// ResolveDID resolves a DID of an agent: its did:webvh, also at a place it has moved
// from, or the parallel did:web, which knows no versions. What it says is as new as the
// newest known Moment. Errors: NotFound if it is no agent's, or has no such version.
func (r *Registry) ResolveDID(ctx context.Context, d did.DID, q did.VersionQuery) (Identity, error) {
	id, err := r.identity(ctx, d)
	if err != nil {
		return Identity{}, err
	}
	if d.Method() == did.MethodWeb {
		if q != (did.VersionQuery{}) {
			return Identity{}, Errorf(NotFound, "did:web knows no versions; the agent's did:webvh does")
		}
		m := id.log.Metadata(id.log.Current())
		return Identity{id.web, did.Metadata{Created: m.Created, Updated: m.Updated, Deactivated: m.Deactivated}, len(id.log.Versions)}, nil
	}
	doc, m, ok := id.log.Resolve(q)
	if !ok {
		return Identity{}, Errorf(NotFound, "the DID has no such version")
	}
	if d != id.log.DID {
		m.CanonicalID = id.log.DID.String()
	}
	return Identity{doc, m, len(id.log.Versions)}, nil
}

// WebDocument returns the did:web document of an agent by its id, for anyone. Errors:
// NotFound; Revoked once its DID is deactivated.
func (r *Registry) WebDocument(ctx context.Context, id string) (json.RawMessage, error) {
	if err := checkID("/id", id); err != nil {
		return nil, err
	}
	var a Agent
	if err := r.Store.View(ctx, func(tx Tx) (err error) { a, err = tx.Agent(id); return err }); err != nil {
		return nil, hide(err, "agent")
	}
	web, err := did.Parse(a.WebDID)
	if err != nil {
		return nil, err
	}
	found, err := r.ResolveDID(ctx, web, did.VersionQuery{})
	if err == nil && found.Document == nil {
		err = Errorf(Revoked, "the DID is deactivated, for good")
	}
	return found.Document, err
}

// identity is a verified DID log.
type identity struct {
	log       did.Resolution
	web       json.RawMessage // the parallel document, where a did:web was asked for
	size      int             // bytes of the log
	authority uint64          // Moment.Authority at which the log was as it is here
}

const (
	identityAge   = 500 * time.Millisecond // how old a Moment may be that an identity is compared with
	identityBytes = 64 << 20               // of logs that are kept
)

func newIdentities() *otter.Cache[string, *identity] {
	return otter.Must(&otter.Options[string, *identity]{
		MaximumWeight: identityBytes,
		// What is parsed takes about as much again.
		Weigher: func(_ string, i *identity) uint32 { return uint32(2*i.size + 1024) },
	})
}

// identity returns the log of d from memory while no authority has moved since it was
// read, as whatever appends to a log moves an epoch. Where authority moved, the log's
// length tells whether it is still the same: entries are never changed.
func (r *Registry) identity(ctx context.Context, d did.DID) (*identity, error) {
	old, known := r.identities.GetIfPresent(d.String())
	if known {
		m, err := r.Store.Moment(ctx, identityAge)
		if err != nil {
			return nil, err
		}
		if m.Authority == old.authority {
			return old, nil
		}
	}
	var lines []string
	var now Moment
	err := r.Store.View(ctx, func(tx Tx) (err error) {
		if now, err = tx.Moment(); err != nil {
			return err
		}
		a, err := tx.AgentByDID(d.String())
		if err != nil {
			return err
		}
		if known {
			if n, err := tx.CountDIDEntries(a.ID); err != nil || n == len(old.log.Versions) {
				return err
			}
		}
		lines, err = tx.DIDLog(a.ID)
		return err
	})
	if errors.Is(err, NotFound) {
		return nil, Errorf(NotFound, "no agent has this DID")
	}
	if err != nil {
		return nil, err
	}
	var id *identity
	if lines == nil { // the same
		same := *old
		id = &same
	} else if id, err = r.readIdentity(d, lines); err != nil {
		return nil, err
	}
	id.authority = now.Authority
	r.identities.Set(d.String(), id)
	return id, nil
}

// readIdentity verifies a log and that it speaks of d.
func (r *Registry) readIdentity(d did.DID, lines []string) (*identity, error) {
	text := []byte(strings.Join(lines, "\n") + "\n")
	log, err := did.VerifyLog(text, r.now().Add(time.Minute)) // as didLog
	if err != nil {
		return nil, err
	}
	id := &identity{log: log, size: len(text)}
	if d.Method() != did.MethodWeb {
		if !log.Knows(d) {
			return nil, Errorf(NotFound, "the agent's DID log does not know this DID")
		}
		return id, nil
	}
	if web, err := log.DID.ParallelWeb(); err != nil || web != d {
		return nil, Errorf(NotFound, "the agent is not at this place any more")
	}
	if log.Deactivated {
		return id, nil
	}
	doc, err := did.ParseDocument(log.Current().Document)
	if err == nil {
		doc, err = did.ParallelWeb(doc)
	}
	if err == nil {
		id.web, err = doc.Canonical()
	}
	return id, err
}
