// Command writ-verify checks a Writ receipt without asking the registry that made
// it.
//
//	writ-verify [--trust FILE] [--rpc URL] [--key FILE [--key-end FILE]] [--json] RECEIPT
//
// RECEIPT is a *.writ.json file, or - for standard input. Without --trust the
// signatures are checked against keys in the receipt itself, which shows that it
// is consistent and not whose it is; a trust file names the keys and chains that
// you believe (client/verify, Trust). With --rpc a JSON-RPC endpoint of the chain
// is asked whether the chain holds the anchor. With --key, and --key-end if the key
// has ended, the receipts of the events that gave an agent its key and ended it show
// whether that key was the agent's when a decision was made (client/verify, VerifyKey).
//
// The exit status is 0 if no layer failed, 1 if one did, 2 for a wrong call or a
// file that cannot be read. Layers that could not be checked do not fail: read
// the grade, or use --json, to tell how much was proven.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/writ-registry/writ/client/verify"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("writ-verify", flag.ContinueOnError)
	flags.SetOutput(stderr)
	rpcURL := flags.String("rpc", "", "JSON-RPC `URL` of the chain that holds the anchor")
	trustFile := flags.String("trust", "", "JSON `FILE` with the keys and chains that you trust")
	keyFile := flags.String("key", "", "receipt `FILE` of the event that gave the agent its key")
	keyEndFile := flags.String("key-end", "", "receipt `FILE` of the event that ended the key")
	asJSON := flags.Bool("json", false, "write the report as JSON")
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: writ-verify [--trust FILE] [--rpc URL] [--key FILE [--key-end FILE]] [--json] RECEIPT")
		flags.PrintDefaults()
	}
	names, err := parseInterspersed(flags, args)
	if err != nil {
		return 2
	}
	if len(names) != 1 || *keyEndFile != "" && *keyFile == "" {
		flags.Usage()
		return 2
	}

	var trust verify.Trust
	if *trustFile != "" {
		data, err := os.ReadFile(*trustFile)
		if err == nil {
			trust, err = verify.ParseTrust(data)
		}
		if err != nil {
			fmt.Fprintln(stderr, "writ-verify:", err)
			return 2
		}
	}
	var rpc *verify.RPC
	if *rpcURL != "" {
		rpc = &verify.RPC{URL: *rpcURL}
	}
	var files [3][]byte // receipt, key and its end; nil where none is named
	for i, name := range []string{names[0], *keyFile, *keyEndFile} {
		if i > 0 && name == "" {
			continue
		}
		if files[i], err = read(name, stdin); err != nil {
			fmt.Fprintln(stderr, "writ-verify:", err)
			return 2
		}
	}

	var report verify.Report
	var verr error
	if *keyFile == "" {
		report, verr = verify.Verify(ctx, files[0], trust, rpc)
	} else {
		report, verr = verify.VerifyKey(ctx, files[0], verify.KeyEvents{Added: files[1], Ended: files[2]}, trust, rpc)
	}
	if *asJSON {
		enc := json.NewEncoder(stdout)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		err = enc.Encode(report)
	} else {
		err = report.WriteText(stdout)
	}
	if err != nil {
		fmt.Fprintln(stderr, "writ-verify:", err)
		return 2
	}
	if verr != nil {
		return 1
	}
	return 0
}

// parseInterspersed parses flags before and after the file name.
func parseInterspersed(flags *flag.FlagSet, args []string) (names []string, err error) {
	for {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		if flags.NArg() == 0 {
			return names, nil
		}
		names = append(names, flags.Arg(0))
		args = flags.Args()[1:]
	}
}

// read returns the file, and no more of it than any receipt has.
func read(name string, stdin io.Reader) ([]byte, error) {
	in := stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	return io.ReadAll(io.LimitReader(in, verify.MaxReceipt+1))
}
