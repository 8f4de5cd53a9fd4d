# Every target does its own set-up: system packages, the virtual environment, the BPF objects.
VENV    := .venv
PY      := $(VENV)/bin/python
CLANG   ?= clang-14
CLANG_FORMAT ?= $(subst clang,clang-format,$(CLANG))
PATH    := $(CURDIR)/$(VENV)/bin:$(PATH)
export CLANG CLANG_FORMAT PATH

.PHONY: help setup venv bpf demo test bench check docs record fuzz wheel clean
.NOTPARALLEL:

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

setup: venv bpf ## install what is missing and build
venv:
	@tools/setup.sh $(VENV)

bpf: venv ## compile the datapath
	@$(MAKE) -s --no-print-directory -C bpf

need-%:
	@tools/need.sh $*

demo: need-demo setup ## the main job end to end, with a readable result
	@$(PY) -m telco lab run demo

test: need-test setup ## every test, on real kernel SCTP in User-Mode Linux where it takes that
	@$(PY) -m pytest

bench: need-bench setup ## measure, write bench/RESULTS.md and bench/results.json
	@$(PY) -m bench

check: setup ## lint, types, formats
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(CLANG_FORMAT) --dry-run --Werror bpf/*.c bpf/*.h
	@$(PY) tools/check_lock.py
	@PYTHONPATH=. $(PY) tools/policy_docs.py --check

docs: setup ## write docs/policy.md from the models
	@PYTHONPATH=. $(PY) tools/policy_docs.py

record: need-record setup ## write what tests compare with: the verifier's figures, the layouts of pinned maps
	@PYTHONPATH=. $(PY) -m tests.datapath.baseline

fuzz: need-fuzz setup ## the long forms of the fuzz and oracle tests
	@FUZZ=long $(PY) -m pytest tests/fuzz tests/oracle

wheel: setup ## dist/*.whl with the compiled BPF objects inside
	@$(PY) -m build --wheel --no-isolation

clean: ## remove everything that was built
	@$(MAKE) --no-print-directory -C bpf clean
	@rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
