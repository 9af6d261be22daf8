# Two commands matter: `make demo` shows the system at work, `make test` tests it. Each sets up what it needs.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && { command -v $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
SOURCES := schemas service ingress processor bitgo replay proof local cli bench tests docs
COMPILE = $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate \
	--python-version 3.11 --custom-compile-command 'make lock' pyproject.toml

# Where Python keeps no compiled modules, each process and each run compiles all of ours again.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help demo test test-fast test-long test-production faults faults-full brokers failover rolling-upgrade soak fuzz \
	measure-migrations measure-proof up check bench bench-quick bench-growth bench-docs bench-compare \
	bench-counts bench-adjustments bench-peers docs audit lock format clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: $(VENV)/.local ## start everything on this machine, play BitGo against it, show what happened
	@$(BIN)/allocations demo

up: $(VENV)/.local ## start everything on this machine and keep it running (Ctrl-C stops it)
	@$(BIN)/allocations up

# Tests wait more than they compute: on two cores, a third worker takes what waiting leaves.
JOBS ?= 3
NO_FAULTS := --ignore tests/faults --ignore tests/brokers --ignore tests/failover
test: $(VENV)/.dev ## the tests, on real Kafka and real Postgres (ARGS="-k word" chooses, JOBS=1 one after the other)
	@$(BIN)/coverage run --branch --include=processor/domain/machine.py -m pytest -q tests/processor/test_machine*.py
	@$(BIN)/coverage report --show-missing --fail-under=100
	@$(BIN)/python -m pytest $(NO_FAULTS) --ignore-glob 'tests/processor/test_machine*.py' -m "not long" \
		--numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

test-long: $(VENV)/.dev ## the tests that take long and seldom fail first
	@$(BIN)/python -m pytest $(NO_FAULTS) -m long --numprocesses $(JOBS) --dist loadfile $(ARGS)

test-fast: $(VENV)/.dev ## the tests that need no server and little time, in half a minute
	@$(BIN)/python -m pytest -q -m "unit and not slow and not long" $(NO_FAULTS) --numprocesses auto --dist worksteal $(ARGS)

test-production: $(VENV)/.dev ## `allocations doctor --production` on real servers, and deploy/ against the settings
	@$(BIN)/python -m pytest tests/doctor tests/deploy $(ARGS)

FAULT_OPTIONS = $(strip $(if $(SEED),--seed $(SEED)) $(if $(MINUTES),--minutes $(MINUTES)) \
	$(if $(FAULTS),--faults $(FAULTS)) $(if $(CLIENTS),--clients $(CLIENTS)))

faults: $(VENV)/.dev ## everything breaks under load, then all is checked (MINUTES=, SEED=, FAULTS=kill-broker,…, CLIENTS=: one run)
	@$(if $(FAULT_OPTIONS),$(BIN)/python -m tests.faults.run $(FAULT_OPTIONS),$(BIN)/python -m pytest tests/faults $(ARGS))

faults-full: $(VENV)/.dev ## 20 minutes of it; the table goes into docs/reliability.md and the README
	@$(BIN)/python -m tests.faults.run --minutes $(or $(MINUTES),20) --record $(if $(SEED),--seed $(SEED))

brokers: $(VENV)/.dev ## three brokers that are killed, suspended and lost; TLS and SASL (MINUTES=, SEED=, FAULTS=kill-a-broker,…: one run)
	@$(if $(FAULT_OPTIONS),,$(BIN)/python -m pytest tests/brokers $(ARGS))
	@$(BIN)/python -m tests.faults.run --brokers 3 --clients 8 $(or $(FAULT_OPTIONS),--minutes 8 --record)

failover: $(VENV)/.dev ## a standby of Postgres takes over under load, with and without what the primary had last
	@$(BIN)/python -m pytest -s tests/failover $(ARGS)

rolling-upgrade: $(VENV)/.dev ## from an older tree to this one and back, one process after the other, under load (BASE=<git ref>)
	@$(BIN)/python -m tests.rolling.run --base "$(BASE)" $(ARGS)

soak: $(VENV)/.dev ## an hour; every ten minutes a failover of Postgres, the loss of a broker and a rolling restart (MINUTES=, SEED=)
	@$(BIN)/python -m tests.soak.run $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED)) $(ARGS)

SECONDS ?= 60
fuzz: $(VENV)/.dev ## bad input for every parser, found by coverage (SECONDS=60 for each; ARGS=body chooses)
	@$(BIN)/python -m tests.fuzz.run --seconds $(SECONDS) $(ARGS)

ROWS ?= 10000000
measure-migrations: $(VENV)/.dev ## how long each migration locks tables of so many rows (ROWS=10000000: some gigabytes, for a while)
	@$(BIN)/python -m tests.migrations.measure --rows $(ROWS) $(ARGS)

measure-proof: $(VENV)/.dev ## how long verifying and rebuilding take, and how much memory (ARGS="--commands 200000")
	@$(BIN)/python -m tests.proof.measure $(ARGS)

check: $(VENV)/.dev ## lint, format, types, import rule, generated documents
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python docs/generate.py --check

bench: $(VENV)/.bench ## measure rates, latencies and stages, in turns with the floor (ARGS="--rounds 5")
	@$(BIN)/python -m bench run $(ARGS)

bench-quick: $(VENV)/.bench ## the same in under two minutes
	@$(BIN)/python -m bench run --quick $(ARGS)

bench-growth: $(VENV)/.bench ## at growing tables, processes, partitions; from a full topic (ARGS="--only sizes")
	@$(BIN)/python -m bench growth $(ARGS)

bench-docs: $(VENV)/.bench ## put the results of the last measurements into docs/performance.md
	@$(BIN)/python -m bench report --into docs/performance.md

bench-compare: $(VENV)/.local ## two source trees side by side (BASE=<git ref or folder>, HEAD=., ARGS="--levels 8")
	@$(BIN)/python -m bench compare --base "$(BASE)" --head "$(or $(HEAD),.)" $(ARGS)

bench-counts: $(VENV)/.local ## system calls and wake-ups of a command with one client, beside the floor (needs strace)
	@$(BIN)/python -m bench counts $(ARGS)

bench-adjustments: $(VENV)/.local ## adjustments per second, and BitGo's calls beside a stream of them (ARGS="--rate 500")
	@$(BIN)/python -m bench adjustments $(ARGS)

bench-peers: $(VENV)/.local ## the product beside Restate, in turns; its server comes from npm (ARGS="--levels 1,8")
	@$(BIN)/python -m bench peers $(ARGS)

docs: $(VENV)/.dev ## write what in README.md and docs/ is made from the code
	@$(BIN)/python docs/generate.py

audit: $(VENV)/.dev ## known vulnerabilities in the locked dependencies
	@$(BIN)/pip-audit --strict --disable-pip --require-hashes -r requirements/dev.txt

format: $(VENV)/.dev ## apply the formatter and the safe fixes
	@$(BIN)/ruff check --fix $(SOURCES)
	@$(BIN)/ruff format $(SOURCES)

lock: $(VENV)/.dev ## resolve the dependencies again, with hashes
	@$(COMPILE) --extra local --group dev -o requirements/dev.txt
	@$(COMPILE) --extra local -c requirements/dev.txt -o requirements/local.txt
	@$(COMPILE) -c requirements/dev.txt -o requirements/core.txt
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate \
		--python-version 3.11 --custom-compile-command 'make lock' --group build -c requirements/dev.txt -o requirements/build.txt
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate \
		--python-version 3.11 --custom-compile-command 'make lock' --group bench -c requirements/dev.txt -o requirements/bench.txt
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate \
		--python-version 3.11 --custom-compile-command 'make lock' --group peers -o requirements/peers.txt

clean: ## remove the virtual environment and the caches (not the data folder)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .fuzz

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed and none was found; name one with PYTHON=/path/to/python"; exit 1; }
	@echo "creating the virtual environment $(VENV) with $$("$(PYTHON)" -V)"
	@"$(PYTHON)" -m venv $(VENV)

INSTALL = $(BIN)/python -m pip install --disable-pip-version-check --no-deps
$(VENV)/.local: requirements/local.txt requirements/build.txt pyproject.toml | $(BIN)/python
	@echo "installing the locked dependencies"
	@$(INSTALL) --quiet --progress-bar on --require-hashes -r requirements/local.txt -r requirements/build.txt
	@$(INSTALL) --quiet --no-build-isolation -e .
	@touch $@

$(VENV)/.bench: requirements/bench.txt $(VENV)/.local
	@echo "installing what draws the pictures of the measurements"
	@$(INSTALL) --quiet --progress-bar on --require-hashes -r requirements/bench.txt
	@touch $@

$(VENV)/.dev: requirements/dev.txt pyproject.toml | $(BIN)/python
	@echo "installing the locked dependencies, with those of the tests"
	@$(INSTALL) --quiet --progress-bar on --require-hashes -r requirements/dev.txt
	@$(INSTALL) --quiet --no-build-isolation -e .
	@touch $@ $(VENV)/.local
