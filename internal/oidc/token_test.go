package oidc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-registry/writ/internal/jose"
)

func newP256() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

// trial is one issuer with one key and us, for many tokens.
type trial struct {
	*issuer
	key signingKey
	p   *Provider
}

func newTrial(t *testing.T, alg string) trial {
	t.Helper()
	i := newIssuer(t)
	key := newSigningKey(t, "k1", alg)
	i.keys = []map[string]any{key.jwk(t)}
	return trial{i, key, i.client(t, nil)}
}

// token is an ID token as the issuer signs it: header and claims may be changed.
func (tr trial) token(t *testing.T, nonce string, change func(header, claims map[string]any)) string {
	t.Helper()
	header, claims := tr.key.header(), tr.claims(nonce)
	if change != nil {
		change(header, claims)
	}
	return tr.key.sign(t, header, claims)
}

// finish signs in with the token that make returns for a nonce.
func (tr trial) finish(t *testing.T, make func(nonce string) string) (Identity, error) {
	t.Helper()
	flow, answer := tr.begin(t, tr.p)
	tr.gives(make(flow.Nonce))
	return tr.p.Finish(t.Context(), flow, answer)
}

func TestTokens(t *testing.T) {
	for _, alg := range Algorithms {
		tr := newTrial(t, alg)
		got, err := tr.finish(t, func(nonce string) string { return tr.token(t, nonce, nil) })
		if err != nil {
			t.Errorf("%s: %v", alg, err)
			continue
		}
		now := tr.clock.now().UTC()
		want := Identity{
			Issuer: tr.URL, Subject: "248289761001", Name: "Jane Doe", Groups: []string{"a", "b"}, AuthTime: now.Add(-5 * time.Second),
			IDTokenExpiry: now.Add(5 * time.Minute), RefreshToken: "refresh", IDToken: got.IDToken,
		}
		if diff := cmp.Diff(want, got); diff != "" || got.IDToken == "" {
			t.Errorf("%s: %s", alg, diff)
		}
	}
}

// TestTokensAccepted: what issuers do differently and may.
func TestTokensAccepted(t *testing.T) {
	tr := newTrial(t, "ES256")
	now := tr.clock.now().Unix()
	for name, c := range map[string]struct {
		change func(header, claims map[string]any)
		groups []string
	}{
		"audience in a list":     {func(_, c map[string]any) { c["aud"] = []string{"writ"} }, []string{"a", "b"}},
		"azp is us":              {func(_, c map[string]any) { c["azp"] = "writ" }, []string{"a", "b"}},
		"no typ":                 {func(h, _ map[string]any) { delete(h, "typ") }, []string{"a", "b"}},
		"typ in lower case":      {func(h, _ map[string]any) { h["typ"] = "jwt" }, []string{"a", "b"}},
		"no kid, one key":        {func(h, _ map[string]any) { delete(h, "kid") }, []string{"a", "b"}},
		"times with fractions":   {func(_, c map[string]any) { c["exp"], c["iat"] = float64(now)+0.5, float64(now)-0.5 }, []string{"a", "b"}},
		"a clock that is ahead":  {func(_, c map[string]any) { c["iat"], c["nbf"] = now+60, now+60 }, []string{"a", "b"}},
		"a clock that is behind": {func(_, c map[string]any) { c["exp"], c["iat"] = now-59, now-660 }, []string{"a", "b"}},
		"at_hash":                {func(_, c map[string]any) { c["at_hash"] = atHash("access") }, []string{"a", "b"}},
		"one group":              {func(_, c map[string]any) { c["groups"] = "all" }, []string{"all"}},
		"no groups":              {func(_, c map[string]any) { delete(c, "groups") }, nil},
		"groups are null":        {func(_, c map[string]any) { c["groups"] = nil }, nil},
		"most groups": {func(_, c map[string]any) {
			c["groups"] = slices.Repeat([]string{strings.Repeat("g", MaxGroupSize)}, 150)
		}, []string{strings.Repeat("g", MaxGroupSize)}},
		"a claim of its own": {func(_, c map[string]any) { c["https://issuer.example/level"] = map[string]any{"x": []int{1}} }, []string{"a", "b"}},
	} {
		got, err := tr.finish(t, func(nonce string) string { return tr.token(t, nonce, c.change) })
		if err != nil || !cmp.Equal(got.Groups, c.groups) {
			t.Errorf("%s: groups %v, %v", name, got.Groups, err)
		}
	}
}

// atHash is Core section 3.1.3.6 for an algorithm with SHA-256.
func atHash(access string) string {
	sum := sha256.Sum256([]byte(access))
	return jose.EncodeBase64(sum[:16])
}

// TestTokensRefused: each is well signed, but for what it is named after.
func TestTokensRefused(t *testing.T) {
	tr := newTrial(t, "ES256")
	now := tr.clock.now().Unix()
	stranger := newSigningKey(t, "k1", "ES256")
	rsaKey := newSigningKey(t, "k1", "RS256")
	claim := func(name string, value any) func(string) string {
		return func(nonce string) string {
			return tr.token(t, nonce, func(_, c map[string]any) {
				if c[name] = value; value == nil {
					delete(c, name)
				}
			})
		}
	}
	header := func(name string, value any) func(string) string {
		return func(nonce string) string { return tr.token(t, nonce, func(h, _ map[string]any) { h[name] = value }) }
	}
	for _, c := range []struct {
		name string
		make func(nonce string) string
		want Code
	}{
		{"alg none, unsigned", func(n string) string {
			return part(t, map[string]any{"alg": "none", "kid": "k1"}) + "." + part(t, tr.claims(n)) + "."
		}, CodeAlg},
		{"alg none, signed", header("alg", "none"), CodeAlg},
		{"alg None", header("alg", "None"), CodeAlg},
		{"alg missing", header("alg", ""), CodeAlg},
		{"alg HS256 under the public key", func(n string) string {
			input := part(t, map[string]any{"alg": "HS256", "kid": "k1"}) + "." + part(t, tr.claims(n))
			x, err := tr.key.private.Public().(*ecdsa.PublicKey).Bytes()
			if err != nil {
				t.Fatal(err)
			}
			mac := hmac.New(sha256.New, x)
			mac.Write([]byte(input))
			return input + "." + jose.EncodeBase64(mac.Sum(nil))
		}, CodeAlg},
		{"alg ES384", header("alg", "ES384"), CodeAlg},
		{"alg of another kind of key", header("alg", "RS256"), CodeKey},
		{"signed by a stranger's key of the same kid", func(n string) string { return stranger.sign(t, stranger.header(), tr.claims(n)) }, CodeSignature},
		{"signed by a stranger's key of another kind", func(n string) string { return rsaKey.sign(t, rsaKey.header(), tr.claims(n)) }, CodeKey},
		{"kid of nobody", header("kid", "k2"), CodeKey},
		{"claims changed after signing", func(n string) string {
			parts := strings.Split(tr.token(t, n, nil), ".")
			claims := tr.claims(n)
			claims["sub"] = "somebody else"
			return parts[0] + "." + part(t, claims) + "." + parts[2]
		}, CodeSignature},
		{"no signature", func(n string) string {
			signed := tr.token(t, n, nil)
			return signed[:strings.LastIndexByte(signed, '.')+1]
		}, CodeSignature},
		{"key in the header (jwk)", func(n string) string {
			h := stranger.header()
			h["jwk"] = stranger.jwk(t)
			return stranger.sign(t, h, tr.claims(n))
		}, CodeToken},
		{"jku", header("jku", tr.URL+"/keys"), CodeToken},
		{"x5u", header("x5u", tr.URL+"/keys"), CodeToken},
		{"x5c", header("x5c", []string{"AA=="}), CodeToken},
		{"crit", header("crit", []string{"exp"}), CodeToken},
		{"access token (RFC 9068)", header("typ", "at+jwt"), CodeToken},
		{"logout token", header("typ", "logout+jwt"), CodeToken},
		{"no JWT", func(string) string { return "opaque" }, CodeToken},
		{"four parts", func(n string) string { return tr.token(t, n, nil) + "." }, CodeToken},
		{"JSON serialization", func(n string) string {
			parts := strings.Split(tr.token(t, n, nil), ".")
			return `{"protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`
		}, CodeToken},
		{"padded header", func(n string) string {
			signed := tr.token(t, n, nil)
			return strings.Replace(signed, ".", "=.", 1)
		}, CodeToken},
		{"header with two algs", func(n string) string { return tr.key.sign(t, `{"alg":"none","alg":"ES256","kid":"k1"}`, tr.claims(n)) }, CodeToken},
		{"payload is a list", func(string) string { return tr.key.sign(t, tr.key.header(), `[]`) }, CodeToken},
		{"two subjects", func(n string) string {
			return tr.key.sign(t, tr.key.header(), strings.Replace(jsonText(t, tr.claims(n)), `{`, `{"sub":"root",`, 1))
		}, CodeToken},
		{"subject in another case", claim("SUB", "root"), ""}, // an unknown member, not a second sub
		{"too long", claim("pad", strings.Repeat("x", MaxTokenSize)), CodeSize},

		{"no issuer", claim("iss", nil), CodeIssuer},
		{"other issuer", claim("iss", "https://issuer.example"), CodeIssuer},
		{"issuer with a slash", claim("iss", tr.URL+"/"), CodeIssuer},
		{"no audience", claim("aud", nil), CodeAudience},
		{"other audience", claim("aud", "another client"), CodeAudience},
		{"audience in another case", claim("aud", "Writ"), CodeAudience},
		{"one audience more", claim("aud", []string{"writ", "another client"}), CodeAudience},
		{"empty list of audiences", claim("aud", []string{}), CodeAudience},
		{"audience is a number", claim("aud", 1), CodeToken},
		{"azp is another client", claim("azp", "another client"), CodeAudience},
		{"no nonce", claim("nonce", nil), CodeNonce},
		{"other nonce", claim("nonce", newSecret()), CodeNonce},
		{"no exp", claim("exp", nil), CodeExpired},
		{"expired", claim("exp", now-60), CodeExpired},
		{"exp is a text", claim("exp", "never"), CodeToken},
		{"exp beyond time", claim("exp", 1e15), CodeToken},
		{"no iat", claim("iat", nil), CodeIssuedAt},
		{"from the future", claim("iat", now+61), CodeIssuedAt},
		{"issued long ago", claim("iat", now-661), CodeIssuedAt},
		{"not valid yet", claim("nbf", now+61), CodeIssuedAt},
		{"negative time", claim("auth_time", -1), CodeToken},
		{"no subject", claim("sub", nil), CodeToken},
		{"long subject", claim("sub", strings.Repeat("s", 256)), CodeToken},
		{"subject with a line break", claim("sub", "a\nb"), CodeToken},
		{"subject outside ASCII", claim("sub", "аlice"), CodeToken},
		{"long name", claim("name", strings.Repeat("n", MaxNameSize+1)), CodeSize},
		{"name is a number", claim("name", 7), CodeToken},
		{"at_hash of another access token", claim("at_hash", atHash("another")), CodeAccessToken},
		{"empty at_hash", claim("at_hash", ""), CodeAccessToken},
		{"groups are numbers", claim("groups", []int{1}), CodeGroups},
		{"groups are an object", claim("groups", map[string]any{"admin": true}), CodeGroups},
		{"null among groups", claim("groups", []any{"a", nil}), CodeGroups},
		{"empty group", claim("groups", []string{""}), CodeGroups},
		{"too many groups", claim("groups", slices.Repeat([]string{"g"}, MaxGroups+1)), CodeGroups},
		{"long group", claim("groups", []string{strings.Repeat("g", MaxGroupSize+1)}), CodeGroups},
		{"groups elsewhere", func(n string) string {
			return tr.token(t, n, func(_, c map[string]any) {
				delete(c, "groups")
				c["_claim_names"] = map[string]any{"groups": "src1"}
				c["_claim_sources"] = map[string]any{"src1": map[string]any{"endpoint": tr.URL + "/keys"}}
			})
		}, CodeGroups},
	} {
		tr.p = tr.client(t, nil)
		_, err := tr.finish(t, c.make)
		if c.want == "" && err != nil || c.want != "" && !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

func jsonText(t *testing.T, v any) string {
	t.Helper()
	raw, err := jose.DecodeBase64(part(t, v))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// TestTokenResponseRefused: what the token endpoint may say beside a good ID token.
func TestTokenResponseRefused(t *testing.T) {
	tr := newTrial(t, "EdDSA")
	oauthError := func(code string) map[string]any {
		return map[string]any{"error": code, "error_description": "code=secret-of-the-answer"}
	}
	for _, c := range []struct {
		name   string
		status int
		change func(body map[string]any)
		body   any
		want   Code
	}{
		{"no ID token", 200, func(b map[string]any) { delete(b, "id_token") }, nil, CodeResponse},
		{"ID token is a number", 200, func(b map[string]any) { b["id_token"] = 1 }, nil, CodeResponse},
		{"no access token", 200, func(b map[string]any) { delete(b, "access_token") }, nil, CodeResponse},
		{"another type of token", 200, func(b map[string]any) { b["token_type"] = "N_A" }, nil, CodeResponse},
		{"long refresh token", 200, func(b map[string]any) { b["refresh_token"] = strings.Repeat("r", MaxTokenSize+1) }, nil, CodeSize},
		{"huge", 200, func(b map[string]any) { b["pad"] = strings.Repeat("x", answerLimit) }, nil, CodeResponse},
		{"no JSON", 200, nil, "hello", CodeResponse},
		{"code over", 400, nil, oauthError("invalid_grant"), CodeGrant},
		{"sign in again", 400, nil, oauthError("interaction_required"), CodeGrant},
		{"unknown client", 401, nil, oauthError("invalid_client"), CodeClient},
		{"error with status 200", 200, nil, oauthError("invalid_grant"), CodeGrant},
		{"busy", 503, nil, oauthError("temporarily_unavailable"), CodeUnavailable},
		{"broken", 500, nil, oauthError("anything"), CodeUnavailable},
		{"too many requests", 429, nil, oauthError("slow_down"), CodeUnavailable},
		{"a proxy's page", 403, nil, "forbidden", CodeUnavailable},
	} {
		flow, answer := tr.begin(t, tr.p)
		body := c.body
		if c.change != nil {
			good := map[string]any{"access_token": "access", "token_type": "bearer", "id_token": tr.token(t, flow.Nonce, nil)}
			c.change(good)
			body = good
		}
		tr.answers(c.status, body)
		_, err := tr.p.Finish(t.Context(), flow, answer)
		if !errors.Is(err, c.want) || strings.Contains(err.Error(), "secret-of-the-answer") {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
	}
}

// TestKeysUsed: of a set of keys those count that can have signed an ID token.
func TestKeysUsed(t *testing.T) {
	es := newSigningKey(t, "es", "ES256").jwk(t)
	rs := newSigningKey(t, "rs", "RS256").jwk(t)
	ed := newSigningKey(t, "ed", "EdDSA").jwk(t)
	with := func(key map[string]any, pairs ...any) map[string]any {
		k := maps.Clone(key)
		for i := 0; i < len(pairs); i += 2 {
			if k[pairs[i].(string)] = pairs[i+1]; pairs[i+1] == nil {
				delete(k, pairs[i].(string))
			}
		}
		return k
	}
	for _, c := range []struct {
		name string
		key  map[string]any
		algs []string
	}{
		{"P-256", es, []string{"ES256"}},
		{"RSA", rs, []string{"RS256"}},
		{"RSA for either", with(rs, "alg", nil), []string{"RS256", "PS256"}},
		{"Ed25519", ed, []string{"EdDSA"}},
		{"for no use in particular", with(ed, "use", nil), []string{"EdDSA"}},
		{"to verify", with(ed, "key_ops", []string{"verify"}), []string{"EdDSA"}},
		{"with a certificate", with(rs, "x5c", []string{"AA=="}, "x5t", "AA"), []string{"RS256"}},
		{"to encrypt", with(rs, "use", "enc"), nil},
		{"to sign only", with(ed, "key_ops", []string{"sign"}), nil},
		{"for another alg", with(rs, "alg", "RS512"), nil},
		{"for an alg of another kind", with(rs, "alg", "ES256"), nil},
		{"private", with(es, "d", "AA"), nil},
		{"shared secret", map[string]any{"kty": "oct", "kid": "o", "k": "c2VjcmV0"}, nil},
		{"RSA of 1024 bits", with(rs, "n", jose.EncodeBase64(slices.Repeat([]byte{0xff}, 128))), nil},
		{"RSA of 16384 bits", with(rs, "n", jose.EncodeBase64(slices.Repeat([]byte{0xff}, 2048))), nil},
		{"RSA with an even modulus", with(rs, "n", jose.EncodeBase64(append(slices.Repeat([]byte{0xff}, 255), 0xfe))), nil},
		{"RSA with exponent 1", with(rs, "e", "AQ"), nil},
		{"RSA with a huge exponent", with(rs, "e", "AQAAAAE"), nil},
		{"RSA without modulus", with(rs, "n", nil), nil},
		{"P-384", with(es, "crv", "P-384"), nil},
		{"off the curve", with(es, "x", es["y"]), nil},
		{"Ed25519 of small order", with(ed, "x", jose.EncodeBase64(append([]byte{1}, make([]byte, 31)...))), nil},
		{"no kind", with(es, "kty", nil), nil},
	} {
		body := jsonText(t, map[string]any{"keys": []any{c.key}, "other": 1})
		got, err := parseKeys([]byte(body))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if (c.algs == nil) != (len(got) == 0) || len(got) == 1 && !cmp.Equal(got[0].algs, c.algs) {
			t.Errorf("%s: got %v, want algs %v", c.name, got, c.algs)
		}
	}
	for _, body := range []string{``, `{}x`, `[]`, `{"keys":[],"keys":[]}`, `{"keys":{}}`, jsonText(t, map[string]any{"keys": slices.Repeat([]any{ed}, maxKeys+1)})} {
		_, err := parseKeys([]byte(body))
		if !errors.Is(err, CodeMetadata) {
			t.Errorf("%.40s: got %v", body, err)
		}
	}
}

// TestKidMissing: with two keys that fit, a token must say which one (Core 10.1).
func TestKidMissing(t *testing.T) {
	tr := newTrial(t, "EdDSA")
	tr.set(func() { tr.keys = append(tr.keys, newSigningKey(t, "k2", "EdDSA").jwk(t)) })
	_, err := tr.finish(t, func(nonce string) string { return tr.token(t, nonce, func(h, _ map[string]any) { delete(h, "kid") }) })
	wantCode(t, err, CodeKey)
}

func FuzzParseKeys(f *testing.F) {
	f.Add([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`)) // RFC 8037 appendix A.2
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"0vx7","e":"AQAB","kid":"2011-04-29"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		keys, err := parseKeys(body)
		if err != nil && !errors.Is(err, CodeMetadata) {
			t.Errorf("got %v", err)
		}
		for _, k := range keys {
			if k.public == nil || len(k.algs) == 0 || slices.ContainsFunc(k.algs, func(a string) bool { return !slices.Contains(Algorithms, a) }) {
				t.Errorf("got %+v", k)
			}
		}
	})
}

func FuzzReadHeader(f *testing.F) {
	f.Add("eyJhbGciOiJFUzI1NiIsImtpZCI6ImsxIiwidHlwIjoiSldUIn0.e30.AA")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Fuzz(func(t *testing.T, raw string) {
		if h, err := readHeader(raw); err == nil && (!slices.Contains(Algorithms, h.Alg) || h.JWK != nil || h.Crit != nil) {
			t.Errorf("accepted %+v", h)
		}
	})
}
