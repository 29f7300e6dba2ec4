# make run    set everything up and serve on 127.0.0.1:3000
# make test   set everything up and run the tests
# make browser-use  install browser-use and drive the gateway with it
# make fuzz   feed the relay and the port what is broken, some minutes
# make fuzz-api  ask every route of the API for what its document has and has not, some minutes
# make bench  set everything up and measure, about half an hour; bench-quick about ten minutes
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
# The distribution's Python is built with optimisations, which a self-made one often is not: a tenth of the relay's CPU.
PYTHON ?= $(shell /usr/bin/python3 -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo /usr/bin/python3 || echo python3)

.PHONY: run test browser-use fuzz fuzz-api bench bench-quick setup setup-test setup-bench check format clean

run: $(VENV)/.browser
	@exec $(BIN)/cdp-gateway serve $(ARGS)

# Much of a test is waiting: two files at a time take half as long. ARGS: what pytest takes.
WORKERS ?= 2

test: setup-test
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pytest -n $(WORKERS) --dist loadfile $(ARGS)

# Another real client, whose hundred packages get a virtual environment of their own.
browser-use: setup-test $(VENV)/browser-use/.installed
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pytest -p no:xdist tests/journeys/test_browser_use.py $(ARGS)

$(VENV)/browser-use/.installed: | $(VENV)/.installed
	@echo "installing browser-use, which takes a minute"
	@$(PYTHON) -m venv $(VENV)/browser-use
	@$(VENV)/browser-use/bin/pip install --quiet --disable-pip-version-check 'browser-use>=0.13,<0.14'
	@touch $@

# A million and more broken frames and handshakes; ARGS: --seed N (as it was told), --frames N, --visits N, --handshakes N
fuzz: setup-test
	$(BIN)/python -m tests.fuzz $(ARGS)

# What fits /openapi.json and what does not, to every route, some minutes; ARGS: --seed N (as it was told), --examples N
fuzz-api: setup-test
	$(BIN)/python -m tests.fuzz.api $(ARGS)

# ARGS: relay, sessions, idle, restore, fork, park, checkpoint, survival, egress, pages, shared (each alone), --check (exit 1 when a goal is missed)
bench: setup-bench
	$(BIN)/python -m bench $(ARGS)

bench-quick: setup-bench
	$(BIN)/python -m bench --quick $(ARGS)

check: setup-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

setup: $(VENV)/.browser

setup-test: $(VENV)/.browser tests/clients/node_modules/.installed $(VENV)/.redis $(VENV)/.bubblewrap

# Tests start Redis themselves, so the system's own service is not to run (policy-rc.d).
$(VENV)/.redis: | $(VENV)/.installed
	@command -v redis-server >/dev/null || { \
		echo "installing redis-server"; \
		if [ $$(id -u) = 0 ]; then S=; else S="sudo -n"; fi; \
		P=/usr/sbin/policy-rc.d; [ -e $$P ] || { printf '#!/bin/sh\nexit 101\n' | $$S tee $$P >/dev/null && $$S chmod +x $$P && made=1; }; \
		$$S apt-get update -qq && $$S apt-get install -y -qq --no-install-recommends redis-server >/dev/null; \
		if [ -n "$$made" ]; then $$S rm -f $$P; fi; \
		command -v redis-server >/dev/null || { echo "install redis-server (5 or newer) and try again"; exit 1; }; }
	@touch $@

# Where it cannot be had the tests of it are left out.
$(VENV)/.bubblewrap: | $(VENV)/.redis
	@command -v bwrap >/dev/null || { \
		echo "installing bubblewrap"; \
		if [ $$(id -u) = 0 ]; then S=; else S="sudo -n"; fi; \
		{ $$S apt-get update -qq && $$S apt-get install -y -qq --no-install-recommends bubblewrap >/dev/null; } \
			|| echo "no bubblewrap could be installed: its tests are skipped"; }
	@touch $@

# Debian and Ubuntu ship Python without what makes virtual environments; it is installed where we may.
$(VENV)/bin/python:
	@echo "making a virtual environment in $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name one with make PYTHON=…"; exit 1; }
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || { \
		rm -rf $(VENV); echo "installing python3-venv"; \
		if [ $$(id -u) = 0 ]; then S=; else S="sudo -n"; fi; \
		$$S apt-get update -qq && $$S apt-get install -y -qq python3-venv >/dev/null && $(PYTHON) -m venv $(VENV); } \
		|| { rm -rf $(VENV); echo "no virtual environment could be made: install python3-venv and try again"; exit 1; }

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	@echo "installing the package"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.browser: $(VENV)/.installed
	@$(BIN)/cdp-gateway install-browser
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	@echo "installing what the tests need"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

# The real clients are Node programs.
tests/clients/node_modules/.installed: tests/clients/package-lock.json $(VENV)/.dev
	@tests/clients/prepare $(CURDIR)/$(BIN)/python

setup-bench: $(VENV)/.browser $(VENV)/.bench
	@bench/prepare $(CURDIR)/$(BIN)/python
	@$(MAKE) --no-print-directory bench/clients/node_modules/.installed
	@bench/browserless-setup $(CURDIR)/$(BIN)/python || true

$(VENV)/.bench: $(VENV)/.installed
	@echo "installing what the bench needs"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	@touch $@

bench/clients/node_modules/.installed: bench/clients/package-lock.json
	@cd bench/clients && PATH="$(CURDIR)/$(BIN):$$PATH" npm ci --silent --no-audit --no-fund
	@touch $@

clean:
	rm -rf $(VENV) bench/.cache bench/node_modules bench/clients/node_modules tests/clients/node_modules build *.egg-info .mypy_cache .ruff_cache
