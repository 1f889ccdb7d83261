# `make` explains what there is. Nothing here needs more than Python >= 3.11, git and make; Go >= 1.26 adds the real
# Kubernetes control plane to `make test`, and makes `make conformance API=real` and `make bench` possible.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
STAMP := $(VENV)/.installed
PACKAGES := $(foreach package,shared kubeapi source_controller kustomize_controller helm_controller \
	notification_controller image_automation fluvial,$(if $(wildcard $(package)/__init__.py),-p $(package)))

# What the tests run or compare with; the rest of the tools is built on demand.
TEST_TOOLS := etcd kube-apiserver kube-controller-manager kube-scheduler kwok kustomize crane flux kubectl helm sops age age-keygen nats-server

API ?= embedded
CASES ?=
ARGS ?=
WORKERS ?= 2
REAL ?= yes
N ?= 100

.PHONY: help install test lint types tools demo conformance bench bench-full crds clean

help:
	@echo 'Fluvial: make the cluster what Git says.'
	@echo
	@echo '  make demo                    see it work: an embedded Kubernetes API, a Git repository, a story (Ctrl-C ends it)'
	@echo '  make demo ARGS=--once        play the story and exit'
	@echo '  make install                 a virtual environment in $(VENV) with the commands fluvial, source-controller, ...'
	@echo
	@echo '  make test                    all checks and tests; sets itself up; WORKERS=4 and ARGS="-k prune" are passed on'
	@echo '       REAL=no                 without the real control plane, even where it is built'
	@echo '  make lint                    style, types, import contracts, generated CRDs'
	@echo '  make crds                    write deploy/crds from the types in shared/api'
	@echo '  make tools                   build the real control plane and its companions (Go >= 1.26, ten minutes once)'
	@echo
	@echo '  make conformance             the black-box suite in ../shared (or $$FLUVIAL_SHARED) against these controllers'
	@echo '       CASES=cases/source      only these cases          ARGS="-k prune"   more options for pytest'
	@echo '       API=embedded|real|FILE  on which API server: a fresh one of either kind, or that of a kubeconfig'
	@echo '  make bench                   $(N) applications of four objects beside the floor; builds beside kustomize; the embedded'
	@echo '                               API beside a real one (needs Go once)'
	@echo '  make bench-full              the same with 1000, three times, and then 5000 beside that (hours)'
	@echo
	@echo '  make clean                   remove what make made in this folder (built Go tools stay in ~/.cache/fluvial)'

install: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'Python 3.11 or newer is needed: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)'; exit 1; }
	@[ -x $(RUN) ] || $(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); echo 'No virtual environment can be made: install the package python3-venv'; exit 1; }
	@echo 'installing what requirements.lock pins into $(VENV)'
	@$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

demo: install
	@$(RUN) -m fluvial demo $(ARGS)

lint: install
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check --quiet . || { $(RUN) -m ruff format --check .; exit 1; }
	@$(RUN) -m mypy --strict $(PACKAGES)
	@$(VENV)/bin/lint-imports --no-cache
	@$(RUN) -m shared.api.crd --check deploy/crds

# Status 2 means that there is no Go: what needs it is then skipped, and says so.
tools: install
	@$(RUN) -m tests.upstream.controlplane.build --only $(TEST_TOOLS) || [ $$? = 2 ]
	@$(RUN) -m tests.kit.azurite

test: install lint $(if $(filter yes,$(REAL)),tools)
	@FLUVIAL_REAL=$(REAL) $(RUN) -m pytest -p tests.kit.report -n $(WORKERS) --dist loadfile $(ARGS)

crds: install
	@$(RUN) -m shared.api.crd deploy/crds

conformance: install
	@[ '$(API)' != real ] || $(RUN) -m tests.upstream.controlplane.build --only $(TEST_TOOLS)
	@$(RUN) -m tests.kit.conformance --api '$(API)' $(CASES) -- $(ARGS)

bench: install
	@$(RUN) -m tests.upstream.controlplane.build --only $(TEST_TOOLS)
	@$(RUN) -m tests.bench $(N) $(ARGS)
	@$(RUN) -m tests.bench.monorepo $(N)
	@$(RUN) -m tests.bench.kustomize || [ $$? = 1 ]  # 1: a target was missed, as its table says
	@$(RUN) -m tests.bench.sources $(N)
	@$(RUN) -m tests.bench.notifications
	@$(RUN) -m tests.bench.kubeapi

bench-full: install
	@mkdir -p build
	@$(MAKE) bench N=1000 ARGS='--runs 3 --json build/bench-1000.json'
	@$(RUN) -m tests.bench 5000 --beside build/bench-1000.json --json build/bench-5000.json
	@$(RUN) -m tests.bench.shards 500
	@$(RUN) -m tests.bench.handover 1000
	@$(RUN) -m tests.bench.webhooks --api real --senders 8

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
