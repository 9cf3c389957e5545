package tlog_test

import (
	"errors"
	"math"
	"testing"

	xtlog "golang.org/x/mod/sumdb/tlog"

	"github.com/writ-registry/writ/anchor/tlog"
)

func TestPath(t *testing.T) {
	for path, want := range map[string]tlog.Path{
		"tile/0/000":                               {0, 0, 256},
		"tile/0/x001/x234/067":                     {0, 1234067, 256}, // the example of C2SP tlog-tiles
		"tile/0/x001/x234/067.p/1":                 {0, 1234067, 1},
		"tile/3/999.p/255":                         {3, 999, 255},
		"tile/63/x001/000":                         {63, 1000, 256},
		"tile/entries/000":                         {tlog.EntriesLevel, 0, 256},
		"tile/entries/x123/456.p/8":                {tlog.EntriesLevel, 123456, 8},
		"tile/1/x018/x446/x744/x073/x709/x551/615": {1, math.MaxUint64, 256},
	} {
		got, err := tlog.ParsePath(path)
		if err != nil || got != want {
			t.Errorf("ParsePath(%q) = %v, %v, want %v", path, got, err, want)
		}
		if s := want.String(); s != path {
			t.Errorf("%v.String() = %q, want %q", want, s, path)
		}
	}
	for _, path := range []string{
		"", "tile", "tile/", "tile/0", "tile/0/", "/tile/0/000", "tile/0/000/", "tile//000",
		"tile/00/000", "tile/01/000", "tile/+1/000", "tile/-1/000", "tile/64/000", "tile/data/000", "tile/Entries/000",
		"tile/0/0", "tile/0/00", "tile/0/0000", "tile/0/1000", "tile/0/x000/001", "tile/0/x001", "tile/0/001/x002", "tile/0/x01/002",
		"tile/0/x001/x234/67", "tile/0/X001/002", "tile/0/00a", "tile/0/-01", "tile/0/+01",
		"tile/0/000.p", "tile/0/000.p/", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/01", "tile/0/000.p/+1", "tile/0/000.p/1/", "tile/0/000.p/1.p/1",
		"tile/0/x018/x446/x744/x073/x709/x551/616", "tile/0/000 ", "tile/8/0/000",
	} {
		if got, err := tlog.ParsePath(path); !errors.Is(err, tlog.ErrInvalid) {
			t.Errorf("ParsePath(%q) = %v, %v, want ErrInvalid", path, got, err)
		}
	}
}

// FuzzParsePath holds that one path names one tile, and that the path is the one
// that x/mod/sumdb/tlog, which has a height in it, gives the same tile.
func FuzzParsePath(f *testing.F) {
	for _, s := range []string{"tile/0/000", "tile/0/x001/x234/067.p/1", "tile/entries/x001/000", "tile/63/999.p/255", "tile/0/0x1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		p, err := tlog.ParsePath(path)
		if err != nil {
			if !errors.Is(err, tlog.ErrInvalid) {
				t.Fatalf("error is not ErrInvalid: %v", err)
			}
			return
		}
		if p.String() != path {
			t.Fatalf("%q has a second spelling, %q", path, p)
		}
		if p.Level == tlog.EntriesLevel || p.Index > math.MaxInt64/512 {
			return
		}
		x := xtlog.Tile{H: tlog.TileHeight, L: p.Level, N: int64(p.Index), W: p.Width}
		if want := "tile/8/" + path[len("tile/"):]; x.Path() != want {
			t.Fatalf("x/mod writes %q, want %q", x.Path(), want)
		}
	})
}
