package main

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/pki"
)

// certifier is the registry's X.509 authority: a root and an issuing key of its
// own in DATA/keys, made at the first use, or what --ca-cert and --ca-key name.
// It implements registry.Certifier.
type certifier struct {
	keys      *keyring
	name      string // of the registry, in the names of its CAs
	cert, key string // files of the enterprise's intermediate; "" = own

	mu   sync.Mutex
	open *pki.Authority // guarded by mu; nil before the first use
}

// Files of certificates beside the keys, and when the issuing one is renewed.
const (
	rootCertFile    = "ca-root.pem"
	issuingCertFile = "ca-issuing.pem"
	renewIssuing    = 30 * 24 * time.Hour
)

// Authority implements registry.Certifier. An enterprise's intermediate is renewed
// by the enterprise; its files are read at the start only.
func (c *certifier) Authority(now time.Time, create bool) (*pki.Authority, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open != nil && (c.cert != "" || now.Before(c.open.NotAfter().Add(-renewIssuing))) {
		return c.open, nil
	}
	a, err := c.load(now, create)
	if err == nil {
		c.open = a
	}
	return a, err
}

func (c *certifier) load(now time.Time, create bool) (*pki.Authority, error) {
	if c.cert != "" {
		return c.enterprise(now)
	}
	if _, err := os.Stat(c.path(rootCertFile)); errors.Is(err, fs.ErrNotExist) && !create {
		return nil, registry.Errorf(registry.NotFound, "no certificate was issued yet")
	}
	rootKey, err := c.signer(keyCARoot)
	if err != nil {
		return nil, err
	}
	root, err := c.certificate(rootCertFile, now, func() (*x509.Certificate, error) { return pki.NewRoot(rootKey, c.common("root"), now) })
	if err != nil {
		return nil, err
	}
	key, err := c.signer(keyCAIssuing)
	if err != nil {
		return nil, err
	}
	issuing, err := c.certificate(issuingCertFile, now.Add(renewIssuing), func() (*x509.Certificate, error) {
		return pki.NewIssuing(root, rootKey, key.Public(), c.common("issuing CA"), now)
	})
	if err != nil {
		return nil, err
	}
	a, err := pki.Open([]*x509.Certificate{issuing, root}, key, now)
	if err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	return a, nil
}

func (c *certifier) enterprise(now time.Time) (*pki.Authority, error) {
	text, err := os.ReadFile(c.cert)
	if err != nil {
		return nil, fmt.Errorf("--ca-cert: %w", err)
	}
	chain, err := pki.ParseCertificates(text)
	if err != nil {
		return nil, fmt.Errorf("--ca-cert %s: %w", c.cert, err)
	}
	if text, err = os.ReadFile(c.key); err != nil {
		return nil, fmt.Errorf("--ca-key: %w", err)
	}
	key, err := pki.ParseKey(text)
	if err != nil {
		return nil, fmt.Errorf("--ca-key %s: %w", c.key, err)
	}
	a, err := pki.Open(chain, key, now)
	if err != nil {
		return nil, fmt.Errorf("--ca-cert %s: %w", c.cert, err)
	}
	return a, nil
}

func (c *certifier) path(file string) string { return filepath.Join(c.keys.dir, file) }

// common is the name of a CA, of 64 characters at most (RFC 5280 appendix A.1).
func (c *certifier) common(what string) string {
	name := "Writ " + what + " " + c.name
	return name[:min(len(name), 64)]
}

func (c *certifier) signer(name string) (crypto.Signer, error) {
	text, err := c.keys.load(name, func() ([]byte, error) {
		key, err := jose.GenerateP256()
		if err != nil {
			return nil, err
		}
		return key.MarshalPEM()
	})
	if err != nil {
		return nil, err
	}
	key, err := pki.ParseKey(text)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", name, err)
	}
	return key, nil
}

// certificate reads a certificate that is valid at a time, or makes and keeps one.
func (c *certifier) certificate(file string, at time.Time, make func() (*x509.Certificate, error)) (*x509.Certificate, error) {
	text, err := os.ReadFile(c.path(file))
	switch {
	case err == nil:
		list, err := pki.ParseCertificates(text)
		if err != nil || len(list) != 1 {
			return nil, fmt.Errorf("%s: want one certificate: %w", c.path(file), err)
		}
		if at.Before(list[0].NotAfter) {
			return list[0], nil
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	made, err := make()
	if err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	return made, replaceFile(c.path(file), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: made.Raw}))
}

// replaceFile puts a file in place, 0600, whole and durable or not at all.
func replaceFile(path string, data []byte) error {
	tmp := path + ".new"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(tmp, path)
	}
	return errors.Join(err, syncDir(filepath.Dir(path)))
}

// openCertifier names the authority. What the enterprise gave is looked at now: a
// slip in a file name should not wait for the first certificate.
func (s *server) openCertifier() (*certifier, error) {
	u, err := url.Parse(s.Origin)
	if err != nil {
		return nil, err
	}
	c := &certifier{keys: s.keys, name: u.Host, cert: s.cfg.CACert, key: s.cfg.CAKey}
	if c.cert != "" {
		_, err = c.Authority(time.Now(), false)
	}
	return c, err
}

// door refuses TLS clients, with --require-client-cert, that hold neither a
// certificate of the registry's own authority nor one of --client-ca. Who they are
// is asked of each request.
func (s *server) door(others []*x509.Certificate) func(tls.ConnectionState) error {
	return func(state tls.ConnectionState) error {
		trusted := others
		if chain, err := s.certifier.Authority(time.Now(), false); err == nil {
			trusted = append([]*x509.Certificate{chain.Root()}, others...)
		} else if !errors.Is(err, registry.NotFound) {
			return err
		}
		roots, err := pki.NewRoots(trusted...)
		if err == nil {
			_, err = pki.Verify(state.PeerCertificates, roots, time.Now())
		}
		return err
	}
}
