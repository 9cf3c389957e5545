package api

import (
	"encoding/base64"
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/writ-registry/writ/anchor/tlog"
	"github.com/writ-registry/writ/registry"
)

// LogState is the log as it stands. Hashes are base64url.
type LogState struct {
	Origin     string           `json:"origin"`
	Size       uint64           `json:"size" doc:"Committed entries"`
	Root       string           `json:"root"`
	VKey       string           `json:"vkey" doc:"C2SP note verifier key of the checkpoint key"`
	Checkpoint *CheckpointState `json:"checkpoint,omitempty" doc:"The newest signed one"`
}

// CheckpointState is a signed head.
type CheckpointState struct {
	Size uint64    `json:"size"`
	Root string    `json:"root"`
	Time time.Time `json:"time"`
}

func (s *server) logState(c *gin.Context) {
	size, root, err := s.Log.Head(c.Request.Context())
	if err != nil {
		s.fail(c, err)
		return
	}
	out := LogState{Origin: s.Log.Origin(), Size: size, Root: encodeHash(root), VKey: s.LogKey}
	if latest, ok := s.latest(); ok {
		out.Checkpoint = &CheckpointState{latest.Size, encodeHash(latest.Root), latest.Time}
	}
	send(c, http.StatusOK, "application/json", out)
}

func encodeHash(h [32]byte) string { return base64.RawURLEncoding.EncodeToString(h[:]) }

// checkpoint is the signed note (C2SP tlog-tiles, "Checkpoints").
func (s *server) checkpoint(c *gin.Context) {
	latest, ok := s.latest()
	if !ok {
		s.fail(c, registry.Errorf(registry.NotFound, "no checkpoint has been signed yet"))
		return
	}
	c.Header("Cache-Control", "no-cache")
	c.Data(http.StatusOK, "text/plain; charset=utf-8", latest.Note)
}

// tile is a hash tile or entry bundle (C2SP tlog-tiles, "Merkle Tree" and "Log
// Entries"). What is served never changes: a partial tile has its own address.
func (s *server) tile(c *gin.Context) {
	p, err := tlog.ParsePath("tile" + c.Param("path"))
	if err != nil {
		s.fail(c, registry.Errorf(registry.Malformed, "not the path of a tile or entry bundle (C2SP tlog-tiles)"))
		return
	}
	var data []byte
	if p.Level == tlog.EntriesLevel {
		if data, err = s.Log.EntryBundle(c.Request.Context(), p.Index); err == nil {
			data, err = tlog.BundlePrefix(data, p.Width)
		}
	} else if data, err = s.Log.HashTile(c.Request.Context(), p.Level, p.Index); err == nil {
		data, err = tlog.TilePrefix(data, p.Width)
	}
	switch {
	case errors.Is(err, tlog.ErrMissing):
		s.fail(c, registry.Errorf(registry.NotFound, "the log has no such tile yet"))
	case err != nil:
		s.fail(c, err)
	default:
		c.Header("Cache-Control", "public, max-age=31536000, immutable")
		c.Data(http.StatusOK, "application/octet-stream", data)
	}
}
