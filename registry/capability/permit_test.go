package capability

import (
	"errors"
	"testing"
	"time"
)

func testPermitClaims(t testing.TB) PermitClaims {
	t.Helper()
	adg, err := testAct.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return PermitClaims{
		Issuer: "https://writ.example", Audience: "https://erp.example", Subject: "did:web:writ.example:agents:1",
		Confirm: Confirmed{agentKey.Public().Thumbprint()}, ActDigest: adg, Epochs: adg, Redeem: RedeemOffline,
		ID: "0192d4e0-0000-7000-8000-000000000000", IssuedAt: 1_700_000_000, Expires: 1_700_000_030,
	}
}

func testOutcomeClaims() OutcomeClaims {
	return OutcomeClaims{Audience: "https://writ.example", Permit: "0192d4e0-0000-7000-8000-000000000000", Outcome: Executed, IssuedAt: 1_700_000_000}
}

func TestPermit(t *testing.T) {
	claims := testPermitClaims(t)
	p := must[*Permit](t)(ParsePermit(must[string](t)(SignPermit(issuerKey, "", claims))))
	good := PermitCheck{
		Key: issuerKey.Public(), Now: time.Unix(claims.IssuedAt+1, 0), Issuer: claims.Issuer, Audiences: []string{claims.Audience},
		Subject: claims.Subject, Thumbprint: agentKey.Public().Thumbprint(), ActDigest: claims.ActDigest,
	}
	if err := p.Verify(good); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*PermitCheck)
		want   Code
	}{
		"expired":                {func(c *PermitCheck) { c.Now = time.Unix(claims.Expires, 0) }, Stale},
		"not yet":                {func(c *PermitCheck) { c.Now = time.Unix(claims.IssuedAt, 0).Add(-6 * time.Second) }, Stale},
		"other key":              {func(c *PermitCheck) { c.Key = agentKey.Public() }, BadSignature},
		"other registry":         {func(c *PermitCheck) { c.Issuer = "https://evil.example" }, WrongPDP},
		"other audience":         {func(c *PermitCheck) { c.Audiences = []string{"https://crm.example"} }, WrongAudience},
		"other agent":            {func(c *PermitCheck) { c.Subject = "did:web:writ.example:agents:2" }, WrongSubject},
		"other key of the agent": {func(c *PermitCheck) { c.Thumbprint = issuerKey.Public().Thumbprint() }, WrongToken},
		"other act":              {func(c *PermitCheck) { c.ActDigest = agentKey.Public().Thumbprint() }, WrongAct},
	} {
		check := good
		c.change(&check)
		if err := p.Verify(check); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
	for name, change := range map[string]func(*PermitClaims){
		"a long life":        func(c *PermitClaims) { c.Expires = c.IssuedAt + 31 },
		"no life":            func(c *PermitClaims) { c.Expires = c.IssuedAt },
		"redeemed otherwise": func(c *PermitClaims) { c.Redeem = "never" },
		"no digest":          func(c *PermitClaims) { c.ActDigest = "x" },
	} {
		bad := claims
		change(&bad)
		if _, err := SignPermit(issuerKey, "", bad); !errors.Is(err, Malformed) {
			t.Errorf("%s was signed: %v", name, err)
		}
	}
}

func TestOutcome(t *testing.T) {
	claims := testOutcomeClaims()
	o := must[*Outcome](t)(ParseOutcome(must[string](t)(SignOutcome(agentKey, claims))))
	if err := o.Verify(agentKey.Public(), claims.Audience, claims.Permit); err != nil {
		t.Error(err)
	}
	if err := o.Verify(issuerKey.Public(), claims.Audience, claims.Permit); !errors.Is(err, BadSignature) {
		t.Errorf("another key: %v", err)
	}
	if err := o.Verify(agentKey.Public(), "https://evil.example", claims.Permit); !errors.Is(err, WrongAudience) {
		t.Errorf("another registry: %v", err)
	}
	if err := o.Verify(agentKey.Public(), claims.Audience, "x"); !errors.Is(err, WrongAct) {
		t.Errorf("another permit: %v", err)
	}
	claims.Outcome = "perhaps"
	if _, err := SignOutcome(agentKey, claims); !errors.Is(err, Malformed) {
		t.Errorf("an outcome that is none was signed: %v", err)
	}
}
