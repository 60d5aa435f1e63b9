# projectnil. `make run` starts the platform, `make test` tests it; both install what they need first.
SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
# More than the cores: many tests wait for processes to start and stop.
TEST_PROCESSES := $(shell echo $$(($$(nproc) + 1)))

.PHONY: setup run test test-deploy check bench format lock clean

setup: ## install everything into this checkout
	@scripts/setup

run: setup ## install, then run the platform on http://127.0.0.1:8080
	@$(BIN)/pnil serve

test: setup ## install, then run every test on the real parts
	@$(BIN)/pytest -n $(TEST_PROCESSES) --dist worksteal

test-deploy: setup ## test the way to a production host: images, Ansible, compose, Liquibase; needs root and Podman
	@scripts/setup-deploy tests
	@$(BIN)/pytest -x deploy/tests

check: setup ## format, lint, types, import contracts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: setup ## install, then measure; the results go to bench/results
	@$(BIN)/python -m bench

format: setup ## rewrite the code to the house's format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock: setup ## choose new versions of every dependency
	@scripts/lock

clean: ## remove what setup installed; data is left alone
	rm -rf $(VENV) .venv-deploy toolchains/*/node_modules deploy/tests/liquibase/node_modules deploy/dist
