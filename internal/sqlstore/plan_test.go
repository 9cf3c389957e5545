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
		query, args, err := selectEvents("log", f)
		if err != nil {
			t.Fatal(err)
		}
		rows, err := db.Reader().QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, args...)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var id, parent, unused int
			var detail string
			if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(detail, "SCAN") || strings.Contains(detail, "TEMP B-TREE") {
				t.Errorf("%+v: %s", f, detail)
			}
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		rows.Close()
	}
}
