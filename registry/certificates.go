package registry

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/registry/did"
	"github.com/writ-registry/writ/registry/pki"
)

// Certifier is the port to the registry's X.509 authority.
//
// Authority returns the one that issues now, renewed where its end is near. Where
// there is none yet it makes one if create is set, durable before it returns; else
// the error is of kind NotFound. It is safe for concurrent use.
type Certifier interface {
	Authority(now time.Time, create bool) (*pki.Authority, error)
}

// CertificateKind says what a certificate names.
type CertificateKind string

const (
	CertificateDID        CertificateKind = "did"        // an agent, by its DIDs
	CertificateSVID       CertificateKind = "svid"       // an agent, by its SPIFFE ID
	CertificatePEP        CertificateKind = "pep"        // an enforcement point
	CertificateEnterprise CertificateKind = "enterprise" // whatever its own CA says; an agent was enrolled with it
)

// CertificateStatus is whether a certificate still stands (its dates are looked at
// apart).
type CertificateStatus string

const (
	CertificateActive  CertificateStatus = "active"
	CertificateRevoked CertificateStatus = "revoked"
)

// Certificate is an X.509 certificate that speaks for an agent or an enforcement
// point. One that is not here, and so not in the log, speaks for nobody.
type Certificate struct {
	ID         string            `json:"id"`     // UUIDv7, for lists
	Digest     string            `json:"digest"` // base64url SHA-256 of the DER
	Serial     string            `json:"serial"` // hexadecimal
	Kind       CertificateKind   `json:"kind"`
	Org        string            `json:"org"`
	Agent      string            `json:"agent,omitempty"`
	PEP        string            `json:"pep,omitempty"`
	Names      []string          `json:"names"`      // URI SANs
	Thumbprint string            `json:"thumbprint"` // RFC 7638, of its key
	NotBefore  time.Time         `json:"not_before"`
	NotAfter   time.Time         `json:"not_after"`
	Status     CertificateStatus `json:"status"`
	Reason     string            `json:"reason,omitempty"`
	Ended      time.Time         `json:"ended,omitzero"` // when it was revoked
	PEM        string            `json:"pem"`            // it and the chain to send with it
	Created    time.Time         `json:"created"`
}

// Owner is the id of the agent or enforcement point.
func (c Certificate) Owner() string { return cmp.Or(c.Agent, c.PEP) }

// NewCertificate is the input of IssueAgentCertificate and IssuePEPCertificate.
type NewCertificate struct {
	CSR      string          // PKCS #10, PEM
	Kind     CertificateKind // of an agent's: did or svid; "" = did
	Lifetime time.Duration   // 0 = pki.DefaultLifetime, at most pki.MaxLifetime
}

func (in NewCertificate) check() error {
	if in.CSR == "" {
		return Invalid("/csr", "is required: a PEM certificate signing request by the key itself")
	}
	if in.Lifetime < 0 || in.Lifetime > pki.MaxLifetime {
		return Invalid("/lifetime", "must be 1 to %d seconds", int(pki.MaxLifetime.Seconds()))
	}
	return nil
}

// IssueAgentCertificate certifies a key for an agent: one of its own keys for its
// DIDs, any for a SPIFFE ID. A registrar may, and the agent itself. The leaf is
// handed out once its event is durable.
func (r *Registry) IssueAgentCertificate(ctx context.Context, call Call, ref string, in NewCertificate) (Outcome[Certificate], error) {
	var none Outcome[Certificate]
	if in.Kind == "" {
		in.Kind = CertificateDID
	}
	if in.Kind != CertificateDID && in.Kind != CertificateSVID {
		return none, Invalid("/kind", "must be did or svid")
	}
	if err := in.check(); err != nil {
		return none, err
	}
	request, err := pki.ParseCSR([]byte(in.CSR))
	if err != nil {
		return none, refusedCSR(err)
	}
	thumbprint := request.Key.Thumbprint()
	find := func(tx Tx) (a Agent, org Org, err error) {
		if a, err = findAgent(tx, ref); err == nil && !call.Caller.is(a.ID) {
			err = call.Caller.may(a.Org, RoleRegistrar)
		}
		if err != nil {
			return Agent{}, org, hide(err, "agent")
		}
		if in.Kind == CertificateDID && !a.Holds(thumbprint, r.now()) {
			return a, org, &Error{Kind: Denied, Code: "foreign_key", Field: "/csr", Detail: "the request's key is none of the agent's that count now"}
		}
		if err := r.stands(tx, a); err != nil {
			return a, org, err
		}
		org, err = tx.Org(a.Org)
		return a, org, err
	}
	var a Agent
	var org Org
	if err := r.Store.View(ctx, func(tx Tx) (err error) { a, org, err = find(tx); return err }); err != nil {
		return none, err
	}
	profile, err := r.profile(in.Kind, a, org)
	if err != nil {
		return none, err
	}
	c, issuer, err := r.sign(ctx, call, in, profile)
	if err != nil {
		return none, err
	}
	c.Org, c.Agent = a.Org, a.ID
	return commit(ctx, r, call, false, func(tx Tx) (Certificate, *EventDraft, error) {
		if _, _, err := find(tx); err != nil { // it may have been stopped since
			return Certificate{}, nil, err
		}
		ev, err := issued(c, issuer)
		return c, ev, errors.Join(err, tx.InsertCertificate(c))
	})
}

// profile says what a certificate of an agent names.
func (r *Registry) profile(kind CertificateKind, a Agent, org Org) (pki.Profile, error) {
	if kind == CertificateSVID {
		if r.TrustDomain == "" {
			return pki.Profile{}, Errorf(Conflict, "this registry has no SPIFFE trust domain")
		}
		id, err := pki.NewSPIFFEID(r.TrustDomain, org.Name, a.ID)
		return pki.SVID(org.Name, a.ID, id), err
	}
	webvh, err := did.Parse(a.DID)
	if err != nil {
		return pki.Profile{}, fmt.Errorf("stored DID: %w", err)
	}
	web, err := did.Parse(a.WebDID)
	if err != nil {
		return pki.Profile{}, fmt.Errorf("stored DID: %w", err)
	}
	return pki.Agent(org.Name, a.ID, webvh, web), nil
}

// IssuePEPCertificate certifies a key for an enforcement point. A registrar may,
// and the enforcement point itself renew the certificate that it called with.
func (r *Registry) IssuePEPCertificate(ctx context.Context, call Call, id string, in NewCertificate) (Outcome[Certificate], error) {
	var none Outcome[Certificate]
	if in.Kind != "" && in.Kind != CertificatePEP {
		return none, Invalid("/kind", "an enforcement point has certificates of one kind")
	}
	in.Kind = CertificatePEP
	if err := first(checkID("/pep", id), in.check()); err != nil {
		return none, err
	}
	request, err := pki.ParseCSR([]byte(in.CSR))
	if err != nil {
		return none, refusedCSR(err)
	}
	var p PEP
	var org Org
	err = r.Store.View(ctx, func(tx Tx) (err error) {
		if p, err = tx.PEP(id); err == nil && !call.Caller.renews(p.ID, request.Key.Thumbprint()) {
			err = call.Caller.may(p.Org, RoleRegistrar)
		}
		if err != nil {
			return hide(err, "enforcement point")
		}
		org, err = tx.Org(p.Org)
		return err
	})
	if err != nil {
		return none, err
	}
	c, issuer, err := r.sign(ctx, call, in, pki.EnforcementPoint(org.Name, p.ID))
	if err != nil {
		return none, err
	}
	c.Org, c.PEP = p.Org, p.ID
	return commit(ctx, r, call, false, func(tx Tx) (Certificate, *EventDraft, error) {
		ev, err := issued(c, issuer)
		return c, ev, errors.Join(err, tx.InsertCertificate(c))
	})
}

// renews reports whether the caller is that enforcement point, with that very key.
func (c Caller) renews(pep, thumbprint string) bool {
	return c.PEP != nil && c.PEP.ID == pep && c.Key == thumbprint
}

// sign makes a leaf that nobody has seen yet, and says which CA signed it.
func (r *Registry) sign(ctx context.Context, call Call, in NewCertificate, p pki.Profile) (Certificate, string, error) {
	authority, err := r.authority(ctx, call)
	if err != nil {
		return Certificate{}, "", err
	}
	p.Lifetime = in.Lifetime
	leaf, err := authority.Issue([]byte(in.CSR), p, r.now())
	if err != nil {
		return Certificate{}, "", refusedCSR(err)
	}
	return Certificate{
		ID: NewID(), Digest: leaf.Digest, Serial: leaf.Serial, Kind: in.Kind, Names: leaf.Names, Thumbprint: leaf.Key.Thumbprint(),
		NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter, Status: CertificateActive, PEM: string(leaf.PEM()), Created: r.now(),
	}, pki.Digest(authority.Chain()[0].Raw), nil
}

// issued drafts the event without which a certificate counts for nothing.
func issued(c Certificate, issuer string) (*EventDraft, error) {
	names, err := canon.Marshal(nonNil(c.Names))
	return &EventDraft{Type: EventCertificateIssued, Org: c.Org, Agent: c.Agent, Body: CertificateIssued{
		Certificate: c.Digest, Serial: c.Serial, Kind: c.Kind, PEP: c.PEP, Issuer: issuer, Names: canon.Digest(names),
		Thumbprint: c.Thumbprint, NotBefore: c.NotBefore.UTC().Format(TimeFormat), NotAfter: c.NotAfter.UTC().Format(TimeFormat),
	}}, err
}

// refusedCSR says whose fault a refusal of package pki is: the request's, or that of
// the authority, which forbids what was asked for.
func refusedCSR(err error) error {
	var e *pki.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code {
	case pki.TooLarge:
		return &Error{Kind: TooLarge, Code: string(e.Code), Field: "/csr", Detail: e.Detail, Err: err}
	case pki.Malformed, pki.BadKey, pki.BadSignature, pki.ForeignName:
		return &Error{Kind: Malformed, Code: string(e.Code), Field: "/csr", Detail: e.Detail, Err: err}
	}
	return &Error{Kind: Conflict, Code: string(e.Code), Detail: "the authority may not issue this: " + e.Detail, Err: err}
}

// authority returns the authority that issues, once the log says which it is.
func (r *Registry) authority(ctx context.Context, call Call) (*pki.Authority, error) {
	if r.Certifier == nil {
		return nil, Errorf(Conflict, "this registry issues no certificates")
	}
	a, err := r.Certifier.Authority(r.now(), true)
	if err != nil {
		return nil, err
	}
	is := CAOpened{
		Root: pki.Digest(a.Root().Raw), Issuing: pki.Digest(a.Chain()[0].Raw), NotAfter: a.NotAfter().UTC().Format(TimeFormat),
	}
	if r.opened.Load() == is {
		return a, nil
	}
	_, err = r.Store.Commit(ctx, Command{Run: func(tx Tx) (Draft, error) {
		house, err := tx.OrgByName(HouseOrg)
		if err != nil {
			return Draft{}, err
		}
		newest, err := tx.ListEvents(EventFilter{Org: house.ID, Type: EventCAOpened, Newest: true, Page: Page{Limit: 1}})
		if err != nil {
			return Draft{}, err
		}
		var artifact struct {
			Body CAOpened `json:"body"`
		}
		for _, e := range newest {
			if err := canon.UnmarshalOpen(e.Artifact, &artifact); err != nil {
				return Draft{}, fmt.Errorf("read %s: %w", EventCAOpened, err)
			}
		}
		if artifact.Body == is {
			return Draft{}, nil
		}
		return Draft{Events: []EventDraft{{Type: EventCAOpened, Org: house.ID, Actor: Actor{ActorRegistry, house.ID}, Trace: call.Trace, Body: is}}}, nil
	}})
	if err != nil {
		return nil, err
	}
	r.opened.Store(is)
	return a, nil
}

// CAChain returns the certificates of the authority, the issuing one first and the
// one that verifiers trust last, for anyone. NotFound: nothing was issued yet.
func (r *Registry) CAChain() ([]*x509.Certificate, error) {
	if r.Certifier == nil {
		return nil, Errorf(NotFound, "this registry issues no certificates")
	}
	a, err := r.Certifier.Authority(r.now(), false)
	if err != nil {
		return nil, err
	}
	return a.Chain(), nil
}

// FindCertificate returns a certificate by its digest.
func (r *Registry) FindCertificate(ctx context.Context, c Caller, digest string) (out Certificate, err error) {
	err = r.Store.View(ctx, func(tx Tx) error {
		out, err = tx.Certificate(digest)
		return err
	})
	if err == nil && out.Owner() != c.ID {
		err = c.sees(out.Org)
	}
	if err != nil {
		return Certificate{}, hide(err, "certificate")
	}
	return out, nil
}

// ListCertificates lists an org's certificates, or those of one agent or
// enforcement point.
func (r *Registry) ListCertificates(ctx context.Context, c Caller, orgRef, owner string, p Page) ([]Certificate, error) {
	if owner != "" {
		if err := checkID("/owner", owner); err != nil {
			return nil, err
		}
	}
	return listIn(ctx, r, c, orgRef, p, func(tx Tx, org string, p Page) ([]Certificate, error) {
		return tx.ListCertificates(CertificateFilter{Org: org, Owner: owner, Page: p})
	})
}

// RevokeCertificate ends a certificate before its time: the registry believes it no
// more from the answer on. A registrar may, and whom it was issued to. Repeating it
// changes nothing.
func (r *Registry) RevokeCertificate(ctx context.Context, call Call, digest, reason string) (Outcome[Certificate], error) {
	if err := checkReason(reason); err != nil {
		return Outcome[Certificate]{}, err
	}
	return commit(ctx, r, call, true, func(tx Tx) (Certificate, *EventDraft, error) {
		c, err := tx.Certificate(digest)
		if err == nil && c.Owner() != call.Caller.ID {
			err = call.Caller.may(c.Org, RoleRegistrar)
		}
		if err != nil {
			return Certificate{}, nil, hide(err, "certificate")
		}
		if c.Status == CertificateRevoked {
			return c, nil, nil
		}
		c.Status, c.Reason, c.Ended = CertificateRevoked, reason, r.now()
		return c, &EventDraft{Type: EventCertificateRevoked, Org: c.Org, Agent: c.Agent, Body: CertificateEnded{c.Digest, c.Serial, c.PEP, reason}},
			tx.UpdateCertificate(c)
	})
}

// AuthenticateCertificate finds the agent or enforcement point that a certificate
// was issued to; presented is what a TLS client proved possession of, its leaf
// first. Nothing is remembered from call to call: a certificate ends with the
// agent's standing, key or its own revocation.
func (r *Registry) AuthenticateCertificate(ctx context.Context, presented []*x509.Certificate) (Caller, error) {
	if len(presented) == 0 {
		return Caller{}, refusedCertificate("unknown_certificate", "no certificate was presented", nil)
	}
	var c Certificate
	var caller Caller
	var roots []EnterpriseRoot
	err := r.Store.View(ctx, func(tx Tx) (err error) {
		if c, err = tx.Certificate(pki.Digest(presented[0].Raw)); err != nil {
			return err
		}
		if c.Kind == CertificateEnterprise {
			if roots, err = tx.ListEnterpriseRoots(c.Org, Page{Limit: maxRoots}); err != nil {
				return err
			}
		}
		caller, err = r.holder(tx, c)
		return err
	})
	var e *Error
	switch {
	case errors.Is(err, NotFound):
		return Caller{}, refusedCertificate("unknown_certificate", "the log holds no issuance of this certificate", nil)
	case errors.As(err, &e) && (e.Kind == Conflict || e.Kind == Revoked): // the agent may not act now
		return Caller{}, refusedCertificate(e.Code, e.Detail, err)
	case err != nil:
		return Caller{}, err
	}
	return caller, r.verifyChain(presented, c, roots)
}

// holder is who a certificate speaks for, if anybody.
func (r *Registry) holder(tx Tx, c Certificate) (Caller, error) {
	if c.Status != CertificateActive {
		return Caller{}, refusedCertificate("certificate_revoked", "the certificate is revoked", nil)
	}
	if c.PEP != "" {
		p, err := tx.PEP(c.PEP)
		return Caller{Actor: Actor{ActorPEP, c.PEP}, Org: p.Org, PEP: &p, Key: c.Thumbprint}, err
	}
	a, err := tx.Agent(c.Agent)
	if err != nil {
		return Caller{}, err
	}
	if !a.Holds(c.Thumbprint, r.now()) {
		return Caller{}, refusedCertificate("foreign_key", "the certificate's key is none of the agent's that count now", nil)
	}
	return Caller{Actor: Actor{ActorAgent, a.ID}, Org: a.Org, Agent: &a, Key: c.Thumbprint}, r.stands(tx, a)
}

// verifyChain verifies a known certificate up to the roots that may speak for its
// holder: the registry's own, or those of the holder's org.
func (r *Registry) verifyChain(presented []*x509.Certificate, c Certificate, enrolled []EnterpriseRoot) error {
	if c.Kind == CertificateEnterprise {
		_, err := verifyEnterprise(presented, enrolled, r.now())
		return err
	}
	chain, err := r.CAChain()
	if err != nil {
		return err
	}
	last := len(chain) - 1
	if len(presented) == 1 { // what is above it is ours to know
		presented = append(slices.Clone(presented), chain[:last]...)
	}
	roots, err := pki.NewRoots(chain[last])
	if err == nil {
		_, err = pki.Verify(presented, roots, r.now())
	}
	return refusedPresented(err)
}

// MatchCertificate refuses a caller, authenticated otherwise, that presents the
// certificate of another, or one that does not stand. A certificate that the
// registry knows nothing of says nothing.
func (r *Registry) MatchCertificate(ctx context.Context, c Caller, presented []*x509.Certificate) error {
	holder, err := r.AuthenticateCertificate(ctx, presented)
	var e *Error
	if errors.As(err, &e) && e.Code == "unknown_certificate" {
		return nil
	}
	if err == nil && holder.Actor != c.Actor {
		err = refusedCertificate("certificate_mismatch", "the certificate and the credential are not of the same caller", nil)
	}
	return err
}

func refusedCertificate(code, detail string, cause error) *Error {
	return &Error{Kind: Unauthenticated, Code: code, Detail: detail, Err: cause}
}

// encodePEM writes certificates as RFC 7468 blocks.
func encodePEM(certificates ...*x509.Certificate) string {
	var b strings.Builder
	for _, c := range certificates {
		b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	return b.String()
}
