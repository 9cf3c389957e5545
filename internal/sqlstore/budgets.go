package sqlstore

import (
	"errors"
	"time"

	"github.com/writ-registry/writ/registry"
)

func (t tx) Reserved(w registry.Window) (used registry.Amount, err error) {
	err = t.row("budget", []any{&used}, `SELECT used FROM budget_windows WHERE grant_id = ? AND link = ? AND budget = ? AND begins = ?`,
		w.Grant, w.Link, w.Budget, w.Begin.Unix())
	if errors.Is(err, registry.NotFound) {
		err = nil
	}
	return used, err
}

// Reserve is one conditional statement: what it reads of the window it reads under
// the lock that it writes under.
func (t tx) Reserve(r registry.Reservation, limit registry.Amount, forget time.Time) error {
	var used registry.Amount
	err := t.row("budget", []any{&used}, `INSERT INTO budget_windows (grant_id, link, budget, begins, ends, used, forget_ms)
		SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE ?6 <= ?8
		ON CONFLICT (grant_id, link, budget, begins) DO UPDATE SET used = used + excluded.used, forget_ms = max(forget_ms, excluded.forget_ms)
		WHERE used + excluded.used <= ?8 RETURNING used`,
		r.Grant, r.Link, r.Budget, r.Begin.Unix(), r.End.Unix(), int64(r.Amount), forget.UnixMilli(), int64(limit))
	if errors.Is(err, registry.NotFound) {
		return registry.Errorf(registry.Conflict, "not so much is left of the budget")
	}
	if err == nil {
		t.s.writes++ // a row that is returned was written
	}
	return err
}

func (t tx) Refund(r registry.Reservation) error {
	return t.exec("budget", `UPDATE budget_windows SET used = used - ?1 WHERE grant_id = ?2 AND link = ?3 AND budget = ?4 AND begins = ?5 AND used >= ?1`,
		int64(r.Amount), r.Grant, r.Link, r.Budget, r.Begin.Unix())
}

func (t tx) ListReserved(grant string, now time.Time, p registry.Page) ([]registry.Reservation, error) {
	return list(t.conn, "budget", func(scan func(...any) error) (registry.Reservation, error) {
		r := registry.Reservation{Window: registry.Window{Grant: grant}}
		var begins, ends int64
		err := scan(&r.Link, &r.Budget, &begins, &ends, &r.Amount)
		r.Begin, r.End = time.Unix(begins, 0).UTC(), time.Unix(ends, 0).UTC()
		return r, err
	}, `SELECT link, budget, begins, ends, used FROM budget_windows
		WHERE grant_id = ?1 AND link > '' AND link || ' ' || budget > ?2 AND begins <= ?3 AND ends > ?3 ORDER BY link, budget LIMIT ?4`,
		grant, p.After, now.Unix(), p.Limit)
}

// hours is the hour that a time is in, and the first of its day, since 1970 UTC.
func hours(now time.Time) (hour, day int64) {
	hour = now.Unix() / 3600
	return hour, hour - hour%24
}

func (t tx) Counts(agent, action string, now time.Time) (c registry.Counts, err error) {
	hour, day := hours(now)
	err = t.row("count", []any{&c.Hour, &c.Day}, `SELECT coalesce(sum(n) FILTER (WHERE hour = ?3), 0), coalesce(sum(n), 0)
		FROM act_counts WHERE agent_id = ?1 AND action = ?2 AND hour >= ?4`, agent, action, hour, day)
	return c, err
}

func (t tx) CountAct(agent, action string, now time.Time) error {
	hour, _ := hours(now)
	return t.exec("count", `INSERT INTO act_counts (agent_id, action, hour, n) VALUES (?, ?, ?, 1)
		ON CONFLICT (agent_id, action, hour) DO UPDATE SET n = n + 1`, agent, action, hour)
}
