package workload

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/registry/pki"
)

// keysLife is how long a set of keys is used before it is fetched again: so long a key
// that the issuer withdrew is still believed.
const keysLife = 10 * time.Minute

// Config is one issuer that an organization trusts to name workloads.
type Config struct {
	Kind Kind
	// Issuer is the iss of its tokens, an https URL. Keys are found by discovery there.
	// For SPIFFE it may be empty: JWT-SVIDs need no iss. Then JWKS is required and a token
	// must not have one.
	Issuer string
	// JWKS is the https URL of its keys, if not to be discovered; for SPIFFE that of the
	// trust domain's bundle.
	JWKS string
	// TrustDomain is the SPIFFE trust domain, for SPIFFE only.
	TrustDomain string
	// Audience is the one aud of a token: the registry's origin, or for Entra ID the client
	// id of the app registration that stands for it, as v2.0 tokens carry no other.
	Audience string
}

// Workload is what a verified token says. It names who asks, not what it may do.
type Workload struct {
	Kind    Kind
	Issuer  string // as configured; "spiffe://" and the trust domain where there is no iss
	Subject string // unique and never reused under Issuer, but for Kubernetes: see Attributes
	// Attributes by kind. entra: tid, oid, azp. okta: cid. kubernetes: namespace,
	// serviceaccount, serviceaccount_uid, and where bound pod, pod_uid, node. spiffe:
	// trust_domain.
	Attributes map[string]string

	ID      string    // jti, or uti of Entra ID; empty if there is none
	Issued  time.Time // zero if there is no iat
	Expires time.Time
	// Digest is base64url of the SHA-256 of what was signed. Unlike the whole token it has
	// one spelling, so whoever spends it lets the token be used once.
	Digest string
	// Thumbprint, if not empty, is that of the only key that may present the token (RFC
	// 9449 section 6.1): the caller refuses every other.
	Thumbprint string
}

// Verifier verifies the tokens of one issuer. It may be used from several goroutines.
type Verifier struct {
	config Config
	algs   []string
	client *http.Client
	now    func() time.Time

	mu    sync.Mutex // held during discovery, at most one client timeout
	keys  *oidc.RemoteKeySet
	since time.Time // when keys were begun with
}

// New checks a configuration. Nothing is fetched before the first token. client decides
// which hosts may be reached at all, and so must refuse those inside; it is copied, and
// redirects are not followed. Errors: *Error with BadConfig.
func New(c Config, client *http.Client, now func() time.Time) (*Verifier, error) {
	switch {
	case client == nil || now == nil || c.Audience == "":
		return nil, fail(BadConfig, "client, clock and audience are needed")
	case c.Issuer != "" && !secureURL(c.Issuer) || c.JWKS != "" && !secureURL(c.JWKS):
		return nil, fail(BadConfig, "issuer and key set are https URLs without query")
	case c.Issuer == "" && (c.Kind != SPIFFE || c.JWKS == ""):
		return nil, fail(BadConfig, "only SPIFFE with a key set needs no issuer")
	case c.TrustDomain != "" && c.Kind != SPIFFE:
		return nil, fail(BadConfig, "only SPIFFE has a trust domain")
	}
	algs := algorithms
	switch c.Kind {
	case Entra:
		if _, ok := entraTenant(c.Issuer); !ok {
			return nil, fail(BadConfig, "the issuer of Entra ID is https://login.microsoftonline.com/{tenant id}/v2.0")
		}
	case SPIFFE:
		if id, err := pki.ParseSPIFFEID("spiffe://" + c.TrustDomain + "/x"); err != nil || id.TrustDomain() != c.TrustDomain {
			return nil, fail(BadConfig, "the trust domain is not valid")
		}
		algs = slices.DeleteFunc(slices.Clone(algs), func(alg string) bool { return alg == "EdDSA" }) // JWT-SVID section 2.1
	case Okta, Kubernetes:
	default:
		return nil, fail(BadConfig, "unknown kind of issuer")
	}
	return &Verifier{config: c, algs: algs, client: newClient(client, now), now: now}, nil
}

// UnverifiedIssuer returns the iss of a token, empty if it has none, so that the caller
// can choose among the verifiers it trusts. It proves nothing. Errors: those of Verify
// about size and form.
func UnverifiedIssuer(raw string) (string, error) {
	t, err := parse(raw, algorithms)
	return t.claims.Iss, err
}

// Verify checks a token and returns its workload. Errors: *Error with any code but
// BadConfig; Unavailable says that the issuer could not be asked, and is no verdict.
func (v *Verifier) Verify(ctx context.Context, raw string) (Workload, error) {
	t, err := parse(raw, v.algs)
	if err != nil {
		return Workload{}, err
	}
	w, err := v.read(t)
	if err != nil {
		return Workload{}, err
	}
	// Everything that costs nothing has been checked: only now is anybody asked.
	keys, err := v.keySet()
	if err != nil {
		return Workload{}, &Error{Code: Unavailable, Detail: "the issuer cannot be asked for its keys", Err: err}
	}
	// It leaves alg, issuer, audience and time to its caller: all of them are checked above.
	payload, err := keys.VerifySignature(ctx, t.raw)
	if err != nil {
		// go-oidc wraps what went wrong with a fetch, and nothing else.
		if cause := errors.Unwrap(err); cause != nil {
			return Workload{}, &Error{Code: Unavailable, Detail: "the issuer cannot be asked for its keys", Err: cause}
		}
		return Workload{}, fail(BadSignature, "no key of the issuer's verifies the token")
	}
	if !bytes.Equal(payload, t.payload) {
		return Workload{}, fail(BadSignature, "what was signed is not what was read")
	}
	return w, nil
}

// read applies every rule that needs no key.
func (v *Verifier) read(t token) (Workload, error) {
	c := t.claims
	if c.Iss != v.config.Issuer {
		return Workload{}, fail(BadIssuer, "iss is not the configured issuer")
	}
	if len(c.Aud) != 1 || c.Aud[0] != v.config.Audience {
		return Workload{}, fail(BadAudience, "aud is not this registry's audience alone")
	}
	if err := c.inTime(v.now(), v.config.Kind != SPIFFE); err != nil {
		return Workload{}, err
	}
	w := Workload{
		Kind: v.config.Kind, Issuer: v.config.Issuer, ID: c.Jti,
		Expires: time.Unix(*c.Exp, 0).UTC(), Digest: canon.Digest([]byte(t.signed)),
	}
	if w.Issuer == "" {
		w.Issuer = "spiffe://" + v.config.TrustDomain
	}
	if c.Iat != nil {
		w.Issued = time.Unix(*c.Iat, 0).UTC()
	}
	if c.Cnf != nil {
		if c.Cnf.JKT == "" {
			return Workload{}, fail(NotWorkload, "the token is bound to a key in a way that is not understood")
		}
		w.Thumbprint = c.Cnf.JKT
	}
	return w, v.config.identify(t, &w)
}

// keySet returns the issuer's keys, begun anew after keysLife: a set keeps every key it
// ever had until a token asks for one it has not. A failed discovery is no set.
func (v *Verifier) keySet() (*oidc.RemoteKeySet, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := v.now()
	if v.keys != nil && now.Sub(v.since) < keysLife {
		return v.keys, nil
	}
	// Keys are fetched for all callers, so not in the context of one of them.
	ctx := oidc.ClientContext(context.Background(), v.client)
	jwks := v.config.JWKS
	if jwks == "" {
		provider, err := oidc.NewProvider(ctx, v.config.Issuer)
		if err != nil {
			return nil, err
		}
		var metadata struct {
			JWKS string `json:"jwks_uri"`
		}
		if err := provider.Claims(&metadata); err != nil {
			return nil, err
		}
		if jwks = metadata.JWKS; !secureURL(jwks) {
			return nil, errors.New("jwks_uri is no https URL")
		}
	}
	v.keys, v.since = oidc.NewRemoteKeySet(ctx, jwks), now
	return v.keys, nil
}
