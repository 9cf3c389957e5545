package web_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/writ-registry/writ/web"
)

// TestRender renders every page empty and full: no branch fails, and what
// others wrote stays text.
func TestRender(t *testing.T) {
	const evil = `<img src=x onerror="alert(1)">`
	page := web.Page{Title: evil, Origin: "https://writ.example", Visitor: evil}
	agent := web.AgentRow{ID: "7", Name: evil, Status: "active", Purpose: evil, Created: time.Unix(0, 0)}
	event := web.EventRow{Index: 1234567, Type: "decision", Agent: "7", CID: "bafkreieujvrr7wkfn36dndlac6xv3uwwneeq4qskbllppxlsepnymacvje"}
	anchor := web.Anchor{Ledger: "sepolia", Finality: "finalized", Size: 1000, Block: 5, Tx: "0xfeed"}
	for name, c := range map[string]struct {
		view  any
		shown []string
	}{
		"empty front page": {web.Overview{}, []string{"Registry of AI agents", "The log is empty", "No head of this log is on a ledger", "Sign in"}},
		"front page": {web.Overview{Log: web.Log{Signed: true, SignedSize: 12}, Anchors: []web.Anchor{anchor}, Newest: &anchor, Entries: []web.Entry{{Index: 3, CID: "bafy"}}},
			[]string{"bafy", "finalized on sepolia", "1\u2009000"}},
		"empty overview": {web.Overview{Page: page}, []string{"No agent is registered", "Nothing has been recorded", "nothing is stopped"}},
		"overview": {web.Overview{Page: page, Stops: []web.Stop{{Kind: "agent", ID: "7", Reason: evil}}, Agents: []web.AgentRow{agent}, Events: []web.EventRow{event}},
			[]string{"acts are being denied", "1\u2009234\u2009567", "/ui/agents/7", "bafkreieuj…nymacvje"}},
		"empty agent": {web.Agent{Page: page}, []string{"It holds no grant", "any"}},
		"agent": {web.Agent{Page: page, AgentRow: agent, Custodial: true, Domains: []string{"finance", "hr"}, Composition: []web.Component{{"model", evil, strings.Repeat("ab", 32), "self"}},
			Grants: []web.Grant{{"read:invoices", "revoked", []string{"https://a", "https://b"}, time.Unix(0, 0)}}, Events: []web.EventRow{event}},
			[]string{"in custody", "finance, hr", "read:invoices", "https://a, https://b", "ababababab…abababab"}},
		"empty event": {web.Event{Page: page}, []string{"Artifact"}},
		"event": {web.Event{Page: page, EventRow: event, Artifact: json.RawMessage(`{"a":1}`), Disclosures: []web.Disclosure{{"payload", json.RawMessage(`{"note":"<b>"}`)}, {"odd", json.RawMessage(`{`)}},
			Reasons: []web.Reason{{"kill_agent", "stopped"}}}, []string{"&#34;a&#34;: 1", "&lt;b&gt;", "kill_agent", "/receipt"}},
		"empty login":      {web.Login{}, []string{"Organization", "sign in by credential"}},
		"login of nobody":  {web.Login{Org: evil}, []string{"Nobody signs in here for <bdi>&lt;img"}},
		"login":            {web.Login{Org: "acme", Issuers: []web.Issuer{{"7", evil}}}, []string{"/ui/login/oidc/acme?issuer=7", "Sign in at &lt;img"}},
		"empty signed out": {web.SignedOut{}, []string{"Your session here is over", "Sign in again"}},
		"signed out":       {web.SignedOut{Page: page, Issuer: "https://idp.example/end"}, []string{`href="https://idp.example/end" rel="noreferrer"`}},
		"empty account":    {web.Account{Page: page}, []string{"not said", "You have none", "not signed in by an issuer"}},
		"account": {web.Account{Page: web.Page{Visitor: "acme", Form: "f0"}, Name: evil, Issuer: "https://idp.example", Subject: evil, Secret: "s3", Roles: []string{"owner"}, GroupRoles: []string{"auditor", "registrar"},
			Credentials: []web.Credential{{Hint: "beef"}}, Sessions: []web.Session{{ID: "8", This: true}, {ID: "9"}}},
			[]string{"shown once", "s3", "auditor, registrar", "beef", "does not end by itself", "this one", `name="session" value="9"`, `name="form" value="f0"`}},
		"no approvals": {web.Approvals{Page: page}, []string{"Nobody waits", "Nothing yet"}},
		"approvals": {web.Approvals{Page: web.Page{Form: "f"}, Challenge: evil, Token: evil, User: evil, UserName: evil, Rows: []web.ApprovalRow{{ID: "7", Action: web.Mark(evil), State: "pending", Agent: web.Mark(evil)}},
			Authenticators: []web.Authenticator{{evil, "passkey", "pending"}}}, []string{"/ui/approvals/7", "Add a passkey"}},
		"approval": {web.Approval{Page: web.Page{Form: "f"}, ID: "7", State: "pending", Action: web.Mark(evil), Name: web.Mark(evil), Arguments: web.Mark(evil + "\u202e"), Statement: web.Mark(evil), Task: web.Mark(evil), Justification: web.Mark(evil),
			Open: true, Odd: true, BreakGlass: true, Answers: []web.Answer{{"8", "approve", web.Mark(evil), true}}}, []string{"past the rule", "<mark>U&#43;202E</mark>", "not what they seem"}},
		"problem": {web.Problem{Page: page, Status: 401}, []string{"Sign in", "log has the cause"}},
	} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			if err := web.Render(&b, c.view); err != nil {
				t.Fatal(err)
			}
			html := b.String()
			for _, want := range c.shown {
				if !strings.Contains(html, want) {
					t.Errorf("does not show %q", want)
				}
			}
			for _, never := range []string{"<img", "<b>", "<script", "style=", "http://www"} {
				if strings.Contains(html, never) {
					t.Errorf("holds %s:\n%s", never, html)
				}
			}
			if strings.Count(html, "<table") != strings.Count(html, "</table>") || !strings.HasSuffix(strings.TrimSpace(html), "</html>") {
				t.Error("is cut off")
			}
		})
	}
}

// TestMark: what is not what it seems is named.
func TestMark(t *testing.T) {
	for text, want := range map[string]string{
		"ACME Ltd, 12 000 €\n":       "ACME Ltd, 12 000 €\n",
		"pay\u202eEMCA":              "pay[U+202E]EMCA",
		"a\u200bb\u00a0c\x1b":        "a[U+200B]b[U+00A0]c[U+001B]",
		"\u0410\u0441me":             "[\u0410 U+0410][\u0441 U+0441]me",
		"\u0441\u043e":               "[\u0441 U+0441][\u043e U+043E]",
		"Привет мир":                 "Привет мир",
		"Müller & Søn":               "Müller & Søn",
		"\u0430\u043f\u0440\u0435ль": "апрель",
		"":                           "",
	} {
		var got strings.Builder
		for _, p := range web.Mark(text).Parts {
			if p.Odd {
				got.WriteString("[" + p.Text + "]")
			} else {
				got.WriteString(p.Text)
			}
		}
		if got.String() != want {
			t.Errorf("%q: got %q, want %q", text, got.String(), want)
		}
	}
}
