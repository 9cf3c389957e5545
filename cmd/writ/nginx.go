package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/writ-registry/writ/examples/nginx"
)

// findNginx is the program, or "" where there is none.
func findNginx() string {
	for _, name := range []string{"nginx", "/usr/sbin/nginx"} {
		if bin, err := exec.LookPath(name); err == nil {
			return bin
		}
	}
	return ""
}

// startNginx runs an nginx with the example's configuration before a tool, in a
// temporary folder, and returns its address once it takes connections. edit may
// change the configuration; nil: it does not.
func startNginx(ctx context.Context, bin, registry, tool, credential string, edit func(string) string) (url string, stop func() error, err error) {
	run, err := os.MkdirTemp("", "writ-nginx-")
	if err != nil {
		return "", nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(run))
	}
	address := l.Addr().String()
	l.Close() // nginx takes it over
	bare := func(url string) string { return strings.TrimPrefix(url, "http://") }
	conf := strings.NewReplacer("RUN/", run+"/", "listen LISTEN", "listen "+address, "server REGISTRY", "server "+bare(registry),
		"server TOOL", "server "+bare(tool), "Bearer CREDENTIAL", "Bearer "+credential).Replace(nginx.Conf)
	if edit != nil {
		conf = edit(conf)
	}
	path := filepath.Join(run, "nginx.conf")
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(run))
	}
	cmd := exec.Command(bin, "-p", run, "-c", path, "-e", filepath.Join(run, "error.log"))
	if err := cmd.Start(); err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(run))
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	stop = func() error {
		_ = cmd.Process.Signal(os.Interrupt) // ends its workers as well
		return errors.Join(<-ended, os.RemoveAll(run))
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		if conn, err := net.Dial("tcp", address); err == nil {
			return "http://" + address, stop, conn.Close()
		}
		select {
		case err := <-ended:
			log, _ := os.ReadFile(filepath.Join(run, "error.log"))
			return "", nil, errors.Join(fmt.Errorf("nginx ended: %w\n%s", err, log), os.RemoveAll(run))
		case <-ctx.Done():
			return "", nil, errors.Join(ctx.Err(), stop())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// demoTool is something that agents use over HTTP.
type demoTool struct {
	URL     string
	calls   atomic.Int64
	trusted atomic.Bool // every call came with the tool's credential

	server *http.Server
}

func openDemoTool(credential string) (*demoTool, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	t := &demoTool{URL: "http://" + l.Addr().String()}
	t.trusted.Store(true)
	t.server = &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.calls.Add(1)
		if r.Header.Get("Authorization") != credential {
			t.trusted.Store(false)
		}
		_, _ = io.WriteString(w, "{}\n") // who has gone needs no answer
	})}
	go func() { _ = t.server.Serve(l) }() // until Close
	return t, nil
}

// Close ends it.
func (t *demoTool) Close() error { return t.server.Close() }
