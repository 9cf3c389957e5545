package registry

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/registry/pki"
)

// NewEnrolment is the input of Enrol.
type NewEnrolment struct {
	Org         string // id or name
	Name        string // that the agent shall have
	Token       string // of its workload; "" = Presented speaks for it
	JWK         json.RawMessage
	Possession  string // agent-pop+jwt by that key, for this registry, org and name
	NextKeyHash string
	Presented   []*x509.Certificate // what the TLS client proved possession of, its leaf first
}

// Enrolment says which workload an agent is.
type Enrolment struct {
	Org      string    `json:"org"`
	Issuer   string    `json:"issuer"` // WorkloadIssuer.Name, or x509: the roots of the org
	Subject  string    `json:"subject"`
	Instance string    `json:"instance,omitempty"` // Workload.Instance
	Agent    string    `json:"agent"`
	DID      string    `json:"did"`
	Created  time.Time `json:"created"`
}

// issuerX509 is the issuer of what the org's own CAs certify.
const issuerX509 = "x509"

// voucher is what the org's own IAM says, verified.
type voucher struct {
	Workload
	kind, issuer string
	source       string // id of the workload issuer, "" for roots
	evidence     string // digest of token or certificate
	rules        []EnrolmentRule
	by           []string // who wrote them
	certificate  *pki.Certificate
}

// Enrol registers an agent on the word of its org's own IAM: a token of an issuer
// that the org enrolled, or a certificate below one of its roots, beside the
// agent's own proof of its key. A rule says what it may be and who answers for it.
// Nobody needs a credential for it, so nothing is looked up that a request has not
// earned.
func (r *Registry) Enrol(ctx context.Context, call Call, in NewEnrolment) (Outcome[Agent], error) {
	var none Outcome[Agent]
	if in.Org == "" {
		return none, Invalid("/org", "is required")
	}
	shape := NewAgent{Org: in.Org, Name: in.Name, JWK: in.JWK, Possession: in.Possession, NextKeyHash: in.NextKeyHash}
	if err := shape.check(); err != nil {
		return none, err
	}
	key, err := parseKey(in.JWK)
	if err != nil {
		return none, err
	}
	var org Org
	if err := r.Store.View(ctx, func(tx Tx) (err error) {
		org, err = findOrg(tx, Caller{Roles: []Role{RoleOperator}}, in.Org)
		return err
	}); err != nil {
		return none, stranger(err)
	}
	// The agent's own key before anybody else is asked.
	if err := r.checkPossession(in.Possession, in.Name, org, key); err != nil {
		return none, err
	}
	v, err := r.vouch(ctx, org, in)
	if err != nil {
		return none, err
	}
	if v.Thumbprint != "" && v.Thumbprint != key.Thumbprint() {
		return none, &Error{Kind: Unauthenticated, Code: "token_bound", Field: "/jwk", Detail: "the token is bound to another key"}
	}
	n := slices.IndexFunc(v.rules, func(rule EnrolmentRule) bool { return rule.matches(v.Subject, v.Attributes) })
	if n < 0 {
		return none, &Error{Kind: Denied, Code: "no_rule", Detail: "the org has no rule for this workload"}
	}
	template := v.rules[n].Agent
	if !strings.HasPrefix(in.Name, template.NamePrefix) {
		return none, Invalid("/name", "must begin with %q", template.NamePrefix)
	}
	shape.Sponsor, shape.Role, shape.Domains, shape.Workflows, shape.AuthorityLevel =
		template.Sponsor, template.Role, template.Domains, template.Workflows, template.AuthorityLevel
	// The rule's sponsor registers it, as far as rights go.
	registrar := Caller{Actor: Actor{ActorPrincipal, template.Sponsor}, Org: org.ID, Roles: []Role{RoleRegistrar}}
	newcomer, err := r.readAgent(ctx, registrar, shape)
	if err != nil {
		return none, err
	}
	// Whoever may not approve what they answer for may not have a rule do it.
	approve := template.Approve && !(org.Policy.SeparateDuties && v.by[n] == template.Sponsor)
	if approve {
		newcomer.agent.Status = AgentActive
	}
	enrolled, err := v.enrolled(newcomer.agent, n, approve)
	if err != nil {
		return none, err
	}
	return commitDraft(ctx, r, call, false, func(tx Tx) (Agent, Draft, error) {
		if err := r.stillVouched(tx, org, v); err != nil {
			return Agent{}, Draft{}, err
		}
		if err := spend(tx, v, r.now()); err != nil {
			return Agent{}, Draft{}, err
		}
		if err := unenrolled(tx, org, v); err != nil {
			return Agent{}, Draft{}, err
		}
		a, d, err := r.register(tx, *newcomer)
		if err != nil {
			return Agent{}, Draft{}, err
		}
		e := Enrolment{Org: org.ID, Issuer: v.issuer, Subject: v.Subject, Instance: v.Instance, Agent: a.ID, DID: a.DID, Created: a.Created}
		if err := tx.InsertEnrolment(e); err != nil {
			return Agent{}, Draft{}, err
		}
		d.Events = append(d.Events, enrolled)
		if ev, err := v.certify(tx, a, newcomer.key.Thumbprint(), r.now()); err != nil {
			return Agent{}, Draft{}, err
		} else if ev != nil {
			d.Events = append(d.Events, *ev)
		}
		for i := range d.Events {
			d.Events[i].Actor = Actor{ActorAgent, a.ID}
		}
		if approve {
			if err := errors.Join(r.stands(tx, a), tx.BumpEpoch(Scope{ScopeAgent, a.ID})); err != nil {
				return Agent{}, Draft{}, err
			}
			d.Events = append(d.Events, EventDraft{Type: EventAgentApproved, Org: a.Org, Agent: a.ID, Actor: Actor{ActorRegistry, a.Org},
				Body: AgentStatusChanged{a.DID, AgentActive, "enrolment-rule"}})
		}
		return a, d, nil
	})
}

// stranger answers alike for orgs that are not there and those that enrol nobody
// in this way.
func stranger(err error) error {
	if errors.Is(err, NotFound) {
		return &Error{Kind: Unauthenticated, Code: "unknown_issuer", Detail: "there is no such org, or it enrols nobody with this"}
	}
	return err
}

// vouch verifies what the org's own IAM says of the caller.
func (r *Registry) vouch(ctx context.Context, org Org, in NewEnrolment) (voucher, error) {
	switch {
	case in.Token != "":
		return r.vouchToken(ctx, org, in.Token)
	case len(in.Presented) > 0:
		return r.vouchCertificate(ctx, org, in.Presented)
	}
	return voucher{}, &Error{Kind: Unauthenticated, Code: "missing_credential", Field: "/token", Detail: "this needs a token of the workload, or a TLS client certificate of the org's own CA"}
}

func (r *Registry) vouchToken(ctx context.Context, org Org, token string) (voucher, error) {
	if r.Workloads == nil {
		return voucher{}, stranger(errNoOrg)
	}
	iss, err := r.Workloads.Issuer(token)
	if err != nil {
		return voucher{}, err
	}
	var issuers []WorkloadIssuer
	err = r.Store.View(ctx, func(tx Tx) (err error) {
		issuers, err = tx.ListWorkloadIssuers(org.ID, Page{Limit: maxIssuers})
		return err
	})
	if err != nil {
		return voucher{}, err
	}
	// Without iss there may be several: one for each SPIFFE trust domain.
	refusal := stranger(errNoOrg)
	for _, i := range issuers {
		if i.Issuer != iss {
			continue
		}
		w, err := r.Workloads.Verify(ctx, i, token)
		if err != nil {
			refusal = err
			continue
		}
		return voucher{Workload: w, kind: i.Kind, issuer: i.Name(), source: i.ID, evidence: w.Digest, rules: i.Rules, by: repeat(i.By, len(i.Rules))}, nil
	}
	return voucher{}, refusal
}

// vouchCertificate believes the roots of this org alone, whatever else the chain
// leads to.
func (r *Registry) vouchCertificate(ctx context.Context, org Org, presented []*x509.Certificate) (voucher, error) {
	var enrolled []EnterpriseRoot
	err := r.Store.View(ctx, func(tx Tx) (err error) {
		enrolled, err = tx.ListEnterpriseRoots(org.ID, Page{Limit: maxRoots})
		return err
	})
	if err == nil && len(enrolled) == 0 {
		err = stranger(errNoOrg)
	}
	if err != nil {
		return voucher{}, err
	}
	c, err := verifyEnterprise(presented, enrolled, r.now())
	if err != nil {
		return voucher{}, err
	}
	id, err := c.Identity()
	if err != nil {
		return voucher{}, refusedPresented(err)
	}
	v := voucher{
		Workload: Workload{Subject: id.Kind + ":" + id.Value, Attributes: map[string]string{"kind": id.Kind, "value": id.Value}},
		kind:     issuerX509, issuer: issuerX509, evidence: c.Digest, certificate: &c,
	}
	for _, root := range enrolled {
		if slices.Contains(c.Roots, root.Digest) {
			v.rules, v.by = append(v.rules, root.Rules...), append(v.by, repeat(root.By, len(root.Rules))...)
		}
	}
	return v, nil
}

func repeat(s string, n int) []string { return slices.Repeat([]string{s}, n) }

// stillVouched: what vouched may have been removed since.
func (r *Registry) stillVouched(tx Tx, org Org, v voucher) (err error) {
	if v.source != "" {
		_, err = tx.WorkloadIssuer(v.source)
		return stranger(err)
	}
	for _, digest := range v.certificate.Roots {
		root, err := tx.EnterpriseRoot(digest)
		if err == nil && root.Org != org.ID {
			err = errNoOrg
		}
		if err != nil {
			return stranger(err)
		}
	}
	return nil
}

// spend uses a token up.
func spend(tx Tx, v voucher, now time.Time) error {
	if v.Digest == "" {
		return nil
	}
	err := tx.SpendToken(v.Digest, v.Expires, now)
	if errors.Is(err, Conflict) {
		return &Error{Kind: Unauthenticated, Code: "token_spent", Field: "/token", Detail: "the token was used before: get another", Err: err}
	}
	return err
}

// unenrolled refuses a workload that is an agent already, revoked ones too: nobody comes
// back by enrolling again.
func unenrolled(tx Tx, org Org, v voucher) error {
	e, err := tx.Enrolment(org.ID, v.issuer, v.Subject)
	switch {
	case errors.Is(err, NotFound):
		return nil
	case err != nil:
		return err
	case e.Instance != v.Instance:
		return &Error{Kind: Conflict, Code: "another_instance", Detail: "a workload of this name, which was another one, is enrolled as " + e.DID}
	}
	return &Error{Kind: Conflict, Code: "already_enrolled", Detail: "the workload is enrolled as " + e.DID}
}

// enrolled drafts the event that says who vouched for the agent. Issuer and subject
// are names of the org's own: the event commits to them.
func (v voucher) enrolled(a Agent, rule int, approve bool) (EventDraft, error) {
	issuer, issuerIs, err := canon.Commit("issuer", v.issuer)
	if err != nil {
		return EventDraft{}, err
	}
	subject, subjectIs, err := canon.Commit("subject", v.Subject)
	if err != nil {
		return EventDraft{}, err
	}
	rules, err := digestOf(v.rules)
	return EventDraft{Type: EventAgentEnrolled, Org: a.Org, Agent: a.ID, Disclosures: []canon.Disclosure{issuer, subject}, Body: AgentEnrolled{
		DID: a.DID, Kind: v.kind, Issuer: v.source, Evidence: v.evidence, Rules: rules, Rule: rule, Approved: approve,
		Commitments: map[string]string{"issuer": issuerIs, "subject": subjectIs},
	}}, err
}

// certify believes the enterprise's certificate as the agent's own from here on,
// where it holds the agent's key.
func (v voucher) certify(tx Tx, a Agent, thumbprint string, now time.Time) (*EventDraft, error) {
	if v.certificate == nil || v.certificate.Key.Thumbprint() != thumbprint {
		return nil, nil
	}
	x := v.certificate
	c := Certificate{
		ID: NewID(), Digest: x.Digest, Serial: x.Serial, Kind: CertificateEnterprise, Org: a.Org, Agent: a.ID, Names: nonNil(x.URIs), Thumbprint: thumbprint,
		NotBefore: x.NotBefore.UTC(), NotAfter: x.NotAfter.UTC(), Status: CertificateActive, Created: now,
	}
	ev, err := issued(c, x.Roots[0])
	return ev, errors.Join(err, tx.InsertCertificate(c))
}

// verifyEnterprise verifies a chain up to an org's own roots.
func verifyEnterprise(presented []*x509.Certificate, enrolled []EnterpriseRoot, now time.Time) (pki.Certificate, error) {
	trusted := make([]*x509.Certificate, len(enrolled))
	for i, root := range enrolled {
		list, err := pki.ParseCertificates([]byte(root.PEM))
		if err != nil {
			return pki.Certificate{}, err
		}
		trusted[i] = list[0]
	}
	roots, err := pki.NewRoots(trusted...)
	if err != nil {
		return pki.Certificate{}, err
	}
	c, err := pki.Verify(presented, roots, now)
	return c, refusedPresented(err)
}

// refusedPresented says what is wrong with a certificate that a client presented.
func refusedPresented(err error) error {
	var e *pki.Error
	if errors.As(err, &e) {
		return refusedCertificate("certificate_"+string(e.Code), e.Detail, err)
	}
	return err
}
