# Everything is installed inside the repository (.venv, .jars); what runs writes under .state.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

UV_VERSION := 0.13.9
VENV := .venv
PY := $(VENV)/bin/python
# Bytecode is compiled at install, whatever the environment says: it halves the time that imports take.
UV_INSTALL := env -u PYTHONDONTWRITEBYTECODE $(PY) -m uv pip install --python $(PY) --compile-bytecode
UV_COMPILE := $(PY) -m uv pip compile --quiet --universal --python-version 3.11 --custom-compile-command "make lock"
PYTEST := $(PY) -m pytest --numprocesses 2 --no-loadscope-reorder --durations=25
# The first of these that is Python 3.11 to 3.13; set PYTHON to choose.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
	&& echo $$python && break; done)

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(VENV)/.runtime $(VENV)/.jars ## Install what running takes: Python packages, Java, jars (3 GB on disk, once)

.PHONY: demo
demo: setup ## Run the example from landing files to a promoted model; stays up until Ctrl-C (KEEP=0: ends when done)
	@$(PY) -m include.mlops demo $(if $(filter 0,$(KEEP)),--no-keep)

.PHONY: clean-state
clean-state: $(VENV)/.runtime ## Delete what the local stack has stored in .state
	@$(PY) -c 'from include.mlops.settings import ROOT; from include.mlops.local.state_folder import StateFolder; \
	folder = StateFolder(ROOT / ".state"); raise SystemExit(folder.in_use() if folder.is_held() else 0)'
	rm -rf .state

.PHONY: setup-dev
setup-dev: setup $(VENV)/.dev ## Install what developing takes as well

.PHONY: test
test: check ## Check everything and run the tests
	$(PYTEST) -m "not exhaustive"

.PHONY: test-all
test-all: check ## The same with every case of every test: before a release, and when you change what faults pass through
	$(PYTEST)

.PHONY: cluster-test
cluster-test: setup-dev ## Run the contracts, and a night, on Postgres, S3, a Spark cluster and MLflow (Go and Postgres are needed)
	MLOPS_TEST_TOPOLOGY=cluster $(PYTEST) -m "not exhaustive" tests/integration/cluster/test_night.py \
		tests/contract/carriers/test_training_carriers.py tests/integration/cluster/test_landing.py \
		tests/contract/carriers/test_scoring_carriers.py tests/contract/compute tests/contract/lake \
		tests/contract/registry tests/integration/cli/test_doctor.py
	MLOPS_TEST_TOPOLOGY=cluster $(PY) -m pytest --durations=15 tests/integration/compose

.PHONY: test-fast
test-fast: setup-dev ## Run the tests that take no Spark, MLflow, Airflow or browser
	$(PY) -m pytest -m "not slow"

.PHONY: env
env: ## Make the secrets of docker-compose.yaml, once, in .env (needs Python alone)
	@$(or $(PYTHON),python3) deploy/make_env.py

.PHONY: up
up: env ## Build the image and start the platform in containers (Docker Compose 2.24 or later; docs/deploy.md)
	@mkdir -p landing
	docker compose up --build --detach

.PHONY: down
down: ## Stop the containers; volumes and .env stay
	docker compose down

.PHONY: bench
bench: setup ## Compare with peers, at full size (hours on 2 cores; docs/performance.md)
	for name in parsing partitions scale scoring training validation bulk night; do $(PY) benchmarks/$$name.py; done

.PHONY: check
check: lint types imports ## Lint, types and who may import whom, without tests

.PHONY: lint
lint: setup-dev ## Find style faults and unformatted files
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check

.PHONY: types
types: setup-dev ## Check types
	$(VENV)/bin/mypy

.PHONY: imports
imports: setup-dev ## Check that imports between rooms go one way
	$(VENV)/bin/lint-imports

.PHONY: format
format: setup-dev ## Repair what can be repaired by machine
	$(VENV)/bin/ruff check --fix
	$(VENV)/bin/ruff format

.PHONY: lock
lock: $(VENV)/.uv ## Resolve the pins again after a change of pyproject.toml
	$(UV_COMPILE) pyproject.toml --output-file requirements.txt
	$(UV_COMPILE) pyproject.toml --group dev --constraints requirements.txt --no-annotate --output-file requirements-dev.txt

$(VENV)/.uv: Makefile
	@test -n "$(PYTHON)" || { echo "Python 3.11 to 3.13 is needed; found $$(python3 --version 2>&1 || true)." \
		"Install one, or say where it is: make setup PYTHON=/path/to/python3.12" >&2; exit 1; }
	@test -x $(PY) || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "$(PYTHON) cannot make a virtual environment. On Debian or Ubuntu: apt install python3-venv" >&2; exit 1; }
	@$(PY) -m pip --version >/dev/null 2>&1 || $(PY) -m ensurepip >/dev/null
	@$(PY) -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@touch $@

$(VENV)/.runtime: requirements.txt $(VENV)/.uv
	@echo "Installing Python packages"
	@$(UV_INSTALL) -r requirements.txt
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.runtime
	@echo "Installing development tools"
	@$(UV_INSTALL) -r requirements-dev.txt
	@touch $@

$(VENV)/.jars: include/mlops/compute/jars.py $(VENV)/.runtime
	@echo "Checking jars"
	@$(PY) -m include.mlops.compute.jars
	@touch $@
