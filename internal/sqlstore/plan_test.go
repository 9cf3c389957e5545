package sqlstore

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/writ-registry/writ/registry"
)

// TestListEventsUsesAnIndex: a page of events costs the same in a log of ten
// and of ten million.
func TestListEventsUsesAnIndex(t *testing.T) {
	db, err := Open(t.Context(), filepath.Join(t.TempDir(), "writ.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, f := range []registry.EventFilter{
		{}, {Newest: true}, {Org: "o"}, {Agent: "a", Newest: true}, {Org: "o", Agent: "a"}, {Type: "decision"},
		{Org: "o", Page: registry.Page{After: "7"}}, {Newest: true, Page: registry.Page{After: "7"}},
	} {
		query, args, err := selectEvents(logRef{"log", 1 << 48}, f)
		if err != nil {
			t.Fatal(err)
		}
		for _, detail := range plan(t, db, query, args) {
			if !strings.HasPrefix(detail, "SEARCH events USING INDEX events_agent") && f.Agent != "" {
				t.Errorf("%+v: %s", f, detail)
			}
			if strings.HasPrefix(detail, "SCAN") || strings.Contains(detail, "TEMP B-TREE") {
				t.Errorf("%+v: %s", f, detail)
			}
		}
	}
}

// TestFindsUseAnIndex: so do an event by its CID and the end of a sequence.
func TestFindsUseAnIndex(t *testing.T) {
	db, err := Open(t.Context(), filepath.Join(t.TempDir(), "writ.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for query, index := range map[string]string{
		eventColumns + whereCID: "events_cid", selectChain: "events_org", selectAgentChain: "events_agent",
	} {
		args := []any{"x", 1, 2}
		if index == "events_cid" {
			args = args[:1]
		}
		details := plan(t, db, query, args)
		if len(details) != 1 || !strings.HasPrefix(details[0], "SEARCH events USING INDEX "+index) {
			t.Errorf("%s: %q", query, details)
		}
	}
}

func plan(t *testing.T, db *DB, query string, args []any) (details []string) {
	t.Helper()
	rows, err := db.Reader().QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		details = append(details, detail)
	}
	if err := rows.Err(); err != nil || len(details) == 0 {
		t.Fatalf("%d rows, %v", len(details), err)
	}
	return details
}
