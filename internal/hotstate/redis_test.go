package hotstate_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/writ-registry/writ/internal/hotstate"
)

// server is a real redis-server on a free port of this machine, with an ACL
// user that may do no more than OpenRedis says.
type server struct {
	addr string
	args []string
	tls  *tls.Config
	cmd  *exec.Cmd
}

const (
	testUser  = "writ"
	testPass  = "s3cret-of-a-test"
	adminPass = "another-secret-of-a-test"
)

func startRedis(t *testing.T, withTLS bool) *server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("no redis-server: scripts/debian.sh installs it where it may")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{addr: l.Addr().String()}
	l.Close()
	_, port, _ := net.SplitHostPort(s.addr)
	dir := t.TempDir()
	s.args = []string{"--bind", "127.0.0.1", "--dir", dir, "--save", "", "--appendonly", "no", "--loglevel", "warning",
		"--user", "default", "on", ">" + adminPass, "~*", "+@all",
		"--user", testUser, "on", ">" + testPass, "~{writ-test}:*", "&{writ-test}:moved", "+subscribe", "+unsubscribe", "+publish", "+ping", "+info", "+time", "+get", "+set", "+eval", "+evalsha", "+hello", "+client"}
	if withTLS {
		s.tls = s.certificate(t, dir)
		s.args = append(s.args, "--port", "0", "--tls-port", port, "--tls-auth-clients", "no", "--tls-ca-cert-file", filepath.Join(dir, "cert.pem"),
			"--tls-cert-file", filepath.Join(dir, "cert.pem"), "--tls-key-file", filepath.Join(dir, "key.pem"))
	} else {
		s.args = append(s.args, "--port", port)
	}
	s.start(t)
	t.Cleanup(s.kill)
	return s
}

func (s *server) certificate(t *testing.T, dir string) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "redis"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "cert.pem"), cert, 0o600),
		os.WriteFile(filepath.Join(dir, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}), 0o600)); err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	return &tls.Config{RootCAs: pool}
}

func (s *server) start(t *testing.T) {
	t.Helper()
	s.cmd = exec.Command("redis-server", s.args...)
	var out strings.Builder
	s.cmd.Stdout, s.cmd.Stderr = &out, &out
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if answer, err := s.admin("PING"); err == nil && answer == "+PONG" {
			return
		} else if time.Now().After(end) {
			s.kill()
			t.Fatalf("redis-server does not answer: %v\n%s", err, out.String())
		}
	}
}

// kill is kill -9: nothing is saved, nothing is said.
func (s *server) kill() {
	s.cmd.Process.Kill()
	s.cmd.Wait()
}

func (s *server) signal(sig syscall.Signal) { s.cmd.Process.Signal(sig) }

// admin sends an inline command as the administrator.
func (s *server) admin(command string) (string, error) {
	d := &net.Dialer{Timeout: time.Second}
	var c net.Conn
	var err error
	if s.tls != nil {
		c, err = tls.DialWithDialer(d, "tcp", s.addr, s.tls)
	} else {
		c, err = d.Dial("tcp", s.addr)
	}
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	fmt.Fprintf(c, "AUTH %s\r\n%s\r\n", adminPass, command)
	r := bufio.NewReader(c)
	if _, err := r.ReadString('\n'); err != nil {
		return "", err
	}
	line, err := r.ReadString('\n')
	return strings.TrimSpace(line), err
}

func (s *server) must(t *testing.T, command, want string) {
	t.Helper()
	if got, err := s.admin(command); err != nil || got != want {
		t.Fatalf("%s: %q, %v", command, got, err)
	}
}

func (s *server) open(t *testing.T) *hotstate.Redis {
	t.Helper()
	scheme := "redis"
	if s.tls != nil {
		scheme = "rediss"
	}
	r, err := hotstate.OpenRedisTLS(fmt.Sprintf("%s://%s:%s@%s", scheme, testUser, testPass, s.addr), "writ-test", s.tls)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// TestRedisNoticesEveryLoss: after anything that can lose a spent proof, the
// store says so until it begins again, on the same connections.
func TestRedisNoticesEveryLoss(t *testing.T) {
	s := startRedis(t, false)
	r, ctx, n := s.open(t), t.Context(), 0
	for name, lose := range map[string]func(){
		"flushed": func() { s.must(t, "FLUSHALL", "+OK") },
		"killed and restarted empty": func() {
			s.kill()
			s.start(t)
		},
		"restarted from a file that holds the mark": func() {
			s.must(t, "SAVE", "+OK")
			s.kill()
			s.start(t)
		},
		"another history": func() {
			s.must(t, "REPLICAOF 127.0.0.1 1", "+OK")
			s.must(t, "REPLICAOF NO ONE", "+OK")
		},
		"another has begun": func() { r.Begin(ctx, "another", time.Now()) },
	} {
		n++
		era, now := fmt.Sprintf("era%d", n), time.Now()
		wait(t, func() bool { return r.Begin(ctx, era, now) == nil })
		if first, err := r.Spend(ctx, era, "k", "r", now, now.Add(time.Minute)); first != "" || err != nil {
			t.Fatalf("%s: %q, %v", name, first, err)
		}
		lose()
		for range 3 {
			if first, err := r.Spend(ctx, era, "k", "r", now, now.Add(time.Minute)); err == nil {
				t.Errorf("%s: not noticed: %q", name, first)
			}
		}
	}
	now := time.Now()
	if err := r.Begin(ctx, "clock", now); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Spend(ctx, "clock", "k", "r", now.Add(-2*time.Minute), now); !errors.Is(err, hotstate.ErrLost) {
		t.Errorf("two clocks that have parted: %v", err)
	}
}

func TestRedisIsRefused(t *testing.T) {
	s := startRedis(t, false)
	r := s.open(t)
	s.must(t, "CONFIG SET maxmemory-policy allkeys-lru", "+OK")
	if err := r.Begin(t.Context(), "x", time.Now()); err == nil || !strings.Contains(err.Error(), "noeviction") {
		t.Errorf("a store that evicts: %v", err)
	}
	if _, err := hotstate.OpenRedis("http://u:hunter2@x", "p"); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a URL of another kind: %v", err)
	}
	other, err := hotstate.OpenRedis("redis://writ:wrong@"+s.addr, "writ-test")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := other.Begin(t.Context(), "x", time.Now()); err == nil {
		t.Error("the wrong password was accepted")
	}
}

// TestRedisUnderLoad kills, flushes, pauses and restarts the server while many
// spend the same proofs. In one era no proof is first twice, and once the
// server is well a new era begins without another client.
func TestRedisUnderLoad(t *testing.T) {
	s := startRedis(t, false)
	r, ctx := s.open(t), t.Context()
	for i, fault := range []func(){
		func() { s.must(t, "FLUSHALL", "+OK") },
		func() { s.kill(); time.Sleep(50 * time.Millisecond); s.start(t) },
		func() { s.signal(syscall.SIGSTOP); time.Sleep(2 * hotstate.Patience); s.signal(syscall.SIGCONT) },
	} {
		era := fmt.Sprintf("era%d", i)
		wait(t, func() bool { return r.Begin(ctx, era, time.Now()) == nil })
		var wg sync.WaitGroup
		var first [2000]atomic.Int32
		var asked, stop atomic.Int64
		for w := range 16 {
			wg.Go(func() {
				for n := w; stop.Load() == 0; n += 7 {
					now := time.Now()
					got, err := r.Spend(ctx, era, fmt.Sprint(n%len(first)), "r", now, now.Add(time.Minute))
					if err == nil && got == "" {
						first[n%len(first)].Add(1)
					}
					asked.Add(1)
				}
			})
		}
		wait(t, func() bool { return asked.Load() > 500 })
		fault()
		seen := asked.Load()
		wait(t, func() bool { return asked.Load() > seen+500 })
		stop.Store(1)
		wg.Wait()
		for n := range first {
			if c := first[n].Load(); c > 1 {
				t.Errorf("fault %d: proof %d was first %d times", i, n, c)
			}
		}
	}
	wait(t, func() bool { return r.Begin(ctx, "after", time.Now()) == nil })
}

func wait(t *testing.T, until func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !until(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited a minute")
		}
	}
}
