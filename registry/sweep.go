package registry

import (
	"context"
	"errors"
	"strings"
	"time"
)

// sweep does what time has brought to up to limit rows, in one transaction that reads
// again which they are, so that several processes do nothing twice. It returns how many
// were left to do. after is told of each row once that is durable; nil: nobody is.
func sweep[T any](ctx context.Context, r *Registry, limit int, due func(tx Tx, now time.Time, limit int) ([]T, error), step func(Tx, T) ([]EventDraft, error), after func(T)) (left int, err error) {
	list := func(tx Tx) ([]T, error) {
		now, err := r.clock(tx)
		if err != nil {
			return nil, err
		}
		return due(tx, now, limit+1)
	}
	var rows []T
	if err := r.Store.View(ctx, func(tx Tx) (err error) { rows, err = list(tx); return err }); err != nil || len(rows) == 0 {
		return 0, err
	}
	_, err = commitDraft(ctx, r, r.own(strings.Repeat("0", 32)), false, func(tx Tx) (int, Draft, error) {
		var d Draft
		var err error
		if rows, err = list(tx); err != nil {
			return 0, d, err
		}
		left = max(0, len(rows)-limit)
		rows = rows[:len(rows)-left]
		for _, row := range rows {
			events, e := step(tx, row)
			d.Events, err = append(d.Events, events...), errors.Join(err, e)
		}
		return len(rows), d, err
	})
	if err == nil && after != nil {
		for _, row := range rows {
			after(row)
		}
	}
	return left, err
}
