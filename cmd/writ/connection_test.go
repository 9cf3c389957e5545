package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestWhoCalls: an agent reads itself and its children by its signature or its
// certificate, over TLS of a CA of one's own, and sees nobody else; the operator's credential in the folder
// beside is not sent along.
func TestWhoCalls(t *testing.T) {
	r, ca := secure(t)
	dir, roots := t.TempDir(), ca.file(t)
	courier, other, cert := filepath.Join(dir, "courier.agent.json"), filepath.Join(dir, "other.agent.json"), filepath.Join(dir, "courier.pem")
	junk := filepath.Join(dir, "junk")
	if err := os.WriteFile(junk, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("WRIT_URL", "")
	t.Setenv("WRIT_TOKEN", "")
	here := func(args ...string) result {
		t.Helper()
		return writ(t, append(args, "--tls-ca", roots, "--data", r.cfg.Data)...)
	}
	here("agent", "new", "--name", "courier", "--out", courier, "--spawn-depth", "1", "--spawn-max", "1").want(t, 0, "courier")
	here("agent", "new", "--name", "parcel", "--out", filepath.Join(dir, "parcel.agent.json"), "--parent", courier).want(t, 0, "parcel")
	here("agent", "new", "--name", "other", "--out", other).want(t, 0, "other")
	here("cert", "issue", "--agent", courier, "-o", cert).want(t, 0, "did")

	for name, who := range map[string][]string{
		"by signature":   {"--as", courier},
		"by certificate": {"--cert", cert, "--cert-key", courier},
	} {
		t.Run(name, func(t *testing.T) {
			if got := here(append(who, "agent", "list")...); got.code != 0 || !strings.Contains(got.out, "parcel") || strings.Contains(got.out, "other") {
				t.Errorf("%+v", got)
			}
			here(append(who, "agent", "show", courier)...).want(t, 0, "courier")
			here(append(who, "agent", "show", other)...).want(t, 1, "404")
			here(append(who, "agent", "suspend", courier)...).want(t, 1, "403")
		})
	}
	here("agent", "list").want(t, 0, "other") // as the operator
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"two callers":               {[]string{"--as", courier, "--token", "t"}, "--as goes with neither"},
		"an agent's certificate":    {[]string{"--as", courier, "--cert", cert, "--cert-key", courier}, "--as goes with neither"},
		"a certificate without key": {[]string{"--cert", cert}, "go together"},
		"another's key":             {[]string{"--cert", cert, "--cert-key", other}, "--cert and --cert-key"},
		"no agent's file":           {[]string{"--cert", cert, "--cert-key", junk}, "--cert-key"},
		"nobody's file":             {[]string{"--as", filepath.Join(dir, "nobody")}, "no such file"},
	} {
		t.Run(name, func(t *testing.T) { here(append(c.args, "agent", "list")...).want(t, 1, c.says) })
	}
	writ(t, "agent", "list", "--as", courier, "--tls-ca", junk).want(t, 1, "--tls-ca")
	writ(t, "agent", "list", "--as", courier).want(t, 1, "certificate") // of an unknown authority
}
