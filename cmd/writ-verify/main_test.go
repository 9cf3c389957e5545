package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/writ-registry/writ/client/verify"
)

// The sample is a receipt as the registry wrote it, kept so that receipts in
// people's hands go on verifying; see client/verify/testdata.
const (
	sample = "../../client/verify/testdata/sample.writ.json"
	trust  = "../../client/verify/testdata/trust.json"
)

func TestRun(t *testing.T) {
	receipt, err := os.ReadFile(sample)
	if err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(t.TempDir(), "broken.writ.json")
	if err := os.WriteFile(broken, bytes.Replace(receipt, []byte("index 300"), []byte("index 301"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args   []string
		stdin  string
		exit   int
		stdout string
		stderr string
	}{
		"trusted":        {[]string{"--trust", trust, sample}, "", 0, "grade: witnessed (1)", ""},
		"flags after":    {[]string{sample, "-trust", trust}, "", 0, "grade: witnessed (1)", ""},
		"without trust":  {[]string{sample}, "", 0, "operator's word", ""},
		"standard input": {[]string{"-"}, string(receipt), 0, "grade: checkpointed", ""},
		"json":           {[]string{"--json", sample}, "", 0, `"ok": true`, ""},
		"no key event":   {[]string{"--key", sample, sample}, "", 1, "decision adds no key", ""},
		"no end event":   {[]string{"--key", sample, "--key-end", "-", sample}, "", 1, "FAIL  key ended: receipt", ""},
		"no key file":    {[]string{"--key", "nowhere.writ.json", sample}, "", 2, "", "nowhere.writ.json"},
		"end, no key":    {[]string{"--key-end", sample, sample}, "", 2, "", "usage"},
		"broken":         {[]string{broken}, "", 1, "FAIL  inclusion", ""},
		"empty input":    {[]string{"-"}, "", 1, "REFUSED", ""},
		"no file":        {[]string{"nowhere.writ.json"}, "", 2, "", "nowhere.writ.json"},
		"no trust file":  {[]string{"--trust", "nowhere.json", sample}, "", 2, "", "nowhere.json"},
		"bad trust file": {[]string{"--trust", sample, sample}, "", 2, "", "trust file"},
		"no argument":    {nil, "", 2, "", "usage"},
		"two arguments":  {[]string{sample, sample}, "", 2, "", "usage"},
		"unknown flag":   {[]string{"--force", sample}, "", 2, "", "force"},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			exit := run(t.Context(), test.args, strings.NewReader(test.stdin), &stdout, &stderr)
			if exit != test.exit || !strings.Contains(stdout.String(), test.stdout) || !strings.Contains(stderr.String(), test.stderr) {
				t.Errorf("exit %d, want %d; stdout:\n%s\nstderr:\n%s", exit, test.exit, stdout.String(), stderr.String())
			}
			if name == "json" {
				var r verify.Report
				if err := json.Unmarshal(stdout.Bytes(), &r); err != nil || r.CID == "" || len(r.Layers) < 6 {
					t.Errorf("report = %+v, %v", r, err)
				}
			}
		})
	}
}
