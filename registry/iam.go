package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/registry/pki"
)

// How much of its own IAM an org may have believed.
const (
	maxRoots   = 64
	maxIssuers = 64
	maxRules   = 64
)

// EnterpriseRoot is a CA certificate of an org: who holds a certificate below it may
// enrol as an agent of that org, and of no other.
type EnterpriseRoot struct {
	Digest   string          `json:"digest"` // base64url SHA-256 of the DER
	Org      string          `json:"org"`
	Subject  string          `json:"subject"` // for people; digests are compared
	NotAfter time.Time       `json:"not_after"`
	PEM      string          `json:"pem"`
	Rules    []EnrolmentRule `json:"rules"`
	By       string          `json:"by"` // the principal who enrolled it
	Created  time.Time       `json:"created"`
}

// WorkloadIssuer is an issuer of workload tokens that an org trusts to name its
// agents. It belongs to one org.
type WorkloadIssuer struct {
	ID          string          `json:"id"` // UUIDv7
	Org         string          `json:"org"`
	Kind        string          `json:"kind"`             // entra | okta | kubernetes | spiffe
	Issuer      string          `json:"issuer,omitempty"` // iss; "" for SPIFFE without one
	JWKS        string          `json:"jwks,omitempty"`   // where its keys are, if not to be discovered
	TrustDomain string          `json:"trust_domain,omitempty"`
	Audience    string          `json:"audience"` // the one aud of its tokens
	Rules       []EnrolmentRule `json:"rules"`
	By          string          `json:"by"` // the principal who enrolled it
	Created     time.Time       `json:"created"`
}

// Name is what no two issuers share.
func (i WorkloadIssuer) Name() string { return cmp.Or(i.Issuer, "spiffe://"+i.TrustDomain) }

// EnrolmentRule says what a workload is enrolled as. Of the rules of an issuer or
// root the first that matches counts.
type EnrolmentRule struct {
	Match []Condition   `json:"match"` // all must hold
	Agent AgentTemplate `json:"agent"`
}

// Condition compares an attribute of a workload: subject, or one that
// workload.Workload names; of a certificate: kind (uri | dns | serial), value, and
// subject, which is KIND:VALUE.
type Condition struct {
	Attribute string `json:"attribute"`
	Equals    string `json:"equals,omitempty"`
	Prefix    string `json:"prefix,omitempty"` // ends in punctuation: prod: does not match production:
}

// AgentTemplate is what the agents of a rule are approved for.
type AgentTemplate struct {
	NamePrefix     string   `json:"name_prefix,omitempty"` // that the names they choose begin with
	Role           string   `json:"role,omitempty"`
	Domains        []string `json:"domains,omitempty"`
	Workflows      []string `json:"workflows,omitempty"`
	AuthorityLevel int      `json:"authority_level,omitempty"`
	Sponsor        string   `json:"sponsor"`           // who answers for them
	Approve        bool     `json:"approve,omitempty"` // they are active at once
}

// Workload is who a verified token says its bearer is.
type Workload struct {
	Subject    string
	Attributes map[string]string
	Instance   string    // tells the subject from a later one of its name; "" where the issuer never reuses names
	Digest     string    // of what was signed: spent, so that the token enrols once
	Thumbprint string    // of the only key that may present it; "" = any
	Expires    time.Time // of the token
}

// Workloads is the port to the verification of workload tokens. Package
// internal/workload has one. It is safe for concurrent use.
//
// Check refuses a configuration that names no issuer that could be trusted.
// Issuer is the iss of a token, unverified; "" if it has none. Verify asks the
// issuer for its keys only once all else holds. What a token breaks is an *Error
// of kind Unauthenticated; Unavailable says that the issuer could not be asked.
type Workloads interface {
	Check(WorkloadIssuer) error
	Issuer(token string) (string, error)
	Verify(ctx context.Context, by WorkloadIssuer, token string) (Workload, error)
}

// NewEnterpriseRoot is the input of EnrolRoot.
type NewEnterpriseRoot struct {
	PEM   string // one CA certificate
	Rules []EnrolmentRule
}

// EnrolRoot lets an org's agents enrol with certificates below a CA. Its owner may.
func (r *Registry) EnrolRoot(ctx context.Context, call Call, orgRef string, in NewEnterpriseRoot) (Outcome[EnterpriseRoot], error) {
	var none Outcome[EnterpriseRoot]
	list, err := pki.ParseCertificates([]byte(in.PEM))
	if err == nil && len(list) != 1 {
		err = Invalid("/pem", "must be one certificate")
	}
	if err == nil {
		_, err = pki.NewRoots(list...)
	}
	var e *pki.Error
	if errors.As(err, &e) {
		err = &Error{Kind: Malformed, Code: string(e.Code), Field: "/pem", Detail: e.Detail, Err: err}
	}
	if err == nil && !r.now().Before(list[0].NotAfter) {
		err = Invalid("/pem", "the certificate has ended")
	}
	if err == nil {
		err = checkRules(in.Rules)
	}
	if err != nil {
		return none, err
	}
	root := EnterpriseRoot{
		Digest: pki.Digest(list[0].Raw), Subject: list[0].Subject.String(), NotAfter: list[0].NotAfter.UTC(), PEM: encodePEM(list[0]),
		Rules: nonNil(in.Rules), By: call.Caller.ID, Created: r.now(),
	}
	return commit(ctx, r, call, false, func(tx Tx) (EnterpriseRoot, *EventDraft, error) {
		org, err := ownOrg(tx, call.Caller, orgRef)
		if err != nil {
			return EnterpriseRoot{}, nil, err
		}
		root.Org = org.ID
		// The registry's own authority vouches for agents of every org.
		if own, err := r.CAChain(); err == nil && slices.ContainsFunc(own, list[0].Equal) {
			return EnterpriseRoot{}, nil, Invalid("/pem", "is the registry's own authority")
		}
		held, err := tx.ListEnterpriseRoots(org.ID, Page{Limit: maxRoots})
		if err == nil && len(held) == maxRoots {
			err = Errorf(Conflict, "the org has %d roots, as many as it may", maxRoots)
		}
		if err == nil {
			err = checkSponsors(tx, org.ID, root.Rules)
		}
		if err != nil {
			return EnterpriseRoot{}, nil, err
		}
		if err := tx.InsertEnterpriseRoot(root); err != nil {
			return EnterpriseRoot{}, nil, taken(err, "/pem", "an org has this root")
		}
		ev, err := root.changed(EventRootEnrolled)
		return root, ev, err
	})
}

// RemoveRoot ends what certificates below a root are believed for: enrolment, and
// the calls of agents that were enrolled with them.
func (r *Registry) RemoveRoot(ctx context.Context, call Call, orgRef, digest string) (Outcome[EnterpriseRoot], error) {
	return commit(ctx, r, call, true, func(tx Tx) (EnterpriseRoot, *EventDraft, error) {
		org, err := ownOrg(tx, call.Caller, orgRef)
		if err != nil {
			return EnterpriseRoot{}, nil, err
		}
		root, err := tx.EnterpriseRoot(digest)
		if err == nil && root.Org != org.ID {
			err = Errorf(NotFound, "no such root")
		}
		if err != nil {
			return EnterpriseRoot{}, nil, err
		}
		ev, err := root.changed(EventRootRemoved)
		return root, ev, errors.Join(err, tx.DeleteEnterpriseRoot(digest))
	})
}

// ListRoots lists an org's roots, in order of their digests.
func (r *Registry) ListRoots(ctx context.Context, c Caller, orgRef string, p Page) ([]EnterpriseRoot, error) {
	return listIn(ctx, r, c, orgRef, p, Tx.ListEnterpriseRoots)
}

func (root EnterpriseRoot) changed(event string) (*EventDraft, error) {
	rules, err := digestOf(root.Rules)
	return &EventDraft{Type: event, Org: root.Org, Body: RootChanged{root.Digest, rules}}, err
}

// NewWorkloadIssuer is the input of EnrolIssuer.
type NewWorkloadIssuer struct {
	Kind, Issuer, JWKS, TrustDomain string
	Audience                        string // "" = the registry's origin
	Rules                           []EnrolmentRule
}

// EnrolIssuer lets an org's agents enrol with tokens of an issuer. Its owner may.
func (r *Registry) EnrolIssuer(ctx context.Context, call Call, orgRef string, in NewWorkloadIssuer) (Outcome[WorkloadIssuer], error) {
	var none Outcome[WorkloadIssuer]
	if r.Workloads == nil {
		return none, Errorf(Conflict, "this registry believes no tokens of workloads")
	}
	for field, s := range map[string]string{"/issuer": in.Issuer, "/jwks": in.JWKS, "/trust_domain": in.TrustDomain, "/audience": in.Audience} {
		if err := checkText(field, s, maxText, false); err != nil {
			return none, err
		}
	}
	i := WorkloadIssuer{
		ID: NewID(), Kind: in.Kind, Issuer: in.Issuer, JWKS: in.JWKS, TrustDomain: in.TrustDomain, Audience: cmp.Or(in.Audience, r.Origin),
		Rules: nonNil(in.Rules), By: call.Caller.ID, Created: r.now(),
	}
	if err := first(r.Workloads.Check(i), checkRules(in.Rules)); err != nil {
		return none, err
	}
	return commit(ctx, r, call, false, func(tx Tx) (WorkloadIssuer, *EventDraft, error) {
		org, err := ownOrg(tx, call.Caller, orgRef)
		if err != nil {
			return WorkloadIssuer{}, nil, err
		}
		i.Org = org.ID
		held, err := tx.ListWorkloadIssuers(org.ID, Page{Limit: maxIssuers})
		if err == nil && len(held) == maxIssuers {
			err = Errorf(Conflict, "the org has %d issuers, as many as it may", maxIssuers)
		}
		if err == nil {
			err = checkSponsors(tx, org.ID, i.Rules)
		}
		if err != nil {
			return WorkloadIssuer{}, nil, err
		}
		if err := tx.InsertWorkloadIssuer(i); err != nil {
			return WorkloadIssuer{}, nil, taken(err, "/issuer", "an org has this issuer")
		}
		ev, err := i.changed(EventIssuerEnrolled)
		return i, ev, err
	})
}

// RemoveIssuer ends what an issuer is believed for. Agents that it vouched for stay.
func (r *Registry) RemoveIssuer(ctx context.Context, call Call, orgRef, id string) (Outcome[WorkloadIssuer], error) {
	return commit(ctx, r, call, true, func(tx Tx) (WorkloadIssuer, *EventDraft, error) {
		org, err := ownOrg(tx, call.Caller, orgRef)
		if err != nil {
			return WorkloadIssuer{}, nil, err
		}
		i, err := tx.WorkloadIssuer(id)
		if err == nil && i.Org != org.ID {
			err = Errorf(NotFound, "no such workload issuer")
		}
		if err != nil {
			return WorkloadIssuer{}, nil, err
		}
		ev, err := i.changed(EventIssuerRemoved)
		return i, ev, errors.Join(err, tx.DeleteWorkloadIssuer(id))
	})
}

// ListIssuers lists an org's workload issuers.
func (r *Registry) ListIssuers(ctx context.Context, c Caller, orgRef string, p Page) ([]WorkloadIssuer, error) {
	return listIn(ctx, r, c, orgRef, p, Tx.ListWorkloadIssuers)
}

func (i WorkloadIssuer) changed(event string) (*EventDraft, error) {
	config, err := digestOf(i)
	return &EventDraft{Type: event, Org: i.Org, Body: IssuerChanged{i.ID, i.Kind, config}}, err
}

// ownOrg finds an org that the caller owns.
func ownOrg(tx Tx, c Caller, ref string) (Org, error) {
	org, err := findOrg(tx, c, ref)
	if err == nil {
		err = c.may(org.ID, RoleOwner)
	}
	return org, err
}

func taken(err error, field, detail string) error {
	if errors.Is(err, Conflict) {
		return &Error{Kind: Conflict, Code: "taken", Field: field, Detail: detail, Err: err}
	}
	return err
}

// digestOf is the digest of the JCS form.
func digestOf(v any) (string, error) {
	form, err := canon.Marshal(v)
	return canon.Digest(form), err
}

func checkRules(rules []EnrolmentRule) error {
	if len(rules) == 0 || len(rules) > maxRules {
		return Invalid("/rules", "needs 1 to %d rules: without one nobody is enrolled", maxRules)
	}
	for n, rule := range rules {
		at := fmt.Sprintf("/rules/%d", n)
		if len(rule.Match) == 0 || len(rule.Match) > maxList {
			return Invalid(at+"/match", "needs 1 to %d conditions", maxList)
		}
		for m, c := range rule.Match {
			if err := c.check(fmt.Sprintf("%s/match/%d", at, m)); err != nil {
				return err
			}
		}
		if err := rule.Agent.check(at + "/agent"); err != nil {
			return err
		}
	}
	return nil
}

func (c Condition) check(at string) error {
	if err := first(checkWord(at+"/attribute", c.Attribute), checkText(at+"/equals", c.Equals, maxText, false), checkText(at+"/prefix", c.Prefix, maxText, false)); err != nil {
		return err
	}
	if (c.Equals == "") == (c.Prefix == "") {
		return Invalid(at, "needs equals or prefix, one of them")
	}
	// A prefix that ends within a word also matches names that others may choose.
	if last := []rune(c.Prefix); len(last) > 0 && (unicode.IsLetter(last[len(last)-1]) || unicode.IsNumber(last[len(last)-1])) {
		return Invalid(at+"/prefix", "must end in punctuation, such as / or :, so that it ends where a name does")
	}
	return nil
}

func (t AgentTemplate) check(at string) error {
	err := first(checkWords(at+"/domains", t.Domains), checkWords(at+"/workflows", t.Workflows),
		checkLevel(at+"/authority_level", t.AuthorityLevel), checkID(at+"/sponsor", t.Sponsor))
	if err == nil && t.Role != "" {
		err = checkWord(at+"/role", t.Role)
	}
	if err == nil && t.NamePrefix != "" {
		err = checkWord(at+"/name_prefix", t.NamePrefix)
	}
	return err
}

// checkSponsors wants rules to name humans of the org who are there.
func checkSponsors(tx Tx, org string, rules []EnrolmentRule) error {
	for n, rule := range rules {
		p, err := tx.Principal(rule.Agent.Sponsor)
		if errors.Is(err, NotFound) || err == nil && (p.Org != org || p.Status != PrincipalActive) {
			return Invalid(fmt.Sprintf("/rules/%d/agent/sponsor", n), "must be an active principal of the org")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// matches reports whether every condition of the rule holds.
func (rule EnrolmentRule) matches(subject string, attributes map[string]string) bool {
	return !slices.ContainsFunc(rule.Match, func(c Condition) bool {
		value, known := attributes[c.Attribute]
		if c.Attribute == "subject" {
			value, known = subject, true
		}
		return !known || c.Equals != "" && value != c.Equals || !strings.HasPrefix(value, c.Prefix)
	})
}
