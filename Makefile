# Every target does its own set-up: Debian packages, the virtual environment, the BPF objects.
VENV    := .venv
PY      := $(VENV)/bin/python
CLANG   ?= clang-14
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: help setup venv bpf demo test bench check docs record fuzz wheel clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

$(VENV)/.ready: requirements.lock tools/setup.sh pyproject.toml
	@tools/setup.sh $(VENV)

setup: $(VENV)/.ready bpf ## install what is missing and build
venv: $(VENV)/.ready

bpf: $(VENV)/.ready ## compile the datapath
	@$(MAKE) --no-print-directory -C bpf CLANG=$(CLANG)

demo: setup ## the main job end to end, with a readable result
	@tools/need-root.sh demo
	@$(PY) -m telco lab run demo

test: setup ## every test; parts that need root or User-Mode Linux say so
	@tools/need-root.sh test
	@$(PY) -m pytest

bench: setup ## measure, write bench/RESULTS.md and bench/results.json
	@tools/need-root.sh bench
	@$(PY) -m bench

check: setup ## lint, types, formats
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@clang-format-14 --dry-run --Werror bpf/*.c bpf/*.h
	@$(PY) tools/check_lock.py
	@PYTHONPATH=. $(PY) tools/policy_docs.py --check

docs: setup ## write docs/policy.md from the models
	@PYTHONPATH=. $(PY) tools/policy_docs.py

record: setup ## write what tests compare with: the verifier's figures, the layouts of pinned maps
	@tools/need-root.sh record
	@PYTHONPATH=. $(PY) -m tests.datapath.baseline

fuzz: setup ## the long forms of the fuzz and oracle tests
	@tools/need-root.sh fuzz
	@FUZZ=long $(PY) -m pytest tests/fuzz tests/oracle

wheel: setup ## dist/*.whl with the compiled BPF objects inside
	@$(PY) -m build --wheel --no-isolation

clean: ## remove everything that was built
	@$(MAKE) --no-print-directory -C bpf clean
	@rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
