package canon

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// ecmascript is a Node process that reads and writes JSON by its own means
// (scripts/vectors/serve.mjs): an oracle that shares no code with this package.
type ecmascript struct {
	in  io.Writer
	out *bufio.Reader
}

func newECMAScript(tb testing.TB) *ecmascript {
	tb.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		tb.Skip("node is not on PATH: nothing to compare with")
	}
	cmd := exec.Command(node, filepath.Join("..", "..", "scripts", "vectors", "serve.mjs"))
	in, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		in.Close() // the end of its input is the end of it
		if err := cmd.Wait(); err != nil {
			tb.Errorf("node: %v", err)
		}
	})
	return &ecmascript{in, bufio.NewReader(out)}
}

// read returns the canonical form, nil where ECMAScript does not read data, and
// why data is no artifact, "" where it is one.
func (e *ecmascript) read(t *testing.T, data []byte) (form []byte, refusal string) {
	t.Helper()
	if _, err := fmt.Fprintln(e.in, base64.StdEncoding.EncodeToString(data)); err != nil {
		t.Fatal(err)
	}
	line, err := e.out.ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Form    []byte `json:"form"`
		Refusal string `json:"refusal"`
	}
	if err := json.Unmarshal(line, &answer); err != nil {
		t.Fatal(err)
	}
	return answer.Form, answer.Refusal
}

// FuzzECMAScript holds Canonical and CheckArtifact against ECMAScript, whose
// serialization RFC 8785 takes over. What Canonical accepts has the same form
// there; the artifacts are the same on both sides, but for the depth that
// ECMAScript does not limit.
func FuzzECMAScript(f *testing.F) {
	for _, seed := range []string{
		`{"b":[1,2.5,"x"],"a":null}`, `{"\u20ac":1,"\r":2,"\ufb33":3,"1":4,"\ud83d\ude00":5,"\u0080":6,"\u00f6":7}`,
		`[333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001, -0, 1e21, 1e-7]`,
		`"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/\u2028"`, `{"__proto__":{"10":1,"9":2},"constructor":[]}`,
		`{"a":1,"a":2}`, `"\ud800"`, `9007199254740993`, `5e-324`, `1.7976931348623157e308`, " \t\r\n{}\n", "\ufeff{}", `{"a":9007199254740991}`,
		`{"a":-9007199254740992}`, `{"n":1e2}`, `{"N":1}`, `{"a":[]}`, "\"\x7f\"", strings.Repeat("[", 33) + strings.Repeat("]", 33),
	} {
		f.Add([]byte(seed))
	}
	node := newECMAScript(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		want, refusal := node.read(t, data)
		if form, err := Canonical(data); err == nil && string(form) != string(want) {
			t.Errorf("the canonical form of %q is %q here, %q in ECMAScript", data, form, want)
		}
		var syn *SyntaxError
		switch err := CheckArtifact(data); {
		case err == nil && refusal != "":
			t.Errorf("%q is an artifact here, and not in ECMAScript: %s", data, refusal)
		case err != nil && !errors.As(err, &syn):
			t.Errorf("%q is refused with %T", data, err)
		case err != nil && refusal == "" && !strings.Contains(err.Error(), "nested deeper"):
			t.Errorf("%q is an artifact in ECMAScript, and not here: %v", data, err)
		}
	})
}
