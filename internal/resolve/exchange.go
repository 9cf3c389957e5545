package resolve

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"time"
)

// Limits of an exchange.
const (
	maxAddresses  = 8               // of a host
	dialTimeout   = 3 * time.Second // for each
	maxHeader     = 32 << 10        // bytes
	maxConcurrent = 64              // exchanges of a Resolver
)

// exchanger fetches over HTTPS from hosts that strangers name.
type exchanger struct {
	guard  guard
	lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	client http.Client
}

func newExchanger(c Config) *exchanger {
	x := &exchanger{guard: guard{c.Allow, c.Ports}, lookup: c.Lookup}
	x.client = http.Client{
		Transport: &http.Transport{
			Proxy:                  nil, // not even from the environment
			DialContext:            x.dial,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.RootCAs},
			DisableKeepAlives:      true, // a connection serves the host it was checked for, once
			DisableCompression:     true, // a small body stays small
			MaxResponseHeaderBytes: maxHeader,
		},
		// The 3xx is the answer.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return x
}

// NewClient returns a client behind the same fence as documents, for what is not GET or
// not a document: sign-in at issuers that orgs name, for one. It follows no redirect and
// keeps no connection. Of c, only Allow, Ports, RootCAs, Lookup and Timeout matter; how
// much of a body is read is the caller's to bound.
func NewClient(c Config) *http.Client {
	c.fill()
	client := newExchanger(c).client
	client.Timeout = c.Timeout
	return &client
}

// Reaches refuses an address that no exchange under c is made with: errors.Is Address.
func (c Config) Reaches(to netip.AddrPort) error {
	c.fill()
	return guard{c.Allow, c.Ports}.check(to)
}

// Explain says in a few words why an exchange failed, to whom the addresses behind the
// fence are not to be told.
func Explain(err error) string { return classify(err).Detail }

// systemLookup asks the resolver of the system. It gives IPv4 addresses in their IPv6
// form, too.
func systemLookup(ctx context.Context, host string) ([]netip.Addr, error) {
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	for i, a := range addrs {
		addrs[i] = a.Unmap()
	}
	return addrs, err
}

// dial looks a host up once and connects to one of its addresses. A host that has any
// address that may not be dialled is not dialled at all: its names are not in order,
// or somebody tries what we reach.
func (x *exchanger) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return nil, err
	}
	addrs, err := x.lookup(ctx, host)
	if err != nil {
		return nil, err
	}
	for _, addr := range addrs {
		if err := x.guard.check(netip.AddrPortFrom(addr, uint16(port))); err != nil {
			return nil, err
		}
	}
	err = errors.New("host has no address")
	dialer := net.Dialer{Timeout: dialTimeout, Control: x.guard.control}
	for _, addr := range addrs[:min(len(addrs), maxAddresses)] {
		var conn net.Conn
		if conn, err = dialer.DialContext(ctx, network, netip.AddrPortFrom(addr, uint16(port)).String()); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

// get returns the body at a URL, of at most limit bytes. The context bounds all of the
// exchange, the body included. The content type is not looked at: hosts get it wrong,
// and what the body is shows when it is read. Errors: *Error without its DID.
func (x *exchanger) get(ctx context.Context, url, accept string, limit int64) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, &Error{Code: Internal, Detail: "no request", Err: err}
	}
	req.Header.Set("Accept", accept)
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", "writ")
	resp, err := x.client.Do(req)
	if err != nil {
		return nil, classify(err)
	}
	defer resp.Body.Close()
	switch status := resp.StatusCode; {
	case status == http.StatusNotFound || status == http.StatusGone:
		return nil, &Error{Code: NotFound, Detail: "the host does not have it"}
	case status >= 300 && status < 400:
		return nil, &Error{Code: InvalidDID, Reason: Redirect, Detail: "the host redirects, which is not followed"}
	case status != http.StatusOK:
		return nil, &Error{Code: Internal, Detail: fmt.Sprintf("the host answers %d", status)}
	}
	if coding := resp.Header.Get("Content-Encoding"); coding != "" && coding != "identity" {
		return nil, &Error{Code: InvalidDID, Reason: Encoded, Detail: "the host sends a compressed body"}
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err == nil {
		// While a connection is given up, a host may still bring its body to an end.
		err = ctx.Err()
	}
	if err != nil {
		return nil, classify(err)
	}
	if int64(len(body)) > limit {
		return nil, &Error{Code: InvalidDID, Reason: Size, Detail: fmt.Sprintf("the host sends more than %d bytes", limit)}
	}
	return body, nil
}

// classify says what the failure of an exchange means. To the caller, an address that
// may not be asked and a host that answers nothing look different, but the former is
// never connected to: only the name service is asked for it.
func classify(err error) *Error {
	var dns *net.DNSError
	var netErr net.Error
	switch {
	case errors.Is(err, Address):
		return &Error{Code: InvalidDID, Reason: Address, Detail: "the host is not at a public address and port", Err: err}
	case errors.As(err, &dns) && dns.IsNotFound:
		return &Error{Code: NotFound, Detail: "there is no such host", Err: err}
	case errors.Is(err, context.DeadlineExceeded) || errors.As(err, &netErr) && netErr.Timeout():
		return &Error{Code: Internal, Reason: Timeout, Detail: "the host does not answer in time", Err: err}
	}
	return &Error{Code: Internal, Detail: "the host cannot be asked", Err: err}
}
