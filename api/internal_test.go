package api

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/writ-registry/writ/internal/canon"
)

func TestBudget(t *testing.T) {
	b := newBudget(2, 4)
	now := time.Unix(1_800_000_000, 0)
	if b.wait("a", now) != 0 {
		t.Error("an unknown address waits")
	}
	for range 50 {
		b.spend("a", now)
	}
	if got := b.wait("a", now); got != time.Second/4 {
		t.Errorf("wait %v: failures beyond the burst must not add up", got)
	}
	if b.wait("a", now.Add(-time.Hour)) != time.Second/4 {
		t.Error("a clock that falls lets failures through, or locks out")
	}
	if b.wait("b", now) != 0 || b.wait("a", now.Add(time.Second/4)) != 0 {
		t.Error("another address, or the same one later, waits")
	}
	for i := range maxTracked + 10 {
		b.spend(fmt.Sprint(i), now)
	}
	if len(b.spent) > maxTracked {
		t.Errorf("%d addresses are remembered", len(b.spent))
	}
	b.spend("late", now.Add(time.Hour))
	if len(b.spent) != 1 {
		t.Errorf("%d addresses that owe nothing are remembered", len(b.spent)-1)
	}
}

func TestNetwork(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.7:80": "192.0.2.7", "[::ffff:192.0.2.7]:80": "192.0.2.7",
		"[2001:db8:1:2:3::4]:80": "2001:db8:1:2::/64", "[2001:db8:1:2:ffff::]:80": "2001:db8:1:2::/64", "[fe80::1%eth0]:80": "fe80::/64", "@": "@",
	} {
		if got := network(&http.Request{RemoteAddr: remote}); got != want {
			t.Errorf("%s: %s, want %s", remote, got, want)
		}
	}
}

// FuzzCursor: what is accepted is exactly what was given out.
func FuzzCursor(f *testing.F) {
	f.Add(cursor{1, "agents", "019a0000-0000-7000-8000-000000000001"}.String())
	f.Add(cursor{2, "agents", "x"}.String())
	f.Add("eyJhZnRlciI6IngiLCJsaXN0IjoiYWdlbnRzIiwidiI6MX0")
	f.Add("==")
	f.Fuzz(func(t *testing.T, text string) {
		after, err := openCursor("agents", text)
		if err == nil && (cursor{1, "agents", after}).String() != text {
			t.Errorf("%q has another spelling", text)
		}
	})
}

// FuzzEvaluation: whatever passes the strict reader is read without a panic,
// and what becomes a request has an act with a digest.
func FuzzEvaluation(f *testing.F) {
	f.Add([]byte(`{"subject":{"type":"agent","id":"did:web:example.org:a"},"action":{"name":"read","properties":{"n":1.5}},"resource":{"type":"invoices","id":"7"},"context":{"token":"x","proof":"y","dry":{}}}`))
	f.Add([]byte(`{"context":{"a":[{"dry_run":1}]}}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if canon.Check(body) != nil {
			return
		}
		req, err := readEvaluation(body)
		if err != nil {
			return
		}
		if _, err := req.Act.Digest(); err != nil {
			t.Errorf("%s: %v", body, err)
		}
	})
}

// FuzzEvaluations: each of several evaluations is a request that could be asked alone.
func FuzzEvaluations(f *testing.F) {
	f.Add([]byte(`{"subject":{"type":"user","id":"a"},"evaluations":[{"action":{"name":"read"}},{"subject":{"type":"user","id":"b"}}],"options":{"evaluations_semantic":"deny_on_first_deny"}}`))
	f.Add([]byte(`{"evaluations":[{},null]}`))
	f.Add([]byte(`{"evaluations":[{"context":{"dry_run":true}}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if canon.Check(body) != nil {
			return
		}
		list, _, err := readEvaluations(body)
		if err != nil {
			return
		}
		if len(list) > MaxEvaluations {
			t.Errorf("%d evaluations", len(list))
		}
		for _, one := range list {
			if err := canon.Check(one); err != nil {
				t.Errorf("%s of %s: %v", one, body, err)
			}
		}
	})
}

// FuzzLocate: a place that is found is inside the body, whatever the path.
func FuzzLocate(f *testing.F) {
	f.Add([]byte(`{"a":{"b.c":[1,{"d":2}]}}`), ".a.b.c[1].d")
	f.Add([]byte(`[[],{"":0}]`), "[1].")
	f.Fuzz(func(t *testing.T, body []byte, path string) {
		if canon.Check(body) != nil {
			return
		}
		if _, offset, found := locate(body, path); found && (offset < 0 || offset >= int64(len(body))) {
			t.Errorf("%s in %s: byte %d", path, body, offset)
		}
	})
}

func TestLocate(t *testing.T) {
	body := []byte(` {"a": {"b.c":[1, {"d":2}], "x/y":3}, "a.b":4}`)
	for path, want := range map[string]string{
		"": " 1", ".a": "/a 7", ".a.b.c[1].d": "/a/b.c/1/d 23", ".a.x/y": "/a/x~1y 34", ".a.b": "/a.b 44", ".q": "", "[0]": "", ".a[0]": "",
	} {
		got := ""
		if pointer, offset, found := locate(body, path); found {
			got = fmt.Sprint(pointer, " ", offset)
		}
		if got != want {
			t.Errorf("%q: %q, want %q", path, got, want)
		}
	}
}
