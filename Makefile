# Every target sets up what it needs inside the checkout; a fresh machine needs Python 3.11+ and make.
PYTHON ?= python3
VENV ?= .venv
DOT ?= dot
NPM ?= npm
SAM_VENV := .venv-sam
LAMBDA_VENV := .venv-lambda
MINISTACK_VENV := .venv-ministack
BENCH_VENV := .venv-bench
LAMBDA_PYTHON := 3.13
PARAMETERS := parameters.yaml
# With every parameter of the template, as it is deployed.
ALL_PARAMETERS := .aws-sam/parameters.yaml
BUILD ?= .aws-sam/build

# One more than there are processors, because tests wait for a third of their time.
TEST_PROCESSES = $(shell processors=$$(getconf _NPROCESSORS_ONLN); echo $$((processors < 3 ? processors + 1 : 4)))

# Looked for only when a target needs it.
DEPLOYED_PYTHON = $(shell for python in python$(LAMBDA_PYTHON) \
	"$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/$(LAMBDA_PYTHON).*/bin/python; do \
	"$$python" -c 'import sys; print(sys.executable)' 2>/dev/null && break; done)
NO_DEPLOYED_PYTHON := There is no Python $(LAMBDA_PYTHON) here: put python$(LAMBDA_PYTHON) with its venv module on the PATH
NO_PYTHON = $(PYTHON) is not Python 3.11 or newer: install that, or say where it is with PYTHON=… after make.
NO_VENV = $(PYTHON) has no venv module: install it, on Debian and Ubuntu with the package python3-venv.

MACHINE = $(if $(filter aarch64 arm64,$(shell uname -m)),arm64,x86_64)
EMULATED = LAMBDA_PYTHON="$(CURDIR)/$(LAMBDA_VENV)/bin/python" \
	LAMBDA_EMULATOR="$(CURDIR)/$$(echo $(SAM_VENV)/lib/python*/site-packages/samcli/local/rapid/aws-lambda-rie-$(MACHINE))"

UV := $(VENV)/bin/uv
SAM := $(SAM_VENV)/bin/sam
export UV_PROJECT_ENVIRONMENT := $(VENV)
export SAM_CLI_TELEMETRY := 0
export REDOCLY_TELEMETRY := off
export REDOCLY_SUPPRESS_UPDATE_NOTICE := true

.PHONY: help dev test lint format openapi lint-openapi client picture validate build smoke deploy-local bench capacity deploy clean \
	deployed-python deployed-python-needed parameters-needed

help: ## Print this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-16s %s\n", $$1, $$2 }' Makefile

dev: $(VENV)/.serve-synced ## Run the API on this machine, with a Postgres of its own
	$(VENV)/bin/python -m dev serve

test: $(VENV)/.synced $(SAM_VENV)/.installed ## Run all tests, or those in TESTS
	$(VENV)/bin/python -m pytest --numprocesses "$(TEST_PROCESSES)" --dist loadfile --no-loadscope-reorder $(TESTS)

lint: $(VENV)/.synced ## Check style and types, and the workflows
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/zizmor --offline --quiet --pedantic --strict-collection .github

format: $(VENV)/.synced ## Correct what ruff can by itself
	$(VENV)/bin/ruff check --fix-only .
	$(VENV)/bin/ruff format .

openapi: $(VENV)/.synced ## Write openapi.json and tests/events anew, from what the functions say
	$(VENV)/bin/python -m dev openapi

lint-openapi: client/node_modules/.package-lock.json ## Lint openapi.json
	$(NPM) --prefix client run --silent lint

client: client/node_modules/.package-lock.json ## Generate types for TypeScript, and compile an example with them
	$(NPM) --prefix client run --silent check

picture: ## Draw docs/architecture.svg anew
	@command -v "$(DOT)" >/dev/null || $(call give_up,Graphviz is missing: install the package graphviz.)
	$(DOT) -Tsvg docs/architecture.dot -o docs/architecture.svg

validate: $(SAM_VENV)/.installed ## Lint template.yaml
	$(SAM) validate --lint

# What SAM prints at the end would lead past parameters.yaml; what goes wrong it tells on stderr.
build: $(VENV)/.synced $(SAM_VENV)/.installed ## Build what is deployed, in the folder BUILD, for the ARCHITECTURE
	@test -n "$(DEPLOYED_PYTHON)" || echo "WARNING: $(NO_DEPLOYED_PYTHON), or cold starts will be slower."
	$(VENV)/bin/python -m dev.parameters "$(PARAMETERS)" $(ALL_PARAMETERS) $(ARCHITECTURE:%=--architecture %)
	$(SAM) build --build-dir "$(BUILD)" --parameter-overrides file://$(ALL_PARAMETERS) >/dev/null
	@echo "What can be deployed is in $(BUILD)."

smoke bench: export ARCHITECTURE := $(MACHINE)
smoke: deployed-python-needed build $(LAMBDA_VENV)/.installed ## Build, and run that in the emulator of Lambda's runtime
	$(EMULATED) $(VENV)/bin/python -m pytest tests/smoke

deploy-local: deployed-python-needed $(SAM_VENV)/.installed $(MINISTACK_VENV)/.installed ## Deploy to an emulator of AWS, change, fail, delete; KEEP=1 leaves it running
	MINISTACK_PYTHON="$(CURDIR)/$(MINISTACK_VENV)/bin/python" $(VENV)/bin/python -m pytest tests/deploy --exitfirst --verbose

bench: deployed-python-needed build $(LAMBDA_VENV)/.installed ## Measure; on a machine that does nothing else meanwhile
	$(BENCH_SYNC)
	$(EMULATED) $(BENCH_VENV)/bin/python -m dev.benchmark

capacity: deployed-python-needed $(VENV)/.synced ## Simulate what it carries, from what `make bench` has measured last
	$(BENCH_SYNC)
	$(BENCH_VENV)/bin/python -m dev.capacity

deploy: parameters-needed build ## Deploy with the parameters in parameters.yaml, which docs/runbook.md describes
	$(SAM) deploy --template-file "$(BUILD)/template.yaml" --config-file "$(CURDIR)/samconfig.toml" \
		--parameter-overrides file://$(ALL_PARAMETERS)

clean: ## Delete everything that these targets have made, local data included
	rm -rf .venv* .dev .aws-sam artifacts client/node_modules client/api.d.ts .hypothesis .mypy_cache .pytest_cache .ruff_cache

deployed-python: ## Say where the Python is that is deployed
	@echo "$(DEPLOYED_PYTHON)"

deployed-python-needed:
	@test -n "$(DEPLOYED_PYTHON)" || $(call give_up,$(NO_DEPLOYED_PYTHON).)

parameters-needed:
	@test -f "$(PARAMETERS)" || $(call give_up,There is no $(PARAMETERS): docs/runbook.md says what to write into it.)

# Called by `sam build` for each artifact, with the folder that it goes to.
build-%:
	$(VENV)/bin/python -m dev.build $* "$(ARTIFACTS_DIR)" --parameters $(ALL_PARAMETERS) \
		--python-version $(LAMBDA_PYTHON) --python "$(DEPLOYED_PYTHON)"

# A virtual environment knows where it is: in a checkout that has been moved all are made anew.
MADE_IN := $(shell cat $(VENV)/.serve-synced 2>/dev/null)
ifneq ($(filter-out $(CURDIR),$(MADE_IN)),)
$(info This checkout has been moved: what is installed in it is installed anew.)
$(shell rm -rf $(VENV) .venv-*)
endif

give_up = { echo "$(1)" >&2; exit 1; }
# What pip should install as uv, from uv.lock: the wheels of one version, by their hashes.
LOCKED_UV := import tomllib; lock = tomllib.load(open("uv.lock", "rb")); \
	uv = next(package for package in lock["package"] if package["name"] == "uv"); \
	print("uv==" + uv["version"], *("--hash=" + wheel["hash"] for wheel in uv["wheels"]))
BENCH_SYNC = UV_PROJECT_ENVIRONMENT=$(BENCH_VENV) $(UV) sync --frozen --quiet --group bench --python "$(DEPLOYED_PYTHON)"
# tool PYTHON,GROUP: a group of dev/tools in a virtual environment of its own.
tool = UV_PROJECT_ENVIRONMENT="$(CURDIR)/$(@D)" $(UV) sync --project dev/tools --frozen --quiet --only-group $(2) --python "$(1)" && touch $@

$(VENV)/.serve-synced: pyproject.toml uv.lock
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || $(call give_up,$(NO_PYTHON))
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || $(call give_up,$(NO_VENV))
	@echo "Installing what the API needs here into $(VENV), once."
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/python -c '$(LOCKED_UV)' | \
		$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement /dev/stdin
	@$(UV) sync --frozen --quiet --inexact --no-default-groups --group serve
	@echo "$(CURDIR)" > $@

$(VENV)/.synced: $(VENV)/.serve-synced
	@echo "Installing what else uv.lock names, for tests and tools."
	@$(UV) sync --frozen --quiet
	@touch $@

client/node_modules/.package-lock.json: client/package.json client/package-lock.json
	@command -v "$(NPM)" >/dev/null || $(call give_up,There is no $(NPM) here: install Node.js 20.19 or newer.)
	$(NPM) --prefix client ci --loglevel=error --no-audit --no-fund

$(SAM_VENV)/.installed: $(VENV)/.synced dev/tools/uv.lock
	$(call tool,$(VENV)/bin/python,sam)

$(LAMBDA_VENV)/.installed: $(VENV)/.synced dev/tools/uv.lock
	$(call tool,$(DEPLOYED_PYTHON),lambda)

$(MINISTACK_VENV)/.installed: $(VENV)/.synced dev/tools/uv.lock
	$(call tool,$(DEPLOYED_PYTHON),ministack)
