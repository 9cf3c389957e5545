package sqlstore

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/writ-registry/writ/registry"
)

// searches are one of each order, with what their plan begins with.
var searches = []struct {
	q     registry.AgentQuery
	index string
}{
	{registry.AgentQuery{}, "SEARCH a USING INDEX agents_org (org=? AND id>?)"},
	{registry.AgentQuery{Status: "active"}, "SEARCH a USING INDEX agents_status (org=? AND status=? AND id>?)"},
	{registry.AgentQuery{Sponsor: "p"}, "SEARCH a USING INDEX agents_sponsor (org=? AND sponsor=? AND id>?)"},
	{registry.AgentQuery{NamePrefix: "x"}, "SEARCH a USING INDEX agents_name (org=? AND (name,id)>(?,?) AND name<?)"},
	{registry.AgentQuery{Parent: "p"}, "SEARCH a USING INDEX agents_family (parent=? AND id>?)"},
	{registry.AgentQuery{Thumbprint: "t"}, "SEARCH a USING INDEX sqlite_autoindex_agents_2 (thumbprint=?)"},
	{registry.AgentQuery{Domain: "d"}, "SEARCH w USING PRIMARY KEY (org=? AND kind=? AND word=? AND agent>?)"},
	{registry.AgentQuery{Workflow: "d"}, "SEARCH w USING PRIMARY KEY (org=? AND kind=? AND word=? AND agent>?)"},
	{registry.AgentQuery{Capability: "a:b"}, "SEARCH g USING PRIMARY KEY (org=? AND action=? AND agent>?)"},
	{registry.AgentQuery{UnusedSince: time.Unix(9, 0)}, "SEARCH u USING INDEX grant_usage_since (org=? AND (since_ms,id)>(?,?) AND since_ms<?)"},
	{registry.AgentQuery{KeyBefore: time.Unix(9, 0)}, "SEARCH a USING INDEX agents_key_since (org=? AND (key_since_ms,id)>(?,?) AND key_since_ms<?)"},
	{registry.AgentQuery{ActedBefore: time.Unix(9, 0)}, "SEARCH l USING INDEX agent_usage_last (org=? AND (last_ms,agent)>(?,?) AND last_ms<?)"},
	{registry.AgentQuery{ActedSince: time.Unix(9, 0)}, "SEARCH l USING INDEX agent_usage_last (org=?"},
}

// TestSearchesUseAnIndex: a page of a search by any filter, with all others beside
// it, is read along one index in the order of its list.
func TestSearchesUseAnIndex(t *testing.T) {
	db, err := Open(t.Context(), filepath.Join(t.TempDir(), "writ.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, s := range searches {
		q := s.q
		q.Org, q.Limit = "o", 100
		for _, others := range []bool{false, true} {
			if others {
				q.Standing, q.CreatedBefore = true, time.Unix(9, 0)
				if s.q.By() != registry.ByID {
					q.Status = "active"
				}
				if s.q.By() != registry.ByStatus && s.q.By() != registry.ByID {
					q.ActedBefore = time.Unix(9, 0)
				}
			}
			query, args, err := selectAgents(q)
			if err != nil {
				t.Fatal(err)
			}
			details := plan(t, db, query, args)
			if !strings.HasPrefix(strings.Replace(details[0], "COVERING ", "", 1), s.index) {
				t.Errorf("%s, with others %v: %q, want %s", s.q.By(), others, details, s.index)
			}
			for _, d := range details {
				if strings.HasPrefix(d, "SCAN") || strings.Contains(d, "TEMP B-TREE") {
					t.Errorf("%s, with others %v: %q", s.q.By(), others, details)
				}
			}
		}
	}
}

// TestActionGrantsUseAnIndex: so is a page of the grants that cover an action.
func TestActionGrantsUseAnIndex(t *testing.T) {
	db, err := Open(t.Context(), filepath.Join(t.TempDir(), "writ.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	details := plan(t, db, selectActionGrants, []any{"o", "a:b", "", "", "~", 1, 100})
	want := []string{"SEARCH a USING PRIMARY KEY (org=? AND action=? AND (agent,id)>(?,?) AND agent<?)", "SEARCH g USING INDEX sqlite_autoindex_grants_1 (id=?)"}
	if !slices.Equal(details, want) {
		t.Errorf("%q", details)
	}
}

// TestListsUseAnIndex: a page of agents or grants is read along an index, too.
func TestListsUseAnIndex(t *testing.T) {
	db, err := Open(t.Context(), filepath.Join(t.TempDir(), "writ.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for index, pairs := range map[string][]string{
		"agents USING INDEX agents_org":   {"org", "o", "status", "active"},
		"grants USING INDEX grants_agent": {"agent", "a", "org", "o", "status", "active"},
		"grants USING INDEX grants_org":   {"agent", "", "org", "o", "status", ""},
	} {
		table, _, _ := strings.Cut(index, " ")
		query, args := selectDocs(table, registry.Page{After: "x", Limit: 100}, pairs...)
		if details := plan(t, db, query, args); len(details) != 1 || !strings.HasPrefix(details[0], "SEARCH "+index+" (") {
			t.Errorf("%s: %q", query, details)
		}
	}
}
