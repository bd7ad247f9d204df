# Each target sets up what it needs: a virtual environment in .venv, then the job.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-all fuzz lint packages bench docs notebooks proto clean

demo: .venv/.stamp
	$(BIN)/minicaffe demo $(DEMO)

test: .venv/.stamp
	$(BIN)/python -m pytest -q -n 2 -m "not slow" $(TESTS)

test-all: test  # those of nets that leave and enter, and of the course, start no programs that want both cores
	$(BIN)/python -m pytest -q -n 2 -m slow $(TESTS) tests/convert tests/course
	$(BIN)/python -m pytest -q -m slow $(TESTS) --ignore=tests/convert --ignore=tests/course

fuzz: .venv/.stamp
	$(BIN)/python tests/fuzz/harness.py --cases 100000 $(FUZZ)

lint: .venv/.stamp
	$(BIN)/ruff check minicaffe tests examples protos docs
	$(BIN)/mypy

packages: .venv/.stamp
	.ci/packages

bench: .venv/.stamp
	$(BIN)/python tests/benchmarks/run.py $(BENCH)

docs: .venv/.stamp
	$(BIN)/python docs/generate.py

notebooks:
	$(PYTHON) docs/make_notebooks.py $(NOTEBOOKS)

proto: .venv/.stamp
	$(BIN)/python protos/compile.py

.venv/.stamp: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv dist build .pytest_cache .mypy_cache .ruff_cache
