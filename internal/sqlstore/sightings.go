package sqlstore

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/writ-registry/writ/registry"
)

var _ registry.SightingStore = (*DB)(nil)

// AddSightings implements registry.SightingStore.
func (db *DB) AddSightings(ctx context.Context, seen []registry.Unregistered) error {
	orgs := map[string]bool{}
	for len(seen) > 0 {
		some := seen[:min(len(seen), rowsAtOnce)]
		seen = seen[len(some):]
		err := db.Write(ctx, func(t *sql.Tx) error {
			for _, u := range some {
				orgs[u.Org] = true
				if _, err := t.ExecContext(ctx, `INSERT INTO unregistered (org, subject, pep, first_ms, last_ms, count) VALUES (?, ?, ?, ?, ?, ?)
					ON CONFLICT (org, subject, pep) DO UPDATE SET last_ms = max(last_ms, excluded.last_ms), count = count + excluded.count`,
					u.Org, u.Subject, u.PEP, u.First.UnixMilli(), u.Last.UnixMilli(), u.Count); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return translate(err, "sighting")
		}
	}
	for org := range orgs {
		if err := db.Write(ctx, func(t *sql.Tx) error {
			_, err := t.ExecContext(ctx, `DELETE FROM unregistered WHERE (org, subject, pep) IN (
				SELECT org, subject, pep FROM unregistered WHERE org = ?1 ORDER BY last_ms LIMIT max(0, (SELECT count(*) FROM unregistered WHERE org = ?1) - ?2))`,
				org, registry.MaxUnregistered)
			return err
		}); err != nil {
			return translate(err, "sighting")
		}
	}
	return nil
}

// ListUnregistered implements registry.InventoryTx. There are few enough of an org
// to be sorted.
func (t tx) ListUnregistered(org string, p registry.Page) ([]registry.Unregistered, error) {
	pep, subject, _ := strings.Cut(p.After, "/")
	return list(t.conn, "sighting", func(scan func(...any) error) (u registry.Unregistered, err error) {
		var first, last int64
		err = scan(&u.Org, &u.Subject, &u.PEP, &first, &last, &u.Count)
		u.First, u.Last = time.UnixMilli(first).UTC(), time.UnixMilli(last).UTC()
		return u, err
	}, `SELECT org, subject, pep, first_ms, last_ms, count FROM unregistered WHERE org = ? AND (pep, subject) > (?, ?) ORDER BY pep, subject LIMIT ?`, org, pep, subject, p.Limit)
}
