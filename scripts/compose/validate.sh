#!/bin/sh
# Holds docker-compose.yml against the Compose Specification, as its reference
# loader reads it: JSON schema, types, and that services, volumes and conditions
# which are named exist. It needs no Docker engine. With every profile.
set -eu
GO=${GO:-go}
loader=github.com/compose-spec/compose-go/v2/cmd@v2.16.2 # fetched by Go, no part of go.mod
cd "$(dirname "$0")/../.."
COMPOSE_PROFILES='*' $GO run "$loader" docker-compose.yml >/dev/null
echo "docker-compose.yml is valid" >&2
