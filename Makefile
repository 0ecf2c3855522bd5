# Two commands do everything on a fresh machine with python3.11+, node 20+ (npm) and make:
#   make demo    the agent keeps a seeded options book alive through a crash, on real contracts
#   make test    every test, forge's included
PYTHON ?= python3
SEED ?= 7
FAULTS ?= 2000
ACCOUNTS ?= 1000
SIZE ?= 10000
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt

.PHONY: demo test check chaos flips bench fork setup contracts wheel clean help

help:
	@sed -n 's/^# *//p' Makefile | head -4; echo; echo "targets: demo test check chaos flips bench fork setup contracts wheel clean"

demo: setup
	$(BIN)/evenkeel demo --seed $(SEED) --out out/demo

test: setup
	$(BIN)/python -m scripts.front test -- $(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist loadfile $(ARGS)

bench: setup
	$(BIN)/python -m tests.benchmark --accounts $(SIZE) --out out/bench

chaos: setup
	$(BIN)/python -m tests.chaos --seed $(SEED) --faults $(FAULTS) --out out/chaos

flips: setup
	$(BIN)/python -m tests.flips --seed $(SEED) --accounts $(ACCOUNTS) --out out/flips

# on forks of live chains: needs ARBITRUM_RPC_URL or ETHEREUM_RPC_URL, archive nodes; without one it says so (code 2)
fork: setup
	$(BIN)/python -m scripts.fork

check: setup
	$(BIN)/python -m scripts.front check -- sh -c '$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports'

contracts: setup
	$(BIN)/python -m scripts.build_contracts

wheel: setup
	$(BIN)/python -m build --wheel

setup: .venv/.stamp
	@$(BIN)/evenkeel setup --quiet

.venv/.stamp: pyproject.toml constraints.txt
	@echo "setting up .venv (pinned Python packages, about a minute)" >&2
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "python 3.11+ is needed; run make PYTHON=python3.11 ...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

clean:
	rm -rf .venv .toolchain out dist contracts/out contracts/cache .mypy_cache .ruff_cache .pytest_cache .hypothesis
