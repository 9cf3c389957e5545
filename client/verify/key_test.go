package verify_test

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-registry/writ/client/verify"
	"github.com/writ-registry/writ/internal/canon"
)

// lived makes a log in which the decision at 300 has events of its signer's key
// around it: more of them than one key can have, and a test shows some.
func lived(t testing.TB, change ...func(*decision)) (w *world, thumbprint string) {
	const stranger = "did:webvh:QmScid:registry.example:agents:b2"
	other := canon.Digest(nil)
	w = newWorldWith(t, func(d *decision) {
		thumbprint = d.proofKey.Public().Thumbprint()
		key := func(typ, did, thumbprint string, more ...string) event {
			body := map[string]any{"did": did, "thumbprint": thumbprint}
			for i := 0; i < len(more); i += 2 {
				body[more[i]] = more[i+1]
			}
			return event{typ, body}
		}
		const requested, rotated, ended, revoked = "agent.requested", "agent.key_rotated", "agent.key_ended", "agent.revoked"
		d.others = map[uint64]event{
			5:   key(ended, agentDID, thumbprint, "status", "retired"),
			12:  key(requested, agentDID, thumbprint),
			40:  key(rotated, agentDID, thumbprint, "previous_until", ""),
			60:  key(requested, stranger, thumbprint),
			61:  key(requested, agentDID, other),
			100: key(ended, agentDID, thumbprint, "status", "retired"),
			110: key(rotated, agentDID, other, "previous_until", ""),
			120: key(rotated, agentDID, other, "previous_until", "2026-11-21T09:00:00.000Z"),
			130: key(ended, agentDID, other, "status", "retired"),
			131: key(ended, stranger, thumbprint, "status", "retired"),
			140: key(revoked, agentDID, ""),
			141: key(revoked, stranger, ""),
			301: key(requested, agentDID, thumbprint),
			450: key(ended, agentDID, thumbprint, "status", "retired"),
			460: key(ended, agentDID, thumbprint, "status", "compromised", "compromised_from", ""),
			461: key(ended, agentDID, thumbprint, "status", "compromised", "compromised_from", "301"),
			462: key(ended, agentDID, thumbprint, "status", "compromised", "compromised_from", "300"),
			463: key(ended, agentDID, thumbprint, "status", "compromised", "compromised_from", "200"),
			464: key(ended, agentDID, thumbprint, "status", "compromised", "compromised_from", "465"),
			465: key(ended, agentDID, thumbprint, "status", "compromised", "compromised_from", "0301"),
			470: key(revoked, agentDID, ""),
			471: key(rotated, agentDID, other, "previous_until", ""),
			480: key("grant.issued", agentDID, thumbprint),
		}
		for _, f := range change {
			f(d)
		}
	})
	return w, thumbprint
}

// TestKeyByTheOrderOfTheLog: the places of its events say whether a key was the
// agent's when something was decided, and events of others say nothing.
func TestKeyByTheOrderOfTheLog(t *testing.T) {
	w, thumbprint := lived(t)
	decision := w.receipt(t, true)
	const never = math.MaxUint64
	for name, test := range map[string]struct {
		added, ended uint64 // places; ended 0 = none is shown
		from         uint64 // place from which on it did not count; never = none; 0 = the answer is no
		says         string
	}{
		"no end":                  {12, 0, never, "the key was the agent's when this was decided (added at 12, decided at 300; no end was shown)"},
		"added by rotation":       {40, 0, never, "(added at 40, decided at 300; no end was shown)"},
		"ended later":             {12, 450, 450, "(added at 12, decided at 300, ended at 450)"},
		"rotated later":           {12, 471, 471, "ended at 471)"},
		"revoked later":           {12, 470, 470, "ended at 470)"},
		"compromised later":       {12, 460, 460, "ended at 460)"},
		"compromised from after":  {12, 461, 301, "compromised from 301 on by 461)"},
		"compromised from it":     {12, 462, 0, "the key counted no more when this was decided (added at 12, decided at 300, compromised from 300 on by 462)"},
		"compromised from before": {12, 463, 0, "compromised from 200 on by 463)"},
		"ended before":            {12, 100, 0, "the key counted no more when this was decided (added at 12, decided at 300, ended at 100)"},
		"rotated before":          {12, 110, 0, "ended at 110)"},
		"revoked before":          {12, 140, 0, "ended at 140)"},
		"added after":             {301, 0, 0, "the key was not yet the agent's when this was decided (added at 301, decided at 300; no end was shown)"},
		"added and ended after":   {301, 450, 0, "not yet the agent's"},
		"of another agent":        {60, 0, 0, "the key was added to did:webvh:QmScid:registry.example:agents:b2"},
		"another key":             {61, 0, 0, "the action proof is signed by " + thumbprint},
		"no key":                  {480, 0, 0, "grant.issued adds no key"},
		"an end as beginning":     {100, 0, 0, "agent.key_ended adds no key"},
		"end of another key":      {12, 130, 0, "the action proof is signed by " + thumbprint},
		"end of another agent's":  {12, 131, 0, "the end shown is of did:webvh:QmScid:registry.example:agents:b2"},
		"another agent revoked":   {12, 141, 0, "the end shown is of did:webvh:QmScid:registry.example:agents:b2"},
		"rotation with overlap":   {12, 120, 0, "ended no key"},
		"end before beginning":    {12, 5, 0, "before the key was added at 12"},
		"end is its beginning":    {40, 40, 0, "before the key was added at 40"},
		"no end at all":           {12, 480, 0, "grant.issued ends no key"},
		"compromised from beyond": {12, 464, 0, "compromised_from"},
		"another spelling":        {12, 465, 0, "compromised_from"},
	} {
		t.Run(name, func(t *testing.T) {
			events := verify.KeyEvents{Added: w.other(t, test.added)}
			if test.ended > 0 {
				events.Ended = w.other(t, test.ended)
			}
			valid := test.from > 0
			r, err := verify.VerifyKey(t.Context(), decision, events, w.trust, nil)
			if valid != (err == nil) || valid != r.OK {
				t.Fatalf("valid is %v, want %v: %v", r.OK, valid, err)
			}
			last := r.Layers[len(r.Layers)-1]
			if last.Layer != "key" || !strings.Contains(last.Detail, test.says) {
				t.Errorf("last layer %+v, want key: %s", last, test.says)
			}
			if !valid {
				if last.Status != verify.Failed || r.Key != nil {
					t.Errorf("refused, yet %+v, %+v", last, r.Key)
				}
				return
			}
			want := &verify.KeyReport{DID: agentDID, Thumbprint: thumbprint, Added: test.added, Decided: 300, ValidWhenDecided: true}
			if test.ended > 0 {
				want.Ended = &test.from
			}
			if diff := cmp.Diff(want, r.Key); diff != "" {
				t.Errorf("key (-want +got):\n%s", diff)
			}
			if last.Status != verify.Verified || last.RootOfTrust != "log key" {
				t.Errorf("last layer %+v", last)
			}
			word := "no end was shown"
			if test.ended > 0 {
				word = "not end earlier than shown"
			}
			var text strings.Builder
			if err := r.WriteText(&text); err != nil || !strings.Contains(text.String(), "asserted by registry: ") || !strings.Contains(text.String(), word) {
				t.Errorf("the report does not say whose word %q is: %v\n%s", word, err, text.String())
			}
		})
	}
}

// TestKeyOfAnotherPast: only receipts of one log, in one past, have an order.
func TestKeyOfAnotherPast(t *testing.T) {
	w, _ := lived(t)
	decided, added := w.receipt(t, true), w.other(t, 12)
	stranger, _ := lived(t)
	fork, _ := lived(t, func(d *decision) { d.logOf = w })
	ended := w.other(t, 450)
	broken := bytes.Replace(ended, []byte("index 450"), []byte("index 451"), 1)
	for name, test := range map[string]struct {
		decision []byte
		events   verify.KeyEvents
		trust    verify.Trust
		layer    string
		says     string
	}{
		"a log not trusted":          {decided, verify.KeyEvents{Added: stranger.other(t, 12)}, w.trust, "key added: checkpoint", "not the trusted key"},
		"a log of another key":       {decided, verify.KeyEvents{Added: stranger.other(t, 12)}, verify.Trust{}, "key added", "its log key is not the decision's"},
		"a fork":                     {decided, verify.KeyEvents{Added: fork.other(t, 12)}, w.trust, "key added", "the log has two pasts"},
		"an end in a fork":           {decided, verify.KeyEvents{Added: added, Ended: fork.other(t, 450)}, w.trust, "key ended", "the log has two pasts"},
		"a broken end":               {decided, verify.KeyEvents{Added: added, Ended: broken}, w.trust, "key ended: receipt", "checksum"},
		"nothing":                    {decided, verify.KeyEvents{}, w.trust, "key added: receipt", ""},
		"the decision itself":        {decided, verify.KeyEvents{Added: decided}, w.trust, "key", "decision adds no key"},
		"nothing disclosed":          {w.receipt(t, false), verify.KeyEvents{Added: added}, w.trust, "key", "which key signed is not known"},
		"no decision":                {ended, verify.KeyEvents{Added: added}, w.trust, "key", "which key signed is not known"},
		"a decision that is not one": {[]byte("{}"), verify.KeyEvents{Added: added}, w.trust, "receipt", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := verify.VerifyKey(t.Context(), test.decision, test.events, test.trust, nil)
			var refused *verify.Error
			if !errors.As(err, &refused) || r.OK || r.Key != nil {
				t.Fatalf("VerifyKey = %+v, %v", r, err)
			}
			if l := refused.Layers[0]; l.Layer != test.layer || !strings.Contains(l.Detail, test.says) {
				t.Errorf("first failed is %+v, want %s: %s", l, test.layer, test.says)
			}
			wantStatus(t, r, map[string]verify.Status{"key": verify.Failed})
		})
	}
	// Without a root of trust it is what the receipts say of themselves.
	r, err := verify.VerifyKey(t.Context(), decided, verify.KeyEvents{Added: added, Ended: ended}, verify.Trust{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantStatus(t, r, map[string]verify.Status{"key added": verify.SelfAsserted, "key ended": verify.SelfAsserted, "key": verify.SelfAsserted})
}
