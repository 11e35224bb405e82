# Two commands for a fresh machine: `make demo` and `make test`. Each makes the environment it needs.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo test lint install benchmark clean

demo: $(VENV)/.installed
	$(BIN)/gasp demo

test: $(VENV)/.installed-dev
	$(BIN)/ruff check src tests benchmarks scripts examples
	$(BIN)/ruff format --check src tests benchmarks scripts examples
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/vulture
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix src tests benchmarks scripts examples
	$(BIN)/ruff format src tests benchmarks scripts examples
	$(BIN)/mypy

install: $(VENV)/.installed

$(VENV)/.python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	touch $@

# PyTorch first and by itself: a later line must never replace it with another build.
$(VENV)/.torch: $(VENV)/.python
	$(BIN)/python -m pip install --quiet torch==2.13.0
	touch $@

$(VENV)/.installed: $(VENV)/.torch pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --editable '.[archives,comet,export,lsl,node,parquet,plot,train,wrapyfi,zarr]' --group dev
	touch $@

benchmark: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/speed.py

clean:
	rm -rf $(VENV) build dist demo-output
