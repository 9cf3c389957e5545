package capability

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/writ-registry/writ/internal/jose"
)

func testCompositionClaims() CompositionClaims {
	return CompositionClaims{
		Audience: "https://writ.example", ID: NewJTI(), IssuedAt: 1_800_000_000, Expires: 1_800_003_600,
		Parts: []Part{{Kind: "tools", Name: "t", Digest: strings.Repeat("ab", 32)}},
	}
}

// TestComposition: each check by its name, the first that fails.
func TestComposition(t *testing.T) {
	check := CompositionCheck{Key: agentKey.Public(), Now: time.Unix(1_800_000_001, 0), Origin: "https://writ.example", Agent: "did:web:a", MaxLife: time.Hour}
	bound := check
	bound.Bound = true
	late, early, other, elsewhere := check, check, check, check
	late.Now, early.Now = time.Unix(1_800_003_600, 0), time.Unix(1_799_999_000, 0)
	other.Key, elsewhere.Origin = issuerKey.Public(), "https://other.example"
	for name, c := range map[string]struct {
		change func(*CompositionClaims)
		check  CompositionCheck
		want   error
	}{
		"stands":                    {nil, check, nil},
		"names the agent":           {func(c *CompositionClaims) { c.Subject = "did:web:a" }, bound, nil},
		"names no agent":            {nil, bound, WrongAct},
		"names another":             {func(c *CompositionClaims) { c.Subject = "did:web:b" }, check, WrongAct},
		"too long a life":           {func(c *CompositionClaims) { c.Expires++ }, check, Lifetime},
		"a life that ends before":   {func(c *CompositionClaims) { c.Expires = c.IssuedAt }, check, Lifetime},
		"over":                      {nil, late, Stale},
		"of later":                  {nil, early, Stale},
		"another key":               {nil, other, BadSignature},
		"another registry":          {nil, elsewhere, WrongAudience},
		"another key, and registry": {nil, CompositionCheck{Key: issuerKey.Public(), Now: check.Now, MaxLife: time.Hour}, BadSignature},
	} {
		claims := testCompositionClaims()
		if c.change != nil {
			c.change(&claims)
		}
		s := must[*Composition](t)(ParseComposition(must[string](t)(SignComposition(agentKey, claims))))
		if err := s.Verify(c.check); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	forged := testCompositionClaims()
	forged.Issuer = issuerKey.Public().ThumbprintURI()
	s := must[*Composition](t)(ParseComposition(must[string](t)(jose.Sign(agentKey, TypComposition, "", forged))))
	if err := s.Verify(check); !errors.Is(err, WrongSubject) {
		t.Errorf("iss of another key: got %v", err)
	}
	for name, change := range map[string]func(*CompositionClaims){
		"no parts":    func(c *CompositionClaims) { c.Parts = nil },
		"many parts":  func(c *CompositionClaims) { c.Parts = make([]Part, MaxParts+1) },
		"upper case":  func(c *CompositionClaims) { c.Parts[0].Digest = strings.Repeat("AB", 32) },
		"short":       func(c *CompositionClaims) { c.Parts[0].Digest = "ab" },
		"no name":     func(c *CompositionClaims) { c.Parts[0].Name = "" },
		"another jti": func(c *CompositionClaims) { c.ID = "x" },
	} {
		claims := testCompositionClaims()
		change(&claims)
		if _, err := SignComposition(agentKey, claims); !errors.Is(err, Malformed) {
			t.Errorf("%s is signed: %v", name, err)
		}
	}
}
