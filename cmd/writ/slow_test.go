package main

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// TestSlowClientIsCut: who sends a header or a body byte by byte, without end,
// is cut by the server's own timeouts, of 30 s at most.
func TestSlowClientIsCut(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes the 30 s of the real timeouts")
	}
	r := start(t, testConfig(t.TempDir()))
	addr := strings.TrimPrefix(r.server.URL, "http://")
	t.Run("slow", func(t *testing.T) {
		for name, head := range map[string]string{
			"header": "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
			"body":   "POST /access/v1/evaluation HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n\"",
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				conn, err := net.Dial("tcp", addr)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				if err := conn.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
					t.Fatal(err)
				}
				if _, err := io.WriteString(conn, head); err != nil {
					t.Fatal(err)
				}
				cut := make(chan error, 1)
				go func() {
					_, err := io.Copy(io.Discard, conn)
					cut <- err
				}()
				tick := time.NewTicker(100 * time.Millisecond)
				defer tick.Stop()
				for {
					select {
					case err := <-cut:
						if errors.Is(err, os.ErrDeadlineExceeded) {
							t.Error("it was served for two minutes")
						}
						return
					case <-tick.C:
						_, _ = io.WriteString(conn, "x") // it fails once the server has gone
					}
				}
			})
		}
	})
	if status, _, _ := get(t, r.server.URL+"/healthz"); status != 200 {
		t.Errorf("afterwards: %d", status)
	}
}
