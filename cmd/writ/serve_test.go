package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/writ-registry/writ/anchor"
	"github.com/writ-registry/writ/client"
	"github.com/writ-registry/writ/client/verify"
)

// asProgram makes the test binary be the program: tests that need a process to
// signal start themselves again.
const asProgram = "WRIT_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Unsetenv(asProgram)
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// testConfig is a registry in dir/data on a free port, without a chain.
func testConfig(dir string) serveConfig {
	cfg := defaultServeConfig()
	cfg.Data, cfg.Listen = filepath.Join(dir, "data"), "127.0.0.1:0"
	cfg.Chain, cfg.AnchorInterval = "none", 100*time.Millisecond
	return cfg
}

// running is a registry in this process.
type running struct {
	*server
	*client.Client // the operator's
	t              testing.TB
	stopped        bool
}

func startWith(t testing.TB, cfg serveConfig) (*server, error) {
	t.Helper()
	return startServer(t.Context(), cfg, slog.New(slog.DiscardHandler))
}

func start(t testing.TB, cfg serveConfig) *running {
	t.Helper()
	s, err := startWith(t, cfg)
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	r := &running{server: s, t: t}
	t.Cleanup(r.stop)
	if s.cfg.TLSCert == "" {
		if r.Client, err = client.New(s.URL, s.Token, client.Options{Retries: -1}); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func (r *running) stop() {
	r.t.Helper()
	if r.stopped {
		return
	}
	r.stopped = true
	if err := r.Close(); err != nil {
		r.t.Errorf("stop: %v", err)
	}
}

// startFails returns why a registry does not start, and sees that the attempt
// left neither the lock nor the port taken.
func startFails(t *testing.T, cfg serveConfig) error {
	t.Helper()
	s, err := startWith(t, cfg)
	if err == nil {
		s.Close()
		t.Fatal("it started")
	}
	lock, lerr := os.OpenFile(filepath.Join(cfg.Data, lockFile), os.O_RDWR, 0)
	if lerr != nil {
		t.Fatal(lerr)
	}
	defer lock.Close()
	if lerr := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); lerr != nil {
		t.Errorf("the lock is still held: %v", lerr)
	}
	return err
}

// addOrgs writes n events and returns them.
func addOrgs(t *testing.T, c *client.Client, n int) (events []client.EventRef) {
	t.Helper()
	for range n {
		org, err := c.CreateOrg(t.Context(), client.NewOrg{Name: "org-" + strings.ToLower(rand.Text())})
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, *org.Event)
	}
	return events
}

// eventually waits until a condition holds. It fails the test when that takes
// longer than any machine needs.
func eventually(t *testing.T, what string, holds func() (bool, error)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := holds()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if ok {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: it did not happen", what)
		case <-tick.C:
		}
	}
}

// anchored waits until the ledger's head is the log's, and settled.
func anchored(t *testing.T, r *running) {
	t.Helper()
	eventually(t, "anchor the newest head", func() (bool, error) {
		size, root, err := r.db.Log(r.logOrigin).Head(t.Context())
		if err != nil {
			return false, err
		}
		st := r.anchoring.Load().submitter.Status()
		return st.Open == 0 && st.SettledHead == anchor.Head{Size: size, Root: root}, nil
	})
}

// get fetches a path without a credential.
func get(t *testing.T, url string) (int, http.Header, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(body)
}

func TestFirstStart(t *testing.T) {
	cfg := testConfig(t.TempDir())
	r := start(t, cfg)
	for name, mode := range map[string]fs.FileMode{
		".": 0o700, "keys": 0o700, tokenFile: 0o600, lockFile: 0o600, addressFile: 0o644, databaseFile: 0o600,
		"keys/checkpoint.key": 0o600, "keys/token.key": 0o600, "keys/did-update.key": 0o600, "keys/did-next.key": 0o600,
	} {
		info, err := os.Stat(filepath.Join(cfg.Data, name))
		if err != nil {
			t.Error(err)
		} else if got := info.Mode().Perm(); got&^mode != 0 {
			t.Errorf("%s has mode %o, want at most %o", name, got, mode)
		}
	}
	if _, err := os.Stat(cfg.Data + ".checkpoint"); err != nil {
		t.Errorf("second home: %v", err)
	}
	if _, err := os.Stat(filepath.Join(cfg.Data, chainFolder)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("--chain none made a chain (%v)", err)
	}
	if token, err := readLine(filepath.Join(cfg.Data, tokenFile)); err != nil || token != r.Token {
		t.Errorf("token file: %q (%v), want %q", token, err, r.Token)
	}
	if url, err := readLine(filepath.Join(cfg.Data, addressFile)); err != nil || url != r.server.URL {
		t.Errorf("address file: %q (%v), want %q", url, err, r.server.URL)
	}
	me, err := r.Whoami(t.Context())
	if err != nil || len(me.Roles) != 1 || me.Roles[0] != "operator" {
		t.Errorf("the token is that of %+v (%v), want an operator", me, err)
	}
	if origin, err := r.Client.Origin(t.Context()); err != nil || origin != r.server.Origin || !strings.HasPrefix(origin, "http://localhost:") {
		t.Errorf("origin %q (%v), want %q on localhost", origin, err, r.server.Origin)
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		if status, _, body := get(t, r.server.URL+path); status != http.StatusOK {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if attempts, err := client.Collect(r.Anchors(t.Context()), 0); err != nil || len(attempts) != 0 {
		t.Errorf("anchors %v (%v), want none", attempts, err)
	}
	if d := r.describeChain(); !strings.Contains(d, "not anchored") {
		t.Errorf("the chain is described as %q", d)
	}
}

func TestOneProcessPerFolder(t *testing.T) {
	cfg := testConfig(t.TempDir())
	r := start(t, cfg)
	if s, err := startWith(t, cfg); err == nil {
		s.Close()
		t.Fatal("a second process opened the folder")
	} else if !strings.Contains(err.Error(), "in use") {
		t.Errorf("got %v", err)
	}
	addOrgs(t, r.Client, 1) // the first one did not notice
	r.stop()
	start(t, cfg)
}

// TestOriginIsForGood: the origin is part of identifiers, so nothing but the
// first start sets it, and a registry on localhost stays at its port.
func TestOriginIsForGood(t *testing.T) {
	cfg := testConfig(t.TempDir())
	r := start(t, cfg)
	origin, url := r.server.Origin, r.server.URL
	r.stop()

	other := cfg
	other.Origin = "https://registry.example"
	if err := startFails(t, other); !strings.Contains(err.Error(), origin) || !strings.Contains(err.Error(), other.Origin) {
		t.Errorf("another origin: %v", err)
	}
	cfg.Origin = origin
	r = start(t, cfg)
	if r.server.Origin != origin || r.server.URL != url {
		t.Errorf("origin %s at %s, want %s at %s", r.server.Origin, r.server.URL, origin, url)
	}
	r.stop()
	cfg.Origin, cfg.Listen = "", ""
	if r = start(t, cfg); r.server.URL != url {
		t.Errorf("without --listen it is at %s, want %s", r.server.URL, url)
	}
	r.stop()

	// An origin elsewhere says nothing about the port.
	cfg = testConfig(t.TempDir())
	cfg.Origin = "https://registry.example"
	r = start(t, cfg)
	if r.server.Origin != cfg.Origin || r.logOrigin != "registry.example/log" {
		t.Errorf("origin %s, log %s", r.server.Origin, r.logOrigin)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.server.URL+"/.well-known/authzen-configuration", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "evil.example"
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || !bytes.Contains(body, []byte(cfg.Origin)) || bytes.Contains(body, []byte("evil")) {
		t.Errorf("the Host header reached the metadata: %s (%v)", body, err)
	}
}

func TestKeysOfTheFolder(t *testing.T) {
	cfg := testConfig(t.TempDir())
	start(t, cfg).stop()
	path := filepath.Join(cfg.Data, "keys", "token.key")
	for _, mode := range []fs.FileMode{0o640, 0o604} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if err := startFails(t, cfg); !strings.Contains(err.Error(), "others may read") {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"token": "no key\n", "checkpoint": "no key\n"} {
		path := filepath.Join(cfg.Data, "keys", name+".key")
		was, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(path, []byte(text), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := startFails(t, cfg); !strings.Contains(err.Error(), "key "+name) {
			t.Errorf("broken %s.key: %v", name, err)
		}
		if err := os.WriteFile(path, was, 0o600); err != nil {
			t.Fatal(err)
		}
	}

	// The checkpoint key of another log does not sign this one.
	foreign := testConfig(t.TempDir())
	foreign.Origin = "https://other.example"
	start(t, foreign).stop()
	raw, err := os.ReadFile(filepath.Join(foreign.Data, "keys", "checkpoint.key"))
	if err == nil {
		err = os.WriteFile(filepath.Join(cfg.Data, "keys", "checkpoint.key"), raw, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := startFails(t, cfg); !strings.Contains(err.Error(), "other.example/log") {
		t.Errorf("foreign checkpoint key: %v", err)
	}
}

// TestNewCheckpointKey: a lost key is not replaced in silence.
func TestNewCheckpointKey(t *testing.T) {
	cfg := testConfig(t.TempDir())
	start(t, cfg).stop()
	if err := os.Remove(filepath.Join(cfg.Data, "keys", "checkpoint.key")); err != nil {
		t.Fatal(err)
	}
	if err := startFails(t, cfg); !errors.Is(err, anchor.ErrFork) {
		t.Errorf("got %v, want ErrFork", err)
	}
}

// TestTokenBeforeBootstrap: a crash between the two steps of the first start
// leaves a credential that the next start makes the operator's.
func TestTokenBeforeBootstrap(t *testing.T) {
	lost := testConfig(t.TempDir())
	r := start(t, lost)
	token := r.Token
	r.stop()

	cfg := testConfig(t.TempDir())
	if err := os.Mkdir(cfg.Data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := writeSecret(filepath.Join(cfg.Data, tokenFile), []byte(token+"\n")); err != nil {
		t.Fatal(err)
	}
	r = start(t, cfg)
	if r.Token != token {
		t.Errorf("the token changed from %q to %q", token, r.Token)
	}
	me, err := r.Whoami(t.Context())
	if err != nil || len(me.Roles) != 1 || me.Roles[0] != "operator" {
		t.Errorf("it is that of %+v (%v)", me, err)
	}
	size, _, err := r.db.Log(r.logOrigin).Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r.stop()

	// Later starts neither need the file nor begin anew.
	if err := os.Remove(filepath.Join(cfg.Data, tokenFile)); err != nil {
		t.Fatal(err)
	}
	r = start(t, cfg)
	if again, _, err := r.db.Log(r.logOrigin).Head(t.Context()); err != nil || again != size {
		t.Errorf("%d events (%v), want %d", again, err, size)
	}
	if me, err = r.Client.As(token).Whoami(t.Context()); err != nil || me.Kind != "principal" {
		t.Errorf("the credential is gone with its file: %+v, %v", me, err)
	}
}

// TestAddressFileFails: a start that fails at its last step leaves nothing
// running.
func TestAddressFileFails(t *testing.T) {
	cfg := testConfig(t.TempDir())
	r := start(t, cfg)
	at := strings.TrimPrefix(r.server.URL, "http://")
	r.stop()
	path := filepath.Join(cfg.Data, addressFile)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := startFails(t, cfg); !strings.Contains(err.Error(), "address file") {
		t.Errorf("got %v", err)
	}
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatalf("the port is still taken: %v", err)
	}
	l.Close()
}

// TestAnchoringGoesOn: over a restart, and when the chain's folder is lost.
func TestAnchoringGoesOn(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.Chain = "embedded"
	r := start(t, cfg)
	old := addOrgs(t, r.Client, 3)
	anchored(t, r)
	before := r.anchoring.Load().ledger.Info()
	r.stop()

	r = start(t, cfg)
	if got := r.anchoring.Load().ledger.Info(); got != before {
		t.Errorf("the ledger changed: %+v, was %+v", got, before)
	}
	anchored(t, r) // what was anchored still is, without a transaction
	if st := r.anchoring.Load().submitter.Status(); st.Sent != 0 || st.Rebroadcast != 0 {
		t.Errorf("%d sent, %d sent again after a clean stop", st.Sent, st.Rebroadcast)
	}
	addOrgs(t, r.Client, 3)
	anchored(t, r)
	r.stop()

	if err := os.RemoveAll(filepath.Join(cfg.Data, chainFolder)); err != nil {
		t.Fatal(err)
	}
	r = start(t, cfg)
	anchored(t, r)
	after := r.anchoring.Load().ledger.Info()
	if after.ChainID == before.ChainID {
		t.Errorf("chain id %s again", after.ChainID)
	}
	for _, e := range append(old, addOrgs(t, r.Client, 1)...) {
		verifyOnChain(t, r.Client, r.RPC, e.CID)
	}
}

// verifyOnChain waits until a receipt of an event is anchored, and verifies it
// against the chain, with the keys that the registry and the contract name.
func verifyOnChain(t *testing.T, c *client.Client, rpc, cid string) verify.Report {
	t.Helper()
	log, err := c.Log(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	trust := verify.Trust{Logs: []verify.TrustedLog{{Origin: log.Origin, VKey: log.VKey}}}
	var report verify.Report
	eventually(t, "verify the receipt of "+cid+" on the chain", func() (bool, error) {
		receipt, err := c.Receipt(t.Context(), cid, false)
		var p *client.Problem
		if errors.As(err, &p) && p.Temporary() {
			return false, nil // no checkpoint covers it yet
		}
		if err != nil {
			return false, err
		}
		var file struct{ Anchors []receiptAnchor }
		if err := json.Unmarshal(receipt, &file); err != nil || len(file.Anchors) == 0 {
			return false, err
		}
		a := file.Anchors[0]
		contract, err := openContract(t.Context(), rpc, a)
		if err != nil {
			return false, err
		}
		defer contract.chain.Close()
		_, headKey, err := contract.head(t.Context(), nil)
		if err != nil {
			return false, err
		}
		trust.HeadKeys = []string{headKey}
		trust.Chains = []verify.TrustedChain{{ChainID: a.ChainID, Contract: a.Contract}}
		report, err = verify.Verify(t.Context(), receipt, trust, &verify.RPC{URL: rpc})
		return report.Grade.Level == "anchored", err
	})
	if report.CID != cid {
		t.Errorf("the receipt is that of %s, want %s", report.CID, cid)
	}
	return report
}

// TestOldDatabase puts yesterday's database back. The second home and the chain
// each know better, also when the other one is gone.
func TestOldDatabase(t *testing.T) {
	dir := t.TempDir()
	cfg := testConfig(dir)
	cfg.Chain = "embedded"
	r := start(t, cfg)
	addOrgs(t, r.Client, 3)
	anchored(t, r)
	r.stop()
	yesterday := filepath.Join(dir, "backup.db")
	database := filepath.Join(cfg.Data, databaseFile)
	if left, err := filepath.Glob(database + "-*"); err != nil || len(left) != 0 {
		t.Fatalf("a clean stop left %v (%v): the copy would not be whole", left, err)
	}
	copyFile(t, database, yesterday)

	r = start(t, cfg)
	addOrgs(t, r.Client, 3)
	anchored(t, r)
	r.stop()
	today := filepath.Join(dir, "today.db")
	copyFile(t, database, today)
	copyFile(t, yesterday, database)
	home := cfg.Data + ".checkpoint"
	atHome, err := os.ReadFile(home)
	if err != nil {
		t.Fatal(err)
	}

	refused := func(what string, cfg serveConfig, reason string) {
		t.Helper()
		if err := startFails(t, cfg); !errors.Is(err, anchor.ErrFork) || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s: got %v, want ErrFork and %q", what, err, reason)
		}
	}
	refused("second home and chain are ahead", cfg, "")
	alone := cfg
	alone.Chain = "none"
	refused("the second home is ahead", alone, "the checkpoint in the second home")
	if err := os.Remove(home); err != nil {
		t.Fatal(err)
	}
	refused("no second home", alone, "the second home is missing")
	bold := cfg
	bold.NewCheckpointHome = true
	refused("the chain is ahead", bold, "the ledger's head")
	if _, err := os.Stat(home); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a refused start made a second home (%v)", err)
	}

	// A database that begins anew is no remedy either.
	if err := os.Remove(database); err != nil {
		t.Fatal(err)
	}
	fresh := cfg
	fresh.Origin = r.server.Origin
	refused("an empty database", fresh, "the ledger's head")

	// Without anything that knows better, a person may vouch for a database.
	copyFile(t, yesterday, database)
	alone.NewCheckpointHome = true
	start(t, alone).stop()

	// The newest one opens, and its history goes on.
	copyFile(t, today, database)
	if err := os.WriteFile(home, atHome, 0o600); err != nil {
		t.Fatal(err)
	}
	r = start(t, cfg)
	addOrgs(t, r.Client, 1)
	anchored(t, r)
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	raw, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, raw, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestDiskReserve: a full disk stops writes, and nothing else.
func TestDiskReserve(t *testing.T) {
	cfg := testConfig(t.TempDir())
	r := start(t, cfg)
	event := addOrgs(t, r.Client, 1)[0]
	r.stop()

	full := cfg
	full.DiskReserve = 1 << 62
	r = start(t, full)
	_, err := r.CreateOrg(t.Context(), client.NewOrg{Name: "one-too-many"})
	var p *client.Problem
	if !errors.As(err, &p) || p.Status != http.StatusServiceUnavailable || p.RetryAfter <= 0 || !strings.HasPrefix(p.Type, "urn:writ:problem:") {
		t.Errorf("a write was answered %+v, want a problem with status 503 and Retry-After", err)
	}
	status, header, body := get(t, r.server.URL+"/readyz")
	if status != http.StatusServiceUnavailable || header.Get("Content-Type") != "application/problem+json" || header.Get("Retry-After") == "" || !strings.Contains(body, "writable") {
		t.Errorf("readyz: %d %v %s", status, header, body)
	}
	if status, _, body := get(t, r.server.URL+"/healthz"); status != http.StatusOK {
		t.Errorf("healthz: %d %s", status, body)
	}
	if rec, err := r.Event(t.Context(), event.CID); err != nil || rec.Event.Index != event.Index {
		t.Errorf("read %+v, %v", rec.Event, err)
	}
	if _, err := r.Receipt(t.Context(), event.CID, true); err != nil {
		t.Errorf("receipt: %v", err)
	}
	r.stop()

	r = start(t, cfg)
	if status, _, body := get(t, r.server.URL+"/readyz"); status != http.StatusOK {
		t.Errorf("with space again: %d %s", status, body)
	}
	if next := addOrgs(t, r.Client, 1)[0]; next.Index != event.Index+1 {
		t.Errorf("index %d follows %d: the refused write left something", next.Index, event.Index)
	}
}

// program is `writ serve` as a process of its own.
type program struct {
	URL, RPC string
	Ready    time.Duration // from the start to the banner

	cmd    *exec.Cmd
	out    *output
	exited chan struct{} // closed when it has ended; status is set
	status error
}

// output collects what a program writes and can be waited for.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{}
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(p)
	select {
	case o.more <- struct{}{}:
	default: // whoever waits will look
	}
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// launch starts the program without waiting for anything.
func launch(t *testing.T, cfg serveConfig) *program {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &program{out: &output{more: make(chan struct{}, 1)}, exited: make(chan struct{})}
	p.cmd = exec.Command(self, "serve", "--data", cfg.Data, "--listen", cfg.Listen, "--chain", cfg.Chain,
		"--anchor-interval", cfg.AnchorInterval.String(), "--disk-reserve", fmt.Sprint(cfg.DiskReserve), "--log-level", "warn")
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "WRIT_") {
			p.cmd.Env = append(p.cmd.Env, v)
		}
	}
	p.cmd.Env = append(p.cmd.Env, asProgram+"=1")
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.status = p.cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(p.kill)
	return p
}

// run starts the program and returns when it answers requests.
func run(t *testing.T, cfg serveConfig) *program {
	t.Helper()
	began := time.Now()
	p := launch(t, cfg)
	for {
		if p.readBanner(cfg.Chain == "embedded") {
			p.Ready = time.Since(began)
			return p
		}
		select {
		case <-p.out.more:
		case <-p.exited:
			t.Fatalf("it ended: %v\n%s", p.status, p.out)
		case <-t.Context().Done():
			t.Fatalf("it does not get ready\n%s", p.out)
		}
	}
}

func (p *program) readBanner(embedded bool) bool {
	var last string
	for line := range strings.Lines(p.out.String()) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		value = strings.TrimSpace(value)
		switch {
		case !strings.HasSuffix(line, "\n"):
			return false
		case name == "listening":
			p.URL = value
		case name == "rpc":
			p.RPC = value
		case name == "chain":
			last = value
		}
	}
	return last != "" && (p.RPC != "" || !embedded)
}

// kill ends the program as a power cut ends a process: no signal handler runs.
func (p *program) kill() {
	_ = p.cmd.Process.Kill() // an error says that it has ended
	<-p.exited
}

// terminate asks the program to end and returns its exit status.
func (p *program) terminate(t *testing.T) int {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	return p.wait(t)
}

func (p *program) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-p.exited:
	case <-t.Context().Done():
		t.Fatalf("it does not end\n%s", p.out)
	}
	var exit *exec.ExitError
	if p.status != nil && !errors.As(p.status, &exit) {
		t.Fatal(p.status)
	}
	return p.cmd.ProcessState.ExitCode()
}

// TestTermination: on SIGTERM a request in hand is answered, new ones are not
// taken, and the program ends in order.
func TestTermination(t *testing.T) {
	cfg := testConfig(t.TempDir())
	p := run(t, cfg)
	token, err := readLine(filepath.Join(cfg.Data, tokenFile))
	if err != nil {
		t.Fatal(err)
	}
	at := strings.TrimPrefix(p.URL, "http://")
	conn, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	// The server says 100 when the handler asks for the body: from then on the
	// request is in hand.
	const body = `{"name": "in-hand"}`
	fmt.Fprintf(conn, "POST /v1/orgs HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", token, len(body))
	in := make([]byte, 1024)
	n, err := conn.Read(in)
	if err != nil || !bytes.HasPrefix(in[:n], []byte("HTTP/1.1 100 ")) {
		t.Fatalf("got %q, %v", in[:n], err)
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "close the listener", func() (bool, error) {
		c, err := net.Dial("tcp", at)
		if err == nil {
			c.Close()
		}
		return err != nil, nil
	})
	if _, err := io.WriteString(conn, body); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 201 ")) {
		t.Errorf("the request in hand was answered %q, %v", answer, err)
	}
	if status := p.wait(t); status != 0 {
		t.Errorf("exit status %d\n%s", status, p.out)
	}
	r := start(t, cfg)
	if org, err := r.Org(t.Context(), "in-hand"); err != nil {
		t.Errorf("what was answered is lost: %v (%v)", org, err)
	}
}

// TestSecondProcess: the lock holds between processes and ends with one.
func TestSecondProcess(t *testing.T) {
	cfg := testConfig(t.TempDir())
	p := run(t, cfg)
	second := launch(t, cfg)
	if status := second.wait(t); status != 1 || !strings.Contains(second.out.String(), "in use by another process") {
		t.Errorf("exit status %d\n%s", status, second.out)
	}
	if status, _, _ := get(t, p.URL+"/readyz"); status != http.StatusOK {
		t.Errorf("the first one answers %d", status)
	}
	p.kill()
	if status := run(t, cfg).terminate(t); status != 0 {
		t.Errorf("exit status %d", status)
	}
}
