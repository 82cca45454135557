# SPDX-License-Identifier: Apache-2.0
# make demo | test | docs | bench | bench-foundation | bench-kernels | peers | lint | asan | tsan | mutate | wheel | clean.  Everything lives in .venv/ and build/.
PYTHON ?= python3
TORCH ?= auto
EMU ?= ON
LEVELS ?=
ARGS ?=
.NOTPARALLEL:
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
SOURCES := CMakeLists.txt pyproject.toml $(shell find csrc cmake -type f -not -path 'csrc/_template/*')
COMPILER := $(or $(CXX),c++)
comma := ,

# CUDA only where a GPU is present, and only for its architecture: the full set is for wheels and CI.
GPUS := $(shell nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | tr -d . | sort -un | paste -sd ';')
CUDA := $(if $(GPUS),ANNKERN_CUDA=ON 'ANNKERN_CUDA_ARCHITECTURES=$(GPUS)',ANNKERN_CUDA=OFF)
# $(call install,EXTRAS,DEFINITIONS): cmake and ninja by themselves, which show what they do; pip then finds nothing left to
# compile. One build folder for all targets: what one of them has compiled stays for the others.
define install
	$(BIN)/cmake -G Ninja -S . -B build/release -DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(BIN)/ninja -DCMAKE_BUILD_TYPE=Release \
	  -DPython_EXECUTABLE=$(CURDIR)/$(BIN)/python $(addprefix -D,$(CUDA) $(2)) --log-level=NOTICE
	$(BIN)/cmake --build build/release --target annkern_modules
	$(PIP) install --no-build-isolation -Cbuild-dir=build/release $(addprefix -Ccmake.define.,$(CUDA) $(2)) -e '.[$(1)]'
	@touch $@
endef

.PHONY: help demo test docs bench bench-foundation bench-kernels peers lint format asan tsan mutate wheel clean
help:
	@sed -n 2p Makefile

demo: $(VENV)/demo
	$(BIN)/python examples/demo.py $(ARGS)

# On all cores that this process may use; ARGS="-n0" runs in one process. What tests compile stays in build/tests.
test: export ANNKERN_BUILD_DIR = $(CURDIR)/build/tests
test: $(VENV)/test
	$(BIN)/python -m pytest -n auto --maxschedchunk 1 $(ARGS)

# annkern beside the peers that are installed: make bench ARGS="--quick --peers hnswlib,faiss --out build/bench.jsonl"
bench: $(VENV)/test
	$(BIN)/annkern-bench run $(or $(ARGS),--quick --out build/bench.jsonl)

bench-foundation: $(VENV)/test
	$(BIN)/python bench/foundation.py $(ARGS)

# Each operation on its own: make bench-kernels ARGS="--only 'knn*' --out new.json --against old.json"
bench-kernels: $(VENV)/test
	$(BIN)/python bench/kernels/run.py $(ARGS)

# One after another: some have no build for every machine.
peers: $(VENV)/test
	for peer in $$($(BIN)/python tools/extra.py peers); do $(PIP) install -U $$peer || echo "$$peer is left out"; done
	$(BIN)/annkern-bench peers

mutate: $(VENV)/test
	$(BIN)/python tools/mutate.py $(ARGS)

$(VENV)/base: tools/bootstrap.sh
	sh tools/bootstrap.sh $(PYTHON)
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -U 'pip>=23.1' 'scikit-build-core>=0.11' 'pybind11>=2.13' 'cmake>=3.24' ninja numpy
	@touch $@

$(VENV)/cuda: $(VENV)/base
	$(if $(GPUS),command -v nvcc || $(PIP) install \
	  $$($(BIN)/python tools/extra.py cuda-build))
	@touch $@

$(VENV)/demo: $(VENV)/cuda $(SOURCES)
	@echo "building annkern in build/release for this machine's processor (a minute or two the first time)"
	$(call install,demo,ANNKERN_ISA_LEVELS=NATIVE)

$(VENV)/torch: $(VENV)/base tools/torch.sh
	sh tools/torch.sh $(BIN)/python $(TORCH)
	@touch $@

$(VENV)/test: $(VENV)/cuda $(VENV)/torch $(SOURCES)
	@echo "building annkern for all processors, and its emulator, in build/release (a few minutes the first time)"
	$(call install,test$(comma)bench$(comma)demo,ANNKERN_ISA_LEVELS= ANNKERN_EMU=ON)
	@touch $(VENV)/demo

$(VENV)/lint: $(VENV)/base pyproject.toml
	$(PIP) install $$($(BIN)/python tools/extra.py lint)
	@touch $@

$(VENV)/docs: $(VENV)/demo pyproject.toml
	$(PIP) install $$($(BIN)/python tools/extra.py docs)
	@touch $@

# The site, in build/docs. A warning is an error: a link that leads nowhere, an argument that is not described.
docs: $(VENV)/docs
	$(BIN)/python -m sphinx -W --keep-going -a -q docs build/docs
	@echo "build/docs/index.html"

FORMATTED = $(shell find csrc tests bench \( -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' \))
lint: $(VENV)/lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run -Werror $(FORMATTED)

format: $(VENV)/lint
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(FORMATTED)

# Sanitized modules lie outside the virtual environment; -S keeps its editable install from shadowing them.
# TSan wants an address space that is not randomised (setarch), and knows nothing of the emulator's fibers.
SITE = $(shell $(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
SANITIZED = $(BIN)/cmake -G Ninja -S . -B build/$@ -DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(BIN)/ninja \
    -DPython_EXECUTABLE=$(CURDIR)/$(BIN)/python -DANNKERN_CUDA=OFF '-DANNKERN_ISA_LEVELS=$(LEVELS)' --log-level=WARNING
define run_sanitized
	$(BIN)/cmake --build build/$@
	$(BIN)/cmake --install build/$@ --prefix build/$@/site --component annkern >/dev/null
	cp -r python/annkern build/$@/site
	PYTHONPATH=build/$@/site:$(SITE) PYTHONDONTWRITEBYTECODE=1 \
	  LD_PRELOAD="$$($(COMPILER) -print-file-name=$(1)) $$($(COMPILER) -print-file-name=libstdc++.so.6)" \
	  setarch -R $(BIN)/python -S -m pytest -p no:cacheprovider $(or $(ARGS),$(2))
endef

asan: export ASAN_OPTIONS = detect_leaks=0
asan: $(VENV)/test
	$(SANITIZED) -DANNKERN_SANITIZE=address -DANNKERN_EMU=$(EMU)
	$(call run_sanitized,libasan.so,tests)

tsan: export TSAN_OPTIONS = halt_on_error=1
tsan: $(VENV)/test
	$(SANITIZED) -DANNKERN_SANITIZE=thread
	$(call run_sanitized,libtsan.so,tests)

wheel: $(VENV)/base
	$(PIP) wheel --no-build-isolation --no-deps -w dist -Cbuild-dir=build/wheel -Ccmake.define.ANNKERN_CUDA=ON .
	@ls -l dist

clean:
	rm -rf build dist $(VENV) demo.png
