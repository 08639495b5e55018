# Every target is one line of what to run; `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
UV := $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)
RUN := $(UV) run --frozen
PYTEST := $(RUN) pytest

.PHONY: help setup check lint types layers unit test programs pure lives fuzz served faults chaos node stories bench cluster cluster-down kubeconfig kubectl demo demo-down crds format

help: ## Show what can be made
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  \033[1m%-14s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.synced ## Install uv (if missing) and the locked environment

.uv/bin/uv:
	@python3 -m venv .uv && .uv/bin/pip install --quiet uv

.venv/.synced: uv.lock pyproject.toml $(wildcard bentos/*/pyproject.toml) | $(filter .uv/bin/uv,$(UV))
	@$(UV) sync --quiet --frozen
	@touch $@

check: lint types layers unit ## Everything that is fast and needs no cluster

lint: setup ## Style: ruff's rules and formatting
	$(RUN) ruff check .
	$(RUN) ruff format --check .

types: setup ## mypy, strict
	$(RUN) mypy

layers: setup ## Imports point one way
	$(RUN) lint-imports

unit: setup ## Unit and golden tests, without those that take minutes
	$(PYTEST) -q -m "not heavy" tests/unit tests/golden

# Two at a time where they don't disturb each other; what needs the node has it for itself.
test: lint types layers programs ## Everything: also simulation, API-server and cluster tests; installs what is missing
	@$(MAKE) --no-print-directory --output-sync=line -j2 served pure lives faults
	@$(MAKE) --no-print-directory node

programs: setup ## Build the programs of the cluster into the cache (minutes, once)
	@$(RUN) python -m cluster build etcd kube containerd containerd-shim-runc-v2 ctr coredns prometheus promtool helm kwok pause >/dev/null

pure: setup ## Unit and golden tests, and the statistics by simulation
	$(PYTEST) tests/unit tests/golden tests/simulation

# PYTHONHASHSEED, so that a seed is the same life everywhere.
lives: setup ## Random lives of products on virtual time (SEED=7 for one, LIVES=200 for more)
	PYTHONHASHSEED=0 $(PYTEST) --numprocesses=2 tests/lives

fuzz: setup ## The same until you stop it; prints seeds, steps a second, and what fails, shrunk
	PYTHONHASHSEED=0 $(RUN) python -m tests.lives.fuzz

served: setup ## Against a real API server, Prometheus and BentoML, without a node
	$(PYTEST) tests/apiserver tests/benchmarks tests/prometheus tests/bentos

faults: setup ## Faults of the API server, Prometheus and the machine; outages of 45 seconds
	$(PYTEST) tests/chaos

chaos: setup ## The same with outages of five minutes
	$(PYTEST) --outage-seconds=300 tests/chaos

# They mostly wait: for blocks, for pods, for the truth. So four share the node and two cores.
ON_NODE := $(PYTEST) --numprocesses=4 --no-loadscope-reorder tests/cluster

node: programs ## On a real node, which is started if it doesn't run; several tests at a time
	$(ON_NODE)

stories: programs ## Of these, only the operator's long stories: drift, retraining, kills
	$(ON_NODE) -m story

SIZES ?= 50 500 1000 5000
bench: setup ## Measure the operator, its peers and the floor (hours), and write docs/benchmarks.md (SIZES="50 500")
	$(RUN) python -m benchmarks --sizes $(SIZES) $(if $(CONTENDERS),--contenders $(CONTENDERS))
	$(RUN) python -m benchmarks.report

cluster: setup ## A running Kubernetes with registry, gateway and Prometheus
	@$(RUN) python -m cluster up

cluster-down: setup ## Stop it and leave nothing behind
	@$(RUN) python -m cluster down

kubeconfig: setup ## Print the path of the cluster's kubeconfig (use `make -s kubeconfig`)
	@$(RUN) python -m cluster kubeconfig

kubectl: setup ## Print the path of a kubectl of the cluster's version (use `make -s kubectl`)
	@$(RUN) python -m cluster kubectl

demo: setup ## The whole story on a real cluster, live: a model decays, and heals itself
	@$(RUN) python -m cluster.demo

demo-down: setup ## Remove what `make demo` made
	@$(RUN) python -m cluster.demo down

# What `make demo` says to try: demo-break, demo-retrain, demo-history, demo-traffic.
demo-%: setup
	@$(RUN) python -m cluster.demo $*

crds: setup ## Write crds/ anew from the API types
	$(RUN) sluicegate crds
	$(RUN) sluicegate crds --directory charts/sluicegate/files/crds

format: setup ## Format the code and mend what ruff can mend
	$(RUN) ruff check --fix .
	$(RUN) ruff format .
