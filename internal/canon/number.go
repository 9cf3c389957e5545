package canon

import (
	"bytes"
	"math"
	"strconv"
)

// checkNumber refuses a number whose value is not that of its nearest double:
// 9007199254740993 and 0.1 written with thirty digits would change meaning
// between two readers.
func checkNumber(text string) string {
	f, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil || math.IsInf(f, 0):
		return "number out of the range of an IEEE 754 double"
	case sameNumber([]byte(text), appendNumber(nil, f)):
		return ""
	case len(text) > maxNumber:
		return "number of more than 400 characters"
	}
	return "number does not round-trip through an IEEE 754 double"
}

// numeral returns the length of the number that text begins with (RFC 8259, section
// 6), 0 if there is none, and whether it is without fraction and exponent.
func numeral(text []byte) (n int, integer bool) {
	i := 0
	if i < len(text) && text[i] == '-' {
		i++
	}
	if i < len(text) && text[i] == '0' {
		n = i + 1
	} else if n = digits(text, i); n == i {
		return 0, false
	}
	integer = true
	if i = n; i < len(text) && text[i] == '.' {
		integer = false
		if n = digits(text, i+1); n == i+1 {
			return 0, false
		}
	}
	if i = n; i < len(text) && text[i]|0x20 == 'e' {
		integer = false
		if i++; i < len(text) && (text[i] == '+' || text[i] == '-') {
			i++
		}
		if n = digits(text, i); n == i {
			return 0, false
		}
	}
	return n, integer
}

// digits returns where the digits from text[i] on end.
func digits(text []byte, i int) int {
	for i < len(text) && '0' <= text[i] && text[i] <= '9' {
		i++
	}
	return i
}

// appendNumber writes f as ECMAScript does (RFC 8785, section 3.2.2.3).
func appendNumber(dst []byte, f float64) []byte {
	abs := math.Abs(f)
	if abs == 0 {
		return append(dst, '0')
	}
	if 1e-6 <= abs && abs < 1e21 {
		return strconv.AppendFloat(dst, f, 'f', -1, 64)
	}
	dst = strconv.AppendFloat(dst, f, 'e', -1, 64)
	if n := len(dst); dst[n-4] == 'e' && dst[n-2] == '0' { // e-07 is e-7
		dst = append(dst[:n-2], dst[n-1])
	}
	return dst
}

// maxNumber is the longest numeral, in characters, that is compared with another.
const maxNumber = 400

// sameNumber reports whether two numerals have exactly the same value.
func sameNumber(a, b []byte) bool {
	var roomA, roomB [maxNumber]byte
	if len(a) > maxNumber || len(b) > maxNumber {
		return false
	}
	digitsA, expA, okA := decimal(roomA[:0], a)
	digitsB, expB, okB := decimal(roomB[:0], b)
	if !okA || !okB || !bytes.Equal(digitsA, digitsB) {
		return false
	}
	return len(digitsA) == 0 || expA == expB && (a[0] == '-') == (b[0] == '-')
}

// decimal reads the magnitude of a numeral as 0.digits times ten to the power exp,
// where no zero begins or ends digits: the one such reading of its value. Zero has
// no digits. An exponent that no int holds is not ok.
func decimal(digits, text []byte) (_ []byte, exp int, ok bool) {
	if i := bytes.IndexAny(text, "eE"); i >= 0 {
		var err error
		if exp, err = strconv.Atoi(string(text[i+1:])); err != nil {
			return nil, 0, false
		}
		text = text[:i]
	}
	point := false
	for _, c := range text {
		switch {
		case c == '-':
		case c == '.':
			point = true
		case c == '0' && len(digits) == 0:
			if point {
				exp-- // 0.00d
			}
		default:
			digits = append(digits, c)
			if !point {
				exp++
			}
		}
	}
	return bytes.TrimRight(digits, "0"), exp, true
}
