package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/writ-registry/writ/internal/jose"
)

// keyring is DATA/keys: one file a key, 0600, random per folder. Each key has
// one use. Signatures leave through the signer ports of the packages that need
// them, so a key store of the enterprise can take this one's place.
type keyring struct{ dir string }

// Names of keys.
const (
	keyCheckpoint = "checkpoint" // signs the log's checkpoints (Ed25519, signed note)
	keyToken      = "token"      // signs grant tokens (Ed25519)
	keyStatus     = "status"     // signs status lists (Ed25519)
	keyPermit     = "permit"     // signs permits (Ed25519)
	keyCallback   = "callback"   // signs callbacks of requests for approval (Ed25519, RFC 9421)
	keyUpdate     = "did-update" // signs DID logs in custody (Ed25519)
	keyNext       = "did-next"   // its pre-rotated successor; only its public half is used until then
	keyHead       = "head"       // signs heads for ledgers (secp256k1, EIP-712)
	keyGuardian   = "guardian"   // may freeze the log on the embedded chain (secp256k1)
	keySeal       = "seal"       // seals secrets that the database holds (32 bytes, AES-256-GCM)
	keyCARoot     = "ca-root"    // signs the certificate of ca-issuing (P-256)
	keyCAIssuing  = "ca-issuing" // signs certificates of agents and enforcement points (P-256)
	keyWallet     = "wallet"     // pays for transactions; has no authority (secp256k1)
)

func openKeyring(data string) (*keyring, error) {
	dir := filepath.Join(data, "keys")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open keys: %w", err)
	}
	return &keyring{dir}, nil
}

// load returns the key's file, made by create where there is none. It refuses
// a file that others may read.
func (k *keyring) load(name string, create func() ([]byte, error)) ([]byte, error) {
	path := filepath.Join(k.dir, name+".key")
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		raw, err := create()
		if err != nil {
			return nil, fmt.Errorf("make key %s: %w", name, err)
		}
		return raw, writeSecret(path, raw)
	case err != nil:
		return nil, fmt.Errorf("key %s: %w", name, err)
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("key %s: others may read %s; chmod 600 it, and rotate the key if they might have", name, path)
	}
	return os.ReadFile(path)
}

// ed25519 returns a signing key, kept as PKCS#8 PEM.
func (k *keyring) ed25519(name string) (*jose.PrivateKey, error) {
	raw, err := k.load(name, func() ([]byte, error) {
		key, err := jose.GenerateEd25519()
		if err != nil {
			return nil, err
		}
		return key.MarshalPEM()
	})
	if err != nil {
		return nil, err
	}
	key, err := jose.ParsePEM(raw)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", name, err)
	}
	return key, nil
}

// bytes32 returns 32 random bytes, kept in hexadecimal: a secp256k1 key of a ledger, or
// one of AES-256.
func (k *keyring) bytes32(name string) (secret [32]byte, err error) {
	raw, err := k.load(name, func() ([]byte, error) {
		b := make([]byte, 32)
		rand.Read(b) // never fails
		return []byte(hex.EncodeToString(b) + "\n"), nil
	})
	if err != nil {
		return secret, err
	}
	b, err := hex.DecodeString(strings.TrimSpace(string(raw)))
	if err != nil || len(b) != 32 {
		return secret, fmt.Errorf("key %s: want 32 bytes in hexadecimal", name)
	}
	return [32]byte(b), nil
}

// note returns the signer and verifier of checkpoints of a log. The key's name
// is the log's origin line (C2SP tlog-checkpoint).
func (k *keyring) note(name, origin string) (note.Signer, note.Verifier, string, error) {
	raw, err := k.load(name, func() ([]byte, error) {
		skey, vkey, err := note.GenerateKey(rand.Reader, origin)
		return []byte(skey + "\n" + vkey + "\n"), err
	})
	if err != nil {
		return nil, nil, "", err
	}
	skey, vkey, ok := strings.Cut(strings.TrimSpace(string(raw)), "\n")
	if !ok {
		return nil, nil, "", fmt.Errorf("key %s: want a signer and a verifier key, a line each", name)
	}
	s, err := note.NewSigner(skey)
	if err != nil {
		return nil, nil, "", fmt.Errorf("key %s: %w", name, err)
	}
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return nil, nil, "", fmt.Errorf("key %s: %w", name, err)
	}
	if s.Name() != origin {
		return nil, nil, "", fmt.Errorf("key %s: it is for log %s, not %s", name, s.Name(), origin)
	}
	return s, v, vkey, nil
}

// writeSecret creates a file 0600, whole and durable or not at all. It never
// overwrites.
func writeSecret(path string, data []byte) error {
	tmp := path + ".new"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Link(tmp, path) // fails where path exists
	}
	return errors.Join(err, os.Remove(tmp), syncDir(filepath.Dir(path)))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
