# The front door. Each target sets up what it needs.
SHELL := /bin/bash
PYTHON ?= python3
# test files side by side: most of their time is waiting
WORKERS ?= 2
UV := .uv/bin/uv
BIN := .venv/bin
PARTS := packages/contracts packages/summaries packages/scoring packages/servicekit packages/modelkit packages/atalaia packages/dashboards \
         services/predictor services/drift-monitor services/feedback services/trainer
CODE := packages services projects tests bench docker templates/served.py
READY := .venv/.ready
PEERS := .bench-venv/.ready
NANNYML := .nannyml-venv/.ready
CI_LOCAL := tests/template/node_modules/.ready
NODE_CONSUMER := consumers/node/node_modules/.ready
TOOLS := .tools/.ready
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help setup consumers tools test-deploy test-compose demo demo-wine demo-loans demo-digits demo-texts up test test-fast test-slow test-template projects lint format bench bench-detection bench-monitor bench-vectors bench-kinds bench-predictor bench-estimates bench-scaling bench-stages bench-simulation experiments contracts lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

setup: $(READY) ## install everything into .venv, from the lock and its hashes

$(UV): requirements-uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Atalaia needs Python 3.11 or newer; say which with: make PYTHON=python3.12 ..." >&2; exit 2; }
	$(PYTHON) -m venv .uv
	.uv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.txt
	@touch $(UV)

$(READY): $(UV) requirements.lock $(addsuffix /pyproject.toml,$(PARTS))
	@test -x $(BIN)/python || $(UV) venv --quiet --python $$($(PYTHON) -c 'import sys; print(sys.executable)') .venv
	@# compiled once here: where Python may not write bytecode, each training would compile its libraries anew
	$(UV) pip sync --quiet --compile-bytecode --require-hashes --python .venv requirements.lock
	$(UV) pip install --quiet --no-deps --no-build-isolation --python .venv $(addprefix -e ,$(PARTS))
	@touch $(READY)

demo: $(READY) ## the loop on a year of real flights, real Kafka; ends with report.html
	$(BIN)/atalaia demo flights

demo-wine: $(READY) ## the loop on the thesis's red wine (downloads UCI's file; DATA=path uses yours)
	$(BIN)/atalaia demo wine-quality $(if $(DATA),--data $(DATA))

demo-loans: $(READY) ## the loop where only the labelling changes: no test of inputs sees it
	$(BIN)/atalaia demo loans

demo-digits: $(READY) ## the monitor alone on images (scikit-learn's digits)
	$(BIN)/atalaia demo digits

demo-texts: $(READY) ## the monitor alone on texts (sentences of docstrings)
	$(BIN)/atalaia demo texts

up: $(READY) ## broker, MLflow and services, until Ctrl-C (PROJECT=projects/flights)
	$(BIN)/atalaia up $(if $(PROJECT),--project $(PROJECT))

test: lint $(if $(shell command -v npm),$(NODE_CONSUMER)) ## gates, then every test but the slow ones, real Kafka included
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "not slow and not tools and not compose"

test-fast: $(READY) ## only the tests that start nothing
	$(BIN)/python -m pytest -m "not slow and not tools and not compose and not kafka and not e2e"

test-slow: $(READY) ## the long ones
	$(BIN)/python -m pytest -m slow

test-template: $(READY) $(CI_LOCAL) ## the model project's template: four kinds, updates, served, its CI for real (Node 20, rsync)
	@command -v rsync >/dev/null || { echo "gitlab-ci-local copies with rsync: apt-get install rsync" >&2; exit 2; }
	$(BIN)/python -m pytest tests/template tests/projects/test_lightgbm.py

$(CI_LOCAL): tests/template/package-lock.json
	@command -v npm >/dev/null || { echo "the template's CI runs in gitlab-ci-local: install Node 20 with npm" >&2; exit 2; }
	npm ci --prefix tests/template --ignore-scripts --no-audit --no-fund --silent
	@touch $(CI_LOCAL)

consumers: $(NODE_CONSUMER) ## install the consumer in Node from its lock (Node 20 with npm); its tests are part of make test

$(NODE_CONSUMER): consumers/node/package.json consumers/node/package-lock.json
	@command -v npm >/dev/null || { echo "consumers/node needs Node 20.19.4 or newer with npm, and there is no npm on the PATH." >&2; exit 2; }
	npm ci --prefix consumers/node --ignore-scripts --no-audit --no-fund --silent
	@touch $(NODE_CONSUMER)

projects: $(READY) ## write the template's files into the served projects anew
	$(BIN)/python templates/served.py

test-deploy: $(READY) $(TOOLS) ## rules, panels and manifests on real Prometheus, promtool, amtool, kustomize, kubeconform
	$(BIN)/python -m pytest -m tools tests

test-compose: $(READY) ## the composed platform for real: built, closed around the wine, scaled, killed, started anew (Docker; DATA=path)
	@docker compose version >/dev/null 2>&1 && docker info >/dev/null 2>&1 || \
	  { echo "make test-compose needs a Docker engine with the compose plugin, and none answers." >&2; exit 2; }
	$(if $(DATA),ATALAIA_WINE_CSV=$(abspath $(DATA))) $(BIN)/python -m pytest -m compose tests/compose

tools: $(TOOLS) ## build these programs into .tools with Go, from a pinned module (some minutes, once)

$(TOOLS): tools/go/go.mod tools/go/go.sum
	@command -v go >/dev/null || { echo "make tools builds with Go 1.24 or newer, and there is no go on the PATH." >&2; exit 2; }
	cd tools/go && GOBIN=$(CURDIR)/.tools GOFLAGS=-mod=readonly go install -trimpath -ldflags="-s -w" tool
	@touch $(TOOLS)

lint: $(READY) ## ruff, strict mypy, generated files up to date
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy $(addsuffix /src,$(PARTS)) projects/*/src
	$(BIN)/python -m contracts.generate --check
	$(BIN)/python -m servicekit.settings_table docs/settings.md --check
	$(BIN)/python -m servicekit.metrics_table docs/metrics.md --check
	$(BIN)/python -m dashboards.generate --check
	$(BIN)/python -m servicekit.strimzi kubernetes/components/strimzi-topics/topics.yaml --check
	$(BIN)/python -m servicekit.strimzi kubernetes/components/strimzi-user/user.yaml --check

format: $(READY) ## let ruff put the code in order
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

bench: bench-detection bench-monitor bench-vectors bench-kinds bench-predictor bench-feedback bench-estimates bench-scaling ## all benchmarks; each writes bench/results/NAME.json

bench-detection: $(READY) $(PEERS) ## false alarms and delay beside the thesis, river, Frouros (a quarter of an hour)
	$(BIN)/python bench/detection.py

bench-monitor: $(READY) ## rows/s through Faust from real Kafka, beside a bare consumer
	$(BIN)/python bench/monitor.py

bench-vectors: $(READY) ## changes of vectors found in one window, beside kernel means (some minutes)
	$(BIN)/python bench/vectors.py

bench-kinds: $(READY) ## kinds of change in River's streams, wine and flights (ten minutes; DATA=path to the wine)
	$(if $(DATA),ATALAIA_WINE_CSV=$(abspath $(DATA))) PYTHONPATH=projects/flights/src:projects/loans/src:projects/wine-quality/src $(BIN)/python bench/kinds.py

bench-predictor: $(READY) ## requests/s, each acknowledged by real Kafka, beside servers without a log (DATA=path to the wine)
	$(if $(DATA),ATALAIA_WINE_CSV=$(abspath $(DATA))) PYTHONPATH=projects/wine-quality/src $(BIN)/python bench/predictor_bench.py

bench-feedback: $(READY) ## 1,000,000 late labels joined to predictions that wait, beside a dictionary (some minutes)
	$(BIN)/python bench/feedback_bench.py

bench-estimates: $(READY) $(NANNYML) ## quality estimated before labels beside NannyML's CBPE, on its data (half a minute)
	$(BIN)/python bench/estimates.py

bench-scaling: $(READY) ## two predictors, monitors and feedback services against one of each, on three brokers (some eight minutes)
	$(BIN)/python bench/scaling_bench.py

bench-stages: $(READY) ## what a row, a record, a pane, a label cost each stage (ten minutes; DATA=path to the wine)
	$(if $(DATA),ATALAIA_WINE_CSV=$(abspath $(DATA))) PYTHONPATH=projects/wine-quality/src $(BIN)/python bench/stages.py

bench-simulation: $(READY) ## size 10,000 to 1,000,000 predictions a second; writes docs/scaling.md's tables (STAGES=bench/results/stages.json)
	$(BIN)/python bench/simulation.py $(if $(STAGES),--stages $(STAGES)) --write

$(NANNYML): $(UV) bench/nannyml.lock
	@test -x .nannyml-venv/bin/python || $(UV) venv --quiet --python $$($(PYTHON) -c 'import sys; print(sys.executable)') .nannyml-venv
	$(UV) pip sync --quiet --compile-bytecode --require-hashes --python .nannyml-venv bench/nannyml.lock
	@touch $(NANNYML)

$(PEERS): $(UV) bench/requirements.lock
	@test -x .bench-venv/bin/python || $(UV) venv --quiet --python $$($(PYTHON) -c 'import sys; print(sys.executable)') .bench-venv
	$(UV) pip sync --quiet --compile-bytecode --require-hashes --python .bench-venv bench/requirements.lock
	@touch $(PEERS)

experiments: $(READY) ## the thesis's Figure 18 as seven MLflow runs (DATA=path to winequality-red.csv)
	$(if $(DATA),ATALAIA_WINE_CSV=$(abspath $(DATA))) PYTHONPATH=projects/wine-quality/src $(BIN)/python -m wine_quality.experiments

contracts: $(READY) ## write schemas, AsyncAPI, flow diagram, settings, metrics, dashboards and Strimzi's topics anew from the code
	$(BIN)/python -m contracts.generate
	$(BIN)/python -m servicekit.settings_table docs/settings.md
	$(BIN)/python -m servicekit.metrics_table docs/metrics.md
	$(BIN)/python -m dashboards.generate
	$(BIN)/python -m servicekit.strimzi kubernetes/components/strimzi-topics/topics.yaml
	$(BIN)/python -m servicekit.strimzi kubernetes/components/strimzi-user/user.yaml

# NannyML asks for XGBoost, and that for a third of a gigabyte which only accelerators use: left out.
lock: $(UV) ## resolve requirements.in into requirements.lock, the benchmarks' own too
	for each in requirements bench/requirements; do \
	  $(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links \
	    --python-version 3.11 $$each.in -o $$each.lock; done
	$(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --no-emit-package nvidia-nccl-cu12 --python-version 3.11 bench/nannyml.in -o bench/nannyml.lock
	for each in services platform; do \
	  $(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links \
	    --python-version 3.11 -c requirements.lock docker/$$each.in -o docker/$$each.lock; done

clean: ## remove what setup and runs made
	rm -rf tests/template/node_modules consumers/node/node_modules .venv .uv .tools .bench-venv .nannyml-venv .pytest_cache .mypy_cache .ruff_cache .hypothesis atalaia-demo-*
