//go:build conformance

package api_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/writ-registry/writ/anchor/tlog"
	"github.com/writ-registry/writ/api"
	"github.com/writ-registry/writ/registry/journal"
)

// TestConformanceAdd: bytes in, decimal index out; pushback is 503 and says
// when to come back.
func TestConformanceAdd(t *testing.T) {
	var got []byte
	var refuse error
	w := open(t, func(c *api.Config) {
		c.Append = func(_ context.Context, entry []byte) (uint64, error) { got = entry; return 1234567, refuse }
	})
	for _, n := range []int{0, 1, tlog.MaxEntry} {
		body := strings.Repeat("\xff", n)
		r := w.do("POST", "/log/add", body)
		if r.StatusCode != 200 || string(r.body) != "1234567" || !bytes.Equal(got, []byte(body)) {
			t.Errorf("%d bytes: %d %q, %d arrived", n, r.StatusCode, r.body, len(got))
		}
	}
	w.refused(w.do("POST", "/log/add", strings.Repeat("x", tlog.MaxEntry+1)), 413, "too-large", "")
	refuse = journal.ErrBusy
	r := w.do("POST", "/log/add", "x")
	w.refused(r, 503, "unavailable", "")
	if r.Header.Get("Retry-After") == "" {
		t.Error("pushback without Retry-After")
	}
}
