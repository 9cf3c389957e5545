package main

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-registry/writ/client"
)

// otherResolvers are the DID resolvers of testdata/resolvers, running for a test: a stock
// did:web client and a did:webvh implementation, both by other authors.
type otherResolvers struct {
	t   *testing.T
	in  io.Writer
	out *bufio.Reader
}

// startResolvers starts them with a CA that they trust.
func startResolvers(t *testing.T, ca string) *otherResolvers {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("Node is not installed: the other resolvers run on it")
	}
	if _, err := os.Stat("testdata/resolvers/node_modules/didwebvh-ts"); err != nil {
		t.Skip("the other resolvers are not installed: scripts/resolvers/setup.sh installs them")
	}
	cmd := exec.Command("node", "resolvers.mjs")
	cmd.Dir, cmd.Env = "testdata/resolvers", append(os.Environ(), "NODE_EXTRA_CA_CERTS="+ca)
	var said strings.Builder
	cmd.Stderr = &said
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Logf("the other resolvers ended: %v\n%s", err, said.String())
		}
	})
	return &otherResolvers{t, in, bufio.NewReader(out)}
}

// ask sends a request and reads its answer into v.
func (o *otherResolvers) ask(request map[string]any, v any) {
	o.t.Helper()
	line, err := json.Marshal(request)
	if err != nil {
		o.t.Fatal(err)
	}
	if _, err = o.in.Write(append(line, '\n')); err == nil {
		line, err = o.out.ReadBytes('\n')
	}
	if err == nil {
		err = json.Unmarshal(line, v)
	}
	if err != nil {
		o.t.Fatalf("ask the other resolvers: %v", err)
	}
}

// found is what they make of a DID.
type found struct {
	ID    string   `json:"id"`
	Keys  []string `json:"keys"` // as Multikeys
	Error string   `json:"error"`
	Meta  struct {
		VersionID   string `json:"versionId"`
		Deactivated bool   `json:"deactivated"`
	} `json:"meta"`
}

func (o *otherResolvers) resolve(did string, option ...any) (f found) {
	o.t.Helper()
	request := map[string]any{"resolve": did}
	if len(option) == 2 {
		request[option[0].(string)] = option[1]
	}
	o.ask(request, &f)
	slices.Sort(f.Keys)
	return f
}

// TestOtherResolvers: resolvers by other authors resolve our DIDs over TLS through all
// their life, and see in each version what we do; and we resolve theirs.
func TestOtherResolvers(t *testing.T) {
	ca := newTestCA(t, "test CA")
	others := startResolvers(t, ca.file(t))
	cfg := testConfig(t.TempDir())
	cfg.TLSCert, cfg.TLSKey = ca.server(t)
	cfg.ResolvePrivate, cfg.ResolveCA = "127.0.0.0/8, ::1/128", ca.file(t)
	r := start(t, cfg)
	web := httpsClient(t, ca)
	c, err := client.New(r.server.URL, r.Token, client.Options{HTTP: web, Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	me, err := c.Whoami(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	newKey := func() (*client.AgentKey, string) {
		t.Helper()
		key, err := client.GenerateAgentKey()
		if err != nil {
			t.Fatal(err)
		}
		possession, err := key.ProvePossession(r.server.Origin, me.Org, "a")
		if err != nil {
			t.Fatal(err)
		}
		return key, possession
	}
	key, possession := newKey()
	agent, err := c.RegisterAgent(t.Context(), client.NewAgent{Name: "a", JWK: key.JWK(), Possession: possession})
	if err == nil {
		agent, err = c.ApproveAgent(t.Context(), agent.Value.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	did, webDID, first := agent.Value.DID, agent.Value.WebDID, agent.Value.Thumbprint

	// ours is what our own binding answers for the same.
	ours := func(did, query string) (f found, status int) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.server.URL+"/1.0/identifiers/"+did+query, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+r.Token)
		resp, err := web.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var result struct {
			Document struct {
				ID   string `json:"id"`
				Keys []struct {
					Multikey string `json:"publicKeyMultibase"`
				} `json:"verificationMethod"`
			} `json:"didDocument"`
			Metadata json.RawMessage `json:"didDocumentMetadata"`
		}
		if err := json.NewDecoder(resp.Body).Decode(&result); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(result.Metadata, &f.Meta); err != nil {
			t.Fatal(err)
		}
		f.ID, f.Keys = result.Document.ID, []string{}
		for _, k := range result.Document.Keys {
			f.Keys = append(f.Keys, k.Multikey)
		}
		slices.Sort(f.Keys)
		return f, resp.StatusCode
	}
	var versions []found
	var times []time.Time
	agree := func(stage string, keys int) {
		t.Helper()
		mine, _ := ours(did, "")
		theirs := others.resolve(did)
		if diff := cmp.Diff(mine, theirs); diff != "" || theirs.ID != did || len(theirs.Keys) != keys {
			t.Errorf("%s, did:webvh (-ours +theirs): %s\n%+v", stage, diff, theirs)
		}
		stock := others.resolve(webDID)
		if stock.ID != webDID || stock.Error != "" || !slices.Equal(stock.Keys, mine.Keys) {
			t.Errorf("%s, did:web: %+v, want %v", stage, stock, mine.Keys)
		}
		versions, times = append(versions, mine), append(times, time.Now().Truncate(time.Second).Add(time.Second))
	}
	agree("genesis", 1)

	twoSeconds(t)
	key, possession = newKey()
	if _, err := c.RotateKey(t.Context(), agent.Value.ID, client.NewKey{JWK: key.JWK(), Possession: possession}); err != nil {
		t.Fatal(err)
	}
	agree("in overlap", 2)
	twoSeconds(t)
	if _, err := c.RetireKey(t.Context(), agent.Value.ID, first, "drill"); err != nil {
		t.Fatal(err)
	}
	agree("after retirement", 1)
	if versions[0].Keys[0] == versions[2].Keys[0] {
		t.Error("the key did not change")
	}
	for i, want := range versions {
		at := times[i].UTC().Format(time.RFC3339)
		for option, value := range map[string]any{"versionId": want.Meta.VersionID, "versionNumber": i + 1, "versionTime": at} {
			if diff := cmp.Diff(want, others.resolve(did, option, value)); diff != "" {
				t.Errorf("version %d by %s (-then +theirs): %s", i+1, option, diff)
			}
			text, err := json.Marshal(value)
			if err != nil {
				t.Fatal(err)
			}
			mine, status := ours(did, "?"+option+"="+url.QueryEscape(strings.Trim(string(text), `"`)))
			if diff := cmp.Diff(want, mine); diff != "" || status != http.StatusOK {
				t.Errorf("version %d by %s (-then +ours): %d %s", i+1, option, status, diff)
			}
		}
	}

	if _, err := c.RevokeAgent(t.Context(), agent.Value.ID, "drill"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the DID to end", func() (bool, error) { _, status := ours(did, ""); return status == http.StatusGone, nil })
	if end := others.resolve(did); !end.Meta.Deactivated || end.Error != "" {
		t.Errorf("at its end, did:webvh: %+v", end)
	}
	if end := others.resolve(webDID); end.Error == "" || len(end.Keys) != 0 {
		t.Errorf("at its end, did:web: %+v", end)
	}

	// Theirs, by us.
	var made struct{ DID, Log, Error string }
	var serve http.HandlerFunc = func(out http.ResponseWriter, req *http.Request) {
		if req.URL.Path != "/a/b/did.jsonl" {
			http.NotFound(out, req)
			return
		}
		_, _ = io.WriteString(out, made.Log)
	}
	host := httptest.NewUnstartedServer(serve)
	cert, err := tls.LoadX509KeyPair(cfg.TLSCert, cfg.TLSKey)
	if err != nil {
		t.Fatal(err)
	}
	host.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	host.StartTLS()
	t.Cleanup(host.Close)
	_, port, _ := strings.Cut(host.Listener.Addr().String(), ":")
	others.ask(map[string]any{"create": "localhost:" + port, "paths": []string{"a", "b"}}, &made)
	if made.Error != "" {
		t.Fatal(made.Error)
	}
	mine, status := ours(made.DID, "")
	if theirs := others.resolve(made.DID); status != http.StatusOK || len(mine.Keys) != 2 || cmp.Diff(mine, theirs) != "" {
		t.Errorf("their DID %s: %d (-ours +theirs) %s", made.DID, status, cmp.Diff(mine, theirs))
	}
	if mine, status := ours(made.DID, "?versionNumber=1"); status != http.StatusOK || len(mine.Keys) != 1 {
		t.Errorf("the first version of their DID: %d %+v", status, mine)
	}
}

// twoSeconds waits until there is a whole second between this one and the clock's: times
// of versions have no parts of one, and the other implementation finds no version at
// the very second of an entry.
func twoSeconds(t *testing.T) {
	t.Helper()
	begun := time.Now().Unix()
	eventually(t, "a second between two versions", func() (bool, error) { return time.Now().Unix() >= begun+2, nil })
}
