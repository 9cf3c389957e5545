package journal

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"

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

// sequence gives an event its place, makes its artifact and writes it.
func (b *run) sequence(d registry.EventDraft) (registry.EventRef, error) {
	body, err := json.Marshal(d.Body)
	if err != nil {
		return registry.EventRef{}, fmt.Errorf("encode body of %s: %w", d.Type, err)
	}
	org, err := b.chain("org:" + d.Org)
	if err != nil {
		return registry.EventRef{}, err
	}
	env := Envelope{
		V: registry.EnvelopeVersion, Type: d.Type, Org: d.Org, Agent: d.Agent, Log: b.j.Log,
		OrgSeq: org.Seq + 1, Prev: org.CID, Time: b.head.Time.Format(registry.TimeFormat),
		Actor: d.Actor, Trace: d.Trace, Nonce: canon.Nonce(32), Body: body,
	}
	if d.Agent != "" {
		agent, err := b.chain("agent:" + d.Agent)
		if err != nil {
			return registry.EventRef{}, err
		}
		env.Seq = agent.Seq + 1
	}
	artifact, err := canon.Marshal(env)
	if err != nil {
		return registry.EventRef{}, fmt.Errorf("canonical form of %s: %w", d.Type, err)
	}
	if err := canon.CheckArtifact(artifact); err != nil {
		return registry.EventRef{}, fmt.Errorf("artifact of %s: %w", d.Type, err)
	}
	id := CID(artifact)
	ev := registry.Event{
		CID: id.String(), Log: b.j.Log, Index: b.head.Size + uint64(len(b.entries)), Org: d.Org, OrgSeq: env.OrgSeq,
		Agent: d.Agent, Seq: env.Seq, Type: d.Type, Time: b.head.Time, Artifact: artifact,
	}
	if err := b.tx.InsertEvent(ev, d.Disclosures); err != nil {
		return registry.EventRef{}, fmt.Errorf("write event: %w", err)
	}
	b.mine["org:"+d.Org] = Link{ev.OrgSeq, ev.CID}
	if d.Agent != "" {
		b.mine["agent:"+d.Agent] = Link{ev.Seq, ev.CID}
	}
	b.entries = append(b.entries, id.Bytes())
	return registry.EventRef{CID: ev.CID, Index: ev.Index, OrgSeq: ev.OrgSeq, Seq: ev.Seq, Time: ev.Time}, nil
}

// chain is the last event of a sequence, this batch included.
func (b *run) chain(scope string) (Link, error) {
	if l, ok := b.mine[scope]; ok {
		return l, nil
	}
	if l, ok := b.chains[scope]; ok {
		return l, nil
	}
	return b.tx.Chain(scope)
}
