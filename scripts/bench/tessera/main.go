// Command tessera is a log server on Tessera's POSIX storage, for comparison.
//
// It is Tessera's own conformance server (cmd/conformance/posix) with the age
// of a batch made a flag: that server waits up to a second for a batch to fill,
// which would say nothing about Tessera at one client. There is no antispam and
// no HTTP/2, which would both cost Tessera time.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"
)

func main() {
	dir := flag.String("storage_dir", "", "folder of the log")
	listen := flag.String("listen", "127.0.0.1:2025", "address")
	key := flag.String("private_key", "", "file of the signer key of the checkpoints")
	age := flag.Duration("batch_max_age", tessera.DefaultBatchMaxAge, "how long a batch may wait to fill")
	flag.Parse()
	log.Fatal(serve(context.Background(), *dir, *listen, *key, *age))
}

func serve(ctx context.Context, dir, listen, key string, age time.Duration) error {
	raw, err := os.ReadFile(key)
	if err != nil {
		return err
	}
	signer, err := note.NewSigner(strings.TrimSpace(string(raw)))
	if err != nil {
		return err
	}
	driver, err := posix.New(ctx, posix.Config{Path: dir})
	if err != nil {
		return err
	}
	appender, _, _, err := tessera.NewAppender(ctx, driver, tessera.NewAppendOptions().
		WithCheckpointSigner(signer).WithCheckpointInterval(time.Second).WithBatching(256, age))
	if err != nil {
		return err
	}
	http.HandleFunc("POST /add", func(w http.ResponseWriter, r *http.Request) {
		entry, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		at, err := appender.Add(r.Context(), tessera.NewEntry(entry))()
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintf(w, "%d", at.Index)
	})
	http.Handle("GET /", http.FileServer(http.Dir(dir)))
	return http.ListenAndServe(listen, nil)
}
