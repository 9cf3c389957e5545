package registry

import (
	"context"
	"errors"
	"net/textproto"
	"slices"
	"strings"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/writ-registry/writ/internal/route"
)

// PEPRoutes says which acts the requests are that a proxy asks about for an enforcement
// point, and which credential the proxy is given for those that are permitted. The agent
// never holds that.
type PEPRoutes struct {
	PEP     string      `json:"pep"`
	Table   route.Table `json:"table"`
	Digest  string      `json:"digest"`           // of Table
	Header  string      `json:"header,omitempty"` // of the credential, such as Authorization; "" = none is given
	Updated time.Time   `json:"updated"`
}

// NewPEPRoutes is the input of SetPEPRoutes.
type NewPEPRoutes struct {
	PEP        string
	Table      route.Table
	Header     string  // of the credential; "" = Authorization
	Credential *string // the whole value of that header; "" = none, nil = the one there is
}

// SetPEPRoutes replaces an enforcement point's table. A policy author may: the table
// decides what is asked about, as the catalogue decides what that is worth.
func (r *Registry) SetPEPRoutes(ctx context.Context, call Call, in NewPEPRoutes) (Outcome[PEPRoutes], error) {
	var none Outcome[PEPRoutes]
	if _, err := in.Table.Compile(); err != nil {
		var e *route.Error
		if errors.As(err, &e) {
			err = Invalid(e.Field, "%s", e.Detail)
		}
		return none, err
	}
	digest, err := in.Table.Digest()
	if err != nil {
		return none, Invalid("/routes", "are not UTF-8")
	}
	if in.Header == "" {
		in.Header = "Authorization"
	}
	if err := checkInjected(in); err != nil {
		return none, err
	}
	if in.Credential != nil && *in.Credential != "" && r.Sealer == nil {
		return none, Errorf(Conflict, "this registry keeps no secrets")
	}
	return commit(ctx, r, call, false, func(tx Tx) (PEPRoutes, *EventDraft, error) {
		p, err := governedPEP(tx, call.Caller, in.PEP, RolePolicyAuthor)
		if err != nil {
			return PEPRoutes{}, nil, err
		}
		if !slices.Contains(p.Resources, in.Table.Audience) {
			return PEPRoutes{}, nil, Invalid("/audience", "must be one of the enforcement point's resources")
		}
		_, secret, err := tx.PEPRoutes(p.ID)
		if err != nil && !errors.Is(err, NotFound) {
			return PEPRoutes{}, nil, err
		}
		if in.Credential != nil {
			secret = ""
			if *in.Credential != "" {
				secret = r.Sealer.Seal([]byte(*in.Credential), sealedRoutes(p.ID))
			}
		}
		out := PEPRoutes{PEP: p.ID, Table: in.Table, Digest: digest, Updated: r.now()}
		if secret != "" {
			out.Header = in.Header
		}
		return out, &EventDraft{Type: EventPEPRoutesSet, Org: p.Org, Body: PEPRoutesSet{p.ID, digest, secret != ""}},
			errors.Join(tx.PutPEPRoutes(out, secret), tx.BumpEpoch(Scope{ScopeOrg, p.Org}))
	})
}

func sealedRoutes(pep string) string { return "credential of enforcement point " + pep }

// checkInjected refuses a header field that is no credential's, and a value that is
// none's.
func checkInjected(in NewPEPRoutes) error {
	name := textproto.CanonicalMIMEHeaderKey(in.Header)
	hop := []string{"Connection", "Content-Length", "Content-Type", "Host", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Set-Cookie", "Www-Authenticate"}
	if name != in.Header || checkWord("", strings.ToLower(name)) != nil || slices.Contains(hop, name) {
		return Invalid("/header", "must be the name of a header field that holds a credential, such as Authorization or X-Api-Key")
	}
	if in.Credential != nil && (len(*in.Credential) > 4096 || slices.ContainsFunc([]byte(*in.Credential), func(c byte) bool { return c < 0x20 || c > 0x7e })) {
		return Invalid("/credential", "must be at most 4096 printable ASCII characters")
	}
	return nil
}

// FindPEPRoutes returns an enforcement point's table, without the credential.
func (r *Registry) FindPEPRoutes(ctx context.Context, c Caller, pep string) (out PEPRoutes, err error) {
	if err := checkID("/pep", pep); err != nil {
		return out, err
	}
	err = r.Store.View(ctx, func(tx Tx) error {
		p, err := tx.PEP(pep)
		if err == nil && c.Actor != (Actor{ActorPEP, pep}) {
			err = c.sees(p.Org)
		}
		if err == nil {
			out, _, err = tx.PEPRoutes(pep)
		}
		return hide(err, "enforcement point, or it has no routes")
	})
	return out, err
}

// Injection is a credential for the proxy of an enforcement point.
type Injection struct{ Header, Value string } // "", "" = none

// router is an enforcement point's table, ready for use.
type router struct {
	*route.Router
	inject    Injection
	authority uint64
}

const maxRouters = 1024

func newRouters() *otter.Cache[string, router] {
	return otter.Must(&otter.Options[string, router]{MaximumSize: maxRouters})
}

// RouterOf is the table of an authenticated enforcement point, and the credential that
// its proxy is given with a permit. It is remembered while authority stands, as callers
// are.
func (r *Registry) RouterOf(ctx context.Context, pep PEP) (*route.Router, Injection, error) {
	if t, ok := r.routers.GetIfPresent(pep.ID); ok {
		m, err := r.Store.Moment(ctx, callerAge)
		if err != nil {
			return nil, Injection{}, err
		}
		if m.Authority == t.authority {
			return t.Router, t.inject, nil
		}
	}
	var t router
	err := r.Store.View(ctx, func(tx Tx) error {
		m, err := tx.Moment()
		if err != nil {
			return err
		}
		routes, secret, err := tx.PEPRoutes(pep.ID)
		if err != nil {
			return err
		}
		t.authority = m.Authority
		if t.Router, err = routes.Table.Compile(); err != nil || secret == "" {
			return err
		}
		plain, err := r.Sealer.Open(secret, sealedRoutes(pep.ID))
		t.inject = Injection{routes.Header, string(plain)}
		return err
	})
	if err != nil {
		return nil, Injection{}, err
	}
	r.routers.Set(pep.ID, t)
	return t.Router, t.inject, nil
}
