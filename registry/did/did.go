package did

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/mr-tron/base58"

	"github.com/writ-registry/writ/internal/jose"
)

// MaxLength is the longest DID that Parse accepts, in bytes.
const MaxLength = 2048

// The methods that this package understands.
const (
	MethodWeb   = "web"
	MethodWebVH = "webvh"
	MethodKey   = "key"
)

// DID is a parsed DID without path, query or fragment. It is comparable, and ==
// compares spellings, of which the web methods have one. The zero value is no DID.
type DID struct {
	text   string
	method string
	scid   string // webvh
	host   string // web and webvh: host[:port]
	path   string // web and webvh: the segments as written, joined by ":"
}

// SyntaxError says where a text is no DID.
type SyntaxError struct {
	Offset int // bytes from the start
	Msg    string
}

// Error returns "did: message at character n", counting from 1.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("did: %s at character %d", e.Msg, e.Offset+1)
}

// Parse reads a DID (DID Core 1.0 section 3.1). DID URLs, that is anything with a
// path, query or fragment, are refused. Errors: *SyntaxError.
func Parse(s string) (DID, error) {
	if len(s) > MaxLength {
		return DID{}, &SyntaxError{MaxLength, fmt.Sprintf("longer than %d bytes", MaxLength)}
	}
	rest, ok := strings.CutPrefix(s, "did:")
	if !ok {
		return DID{}, &SyntaxError{0, `no "did:"`}
	}
	method, id, _ := strings.Cut(rest, ":")
	for i := range len(method) {
		if c := method[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return DID{}, &SyntaxError{4 + i, "no lower case letter or digit in the method name"}
		}
	}
	at := len("did:") + len(method) + 1 // where id begins
	if method == "" || id == "" {
		return DID{}, &SyntaxError{min(at, len(s)), "method name or identifier is empty"}
	}
	if err := checkIDChars(id, at); err != nil {
		return DID{}, err
	}
	d := DID{text: s, method: method}
	switch method {
	case MethodWeb:
		return d.parseWeb(id, at)
	case MethodWebVH:
		scid, location, _ := strings.Cut(id, ":")
		if !isSHA256(scid) {
			return DID{}, &SyntaxError{at, "SCID is not the base58btc of a SHA-256 multihash"}
		}
		d.scid = scid
		return d.parseWeb(location, min(at+len(scid)+1, len(s)))
	case MethodKey:
		if _, err := jose.ParseMultikey(id); err != nil {
			return DID{}, &SyntaxError{at, "not the Multikey of an Ed25519 or P-256 key"}
		}
	}
	return d, nil
}

// ParseURL reads a DID with an optional fragment, which is how keys and services
// are named (DID Core 1.0 section 3.2), and returns the two. Paths and queries are
// refused. Errors: *SyntaxError.
func ParseURL(s string) (d DID, fragment string, err error) {
	text, fragment, found := strings.Cut(s, "#")
	if d, err = Parse(text); err != nil || !found {
		return d, "", err
	}
	if fragment == "" || len(fragment) > MaxLength {
		return DID{}, "", &SyntaxError{len(text) + 1, "fragment is empty or too long"}
	}
	for i := range len(fragment) {
		if c := fragment[i]; !idChar(c) && c != '~' {
			return DID{}, "", &SyntaxError{len(text) + 1 + i, "character not allowed in a fragment"}
		}
	}
	return d, fragment, nil
}

// checkIDChars applies the method-specific-id rule of DID Core 1.0 section 3.1.
func checkIDChars(id string, at int) error {
	for i := 0; i < len(id); i++ {
		switch c := id[i]; {
		case idChar(c) || c == ':':
		case c == '%':
			if i+2 >= len(id) || !hex(id[i+1]) || !hex(id[i+2]) {
				return &SyntaxError{at + i, "incomplete percent-encoding"}
			}
			i += 2
		default:
			return &SyntaxError{at + i, "character not allowed in a DID"}
		}
	}
	if strings.HasSuffix(id, ":") {
		return &SyntaxError{at + len(id), "identifier ends in a colon"}
	}
	return nil
}

func idChar(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || c == '.' || c == '-' || c == '_'
}

func hex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f' }

// parseWeb reads host, port and path, which begin at offset at of the DID.
func (d DID) parseWeb(location string, at int) (DID, error) {
	host, path, hasPath := strings.Cut(location, ":")
	name, port, hasPort := strings.Cut(host, "%3A")
	if offset, msg := checkHost(name); msg != "" {
		return DID{}, &SyntaxError{at + offset, msg}
	}
	d.host = name
	if hasPort {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || port[0] == '0' {
			return DID{}, &SyntaxError{at + len(name) + 3, "not a port"}
		}
		d.host += ":" + port
	}
	if !hasPath {
		return d, nil
	}
	at += len(host) + 1
	for segment := range strings.SplitSeq(path, ":") {
		if offset, msg := checkSegment(segment); msg != "" {
			return DID{}, &SyntaxError{at + offset, msg}
		}
		at += len(segment) + 1
	}
	d.path = path
	return d, nil
}

// checkHost accepts a DNS name in lower case (RFC 1123 section 2.1, A-labels for
// international names) that no URL parser takes for an IPv4 address: those look at
// the last label only, and read decimal, octal and hexadecimal numbers there
// (WHATWG URL, "ends in a number checker").
func checkHost(host string) (int, string) {
	if len(host) > 253 {
		return 253, "host is too long"
	}
	at := 0
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return at, "not a host name"
		}
		for i := range len(label) {
			if c := label[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
				return at + i, "character not allowed in a host name"
			}
		}
		at += len(label) + 1
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	digits, isHex := strings.CutPrefix(last, "0x")
	number := !strings.ContainsFunc(digits, func(r rune) bool {
		return (r < '0' || r > '9') && (!isHex || r < 'a' || r > 'f')
	})
	if number {
		return len(host) - len(last), "host is an IP address"
	}
	return 0, ""
}

// checkSegment accepts one path segment in its one spelling.
func checkSegment(segment string) (int, string) {
	if segment == "" || segment == "." || segment == ".." {
		return 0, "path segment is empty or climbs"
	}
	for i := 0; i < len(segment); i++ {
		if segment[i] != '%' {
			continue
		}
		code := segment[i+1 : i+3] // checkIDChars saw two hexadecimal digits
		n, _ := strconv.ParseUint(code, 16, 8)
		c := byte(n)
		switch {
		case code != strings.ToUpper(code):
			return i, "percent-encoding in lower case"
		case idChar(c):
			return i, "needless percent-encoding"
		case c < 0x20 || c == 0x7f || strings.IndexByte(`/\%?#`, c) >= 0:
			return i, "character not allowed in a path segment"
		}
		i += 2
	}
	return 0, ""
}

// isSHA256 reports whether s is base58btc(multihash(SHA-256)), 46 characters.
func isSHA256(s string) bool {
	if len(s) != 46 {
		return false
	}
	b, err := base58.Decode(s)
	return err == nil && len(b) == 34 && b[0] == 0x12 && b[1] == 0x20
}

// Web returns did:web for a path under a public origin ("https://host[:port]").
// Segments are percent-encoded as needed. It errs if the origin is not one, its
// host is an IP address, or a segment is empty or climbs.
func Web(origin string, path ...string) (DID, error) {
	location, err := webLocation(origin, path)
	if err != nil {
		return DID{}, err
	}
	return Parse("did:web:" + location)
}

// WebVH returns did:webvh for a path under a public origin. Errors as for Web.
func WebVH(origin, scid string, path ...string) (DID, error) {
	location, err := webLocation(origin, path)
	if err != nil {
		return DID{}, err
	}
	return Parse("did:webvh:" + scid + ":" + location)
}

// Key returns the did:key of k (W3C CCG did:key section 3).
func Key(k jose.PublicKey) DID {
	return DID{text: "did:key:" + k.Multikey(), method: MethodKey}
}

func webLocation(origin string, path []string) (string, error) {
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" ||
		u.Scheme+"://"+u.Host != strings.TrimSuffix(origin, "/") {
		return "", errors.New("did: origin is not scheme://host[:port]")
	}
	var b strings.Builder
	b.WriteString(strings.Replace(u.Host, ":", "%3A", 1))
	for _, segment := range path {
		b.WriteByte(':')
		for i := range len(segment) {
			if c := segment[i]; idChar(c) {
				b.WriteByte(c)
			} else {
				fmt.Fprintf(&b, "%%%02X", c)
			}
		}
	}
	return b.String(), nil
}

// String returns the DID as it was parsed.
func (d DID) String() string { return d.text }

// Method returns the method name.
func (d DID) Method() string { return d.method }

// SCID returns the self-certifying identifier of a did:webvh, else "".
func (d DID) SCID() string { return d.scid }

// Host returns host or host:port of a did:web or did:webvh, else "".
func (d DID) Host() string { return d.host }

// PublicKey returns the key of a did:key. Errors: *jose.Error if d is another
// method.
func (d DID) PublicKey() (jose.PublicKey, error) {
	return jose.ParseMultikey(strings.TrimPrefix(d.text, "did:key:"))
}

// KeyURL returns the DID URL of the verification method that names k by its
// Multikey, as documents of this package and did:key do.
func (d DID) KeyURL(k jose.PublicKey) string { return d.text + "#" + k.Multikey() }

// URL returns where the document of a did:web or the log of a did:webvh is
// published: https://host/path/did.json or did.jsonl, and under /.well-known/ if
// there is no path (did:webvh v1.0 section 3.4, did:web section 3.2). It errs for
// other methods.
func (d DID) URL() (string, error) {
	file := map[string]string{MethodWeb: "did.json", MethodWebVH: "did.jsonl"}[d.method]
	if file == "" {
		return "", fmt.Errorf("did: method %q has no URL", d.method)
	}
	if d.path == "" {
		return "https://" + d.host + "/.well-known/" + file, nil
	}
	return d.base() + file, nil
}

// WitnessURL returns where the witness proofs of a did:webvh are published, beside its
// log (did:webvh v1.0 section 3.4). It errs for other methods.
func (d DID) WitnessURL() (string, error) {
	log, err := d.URL()
	if err != nil || d.method != MethodWebVH {
		return "", fmt.Errorf("did: method %q has no witnesses", d.method)
	}
	return strings.TrimSuffix(log, "did.jsonl") + "did-witness.json", nil
}

// base returns the directory of d on its host, without .well-known.
func (d DID) base() string {
	if d.path == "" {
		return "https://" + d.host + "/"
	}
	return "https://" + d.host + "/" + strings.ReplaceAll(d.path, ":", "/") + "/"
}

// ParallelWeb returns the did:web at the same place as a did:webvh. It errs for
// other methods.
func (d DID) ParallelWeb() (DID, error) {
	rest, ok := strings.CutPrefix(d.text, "did:webvh:"+d.scid+":")
	if !ok {
		return DID{}, fmt.Errorf("did: method %q has no parallel did:web", d.method)
	}
	return Parse("did:web:" + rest)
}
