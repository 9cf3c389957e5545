package journal

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/registry"
)

// Envelope is what every artifact is: who, what, where in which sequence.
// docs/schemas holds its JSON Schema, one per type.
type Envelope struct {
	V      int             `json:"v"` // registry.EnvelopeVersion
	Type   string          `json:"type"`
	Org    string          `json:"org"`
	Agent  string          `json:"agent,omitempty"`
	Log    string          `json:"log"`            // origin line
	Seq    uint64          `json:"seq,omitempty"`  // in the agent's sequence, from 1
	OrgSeq uint64          `json:"org_seq"`        // in the org's sequence, from 1
	Prev   string          `json:"prev,omitempty"` // CID of the org's previous event; none at org_seq 1
	Time   string          `json:"time"`           // registry.TimeFormat
	Actor  registry.Actor  `json:"actor"`
	Trace  string          `json:"trace"` // W3C trace-id
	Nonce  string          `json:"nonce"` // 256 random bits: without them a public CID could be guessed
	Body   json.RawMessage `json:"body"`
}

// CID is CIDv1, raw (0x55), sha2-256 of the bytes.
func CID(artifact []byte) cid.Cid {
	sum := sha256.Sum256(artifact)
	mh, err := multihash.Encode(sum[:], multihash.SHA2_256)
	if err != nil {
		panic(err) // a fixed, known hash function
	}
	return cid.NewCidV1(cid.Raw, mh)
}

// canonical is the RFC 8785 form of the envelope: canon.Marshal's, without its
// passes over a body that is canonical already.
func (e Envelope) canonical() []byte {
	b := make([]byte, 0, len(e.Body)+640)
	b = appendMember(b, `{"actor":{"id":`, e.Actor.ID)
	b = appendMember(b, `,"kind":`, string(e.Actor.Kind))
	b = append(b, '}')
	if e.Agent != "" {
		b = appendMember(b, `,"agent":`, e.Agent)
	}
	b = append(append(b, `,"body":`...), e.Body...)
	b = appendMember(b, `,"log":`, e.Log)
	b = appendMember(b, `,"nonce":`, e.Nonce)
	b = appendMember(b, `,"org":`, e.Org)
	b = strconv.AppendUint(append(b, `,"org_seq":`...), e.OrgSeq, 10)
	if e.Prev != "" {
		b = appendMember(b, `,"prev":`, e.Prev)
	}
	if e.Seq != 0 {
		b = strconv.AppendUint(append(b, `,"seq":`...), e.Seq, 10)
	}
	b = appendMember(b, `,"time":`, e.Time)
	b = appendMember(b, `,"trace":`, e.Trace)
	b = appendMember(b, `,"type":`, e.Type)
	return append(strconv.AppendInt(append(b, `,"v":`...), int64(e.V), 10), '}')
}

// appendMember appends a member whose value is a string.
func appendMember(b []byte, name, s string) []byte {
	return canon.AppendString(append(b, name...), s)
}

// sequence gives an event its place, makes its artifact and writes it.
func (b *run) sequence(d registry.EventDraft) (registry.EventRef, error) {
	body, sealed := d.Body.(registry.Body)
	if !sealed {
		var err error
		if body, err = registry.SealBody(d.Body); err != nil {
			return registry.EventRef{}, fmt.Errorf("body of %s: %w", d.Type, err)
		}
	}
	org, err := b.chain(d.Org, "")
	if err != nil {
		return registry.EventRef{}, err
	}
	env := Envelope{
		V: registry.EnvelopeVersion, Type: d.Type, Org: d.Org, Agent: d.Agent, Log: b.j.Log,
		OrgSeq: org.Seq + 1, Prev: org.CID, Time: b.head.Time.Format(registry.TimeFormat),
		Actor: d.Actor, Trace: d.Trace, Nonce: canon.Nonce(32), Body: json.RawMessage(body),
	}
	if d.Agent != "" {
		agent, err := b.chain("", d.Agent)
		if err != nil {
			return registry.EventRef{}, err
		}
		env.Seq = agent.Seq + 1
	}
	artifact := env.canonical()
	id := CID(artifact)
	ev := registry.Event{
		CID: id.String(), Log: b.j.Log, Index: b.head.Size + uint64(len(b.entries)), Org: d.Org, OrgSeq: env.OrgSeq,
		Agent: d.Agent, Seq: env.Seq, Type: d.Type, Time: b.head.Time, Artifact: artifact,
	}
	if err := b.tx.InsertEvent(ev, d.Disclosures); err != nil {
		return registry.EventRef{}, fmt.Errorf("write event: %w", err)
	}
	b.mine[chainOf(d.Org, "")] = Link{ev.OrgSeq, ev.CID}
	if d.Agent != "" {
		b.mine[chainOf("", d.Agent)] = Link{ev.Seq, ev.CID}
	}
	b.entries = append(b.entries, id.Bytes())
	return registry.EventRef{CID: ev.CID, Index: ev.Index, OrgSeq: ev.OrgSeq, Seq: ev.Seq, Time: ev.Time}, nil
}

func chainOf(org, agent string) string {
	if agent != "" {
		return "agent:" + agent
	}
	return "org:" + org
}

// chain is the last event of an org's sequence, or of an agent's, this batch
// included.
func (b *run) chain(org, agent string) (Link, error) {
	scope := chainOf(org, agent)
	for _, known := range []map[string]Link{b.mine, b.chains, b.edge.chains} {
		if l, ok := known[scope]; ok {
			return l, nil
		}
	}
	l, err := b.tx.Chain(org, agent)
	if err == nil {
		b.edge.chains[scope] = l
	}
	return l, err
}
