# Every target is one line of what to run; `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
UV := $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)
RUN := $(UV) run --frozen
PYTEST := $(RUN) pytest

# A run starts some hundred processes; none of them is to compile every module anew.
unexport PYTHONDONTWRITEBYTECODE

# Older versions of make, such as that of macOS, don't sort what jobs print.
JOBS := --jobs=2 $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)

# A tier of `make test`: what it reports is told once more when all of them have ended.
TIER = $(PYTEST) $(WHOLE) --report-to .tiers/$@.jsonl

.PHONY: help setup quick check lint workflows types layers unit test test-all bars verify verify-canaries verify-degradation verify-consumers verify-bentos verify-cluster programs counts pure lives fuzz fuzz-inputs latency bentos prometheus apiserver benchmarks chaos node stories kind gitops skew signatures queues mutants coverage bench drift cluster cluster-down kubeconfig kubectl images changelog release-notes docs demo demo-down demo-web portfolio crds constraints format

help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  \033[1m%-14s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.synced ## Install uv (if missing) and the locked environment

.uv/bin/uv:
	@python3 -m venv .uv && .uv/bin/pip install --quiet uv

# The import compiles them once, for processes that must not write bytecode (trainings, and all tests where
# PYTHONDONTWRITEBYTECODE is set): each of these would compile them again. `uv sync --compile-bytecode` takes
# four times as long, as it compiles what is never imported.
LIBRARIES := bentoml, hypothesis, pandas, pytest, scipy.stats, sklearn.ensemble, sluicegate.wiring, statsmodels.api, xdist.plugin

.venv/.synced: uv.lock pyproject.toml cluster/pyproject.toml $(wildcard bentos/*/pyproject.toml) | $(filter .uv/bin/uv,$(UV))
	@$(UV) sync --quiet --frozen
	@$(RUN) python -c "import $(LIBRARIES)"
	@touch $@

quick: setup ## Before each commit: style, and the tests of a minute
	$(RUN) ruff check --quiet .
	$(PYTEST) -q --numprocesses=2 --hypothesis-profile=quick -m "not heavy and not slow" tests/unit tests/golden

check: setup ## All fast checks that need no cluster
	@$(MAKE) --no-print-directory $(JOBS) lint types layers
	@$(MAKE) --no-print-directory unit

lint: setup ## Style: ruff's rules and formatting; no unused code (vulture)
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) vulture

workflows: setup ## Check the workflows of .github with actionlint (built from its Go module)
	@"$$($(RUN) python -m cluster build actionlint)" -color .github/workflows/*.yml

types: setup ## mypy, strict
	$(RUN) mypy

layers: setup ## Import contracts (import-linter)
	$(RUN) lint-imports

unit: setup ## Unit and golden tests, except those marked heavy
	$(PYTEST) -q --numprocesses=2 -m "not heavy" tests/unit tests/golden

# Two lanes: what computes, and what waits (for clocks, pods, leases). What a change elsewhere can't
# break is left out while it is as when all of it passed: tests/support/runs/verified.py.
COMPUTING := lint types layers pure lives bentos counts
WAITING := programs workflows chaos node apiserver
LANE = $(MAKE) --no-print-directory --keep-going WHOLE=$(WHOLE)

test: setup ## All tests that this checkout needs, also on a real cluster; installs missing tools
	@$(PYTEST) $(WHOLE) --lane "$(LANE) $(COMPUTING)" --lane "$(LANE) $(WAITING)"

test-all: setup ## All tests without exception, then the bars (an hour and more)
	@$(MAKE) --no-print-directory test WHOLE=--whole
	@$(MAKE) --no-print-directory bars

bars: programs ## Durations of takeover, recovery and stop, alone on the machine
	$(PYTEST) --bars --whole -m bar tests/chaos tests/apiserver tests/node tests/benchmarks

verify: verify-canaries verify-degradation verify-consumers verify-bentos verify-cluster ## Run whole suites, and record the content with which they passed

verify-canaries: setup
	$(PYTEST) --record-verified --numprocesses=2 tests/simulation/test_canary_bars.py tests/simulation/test_compare_table.py tests/simulation/test_label_bars.py tests/simulation/test_label_delay_bars.py tests/simulation/test_shadow_bars.py

verify-degradation: setup
	$(PYTEST) --record-verified --numprocesses=2 tests/simulation/test_degradation.py tests/simulation/test_market_bars.py tests/simulation/test_noise_bars.py

verify-consumers: setup
	$(PYTEST) --record-verified --numprocesses=2 tests/simulation/test_consumer_bars.py tests/simulation/test_upstream_evidence_bars.py

verify-bentos: setup
	$(PYTEST) --record-verified tests/bentos

verify-cluster: programs
	$(PYTEST) --record-verified --numprocesses=4 tests/node/cluster tests/apiserver/test_control_plane.py

# Both wait more than they compute, and share nothing.
counts:
	@$(MAKE) --no-print-directory $(JOBS) benchmarks prometheus

programs: setup ## Build the programs of the cluster into the cache (minutes, once)
	@$(RUN) python -m cluster build etcd kube containerd containerd-shim-runc-v2 ctr coredns prometheus promtool alertmanager helm kwok metrics-server oauth2-proxy mockoidc pause >/dev/null

pure: setup ## Unit and golden tests, and the statistics by simulation
	$(TIER) --numprocesses=2 tests/unit tests/golden tests/simulation

# PYTHONHASHSEED, so that a seed is the same life everywhere.
lives: setup ## Random histories of products on virtual time (SEED=7 for one, LIVES=200 for more, WIDE=1 for the whole spec)
	PYTHONHASHSEED=0 $(TIER) --numprocesses=2 tests/lives

fuzz: setup ## The same with the whole spec, until you stop it or after STEPS=1000000 (WORKERS=2, WIDE=0); KIND=canaries, years, histories, upstreams, releases, consumers or faults: COUNT lives with truth
	PYTHONHASHSEED=0 $(RUN) python -m tests.lives.fuzz

fuzz-inputs: setup ## Random objects and archives, and malformed requests to each server: COUNT=100000 of the first two, a tenth of the last
	$(RUN) python -m tests.support.fuzz

latency: programs ## What all admission policies take of an update: pairs of updates, alternating; fails above 2 ms at p50
	$(RUN) python -m benchmarks.policies

bentos: setup ## Train and serve the sample products with BentoML
	$(TIER) tests/bentos

prometheus: programs ## Counts and rules, against a real Prometheus
	$(TIER) --numprocesses=2 tests/prometheus

apiserver: programs ## Tests against a real API server, without a node
	$(TIER) --numprocesses=3 tests/apiserver

benchmarks: programs ## Exact numbers of writes and requests of the operator
	$(TIER) --numprocesses=2 tests/benchmarks

chaos: programs ## Faults between real processes; tests/unit/virtual has the long ones, on virtual time
	$(TIER) --numprocesses=3 --dist loadfile tests/chaos

# They mostly wait: for blocks, for pods, for the truth. So four share the node and two cores.
ON_NODE = $(TIER) --numprocesses=4 -m "not gitops" tests/node

node: programs ## Tests on a real node, which is started if necessary; several at a time
	$(ON_NODE)

stories: programs ## Only the long node tests of the operator: drift, retraining, autoscaling
	$(ON_NODE) -m story

kind: setup ## Tests on kind with its own engine and node image, without a registry (Debian, root; minutes)
	$(RUN) python -m tests.kind

# Out of `make test` for its build: three programs of 1,700 packages and more each, which nothing else needs.
gitops: programs ## Flux and Argo CD, built from their modules, reconcile products on an API server and on a node (needs redis-server; builds for minutes, once)
	@$(RUN) python -m cluster build source-controller kustomize-controller argo-cd >/dev/null
	$(TIER) --numprocesses=2 tests/gitops tests/node/operator/test_gitops.py

# Out of `make test` as it needs the history of the repository, and minutes.
skew: programs ## The last release and this one in turns on an API server, each with its CRDs; a restored etcd (SKEW_FROM=v1.2.3 for another release)
	$(TIER) tests/skew

# Out of `make test` for its build: a program of 1,500 packages, which nothing else needs.
signatures: setup ## cosign, built from its module, verifies what `pack` signs; so does the image verifier of docs/own-model.md
	@$(RUN) python -m cluster build cosign >/dev/null
	$(TIER) tests/signatures

# Out of `make test` for its build: 1,500 packages that nothing else needs, in versions of their own.
queues: programs ## Kueue admits and pre-empts trainings, and trainings start TrainJobs of Kubeflow Trainer, on a real API server (builds both from their modules for minutes, once)
	@$(RUN) python -m cluster build kueue trainer >/dev/null
	$(TIER) tests/queues

# All named mutants, or MUTANTS="R17 P28"; COUNT=40 SEED=1 draws others in addition, of all
# packages or of those in WHERE="policy kube".
mutants: setup ## Mutation tests: change single places, and check that a test fails (minutes)
	$(RUN) python -m tests.mutants $(MUTANTS) --count $(or $(COUNT),0) --seed $(or $(SEED),1) --workers $(or $(WORKERS),2) $(if $(WHERE),--where $(WHERE))

# What is traced is those packages alone; to trace all costs three times the tests.
DECIDING := 'reconcile/*' 'policy/*' 'runtime/leader_election.py'
TRACED := $(addprefix --cov=operator/sluicegate/,reconcile policy runtime)
coverage: setup ## Branch coverage of decisions by the tests of `make unit`: 95 % each
	$(PYTEST) -q --numprocesses=2 -m "not heavy" $(TRACED) --cov-branch --cov-report= tests/unit tests/golden
	@failed=0; for each in $(DECIDING); do \
	  $(RUN) coverage report --skip-covered --fail-under=95 --include="operator/sluicegate/$$each" || failed=1; \
	done; exit $$failed

SIZES ?= 50 500 1000 5000
drift: setup ## Measure the whole operator on streams that drift, beside river's detectors (half an hour on two cores; FOLDER= with Elec2, SEA and volumes)
	$(RUN) --group benchmarks python -m benchmarks.drift --generated $(if $(FOLDER),--folder $(FOLDER) --volumes) --output docs/drift.json
	$(RUN) --group benchmarks python -m benchmarks.drift.report

bench: setup ## Measure the operator, its peers and a bare client (hours), and write docs/benchmarks.md; then page, messenger and a served bento (SIZES="50 500")
	$(RUN) python -m benchmarks --sizes $(SIZES) $(if $(CONTENDERS),--contenders $(CONTENDERS))
	$(RUN) python -m benchmarks.report
	$(RUN) python -m benchmarks.web --products 500 5000
	$(RUN) python -m benchmarks.notify --products 500 5000
	$(RUN) python -m benchmarks.serving

cluster: setup ## Start a Kubernetes with registry, gateway and Prometheus
	@$(RUN) python -m cluster up

cluster-down: setup ## Stop it and remove it completely
	@$(RUN) python -m cluster down

kubeconfig: setup ## Print the path of the cluster's kubeconfig (use `make -s kubeconfig`)
	@$(RUN) python -m cluster kubeconfig

kubectl: setup ## Print the path of a kubectl of the cluster's version (use `make -s kubectl`)
	@$(RUN) python -m cluster kubectl

demo: setup ## The demonstration on a real cluster, live: a model decays and is retrained
	@$(RUN) python -m demo

demo-down: setup ## Remove the objects of `make demo`
	@$(RUN) python -m demo down

demo-web: setup ## Show all products of the cluster in your browser (until Ctrl-C)
	@file="$$($(RUN) python -m cluster kubeconfig)"; \
	if [ ! -f "$$file" ]; then echo "error: there is no cluster yet: run \`make demo\`" >&2; exit 1; fi; \
	KUBECONFIG="$$file" $(RUN) sluicegate web

demo-break: ## Push a worse model of the demonstration, and see it rolled back
demo-retrain: ## Request a retraining in the demonstration, and see its canary
demo-country: ## Let cars become cheaper in one country, and see where the product is bad
demo-consumer: ## Release a pricing that is worse for search-ranking, and see it rolled back
demo-history: ## Show the versions of both products of the demonstration
demo-traffic: ## Send the traffic of the demonstration until Ctrl-C
demo-%: setup
	@$(RUN) python -m demo $*

portfolio: setup ## 47 products on a real API server with a market shift; pods without containers (until Ctrl-C)
	@$(RUN) python -m demo.portfolio_run

images: setup ## Build and push the images of the operator and the runtime (REGISTRY=registry.example/sluicegate)
	@$(RUN) python -m cluster image operator runtime --push $(or $(REGISTRY),$(error say where to: REGISTRY=registry.example/sluicegate))

docs: setup ## Build the site, in site/; fails on a broken link
	@$(RUN) python -m docs.site.build site

changelog: setup ## Move Unreleased and the fragments of changelog.d/ into the section of VERSION
	@$(RUN) towncrier build --yes --version $(or $(VERSION),$(error say which: VERSION=1.2.3))

release-notes: setup ## Print the changelog of VERSION; fails if packages, chart or changelog have another version
	@$(RUN) python .ci/release_notes.py $(VERSION)

crds: setup ## Generate crds/ from the API types, the types of pods, and the chart's schema of settings
	$(RUN) python .ci/pod_fields.py
	$(RUN) python .ci/chart_schema.py
	$(RUN) sluicegate crds
	$(RUN) sluicegate crds --directory charts/sluicegate/files/crds

constraints: setup ## Generate the runtime's constraints from the lock file
	@{ echo "# Packages of the runtime images (Python 3.11 to 3.13), for: uv pip install -c, pip install -c. Written by"; \
	  echo "# \`make constraints\` from uv.lock."; \
	  $(UV) export --frozen --quiet --only-group=serving --no-hashes --no-annotate --no-header --no-emit-workspace; \
	  echo "sluicegate-service==0.1.0"; echo "used-car-market==0.1.0"; } > bentos/service/src/sluicegate_service/runtime_constraints.txt

format: setup ## Format the code and apply ruff's fixes
	$(RUN) ruff check --fix .
	$(RUN) ruff format .
