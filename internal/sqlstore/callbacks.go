package sqlstore

import (
	"time"

	"github.com/writ-registry/writ/registry"
)

func (t tx) Callback(approval string) (registry.Callback, error) {
	return doc[registry.Callback](t.conn, "callback", `SELECT doc FROM callbacks WHERE approval = ?`, approval)
}

func (t tx) PutCallback(c registry.Callback) error {
	return t.exec("callback", `INSERT INTO callbacks (approval, pep, due_ms, doc) VALUES (?, ?, ?, ?)
		ON CONFLICT (approval) DO UPDATE SET pep = excluded.pep, due_ms = excluded.due_ms, doc = excluded.doc`,
		c.Approval, c.PEP, milli(c.Due), encode(c))
}

// DueCallbacks ranks what is due now only: a receiver that fails has most of its own
// due later.
func (t tx) DueCallbacks(now time.Time, skip []string, each, limit int) ([]registry.Callback, error) {
	return docs[registry.Callback](t.conn, "callback", `SELECT doc FROM (
		SELECT doc, due_ms, row_number() OVER (PARTITION BY pep ORDER BY due_ms, approval) AS place FROM callbacks
		WHERE due_ms > 0 AND due_ms <= ? AND pep NOT IN (SELECT value FROM json_each(?))
	) WHERE place <= ? ORDER BY due_ms LIMIT ?`, now.UnixMilli(), encode(append([]string{}, skip...)), each, limit)
}
