package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/writ-registry/writ/client"
)

// connection is how a command reaches a registry and how it answers.
type connection struct {
	url, token, data   string
	as                 string // the file of the agent that signs the call
	cert, certKey, tls string // PEM files
	json               bool
}

const connectionHelp = `
The registry is found by --url (WRIT_URL) and --token (WRIT_TOKEN). Where
neither is given, the data folder of a registry on this machine names both.
With --as FILE an agent signs the call instead, and the registry is --url or the
file's; with --cert a certificate that the registry logged says who calls.`

// bind declares the flags on a command and all below it.
func (c *connection) bind(cmd *cobra.Command) {
	f := cmd.PersistentFlags()
	f.StringVar(&c.url, "url", "", "address of the registry (WRIT_URL)")
	f.StringVar(&c.token, "token", "", "bearer credential, or @FILE that holds it (WRIT_TOKEN)")
	f.StringVar(&c.data, "data", "writ-data", "data folder of a registry on this machine")
	f.StringVar(&c.as, "as", "", "agent `FILE` whose key signs the call, in place of a credential (RFC 9421)")
	f.StringVar(&c.cert, "cert", "", "PEM `FILE` of a certificate to show, as writ cert issue writes it")
	f.StringVar(&c.certKey, "cert-key", "", "PEM `FILE` of its key, or the agent's file")
	f.StringVar(&c.tls, "tls-ca", "", "PEM `FILE` of CAs that the registry's own certificate may be from, beside the machine's")
	f.BoolVar(&c.json, "json", false, "write the answer as JSON")
}

// open makes the client.
func (c *connection) open(cmd *cobra.Command) (*client.Client, error) {
	url, token, agent, err := c.caller(cmd)
	if err != nil {
		return nil, err
	}
	return c.to(url, token, client.Options{Agent: agent})
}

// caller finds the registry and who calls: by a credential, or else the agent of --as.
func (c *connection) caller(cmd *cobra.Command) (url, token string, agent *client.AgentFile, err error) {
	if c.as == "" {
		url, token, err = c.resolve(cmd.Flags().Changed("data"))
		return url, token, nil, err
	}
	if c.token != "" || c.cert != "" {
		return "", "", nil, errors.New("--as goes with neither --token nor --cert: one of them says who calls")
	}
	if agent, err = client.LoadAgentFile(c.as); err != nil {
		return "", "", nil, err
	}
	return first(c.url, os.Getenv("WRIT_URL"), agent.Registry), "", agent, nil
}

// to makes the client of a registry, over TLS as the flags say.
func (c *connection) to(url, token string, o client.Options) (_ *client.Client, err error) {
	if o.HTTP, err = c.http(30 * time.Second); err != nil {
		return nil, err
	}
	return client.New(url, token, o)
}

// http makes what exchanges requests; each has the timeout.
func (c *connection) http(timeout time.Duration) (*http.Client, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if c.tls != "" {
		roots, err := readRoots(c.tls)
		if err != nil {
			return nil, fmt.Errorf("--tls-ca: %w", err)
		}
		transport.TLSClientConfig.RootCAs = roots
	}
	if (c.cert == "") != (c.certKey == "") {
		return nil, errors.New("--cert and --cert-key go together")
	}
	if c.cert != "" {
		pair, err := keyPair(c.cert, c.certKey)
		if err != nil {
			return nil, err
		}
		transport.TLSClientConfig.Certificates = []tls.Certificate{pair}
	}
	return &http.Client{Timeout: timeout, Transport: transport}, nil
}

// keyPair reads a certificate and its key, which may be in an agent's file.
func keyPair(cert, key string) (tls.Certificate, error) {
	chain, err := os.ReadFile(cert)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("--cert: %w", err)
	}
	secret, err := os.ReadFile(key)
	if err == nil && bytes.HasPrefix(bytes.TrimSpace(secret), []byte("{")) {
		var f *client.AgentFile
		if f, err = client.LoadAgentFile(key); err == nil {
			secret = []byte(f.Key)
		}
	}
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("--cert-key: %w", err)
	}
	pair, err := tls.X509KeyPair(chain, secret)
	if err != nil {
		return pair, fmt.Errorf("--cert and --cert-key: %w", err)
	}
	return pair, nil
}

// resolve finds address and credential. An explicit address goes before the data
// folder, and the folder's credential is sent to the folder's address only; beside a
// certificate, which says who calls, it stays where it is.
func (c *connection) resolve(dataGiven bool) (url, token string, err error) {
	url, token = c.url, c.token
	if !dataGiven {
		url, token = first(url, os.Getenv("WRIT_URL")), first(token, os.Getenv("WRIT_TOKEN"))
	}
	if path, ok := strings.CutPrefix(token, "@"); ok {
		if token, err = readLine(path); err != nil {
			return "", "", err
		}
	}
	if url != "" && token != "" {
		return url, token, nil
	}
	local, err := readLine(filepath.Join(c.data, addressFile))
	switch {
	case err == nil && (url == "" || strings.TrimRight(url, "/") == strings.TrimRight(local, "/")):
		url = local
	case errors.Is(err, fs.ErrNotExist) && url == "":
		return "", "", fmt.Errorf("no registry: give --url and --token (WRIT_URL, WRIT_TOKEN), or --data of one that runs here (%s has no %s)", c.data, addressFile)
	case err != nil && url == "":
		return "", "", err
	default:
		return url, token, nil // somewhere else: our local credential stays here
	}
	if token == "" && c.cert == "" {
		if token, err = readLine(filepath.Join(c.data, tokenFile)); err != nil {
			return "", "", fmt.Errorf("no credential: give --token (WRIT_TOKEN): %w", err)
		}
	}
	return url, token, nil
}

func readLine(path string) (string, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(raw)), nil
}
