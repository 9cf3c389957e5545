#!/bin/sh
# gofmt, go vet and golangci-lint (built from the module proxy at a fixed version).
set -eu
cd "$(dirname "$0")/.."
GO=${GO:-go}
version=v2.15.0

bad=$(gofmt -l $(git ls-files '*.go' | grep -v '/bind/'))
[ -z "$bad" ] || { echo "gofmt: $bad" >&2; exit 1; }
$GO vet ./...
lint=bin/golangci-lint-$version
if [ ! -x "$lint" ]; then
	mkdir -p bin
	GOBIN="$(pwd)/bin/tmp" $GO install "github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$version"
	mv bin/tmp/golangci-lint "$lint"
	rmdir bin/tmp
fi
"$lint" run ./...
