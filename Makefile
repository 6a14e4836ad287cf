# `make help` lists everything. Paths are relative, so that a folder with a space in its name works.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help run test check fix chaos bench screenshots venv venv-dev clean

# PY=/path/to/python uses that Python as it is and installs nothing.
ifdef PY
venv venv-dev: ;
else
PY := .venv/bin/python
venv:
	@sh scheduler_project/make_venv.sh requirements.txt
venv-dev:
	@sh scheduler_project/make_venv.sh requirements-dev.txt
endif

# Test processes; what is measured in time has a core to itself. ARGS goes to pytest.
JOBS ?= 2
ARGS ?=

help: ## List what can be made
	@echo "make ..."
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' Makefile | awk -F'|' '{ printf "%-14s %s\n", $$1, $$2 }'

run: venv ## Set up and run the product: web server, scheduler, worker, Redis (PORT=8000)
	@exec "$(PY)" -m scheduler_project.run

test: venv-dev ## Set up and run all tests (ARGS="-k name", JOBS=2)
	@"$(PY)" -m pytest -n $(JOBS) $(ARGS)

check: venv-dev ## Format, lint, types, floors, migrations, security
	"$(PY)" -m ruff format --check .
	"$(PY)" -m ruff check .
	"$(PY)" -m mypy
	"$(PY)" -c "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"
	"$(PY)" -W error::DeprecationWarning manage.py check
	"$(PY)" manage.py makemigrations --check --dry-run
	@# What is of low severity is judged by ruff's rules S, where each exception gives its reason; so is
	@# mark_safe (B308, B703: S308), of which ruff knows when it marks a constant.
	"$(PY)" -m bandit --quiet --recursive --severity-level medium --skip B308,B703 schedules scheduler_project
	"$(PY)" .ci/audit.py requirements.txt

fix: venv-dev ## Format, and mend what the linter can mend
	"$(PY)" -m ruff format .
	"$(PY)" -m ruff check --fix .

chaos: venv-dev ## The long form of the chaos tests: kills, hangs, flushes, cuts; counts what was lost (CYCLES=...)
	@test -d tests/chaos || { echo "There is no tests/chaos here."; exit 1; }
	@"$(PY)" -m pytest tests/chaos tests/acceptance/test_ledger_chaos.py -m chaos -s --timeout 0 $(ARGS)

bench: venv-dev ## Measure, with the rivals in the same run
	@test -f benchmarks/__main__.py || { echo "There is no benchmarks/ here."; exit 1; }
	@"$(PY)" -m benchmarks $(ARGS)

screenshots: venv-dev ## Make the pictures of the docs (needs Chromium)
	@test -f tests/browser/screenshots.py || { echo "There is no tests/browser/screenshots.py here."; exit 1; }
	@"$(PY)" -m pytest tests/browser/screenshots.py $(ARGS)

clean: ## Remove what can be made again; the data under var/ stays
	rm -rf .venv staticfiles test-results .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
