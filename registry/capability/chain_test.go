package capability

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
)

// holder is the key of the n-th link: the root's agent, then those it delegates to.
func holder(n int) *jose.PrivateKey { return holders[n] }

var holders = func() (keys [MaxLinks + 1]*jose.PrivateKey) {
	for n := range keys {
		keys[n] = jose.NewEd25519FromSeed([32]byte{byte(2 + n)})
	}
	return keys
}()

func subject(n int) string {
	if n == 0 {
		return testAgent
	}
	return fmt.Sprintf("did:web:registry.example:agents:%d", n+1)
}

// testRoot is a grant that may be delegated to the end.
func testRoot() GrantClaims {
	c := testGrantClaims()
	c.MaxDepth = MaxDepth
	c.Audience = []string{testPDP, "https://shipping.example"}
	return c
}

// testChild is what a child of the n-th link is given.
func testChild(n int) GrantClaims {
	return GrantClaims{
		Subject: subject(n + 1), Confirmation: Confirmation{holder(n + 1).Public().JWK()}, ID: NewJTI(), IssuedAt: testNow.Unix(),
		Capabilities: MustParse(fmt.Sprintf("create:shipment(max_weight<=%d)", 500-n)), AuthorityLevel: 2, MaxDepth: MaxDepth,
	}
}

// testChain is a chain of n tokens.
func testChain(t testing.TB, n int) []string {
	t.Helper()
	tokens := []string{must[string](t)(IssueGrant(issuerKey, "", testRoot()))}
	for i := range n - 1 {
		c := must[*Chain](t)(ParseChain(tokens))
		tokens = append(tokens, must[string](t)(c.Attenuate(holder(i), subject(i)+"#1", testChild(i))))
	}
	return tokens
}

func testHolds(sub string, key jose.PublicKey) bool {
	for n := range MaxLinks {
		if sub == subject(n) {
			return key == holder(n).Public()
		}
	}
	return false
}

// testChainCheck is a check of a chain of n tokens and an act of its leaf, and the
// leaf's proof.
func testChainCheck(t testing.TB, tokens []string) (*Action, ChainCheck) {
	t.Helper()
	last := len(tokens) - 1
	claims := testActionClaims(t)
	claims.Issuer, claims.TokenHash = subject(last), canon.Digest([]byte(tokens[last]))
	act := testActionCheck()
	act.Subject = subject(last)
	raw := must[string](t)(SignAction(holder(last), "", claims))
	return must[*Action](t)(ParseAction(raw)), ChainCheck{Issuer: issuerKey.Public(), Holds: testHolds, Act: act}
}

func TestChain(t *testing.T) {
	for n := 1; n <= MaxLinks; n++ {
		tokens := testChain(t, n)
		proof, check := testChainCheck(t, tokens)
		c, err := VerifyChain(tokens, proof, check)
		if err != nil {
			t.Fatalf("%d tokens: %v", n, err)
		}
		if c.Leaf().Raw() != tokens[n-1] || c.Root().Raw() != tokens[0] || !slices.Equal(c.Above(), tokens[:n-1]) || len(c.Links()) != n {
			t.Errorf("%d tokens: got %v", n, c.Links())
		}
		if m := c.Match(testAct); m.Covered != (n < 3) {
			t.Errorf("%d tokens: %+v", n, m)
		}
	}
	full := must[*Chain](t)(ParseChain(testChain(t, MaxLinks)))
	if _, err := full.Attenuate(holder(MaxDepth), "", testChild(MaxDepth)); !errors.Is(err, Depth) {
		t.Errorf("a ninth: %v", err)
	}
	if _, err := full.Extend(testChain(t, 2)[1]); !errors.Is(err, Depth) {
		t.Errorf("a ninth added: %v", err)
	}
	if _, err := ParseChain(append(testChain(t, MaxLinks), testChain(t, 2)[1])); !errors.Is(err, Depth) {
		t.Errorf("a ninth shown: %v", err)
	}
}

// resign changes the claims of the last token of a chain and signs it again.
func resign(t *testing.T, tokens []string, by jose.Signer, change func(*GrantClaims)) []string {
	t.Helper()
	last := len(tokens) - 1
	claims := must[*Chain](t)(ParseChain(tokens)).Leaf().Claims()
	change(&claims)
	claims.Scope = claims.Capabilities.Scope()
	out := slices.Clone(tokens)
	out[last] = must[string](t)(jose.Sign(by, TypGrant, "", claims))
	return out
}

// Each invariant is a rejection of its own, at the link that breaks it.
func TestInvariants(t *testing.T) {
	ephemeral := func(c *GrantClaims) {
		c.Subject = didKey(holder(2).Public())
		c.Expires = c.IssuedAt + 900
	}
	for name, c := range map[string]struct {
		change func(*GrantClaims)
		by     *jose.PrivateKey // nil = the holder above
		want   Code             // "" = accepted
	}{
		"as it was":         {change: func(c *GrantClaims) {}},
		"parent is another": {change: func(c *GrantClaims) { c.ParentHash = canon.Digest([]byte("x")) }, want: Linkage},
		"parent's parent": {change: func(c *GrantClaims) {
			c.ParentHash = must[*Grant](t)(ParseGrant(testChain(t, 1)[0])).SigningInputHash()
		}, want: Linkage},
		"status of its own":     {change: func(c *GrantClaims) { c.Status = &Status{StatusList{0, "https://a"}} }, want: Linkage},
		"iss is the registry":   {change: func(c *GrantClaims) { c.Issuer = testPDP }, want: DelegationAuthority},
		"iss is another holder": {change: func(c *GrantClaims) { c.Issuer = holder(0).Public().ThumbprintURI() }, want: DelegationAuthority},
		"signed by the issuer":  {change: func(c *GrantClaims) {}, by: issuerKey, want: DelegationAuthority},
		"signed by the root":    {change: func(c *GrantClaims) {}, by: holder(0), want: DelegationAuthority},
		"signed by itself":      {change: func(c *GrantClaims) {}, by: holder(2), want: DelegationAuthority},
		"depth stands still":    {change: func(c *GrantClaims) { c.Depth = 1 }, want: Depth},
		"depth leaps":           {change: func(c *GrantClaims) { c.Depth = 3 }, want: Depth},
		"no longer delegable":   {change: func(c *GrantClaims) { c.MaxDepth = 2 }},
		"exp later":             {change: func(c *GrantClaims) { c.Expires++ }, want: Lifetime},
		"nbf earlier":           {change: func(c *GrantClaims) { c.NotBefore-- }, want: Lifetime},
		"iat earlier":           {change: func(c *GrantClaims) { c.IssuedAt-- }, want: Lifetime},
		"exp sooner":            {change: func(c *GrantClaims) { c.Expires = c.IssuedAt + 10 }},
		"over already":          {change: func(c *GrantClaims) { c.NotBefore, c.Expires = c.NotBefore+14, c.NotBefore+15 }, want: Lifetime},
		"wider bound":           {change: func(c *GrantClaims) { c.Capabilities = MustParse("create:shipment(max_weight<=501)") }, want: CapabilityWidened},
		"wider than the middle": {change: func(c *GrantClaims) { c.Capabilities = MustParse("create:shipment(max_weight<=500, max_weight>=0)") }},
		"open arguments":        {change: func(c *GrantClaims) { c.Capabilities = MustParse("create:shipment") }, want: CapabilityWidened},
		"another argument":      {change: func(c *GrantClaims) { c.Capabilities = MustParse("create:shipment(max_weight<=5, express)") }, want: CapabilityWidened},
		"another verb":          {change: func(c *GrantClaims) { c.Capabilities = MustParse("delete:shipment") }, want: CapabilityWidened},
		"what the root has":     {change: func(c *GrantClaims) { c.Capabilities = MustParse("read:invoices") }, want: CapabilityWidened},
		"what was taken away":   {change: func(c *GrantClaims) { c.Capabilities = MustParse("execute:script") }, want: CapabilityWidened},
		"level higher":          {change: func(c *GrantClaims) { c.AuthorityLevel = 3 }, want: CapabilityWidened},
		"level lower":           {change: func(c *GrantClaims) { c.AuthorityLevel = 0 }},
		"another workflow":      {change: func(c *GrantClaims) { c.Workflow = "billing" }, want: CapabilityWidened},
		"any workflow":          {change: func(c *GrantClaims) { c.Workflow = "" }, want: CapabilityWidened},
		"a domain of many":      {change: func(c *GrantClaims) { c.Domain = "sea" }},
		"another principal":     {change: func(c *GrantClaims) { c.Actor.Subject = "mallory" }, want: Principal},
		"another client":        {change: func(c *GrantClaims) { c.ClientID = subject(2) }, want: Principal},
		"another org":           {change: func(c *GrantClaims) { c.Org = "evil" }, want: Principal},
		"another epoch":         {change: func(c *GrantClaims) { c.PolicyEpoch++ }, want: Principal},
		"another audience":      {change: func(c *GrantClaims) { c.Audience = []string{"https://evil.example"} }, want: Principal},
		"one more audience":     {change: func(c *GrantClaims) { c.Audience = append(slices.Clone(c.Audience), "https://evil.example") }, want: Principal},
		"one audience less":     {change: func(c *GrantClaims) { c.Audience = c.Audience[1:] }},
		"another's key":         {change: func(c *GrantClaims) { c.Subject = subject(3) }, want: Identity},
		"the parent itself":     {change: func(c *GrantClaims) { c.Subject = subject(1) }, want: Identity},
		"nobody's":              {change: func(c *GrantClaims) { c.Subject = "did:web:evil.example" }, want: Identity},
		"ephemeral":             {change: ephemeral},
		"ephemeral, too long":   {change: func(c *GrantClaims) { ephemeral(c); c.Expires++ }, want: Identity},
		"ephemeral, of old":     {change: func(c *GrantClaims) { ephemeral(c); c.IssuedAt++; c.Expires++ }, want: Identity},
		"ephemeral, other key":  {change: func(c *GrantClaims) { ephemeral(c); c.Subject = didKey(holder(3).Public()) }, want: Identity},
	} {
		by := c.by
		if by == nil {
			by = holder(1)
		}
		tokens := resign(t, testChain(t, 3), by, c.change)
		chain, err := ParseChain(tokens)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		leaf := chain.Leaf().Claims()
		claims := testActionClaims(t)
		claims.Issuer, claims.TokenHash = leaf.Subject, chain.Leaf().Hash()
		_, check := testChainCheck(t, tokens)
		check.Act.Subject, check.Act.Now = leaf.Subject, testNow.Add(10*time.Second-1)
		if name == "over already" {
			check.Act.Now = testNow.Add(20 * time.Second)
		}
		proof := must[*Action](t)(ParseAction(must[string](t)(SignAction(holder(2), "", claims))))
		_, err = VerifyChain(tokens, proof, check)
		var ce *ChainError
		if c.want == "" && err != nil || c.want != "" && (!errors.As(err, &ce) || ce.Code != c.want || ce.Link != 2) {
			t.Errorf("%s: got %v, want %s at link 2", name, err, c.want)
		}
		// Link by link is all at once.
		whole := chain.Verify(issuerKey.Public())
		above := must[*Chain](t)(ParseChain(tokens[:2]))
		extended, err := above.Extend(tokens[2])
		if fmt.Sprint(err) != fmt.Sprint(whole) {
			t.Errorf("%s: extended %v, whole %v", name, err, whole)
		}
		if whole == nil && extended.Leaf().Hash() != chain.Leaf().Hash() {
			t.Errorf("%s: extended to another leaf", name)
		}
	}
}

// The root and the act are held against what the verifier knows by itself.
func TestChainEnds(t *testing.T) {
	tokens := testChain(t, 3)
	proof, check := testChainCheck(t, tokens)
	for name, c := range map[string]struct {
		tokens []string
		change func(*ChainCheck)
		want   Code
		link   int
	}{
		"another issuer":       {change: func(c *ChainCheck) { c.Issuer = otherKey.Public() }, want: BadSignature},
		"nothing":              {tokens: []string{}, want: Depth},
		"no root":              {tokens: tokens[1:], want: Linkage},
		"no middle":            {tokens: []string{tokens[0], tokens[2]}, want: Linkage, link: 1},
		"two roots":            {tokens: []string{tokens[0], tokens[0], tokens[1]}, want: Linkage, link: 1},
		"swapped":              {tokens: []string{tokens[0], tokens[2], tokens[1]}, want: Linkage, link: 1},
		"leaf first":           {tokens: []string{tokens[2], tokens[1], tokens[0]}, want: Linkage},
		"the leaf twice":       {tokens: append(slices.Clone(tokens), tokens[2]), want: Linkage, link: 3},
		"of another root":      {tokens: []string{must[string](t)(IssueGrant(issuerKey, "", testGrantClaims())), tokens[1], tokens[2]}, want: Linkage, link: 1},
		"shown without leaf":   {tokens: tokens[:2], change: func(c *ChainCheck) { c.Act.Subject = subject(1) }, want: Possession, link: 1},
		"expired":              {change: func(c *ChainCheck) { c.Act.Now = testNow.Add(time.Hour) }, want: Lifetime, link: 2},
		"too early":            {change: func(c *ChainCheck) { c.Act.Now = testNow.Add(-time.Second) }, want: Lifetime, link: 2},
		"root's key ended":     {change: func(c *ChainCheck) { c.Holds = func(s string, _ jose.PublicKey) bool { return s != subject(0) } }, want: Identity},
		"middle's key ended":   {change: func(c *ChainCheck) { c.Holds = func(s string, _ jose.PublicKey) bool { return s != subject(1) } }, want: Identity, link: 1},
		"an act of the root":   {change: func(c *ChainCheck) { c.Act.Subject = subject(0) }, want: Possession, link: 2},
		"another act":          {change: func(c *ChainCheck) { c.Act.Act.Resource.ID = "8" }, want: Possession, link: 2},
		"for another registry": {change: func(c *ChainCheck) { c.Act.PDP = "https://evil.example" }, want: Possession, link: 2},
	} {
		k := check
		if c.change != nil {
			c.change(&k)
		}
		shown := c.tokens
		if shown == nil {
			shown = tokens
		}
		_, err := VerifyChain(shown, proof, k)
		var ce *ChainError
		if !errors.As(err, &ce) || ce.Code != c.want || ce.Link != c.link {
			t.Errorf("%s: got %v, want %s at link %d", name, err, c.want, c.link)
		}
	}
	if _, err := ParseGrant(tokens[1]); !errors.Is(err, Linkage) {
		t.Errorf("a child taken for a root: %v", err)
	}
}

// A holder is told at home what every verifier would refuse.
func TestAttenuateRefuses(t *testing.T) {
	c := must[*Chain](t)(ParseChain(testChain(t, 2)))
	for name, x := range map[string]struct {
		by     *jose.PrivateKey
		change func(*GrantClaims)
		want   Code
	}{
		"not the holder": {holder(0), func(*GrantClaims) {}, DelegationAuthority},
		"wider":          {holder(1), func(g *GrantClaims) { g.Capabilities = MustParse("read:invoices") }, CapabilityWidened},
		"longer":         {holder(1), func(g *GrantClaims) { g.Expires = testNow.Add(2 * time.Hour).Unix() }, Lifetime},
		"elsewhere":      {holder(1), func(g *GrantClaims) { g.Audience = []string{"https://evil.example"} }, Principal},
		"nothing":        {holder(1), func(g *GrantClaims) { g.Capabilities = Set{} }, Malformed},
		"no key":         {holder(1), func(g *GrantClaims) { g.Confirmation.JWK.X = "AA" }, Malformed},
		"deeper":         {holder(1), func(g *GrantClaims) { g.MaxDepth = MaxDepth + 1 }, Malformed},
	} {
		child := testChild(1)
		x.change(&child)
		if _, err := c.Attenuate(x.by, "", child); !errors.Is(err, x.want) {
			t.Errorf("%s: got %v, want %s", name, err, x.want)
		}
	}
	child := testChild(1)
	child.Subject = ""
	raw := must[string](t)(c.Attenuate(holder(1), "", child))
	leaf := must[*Chain](t)(ParseChain(append(append(c.Above(), c.Leaf().Raw()), raw))).Leaf()
	if life := leaf.Claims().Expires - leaf.Claims().IssuedAt; !leaf.Ephemeral() || life != 900 {
		t.Errorf("a child for a key alone lives %d s: %+v", life, leaf.Claims())
	}
}

// A random chain of grants, each a narrowing of the one above: what the leaf permits
// every ancestor permits, and Match agrees.
func TestNoLeafPermitsWhatAnAncestorDenies(t *testing.T) {
	r := random{rand.New(rand.NewPCG(3, 4))}
	permitted, long := 0, 0
	for range 120 {
		root := testRoot()
		root.Capabilities = r.set(nil)
		tokens := []string{must[string](t)(IssueGrant(issuerKey, "", root))}
		above, length := root.Capabilities, 2+r.IntN(MaxLinks-1)
		for tries := 0; tries < 40 && len(tokens) < length; tries++ {
			n, child := len(tokens)-1, testChild(len(tokens)-1)
			child.Capabilities = r.set(&above)
			if r.IntN(3) == 0 {
				child.Capabilities = above
			}
			if child.Capabilities.Within(above) != nil {
				continue
			}
			above = child.Capabilities
			tokens = append(tokens, must[string](t)(must[*Chain](t)(ParseChain(tokens)).Attenuate(holder(n), "", child)))
		}
		c := must[*Chain](t)(ParseChain(tokens))
		if err := c.Verify(issuerKey.Public()); err != nil {
			t.Fatal(err)
		}
		if len(tokens) > 3 {
			long++
		}
		for range 300 {
			a := r.act()
			m := c.Leaf().Capabilities().Match(a)
			if m.Covered != c.Match(a).Covered {
				t.Fatalf("the leaf and the chain differ on %+v", a)
			}
			if !m.Covered {
				continue
			}
			permitted++
			for i, g := range c.Links() {
				if !g.Capabilities().Match(a).Covered {
					t.Fatalf("link %d of %d denies %s %v %s:\n%s\nabove\n%s", i, len(tokens), a.Action, a.Resource, a.Arguments, g.Capabilities(), c.Leaf().Capabilities())
				}
			}
		}
	}
	if permitted < 200 || long < 50 {
		t.Errorf("%d acts permitted, %d long chains: the test has lost its teeth", permitted, long)
	}
}

// Bad input is refused by shape, before any signature is looked at.
func TestChainBadInput(t *testing.T) {
	tokens := testChain(t, 2)
	header, payload, sig := parts(tokens[1])
	bend := func(claims string) string { return header + "." + jose.EncodeBase64([]byte(claims)) + "." + sig }
	body := string(must[[]byte](t)(jose.DecodeBase64(payload)))
	for name, raw := range map[string]string{
		"empty":            "",
		"no token":         "x",
		"four parts":       tokens[1] + ".x",
		"duplicate claim":  bend(strings.Replace(body, `{`, `{"act":{"sub":"evil"},`, 1)),
		"claim in capital": bend(strings.Replace(body, `"act"`, `"Act"`, 1)),
		"unknown claim":    bend(strings.Replace(body, `{`, `{"admin":true,`, 1)),
		"a megabyte":       bend(strings.Replace(body, `{`, `{"x":"`+strings.Repeat("a", 1<<20)+`",`, 1)),
		"deep":             bend(strings.Replace(body, `{`, `{"x":`+strings.Repeat("[", 5000)+strings.Repeat("]", 5000)+`,`, 1)),
		"lone surrogate":   bend(strings.Replace(body, `{`, `{"x":"\ud800",`, 1)),
		"alg none":         jose.EncodeBase64([]byte(`{"alg":"none","typ":"agent-cap+jwt"}`)) + "." + payload + ".",
		"key in header":    jose.EncodeBase64([]byte(`{"alg":"EdDSA","jwk":{},"typ":"agent-cap+jwt"}`)) + "." + payload + "." + sig,
		"padded":           tokens[1] + "=",
	} {
		if _, err := ParseChain([]string{tokens[0], raw}); !errors.Is(err, Malformed) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	// Of a key of another kind, and by its header.
	es := must[*jose.PrivateKey](t)(jose.GenerateP256())
	confused := resign(t, tokens, es, func(c *GrantClaims) {})
	if err := must[*Chain](t)(ParseChain(confused)).Verify(issuerKey.Public()); !errors.Is(err, DelegationAuthority) {
		t.Errorf("another alg than the key's: %v", err)
	}
	large := testRoot()
	large.Capabilities = MustParse(`a:b(x=="` + strings.Repeat("a", 9000) + `")`)
	one := must[string](t)(IssueGrant(issuerKey, "", large))
	many := slices.Repeat([]string{one}, 6)
	if _, err := ParseChain(many); !errors.Is(err, Malformed) {
		t.Errorf("%d bytes: got %v", 6*len(one), err)
	}
}

func parts(token string) (header, payload, sig string) {
	p := strings.Split(token, ".")
	return p[0], p[1], p[2]
}

func FuzzChain(f *testing.F) {
	for n := 1; n < 4; n++ {
		f.Add(must[[]byte](f)(json.Marshal(testChain(f, n))))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var tokens []string
		if json.Unmarshal(data, &tokens) != nil {
			return
		}
		c, err := ParseChain(tokens)
		if err != nil {
			return
		}
		if !slices.Equal(append(c.Above(), c.Leaf().Raw()), tokens) {
			t.Errorf("read %d tokens, has others", len(tokens))
		}
		if c.Verify(issuerKey.Public()) == nil {
			for _, g := range c.Links() {
				if g.Claims().Org != "acme" {
					t.Errorf("a chain of %s", g.Claims().Org)
				}
			}
		}
	})
}

// BenchmarkChain is a chain of three tokens with the proof of its leaf: all of it, and
// what is left where the very tokens were verified before.
func BenchmarkChain(b *testing.B) {
	tokens := testChain(b, 3)
	proof, check := testChainCheck(b, tokens)
	b.Run("uncached", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			p := must[*Action](b)(ParseAction(proof.Raw()))
			if _, err := VerifyChain(tokens, p, check); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("cached", func(b *testing.B) {
		c := must[*Chain](b)(ParseChain(tokens))
		b.ReportAllocs()
		for b.Loop() {
			p := must[*Action](b)(ParseAction(proof.Raw()))
			act := check.Act
			act.Key, act.TokenHash = c.Leaf().Key(), c.Leaf().Hash()
			if err := c.Stands(testNow, check.Holds); err != nil {
				b.Fatal(err)
			}
			if err := p.Verify(act); err != nil {
				b.Fatal(err)
			}
			c.Match(testAct)
		}
	})
}

func TestTokens(t *testing.T) {
	for text, want := range map[string]Tokens{`""`: nil, `"a"`: {"a"}, `["a"]`: {"a"}, `["a","b"]`: {"a", "b"}} {
		var got Tokens
		if err := json.Unmarshal([]byte(text), &got); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %q, %v", text, got, err)
		}
		var again Tokens
		if raw, err := got.MarshalJSON(); err != nil || json.Unmarshal(raw, &again) != nil || !slices.Equal(again, want) {
			t.Errorf("%s: written as %s, %v", text, raw, err)
		}
	}
	for _, text := range []string{`null`, `1`, `{}`, `[]`, `[1]`, `[null]`, `["a",["b"]]`, `"\ud800"`, `["a","b","c","d","e","f","g","h","i"]`} {
		var got Tokens
		if err := got.UnmarshalJSON([]byte(text)); err == nil {
			t.Errorf("%s: read as %q", text, got)
		}
	}
}

func FuzzTokens(f *testing.F) {
	for _, text := range []string{`""`, `"a"`, `["a","b"]`, ` [ "a" ] `, `["a",null]`, `null`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var got, again Tokens
		if got.UnmarshalJSON(data) != nil {
			return
		}
		raw, err := got.MarshalJSON()
		if err != nil || again.UnmarshalJSON(raw) != nil || !slices.Equal(got, again) {
			t.Errorf("%s is %q, written as %s, %v", data, got, raw, err)
		}
	})
}
