// Package web renders the registry's pages: plain HTML by the server, without anything
// from elsewhere, and without script but the one that asks for passkeys. What a visitor
// may see is decided by the caller; this package only shows it.
//
// Names and purposes are written by others. They are escaped by html/template
// and set apart by <bdi>, so that their direction stays their own.
package web

import (
	"bytes"
	"embed"
	"encoding/json"
	"html/template"
	"io"
	"strconv"
	"time"
)

//go:embed *.html
var files embed.FS

// Style is the one style sheet.
//
//go:embed style.css
var Style []byte

var pages = func() map[string]*template.Template {
	out := map[string]*template.Template{}
	for _, name := range []string{"overview", "agent", "event", "problem", "login", "signedout", "account", "approvals", "approval"} {
		out[name] = template.Must(template.New("layout.html").Funcs(funcs).ParseFS(files, "layout.html", name+".html"))
	}
	return out
}()

var funcs = template.FuncMap{
	"time":   func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
	"rfc":    func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"count":  count,
	"short":  short,
	"indent": indent,
}

// count groups the digits of n by a thin space.
func count(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "\u2009" + s[i:]
	}
	return s
}

// short keeps the ends of a long identifier.
func short(s string) string {
	if len(s) <= 20 {
		return s
	}
	return s[:10] + "…" + s[len(s)-8:]
}

// indent makes JSON readable; what is no JSON stays as it is.
func indent(raw json.RawMessage) string {
	var b bytes.Buffer
	if json.Indent(&b, raw, "", "  ") != nil {
		return string(raw)
	}
	return b.String()
}

// Page is what every page shows around its content.
type Page struct {
	Title   string
	Origin  string
	Visitor string // the org signed in for; "" = nobody
	Script  bool   // the page asks for passkeys
	Form    string // the token that forms of the session have in them; "" = no session, no forms
}

// Login offers the ways to sign in.
type Login struct {
	Page
	Org     string   // that was asked for; "" = none yet
	Issuers []Issuer // of that org
}

// Issuer is where people of an org sign in.
type Issuer struct{ ID, URL string }

// SignedOut says that a session is over.
type SignedOut struct {
	Page
	Issuer string // where to end the session at the issuer; "" = not known
}

// Account is who a person is here. Secret is a new credential, shown once.
type Account struct {
	Page
	ID, Name, Issuer, Subject, Secret string
	Roles, GroupRoles                 []string
	Credentials                       []Credential
	Sessions                          []Session
}

// Credential is a credential in a list.
type Credential struct {
	Hint             string
	Created, Expires time.Time
}

// Session is a session in a list.
type Session struct {
	ID                     string
	Created, Seen, Expires time.Time
	This                   bool // the one that asks
}

// Overview is the first page. Stops, Agents and Events are for visitors who are
// signed in.
type Overview struct {
	Page
	Log     Log
	Anchors []Anchor
	Newest  *Anchor // of Anchors, the newest that a ledger has included
	Entries []Entry // the newest, newest first
	Stops   []Stop
	Agents  []AgentRow
	Events  []EventRow
}

// Log is the state of the Merkle log.
type Log struct {
	Origin, Root, VKey string
	Size               uint64
	Signed             bool
	SignedSize         uint64
	SignedTime         time.Time
}

// Anchor is an attempt to anchor a head.
type Anchor struct {
	Ledger, ChainID, Contract, Tx, State, Finality string
	OperatorsOwn                                   bool
	Size, Block                                    uint64
	Time                                           time.Time
}

// Entry is one entry of the log: public, and no more than a name.
type Entry struct {
	Index uint64
	CID   string
}

// Stop is a stop in force.
type Stop struct {
	Kind, ID, Reason string
	Since            time.Time
}

// AgentRow is an agent in a list.
type AgentRow struct {
	ID, Name, Status, Purpose string
	AuthorityLevel            int
	Created                   time.Time
}

// EventRow is an event in a list.
type EventRow struct {
	Index            uint64
	Type, Agent, CID string
	Time             time.Time
}

// Agent is the page of one agent.
type Agent struct {
	Page
	AgentRow
	DID, WebDID, Org, Sponsor, Role, Thumbprint string
	Custodial                                   bool
	DIDPending                                  time.Time
	Domains, Workflows                          []string
	Composition                                 []Component
	Grants                                      []Grant
	Events                                      []EventRow
}

// Component is one part of an agent's composition.
type Component struct{ Kind, Name, Digest, Source string }

// Grant is a grant in a list.
type Grant struct {
	Capabilities, Status string
	Audience             []string
	Expires              time.Time
}

// Event is the page of one event.
type Event struct {
	Page
	EventRow
	Log, Org    string
	OrgSeq, Seq uint64
	Artifact    json.RawMessage
	Disclosures []Disclosure
	Reasons     []Reason
}

// Disclosure is a value that an event commits to.
type Disclosure struct {
	Name  string
	Value json.RawMessage
}

// Reason is why a decision is what it is, in words.
type Reason struct{ Code, Meaning string }

// Problem is the page of an error.
type Problem struct {
	Page
	Status int
	Detail string
}

// Render writes a page. It fails before the first byte or not at all.
func Render(w io.Writer, view any) error {
	name := "problem"
	switch view.(type) {
	case Overview:
		name = "overview"
	case Agent:
		name = "agent"
	case Event:
		name = "event"
	case Login:
		name = "login"
	case SignedOut:
		name = "signedout"
	case Account:
		name = "account"
	case Approvals:
		name = "approvals"
	case Approval:
		name = "approval"
	}
	var b bytes.Buffer
	if err := pages[name].Execute(&b, view); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}
