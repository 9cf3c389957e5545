package tlog_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/writ-registry/writ/anchor/tlog"
)

// FuzzParseBundle: the entries of a bundle make the same bytes again, so a
// bundle has one meaning, and each prefix holds the first entries.
func FuzzParseBundle(f *testing.F) {
	f.Add([]byte{0, 0}, 1)
	f.Add([]byte("\x00\x01a\x00\x02bc"), 1)
	f.Add([]byte("\x00\x05abc"), 0)
	f.Add(make([]byte, 2*tlog.TileWidth), tlog.TileWidth)
	f.Add(make([]byte, 2*tlog.TileWidth+2), tlog.TileWidth+1)
	f.Fuzz(func(t *testing.T, data []byte, width int) {
		entries, err := tlog.ParseBundle(data)
		if err != nil && !errors.Is(err, tlog.ErrInvalid) {
			t.Fatalf("error is not ErrInvalid: %v", err)
		}
		var again []byte
		for i, e := range entries {
			again = append(binary.BigEndian.AppendUint16(again, uint16(len(e))), e...)
			if prefix, err := tlog.BundlePrefix(data, i+1); err != nil || !bytes.Equal(prefix, again) {
				t.Fatalf("the prefix of %d entries is %q (%v), want %q", i+1, prefix, err, again)
			}
		}
		if err == nil && !bytes.Equal(again, data) {
			t.Fatalf("%q has a second spelling, %q", data, again)
		}
		prefix, prefixErr := tlog.BundlePrefix(data, width)
		switch {
		case prefixErr != nil && !errors.Is(prefixErr, tlog.ErrInvalid) && !errors.Is(prefixErr, tlog.ErrMissing):
			t.Fatalf("error is neither ErrInvalid nor ErrMissing: %v", prefixErr)
		case prefixErr == nil && !bytes.HasPrefix(data, prefix):
			t.Fatalf("%q is no prefix of %q", prefix, data)
		case err == nil && (prefixErr == nil) != (width >= 0 && width <= len(entries)):
			t.Fatalf("%d of %d entries: %v", width, len(entries), prefixErr)
		}
	})
}

// FuzzTilePrefix: a prefix is the first hashes, whole ones, and nothing else.
func FuzzTilePrefix(f *testing.F) {
	f.Add(make([]byte, tlog.HashSize), 1)
	f.Add(make([]byte, tlog.HashSize+1), 1)
	f.Add(make([]byte, tlog.HashSize*tlog.TileWidth), 255)
	f.Add(make([]byte, tlog.HashSize*(tlog.TileWidth+1)), 256)
	f.Add([]byte{}, -1)
	f.Fuzz(func(t *testing.T, data []byte, width int) {
		prefix, err := tlog.TilePrefix(data, width)
		whole := len(data)%tlog.HashSize == 0 && len(data) <= tlog.HashSize*tlog.TileWidth
		switch legal := width >= 0 && width <= tlog.TileWidth; {
		case err == nil && (!legal || !whole || !bytes.Equal(prefix, data[:width*tlog.HashSize])):
			t.Fatalf("%d hashes of %d bytes: %d bytes", width, len(data), len(prefix))
		case err != nil && (!whole || !legal) && !errors.Is(err, tlog.ErrInvalid):
			t.Fatalf("error is not ErrInvalid: %v", err)
		case err != nil && whole && legal && (!errors.Is(err, tlog.ErrMissing) || width*tlog.HashSize <= len(data)):
			t.Fatalf("%d hashes of %d bytes: %v", width, len(data), err)
		}
	})
}
