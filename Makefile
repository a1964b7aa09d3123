# The front door. `make help` lists what it can do; `make up` and `make test` are all that a newcomer needs.
.DEFAULT_GOAL := help
.PHONY: help up down test test-compose check fmt lock bench bench-streams chaos proof race clean bootstrap \
  example-monitoring example-github example-handbook
MAKEFLAGS += --no-print-directory
BIN := .venv/bin
CODE := libs services cli examples
MEMBERS := libs/common services/api services/inference services/billing services/worker services/scheduler services/indexer cli
PACKAGES := penstock-common penstock-api penstock-inference penstock-billing \
  penstock-worker penstock-scheduler penstock-indexer penstock

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 15

bootstrap: ## set up .venv (the other targets do it by themselves)
	@bin/bootstrap

up: bootstrap ## start the platform; options in ARGS="--port 9000 --data DIR --json"
	@exec $(BIN)/penstock up $(ARGS)

down: bootstrap ## stop the platform
	@exec $(BIN)/penstock down $(ARGS)

test: bootstrap ## run every test on real servers; options in ARGS="-k name"
	@exec $(BIN)/pytest -n 3 --dist loadgroup --no-loadscope-reorder --timeout 300 $(ARGS)

test-compose: bootstrap ## build the images and run the stack in containers, on both buses (Docker, or podman as root)
	@exec $(BIN)/pytest --timeout 1800 tests/compose/stack.py $(ARGS)

check: bootstrap ## formatting, lint, types, imports
	@$(BIN)/ruff format --check --quiet . || { echo "run: make fmt"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy $(CODE) tests bench
	@$(BIN)/lint-imports

fmt: bootstrap ## format the code and mend what lint can mend
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --fix --quiet .

lock: bootstrap ## resolve requirements.lock anew
	@env -u UV_FIND_LINKS UV_SYSTEM_CERTS=1 $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --custom-compile-command "make lock" \
	  $(addprefix --no-emit-package ,$(PACKAGES)) \
	  requirements.in $(addsuffix /pyproject.toml,$(MEMBERS)) -o requirements.lock

bench: bootstrap ## measure CPU, latency and memory beside a mock engine (needs Go)
	@exec $(BIN)/python bench/run $(ARGS)

bench-streams: bootstrap ## hold 10,000 streams at once, each word and token checked (needs Go); ARGS="--streams 2000"
	@exec $(BIN)/python bench/streams $(ARGS)

chaos: bootstrap ## break everything under 200 streams; ARGS="--seed 7 --minutes 30 --bus nats --streams 200"
	@exec $(BIN)/python -m tests.chaos $(ARGS)

proof: bootstrap ## walk the state machines far, harm stores of both buses, die at every point, see each planted fault
	@PENSTOCK_PROOF_EXAMPLES=1000 PENSTOCK_PROOF_SEEDS=40 exec $(BIN)/pytest -s --timeout 0 tests/state_machines \
	  tests/integration/damage tests/integration/crash_points tests/planted $(ARGS)

race: bootstrap ## measure LiteLLM beside Penstock and put the table into the README (needs Go; 8 minutes)
	@exec $(BIN)/python bench/race $(ARGS)

example-monitoring: ## run an example; so do example-github and example-handbook (examples/README.md)
example-monitoring example-github example-handbook: bootstrap
	@exec $(BIN)/python -m examples.$(@:example-%=%) $(ARGS)

clean: ## remove what can be made again
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis bench/.build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
