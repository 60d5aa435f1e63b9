# projectnil. `make run` starts the platform, `make test` tests it; both install what they need first.
SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin

.PHONY: setup run test check bench format lock clean

setup: ## install everything into this checkout
	@scripts/setup

run: setup ## install, then run the platform on http://127.0.0.1:8080
	@$(BIN)/pnil serve

test: setup ## install, then run every test on the real parts
	@$(BIN)/pytest

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
	rm -rf $(VENV) toolchains/*/node_modules
