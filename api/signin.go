package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/web"
)

// SignIn signs people in to the pages by the issuer of their org.
// *signin.RelyingParty is one.
//
// Begin returns where to send the browser, and a secret that it brings back with the
// answer. Finish spends it and returns the secret of a session. Visit says whose a
// session is and what they may do now; Unauthenticated: it is over. Leave ends it, and
// returns where to end the one at the issuer, "" where that is not known. Safe for
// concurrent use.
type SignIn interface {
	Begin(ctx context.Context, org, issuer string) (redirect, flow string, err error)
	Finish(ctx context.Context, trace, flow string, answer url.Values) (session string, err error)
	Visit(ctx context.Context, trace, session string) (registry.Visit, error)
	Leave(ctx context.Context, trace, session string) (logout string, err error)
}

// Where issuers send people back to, after signing in and after signing out, under
// the registry's origin.
const (
	CallbackPath  = "/ui/oidc/callback"
	SignedOutPath = "/ui/signed-out"
)

// flowAge is how long the browser keeps the cookie of a sign-in under way.
const flowAge = 10 * time.Minute

func (s *server) routeSignIn(e *gin.Engine) {
	e.GET("/ui/login", s.pageLogin)
	e.GET("/ui/login/token", s.visitor, s.pageEntered)
	e.GET("/ui/login/oidc/:org", s.beginSignIn)
	e.GET(CallbackPath, s.finishSignIn)
	e.GET(SignedOutPath, s.pageSignedOut)
	e.GET("/ui/account", s.visitor, s.pageAccount)
	forms := e.Group("/ui", s.limit, s.visitor, s.ownForm)
	forms.POST("/logout", s.signOut)
	forms.POST("/account/credential", s.newCredential)
	forms.POST("/account/session", s.endOwnSession)
}

// cookie names one of ours. Under https the prefix __Host- keeps other hosts of the
// domain, and plain http, from setting it (RFC 6265bis section 4.1.3.2).
func (s *server) cookie(name string) string {
	if s.overTLS() {
		return "__Host-writ-" + name
	}
	return "writ-" + name
}

func (s *server) overTLS() bool { return strings.HasPrefix(s.Registry.Origin, "https://") }

// setCookie keeps a secret in the browser: for this host, not for script, and not for
// requests that other sites make except where a person follows a link. age 0 = until
// the browser ends, below 0 = away with it.
func (s *server) setCookie(c *gin.Context, name, value string, age time.Duration) {
	seconds := int(age / time.Second)
	if age < 0 {
		seconds = -1 // of which net/http makes Max-Age=0; its 0 would leave the attribute out
	}
	http.SetCookie(c.Writer, &http.Cookie{
		Name: s.cookie(name), Value: value, Path: "/", MaxAge: seconds, HttpOnly: true, Secure: s.overTLS(), SameSite: http.SameSiteLaxMode,
	})
}

// secretIn reads one of our cookies; "" where there is none, or more than one.
func (s *server) secretIn(r *http.Request, name string) string {
	all := r.CookiesNamed(s.cookie(name))
	if len(all) != 1 || !printable(all[0].Value, 128) {
		return ""
	}
	return all[0].Value
}

// pageLogin offers the sign-in of an org, or, where people cannot sign in by an issuer,
// asks for a credential.
func (s *server) pageLogin(c *gin.Context) {
	if s.SignIn == nil {
		s.visitor(c)
		if !c.IsAborted() {
			s.pageEntered(c)
		}
		return
	}
	view := web.Login{Page: s.page(c.Request.Context(), "Sign in"), Org: c.Query("org")}
	if view.Org != "" {
		if len(view.Org) > 64 {
			view.Org = view.Org[:64]
		}
		list, err := s.Registry.IssuersOf(c.Request.Context(), view.Org)
		if err != nil {
			s.pageProblem(c, err)
			return
		}
		for _, i := range list {
			view.Issuers = append(view.Issuers, web.Issuer{ID: i.ID, URL: i.URL})
		}
	}
	s.show(c, http.StatusOK, view)
}

func (s *server) pageEntered(c *gin.Context) { c.Redirect(http.StatusSeeOther, "/ui/") }

func (s *server) beginSignIn(c *gin.Context) {
	err := s.mayTry(c)
	var redirect, flow string
	if err == nil {
		// Each sign-in that is begun costs as a failure does: nobody fills our memory.
		s.budget.spend(network(c.Request), s.Now())
		redirect, flow, err = s.SignIn.Begin(c.Request.Context(), c.Param("org"), c.Query("issuer"))
	}
	if err != nil {
		s.pageProblem(c, err)
		return
	}
	s.setCookie(c, "flow", flow, flowAge)
	c.Redirect(http.StatusSeeOther, redirect)
}

// mayTry refuses where nobody signs in by an issuer, and who failed too often.
func (s *server) mayTry(c *gin.Context) error {
	if s.SignIn == nil {
		return registry.Errorf(registry.NotFound, "no such resource")
	}
	return s.withinBudget(c)
}

func (s *server) finishSignIn(c *gin.Context) {
	r := requestOf(c.Request.Context())
	err := s.mayTry(c)
	var answer url.Values
	if err == nil {
		answer, err = queryOf(c.Request)
	}
	var session string
	if err == nil {
		s.setCookie(c, "flow", "", -1)
		session, err = s.SignIn.Finish(c.Request.Context(), r.trace, s.secretIn(c.Request, "flow"), answer)
	}
	if err != nil {
		s.charge(c, err)
		s.pageProblem(c, err)
		return
	}
	if old := s.secretIn(c.Request, "session"); old != "" { // of whoever used this browser before
		_, _ = s.SignIn.Leave(c.Request.Context(), r.trace, old)
	}
	s.setCookie(c, "session", session, 0)
	c.Redirect(http.StatusSeeOther, "/ui/")
}

// visit lets the human of a session pass; false where the browser brings none.
func (s *server) visit(c *gin.Context) (bool, error) {
	secret := s.secretIn(c.Request, "session")
	if s.SignIn == nil || secret == "" {
		return false, nil
	}
	if err := s.withinBudget(c); err != nil {
		return true, err
	}
	ctx := c.Request.Context()
	r := requestOf(ctx)
	v, err := s.SignIn.Visit(ctx, r.trace, secret)
	if errors.Is(err, registry.Unauthenticated) {
		s.setCookie(c, "session", "", -1)
	}
	if err != nil {
		return true, err
	}
	r.caller, r.visit, r.form = v.Caller, &v, formToken(secret)
	return true, s.withinQuota(c, r.caller)
}

// formToken is what a form of the session has in it and another site cannot know.
func formToken(session string) string {
	sum := sha256.Sum256([]byte("writ form " + session))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// ownForm lets only forms of our own pages pass, in a session: by what the browser says
// of where the request comes from, and by the form's token.
func (s *server) ownForm(c *gin.Context) {
	r := requestOf(c.Request.Context())
	guard := http.NewCrossOriginProtection()
	err := guard.AddTrustedOrigin(s.Registry.Origin)
	if err == nil {
		err = guard.Check(c.Request)
	}
	if r.visit == nil || err != nil || subtle.ConstantTimeCompare([]byte(c.PostForm("form")), []byte(r.form)) != 1 {
		s.pageProblem(c, registry.Errorf(registry.Denied, "This form is not of your session. Go back, load the page again, and try once more."))
	}
}

func (s *server) signOut(c *gin.Context) {
	ctx := c.Request.Context()
	r := requestOf(ctx)
	logout, err := s.SignIn.Leave(ctx, r.trace, s.secretIn(c.Request, "session"))
	if err != nil {
		s.pageProblem(c, err)
		return
	}
	s.setCookie(c, "session", "", -1)
	r.visit, r.form, r.org = nil, "", ""
	// A link, not a redirect: form-action of the page that sent the form would hold a
	// redirect to the issuer back.
	s.show(c, http.StatusOK, web.SignedOut{Page: s.page(ctx, "Signed out"), Issuer: logout})
}

func (s *server) pageSignedOut(c *gin.Context) {
	s.show(c, http.StatusOK, web.SignedOut{Page: s.page(c.Request.Context(), "Signed out")})
}

// pageAccount shows people who they are here.
func (s *server) pageAccount(c *gin.Context) { s.account(c, "") }

func (s *server) account(c *gin.Context, secret string) {
	ctx := c.Request.Context()
	r := requestOf(ctx)
	view := web.Account{Page: s.page(ctx, "Your account"), ID: r.caller.ID, Secret: secret}
	p, err := s.Registry.Self(ctx, r.caller)
	var credentials []registry.Credential
	if err == nil {
		credentials, err = s.Registry.ListCredentials(ctx, r.caller, r.caller.Actor)
	}
	var sessions []registry.Session
	if err == nil {
		sessions, err = s.Registry.ListSessions(ctx, r.caller, r.caller.ID)
	}
	if err != nil {
		s.pageProblem(c, err)
		return
	}
	view.Name, view.Issuer, view.Subject = p.DisplayName, p.Issuer, p.Subject
	for _, role := range p.Roles {
		view.Roles = append(view.Roles, string(role))
	}
	for _, role := range p.GroupRoles {
		view.GroupRoles = append(view.GroupRoles, string(role))
	}
	for _, k := range credentials {
		view.Credentials = append(view.Credentials, web.Credential{Hint: k.Hint, Created: k.Created, Expires: k.Expires})
	}
	for _, v := range sessions {
		view.Sessions = append(view.Sessions, web.Session{ID: v.ID, Created: v.Created, Seen: v.Seen, Expires: v.Expires, This: r.visit != nil && r.visit.Session.ID == v.ID})
	}
	s.show(c, http.StatusOK, view)
}

// newCredential gives the human of the session a credential for the API.
func (s *server) newCredential(c *gin.Context) {
	r := requestOf(c.Request.Context())
	out, err := s.Registry.RotateCredential(c.Request.Context(), r.call(), r.caller.Actor, 0)
	if err != nil {
		s.pageProblem(c, err)
		return
	}
	s.account(c, out.Secret)
}

func (s *server) endOwnSession(c *gin.Context) {
	r := requestOf(c.Request.Context())
	if _, err := s.Registry.EndSessions(c.Request.Context(), r.call(), r.caller.ID, c.PostForm("session")); err != nil {
		s.pageProblem(c, err)
		return
	}
	c.Redirect(http.StatusSeeOther, "/ui/account")
}
