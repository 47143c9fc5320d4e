# Everything a newcomer needs: `make up`. `make help` lists the rest.
.DEFAULT_GOAL := help
.PHONY: help install install-dev up down reset test check bench faults openapi lock

PY := .venv/bin/python
MANAGE := DJANGO_SETTINGS_MODULE=cybernetic.settings.test $(PY) -m apps.core.embedded.throwaway $(PY) manage.py
YES ?=
export YES

help: ## List the commands
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

install: ## Make .venv and install the locked packages
	@python3 scripts/bootstrap.py base

install-dev: ## The same with what checks and tests need
	@python3 scripts/bootstrap.py dev

up: install ## Start everything and print where to log in (CYBERNETIC_PORT, CYBERNETIC_DATA_DIR, DATABASE_URL, REDIS_URL, CELERY_BROKER_URL)
	@exec $(PY) -m apps.core.embedded.up

down: ## Stop a running platform from another terminal
	@if [ -x $(PY) ]; then exec $(PY) -m apps.core.embedded.down; else echo "Nothing is installed, so nothing runs."; fi

reset: ## Stop it and remove its data directory, after asking (YES=1 does not ask)
	@if [ -x $(PY) ]; then exec $(PY) -m apps.core.embedded.reset; else echo "Nothing is installed: there is no data to remove."; fi

test: install-dev ## Run the tests with coverage
	$(PY) -m pytest -m "not faults" --cov --cov-report=term:skip-covered

faults: install-dev ## Run the tests that kill processes while work is in flight
	$(PY) -m pytest -m faults

bench: install-dev ## Measure quality and latency against named peers (about a quarter of an hour)
	$(PY) -m tests.benchmarks

check: install-dev ## Lint, types, layers, migrations and the committed OpenAPI document
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy .
	.venv/bin/lint-imports
	CYBERNETIC_DB_ROLE=owner $(MANAGE) makemigrations --check --dry-run
	$(MANAGE) spectacular --validate --fail-on-warn --file .openapi.check.yaml
	@if diff -u docs/openapi.yaml .openapi.check.yaml; then rm -f .openapi.check.yaml; else rm -f .openapi.check.yaml; echo "docs/openapi.yaml is out of date: make openapi"; exit 1; fi

openapi: install-dev ## Write docs/openapi.yaml from the code
	$(MANAGE) spectacular --validate --file docs/openapi.yaml

UV_COMPILE := .venv/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url -q --custom-compile-command "make lock"
lock: install-dev ## Pin requirements/*.in with hashes
	$(UV_COMPILE) requirements/base.in -o requirements/base.txt
	$(UV_COMPILE) requirements/dev.in -o requirements/dev.txt
	$(UV_COMPILE) requirements/production.in -o requirements/production.txt
	$(UV_COMPILE) requirements/hnswlib-build.in -o requirements/hnswlib-build.txt
	$(UV_COMPILE) requirements/hnswlib.in -o requirements/hnswlib.txt
