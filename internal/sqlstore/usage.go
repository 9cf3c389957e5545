package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/writ-registry/writ/registry"
)

// Usage is what the log says about the use of agents and grants. It implements
// registry.UsageStore. One goroutine at a time uses it.
type Usage struct {
	db  *DB
	log logRef
}

var _ registry.UsageStore = (*Usage)(nil)

// Usage follows the log of the journal.
func (j *Journal) Usage() *Usage { return &Usage{j.db, j.log} }

// rowsAtOnce is how many rows one transaction of Record changes: some two
// milliseconds that a decision may wait for.
const rowsAtOnce = 256

const (
	projectedUsage   = "usage"
	projectedActions = "grant_actions"
	projectionDone   = "done"
)

func (u *Usage) after(ctx context.Context, name string) (after string, err error) {
	err = u.db.read.QueryRowContext(ctx, `SELECT coalesce((SELECT after FROM projections WHERE name = ?), '')`, name).Scan(&after)
	return after, translate(err, "projection")
}

func putProjection(ctx context.Context, t *sql.Tx, name, after string) error {
	_, err := t.ExecContext(ctx, `INSERT INTO projections (name, after) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET after = excluded.after`, name, after)
	return err
}

// Decisions implements registry.UsageStore. limit counts events of all types, so
// that no round reads the whole log for want of decisions.
func (u *Usage) Decisions(ctx context.Context, limit int) (out []registry.Event, place string, err error) {
	after, err := u.after(ctx, projectedUsage)
	if err != nil {
		return nil, "", err
	}
	from := u.log.base - 1
	if after != "" {
		if from, err = strconv.ParseInt(after, 10, 64); err != nil {
			return nil, "", fmt.Errorf("projection %s: %w", projectedUsage, err)
		}
	}
	rows, err := u.db.read.QueryContext(ctx, `SELECT place, cid, agent, type, time_ms, iif(type = ?1, artifact, NULL) FROM events WHERE place > ?2 AND place < ?3 ORDER BY place LIMIT ?4`,
		registry.EventDecision, from, u.log.end(), limit)
	if err != nil {
		return nil, "", translate(err, "event")
	}
	defer rows.Close()
	var last int64
	for rows.Next() {
		var e registry.Event
		var ms int64
		var artifact []byte
		if err := rows.Scan(&last, &e.CID, &e.Agent, &e.Type, &ms, &artifact); err != nil {
			return nil, "", translate(err, "event")
		}
		if e.Type == registry.EventDecision {
			e.Index, e.Time, e.Artifact = u.log.index(last), time.UnixMilli(ms).UTC(), json.RawMessage(artifact)
			out = append(out, e)
		}
	}
	if last > 0 {
		place = strconv.FormatInt(last, 10)
	}
	return out, place, translate(rows.Err(), "event")
}

// Record implements registry.UsageStore. The place moves with the last rows: a
// crash before it has the same events read again.
func (u *Usage) Record(ctx context.Context, place string, agents, grants map[string]time.Time) error {
	type row struct {
		query, id string
		ms        int64
	}
	var todo []row
	for _, set := range []struct {
		query string
		last  map[string]time.Time
	}{
		{`UPDATE agent_usage SET last_ms = ?1 WHERE agent = ?2 AND last_ms < ?1`, agents},
		{`UPDATE grant_usage SET since_ms = ?1 WHERE id = ?2 AND since_ms < ?1`, grants},
	} {
		for _, id := range slices.Sorted(maps.Keys(set.last)) {
			todo = append(todo, row{set.query, id, set.last[id].UnixMilli()})
		}
	}
	for {
		some := todo[:min(len(todo), rowsAtOnce)]
		todo = todo[len(some):]
		err := u.db.Write(ctx, func(t *sql.Tx) error {
			for _, r := range some {
				if _, err := t.ExecContext(ctx, r.query, r.ms, r.id); err != nil {
					return err
				}
			}
			if len(todo) > 0 {
				return nil
			}
			return putProjection(ctx, t, projectedUsage, place)
		})
		if err != nil || len(todo) == 0 {
			return translate(err, "usage")
		}
	}
}

// Prepare implements registry.UsageStore: the actions of grants from before there
// was a table of them.
func (u *Usage) Prepare(ctx context.Context, limit int) (more bool, err error) {
	var after sql.NullString
	err = u.db.read.QueryRowContext(ctx, `SELECT (SELECT after FROM projections WHERE name = ?)`, projectedActions).Scan(&after)
	if err != nil || !after.Valid || after.String == projectionDone {
		return false, translate(err, "projection")
	}
	rows, err := u.db.read.QueryContext(ctx, `SELECT id, status, doc FROM grants WHERE id > ? ORDER BY id LIMIT ?`, after.String, min(limit, rowsAtOnce))
	if err != nil {
		return false, translate(err, "grant")
	}
	defer rows.Close()
	var active []registry.Grant
	next := projectionDone
	for rows.Next() {
		var g registry.Grant
		var status registry.GrantStatus
		var raw string
		if err := rows.Scan(&next, &status, &raw); err != nil {
			return false, translate(err, "grant")
		}
		if err := decode(raw, &g, "grant"); err != nil {
			return false, err
		}
		if status == registry.GrantActive {
			active = append(active, g)
		}
	}
	if err := rows.Err(); err != nil {
		return false, translate(err, "grant")
	}
	err = u.db.Write(ctx, func(t *sql.Tx) error {
		for _, g := range active {
			for _, action := range g.Actions() {
				// Unless it was revoked meanwhile.
				if _, err := t.ExecContext(ctx, `INSERT INTO grant_actions (org, action, agent, id, expires_ms) SELECT ?1, ?2, ?3, ?4, ?5 WHERE EXISTS (SELECT 1 FROM grants WHERE id = ?4 AND status = 'active') ON CONFLICT DO NOTHING`,
					g.Org, action, g.Agent, g.ID, g.Expires.UnixMilli()); err != nil {
					return err
				}
			}
		}
		return putProjection(ctx, t, projectedActions, next)
	})
	return err == nil && next != projectionDone, translate(err, "grant")
}

// Expire implements registry.UsageStore.
func (u *Usage) Expire(ctx context.Context, now time.Time, limit int) error {
	var n int
	err := u.db.read.QueryRowContext(ctx, `SELECT count(*) FROM (SELECT 1 FROM grant_usage WHERE expires_ms <= ? LIMIT 1)`, now.UnixMilli()).Scan(&n)
	if err != nil || n == 0 {
		return translate(err, "grant")
	}
	return translate(u.db.Write(ctx, func(t *sql.Tx) error {
		some := `(SELECT id FROM grant_usage WHERE expires_ms <= ?1 ORDER BY expires_ms, id LIMIT ?2)`
		if _, err := t.ExecContext(ctx, `DELETE FROM grant_actions WHERE id IN `+some, now.UnixMilli(), min(limit, rowsAtOnce)); err != nil {
			return err
		}
		_, err := t.ExecContext(ctx, `DELETE FROM grant_usage WHERE id IN `+some, now.UnixMilli(), min(limit, rowsAtOnce))
		return err
	}), "grant")
}
