package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// Peers are other people's servers, driven by the same generator over the same
// wire in the same run. Each does less or more than Writ; the notes say what,
// and docs/benchmarks says it at length.

// openPeer starts a peer from the folder bin. It must be installed there
// (scripts/bench/peers.sh).
func openPeer(ctx context.Context, o options) (*target, error) {
	open, ok := map[string]func(context.Context, options, string) (*target, error){
		"opa": openOPA, "openfga": openFGA, "tessera": openTessera, "net-http": openBare,
	}[o.peer]
	if !ok {
		return nil, fmt.Errorf("--peer %s: opa, openfga, tessera and net-http are known", o.peer)
	}
	if (o.peer == "tessera") != (o.scenario == "log") || (o.peer == "net-http") != (o.scenario == "resolve") || o.scenario == "register" {
		return nil, fmt.Errorf("%s does nothing like the scenario %s", o.peer, o.scenario)
	}
	dir, err := os.MkdirTemp(o.tmp, "peer-bench-")
	if err != nil {
		return nil, err
	}
	t, err := open(ctx, o, dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	t.close = func() error { return errors.Join(t.server.stop(), os.RemoveAll(dir)) }
	if t.entries == nil {
		t.entries = func() int64 { return -1 }
	}
	return t, nil
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// opaPolicy asks of an agent what a grant asks: that it is active, that its
// grant is in its period and covers the act, and its bound. OPA takes the
// caller's word for who the agent is.
const opaPolicy = `package writ

default allow := false

allow if {
	agent := data.agents[input.subject.id]
	agent.status == "active"
	some grant in agent.grants
	grant.action == sprintf("%s:%s", [input.action.name, input.resource.type])
	input.action.properties.amount <= grant.amount
	now := time.now_ns()
	now >= grant.not_before
	now < grant.expires
}
`

func openOPA(ctx context.Context, o options, dir string) (*target, error) {
	agents := map[string]any{}
	for n := range o.agents {
		agents[agentName(n)] = map[string]any{"status": "active", "grants": []any{
			map[string]any{"action": "read:records", "amount": 0, "not_before": 0, "expires": int64(1) << 62},
			map[string]any{"action": "update:records", "amount": 500, "not_before": 0, "expires": int64(1) << 62},
		}}
	}
	data, err := json.Marshal(map[string]any{"agents": agents})
	if err != nil {
		return nil, err
	}
	policy, facts := filepath.Join(dir, "policy.rego"), filepath.Join(dir, "data.json")
	if err := errors.Join(os.WriteFile(policy, []byte(opaPolicy), 0o600), os.WriteFile(facts, data, 0o600)); err != nil {
		return nil, err
	}
	addr, err := freeAddress()
	if err != nil {
		return nil, err
	}
	c, err := startChild(ctx, func() string { return "http://" + addr }, "/health", o.tool("opa"),
		"run", "--server", "--addr", addr, "--log-level", "error", "--disable-telemetry", policy, facts)
	if err != nil {
		return nil, err
	}
	return &target{
		name: "opa", server: c, agents: o.agents,
		notes: []string{"policy over data in memory: no signatures verified, nothing recorded"},
		prepare: func(_ context.Context, n int, _ []time.Duration) (work, error) {
			requests, err := signAll(min(n, max(1000, o.agents)), func(i int, _ time.Time) ([]byte, error) {
				body, err := json.Marshal(map[string]any{"input": map[string]any{
					"subject":  map[string]any{"type": "agent", "id": agentName(i % o.agents)},
					"action":   map[string]any{"name": "update", "properties": map[string]any{"amount": 1 + i%500}},
					"resource": map[string]any{"type": "records", "id": "2026-" + strconv.Itoa(i)},
				}})
				return request("POST", "/v1/data/writ/allow", addr, "Content-Type: application/json\r\n", body), err
			})
			return work{addr: addr, requests: requests, repeat: true, check: wantStatus(200, `"result":true`)}, err
		},
	}, nil
}

func agentName(n int) string { return "did:example:agent-" + strconv.Itoa(n) }

const fgaModel = `{"schema_version":"1.1","type_definitions":[
 {"type":"agent"},
 {"type":"collection","relations":{"updater":{"this":{}}},"metadata":{"relations":{"updater":{"directly_related_user_types":[{"type":"agent"}]}}}},
 {"type":"records","relations":{"parent":{"this":{}},"can_update":{"tupleToUserset":{"tupleset":{"relation":"parent"},"computedUserset":{"relation":"updater"}}}},
  "metadata":{"relations":{"parent":{"directly_related_user_types":[{"type":"collection"}]}}}}]}`

// openFGA starts OpenFGA on its in-memory store: each agent may update a
// collection, and records are in the collection.
func openFGA(ctx context.Context, o options, _ string) (*target, error) {
	addr, err := freeAddress()
	if err != nil {
		return nil, err
	}
	grpc, err := freeAddress()
	if err != nil {
		return nil, err
	}
	c, err := startChild(ctx, func() string { return "http://" + addr }, "/healthz", o.tool("openfga"), "run", "--datastore-engine", "memory",
		"--http-addr", addr, "--grpc-addr", grpc, "--playground-enabled=false", "--metrics-enabled=false", "--log-level", "error")
	if err != nil {
		return nil, err
	}
	const records = 1000
	store, err := fillFGA(ctx, c.URL, o.agents, records)
	if err != nil {
		return nil, errors.Join(err, c.stop())
	}
	return &target{
		name: "openfga", server: c, agents: o.agents,
		notes: []string{"relations in memory: no signatures verified, nothing recorded, no bound on arguments"},
		prepare: func(_ context.Context, n int, _ []time.Duration) (work, error) {
			requests, err := signAll(min(n, max(records, o.agents)), func(i int, _ time.Time) ([]byte, error) {
				body := fmt.Appendf(nil, `{"tuple_key":{"user":"agent:%d","relation":"can_update","object":"records:%d"}}`, i%o.agents, i%records)
				return request("POST", "/stores/"+store+"/check", addr, "Content-Type: application/json\r\n", body), nil
			})
			return work{addr: addr, requests: requests, repeat: true, check: wantStatus(200, `"allowed":true`)}, err
		},
	}, nil
}

func fillFGA(ctx context.Context, url string, agents, records int) (store string, err error) {
	var made struct {
		ID string `json:"id"`
	}
	if err := postJSON(ctx, url+"/stores", `{"name":"bench"}`, &made); err != nil {
		return "", err
	}
	at := url + "/stores/" + made.ID
	if err := postJSON(ctx, at+"/authorization-models", fgaModel, nil); err != nil {
		return "", err
	}
	var keys []map[string]string
	for n := range agents {
		keys = append(keys, map[string]string{"user": "agent:" + strconv.Itoa(n), "relation": "updater", "object": "collection:all"})
	}
	for n := range records {
		keys = append(keys, map[string]string{"user": "collection:all", "relation": "parent", "object": "records:" + strconv.Itoa(n)})
	}
	for len(keys) > 0 {
		n := min(100, len(keys)) // the most that one call takes
		body, err := json.Marshal(map[string]any{"writes": map[string]any{"tuple_keys": keys[:n]}})
		if err != nil {
			return "", err
		}
		if err := postJSON(ctx, at+"/write", string(body), nil); err != nil {
			return "", err
		}
		keys = keys[n:]
	}
	return made.ID, nil
}

func postJSON(ctx context.Context, url, body string, out any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader([]byte(body)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("%s: status %d: %.300s", url, resp.StatusCode, raw)
	}
	if err == nil && out != nil {
		err = json.Unmarshal(raw, out)
	}
	return err
}

// bareBytes is about what the resolution of an agent's DID takes.
const bareBytes = 1500

// openBare starts net/http with a handler that does nothing but send bytes that
// it holds: what this machine, its kernel and Go's server leave for any answer.
func openBare(ctx context.Context, o options, _ string) (*target, error) {
	addr, err := freeAddress()
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c, err := startChild(ctx, func() string { return "http://" + addr }, "/", self, "--serve-bytes", addr)
	if err != nil {
		return nil, err
	}
	return &target{
		name: "net-http", server: c, agents: o.agents,
		notes: []string{fmt.Sprintf("a bare handler that sends %d bytes: the floor", bareBytes)},
		prepare: func(context.Context, int, []time.Duration) (work, error) {
			return work{addr: addr, requests: [][]byte{request("GET", "/", addr, "", nil)}, repeat: true, check: wantStatus(200, "x")}, nil
		},
	}, nil
}

func serveBytes(addr string) error {
	body := bytes.Repeat([]byte("x"), bareBytes)
	return http.ListenAndServe(addr, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = w.Write(body) // a client that has gone is no concern here
	}))
}

// openTessera starts Tessera on its POSIX storage.
func openTessera(ctx context.Context, o options, dir string) (*target, error) {
	secret, _, err := note.GenerateKey(rand.Reader, "bench.example/log")
	if err != nil {
		return nil, err
	}
	key := filepath.Join(dir, "key")
	if err := os.WriteFile(key, []byte(secret), 0o600); err != nil {
		return nil, err
	}
	addr, err := freeAddress()
	if err != nil {
		return nil, err
	}
	c, err := startChild(ctx, func() string { return "http://" + addr }, "/checkpoint", o.tool("tessera"),
		"--storage_dir", filepath.Join(dir, "log"), "--listen", addr, "--private_key", key, "--batch_max_age", o.tesseraAge.String())
	if err != nil {
		return nil, err
	}
	return &target{
		name: "tessera", server: c,
		notes: []string{"POSIX storage", fmt.Sprintf("batches of 256 or %s", o.tesseraAge), fmt.Sprintf("entries of %d bytes", entryBytes)},
		prepare: func(_ context.Context, n int, _ []time.Duration) (work, error) {
			return rawEntries(addr, "/add", n)
		},
	}, nil
}
