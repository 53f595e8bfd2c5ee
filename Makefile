# Every target sets up what it needs inside the checkout; a fresh machine needs Python 3.11+ and make.
PYTHON ?= python3
VENV ?= .venv
SAM_VENV := .venv-sam
SAM_CLI := aws-sam-cli==1.150.1

export UV_PROJECT_ENVIRONMENT := $(VENV)
export SAM_CLI_TELEMETRY := 0

.PHONY: dev test lint format build clean

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

$(VENV)/.synced: pyproject.toml uv.lock
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet uv
	$(VENV)/bin/uv sync --frozen --quiet
	touch $@

clean:
	rm -rf .venv* .dev .aws-sam .mypy_cache .pytest_cache .ruff_cache .hypothesis
