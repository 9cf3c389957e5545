package workload

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

const (
	// refetch is how often one address is asked at most: tokens with unknown keys come from
	// strangers too, and each would make us ask again.
	refetch = 10 * time.Second
	// fetchTimeout bounds a request where the caller's client does not.
	fetchTimeout = 10 * time.Second
	// maxAnswer is the longest answer that is read, in bytes.
	maxAnswer = 1 << 20
)

// fetcher is a transport that asks for each address once in a while and gives the last
// answer, or failure, in between. A Verifier asks for two addresses.
type fetcher struct {
	base http.RoundTripper
	now  func() time.Time

	mu   sync.Mutex // held while an answer is awaited, so that nobody asks twice
	last map[string]answer
}

type answer struct {
	at     time.Time
	status int
	header http.Header
	body   []byte
	err    error
}

// newClient returns the caller's client behind a fetcher. Redirects are answers like
// any other that is not 200: discovery has none (OpenID Connect Discovery section 4.2).
func newClient(c *http.Client, now func() time.Time) *http.Client {
	out := *c
	base := c.Transport
	if base == nil {
		base = http.DefaultTransport
	}
	out.Transport = &fetcher{base: base, now: now, last: map[string]answer{}}
	out.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	out.Jar = nil
	if out.Timeout == 0 {
		out.Timeout = fetchTimeout
	}
	return &out
}

// RoundTrip implements http.RoundTripper.
func (f *fetcher) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := r.URL.String()
	a, asked := f.last[key]
	if now := f.now(); !asked || now.Sub(a.at) >= refetch {
		a = f.ask(r)
		a.at = now
		f.last[key] = a
	}
	if a.err != nil {
		return nil, a.err
	}
	return &http.Response{
		Status: http.StatusText(a.status), StatusCode: a.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: a.header, Body: io.NopCloser(bytes.NewReader(a.body)), ContentLength: int64(len(a.body)), Request: r,
	}, nil
}

// ask makes the request. What is not 200 is a failure, without its body.
func (f *fetcher) ask(r *http.Request) answer {
	resp, err := f.base.RoundTrip(r)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return answer{err: fmt.Errorf("%s answers %d", r.URL.Host, resp.StatusCode)}
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(body) > maxAnswer {
		err = fmt.Errorf("%s answers with more than %d bytes", r.URL.Host, maxAnswer)
	}
	return answer{status: resp.StatusCode, header: resp.Header, body: body, err: err}
}
