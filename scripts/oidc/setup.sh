#!/usr/bin/env bash
# Installs the OpenID provider that the tests of internal/oidc sign in at, into node_modules beside its package.json: the exact
# versions and hashes of package-lock.json, without running any package's install script. Does nothing when it is there already.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../internal/oidc/testdata/provider"

if [[ ! -d node_modules/oidc-provider || package-lock.json -nt node_modules/.package-lock.json ]]; then
  npm ci --ignore-scripts --no-audit --no-fund
  touch node_modules/.package-lock.json
fi
