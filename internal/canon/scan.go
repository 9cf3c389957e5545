package canon

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"sync"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// scanner reads one JSON text once, and on the way holds it against both its
// grammar (RFC 8259, with the strictness of Check) and its canonical form (RFC
// 8785). It only says yes or no: who needs to know why asks explain.
//
// While the text is its own canonical form nothing is copied. Where the two part,
// form takes over, if it is wanted at all.
type scanner struct {
	text     []byte
	pos      int
	depth    int      // of open objects and arrays
	artifact bool     // refuse what the profile of evidence lacks, member by member
	write    bool     // make the canonical form
	differs  bool     // text[:pos] is not its own canonical form
	form     []byte   // the canonical form so far, once it differs
	scratch  []byte   // where form may be written
	members  []member // those of the open objects, the innermost last
}

// member is a member of an object and where it stands in the canonical form.
type member struct {
	name       []byte // decoded
	start, end int
}

// strict reports whether data is strict JSON.
func strict(data []byte) bool {
	w := newWorkspace()
	defer w.release()
	return w.scan(data).all()
}

// artifact reports whether data is an artifact, as CheckArtifact says.
func artifact(data []byte) bool {
	w := newWorkspace()
	defer w.release()
	s := w.scan(data)
	s.artifact = true
	return s.all() && !s.differs && data[0] == '{'
}

// workspace is the memory of one call, kept for the next one.
type workspace struct {
	scanner scanner
	text    bytes.Buffer
	encoder *json.Encoder // into text
}

var workspaces = sync.Pool{New: func() any {
	w := &workspace{}
	w.encoder = json.NewEncoder(&w.text)
	return w
}}

func newWorkspace() *workspace { return workspaces.Get().(*workspace) }

// scan makes a scanner of data.
func (w *workspace) scan(data []byte) *scanner {
	w.scanner = scanner{text: data, scratch: w.scanner.scratch[:0], members: w.scanner.members[:0]}
	return &w.scanner
}

// canonical returns the canonical form of data, in the memory of data or of w. ok is
// false if data is not strict JSON, or too deep to stand within depth objects and
// arrays.
func (w *workspace) canonical(data []byte, depth int) (form []byte, ok bool) {
	s := w.scan(data)
	s.depth, s.write = depth, true
	if ok = s.all(); !s.differs {
		return data, ok
	}
	s.scratch = s.form
	return s.form, ok
}

// release gives w back, unless one large value would keep its memory for ever. The
// texts that were read are let go of.
func (w *workspace) release() {
	s := &w.scanner
	if w.text.Cap()+cap(s.scratch)+cap(s.members)*40 > 64<<10 {
		return
	}
	clear(s.members) // of the objects that a refusal left open
	s.text, s.form = nil, nil
	w.text.Reset()
	workspaces.Put(w)
}

// all takes the whole text: one value, and white space around it.
func (s *scanner) all() bool {
	s.space()
	if !s.value() {
		return false
	}
	s.space()
	return s.pos == len(s.text)
}

// peek returns the next byte, 0 at the end: NUL begins no token.
func (s *scanner) peek() byte {
	if s.pos < len(s.text) {
		return s.text[s.pos]
	}
	return 0
}

// space skips white space, of which the canonical form has none.
func (s *scanner) space() {
	start := s.pos
	for c := s.peek(); c == ' ' || c == '\t' || c == '\r' || c == '\n'; c = s.peek() {
		s.pos++
	}
	if s.pos > start {
		s.differ(start)
	}
}

// differ notes that from text[at] on the canonical form is not the text.
func (s *scanner) differ(at int) {
	if s.write && !s.differs {
		s.form = append(slices.Grow(s.scratch, len(s.text)), s.text[:at]...)
	}
	s.differs = true
}

// keep takes n bytes that the canonical form spells in the same way.
func (s *scanner) keep(n int) {
	if s.form != nil {
		s.form = append(s.form, s.text[s.pos:s.pos+n]...)
	}
	s.pos += n
}

// at is where the next byte of the canonical form goes. It stays true when the
// form parts from the text only later.
func (s *scanner) at() int {
	if s.form != nil {
		return len(s.form)
	}
	return s.pos
}

func (s *scanner) value() bool {
	switch s.peek() {
	case '{':
		return s.object()
	case '[':
		return s.array()
	case '"':
		_, ok := s.string(false)
		return ok
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return !s.artifact && s.literal("null")
	}
	return s.number()
}

func (s *scanner) literal(text string) bool {
	if !bytes.HasPrefix(s.text[s.pos:], []byte(text)) {
		return false
	}
	s.keep(len(text))
	return true
}

func (s *scanner) array() bool {
	if s.depth++; s.depth > MaxDepth {
		return false
	}
	s.keep(1)
	s.space()
	for first := true; s.peek() != ']'; first = false {
		if !first && !s.comma() || !s.value() {
			return false
		}
		s.space()
	}
	s.keep(1)
	s.depth--
	return true
}

// comma takes the comma between two elements and the space after it.
func (s *scanner) comma() bool {
	if s.peek() != ',' {
		return false
	}
	s.keep(1)
	s.space()
	return true
}

func (s *scanner) object() bool {
	if s.depth++; s.depth > MaxDepth {
		return false
	}
	s.keep(1)
	begin, base, sorted := s.at(), len(s.members), true
	s.space()
	for first := true; s.peek() != '}'; first = false {
		if !first && !s.comma() {
			return false
		}
		m := member{start: s.at()}
		var ok bool
		if m.name, ok = s.string(true); !ok || s.artifact && !artifactName(m.name) {
			return false
		}
		if !first && sorted {
			order := compareNames(s.members[len(s.members)-1].name, m.name)
			if order == 0 {
				return false
			}
			sorted = order < 0
		}
		s.space()
		if s.peek() != ':' {
			return false
		}
		s.keep(1)
		s.space()
		if !s.value() {
			return false
		}
		m.end = s.at()
		s.members = append(s.members, m)
		s.space()
	}
	if !sorted && !s.sort(begin, s.members[base:]) {
		return false
	}
	s.keep(1)
	clear(s.members[base:])
	s.members = s.members[:base]
	s.depth--
	return true
}

// sort brings the members of the object whose first one begins at form[begin] into
// order (RFC 8785, section 3.2.3). It reports whether no name is there twice.
func (s *scanner) sort(begin int, members []member) bool {
	slices.SortFunc(members, func(a, b member) int { return compareNames(a.name, b.name) })
	for i := 1; i < len(members); i++ {
		if bytes.Equal(members[i-1].name, members[i].name) {
			return false
		}
	}
	s.differ(s.pos)
	if !s.write {
		return true
	}
	// The members are written once more behind the form, and then over it.
	end := len(s.form)
	for i, m := range members {
		if i > 0 {
			s.form = append(s.form, ',')
		}
		s.form = append(s.form, s.form[m.start:m.end]...)
	}
	copy(s.form[begin:end], s.form[end:])
	s.form = s.form[:end]
	return true
}

// compareNames orders by UTF-16 code units, as RFC 8785 wants it. Valid UTF-8 has
// the same order, but that a surrogate pair (from 0xf0 on) sorts before U+E000 to
// U+FFFF (0xee and 0xef).
func compareNames(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if x, y := a[i], b[i]; x != y {
			if min(x, y) >= 0xee && (x >= 0xf0) != (y >= 0xf0) {
				x, y = y, x
			}
			return cmp.Compare(x, y)
		}
	}
	return cmp.Compare(len(a), len(b))
}

// string takes a string. Of a name it returns what it says, which may share the
// text's bytes.
func (s *scanner) string(name bool) (said []byte, ok bool) {
	if s.peek() != '"' {
		return nil, false
	}
	n, escaped, shortest := quoted(s.text[s.pos:])
	if n == 0 {
		return nil, false
	}
	literal := s.text[s.pos : s.pos+n]
	said = literal[1 : n-1]
	if escaped && (name || s.write && !shortest) {
		var err error
		if said, err = jsontext.AppendUnquote(nil, literal); err != nil {
			return nil, false
		}
	}
	if shortest {
		s.keep(n)
		return said, true
	}
	s.differ(s.pos)
	if s.pos += n; s.write {
		s.form, _ = jsontext.AppendQuote(s.form, said) // the shortest spelling
	}
	return said, true
}

// quoted returns the length of the string that text begins with (RFC 8259, section
// 7), 0 if there is none; whether it holds escapes; and whether it is spelled as
// RFC 8785, section 3.2.2.2, has it.
func quoted(text []byte) (n int, escaped, shortest bool) {
	shortest = true
	for i := 1; ; {
		i += plain(text[i:])
		if i == len(text) {
			return 0, false, false
		}
		switch c := text[i]; {
		case c == '"':
			return i + 1, escaped, shortest
		case c == '\\':
			n, ok := escape(text[i:])
			if n == 0 {
				return 0, false, false
			}
			i, escaped, shortest = i+n, true, shortest && ok
		default:
			r, n := utf8.DecodeRune(text[i:])
			if c < ' ' || r == utf8.RuneError && n <= 1 {
				return 0, false, false
			}
			i += n
		}
	}
}

// plain returns how many bytes from the start of text are printable ASCII, neither
// quote nor backslash. It looks at eight at once: the top bit of a byte is set in one
// of the four terms if the byte does not pass. A byte that passes borrows nothing
// from the next one, so the lowest bit that is set tells the truth.
func plain(text []byte) int {
	const ones = 0x0101010101010101
	i := 0
	for ; i+8 <= len(text); i += 8 {
		x := binary.LittleEndian.Uint64(text[i:])
		if stop := (x | (x - ' '*ones) | ((x ^ '"'*ones) - ones) | ((x ^ '\\'*ones) - ones)) & (0x80 * ones); stop != 0 {
			return i + bits.TrailingZeros64(stop)/8
		}
	}
	for i < len(text) && plainByte(text[i]) {
		i++
	}
	return i
}

func plainByte(c byte) bool { return ' ' <= c && c < utf8.RuneSelf && c != '"' && c != '\\' }

// escape returns the length of the escape sequence that text begins with, 0 if it
// is none or half of a surrogate pair, and whether the canonical form has it.
func escape(text []byte) (n int, shortest bool) {
	if len(text) < 2 {
		return 0, false
	}
	switch text[1] {
	case '"', '\\', 'b', 'f', 'n', 'r', 't':
		return 2, true
	case '/':
		return 2, false
	case 'u':
		r := hex4(text[2:])
		switch {
		case r < 0:
			return 0, false
		case !utf16.IsSurrogate(r):
			upper := 'A' <= text[5] && text[5] <= 'F'
			return 6, r < ' ' && !upper && bytes.IndexByte([]byte("\b\f\n\r\t"), byte(r)) < 0
		case len(text) > 8 && text[6] == '\\' && text[7] == 'u' && utf16.DecodeRune(r, hex4(text[8:])) != utf8.RuneError:
			return 12, false
		}
	}
	return 0, false
}

// hex4 reads four hexadecimal digits, -1 if they are not there.
func hex4(text []byte) rune {
	if len(text) < 4 {
		return -1
	}
	var r rune
	for _, c := range text[:4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			c = (c | 0x20) - 'a' + 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}

func (s *scanner) number() bool {
	n, integer := numeral(s.text[s.pos:])
	if n == 0 || s.artifact && !integer {
		return false
	}
	text := s.text[s.pos : s.pos+n]
	if integer && n <= 15 && string(text) != "-0" {
		s.keep(n) // fewer digits than a double holds, and no other way to write them
		return true
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil || s.artifact && math.Abs(f) >= 1<<53 {
		return false
	}
	var room [32]byte
	form := appendNumber(room[:0], f)
	if bytes.Equal(form, text) {
		s.keep(n)
		return true
	}
	if !sameNumber(text, form) {
		return false
	}
	s.differ(s.pos)
	if s.pos += n; s.write {
		s.form = append(s.form, form...)
	}
	return true
}
