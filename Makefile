# Every target sets up what it needs inside the checkout; a fresh machine needs Python 3.11+ and make.
PYTHON ?= python3
VENV ?= .venv
DOT ?= dot
NPM ?= npm
SAM_VENV := .venv-sam
SAM_CLI := aws-sam-cli==1.170.0
LAMBDA_VENV := .venv-lambda
LAMBDA_RUNTIME := awslambdaric==4.2.2
LAMBDA_PYTHON := 3.13
# Of the functions, as in the parameters of the deployment.
ARCHITECTURE ?= $(or $(shell sed -n 's/^Architecture: *//p' parameters.yaml 2>/dev/null),arm64)
BUILD ?= .aws-sam/build
LAMBDA_PLATFORM = $(if $(filter arm64,$(ARCHITECTURE)),aarch64,$(ARCHITECTURE))-manylinux2014

# Looked for only when a target needs it.
DEPLOYED_PYTHON = $(shell for python in python$(LAMBDA_PYTHON) \
	"$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/$(LAMBDA_PYTHON).*/bin/python; do \
	"$$python" -c 'import sys; print(sys.executable)' 2>/dev/null && break; done)
NO_DEPLOYED_PYTHON := There is no Python $(LAMBDA_PYTHON) here: put python$(LAMBDA_PYTHON) with its venv module on the PATH

NO_PYTHON = $(PYTHON) is not Python 3.11 or newer: install that, or say where it is with PYTHON=… after make.
NO_NODE = There is no $(NPM) here: install Node.js 20.19 or newer.
NO_VENV = $(PYTHON) has no venv module: install it, on Debian and Ubuntu with the package python3-venv.

MACHINE = $(if $(filter aarch64 arm64,$(shell uname -m)),arm64,x86_64)
EMULATED = LAMBDA_PYTHON="$(CURDIR)/$(LAMBDA_VENV)/bin/python" \
	LAMBDA_EMULATOR="$$(echo $(CURDIR)/$(SAM_VENV)/lib/python*/site-packages/samcli/local/rapid/aws-lambda-rie-$(MACHINE))"

UV := $(VENV)/bin/uv
SAM := $(SAM_VENV)/bin/sam

export ARCHITECTURE
export UV_PROJECT_ENVIRONMENT := $(VENV)
export SAM_CLI_TELEMETRY := 0
export REDOCLY_TELEMETRY := off
export REDOCLY_SUPPRESS_UPDATE_NOTICE := true

.PHONY: dev bench test lint format openapi lint-openapi client validate build deploy smoke deployed-python \
	deployed-python-needed picture clean build-SharedLayer build-Migrate

dev: $(VENV)/.synced
	$(VENV)/bin/python -m dev serve

test: $(VENV)/.synced
	$(VENV)/bin/python -m pytest

lint: $(VENV)/.synced
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

# From what the handlers say; a test compares it.
openapi: $(VENV)/.synced
	$(VENV)/bin/python -m dev openapi

lint-openapi: client/node_modules/.package-lock.json
	$(NPM) --prefix client run --silent lint

# Types for TypeScript, and an example that must compile with them.
client: client/node_modules/.package-lock.json
	$(NPM) --prefix client run --silent check

format: $(VENV)/.synced
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

validate: $(SAM_VENV)/.installed
	$(SAM) validate --lint

build: $(VENV)/.synced $(SAM_VENV)/.installed
	$(SAM) build --build-dir $(BUILD) --parameter-overrides Architecture=$(ARCHITECTURE)

# Of the parameters in parameters.yaml, which docs/runbook.md describes.
deploy: build
	$(SAM) deploy --parameter-overrides file://parameters.yaml

# What was built, run by the emulator of Lambda's runtime that comes with the SAM CLI.
smoke: ARCHITECTURE := $(MACHINE)
smoke: deployed-python-needed build $(LAMBDA_VENV)/.installed
	$(EMULATED) $(VENV)/bin/python -m pytest tests/smoke

# Needs a machine that does nothing else meanwhile.
bench: ARCHITECTURE := $(MACHINE)
bench: deployed-python-needed build $(LAMBDA_VENV)/.installed
	$(EMULATED) $(VENV)/bin/python -m dev.benchmark

# For what must also work on the Python that is deployed.
deployed-python:
	@echo "$(DEPLOYED_PYTHON)"

deployed-python-needed:
	@test -n "$(DEPLOYED_PYTHON)" || $(call give_up,$(NO_DEPLOYED_PYTHON).)

picture: docs/architecture.svg

docs/architecture.svg: docs/architecture.dot
	@$(call need,$(DOT),Graphviz is missing: install the package graphviz.)
	$(DOT) -Tsvg $< -o $@

clean:
	rm -rf .venv* .dev .aws-sam artifacts client/node_modules client/api.d.ts .hypothesis .mypy_cache .pytest_cache .ruff_cache

# Called by `sam build`, which says where the artifact goes; /opt and /var/task are where Lambda puts it.
build-SharedLayer:
	$(call install,$(ARTIFACTS_DIR)/python,--no-default-groups)
	cd "$(ARTIFACTS_DIR)/python" && rm -rf $(UNUSED)
	$(call compile,$(ARTIFACTS_DIR)/python,/opt/python,-b)
	# Without byte code the sources are all there is.
	$(if $(DEPLOYED_PYTHON),find "$(ARTIFACTS_DIR)" \( -name "*.py" -o -name "*.py[ix]" -o -name "*.pxd" \) -delete)
	cp -R shared "$(ARTIFACTS_DIR)/python/"
	$(call compile,$(ARTIFACTS_DIR)/python/shared,/opt/python/shared)
	# Lambda publishes a version when the code changes: changed parameters must change it, or nobody gets them.
	cat parameters.yaml 2>/dev/null | $(VENV)/bin/python -c \
		'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())' >"$(ARTIFACTS_DIR)/parameters.sha256"

build-Migrate:
	$(call install,$(ARTIFACTS_DIR),--only-group migrations --no-emit-package sqlalchemy --no-emit-package typing-extensions)
	cp -R functions/migrate.py migrations "$(ARTIFACTS_DIR)/"
	$(call compile,$(ARTIFACTS_DIR),/var/task)

# What no function imports.
UNUSED := $(addprefix aws_lambda_powertools/,event_handler/openapi/swagger_ui utilities/auth_alpha utilities/batch \
		utilities/feature_flags utilities/idempotency utilities/kafka utilities/parser utilities/streaming) \
	dateutil/zoneinfo/*.tar.gz pydantic/mypy.py pydantic/v1 \
	$(addprefix sqlalchemy/,dialects/mssql dialects/mysql dialects/oracle dialects/sqlite ext/asyncio ext/mypy testing)

give_up = { echo "$(1)" >&2; exit 1; }

# need COMMAND,SENTENCE
need = command -v "$(1)" >/dev/null || $(call give_up,$(2))

# install FOLDER,GROUPS: what is locked, for Lambda's Python and platform whatever this machine is.
# Only pg8000 and scramp read their metadata.
define install
	$(UV) export --quiet --frozen --no-hashes $(2) --output-file "$(ARTIFACTS_DIR)/requirements.txt"
	$(UV) pip install --quiet --target "$(1)" --requirement "$(ARTIFACTS_DIR)/requirements.txt" \
		--no-deps --only-binary :all: --python-version $(LAMBDA_PYTHON) --python-platform $(LAMBDA_PLATFORM)
	rm -rf "$(ARTIFACTS_DIR)/requirements.txt" "$(1)/bin" "$(1)/.lock"
	find "$(1)" -path "*.dist-info/*" ! -path "*/pg8000-*/METADATA" ! -path "*/scramp-*/METADATA" -delete
	find "$(1)" -name "*.dist-info" -empty -delete
endef

# compile FOLDER,PLACE,OPTIONS: the deployed files cannot be written, so without byte code each cold start would
# compile them again.
define compile
	find "$(1)" -name __pycache__ -prune -exec rm -rf {} +
	$(if $(DEPLOYED_PYTHON),"$(DEPLOYED_PYTHON)" -m compileall -q -j 0 $(3) --invalidation-mode unchecked-hash \
		-s "$(1)" -p $(2) "$(1)",@echo "WARNING: $(NO_DEPLOYED_PYTHON), or cold starts will be slower." >&2)
endef

$(VENV)/.synced: pyproject.toml uv.lock
	@$(call need,$(PYTHON),$(NO_PYTHON))
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || $(call give_up,$(NO_PYTHON))
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || $(call give_up,$(NO_VENV))
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(UV) sync --frozen --quiet
	touch $@

client/node_modules/.package-lock.json: client/package.json client/package-lock.json
	@$(call need,$(NPM),$(NO_NODE))
	$(NPM) --prefix client ci --silent

$(SAM_VENV)/.installed: $(VENV)/.synced
	$(UV) venv --quiet --clear --python $(VENV)/bin/python $(SAM_VENV)
	$(UV) pip install --quiet --python $(SAM_VENV)/bin/python $(SAM_CLI)
	touch $@

$(LAMBDA_VENV)/.installed: $(VENV)/.synced
	$(UV) venv --quiet --clear --python "$(DEPLOYED_PYTHON)" $(LAMBDA_VENV)
	$(UV) pip install --quiet --python $(LAMBDA_VENV)/bin/python $(LAMBDA_RUNTIME)
	touch $@
