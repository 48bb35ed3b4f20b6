# Everything a fresh machine needs is behind these words; none of them needs another to have been said first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help install run demo peers test lint format cover bench bench-growth conformance-matrix conformance-statement clean

help:
	@echo "make install   environment in $(VENV), console commands in $(BIN)"
	@echo "make run       a server on port 11112, its files under ./data"
	@echo "make demo      the whole story on real images: send, query, retrieve, move, compare"
	@echo "make test      peers (where apt and root are there), lint, all tests;"
	@echo "               PYTEST='-k scanner -x' adds to the command line of pytest, '-n 0' is one at a time"
	@echo "make lint      ruff, mypy, import rules       make format    ruff writes the style"
	@echo "make cover     tests with branch coverage     make bench     beside real peers; QUICK=1: two minutes"
	@echo "make bench-growth   what the index costs at up to 1,000,000 instances; 1 to 100 associations"
	@echo "make conformance-matrix   every conformance case against every peer, into docs/"
	@echo "make conformance-statement   what this server says of itself (PS3.2), into docs/"

# Stamps, so that a repeated call installs nothing: one for what a user has, one for what a developer has on top.
INSTALLED := $(VENV)/.installed
DEVELOPMENT := $(VENV)/.development

$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is older than Python 3.11: say make PYTHON=..."; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'  # the first that knows --group
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(DEVELOPMENT): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --group test --group lint
	@touch $@

install: $(INSTALLED)
	@echo "installed: say make run for a server on port 11112, or source $(BIN)/activate and dicom-server --help"

run: $(INSTALLED)
	@exec $(BIN)/dicom-server start --aet DICOM_SERVER --port 11112 --data-dir ./data

demo: $(INSTALLED)
	@$(BIN)/python scripts/demo.py

peers:
	@scripts/install_peers.sh

# A file's tests stay together, since some share a server, in the order of tests/conftest.py; three at a time, since
# many wait rather than compute; one that hangs ends its process and the run. PYTEST='-n 0' is one after the other.
test: peers lint
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder --max-worker-restart 0 $(PYTEST)

lint: $(DEVELOPMENT)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(DEVELOPMENT)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

cover: peers $(DEVELOPMENT)
	$(BIN)/coverage run -m pytest $(PYTEST)
	$(BIN)/coverage report --show-missing --skip-covered

bench: peers $(DEVELOPMENT)
	PYTHONPATH=tests $(BIN)/python -m benchmarks $(if $(QUICK),--quick,--save benchmarks) $(BENCH)

bench-growth: peers $(DEVELOPMENT)
	PYTHONPATH=tests $(BIN)/python -m benchmarks.growth --save benchmarks $(BENCH)

conformance-matrix: peers $(DEVELOPMENT)
	PYTHONPATH=tests $(BIN)/python scripts/conformance_matrix.py --output docs/conformance-matrix.md

conformance-statement: $(INSTALLED)
	$(BIN)/dicom-server conformance-statement > docs/conformance-statement.md

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage build dist
