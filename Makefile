# Sentinel. `make help` lists what there is.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed

.DEFAULT_GOAL := help
.PHONY: help install demo serve test lint bench bench-check deploy-sql clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  %-10s %s\n", $$1, $$2 }'

install: $(STAMP) ## make the virtual environment .venv with everything in it

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$(PYTHON) is older than Python 3.11: set PYTHON to a newer one" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[dev]'
	@touch $(STAMP)

demo: install ## set up, migrate, fill with demo data, tour, open the admin (SERVE=0: without)
	@$(BIN)/python manage.py demo $(if $(filter 0,$(SERVE)),--no-serve)

serve: install ## the admin on http://127.0.0.1:8000/
	@$(BIN)/python manage.py runserver 127.0.0.1:8000

# Four workers at most: each opens up to seventeen connections, and the server takes a hundred.
test: install ## the whole suite (ARGS='-k guard' for a part of it)
	@$(BIN)/python -m pytest --numprocesses=auto --maxprocesses=4 --cov --cov-report=term $(ARGS)

lint: install ## style, types, import directions, migrations and their SQL, known vulnerabilities
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python -m tests.migrating.lint_sql
	$(BIN)/python .ci/audit_packages.py

bench: install ## speed against what one would do instead, as ratios (ARGS='--full', '--write')
	@$(BIN)/python -m tests.benchmarks $(ARGS)

bench-check: install ## the same against the recorded ratios: fails where one got clearly worse
	@$(BIN)/python -m tests.benchmarks --check $(ARGS)

deploy-sql: install ## write deploy/*.sql anew from the migrations
	@$(BIN)/python manage.py write_deploy_sql

clean: ## remove what was made: environment, embedded database, caches
	rm -rf $(VENV) build dist *.egg-info .coverage .coverage.* htmlcov logs
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	@if [ -L .postgres ]; then rm -rf "$$(readlink .postgres)"; fi
	rm -rf .postgres
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
