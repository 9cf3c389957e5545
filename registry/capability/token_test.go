package capability

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
)

var (
	issuerKey = jose.NewEd25519FromSeed([32]byte{1})
	agentKey  = jose.NewEd25519FromSeed([32]byte{2})
	otherKey  = jose.NewEd25519FromSeed([32]byte{3})
	testNow   = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
)

const (
	testPDP   = "https://registry.example"
	testAgent = "did:web:registry.example:agents:1"
	testJTI   = "AAECAwQFBgcICQoLDA0ODw"
)

var testAct = Act{
	Action: "create", Resource: Resource{"shipment", "7"}, Arguments: json.RawMessage(`{"max_weight":500}`),
}

func testGrantClaims() GrantClaims {
	return GrantClaims{
		Issuer: testPDP, Audience: []string{testPDP}, Subject: testAgent, ClientID: testAgent,
		IssuedAt: testNow.Unix(), NotBefore: testNow.Unix(), Expires: testNow.Add(time.Hour).Unix(), ID: testJTI,
		Confirmation: Confirmation{agentKey.Public().JWK()},
		Capabilities: MustParse("read:invoices; create:shipment(max_weight<=500); execute:none"),
		Status:       &Status{StatusList{Index: 0, URI: testPDP + "/status/1"}},
		Actor:        Actor{"did:web:registry.example:people:1"},
		PolicyEpoch:  3, Org: "acme", Workflow: "shipping", AuthorityLevel: 2,
	}
}

func testActionClaims(t testing.TB) ActionClaims {
	t.Helper()
	digest, err := testAct.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return ActionClaims{
		Issuer: testAgent, Audience: "https://shipping.example", PDP: testPDP,
		TokenHash: canon.Digest([]byte("token")), ActDigest: digest, ID: testJTI,
		IssuedAt: testNow.Unix(), Expires: testNow.Add(time.Minute).Unix(),
	}
}

func testActionCheck() ActionCheck {
	return ActionCheck{
		Key: agentKey.Public(), Now: testNow, PDP: testPDP, Subject: testAgent,
		TokenHash: canon.Digest([]byte("token")), Act: testAct,
		Audiences: []string{"https://other.example", "https://shipping.example"},
	}
}

func testRegistrationClaims() RegistrationClaims {
	return RegistrationClaims{
		Audience: testPDP, ID: testJTI, IssuedAt: testNow.Unix(), Expires: testNow.Add(time.Minute).Unix(),
		Org: "acme", Name: "Shipping agent",
	}
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestGrant(t *testing.T) {
	claims := testGrantClaims()
	raw := must[string](t)(IssueGrant(issuerKey, testPDP+"#1", claims))
	g := must[*Grant](t)(ParseGrant(raw))
	if err := g.Verify(issuerKey.Public()); err != nil {
		t.Error(err)
	}
	if err := g.Verify(agentKey.Public()); !errors.Is(err, BadSignature) {
		t.Errorf("another key: got %v", err)
	}
	claims.Scope = "create:shipment read:invoices"
	if diff := cmp.Diff(claims, g.Claims()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !g.Capabilities().Equal(claims.Capabilities) || g.Key() != agentKey.Public() || g.Raw() != raw || g.KeyID() != testPDP+"#1" {
		t.Errorf("got %+v", g)
	}
	input := raw[:strings.LastIndexByte(raw, '.')]
	if g.Hash() != canon.Digest([]byte(raw)) || g.SigningInputHash() != canon.Digest([]byte(input)) {
		t.Error("wrong hashes")
	}
	for at, want := range map[time.Duration]bool{-time.Second: false, 0: true, time.Hour - 1: true, time.Hour: false} {
		if got := g.ValidAt(testNow.Add(at)); got != want {
			t.Errorf("%s after issue: got %t", at, got)
		}
	}
}

func TestIssueGrantRefused(t *testing.T) {
	for name, spoil := range map[string]func(*GrantClaims){
		"iss":            func(c *GrantClaims) { c.Issuer = "" },
		"aud":            func(c *GrantClaims) { c.Audience = nil },
		"aud empty":      func(c *GrantClaims) { c.Audience = []string{""} },
		"sub too long":   func(c *GrantClaims) { c.Subject = strings.Repeat("a", maxURI+1) },
		"client_id":      func(c *GrantClaims) { c.ClientID = "" },
		"exp before nbf": func(c *GrantClaims) { c.Expires = c.NotBefore },
		"exp before iat": func(c *GrantClaims) { c.IssuedAt = c.Expires },
		"jti short":      func(c *GrantClaims) { c.ID = testJTI[:20] },
		"jti spare bits": func(c *GrantClaims) { c.ID = testJTI[:21] + "x" },
		"cnf":            func(c *GrantClaims) { c.Confirmation.JWK.X = "AA" },
		"capabilities":   func(c *GrantClaims) { c.Capabilities = Set{} },
		"depth":          func(c *GrantClaims) { c.Depth, c.MaxDepth = 1, 1 },
		"max depth":      func(c *GrantClaims) { c.MaxDepth = MaxDepth + 1 },
		"status":         func(c *GrantClaims) { c.Status = &Status{} },
		"act":            func(c *GrantClaims) { c.Actor.Subject = "" },
		"policy_epoch":   func(c *GrantClaims) { c.PolicyEpoch = -1 },
		"org":            func(c *GrantClaims) { c.Org = "" },
		"domain":         func(c *GrantClaims) { c.Domain = strings.Repeat("a", maxText+1) },
		"level":          func(c *GrantClaims) { c.AuthorityLevel = 5 },
	} {
		claims := testGrantClaims()
		spoil(&claims)
		if _, err := IssueGrant(issuerKey, "", claims); !errors.Is(err, Malformed) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	claims := testGrantClaims()
	claims.ParentHash = canon.Digest(nil)
	if _, err := IssueGrant(issuerKey, "", claims); !errors.Is(err, Linkage) {
		t.Errorf("par_hash: got %v", err)
	}
	claims = testGrantClaims()
	claims.Capabilities = MustParse(`a:b(x=="` + strings.Repeat("a", MaxText-20) + `")`)
	if _, err := IssueGrant(issuerKey, "", claims); !errors.Is(err, Malformed) {
		t.Errorf("too long: got %v", err)
	}
}

// members returns the payload of a token as a map, for tests that bend it.
func members(t *testing.T, raw, typ string) map[string]any {
	t.Helper()
	tok := must[*jose.Token](t)(jose.Parse(raw, typ, MaxToken))
	var m map[string]any
	if err := tok.Claims(&m); err != nil {
		t.Fatal(err)
	}
	return m
}

// Every member is taken away, made null, and an unknown one added: none of these is
// the statement that was signed before, so none may be read as one.
func TestEveryMemberCounts(t *testing.T) {
	grant := must[string](t)(IssueGrant(issuerKey, "", testGrantClaims()))
	action := must[string](t)(SignAction(agentKey, "", testActionClaims(t)))
	registration := must[string](t)(SignRegistration(agentKey, testRegistrationClaims()))
	composition := must[string](t)(SignComposition(agentKey, testCompositionClaims()))
	for typ, c := range map[string]struct {
		raw   string
		parse func(string) error
	}{
		TypGrant:        {grant, func(s string) error { _, err := ParseGrant(s); return err }},
		TypAction:       {action, func(s string) error { _, err := ParseAction(s); return err }},
		TypRegistration: {registration, func(s string) error { _, err := ParseRegistration(s); return err }},
		TypComposition:  {composition, func(s string) error { _, err := ParseComposition(s); return err }},
		TypPermit:       {must[string](t)(SignPermit(issuerKey, "", testPermitClaims(t))), func(s string) error { _, err := ParsePermit(s); return err }},
		TypOutcome:      {must[string](t)(SignOutcome(agentKey, testOutcomeClaims())), func(s string) error { _, err := ParseOutcome(s); return err }},
	} {
		whole := members(t, c.raw, typ)
		try := func(name string, m map[string]any) {
			t.Helper()
			if err := c.parse(must[string](t)(jose.Sign(agentKey, typ, "", m))); !errors.Is(err, Malformed) {
				t.Errorf("%s: %s: got %v", typ, name, err)
			}
		}
		for name := range whole {
			m := maps.Clone(whole)
			m[name] = nil
			try(name+" null", m)
			m[name] = map[string]any{"x": 1}
			try(name+" of another type", m)
			if delete(m, name); name != "status" && name != "workflow" {
				try(name+" missing", m)
			}
		}
		m := maps.Clone(whole)
		m["crit"] = "x"
		try("unknown claim", m)
	}
}

func TestParseGrantRefused(t *testing.T) {
	whole := members(t, must[string](t)(IssueGrant(issuerKey, "", testGrantClaims())), TypGrant)
	for name, c := range map[string]struct {
		claim string
		value any
		code  Code
	}{
		"parent of a root":   {"par_hash", canon.Digest(nil), Malformed},
		"child without one":  {"del_depth", 1, Malformed},
		"scope of another":   {"scope", "read:invoices", Malformed},
		"scope reordered":    {"scope", "read:invoices create:shipment", Malformed},
		"aud a string":       {"aud", testPDP, Malformed},
		"private key in cnf": {"cnf", map[string]any{"jwk": map[string]any{"kty": "OKP", "crv": "Ed25519", "x": agentKey.Public().JWK().X, "d": "AA"}}, Malformed},
		"kid in cnf":         {"cnf", map[string]any{"kid": "1"}, Malformed},
		"status without idx": {"status", map[string]any{"status_list": map[string]any{"uri": "https://a"}}, Malformed},
		"act nested":         {"act", map[string]any{"sub": "a", "act": map[string]any{"sub": "b"}}, Malformed},
		"exp a fraction":     {"exp", 1e9 + 0.5, Malformed},
		"exp a string":       {"exp", "1", Malformed},
	} {
		m := maps.Clone(whole)
		m[c.claim] = c.value
		_, err := ParseGrant(must[string](t)(jose.Sign(issuerKey, TypGrant, "", m)))
		if !errors.Is(err, c.code) {
			t.Errorf("%s: got %v, want %s", name, err, c.code)
		}
	}
	var e *GrantError
	if _, err := ParseGrant(strings.Repeat("a", MaxToken+1)); !errors.As(err, &e) || e.Code != Malformed {
		t.Errorf("too long: got %v", err)
	}
}

func TestAction(t *testing.T) {
	raw := must[string](t)(SignAction(agentKey, testAgent+"#1", testActionClaims(t)))
	a := must[*Action](t)(ParseAction(raw))
	if err := a.Verify(testActionCheck()); err != nil {
		t.Fatal(err)
	}
	if a.Claims() != testActionClaims(t) || a.Raw() != raw || a.Hash() != canon.Digest([]byte(raw)) || a.KeyID() != testAgent+"#1" {
		t.Errorf("got %+v", a)
	}
	for name, c := range map[string]struct {
		spoil func(*ActionCheck)
		code  Code
	}{
		"30 s late":         {func(c *ActionCheck) { c.Now = testNow.Add(MaxSkew) }, ""},
		"more than 30 s":    {func(c *ActionCheck) { c.Now = testNow.Add(MaxSkew + 1) }, Stale},
		"30 s early":        {func(c *ActionCheck) { c.Now = testNow.Add(-MaxSkew) }, ""},
		"more, early":       {func(c *ActionCheck) { c.Now = testNow.Add(-MaxSkew - 1) }, Stale},
		"other key":         {func(c *ActionCheck) { c.Key = otherKey.Public() }, BadSignature},
		"no key":            {func(c *ActionCheck) { c.Key = jose.PublicKey{} }, BadSignature},
		"other registry":    {func(c *ActionCheck) { c.PDP = "https://evil.example" }, WrongPDP},
		"other resource":    {func(c *ActionCheck) { c.Audiences = c.Audiences[:1] }, WrongAudience},
		"no resource":       {func(c *ActionCheck) { c.Audiences = nil }, WrongAudience},
		"other agent":       {func(c *ActionCheck) { c.Subject = testAgent + "2" }, WrongSubject},
		"other token":       {func(c *ActionCheck) { c.TokenHash = canon.Digest(nil) }, WrongToken},
		"other action":      {func(c *ActionCheck) { c.Act.Action = "delete" }, WrongAct},
		"other type":        {func(c *ActionCheck) { c.Act.Resource.Type = "x" }, WrongAct},
		"other id":          {func(c *ActionCheck) { c.Act.Resource.ID = "8" }, WrongAct},
		"other task":        {func(c *ActionCheck) { c.Act.Task = "x" }, WrongAct},
		"other arguments":   {func(c *ActionCheck) { c.Act.Arguments = json.RawMessage(`{"max_weight":501}`) }, WrongAct},
		"no arguments":      {func(c *ActionCheck) { c.Act.Arguments = nil }, WrongAct},
		"broken arguments":  {func(c *ActionCheck) { c.Act.Arguments = json.RawMessage(`{`) }, WrongAct},
		"respelled, equal":  {func(c *ActionCheck) { c.Act.Arguments = json.RawMessage(`{ "max_weight" : 5e2 }`) }, ""},
		"the first counts":  {func(c *ActionCheck) { c.PDP, c.Subject = "", "" }, WrongPDP},
		"time before crypt": {func(c *ActionCheck) { c.Key, c.Now = otherKey.Public(), testNow.Add(time.Hour) }, Stale},
	} {
		check := testActionCheck()
		c.spoil(&check)
		err := a.Verify(check)
		var e *ProofError
		if c.code == "" && err != nil || c.code != "" && (!errors.As(err, &e) || e.Code != c.code) {
			t.Errorf("%s: got %v, want %q", name, err, c.code)
		}
	}
}

// A digest that the caller has computed stands for the act, and only the right one.
func TestActionDigested(t *testing.T) {
	a := must[*Action](t)(ParseAction(must[string](t)(SignAction(agentKey, "", testActionClaims(t)))))
	check := testActionCheck()
	check.ActDigest = must[string](t)(testAct.Digest())
	if err := a.Verify(check); err != nil {
		t.Error(err)
	}
	other := testAct
	other.Task = "x"
	check.ActDigest = must[string](t)(other.Digest())
	if err := a.Verify(check); !errors.Is(err, WrongAct) {
		t.Errorf("another act: got %v", err)
	}
}

func TestActionWindow(t *testing.T) {
	for name, c := range map[string]struct {
		life, age time.Duration
		code      Code
	}{
		"one second":      {time.Second, 0, ""},
		"expired":         {time.Second, time.Second, Stale},
		"not yet expired": {time.Second, time.Second - 1, ""},
	} {
		claims := testActionClaims(t)
		claims.Expires = testNow.Add(c.life).Unix()
		a := must[*Action](t)(ParseAction(must[string](t)(SignAction(agentKey, "", claims))))
		check := testActionCheck()
		check.Now = testNow.Add(c.age)
		if err := a.Verify(check); c.code == "" && err != nil || c.code != "" && !errors.Is(err, c.code) {
			t.Errorf("%s: got %v, want %q", name, err, c.code)
		}
	}
	// A signer of ours makes no proof that would be refused, so others are forged.
	for name, c := range map[string]struct{ iat, exp int64 }{
		"too long": {testNow.Unix(), testNow.Unix() + 61}, "none": {testNow.Unix(), testNow.Unix()}, "reversed": {testNow.Unix(), testNow.Unix() - 1},
		"difference overflows": {-5e18, 5e18},
	} {
		claims := testActionClaims(t)
		claims.IssuedAt, claims.Expires = c.iat, c.exp
		if _, err := SignAction(agentKey, "", claims); !errors.Is(err, Lifetime) {
			t.Errorf("sign, %s: got %v", name, err)
		}
		a := must[*Action](t)(ParseAction(must[string](t)(jose.Sign(agentKey, TypAction, "", claims))))
		if err := a.Verify(testActionCheck()); !errors.Is(err, Lifetime) {
			t.Errorf("verify, %s: got %v", name, err)
		}
	}
}

func TestActionRefused(t *testing.T) {
	for name, spoil := range map[string]func(*ActionClaims){
		"iss":           func(c *ActionClaims) { c.Issuer = "" },
		"aud too long":  func(c *ActionClaims) { c.Audience = strings.Repeat("a", maxURI+1) },
		"pdp":           func(c *ActionClaims) { c.PDP = "" },
		"ath short":     func(c *ActionClaims) { c.TokenHash = testJTI },
		"adg no base64": func(c *ActionClaims) { c.ActDigest = strings.Repeat("+", 43) },
		"jti short":     func(c *ActionClaims) { c.ID = testJTI[:20] },
		"jti long":      func(c *ActionClaims) { c.ID = strings.Repeat("A", 88) },
	} {
		claims := testActionClaims(t)
		spoil(&claims)
		if _, err := SignAction(agentKey, "", claims); !errors.Is(err, Malformed) {
			t.Errorf("sign, %s: got %v", name, err)
		}
		if _, err := ParseAction(must[string](t)(jose.Sign(agentKey, TypAction, "", claims))); !errors.Is(err, Malformed) {
			t.Errorf("parse, %s: got %v", name, err)
		}
	}
	raw := must[string](t)(SignAction(agentKey, "did:web:other.example#1", testActionClaims(t)))
	if _, err := ParseAction(raw); !errors.Is(err, Malformed) {
		t.Errorf("kid of another: got %v", err)
	}
}

func TestRegistration(t *testing.T) {
	raw := must[string](t)(SignRegistration(agentKey, testRegistrationClaims()))
	r := must[*Registration](t)(ParseRegistration(raw))
	good := RegistrationCheck{Key: agentKey.Public(), Now: testNow, Origin: testPDP, Org: "acme", Name: "Shipping agent"}
	if err := r.Verify(good); err != nil {
		t.Fatal(err)
	}
	want := testRegistrationClaims()
	want.Issuer = agentKey.Public().ThumbprintURI()
	if r.Claims() != want || r.Raw() != raw || r.Hash() != canon.Digest([]byte(raw)) {
		t.Errorf("got %+v", r)
	}
	for name, c := range map[string]struct {
		spoil func(*RegistrationCheck)
		code  Code
	}{
		"late":           {func(c *RegistrationCheck) { c.Now = testNow.Add(31 * time.Second) }, Stale},
		"other key":      {func(c *RegistrationCheck) { c.Key = otherKey.Public() }, BadSignature},
		"other registry": {func(c *RegistrationCheck) { c.Origin = "https://evil.example" }, WrongAudience},
		"other org":      {func(c *RegistrationCheck) { c.Org = "evil" }, WrongAct},
		"other name":     {func(c *RegistrationCheck) { c.Name = "x" }, WrongAct},
	} {
		check := good
		c.spoil(&check)
		if err := r.Verify(check); !errors.Is(err, c.code) {
			t.Errorf("%s: got %v, want %s", name, err, c.code)
		}
	}
	// A proof whose iss names another key than the one that signed it.
	claims := testRegistrationClaims()
	claims.Issuer = otherKey.Public().ThumbprintURI()
	r = must[*Registration](t)(ParseRegistration(must[string](t)(jose.Sign(agentKey, TypRegistration, "", claims))))
	if err := r.Verify(good); !errors.Is(err, WrongSubject) {
		t.Errorf("iss of another key: got %v", err)
	}
}

// signedKind is a kind of statement: one of it, and who reads it.
type signedKind struct {
	raw   string
	parse func(string) (claims any, err error)
}

// signedKinds are all of them, by their typ.
func signedKinds(t testing.TB) map[string]signedKind {
	authenticator := AuthenticatorClaims{Audience: testPDP, Subject: "p-1", ID: NewJTI(), IssuedAt: 1000, Expires: 1060}
	return map[string]signedKind{
		TypGrant: {must[string](t)(IssueGrant(issuerKey, "", testGrantClaims())),
			func(s string) (any, error) { return claimed(ParseGrant(s)) }},
		TypAction: {must[string](t)(SignAction(agentKey, "", testActionClaims(t))),
			func(s string) (any, error) { return claimed(ParseAction(s)) }},
		TypRegistration: {must[string](t)(SignRegistration(agentKey, testRegistrationClaims())),
			func(s string) (any, error) { return claimed(ParseRegistration(s)) }},
		TypComposition: {must[string](t)(SignComposition(agentKey, testCompositionClaims())),
			func(s string) (any, error) { return claimed(ParseComposition(s)) }},
		TypPermit: {must[string](t)(SignPermit(issuerKey, "", testPermitClaims(t))),
			func(s string) (any, error) { return claimed(ParsePermit(s)) }},
		TypOutcome: {must[string](t)(SignOutcome(agentKey, testOutcomeClaims())),
			func(s string) (any, error) { return claimed(ParseOutcome(s)) }},
		TypApproval: {must[string](t)(SignApproval(agentKey, testApprovalClaims())),
			func(s string) (any, error) { return claimed(ParseApproval(s)) }},
		TypAuthenticator: {must[string](t)(SignAuthenticator(agentKey, authenticator)), func(s string) (any, error) {
			a, err := ParseAuthenticator(s)
			if err != nil {
				return nil, err
			}
			return a.claims, nil
		}},
	}
}

func claimed[C any, T interface{ Claims() C }](parsed T, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return parsed.Claims(), nil
}

// Every verifier refuses every other typ, also when all else is right (the claims are
// those of the verifier's own kind and only the header says otherwise), and the claims
// of every other kind, also under its own typ.
func TestTypMatrix(t *testing.T) {
	kinds := signedKinds(t)
	types := append(slices.Collect(maps.Keys(kinds)), "JWT", "at+jwt", "dpop+jwt", "statuslist+jwt", "access-binding+jwt",
		"application/"+TypGrant, "application/"+TypAction, strings.ToUpper(TypAction), strings.ToUpper(TypApproval), TypAction+" ")
	kinds["child "+TypGrant] = signedKind{testChain(t, 2)[1],
		func(s string) (any, error) { return ParseChain([]string{testChain(t, 1)[0], s}) }}
	for kind, c := range kinds {
		own := strings.TrimPrefix(kind, "child ")
		claims := members(t, c.raw, own)
		for _, typ := range types {
			raw := must[string](t)(jose.Sign(agentKey, typ, "", claims))
			for verifier, v := range kinds {
				passes := typ == own && verifier == kind
				if _, err := v.parse(raw); passes && err != nil || !passes && err == nil {
					t.Errorf("claims of %s as %s before the verifier of %s: got %v", kind, typ, verifier, err)
				} else if typ != own && !errors.Is(err, Malformed) {
					t.Errorf("claims of %s as %s before the verifier of %s: got %v, want malformed", kind, typ, verifier, err)
				}
			}
		}
	}
}

// FuzzStatement: what is read as a statement of a kind is that kind's JSON, in one
// meaning: the claims that were read, written again, are the payload.
func FuzzStatement(f *testing.F) {
	kinds := signedKinds(f)
	types := slices.Sorted(maps.Keys(kinds))
	for i, typ := range types {
		f.Add(uint8(i), must[*jose.Token](f)(jose.Parse(kinds[typ].raw, typ, MaxToken)).Payload)
	}
	f.Fuzz(func(t *testing.T, which uint8, payload []byte) {
		typ := types[int(which)%len(types)]
		raw := jose.EncodeBase64([]byte(`{"alg":"EdDSA","typ":"`+typ+`"}`)) + "." + jose.EncodeBase64(payload) + "." + jose.EncodeBase64(make([]byte, 64))
		claims, err := kinds[typ].parse(raw)
		if err != nil {
			return
		}
		again, err := canon.Marshal(claims)
		form, formErr := canon.Canonical(payload)
		if err != nil || formErr != nil || !bytes.Equal(again, form) {
			t.Errorf("%s read as %s (%v, %v)", payload, again, err, formErr)
		}
	})
}

func TestNewJTI(t *testing.T) {
	a, b := NewJTI(), NewJTI()
	if a == b || len(a) != 22 || checkJTI(a) != nil {
		t.Errorf("got %s and %s", a, b)
	}
}

func BenchmarkVerifyAction(b *testing.B) {
	raw := must[string](b)(SignAction(agentKey, testAgent+"#1", testActionClaims(b)))
	check := testActionCheck()
	for b.Loop() {
		a, err := ParseAction(raw)
		if err != nil {
			b.Fatal(err)
		}
		if err := a.Verify(check); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyGrant(b *testing.B) {
	raw := must[string](b)(IssueGrant(issuerKey, "", testGrantClaims()))
	for b.Loop() {
		g, err := ParseGrant(raw)
		if err != nil {
			b.Fatal(err)
		}
		if err := g.Verify(issuerKey.Public()); err != nil {
			b.Fatal(err)
		}
	}
}
