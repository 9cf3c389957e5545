package registry

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/writ-registry/writ/registry/did"
)

// domainRecord is the prefix of the name whose TXT record shows control of a
// domain.
const domainRecord = "_writ."

// domainPatience bounds the question to DNS.
const domainPatience = 10 * time.Second

// SetDomain gives an org a domain of its own for the DIDs of agents registered from
// here on; "" is the registry's origin again. Its owner may, who shows control of it
// by a TXT record: _writ.DOMAIN = "org=ORG ID". The DIDs that there are stay.
//
// The domain must serve /agents/ of this registry over HTTPS, or resolvers find
// nothing there; that is the org's affair and not checked.
func (r *Registry) SetDomain(ctx context.Context, call Call, orgRef, domain string) (Outcome[Org], error) {
	var none Outcome[Org]
	org, err := r.FindOrg(ctx, call.Caller, orgRef)
	if err == nil {
		err = call.Caller.may(org.ID, RoleOwner)
	}
	if err != nil {
		return none, err
	}
	if domain != "" {
		if err := first(checkDomain(domain), r.provenDomain(ctx, domain, org.ID)); err != nil {
			return none, err
		}
	}
	return commit(ctx, r, call, false, func(tx Tx) (Org, *EventDraft, error) {
		org, err := findOrg(tx, call.Caller, org.ID)
		if err != nil || org.Domain == domain {
			return org, nil, err
		}
		org.Domain = domain
		return org, &EventDraft{Type: EventOrgDomainSet, Org: org.ID, Body: OrgDomainSet{domain}},
			errors.Join(tx.UpdateOrg(org), tx.BumpEpoch(Scope{ScopeOrg, org.ID}))
	})
}

// checkDomain refuses all but a lower-case host name of two labels or more.
func checkDomain(domain string) error {
	_, err := did.Web("https://" + domain)
	if err != nil || len(domain) > 253 || !strings.Contains(domain, ".") || strings.ContainsAny(domain, ":/%") || strings.ToLower(domain) != domain {
		return Invalid("/domain", "must be a host name in lower case, such as agents.acme.example")
	}
	return nil
}

// provenDomain asks DNS. Not to know is no proof.
func (r *Registry) provenDomain(ctx context.Context, domain, org string) error {
	if r.LookupTXT == nil {
		return Errorf(Unavailable, "this registry asks no DNS")
	}
	ctx, cancel := context.WithTimeout(ctx, domainPatience)
	defer cancel()
	want := "org=" + org
	records, err := r.LookupTXT(ctx, domainRecord+domain)
	if err != nil || !slices.Contains(records, want) {
		return &Error{Kind: Denied, Code: "domain_not_proven", Field: "/domain", Detail: "there is no TXT record " + domainRecord + domain + " with the text " + want, Err: err}
	}
	return nil
}

// originFor is the origin that DIDs of an org's new agents are at.
func (r *Registry) originFor(org Org) string {
	if org.Domain != "" {
		return "https://" + org.Domain
	}
	return r.Origin
}
