package sqlstore

import (
	"time"

	"github.com/writ-registry/writ/registry"
)

const credentialColumns = `SELECT id, kind, owner, hash, created_ms, expires_ms, bootstrap FROM credentials `

func scanCredential(scan func(...any) error) (c registry.Credential, err error) {
	var hash []byte
	var created, expires int64
	err = scan(&c.ID, &c.Owner.Kind, &c.Owner.ID, &hash, &created, &expires, &c.Bootstrap)
	copy(c.Hash[:], hash)
	c.Hint, c.Created, c.Expires = registry.CredentialHint(c.Hash), moment(created), moment(expires)
	return c, err
}

// moment reads milliseconds since 1970; 0 is the zero time.
func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

func (t tx) oneCredential(where string, args ...any) (registry.Credential, error) {
	return scanCredential(func(dest ...any) error { return t.row("credential", dest, credentialColumns+where, args...) })
}

func (t tx) Credential(hash [32]byte) (registry.Credential, error) {
	return t.oneCredential(`WHERE hash = ?`, hash[:])
}

func (t tx) BootstrapCredential() (registry.Credential, error) {
	return t.oneCredential(`WHERE bootstrap = 1`)
}

func (t tx) ListCredentials(owner registry.Actor) ([]registry.Credential, error) {
	return list(t.conn, "credential", scanCredential, credentialColumns+`WHERE kind = ? AND owner = ? ORDER BY created_ms, id`, owner.Kind, owner.ID)
}

func (t tx) InsertCredential(c registry.Credential) error {
	return t.exec("credential", `INSERT INTO credentials (hash, kind, owner, id, created_ms, expires_ms, bootstrap) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		c.Hash[:], c.Owner.Kind, c.Owner.ID, c.ID, millis(c.Created), millis(c.Expires), c.Bootstrap)
}

func (t tx) UpdateCredential(c registry.Credential) error {
	return t.exec("credential", `UPDATE credentials SET expires_ms = ? WHERE id = ?`, millis(c.Expires), c.ID)
}

func (t tx) DeleteCredential(id string) error {
	return t.exec("credential", `DELETE FROM credentials WHERE id = ?`, id)
}

func (t tx) ClaimResource(resource, org string) error {
	if err := t.exec("resource server", `INSERT INTO resources (resource, org) VALUES (?, ?) ON CONFLICT (resource) DO NOTHING`, resource, org); err != nil {
		return err
	}
	var owner string
	err := t.row("resource server", []any{&owner}, `SELECT org FROM resources WHERE resource = ?`, resource)
	if err == nil && owner != org {
		err = registry.Errorf(registry.Conflict, "this resource server is another org's")
	}
	return err
}

func (t tx) PrincipalByIdentity(org, issuer, subject string) (registry.Principal, error) {
	return doc[registry.Principal](t.conn, "principal", `SELECT doc FROM principals
		WHERE org = ? AND json_extract(doc, '$.issuer') = ? AND json_extract(doc, '$.subject') = ?`, org, issuer, subject)
}

func (t tx) Issuer(id string) (registry.Issuer, error) {
	return doc[registry.Issuer](t.conn, "issuer", `SELECT doc FROM issuers WHERE id = ?`, id)
}

func (t tx) ListIssuers(org string) ([]registry.Issuer, error) {
	return docs[registry.Issuer](t.conn, "issuer", `SELECT doc FROM issuers WHERE org = ? ORDER BY id`, org)
}

func (t tx) PutIssuer(i registry.Issuer) error {
	return t.exec("issuer", `INSERT INTO issuers (id, org, url, doc) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET url = excluded.url, doc = excluded.doc`,
		i.ID, i.Org, i.URL, encode(i))
}

func (t tx) DeleteIssuer(id string) error {
	return t.exec("issuer", `DELETE FROM issuers WHERE id = ?`, id)
}

func (t tx) Session(hash [32]byte) (registry.Session, error) {
	return doc[registry.Session](t.conn, "session", `SELECT doc FROM sessions WHERE hash = ?`, hash[:])
}

func (t tx) ListSessions(principal string) ([]registry.Session, error) {
	return docs[registry.Session](t.conn, "session", `SELECT doc FROM sessions WHERE principal = ? ORDER BY id`, principal)
}

func (t tx) InsertSession(hash [32]byte, s registry.Session) error {
	return t.exec("session", `INSERT INTO sessions (hash, id, principal, issuer, expires_ms, doc) VALUES (?, ?, ?, ?, ?, ?)`,
		hash[:], s.ID, s.Principal, s.Issuer, millis(s.Expires), encode(s))
}

func (t tx) UpdateSession(s registry.Session) error {
	return t.exec("session", `UPDATE sessions SET doc = ? WHERE id = ?`, encode(s), s.ID)
}

func (t tx) DeleteSession(id string) error {
	return t.exec("session", `DELETE FROM sessions WHERE id = ?`, id)
}

func (t tx) DeleteSessions(principal, issuer string) error {
	return t.exec("session", `DELETE FROM sessions WHERE principal = ? OR issuer = ?`, principal, issuer)
}
