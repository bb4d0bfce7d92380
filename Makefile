# `make` shows what there is. The environment is .venv; its versions are those of requirements.lock.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A folder of wheels that pip is configured with is passed on to uv, which does not read pip's configuration.
LINKS := $(or $(PIP_FIND_LINKS),$(shell $(PYTHON) -m pip config get global.find-links 2>/dev/null))
# Compiled once here: where Python may not write bytecode, every process of a run would compile all that it imports.
INSTALL = UV_FIND_LINKS="$(LINKS)" $(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python

.DEFAULT_GOAL := help

## help: this list
.PHONY: help
help:
	@sed -n 's/^## //p' Makefile

## env: create .venv with the locked packages
.PHONY: env
env: $(VENV)/.complete

$(VENV)/.complete: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv==0.13.8
	$(INSTALL) -r requirements.lock
	$(INSTALL) --no-deps --editable .
	@touch $@

.PHONY: bytecode
bytecode: env
	@$(BIN)/python -m compileall -q earthloom.py flows tasks models

## demo: the main job on the embedded sample scenes; ends with the path of the report
.PHONY: demo
demo: bytecode
	$(BIN)/earthloom demo

## up: Prefect server on PostgreSQL, object store and workers on this machine, as processes; ARGS="--port 4300"
.PHONY: up
up: $(VENV)/.services
	$(BIN)/earthloom up $(ARGS)

$(VENV)/.services: $(VENV)/.complete requirements-services.lock
	$(INSTALL) -r requirements-services.lock
	@touch $@

## down: end what `make up` started; its data stay
.PHONY: down
down: env
	$(BIN)/earthloom down $(ARGS)

## test: everything CI asks for: lint, types, tests
.PHONY: test
test: bytecode lint
	$(BIN)/python -m pytest -n 2 --dist loadfile

## drills: faults done for real to real services, and a week of a team; an hour; prints a table
.PHONY: drills
drills: $(VENV)/.services
	$(BIN)/python -m pytest -p no:xdist -m drill tests/end_to_end

## lint: ruff, mypy --strict, import contracts
.PHONY: lint
lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

## lock: resolve requirements.lock anew
.PHONY: lock
lock: env
	UV_FIND_LINKS="$(LINKS)" $(BIN)/uv pip compile pyproject.toml --group dev --python-version 3.11 --upgrade \
		--no-annotate --no-header --no-emit-find-links 2>/dev/null \
		| sed 's/^\(torch==[0-9.]*\)+cpu/\1/' > requirements.lock
	UV_FIND_LINKS="$(LINKS)" $(BIN)/uv pip compile --group services --python-version 3.11 --upgrade \
		--no-annotate --no-header --no-emit-find-links 2>/dev/null > requirements-services.lock

## licences: write the table of docs/reference/licences.md anew, from what the locked packages say of themselves
.PHONY: licences
licences: PAGE := docs/reference/licences.md
licences: $(VENV)/.services
	UV_FIND_LINKS="$(LINKS)" $(BIN)/uv tool run --quiet --from pip-licenses==5.5.5 pip-licenses \
		--python $(BIN)/python --with-system --ignore-packages earthloom uv pip \
		--from mixed --with-urls --no-version --format markdown --output-file $(PAGE).table
	@# One line a package, however long the licence that it quotes.
	{ sed '/^|/,$$d' $(PAGE); sed -e '/^| *|/d' -e '/^|-/s/--*/---/g' -e 's/  */ /g' $(PAGE).table; } > $(PAGE).new
	mv $(PAGE).new $(PAGE)
	rm $(PAGE).table

## site: the docs as a searchable site, in site/; to read it: python3 -m http.server -d site
.PHONY: site
site: env
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "site/index.html"

## tutorial: run the notebooks of docs/tutorial and keep their outputs
.PHONY: tutorial
tutorial: env
	$(BIN)/python infra/site/notebook.py

## clean: remove what runs have made, but not the environment
.PHONY: clean
clean:
	rm -rf data site .earthloom .dvc/cache .dvc/tmp
