package hotstate

import (
	"context"
	"crypto/tls"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// patience is how long a decision waits for Redis before it asks the database.
const patience = 250 * time.Millisecond

var (
	//go:embed begin.lua
	beginSource string
	//go:embed spend.lua
	spendSource string

	beginScript = redis.NewScript(beginSource)
	spendScript = redis.NewScript(spendSource)
)

// The client's own log would repeat, a line a connection, what every caller is
// told as an error.
func init() { redis.SetLogger(quiet{}) }

type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// Redis remembers in a Redis server. Its scripts check, in the same step that
// spends a proof, that the server is still the process and the replication
// history that began, and that its clock was not set.
type Redis struct {
	client redis.UniversalClient
	prefix string
}

// OpenRedis makes a Redis from a URL (redis:// or, with TLS, rediss://, with
// user and password of an ACL user). It does not connect yet. prefix sets this
// registry's keys apart from those of others; it holds no braces.
//
// The user needs `+info +time +get +set +eval +evalsha +hello +client` on keys
// `{prefix}:*`, and for the fan-out `+subscribe +unsubscribe +publish +ping` on
// the channel `{prefix}:moved`.
func OpenRedis(url, prefix string) (*Redis, error) { return openRedis(url, prefix, nil) }

// openRedis takes a TLS configuration other than the machine's.
func openRedis(url, prefix string, config *tls.Config) (*Redis, error) {
	o, err := redis.ParseURL(url)
	if err != nil {
		return nil, errors.New("redis URL: want redis[s]://user:password@host:port/db") // the cause may quote the password
	}
	if o.TLSConfig != nil && config != nil {
		o.TLSConfig = config
	}
	return &Redis{redis.NewUniversalClient(&redis.UniversalOptions{
		Addrs: []string{o.Addr}, Username: o.Username, Password: o.Password, DB: o.DB, TLSConfig: o.TLSConfig,
		DialTimeout: patience, ReadTimeout: patience, WriteTimeout: patience, PoolTimeout: patience,
		ContextTimeoutEnabled: true,
		MaxRetries:            -1, DialerRetries: 1, // a second try would cost the caller more than the database does
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}), "{" + prefix + "}"}, nil
}

// Close ends the connections.
func (r *Redis) Close() error { return r.client.Close() }

// Begin implements policy.Spent.
func (r *Redis) Begin(ctx context.Context, name string, now time.Time) error {
	answer, err := beginScript.Run(ctx, r.client, []string{r.alive()}, name, now.UnixMilli()).Text()
	if err == nil && answer != "ok" {
		err = errors.New(answer)
	}
	if err != nil {
		return fmt.Errorf("redis: begin: %w", err)
	}
	return nil
}

// Spend implements policy.Spent.
func (r *Redis) Spend(ctx context.Context, name, key, record string, now, expires time.Time) (string, error) {
	ttl := expires.Sub(now).Milliseconds()
	if ttl <= 0 {
		return "", errors.New("redis: the proof has expired")
	}
	answer, err := spendScript.Run(ctx, r.client, []string{r.alive(), r.prefix + ":" + name + ":" + key}, name, now.UnixMilli(), record, ttl).StringSlice()
	switch {
	case err != nil:
		return "", fmt.Errorf("redis: spend: %w", err)
	case len(answer) == 1 && answer[0] == "first":
		return "", nil
	case len(answer) == 2 && answer[0] == "held" && answer[1] != "":
		return answer[1], nil
	}
	return "", ErrLost
}

func (r *Redis) alive() string { return r.prefix + ":alive" }
