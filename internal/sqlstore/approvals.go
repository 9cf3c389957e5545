package sqlstore

import (
	"errors"
	"time"

	"github.com/writ-registry/writ/registry"
)

func (t tx) Approval(id string) (registry.Approval, error) {
	return doc[registry.Approval](t.conn, "approval", `SELECT doc FROM approvals WHERE id = ?`, id)
}

func (t tx) OpenApproval(subject string) (registry.Approval, error) {
	return doc[registry.Approval](t.conn, "approval", `SELECT doc FROM approvals WHERE subject = ? AND state IN ('pending', 'approved')`, subject)
}

func (t tx) ListApprovals(f registry.ApprovalFilter) ([]registry.Approval, error) {
	return docs[registry.Approval](t.conn, "approval", `SELECT a.doc FROM approval_orgs o CROSS JOIN approvals a ON a.id = o.approval
		WHERE o.org = ? AND o.approval > ? AND (? = '' OR a.state = ?) ORDER BY o.approval LIMIT ?`, f.Org, f.After, f.State, f.State, f.Limit)
}

func (t tx) DueApprovals(now time.Time, limit int) ([]registry.Approval, error) {
	return docs[registry.Approval](t.conn, "approval", `SELECT doc FROM approvals WHERE due_ms > 0 AND due_ms <= ? ORDER BY due_ms LIMIT ?`, now.UnixMilli(), limit)
}

func (t tx) CountPending(org, agent string, requested time.Time) (inOrg, ofAgent int, err error) {
	since := requested.UnixMilli()
	err = errors.Join(
		t.row("approval", []any{&inOrg}, `SELECT count(*) FROM approvals WHERE org = ? AND state = 'pending' AND requested_ms > ?`, org, since),
		t.row("approval", []any{&ofAgent}, `SELECT count(*) FROM approvals WHERE agent = ? AND state = 'pending' AND requested_ms > ?`, agent, since))
	return inOrg, ofAgent, err
}

func (t tx) DeniedSince(agent string, since time.Time, limit int) ([]registry.Approval, error) {
	return docs[registry.Approval](t.conn, "approval", `SELECT doc FROM approvals
		WHERE agent = ? AND state = 'denied' AND requested_ms > ? ORDER BY requested_ms DESC LIMIT ?`, agent, since.UnixMilli(), limit)
}

func (t tx) InsertApproval(a registry.Approval) error {
	if err := t.exec("approval", `INSERT INTO approvals (id, org, agent, state, subject, requested_ms, due_ms, doc) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		a.ID, a.Org, a.Agent, a.State, a.Subject, a.Requested.UnixMilli(), milli(a.Due()), encode(a)); err != nil {
		return err
	}
	for _, org := range a.Orgs() {
		if err := t.exec("approval", `INSERT INTO approval_orgs (org, approval) VALUES (?, ?)`, org, a.ID); err != nil {
			return err
		}
	}
	return nil
}

func (t tx) UpdateApproval(a registry.Approval, was registry.ApprovalState) error {
	var id string
	err := t.row("approval", []any{&id}, `UPDATE approvals SET state = ?, due_ms = ?, doc = ? WHERE id = ? AND state = ? RETURNING id`, a.State, milli(a.Due()), encode(a), a.ID, was)
	if errors.Is(err, registry.NotFound) {
		return registry.Errorf(registry.Conflict, "the approval is not %s any more", was)
	}
	if err == nil {
		t.s.writes++ // a row that is returned was written
	}
	return err
}

func (t tx) Authenticator(id string) (registry.Authenticator, error) {
	return doc[registry.Authenticator](t.conn, "authenticator", `SELECT doc FROM authenticators WHERE id = ?`, id)
}

func (t tx) AuthenticatorByHandle(handle string) (registry.Authenticator, error) {
	return doc[registry.Authenticator](t.conn, "authenticator", `SELECT doc FROM authenticators WHERE handle = ?`, handle)
}

func (t tx) ListAuthenticators(principal string) ([]registry.Authenticator, error) {
	return docs[registry.Authenticator](t.conn, "authenticator", `SELECT doc FROM authenticators WHERE principal = ? ORDER BY id`, principal)
}

func (t tx) CountAuthenticators(org string) (n int, err error) {
	err = t.row("authenticator", []any{&n}, `SELECT count(*) FROM authenticators WHERE org = ? AND state = 'active'`, org)
	return n, err
}

func (t tx) InsertAuthenticator(a registry.Authenticator) error {
	return t.exec("authenticator", `INSERT INTO authenticators (id, org, principal, handle, state, doc) VALUES (?, ?, ?, ?, ?, ?)`,
		a.ID, a.Org, a.Principal, a.Handle, a.State, encode(a))
}

func (t tx) UpdateAuthenticator(a registry.Authenticator) error {
	return t.exec("authenticator", `UPDATE authenticators SET state = ?, doc = ? WHERE id = ?`, a.State, encode(a), a.ID)
}
