package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// progress says how far a long command has come: one line that is written over in a
// terminal, a line every few seconds elsewhere. It is safe for concurrent use.
type progress struct {
	w        io.Writer
	what     string
	total    int
	terminal bool
	started  time.Time

	mu           sync.Mutex
	done, failed int // guarded by mu, as is said
	said         time.Time
}

func newProgress(w io.Writer, what string) *progress {
	p := &progress{w: w, what: what, started: time.Now()}
	if f, ok := w.(*os.File); ok {
		info, err := f.Stat()
		p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return p
}

// add counts, and says so now and then.
func (p *progress) add(done, failed int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done, p.failed = p.done+done, p.failed+failed
	every := 2 * time.Second
	if p.terminal {
		every = 100 * time.Millisecond
	}
	if now := time.Now(); now.Sub(p.said) >= every {
		p.said = now
		p.say()
	}
}

// end says the final count.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done+p.failed == 0 {
		return
	}
	p.say()
	if p.terminal {
		fmt.Fprintln(p.w)
	}
}

func (p *progress) say() {
	rate := float64(p.done+p.failed) / max(time.Since(p.started).Seconds(), 1e-3)
	line := fmt.Sprintf("%d of %d %s, %.0f/s, %d failed", p.done, p.total, p.what, rate, p.failed)
	if p.terminal {
		fmt.Fprintf(p.w, "\r\x1b[K%s", line) // the line is ours: numbers and words of the program
		return
	}
	fmt.Fprintln(p.w, line)
}
