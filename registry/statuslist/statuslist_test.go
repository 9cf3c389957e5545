package statuslist

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"crypto/elliptic"
	"encoding/json"
	"errors"
	"fmt"
	"hash/adler32"
	"io"
	"math/big"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-registry/writ/internal/jose"
)

// wantCode fails the test unless err is a *Error with code.
func wantCode(t testing.TB, err error, code Code) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || !errors.Is(err, code) {
		t.Errorf("got error %v, want code %s", err, code)
	}
}

// vector is an example of the draft: its section 4.1 and its appendix of vectors.
type vector struct {
	Name     string
	Bits     int
	Size     int
	Statuses map[int]Status // the others are 0
	List     string         `json:"lst"`
}

func readVectors(t testing.TB) []vector {
	t.Helper()
	data, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v []vector
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// Compressors differ, so the draft's texts are compared by what they hold: theirs
// and ours, both read by ours.
func TestVectors(t *testing.T) {
	for _, v := range readVectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			l, err := New(v.Bits, v.Size)
			if err != nil {
				t.Fatal(err)
			}
			for i, s := range v.Statuses {
				if err := l.Set(i, s); err != nil {
					t.Fatal(err)
				}
			}
			for name, list := range map[string]StatusList{"theirs": {v.Bits, v.List}, "ours": l.Encode()} {
				got, err := list.decode()
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if got.len() != v.Size {
					t.Errorf("%s: %d statuses", name, got.len())
				}
				for i := range v.Size {
					if s, err := got.get(i); err != nil || s != v.Statuses[i] {
						t.Fatalf("%s: index %d is %v, %v, want %v", name, i, s, err, v.Statuses[i])
					}
				}
			}
		})
	}
}

// The example token of the draft's section 8.2, and the key of the program that made
// it. Its ES256 signature may have the high s, which package jose refuses.
const (
	draftToken = "eyJhbGciOiJFUzI1NiIsImtpZCI6IjEyIiwidHlwIjoic3RhdHVzbGlzdCtqd3QifQ." +
		"eyJleHAiOjIyOTE3MjAxNzAsImlhdCI6MTY4NjkyMDE3MCwiaXNzIjoiaHR0cHM6Ly9leGFtcGxlLmNvbSIsInN0YXR1c19saXN0Ijp7ImJpdHMiOjEsImxzdCI6ImVOcmJ1UmdBQWhjQlhRIn0sInN1YiI6Imh0dHBzOi8vZXhhbXBsZS5jb20vc3RhdHVzbGlzdHMvMSIsInR0bCI6NDMyMDB9." +
		"2lKUUNG503R9htu4aHAYi7vjmr3sgApbfoDvPrl65N3URUO1EYqqQl45Jfzd-Av4QzlKa3oVALpLwOEUOq-U_g"
	draftKey = `{"kty":"EC","crv":"P-256","x":"I3HWm_0Ds1dPMI-IWmf4mBmH-YaeAVbPVu7vB27CxXo","y":"6N_d5Elj9bs1htgV3okJKIdbHEpkgTmAluYKJemzn1M"}`
)

func TestDraftToken(t *testing.T) {
	key, err := jose.ParseJWK([]byte(draftKey))
	if err != nil {
		t.Fatal(err)
	}
	dot := strings.LastIndexByte(draftToken, '.')
	raw, err := jose.DecodeBase64(draftToken[dot+1:])
	if err != nil {
		t.Fatal(err)
	}
	n := elliptic.P256().Params().N
	if s := new(big.Int).SetBytes(raw[32:]); s.Cmp(new(big.Int).Rsh(n, 1)) > 0 {
		s.Sub(n, s).FillBytes(raw[32:])
	}
	token, err := Parse(draftToken[:dot+1] + jose.EncodeBase64(raw))
	if err != nil {
		t.Fatal(err)
	}
	want := Claims{
		Issuer: "https://example.com", Subject: "https://example.com/statuslists/1",
		IssuedAt: 1686920170, Expires: 2291720170, TTL: 43200, StatusList: StatusList{1, "eNrbuRgAAhcBXQ"},
	}
	if diff := cmp.Diff(want, token.Claims()); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	statuses, err := token.Verify(Check{Key: key, URI: want.Subject, Now: time.Unix(1686920170, 0)})
	if err != nil {
		t.Fatal(err)
	}
	if s, err := statuses.Get(3); err != nil || s != Invalid || statuses.Len() != 16 {
		t.Errorf("got %v, %v of %d", s, err, statuses.Len())
	}
}

func newKey(t testing.TB) *jose.PrivateKey {
	t.Helper()
	k, err := jose.GenerateEd25519()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

const uri = "https://writ.example/v1/status/1"

func newClaims(t testing.TB) Claims {
	t.Helper()
	l, err := New(2, 100)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(l.Set(7, Invalid), l.Set(8, Suspended)); err != nil {
		t.Fatal(err)
	}
	return Claims{Subject: uri, IssuedAt: 1_700_000_000, Expires: 1_700_003_600, TTL: 60, StatusList: l.Encode()}
}

func TestToken(t *testing.T) {
	key := newKey(t)
	raw, err := Sign(key, "did:web:writ.example#status", newClaims(t))
	if err != nil {
		t.Fatal(err)
	}
	token, err := Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	if token.KeyID() != "did:web:writ.example#status" {
		t.Errorf("kid %s", token.KeyID())
	}
	check := Check{Key: key.Public(), URI: uri, Now: time.Unix(1_700_000_000, 0), MaxAge: time.Minute}
	statuses, err := token.Verify(check)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range map[int]Status{6: Valid, 7: Invalid, 8: Suspended, 99: Valid} {
		if got, err := statuses.Get(i); err != nil || got != want {
			t.Errorf("%d: got %v, %v, want %v", i, got, err, want)
		}
	}
	for _, i := range []int{-1, 100} {
		_, err = statuses.Get(i)
		wantCode(t, err, OutOfRange)
	}
	for name, c := range map[string]struct {
		change func(*Check)
		code   Code
	}{
		"key":       {func(c *Check) { c.Key = newKey(t).Public() }, BadSignature},
		"subject":   {func(c *Check) { c.URI += "/" }, WrongSubject},
		"expired":   {func(c *Check) { c.MaxAge, c.Now = 0, time.Unix(1_700_003_600, 0) }, Stale},
		"too old":   {func(c *Check) { c.Now = c.Now.Add(time.Minute + time.Second) }, Stale},
		"too early": {func(c *Check) { c.Now = c.Now.Add(-MaxSkew - time.Second) }, Stale},
	} {
		t.Run(name, func(t *testing.T) {
			changed := check
			c.change(&changed)
			_, err := token.Verify(changed)
			wantCode(t, err, c.code)
		})
	}
}

func compressed(t testing.TB, data []byte) string {
	t.Helper()
	var out bytes.Buffer
	w := zlib.NewWriter(&out)
	_, err := w.Write(data)
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return jose.EncodeBase64(out.Bytes())
}

// Tokens that anyone might sign, each with one fault.
func TestTokenRefused(t *testing.T) {
	key, sound := newKey(t), newClaims(t)
	bomb := compressed(t, make([]byte, 64<<20))
	for name, claims := range map[string]map[string]any{
		"no sub":        {"sub": nil},
		"no iat":        {"iat": nil},
		"iat negative":  {"iat": -1},
		"iat fraction":  {"iat": 1.5},
		"exp before":    {"exp": 1_600_000_000},
		"ttl negative":  {"ttl": -1},
		"no list":       {"status_list": nil},
		"list an array": {"status_list": []int{}},
		"no lst":        {"status_list": map[string]any{"bits": 1}},
		"bits missing":  {"status_list": map[string]any{"lst": sound.StatusList.List}},
		"bits 3":        {"status_list": map[string]any{"bits": 3, "lst": sound.StatusList.List}},
		"not base64":    {"status_list": map[string]any{"bits": 1, "lst": "e_r="}},
		"not ZLIB":      {"status_list": map[string]any{"bits": 1, "lst": "AAAA"}},
		"truncated":     {"status_list": map[string]any{"bits": 1, "lst": sound.StatusList.List[:8]}},
		"empty":         {"status_list": map[string]any{"bits": 1, "lst": compressed(t, nil)}},
		"goes on":       {"status_list": map[string]any{"bits": 1, "lst": compressed(t, make([]byte, 3)) + "AAAA"}},
		"a bomb":        {"status_list": map[string]any{"bits": 1, "lst": bomb}},
	} {
		t.Run(name, func(t *testing.T) {
			payload := map[string]any{"sub": uri, "iat": 1_700_000_000, "status_list": sound.StatusList, "other": "claim"}
			for k, v := range claims {
				if payload[k] = v; v == nil {
					delete(payload, k)
				}
			}
			raw, err := jose.Sign(key, Typ, "", payload)
			if err != nil {
				t.Fatal(err)
			}
			token, err := Parse(raw)
			if err == nil {
				_, err = token.Verify(Check{Key: key.Public(), URI: uri, Now: time.Unix(1_700_000_000, 0)})
			}
			wantCode(t, err, Malformed)
		})
	}
	for _, typ := range []string{"JWT", "agent-cap+jwt", "application/" + Typ, strings.ToUpper(Typ), "statuslist+cwt"} {
		raw, err := jose.Sign(key, typ, "", sound)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Parse(raw)
		wantCode(t, err, Malformed)
	}
	_, err := Parse(strings.Repeat("a", MaxToken+1))
	wantCode(t, err, Malformed)
	_, err = Sign(key, "", Claims{})
	wantCode(t, err, Malformed)
}

// inflate reads a list with the standard library, checksum included.
func inflate(t testing.TB, s StatusList) []byte {
	t.Helper()
	raw, err := jose.DecodeBase64(s.List)
	if err != nil {
		t.Fatal(err)
	}
	r, err := zlib.NewReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// After every change the list in pieces is the list as a whole, at sizes around those
// of the pieces.
func TestEncodeIsTheList(t *testing.T) {
	for _, size := range []int{1, 3, 4 * chunkSize, 4*chunkSize + 1, 4*3*chunkSize - 5} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			l, err := New(2, size)
			if err != nil {
				t.Fatal(err)
			}
			rng := rand.New(rand.NewPCG(1, uint64(size)))
			want := make([]byte, (size+3)/4)
			for range 20 {
				i, s := rng.IntN(size), Status(rng.IntN(4))
				if err := l.Set(i, s); err != nil {
					t.Fatal(err)
				}
				want[i/4] = want[i/4]&^(3<<(i%4*2)) | byte(s)<<(i%4*2)
				if got, err := l.Get(i); err != nil || got != s {
					t.Fatalf("got %v, %v, want %v", got, err, s)
				}
				if !bytes.Equal(inflate(t, l.Encode()), want) {
					t.Fatalf("after index %d became %v the list is another", i, s)
				}
			}
			if again := l.Encode(); again != l.Encode() {
				t.Error("the same list encodes differently")
			}
		})
	}
}

func TestJoinSums(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	for range 200 {
		data := make([]byte, rng.IntN(3*65521))
		for i := range data {
			data[i] = 0xff - byte(rng.IntN(3))
		}
		at := rng.IntN(len(data) + 1)
		got := joinSums(adler32.Checksum(data[:at]), adler32.Checksum(data[at:]), len(data)-at)
		if want := adler32.Checksum(data); got != want {
			t.Fatalf("%d bytes cut at %d: got %08x, want %08x", len(data), at, got, want)
		}
	}
}

// Who sets and who encodes do not disturb each other, and nothing that was set is
// lost (run with the race detector).
func TestConcurrent(t *testing.T) {
	const size, writers = 1 << 17, 4
	l, err := New(2, size)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := w; i < size; i += writers * 101 {
				if err := l.Set(i, Invalid); err != nil {
					t.Error(err)
				}
				if i%5 == 0 {
					if got, err := (l.Encode()).decode(); err != nil {
						t.Error(err)
					} else if s, err := got.get(i); err != nil || s != Invalid {
						t.Errorf("%d is %v, %v in the list encoded after it was set", i, s, err)
					}
				}
			}
		})
	}
	wg.Wait()
	got, err := l.Encode().decode()
	if err != nil {
		t.Fatal(err)
	}
	for w := range writers {
		for i := w; i < size; i += writers * 101 {
			if s, err := got.get(i); err != nil || s != Invalid {
				t.Fatalf("%d is %v, %v", i, s, err)
			}
		}
	}
}

func TestNewRefused(t *testing.T) {
	for _, c := range []struct{ bits, size int }{{3, 8}, {0, 8}, {16, 8}, {1, 0}, {1, -1}, {8, MaxArray + 1}, {1, MaxArray*8 + 1}} {
		_, err := New(c.bits, c.size)
		wantCode(t, err, Malformed)
	}
	l, err := New(1, 8)
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, l.Set(8, Invalid), OutOfRange)
	wantCode(t, l.Set(-1, Invalid), OutOfRange)
	wantCode(t, l.Set(0, Suspended), OutOfRange)
	_, err = l.Get(8)
	wantCode(t, err, OutOfRange)
}

// expand reads an encodedList as the "Bitstring Expansion Algorithm" says.
func expand(t *testing.T, text string) []byte {
	t.Helper()
	raw, err := jose.DecodeBase64(strings.TrimPrefix(text, "u"))
	if err != nil || text[0] != 'u' {
		t.Fatalf("%.10s: %v", text, err)
	}
	r, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	bits, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return bits
}

// The encodedList of the specification's examples, all zero, and that of the tests of
// its authors' implementation, whose 50,000th of 100,000 bits is set. The latter is
// shorter than what we make at least, so ours is compared after padding.
func TestBitstringVectors(t *testing.T) {
	for text, set := range map[string]int{
		"uH4sIAAAAAAAAA-3BMQEAAADCoPVPbQwfoAAAAAAAAAAAAAAAAAAAAIC3AYbSVKsAQAAA":     -1,
		"uH4sIAAAAAAAAA-3OMQ0AAAgDsElHOh72EJJWQRMAAAAAAIDWXAcAAAAAAIDHFvRitn7UMAAA": 50000,
	} {
		l, err := New(2, 100_000)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Set(4, Suspended); err != nil { // not of this purpose
			t.Fatal(err)
		}
		if set >= 0 {
			if err := l.Set(set, Invalid); err != nil {
				t.Fatal(err)
			}
		}
		want := expand(t, text)
		want = append(want, make([]byte, minBitstring-len(want))...)
		if got := expand(t, l.Bitstring(Invalid)); !bytes.Equal(got, want) {
			t.Errorf("with bit %d set the list is another", set)
		}
		if got := expand(t, l.Bitstring(Suspended)); got[0] != 0b00001000 {
			t.Errorf("index 4 is not at its place from the left: %08b", got[0])
		}
	}
}

func FuzzParse(f *testing.F) {
	key := newKey(f)
	raw, err := Sign(key, "", newClaims(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add(draftToken)
	f.Fuzz(func(t *testing.T, raw string) {
		token, err := Parse(raw)
		if err != nil {
			wantCode(t, err, Malformed)
			return
		}
		if err := token.Claims().check(); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzDecode: no list takes more than MaxArray bytes, and what it holds is readable
// to its end and not past it.
func FuzzDecode(f *testing.F) {
	for _, v := range readVectors(f) {
		raw, err := jose.DecodeBase64(v.List)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(v.Bits, raw)
	}
	f.Fuzz(func(t *testing.T, bits int, raw []byte) {
		a, err := (StatusList{bits, jose.EncodeBase64(raw)}).decode()
		if err != nil {
			wantCode(t, err, Malformed)
			return
		}
		if len(a.bytes) > MaxArray {
			t.Fatalf("%d bytes", len(a.bytes))
		}
		if _, err := a.get(a.len() - 1); err != nil {
			t.Fatal(err)
		}
		_, err = a.get(a.len())
		wantCode(t, err, OutOfRange)
	})
}
