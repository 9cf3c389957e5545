#!/bin/sh
# Builds the peers that bench compares with into the folder $1, at pinned
# versions. Each is optional: what cannot be built is said, and its rows say so.
set -u
out=$(mkdir -p "${1:-bin}" && cd "${1:-bin}" && pwd)
GO=${GO:-go}
cd "$(dirname "$0")"
export CGO_ENABLED=0
OPA=github.com/open-policy-agent/opa@v1.22.0
OPENFGA=github.com/openfga/openfga/cmd/openfga@v1.11.2

# have NAME VERSION: the program is there, and of this version.
have() { test -x "$out/$1" && $GO version -m "$out/$1" 2>/dev/null | grep -q "$2"; }

install() { # NAME MODULE@VERSION
	if ! have "$1" "${2##*@}"; then
		echo "building $2" >&2
		GOBIN=$out $GO install "$2" || echo "peer $1 was not built" >&2
	fi
}
install opa "$OPA"
install openfga "$OPENFGA"
# Tessera is a library: its server is the small program beside this script, in a
# module of its own that pins it.
if ! have tessera v1.0.4; then
	echo "building tessera" >&2
	$GO build -C tessera -trimpath -o "$out/tessera" . || echo "peer tessera was not built" >&2
fi
exit 0
