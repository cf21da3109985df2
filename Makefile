# Set-up with nothing but Python: `make demo` and `make test` create .venv when it is
# missing, unfinished or stale. JAX=cuda12, cuda13 or tpu installs that build of JAX,
# PYTHON=python3.12 uses that Python; both choices last until .venv is removed.

-include .venv/installed.mk # the choices and the fingerprint that .venv was made with
PYTHON ?= python3
JAX ?= cpu

JAX_BUILDS := cpu cuda12 cuda13 tpu
ifeq ($(filter $(JAX),$(JAX_BUILDS)),)
$(error JAX=$(JAX) is not a build of JAX; choose one of: $(JAX_BUILDS))
endif

BIN := .venv/bin
PIP := -m pip --disable-pip-version-check -qq install
SOURCES := requirements.lock requirements.txt setup.cfg pyproject.toml
FINGERPRINT := $(shell { echo $(PYTHON) $(JAX) "$(CURDIR)"; cat $(SOURCES); } | cksum)

FILMS := notebooks/02_robots.ipynb

.PHONY: help demo test test-robots lint format lock clean venv

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

demo: venv ## train MAML on the point task and compare it with the paper
	@$(BIN)/python -m experiments.demo

# programs and fixtures of a file are shared: one worker runs them
test: lint ## run ruff and the tests
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m "not robots" \
	  --ignore $(FILMS)

test-robots: venv ## run the tests that simulate every robot, and their notebook
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m robots tests
	@$(BIN)/python -m pytest $(FILMS)

lint: venv ## check style and formatting
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

format: venv ## sort imports, mend what can be mended, and format
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

lock: ## write requirements.lock anew, keeping versions that are still in range
	@rm -rf .venv-lock
	@$(PYTHON) -m venv .venv-lock
	@.venv-lock/bin/python $(PIP) uv
	@.venv-lock/bin/uv pip compile --quiet --universal --python-version 3.11 \
	  --extra dev --custom-compile-command "make lock" --output-file requirements.lock \
	  setup.cfg
	@rm -rf .venv-lock

clean: ## remove .venv, caches and build files; keeps runs
	rm -rf .venv .venv-lock .pytest_cache .ruff_cache build dist *.egg-info
	find metarl_jax envs experiments tests -name __pycache__ -prune -exec rm -rf {} +

# The fingerprint is written last, so an install that was interrupted starts again.
MADE := $(shell [ -x $(BIN)/python ] && echo "$(INSTALLED)")
ifneq ($(MADE),$(FINGERPRINT))
PYTHON_VERSION = $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
venv:
	$(if $(filter $(PYTHON_VERSION),3.11 3.12 3.13),,$(error Python 3.11 to 3.13 is \
	  needed, and $(PYTHON) is not one; name it: make PYTHON=python3.12 $(MAKECMDGOALS)))
	@echo "Creating .venv with $(PYTHON), JAX for $(JAX) (one to three minutes) ..."
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python $(PIP) --requirement requirements.lock --editable '.[dev]' 'jax[$(JAX)]'
	@printf 'PYTHON ?= %s\nJAX ?= %s\nINSTALLED := %s\n' \
	  '$(PYTHON)' '$(JAX)' '$(FINGERPRINT)' > .venv/installed.mk
endif
