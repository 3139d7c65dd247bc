# `make help` explains each target. The environment lives in .venv and is installed once.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.installed
NOTEBOOKS := $(sort $(wildcard notebooks/[0-9][0-9]_*.ipynb))
DEMO := workspace/demo
CONTEXT := context-lite0x2-blank
FACE := face-expression
# Parts of `make soak`, the longest first: a module of benchmarks each; arguments follow a +.
SOAK := gesture_table demo_table memory_effect loss_on correspondence null_runs coverage fuzz video_probe \
  kill_training+gesture kill_training+motion kill_training+video kill_training+recognition \
  kill_training+pyramid kill_extraction+keypoints,face-blendshapes leaks ensemble \
  kill_training+emotion kill_extraction online signal_table null_ablation prior study_workers
# Threads that spin while they wait for each other slow every other program.
export OMP_WAIT_POLICY ?= PASSIVE
# Without compiled modules, which some images forbid, every kernel and command compiles the package.
export PYTHONDONTWRITEBYTECODE :=
.DEFAULT_GOAL := help
.PHONY: help install demo test lab check bench gpu soak stranger system clean

help:  ## list the targets
	@awk -F':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(READY)  ## install the tested packages into .venv (about 3 minutes and 7 GB, once)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "imigue_lab needs Python 3.11 or newer; run make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,keypoints]'
	@touch $@

demo: export IMIGUE_LAB_HOME = $(CURDIR)/workspace
demo: $(READY)  ## extract features of synthetic interviews, run notebook 02, write an HTML page, say what came out (5 to 9 minutes)
	@mkdir -p $(DEMO)
	-@$(BIN)/imigue-lab weights
	@set -e; face=$(FACE); $(BIN)/imigue-lab extract --encoders $(CONTEXT),$$face || { face=synthetic-face; \
	  echo "demo: $(FACE) cannot be used, as said above: the face stream falls back to features that the generator simulates"; \
	  $(BIN)/imigue-lab extract --encoders $(CONTEXT); }; \
	$(BIN)/papermill --log-level WARNING notebooks/02_train_emotion.ipynb $(DEMO)/02_train_emotion.ipynb -p preset demo -p face $$face; \
	$(BIN)/imigue-lab ablate --preset demo --given face:$$face --variants context-only --seeds 1 --final true
	@echo "notebook: $(DEMO)/02_train_emotion.ipynb"
	@$(BIN)/imigue-lab html $(DEMO)/02_train_emotion.ipynb

test: $(READY)  ## run all tests in two processes: pytest, and nbval on every notebook
	$(BIN)/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder \
	  --nbval-lax --nbval-current-env $(NOTEBOOKS) tests

lab: $(READY)  ## start JupyterLab in notebooks/
	$(BIN)/jupyter lab --notebook-dir notebooks

check: $(READY)  ## lint, format and type checks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY)  ## speed and memory benchmarks, reported as ratios
	$(BIN)/python -m benchmarks.emotion_step
	$(BIN)/python -m benchmarks.clips
	$(BIN)/python -m benchmarks.index
	$(BIN)/python -m benchmarks.extraction
	$(BIN)/python -m benchmarks.agcn_step
	$(BIN)/python -m benchmarks.baseline_step
	$(BIN)/python -m benchmarks.masked_step
	$(BIN)/python -m benchmarks.cmtf
	$(BIN)/python -m benchmarks.bf16
	$(BIN)/python -m benchmarks.memory
	$(BIN)/python -m benchmarks.recognition_length
	$(BIN)/python -m benchmarks.scaling
	$(BIN)/python -m benchmarks.player

gpu: $(READY)  ## check and time every network on a GPU (8 minutes); without one it says so
	$(BIN)/python -m benchmarks.gpu

soak: $(READY)  ## long checks, two at a time: signals, leaks, null runs, intervals, kills, malformed files (some 3 hours); goes on where it was interrupted
	@$(MAKE) --no-print-directory --keep-going --jobs 2 $(SOAK:%=workspace/soak/%.txt) && tail -n +1 $(SOAK:%=workspace/soak/%.txt)

# The output of a part; repeated once the code has changed.
workspace/soak/%.txt: $(shell find imigue_lab benchmarks tests/data/fuzzing.py -type f -not -name '*.pyc')
	@mkdir -p $(@D)
	@echo "$(subst +, ,$*): started, output in $@.unfinished"
	@OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.$(subst +, ,$*) > $@.unfinished 2> $(@:.txt=.log) \
	  || { tail -n 20 $(@:.txt=.log); echo "$(subst +, ,$*): failed"; exit 1; }
	@mv $@.unfinished $@

stranger:  ## run the commands of README and docs in a fresh clone; ENVIRONMENT=.venv skips the installation
	$(PYTHON) benchmarks/stranger.py $(if $(ENVIRONMENT),--environment $(ENVIRONMENT))

system:  ## install Chromium with apt, for browser tests; they are skipped without it
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null \
	  || { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; } >/dev/null 2>&1 \
	  || echo "system: Chromium could not be installed (apt is missing or not permitted); browser tests will be skipped"

clean:  ## remove .venv, caches and workspace/demo; keep data, features and runs
	rm -rf .venv $(DEMO) .pytest_cache .ruff_cache .mypy_cache imigue_lab.egg-info
	find . -name __pycache__ -prune -exec rm -rf {} +
