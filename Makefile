# Needs Go, make and git; `make test` also a C compiler for the race detector
# and, for the tests on PostgreSQL, initdb and postgres on PATH.

TOOLS    := bin/tools
FUZZTIME ?= 20s

.DEFAULT_GOAL := help
.PHONY: help run test test-short fuzz lint lint-go lint-workflows lint-vulnerabilities build tools clean

help: ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-22s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## the whole of Ringback on this machine: Temporal, its UI, both cores, receivers and a story
	@echo "Building Ringback with a Temporal server inside; the first build takes a minute or two."
	go -C dev run .

test: ## every test of both modules, with the race detector
	go test -race -timeout 20m ./...
	go -C dev test -race -timeout 40m ./...

test-short: ## the root module's tests without the race detector
	go test -timeout 10m ./...

fuzz: ## every fuzz target for FUZZTIME (20s)
	FUZZTIME=$(FUZZTIME) scripts/fuzz

lint: lint-go lint-workflows lint-vulnerabilities ## style, import rules, workflow determinism, known vulnerabilities

lint-go: tools ## golangci-lint on both modules
	$(TOOLS)/golangci-lint run ./...
	cd dev && ../$(TOOLS)/golangci-lint run ./...

lint-workflows: tools ## workflowcheck: what makes a workflow non-deterministic
	$(TOOLS)/workflowcheck ./workflows/...

lint-vulnerabilities: tools ## govulncheck on the root module
	scripts/vulncheck $(TOOLS)/govulncheck

build: ## the three programs into bin/
	CGO_ENABLED=0 go build -trimpath -o bin/ ./api ./worker ./starter

tools: $(TOOLS)/.built ## the tools pinned in tools/go.mod into bin/tools/

$(TOOLS)/.built: tools/go.mod tools/go.sum
	@echo "Building the tools; the first build takes a few minutes."
	go build -C tools -o ../$(TOOLS)/ tool
	@touch $@

clean: ## remove what was built
	rm -rf bin
