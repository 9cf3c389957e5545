package capability

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/writ-registry/writ/internal/jose"
)

func testApprovalClaims() ApprovalClaims {
	return ApprovalClaims{Audience: "https://writ.example", ID: NewJTI(), IssuedAt: 1000, Expires: 1060, Approval: "a-1", Statement: strings.Repeat("A", 43), Verdict: Approve}
}

// TestApprovalVerify: what an approver signed stands for that statement and verdict only.
func TestApprovalVerify(t *testing.T) {
	key, err := jose.GenerateP256()
	if err != nil {
		t.Fatal(err)
	}
	other, err := jose.GenerateEd25519()
	if err != nil {
		t.Fatal(err)
	}
	good := ApprovalCheck{Key: key.Public(), Now: time.Unix(1001, 0), Origin: "https://writ.example", Approval: "a-1", Statement: strings.Repeat("A", 43), Verdict: Approve}
	for name, c := range map[string]struct {
		change func(*ApprovalCheck)
		want   Code
	}{
		"good":            {func(*ApprovalCheck) {}, ""},
		"late":            {func(c *ApprovalCheck) { c.Now = time.Unix(1031, 0) }, Stale},
		"early":           {func(c *ApprovalCheck) { c.Now = time.Unix(969, 0) }, Stale},
		"other key":       {func(c *ApprovalCheck) { c.Key = other.Public() }, BadSignature},
		"other registry":  {func(c *ApprovalCheck) { c.Origin = "https://other.example" }, WrongAudience},
		"other approval":  {func(c *ApprovalCheck) { c.Approval = "a-2" }, WrongAct},
		"other statement": {func(c *ApprovalCheck) { c.Statement = strings.Repeat("B", 43) }, WrongAct},
		"other verdict":   {func(c *ApprovalCheck) { c.Verdict = Refuse }, WrongAct},
	} {
		t.Run(name, func(t *testing.T) {
			raw, err := SignApproval(key, testApprovalClaims())
			if err != nil {
				t.Fatal(err)
			}
			a, err := ParseApproval(raw)
			if err != nil {
				t.Fatal(err)
			}
			check := good
			c.change(&check)
			if err := a.Verify(check); c.want == "" && err != nil || c.want != "" && !errors.Is(err, c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
	for name, change := range map[string]func(*ApprovalClaims){
		"verdict":   func(c *ApprovalClaims) { c.Verdict = "yes" },
		"statement": func(c *ApprovalClaims) { c.Statement = "x" },
		"jti":       func(c *ApprovalClaims) { c.ID = "short" },
		"life":      func(c *ApprovalClaims) { c.Expires += 1 },
	} {
		c := testApprovalClaims()
		change(&c)
		if _, err := SignApproval(key, c); err == nil {
			t.Errorf("signed with a bad %s", name)
		}
	}
}

func TestAuthenticator(t *testing.T) {
	key, err := jose.GenerateEd25519()
	if err != nil {
		t.Fatal(err)
	}
	c := testApprovalClaims()
	who := AuthenticatorClaims{Audience: c.Audience, Subject: "p-1", ID: NewJTI(), IssuedAt: 1000, Expires: 1060}
	raw, err := SignAuthenticator(key, who)
	if err != nil {
		t.Fatal(err)
	}
	a, err := ParseAuthenticator(raw)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1001, 0)
	if err := a.Verify(key.Public(), c.Audience, "p-1", now); err != nil {
		t.Error(err)
	}
	if err := a.Verify(key.Public(), c.Audience, "p-2", now); !errors.Is(err, WrongSubject) {
		t.Errorf("for another human: %v", err)
	}
}
