package api

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"github.com/writ-registry/writ/registry"
)

func (s *server) routeCertificates() {
	route(s, huma.Operation{OperationID: "issue-agent-certificate", Method: http.MethodPost, Path: "/v1/agents/{agent}/certificates", Tags: []string{"certificates"},
		DefaultStatus: http.StatusCreated, Summary: "Certify a key for an agent, for hours",
		Description: "For its DIDs the key must be one of the agent's own; an SVID may have another, which then does not authenticate here. A registrar may ask, and the agent itself."},
		s.issueAgentCertificate)
	route(s, huma.Operation{OperationID: "issue-pep-certificate", Method: http.MethodPost, Path: "/v1/peps/{pep}/certificates", Tags: []string{"certificates"},
		DefaultStatus: http.StatusCreated, Summary: "Certify a key for an enforcement point, for hours",
		Description: "A registrar may ask; the enforcement point itself, for the key of the certificate that it calls with."}, s.issuePEPCertificate)
	route(s, huma.Operation{OperationID: "list-certificates", Method: http.MethodGet, Path: "/v1/certificates", Tags: []string{"certificates"},
		Summary: "The certificates of an org, those that have ended too"}, s.listCertificates)
	route(s, huma.Operation{OperationID: "get-certificate", Method: http.MethodGet, Path: "/v1/certificates/{digest}", Tags: []string{"certificates"},
		Summary: "One certificate"}, s.getCertificate)
	route(s, huma.Operation{OperationID: "revoke-certificate", Method: http.MethodPost, Path: "/v1/certificates/{digest}/revoke", Tags: []string{"certificates"},
		Summary: "End a certificate before its time"}, s.revokeCertificate)
}

// NewCertificate is the body of issue-agent-certificate.
type NewCertificate struct {
	CSR      string                   `json:"csr" maxLength:"32768" doc:"Certificate signing request (PKCS #10) in PEM; names in it must be the agent's own"`
	Kind     registry.CertificateKind `json:"kind,omitempty" enum:"did,svid" doc:"did where absent"`
	Lifetime int64                    `json:"lifetime,omitempty" minimum:"1" maximum:"86400" doc:"Seconds; 8 hours where absent"`
}

// NewPEPCertificate is the body of issue-pep-certificate.
type NewPEPCertificate struct {
	CSR      string `json:"csr" maxLength:"32768" doc:"Certificate signing request (PKCS #10) in PEM"`
	Lifetime int64  `json:"lifetime,omitempty" minimum:"1" maximum:"86400" doc:"Seconds; 8 hours where absent"`
}

// CertificateAnswer is a certificate and the event that records what changed.
type CertificateAnswer struct {
	Certificate registry.Certificate `json:"certificate"`
	Event       *registry.EventRef   `json:"event,omitempty" doc:"Absent where nothing changed"`
}

func (s *server) issueAgentCertificate(ctx context.Context, call registry.Call, in *struct {
	AgentPath
	Body NewCertificate
}) (*created[CertificateAnswer], error) {
	b := in.Body
	return certificateMade(s.Registry.IssueAgentCertificate(ctx, call, in.Agent, registry.NewCertificate{CSR: b.CSR, Kind: b.Kind, Lifetime: time.Duration(b.Lifetime) * time.Second}))
}

func (s *server) issuePEPCertificate(ctx context.Context, call registry.Call, in *struct {
	PEP  string `path:"pep" doc:"Id"`
	Body NewPEPCertificate
}) (*created[CertificateAnswer], error) {
	return certificateMade(s.Registry.IssuePEPCertificate(ctx, call, in.PEP, registry.NewCertificate{CSR: in.Body.CSR, Lifetime: time.Duration(in.Body.Lifetime) * time.Second}))
}

func certificateMade(out registry.Outcome[registry.Certificate], err error) (*created[CertificateAnswer], error) {
	if err != nil {
		return nil, err
	}
	return create(out, "/v1/certificates/"+out.Value.Digest, CertificateAnswer{out.Value, eventOf(out)}), nil
}

func (s *server) listCertificates(ctx context.Context, call registry.Call, in *struct {
	OrgFilter
	Owner string `query:"owner" doc:"Id of an agent or enforcement point"`
	PageParams
}) (*plain[page[registry.Certificate]], error) {
	return listed(in.PageParams, "certificates", func(c registry.Certificate) string { return c.ID }, func(p registry.Page) ([]registry.Certificate, error) {
		return s.Registry.ListCertificates(ctx, call.Caller, in.Org, in.Owner, p)
	})
}

// CertificatePath names a certificate.
type CertificatePath struct {
	Digest string `path:"digest" minLength:"43" maxLength:"43" doc:"base64url SHA-256 of its DER"`
}

func (s *server) getCertificate(ctx context.Context, call registry.Call, in *CertificatePath) (*plain[registry.Certificate], error) {
	c, err := s.Registry.FindCertificate(ctx, call.Caller, in.Digest)
	return &plain[registry.Certificate]{c}, err
}

func (s *server) revokeCertificate(ctx context.Context, call registry.Call, in *struct {
	CertificatePath
	Body *ReasonBody
}) (*changed[CertificateAnswer], error) {
	out, err := s.Registry.RevokeCertificate(ctx, call, in.Digest, in.Body.text())
	if err != nil {
		return nil, err
	}
	return change(out, CertificateAnswer{out.Value, eventOf(out)}), nil
}

// caRoot is what verifiers of certificates trust.
func (s *server) caRoot(c *gin.Context) {
	s.serveCA(c, func(chain []*x509.Certificate) []*x509.Certificate { return chain[len(chain)-1:] })
}

// caChain is the authority from the certificate that signs leaves up to the root.
func (s *server) caChain(c *gin.Context) {
	s.serveCA(c, func(chain []*x509.Certificate) []*x509.Certificate { return chain })
}

func (s *server) serveCA(c *gin.Context, part func([]*x509.Certificate) []*x509.Certificate) {
	chain, err := s.Registry.CAChain()
	if err != nil {
		s.fail(c, err)
		return
	}
	var text bytes.Buffer
	for _, cert := range part(chain) {
		text.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}))
	}
	c.Header("Cache-Control", "public, max-age=300")
	c.Data(http.StatusOK, mediaPEM, text.Bytes())
}

// mediaPEM is that of RFC 8555, section 9.1.
const mediaPEM = "application/pem-certificate-chain"
