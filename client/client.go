package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/writ-registry/writ/internal/canon"
)

// Options tunes a Client. The zero value works.
type Options struct {
	HTTP    *http.Client  // nil: one that gives up on a request after 30 seconds
	Retries int           // how often a request is sent again; 0 = 3, negative = never
	MaxWait time.Duration // the longest pause before one retry; 0 = 10 seconds

	// Agent signs each call with its key (RFC 9421) where there is no token.
	Agent *AgentFile

	// pause replaces waiting in tests.
	pause func(context.Context, time.Duration) error
}

// Client calls one registry with one credential. It is safe for concurrent use.
type Client struct {
	base  string // no trailing slash
	token string
	opts  Options
}

// maxAnswer bounds what is read of one answer, in bytes.
const maxAnswer = 16 << 20

// New returns a Client for the registry at baseURL. token is the credential of a
// principal or an enforcement point; it may be empty for what is public and for
// agents that ask for themselves.
func New(baseURL, token string, o Options) (*Client, error) {
	u, err := url.Parse(strings.TrimRight(baseURL, "/"))
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, fmt.Errorf("registry address %q: want http://HOST or https://HOST", baseURL)
	}
	if o.HTTP == nil {
		o.HTTP = &http.Client{Timeout: 30 * time.Second}
	}
	if o.Retries == 0 {
		o.Retries = 3
	}
	if o.MaxWait == 0 {
		o.MaxWait = 10 * time.Second
	}
	if o.pause == nil {
		o.pause = pause
	}
	return &Client{base: u.String(), token: token, opts: o}, nil
}

// As returns a Client for the same registry with another credential.
func (c *Client) As(token string) *Client {
	d := *c
	d.token = token
	return &d
}

// URL is the registry's address, without a trailing slash.
func (c *Client) URL() string { return c.base }

// request is one call, which may be sent several times.
type request struct {
	method, path string
	query        url.Values
	body         any  // nil: none
	key          bool // it carries an Idempotency-Key
	repeatable   bool // sending it twice is sending it once
	public       bool // no credential is sent
}

type keyOfContext struct{}

// WithIdempotencyKey makes the one writing call that ctx is given to carry this
// Idempotency-Key (1 to 255 printable ASCII characters) in place of a random
// one, so that a program may repeat a call across its own restarts.
func WithIdempotencyKey(ctx context.Context, key string) context.Context {
	return context.WithValue(ctx, keyOfContext{}, key)
}

// answer is what came back: status 2xx, body whole.
type answer struct {
	header http.Header
	body   []byte
}

// do sends a request until it is answered, at most 1 + Retries times. It sends
// again what the registry asked to repeat (503, 429) and, where that is
// harmless, what got lost on the way. All tries of a writing call carry one
// Idempotency-Key, so that however many arrive, one takes effect.
func (c *Client) do(ctx context.Context, r request) (answer, error) {
	var body []byte
	if r.body != nil {
		var err error
		// Not json.Marshal: arguments must arrive as they were signed, and it
		// rewrites <, > and & inside them.
		if body, err = canon.Marshal(r.body); err != nil {
			return answer{}, fmt.Errorf("%s %s: encode request: %w", r.method, r.path, err)
		}
	}
	key := ""
	if r.key {
		if key, _ = ctx.Value(keyOfContext{}).(string); key == "" {
			key = canon.Nonce(16)
		}
	}
	for try := 0; ; try++ {
		a, err := c.once(ctx, r, body, key)
		if err == nil {
			return a, nil
		}
		again, wait := c.again(r, err, try)
		if !again || ctx.Err() != nil {
			return answer{}, err
		}
		if perr := c.opts.pause(ctx, wait); perr != nil {
			return answer{}, fmt.Errorf("%w (last answer: %w)", perr, err)
		}
	}
}

// again decides whether a failed try is followed by another, and when.
func (c *Client) again(r request, err error, try int) (bool, time.Duration) {
	if try >= c.opts.Retries {
		return false, 0
	}
	backoff := min(100*time.Millisecond<<min(try, 10), c.opts.MaxWait)
	var p *Problem
	if errors.As(err, &p) {
		// A registry that asks for more patience than we have is believed.
		return p.Temporary() && p.RetryAfter <= c.opts.MaxWait, max(backoff, p.RetryAfter)
	}
	return r.repeatable || r.key, backoff
}

func (c *Client) once(ctx context.Context, r request, body []byte, key string) (answer, error) {
	at := c.base + r.path
	if q := r.query.Encode(); q != "" {
		at += "?" + q
	}
	var in io.Reader
	if body != nil {
		in = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, at, in)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Accept", "application/json, application/problem+json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" && !r.public {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	if f := c.opts.Agent; f != nil && c.token == "" && !r.public {
		if err := f.SignRequest(req, body); err != nil {
			return answer{}, fmt.Errorf("%s %s: %w", r.method, r.path, err)
		}
	}
	resp, err := c.opts.HTTP.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return answer{}, fmt.Errorf("%s %s: read answer: %w", r.method, r.path, err)
	}
	if resp.StatusCode/100 != 2 {
		return answer{}, readProblem(resp, data, time.Now())
	}
	if len(data) > maxAnswer {
		return answer{}, fmt.Errorf("%s %s: the answer is longer than %d bytes", r.method, r.path, maxAnswer)
	}
	return answer{resp.Header, data}, nil
}

// read decodes an answer. Unknown members are ignored: the registry may be
// newer than this program.
func (c *Client) read(ctx context.Context, r request, v any) (answer, error) {
	a, err := c.do(ctx, r)
	if err != nil {
		return a, err
	}
	if err := canon.UnmarshalOpen(a.body, v); err != nil {
		return a, fmt.Errorf("%s %s: the answer is not what a registry answers: %w", r.method, r.path, err)
	}
	return a, nil
}

func (c *Client) get(ctx context.Context, path string, query url.Values, v any) error {
	_, err := c.read(ctx, request{method: http.MethodGet, path: path, query: query, repeatable: true}, v)
	return err
}

// Change is the answer to a writing call.
type Change[T any] struct {
	Value  T
	Event  *EventRef // where it is recorded; nil where nothing changed
	Secret string    // a new credential, given out once
	// Replayed: an earlier try had arrived and this is its answer. A secret is
	// never repeated: if one was due, it is lost and the thing must be made anew.
	Replayed bool
}

// change does a writing call whose answer holds the thing under name.
func change[T any](ctx context.Context, c *Client, method, path, name string, in any) (Change[T], error) {
	var members struct {
		Event  *EventRef `json:"event"`
		Secret string    `json:"secret"`
	}
	a, err := c.read(ctx, request{method: method, path: path, body: in, key: true}, &members)
	if err != nil {
		return Change[T]{}, err
	}
	out := Change[T]{Event: members.Event, Secret: members.Secret, Replayed: a.header.Get("Idempotency-Replayed") == "true"}
	err = member(a.body, name, &out.Value)
	return out, err
}

// member decodes one member of an object.
func member(body []byte, name string, v any) error {
	var all map[string]json.RawMessage
	if err := canon.UnmarshalOpen(body, &all); err != nil {
		return fmt.Errorf("the answer is not what a registry answers: %w", err)
	}
	raw, ok := all[name]
	if !ok || string(raw) == "null" {
		return fmt.Errorf("the answer is not what a registry answers: no member %q", name)
	}
	if err := canon.UnmarshalOpen(raw, v); err != nil {
		return fmt.Errorf("the answer is not what a registry answers: %s: %w", name, err)
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
