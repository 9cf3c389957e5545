package sqlstore

import (
	"path/filepath"
	"testing"
	"time"
)

// TestDIDMemory: the highest version never falls, survives, and leaves when its place
// is needed and it was not asked for the longest.
func TestDIDMemory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "writ.db")
	db, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	open := func() *DIDMemory {
		m := db.DIDMemory()
		m.most, m.now = 2, func() time.Time { return now }
		return m
	}
	m := open()
	remember := func(scid, versionID string, entries int) {
		t.Helper()
		if err := m.Remember(t.Context(), scid, versionID, entries); err != nil {
			t.Fatal(err)
		}
	}
	wants := func(scid, versionID string, entries int) {
		t.Helper()
		v, n, ok, err := m.Highest(t.Context(), scid)
		if err != nil || v != versionID || n != entries || ok != (entries > 0) {
			t.Errorf("%s: got %q of %d, %v, %v; want %q of %d", scid, v, n, ok, err, versionID, entries)
		}
	}
	wants("a", "", 0)
	remember("a", "2-x", 2)
	remember("a", "1-y", 1) // less
	remember("a", "2-z", 2) // another of the same number
	wants("a", "2-x", 2)
	remember("a", "3-x", 3)
	wants("a", "3-x", 3)

	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if db, err = Open(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	m = open()
	wants("a", "3-x", 3)

	now = now.Add(time.Hour)
	remember("b", "1-b", 1)
	now = now.Add(48 * time.Hour)
	wants("a", "3-x", 3) // asked for: b is the older one now
	now = now.Add(time.Hour)
	remember("c", "1-c", 1)
	wants("a", "3-x", 3)
	wants("b", "", 0)
	wants("c", "1-c", 1)
}
