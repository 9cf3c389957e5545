package verify

import (
	"fmt"
	"io"
	"strings"
	"unicode"
)

// mark is how a status looks in a terminal that may have no colours.
var mark = map[Status]string{Verified: "ok  ", SelfAsserted: "self", Unverified: "?   ", Failed: "FAIL"}

// WriteText writes the report for people: a line a layer, then the facts with
// whose word they are, then the grade and what it is worth. Text from the receipt
// is cleared of control and formatting characters, so that it cannot forge a line
// or turn one around. The error is that of w.
func (r Report) WriteText(w io.Writer) error {
	var b strings.Builder
	if r.CID != "" {
		fmt.Fprintf(&b, "event  %s\n", plain(r.CID))
	}
	if r.Type != "" {
		fmt.Fprintf(&b, "type   %s, %s (time as claimed by the registry)\n", plain(r.Type), plain(r.Time))
	}
	if r.Origin != "" {
		fmt.Fprintf(&b, "log    %s, entry %d, checkpoint %d\n", plain(r.Origin), r.Index, r.Size)
	}
	b.WriteByte('\n')
	width := 0
	for _, l := range r.Layers {
		width = max(width, len(plain(l.Layer)))
	}
	for _, l := range r.Layers {
		fmt.Fprintf(&b, "%s  %-*s  %s\n", mark[l.Status], width, plain(l.Layer), plain(l.Detail))
		if l.RootOfTrust != "" {
			fmt.Fprintf(&b, "      %-*s  trusting %s\n", width, "", plain(l.RootOfTrust))
		}
	}
	if len(r.Facts) > 0 {
		b.WriteByte('\n')
	}
	for _, f := range r.Facts {
		fmt.Fprintf(&b, "%s: %s", f.Source, plain(f.Fact))
		if f.Detail != "" {
			fmt.Fprintf(&b, " (%s)", plain(f.Detail))
		}
		b.WriteByte('\n')
	}
	result := "verified"
	if !r.OK {
		result = "REFUSED"
	}
	fmt.Fprintf(&b, "\n%s, grade: %s\n%s\n", result, plain(r.Grade.String()), r.Summary())
	_, err := io.WriteString(w, b.String())
	return err
}

// plain replaces what does not print as itself, bidirectional controls included.
func plain(s string) string {
	return strings.Map(func(c rune) rune {
		if c != ' ' && !unicode.IsGraphic(c) || unicode.Is(unicode.Cf, c) || unicode.Is(unicode.Zl, c) || unicode.Is(unicode.Zp, c) {
			return unicode.ReplacementChar
		}
		return c
	}, s)
}
