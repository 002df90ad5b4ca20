# Everything runs from .venv, which is built from requirements.txt (pinned, hashed) alone.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test slow bench bundle lock clean

demo: .venv/installed
	$(BIN)/fourstep demo $(DEMO)

# Four processes on two cores: threads of the linear algebra would spin while they wait.
test: export OPENBLAS_NUM_THREADS = 1
test: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest --numprocesses 4 --dist worksteal $(TESTS)

slow: .venv/installed
	$(BIN)/pytest -m slow $(TESTS)

bench: .venv/installed
	$(BIN)/python -m tests.bench $(BENCH)

# Renews the workload that comes with the program: the demo's, when its questions or data change.
bundle: .venv/installed
	$(BIN)/fourstep demo -o fourstep-demo
	rm -rf replay/demo/workload
	cp -R fourstep-demo/prepared replay/demo/workload
	rm replay/demo/workload/coverage.* replay/demo/workload/overrides.toml

.venv/installed: requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

# Renews the pins; the only target that needs uv.
lock:
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-annotate --no-header --quiet -o requirements.txt

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
