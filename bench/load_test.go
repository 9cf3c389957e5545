package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestPercentile(t *testing.T) {
	var list []time.Duration
	for i := range 1000 {
		list = append(list, time.Duration(i+1))
	}
	for p, want := range map[float64]time.Duration{0: 1, 50: 500, 99: 990, 99.9: 999, 100: 1000} {
		if got := percentile(list, p); got != want {
			t.Errorf("p%v is %d, want %d", p, got, want)
		}
	}
	if percentile(nil, 50) != 0 || percentile(list[:1], 99) != 1 {
		t.Error("empty and single lists")
	}
}

func TestSchedule(t *testing.T) {
	even := schedule(100, time.Second, false)
	if len(even) != 100 || even[99] != 990*time.Millisecond {
		t.Errorf("%d arrivals, last at %v", len(even), even[len(even)-1])
	}
	random := schedule(10_000, 2*time.Second, true)
	if n := len(random); n < 19_400 || n > 20_600 { // 4 standard deviations
		t.Errorf("%d arrivals in a Poisson process of 20,000", n)
	}
	for i := range random[1:] {
		if random[i+1] < random[i] {
			t.Fatal("arrivals out of order")
		}
	}
}

func addr(s *httptest.Server) string { return strings.TrimPrefix(s.URL, "http://") }

func gets(s *httptest.Server, n int) work {
	w := work{addr: addr(s), check: wantStatus(200, "ok")}
	for range n {
		w.requests = append(w.requests, request("GET", "/", w.addr, "", nil))
	}
	return w
}

// TestStallIsSeen is what coordinated omission hides: a server that stands
// still for a while delays every request that was due in that time, not only
// the one it held.
func TestStallIsSeen(t *testing.T) {
	const stall = 300 * time.Millisecond
	var n atomic.Int64
	var until atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1) == 50 {
			until.Store(time.Now().Add(stall).UnixNano())
		}
		time.Sleep(time.Until(time.Unix(0, until.Load())))
		fmt.Fprint(w, "ok")
	}))
	defer s.Close()
	due := schedule(200, time.Second, false)
	m := drive(t.Context(), gets(s, len(due)), 4, due, time.Second)
	if m.errors != 0 || m.unsent != 0 || len(m.latency) != len(due) {
		t.Fatalf("%d answered, %d errors (%v), %d unsent", len(m.latency), m.errors, m.first, m.unsent)
	}
	// 60 requests were due while it stood still; with 4 connections a closed
	// loop would have counted 4 of them.
	late := 0
	for _, l := range m.latency {
		if l > stall/6 {
			late++
		}
	}
	if late < 45 {
		t.Errorf("%d requests felt a stall in which 60 were due", late)
	}
}

func TestClosedLoopAndErrors(t *testing.T) {
	var n atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1)%10 == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, "busy")
			return
		}
		w.(http.Flusher).Flush() // chunked
		fmt.Fprint(w, strings.Repeat("ok", 5000))
	}))
	defer s.Close()
	m := drive(t.Context(), gets(s, 100), 3, nil, time.Minute)
	if !m.dry || len(m.latency) != 90 || m.errors != 10 || m.first == nil || !strings.Contains(m.first.Error(), "busy") {
		t.Errorf("%d answered, %d errors, first %v, dry %v", len(m.latency), m.errors, m.first, m.dry)
	}
	w := gets(s, 1)
	w.repeat = true
	if m = drive(t.Context(), w, 2, nil, 50*time.Millisecond); m.dry || len(m.latency) < 2 {
		t.Errorf("repeated: %d answered, dry %v", len(m.latency), m.dry)
	}
}

// TestOverloadIsCounted: what was due and could not be sent is an error, and the
// run ends.
func TestOverloadIsCounted(t *testing.T) {
	hold := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-hold:
		case <-r.Context().Done():
		}
	}))
	defer s.Close()
	defer close(hold)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, func() { cancel(); s.CloseClientConnections() })
	due := schedule(1000, 50*time.Millisecond, false)
	m := drive(ctx, gets(s, len(due)), 2, due, 50*time.Millisecond)
	if len(m.latency) != 0 || m.errors == 0 {
		t.Errorf("%d answered, %d errors", len(m.latency), m.errors)
	}
}

func TestWireReportsWhatIsNotHTTP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			fmt.Fprint(c, "SSH-2.0-something\r\n")
			c.Close()
		}
	}()
	w := wire{addr: l.Addr().String()}
	if _, _, err := w.do(request("GET", "/", w.addr, "", nil)); err == nil {
		t.Error("no error")
	}
}
