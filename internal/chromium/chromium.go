// Package chromium drives a headless Chromium in tests, by the Chrome DevTools Protocol
// over its pipe.
package chromium

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

// Page is one page of a browser of its own. It is for one goroutine. What goes wrong
// ends the test.
type Page struct {
	t       testing.TB
	to      *os.File
	session string
	replies chan devtools
	seq     int

	mu       sync.Mutex
	said     []string // what the console, and the browser itself, had to say since the last Open
	requests []string // URLs, likewise
	headers  map[string]map[string]string
	loads    int
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

// Start opens an empty page. It skips the test where there is no Chromium, and the
// browser ends with the test.
func Start(t testing.TB) *Page {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("no Chromium: scripts/debian.sh installs it where it may")
	}
	profile, err0 := os.MkdirTemp("", "writ-chromium-") // its children write there until the very end: t.TempDir would mind
	commands, to, err1 := os.Pipe()
	from, events, err2 := os.Pipe()
	if err := errors.Join(err0, err1, err2); err != nil {
		t.Fatal(err)
	}
	args := []string{"--headless=new", "--remote-debugging-pipe", "--user-data-dir=" + profile, "--no-first-run", "--disable-gpu",
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
	c := &Page{t: t, to: to, replies: make(chan devtools, 1), headers: map[string]map[string]string{}}
	go c.listen(from)
	t.Cleanup(func() {
		c.session = ""
		c.Call("Browser.close", nil, nil)
		_ = cmd.Wait() // its status says nothing about the pages
		_ = os.RemoveAll(profile)
		to.Close()
		from.Close()
	})
	var made struct{ TargetID, SessionID string }
	c.Call("Target.createTarget", map[string]any{"url": "about:blank"}, &made)
	c.Call("Target.attachToTarget", map[string]any{"targetId": made.TargetID, "flatten": true}, &made)
	c.session = made.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		c.Call(domain+".enable", nil, nil)
	}
	return c
}

// listen sorts what the browser says until the pipe ends.
func (c *Page) listen(from *os.File) {
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
		case "Page.loadEventFired":
			c.loads++
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

// Call sends a command and waits for its reply, which goes to out unless that is nil.
func (c *Page) Call(method string, params, out any) {
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

// Eval runs script in the page, as if a person had it done, and reads its value, or that
// of its promise, of JSON, into out.
func (c *Page) Eval(script string, out any) {
	c.t.Helper()
	var r struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails json.RawMessage
	}
	c.Call("Runtime.evaluate", map[string]any{"expression": script, "returnByValue": true, "awaitPromise": true, "userGesture": true}, &r)
	if r.ExceptionDetails != nil {
		c.t.Fatalf("%s: %s", script, r.ExceptionDetails)
	}
	if out != nil {
		if err := json.Unmarshal(r.Result.Value, out); err != nil {
			c.t.Fatalf("%s: %v", script, err)
		}
	}
}

// Until waits for a loaded page of which script is true.
func (c *Page) Until(script string) {
	c.t.Helper()
	var ok bool
	c.wait("the page where "+script, func() bool {
		c.Eval("document.readyState === 'complete' && Boolean("+script+")", &ok)
		return ok
	})
}

// Then does something that loads a page, and waits for it.
func (c *Page) Then(act func()) {
	c.t.Helper()
	c.mu.Lock()
	c.loads = 0
	c.mu.Unlock()
	act()
	c.wait("a page", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.loads > 0
	})
}

// patience is how long a page may take.
const patience = 60 * time.Second

func (c *Page) wait(what string, come func() bool) {
	c.t.Helper()
	for end := time.Now().Add(patience); !come(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			c.t.Fatalf("%s did not come", what)
		}
	}
}

// Text is what the page shows.
func (c *Page) Text() (text string) {
	c.t.Helper()
	c.Eval("document.body.innerText", &text)
	return text
}

// Heard is what the console and the browser said, and which URLs were asked for, since
// the last Open.
func (c *Page) Heard() (said, requests []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.said), slices.Clone(c.requests)
}

// Headers are those of the last answer for a URL.
func (c *Page) Headers(url string) map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.headers[url]
}

// Open goes to a URL and waits for its page.
func (c *Page) Open(url string) {
	c.t.Helper()
	c.mu.Lock()
	c.said, c.requests = nil, nil
	c.mu.Unlock()
	c.Call("Page.navigate", map[string]any{"url": url}, nil)
	c.Until("location.href === " + strconv.Quote(url))
}

// Press presses keys, each by its name in the UI Events specification.
func (c *Page) Press(keys ...string) {
	c.t.Helper()
	codes := map[string]int{"Tab": 9, "Enter": 13}
	for _, key := range keys {
		down := map[string]any{"type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": codes[key]}
		if key == "Enter" {
			down["text"] = "\r"
		}
		c.Call("Input.dispatchKeyEvent", down, nil)
		c.Call("Input.dispatchKeyEvent", map[string]any{"type": "keyUp", "key": key, "code": key, "windowsVirtualKeyCode": codes[key]}, nil)
	}
}

// Width makes the window so wide, in CSS pixels.
func (c *Page) Width(pixels int) {
	c.t.Helper()
	c.Call("Emulation.setDeviceMetricsOverride", map[string]any{"width": pixels, "height": 800, "deviceScaleFactor": 1, "mobile": pixels < 600}, nil)
}

// Picture keeps the page in the folder WRIT_PAGES, for people who want to look.
func (c *Page) Picture(name string) {
	c.t.Helper()
	dir := os.Getenv("WRIT_PAGES")
	if dir == "" {
		return
	}
	var shot struct{ Data string }
	c.Call("Page.captureScreenshot", map[string]any{"captureBeyondViewport": true}, &shot)
	raw, err := base64.StdEncoding.DecodeString(shot.Data)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".png"), raw, 0o600)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}
