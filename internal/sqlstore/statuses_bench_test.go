package sqlstore_test

import (
	"database/sql"
	"testing"

	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/registrytest"
)

// seedGrants makes n agents of one org with a grant each; 1 % of the grants and 1 %
// of the agents are revoked. It writes rows that hold what statuses are read from.
func seedGrants(b *testing.B, h *registrytest.House, n int) (org string) {
	b.Helper()
	first := h.NewAgent(b, "first")
	first.Grant(b, "read:x")
	err := h.DB.Write(b.Context(), func(tx *sql.Tx) error {
		for _, q := range []string{
			`WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
			INSERT INTO agents (id, org, name, status, thumbprint, sponsor, doc)
			SELECT format('%08d-0000-7000-8000-000000000000', i), a.org, 'a' || i, iif(i % 100 = 7, 'revoked', 'active'), 't' || i, a.sponsor,
				json_object('sponsor', a.sponsor, 'status', iif(i % 100 = 7, 'revoked', 'active'), 'purpose', hex(zeroblob(400)))
			FROM n, agents a WHERE a.id = ?2`,
			`WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
			INSERT INTO grants (id, org, agent, status, doc)
			SELECT format('%08d-0000-7000-8000-000000000001', i), a.org, format('%08d-0000-7000-8000-000000000000', i), iif(i % 100 = 3, 'revoked', 'active'),
				json_object('token', hex(zeroblob(700)), 'status_index', i)
			FROM n, agents a WHERE a.id = ?2`,
			`UPDATE counters SET value = ?1 WHERE name = 'status_list' AND ?2 <> ''`,
		} {
			if _, err := tx.ExecContext(b.Context(), q, n, first.ID); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return first.Org
}

const many = 100_000

// BenchmarkStatusListWhole is the first request after a start: read from the
// database, compress, sign.
func BenchmarkStatusListWhole(b *testing.B) {
	h := registrytest.New(b)
	seedGrants(b, h, many)
	for b.Loop() {
		t, err := registry.New(h.Config).StatusList(b.Context(), 1)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(t.Token)), "B")
	}
}

// BenchmarkStatusListAfterOne is a request after one grant was killed or released.
func BenchmarkStatusListAfterOne(b *testing.B) {
	h := registrytest.New(b)
	seedGrants(b, h, many)
	s := registry.Scope{Kind: registry.ScopeGrant, ID: "00050000-0000-7000-8000-000000000001"}
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		move(b, h, s, i%2 == 0)
		b.StartTimer()
		if _, err := h.StatusList(b.Context(), 1); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkStatusListCached is a request after nothing.
func BenchmarkStatusListCached(b *testing.B) {
	h := registrytest.New(b)
	seedGrants(b, h, many)
	for b.Loop() {
		if _, err := h.StatusList(b.Context(), 1); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkKillOrg stops and releases an org of many grants in turn.
func BenchmarkKillOrg(b *testing.B) {
	h := registrytest.New(b)
	org := seedGrants(b, h, many)
	for i := 0; b.Loop(); i++ {
		move(b, h, registry.Scope{Kind: registry.ScopeOrg, ID: org}, i%2 == 0)
	}
}

// BenchmarkStatusListAfterOrg is the request that follows.
func BenchmarkStatusListAfterOrg(b *testing.B) {
	h := registrytest.New(b)
	org := seedGrants(b, h, many)
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		move(b, h, registry.Scope{Kind: registry.ScopeOrg, ID: org}, i%2 == 0)
		b.StartTimer()
		if _, err := h.StatusList(b.Context(), 1); err != nil {
			b.Fatal(err)
		}
	}
}

func move(b *testing.B, h *registrytest.House, s registry.Scope, stop bool) {
	b.Helper()
	var err error
	if stop {
		_, err = h.SetKill(b.Context(), h.Call(), s, "")
	} else {
		_, err = h.ReleaseKill(b.Context(), h.Call(), s, "")
	}
	if err != nil {
		b.Fatal(err)
	}
}
