package sqlstore

import (
	"time"

	"github.com/writ-registry/writ/registry"
)

func (t tx) Certificate(digest string) (registry.Certificate, error) {
	return doc[registry.Certificate](t.conn, "certificate", `SELECT doc FROM certificates WHERE digest = ?`, digest)
}

// ListCertificates reads along an index: that of an owner, or of an org.
func (t tx) ListCertificates(f registry.CertificateFilter) ([]registry.Certificate, error) {
	if f.Owner != "" {
		return docs[registry.Certificate](t.conn, "certificate", `SELECT doc FROM certificates WHERE owner = ? AND org = ? AND id > ? ORDER BY id LIMIT ?`, f.Owner, f.Org, f.After, f.Limit)
	}
	return docs[registry.Certificate](t.conn, "certificate", `SELECT doc FROM certificates WHERE org = ? AND id > ? ORDER BY id LIMIT ?`, f.Org, f.After, f.Limit)
}

func (t tx) InsertCertificate(c registry.Certificate) error {
	return t.exec("certificate", `INSERT INTO certificates (digest, id, org, owner, doc) VALUES (?, ?, ?, ?, ?)`, c.Digest, c.ID, c.Org, c.Owner(), encode(c))
}

func (t tx) UpdateCertificate(c registry.Certificate) error {
	return t.exec("certificate", `UPDATE certificates SET doc = ? WHERE digest = ?`, encode(c), c.Digest)
}

func (t tx) EnterpriseRoot(digest string) (registry.EnterpriseRoot, error) {
	return doc[registry.EnterpriseRoot](t.conn, "root", `SELECT doc FROM enterprise_roots WHERE digest = ?`, digest)
}

func (t tx) ListEnterpriseRoots(org string, p registry.Page) ([]registry.EnterpriseRoot, error) {
	return docs[registry.EnterpriseRoot](t.conn, "root", `SELECT doc FROM enterprise_roots WHERE org = ? AND digest > ? ORDER BY digest LIMIT ?`, org, p.After, p.Limit)
}

func (t tx) InsertEnterpriseRoot(r registry.EnterpriseRoot) error {
	return t.exec("root", `INSERT INTO enterprise_roots (digest, org, doc) VALUES (?, ?, ?)`, r.Digest, r.Org, encode(r))
}

func (t tx) DeleteEnterpriseRoot(digest string) error {
	return t.exec("root", `DELETE FROM enterprise_roots WHERE digest = ?`, digest)
}

func (t tx) WorkloadIssuer(id string) (registry.WorkloadIssuer, error) {
	return doc[registry.WorkloadIssuer](t.conn, "workload issuer", `SELECT doc FROM workload_issuers WHERE id = ?`, id)
}

func (t tx) ListWorkloadIssuers(org string, p registry.Page) ([]registry.WorkloadIssuer, error) {
	return docs[registry.WorkloadIssuer](t.conn, "workload issuer", `SELECT doc FROM workload_issuers WHERE org = ? AND id > ? ORDER BY id LIMIT ?`, org, p.After, p.Limit)
}

func (t tx) InsertWorkloadIssuer(i registry.WorkloadIssuer) error {
	return t.exec("workload issuer", `INSERT INTO workload_issuers (id, org, name, doc) VALUES (?, ?, ?, ?)`, i.ID, i.Org, i.Name(), encode(i))
}

func (t tx) DeleteWorkloadIssuer(id string) error {
	return t.exec("workload issuer", `DELETE FROM workload_issuers WHERE id = ?`, id)
}

func (t tx) Enrolment(org, issuer, subject string) (registry.Enrolment, error) {
	return doc[registry.Enrolment](t.conn, "enrolment", `SELECT doc FROM enrolments WHERE org = ? AND issuer = ? AND subject = ?`, org, issuer, subject)
}

func (t tx) InsertEnrolment(e registry.Enrolment) error {
	return t.exec("enrolment", `INSERT INTO enrolments (org, issuer, subject, agent, doc) VALUES (?, ?, ?, ?, ?)`, e.Org, e.Issuer, e.Subject, e.Agent, encode(e))
}

// SpendToken also forgets tokens that ended an hour ago: no verifier takes them.
func (t tx) SpendToken(digest string, expires, now time.Time) error {
	if err := t.exec("token", `DELETE FROM spent_tokens WHERE expires_ms < ?`, now.Add(-time.Hour).UnixMilli()); err != nil {
		return err
	}
	return t.exec("token", `INSERT INTO spent_tokens (digest, expires_ms) VALUES (?, ?)`, digest, expires.UnixMilli())
}
