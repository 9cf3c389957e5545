#!/bin/sh
# Every test, against the real parts: Go, and again with the race detector where
# things happen at once; the contracts with Foundry; the vectors, an OpenID provider
# and other DID resolvers with Node. Without Node the last four are skipped, and the
# last lines say so.
set -eu
cd "$(dirname "$0")/.."
GO=${GO:-go}

node=no
if command -v npm >/dev/null 2>&1 && command -v node >/dev/null 2>&1; then
	node=yes
	echo "== contracts (Foundry)"
	bash scripts/contracts/setup.sh
	bash scripts/contracts/test.sh
	bash scripts/oidc/setup.sh
	bash scripts/resolvers/setup.sh
fi

redis=yes
sh scripts/debian.sh redis-server redis-server || redis=no
nginx=yes
sh scripts/debian.sh nginx nginx-light || nginx=no
chromium=yes
sh scripts/debian.sh chromium chromium || chromium=no

echo "== go vet"
$GO vet ./...
echo "== go test"
$GO test -timeout 20m ./... "$@"
# The race detector makes SQLite and cryptography in Go ten times slower. Where whole
# servers are driven one call after another, it sees what drives them at once.
echo "== go test -race"
$GO test -race -timeout 20m $($GO list ./... | grep -v -e '/api$' -e '/bench$' -e '/client/verify$' -e '/cmd/writ$' -e '/registry$' -e '/registry/policy$')
$GO test -race -timeout 20m -run 'GoodOnce|Waiting|Children|RedeemOnce|FindDecision|SearchPages|Spent|Standing' ./registry/policy
$GO test -race -timeout 20m -run 'Access|Evaluations|Quota|InFlight|Budget|Story' ./api
$GO test -race -timeout 20m -run 'Kill9|Termination|Slow|Import$|Guard|TwoOrganizations|Tends' ./cmd/writ
echo "== go test -race -tags conformance"
$GO test -race -tags conformance -run Conformance ./registry/journal ./api ./cmd/writ
if [ $redis = no ]; then
	echo "skipped: the tests on a real Redis need redis-server"
fi
if [ $nginx = no ]; then
	echo "skipped: the tests on a real nginx need nginx"
fi
if [ $chromium = no ]; then
	echo "skipped: the pages in a browser need chromium"
fi
if [ $node = no ]; then
	echo "skipped: contract tests, the Node check of the vectors, sign-in at an OpenID provider and other DID resolvers need Node 20"
fi
