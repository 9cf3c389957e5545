#!/bin/sh
# Compiles the programs into the folder $1, showing how far the compiler is.
set -eu
out=${1:-bin}
GO=${GO:-go}
mkdir -p "$out"
export CGO_ENABLED=0
echo "fetching modules" >&2
$GO mod download
total=$($GO list -deps ./cmd/writ ./cmd/writ-verify | wc -l)
echo "compiling up to $total packages (go-ethereum takes minutes the first time)" >&2
$GO build -v -trimpath -o "$out/" ./cmd/writ ./cmd/writ-verify 2>&1 | awk -v total="$total" '
	/^#|^[^ ]+\.go:/ { bad = 1 }
	bad { print > "/dev/stderr"; next }
	{ n++; if (n % 25 == 0) printf "  %d packages compiled\n", n > "/dev/stderr" }
	END { if (bad) exit 1 }'
test -x "$out/writ" && test -x "$out/writ-verify"
echo "built $out/writ and $out/writ-verify" >&2
