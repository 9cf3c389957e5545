package evm

import (
	"context"
	"log/slog"

	gethlog "github.com/ethereum/go-ethereum/log"
)

// quietGeth sends what geth logs, from warnings on, to log. geth has one
// logger for the whole process, so the last chain opened wins.
func quietGeth(log *slog.Logger) {
	// The wrapper keeps gethlog.SetDefault from also replacing slog's default
	// logger, which it does for its own logger type.
	gethlog.SetDefault(struct{ gethlog.Logger }{gethlog.NewLogger(warnings{log.Handler()})})
}

// warnings is a slog.Handler that passes warnings and errors only.
type warnings struct{ slog.Handler }

func (h warnings) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && h.Handler.Enabled(ctx, level)
}

func (h warnings) WithAttrs(attrs []slog.Attr) slog.Handler {
	return warnings{h.Handler.WithAttrs(attrs)}
}

func (h warnings) WithGroup(name string) slog.Handler {
	return warnings{h.Handler.WithGroup(name)}
}
