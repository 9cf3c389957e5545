#!/usr/bin/env bash
# Builds the contracts and runs their tests, formatting and lint. Arguments go to `forge test`:
#
#   scripts/contracts/test.sh                                everything
#   scripts/contracts/test.sh --match-contract RFC9162 -vvv  a part of it
#
# Gas that differs from contracts/evm/snapshots fails. FORGE_SNAPSHOT_CHECK=false writes the new figures instead.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
require_toolchain
export FORGE_SNAPSHOT_CHECK=${FORGE_SNAPSHOT_CHECK:-true}

cd "$contracts"
forge fmt --check
forge lint --deny warnings src
forge build
forge test "$@"
