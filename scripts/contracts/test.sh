#!/usr/bin/env bash
# Builds the contracts and runs their tests. Arguments go to `forge test`:
#
#   scripts/contracts/test.sh                                everything
#   scripts/contracts/test.sh --match-contract RFC9162 -vvv  a part of it
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
require_toolchain

cd "$contracts"
forge build
forge test "$@"
