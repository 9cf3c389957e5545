#!/bin/sh
# Every fuzz target of the tree, one after the other, FUZZTIME each (60s). The
# list comes from the tests themselves: a new target is run without being named
# here. An input that fails is kept by go test under testdata/fuzz, to be fixed
# and committed as a regression test. FUZZ names packages, all by default.
set -eu
cd "$(dirname "$0")/.."
GO=${GO:-go}
time=${FUZZTIME:-60s}
targets=$(mktemp)
trap 'rm -f "$targets"' EXIT

# go test -list prints the names of a package, then a line that ends them.
$GO test -list '^Fuzz' ${FUZZ:-./...} >"$targets.raw" || { cat "$targets.raw" >&2; rm -f "$targets.raw"; exit 1; }
awk '/^Fuzz/ { names[n++] = $1 } $1 == "ok" { for (i = 0; i < n; i++) print $2, names[i]; n = 0 }' "$targets.raw" >"$targets"
rm -f "$targets.raw"
[ -s "$targets" ] || { echo "no fuzz target found" >&2; exit 1; }

failed=0
while read -r package name; do
	echo "== $package $name"
	# Go would spend most of the time on making each new input small.
	$GO test -run '^$' -fuzz "^$name\$" -fuzztime "$time" -fuzzminimizetime 20x "$package" </dev/null || failed=$((failed + 1))
done <"$targets"
echo "$(wc -l <"$targets") targets, $failed failed"
[ "$failed" = 0 ]
