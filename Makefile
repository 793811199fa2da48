# `make` alone prints what there is.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help run stack shell test bench drill lint audit-dependencies clean

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/run ## Start the whole system in one process; needs no server (PORT, DATA_DIR)
	@exec $(BIN)/clinic run

stack: $(VENV)/run ## Start the real system: RabbitMQ, MariaDB, Redis and a process for each program
	@exec $(BIN)/clinic stack

shell: $(VENV)/run ## Open `nameko shell` on the running stack
	@exec $(BIN)/clinic shell

test: $(VENV)/dev ## Run all tests, on real servers (installed from Debian's packages if need be); some: ARGS='-k slot'
	@exec $(BIN)/python -m pytest $(or $(ARGS),-n auto)

bench: $(VENV)/dev ## Measure against floors, stock Nameko and 100 times the data (about 6 minutes); some: ARGS='--help'
	@exec $(BIN)/python -W ignore::DeprecationWarning -m tests.bench --out docs $(ARGS)

drill: $(VENV)/dev ## Break things under load for 15 minutes, then look what was lost; some: ARGS='--help'
	@exec $(BIN)/python -m tests.drill --out docs $(ARGS)

lint: $(VENV)/dev ## Check style, import order, types, who imports whom, and for unsafe calls
	$(BIN)/flake8
	$(BIN)/isort --check-only .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --ini setup.cfg

audit-dependencies: $(VENV)/dev ## Ask PyPI for known vulnerabilities of the pinned versions
	@exec $(BIN)/python .ci/audit_dependencies.py

clean: ## Remove the virtual environment and what tools left behind; data stays
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .import_linter_cache .hypothesis

$(VENV)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Python 3.11 or newer is needed, and $(PYTHON) is not that. Try: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "Making the virtual environment in $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/run: $(VENV)/python setup.cfg .ci/constraints.txt
	@echo "Installing what the system needs (once, about half a minute) ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check -c .ci/constraints.txt -e .
	@touch $@

$(VENV)/dev: $(VENV)/run
	@echo "Installing what the tests need (once) ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check -c .ci/constraints.txt -e '.[dev]'
	@touch $@
