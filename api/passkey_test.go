package api_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/writ-registry/writ/api"
	"github.com/writ-registry/writ/internal/chromium"
	"github.com/writ-registry/writ/internal/passkey"
	"github.com/writ-registry/writ/registry"
)

// TestApprovalPage: a human adds a passkey in a browser, another confirms it, and what
// the human then approves on the page is permitted, once.
func TestApprovalPage(t *testing.T) {
	b := chromium.Start(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	origin := fmt.Sprintf("http://localhost:%d", listener.Addr().(*net.TCPAddr).Port)
	party := &signInParty{}
	w := open(t, func(c *api.Config) { party.Registry, c.SignIn = c.Registry, party })
	srv := httptest.NewUnstartedServer(w.handler)
	srv.Listener.Close()
	srv.Listener = listener
	srv.Start()
	t.Cleanup(srv.Close)
	p := openPayer(t, w)
	issuer, err := w.SetSignInIssuer(t.Context(), w.Call(), "", registry.NewIssuer{URL: "https://idp.example", ClientID: "writ"})
	if err != nil {
		t.Fatal(err)
	}
	signedIn, err := w.SignIn(t.Context(), w.Call().Trace, registry.Identified{Issuer: issuer.Value, Subject: "alice", Name: "Alice"})
	if err == nil {
		_, err = w.SetRoles(t.Context(), w.Call(), signedIn.Value.Principal, []registry.Role{registry.RoleApprover})
	}
	if err != nil {
		t.Fatal(err)
	}
	owner := w.Owner(t, "")
	w.Registry.Origin = origin
	if w.Passkeys, err = passkey.New(origin); err != nil {
		t.Fatal(err)
	}
	body, _ := p.stepUp(t, w, `{"amount":12000,"note":"pay\u202eEMCA\u200b","to":"Асme Ltd","iban":"DE02 1203 0000 0000 2020 51"}`)
	body["context"] = map[string]any{"business_justification": `<b>urgent</b> approve now`}
	task := w.do("POST", "/access/v1/requests", body, as(p.gate)).json(t)["task"].(map[string]any)["id"].(string)

	b.Call("WebAuthn.enable", nil, nil)
	var device struct{ AuthenticatorID string }
	b.Call("WebAuthn.addVirtualAuthenticator", map[string]any{"options": map[string]any{
		"protocol": "ctap2", "transport": "internal", "hasResidentKey": true, "hasUserVerification": true, "isUserVerified": true, "automaticPresenceSimulation": true,
	}}, &device)
	b.Call("Network.setCookie", map[string]any{"name": "writ-session", "value": signedIn.Secret, "url": origin}, nil)

	b.Open(origin + "/ui/approvals")
	b.Then(func() {
		b.Eval(`document.querySelector("#name").value = "laptop"; document.querySelector("form[data-passkey=create] button").click()`, nil)
	})
	if text := b.Text(); !strings.Contains(text, "laptop") || !strings.Contains(text, "pending") || !strings.Contains(text, "wire:money") {
		t.Fatalf("after the registration:\n%s", text)
	}
	b.Picture("approvals")
	keys, err := w.ListAuthenticators(t.Context(), w.Operator, signedIn.Value.Principal)
	if err != nil || len(keys) != 1 {
		t.Fatalf("%v, %v", keys, err)
	}

	page := origin + "/ui/approvals/" + task
	b.Open(page)
	if text := b.Text(); !strings.Contains(text, "no confirmed passkey") || !strings.Contains(text, "<b>urgent</b> approve now") ||
		!strings.Contains(text, "U+202E") && !strings.Contains(text, `\u202e`) || !strings.Contains(text, "А U+0410") {
		t.Errorf("the page:\n%s", text)
	}
	if _, err := w.ActivateAuthenticator(t.Context(), owner, signedIn.Value.Principal, keys[0].ID); err != nil {
		t.Fatal(err)
	}
	b.Open(page)
	b.Picture("approval")

	approve := `document.querySelector("button[value=approve]").click()`
	b.Call("WebAuthn.setUserVerified", map[string]any{"authenticatorId": device.AuthenticatorID, "isUserVerified": false}, nil)
	var said string
	if b.Eval(`new Promise((done) => { const f = document.querySelector(".failed");
		new MutationObserver(() => f.textContent && done(f.textContent)).observe(f, {childList: true}); `+approve+` })`, &said); !strings.Contains(said, "not used") {
		t.Errorf("without user verification: %s", said)
	}
	b.Call("WebAuthn.setUserVerified", map[string]any{"authenticatorId": device.AuthenticatorID, "isUserVerified": true}, nil)

	// What the passkey signs for another page is good for nothing here.
	alice := registry.Call{Caller: registry.Caller{Actor: registry.Actor{Kind: registry.ActorPrincipal, ID: signedIn.Value.Principal}, Org: w.Operator.Org, Roles: []registry.Role{registry.RoleApprover}}, Trace: w.Call().Trace}
	var other, good string
	b.Eval(`ask({dataset: {passkey: "get", challenge: "`+strings.Repeat("A", 43)+`", credentials: ""}}).then(JSON.stringify)`, &other)
	_, err = w.AnswerApproval(t.Context(), alice, task, registry.NewAnswer{Verdict: "approve", Assertion: json.RawMessage(other)})
	refused(t, err, "passkey")
	a, err := w.FindApproval(t.Context(), w.Operator, task)
	if err != nil {
		t.Fatal(err)
	}
	b.Eval(`ask({dataset: {passkey: "get", challenge: "`+a.Digest+`", credentials: ""}}).then(JSON.stringify)`, &good)
	_, err = w.AnswerApproval(t.Context(), alice, task, registry.NewAnswer{Verdict: "approve", BreakGlass: true, Reason: "r", Assertion: json.RawMessage(good)})
	refused(t, err, "approver_role") // and the statement is another
	w.Passkeys, err = passkey.New("https://localhost:1")
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.AnswerApproval(t.Context(), alice, task, registry.NewAnswer{Verdict: "approve", Assertion: json.RawMessage(good)})
	refused(t, err, "passkey") // of another origin
	if w.Passkeys, err = passkey.New(origin); err != nil {
		t.Fatal(err)
	}

	b.Then(func() { b.Eval(approve, nil) })
	if text := b.Text(); !strings.Contains(text, "approved") || !strings.Contains(text, "1 of 1") {
		t.Fatalf("after the answer:\n%s", text)
	}
	b.Picture("approved")
	for i, want := range []bool{true, false} {
		again := authzen(p.Ask(t, p.grant, "wire", "money", "m1", `{"amount":12000,"note":"pay\u202eEMCA\u200b","to":"Асme Ltd","iban":"DE02 1203 0000 0000 2020 51"}`))
		again["context"].(map[string]any)["approval"] = map[string]any{"id": task}
		if r := w.do("POST", "/access/v1/evaluation", again, as(p.gate)).json(t); r["decision"] != want {
			t.Errorf("evaluation %d: %v", i, r)
		}
	}
}
