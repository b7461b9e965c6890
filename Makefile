# Two commands for a newcomer: `make demo` and `make test`. Each makes its own environment; only Python 3.10+ is needed.
PYTHON ?= python3
VENV := .venv
DEMO_VENV := .venv-demo
DEMO_OUT := demo-output

.PHONY: help demo test quick lint default-model gpu-check clean

help:
	@echo "make demo   the runtime without torch, run on real photographs; shows where to look"
	@echo "make test   everything: installs what the tests need, lints, types, tests"
	@echo "make quick  the tests that take seconds"
	@echo "make lint   ruff and mypy"
	@echo "make default-model OSIE=DIR   train and export the model that ships, from scratch"
	@echo "make gpu-check   on a machine with a GPU: everything that needs one, and a report of it"
	@echo "make clean  remove what the above made"

demo: $(DEMO_VENV)/ready
	@mkdir -p $(DEMO_OUT)
	$(DEMO_VENV)/bin/sal-run --source demo --save $(DEMO_OUT)/saliency.mp4 --save-maps $(DEMO_OUT)/maps \
		--save-jsonl $(DEMO_OUT)/frames.jsonl --exist-ok
	@echo "Look at $(DEMO_OUT)/saliency.mp4 (any player) or at the maps in $(DEMO_OUT)/maps."

test: lint
	$(VENV)/bin/python -m pytest

quick: $(VENV)/ready
	$(VENV)/bin/python -m pytest -m "not slow" -x -q

lint: $(VENV)/ready
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

MODELS := runtime/sal_runtime/models
default-model: $(VENV)/ready
	@test -d "$(OSIE)/images/train" || { echo "say where OSIE lies: make default-model OSIE=DIR"; exit 2; }
	$(VENV)/bin/sal-train compact-ema --data $(OSIE) --out runs/compact-ema
	cp runs/compact-ema/compact-ema.safetensors $(MODELS)/
	$(VENV)/bin/sal-export -o $(MODELS)/compact-ema.onnx --exist-ok
	$(VENV)/bin/sal-eval --data $(OSIE)

# Runs on whatever Python is there: a GPU machine may reach no package index, and its CUDA build of torch is its own.
GPU_PYTHON ?= $(if $(wildcard $(VENV)/bin/python),$(VENV)/bin/python,$(PYTHON))
GPU_REPORT ?= $(if $(findstring --rehearse,$(GPU_ARGS)),gpu-rehearsal,benchmarks/reports/gpu-$(shell date +%Y-%m-%d))
gpu-check:
	PYTHONPATH=train:export:runtime:benchmarks:$$PYTHONPATH $(GPU_PYTHON) -m sal_bench.gpu_check --out $(GPU_REPORT) $(GPU_ARGS)

clean:
	rm -rf $(VENV) $(DEMO_VENV) $(DEMO_OUT) gpu-rehearsal

$(DEMO_VENV)/ready: EXTRAS := demo
$(VENV)/ready: EXTRAS := dev

# opencv-python wants libGL of the system; where that is absent, the build without a screen takes its place.
$(DEMO_VENV)/ready $(VENV)/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' || \
		{ echo "Python 3.10 to 3.13 is needed, for example: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
		{ echo "this Python cannot make environments (Debian, Ubuntu: apt-get install python3-venv)"; exit 1; }
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --upgrade pip
	$(@D)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[$(EXTRAS)]'
	@$(@D)/bin/python -c 'import cv2' 2>/dev/null || { \
		echo "no libGL here: taking opencv-python-headless"; \
		version=$$($(@D)/bin/python -m pip show opencv-python | sed -n 's/^Version: //p'); \
		$(@D)/bin/python -m pip uninstall --quiet --yes opencv-python; \
		$(@D)/bin/python -m pip install --quiet "opencv-python-headless==$$version"; }
	@touch $@
