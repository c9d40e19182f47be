# One virtual environment, .venv, serves every target. It is made when it is missing and brought up
# to date when a pyproject.toml or constraints.txt changes.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PLUGINS := $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml))

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lint docs browser reproduce wheels clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 10

$(STAMP): pyproject.toml $(PLUGINS:%=%/pyproject.toml) constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[all,dev]" $(PLUGINS:%=-e %)
	touch $@

demo: $(STAMP) ## train on the cloud domain, evaluate, print the table and the figure's path (replaces runs/demo)
	rm -rf runs/demo
	$(BIN)/dgpg train cloud --out runs/demo
	$(BIN)/dgpg evaluate runs/demo

test: $(STAMP) ## run every test; PYTEST_ARGS="-m 'not learning'" leaves out the slow learning tests
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

lint: $(STAMP) ## style, formatting, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(STAMP) ## build the documentation into site/; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

reproduce: $(STAMP) ## run a quick part of the published figures again; says of each whether it is inside its band
	$(BIN)/python benchmarks/reproduce.py

browser: $(STAMP) ## fetch a headless Chromium from npm, with which tests look at pages (needs node)
	$(BIN)/python -m tests.browser

wheels: $(STAMP) ## build a wheel of the core and of each plugin into dist/
	$(BIN)/python -m pip wheel --quiet --no-deps -w dist . $(PLUGINS:%=./%)

clean: ## remove what was built: .venv, dist, site and caches (runs/ stays)
	rm -rf $(VENV) dist site .browser build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
