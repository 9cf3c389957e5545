#!/usr/bin/env bash
# The log under tools of other authors: Tessera's hammer writes and reads at
# once, its fsck then checks every byte; at last, how far behind the signed
# checkpoint is, which fails at a median above 100 ms. Everything runs in a temporary folder,
# on this machine, and is stopped at the end. docs/conformance.md explains.
#
#   GOAL          entries to write in each round      (default 20000)
#   WRITERS       writers of each round               (default "128 512")
#   MAX_RUNTIME   after which a round has failed      (default 3m)
set -euo pipefail
cd "$(dirname "$0")/.."
GO=${GO:-go}
goal=${GOAL:-20000} rounds=${WRITERS:-128 512} max=${MAX_RUNTIME:-3m}
tessera=v1.0.4
export CGO_ENABLED=0

bin=$PWD/bin/conformance
mkdir -p "$bin"
if [ ! -x "$bin/hammer-$tessera" ] || [ ! -x "$bin/fsck-$tessera" ]; then
	echo "== install hammer and fsck $tessera" >&2
	GOBIN="$bin" $GO install "github.com/transparency-dev/tessera/internal/hammer@$tessera" "github.com/transparency-dev/tessera/cmd/fsck@$tessera"
	mv "$bin/hammer" "$bin/hammer-$tessera"
	mv "$bin/fsck" "$bin/fsck-$tessera"
fi
echo "== build with -tags conformance" >&2
$GO build -trimpath -tags conformance -o "$bin/writ" ./cmd/writ

work=$(mktemp -d)
server=
finish() {
	status=$?
	if [ -n "$server" ]; then
		kill "$server" 2>/dev/null || true
		wait "$server" 2>/dev/null || true
	fi
	if [ $status -eq 0 ]; then
		rm -rf "$work"
	else
		echo "failed; what was written is in $work" >&2
	fi
	exit $status
}
trap finish EXIT
trap 'exit 130' INT TERM

# until_true SECONDS COMMAND... tries a command until it succeeds.
until_true() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.05
	done
}
size() { curl -fsS "$url/log/checkpoint" | sed -n 2p; }

"$bin/writ" serve --data "$work/data" --chain none --listen 127.0.0.1:0 --log-level warn >"$work/serve.log" 2>&1 &
server=$!
until_true 30 test -s "$work/data/address" || { cat "$work/serve.log" >&2; exit 1; }
url=$(cat "$work/data/address")
vkey=$("$bin/writ" log vkey --data "$work/data")
printf '%s\n' "$vkey" >"$work/vkey"
[ "$(size)" = 0 ] || { echo "the first checkpoint is not that of an empty log" >&2; exit 1; }

# only_pushback FILE: hammer exits 0 whatever it has warned of. It may warn of
# pushback, and, once its goal is reached, of the requests that it cancels itself.
only_pushback() {
	! awk '/Reached tree size goal/ { reached = 1 }
		/^[WEF][0-9]/ && !/requests received pushback from log/ && !(reached && /context canceled/)' "$1" | grep .
}

printf '%-8s %10s %10s %10s %10s\n' writers entries seconds per-second pushback
for writers in $rounds; do
	before=$(size) began=$(date +%s%N)
	out=$work/hammer-$writers.log
	"$bin/hammer-$tessera" --log_public_key="$vkey" --log_url="$url/log" --show_ui=false \
		--num_writers="$writers" --max_write_ops=100000 --max_read_ops=200 \
		--leaf_write_goal="$goal" --max_runtime="$max" >"$out" 2>&1 || { cat "$out" >&2; exit 1; }
	took=$(($(date +%s%N) - began))
	grep -q 'Reached tree size goal' "$out" || { cat "$out" >&2; echo "the goal was not reached" >&2; exit 1; }
	only_pushback "$out" || { echo "hammer warned (above) of more than pushback" >&2; exit 1; }
	pushback=$(sed -n 's/.* \([0-9]*\) requests received pushback.*/\1/p' "$out" | awk '{ n += $1 } END { print n + 0 }')
	awk -v w="$writers" -v n=$(($(size) - before)) -v ns="$took" -v p="$pushback" \
		'BEGIN { printf "%-8d %10d %10.1f %10.0f %10d\n", w, n, ns / 1e9, n / (ns / 1e9), p }'
done

# fsck, too, exits 0 when it has found something: what it says decides.
"$bin/fsck-$tessera" --storage_url="$url/log/" --public_key="$work/vkey" --ui=false --N=2 >"$work/fsck.log" 2>&1 &&
	grep -q "Successfully fsck'd log" "$work/fsck.log" || { cat "$work/fsck.log" >&2; exit 1; }
sed -n "s/.*\(Successfully fsck'd.*\) and root.*/fsck: \1/p" "$work/fsck.log"
kill "$server"
wait "$server" || { cat "$work/serve.log" >&2; echo "the server did not stop well" >&2; exit 1; }
server=

WRIT_MEASURE=1 $GO test -tags conformance -count 1 -run ConformanceCheckpointLag -v ./cmd/writ >"$work/lag.log" 2>&1 || { cat "$work/lag.log" >&2; exit 1; }
sed -n 's/.*\(commit to signed checkpoint.*\)/\1/p' "$work/lag.log"
echo "conformance passed" >&2
