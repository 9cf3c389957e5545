# Sourced by the scripts beside it: finds the contracts and puts their pinned forge on the PATH.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
contracts=$root/contracts/evm
modules=$contracts/node_modules

case "$(uname -s)-$(uname -m)" in
  Linux-x86_64) forge_platform=linux-amd64 ;;
  Linux-aarch64) forge_platform=linux-arm64 ;;
  Darwin-x86_64) forge_platform=darwin-amd64 ;;
  Darwin-arm64) forge_platform=darwin-arm64 ;;
  *) forge_platform=unknown ;;
esac
forge_bin=$modules/@foundry-rs/forge-$forge_platform/bin

require_toolchain() {
  if [[ ! -x $forge_bin/forge || ! -d $modules/solc ]]; then
    echo "the contract toolchain is not installed: run scripts/contracts/setup.sh" >&2
    exit 1
  fi
  PATH=$forge_bin:$PATH
  export PATH FOUNDRY_DISABLE_NIGHTLY_WARNING=1
}
