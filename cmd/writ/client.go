package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/writ-registry/writ/client"
)

// The exit statuses of commands that ask for a decision.
const (
	exitDeny   exitCode = 2
	exitStepUp exitCode = 3
)

// clientCommands are the commands that use a registry, in the order of help.
func clientCommands() []*cobra.Command {
	return []*cobra.Command{
		newDemoCmd(), newOrgCmd(), newTrustCmd(), newPrincipalCmd(), newPEPCmd(), newCatalogueCmd(), newPolicyCmd(), newDecisionCmd(), newSimulateCmd(), newObserveCmd(), newAgentCmd(), newVoucherCmd(), newApprovalCmd(), newKeyCmd(), newCertCmd(), newEnrolCmd(), newGrantCmd(),
		newSignCmd(), newExplainCmd(), newReceiptCmd(), newVerifyCmd(), newKillCmd(), newLogCmd(), newChainCmd(), newOutcomeCmd(),
	}
}

// first is the first string that is not empty.
func first(list ...string) string {
	for _, s := range list {
		if s != "" {
			return s
		}
	}
	return ""
}

// say writes v as JSON where --json was given, else what human writes.
func (c *connection) say(cmd *cobra.Command, v any, human func(*screen)) error {
	if c.json {
		return writeJSON(cmd.OutOrStdout(), v)
	}
	s := newScreen(cmd.OutOrStdout())
	human(s)
	return s.err
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// saidChange is the JSON of a writing command: the thing under its name, its
// event, and a credential where one was made.
func saidChange[T any](name string, ch client.Change[T]) map[string]any {
	out := map[string]any{name: ch.Value}
	if ch.Event != nil {
		out["event"] = ch.Event
	}
	if ch.Secret != "" {
		out["secret"] = ch.Secret
	}
	return out
}

// screen writes for people: aligned, with colour only in a terminal.
type screen struct {
	w      io.Writer
	colour bool
	err    error
}

func newScreen(w io.Writer) *screen {
	s := &screen{w: w}
	if f, ok := w.(*os.File); ok && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" {
		info, err := f.Stat()
		s.colour = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return s
}

func (s *screen) printf(format string, args ...any) {
	if s.err == nil {
		_, s.err = fmt.Fprintf(s.w, format, args...)
	}
}

// fields writes pairs of name and value, those with a value only.
func (s *screen) fields(pairs ...string) {
	width := 0
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			width = max(width, len(pairs[i]))
		}
	}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			s.printf("  %-*s  %s\n", width, pairs[i], printable(pairs[i+1]))
		}
	}
}

// table writes rows under a header.
func (s *screen) table(header []string, rows [][]string) {
	if s.err != nil {
		return
	}
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{header}, rows...) {
		for i, cell := range row {
			row[i] = printable(cell)
		}
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	if s.err = t.Flush(); s.err != nil {
		return
	}
	for line := range strings.Lines(b.String()) {
		s.printf("%s\n", strings.TrimRight(line, " \n")) // the last cells may be empty
	}
}

// event writes where a change is recorded.
func (s *screen) event(e *client.EventRef) {
	if e == nil {
		s.printf("  nothing changed, nothing recorded\n")
		return
	}
	s.fields("event", fmt.Sprintf("%s  entry %d", e.CID, e.Index))
}

// secret writes a new credential, or that it is lost.
func (s *screen) secret(secret string, replayed bool) {
	if secret == "" && replayed {
		s.printf("\nThe credential was in an answer that got lost on the way, and it is shown\nonly once. Create another one.\n")
		return
	}
	s.printf("\n%s\nThis credential is shown once. Keep it like a password.\n", secret)
}

// The colours of verdicts: green, red, yellow.
var verdictColour = map[string]string{client.Permit: "32", client.Deny: "31", client.StepUp: "33"}

// verdict paints text in the colour of a verdict.
func (s *screen) verdict(verdict, text string) string {
	if code, ok := verdictColour[verdict]; ok && s.colour {
		return "\x1b[1;" + code + "m" + text + "\x1b[0m"
	}
	return text
}

// bold stresses a heading.
func (s *screen) bold(text string) string {
	if s.colour {
		return "\x1b[1m" + text + "\x1b[0m"
	}
	return text
}

// printable keeps text of others from moving the cursor, changing colours or
// turning the reading order around.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r != ' ' && !unicode.IsGraphic(r) || unicode.Is(unicode.Cf, r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
