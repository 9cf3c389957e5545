package canon

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"reflect"
	"strconv"
	"strings"
	"testing"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// The oracle is this package as it was before it had a scanner: a token pass of
// jsontext, jsontext's own canonical form, and numbers compared as fractions.

func oracleCheck(data []byte) error {
	dec := jsontext.NewDecoder(bytes.NewReader(data))
	for {
		tok, err := dec.ReadToken()
		if err != nil {
			return asSyntaxError(err, dec)
		}
		if dec.StackDepth() > MaxDepth {
			return &SyntaxError{dec.InputOffset(), string(dec.StackPointer()), fmt.Sprintf("nested deeper than %d levels", MaxDepth)}
		}
		if tok.Kind() == '0' {
			if msg := oracleNumber(tok.String()); msg != "" {
				return &SyntaxError{dec.InputOffset(), string(dec.StackPointer()), msg}
			}
		}
		if dec.StackDepth() == 0 {
			if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
				return &SyntaxError{Offset: dec.InputOffset(), Msg: "text after the JSON value"}
			}
			return nil
		}
	}
}

func oracleNumber(text string) string {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(f, 0) {
		return "number out of the range of an IEEE 754 double"
	}
	if len(text) <= 15 && !strings.ContainsAny(text, "eE") {
		return ""
	}
	if len(text) > 400 {
		return "number of more than 400 characters"
	}
	want, ok := new(big.Rat).SetString(text)
	got, ok2 := new(big.Rat).SetString(strconv.FormatFloat(f, 'g', -1, 64))
	if !ok || !ok2 || want.Cmp(got) != 0 {
		return "number does not round-trip through an IEEE 754 double"
	}
	return ""
}

func oracleCanonical(data []byte) ([]byte, error) {
	if err := oracleCheck(data); err != nil {
		return nil, err
	}
	v := jsontext.Value(bytes.Clone(data))
	if err := v.Canonicalize(); err != nil {
		return nil, asSyntaxError(err, nil)
	}
	return v, nil
}

func oracleMarshal(v any) ([]byte, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return oracleCanonical(raw)
}

func oracleArtifact(data []byte) error {
	form, err := oracleCanonical(data)
	if err != nil {
		return err
	}
	if !bytes.Equal(form, data) {
		return &SyntaxError{Msg: "bytes are not the canonical (RFC 8785) form", Offset: int64(firstDifference(form, data))}
	}
	if len(data) == 0 || data[0] != '{' {
		return &SyntaxError{Msg: "an artifact is a JSON object"}
	}
	dec := jsontext.NewDecoder(bytes.NewReader(data))
	for {
		tok, err := dec.ReadToken()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return asSyntaxError(err, dec)
		}
		kind, n := dec.StackIndex(dec.StackDepth())
		isName := kind == '{' && n%2 == 1 && tok.Kind() == '"'
		var msg string
		switch {
		case isName && !artifactName([]byte(tok.String())):
			msg = "member name outside [a-z0-9_]"
		case tok.Kind() == 'n':
			msg = "null is not in the artifact profile"
		case tok.Kind() == '0' && strings.ContainsAny(tok.String(), ".eE"):
			msg = "only integers are in the artifact profile"
		case tok.Kind() == '0':
			if i, err := strconv.ParseInt(tok.String(), 10, 64); err != nil || i >= 1<<53 || i <= -(1<<53) {
				msg = "integer of magnitude 2^53 or more: write it as a decimal string"
			}
		}
		if msg != "" {
			return &SyntaxError{dec.InputOffset(), string(dec.StackPointer()), msg}
		}
	}
}

func oracleCommitment(d Disclosure) (string, error) {
	form, err := oracleMarshal([]any{d.Salt, d.Name, d.Value})
	if err != nil {
		return "", err
	}
	return Digest(form), nil
}

func oracleUnmarshal(data []byte, v any, opts ...jsonv2.Options) error {
	if err := oracleCheck(data); err != nil {
		return err
	}
	if err := jsonv2.Unmarshal(data, v, opts...); err != nil {
		return asSyntaxError(err, nil)
	}
	return nil
}

// sameError reports whether two refusals say the same.
func sameError(a, b error) bool {
	return a == nil && b == nil || a != nil && b != nil && a.Error() == b.Error()
}

// checkAgainstOracle holds every reader of this package against its oracle.
func checkAgainstOracle(t *testing.T, data []byte) {
	t.Helper()
	before := bytes.Clone(data)
	if got, want := Check(data), oracleCheck(data); !sameError(got, want) {
		t.Errorf("Check(%q): got %v, want %v", data, got, want)
	}
	want, wantErr := oracleCanonical(data)
	got, gotErr := Canonical(data)
	if !bytes.Equal(got, want) || !sameError(gotErr, wantErr) {
		t.Errorf("Canonical(%q): got %q, %v, want %q, %v", data, got, gotErr, want, wantErr)
	}
	if got, want := CheckArtifact(data), oracleArtifact(data); !sameError(got, want) {
		t.Errorf("CheckArtifact(%q): got %v, want %v", data, got, want)
	}
	checkUnmarshal[any](t, data)
	checkUnmarshal[string](t, data)
	checkUnmarshal[float64](t, data)
	checkUnmarshal[map[string]any](t, data)
	checkUnmarshal[map[string]json.RawMessage](t, data)
	checkUnmarshal[[]map[named]*int](t, data)
	checkUnmarshal[target](t, data)
	d := Disclosure{Name: "a<\u2028\x1f" + string(data[:min(len(data), 8)]), Salt: "s\xff", Value: data}
	wantText, wantErr := oracleCommitment(d)
	gotText, gotErr := d.Commitment()
	if gotText != wantText || !sameError(gotErr, wantErr) {
		t.Errorf("Commitment of %q: got %s, %v, want %s, %v", data, gotText, gotErr, wantText, wantErr)
	}
	if !bytes.Equal(data, before) {
		t.Errorf("%q became %q", before, data)
	}
	if len(got) > 0 {
		got[0] ^= 1 // what Canonical returns is the caller's
		if !bytes.Equal(data, before) {
			t.Errorf("the form of %q shares its memory", before)
		}
	}
}

// target has a member of each kind.
type target struct {
	A *target                    `json:"a"`
	B []target                   `json:"b"`
	N int                        `json:"n,omitempty"`
	S string                     `json:"s"`
	M map[string]json.RawMessage `json:"m"`
	R json.RawMessage            `json:"r"`
	X any                        `json:"x"`
}

func checkUnmarshal[T any](t *testing.T, data []byte) {
	t.Helper()
	for _, c := range []struct {
		name      string
		unmarshal func([]byte, any) error
		opts      jsonv2.Options
	}{{"Unmarshal", Unmarshal, jsonv2.RejectUnknownMembers(true)}, {"UnmarshalOpen", UnmarshalOpen, jsonv2.RejectUnknownMembers(false)}} {
		var got, want T
		gotErr, wantErr := c.unmarshal(data, &got), oracleUnmarshal(data, &want, c.opts)
		if !sameError(gotErr, wantErr) {
			t.Errorf("%s(%q) into %T: got %v, want %v", c.name, data, got, gotErr, wantErr)
		}
		if wantErr == nil && !reflect.DeepEqual(got, want) {
			t.Errorf("%s(%q): got %#v, want %#v", c.name, data, got, want)
		}
	}
}

// texts are what a reader could get wrong.
func texts() []string {
	list := []string{
		"", " ", "null", " true ", "false", "nul", "truex", "\ufeff{}", "{}", "[]", "[ ]", "{ }", "{", "[", "{]", "[}", "{} {}", "[1,]", "[,1]", "[1 2]",
		`{"a"}`, `{"a":}`, `{"a":1,}`, `{,"a":1}`, `{"a":1 "b":2}`, `{"a" : 1 , "b" : 2}`, `{1:2}`, `{"a":1,"a":2}`, `{"b":1,"a":2,"b":3}`, `{"a":1,"\u0061":2}`,
		`{"b":{"z":1,"y":[{"d":1,"c":2}]},"a":2}`, `{"b":1,"a":{"d":1, "c":2}}`, `{"":1,"a":{"":2}}`, `{"aa":1,"a":2,"ab":3}`, `{"\u0000":1,"\u0001":2}`,
		`{"😀":1,"\ufb33":2}`, "{\"\ue000\":1,\"\U00010000\":2}", "{\"\U00010000\":1,\"\ue000\":2}", "{\"\ud7ff\":1,\"\U0010ffff\":2,\"\uffff\":3}", "{\"é\":1,\"z\":2}",
		`{"a":{"b":[{"n":1,"s":"\u00e9"},{"n":"1"}]}}`, `{"n":1,"m":{"z":1,"a":[{}]},"r":{"b":1,"a":2},"x":{"y":[1,"2",null]}}`, `{"m":{"a":1,"y":2},"S":""}`, `{"a":{"a":{"s":1}}}`, `{"n":1.5}`, `{"x":{"a":1},"y":1}`,
		`""`, `"`, `"a`, `"\`, `"\"`, `"\"\\\b\f\n\r\t"`, `"\/"`, `"\x"`, `"\u"`, `"\u12"`, `"\u00g0"`, `"\u000a"`, `"\u000b"`, `"\u000B"`, `"\u001F"`, `"\u001f"`, `"\u0020"`,
		`"\u007f"`, "\"\x7f\"", "\"\x1f\"", "\"\n\"", "\"\x00\"", `"\ud800"`, `"\udc00"`, `"\ud83d\ude00"`, `"\ud83d\ud83d"`, `"\ud83d\u0041"`, `"\ud83dx"`, `"\ud83d\`, `"\ud83d\u`,
		`"\ud83d\ude0"`, `"\UD83D"`, "\"\xff\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\xe2\x82\"", "\"\xf4\x90\x80\x80\"", "\"\ufffd\"", `"\ufffd"`, "\"\u2028<>&\"", `"\u2028\u003c"`,
		`"1234567"`, `"12345678"`, `"1234567\n9"`, `"12345678é"`, "\"1234567\x80\"", "\"123456789012345\x1f\"", `"123456789012345`,
		strings.Repeat("[", 31) + "{}" + strings.Repeat("]", 31), strings.Repeat("[", 32) + strings.Repeat("]", 32), strings.Repeat("[", 32) + "{}" + strings.Repeat("]", 32),
		strings.Repeat(`{"a":`, 32) + "1" + strings.Repeat("}", 32), strings.Repeat(`{"b":1,"a":`, 33) + "1" + strings.Repeat("}", 33), strings.Repeat("[", 100000),
	}
	numbers := []string{
		"0", "-0", "-", "+1", "01", "-01", ".5", "1.", "1.e1", "1e", "1e+", "0.0", "-0.0", "0e5", "-0e-5", "0e99999999999999999999", "1.0", "1.50", "10.0", "100", "1E2", "1e2", "1e0", "-1.5e-3",
		"123456789012345", "1234567890123456", "-12345678901234", "-123456789012345", "9007199254740991", "-9007199254740991", "9007199254740992", "-9007199254740992", "9007199254740993",
		"18014398509481984", "100000000000000000000", "1000000000000000000000", "1e20", "1e21", "1e-6", "1e-7", "0.000001", "0.0000001", "0.1", "0.30000000000000004", "0.3000000000000000", "0.30000000000000000000000000000001",
		"333333333.33333329", "4.35", "1e400", "-1e400", "1e-400", "1e-323", "5e-324", "4.9e-324", "4.9406564584124654e-324", "2e-324", "1.7976931348623157e308", "1.7976931348623159e308", "2.2250738585072014e-308", "0." + strings.Repeat("0", 300) + "1",
		"0." + strings.Repeat("0", 396) + "1e397", "0." + strings.Repeat("0", 397) + "1e398", "0." + strings.Repeat("0", 398) + "1e399", "1" + strings.Repeat("0", 300) + "e-300", "1" + strings.Repeat("0", 395) + "e-395", "1e-10000", "00", "0x1", "1_0", "Infinity", "NaN", "12-3", "1e5.5", "123456789012345e0", "1.2345678901234567890e3",
	}
	for _, n := range numbers {
		list = append(list, n, "["+n+"]", `{"n":`+n+`}`, `{"n": `+n+`,"a":1}`)
	}
	var big, reversed, twice []string
	for i := range 200 {
		big = append(big, fmt.Sprintf(`"k%03d":%d`, i, i))
		reversed = append([]string{fmt.Sprintf(`"k%03d":{"b":%d,"a":"\u003c"}`, i, i)}, reversed...)
	}
	twice = append(append(twice, reversed...), `"k100":1`)
	for _, members := range [][]string{big, reversed, twice} {
		list = append(list, "{"+strings.Join(members, ",")+"}", "{"+strings.Join(members, " ,\n")+"}")
	}
	return append(list, string(benchRequest()))
}

func TestOracle(t *testing.T) {
	for _, text := range texts() {
		checkAgainstOracle(t, []byte(text))
		// Whatever is cut off, or spoiled, in the middle.
		for i := 0; i < min(len(text), 64) && len(text) < 500; i += 1 + i/2 {
			checkAgainstOracle(t, []byte(text[:i]))
			checkAgainstOracle(t, []byte(text[:i]+"\xff"+text[i:]))
			checkAgainstOracle(t, []byte(text[:i]+" "+text[i:]))
		}
	}
	if got, _ := (Disclosure{Name: "a"}).Commitment(); got != Digest([]byte(`["","a",null]`)) {
		t.Errorf("the commitment to no value is %s", got)
	}
}

// Every pair of bytes, at every place among eight and after them.
func TestPlain(t *testing.T) {
	for at := range 10 {
		for pair := range 1 << 16 {
			text := []byte("abcdefghijklmn")
			text[at], text[at+1] = byte(pair), byte(pair>>8)
			want := at
			for want < len(text) && plainByte(text[want]) {
				want++
			}
			if got := plain(text); got != want {
				t.Fatalf("%q: got %d, want %d", text, got, want)
			}
		}
	}
}

func FuzzOracle(f *testing.F) {
	for _, text := range texts() {
		if len(text) < 1000 {
			f.Add([]byte(text))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		checkAgainstOracle(t, data)
		checkMarshal(t, struct {
			Z json.RawMessage
			Y json.RawMessage `json:"y,omitempty"`
			S string
			T string   `json:"t,string"`
			L []string `json:"<l>"`
			M map[string]any
		}{data, data, string(data), string(data), []string{string(data)}, map[string]any{string(data): data, "a": string(data)}})
		checkMarshal(t, string(data))
		var v any
		if json.Unmarshal(data, &v) == nil {
			checkMarshal(t, v)
		}
	})
}

func checkMarshal(t *testing.T, v any) {
	t.Helper()
	want, wantErr := oracleMarshal(v)
	got, gotErr := Marshal(v)
	if !bytes.Equal(got, want) || !sameError(gotErr, wantErr) {
		t.Errorf("Marshal(%#v): got %q, %v, want %q, %v", v, got, gotErr, want, wantErr)
	}
}

type texter struct{ s string }

func (x texter) MarshalText() ([]byte, error) { return []byte(x.s), nil }

type marshaler struct{ s string }

func (x marshaler) MarshalJSON() ([]byte, error) { return []byte(x.s), nil }

// canonicalMarshaler uses this package while this package encodes it.
type canonicalMarshaler struct{ v any }

func (x canonicalMarshaler) MarshalJSON() ([]byte, error) { return Marshal(x.v) }

type named string

func (named) MarshalJSON() ([]byte, error) { return []byte(`"named"`), nil }

func TestMarshalOracle(t *testing.T) {
	var none *int
	for _, v := range []any{
		nil, none, true, 0, -1, math.Copysign(0, -1), 1e21, 1e-7, 1.5, float32(0.1), math.Inf(1), math.NaN(), uint64(math.MaxUint64), int64(1) << 53, int64(1)<<53 + 1,
		"", "a", "\x00\x1f\x7f\u2028<>&\"\\/é😀\xff", named("a"), []byte("bytes"), []byte(nil), [2]byte{1, 2}, []string(nil), []string{}, []int{1}, map[string]int(nil), map[string]int{}, map[int]bool{10: true, 9: false},
		map[string]any{"é": 1, "z": 2, "\ue000": 3, "😀": 4, "": nil}, map[texter]int{{"b"}: 1, {"a"}: 2}, map[texter]int{{"\xff"}: 1, {"\xfe"}: 2}, texter{"t<"}, marshaler{` {"b":1, "a":[ ]} `}, marshaler{`{"a":1,"a":2}`}, marshaler{`{`}, marshaler{""}, marshaler{"1e400"},
		json.Number("1.50"), json.Number("1e400"), json.Number("x"), json.RawMessage(nil), json.RawMessage(" 1 "), json.RawMessage("\"\xff\""), json.RawMessage(`"\ud800"`), json.RawMessage(""),
		canonicalMarshaler{canonicalMarshaler{map[string]any{"b": canonicalMarshaler{"x"}, "a": "<"}}}, canonicalMarshaler{make(chan int)}, make(chan int), func() {}, struct{ A chan int }{}, []any{json.RawMessage(strings.Repeat("[", 32) + strings.Repeat("]", 32))},
		struct {
			B int    `json:"b"`
			A string `json:"a,omitempty"`
			C string `json:"c,string"`
			D int    `json:"d,string"`
			e int
			F any `json:"-"`
			benchBody
			T []byte    `json:"t,omitempty"`
			Z struct{}  `json:"z,omitzero"`
			P *struct{} `json:"p,omitempty"`
		}{e: 1, C: "<\u2028>"},
		newBenchEvent(t), benchDisclosures(),
	} {
		checkMarshal(t, v)
		checkMarshal(t, []any{v, v})
		checkMarshal(t, map[string]any{"b": v, "a": v})
		checkCommit(t, v)
	}
}

func checkCommit(t *testing.T, v any) {
	t.Helper()
	d, got, err := Commit("name", v)
	other, wantErr := Disclose("name", v)
	if (err == nil) != (wantErr == nil) { // a depth is counted from elsewhere
		t.Errorf("Commit(%#v): got %v, want %v", v, err, wantErr)
	}
	if err != nil {
		return
	}
	if want, err := oracleCommitment(d); got != want || err != nil {
		t.Errorf("Commit(%#v): got %s, want %s, %v", v, got, want, err)
	}
	if !bytes.Equal(d.Value, other.Value) || d.Name != "name" || len(d.Salt) != 22 || d.Salt == other.Salt {
		t.Errorf("Commit(%#v): got %+v", v, d)
	}
}

// A value of the greatest depth may be disclosed, and not committed to: the list
// that is hashed would be deeper.
func TestCommitDepth(t *testing.T) {
	deep := json.RawMessage(strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth))
	d, err := Disclose("name", deep)
	if err != nil {
		t.Fatal(err)
	}
	var syn *SyntaxError
	if _, err := d.Commitment(); !errors.As(err, &syn) {
		t.Errorf("Commitment: got %v", err)
	}
	if _, _, err := Commit("name", deep); !errors.As(err, &syn) {
		t.Errorf("Commit: got %v", err)
	}
	if _, _, err := Commit("name", deep[1:len(deep)-1]); err != nil {
		t.Error(err)
	}
}

func TestAppend(t *testing.T) {
	form, err := AppendCanonical([]byte("x:"), []byte(` {"b":1,"a":[]} `), MaxDepth-2)
	if err != nil || string(form) != `x:{"a":[],"b":1}` {
		t.Errorf("got %s, %v", form, err)
	}
	var syn *SyntaxError
	if _, err := AppendCanonical(nil, []byte(`{"b":1,"a":[]}`), MaxDepth-1); !errors.As(err, &syn) || syn.Pointer != "/a" || !strings.Contains(syn.Msg, "nested") {
		t.Errorf("too deep: got %v", err)
	}
	if got := AppendString([]byte("x:"), "a\x00é\xff"); string(got) != `x:"a\u0000é`+"\ufffd\"" {
		t.Errorf("got %q", got)
	}
}

// Memory is used again, and none of it may be seen again.
func TestConcurrentUse(t *testing.T) {
	for i := range 8 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			for j := range 500 {
				v := map[string]any{"b": strings.Repeat(fmt.Sprint(i), j), "a": canonicalMarshaler{[]int{i, j}}}
				checkMarshal(t, v)
				checkAgainstOracle(t, fmt.Appendf(nil, `{"b":%d, "a":"%s"}`, j, strings.Repeat("x", i*j)))
			}
		})
	}
}
