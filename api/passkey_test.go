package api_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/writ-registry/writ/api"
	"github.com/writ-registry/writ/internal/passkey"
	"github.com/writ-registry/writ/registry"
)

// browser is headless Chromium, driven by its DevTools protocol over a pipe: messages
// end with a NUL.
type browser struct {
	t       testing.TB
	in      io.Writer
	out     *bufio.Reader
	id      int
	session string
	loads   int
}

type cdpMessage struct {
	ID     int             `json:"id"`
	Method string          `json:"method"`
	Result json.RawMessage `json:"result"`
	Error  json.RawMessage `json:"error"`
}

func chromium(t testing.TB) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not on PATH (Debian package chromium): the page of passkeys is not tested")
	}
	profile, err := os.MkdirTemp("", "writ-chromium") // its children write there until the very end: t.TempDir would mind
	if err != nil {
		t.Fatal(err)
	}
	theirs, mine, err := os.Pipe() // they read, this writes
	if err != nil {
		t.Fatal(err)
	}
	reads, writes, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
		"--remote-debugging-pipe", "--user-data-dir="+profile, "--window-size=1100,1400", "about:blank")
	cmd.ExtraFiles = []*os.File{theirs, writes} // 3 and 4
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	writes.Close()
	b := &browser{t: t, in: mine, out: bufio.NewReaderSize(reads, 1<<20)}
	hung := time.AfterFunc(90*time.Second, func() { _ = cmd.Process.Kill() }) // the pipe ends, and the test with it
	t.Cleanup(func() {
		hung.Stop()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		mine.Close()
		reads.Close()
		_ = os.RemoveAll(profile)
	})
	target := b.do("Target.createTarget", map[string]any{"url": "about:blank"})["targetId"]
	b.session, _ = b.do("Target.attachToTarget", map[string]any{"targetId": target, "flatten": true})["sessionId"].(string)
	b.do("Page.enable", nil)
	b.do("Runtime.enable", nil)
	return b
}

// do calls a method and returns its result.
func (b *browser) do(method string, params map[string]any) map[string]any {
	b.t.Helper()
	b.id++
	call := map[string]any{"id": b.id, "method": method, "params": params}
	if params == nil {
		call["params"] = map[string]any{}
	}
	if b.session != "" {
		call["sessionId"] = b.session
	}
	raw, err := json.Marshal(call)
	if err == nil {
		_, err = b.in.Write(append(raw, 0))
	}
	if err != nil {
		b.t.Fatal(err)
	}
	for {
		m := b.next()
		if m.ID != b.id {
			continue
		}
		if m.Error != nil {
			b.t.Fatalf("%s: %s", method, m.Error)
		}
		out := map[string]any{}
		if err := json.Unmarshal(m.Result, &out); err != nil {
			b.t.Fatal(err)
		}
		return out
	}
}

func (b *browser) next() cdpMessage {
	b.t.Helper()
	raw, err := b.out.ReadBytes(0)
	var m cdpMessage
	if err == nil {
		err = json.Unmarshal(raw[:len(raw)-1], &m)
	}
	if err != nil {
		b.t.Fatalf("the browser: %v", err)
	}
	if m.Method == "Page.loadEventFired" {
		b.loads++
	}
	return m
}

// then does something that loads a page, and waits for it.
func (b *browser) then(act func()) {
	b.t.Helper()
	b.loads = 0
	act()
	for b.loads == 0 {
		b.next()
	}
}

// eval returns what an expression, or its promise, comes to.
func (b *browser) eval(js string) string {
	b.t.Helper()
	r := b.do("Runtime.evaluate", map[string]any{"expression": js, "awaitPromise": true, "userGesture": true, "returnByValue": true})
	if e, failed := r["exceptionDetails"]; failed {
		b.t.Fatalf("%s: %v", js, e)
	}
	return fmt.Sprint(r["result"].(map[string]any)["value"])
}

func (b *browser) open(url string) {
	b.t.Helper()
	b.then(func() { b.do("Page.navigate", map[string]any{"url": url}) })
}

func (b *browser) text() string { return b.eval("document.body.innerText") }

// picture keeps a screenshot where WRIT_SCREENSHOTS names a folder.
func (b *browser) picture(name string) {
	b.t.Helper()
	dir := os.Getenv("WRIT_SCREENSHOTS")
	if dir == "" {
		return
	}
	png, err := base64.StdEncoding.DecodeString(fmt.Sprint(b.do("Page.captureScreenshot", map[string]any{"captureBeyondViewport": true})["data"]))
	if err == nil {
		err = os.WriteFile(dir+"/"+name+".png", png, 0o644)
	}
	if err != nil {
		b.t.Error(err)
	}
}

// TestApprovalPage: a human adds a passkey in a browser, another confirms it, and what
// the human then approves on the page is permitted, once.
func TestApprovalPage(t *testing.T) {
	b := chromium(t)
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

	b.do("WebAuthn.enable", nil)
	device := b.do("WebAuthn.addVirtualAuthenticator", map[string]any{"options": map[string]any{
		"protocol": "ctap2", "transport": "internal", "hasResidentKey": true, "hasUserVerification": true, "isUserVerified": true, "automaticPresenceSimulation": true,
	}})["authenticatorId"]
	b.do("Network.setCookie", map[string]any{"name": "writ-session", "value": signedIn.Secret, "url": origin})

	b.open(origin + "/ui/approvals")
	b.then(func() {
		b.eval(`document.querySelector("#name").value = "laptop"; document.querySelector("form[data-passkey=create] button").click()`)
	})
	if text := b.text(); !strings.Contains(text, "laptop") || !strings.Contains(text, "pending") || !strings.Contains(text, "wire:money") {
		t.Fatalf("after the registration:\n%s", text)
	}
	b.picture("approvals")
	keys, err := w.ListAuthenticators(t.Context(), w.Operator, signedIn.Value.Principal)
	if err != nil || len(keys) != 1 {
		t.Fatalf("%v, %v", keys, err)
	}

	page := origin + "/ui/approvals/" + task
	b.open(page)
	if text := b.text(); !strings.Contains(text, "no confirmed passkey") || !strings.Contains(text, "<b>urgent</b> approve now") ||
		!strings.Contains(text, "U+202E") && !strings.Contains(text, `\u202e`) || !strings.Contains(text, "А U+0410") {
		t.Errorf("the page:\n%s", text)
	}
	if _, err := w.ActivateAuthenticator(t.Context(), owner, signedIn.Value.Principal, keys[0].ID); err != nil {
		t.Fatal(err)
	}
	b.open(page)
	b.picture("approval")

	approve := `document.querySelector("button[value=approve]").click()`
	b.do("WebAuthn.setUserVerified", map[string]any{"authenticatorId": device, "isUserVerified": false})
	if said := b.eval(`new Promise((done) => { const f = document.querySelector(".failed");
		new MutationObserver(() => f.textContent && done(f.textContent)).observe(f, {childList: true}); ` + approve + ` })`); !strings.Contains(said, "not used") {
		t.Errorf("without user verification: %s", said)
	}
	b.do("WebAuthn.setUserVerified", map[string]any{"authenticatorId": device, "isUserVerified": true})

	// What the passkey signs for another page is good for nothing here.
	alice := registry.Call{Caller: registry.Caller{Actor: registry.Actor{Kind: registry.ActorPrincipal, ID: signedIn.Value.Principal}, Org: w.Operator.Org, Roles: []registry.Role{registry.RoleApprover}}, Trace: w.Call().Trace}
	other := b.eval(`ask({dataset: {passkey: "get", challenge: "` + strings.Repeat("A", 43) + `", credentials: ""}}).then(JSON.stringify)`)
	_, err = w.AnswerApproval(t.Context(), alice, task, registry.NewAnswer{Verdict: "approve", Assertion: json.RawMessage(other)})
	refused(t, err, "passkey")
	a, err := w.FindApproval(t.Context(), w.Operator, task)
	if err != nil {
		t.Fatal(err)
	}
	good := b.eval(`ask({dataset: {passkey: "get", challenge: "` + a.Digest + `", credentials: ""}}).then(JSON.stringify)`)
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

	b.then(func() { b.eval(approve) })
	if text := b.text(); !strings.Contains(text, "approved") || !strings.Contains(text, "1 of 1") {
		t.Fatalf("after the answer:\n%s", text)
	}
	b.picture("approved")
	for i, want := range []bool{true, false} {
		again := authzen(p.Ask(t, p.grant, "wire", "money", "m1", `{"amount":12000,"note":"pay\u202eEMCA\u200b","to":"Асme Ltd","iban":"DE02 1203 0000 0000 2020 51"}`))
		again["context"].(map[string]any)["approval"] = map[string]any{"id": task}
		if r := w.do("POST", "/access/v1/evaluation", again, as(p.gate)).json(t); r["decision"] != want {
			t.Errorf("evaluation %d: %v", i, r)
		}
	}
}
