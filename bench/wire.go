package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// A generator on the server's own machine takes the server's processor, so it
// is lean: requests are whole byte strings made before the measurement, and an
// answer is read with the least that HTTP/1.1 (RFC 9112) allows. The same wire
// serves every target.

// wire is one kept-alive connection.
type wire struct {
	addr string
	conn net.Conn
	in   *bufio.Reader
	body []byte
}

// answerTimeout is how long an answer is waited for.
const answerTimeout = 30 * time.Second

// request makes a whole HTTP/1.1 request. head holds further header lines.
func request(method, path, host, head string, body []byte) []byte {
	b := make([]byte, 0, len(body)+len(head)+len(path)+128)
	b = fmt.Appendf(b, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n%s\r\n", method, path, host, len(body), head)
	return append(b, body...)
}

// do sends a request and reads its answer. The body is valid until the next
// call. After an error the next call connects again.
func (w *wire) do(request []byte) (status int, body []byte, err error) {
	if w.conn == nil {
		if err := w.connect(); err != nil {
			return 0, nil, err
		}
	}
	if err = w.conn.SetDeadline(time.Now().Add(answerTimeout)); err == nil {
		if _, err = w.conn.Write(request); err == nil {
			status, err = w.read()
		}
	}
	if err != nil {
		w.close()
	}
	return status, w.body, err
}

func (w *wire) connect() (err error) {
	if w.conn, err = net.DialTimeout("tcp", w.addr, answerTimeout); err != nil {
		w.conn = nil
		return err
	}
	w.in = bufio.NewReaderSize(w.conn, 8<<10)
	return nil
}

func (w *wire) close() {
	if w.conn != nil {
		w.conn.Close()
		w.conn = nil
	}
}

// read reads a status line, the header fields that frame the body, and the body.
func (w *wire) read() (status int, err error) {
	line, err := w.in.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.")) {
		return 0, fmt.Errorf("no HTTP answer: %.40q", line)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, err
	}
	length, last := int64(-1), false
	chunked := false
	for {
		if line, err = w.in.ReadSlice('\n'); err != nil {
			return status, err
		}
		if line = bytes.TrimRight(line, "\r\n"); len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			length, err = strconv.ParseInt(string(value), 10, 64)
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = bytes.EqualFold(value, []byte("chunked"))
		case bytes.EqualFold(name, []byte("Connection")):
			last = bytes.EqualFold(value, []byte("close"))
		}
		if err != nil {
			return status, err
		}
	}
	w.body = w.body[:0]
	switch {
	case chunked:
		err = w.chunks()
	case length >= 0:
		err = w.take(length)
	default:
		return status, fmt.Errorf("an answer of status %d without a length", status)
	}
	if last && err == nil {
		w.close()
	}
	return status, err
}

func (w *wire) take(n int64) error {
	if n > 16<<20 {
		return fmt.Errorf("an answer of %d bytes", n)
	}
	at := len(w.body)
	w.body = append(w.body, make([]byte, n)...)
	_, err := io.ReadFull(w.in, w.body[at:])
	return err
}

func (w *wire) chunks() error {
	for {
		line, err := w.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		n, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 16, 64)
		if err != nil {
			return err
		}
		if err := w.take(n); err != nil {
			return err
		}
		if _, err := w.in.Discard(2); err != nil || n == 0 {
			return err
		}
	}
}
