# Every target sets up what it needs inside the checkout; a fresh machine needs Python 3.11+ and make.
PYTHON ?= python3
VENV ?= .venv
SAM_VENV := .venv-sam
SAM_CLI := aws-sam-cli==1.170.0
LAMBDA_PYTHON := 3.13
LAMBDA_PLATFORM := x86_64-manylinux2014

UV := $(VENV)/bin/uv
SAM := $(SAM_VENV)/bin/sam

export UV_PROJECT_ENVIRONMENT := $(VENV)
export SAM_CLI_TELEMETRY := 0

.PHONY: dev test lint format validate build clean build-SharedLayer

dev: $(VENV)/.synced
	$(VENV)/bin/python -m dev serve

test: $(VENV)/.synced
	$(VENV)/bin/python -m pytest

lint: $(VENV)/.synced
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

format: $(VENV)/.synced
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

validate: $(SAM_VENV)/.installed
	$(SAM) validate --lint

build: $(VENV)/.synced $(SAM_VENV)/.installed
	$(SAM) build

clean:
	rm -rf .venv* .dev .aws-sam .hypothesis .mypy_cache .pytest_cache .ruff_cache

# Called by `sam build`, which says where the layer goes.
build-SharedLayer:
	$(UV) export --quiet --frozen --no-default-groups --no-hashes --output-file "$(ARTIFACTS_DIR)/requirements.txt"
	$(UV) pip install --quiet --target "$(ARTIFACTS_DIR)/python" --requirement "$(ARTIFACTS_DIR)/requirements.txt" \
		--no-deps --only-binary :all: --python-version $(LAMBDA_PYTHON) --python-platform $(LAMBDA_PLATFORM)
	cp -R shared "$(ARTIFACTS_DIR)/python/"
	find "$(ARTIFACTS_DIR)" -name __pycache__ -prune -exec rm -rf {} +
	rm -rf "$(ARTIFACTS_DIR)/requirements.txt" "$(ARTIFACTS_DIR)/python/bin" "$(ARTIFACTS_DIR)/python/.lock"

$(VENV)/.synced: pyproject.toml uv.lock
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(UV) sync --frozen --quiet
	touch $@

$(SAM_VENV)/.installed: $(VENV)/.synced
	$(UV) venv --quiet --clear --python $(VENV)/bin/python $(SAM_VENV)
	$(UV) pip install --quiet --python $(SAM_VENV)/bin/python $(SAM_CLI)
	touch $@
