package evm

import (
	"context"
	"log/slog"

	gethlog "github.com/ethereum/go-ethereum/log"
)

// quietGeth sends what geth logs, errors only, to log: its warnings (no peers,
// a call that reverted) are how this chain is meant to run. geth has one logger
// for the whole process, so the last chain opened wins.
func quietGeth(log *slog.Logger) {
	// The wrapper keeps gethlog.SetDefault from also replacing slog's default
	// logger, which it does for its own logger type.
	gethlog.SetDefault(struct{ gethlog.Logger }{gethlog.NewLogger(errorsOnly{log.Handler()})})
}

// errorsOnly is a slog.Handler that passes errors only.
type errorsOnly struct{ slog.Handler }

func (h errorsOnly) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelError && h.Handler.Enabled(ctx, level)
}

func (h errorsOnly) WithAttrs(attrs []slog.Attr) slog.Handler {
	return errorsOnly{h.Handler.WithAttrs(attrs)}
}

func (h errorsOnly) WithGroup(name string) slog.Handler {
	return errorsOnly{h.Handler.WithGroup(name)}
}
