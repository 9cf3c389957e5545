package oidc

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/writ-registry/writ/internal/jose"
)

const (
	// FlowLife is how long a person may take to sign in at the issuer.
	FlowLife = 10 * time.Minute
	// Skew is how far the issuer's clock may be from ours.
	Skew = time.Minute
	// MaxTokenSize is the longest ID token or refresh token, in bytes.
	MaxTokenSize = 64 << 10

	secretSize  = 32 // bytes of state, nonce and verifier
	maxCodeSize = 4096
)

// Flow is one sign-in under way: what Begin made and Finish needs. Its strings are
// secrets of the browser that began it. The caller keeps it where only that browser
// can bring it back (a row named by a cookie, or a __Host- cookie, HttpOnly, Secure,
// SameSite=Lax) and forgets it at the first Finish, whatever comes out.
type Flow struct {
	Issuer   string    `json:"issuer"`
	State    string    `json:"state"`    // 256 bits: the answer is this browser's
	Nonce    string    `json:"nonce"`    // 256 bits: the ID token is this sign-in's
	Verifier string    `json:"verifier"` // 256 bits: the code is ours (RFC 7636)
	Expires  time.Time `json:"expires"`
}

// String names the flow without its secrets.
func (f Flow) String() string { return "sign-in at " + f.Issuer }

// GoString is String.
func (f Flow) GoString() string { return f.String() }

// Identity is who the issuer says it is.
type Identity struct {
	// Issuer and Subject together are the person (Core section 5.7).
	Issuer, Subject string
	// Name is for showing, escaped: it is whatever the person or issuer wrote. May be empty.
	Name string
	// Groups are sorted, without duplicates.
	Groups []string
	// AuthTime is when the person last proved who it is; zero where the issuer does not say.
	AuthTime time.Time
	// IDTokenExpiry is when the issuer wants to be asked again at the latest.
	IDTokenExpiry time.Time
	// RefreshToken is a secret, empty where the issuer gives none.
	RefreshToken string
	// IDToken is as it was signed, for LogoutURL. It grants nothing and names a person.
	IDToken string
}

// String names the person and no token.
func (i Identity) String() string { return i.Subject + " of " + i.Issuer }

// GoString is String.
func (i Identity) GoString() string { return i.String() }

// Begin starts a sign-in: it returns where to send the browser, and the flow to keep.
// Errors: *Error with CodeUnavailable or CodeMetadata.
func (p *Provider) Begin(ctx context.Context) (string, Flow, error) {
	md, _, err := p.metadata.get(ctx, 0)
	if err != nil {
		return "", Flow{}, err
	}
	f := Flow{
		Issuer: p.config.Issuer, State: newSecret(), Nonce: newSecret(), Verifier: newSecret(),
		Expires: p.now().Add(FlowLife),
	}
	options := []oauth2.AuthCodeOption{gooidc.Nonce(f.Nonce), oauth2.S256ChallengeOption(f.Verifier)}
	if p.config.Prompt != "" {
		options = append(options, oauth2.SetAuthURLParam("prompt", p.config.Prompt))
	}
	return p.client(md).AuthCodeURL(f.State, options...), f, nil
}

// Finish ends a sign-in: flow is what Begin returned to this very browser, answer the
// query it came back with (Core section 3.1.2.5). Errors: *Error with any code but
// CodeConfig and CodeSubject.
func (p *Provider) Finish(ctx context.Context, flow Flow, answer url.Values) (Identity, error) {
	if err := p.checkFlow(flow); err != nil {
		return Identity{}, err
	}
	// The state comes first: what is not an answer to this browser's question is
	// not looked at, and costs the issuer nothing.
	if err := checkAnswer(flow, answer); err != nil {
		return Identity{}, err
	}
	md, _, err := p.metadata.get(ctx, 0)
	if err != nil {
		return Identity{}, err
	}
	if answer.Has("iss") && answer.Get("iss") != p.config.Issuer || !answer.Has("iss") && md.NamesItself {
		return Identity{}, fail(CodeIssuer, "the answer is from another issuer") // RFC 9207 section 2.4
	}
	if refusal := answer.Get("error"); refusal != "" {
		return Identity{}, fail(CodeRefused, "the issuer answers "+errorName(refusal))
	}
	code := answer.Get("code")
	if code == "" {
		return Identity{}, fail(CodeResponse, "the answer holds no code")
	}
	if len(code) > maxCodeSize {
		return Identity{}, fail(CodeSize, "the code is too long")
	}
	token, err := p.client(md).Exchange(gooidc.ClientContext(ctx, p.http), code, oauth2.VerifierOption(flow.Verifier))
	if err != nil {
		return Identity{}, grantError(err)
	}
	id, nonce, err := p.identify(ctx, token)
	if err != nil {
		return Identity{}, err
	}
	if !same(nonce, flow.Nonce) {
		return Identity{}, fail(CodeNonce, "the ID token belongs to another sign-in")
	}
	return id, nil
}

// Refresh asks the issuer again about the person with this subject, whose refreshToken
// an earlier Identity held (Core section 12). The new Identity holds the groups of now
// and the refresh token to use from now on; the old one may be spent, so the new one
// is to be kept before anything else is done.
//
// Errors: CodeGrant when the issuer says that it is over: end the session.
// CodeUnavailable when it does not say: roles by groups must lapse when the last good
// answer is five minutes old, not last until the issuer is back. Otherwise *Error as
// Finish's, or CodeSubject.
func (p *Provider) Refresh(ctx context.Context, refreshToken, subject string) (Identity, error) {
	if refreshToken == "" || subject == "" {
		return Identity{}, fail(CodeGrant, "there is no refresh token")
	}
	md, _, err := p.metadata.get(ctx, 0)
	if err != nil {
		return Identity{}, err
	}
	old := &oauth2.Token{RefreshToken: refreshToken}
	token, err := p.client(md).TokenSource(gooidc.ClientContext(ctx, p.http), old).Token()
	if err != nil {
		return Identity{}, grantError(err)
	}
	// A nonce SHOULD NOT be here and means nothing: no browser carried this answer.
	id, _, err := p.identify(ctx, token)
	if err != nil {
		return Identity{}, err
	}
	if id.Subject != subject {
		return Identity{}, fail(CodeSubject, "the issuer answers for another person")
	}
	return id, nil
}

func (p *Provider) checkFlow(f Flow) error {
	if f.Issuer != p.config.Issuer {
		return fail(CodeFlow, "the sign-in began at another issuer")
	}
	for _, s := range []string{f.State, f.Nonce, f.Verifier} {
		if raw, err := jose.DecodeBase64(s); err != nil || len(raw) != secretSize {
			return fail(CodeFlow, "there is no sign-in under way")
		}
	}
	if left := f.Expires.Sub(p.now()); left <= 0 || left > FlowLife {
		return fail(CodeFlow, "the sign-in took too long")
	}
	return nil
}

// checkAnswer checks that the answer is to flow and says nothing twice (RFC 6749
// section 3.1).
func checkAnswer(flow Flow, answer url.Values) error {
	if !same(answer.Get("state"), flow.State) {
		return fail(CodeState, "the answer belongs to another sign-in")
	}
	for _, name := range []string{"state", "iss", "error", "code"} {
		if len(answer[name]) > 1 {
			return fail(CodeResponse, "the answer holds "+name+" twice")
		}
	}
	return nil
}

// grantError names what the token endpoint, or the way to it, said.
func grantError(err error) error {
	var answer *oauth2.RetrieveError
	var network interface{ Timeout() bool } // *url.Error, context.DeadlineExceeded
	switch {
	case errors.As(err, &answer):
	case errors.As(err, &network), errors.Is(err, errRedirect):
		return failed(CodeUnavailable, "the issuer cannot be reached", err)
	default:
		return failed(CodeResponse, "the issuer's answer is no token response", short(err))
	}
	// The body is not kept: it is the issuer's, and may quote what we sent.
	cause := errors.New("token endpoint: " + answer.Response.Status + " " + errorName(answer.ErrorCode))
	switch answer.ErrorCode {
	case "invalid_grant", "interaction_required", "login_required", "consent_required", "access_denied":
		return failed(CodeGrant, "the issuer says that the grant is over or never was", cause)
	case "", "server_error", "temporarily_unavailable":
		return failed(CodeUnavailable, "the issuer does not answer as it should", cause)
	}
	if answer.Response.StatusCode >= http.StatusInternalServerError || answer.Response.StatusCode == http.StatusTooManyRequests {
		return failed(CodeUnavailable, "the issuer does not answer as it should", cause)
	}
	return failed(CodeClient, "the issuer does not accept this client", cause)
}

// errorName is an error code of OAuth as it may be shown: the text comes through the
// browser, so anybody may have written it.
func errorName(code string) string {
	if len(code) > 64 || strings.Trim(code, "abcdefghijklmnopqrstuvwxyz_") != "" {
		return "an error without a proper name"
	}
	return code
}

func newSecret() string {
	b := make([]byte, secretSize)
	rand.Read(b) // never fails (crypto/rand)
	return jose.EncodeBase64(b)
}

// same compares in a time that does not depend on where two strings differ.
func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
