package client

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Redemptions remembers which permits were used, so that each is used at most once.
// All who guard one resource server share one, or the resource is used once by each.
//
// Redeem returns nil for the first use of a permit and ErrRedeemed for any later one,
// until expires; whatever else it returns, the act MUST NOT be done. It is safe for
// concurrent use.
type Redemptions interface {
	Redeem(permit string, expires time.Time) error
}

// ErrRedeemed: the permit was used before.
var ErrRedeemed = errors.New("the permit was used before")

// errFull: there is no room to remember another use, so there is none.
var errFull = errors.New("too many permits were used in the last seconds to remember another one")

// kept is how much longer than it counts a permit is remembered: clocks differ.
const kept = time.Minute

// MemoryRedemptions remembers in memory, for one process. What it has forgotten after a
// restart could be used again for as long as permits count: 30 seconds.
type MemoryRedemptions struct {
	// Max is how many permits are remembered at once; 0 = 100,000. More are refused:
	// forgetting one would let it be used again.
	Max int

	mu    sync.Mutex
	until map[string]time.Time // guarded by mu
	swept time.Time            // guarded by mu
}

// Redeem implements Redemptions.
func (m *MemoryRedemptions) Redeem(permit string, expires time.Time) error {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.redeem(permit, expires, now)
}

func (m *MemoryRedemptions) redeem(permit string, expires, now time.Time) error {
	most := m.Max
	if most == 0 {
		most = 100_000
	}
	if m.until == nil {
		m.until = map[string]time.Time{}
	}
	if _, used := m.until[permit]; used {
		return ErrRedeemed
	}
	if len(m.until) >= most || now.Sub(m.swept) > kept {
		for id, until := range m.until {
			if now.After(until) {
				delete(m.until, id)
			}
		}
		m.swept = now
	}
	if len(m.until) >= most {
		return errFull
	}
	m.until[permit] = expires.Add(kept)
	return nil
}

// FileRedemptions remembers in a file as well, across restarts of one process. A use
// counts once it is on disk.
type FileRedemptions struct {
	memory MemoryRedemptions
	file   *os.File // guarded by memory.mu
}

// OpenRedemptions opens a file of redemptions, or makes one. A last line that a crash
// cut off was never answered, and is left out.
func OpenRedemptions(path string) (*FileRedemptions, error) {
	f := &FileRedemptions{}
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	now := time.Now()
	var live strings.Builder
	for scan := bufio.NewScanner(strings.NewReader(string(old))); scan.Scan(); {
		ms, id, ok := strings.Cut(scan.Text(), " ")
		n, err := strconv.ParseInt(ms, 10, 64)
		if !ok || err != nil || id == "" || now.After(time.UnixMilli(n).Add(kept)) {
			continue
		}
		if err := f.memory.redeem(id, time.UnixMilli(n), now); err == nil {
			fmt.Fprintf(&live, "%d %s\n", n, id)
		}
	}
	tmp := path + ".new"
	if f.file, err = os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o600); err != nil {
		return nil, err
	}
	_, err = f.file.WriteString(live.String())
	err = errors.Join(err, f.file.Sync())
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return nil, errors.Join(err, f.file.Close())
	}
	return f, nil
}

// Redeem implements Redemptions.
func (f *FileRedemptions) Redeem(permit string, expires time.Time) error {
	if strings.ContainsAny(permit, " \r\n") || permit == "" {
		return fmt.Errorf("permit id %q", permit)
	}
	f.memory.mu.Lock()
	defer f.memory.mu.Unlock()
	if err := f.memory.redeem(permit, expires, time.Now()); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(f.file, "%d %s\n", expires.UnixMilli(), permit); err != nil {
		return err
	}
	return f.file.Sync()
}

// Close closes the file.
func (f *FileRedemptions) Close() error { return f.file.Close() }
