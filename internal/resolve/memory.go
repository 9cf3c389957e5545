package resolve

import (
	"context"
	"sync"

	"github.com/maypok86/otter/v2"
)

// Memory remembers the highest version that was seen of each foreign log, by its SCID,
// which stays where a DID moves. What it forgets can be taken back by the host unseen,
// so it is best kept in a database. It may be used from several goroutines.
type Memory interface {
	// Highest returns the versionId of the last entry that was seen and its number;
	// !ok if the log was never seen.
	Highest(ctx context.Context, scid string) (versionID string, entries int, ok bool, err error)
	// Remember is told of a log that grew, or is new. It MUST NOT go back: what has
	// fewer entries than is remembered changes nothing.
	Remember(ctx context.Context, scid, versionID string, entries int) error
}

// maxRemembered bounds an InMemory: strangers can make as many DIDs as they like.
const maxRemembered = 1 << 16

// InMemory is a Memory of this process, which forgets at its end, and the logs that
// were not asked for in a long time.
type InMemory struct {
	mu   sync.Mutex // a Remember is a look and a write
	seen *otter.Cache[string, seen]
}

type seen struct {
	versionID string
	entries   int
}

var _ Memory = (*InMemory)(nil)

// NewInMemory returns an InMemory that has seen nothing.
func NewInMemory() *InMemory {
	return &InMemory{seen: otter.Must(&otter.Options[string, seen]{MaximumSize: maxRemembered})}
}

// Highest implements Memory.
func (m *InMemory) Highest(_ context.Context, scid string) (string, int, bool, error) {
	s, ok := m.seen.GetIfPresent(scid)
	return s.versionID, s.entries, ok, nil
}

// Remember implements Memory.
func (m *InMemory) Remember(_ context.Context, scid, versionID string, entries int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s, ok := m.seen.GetIfPresent(scid); !ok || s.entries < entries {
		m.seen.Set(scid, seen{versionID, entries})
	}
	return nil
}
