package follow_test

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/writ-registry/writ/anchor/tlog"
	"github.com/writ-registry/writ/internal/follow"
	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/internal/resolve"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/capability"
	"github.com/writ-registry/writ/registry/did"
	"github.com/writ-registry/writ/registry/policy"
	"github.com/writ-registry/writ/registry/registrytest"
)

// abroad is a follower, and the host of an issuer that it asks over HTTPS.
type abroad struct {
	*registrytest.House
	follower       *follow.Follower
	origin, issuer string
	served         atomic.Pointer[map[string][]byte] // by path
}

func newAbroad(t *testing.T) *abroad {
	t.Helper()
	w := &abroad{House: registrytest.New(t)}
	srv := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, ok := (*w.served.Load())[r.URL.Path]
		if !ok {
			http.NotFound(rw, r)
			return
		}
		_, _ = rw.Write(body)
	}))
	t.Cleanup(srv.Close)
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate()) // it is for example.com
	w.origin, w.issuer = "https://example.com:"+u.Port(), "did:web:example.com%3A"+u.Port()
	w.follower = follow.New(follow.Config{Registry: w.Registry, Now: w.Clock.Now, Logger: slog.New(slog.DiscardHandler), Resolve: resolve.Config{
		RootCAs: roots, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Lookup: func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
		},
	}})
	return w
}

// serve has the host answer so, by path, and with nothing else.
func (w *abroad) serve(pages map[string][]byte) { w.served.Store(&pages) }

// TestAgentHistory: an agent's DID log that grew is taken, a shorter one leaves what was
// seen to grow old, and another one ends all belief in the agent, for good.
func TestAgentHistory(t *testing.T) {
	w := newAbroad(t)
	f, entry := w.follower, w.Trust(t, w.issuer)

	next := registrytest.Key(22)
	genesis, err := did.Genesis(did.GenesisParams{
		Origin: w.origin, Path: []string{"agents", "a"}, Time: w.Clock.Now(),
		Signer: registrytest.Key(21), NextKeys: []jose.PublicKey{next.Public()}, Keys: []jose.PublicKey{registrytest.Key(23).Public()},
	})
	if err != nil {
		t.Fatal(err)
	}
	second := func(n byte) []byte {
		e, err := did.Update(genesis.Line, did.UpdateParams{Time: w.Clock.Now().Add(time.Second), Signer: next, NextKeys: []jose.PublicKey{registrytest.Key(24).Public()}, Keys: []jose.PublicKey{registrytest.Key(n).Public()}})
		if err != nil {
			t.Fatal(err)
		}
		return append(append([]byte{}, genesis.Line...), e.Line...)
	}
	for _, step := range []struct {
		name  string
		log   []byte
		fresh bool
		alarm registry.AlarmCode
	}{
		{"first sight", genesis.Line, true, ""},
		{"grown", second(25), true, ""},
		{"truncated", genesis.Line, false, ""},
		{"whole again", second(25), true, ""},
		{"forked", second(26), false, registry.AlarmDIDFork},
		{"whole once more", second(25), false, registry.AlarmDIDFork},
	} {
		w.Clock.Add(2 * time.Minute) // what was seen is too old
		w.serve(map[string][]byte{"/agents/a/did.jsonl": step.log})
		a, err := f.Agent(t.Context(), entry, genesis.DID)
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if fresh := w.Clock.Now().Sub(a.Checked) < time.Minute; fresh != step.fresh && step.alarm == "" {
			t.Errorf("%s: checked %s, now %s", step.name, a.Checked, w.Clock.Now())
		}
		if (a.Alarm != nil) != (step.alarm != "") || a.Alarm != nil && a.Alarm.Code != step.alarm {
			t.Errorf("%s: alarm %+v", step.name, a.Alarm)
		}
	}
}

// empty is a log without entries.
type empty struct{}

func (empty) HashTile(context.Context, int, uint64) ([]byte, error) { return nil, tlog.ErrMissing }
func (empty) EntryBundle(context.Context, uint64) ([]byte, error)   { return nil, tlog.ErrMissing }

// history is what an issuer publishes of a log of these entries, below 257.
func (w *abroad) history(t *testing.T, signer note.Signer, key jose.PublicKey, entries ...string) map[string][]byte {
	t.Helper()
	raw := make([][]byte, len(entries))
	for i, e := range entries {
		raw[i] = []byte(e)
	}
	log, err := tlog.Append(t.Context(), empty{}, 0, raw)
	if err != nil {
		t.Fatal(err)
	}
	signed, err1 := tlog.SignCheckpoint(tlog.Checkpoint{Origin: logOrigin, Size: uint64(len(entries)), Root: log.Root}, signer)
	document, err2 := did.Document{
		Context: did.Strings{did.ContextDID}, ID: w.issuer, AssertionMethod: []string{w.issuer + "#k"},
		VerificationMethod: []did.VerificationMethod{{ID: w.issuer + "#k", Type: "Multikey", Controller: w.issuer, PublicKeyMultibase: key.Multikey()}},
	}.Canonical()
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	pages := map[string][]byte{"/.well-known/did.json": document, "/log/checkpoint": signed}
	for _, tile := range log.Tiles {
		pages["/log/"+tlog.TilePath(tile.Level, tile.Index, len(tile.Data)/tlog.HashSize)] = tile.Data
	}
	return pages
}

const logOrigin = "example.com/log"

// TestLogHistory: an issuer whose log grew is believed, and one that shows another past,
// or less of it, or signs by another key, is not: its grants are refused from then on,
// also when the true log is back. Nothing it fails to show is held against it.
func TestLogHistory(t *testing.T) {
	skey, vkey, err1 := note.GenerateKey(rand.Reader, logOrigin)
	signer, err2 := note.NewSigner(skey)
	mole, _, err3 := note.GenerateKey(rand.Reader, logOrigin)
	stranger, err4 := note.NewSigner(mole)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	key := registrytest.Key(40)
	for name, c := range map[string]struct {
		signer  note.Signer
		entries []string // after a, b, c
		without string   // what is missing
		alarm   registry.AlarmCode
		size    uint64 // followed in the end
	}{
		"the same":            {signer: signer, entries: []string{"a", "b", "c"}, size: 3},
		"grown":               {signer: signer, entries: []string{"a", "b", "c", "d", "e"}, size: 5},
		"grown, no tile":      {signer: signer, entries: []string{"a", "b", "c", "d", "e"}, without: "/log/tile/0/000.p/5", size: 3},
		"grown, another past": {signer: signer, entries: []string{"a", "x", "c", "d", "e"}, alarm: registry.AlarmLogFork, size: 3},
		"another of one size": {signer: signer, entries: []string{"a", "b", "x"}, alarm: registry.AlarmLogFork, size: 3},
		"shrunk":              {signer: signer, entries: []string{"a", "b"}, alarm: registry.AlarmLogShrunk, size: 3},
		"empty":               {signer: signer, alarm: registry.AlarmLogShrunk, size: 3},
		"another key":         {signer: stranger, entries: []string{"a", "b", "c", "d"}, alarm: registry.AlarmLogKey, size: 3},
		"no checkpoint":       {signer: signer, without: "/log/checkpoint", size: 3},
	} {
		t.Run(name, func(t *testing.T) {
			w := newAbroad(t)
			w.PDP.Foreign = w.follower
			entry := w.Trust(t, w.issuer, func(n *registry.NewTrust) {
				n.TokenKeys, n.LogKey = []string{key.Public().Multikey()}, vkey
			})
			honest := w.history(t, signer, key.Public(), "a", "b", "c")
			round := func(pages map[string][]byte) registry.TrustStanding {
				t.Helper()
				w.Clock.Add(time.Minute)
				w.serve(pages)
				if err := w.follower.Round(t.Context()); err != nil {
					t.Fatal(err)
				}
				e, err := w.FindTrust(t.Context(), w.Operator, entry.ID)
				if err != nil || e.Standing == nil {
					t.Fatalf("%+v, %v", e, err)
				}
				return *e.Standing
			}
			if s := round(honest); s.Alarm != nil || s.Size != 3 || w.alarmed(t, key) {
				t.Fatalf("at first: %+v", s)
			}
			then := w.history(t, c.signer, key.Public(), c.entries...)
			delete(then, c.without)
			for _, pages := range []map[string][]byte{then, honest} {
				s := round(pages)
				if (s.Alarm != nil) != (c.alarm != "") || s.Alarm != nil && s.Alarm.Code != c.alarm {
					t.Fatalf("alarm %+v, want %q", s.Alarm, c.alarm)
				}
				if got := w.alarmed(t, key); got != (c.alarm != "") {
					t.Errorf("a grant is refused for it: %t", got)
				}
				if s.Size != c.size {
					t.Errorf("followed to %d entries, want %d", s.Size, c.size)
				}
				if c.size > 3 {
					break // its honest past would be a shrunk log now
				}
			}
		})
	}
}

// alarmed reports whether a grant of the issuer is refused because of an alarm.
func (w *abroad) alarmed(t *testing.T, key *jose.PrivateKey) bool {
	t.Helper()
	now := w.Clock.Now()
	grant, err := capability.IssueGrant(key, w.issuer+"#k", capability.GrantClaims{
		Issuer: w.issuer, Audience: []string{"https://erp.example"}, Subject: "did:example:a", ClientID: "a", IssuedAt: now.Unix(), NotBefore: now.Unix(),
		Expires: now.Add(time.Hour).Unix(), ID: capability.NewJTI(), Confirmation: capability.Confirmation{JWK: key.Public().JWK()},
		Capabilities: capability.MustParse("read:invoices"), Actor: capability.Actor{Subject: "p"}, Org: "o",
	})
	if err != nil {
		t.Fatal(err)
	}
	act := capability.Act{Action: "read", Resource: capability.Resource{Type: "invoices", ID: "7"}}
	v, err := w.PDP.Verify(t.Context(), w.PEPCall(t).Caller, policy.Request{SubjectType: "agent", Subject: "did:example:a", Act: act, Token: capability.Tokens{grant}})
	if err != nil || v.Active {
		t.Fatalf("%+v, %v", v, err)
	}
	return v.Reasons[0].Code == policy.IssuerAlarmed
}
