package follow_test

import (
	"context"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/writ-registry/writ/internal/follow"
	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/internal/resolve"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/did"
	"github.com/writ-registry/writ/registry/registrytest"
)

// TestAgentHistory: an agent's DID log that grew is taken, a shorter one leaves what was
// seen to grow old, and another one ends all belief in the agent, for good.
func TestAgentHistory(t *testing.T) {
	var served atomic.Pointer[[]byte]
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(*served.Load()) }))
	t.Cleanup(srv.Close)
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	h := registrytest.New(t)
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate()) // it is for example.com
	f := follow.New(follow.Config{Registry: h.Registry, Now: h.Clock.Now, Resolve: resolve.Config{
		RootCAs: roots, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Lookup: func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
		},
	}})
	entry := h.Trust(t, "did:web:example.com%3A"+u.Port())

	next := registrytest.Key(22)
	genesis, err := did.Genesis(did.GenesisParams{
		Origin: "https://example.com:" + u.Port(), Path: []string{"agents", "a"}, Time: h.Clock.Now(),
		Signer: registrytest.Key(21), NextKeys: []jose.PublicKey{next.Public()}, Keys: []jose.PublicKey{registrytest.Key(23).Public()},
	})
	if err != nil {
		t.Fatal(err)
	}
	second := func(n byte) []byte {
		e, err := did.Update(genesis.Line, did.UpdateParams{Time: h.Clock.Now().Add(time.Second), Signer: next, NextKeys: []jose.PublicKey{registrytest.Key(24).Public()}, Keys: []jose.PublicKey{registrytest.Key(n).Public()}})
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
		h.Clock.Add(2 * time.Minute) // what was seen is too old
		served.Store(&step.log)
		a, err := f.Agent(t.Context(), entry, genesis.DID)
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if fresh := h.Clock.Now().Sub(a.Checked) < time.Minute; fresh != step.fresh && step.alarm == "" {
			t.Errorf("%s: checked %s, now %s", step.name, a.Checked, h.Clock.Now())
		}
		if (a.Alarm != nil) != (step.alarm != "") || a.Alarm != nil && a.Alarm.Code != step.alarm {
			t.Errorf("%s: alarm %+v", step.name, a.Alarm)
		}
	}
}
