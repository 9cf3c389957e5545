package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/writ-registry/writ/client"
)

// proxyOptions are the flags of writ proxy.
type proxyOptions struct {
	agent, routes, to, listen string
	force                     bool
}

func newProxyCmd() *cobra.Command {
	var o proxyOptions
	cmd := &cobra.Command{
		Use: "proxy --agent FILE --routes FILE --to URL", Short: "Sign requests for an agent that cannot", Args: cobra.NoArgs,
		Long: `Listen on this machine and pass each request on, proven as the agent's own act.

It holds the agent's key and grants, so that the agent itself needs neither: the agent
sends plain HTTP to the proxy. The table of routes says which act a request is; it is the
one that the enforcement point before the tool has, and a request that it does not map
goes nowhere.

Whatever runs on this machine and reaches the address acts as the agent. So the proxy
listens on loopback only, and passes nothing on that comes from a web page.`,
		Example: "  writ proxy --agent invoices.agent.json --routes routes.json --to https://erp.example",
		RunE: func(cmd *cobra.Command, _ []string) error {
			handler, err := newSigningProxy(o)
			if err != nil {
				return err
			}
			listener, err := listenLoopback(o.listen, o.force)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "http://%s signs for %s\n", listener.Addr(), o.to)
			server := &http.Server{Handler: handler, ReadHeaderTimeout: 30 * time.Second}
			stop := make(chan error, 1)
			go func() { <-cmd.Context().Done(); stop <- server.Close() }()
			if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return <-stop
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.agent, "agent", "", "agent file, with its key and grants")
	f.StringVar(&o.routes, "routes", "", "table of routes, JSON")
	f.StringVar(&o.to, "to", "", "where to pass requests on: scheme, host and port")
	f.StringVar(&o.listen, "listen", "127.0.0.1:8181", "address to listen on")
	f.BoolVar(&o.force, "force", false, "listen on an address that other machines reach: whoever reaches it acts as the agent")
	for _, name := range []string{"agent", "routes", "to"} {
		_ = cmd.MarkFlagRequired(name) // the flag exists
	}
	return cmd
}

// listenLoopback refuses addresses that other machines reach, unless it is forced.
func listenLoopback(address string, force bool) (net.Listener, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("--listen %q: %w", address, err)
	}
	if ip, err := netip.ParseAddr(host); !force && (err != nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("--listen %s: other machines may reach this, and whoever does acts as the agent; listen on 127.0.0.1 or [::1], or use --force", address)
	}
	return net.Listen("tcp", address)
}

// readRoutes reads a table of routes.
func readRoutes(path string) (client.Routes, error) {
	var routes client.Routes
	raw, err := os.ReadFile(path)
	if err != nil {
		return routes, err
	}
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&routes); err != nil {
		return routes, fmt.Errorf("%s: %w", path, err)
	}
	return routes, nil
}

func newSigningProxy(o proxyOptions) (http.Handler, error) {
	agent, err := client.LoadAgentFile(o.agent)
	if err != nil {
		return nil, err
	}
	routes, err := readRoutes(o.routes)
	if err != nil {
		return nil, err
	}
	signer, err := client.NewRequestSigner(agent, routes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.routes, err)
	}
	to, err := url.Parse(strings.TrimSuffix(o.to, "/"))
	if err != nil || to.Scheme != "http" && to.Scheme != "https" || to.Host == "" || to.Path != "" || to.RawQuery != "" {
		return nil, fmt.Errorf("--to %q: want scheme, host and port only, such as https://erp.example", o.to)
	}
	forward := &httputil.ReverseProxy{
		Rewrite:  func(r *httputil.ProxyRequest) { r.SetURL(to); r.Out.Header.Del("Forwarded") },
		ErrorLog: slog.NewLogLogger(slog.Default().Handler(), slog.LevelWarn),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := local(r); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		for _, name := range []string{client.HeaderToken, client.HeaderProof} {
			r.Header.Del(name)
		}
		if err := signer.Sign(r); err != nil {
			http.Error(w, "not passed on: "+err.Error(), http.StatusForbidden)
			return
		}
		forward.ServeHTTP(w, r)
	}), nil
}

// local refuses what a web page in a browser of this machine may send: across origins,
// or by a name that resolves to this machine (DNS rebinding).
func local(r *http.Request) error {
	if r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "" {
		return errors.New("requests of web pages are not passed on")
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if ip, err := netip.ParseAddr(strings.Trim(host, "[]")); host != "localhost" && err != nil || err == nil && host != "localhost" && !ip.IsLoopback() && !isOwn(r, ip) {
		return fmt.Errorf("the request is for %q, not for this proxy by its address", r.Host)
	}
	return nil
}

// isOwn reports whether ip is the address that the request came to.
func isOwn(r *http.Request, ip netip.Addr) bool {
	addr, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if addr == nil {
		return false
	}
	at, err := netip.ParseAddrPort(addr.String())
	return err == nil && at.Addr().Unmap() == ip.Unmap()
}
