# book · pdf · desk · test · lab · lint · clean. Each target first sets up .venv when it is missing or stale.
#
#   make book             execute the changed chapters and write _build/html/index.html
#   make book QUICK=1     the same with quick = True in every chapter: smaller experiments, wider intervals
#   make pdf              print the pages into _build/book.pdf, with Chromium; EVIDENCE=1 prints folded code too
#   make desk             a plan on one sheet in English and one in Japanese, _build/desk.pdf; SCENARIO=my.toml is yours
#   make test             all tests; ARGS passes options on, as in make test ARGS="tests/chapters/test_book.py -x"
#   make test ARGS=tests/laws   the quick tests of one room
#   make test FULL=1      the long form, for once a week: exhaustive products, long and wild tests
#   make check-book       open every built page in headless Chromium, and follow every link
#   make lab              JupyterLab in the same environment
#   PYTHON=…              the interpreter the environment is made from: Python 3.11, 3.12 or 3.13

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

usable = import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))
ifndef PYTHON
PYTHON := $(shell for p in python3 python3.13 python3.12 python3.11; do $$p -c "$(usable)" 2>/dev/null && echo $$p && break; done)
endif

VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready

# The stamp holds the folder it was made in: a copied or moved tree gets an environment of its own, and so does one whose
# interpreter has gone.
ifneq ($(shell $(PY) -c "print(open('$(READY)').read(), end='')" 2>/dev/null),$(CURDIR))
.PHONY: $(READY)
new := yes
endif

.PHONY: help book pdf desk check-book test lab lint format clean
help:
	@sed -n 's/^#   //p' Makefile

# An update keeps the environment; a set-up that was interrupted left no stamp and starts again from nothing. One at a time:
# the lock on this file is held by descriptor 9, so that nobody has it when the set-up is dead.
$(READY): pyproject.toml constraints.txt content.txt
	@[ -n "$(PYTHON)" ] || { echo "rholaw needs Python 3.11, 3.12 or 3.13, and none was found. Name one: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PYTHON) -c "$(usable)" || { echo "rholaw needs Python 3.11, 3.12 or 3.13, not $$($(PYTHON) --version 2>&1). Name one: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@exec 9>>Makefile && \
	{ $(PYTHON) -c "import fcntl; fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)" 2>/dev/null || \
	    { echo "$(VENV) is being set up by another make; wait until it is done" >&2; exit 1; }; } && \
	echo "Setting up $(VENV) with $$($(PYTHON) --version) (some minutes the first time)" && \
	$(if $(new),$(PYTHON) -m venv --clear $(VENV) &&) \
	rm -f $(READY) && \
	$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[book,cluster,dev,oracles]" && \
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r content.txt && \
	printf '%s' "$(CURDIR)" > $(READY)

book: $(READY)
	@$(PY) -m rholaw.book build $(if $(QUICK),--quick)

pdf: book
	@$(PY) -m rholaw.book pdf $(if $(EVIDENCE),--evidence)

desk: $(READY)
	@$(PY) -m rholaw.book desk $(SCENARIO)

check-book: $(READY)
	@REQUIRE_BOOK=1 $(PY) -m pytest -q tests/chapters/test_book.py tests/chapters/test_links.py $(ARGS)

# A process a core, each with one thread: threads that wait for one another while others compute cost ten times the work.
test: export OMP_NUM_THREADS ?= 1
test: $(READY)
	@$(if $(FULL),RHOLAW_FULL=1) $(PY) -m pytest -q -n auto --dist worksteal $(ARGS)

lab: $(READY)
	@$(PY) -m jupyterlab --notebook-dir=chapters $(ARGS)

lint: $(READY)
	@$(PY) -m ruff check --quiet
	@$(PY) -m ruff format --check --quiet || { echo "make format rewrites these files" >&2; exit 1; }

format: $(READY)
	@$(PY) -m ruff check --quiet --fix
	@$(PY) -m ruff format --quiet

clean:
	@rm -rf $(VENV) _build build .pytest_cache .ruff_cache .hypothesis lib/*.egg-info
	@find lib tests chapters -name __pycache__ -prune -exec rm -rf {} + -o -name .ipynb_checkpoints -prune -exec rm -rf {} +
