package main

import (
	"strconv"
	"strings"
	"testing"

	"github.com/writ-registry/writ/api"
	"github.com/writ-registry/writ/internal/chromium"
)

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
func sound(t *testing.T, c *chromium.Page, name, title, origin string) {
	t.Helper()
	var got, here string
	c.Eval("document.title", &got)
	c.Eval("location.href", &here)
	if got != title+" · Writ" {
		t.Errorf("%s: title %q, want %q", name, got, title)
	}
	for _, pixels := range []int{1280, 360} {
		c.Width(pixels)
		var over int
		c.Eval("document.documentElement.scrollWidth - innerWidth", &over)
		if over > 0 {
			t.Errorf("%s: %d pixels wide, scrolls sideways by %d", name, pixels, over)
		}
		c.Picture(name + "-" + strconv.Itoa(pixels))
	}
	var bare []string
	if c.Eval(unlabelled, &bare); len(bare) > 0 {
		t.Errorf("%s: without a label: %s", name, bare)
	}
	var all int
	c.Eval(controls+".length", &all)
	reached := map[int]bool{}
	for range all + 1 { // which passes by the frame of the window once
		c.Press("Tab")
		var at int
		if c.Eval(focused, &at); at >= 0 {
			reached[at] = true
		}
	}
	if len(reached) != all {
		t.Errorf("%s: of %d controls, Tab is seen to reach %v", name, all, reached)
	}
	said, requests := c.Heard()
	if len(said) > 0 {
		t.Errorf("%s: the browser says %q", name, said)
	}
	for _, url := range requests {
		if !strings.HasPrefix(url, origin+"/") {
			t.Errorf("%s asks %s", name, url)
		}
	}
	if csp := c.Headers(here)["Content-Security-Policy"]; !strings.HasPrefix(csp, "default-src 'none'") {
		t.Errorf("%s: Content-Security-Policy %q", name, csp)
	}
}

// TestPagesInABrowser: a person signs in at a real provider, by keyboard as far as the
// pages are ours, and every page on the way is sound.
func TestPagesInABrowser(t *testing.T) {
	c := chromium.Start(t)
	r, _ := people(t)
	origin := r.server.Origin
	c.Open(origin + "/")
	sound(t, c, "front", "Overview", origin)
	c.Open(origin + "/ui/login?org=nobody")
	sound(t, c, "login-unknown", "Sign in", origin)
	c.Open(origin + "/ui/login")
	sound(t, c, "login", "Sign in", origin)

	c.Open(origin + "/ui/login")
	c.Call("Input.insertText", map[string]any{"text": "acme"}, nil) // the field has the focus
	c.Press("Enter")
	c.Until("location.search === '?org=acme'")
	sound(t, c, "login-org", "Sign in", origin)
	c.Eval("document.querySelector('main .button').focus()", nil)
	c.Press("Enter")
	c.Until("document.querySelector('input[name=login]')") // the provider's pages
	c.Eval("for (const e of document.querySelectorAll('input[name=login], input[name=password]')) e.value = 'alice'; document.querySelector('form').submit()", nil)
	c.Until("document.querySelector('input[name=prompt][value=consent]')")
	c.Eval("document.querySelector('form').submit()", nil)
	c.Until("location.pathname === '/ui/'")
	c.Open(origin + "/ui/")
	sound(t, c, "overview", "Overview", origin)
	c.Open(origin + "/ui/account")
	sound(t, c, "account", "Your account", origin)
	c.Eval("document.querySelector('form[action=\"/ui/account/credential\"] button').focus()", nil)
	c.Press("Enter")
	c.Until("location.pathname === '/ui/account/credential'")
	sound(t, c, "account-credential", "Your account", origin)
	c.Eval("document.querySelector('nav button').focus()", nil)
	c.Press("Enter")
	c.Until("location.pathname === '/ui/logout'")
	sound(t, c, "signed-out", "Signed out", origin)
	c.Open(origin + api.CallbackPath) // and the browser does not ask for a password
	c.Until("document.body.textContent.includes('no sign-in is under way in this browser')")
	c.Picture("refused")
}
