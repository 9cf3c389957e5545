package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"
)

// newLogCmd says how others recognize the log of a registry on this machine.
func newLogCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "log",
		Short: "Show how others recognize the log of a registry on this machine",
	}
	cmd.AddCommand(
		newLogFactCmd("vkey", "Print the key that verifies the log's checkpoints",
			`Print the log's verifier key (C2SP signed-note): what a monitor, a witness or an
auditor needs, beside the address, to check the log without trusting the server.
It is read from the data folder, whether or not the registry is running.`,
			`  writ log vkey --data /var/lib/writ`,
			func(l logIdentity) string { return l.VKey }),
		newLogFactCmd("origin", "Print the log's name, the first line of its checkpoints",
			`Print the log's origin line (C2SP tlog-checkpoint). It is also the name in its
verifier key.`,
			`  writ log origin --data /var/lib/writ`,
			func(l logIdentity) string { return l.Origin }),
	)
	return cmd
}

// logIdentity is what a log is recognized by.
type logIdentity struct {
	Origin string `json:"origin"`
	VKey   string `json:"vkey"`
}

func newLogFactCmd(use, short, long, example string, fact func(logIdentity) string) *cobra.Command {
	var data string
	var asJSON bool
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long, Example: example, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := readLogIdentity(data)
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), l)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), fact(l))
			return err
		},
	}
	cmd.Flags().StringVar(&data, "data", "writ-data", "data folder of a registry on this machine")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write both facts as JSON")
	return cmd
}

// readLogIdentity reads the public half of the checkpoint key; it makes no key.
func readLogIdentity(data string) (logIdentity, error) {
	raw, err := os.ReadFile(filepath.Join(data, "keys", keyCheckpoint+".key"))
	if errors.Is(err, fs.ErrNotExist) {
		return logIdentity{}, fmt.Errorf("%s holds no log: the first start of a registry makes its key", data)
	}
	if err != nil {
		return logIdentity{}, err
	}
	_, vkey, _ := strings.Cut(strings.TrimSpace(string(raw)), "\n")
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return logIdentity{}, fmt.Errorf("key %s of %s: %w", keyCheckpoint, data, err)
	}
	return logIdentity{Origin: v.Name(), VKey: vkey}, nil
}

// claimFolder keeps the folders of the conformance build and those of
// registries apart, for good: the first start marks a folder of the conformance
// build, and neither build opens the other's. A crash after the mark leaves a
// marked folder with nothing in it.
func (s *server) claimFolder(ctx context.Context) error {
	mark, err := s.db.Meta(ctx, "build")
	if err != nil {
		return err
	}
	if !conformanceBuild {
		if mark != "" {
			return fmt.Errorf("%s belongs to a %s build: its log holds raw entries and is no registry's", s.cfg.Data, mark)
		}
		return nil
	}
	s.log.Warn("conformance build: anyone may append anything; this is no registry")
	origin, err := s.db.Meta(ctx, "origin")
	switch {
	case err != nil || mark == "conformance":
		return err
	case origin != "" || mark != "":
		return fmt.Errorf("%s was not created by this conformance build, which would spoil a registry's log", s.cfg.Data)
	}
	return s.db.SetMeta(ctx, "build", "conformance")
}
