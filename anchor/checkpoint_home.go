package anchor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/writ-registry/writ/anchor/tlog"
)

// CheckpointHome is the second home of a log's last signed checkpoint: one value,
// kept where the loss or rollback of the database does not reach.
//
// Durability: Save returns nil only when the value would survive a power cut,
// and at every moment Load finds the old value or the new one, whole. An error of
// Save leaves open which. One Checkpointer uses a home at a time.
type CheckpointHome interface {
	// Load returns the stored note, nil without an error if none was ever
	// stored.
	Load(ctx context.Context) ([]byte, error)
	// Save replaces the stored note.
	Save(ctx context.Context, note []byte) error
}

// FileHome is a CheckpointHome in one file, which SHOULD be on another disk than
// the database, and MUST NOT be in a folder that is backed up and restored
// together with it. The folder must exist.
type FileHome struct {
	path string
}

// NewFileHome returns the second home in the file at path. It touches no disk.
func NewFileHome(path string) *FileHome { return &FileHome{path} }

// Load implements [CheckpointHome].
func (h *FileHome) Load(context.Context) ([]byte, error) {
	f, err := os.Open(h.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	// The bound keeps a wrong path from being read into memory.
	data, err := io.ReadAll(io.LimitReader(f, tlog.MaxNote+1))
	if err != nil {
		return nil, err
	}
	if len(data) > tlog.MaxNote {
		return nil, fmt.Errorf("%s is longer than any checkpoint", h.path)
	}
	return data, nil
}

// Save implements [CheckpointHome]: it writes a new file, syncs it, renames it
// over the old one and syncs the folder. A crash leaves at most a temporary file
// beside, which the next Save overwrites.
func (h *FileHome) Save(_ context.Context, note []byte) error {
	tmp := h.path + ".tmp"
	if err := writeSynced(tmp, note); err != nil {
		return err
	}
	if err := os.Rename(tmp, h.path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(h.path))
}

func writeSynced(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		f.Close()
		return err
	}
	if err := f.Sync(); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// syncDir makes a rename durable. File systems that cannot sync a folder say
// EINVAL; there the rename is as durable as they make it.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) {
		return err
	}
	return nil
}
