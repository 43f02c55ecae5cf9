# steersman: every command a clone has. `make up` and `make test` set up what they need, on Debian 12, as root.

SHELL := /bin/bash
VENV  := .venv
PY    := $(VENV)/bin/python
STAMP := .make
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export OPENBLAS_NUM_THREADS := 1

# What a node needs, and what the tests need besides.
NODE_PACKAGES := python3-venv crun conmon nftables busybox-static iproute2 ca-certificates curl
TEST_PACKAGES := runc docker-registry nginx-light skopeo procps wrk etcd-server containerd containernetworking-plugins dbus-daemon

.PHONY: up down test check bench crash setup fmt clean

up: $(STAMP)/node $(STAMP)/venv
	@$(VENV)/bin/steersman up
	@$(VENV)/bin/steersman example

down: $(STAMP)/venv
	@$(VENV)/bin/steersman down

setup: $(STAMP)/node $(STAMP)/test $(STAMP)/venv

check: $(STAMP)/venv
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

test: setup check
	$(PY) tools/run_tests.py

# Bad input for as long as it takes: other examples each time, of which the seed is printed, to be given back as SEED.
fuzz: SEED := $(or $(SEED),$(shell od -An -N4 -tu4 /dev/urandom | tr -d " "))
fuzz: EXAMPLES ?= 300
fuzz: setup
	@echo "make fuzz SEED=$(SEED) EXAMPLES=$(EXAMPLES)"
	FUZZ_EXAMPLES=$(EXAMPLES) $(PY) -m pytest tests/robustness/api --hypothesis-seed=$(SEED)

# kill -9 of a node, its monitors, its containers and its containerd, round after round: the same rounds for the same SEED.
crash: SEED ?= 1
crash: ROUNDS ?= 200
crash: RUNTIME ?= native
crash: setup
	$(PY) -m tests.robustness.node --rounds $(ROUNDS) --seed $(SEED) --runtime $(RUNTIME)

bench: setup
	$(PY) -m bench

fmt: $(STAMP)/venv
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

clean:
	rm -rf $(STAMP) $(VENV) build

# A package set is installed only if something of it is missing, so these work offline on a prepared machine.
define apt
	@mkdir -p $(STAMP)
	@missing=$$(for p in $(1); do dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
	if [ -n "$$missing" ]; then \
	  echo "installing from Debian:" $$missing; \
	  apt-get update -qq && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	fi
	@touch $@
endef

$(STAMP)/node:
	$(call apt,$(NODE_PACKAGES))

$(STAMP)/test:
	$(call apt,$(TEST_PACKAGES))

$(STAMP)/venv: requirements.lock pyproject.toml | $(STAMP)/node
	@mkdir -p $(STAMP)
	@test -x $(PY) || python3 -m venv $(VENV)
	@echo "installing Python packages (requirements.lock)"
	@$(PY) -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	@$(PY) -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
