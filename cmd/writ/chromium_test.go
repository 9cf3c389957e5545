package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/writ-registry/writ/api"
)

// chromium is one page of a headless Chromium, driven by the Chrome DevTools Protocol
// over its pipe. It is for one goroutine.
type chromium struct {
	t       *testing.T
	to      *os.File
	session string
	replies chan devtools
	seq     int

	mu       sync.Mutex
	said     []string // what the console, and the browser itself, had to say since the last Forget
	requests []string // URLs, likewise
	headers  map[string]map[string]string
}

// devtools is a message of the protocol: a command, its reply or an event.
type devtools struct {
	ID      int             `json:"id,omitempty"`
	Session string          `json:"sessionId,omitempty"`
	Method  string          `json:"method,omitempty"`
	Params  any             `json:"params,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   json.RawMessage `json:"error,omitempty"`
}

// startChromium skips the test where there is none.
func startChromium(t *testing.T) *chromium {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("Chromium is not installed")
	}
	commands, to, err1 := os.Pipe()
	from, events, err2 := os.Pipe()
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	args := []string{"--headless=new", "--remote-debugging-pipe", "--user-data-dir=" + t.TempDir(), "--no-first-run", "--disable-gpu",
		"--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage", "--hide-scrollbars"}
	if os.Geteuid() == 0 {
		args = append(args, "--no-sandbox") // which root cannot have
	}
	cmd := exec.Command(program, append(args, "about:blank")...)
	cmd.ExtraFiles = []*os.File{commands, events} // 3 and 4
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	commands.Close()
	events.Close()
	c := &chromium{t: t, to: to, replies: make(chan devtools, 1), headers: map[string]map[string]string{}}
	go c.listen(from)
	t.Cleanup(func() {
		c.session = ""
		c.call("Browser.close", nil, nil)
		_ = cmd.Wait() // its status says nothing about the pages
		to.Close()
		from.Close()
	})
	var made struct{ TargetID, SessionID string }
	c.call("Target.createTarget", map[string]any{"url": "about:blank"}, &made)
	c.call("Target.attachToTarget", map[string]any{"targetId": made.TargetID, "flatten": true}, &made)
	c.session = made.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		c.call(domain+".enable", nil, nil)
	}
	return c
}

// listen sorts what the browser says until the pipe ends.
func (c *chromium) listen(from *os.File) {
	defer close(c.replies)
	in := bufio.NewReader(from)
	for {
		raw, err := in.ReadBytes(0)
		if err != nil {
			return
		}
		raw = raw[:len(raw)-1]
		var m devtools
		var e struct {
			Params struct {
				Request, Response, Entry struct {
					URL, Text string
					Headers   map[string]string
				}
				Type             string
				Args             json.RawMessage
				ExceptionDetails json.RawMessage
			}
		}
		if json.Unmarshal(raw, &m) != nil || json.Unmarshal(raw, &e) != nil {
			continue
		}
		p := e.Params
		c.mu.Lock()
		switch m.Method {
		case "":
			c.replies <- m
		case "Network.requestWillBeSent":
			c.requests = append(c.requests, p.Request.URL)
		case "Network.responseReceived":
			c.headers[p.Response.URL] = p.Response.Headers
		case "Log.entryAdded":
			c.said = append(c.said, p.Entry.Text+" "+p.Entry.URL)
		case "Runtime.consoleAPICalled":
			c.said = append(c.said, string(p.Args))
		case "Runtime.exceptionThrown":
			c.said = append(c.said, string(p.ExceptionDetails))
		}
		c.mu.Unlock()
	}
}

// call sends a command and waits for its reply, which goes to out unless that is nil.
func (c *chromium) call(method string, params, out any) {
	c.t.Helper()
	c.seq++
	raw, err := json.Marshal(devtools{ID: c.seq, Session: c.session, Method: method, Params: params})
	if err == nil {
		_, err = c.to.Write(append(raw, 0))
	}
	if err != nil {
		c.t.Fatalf("%s: %v", method, err)
	}
	select {
	case m, ok := <-c.replies:
		if !ok || m.ID != c.seq || m.Error != nil {
			c.t.Fatalf("%s: %s (reply %d of %d)", method, m.Error, m.ID, c.seq)
		}
		if out != nil {
			if err := json.Unmarshal(m.Result, out); err != nil {
				c.t.Fatalf("%s: %v", method, err)
			}
		}
	case <-time.After(30 * time.Second):
		c.t.Fatalf("%s: Chromium does not answer", method)
	}
}

// eval runs script in the page and reads its value, of JSON, into out.
func (c *chromium) eval(script string, out any) {
	c.t.Helper()
	var r struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails json.RawMessage
	}
	c.call("Runtime.evaluate", map[string]any{"expression": script, "returnByValue": true}, &r)
	if r.ExceptionDetails != nil {
		c.t.Fatalf("%s: %s", script, r.ExceptionDetails)
	}
	if out != nil {
		if err := json.Unmarshal(r.Result.Value, out); err != nil {
			c.t.Fatalf("%s: %v", script, err)
		}
	}
}

// until waits for a loaded page of which script is true.
func (c *chromium) until(script string) {
	c.t.Helper()
	var ok bool
	eventually(c.t, "the page where "+script, func() (bool, error) {
		c.eval("document.readyState === 'complete' && Boolean("+script+")", &ok)
		return ok, nil
	})
}

// open goes to a URL and waits for its page.
func (c *chromium) open(url string) {
	c.t.Helper()
	c.mu.Lock()
	c.said, c.requests = nil, nil
	c.mu.Unlock()
	c.call("Page.navigate", map[string]any{"url": url}, nil)
	c.until("location.href === " + strconv.Quote(url))
}

// press presses keys, each by its name in the UI Events specification.
func (c *chromium) press(keys ...string) {
	c.t.Helper()
	codes := map[string]int{"Tab": 9, "Enter": 13}
	for _, key := range keys {
		down := map[string]any{"type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": codes[key]}
		if key == "Enter" {
			down["text"] = "\r"
		}
		c.call("Input.dispatchKeyEvent", down, nil)
		c.call("Input.dispatchKeyEvent", map[string]any{"type": "keyUp", "key": key, "code": key, "windowsVirtualKeyCode": codes[key]}, nil)
	}
}

// width makes the window so wide, in CSS pixels.
func (c *chromium) width(pixels int) {
	c.t.Helper()
	c.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": pixels, "height": 800, "deviceScaleFactor": 1, "mobile": pixels < 600}, nil)
}

// picture keeps the page in the folder WRIT_PAGES, for people who want to look.
func (c *chromium) picture(name string) {
	c.t.Helper()
	dir := os.Getenv("WRIT_PAGES")
	if dir == "" {
		return
	}
	var shot struct{ Data string }
	c.call("Page.captureScreenshot", map[string]any{"captureBeyondViewport": true}, &shot)
	raw, err := base64.StdEncoding.DecodeString(shot.Data)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".png"), raw, 0o600)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

// Scripts of what the page has to operate; which of that says nothing of what it is
// for; and which the keyboard is at where one sees that, -1 where it is at none.
const (
	controls   = `[...document.querySelectorAll('a, button, input:not([type=hidden])')]`
	unlabelled = controls + `.filter(e => e.matches('input') ? !e.labels.length : !e.textContent.trim()).map(e => e.outerHTML)`
	focused    = controls + `.findIndex(e => e.matches(':focus-visible') && getComputedStyle(e).outlineStyle === 'solid')`
)

// sound holds the page against what all our pages promise, wide and narrow: a title,
// nothing from elsewhere, nothing that the browser complains about, no scrolling
// sideways, and every control labelled, reached by Tab and seen to be.
func (c *chromium) sound(name, title, origin string) {
	c.t.Helper()
	var got, here string
	c.eval("document.title", &got)
	c.eval("location.href", &here)
	if got != title+" · Writ" {
		c.t.Errorf("%s: title %q, want %q", name, got, title)
	}
	for _, pixels := range []int{1280, 360} {
		c.width(pixels)
		var over int
		c.eval("document.documentElement.scrollWidth - innerWidth", &over)
		if over > 0 {
			c.t.Errorf("%s: %d pixels wide, scrolls sideways by %d", name, pixels, over)
		}
		c.picture(name + "-" + strconv.Itoa(pixels))
	}
	var bare []string
	if c.eval(unlabelled, &bare); len(bare) > 0 {
		c.t.Errorf("%s: without a label: %s", name, bare)
	}
	var all int
	c.eval(controls+".length", &all)
	reached := map[int]bool{}
	for range all + 1 { // which passes by the frame of the window once
		c.press("Tab")
		var at int
		if c.eval(focused, &at); at >= 0 {
			reached[at] = true
		}
	}
	if len(reached) != all {
		c.t.Errorf("%s: of %d controls, Tab is seen to reach %v", name, all, reached)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.said) > 0 {
		c.t.Errorf("%s: the browser says %q", name, c.said)
	}
	for _, url := range c.requests {
		if !strings.HasPrefix(url, origin+"/") {
			c.t.Errorf("%s asks %s", name, url)
		}
	}
	if csp := c.headers[here]["Content-Security-Policy"]; !strings.HasPrefix(csp, "default-src 'none'") {
		c.t.Errorf("%s: Content-Security-Policy %q", name, csp)
	}
}

// TestPagesInABrowser: a person signs in at a real provider, by keyboard as far as the
// pages are ours, and every page on the way is sound.
func TestPagesInABrowser(t *testing.T) {
	c := startChromium(t)
	r, _ := people(t)
	origin := r.server.Origin
	c.open(origin + "/")
	c.sound("front", "Overview", origin)
	c.open(origin + "/ui/login?org=nobody")
	c.sound("login-unknown", "Sign in", origin)
	c.open(origin + "/ui/login")
	c.sound("login", "Sign in", origin)

	c.open(origin + "/ui/login")
	c.call("Input.insertText", map[string]any{"text": "acme"}, nil) // the field has the focus
	c.press("Enter")
	c.until("location.search === '?org=acme'")
	c.sound("login-org", "Sign in", origin)
	c.eval("document.querySelector('main .button').focus()", nil)
	c.press("Enter")
	c.until("document.querySelector('input[name=login]')") // the provider's pages
	c.eval("for (const e of document.querySelectorAll('input[name=login], input[name=password]')) e.value = 'alice'; document.querySelector('form').submit()", nil)
	c.until("document.querySelector('input[name=prompt][value=consent]')")
	c.eval("document.querySelector('form').submit()", nil)
	c.until("location.pathname === '/ui/'")
	c.open(origin + "/ui/")
	c.sound("overview", "Overview", origin)
	c.open(origin + "/ui/account")
	c.sound("account", "Your account", origin)
	c.eval("document.querySelector('form[action=\"/ui/account/credential\"] button').focus()", nil)
	c.press("Enter")
	c.until("location.pathname === '/ui/account/credential'")
	c.sound("account-credential", "Your account", origin)
	c.eval("document.querySelector('nav button').focus()", nil)
	c.press("Enter")
	c.until("location.pathname === '/ui/logout'")
	c.sound("signed-out", "Signed out", origin)
	c.open(origin + api.CallbackPath) // and the browser does not ask for a password
	c.until("document.body.textContent.includes('no sign-in is under way in this browser')")
	c.picture("refused")
}
