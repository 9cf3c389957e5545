package oidc

import (
	"context"
	"sync"
	"time"
)

// The issuer is asked for one document at most fetchBurst times at once and then
// once every fetchEvery, however many tokens name keys that nobody has.
const (
	fetchBurst = 5
	fetchEvery = 10 * time.Second
)

// remembered is a document of the issuer: fetched when it is first asked for, kept
// for life, and fetched again when it is over or was not good enough. One fetch
// runs at a time, whoever waits for it.
type remembered[T any] struct {
	fetch func(context.Context) (T, error) // errors are *Error
	life  time.Duration
	now   func() time.Time

	mu       sync.Mutex // guards all below
	value    T
	version  int           // counts the fetches that succeeded
	until    time.Time     // when value is over
	failure  error         // of the last fetch; nil after a success
	fetching chan struct{} // closed when the fetch in hand ends; nil without one
	spent    time.Time     // when the allowance is whole again
}

// get returns the document and its version, which is above newerThan. The error is
// a *Error: the fetch's own, or CodeUnavailable while the allowance is spent or
// when ctx ends. A caller that leaves does not end the fetch for the others.
func (r *remembered[T]) get(ctx context.Context, newerThan int) (T, int, error) {
	var none T
	r.mu.Lock()
	if r.version > newerThan && r.now().Before(r.until) {
		defer r.mu.Unlock()
		return r.value, r.version, nil
	}
	if r.fetching == nil {
		if !r.allowed() {
			defer r.mu.Unlock()
			return none, 0, failed(CodeUnavailable, "the issuer was asked often enough just now", r.failure)
		}
		r.fetching = make(chan struct{})
		go r.refresh(context.WithoutCancel(ctx))
	}
	fetching := r.fetching
	r.mu.Unlock()

	select {
	case <-ctx.Done():
		return none, 0, failed(CodeUnavailable, "gave up waiting for the issuer", ctx.Err())
	case <-fetching:
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failure != nil {
		return none, 0, r.failure
	}
	return r.value, r.version, nil
}

func (r *remembered[T]) refresh(ctx context.Context) {
	value, err := r.fetch(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failure = err; err == nil {
		r.value, r.until = value, r.now().Add(r.life)
		r.version++
	}
	close(r.fetching)
	r.fetching = nil
}

// allowed takes one fetch from the allowance (the generic cell rate algorithm).
func (r *remembered[T]) allowed() bool {
	now := r.now()
	if r.spent.Before(now) {
		r.spent = now
	}
	if r.spent.Sub(now) > (fetchBurst-1)*fetchEvery {
		return false
	}
	r.spent = r.spent.Add(fetchEvery)
	return true
}
