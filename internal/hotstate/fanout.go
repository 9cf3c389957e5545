package hotstate

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// A fan-out tells the processes at one database that authority has moved, and to
// which count (registry.Moment). It makes a kill known elsewhere in
// milliseconds; nobody relies on it. The count is one for all that may be
// remembered, so whoever hears a later message has missed nothing by missing an
// earlier one, and whoever hears none reads the count anew after a while.
//
// Publish sends a count. Listen calls notice for each that arrives, from any
// process, this one included, and with Unknown whenever some may have been
// missed; it returns when ctx ends. Both are safe for concurrent use.

// Unknown is above every count: it may have moved.
const Unknown = ^uint64(0)

// relisten is how long a lost subscription is left alone.
const relisten = time.Second

// Publish sends a count over Redis.
func (r *Redis) Publish(ctx context.Context, authority uint64) error {
	if err := r.client.Publish(ctx, r.moved(), authority).Err(); err != nil {
		return fmt.Errorf("redis: publish: %w", err)
	}
	return nil
}

// Listen hears the counts sent over Redis.
func (r *Redis) Listen(ctx context.Context, notice func(authority uint64)) error {
	for ctx.Err() == nil {
		r.listen(ctx, notice)
		select {
		case <-ctx.Done():
		case <-time.After(relisten):
		}
	}
	return nil
}

// listen hears until the subscription is lost.
func (r *Redis) listen(ctx context.Context, notice func(authority uint64)) {
	sub := r.client.Subscribe(ctx, r.moved())
	defer sub.Close()
	for {
		switch m, err := sub.ReceiveTimeout(ctx, relisten); m := m.(type) {
		case *redis.Subscription:
			notice(Unknown) // from here on, none is missed
		case *redis.Message:
			n, err := strconv.ParseUint(m.Payload, 10, 64)
			if err != nil {
				n = Unknown
			}
			notice(n)
		case nil:
			var silent interface{ Timeout() bool }
			if errors.As(err, &silent) && silent.Timeout() && ctx.Err() == nil && sub.Ping(ctx) == nil {
				continue
			}
			notice(Unknown)
			return
		}
	}
}

func (r *Redis) moved() string { return r.prefix + ":moved" }

// Fanout is a fan-out within one process. The zero Fanout works.
type Fanout struct {
	mu        sync.Mutex
	listeners map[*func(uint64)]struct{}
}

// Publish calls every listener.
func (f *Fanout) Publish(_ context.Context, authority uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for l := range f.listeners {
		(*l)(authority)
	}
	return nil
}

// Listen hears until ctx ends. notice must not call Publish.
func (f *Fanout) Listen(ctx context.Context, notice func(authority uint64)) error {
	f.mu.Lock()
	if f.listeners == nil {
		f.listeners = map[*func(uint64)]struct{}{}
	}
	f.listeners[&notice] = struct{}{}
	f.mu.Unlock()
	notice(Unknown)
	<-ctx.Done()
	f.mu.Lock()
	delete(f.listeners, &notice)
	f.mu.Unlock()
	return nil
}
