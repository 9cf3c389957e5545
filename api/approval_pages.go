package api

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/capability"
	"github.com/writ-registry/writ/web"
)

// passkeyCSP is pageCSP for the pages that ask for passkeys: by one script of our own.
const passkeyCSP = pageCSP + "; script-src 'self'"

func (s *server) routeApprovalPages(e *gin.Engine) {
	e.GET("/ui/passkey.js", func(c *gin.Context) {
		c.Header("Cache-Control", "public, max-age=300")
		c.Data(http.StatusOK, "text/javascript; charset=utf-8", web.Script)
	})
	ui := e.Group("/ui/approvals", s.visitor, s.entitledVisitor)
	ui.GET("", s.pageApprovals)
	ui.GET("/:id", s.pageApproval)
	forms := e.Group("/ui/approvals", s.limit, s.visitor, s.entitledVisitor, s.ownForm)
	forms.POST("/passkey", s.addPasskey)
	forms.POST("/:id", s.formAnswer)
}

// showScripted shows a page that asks for passkeys.
func (s *server) showScripted(c *gin.Context, view any) {
	s.show(c, http.StatusOK, view, passkeyCSP)
}

// pageApprovals lists what waits for humans, and what the visitor signs with.
func (s *server) pageApprovals(c *gin.Context) {
	ctx := c.Request.Context()
	caller := requestOf(ctx).caller
	view := web.Approvals{Page: s.page(ctx, "Approvals")}
	view.Script = true
	list, err := s.Registry.ListApprovals(ctx, caller, "", registry.ApprovalPending, registry.Page{Limit: registry.MaxPage})
	var mine []registry.Authenticator
	if err == nil {
		mine, err = s.Registry.ListAuthenticators(ctx, caller, caller.ID)
	}
	var p registry.Principal
	if err == nil {
		p, err = s.Registry.Self(ctx, caller)
	}
	for _, a := range list {
		if a.State != registry.ApprovalPending {
			continue // its time is over
		}
		var st registry.Statement
		if err == nil {
			err = canon.Unmarshal([]byte(a.Statement), &st)
		}
		view.Rows = append(view.Rows, web.ApprovalRow{ID: a.ID, Action: web.Mark(a.Binding.Action), State: string(a.State), Agent: web.Mark(st.Agent.Name), Answers: len(a.Answers), Quorum: a.Rule.Quorum, Until: a.Expires})
	}
	if err != nil {
		s.pageProblem(c, err)
		return
	}
	for _, k := range mine {
		view.Authenticators = append(view.Authenticators, web.Authenticator{Name: k.Name, Kind: k.Kind, State: string(k.State)})
	}
	if challenge, token, err := s.Registry.NewChallenge(caller); err == nil { // else there are no passkeys here
		view.Challenge, view.Token, view.User, view.UserName = challenge, token, caller.ID, p.DisplayName
		if view.UserName == "" {
			view.UserName = caller.ID
		}
	}
	s.showScripted(c, view)
}

func (s *server) addPasskey(c *gin.Context) {
	ctx := c.Request.Context()
	_, err := s.Registry.AddAuthenticator(ctx, requestOf(ctx).call(), registry.NewAuthenticator{
		Name: c.PostForm("name"), Challenge: c.PostForm("challenge"), Response: json.RawMessage(c.PostForm("response")),
	})
	if err != nil {
		s.pageProblem(c, err)
		return
	}
	c.Redirect(http.StatusSeeOther, "/ui/approvals")
}

// pageApproval is rendered from the bytes that are signed.
func (s *server) pageApproval(c *gin.Context) {
	ctx := c.Request.Context()
	caller := requestOf(ctx).caller
	glass := c.Query("break_glass") == "true"
	a, err := s.Registry.FindApproval(ctx, caller, c.Param("id"))
	var form []byte
	var digest string
	if err == nil {
		form, digest, err = a.StatementOf(glass)
	}
	var st registry.Statement
	if err == nil {
		err = canon.Unmarshal(form, &st)
	}
	var keys string
	if err == nil {
		keys, err = s.passkeysOf(ctx, caller)
	}
	if err != nil {
		s.pageProblem(c, err)
		return
	}
	view := web.Approval{
		Page: s.page(ctx, "Approval"), ID: st.Approval, State: string(a.State), Action: web.Mark(st.Binding.Action), Reversibility: string(st.Reversibility), Audience: st.Binding.Audience,
		DID: st.Agent.DID, Sponsor: st.Agent.Sponsor, Capabilities: st.Capabilities, Role: string(st.Rule.Role),
		Name: web.Mark(st.Agent.Name), Purpose: web.Mark(st.Agent.Purpose), ResourceType: web.Mark(st.Act.Resource.Type), Resource: web.Mark(st.Act.Resource.ID),
		Task: web.Mark(st.Act.Task), Justification: web.Mark(st.Justification), Arguments: web.MarkJSON(st.Act.Arguments), Statement: web.Mark(string(form)),
		Egress: st.Egress, BreakGlass: glass, ReasonRequired: st.Rule.ReasonRequired, Quorum: st.Rule.Quorum, Answered: len(a.Answers), Until: a.Expires,
		Digest: digest, Credentials: keys,
		Open: a.State == registry.ApprovalPending && !slices.ContainsFunc(a.Answers, func(x registry.Answer) bool { return x.Principal == caller.ID }),
	}
	view.Script, view.Odd = true, view.Statement.Odd()
	for _, x := range a.Answers {
		view.Answers = append(view.Answers, web.Answer{Principal: x.Principal, Verdict: x.Verdict, Reason: web.Mark(x.Reason), BreakGlass: x.BreakGlass})
	}
	s.showScripted(c, view)
}

// passkeysOf are the ids of a human's passkeys that count, with spaces between.
func (s *server) passkeysOf(ctx context.Context, c registry.Caller) (string, error) {
	list, err := s.Registry.ListAuthenticators(ctx, c, c.ID)
	var ids []string
	for _, k := range list {
		if k.Kind == registry.AuthenticatorPasskey && k.State == registry.AuthenticatorActive {
			ids = append(ids, k.Handle)
		}
	}
	return strings.Join(ids, " "), err
}

func (s *server) formAnswer(c *gin.Context) {
	ctx := c.Request.Context()
	in := registry.NewAnswer{Verdict: c.PostForm("verdict"), Reason: c.PostForm("reason"), BreakGlass: c.PostForm("break_glass") == "true"}
	if in.Verdict == capability.Approve {
		in.Assertion = json.RawMessage(c.PostForm("assertion"))
	}
	if _, err := s.answer(ctx, requestOf(ctx).call(), c.Param("id"), in); err != nil {
		s.pageProblem(c, err)
		return
	}
	c.Redirect(http.StatusSeeOther, "/ui/approvals/"+c.Param("id"))
}
