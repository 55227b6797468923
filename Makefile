# make repro runs the pipeline; every target first makes .venv if it is missing or out of date: the packages of
# requirements.txt, and the project itself, editable, which gives the command ganlib.
PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: repro domains test lint bench mutants faults

repro: .venv/installed
	@python -m stages.params check
	@python -m stages.repair
	dvc repro
	@dvc status --quiet dvc.yaml || { echo "error: DVC kept not all outputs: is the disk of its cache full? dvc status names them" >&2; exit 1; }

domains: .venv/installed
	@python -m stages.params check
	@python -m stages.repair
	dvc repro domains/dvc.yaml
	@dvc status --quiet domains/dvc.yaml || { echo "error: DVC kept not all outputs: is the disk of its cache full? dvc status names them" >&2; exit 1; }

test: .venv/installed
	python -m pytest

lint: .venv/installed
	ruff check .
	ruff format --check .
	pyright

bench: .venv/installed
	python -m benchmarks.step
	python -m benchmarks.images
	python -m benchmarks.prepare

mutants: .venv/installed
	python -m tests.mutants

faults: .venv/installed
	python -m tests.faults params --count 1000
	python -m tests.faults images --count 3000
	python -m tests.faults archives --count 1000
	python -m tests.faults checkpoints --count 1000
	python -m tests.faults kills --count 60
	python -m tests.faults disks --count 20
	python -m tests.faults together --count 20

.venv/installed: requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or later is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --requirement requirements.txt
	.venv/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
