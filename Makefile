# Every command that a person or CI runs. `make` alone lists them.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
LOGS   ?= runs

export TF_CPP_MIN_LOG_LEVEL ?= 2

.DEFAULT_GOAL := help
.PHONY: help install gates check format test slow bench demo catalogue dist clean

help: ## List the commands
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

$(VENV)/installed: setup.cfg pyproject.toml
	@echo "==> Setting up $(VENV): TensorFlow is a large download, this takes a minute or two"
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "keras_initscope needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Name another one: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --progress-bar on --editable '.[dev]'
	@touch $@

install: $(VENV)/installed ## Make the environment and install the package with its tools

demo: install ## The main job on real data: 21 networks in one TensorBoard log directory
	$(BIN)/initscope run choose-initializer --log-dir $(LOGS)/choose-initializer
	@echo
	@echo "Look at:"
	@echo "  the picture      $(LOGS)/choose-initializer/variance_over_depth.png"
	@echo "  every layer      $(BIN)/tensorboard --logdir $(LOGS)/choose-initializer"
	@echo "                   then http://localhost:6006, tabs Histograms, Distributions and Scalars"

gates: install ## Format, lint, types, import floors
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: gates ## The gate: all of that, and the fast tests
	$(BIN)/python -m pytest -q -n 2 --dist worksteal --ignore=tests/end_to_end --ignore=tests/any_model

format: install ## Rewrite the code in the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: install ## Every test that takes minutes, browser and notebooks included
	$(BIN)/python -m pytest -n 2 --dist worksteal
	@echo "All of it is green. The longer studies: make slow. The numbers: make bench."

slow: install ## The long studies, all presets among them, and the table of what came of those
	TF_NUM_INTRAOP_THREADS=1 INITSCOPE_PRESETS=$(abspath $(LOGS))/presets \
		$(BIN)/python -m pytest -m slow -n 2 --dist worksteal
	$(BIN)/initscope catalogue $(LOGS)/presets --out $(LOGS)/presets.md

bench: install ## Cost of the monitor and of its histograms, side by side
	$(BIN)/python -m benchmarks

catalogue: install ## Run every preset in its whole protocol, and write docs/presets.md
	$(BIN)/initscope run --all --jobs 1 --log-dir $(LOGS)/presets || true
	$(BIN)/initscope catalogue $(LOGS)/presets --out docs/presets.md

dist: install ## Build the source archive and the wheel
	$(BIN)/python -m pip install --quiet build
	$(BIN)/python -m build

clean: ## Remove what the commands above made
	rm -rf $(VENV) $(LOGS) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
