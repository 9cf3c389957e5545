#!/usr/bin/env bash
# Installs the contract toolchain (forge, anvil, cast, solc, forge-std) into contracts/evm/node_modules: the exact versions of
# package.json, checked against the hashes of package-lock.json, without running any package's install script. Does nothing when
# they are there already.
#
# Not `npm ci`: it refuses a lock file that does not name the binaries of every platform, and ours names those of the platforms that
# it was made with. Elsewhere the version is as exact, but the hash is npm's word.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

cd "$contracts"
if [[ ! -x $forge_bin/forge || package-lock.json -nt node_modules/.package-lock.json ]]; then
  npm install --no-save --ignore-scripts --no-audit --no-fund
  touch node_modules/.package-lock.json
fi
require_toolchain
forge --version
