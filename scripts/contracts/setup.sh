#!/usr/bin/env bash
# Installs the contract toolchain (forge, solc, forge-std) into contracts/evm/node_modules: the exact versions of package.json,
# checked against the hashes of package-lock.json, and without running any package's install script.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

cd "$contracts"
npm ci --ignore-scripts --no-audit --no-fund
require_toolchain
forge --version
