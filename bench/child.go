package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/writ-registry/writ/client"
	"github.com/writ-registry/writ/internal/canon"
)

// child is a server under test, a process of its own.
type child struct {
	cmd   *exec.Cmd
	URL   string
	Ready time.Duration // from its start to its first good answer
	log   *bytes.Buffer
	done  chan struct{}
}

// startChild runs a program and waits until the address given by where (called
// again and again until it knows) answers ready with a 2xx.
func startChild(ctx context.Context, where func() string, ready string, name string, args ...string) (*child, error) {
	c := &child{cmd: exec.Command(name, args...), log: &bytes.Buffer{}, done: make(chan struct{})}
	c.cmd.Stderr = c.log
	// A group of its own: an interrupt at the terminal reaches the generator,
	// which then ends the server.
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	begin := time.Now()
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { _ = c.cmd.Wait(); close(c.done) }()
	for {
		if c.URL = where(); c.URL != "" {
			resp, err := http.Get(c.URL + ready)
			if err == nil {
				resp.Body.Close()
				if resp.StatusCode/100 == 2 {
					c.Ready = time.Since(begin)
					return c, nil
				}
			}
		}
		select {
		case <-c.done:
			return nil, fmt.Errorf("%s ended: %s\n%s", name, c.cmd.ProcessState, tail(c.log.String()))
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), c.stop())
		case <-time.After(5 * time.Millisecond):
		}
		if time.Since(begin) > 2*time.Minute {
			return nil, errors.Join(fmt.Errorf("%s is not ready after two minutes: %s", name, tail(c.log.String())), c.stop())
		}
	}
}

func tail(s string) string { return s[max(0, len(s)-1500):] }

// stop ends the program as an operator does, and kills what does not end.
func (c *child) stop() error {
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.done:
	case <-time.After(60 * time.Second):
		_ = c.cmd.Process.Kill()
		<-c.done
		return fmt.Errorf("%s did not end by itself", c.cmd.Path)
	}
	return nil
}

func (c *child) host() string { return strings.TrimPrefix(c.URL, "http://") }

// usage is what the kernel says of a process.
type usage struct {
	rss, peak float64       // MiB
	cpu       time.Duration // user and system
}

func (c *child) usage() usage { return usageOf(c.cmd.Process.Pid) }

func usageOf(pid int) (u usage) {
	raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(raw)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		kb, _ := strconv.ParseFloat(f[1], 64)
		switch f[0] {
		case "VmRSS:":
			u.rss = kb / 1024
		case "VmHWM:":
			u.peak = kb / 1024
		}
	}
	raw, _ = os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if _, rest, ok := strings.Cut(string(raw), ") "); ok {
		if f := strings.Fields(rest); len(f) > 13 { // utime and stime, proc(5), in ticks of 10 ms
			user, _ := strconv.Atoi(f[11])
			system, _ := strconv.Atoi(f[12])
			u.cpu = time.Duration(user+system) * 10 * time.Millisecond
		}
	}
	return u
}

func loadavg() string {
	raw, _ := os.ReadFile("/proc/loadavg")
	f := strings.Fields(string(raw))
	if len(f) < 1 {
		return ""
	}
	return f[0]
}

// serveWrit starts a registry on a data folder.
func serveWrit(ctx context.Context, writ, dir, chain string) (*child, error) {
	address := filepath.Join(dir, "address")
	if err := os.Remove(address); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return startChild(ctx, func() string {
		raw, _ := os.ReadFile(address)
		line, _, ok := strings.Cut(string(raw), "\n")
		if !ok {
			return "" // not there, or half written
		}
		return line
	}, "/readyz", writ, "serve", "--data", dir, "--listen", "127.0.0.1:0", "--chain", chain, "--log-level", "warn")
}

func operatorToken(dir string) (string, error) {
	f, err := os.Open(filepath.Join(dir, "operator.token"))
	if err != nil {
		return "", err
	}
	defer f.Close()
	line, err := bufio.NewReader(f).ReadString('\n')
	return strings.TrimSpace(line), err
}

// found lets the server make a data folder, and registers through the API what
// the acts need: a catalogue and an enforcement point.
func found(ctx context.Context, writ, dir string) (h *house, err error) {
	c, err := serveWrit(ctx, writ, dir, "none")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	token, err := operatorToken(dir)
	if err != nil {
		return nil, err
	}
	api, err := client.New(c.URL, token, client.Options{})
	if err != nil {
		return nil, err
	}
	me, err := api.Whoami(ctx)
	if err != nil {
		return nil, err
	}
	cat, err := api.ActivateCatalogue(ctx, me.Org, []client.CatalogueAction{
		{Action: benchVerb + ":" + benchType, Reversibility: "reversible", Material: true},
		{Action: "read:" + benchType, Reversibility: "reversible"},
	})
	if err != nil {
		return nil, err
	}
	pep, err := api.RegisterPEP(ctx, client.NewPEP{Name: "bench", Resources: []string{benchAudience}})
	if err != nil {
		return nil, err
	}
	info, err := api.Log(ctx)
	if err != nil {
		return nil, err
	}
	return &house{
		Origin: "http://" + strings.TrimSuffix(info.Origin, "/log"), Org: me.Org, Operator: me.ID, PEP: pep.Value.ID, Secret: pep.Secret,
		Seed: canon.Nonce(16), Base: time.Now().UTC().Truncate(time.Millisecond), catalogue: cat.Value.Digest, dir: dir,
	}, nil
}
