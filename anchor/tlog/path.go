package tlog

import (
	"fmt"
	"strconv"
	"strings"
)

// EntriesLevel stands for entry bundles where a level is asked for.
const EntriesLevel = -1

// maxLevel is the highest level that C2SP tlog-tiles allows in a path.
const maxLevel = 63

// Path names a tile or bundle, and the width of it, as a request for it does.
type Path struct {
	Level int    // 0 to 63, or [EntriesLevel]
	Index uint64 // position within the level
	Width int    // 1 to 256 hashes or entries; 256 is the full tile
}

// String returns the resource path of C2SP tlog-tiles; see [TilePath].
func (p Path) String() string { return TilePath(p.Level, p.Index, p.Width) }

// TilePath returns the resource path of a tile, relative to the log's prefix and
// without a leading slash: `tile/<L>/<N>[.p/<W>]`, or `tile/entries/<N>[.p/<W>]`
// for [EntriesLevel]. <N> is written in groups of three digits, all but the last
// behind an x: 1234067 is x001/x234/067. A width below [TileWidth] gives the
// partial tile (C2SP tlog-tiles, "Merkle Tree"). Arguments outside the ranges on
// [Path] give a path that [ParsePath] refuses.
func TilePath(level int, index uint64, width int) string {
	n := fmt.Sprintf("%03d", index%1000)
	for index >= 1000 {
		index /= 1000
		n = fmt.Sprintf("x%03d/%s", index%1000, n)
	}
	l := "entries"
	if level != EntriesLevel {
		l = strconv.Itoa(level)
	}
	if width != TileWidth {
		n += ".p/" + strconv.Itoa(width)
	}
	return "tile/" + l + "/" + n
}

// ParsePath parses a path made by [TilePath] and accepts no other spelling: no
// leading slash, no superfluous zeros, no redundant x000 group, no `.p/256`. So a
// tile has one address, and a cache one copy. It returns ErrInvalid otherwise.
func ParsePath(path string) (Path, error) {
	p, ok := parsePath(path)
	// One spelling: whatever the lenient parse below let through is caught by
	// writing it out again.
	if !ok || p.String() != path {
		return Path{}, fmt.Errorf("%w: tile path %.80q", ErrInvalid, path)
	}
	return p, nil
}

func parsePath(path string) (Path, bool) {
	rest, ok := strings.CutPrefix(path, "tile/")
	if !ok {
		return Path{}, false
	}
	l, rest, ok := strings.Cut(rest, "/")
	if !ok {
		return Path{}, false
	}
	p := Path{Level: EntriesLevel, Width: TileWidth}
	if l != "entries" {
		level, err := strconv.ParseUint(l, 10, 8)
		if err != nil || level > maxLevel {
			return Path{}, false
		}
		p.Level = int(level)
	}
	digits, w, partial := strings.Cut(rest, ".p/")
	if partial {
		width, err := strconv.ParseUint(w, 10, 8) // at most 255
		if err != nil || width == 0 {
			return Path{}, false
		}
		p.Width = int(width)
	}
	digits = strings.NewReplacer("x", "", "/", "").Replace(digits)
	index, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		return Path{}, false
	}
	p.Index = index
	return p, true
}
