# `make demo` and `make test` do all their own set-up; they need Python 3.11 or later with venv, and make.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
TRAIN  := .venv-train
DATA   ?= ../shared/data
FUZZ_SECONDS ?= 60
SEED ?= 1
CUTS ?= 100000
.DEFAULT_GOAL := help
KILLS ?= 10000
OUTAGE ?=
AT_ONCE ?= 1
# What has been compiled once, tests with their rewritten asserts too, is kept: hundreds of programs are started here.
unexport PYTHONDONTWRITEBYTECODE
.PHONY: help demo test check format screenshots proto proto-check bench chaos soak fuzz proofs train-check requirements system-packages clean

help:            ## what there is to run
	@grep -hE '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/: .*## /\t/' | expand -t 18

# --- set-up -----------------------------------------------------------------------------------------------
# PP-OCR's weights come inside rapidocr's package; its dependencies would bring a second OpenCV (ADR 0006).
$(VENV)/demo.stamp: requirements/demo.txt requirements/models.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "needs Python 3.11 or later: make PYTHON=python3.11 ...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/demo.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes --no-deps -r requirements/models.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/dev.stamp: requirements/dev.txt $(VENV)/demo.stamp
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

# --- the README's two commands ----------------------------------------------------------------------------
demo: $(VENV)/demo.stamp    ## trucks through one simulated lane, truth beside what the back-office received
	$(BIN)/edge-agent demo

test: check    ## the checks, then the whole test suite
	$(BIN)/python -m pytest -m "not proof and not alone" -n 2 --dist loadfile
	$(BIN)/python -m pytest -m "alone and not proof" tests/e2e

# --- what they are made of --------------------------------------------------------------------------------
check: $(VENV)/dev.stamp proto-check    ## lint, types, the line between the stages, generated code
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/dev.stamp    ## put the code into the project's form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

proto: $(VENV)/dev.stamp    ## regenerate edge_agent/wire/v1alpha1 from protos/
	$(BIN)/python protos/generate.py .

proto-check: $(VENV)/dev.stamp
	$(BIN)/buf lint protos
	$(BIN)/python protos/generate.py --check .

# PyTorch and the networks that training begins with never reach the package or the tests.
$(TRAIN)/train.stamp: requirements/train.txt requirements/train-models.txt requirements/models.txt
	@test -x $(TRAIN)/bin/python || $(PYTHON) -m venv $(TRAIN)
	$(TRAIN)/bin/python -m pip install -q --disable-pip-version-check -r requirements/train.txt
	$(TRAIN)/bin/python -m pip install -q --disable-pip-version-check --no-deps -r requirements/train-models.txt
	$(TRAIN)/bin/python -m pip install -q --disable-pip-version-check --require-hashes --no-deps -r requirements/models.txt
	@touch $@

train-check: $(TRAIN)/train.stamp    ## the short form of every model's training, in an environment of its own
	$(TRAIN)/bin/python -m models.train_check

proofs: $(VENV)/dev.stamp    ## the longer proofs that CI runs after the tests
	$(BIN)/python -m pytest -m "proof and not alone" -n 2 --dist loadfile
	$(BIN)/python -m pytest -m "proof and alone" tests/e2e

# Both go on where they were cut off, by the notes in soak-run/; AT_ONCE=8 where there are cores for it.
chaos: $(VENV)/dev.stamp    ## the longest proofs: power cuts by SEED=1 CUTS=100000, mutated envelopes and streams, renewals, a storm of booths
	$(BIN)/python -m tests.proofs.power_cuts --cuts $(CUTS) --seed $(SEED) --processes $(AT_ONCE)
	$(BIN)/python -m tests.proofs.mutations --envelopes 1000000 --streams 20000
	RENEWALS=1000 $(BIN)/python -m pytest -m proof tests/integration/keys/test_renewal.py
	$(BIN)/python -m tests.proofs.storm --booths 1000

soak: $(VENV)/dev.stamp    ## kills for hours, going on where SEED ended: KILLS=10000 SEED=1; with OUTAGE=1 72 hours without a link
ifeq ($(OUTAGE),)
	$(BIN)/python -m tests.proofs.kills --kills $(KILLS) --seed $(SEED) --sites $(AT_ONCE)
else
	$(BIN)/python -m tests.proofs.outage --events 1000000 --files 20000
endif

fuzz: $(VENV)/dev.stamp    ## every parser under atheris; FUZZ_SECONDS=60 for each
	$(BIN)/python -m tests.fuzz.run --seconds $(FUZZ_SECONDS)

bench: $(VENV)/dev.stamp    ## every benchmark; DATA=path of the labelled photos
	$(BIN)/python -m benchmarks.pipeline
	$(BIN)/python -m benchmarks.stages
	$(BIN)/python -m benchmarks.latency
	$(BIN)/python -m benchmarks.port_statistics
	$(BIN)/python -m benchmarks.devices
	$(BIN)/python -m benchmarks.mutations
	$(BIN)/python -m benchmarks.day --recogniser 100
	$(BIN)/python -m benchmarks.cameras idle
	$(BIN)/python -m benchmarks.cameras busy
	$(BIN)/python -m benchmarks.clip $(DATA)/video/toll-booth.mp4
	$(BIN)/python -m benchmarks.plates $(DATA)/plates/benchmark-dev
	$(BIN)/python -m benchmarks.containers $(DATA)/containers/gate

requirements: $(VENV)/dev.stamp    ## recompile the pinned requirements from pyproject.toml
	$(BIN)/python requirements/compile.py

# A camera that speaks RTSP, for the simulator: Debian's own server, run with Debian's own Python.
SYSTEM_PACKAGES := python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good \
	gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly
# Other shells' and systems' utilities, with which an evidence pack is verified, too.
SYSTEM_PACKAGES += busybox gawk original-awk
# The free fonts that plates are drawn with for training.
SYSTEM_PACKAGES += $(shell sed 1d models/rendering/fonts.csv | cut -d';' -f1 | sort -u)
# A hardware token in software, for the tests of keys that never leave one.
SYSTEM_PACKAGES += softhsm2
# The consumer in JavaScript.
SYSTEM_PACKAGES += nodejs
# A browser, for the tests of the booth's page.
SYSTEM_PACKAGES += chromium fonts-dejavu-core
AS_ROOT := $(shell test "$$(id -u)" = 0 || echo sudo)

system-packages:    ## what needs the system's package manager (Debian): without it, tests that want it are skipped by name
	@command -v apt-get > /dev/null || { echo "needs apt-get; on another system install: $(SYSTEM_PACKAGES)"; exit 1; }
	@missing=$$(for p in $(SYSTEM_PACKAGES); do dpkg -s $$p > /dev/null 2>&1 || echo $$p; done); \
	test -z "$$missing" || { $(AS_ROOT) apt-get update -qq && \
	DEBIAN_FRONTEND=noninteractive $(AS_ROOT) apt-get install -y -qq --no-install-recommends $$missing; }

screenshots: $(VENV)/dev.stamp    ## the pictures of docs/console.md, taken of the booth's page in Chromium
	$(BIN)/python -m tests.e2e.console.screenshots

clean:
	rm -rf $(VENV) $(TRAIN) demo-run .mypy_cache .ruff_cache .pytest_cache
