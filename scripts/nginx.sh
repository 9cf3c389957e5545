#!/bin/sh
# Finds an nginx for the tests, which start it themselves. Installs the Debian
# package where it may; elsewhere the tests that need it are skipped.
set -eu
PATH=$PATH:/usr/sbin
if command -v nginx >/dev/null 2>&1; then
	exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
	export DEBIAN_FRONTEND=noninteractive
	apt-get install -y --no-install-recommends nginx-light >/dev/null 2>&1 ||
		{ apt-get update >/dev/null 2>&1 && apt-get install -y --no-install-recommends nginx-light >/dev/null 2>&1; } || true
fi
command -v nginx >/dev/null 2>&1 || { echo "no nginx, and it cannot be installed here" >&2; exit 1; }
