# What a person types. Everything a target needs, it builds or installs.
GO      ?= go
DATA    ?= writ-data
BIN     := bin

.DEFAULT_GOAL := help
.PHONY: help build run demo test lint fuzz bench drill conformance contracts generate clean

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

build: ## compile bin/writ and bin/writ-verify (the first time takes minutes)
	@sh scripts/build.sh $(BIN)

run: build ## serve a registry with its own chain, data in ./writ-data
	@$(BIN)/writ serve --data $(DATA)

demo: build ## the whole loop on real parts, in a temporary folder
	@$(BIN)/writ demo

test: ## every test against the real parts (Go, again with the race detector; Foundry and an OpenID provider where Node is)
	@sh scripts/test.sh

lint: ## gofmt, go vet, golangci-lint
	@sh scripts/lint.sh

fuzz: ## every fuzz target, 60 s each (FUZZTIME=10s for less)
	@sh scripts/fuzz.sh

bench: ## all scenarios with their peers, then the hot parts alone (SCALE=1: and 10^6 agents)
	@sh scripts/bench/run.sh
	$(GO) test -run '^$$' -bench . -benchtime 0.3s ./anchor/tlog ./registry/... ./internal/... ./client/...

drill: ## kill -9 under load, 50 rounds, nothing acknowledged is lost
	WRIT_DRILL_ROUNDS=50 $(GO) test -run TestKill9 -count 1 -timeout 60m -v ./cmd/writ

conformance: ## Tessera's hammer and fsck on the log (installs both; needs curl)
	@bash scripts/conformance.sh

contracts: ## build and test the Solidity contracts
	@bash scripts/contracts/setup.sh
	@bash scripts/contracts/test.sh

generate: ## contract bindings, OpenAPI description, JSON Schemas and vectors
	@bash scripts/contracts/setup.sh
	@bash scripts/contracts/generate.sh
	$(GO) test ./api ./docs/schemas -run 'OpenAPI|StatusPaths|Schema|Vector' -update -count 1

clean: ## remove what was built (not the data)
	rm -rf $(BIN) contracts/evm/out contracts/evm/cache
