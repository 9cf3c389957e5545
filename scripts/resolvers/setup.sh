#!/usr/bin/env bash
# Installs the DID resolvers by other authors that the tests of cmd/writ compare ours with, into node_modules beside their
# package.json: the exact versions and hashes of package-lock.json, without running any package's install script. Does nothing when
# they are there already.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../cmd/writ/testdata/resolvers"

if [[ ! -d node_modules/didwebvh-ts || package-lock.json -nt node_modules/.package-lock.json ]]; then
  npm ci --ignore-scripts --no-audit --no-fund
  touch node_modules/.package-lock.json
fi
