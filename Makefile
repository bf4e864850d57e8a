# make run: set everything up and start the product. make test: set everything up and check everything.
# Needs Python >= 3.11 with pip, and make; nothing else, and no root.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9
STAMP := $(VENV)/.set-up
# One more than two cores: much of a test's time is waiting.
export WORKERS ?= 3
PYTEST = PYTEST=$(BIN)/pytest tests/run

# Every process would compile all that it imports, again and again: 5 seconds for each start of a program.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help run test test-postgres test-cluster test-disturbed set-up lint types laws unit golden openapi docs migration bench clean

help: ## Show this
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

run: set-up ## Set up, then start the whole product with demo data
	@$(BIN)/kovra dev $(ARGS)

test: set-up lint types laws unit ## Set up, then run everything: lint, types, contracts, all tests

set-up: $(STAMP) ## Make the virtual environment from the lock file

# Debian's Python has no ensurepip: the environment is made without pip, and filled from outside.
$(STAMP): uv.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python >= 3.11 is needed: put it on PATH or say make PYTHON=/path/to/python3"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv --without-pip $(VENV)
	@$(BIN)/python -c 'import uv' 2>/dev/null || $(PYTHON) -m pip --python $(BIN)/python install --quiet uv==$(UV_VERSION)
	@UV_PROJECT_ENVIRONMENT=$(VENV) $(BIN)/uv sync --quiet --frozen --extra embedded --inexact
	@touch $(STAMP)

lint: set-up ## Style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: set-up ## Strict types
	$(BIN)/mypy

laws: set-up ## Who may import whom
	$(BIN)/lint-imports

unit: set-up ## All tests, in parallel; then what uses a database again, on policies that raise when no tenant is set
	$(PYTEST) $(ARGS)
	KOVRA_TEST_RAISING_POLICIES=1 $(PYTEST) -q $(ARGS)

test-postgres: TESTS ?= tests/laws tests/foundation tests/features tests/journeys --ignore tests/journeys/test_tour.py
test-postgres: set-up ## What uses the database, on another PostgreSQL (15 or newer): KOVRA_PG_BIN names its programs
	@test -x "$$KOVRA_PG_BIN/postgres" || { echo "set KOVRA_PG_BIN to the folder of initdb and postgres, such as /usr/lib/postgresql/15/bin"; exit 2; }
	@"$$KOVRA_PG_BIN/postgres" --version
	$(PYTEST) -q $(TESTS) $(ARGS)

test-cluster: set-up ## Tests on real Kubernetes: KOVRA_TEST_KUBECONFIG or KUBEBUILDER_ASSETS, and KOVRA_TEST_REGISTRY
	@test -n "$$KOVRA_TEST_KUBECONFIG$$KUBEBUILDER_ASSETS" || { echo "set KOVRA_TEST_KUBECONFIG (a cluster for tests) or KUBEBUILDER_ASSETS (etcd, kube-apiserver); see CONTRIBUTING.md"; exit 2; }
	$(PYTEST) -m "(cluster or node) and not disturbing" $(ARGS)

test-disturbed: set-up ## Verdicts on a node that is drained, stopped and cut off meanwhile; by hand, needs it alone
	@test -n "$$KOVRA_TEST_KUBECONFIG" -a -n "$$KOVRA_TEST_REGISTRY" || { echo "set KOVRA_TEST_KUBECONFIG and KOVRA_TEST_REGISTRY; see CONTRIBUTING.md"; exit 2; }
	$(BIN)/pytest -n0 -m disturbing $(ARGS)

golden: set-up ## Write the golden manifests and generated documents anew; read the diff
	KOVRA_UPDATE_GOLDEN=1 $(BIN)/pytest -n0 tests/adapters/cluster/test_manifests.py tests/adapters/cluster/test_streamer_rights.py tests/adapters/cluster/test_worker_manifests.py tests/adapters/cluster/contract/test_verdicts.py tests/laws/test_documents.py tests/laws/test_reference_pages.py tests/laws/test_api_pages.py::test_every_operation_stands_in_the_page_of_its_tag

openapi: set-up ## Print the description of the API
	@$(BIN)/kovra openapi

docs: set-up ## Build the site of docs/ into site/; whatever is wrong with it ends this
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build -f docs/website/mkdocs.yml

migration: set-up ## A new migration: make migration NAME="add something"
	$(BIN)/alembic revision -m "$(NAME)"

bench: set-up ## Measure the request path against its references
	$(BIN)/python -m bench.run

clean: ## Remove the environment and the development data
	@for place in .kovra/postgres/place .kovra-cluster/postgres/place; do test ! -f $$place || rm -rf -- "$$(cat $$place)"; done
	rm -rf $(VENV) .kovra .kovra-cluster
