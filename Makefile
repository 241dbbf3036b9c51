# SPDX-License-Identifier: MIT
#
# The front door. On a fresh Debian or Ubuntu machine with `make`, as root or with sudo,
# `make run` and `make test` do everything from nothing: system packages, virtual environment, build.
# The work is in scripts/. PYTHON, VENV and BUILD move things: see scripts/lib.sh.

export PYTHON VENV BUILD

.PHONY: help run build test unit integration sanitize tsan fuzz chaos refleak pythons lint format \
	docs bench clean

help: ## what can be made
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

run: build ## build, then serve an example on http://127.0.0.1:8000
	@scripts/run

build: ## build, and install in .venv
	@scripts/bootstrap build
	@scripts/build install

test: ## build and run every test
	@scripts/bootstrap test refleak
	@scripts/test

unit: ## C tests
	@scripts/bootstrap test
	@scripts/test-unit plain

integration: ## integration tests
	@scripts/bootstrap test
	@scripts/test-integration plain

sanitize: ## C and integration tests under ASan and UBSan
	@scripts/bootstrap test
	@scripts/test-unit asan
	@scripts/test-integration asan

tsan: ## C tests under TSan
	@scripts/bootstrap test
	@scripts/test-unit tsan

fuzz: ## each fuzz target for 20 seconds (scripts/fuzz SECONDS TARGET for more)
	@scripts/bootstrap test
	@scripts/fuzz

chaos: ## 1,000 random operations on a server under load (tests/stress/chaos.py --help for more)
	@scripts/bootstrap test
	@scripts/test-chaos

refleak: ## N requests leave the reference count of a debug Python where it was
	@scripts/bootstrap test refleak
	@scripts/test-refleak

pythons: ## pip install with every Python from 3.10 on that is found
	@scripts/bootstrap build
	@scripts/check-pythons

lint: ## formatting, clang-tidy, layers, licence lines, ruff, mypy
	@scripts/bootstrap lint
	@scripts/lint

format: ## format the C and the Python files
	@scripts/bootstrap lint
	@scripts/format

docs: build ## write the settings reference and the stubs, made from settings.def
	@scripts/docs

bench: ## compare with other servers, side by side
	@scripts/bootstrap bench
	@scripts/bench

clean: ## remove what was built (.venv stays)
	rm -rf $(or $(BUILD),build)
