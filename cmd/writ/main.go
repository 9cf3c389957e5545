// Command writ runs a registry of identity and authority for AI agents, and is
// its client.
//
//	writ serve            run a registry, with its own EVM chain by default
//	writ demo             show the whole loop on real parts
//	writ agent new ...    register an agent, and use the registry
//
// Every command has --help with examples, and --json.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	tuneGC()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := newRootCmd().ExecuteContext(ctx)
	stop()
	var code exitCode
	switch {
	case errors.As(err, &code): // the command has said what it had to say
		os.Exit(int(code))
	case err != nil:
		fmt.Fprintln(os.Stderr, "writ:", err)
		os.Exit(1)
	}
}

// tuneGC trades memory that a registry does not need for processor time that it
// does: the heap is small and short-lived. GOGC and GOMEMLIMIT win.
func tuneGC() {
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetGCPercent(400)
		debug.SetMemoryLimit(192 << 20)
	}
}

// exitCode ends the program with a status and no message.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit status %d", int(c)) }

func newRootCmd() *cobra.Command {
	root := &cobra.Command{
		Use:           "writ",
		Short:         "A registry of identity and authority for AI agents",
		Version:       version(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(newServeCmd(), newProxyCmd())
	root.AddCommand(clientCommands()...)
	return root
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
