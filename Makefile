# Every chore in one word. A target sets up the environment that it needs; later runs reuse it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SETUP := $(VENV)/.setup
PREDICTIVE := $(VENV)/.predictive
PYRIGHT := pyright@1.1.414
COVERED := 95

.PHONY: help setup predictive hooks demo test lint fix types pyright unit flows coverage docs bench sanitize \
  coverage-gate soak pythons build wheel-test release lock clean

help: ## list the targets
	@awk -F':[^#]*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' Makefile

setup: $(SETUP) ## create .venv with the locked dependencies, the package, the gate and the launcher

$(SETUP): requirements.lock pyproject.toml hatch_build.py $(wildcard gate/*.cc gate/*.h launcher/*.cc launcher/*.h)
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $@

predictive: $(PREDICTIVE) ## add the autoscaling class `predictive`, with scikit-learn (60 MB)

$(PREDICTIVE): $(SETUP) plugins/predictive/requirements.lock plugins/predictive/pyproject.toml
	$(BIN)/python -m pip install --quiet --require-hashes -r plugins/predictive/requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable plugins/predictive
	@touch $@

hooks: setup ## install the git hooks, which check each commit (no downloads)
	$(BIN)/pre-commit install

demo: setup ## show the main job, end to end, on real input (about a minute)
	$(BIN)/tidegate demo

ifdef K
test: setup predictive ## run all tests and checks; with K=name, only the tests whose name contains that
	@files=$$(grep -rlE --include='test_*.py' 'def (test_\w*)?$(K)' tests plugins) \
	  || { echo "no test has '$(K)' in its name" >&2; exit 1; }; $(BIN)/pytest $$files -k "$(K)"
else
test: lint types pyright unit flows
endif

lint: setup ## check style, imports, spelling, plain words and names
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/codespell
	$(BIN)/pytest tests/test_prose.py tests/test_names.py

fix: setup ## repair style and imports where a program can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: setup predictive ## check types with mypy, strictly
	$(BIN)/mypy

pyright: setup predictive ## check the interfaces for plugins and extensions with pyright (needs npx)
	@if command -v npx >/dev/null; then npx --yes $(PYRIGHT) --pythonpath $(BIN)/python; \
	  elif [ -n "$$CI" ]; then echo "pyright needs npx" >&2; exit 1; else echo "no npx: pyright is skipped"; fi

# Most tests wait for something, so there are more workers than cores.
unit: setup predictive ## run all tests but the flows
	$(BIN)/pytest -m "not flow" -n 3 --dist worksteal

flows: setup predictive ## run the flows: tests of a whole Tidegate with Envoy and apps
	$(BIN)/pytest -m flow

# Test failures are for `make test` to judge: the bound counts lines. Flows add the lines of `tidegate up` itself.
coverage: setup predictive ## measure the lines that unit tests and two flows reach; fail below the bound
	rm -f .coverage .coverage.*
	-$(BIN)/pytest -m "not flow" -n 3 --dist worksteal --cov --cov-report=
	-$(BIN)/pytest -m flow tests/flows/test_tour.py tests/flows/test_demo.py --cov --cov-append --cov-report=
	$(BIN)/coverage report --skip-covered --sort=miss --fail-under=$(COVERED)

docs: setup ## check the pages: links, files, figures, commands, words
	$(BIN)/pytest tests/test_docs.py tests/test_figures.py tests/test_prose.py tests/autoscaler/test_docs.py
	$(BIN)/codespell docs *.md

bench: setup predictive ## measure the bounds: against plain Envoy, cold start, a step of load, apply to traffic
	$(BIN)/python -m bench

# `make unit` runs these tests too. A sanitizer that the compiler does not have is skipped.
sanitize: setup ## run the C++ tests of the gate and the launcher with sanitizers
	$(BIN)/pytest -rs tests/gateway/test_gate_decision.py tests/node/process/test_launcher.py

coverage-gate: setup ## measure the lines of the gate that its C++ tests cover (needs g++ and gcov)
	@if command -v gcov >/dev/null && command -v g++ >/dev/null; then $(BIN)/python .ci/coverage_gate.py; \
	  else echo "no g++ or no gcov: the gate's coverage is skipped"; fi

soak: setup ## send a million random requests through the gate
	$(BIN)/python -m bench.soak

pythons: setup ## run the unit tests on each installed Python from 3.11 to 3.14
	$(BIN)/tox run

build: setup ## build the source distribution and the wheel into dist/
	rm -rf dist
	$(BIN)/uv build --quiet --out-dir dist .

wheel-test: build ## install the wheel into an empty environment and run the demo with it
	.ci/wheel

release: setup ## make a release: VERSION=1.2.3 (changelog, versions, commit, tag; pushes nothing)
	@$(BIN)/python .ci/release.py "$(VERSION)"

lock: setup ## resolve the dependencies again
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --no-header --no-emit-index-url \
	  --no-emit-find-links --python-version 3.11 --extra dev pyproject.toml --output-file requirements.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --no-header --no-emit-index-url \
	  --no-emit-find-links --python-version 3.11 plugins/predictive/pyproject.toml \
	  --output-file plugins/predictive/requirements.lock

clean: ## remove the environment and everything that was built
	rm -rf $(VENV) build dist .tox *.egg-info
