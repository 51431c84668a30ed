# Every target that runs something sets up .venv first; `make` alone lists the targets. Those that train leave the
# committed results as they are, unless PUBLISH=1 is given.

# The first of these that runs and is 3.11 to 3.13 makes .venv; or name one: make setup PYTHON=python3.12
PYTHON ?= python3.13 python3.12 python3.11 python3 python

# A second PyTorch thread makes a network this small slower; seeds run side by side in processes instead.
export OMP_NUM_THREADS := 1

PY := .venv/bin/python
STAMP := .venv/.installed
IN_RANGE := import sys; assert (3, 11) <= sys.version_info[:2] < (3, 14)
IS_OURS := $(IN_RANGE); assert sys.prefix != sys.base_prefix

# Results go to outputs/results; with PUBLISH=1 into results/ and the documents.
TO := $(if $(PUBLISH),--publish)
STUDY := $(PY) experiments/study.py $(TO)

.PHONY: test-faults help setup reproduce recover readings recipes quarter figures-3b tutorials ablations comparison strings test test-slow gpu bench tables figures report check lint lock clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

setup: $(STAMP)  ## make .venv with the versions of requirements.lock (5.5 GB; uv if it is there, else pip)

# The stamp comes last, so that a set-up that failed or was interrupted is taken up again.
$(STAMP): requirements.lock
	@rm -f $@
	@set -e; \
	if uv --version >/dev/null 2>&1; then tool=uv; needs=; else tool=pip; needs='; import ensurepip, venv'; fi; \
	usable() { $(PY) -c '$(IS_OURS)' && { [ $$tool = uv ] || $(PY) -m pip --version; }; }; \
	if ! usable >/dev/null 2>&1; then \
	    python=; \
	    for candidate in $(PYTHON); do \
	        python=$$("$$candidate" -c "$(IN_RANGE)$$needs; print(sys.executable)" 2>/dev/null) && break || python=; \
	    done; \
	    if [ -z "$$python" ]; then \
	        echo "setup: no usable Python 3.11, 3.12 or 3.13 (with venv) among: $(PYTHON)" >&2; exit 1; \
	    fi; \
	    echo "setup: .venv from $$python, with $$tool"; \
	    rm -rf .venv; \
	    if [ $$tool = uv ]; then uv venv --quiet --python "$$python" .venv; else "$$python" -m venv .venv; fi; \
	fi; \
	if [ $$tool = uv ]; then \
	    uv pip sync --python "$(CURDIR)/$(PY)" --require-hashes requirements.lock; \
	else \
	    $(PY) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock; \
	fi
	@touch $@

reproduce: setup  ## train LeNet-5 as in 1998 and show its error beside the paper's (outputs/results)
	$(PY) experiments/reproduce.py

# What each of these runs says so in its file of conf/study; experiments/study.py alone lists them.
readings: setup  ## the study of the paper's open points (experiments/readings.md); never looks at the test set
	$(STUDY) $@

recipes: setup  ## the same at the printed rates, with the weights of 1998 as evidence (experiments/recipe.md)
	$(STUDY) $@

quarter: setup  ## Section III-B at a quarter of the printed rates; also distortions, Eq. 9 and what each deviation does
	$(STUDY) $@

figures-3b: setup  ## Section III-B from raw data to figures: Fig. 5, 6 and 8, Eq. 8, the strength of distortions
	$(STUDY) $@

recover: setup  ## C1 to S4 of the network of 1998 from the states that Fig. 13 prints; a minute
	$(PY) experiments/recover.py $(TO)

tutorials: setup  ## three public tutorials of "LeNet-5" trained again, with their tables and curves
	$(STUDY) $@

ablations: setup  ## what of 1998 still matters: rates chosen on hold-out images, one detail at a time, the ladder
	$(STUDY) $@

comparison: setup  ## Section III: the classifiers of Figs. 9 to 12, trained and measured; about two hours on two cores
	$(STUDY) $@

strings: setup  ## Sections V to X: strings of digits, cut or not, learned as a whole; amounts; two hours on two cores
	$(STUDY) $@

test: setup  ## the fast tests; they need neither MNIST nor a network
	$(PY) -m pytest

test-slow: setup  ## the tests that need MNIST or more time
	$(PY) -m pytest -m 'slow and not gpu'

test-faults: setup  ## the fault suite in full, with its table: kills, full disks, damaged files; 15 min
	$(PY) -m pytest tests/faults --full $(TO) -n 0

gpu: setup  ## on a machine with a GPU: its tests, times and the ladder; ten minutes a call, the same command goes on
	$(PY) experiments/gpu.py

bench: setup  ## microseconds an update of both engines, and their ratio
	$(PY) experiments/bench.py $(TO)

tables: setup  ## results/runs -> results/tables and the tables in the documents
	$(PY) experiments/tables.py --publish

figures: setup  ## results/curves -> results/figures
	$(PY) experiments/figures.py --publish

report: setup  ## results/ -> results/report/index.html, a page with all of it and LeNet-5 to try
	$(PY) experiments/report.py --publish

check: setup  ## fail if a table or figure is not, byte for byte, what results/ gives, or a cell not what a second path gives
	$(PY) experiments/tables.py --check
	$(PY) experiments/figures.py --check
	$(PY) results/recompute.py

lint: setup  ## style and types
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m mypy

# Without triton, a gigabyte that torch.compile alone needs, which nothing here calls.
lock:  ## write requirements.lock anew from pyproject.toml (needs uv); versions stay where they still fit
	uv pip compile pyproject.toml --quiet --extra dev --extra sweeps --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-emit-package triton --no-header --output-file requirements.lock

clean:  ## remove caches; .venv, data, outputs and results stay
	rm -rf .pytest_cache .mypy_cache .ruff_cache *.egg-info
	find .ci conf experiments paper_lenet results tests -name __pycache__ -type d -prune -exec rm -rf {} +
