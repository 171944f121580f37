# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
#
#   make demo             replay a rainy drive through the node; BAG=path takes your own bag
#   make test             unit and integration tests, lint and import direction among them
#   make install-all      what videos, training, evaluation, studies, export and the tests need
#   make test-gpu         what needs a CUDA device, with PYTHON as it is: nothing is installed
#   make lint             lint and import direction alone
#   make clean            remove what make and colcon have made here
#
# PYTHON=python3.12       the interpreter of .venv, 3.10 or newer
# TORCH=torch==2.13.0     another build of PyTorch
# PIP_ARGS=...            options for every pip install
#                         .venv is made anew, or installed into again, when these three change;
#                         anew also when PYTHON's version or this folder's place does
# VENV=../ubcn-venv       another folder than .venv
# DEMO_ARGS=...           options for ubcn demo (see ubcn demo --help)
# PYTEST_ARGS=...         options for pytest

PYTHON ?= python3
# several words, as `/usr/bin/env python3`, or one with a ~, unless a program has that very name
INTERPRETER := $(if $(shell command -v '$(PYTHON)' 2>/dev/null),'$(PYTHON)',$(PYTHON))
TORCH ?= torch==2.13.0
VENV := .venv
BIN := $(VENV)/bin
PINS := $(TORCH) rosbags==0.11.9 mcap==1.6.0 zstandard==0.25.0 safetensors==0.8.0

# A sourced ROS 2 brings rclpy and its messages; mixing it with the wheels crashes both.
ifneq ($(strip $(AMENT_PREFIX_PATH)),)
FLAVOUR := ros-$(or $(ROS_DISTRO),sourced)
VENV_ARGS := --system-site-packages
# Its message modules are compiled for one generation of NumPy: stay with that one.
PINS += $(shell $(INTERPRETER) -c 'import numpy; print("numpy==" + numpy.__version__)' 2>/dev/null)
RUN_TREE := .
TEST_TREE := .[train,export,video,test]
else
FLAVOUR := wheels
# pip would count packages that lie there as installed
unexport PYTHONPATH PYTHONHOME
VENV_ARGS :=
PINS += opencv-python-headless==4.14.0.94
RUN_TREE := .[ros]
TEST_TREE := .[ros,train,export,video,test]
endif

PIP_INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS)
CREATED := $(VENV)/.created-$(FLAVOUR)
RUN_READY := $(VENV)/.installed-run
TEST_READY := $(VENV)/.installed-test
# a .venv without such a stamp is the user's own
OURS := $(wildcard $(VENV)/.created-*)
MADE_OF := $(strip $(PYTHON) $(CURDIR) $(shell \
  $(INTERPRETER) -c 'import sys; print(sys.base_prefix, *sys.version_info[:2])' 2>/dev/null))
INSTALLED := $(strip $(PINS) $(PIP_ARGS))

.PHONY: demo test install-all test-gpu lint clean changed

demo: $(RUN_READY)
	@$(BIN)/python -m ubcn_ros.cli demo $(if $(BAG),--bag "$$BAG") $(DEMO_ARGS)

# lints too, as tests: pytest's summary is the last word also when a line is too long; in three
# processes even on two cores, for much of the time tests wait for a node, and of a thread each, or
# they wait for each other's cores; with bytecode kept, or each of the hundred processes that tests
# start compiles what it imports, and pytest rewrites all tests in each of the three; one that dies
# ends the run: pytest-xdist 3.8 would replace it, hand out its finished files once more, and wait
# for ever for their tests (its issue 1378)
test: $(TEST_READY)
	@OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 3 --dist loadfile \
	  --max-worker-restart 0 $(PYTEST_ARGS)

install-all: $(TEST_READY)

# PYTHON as it is includes this
test-gpu: export PYTHONPATH := $(PYTHONPATH)
test-gpu:
	@$(INTERPRETER) -m pytest -m gpu $(PYTEST_ARGS)

lint: $(TEST_READY)
	@$(BIN)/python -m ruff check .
	@$(BIN)/lint-imports

clean:
	rm -rf $(if $(OURS),$(VENV)) build install log

# the stamps hold what they were made with
stamp = @printf '%s\n' '$(subst ','\'',$(1))' >$@
ifneq ($(shell cat $(CREATED) 2>/dev/null),$(MADE_OF))
$(CREATED): changed
endif
ifneq ($(shell cat $(RUN_READY) 2>/dev/null),$(INSTALLED))
$(RUN_READY): changed
endif

$(CREATED):
	@test -n '$(OURS)' || test -z "$$(ls -A $(VENV) 2>/dev/null)" || \
	  { echo "$(VENV) was not made by make: move it, or give another folder" \
	         "(make VENV=../ubcn-venv ...)"; exit 1; }
	@$(INTERPRETER) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "$(PYTHON) is too old or missing: Python 3.10 or newer is needed" \
	         "(make PYTHON=python3.11 ...)"; exit 1; }
ifeq ($(FLAVOUR),wheels)
	@test "$$(uname -sm)" = 'Linux x86_64' || \
	  { echo "The ROS wheels exist for x86_64 Linux only:" \
	         "install ROS 2 with apt and source its setup.bash first."; exit 1; }
else
	@$(INTERPRETER) -c 'import rclpy' || \
	  { echo "ROS 2 is sourced (AMENT_PREFIX_PATH), but $(PYTHON) cannot import rclpy: use the" \
	         "Python it was built for (make PYTHON=/usr/bin/python3 ...)."; exit 1; }
endif
	@$(INTERPRETER) -c 'import ensurepip' || \
	  { echo "$(PYTHON) cannot install pip: apt-get install python3-venv (python3.12-venv for" \
	         "python3.12)"; exit 1; }
	@echo "Creating $(VENV) ($(FLAVOUR), $$($(INTERPRETER) --version))"
	@# stamped all the time, so that it counts as made by make also if interrupted
	@mkdir -p $(VENV) && touch $(VENV)/.created-by-make && \
	  find $(VENV)/ -mindepth 1 ! -name .created-by-make -delete && \
	  $(INTERPRETER) -m venv $(VENV_ARGS) $(VENV) || \
	  { echo "$(VENV) was not made; if you may not write there, give another folder" \
	         "(make VENV=../ubcn-venv ...)"; exit 1; }
	$(call stamp,$(MADE_OF))

$(RUN_READY): setup.py Makefile $(CREATED)
	@echo "Installing what the node needs into $(VENV)"
	@$(PIP_INSTALL) $(PINS)
	@$(PIP_INSTALL) $(PINS) --use-pep517 -e '$(RUN_TREE)'
	$(call stamp,$(INSTALLED))

$(TEST_READY): $(RUN_READY)
	@echo "Installing what training, export, video and the tests need into $(VENV)"
	@$(PIP_INSTALL) $(PINS) --use-pep517 -e '$(TEST_TREE)'
	@touch $@
