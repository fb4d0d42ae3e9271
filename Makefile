# `make demo` and `make test` need nothing set up before them: both make .venv first, from pinned versions.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := build/demo

.PHONY: setup demo test test-all lint bench clean

setup: $(VENV)/.ready

# torch goes first and pinned: asked for by another package, pip would take the newest, with gigabytes of CUDA.
$(VENV)/.ready: pyproject.toml requirements.lock
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

demo: setup
	$(BIN)/fpgaflow build --board pynq-z2 --out $(DEMO)
	$(BIN)/fpgaflow validate $(DEMO)

test: setup
	$(BIN)/pytest -n auto --dist loadfile -m "not slow"

test-all: setup
	$(BIN)/pytest -n auto --dist loadfile

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup
	$(BIN)/python benchmarks/simulator.py
	$(BIN)/python benchmarks/demo.py
	$(BIN)/python benchmarks/training.py

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
