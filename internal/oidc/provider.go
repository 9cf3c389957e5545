package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/writ-registry/writ/internal/canon"
)

const (
	// answerLimit is the most bytes of one answer of the issuer that are read.
	answerLimit = 1 << 20
	// answerTime is how long one answer may take, body included.
	answerTime = 10 * time.Second
	// metadataLife and keysLife are how long the issuer's documents are believed. A
	// key that the issuer withdraws counts for no longer than this.
	metadataLife = time.Hour
	keysLife     = 15 * time.Minute
)

// Config is an issuer and the client that we are there.
type Config struct {
	// Issuer is the issuer's identifier, compared byte for byte with what it says
	// itself (OpenID Connect Discovery 1.0 section 4.3). https, or http on loopback.
	Issuer string
	// ClientID and ClientSecret are what the issuer registered for us. Without a
	// secret we are a public client, which PKCE protects.
	ClientID     string
	ClientSecret string
	// RedirectURL is where the browser brings the answer, as registered at the issuer.
	RedirectURL string
	// Scopes are asked for beside openid. Most issuers give a refresh token only for
	// offline_access.
	Scopes []string
	// Prompt is the parameter of that name (Core section 3.1.2.1), if any. Some issuers
	// honour offline_access only with "consent" (Core section 11).
	Prompt string
	// GroupsClaim is the ID token's member that lists the person's groups: strings, or
	// one string. Empty: groups are not read.
	GroupsClaim string
	// HTTPClient carries the requests, by default one of the standard library's. Its
	// redirects and cookies are turned off; answers are bounded in size and time.
	HTTPClient *http.Client
	// Now is the clock, by default time.Now.
	Now func() time.Time
}

// Provider is one issuer. It is safe for concurrent use.
type Provider struct {
	config   Config
	http     *http.Client
	now      func() time.Time
	metadata *remembered[metadata]
	keys     *remembered[keySet]
}

// metadata is what we use of the issuer's metadata (Discovery section 3, RFC 8414
// section 2, RFC 9207 section 3, RP-Initiated Logout section 2.1).
type metadata struct {
	AuthorizationEndpoint string   `json:"authorization_endpoint"`
	TokenEndpoint         string   `json:"token_endpoint"`
	JWKSURI               string   `json:"jwks_uri"`
	EndSessionEndpoint    string   `json:"end_session_endpoint"`
	ClientAuthMethods     []string `json:"token_endpoint_auth_methods_supported"`
	ChallengeMethods      []string `json:"code_challenge_methods_supported"`
	NamesItself           bool     `json:"authorization_response_iss_parameter_supported"`
}

// New makes the Provider of c. It asks the issuer nothing. Errors: *Error with
// CodeConfig.
func New(c Config) (*Provider, error) {
	switch {
	case !secure(c.Issuer, true) || hasQuery(c.Issuer):
		return nil, fail(CodeConfig, "the issuer is not an https URL without query and fragment")
	case !secure(c.RedirectURL, true):
		return nil, fail(CodeConfig, "the redirect URL is not an https URL without fragment")
	case c.ClientID == "":
		return nil, fail(CodeConfig, "no client id")
	}
	c.Scopes = slices.Clone(c.Scopes)
	if !slices.Contains(c.Scopes, gooidc.ScopeOpenID) {
		c.Scopes = append([]string{gooidc.ScopeOpenID}, c.Scopes...)
	}
	p := &Provider{config: c, http: bounded(c.HTTPClient), now: c.Now}
	if p.now == nil {
		p.now = time.Now
	}
	p.metadata = &remembered[metadata]{fetch: p.discover, life: metadataLife, now: p.now}
	p.keys = &remembered[keySet]{fetch: p.fetchKeys, life: keysLife, now: p.now}
	return p, nil
}

// Issuer returns the issuer's identifier.
func (p *Provider) Issuer() string { return p.config.Issuer }

// Check asks the issuer for its metadata, where it is not known yet, and says what
// is wrong: for a start that wants to warn. Errors: *Error with CodeUnavailable or
// CodeMetadata.
func (p *Provider) Check(ctx context.Context) error {
	_, _, err := p.metadata.get(ctx, 0)
	return err
}

// LogoutURL returns where to send the browser so that the session at the issuer ends
// too (OpenID Connect RP-Initiated Logout 1.0 section 2), or "" where the issuer has
// no such place. idToken, the Identity's, and returnURL, one that is registered at
// the issuer, may be empty: then the issuer asks the person, and keeps them. Errors:
// as Check's.
func (p *Provider) LogoutURL(ctx context.Context, idToken, returnURL string) (string, error) {
	md, _, err := p.metadata.get(ctx, 0)
	if err != nil || md.EndSessionEndpoint == "" {
		return "", err
	}
	u, err := url.Parse(md.EndSessionEndpoint)
	if err != nil {
		return "", failed(CodeMetadata, "end_session_endpoint is no URL", err)
	}
	query := u.Query()
	query.Set("client_id", p.config.ClientID)
	if idToken != "" {
		query.Set("id_token_hint", idToken)
	}
	if returnURL != "" {
		query.Set("post_logout_redirect_uri", returnURL)
	}
	u.RawQuery = query.Encode()
	return u.String(), nil
}

// discover fetches the metadata (Discovery section 4).
func (p *Provider) discover(ctx context.Context) (metadata, error) {
	var md metadata
	issuer, err := gooidc.NewProvider(gooidc.ClientContext(ctx, p.http), p.config.Issuer)
	var other *gooidc.IssuerMismatchError
	if errors.As(err, &other) {
		return md, failed(CodeMetadata, "the issuer calls itself otherwise", short(err))
	}
	if err != nil {
		return md, failed(CodeUnavailable, "the issuer's metadata cannot be had", short(err))
	}
	var raw json.RawMessage
	if err := issuer.Claims(&raw); err != nil {
		return md, failed(CodeMetadata, "the issuer's metadata is not JSON", err)
	}
	if err := canon.UnmarshalOpen(raw, &md); err != nil {
		return md, failed(CodeMetadata, "the issuer's metadata is not strict JSON", err)
	}
	loopback := !secure(p.config.Issuer, false)
	for _, endpoint := range []string{md.AuthorizationEndpoint, md.TokenEndpoint, md.JWKSURI} {
		if !secure(endpoint, loopback) {
			return md, fail(CodeMetadata, "an endpoint of the issuer is missing or not https")
		}
	}
	if md.EndSessionEndpoint != "" && !secure(md.EndSessionEndpoint, loopback) {
		return md, fail(CodeMetadata, "the issuer's end_session_endpoint is not https")
	}
	// Entra ID, for one, supports S256 and does not say so.
	if md.ChallengeMethods != nil && !slices.Contains(md.ChallengeMethods, "S256") {
		return md, fail(CodeMetadata, "the issuer does not support S256")
	}
	return md, nil
}

// client is how we speak to the token endpoint. The way to authenticate is chosen,
// not tried: a code that was presented in the wrong way first is spent.
func (p *Provider) client(md metadata) *oauth2.Config {
	style := oauth2.AuthStyleInHeader // the default of Discovery section 3
	if p.config.ClientSecret == "" ||
		md.ClientAuthMethods != nil && !slices.Contains(md.ClientAuthMethods, "client_secret_basic") {
		style = oauth2.AuthStyleInParams
	}
	return &oauth2.Config{
		ClientID:     p.config.ClientID,
		ClientSecret: p.config.ClientSecret,
		Endpoint:     oauth2.Endpoint{AuthURL: md.AuthorizationEndpoint, TokenURL: md.TokenEndpoint, AuthStyle: style},
		RedirectURL:  p.config.RedirectURL,
		Scopes:       p.config.Scopes,
	}
}

// secure reports whether text is an absolute https URL without user or fragment, or
// one of http to this machine where loopback allows it.
func secure(text string, loopback bool) bool {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return false
	}
	if u.Scheme == "https" {
		return true
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return loopback && u.Scheme == "http" && (u.Hostname() == "localhost" || err == nil && ip.IsLoopback())
}

func hasQuery(text string) bool {
	u, err := url.Parse(text)
	return err != nil || u.RawQuery != "" || u.ForceQuery
}

// bounded is c with limits. A redirect is refused because it could carry the code
// and our secret to another host.
func bounded(c *http.Client) *http.Client {
	if c == nil {
		c = &http.Client{}
	}
	inner := c.Transport
	if inner == nil {
		inner = http.DefaultTransport
	}
	timeout := answerTime
	if c.Timeout > 0 && c.Timeout < timeout {
		timeout = c.Timeout
	}
	return &http.Client{
		Transport:     boundedTransport{inner},
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return errRedirect },
	}
}

var errRedirect = errors.New("the issuer redirects where it must answer")

type boundedTransport struct{ inner http.RoundTripper }

func (t boundedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.inner.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = http.MaxBytesReader(nil, resp.Body, answerLimit)
	return resp, nil
}

// short cuts an error that may quote a whole answer. A short one stays what it is.
func short(err error) error {
	const most = 300
	if text := err.Error(); len(text) > most {
		return errors.New(text[:most] + "...")
	}
	return err
}
