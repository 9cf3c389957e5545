package verify_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/writ-registry/writ/client/verify"
	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry/capability"
)

const approvedAt = "https://registry.example"

// passkey signs as a browser's does.
type passkey struct {
	key    *ecdsa.PrivateKey
	typ    string
	origin string
	site   string
	flags  byte
}

func (p passkey) jwk(t *testing.T) jose.JWK {
	point, err := p.key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return jose.JWK{Kty: "EC", Crv: "P-256", X: jose.EncodeBase64(point[1:33]), Y: jose.EncodeBase64(point[33:])}
}

func (p passkey) sign(t *testing.T, statement string) string {
	client, err := json.Marshal(map[string]any{"type": p.typ, "challenge": canon.Digest([]byte(statement)), "origin": p.origin, "crossOrigin": false})
	if err != nil {
		t.Fatal(err)
	}
	host, hash := sha256.Sum256([]byte(p.site)), sha256.Sum256(client)
	data := append(append(host[:], p.flags), 0, 0, 0, 7)
	digest := sha256.Sum256(append(append([]byte{}, data...), hash[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, p.key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return string(must(json.Marshal(map[string]any{"id": "x", "type": "public-key", "response": map[string]string{
		"clientDataJSON": jose.EncodeBase64(client), "authenticatorData": jose.EncodeBase64(data), "signature": jose.EncodeBase64(signature),
	}}))(t))
}

// approvedBy has the decision rest on an approval by two humans: ann, by a key of her
// own, and bob, by a passkey.
type approvedBy struct {
	ann       *jose.PrivateKey
	signed    jose.Signer // who signs for ann
	bob       passkey
	statement map[string]any
	claims    capability.ApprovalClaims
	keys      map[string]jose.JWK
	answers   []map[string]any
	shown     string // what is disclosed as the statement; "" = what was signed
}

func approve(t *testing.T, d *decision, change func(*approvedBy)) {
	t.Helper()
	a := &approvedBy{ann: must(jose.GenerateEd25519())(t)}
	a.signed = a.ann
	a.bob = passkey{must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t), "webauthn.get", approvedAt, "registry.example", 0x05}
	a.keys = map[string]jose.JWK{"k-ann": a.ann.Public().JWK(), "k-bob": a.bob.jwk(t)}
	a.statement = map[string]any{"kind": "writ-approval-1", "registry": approvedAt, "approval": "ap-1", "binding": map[string]any{
		"adg": d.claims.ActDigest, "token_hash": d.claims.TokenHash, "audience": d.claims.Audience, "action": d.body["action"],
	}}
	a.claims = capability.ApprovalClaims{Audience: approvedAt, ID: capability.NewJTI(), IssuedAt: 1000, Expires: 1060, Approval: "ap-1", Verdict: capability.Approve}
	a.answers = []map[string]any{{"principal": "ann", "authenticator": "k-ann"}, {"principal": "bob", "authenticator": "k-bob"}}
	change(a)
	form := string(must(canon.Marshal(a.statement))(t))
	if a.claims.Statement == "" {
		a.claims.Statement = canon.Digest([]byte(form))
	}
	for i, signature := range []func() string{
		func() string { return must(capability.SignApproval(a.signed, a.claims))(t) },
		func() string { return a.bob.sign(t, form) },
	} {
		if i < len(a.answers) && a.answers[i]["signature"] == nil {
			a.answers[i]["signature"] = signature()
		}
	}
	if a.shown == "" {
		a.shown = form
	}
	d.body["approval"], d.body["approvers"] = "ap-1", []string{"ann", "bob"}
	d.disclosures["approvals"] = map[string]any{"statement": a.shown, "answers": a.answers, "keys": a.keys}
}

// TestApprovedDecision: that humans signed this very act is proven; that the keys are
// theirs is the registry's word.
func TestApprovedDecision(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*approvedBy)
		want   verify.Status
		signed int
	}{
		"both":                       {func(*approvedBy) {}, verify.Verified, 2},
		"a key that we do not know":  {func(a *approvedBy) { delete(a.keys, "k-bob") }, verify.Unverified, 1},
		"none that we know":          {func(a *approvedBy) { a.keys = nil }, verify.Unverified, 0},
		"a user who was not present": {func(a *approvedBy) { a.bob.flags = 0x04 }, verify.Failed, 0},
		"a user not verified":        {func(a *approvedBy) { a.bob.flags = 0x01 }, verify.Failed, 0},
		"a registration":             {func(a *approvedBy) { a.bob.typ = "webauthn.create" }, verify.Failed, 0},
		"another site":               {func(a *approvedBy) { a.bob.site = "evil.example" }, verify.Failed, 0},
		"another origin":             {func(a *approvedBy) { a.bob.origin = "https://evil.example" }, verify.Failed, 0},
		"another passkey": {func(a *approvedBy) {
			a.bob.key = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
		}, verify.Failed, 0},
		"another key":          {func(a *approvedBy) { a.signed = must(jose.GenerateEd25519())(t) }, verify.Failed, 0},
		"a refusal":            {func(a *approvedBy) { a.claims.Verdict = capability.Refuse }, verify.Failed, 0},
		"of another approval":  {func(a *approvedBy) { a.claims.Approval = "ap-2" }, verify.Failed, 0},
		"at another registry":  {func(a *approvedBy) { a.claims.Audience = "https://other.example" }, verify.Failed, 0},
		"of another statement": {func(a *approvedBy) { a.claims.Statement = canon.Digest([]byte("x")) }, verify.Failed, 0},
		"another statement shown": {func(a *approvedBy) {
			a.shown = string(must(canon.Marshal(map[string]any{"registry": approvedAt, "approval": "ap-1", "binding": a.statement["binding"], "x": 1}))(t))
		}, verify.Failed, 0},
		"another act": {func(a *approvedBy) {
			a.statement["binding"].(map[string]any)["adg"] = canon.Digest([]byte("x"))
		}, verify.Failed, 0},
		"another grant": {func(a *approvedBy) {
			a.statement["binding"].(map[string]any)["token_hash"] = canon.Digest([]byte("x"))
		}, verify.Failed, 0},
		"another server":        {func(a *approvedBy) { a.statement["binding"].(map[string]any)["audience"] = "https://b.example" }, verify.Failed, 0},
		"another action":        {func(a *approvedBy) { a.statement["binding"].(map[string]any)["action"] = "read:shipment" }, verify.Failed, 0},
		"a statement of others": {func(a *approvedBy) { a.statement["approval"] = "ap-2" }, verify.Failed, 0},
		"no statement":          {func(a *approvedBy) { a.shown = "x" }, verify.Failed, 0},
		"one missing":           {func(a *approvedBy) { a.answers = a.answers[:1] }, verify.Failed, 0},
		"another human":         {func(a *approvedBy) { a.answers[0]["principal"] = "eve" }, verify.Failed, 0},
		"no signature":          {func(a *approvedBy) { a.answers[0]["signature"] = "" }, verify.Failed, 0},
		"no assertion":          {func(a *approvedBy) { a.answers[1]["signature"] = "{}" }, verify.Failed, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorldWith(t, func(d *decision) { approve(t, d, c.change) })
			r, err := verify.Verify(t.Context(), w.receipt(t, true), w.trust, nil)
			if c.want == verify.Failed {
				var refused *verify.Error
				if !errors.As(err, &refused) || len(refused.Layers) != 1 || refused.Layers[0].Layer != "approvals" {
					t.Errorf("Verify = %v, want only the approvals to fail", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			wantStatus(t, r, map[string]verify.Status{"approvals": c.want, "agent signature": verify.Verified})
			signed := 0
			for _, f := range r.Facts {
				if f.Source == "signed by approver" && strings.HasSuffix(f.Fact, "approved this very act") {
					signed++
				}
			}
			if signed != c.signed {
				t.Errorf("%d approvers signed, want %d: %+v", signed, c.signed, r.Facts)
			}
		})
	}
	w := newWorldWith(t, func(d *decision) { approve(t, d, func(*approvedBy) {}) })
	r, err := verify.Verify(t.Context(), w.receipt(t, false), w.trust, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantStatus(t, r, map[string]verify.Status{"approvals": verify.Unverified})
}
