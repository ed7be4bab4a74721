# Two commands on a fresh machine with Python 3.11: `make demo` and `make test`.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO := demo-output
# Processes that share the tests, a file at a time.
WORKERS ?= 2
SIGNALS := tests/deploy/test_interrupts.py
FORKING := tests/train

.PHONY: demo test test-fast lint docs setup shell wheel clean

setup: $(READY)

# One virtual environment for everything. The links let editors and pyright see the mapped folders.
$(READY): pyproject.toml setup.py tools/networks.txt Makefile
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) is not on the PATH. Install Python 3.11, or name it: make PYTHON=/path/to/python3.11 demo"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python tools/install.py
	@for room in train quantize targets apps; do ln -sfn ../$$room s2m_edge/$$room || echo "note: no links here; editors will not see s2m_edge.$$room"; done
	@touch $@

demo: $(READY)
	$(BIN)/s2m-edge doctor
	$(BIN)/python tools/demo.py $(DEMO)

# A shell in which the commands are found, as after `source .venv/bin/activate`. It reads no file that would move PATH.
shell: $(READY)
	@echo "s2m-edge is on the PATH here; exit ends this shell"
	@VIRTUAL_ENV="$(abspath $(VENV))" PATH="$(abspath $(BIN)):$$PATH" bash --norc -i

# Built from what the tree holds now, and from nothing that an earlier build left behind.
wheel: $(READY)
	rm -rf build dist
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist .
	rm -rf build
	@echo "pip install '$$(ls dist/*.whl)[onnx]' installs it, with whichever extras"

# Interrupts are tested in a process of their own: they are sent to it, and native runtimes of other tests may listen too.
# Training forks processes that read pictures, and is tested before any inference runtime has threads in the same process.
# A worker that dies ends the run: pytest-xdist would wait for the rest of its file for ever.
SHARED := -n $(WORKERS) --dist loadfile --max-worker-restart 0
REST := --ignore $(SIGNALS) --ignore $(FORKING)

test: $(READY)
	$(BIN)/python -m pytest $(SIGNALS)
	$(BIN)/python -m pytest $(SHARED) $(FORKING)
	$(BIN)/python -m pytest $(SHARED) $(REST)

test-fast: $(READY)
	$(BIN)/python -m pytest $(SIGNALS) -m "not slow"
	$(BIN)/python -m pytest $(SHARED) $(FORKING) -m "not slow"
	$(BIN)/python -m pytest $(SHARED) $(REST) -m "not slow"

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

# The generator's warning is about its own next major version; the version here is pinned.
docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) $(DEMO) build dist *.egg-info apps/web/dist apps/web/node_modules apps/android/toolchain/node_modules
