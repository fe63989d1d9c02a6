# `make test` needs Go and git. `make test-race` needs a C compiler, and
# `make test-long` the programs of LONG_NEEDS.

GO_NEEDED  := go$(shell sed -n 's/^go //p' go.mod)
TOOLS      := bin/tools
FUZZTIME   ?= 20s
LONG_NEEDS := initdb postgres createdb dropdb pg_dump pg_restore promtool prometheus chromium php python3 node systemd-analyze
# The packages of dev/ that a race may be in and that no Temporal server is linked into.
RACE_DEV   := ./campaign/... ./demo ./port ./proc ./simulator

.DEFAULT_GOAL := help
.PHONY: help run drill test test-race test-long compose-test hostile campaign campaign-short overload chaos bench bench-quick bench-check fuzz lint lint-go lint-workflows lint-vulnerabilities lint-modules build release tools clean need-go

help: ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-22s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run drill test test-race test-long compose-test hostile campaign campaign-short overload chaos bench bench-quick bench-check fuzz: need-go
lint-go lint-workflows lint-vulnerabilities lint-modules build release tools: need-go

# Where it may, an older go command fetches what go.mod asks for, and says that version.
need-go:
	@found=$$(go version 2>/dev/null | cut -d ' ' -f 3); \
	  if [ "$$(printf '%s\n' $(GO_NEEDED) "$$found" | sort -V | head -n 1)" != $(GO_NEEDED) ]; then \
	    found=$$(GOTOOLCHAIN=local go version 2>/dev/null | cut -d ' ' -f 3); \
	    echo "Ringback is built with $(GO_NEEDED) or later, and $${found:-no go} is on PATH: install it from https://go.dev/dl/" >&2; exit 1; fi

run: ## the whole of Ringback on this machine: Temporal, its UI, both cores, receivers and a story
	@echo "Building Ringback with a Temporal server inside; the first build takes a few minutes."
	@go build -C dev -o ../bin/dev . && exec bin/dev $(ARGS)

drill: build ## what each alert is for, one after the other, and what to type then: docs/operations/runbook.md
	@echo "Building Ringback with a Temporal server inside; the first build takes a few minutes."
	@go build -C dev -o ../bin/dev . && exec bin/dev -drill $(ARGS)

test: ## every unit, contract and workflow test and the quick e2e tests: minutes
	go test -timeout 10m ./...
	go -C dev test -short -skip 'PostgreSQL|Promtool|Browser|ReceiversOfTheDocument|Systemd' -timeout 15m ./...

test-race: ## the root module and the small packages of dev/ with the race detector
	go test -race -timeout 20m ./...
	go -C dev test -race -timeout 10m $(RACE_DEV)

test-long: ## every test of dev/, also those with PostgreSQL, Prometheus, a browser, PHP, Python, Node and systemd, and a short campaign
	@for program in $(LONG_NEEDS); do \
	  command -v $$program >/dev/null || { echo "make test-long needs $$program on PATH"; exit 1; }; done
	go -C dev test -timeout 40m ./...
	@$(MAKE) --no-print-directory campaign-short

compose-test: ## docker-compose.yml and the Dockerfile, run by a dockerd of its own with stand-ins for the images: root, Debian, docker.io
	scripts/compose-test

hostile: ## several hundred bad inputs on every surface, on a real server, and what came back
	@mkdir -p bin && rm -f bin/hostile.txt
	@go -C dev test -count=1 -run '^TestHostile$$' ./e2e -args -hostile-table=$(abspath bin/hostile.txt); code=$$?; \
	  if [ -f bin/hostile.txt ]; then cat bin/hostile.txt; fi; exit $$code

campaign: ## fault campaign on PostgreSQL: 5,000 operations in 5 minutes of faults of every kind; ARGS='-seed 7' for another
	@go build -C dev -o ../bin/campaign ./campaign && exec bin/campaign $(ARGS)

campaign-short: ## the same with 400 operations in 2 minutes, as many as two processors can do
	@go build -C dev -o ../bin/campaign ./campaign && exec bin/campaign -n 400 -minutes 2 $(ARGS)

overload: ## three times the capacity of this machine, on PostgreSQL: what is shed, late and recovered
	go -C dev run ./bench -database postgres -only overload -check

chaos: ## 200 operations and 20 random calls of the API for each, against bad receivers and cores: 10 seeds, a quarter of an hour
	go -C dev test -count=1 -timeout 40m -run '^TestChaos$$' ./e2e -args -chaos-operations=200 -chaos-seeds=10 $(ARGS)

bench: ## speed, isolation and scale beside an empty workflow and a plain sample (some three quarters of an hour), as a Markdown table
	go -C dev run ./bench -json ../docs/bench.json

bench-quick: ## the same, shorter: three minutes once it is built
	go -C dev run ./bench -quick

bench-check: ## bench-quick that measures again what misses its target, and fails and names what still does: four minutes
	go -C dev run ./bench -quick -check

fuzz: ## every fuzz target of the root module for FUZZTIME (20s)
	FUZZTIME=$(FUZZTIME) scripts/fuzz

lint: lint-go lint-workflows lint-vulnerabilities lint-modules ## style, import rules, workflow determinism, known vulnerabilities, modules

lint-go: tools ## golangci-lint on both modules
	$(TOOLS)/golangci-lint run ./...
	cd dev && ../$(TOOLS)/golangci-lint run ./...

lint-workflows: tools ## workflowcheck: what makes a workflow non-deterministic
	$(TOOLS)/workflowcheck ./workflows/...

lint-vulnerabilities: tools ## govulncheck on the root module
	scripts/vulncheck $(TOOLS)/govulncheck

lint-modules: ## what was downloaded is what the go.sum files have
	go mod verify
	go -C tools mod verify
	@echo go -C dev mod verify # which takes our own module, a folder, for a download that is missing
	@said=$$(go -C dev mod verify 2>&1 | grep -v -e '^ringback v0.0.0: missing ziphash' -e '^all modules verified'); \
	  if [ -n "$$said" ]; then echo "$$said"; exit 1; fi

build: ## the three programs into bin/
	CGO_ENABLED=0 go build -trimpath -o bin/ ./api ./worker ./starter

release: tools ## the last commit's programs into bin/release/, built twice, with an image, SBOMs, licenses, provenance and checksums
	scripts/release $(TOOLS)/cyclonedx-gomod bin/release

tools: $(TOOLS)/.built ## the tools pinned in tools/go.mod into bin/tools/

$(TOOLS)/.built: tools/go.mod tools/go.sum | need-go
	@echo "Building the tools; the first build takes a few minutes."
	go build -C tools -o ../$(TOOLS)/ tool
	@touch $@

clean: ## remove what was built
	rm -rf bin
