#!/bin/sh
# debian.sh PROGRAM PACKAGE: finds a program for the tests, which start it themselves.
# Installs the Debian package where it may; elsewhere the tests that need it are skipped.
set -eu
PATH=$PATH:/usr/sbin
if command -v "$1" >/dev/null 2>&1; then
	exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
	export DEBIAN_FRONTEND=noninteractive
	apt-get install -y --no-install-recommends "$2" >/dev/null 2>&1 ||
		{ apt-get update >/dev/null 2>&1 && apt-get install -y --no-install-recommends "$2" >/dev/null 2>&1; } || true
fi
command -v "$1" >/dev/null 2>&1 || { echo "no $1, and it cannot be installed here" >&2; exit 1; }
