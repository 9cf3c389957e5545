package client

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"time"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
)

// Certificate is an X.509 certificate that speaks for an agent or enforcement point.
type Certificate struct {
	ID         string    `json:"id"`
	Digest     string    `json:"digest"` // base64url SHA-256 of the DER
	Serial     string    `json:"serial"`
	Kind       string    `json:"kind"` // did | svid | pep | enterprise
	Org        string    `json:"org"`
	Agent      string    `json:"agent,omitempty"`
	PEP        string    `json:"pep,omitempty"`
	Names      []string  `json:"names"`
	Thumbprint string    `json:"thumbprint"`
	NotBefore  time.Time `json:"not_before"`
	NotAfter   time.Time `json:"not_after"`
	Status     string    `json:"status"` // active | revoked
	Reason     string    `json:"reason,omitempty"`
	PEM        string    `json:"pem"` // it and the chain to send with it
	Created    time.Time `json:"created"`
}

// NewCertificate asks for a certificate.
type NewCertificate struct {
	CSR      string `json:"csr"`                // PKCS #10 in PEM
	Kind     string `json:"kind,omitempty"`     // of an agent's: did or svid; "" = did
	Lifetime int64  `json:"lifetime,omitempty"` // seconds; 0 = 8 hours
}

// IssueAgentCertificate certifies a key for an agent, by id or DID.
func (c *Client) IssueAgentCertificate(ctx context.Context, agent string, in NewCertificate) (Change[Certificate], error) {
	return change[Certificate](ctx, c, http.MethodPost, at("/v1/agents", agent)+"/certificates", "certificate", in)
}

// IssuePEPCertificate certifies a key for an enforcement point.
func (c *Client) IssuePEPCertificate(ctx context.Context, pep string, in NewCertificate) (Change[Certificate], error) {
	return change[Certificate](ctx, c, http.MethodPost, at("/v1/peps", pep)+"/certificates", "certificate", in)
}

// Certificates lists an org's certificates, those of one agent or enforcement point
// if owner is not empty.
func (c *Client) Certificates(ctx context.Context, org, owner string) iter.Seq2[Certificate, error] {
	return list[Certificate](ctx, c, "/v1/certificates", filter("org", org, "owner", owner))
}

// RevokeCertificate ends a certificate, by its digest, before its time.
func (c *Client) RevokeCertificate(ctx context.Context, digest, reason string) (Change[Certificate], error) {
	return change[Certificate](ctx, c, http.MethodPost, at("/v1/certificates", digest)+"/revoke", "certificate", because(reason))
}

// CAChain returns the registry's X.509 authority in PEM: what verifiers trust, or
// with all set every certificate from the one that signs leaves up to it.
func (c *Client) CAChain(ctx context.Context, all bool) ([]byte, error) {
	path := "/ca/root.pem"
	if all {
		path = "/ca/chain.pem"
	}
	a, err := c.do(ctx, request{method: http.MethodGet, path: path, repeatable: true, public: true})
	return a.body, err
}

// EnrolmentRule says what a workload is enrolled as: the first rule that matches.
type EnrolmentRule struct {
	Match []EnrolmentCondition `json:"match"`
	Agent EnrolmentTemplate    `json:"agent"`
}

// EnrolmentCondition compares an attribute of a workload, such as subject.
type EnrolmentCondition struct {
	Attribute string `json:"attribute"`
	Equals    string `json:"equals,omitempty"`
	Prefix    string `json:"prefix,omitempty"` // ends in punctuation
}

// EnrolmentTemplate is what the agents of a rule are approved for.
type EnrolmentTemplate struct {
	NamePrefix     string   `json:"name_prefix,omitempty"`
	Role           string   `json:"role,omitempty"`
	Domains        []string `json:"domains,omitempty"`
	Workflows      []string `json:"workflows,omitempty"`
	AuthorityLevel int      `json:"authority_level,omitempty"`
	Sponsor        string   `json:"sponsor"`
	Approve        bool     `json:"approve,omitempty"`
}

// EnterpriseRoot is a CA of an org that its agents enrol with.
type EnterpriseRoot struct {
	Digest   string          `json:"digest"`
	Org      string          `json:"org"`
	Subject  string          `json:"subject"`
	NotAfter time.Time       `json:"not_after"`
	PEM      string          `json:"pem"`
	Rules    []EnrolmentRule `json:"rules"`
	By       string          `json:"by"`
	Created  time.Time       `json:"created"`
}

// EnrolRoot lets an org's agents enrol with certificates below a CA.
func (c *Client) EnrolRoot(ctx context.Context, org, pem string, rules []EnrolmentRule) (Change[EnterpriseRoot], error) {
	in := map[string]any{"pem": pem, "rules": rules}
	return change[EnterpriseRoot](ctx, c, http.MethodPost, at("/v1/orgs", org)+"/roots", "root", in)
}

// EnterpriseRoots lists an org's CAs.
func (c *Client) EnterpriseRoots(ctx context.Context, org string) iter.Seq2[EnterpriseRoot, error] {
	return list[EnterpriseRoot](ctx, c, at("/v1/orgs", org)+"/roots", nil)
}

// RemoveRoot ends what a CA, by its digest, is believed for.
func (c *Client) RemoveRoot(ctx context.Context, org, digest string) (Change[EnterpriseRoot], error) {
	return change[EnterpriseRoot](ctx, c, http.MethodDelete, at("/v1/orgs", org)+"/roots/"+url.PathEscape(digest), "root", nil)
}

// WorkloadIssuer is an issuer of workload tokens that an org trusts.
type WorkloadIssuer struct {
	ID          string          `json:"id"`
	Org         string          `json:"org"`
	Kind        string          `json:"kind"`
	Issuer      string          `json:"issuer,omitempty"`
	JWKS        string          `json:"jwks,omitempty"`
	TrustDomain string          `json:"trust_domain,omitempty"`
	Audience    string          `json:"audience"`
	Rules       []EnrolmentRule `json:"rules"`
	By          string          `json:"by"`
	Created     time.Time       `json:"created"`
}

// NewWorkloadIssuer is the input of EnrolIssuer.
type NewWorkloadIssuer struct {
	Kind        string          `json:"kind"` // entra | okta | kubernetes | spiffe
	Issuer      string          `json:"issuer,omitempty"`
	JWKS        string          `json:"jwks,omitempty"` // "" = discovered
	TrustDomain string          `json:"trust_domain,omitempty"`
	Audience    string          `json:"audience,omitempty"` // "" = the registry's origin
	Rules       []EnrolmentRule `json:"rules"`
}

// EnrolIssuer lets an org's agents enrol with tokens of an issuer.
func (c *Client) EnrolIssuer(ctx context.Context, org string, in NewWorkloadIssuer) (Change[WorkloadIssuer], error) {
	return change[WorkloadIssuer](ctx, c, http.MethodPost, at("/v1/orgs", org)+"/workload-issuers", "issuer", in)
}

// WorkloadIssuers lists the issuers that an org trusts.
func (c *Client) WorkloadIssuers(ctx context.Context, org string) iter.Seq2[WorkloadIssuer, error] {
	return list[WorkloadIssuer](ctx, c, at("/v1/orgs", org)+"/workload-issuers", nil)
}

// RemoveIssuer ends what an issuer is believed for.
func (c *Client) RemoveIssuer(ctx context.Context, org, id string) (Change[WorkloadIssuer], error) {
	return change[WorkloadIssuer](ctx, c, http.MethodDelete, at("/v1/orgs", org)+"/workload-issuers/"+url.PathEscape(id), "issuer", nil)
}

// NewEnrolment is a workload's request to be an agent.
type NewEnrolment struct {
	Org        string   `json:"org"`
	Name       string   `json:"name"`
	Token      string   `json:"token,omitempty"` // "" = the TLS client certificate of Options.HTTP
	JWK        jose.JWK `json:"jwk"`
	Possession string   `json:"possession"` // AgentKey.ProvePossession
}

// Enrol makes an agent of a workload that its org's own IAM vouches for. It needs no
// credential. An answer that got lost is not asked for again: the token is spent,
// and with another one the *Problem names the agent's DID.
func (c *Client) Enrol(ctx context.Context, in NewEnrolment) (Agent, error) {
	a, err := c.do(ctx, request{method: http.MethodPost, path: "/v1/enrolments", body: in, public: true})
	if err != nil {
		return Agent{}, err
	}
	var out Agent
	return out, member(a.body, "agent", &out)
}

// CSR makes a certificate signing request by the key, in PEM. It asks for no names:
// the registry knows them.
func (k *AgentKey) CSR() (string, error) {
	text, err := k.PEM()
	if err != nil {
		return "", err
	}
	block, _ := pem.Decode(text) // PEM wrote it
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return "", err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})), err
}

// TLSCertificate joins the key with a certificate of it, for TLS.
func (k *AgentKey) TLSCertificate(chain string) (tls.Certificate, error) {
	text, err := k.PEM()
	if err != nil {
		return tls.Certificate{}, err
	}
	pair, err := tls.X509KeyPair([]byte(chain), text)
	if err != nil {
		return pair, fmt.Errorf("certificate of the agent's key: %w", err)
	}
	return pair, nil
}

// Rules reads rules as JSON, strictly.
func Rules(text []byte) (rules []EnrolmentRule, err error) {
	if err := canon.Unmarshal(text, &rules); err != nil {
		return nil, fmt.Errorf("rules: %w", err)
	}
	return rules, nil
}
