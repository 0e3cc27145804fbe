# Every target sets up what it needs: a virtual environment from hash-locked requirements, once.
# `make demo` shows logship working; `make test` proves it; `make help` lists the rest.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet
SECONDS_OF_DEMO ?= 20

# PYTEST_ARGS narrows or widens: make test PYTEST_ARGS="tests/unit/router -x"
PYTEST_ARGS ?=
BENCH_ARGS  ?=
# Its peers are Debian's builds, so logship runs on Debian's Python where there is one. Like that of Docker's images it is
# built for speed (with profiles, linked as one); what pyenv builds by default takes a quarter more time.
BENCH_PYTHON ?= $(firstword $(wildcard /usr/bin/python3) $(PYTHON))

# Tests start logship a few hundred times: where Python may not keep what it compiled, it would compile each time.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test check format docs bench test-system faults lock build packages clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /:/' | awk -F: '{printf "  make %-12s %s\n", $$1, $$2}'

demo: $(VENV)/.runtime ## receiver + live traffic + daemon, nothing to configure
	$(BIN)/logship demo --seconds $(SECONDS_OF_DEMO)

test: $(VENV)/.dev ## unit, property, scenario and small benchmark tests
	$(BIN)/pytest -m "not integration" $(PYTEST_ARGS)

check: $(VENV)/.dev ## lint, format, types, architecture, documentation
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest tests/unit/test_architecture.py tests/unit/test_packaging.py tests/docs $(PYTEST_ARGS)

format: $(VENV)/.dev ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.dev ## write the reference pages anew from the code
	$(BIN)/python docs/generate.py

bench: .venv-bench/.runtime packages ## logship, syslog-ng and wrk side by side; BENCH=goals: the rest (tests/bench/README.md)
	.venv-bench/bin/python -m tests.bench$(addprefix .,$(BENCH)) $(BENCH_ARGS)

test-system: $(VENV)/.dev packages ## real nginx, Apache, logrotate, systemd tools and Chromium
	$(BIN)/pytest -m "integration and not faults" -rs $(PYTEST_ARGS) tests/integration

faults: $(VENV)/.dev packages ## two hundred kills, minutes of torment and a judge, random lives by the hundred
	LOGSHIP_KILLS=200 $(BIN)/pytest -rs -s $(PYTEST_ARGS) tests/integration/test_kill.py
	LOGSHIP_CONSERVATION_SECONDS=240 $(BIN)/pytest -rs -s $(PYTEST_ARGS) tests/integration/test_conservation.py
	LOGSHIP_LIVES=20 $(BIN)/pytest --timeout 1800 $(PYTEST_ARGS) tests/property/test_source_follow.py
	$(BIN)/pytest -m "slow or faults" -rs -s --timeout 1800 $(PYTEST_ARGS)

build: $(VENV)/.runtime ## wheel and sdist in dist/
	rm -rf dist
	$(BIN)/hatchling build -d dist

packages: ## Debian packages of the system tests, when missing
	@.ci/packages

clean: ## remove what the targets above made
	rm -rf $(VENV) .venv-bench .venv-tools dist build .mypy_cache .pytest_cache .ruff_cache .hypothesis

# --- the environment ---------------------------------------------------------------------------------------------

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "logship needs Python 3.11 or newer; name one: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.runtime: requirements.txt requirements-build.txt pyproject.toml | $(VENV)/.created
	$(PIP) install --require-hashes --requirement requirements.txt --requirement requirements-build.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.runtime
	$(PIP) install --require-hashes --requirement requirements-dev.txt
	@touch $@

# Debian's Python makes environments without pip where python3-venv is not installed: another's pip serves it.
.venv-bench/.runtime: requirements.txt requirements-build.txt pyproject.toml | $(VENV)/.created
	$(BENCH_PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))'
	$(BENCH_PYTHON) -m venv --without-pip .venv-bench
	$(PIP) --python .venv-bench/bin/python install --require-hashes --requirement requirements.txt --requirement requirements-build.txt
	$(PIP) --python .venv-bench/bin/python install --no-deps --no-build-isolation --editable .
	@touch $@

.venv-tools/.done: requirements-tools.txt
	$(PYTHON) -m venv .venv-tools
	.venv-tools/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes --requirement $<
	@touch $@

# --- the lock ----------------------------------------------------------------------------------------------------
# Names, versions and hashes only: where packages come from is the machine's affair, never the repository's.
# Locked with Python 3.11, the oldest we support, whose set of dependencies holds those of the newer ones.

PIP_COMPILE = .venv-tools/bin/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe --no-header \
	--no-emit-index-url --no-emit-trusted-host --no-emit-find-links $(LOCK_ARGS)

lock: .venv-tools/.done ## pin anew from pyproject.toml (make lock LOCK_ARGS=--upgrade)
	$(PIP_COMPILE) --output-file requirements.txt pyproject.toml
	$(PIP_COMPILE) --only-build-deps --build-deps-for editable --output-file requirements-build.txt pyproject.toml
	$(PIP_COMPILE) --extra dev --constraint requirements.txt --output-file requirements-dev.txt pyproject.toml
	$(PIP_COMPILE) --output-file requirements-tools.txt requirements-tools.in
