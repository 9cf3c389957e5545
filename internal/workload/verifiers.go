package workload

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/writ-registry/writ/registry"
)

// maxVerifiers is how many issuers' keys are remembered.
const maxVerifiers = 1024

// Verifiers are those of every issuer that orgs enrolled. It implements
// registry.Workloads: errors are *registry.Error, with the code of this package
// behind token_.
type Verifiers struct {
	client *http.Client
	now    func() time.Time

	mu  sync.Mutex
	all map[Config]*Verifier // guarded by mu
}

// NewVerifiers returns Verifiers that ask issuers through client (see New).
func NewVerifiers(client *http.Client, now func() time.Time) *Verifiers {
	return &Verifiers{client: client, now: now, all: map[Config]*Verifier{}}
}

// Check implements registry.Workloads.
func (v *Verifiers) Check(i registry.WorkloadIssuer) error {
	_, err := New(configOf(i), v.client, v.now)
	var e *Error
	if errors.As(err, &e) {
		return &registry.Error{Kind: registry.Malformed, Field: "/issuer", Detail: e.Detail, Err: err}
	}
	return err
}

// Issuer implements registry.Workloads.
func (v *Verifiers) Issuer(token string) (string, error) {
	iss, err := UnverifiedIssuer(token)
	return iss, refused(err)
}

// Verify implements registry.Workloads.
func (v *Verifiers) Verify(ctx context.Context, by registry.WorkloadIssuer, token string) (registry.Workload, error) {
	verifier, err := v.of(configOf(by))
	if err != nil {
		return registry.Workload{}, refused(err)
	}
	w, err := verifier.Verify(ctx, token)
	if err != nil {
		return registry.Workload{}, refused(err)
	}
	return registry.Workload{
		Subject: w.Subject, Attributes: w.Attributes, Instance: w.Attributes["serviceaccount_uid"],
		Digest: w.Digest, Thumbprint: w.Thumbprint, Expires: w.Expires,
	}, nil
}

// of returns the one verifier of an issuer: it remembers keys, and how long ago it
// asked for them.
func (v *Verifiers) of(c Config) (*Verifier, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if known, ok := v.all[c]; ok {
		return known, nil
	}
	made, err := New(c, v.client, v.now)
	if err != nil {
		return nil, err
	}
	for other := range v.all { // any one makes room
		if len(v.all) < maxVerifiers {
			break
		}
		delete(v.all, other)
	}
	v.all[c] = made
	return made, nil
}

func configOf(i registry.WorkloadIssuer) Config {
	return Config{Kind: Kind(i.Kind), Issuer: i.Issuer, JWKS: i.JWKS, TrustDomain: i.TrustDomain, Audience: i.Audience}
}

// refused translates this package's errors at its door.
func refused(err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	if e.Code == Unavailable {
		return &registry.Error{Kind: registry.Unavailable, Code: "issuer_unavailable", Detail: e.Detail, Err: err}
	}
	return &registry.Error{Kind: registry.Unauthenticated, Code: "token_" + string(e.Code), Field: "/token", Detail: e.Detail, Err: err}
}
