# Every chore in one word. `make demo` and `make test` set up what they need; the second time that costs nothing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SETUP := $(VENV)/.setup
PREDICTIVE := $(VENV)/.predictive

.PHONY: help setup predictive demo test lint types unit flows bench soak lock clean

help: ## list the chores
	@awk -F':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' Makefile

setup: $(SETUP) ## .venv with the locked dependencies, the package, the gate and the launcher

$(SETUP): requirements.lock pyproject.toml hatch_build.py $(wildcard gate/*.cc gate/*.h launcher/*.cc launcher/*.h)
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $@

predictive: $(PREDICTIVE) ## the autoscaling class `predictive` too, with scikit-learn (60 MB)

$(PREDICTIVE): $(SETUP) plugins/predictive/requirements.lock plugins/predictive/pyproject.toml
	$(BIN)/python -m pip install --quiet --require-hashes -r plugins/predictive/requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable plugins/predictive
	@touch $@

demo: setup ## the main job, end to end, on real input (about a minute)
	$(BIN)/tidegate demo

test: lint types unit flows ## all that must hold

lint: setup ## style, imports, spelling, plain words, names
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/codespell
	$(BIN)/pytest tests/test_prose.py tests/test_names.py

types: setup predictive
	$(BIN)/mypy

unit: setup predictive
	$(BIN)/pytest -m "not flow" -n 3 --dist worksteal # most of them wait, so there are more than cores

flows: setup predictive ## real Envoy, real processes, real sockets
	$(BIN)/pytest -m flow

bench: setup predictive ## the bounds, measured: ratios against plain Envoy, cold start, a step of load, apply to traffic
	$(BIN)/python -m bench

soak: setup ## the gate under a million random requests
	$(BIN)/python -m bench.soak

lock: setup ## resolve the dependencies anew
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --no-header --no-emit-index-url \
	  --no-emit-find-links --python-version 3.11 --extra dev pyproject.toml --output-file requirements.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --no-header --no-emit-index-url \
	  --no-emit-find-links --python-version 3.11 plugins/predictive/pyproject.toml \
	  --output-file plugins/predictive/requirements.lock

clean: ## remove what setup made
	rm -rf $(VENV) build dist *.egg-info
