#!/usr/bin/env bash
# Compiles the contracts and rewrites what is committed of them for Go: ABI, code and bindings, in anchor/evm/bind. A test beside
# the bindings fails while they are stale.
#
#   scripts/contracts/generate.sh            rewrites anchor/evm/bind
#   scripts/contracts/generate.sh <folder>   writes ABI and code (no bindings) to <folder>/<package>, for comparison
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
require_toolchain

bind=${1:-$root/anchor/evm/bind}
export_contract() { # contract package
  mkdir -p "$bind/$2"
  (cd "$contracts" && node toolchain/export.js "$1" "$bind/$2")
}

(cd "$contracts" && forge build --quiet src)
export_contract LogAnchor loganchor
if [[ $# -eq 0 ]]; then
  cd "$root" && go generate ./anchor/evm/bind/...
fi
