package hotstate

import (
	"context"
	"sync"
	"time"
)

// Capacity is how many proofs a Memory remembers, at some 350 bytes each: a
// hundred seconds of 5,000 unqualified permits a second.
const Capacity = 1 << 19

// Memory remembers in this process. It is valid for one process at a database.
// The zero Memory works once it has begun.
type Memory struct {
	mu    sync.Mutex
	name  string
	now   time.Time // the latest that any caller said; never falls
	spent map[string]entry
	queue []due // in the order of arrival, which is nearly that of expiry
	limit int   // tests lower it
}

type entry struct {
	record  string
	expires time.Time
}

type due struct {
	key     string
	expires time.Time
}

// Begin implements policy.Spent.
func (m *Memory) Begin(_ context.Context, name string, now time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.name, m.now, m.spent, m.queue = name, now, map[string]entry{}, nil
	if m.limit == 0 {
		m.limit = Capacity
	}
	return nil
}

// Spend implements policy.Spent.
func (m *Memory) Spend(_ context.Context, name, key, record string, now, expires time.Time) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.name == "" || m.name != name {
		return "", ErrLost
	}
	if now.After(m.now) {
		m.now = now
	}
	m.sweep()
	if e, ok := m.spent[key]; ok {
		return e.record, nil // also where it is due: the queue forgets it
	}
	if len(m.spent) >= m.limit {
		return "", ErrFull
	}
	m.spent[key] = entry{record, expires}
	m.queue = append(m.queue, due{key, expires})
	return "", nil
}

// sweep forgets what is due at the head of the queue. One that is due behind
// another that is not waits for it, a minute at most.
func (m *Memory) sweep() {
	n := 0
	for n < len(m.queue) && m.queue[n].expires.Before(m.now) {
		delete(m.spent, m.queue[n].key)
		n++
	}
	m.queue = m.queue[n:]
}
