# make train, make test, make lint: each works alone on a fresh machine with Python (venv, header files), g++ and make.
# Everything is installed into .venv. Python changes take effect at once; C++ changes rebuild what they touch.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

build_files := setup.py pyproject.toml CMakeLists.txt $(wildcard build_support/*)
cpp_files := $(shell find csrc -type f)
cpp_formatted := $(filter %.cu %.h %.cpp,$(cpp_files)) $(wildcard tests/emulator/*.cu tests/emulator/*.h \
  tests/emulator/*.cpp benchmarks/*.cpp)

.PHONY: build train test lint format check bench-cpu bench-epoch bench-emulator gpu-check test-install clean

build: $(VENV)/build.stamp

# AlexNet's two towers on the embedded images: minutes on two cores. make train ARGS='--epochs 4 --devices cpu,cpu'
train: build
	$(BIN)/alexnet-cuda train $(ARGS)

# A file of tests at a time on each CPU, where matrix products then have one thread. make test ARGS='-n 0 -k conv2d'
test: build
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile $(ARGS)

lint: build
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run -Werror $(cpp_formatted)

format: build
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(cpp_formatted)

check: build
	$(BIN)/alexnet-cuda check

bench-cpu: build
	$(BIN)/python benchmarks/bench_cpu.py

# An epoch of training against PyTorch, which this installs into .venv.
bench-epoch: build
	$(BIN)/pip install --quiet torch
	$(BIN)/python benchmarks/bench_epoch.py

bench-emulator: build
	$(BIN)/python benchmarks/bench_emulator.py

# All that needs an NVIDIA GPU: build, tests, sanitizers, times. With what is installed beside $(PYTHON), without .venv
# and the network; benchmarks/gpu_check.py says what that must be. make gpu-check ARGS='--only build --only tests'
gpu-check:
	$(PYTHON) benchmarks/gpu_check.py $(ARGS)

# Real installations into fresh environments: minutes, and the network.
test-install: build
	$(BIN)/python -m pytest -m packaging tests/packaging

# All that the other targets made.
clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache alexnet_cuda/*.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# What a build depends on besides files; written anew only when it differs, so that it is newer than the stamps then.
settings := $(PYTHON) $(foreach v,ALEXNET_CUDA ALEXNET_CUDA_ARCHS ALEXNET_BUILD_DIR CMAKE_ARGS CUDAARCHS CXX CXXFLAGS \
  CUDACXX CUDAFLAGS CUDAHOSTCXX CUDA_HOME CUDA_PATH LDFLAGS,$(v)=$($(v))) $(sort $(cpp_files))
$(VENV)/settings: FORCE | $(VENV)/tools.stamp
	@mkdir -p $(VENV)
	@printf '%s\n' '$(settings)' | cmp -s - $@ || printf '%s\n' '$(settings)' > $@
.PHONY: FORCE

$(VENV)/python: FORCE
	@mkdir -p $(VENV)
	@echo '$(PYTHON)' | cmp -s - $@ || echo '$(PYTHON)' > $@

$(VENV)/tools.stamp: build_support/requirements.txt $(VENV)/python
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) does not run or cannot make virtual environments. Install it whole: apt install python3-venv," \
	    "or name another one: make PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	@echo '$(PYTHON)' > $(VENV)/python
	$(BIN)/pip install --quiet --requirement $<
	touch $@

# Without build isolation: CMake then sees the same paths each time and compiles only what changed.
$(VENV)/build.stamp: $(VENV)/tools.stamp $(VENV)/settings $(build_files) $(cpp_files)
	$(BIN)/pip install --quiet --no-build-isolation --editable '.[dev]'
	touch $@
