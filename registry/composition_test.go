package registry_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/capability"
	"github.com/writ-registry/writ/registry/registrytest"
)

func part(kind, source string) registry.Component {
	return registry.Component{Kind: kind, Name: kind, Digest: strings.Repeat("ab", 32), Source: source}
}

// vouch signs that the parts are as they say.
func vouch(t *testing.T, h *registrytest.House, key *jose.PrivateKey, agent string, life time.Duration, parts ...registry.Component) string {
	t.Helper()
	now := h.Clock.Now()
	c := capability.CompositionClaims{Audience: registrytest.Origin, Subject: agent, ID: capability.NewJTI(), IssuedAt: now.Unix(), Expires: now.Add(life).Unix()}
	for _, p := range parts {
		c.Parts = append(c.Parts, capability.Part{Kind: p.Kind, Name: p.Name, Digest: p.Digest})
	}
	s, err := capability.SignComposition(key, c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newVoucher(t *testing.T, h *registrytest.House, kind string, key *jose.PrivateKey) registry.Voucher {
	t.Helper()
	jwk, err := json.Marshal(key.Public().JWK())
	if err != nil {
		t.Fatal(err)
	}
	out, err := h.RegisterVoucher(t.Context(), h.Call(), registry.NewVoucher{Kind: kind, Name: kind, JWK: jwk})
	if err != nil {
		t.Fatal(err)
	}
	return out.Value
}

// TestComposition: a change is an event with the lowest source, moves the agent's
// epoch and ends its trust; saying it again is none.
func TestComposition(t *testing.T) {
	h := registrytest.New(t)
	ctx := t.Context()
	a := h.NewAgent(t, "a")
	builder, attester := registrytest.Key(30), registrytest.Key(31)
	b, at := newVoucher(t, h, registry.VoucherBuilder, builder), newVoucher(t, h, registry.VoucherAttester, attester)
	h.Clock.Add(time.Minute)
	parts := []registry.Component{part("model", registry.SourceSponsor), part("tools", registry.SourceBuild), part("runtime", registry.SourceAttested)}
	in := registry.NewComposition{Parts: parts, Statements: []string{
		vouch(t, h, builder, "", 30*24*time.Hour, parts[1], part("api", "")), vouch(t, h, attester, a.DID, time.Hour, parts[2]),
	}}
	epoch := func() (n uint64) {
		t.Helper()
		if err := h.Store.View(ctx, func(tx registry.Tx) (err error) {
			n, err = tx.Epoch(registry.Scope{Kind: registry.ScopeAgent, ID: a.ID})
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := epoch()
	out, err := h.SetComposition(ctx, h.Call(), a.DID, in)
	if err != nil {
		t.Fatal(err)
	}
	got := out.Value
	if !got.TrustSince.Equal(h.Clock.Now()) || epoch() != before+1 || got.Composition[0].Voucher != "" || got.Composition[1].Voucher != b.ID || got.Composition[2].Voucher != at.ID {
		t.Errorf("%+v, epoch %d after %d", got, epoch(), before)
	}
	ev, disclosed, err := h.FindEvent(ctx, h.Operator, out.Event.CID)
	var artifact struct{ Body registry.CompositionChanged }
	if err != nil || json.Unmarshal(ev.Artifact, &artifact) != nil {
		t.Fatal(err)
	}
	body := artifact.Body
	if body.Source != registry.SourceSponsor || body.Parts != 3 || len(body.Statements) != 2 || !cmp.Equal(body.Vouchers, []string{b.ID, at.ID}) || len(disclosed) != 2 {
		t.Errorf("%s", ev.Artifact)
	}
	for _, d := range disclosed {
		if c, err := d.Commitment(); err != nil || c != body.Commitments[d.Name] {
			t.Errorf("%s is not what the event commits to: %v", d.Name, err)
		}
	}
	h.Clock.Add(time.Minute)
	if again, err := h.SetComposition(ctx, h.Call(), a.ID, in); err != nil || len(again.Events) != 0 || !again.Value.TrustSince.Equal(got.TrustSince) {
		t.Errorf("again: %+v, %v", again, err)
	}
	if less, err := h.SetComposition(ctx, h.Call(), a.ID, registry.NewComposition{}); err != nil || len(less.Value.Composition) != 0 || !less.Value.TrustSince.After(got.TrustSince) {
		t.Errorf("no parts: %+v, %v", less, err)
	}
	if own, err := h.SetComposition(ctx, a.Signed(), a.ID, registry.NewComposition{Parts: []registry.Component{part("model", registry.SourceSelf)}}); err != nil || len(own.Events) != 1 {
		t.Errorf("the agent's own word: %v", err)
	}
}

// TestCompositionRefusals: what does not vouch, by name.
func TestCompositionRefusals(t *testing.T) {
	h := registrytest.New(t)
	ctx := t.Context()
	a := h.NewAgent(t, "a")
	other := h.NewAgent(t, "b")
	builder, attester, gone, stranger := registrytest.Key(30), registrytest.Key(31), registrytest.Key(32), registrytest.Key(33)
	newVoucher(t, h, registry.VoucherBuilder, builder)
	newVoucher(t, h, registry.VoucherAttester, attester)
	if _, err := h.RevokeVoucher(ctx, h.Call(), newVoucher(t, h, registry.VoucherBuilder, gone).ID, "stolen"); err != nil {
		t.Fatal(err)
	}
	built, run := part("tools", registry.SourceBuild), part("runtime", registry.SourceAttested)
	swapped := built
	swapped.Digest = strings.Repeat("cd", 32)
	one := func(p registry.Component, s ...string) registry.NewComposition {
		return registry.NewComposition{Parts: []registry.Component{p}, Statements: s}
	}
	for name, c := range map[string]struct {
		call  registry.Call
		in    registry.NewComposition
		kind  registry.Kind
		code  string
		field string
	}{
		"nobody signed":            {h.Call(), one(built), registry.Malformed, "not_vouched", "/parts/0/source"},
		"another digest":           {h.Call(), one(swapped, vouch(t, h, builder, "", time.Hour, built)), registry.Malformed, "not_vouched", "/parts/0/source"},
		"a builder attests":        {h.Call(), one(run, vouch(t, h, builder, a.DID, time.Hour, run)), registry.Malformed, "not_vouched", "/parts/0/source"},
		"a stranger":               {h.Call(), one(built, vouch(t, h, stranger, "", time.Hour, built)), registry.Malformed, "voucher_unknown", "/statements/0"},
		"a revoked voucher":        {h.Call(), one(built, vouch(t, h, gone, "", time.Hour, built)), registry.Malformed, "voucher_revoked", "/statements/0"},
		"for another agent":        {h.Call(), one(built, vouch(t, h, builder, other.DID, time.Hour, built)), registry.Malformed, "wrong_act", "/statements/0"},
		"attested for nobody":      {h.Call(), one(run, vouch(t, h, attester, "", time.Hour, run)), registry.Malformed, "wrong_act", "/statements/0"},
		"attested for a week":      {h.Call(), one(run, vouch(t, h, attester, a.DID, 7*24*time.Hour, run)), registry.Malformed, "lifetime", "/statements/0"},
		"no statement":             {h.Call(), one(built, "x.y.z"), registry.Malformed, "malformed", "/statements/0"},
		"one that is not needed":   {h.Call(), one(part("model", registry.SourceSelf), vouch(t, h, builder, "", time.Hour, built)), registry.Malformed, "", "/statements/0"},
		"a part twice":             {h.Call(), registry.NewComposition{Parts: []registry.Component{part("model", "self"), part("model", "sponsor")}}, registry.Malformed, "", "/parts/1"},
		"an agent, as its sponsor": {a.Signed(), one(part("model", registry.SourceSponsor)), registry.Denied, "", "/parts/0/source"},
		"an agent, built":          {a.Signed(), one(built, vouch(t, h, builder, "", time.Hour, built)), registry.Denied, "", "/parts/0/source"},
		"another agent":            {other.Signed(), one(part("model", registry.SourceSelf)), registry.Denied, "", ""},
		"an auditor":               {principal(t, h, registry.HouseOrg, registry.RoleAuditor), one(part("model", registry.SourceSelf)), registry.Denied, "", ""},
	} {
		_, err := h.SetComposition(ctx, c.call, a.ID, c.in)
		var e *registry.Error
		if !errors.As(err, &e) || e.Kind != c.kind || e.Code != c.code || e.Field != c.field {
			t.Errorf("%s: got %v, want %s %s at %s", name, err, c.kind, c.code, c.field)
		}
	}
	_, rival := tenant(t, h, "rival")
	_, err := h.SetComposition(ctx, rival, a.ID, registry.NewComposition{})
	want(t, "another's agent", err, registry.NotFound)
	jwk, _ := json.Marshal(a.JWK)
	_, err = h.RegisterVoucher(ctx, h.Call(), registry.NewVoucher{Kind: registry.VoucherBuilder, Name: "x", JWK: jwk})
	want(t, "an agent's key vouches", err, registry.Conflict)
	_, err = h.RegisterVoucher(ctx, principal(t, h, registry.HouseOrg, registry.RoleRegistrar), registry.NewVoucher{Kind: registry.VoucherBuilder, Name: "x", JWK: jwk})
	want(t, "a registrar makes a voucher", err, registry.Denied)
	if list, err := h.ListVouchers(ctx, rival.Caller, "", registry.Page{}); err != nil || len(list) != 0 {
		t.Errorf("a rival sees %v, %v", list, err)
	}
}
