package resolve_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/internal/resolve"
	"github.com/writ-registry/writ/registry/did"
)

var loopback = netip.MustParsePrefix("127.0.0.0/8")

// host is another organization's web host: a TLS server on loopback that answers to
// the name host.example.
type host struct {
	server *httptest.Server
	roots  *x509.CertPool
	port   string
	hits   atomic.Int64

	mu    sync.Mutex
	files map[string][]byte // by path
}

// certificate returns one for host.example until a time, and its root.
func certificate(t testing.TB, name string, until time.Time) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: until, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

// newHost starts a host. nil as handler serves its files.
func newHost(t testing.TB, handler http.HandlerFunc, change func(*tls.Config)) *host {
	t.Helper()
	h := &host{files: map[string][]byte{}}
	if handler == nil {
		handler = h.serve
	}
	h.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.hits.Add(1)
		handler(w, r)
	}))
	cert, roots := certificate(t, "host.example", time.Now().Add(time.Hour))
	h.roots = roots
	h.server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	if change != nil {
		change(h.server.TLS)
	}
	h.server.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes fail on purpose
	h.server.StartTLS()
	t.Cleanup(h.server.Close)
	_, h.port, _ = net.SplitHostPort(h.server.Listener.Addr().String())
	return h
}

func (h *host) serve(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	file, ok := h.files[r.URL.EscapedPath()]
	if !ok {
		http.NotFound(w, r)
		return
	}
	_, _ = w.Write(file)
}

func (h *host) put(path string, file []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.files[path] = file
}

func (h *host) web() string { return "did:web:host.example%3A" + h.port }

func (h *host) origin() string { return "https://host.example:" + h.port }

// resolver returns one to which every name is at 127.0.0.1, which it may dial.
func (h *host) resolver(change func(*resolve.Config)) *resolve.Resolver {
	c := resolve.Config{
		Allow: []netip.Prefix{loopback}, RootCAs: h.roots, Timeout: 20 * time.Second,
		Now: func() time.Time { return start.Add(24 * time.Hour) },
		Lookup: func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
		},
	}
	if change != nil {
		change(&c)
	}
	return resolve.New(c)
}

func key(seed byte) *jose.PrivateKey { return jose.NewEd25519FromSeed([32]byte{seed}) }

var start = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// agent is a did:webvh of the host with a log of several entries, as its lines.
type agent struct {
	did   did.DID
	path  string
	lines [][]byte
}

// newAgent makes a log of n entries.
func newAgent(t testing.TB, h *host, n int, change func(*did.GenesisParams)) *agent {
	t.Helper()
	p := did.GenesisParams{
		Origin: h.origin(), Path: []string{"agents", "1"}, Time: start,
		Signer: key(1), NextKeys: []jose.PublicKey{key(2).Public()}, Keys: []jose.PublicKey{key(99).Public()},
	}
	if change != nil {
		change(&p)
	}
	e, err := did.Genesis(p)
	if err != nil {
		t.Fatal(err)
	}
	a := &agent{did: e.DID, path: "/agents/1/did.jsonl", lines: [][]byte{e.Line}}
	for len(a.lines) < n {
		a.update(t, did.UpdateParams{})
	}
	return a
}

// update appends an entry an hour after the one before, by the next of the keys.
func (a *agent) update(t testing.TB, p did.UpdateParams) did.Entry {
	t.Helper()
	n := len(a.lines)
	p.Time, p.Signer, p.NextKeys = start.Add(time.Duration(n)*time.Hour), key(byte(n+1)), []jose.PublicKey{key(byte(n + 2)).Public()}
	e, err := did.Update(a.log(n), p)
	if err != nil {
		t.Fatal(err)
	}
	a.lines = append(a.lines, e.Line)
	return e
}

// log returns its first n entries.
func (a *agent) log(n int) []byte { return slices.Concat(a.lines[:n]...) }

func document(id string) []byte { return []byte(`{"id":"` + id + `","verificationMethod":[]}`) }

// wantError demands a code, and a reason if there is one.
func wantError(t *testing.T, name string, err error, code resolve.Code, reason resolve.Reason) {
	t.Helper()
	var e *resolve.Error
	if !errors.As(err, &e) || e.Code != code || e.Reason != reason || !errors.Is(err, code) || reason != "" && !errors.Is(err, reason) {
		t.Errorf("%s: got %v, want %s %s", name, err, code, reason)
	}
}

func TestWeb(t *testing.T) {
	h := newHost(t, nil, nil)
	h.put("/.well-known/did.json", document(h.web()))
	h.put("/user/alice%20b/did.json", document(h.web()+":user:alice%20b"))
	r := h.resolver(nil)
	for _, id := range []string{h.web(), h.web() + ":user:alice%20b"} {
		got, err := r.Resolve(t.Context(), id, resolve.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if string(got.Document) != string(document(id)) || got.Assurance != resolve.AssuranceHost || got.DID.String() != id || got.Log != nil {
			t.Errorf("%s: got %+v", id, got)
		}
	}
	_, err := r.Resolve(t.Context(), h.web(), resolve.Options{Version: did.VersionQuery{VersionID: "1"}})
	wantError(t, "a version", err, resolve.NotFound, "")
	_, err = r.Resolve(t.Context(), h.web()+":nobody", resolve.Options{})
	wantError(t, "nobody", err, resolve.NotFound, "")
}

func TestWebVH(t *testing.T) {
	h := newHost(t, nil, nil)
	a := newAgent(t, h, 3, nil)
	h.put(a.path, a.log(3))
	r := h.resolver(nil)
	got, err := r.Resolve(t.Context(), a.did.String(), resolve.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m := got.Metadata
	if got.Assurance != resolve.AssuranceLog || len(got.Log.Versions) != 3 || m.VersionID != got.Log.Current().ID || m.SCID != a.did.SCID() || m.CanonicalID != "" {
		t.Errorf("got %+v", got)
	}
	if doc, err := did.ParseDocument(got.Document); err != nil || doc.ID != a.did.String() {
		t.Errorf("got %s, %v", got.Document, err)
	}
	old, err := r.Resolve(t.Context(), a.did.String(), resolve.Options{Version: did.VersionQuery{VersionTime: start.Add(time.Minute)}})
	if err != nil || old.Metadata.VersionID != got.Log.Versions[0].ID || old.Metadata.NextVersionID != got.Log.Versions[1].ID {
		t.Errorf("got %+v, %v", old, err)
	}
	_, err = r.Resolve(t.Context(), a.did.String(), resolve.Options{Version: did.VersionQuery{VersionNumber: 4}})
	wantError(t, "a version that is not", err, resolve.NotFound, "")
	_, err = r.Resolve(t.Context(), a.did.String(), resolve.Options{Version: did.VersionQuery{VersionNumber: 1, VersionID: "1"}})
	wantError(t, "two versions", err, resolve.InvalidOptions, "")
	if n := h.hits.Load(); n != 1 {
		t.Errorf("the host was asked %d times", n)
	}
}

func TestDeactivated(t *testing.T) {
	h := newHost(t, nil, nil)
	a := newAgent(t, h, 1, nil)
	end, err := did.Deactivate(a.log(1), key(2), start.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	log := a.log(1)
	for _, e := range end {
		log = append(log, e.Line...)
	}
	h.put(a.path, log)
	r := h.resolver(nil)
	got, err := r.Resolve(t.Context(), a.did.String(), resolve.Options{})
	if err != nil || got.Document != nil || !got.Metadata.Deactivated {
		t.Errorf("got %+v, %v", got, err)
	}
	got, err = r.Resolve(t.Context(), a.did.String(), resolve.Options{Version: did.VersionQuery{VersionNumber: 1}})
	if err != nil || got.Document == nil || !got.Metadata.Deactivated {
		t.Errorf("an older version: got %+v, %v", got, err)
	}
}

// A DID that has moved resolves at both of its places, and says which is which now.
func TestMoved(t *testing.T) {
	h := newHost(t, nil, nil)
	a := newAgent(t, h, 1, func(p *did.GenesisParams) { p.Portable = true })
	moved := a.update(t, did.UpdateParams{Keys: []jose.PublicKey{key(99).Public()}, Origin: h.origin(), Path: []string{"new"}})
	h.put(a.path, a.log(2))
	h.put("/new/did.jsonl", a.log(2))
	h.put("/third/did.jsonl", a.log(2))
	r := h.resolver(nil)
	for id, canonical := range map[string]string{a.did.String(): moved.DID.String(), moved.DID.String(): ""} {
		got, err := r.Resolve(t.Context(), id, resolve.Options{})
		if err != nil || got.Metadata.CanonicalID != canonical || got.DID.String() != id || got.Log.DID != moved.DID {
			t.Errorf("%s: got %+v, %v", id, got, err)
		}
	}
	_, err := r.Resolve(t.Context(), strings.Replace(moved.DID.String(), ":new", ":third", 1), resolve.Options{})
	wantError(t, "a place it never had", err, resolve.InvalidDID, resolve.OtherDID)
}

func TestWitnessed(t *testing.T) {
	h := newHost(t, nil, nil)
	a := newAgent(t, h, 2, func(p *did.GenesisParams) {
		p.Witness = did.Witnesses{Threshold: 1, Keys: []jose.PublicKey{key(50).Public()}}
	})
	h.put(a.path, a.log(2))
	fresh := time.Duration(0)
	r := h.resolver(nil)
	_, err := r.Resolve(t.Context(), a.did.String(), resolve.Options{MaxAge: &fresh})
	wantError(t, "no file", err, resolve.InvalidDID, "")
	if !errors.Is(err, did.Unwitnessed) {
		t.Errorf("got %v", err)
	}
	const file = "/agents/1/did-witness.json"
	h.put(file, []byte("<html>"))
	_, err = r.Resolve(t.Context(), a.did.String(), resolve.Options{MaxAge: &fresh})
	wantError(t, "a file of another kind", err, resolve.InvalidDID, "")
	h.put(file, make([]byte, did.MaxWitnessFile+1))
	_, err = r.Resolve(t.Context(), a.did.String(), resolve.Options{MaxAge: &fresh})
	wantError(t, "a huge file", err, resolve.InvalidDID, resolve.Size)

	entry, err := did.VerifyNext(a.log(1), a.lines[1], start.Add(24*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	proof, err := did.Approve(entry.VersionID, key(50), start)
	if err != nil {
		t.Fatal(err)
	}
	proofs, err := did.MarshalWitnessProofs([]did.WitnessProof{proof})
	if err != nil {
		t.Fatal(err)
	}
	h.put(file, proofs)
	if got, err := r.Resolve(t.Context(), a.did.String(), resolve.Options{MaxAge: &fresh}); err != nil || got.Metadata.Witness == nil {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestDIDKey(t *testing.T) {
	r := resolve.New(resolve.Config{Lookup: func(context.Context, string) ([]netip.Addr, error) {
		t.Error("a name was looked up")
		return nil, errors.New("no")
	}})
	d := did.Key(key(1).Public())
	got, err := r.Resolve(t.Context(), d.String(), resolve.Options{})
	if err != nil || got.Assurance != resolve.AssuranceKey {
		t.Fatalf("got %+v, %v", got, err)
	}
	doc, err := did.ParseDocument(got.Document)
	if err != nil {
		t.Fatal(err)
	}
	if k, ok := doc.Key(d.KeyURL(key(1).Public())); !ok || k != key(1).Public() {
		t.Errorf("got %s", got.Document)
	}
	for text, code := range map[string]resolve.Code{
		"":                     resolve.InvalidDID,
		"did:web:127.0.0.1":    resolve.InvalidDID,
		"did:web:a.example#1":  resolve.InvalidDID,
		"did:example:1":        resolve.MethodNotSupported,
		"did:key:z6Mk":         resolve.InvalidDID,
		"https://host.example": resolve.InvalidDID,
	} {
		_, err := r.Resolve(t.Context(), text, resolve.Options{})
		wantError(t, text, err, code, "")
	}
}

// What a host answers that is not the DID's document or log, by name.
func TestWrongAnswers(t *testing.T) {
	h := newHost(t, nil, nil)
	a := newAgent(t, h, 2, nil)
	other := newAgent(t, h, 2, func(p *did.GenesisParams) { p.TTL = time.Minute })
	future := newAgent(t, h, 1, func(p *did.GenesisParams) { p.Time = start.Add(24*time.Hour + 2*time.Minute) })
	id := h.web() + ":agents:1"
	for name, c := range map[string]struct {
		did    string
		body   []byte
		code   resolve.Code
		reason resolve.Reason
	}{
		"web: HTML":              {id, []byte("<html></html>"), resolve.InvalidDocument, ""},
		"web: nothing":           {id, nil, resolve.InvalidDocument, ""},
		"web: an array":          {id, []byte("[]"), resolve.InvalidDocument, ""},
		"web: null":              {id, []byte("null"), resolve.InvalidDocument, resolve.OtherDID},
		"web: no id":             {id, []byte("{}"), resolve.InvalidDocument, resolve.OtherDID},
		"web: another's id":      {id, document(h.web()), resolve.InvalidDocument, resolve.OtherDID},
		"web: id in other case":  {id, document(strings.ToUpper(id)), resolve.InvalidDocument, resolve.OtherDID},
		"web: two ids":           {id, []byte(`{"id":"` + h.web() + `","id":"` + id + `"}`), resolve.InvalidDocument, ""},
		"web: not UTF-8":         {id, append(document(id), 0xff), resolve.InvalidDocument, ""},
		"web: nested too deep":   {id, []byte(strings.Repeat("[", 100000)), resolve.InvalidDocument, ""},
		"web: huge":              {id, make([]byte, resolve.MaxDocument+1), resolve.InvalidDID, resolve.Size},
		"webvh: HTML":            {a.did.String(), []byte("<html></html>"), resolve.InvalidDID, ""},
		"webvh: nothing":         {a.did.String(), nil, resolve.InvalidDID, ""},
		"webvh: another's log":   {a.did.String(), other.log(2), resolve.InvalidDID, resolve.OtherDID},
		"webvh: cut":             {a.did.String(), a.log(2)[:len(a.log(2))-9], resolve.InvalidDID, ""},
		"webvh: genesis missing": {a.did.String(), a.lines[1], resolve.InvalidDID, ""},
		"webvh: a document":      {a.did.String(), document(a.did.String()), resolve.InvalidDID, ""},
		"webvh: huge":            {a.did.String(), make([]byte, did.MaxLog+1), resolve.InvalidDID, resolve.Size},
		"webvh: from the future": {future.did.String(), future.log(1), resolve.InvalidDID, ""},
	} {
		h.put("/agents/1/did.json", c.body)
		h.put(a.path, c.body)
		_, err := h.resolver(nil).Resolve(t.Context(), c.did, resolve.Options{})
		wantError(t, name, err, c.code, c.reason)
	}
	var logError *did.LogError
	h.put(a.path, a.log(2)[1:])
	if _, err := h.resolver(nil).Resolve(t.Context(), a.did.String(), resolve.Options{}); !errors.As(err, &logError) || logError.Code != did.Malformed {
		t.Errorf("the cause is lost: %v", err)
	}
}

// How a host answers that does not behave, by name.
func TestHostileHosts(t *testing.T) {
	aim := newHost(t, nil, nil)
	aim.put("/", []byte("secret"))
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		tls     func(*tls.Config)
		code    resolve.Code
		reason  resolve.Reason
	}{
		"redirect to loopback": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://127.0.0.1:"+aim.port+"/", http.StatusFound)
		}, nil, resolve.InvalidDID, resolve.Redirect},
		"redirect to itself": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path, http.StatusPermanentRedirect)
		}, nil, resolve.InvalidDID, resolve.Redirect},
		"redirect without a place": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusMovedPermanently) }, nil, resolve.InvalidDID, resolve.Redirect},
		"never answers":            {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, nil, resolve.Internal, resolve.Timeout},
		"never ends":               {drip, nil, resolve.Internal, resolve.Timeout},
		"endless":                  {flood, nil, resolve.InvalidDID, resolve.Size},
		"endless header": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 1<<20))
		}, nil, resolve.Internal, ""},
		"a lie about its length": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, "{}")
		}, nil, resolve.Internal, ""},
		"compressed": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write([]byte{0x1f, 0x8b})
		}, nil, resolve.InvalidDID, resolve.Encoded},
		"gone":       {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) }, nil, resolve.NotFound, ""},
		"forbidden":  {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, nil, resolve.Internal, ""},
		"broken":     {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }, nil, resolve.Internal, ""},
		"no content": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, nil, resolve.Internal, ""},
		"another's certificate": {nil, func(c *tls.Config) {
			cert, _ := certificate(t, "other.example", time.Now().Add(time.Hour))
			c.Certificates = []tls.Certificate{cert}
		}, resolve.Internal, ""},
		"an old protocol": {nil, func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, resolve.Internal, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, c.handler, c.tls)
			r := h.resolver(func(config *resolve.Config) {
				if c.reason == resolve.Timeout {
					config.Timeout = 300 * time.Millisecond
				}
			})
			_, err := r.Resolve(t.Context(), h.web(), resolve.Options{})
			wantError(t, name, err, c.code, c.reason)
			if n := h.hits.Load(); n > 1 {
				t.Errorf("asked %d times", n)
			}
		})
	}
	t.Cleanup(func() { // after the parallel ones
		if aim.hits.Load() > 0 {
			t.Error("a redirect was followed")
		}
	})
}

// drip sends one byte after the other until nobody listens.
func drip(w http.ResponseWriter, r *http.Request) {
	beat := time.NewTicker(5 * time.Millisecond)
	defer beat.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-beat.C:
			_, _ = io.WriteString(w, " ")
			w.(http.Flusher).Flush()
		}
	}
}

// flood sends as fast as it can until nobody listens.
func flood(w http.ResponseWriter, r *http.Request) {
	block := make([]byte, 1<<16)
	for r.Context().Err() == nil {
		if _, err := w.Write(block); err != nil {
			return
		}
	}
}

func TestExpiredCertificate(t *testing.T) {
	var roots *x509.CertPool
	h := newHost(t, nil, func(c *tls.Config) {
		var cert tls.Certificate
		cert, roots = certificate(t, "host.example", time.Now().Add(-time.Hour))
		c.Certificates = []tls.Certificate{cert}
	})
	h.roots = roots
	h.put("/.well-known/did.json", document(h.web()))
	_, err := h.resolver(nil).Resolve(t.Context(), h.web(), resolve.Options{})
	wantError(t, "expired", err, resolve.Internal, "")
	var invalid x509.CertificateInvalidError
	if !errors.As(err, &invalid) || invalid.Reason != x509.Expired {
		t.Errorf("got %v", err)
	}
	if h.hits.Load() != 0 {
		t.Error("the request was sent")
	}
}

// The environment names a proxy; nobody asks it.
func TestNoProxy(t *testing.T) {
	proxy := newHost(t, nil, nil)
	t.Setenv("HTTPS_PROXY", "https://127.0.0.1:"+proxy.port)
	t.Setenv("ALL_PROXY", "https://127.0.0.1:"+proxy.port)
	h := newHost(t, nil, nil)
	h.put("/.well-known/did.json", document(h.web()))
	if _, err := h.resolver(nil).Resolve(t.Context(), h.web(), resolve.Options{}); err != nil {
		t.Error(err)
	}
	if proxy.hits.Load() != 0 {
		t.Error("the proxy was asked")
	}
}

// Each address is refused before a socket is made for it and again before the socket is
// connected.
func TestAddresses(t *testing.T) {
	r := resolve.New(resolve.Config{})
	open := resolve.New(resolve.Config{
		Allow: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00::/8")}, Ports: []uint16{443, 8443},
	})
	for address, want := range map[string]struct{ public, opened bool }{
		"93.184.216.34:443":                {true, true},
		"93.184.216.34:8443":               {false, true},
		"93.184.216.34:80":                 {false, false},
		"93.184.216.34:22":                 {false, false},
		"[2606:2800:21f:cb07::1]:443":      {true, true},
		"10.1.2.3:443":                     {false, true},
		"10.1.2.3:22":                      {false, true},
		"10.2.2.3:443":                     {false, false},
		"[fd12::1]:443":                    {false, true},
		"[fc12::1]:443":                    {false, false},
		"127.0.0.1:443":                    {false, false},
		"127.255.255.254:443":              {false, false},
		"0.0.0.0:443":                      {false, false},
		"0.1.2.3:443":                      {false, false},
		"100.64.0.1:443":                   {false, false},
		"100.100.100.200:443":              {false, false},
		"100.128.0.1:443":                  {true, true},
		"168.63.129.16:443":                {false, false},
		"169.254.169.254:443":              {false, false},
		"172.16.0.1:443":                   {false, false},
		"172.31.255.255:443":               {false, false},
		"172.32.0.1:443":                   {true, true},
		"192.0.0.192:443":                  {false, false},
		"192.0.2.1:443":                    {false, false},
		"192.88.99.1:443":                  {false, false},
		"192.168.1.1:443":                  {false, false},
		"198.18.0.1:443":                   {false, false},
		"198.19.255.255:443":               {false, false},
		"198.51.100.1:443":                 {false, false},
		"203.0.113.1:443":                  {false, false},
		"224.0.0.1:443":                    {false, false},
		"239.255.255.255:443":              {false, false},
		"240.0.0.1:443":                    {false, false},
		"255.255.255.255:443":              {false, false},
		"[::]:443":                         {false, false},
		"[::1]:443":                        {false, false},
		"[::127.0.0.1]:443":                {false, false}, // IPv4-compatible
		"[::ffff:127.0.0.1]:443":           {false, false}, // IPv4-mapped
		"[::ffff:93.184.216.34]:443":       {false, false},
		"[::ffff:10.1.2.3]:443":            {false, false},
		"[64:ff9b::a9fe:a9fe]:443":         {false, false}, // NAT64 of 169.254.169.254
		"[64:ff9b:1::a9fe:a9fe]:443":       {false, false},
		"[2002:7f00:1::1]:443":             {false, false}, // 6to4 of 127.0.0.1
		"[2001:0:4136:e378::1]:443":        {false, false}, // Teredo
		"[2001:10::1]:443":                 {false, false}, // ORCHID
		"[2001:db8::1]:443":                {false, false},
		"[3fff::1]:443":                    {false, false},
		"[fd00:ec2::254]:443":              {false, true}, // a cloud's metadata: who opens a network opens all of it
		"[fe80::1]:443":                    {false, false},
		"[fe80::1%25eth0]:443":             {false, false},
		"[2606:2800:21f:cb07::1%eth0]:443": {false, false},
		"[fec0::1]:443":                    {false, false},
		"[ff02::1]:443":                    {false, false},
		"[100::1]:443":                     {false, false},
		"[5f00::1]:443":                    {false, false},
	} {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			r    *resolve.Resolver
			want bool
		}{{r, want.public}, {open, want.opened}} {
			for where, err := range map[string]error{"lookup": c.r.MayLookUp(to), "socket": c.r.MayDial(address)} {
				if (err == nil) != c.want || err != nil && !errors.Is(err, resolve.Address) {
					t.Errorf("%s at %s: got %v", address, where, err)
				}
			}
		}
	}
	for _, address := range []string{"", "127.0.0.1", "host.example:443", "[::1]"} {
		if err := r.MayDial(address); !errors.Is(err, resolve.Address) {
			t.Errorf("%q: got %v", address, err)
		}
	}
}

// A Resolver that nothing was opened for reaches nothing on this machine, whatever the
// name says.
func TestLoopbackIsRefused(t *testing.T) {
	h := newHost(t, nil, nil)
	h.put("/.well-known/did.json", document(h.web()))
	for name, answer := range map[string]string{
		"loopback": "127.0.0.1", "mapped": "::ffff:127.0.0.1", "unspecified": "0.0.0.0", "IPv6": "::1", "unspecified IPv6": "::",
	} {
		r := h.resolver(func(c *resolve.Config) {
			c.Allow, c.Ports = nil, []uint16{h.server.Listener.Addr().(*net.TCPAddr).AddrPort().Port()}
			c.Lookup = func(context.Context, string) ([]netip.Addr, error) {
				return []netip.Addr{netip.MustParseAddr(answer)}, nil
			}
		})
		_, err := r.Resolve(t.Context(), h.web(), resolve.Options{})
		wantError(t, name, err, resolve.InvalidDID, resolve.Address)
	}
	if h.hits.Load() != 0 {
		t.Error("the host was reached")
	}
	_, err := resolve.New(resolve.Config{}).Resolve(t.Context(), "did:web:localhost", resolve.Options{})
	wantError(t, "localhost", err, resolve.InvalidDID, resolve.Address)
}

// A name that said one thing and says another now (DNS rebinding) is looked up once for
// an exchange, and what it says then is what counts. Here 127.0.0.1 stands for the
// public address and ::1 for one that may not be reached.
func TestRebinding(t *testing.T) {
	good, bad := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")
	for name, answers := range map[string][][]netip.Addr{
		"then another":   {{good}, {bad}},
		"then both":      {{good}, {good, bad}},
		"then the other": {{good}, {bad, good}},
		"none, then":     {{}, {bad}},
		"at first":       {{bad}},
	} {
		h := newHost(t, nil, nil)
		h.put("/.well-known/did.json", document(h.web()))
		asked := 0
		r := h.resolver(func(c *resolve.Config) {
			c.Allow, c.Ports = []netip.Prefix{netip.PrefixFrom(good, 32)}, []uint16{h.server.Listener.Addr().(*net.TCPAddr).AddrPort().Port()}
			c.Lookup = func(context.Context, string) ([]netip.Addr, error) {
				asked++
				return answers[asked-1], nil
			}
		})
		fresh := time.Duration(0)
		var err error
		for range answers {
			_, err = r.Resolve(t.Context(), h.web(), resolve.Options{MaxAge: &fresh})
		}
		wantError(t, name, err, resolve.InvalidDID, resolve.Address)
		if want := len(answers); asked != want {
			t.Errorf("%s: %d lookups for %d exchanges", name, asked, want)
		}
		if want := len(answers[0]); h.hits.Load() != int64(want) && name != "at first" {
			t.Errorf("%s: the host was reached %d times", name, h.hits.Load())
		}
	}
}

func TestLookupFails(t *testing.T) {
	h := newHost(t, nil, nil)
	for name, c := range map[string]struct {
		err  error
		code resolve.Code
	}{
		"no such host":  {&net.DNSError{IsNotFound: true}, resolve.NotFound},
		"a DNS failure": {&net.DNSError{IsTemporary: true}, resolve.Internal},
	} {
		r := h.resolver(func(config *resolve.Config) {
			config.Lookup = func(context.Context, string) ([]netip.Addr, error) { return nil, c.err }
		})
		_, err := r.Resolve(t.Context(), h.web(), resolve.Options{})
		wantError(t, name, err, c.code, "")
	}
}

// A log may only grow: what was seen must be its beginning.
func TestMemory(t *testing.T) {
	h := newHost(t, nil, nil)
	a := newAgent(t, h, 4, nil)
	fork := &agent{lines: slices.Clone(a.lines[:2])}
	fork.update(t, did.UpdateParams{Watchers: []string{"https://watcher.example"}})
	fork.update(t, did.UpdateParams{})
	fork.update(t, did.UpdateParams{})
	memory := resolve.NewInMemory()
	for i, c := range []struct {
		log    []byte
		reason resolve.Reason // "" resolves
	}{
		{a.log(2), ""},
		{a.log(2), ""},
		{a.log(1), resolve.Truncated},
		{a.log(3), ""},
		{a.log(2), resolve.Truncated},
		{fork.log(3), resolve.Forked},
		{fork.log(5), resolve.Forked},
		{a.log(3), ""},
		{a.log(4), ""},
		{a.log(3), resolve.Truncated},
	} {
		h.put(a.path, c.log)
		// Each time another Resolver, as after a start: the memory outlives them.
		r := h.resolver(func(config *resolve.Config) { config.Memory = memory })
		_, err := r.Resolve(t.Context(), a.did.String(), resolve.Options{})
		if c.reason == "" && err != nil {
			t.Errorf("%d: %v", i, err)
		} else if c.reason != "" {
			wantError(t, fmt.Sprint(i), err, resolve.InvalidDID, c.reason)
		}
	}
	// Nor at another place of the same DID.
	moved := newAgent(t, h, 1, func(p *did.GenesisParams) { p.Portable = true })
	to := moved.update(t, did.UpdateParams{Keys: []jose.PublicKey{key(99).Public()}, Origin: h.origin(), Path: []string{"new"}})
	r := h.resolver(func(config *resolve.Config) { config.Memory = memory })
	h.put("/new/did.jsonl", moved.log(2))
	h.put(moved.path, moved.log(1))
	if _, err := r.Resolve(t.Context(), to.DID.String(), resolve.Options{}); err != nil {
		t.Error(err)
	}
	_, err := r.Resolve(t.Context(), moved.did.String(), resolve.Options{})
	wantError(t, "the old place", err, resolve.InvalidDID, resolve.Truncated)
}

func TestInMemoryDoesNotGoBack(t *testing.T) {
	m := resolve.NewInMemory()
	if _, _, ok, err := m.Highest(t.Context(), "a"); ok || err != nil {
		t.Errorf("got %t, %v", ok, err)
	}
	for _, s := range []struct {
		id      string
		entries int
	}{{"2-b", 2}, {"1-a", 1}, {"2-c", 2}} {
		if err := m.Remember(t.Context(), "a", s.id, s.entries); err != nil {
			t.Fatal(err)
		}
	}
	if id, n, ok, err := m.Highest(t.Context(), "a"); id != "2-b" || n != 2 || !ok || err != nil {
		t.Errorf("got %s, %d, %t, %v", id, n, ok, err)
	}
}

// forgetful is a Memory that fails.
type forgetful struct {
	resolve.Memory
	highest, remember error
}

func (f forgetful) Highest(context.Context, string) (string, int, bool, error) {
	return "", 0, false, f.highest
}
func (f forgetful) Remember(context.Context, string, string, int) error { return f.remember }

// Without its memory a log is not believed.
func TestMemoryFails(t *testing.T) {
	h := newHost(t, nil, nil)
	a := newAgent(t, h, 1, nil)
	h.put(a.path, a.log(1))
	broken := errors.New("database is locked")
	for name, m := range map[string]forgetful{"read": {highest: broken}, "write": {remember: broken}} {
		r := h.resolver(func(c *resolve.Config) { c.Memory = m })
		_, err := r.Resolve(t.Context(), a.did.String(), resolve.Options{})
		wantError(t, name, err, resolve.Internal, "")
		if !errors.Is(err, broken) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// clock is a time that a test sets.
type clock struct{ atomic.Int64 }

func (c *clock) now() time.Time { return start.Add(24 * time.Hour).Add(time.Duration(c.Load())) }

func TestCache(t *testing.T) {
	h := newHost(t, nil, nil)
	a := newAgent(t, h, 1, func(p *did.GenesisParams) { p.TTL = 2 * time.Minute })
	long := newAgent(t, h, 1, func(p *did.GenesisParams) { p.TTL, p.Path = 48*time.Hour, []string{"long"} })
	h.put(a.path, a.log(1))
	h.put("/long/did.jsonl", long.log(1))
	h.put("/.well-known/did.json", document(h.web()))
	never := newAgent(t, h, 1, func(p *did.GenesisParams) { p.Path = []string{"never"} })
	zero := time.Duration(0)
	never.update(t, did.UpdateParams{TTL: &zero})
	h.put("/never/did.jsonl", never.log(2))

	var c clock
	r := h.resolver(func(config *resolve.Config) { config.Now = c.now })
	age := func(d time.Duration) *time.Duration { return &d }
	for i, s := range []struct {
		at     time.Duration
		did    string
		maxAge *time.Duration
		hit    bool // the host is asked
	}{
		{0, a.did.String(), nil, true},
		{2*time.Minute - 1, a.did.String(), nil, false},
		{2 * time.Minute, a.did.String(), age(time.Hour), false}, // stale, as asked for
		{2 * time.Minute, a.did.String(), nil, true},
		{2 * time.Minute, a.did.String(), age(0), true},
		{3 * time.Minute, a.did.String(), age(time.Minute), true},
		{time.Minute, a.did.String(), nil, true}, // the clock went back
		{30 * time.Hour, a.did.String(), age(48 * time.Hour), true},
		{0, long.did.String(), nil, true},
		{time.Hour - 1, long.did.String(), nil, false},
		{time.Hour, long.did.String(), nil, true}, // MaxTTL
		{0, never.did.String(), nil, true},
		{0, never.did.String(), nil, true},
		{0, h.web(), nil, true},
		{5*time.Minute - 1, h.web(), nil, false},
		{5 * time.Minute, h.web(), nil, true},
	} {
		c.Store(int64(s.at))
		before := h.hits.Load()
		got, err := r.Resolve(t.Context(), s.did, resolve.Options{MaxAge: s.maxAge})
		if err != nil {
			t.Fatalf("%d: %v", i, err)
		}
		if hit := h.hits.Load() > before; hit != s.hit {
			t.Errorf("%d: asked %t, want %t", i, hit, s.hit)
		}
		if s.hit && !got.Fetched.Equal(c.now()) {
			t.Errorf("%d: fetched at %s", i, got.Fetched)
		}
	}
}

func TestFailuresAreKeptShortly(t *testing.T) {
	h := newHost(t, nil, nil)
	h.put("/.well-known/did.json", document(h.web()))
	var c clock
	r := h.resolver(func(config *resolve.Config) { config.Now = c.now })
	hour, none := time.Hour, time.Duration(0)
	ask := func(at time.Duration, maxAge *time.Duration) error {
		c.Store(int64(at))
		_, err := r.Resolve(t.Context(), h.web(), resolve.Options{MaxAge: maxAge})
		return err
	}
	if err := ask(0, nil); err != nil {
		t.Fatal(err)
	}
	h.put("/.well-known/did.json", nil)
	wantError(t, "broken", ask(10*time.Minute, nil), resolve.InvalidDocument, "")
	hits := h.hits.Load()
	wantError(t, "still broken", ask(10*time.Minute+9*time.Second, nil), resolve.InvalidDocument, "")
	if h.hits.Load() != hits {
		t.Error("the host was asked again at once")
	}
	// The old answer is there for who asks for it, and the failure is no answer to that.
	if err := ask(10*time.Minute+9*time.Second, &hour); err != nil {
		t.Error(err)
	}
	h.put("/.well-known/did.json", document(h.web()))
	wantError(t, "old failure for who takes old answers", ask(10*time.Minute+9*time.Second, nil), resolve.InvalidDocument, "")
	if err := ask(10*time.Minute+9*time.Second, &none); err != nil {
		t.Errorf("asking the host: %v", err)
	}
	if err := ask(10*time.Minute+9*time.Second, nil); err != nil {
		t.Errorf("after the host was asked: %v", err)
	}
}

// Everybody who wants one DID at one time shares an exchange, which outlives who began
// it.
func TestSharedExchange(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	var h *host
	h = newHost(t, func(w http.ResponseWriter, r *http.Request) {
		close(entered) // a second request would panic
		<-release
		h.serve(w, r)
	}, nil)
	h.put("/.well-known/did.json", document(h.web()))
	r := h.resolver(nil)
	impatient, leave := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() {
		_, err := r.Resolve(impatient, h.web(), resolve.Options{})
		gone <- err
	}()
	<-entered
	leave()
	wantError(t, "gave up", <-gone, resolve.Internal, resolve.Timeout)
	answers := make(chan error)
	for range 20 {
		go func() {
			got, err := r.Resolve(t.Context(), h.web(), resolve.Options{})
			if err == nil {
				if diff := cmp.Diff(string(document(h.web())), string(got.Document)); diff != "" {
					err = errors.New(diff)
				}
			}
			answers <- err
		}()
	}
	close(release)
	for range 20 {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
	if n := h.hits.Load(); n != 1 {
		t.Errorf("the host was asked %d times", n)
	}
}

// What a request says about us, and a content type that is wrong.
func TestRequest(t *testing.T) {
	var h *host
	h = newHost(t, func(w http.ResponseWriter, r *http.Request) {
		for name, want := range map[string]string{"Accept-Encoding": "identity", "User-Agent": "writ", "Cookie": "", "Authorization": "", "Referer": ""} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("%s: got %q", name, got)
			}
		}
		if r.Method != http.MethodGet || r.ContentLength != 0 || r.Host != "host.example:"+h.port || !strings.Contains(r.Header.Get("Accept"), "application/did") {
			t.Errorf("got %s for %s, %v", r.Method, r.Host, r.Header)
		}
		w.Header().Set("Set-Cookie", "a=b")
		w.Header().Set("Content-Type", "text/html")
		h.serve(w, r)
	}, nil)
	h.put("/.well-known/did.json", document(h.web()))
	r := h.resolver(nil)
	fresh := time.Duration(0)
	for range 2 {
		if _, err := r.Resolve(t.Context(), h.web(), resolve.Options{MaxAge: &fresh}); err != nil {
			t.Error(err)
		}
	}
}

func TestFetch(t *testing.T) {
	h := newHost(t, nil, nil)
	h.put("/log/checkpoint", []byte("a checkpoint"))
	r := h.resolver(nil)
	for range 2 { // nothing is remembered
		if got, err := r.Fetch(t.Context(), h.origin()+"/log/checkpoint", "text/plain", 12); err != nil || string(got) != "a checkpoint" {
			t.Errorf("got %s, %v", got, err)
		}
	}
	if n := h.hits.Load(); n != 2 {
		t.Errorf("asked %d times", n)
	}
	for name, c := range map[string]struct {
		url    string
		limit  int64
		code   resolve.Code
		reason resolve.Reason
	}{
		"too long":    {h.origin() + "/log/checkpoint", 11, resolve.InvalidDID, resolve.Size},
		"not there":   {h.origin() + "/nothing", 1, resolve.NotFound, ""},
		"http":        {strings.Replace(h.origin(), "https", "http", 1) + "/log/checkpoint", 12, resolve.InvalidOptions, ""},
		"file":        {"file:///etc/hosts", 12, resolve.InvalidOptions, ""},
		"a password":  {strings.Replace(h.origin(), "//", "//a:b@", 1) + "/log/checkpoint", 12, resolve.InvalidOptions, ""},
		"a fragment":  {h.origin() + "/log/checkpoint#x", 12, resolve.InvalidOptions, ""},
		"no host":     {"https:///x", 12, resolve.InvalidOptions, ""},
		"no URL":      {"://", 12, resolve.InvalidOptions, ""},
		"not trusted": {"https://other.example:" + h.port + "/log/checkpoint", 12, resolve.Internal, ""},
	} {
		_, err := r.Fetch(t.Context(), c.url, "*/*", c.limit)
		wantError(t, name, err, c.code, c.reason)
	}
	closed := h.resolver(func(c *resolve.Config) { c.Allow = nil })
	_, err := closed.Fetch(t.Context(), h.origin()+"/log/checkpoint", "*/*", 12)
	wantError(t, "loopback", err, resolve.InvalidDID, resolve.Address)
	_, err = closed.Fetch(t.Context(), "https://127.0.0.1:"+h.port+"/", "*/*", 12)
	wantError(t, "loopback by number", err, resolve.InvalidDID, resolve.Address)
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Fetch(done, h.origin()+"/log/checkpoint", "*/*", 12); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestCodes(t *testing.T) {
	for code, want := range map[resolve.Code]struct {
		uri    string
		status int
	}{
		resolve.InvalidDID:                 {"https://www.w3.org/ns/did#INVALID_DID", 400},
		resolve.InvalidDocument:            {"https://www.w3.org/ns/did#INVALID_DID_DOCUMENT", 500},
		resolve.InvalidOptions:             {"https://www.w3.org/ns/did#INVALID_OPTIONS", 400},
		resolve.NotFound:                   {"https://www.w3.org/ns/did#NOT_FOUND", 404},
		resolve.MethodNotSupported:         {"https://www.w3.org/ns/did#METHOD_NOT_SUPPORTED", 501},
		resolve.RepresentationNotSupported: {"https://www.w3.org/ns/did#REPRESENTATION_NOT_SUPPORTED", 406},
		resolve.Internal:                   {"https://www.w3.org/ns/did#INTERNAL_ERROR", 500},
	} {
		if code.URI() != want.uri || code.Status() != want.status {
			t.Errorf("%s: got %s, %d", code, code.URI(), code.Status())
		}
	}
}

// BenchmarkResolveRemembered resolves a log of ten entries that the host was asked for
// once.
func BenchmarkResolveRemembered(b *testing.B) {
	h := newHost(b, nil, nil)
	a := newAgent(b, h, 10, nil)
	h.put(a.path, a.log(10))
	r := h.resolver(nil)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := r.Resolve(b.Context(), a.did.String(), resolve.Options{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
