# make demo   the main job, offline: tags the demo videos with the demo model and shows the result
# make check  what a change must pass before it is shared: less than a minute, starts no server
# make test   all tests but the slow ones, which make test-slow runs
# All set up everything they need in .venv first.

# The first that is there, starts, and is of a version that is supported.
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c '$(SUPPORTED)' 2>/dev/null && echo $$python && break; done)
BIN := .venv/bin
SOURCES := flows tasks tests demo benchmarks deployments

.PHONY: demo demo-model pictures check test fast coverage fuzz test-slow lint types bench up down deploy clean

# Made again when what is installed changes. The constraints hold the set that was tested.
.venv/installed: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" \
		|| { echo "Python 3.11, 3.12 or 3.13 is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Installing into .venv (a few minutes the first time) ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: .venv/installed
	@$(BIN)/python demo/run.py

demo-model: .venv/installed
	$(BIN)/python demo/train_model.py

# The README's: a terminal and a page of the UI, from real runs. Needs Chromium.
pictures: .venv/installed
	$(BIN)/python demo/pictures.py

check: .venv/installed
	@$(MAKE) --no-print-directory --jobs=3 lint types fast

FAST := -m "not slow and not long and not server"

fast: .venv/installed
	HYPOTHESIS_PROFILE=quick $(BIN)/python -m pytest --numprocesses=auto --durations=3 --durations-min=2 $(FAST)

coverage: .venv/installed
	HYPOTHESIS_PROFILE=quick $(BIN)/python -m pytest --numprocesses=auto --cov --cov-report=term --no-cov-on-fail $(FAST)

# Two at a time: more would start more servers than a laptop likes.
test: .venv/installed
	$(BIN)/python -m pytest --numprocesses=2 --dist=loadgroup --no-loadscope-reorder

# Mutated media and manifests: make fuzz FUZZ=10000
FUZZ ?= 1000
FUZZ_FIRST ?= 0

fuzz: .venv/installed
	FUZZ=$(FUZZ) FUZZ_FIRST=$(FUZZ_FIRST) $(BIN)/python -m pytest -rP tests/fuzz

test-slow: .venv/installed
	$(BIN)/python -m pytest -m slow

lint: .venv/installed
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)

types: .venv/installed
	$(BIN)/mypy

# What needs neither a GPU nor Ray. windows.py, which makes ten hours of media, is run by itself.
BENCHMARKS := extraction model flow "orchestration --units 50" listing "manifests --megabytes 200" \
	s3_reading "peers --videos 8 --longest 60"

bench: .venv/installed
	@for name in $(BENCHMARKS); do \
		set -- $$name; script=benchmarks/$$1.py; shift; \
		echo "== python $$script $$*"; $(BIN)/python -W ignore $$script "$$@" || exit 1; \
	done

up down: .venv/installed
	@$(BIN)/python deployments/local.py $@

# To the server that PREFECT_API_URL names.
deploy: .venv/installed
	@$(BIN)/python deployments/deploy.py

clean:
	rm -rf .venv .state build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
