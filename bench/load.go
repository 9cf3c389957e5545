package main

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// work is what is sent, in order, each request once unless it may be repeated.
type work struct {
	addr     string
	requests [][]byte
	repeat   bool // requests may be sent again and again
	check    func(status int, body []byte) error
}

// measured is what came of it. Latencies are kept whole, one number a request,
// so every percentile is exact.
type measured struct {
	latency []time.Duration // sorted; of answered requests
	lag     []time.Duration // sorted; open loop: how late the generator itself was
	errors  int
	first   error         // the first error
	unsent  int           // open loop: due, and never sent within the grace
	took    time.Duration // from the start to the last answer
	dry     bool          // the requests ran out before the time did
}

// percentile is the nearest-rank percentile p (0 to 100) of a sorted list.
func percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max(0, min(len(sorted)-1, int(math.Ceil(p*float64(len(sorted))/100-1e-9))-1))]
}

// schedule is when the requests of an open loop are due: a Poisson process of
// the rate, or evenly spaced.
func schedule(rate float64, d time.Duration, poisson bool) []time.Duration {
	var due []time.Duration
	gap := float64(time.Second) / rate
	random := rand.New(rand.NewPCG(1, 2)) // the same arrivals for every target
	for t := 0.0; t < float64(d); {
		due = append(due, time.Duration(t))
		if poisson {
			t += random.ExpFloat64() * gap
		} else {
			t += gap
		}
	}
	return due
}

// grace is how long after its end an open loop still sends what was due.
const grace = 5 * time.Second

// drive sends the work from that many connections.
//
// Closed loop (due is nil): each connection sends its next request when the
// last is answered, until d has passed. Open loop: requests are due at set
// times, whatever became of those before. Where all connections are busy a
// request waits, and the wait counts: its latency runs from the moment it was
// due, not from when it was sent. A slow server cannot slow the questions down
// to its own pace and so hide its delays (coordinated omission).
func drive(ctx context.Context, w work, clients int, due []time.Duration, d time.Duration) measured {
	conns := connect(w, clients)
	defer func() {
		for _, c := range conns {
			c.wire.close()
		}
	}()
	runtime.GC() // not in the measured time
	start := time.Now()
	var ticks chan int
	var lag []time.Duration
	var wg sync.WaitGroup
	if due != nil {
		ticks = make(chan int, len(due))
		wg.Go(func() { lag = pace(ctx, start, due, ticks) })
	}
	var next atomic.Int64
	var dry atomic.Bool
	for _, c := range conns {
		wg.Go(func() {
			for ctx.Err() == nil {
				var i int
				var from time.Time
				if due != nil {
					n, ok := <-ticks
					if !ok {
						return
					}
					i, from = n, start.Add(due[n])
					if time.Since(start) > d+grace {
						c.unsent++
						continue
					}
				} else {
					i, from = int(next.Add(1)-1), time.Now()
					if from.Sub(start) >= d {
						return
					}
				}
				if i >= len(w.requests) && !w.repeat {
					dry.Store(true)
					return
				}
				c.send(w, i, from)
			}
		})
	}
	wg.Wait()
	return gather(conns, lag, start, dry.Load())
}

// caller is one connection and what it saw.
type caller struct {
	wire    wire
	latency []time.Duration
	errors  int
	first   error
	unsent  int
	last    time.Time
}

// connect opens the connections before the measured time.
func connect(w work, clients int) []*caller {
	conns := make([]*caller, clients)
	for i := range conns {
		conns[i] = &caller{wire: wire{addr: w.addr}, latency: make([]time.Duration, 0, 4*len(w.requests)/clients+1024)}
		if err := conns[i].wire.connect(); err != nil {
			conns[i].first = err
		}
	}
	return conns
}

func (c *caller) send(w work, i int, from time.Time) {
	status, body, err := c.wire.do(w.requests[i%len(w.requests)])
	c.last = time.Now()
	if err == nil {
		err = w.check(status, body)
	}
	if err != nil {
		c.errors++
		if c.first == nil {
			c.first = err
		}
		return
	}
	c.latency = append(c.latency, c.last.Sub(from))
}

// pace lets each request go when it is due, on a thread of its own: the
// runtime's timers are late by up to a millisecond. It closes ticks at the end.
func pace(ctx context.Context, start time.Time, due []time.Duration, ticks chan<- int) []time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(ticks)
	lag := make([]time.Duration, 0, len(due))
	for i, at := range due {
		for {
			wait := at - time.Since(start)
			if wait <= 0 || ctx.Err() != nil {
				break
			}
			ts := syscall.NsecToTimespec(int64(wait))
			_ = syscall.Nanosleep(&ts, nil) // woken early, it sleeps again
		}
		lag = append(lag, time.Since(start)-at)
		ticks <- i
	}
	slices.Sort(lag)
	return lag
}

func gather(conns []*caller, lag []time.Duration, start time.Time, dry bool) measured {
	m := measured{lag: lag, dry: dry}
	for _, c := range conns {
		m.latency = append(m.latency, c.latency...)
		m.errors += c.errors
		m.unsent += c.unsent
		if m.first == nil {
			m.first = c.first
		}
		m.took = max(m.took, c.last.Sub(start))
	}
	slices.Sort(m.latency)
	return m
}

// wantStatus checks an answer's status and that its body holds a text.
func wantStatus(want int, text string) func(int, []byte) error {
	return func(status int, body []byte) error {
		if status != want || !bytes.Contains(body, []byte(text)) {
			return fmt.Errorf("status %d: %.300s", status, body)
		}
		return nil
	}
}
