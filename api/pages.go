package api

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/ipfs/go-cid"

	"github.com/writ-registry/writ/anchor"
	"github.com/writ-registry/writ/anchor/tlog"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/web"
)

// How much a page shows of a list.
const (
	pageRows    = 25
	pageAnchors = 8
)

// pageCSP lets a page use its style sheet and send its own forms, and nothing else.
const pageCSP = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// visitor lets people pass by their session, or by HTTP Basic: any name, the
// credential as the password. The browser asks for that and keeps it. Who brings
// neither goes to the page that offers both.
func (s *server) visitor(c *gin.Context) {
	bySession, err := s.visit(c)
	_, password, ok := c.Request.BasicAuth()
	if !bySession {
		err = &registry.Error{Kind: registry.Unauthenticated, Code: "missing_credential", Detail: "Agents and events are for those entitled to them."}
		if ok && printable(password, 512) {
			err = s.identify(c, password)
		}
	}
	r := requestOf(c.Request.Context())
	if err == nil && r.caller.Kind != registry.ActorPrincipal {
		err = registry.Errorf(registry.Denied, "The pages are for people; this is the credential of an enforcement point.")
	}
	if err == nil {
		var org registry.Org
		org, err = s.Registry.FindOrg(c.Request.Context(), r.caller, r.caller.Org)
		r.org = org.Name
	}
	if err == nil {
		return
	}
	s.charge(c, err)
	if s.SignIn != nil && !ok && errors.Is(err, registry.Unauthenticated) && c.FullPath() != "/ui/login/token" {
		c.Redirect(http.StatusSeeOther, "/ui/login")
		c.Abort()
		return
	}
	s.pageProblem(c, err)
}

// entitledVisitor says to those whom nothing entitles that this is so.
func (s *server) entitledVisitor(c *gin.Context) {
	if r := requestOf(c.Request.Context()); len(r.caller.Roles) == 0 {
		detail := "You are signed in, and have no role in this organization: neither its owner nor your groups at the issuer give you one."
		if r.visit != nil && len(r.visit.Principal.GroupRoles) > 0 {
			detail = "You are signed in, and the roles that your groups give you have lapsed: the issuer did not confirm them within five minutes. Sign out and in again, or try later."
		}
		s.pageProblem(c, &registry.Error{Kind: registry.Denied, Code: "no_role", Detail: detail})
	}
}

func (s *server) pageProblem(c *gin.Context, err error) {
	ctx := c.Request.Context()
	p := s.entitled(ctx, err)
	for name, values := range p.GetHeaders() {
		c.Writer.Header()[name] = values
	}
	if p.Status == http.StatusUnauthorized && c.FullPath() != CallbackPath { // where a credential, which the browser would ask for, does not help
		c.Header("WWW-Authenticate", `Basic realm="writ", charset="UTF-8"`)
	}
	s.show(c, p.Status, web.Problem{Page: s.page(ctx, p.Title), Status: p.Status, Detail: p.Detail})
	c.Abort()
}

// show renders a page; csp is its Content-Security-Policy, pageCSP where none is named.
func (s *server) show(c *gin.Context, status int, view any, csp ...string) {
	c.Header("Content-Type", "text/html; charset=utf-8")
	c.Header("Content-Security-Policy", append(csp, pageCSP)[0])
	c.Status(status)
	if err := web.Render(c.Writer, view); err != nil {
		panic(err) // a template that does not fit its view
	}
}

func (s *server) pageStyle(c *gin.Context) {
	c.Header("Cache-Control", "public, max-age=300")
	c.Data(http.StatusOK, "text/css; charset=utf-8", web.Style)
}

// pageFront is for anyone: what /log/ makes public anyway.
func (s *server) pageFront(c *gin.Context) {
	view, err := s.overview(c.Request.Context())
	if err == nil {
		view.Entries, err = s.newestEntries(c.Request.Context(), view.Log.Size)
	}
	if err != nil {
		s.pageProblem(c, err)
		return
	}
	s.show(c, http.StatusOK, view)
}

// pageOverview adds what the visitor is entitled to.
func (s *server) pageOverview(c *gin.Context) {
	ctx, caller := c.Request.Context(), requestOf(c.Request.Context()).caller
	view, err := s.overview(ctx)
	var stops []registry.Kill
	if err == nil {
		stops, err = s.Registry.ListKills(ctx, caller)
	}
	var agents []registry.Agent
	if err == nil {
		agents, err = s.Registry.ListAgents(ctx, caller, "", "", registry.Page{Limit: registry.MaxPage})
	}
	if err == nil {
		view.Events, err = s.eventRows(ctx, caller, "", "")
	}
	if err != nil {
		s.pageProblem(c, err)
		return
	}
	for _, k := range stops {
		view.Stops = append(view.Stops, web.Stop{Kind: string(k.Scope.Kind), ID: k.Scope.ID, Reason: k.Reason, Since: k.Since})
	}
	for _, a := range agents {
		view.Agents = append(view.Agents, agentRow(a))
	}
	s.show(c, http.StatusOK, view)
}

func agentRow(a registry.Agent) web.AgentRow {
	return web.AgentRow{ID: a.ID, Name: a.Name, Status: string(a.Status), Purpose: a.Purpose, AuthorityLevel: a.AuthorityLevel, Created: a.Created}
}

func eventRow(e registry.Event) web.EventRow {
	return web.EventRow{Index: e.Index, Type: e.Type, Agent: e.Agent, CID: e.CID, Time: e.Time}
}

// eventRows are the newest events that the caller may see.
func (s *server) eventRows(ctx context.Context, caller registry.Caller, org, agent string) (rows []web.EventRow, err error) {
	events, err := s.Registry.ListEvents(ctx, caller, org, agent, registry.EventFilter{Newest: true, Page: registry.Page{Limit: pageRows}})
	for _, e := range events {
		rows = append(rows, eventRow(e))
	}
	return rows, err
}

func (s *server) page(ctx context.Context, title string) web.Page {
	r := requestOf(ctx)
	return web.Page{Title: title, Origin: s.Registry.Origin, Visitor: r.org, Form: r.form}
}

func (s *server) overview(ctx context.Context) (web.Overview, error) {
	view := web.Overview{Page: s.page(ctx, "Overview")}
	size, root, err := s.Log.Head(ctx)
	if err != nil {
		return view, err
	}
	view.Log = web.Log{Origin: s.Log.Origin(), Size: size, Root: base64.StdEncoding.EncodeToString(root[:]), VKey: s.LogKey}
	if latest, ok := s.latest(); ok {
		view.Log.Signed, view.Log.SignedSize, view.Log.SignedTime = true, latest.Size, latest.Time
	}
	anchors, err := s.anchors(ctx, 0, pageAnchors)
	for _, a := range anchors {
		view.Anchors = append(view.Anchors, web.Anchor{
			Ledger: a.Ledger, ChainID: a.ChainID, Contract: a.Contract, Tx: a.Tx, State: string(a.State), Finality: string(a.Finality),
			OperatorsOwn: a.OperatorsOwn, Size: a.Size, Block: a.Block, Time: a.Updated,
		})
		if view.Newest == nil && a.Finality.AtLeast(anchor.Included) {
			newest := view.Anchors[len(view.Anchors)-1]
			view.Newest = &newest
		}
	}
	return view, err
}

// newestEntries reads the last entries from the log itself.
func (s *server) newestEntries(ctx context.Context, size uint64) (out []web.Entry, err error) {
	var bundle [][]byte
	at := ^uint64(0) // of bundle
	for i := size; i > 0 && len(out) < pageRows; i-- {
		index := i - 1
		if n := index / tlog.TileWidth; n != at {
			data, err := s.Log.EntryBundle(ctx, n)
			if err != nil {
				return nil, err
			}
			if bundle, err = tlog.ParseBundle(data); err != nil {
				return nil, err
			}
			at = n
		}
		id, err := cid.Cast(bundle[index%tlog.TileWidth])
		if err != nil {
			return nil, err
		}
		out = append(out, web.Entry{Index: index, CID: id.String()})
	}
	return out, nil
}

func (s *server) pageAgent(c *gin.Context) {
	ctx, caller := c.Request.Context(), requestOf(c.Request.Context()).caller
	a, err := s.Registry.FindAgent(ctx, caller, c.Param("id"))
	var grants []registry.Grant
	if err == nil {
		grants, err = s.Registry.ListGrants(ctx, caller, a.Org, a.ID, "", registry.Page{Limit: registry.MaxPage})
	}
	var events []web.EventRow
	if err == nil {
		events, err = s.eventRows(ctx, caller, a.Org, a.ID)
	}
	if err != nil {
		s.pageProblem(c, err)
		return
	}
	view := web.Agent{
		Page: s.page(ctx, a.Name), AgentRow: agentRow(a), DID: a.DID, WebDID: a.WebDID, Org: a.Org, Sponsor: a.Sponsor, Role: a.Role,
		Thumbprint: a.Thumbprint, Custodial: a.Custodial, DIDPending: a.DIDPending, Domains: a.Domains, Workflows: a.Workflows, Events: events,
	}
	for _, p := range a.Composition {
		view.Composition = append(view.Composition, web.Component{Kind: p.Kind, Name: p.Name, Digest: p.Digest, Source: p.Source})
	}
	for _, g := range grants {
		view.Grants = append(view.Grants, web.Grant{Capabilities: g.Capabilities, Status: string(g.Status), Audience: g.Audience, Expires: g.Expires})
	}
	s.show(c, http.StatusOK, view)
}

func (s *server) pageEvent(c *gin.Context) {
	ctx, caller := c.Request.Context(), requestOf(c.Request.Context()).caller
	a, err := s.event(ctx, caller, c.Param("cid"))
	if err != nil {
		s.pageProblem(c, err)
		return
	}
	ev := a.Event
	view := web.Event{Page: s.page(ctx, ev.Type), EventRow: eventRow(ev), Log: ev.Log, Org: ev.Org, OrgSeq: ev.OrgSeq, Seq: ev.Seq, Artifact: ev.Artifact}
	for _, d := range a.Disclosures {
		view.Disclosures = append(view.Disclosures, web.Disclosure{Name: d.Name, Value: d.Value})
	}
	for _, r := range a.Explanation {
		view.Reasons = append(view.Reasons, web.Reason{Code: string(r.Code), Meaning: r.Detail})
	}
	s.show(c, http.StatusOK, view)
}

func (s *server) pageReceipt(c *gin.Context) {
	name, file, err := s.receipt(c.Request.Context(), requestOf(c.Request.Context()).caller, c.Param("cid"), false)
	if err != nil {
		s.pageProblem(c, err)
		return
	}
	c.Header("Content-Disposition", name)
	c.Data(http.StatusOK, "application/json", file)
}
