# Two commands on a fresh machine with Python 3.11: `make demo` and `make test`.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO := demo-output
# Processes that share the tests, a file at a time.
WORKERS ?= 2

.PHONY: demo test test-fast lint setup clean

setup: $(READY)

# One virtual environment for everything. The links let editors and pyright see the mapped folders.
$(READY): pyproject.toml Makefile
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) is not on the PATH. Install Python 3.11, or name it: make PYTHON=/path/to/python3.11 demo"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python tools/install.py
	@for room in train quantize targets apps; do ln -sfn ../$$room s2m_edge/$$room || echo "note: no links here; editors will not see s2m_edge.$$room"; done
	@touch $@

demo: $(READY)
	$(BIN)/s2m-edge doctor
	$(BIN)/python tools/demo.py $(DEMO)

test: $(READY)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

test-fast: $(READY)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "not slow"

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

clean:
	rm -rf $(VENV) $(DEMO) build *.egg-info apps/web/dist apps/web/node_modules apps/android/toolchain/node_modules
