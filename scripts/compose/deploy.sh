#!/bin/sh
# Makes a geth developer chain a place to anchor at: keys, ether for the wallet,
# LogAnchor, the registration of the log, and the network file that
# `writ serve --chain FILE` reads. It needs writ and geth in the PATH.
#
# Run again it keeps what is there, as long as the chain still knows the log; a
# chain that began anew gets a new contract.
set -eu
umask 077
: "${RPC:=http://127.0.0.1:8545}" # of the chain, as writ will reach it
: "${DATA:=writ-data}"            # data folder of the registry
: "${CONFIG:=.}"                  # folder of the network file
: "${ORIGIN:=localhost:8080/log}" # origin line of the log

network=$CONFIG/geth-dev.yaml
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# secret makes a key as the registry itself would, where there is none.
secret() {
	[ -s "$DATA/keys/$1.key" ] && return
	od -An -v -tx1 -N32 /dev/urandom | tr -d ' \n' >"$work/$1"
	echo >>"$work/$1"
	mv "$work/$1" "$DATA/keys/$1.key"
}

# address names the account of a key, by way of a keystore that is thrown away.
address() {
	: >"$work/password"
	geth account import --lightkdf --datadir "$work/$1" --password "$work/password" "$DATA/keys/$1.key" 2>/dev/null |
		sed -n 's/^Address: {\(.*\)}$/0x\1/p'
}

console() { geth attach --exec "$1" "$RPC"; }

register() {
	writ chain register --network "$1" --key "$DATA/keys/wallet.key" --origin "$ORIGIN" \
		--head-key "$(address head)" --guardian "$(address guardian)"
}

mkdir -p "$DATA/keys"
for name in wallet head guardian; do secret "$name"; done

# The developer account of geth is a faucet.
wallet=$(address wallet)
if [ "$(console "eth.getBalance('$wallet') > 1e18")" != true ]; then
	console "eth.sendTransaction({from: eth.accounts[0], to: '$wallet', value: web3.toWei(100, 'ether')})" >/dev/null
	until [ "$(console "eth.getBalance('$wallet') > 1e18")" = true ]; do sleep 1; done
fi

contract=$(sed -n 's/^contract: "\(.*\)"$/\1/p' "$network" 2>/dev/null || true)
if [ -n "$contract" ] && [ "$(console "eth.getCode('$contract') != '0x'")" = true ]; then
	register "$network"
	exit 0
fi

# The registry reads this file as well; it holds no secret.
umask 022
cat >"$work/geth-dev.yaml" <<EOF
# The developer chain of docker-compose.yml. Written by scripts/compose/deploy.sh
name: geth-dev
chain_id: $(console 'parseInt(eth.chainId())')
rpc: $RPC
operators_own: true
finality: safe
interval: 5s
fees:
  max_fee_gwei: 100
  max_tip_gwei: 10
EOF
writ chain deploy --network "$work/geth-dev.yaml" --key "$DATA/keys/wallet.key" >"$work/deployed"
cat "$work/deployed"
sed -n -e 's/^  \(contract: \)/\1/p' -e 's/^  \(deploy_block: \)/\1/p' "$work/deployed" >>"$work/geth-dev.yaml"
register "$work/geth-dev.yaml"
cp "$work/geth-dev.yaml" "$network.new"
mv "$network.new" "$network" # last, and whole: the file says that all of it is done
