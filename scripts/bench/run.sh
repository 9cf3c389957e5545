#!/bin/sh
# Measures every scenario, with its peers in the same run, and prints a row of
# JSON for each: some seven minutes. Rows are kept in $1 (bin/bench.jsonl).
#
#   SECONDS_EACH=10   the measured time of each row
#   SCALE=1           the growth rows too: 10^6 agents, 10^7 entries (disk: 30 GB)
set -eu
cd "$(dirname "$0")/../.."
GO=${GO:-go}
out=${1:-bin/bench.jsonl}
each=${SECONDS_EACH:-10}s
mkdir -p bin
sh scripts/bench/peers.sh bin
CGO_ENABLED=0 $GO build -trimpath -o bin/writ-bench ./cmd/writ
CGO_ENABLED=0 $GO build -trimpath -tags conformance -o bin/writ-conformance ./cmd/writ
$GO build -trimpath -o bin/bench ./bench
{
	echo "# $(uname -sr), $(nproc) processors, $(awk '/MemTotal/ {printf "%d MiB", $2/1024}' /proc/meminfo), $($GO version | cut -d' ' -f3)"
	echo "# $(awk -F': ' '/model name/ {print $2; exit}' /proc/cpuinfo), source $(git describe --always --dirty 2>/dev/null || echo unknown)"
} | tee "$out" >&2

# Temporary folders on the disk of this checkout: /tmp may be in memory, where
# fsync costs nothing.
tmp=$(mktemp -d bin/bench-XXXXXX)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM
measure() { bin/bench --tmp "$tmp" --duration "$each" --json "$@" | tee -a "$out"; }
writ() { measure --writ bin/writ-bench "$@"; }
log() { measure --scenario log --writ bin/writ-conformance "$@"; }

writ --scenario decision --clients 64 --peers
writ --scenario decision --clients 1
writ --scenario decision --clients 500 --rate 2000 --peers
writ --scenario decision --clients 64 --chain embedded
writ --scenario light --clients 64
writ --scenario light --clients 1
writ --scenario light --clients 64 --rate 1000
writ --scenario asserted --clients 64 --peers
writ --scenario asserted --clients 1 --peers
writ --scenario verify --clients 64 --peers
writ --scenario resolve --clients 64 --peers
writ --scenario resolve --clients 64 --rate 500 --peers
writ --scenario register --clients 64
for clients in 1 64 512; do
	log --clients $clients --peers
done

if [ "${SCALE:-}" = 1 ]; then
	for size in "1000 10000" "1000000 10000000"; do
		set -- $size
		bin/bench --seed "$tmp/$1" --agents "$1" --entries "$2" --writ bin/writ-bench
		for clients in 1 64; do
			writ --scenario decision --clients $clients --data "$tmp/$1"
		done
		# Uniform over all agents: no cache holds them.
		writ --scenario decision --clients 1 --active 0 --data "$tmp/$1"
		rm -rf "${tmp:?}/$1" "${tmp:?}/$1.checkpoint"
	done
fi
echo "rows are in $out" >&2
