# make build   install what a bitstream needs into .venv, then build one   [BOARD=ice40] [NETWORK=name or folder]
# make test    install everything into .venv, then lint, type check and run every test   [WORKERS=2]
# make lint    ruff and mypy alone
# make clean   remove build outputs (not .venv)
#
# Needs Python 3.11 or newer, make, a C++ compiler and perl; the FPGA tools and the simulator come from pip.

PYTHON  ?= python3
BOARD   ?= ice40
NETWORK ?=
WORKERS ?= 2

VENV    := .venv
IN_VENV := $(VENV)/bin/python

.DEFAULT_GOAL := help
.PHONY: help build test lint clean

help:
	@sed -n 's/^# make/make/p' Makefile

# The tools of some families of parts are extras of their own, of which only the board's is installed.
EXTRA = $(shell $(PYTHON) -c "from hw.boards import BOARDS; board = BOARDS.get('$(BOARD)'); \
    print(board and board.part.family.extra or '')" 2> /dev/null)

build: $(VENV)/installed-build$(addprefix -,$(EXTRA))
	$(IN_VENV) -m hw.build --board $(BOARD) $(if $(NETWORK),--network $(NETWORK))

test: lint
	$(IN_VENV) -m pytest --numprocesses $(WORKERS)

lint: $(VENV)/installed-dev
	$(IN_VENV) -m ruff check --ignore-noqa
	$(IN_VENV) -m mypy

clean:
	rm -rf build sim_build

# A stamp newer than both files means that pip has nothing to do. Versions are the constraints file's; the index is
# whatever pip is configured for.
$(VENV)/installed-build: pyproject.toml constraints.txt | $(IN_VENV)
	$(IN_VENV) -m pip install --constraint constraints.txt --editable .
	@touch $@

$(VENV)/installed-build-%: pyproject.toml constraints.txt | $(IN_VENV)
	$(IN_VENV) -m pip install --constraint constraints.txt --editable '.[$*]'
	@touch $(VENV)/installed-build $@

$(VENV)/installed-dev: pyproject.toml constraints.txt | $(IN_VENV)
	$(IN_VENV) -m pip install --constraint constraints.txt --editable '.[dev]'
	@touch $(VENV)/installed-build $@

$(IN_VENV):
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else \
	    f"Popforge needs Python 3.11 or newer, not {sys.version.split()[0]}: set PYTHON=")'
	$(PYTHON) -m venv $(VENV)
