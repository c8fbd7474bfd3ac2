# `make help` lists the targets.  Everything is set up in .venv; nothing else of the machine is changed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN_STAMP := $(VENV)/.run-stamp
DEV_STAMP := $(VENV)/.dev-stamp
NODE := $(VENV)/node
NODE_STAMP := $(NODE)/node_modules/.package-lock.json
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check --no-input

.PHONY: help run test e2e lint demo bench mutants container-check lock clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 18

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed (PYTHON=python3.12 make …)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "python3-venv is needed: apt-get install python3-venv" >&2; exit 1; }

$(RUN_STAMP): $(BIN)/python requirements/run.lock pyproject.toml
	@echo "setting up $(VENV) (first time: about half a minute)"
	@$(PIP) install --require-hashes -r requirements/run.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(DEV_STAMP): $(BIN)/python requirements/dev.lock pyproject.toml
	@echo "setting up $(VENV) for development (first time: about a minute)"
	@$(PIP) install --require-hashes -r requirements/dev.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@ $(RUN_STAMP)

run: $(RUN_STAMP)  ## serve config.yaml: embedded store, demo legacy API, no other service needed
	@exec $(BIN)/gateway serve -c config.yaml --demo

demo:  ## with `make run` going: the five steps narrated, with the real answers (G=http://127.0.0.1:8080)
	@sh scripts/demo.sh

# Stealing: handed out by the hundred, the tests that start processes would all fall to one worker.  Bytecode is written even
# where the environment says not to, as some 250 gateways are started.
test: $(DEV_STAMP)  ## run the whole test suite
	@$(BIN)/ruff check gateway tests benchmarks scripts
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache >/dev/null || $(BIN)/lint-imports --no-cache
	@$(MAKE) --silent --no-print-directory $(NODE_STAMP) || echo "npm's OAuth clients are not tried" >&2
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 4 --dist worksteal tests

e2e: $(DEV_STAMP) $(NODE_STAMP)  ## real OAuth clients and a real browser against a running gateway (needs Node.js, npm, chromium)
	@E2E=required $(BIN)/python -m pytest -n 2 -v tests/e2e

$(NODE_STAMP): $(BIN)/python tests/e2e/node/package-lock.json
	@command -v npm >/dev/null || { echo "npm is not installed: apt-get install nodejs npm" >&2; exit 1; }
	@mkdir -p $(NODE) && cp tests/e2e/node/package.json tests/e2e/node/package-lock.json tests/e2e/node/.npmrc $(NODE)/
	@cd $(NODE) && npm ci --silent --no-audit --no-fund --ignore-scripts
	@touch $@

lint: $(DEV_STAMP)  ## style, types and import rules only
	@$(BIN)/ruff check gateway tests benchmarks scripts
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

bench: $(DEV_STAMP)  ## ours beside its peers, in one run, as ratios (about ten minutes; ARGS="--quick")
	@$(BIN)/python -m benchmarks $(ARGS)

mutants: $(DEV_STAMP)  ## switch one safeguard off at a time and expect the tests to fail
	@$(BIN)/python scripts/mutants.py

container-check:  ## build the image and run it in containers, without a Docker engine (Debian, root; installs buildah and podman)
	@deploy/container/check.sh

lock:  ## resolve the dependencies anew and write requirements/*.lock
	@$(BIN)/python -m pip --quiet install uv
	@$(BIN)/uv pip compile --quiet --universal --no-annotate --no-header --generate-hashes --no-emit-index-url --no-emit-find-links --extra embedded --python-version 3.11 -o requirements/run.lock requirements/build.in pyproject.toml
	@$(BIN)/uv pip compile --quiet --universal --no-annotate --no-header --generate-hashes --no-emit-index-url --no-emit-find-links --extra embedded --group dev --python-version 3.11 -o requirements/dev.lock requirements/build.in pyproject.toml

clean:  ## remove .venv and caches (not var/, which holds the store)
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find gateway tests benchmarks scripts -name __pycache__ -prune -exec rm -rf {} +
