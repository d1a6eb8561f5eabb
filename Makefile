# Two commands do all the set-up on a fresh machine: make demo, make test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help demo test check soak bench format clean

help:  ## Show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

demo: $(VENV)/installed  ## Install, then live one day of a simulated network (about a minute)
	$(BIN)/trunkline demo

test: $(VENV)/developer  ## Everything that must hold: format, lint, types, tests
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/mypy
	$(BIN)/pytest -n auto

soak: $(VENV)/developer  ## The long runs: twenty times the examples of every property, then 1,000 kills, power cuts, full disks
	TRUNKLINE_SOAK=20 $(BIN)/pytest -n auto
	$(BIN)/python -m tests.durability.soak --kills 1000 --log soak.log

bench: $(VENV)/developer  ## Accuracy beside dummies, on the real data sets where they are at hand
	$(BIN)/python -m benchmarks.accuracy

format: $(VENV)/developer  ## Put the code into the one format
	$(BIN)/ruff format src tests benchmarks
	$(BIN)/ruff check --fix src tests benchmarks

clean:  ## Take away what was installed and made
	rm -rf $(VENV) build dist trunkline-demo trunkline-replay

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Trunkline needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@

$(VENV)/developer: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@ $(VENV)/installed
