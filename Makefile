# Every target is one line of what to run; `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
UV := $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)
RUN := $(UV) run --frozen
PYTEST := $(RUN) pytest

# A run starts some hundred processes; none of them is to compile every module anew.
unexport PYTHONDONTWRITEBYTECODE

# A tier of `make test`: what it reports is told once more when all of them have ended.
TIER = $(PYTEST) $(WHOLE) --report-to .tiers/$@.jsonl

.PHONY: help setup quick check lint workflows types layers unit test test-all bars verify verify-canaries verify-degradation verify-bentos verify-cluster programs pure lives fuzz bentos prometheus apiserver benchmarks chaos node stories kind mutants coverage bench drift cluster cluster-down kubeconfig kubectl images release-notes docs demo demo-down demo-web portfolio crds constraints format

help: ## Show what can be made
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  \033[1m%-14s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.synced ## Install uv (if missing) and the locked environment

.uv/bin/uv:
	@python3 -m venv .uv && .uv/bin/pip install --quiet uv

.venv/.synced: uv.lock pyproject.toml $(wildcard bentos/*/pyproject.toml) | $(filter .uv/bin/uv,$(UV))
	@$(UV) sync --quiet --frozen
	@touch $@

quick: setup ## What one runs before each commit: style, and the tests of a minute
	$(RUN) ruff check --quiet .
	$(PYTEST) -q --numprocesses=2 --hypothesis-profile=quick -m "not heavy and not slow" tests/unit tests/golden

check: lint types layers unit ## Everything that is fast and needs no cluster

lint: setup ## Style: ruff's rules and formatting; no code that nothing uses
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) vulture

workflows: setup ## The workflows of .github, by actionlint (built from its Go module)
	@"$$($(RUN) python -m cluster build actionlint)" -color .github/workflows/*.yml

types: setup ## mypy, strict
	$(RUN) mypy

layers: setup ## Imports point one way
	$(RUN) lint-imports

unit: setup ## Unit and golden tests, without those that take minutes
	$(PYTEST) -q --numprocesses=2 -m "not heavy" tests/unit tests/golden

# Two lanes: what computes, and what waits (for clocks, pods, leases). What a change elsewhere can't
# break is left out while it is as when all of it passed: tests/support/runs/verified.py.
COMPUTING := lint types layers pure lives bentos benchmarks prometheus
WAITING := programs workflows chaos node apiserver
LANE = $(MAKE) --no-print-directory --keep-going WHOLE=$(WHOLE)

test: setup ## Everything that this checkout needs, also on a real cluster; installs what is missing
	@$(PYTEST) $(WHOLE) --lane "$(LANE) $(COMPUTING)" --lane "$(LANE) $(WAITING)"

test-all: setup ## Everything, nothing left out; then the bars (an hour and more)
	@$(MAKE) --no-print-directory test WHOLE=--whole
	@$(MAKE) --no-print-directory bars

bars: programs ## How long takeover, recovery and stop take, alone on the machine
	$(PYTEST) --bars --whole -m bar tests/chaos tests/apiserver tests/node tests/benchmarks

verify: verify-canaries verify-degradation verify-bentos verify-cluster ## Whole suites; writes on which content they passed

verify-canaries: setup
	$(PYTEST) --record-verified --numprocesses=2 tests/simulation/test_canary_bars.py tests/simulation/test_compare_table.py tests/simulation/test_label_bars.py

verify-degradation: setup
	$(PYTEST) --record-verified --numprocesses=2 tests/simulation/test_degradation.py

verify-bentos: setup
	$(PYTEST) --record-verified tests/bentos

verify-cluster: programs
	$(PYTEST) --record-verified --numprocesses=4 tests/node/cluster tests/apiserver/test_control_plane.py tests/unit/cluster

programs: setup ## Build the programs of the cluster into the cache (minutes, once)
	@$(RUN) python -m cluster build etcd kube containerd containerd-shim-runc-v2 ctr coredns prometheus promtool helm kwok metrics-server pause >/dev/null

pure: setup ## Unit and golden tests, and the statistics by simulation
	$(TIER) --numprocesses=2 tests/unit tests/golden tests/simulation

# PYTHONHASHSEED, so that a seed is the same life everywhere.
lives: setup ## Random lives of products on virtual time (SEED=7 for one, LIVES=200 for more)
	PYTHONHASHSEED=0 $(TIER) --numprocesses=2 tests/lives

fuzz: setup ## The same until you stop it; prints seeds, steps a second, and what fails, shrunk
	PYTHONHASHSEED=0 $(RUN) python -m tests.lives.fuzz

bentos: setup ## The sample products, trained and served by BentoML
	$(TIER) tests/bentos

prometheus: programs ## What is counted, against a real Prometheus
	$(TIER) tests/prometheus

apiserver: programs ## Against a real API server, without a node
	$(TIER) --numprocesses=2 tests/apiserver

benchmarks: programs ## What the operator may write and ask, exactly
	$(TIER) --numprocesses=2 tests/benchmarks

chaos: programs ## Faults between real processes; the long ones are told on virtual time, in tests/unit/virtual
	$(TIER) --numprocesses=3 --dist loadfile tests/chaos

# They mostly wait: for blocks, for pods, for the truth. So four share the node and two cores.
ON_NODE = $(TIER) --numprocesses=4 tests/node

node: programs ## On a real node, which is started if it doesn't run; several tests at a time
	$(ON_NODE)

stories: programs ## Of these, only the operator's long stories: drift, retraining, kills
	$(ON_NODE) -m story

kind: setup ## Kind on an engine and a node image of its own, without a registry (Debian, root; minutes)
	$(RUN) python -m tests.kind

# All named mutants, or MUTANTS="R17 P28"; COUNT=40 SEED=1 draws others in addition, of all
# packages or of those in WHERE="policy kube".
mutants: setup ## Change the code a little, place by place, and see whether a test notices (half an hour)
	$(RUN) python -m tests.mutants $(MUTANTS) --count $(or $(COUNT),0) --seed $(or $(SEED),1) --workers $(or $(WORKERS),2) $(if $(WHERE),--where $(WHERE))

# What is traced is those packages alone; to trace all costs three times the tests.
DECIDING := 'reconcile/*' 'policy/*' 'runtime/leader_election.py'
TRACED := $(addprefix --cov=operator/sluicegate/,reconcile policy runtime)
coverage: setup ## How much of what decides the tests of `make unit` execute: 95 % each, by branches
	$(PYTEST) -q --numprocesses=2 -m "not heavy" $(TRACED) --cov-branch --cov-report= tests/unit tests/golden
	@failed=0; for each in $(DECIDING); do \
	  $(RUN) coverage report --skip-covered --fail-under=95 --include="operator/sluicegate/$$each" || failed=1; \
	done; exit $$failed

SIZES ?= 50 500 1000 5000
drift: setup ## Streams that drift under our decisions, beside river's detectors (minutes; FOLDER= with Elec2 and SEA)
	$(RUN) --group benchmarks python -m benchmarks.drift $(if $(FOLDER),--folder $(FOLDER)) --output docs/drift.json
	$(RUN) --group benchmarks python -m benchmarks.drift.report

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
	@$(RUN) python -m demo

demo-down: setup ## Remove what `make demo` made
	@$(RUN) python -m demo down

demo-web: setup ## All products of the cluster on a page, in your browser (until Ctrl-C)
	@KUBECONFIG="$$($(RUN) python -m cluster kubeconfig)" $(RUN) sluicegate web

# What `make demo` says to try: demo-break, demo-retrain, demo-country, demo-history, demo-traffic.
demo-%: setup
	@$(RUN) python -m demo $*

portfolio: setup ## 47 products on a real API server, and a market shift to watch; pods hold no containers (until Ctrl-C)
	@$(RUN) python -m demo.portfolio_run

images: setup ## Build the images of the operator and the runtime, and push them (REGISTRY=registry.example/sluicegate)
	@$(RUN) python -m cluster image operator runtime --push $(or $(REGISTRY),$(error say where to: REGISTRY=registry.example/sluicegate))

docs: setup ## The site, into site/; a broken link fails
	@$(RUN) python -m docs.site.build site

release-notes: setup ## What the changelog says of VERSION; fails where packages, chart or changelog aren't at it
	@$(RUN) python .ci/release_notes.py $(VERSION)

crds: setup ## Write crds/ anew from the API types
	$(RUN) sluicegate crds
	$(RUN) sluicegate crds --directory charts/sluicegate/files/crds

constraints: setup ## Write the runtime's constraints anew from the lock file
	@{ echo "# Packages of the runtime image (Python 3.11), for: uv pip install -c, pip install -c. Written by"; \
	  echo "# \`make constraints\` from uv.lock."; \
	  $(UV) export --frozen --quiet --only-group=serving --no-hashes --no-annotate --no-header --no-emit-workspace; \
	  echo "sluicegate-service==0.1.0"; echo "used-car-market==0.1.0"; } > bentos/service/src/sluicegate_service/runtime_constraints.txt

format: setup ## Format the code and mend what ruff can mend
	$(RUN) ruff check --fix .
	$(RUN) ruff format .
