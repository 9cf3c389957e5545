package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
)

// Trust is an entry of an org's trust list: a foreign registry whose grants the org
// accepts, within bounds.
type Trust struct {
	ID             string    `json:"id"`
	Org            string    `json:"org"`
	Issuer         string    `json:"issuer"`
	TokenKeys      []string  `json:"token_keys"`
	LogKey         string    `json:"log_key"`
	Agents         []string  `json:"agents"`
	Orgs           []string  `json:"orgs,omitempty"`
	Audiences      []string  `json:"audiences"`
	Capabilities   string    `json:"capabilities"`
	AuthorityLevel int       `json:"authority_level"`
	MaxAge         int64     `json:"max_age"` // seconds
	NotAfter       time.Time `json:"not_after"`
	Public         bool      `json:"public"`
	Created        time.Time `json:"created"`

	Standing *TrustStanding `json:"standing,omitempty"` // nil before the issuer first answered
}

// TrustStanding is where following an issuer has got to.
type TrustStanding struct {
	Checked time.Time `json:"checked"`
	Size    uint64    `json:"size"` // of its log
	Alarm   *struct {
		Code   string    `json:"code"`
		Detail string    `json:"detail"`
		Since  time.Time `json:"since"`
	} `json:"alarm,omitempty"` // nothing of the issuer is believed
}

// NewTrust is the input of AddTrust.
type NewTrust struct {
	Org            string     `json:"org,omitempty"` // id or name; "" = the caller's
	Issuer         string     `json:"issuer"`        // did:web of the registry
	TokenKeys      []string   `json:"token_keys"`    // Multikeys
	LogKey         string     `json:"log_key"`       // verifier key (C2SP signed-note)
	Agents         []string   `json:"agents,omitempty"`
	Orgs           []string   `json:"orgs,omitempty"`
	Audiences      []string   `json:"audiences"`
	Capabilities   string     `json:"capabilities"`
	AuthorityLevel int        `json:"authority_level,omitempty"`
	MaxAge         int64      `json:"max_age,omitempty"`
	NotAfter       *time.Time `json:"not_after,omitempty"`
	Public         bool       `json:"public,omitempty"`
}

// AddTrust puts a foreign registry on the trust list.
func (c *Client) AddTrust(ctx context.Context, in NewTrust) (Change[Trust], error) {
	return change[Trust](ctx, c, http.MethodPost, "/v1/trust", "trust", in)
}

// Trust returns an entry of the trust list.
func (c *Client) Trust(ctx context.Context, id string) (Trust, error) {
	return fetch[Trust](ctx, c, at("/v1/trust", id))
}

// TrustList lists an org's trust list; "" is the caller's org.
func (c *Client) TrustList(ctx context.Context, org string) iter.Seq2[Trust, error] {
	return list[Trust](ctx, c, "/v1/trust", filter("org", org))
}

// RemoveTrust takes an issuer off the trust list: nothing of it is accepted any more.
func (c *Client) RemoveTrust(ctx context.Context, id, reason string) (Change[Trust], error) {
	path := at("/v1/trust", id)
	if reason != "" {
		path += "?reason=" + url.QueryEscape(reason)
	}
	return change[Trust](ctx, c, http.MethodDelete, path, "trust", nil)
}

// SetOrgDomain gives an org a domain of its own for the DIDs of its next agents; ""
// is the registry's origin again.
func (c *Client) SetOrgDomain(ctx context.Context, org, domain string) (Change[Org], error) {
	return change[Org](ctx, c, http.MethodPut, at("/v1/orgs", org)+"/domain", "org", map[string]string{"domain": domain})
}

// Pins are the keys that a registry speaks with. As fetched they are the word of
// whoever answered: compare Fingerprints with what the other side reads out.
type Pins struct {
	Issuer    string   `json:"issuer"`     // its did:web
	TokenKeys []string `json:"token_keys"` // Multikeys
	LogKey    string   `json:"log_key"`    // verifier key of its log
}

// FetchPins asks a registry for its public keys. It needs no credential.
func (c *Client) FetchPins(ctx context.Context) (Pins, error) {
	var doc struct {
		ID      string `json:"id"`
		Methods []struct {
			ID  string `json:"id"`
			Key string `json:"publicKeyMultibase"`
		} `json:"verificationMethod"`
		Assertion []string `json:"assertionMethod"`
	}
	r := request{method: http.MethodGet, path: "/.well-known/did.json", repeatable: true, public: true}
	if _, err := c.read(ctx, r, &doc); err != nil {
		return Pins{}, err
	}
	info, err := c.Log(ctx)
	if err != nil {
		return Pins{}, err
	}
	p := Pins{Issuer: doc.ID, LogKey: info.VKey}
	for _, id := range doc.Assertion {
		for _, m := range doc.Methods {
			if m.ID == id {
				p.TokenKeys = append(p.TokenKeys, m.Key)
			}
		}
	}
	if len(p.TokenKeys) == 0 || p.LogKey == "" || !strings.HasPrefix(p.Issuer, "did:web:") {
		return Pins{}, fmt.Errorf("%s publishes no keys of a registry", c.base)
	}
	return p, nil
}

// Fingerprint is a key in words that people compare: its kind and name, and the
// SHA-256 thumbprint of the key itself, in groups of four characters.
type Fingerprint struct {
	Key   string `json:"key"`   // token | log
	Text  string `json:"text"`  // the key
	Print string `json:"print"` // fingerprint
}

// Fingerprints returns one for each pin.
func (p Pins) Fingerprints() ([]Fingerprint, error) {
	var out []Fingerprint
	for _, text := range p.TokenKeys {
		key, err := jose.ParseMultikey(text)
		if err != nil {
			return nil, fmt.Errorf("token key %s: %w", text, err)
		}
		out = append(out, Fingerprint{"token", text, grouped(key.Thumbprint())})
	}
	if _, err := note.NewVerifier(p.LogKey); err != nil {
		return nil, errors.Join(errors.New("the log key is none"), err)
	}
	return append(out, Fingerprint{"log", p.LogKey, grouped(canon.Digest([]byte(p.LogKey)))}), nil
}

func grouped(s string) string {
	var b strings.Builder
	for i, r := range s {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}
