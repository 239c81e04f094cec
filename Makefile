# A machine needs Python 3.11 with venv, and make. `make help` lists the targets.
# Variables: PYTHON, VENV, TORCH (requirement of the torch build), TORCH_INDEX (package index to take
# torch from, such as that of its CPU builds; the default index has the CUDA build on Linux), BUNDLE
# (what `make train` trains), BUNDLES (what `make train-all` trains, all by default), KNOBS (of train.yaml,
# such as "--epochs 20"), EXPORT (1: `make train-all` makes bundles of the weights), DATA (folder with the label maps that `make train` draws from as well),
# JOBS (processes that run the tests; one for each core by default), SLICES (sizes that `make bench` measures), RESULTS (files that it writes, without .json and .png).
# Of the container image: IMAGE (its name), LOCK (cuda or cpu, the packages of deploy/image), BASE (image that it is built on), IMAGE_TOOL
# (docker, podman or buildah, the one that works by default), BUILD_FLAGS (further options of its `build`). Of `make lock`: TORCH_CPU
# (options of uv that find the CPU builds of torch; --find-links FOLDER where its index cannot be reached).

PYTHON      ?= $(shell command -v python3.11 || command -v python3)
VENV        ?= .venv
TORCH       ?= torch==2.13.0
TORCH_INDEX ?=
BUNDLE      ?= kidney_sehdc
BUNDLES     ?=
KNOBS       ?=
EXPORT      ?=
DATA        ?=
JOBS        ?= logical
SLICES      ?= 50 200 500 1059
RESULTS     ?= docs/benchmarks/cpu
VERSION     := $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' renalseg/__init__.py)
IMAGE       ?= localhost/renalseg:$(VERSION)
LOCK        ?= cuda
BASE        ?= $(if $(filter cpu,$(LOCK)),docker.io/library/python:3.11-slim)
TORCH_CPU   ?= --torch-backend cpu
BUILD_FLAGS ?=
IMAGE_TOOL  ?= $(shell docker info >/dev/null 2>&1 && echo docker || command -v podman || command -v buildah)

# buildah has no `save`.
ARCHIVE     := dist/renalseg-$(VERSION)-$(LOCK).tar
SAVE_IMAGE   = $(IMAGE_TOOL) $(if $(findstring buildah,$(IMAGE_TOOL)),push $(IMAGE) docker-archive:$(ARCHIVE),save --output $(ARCHIVE) $(IMAGE))

BIN   := $(VENV)/bin
# Python compiles a module when it is first imported; most never are.
PIP   := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-compile
RUN   := $(VENV)/.installed
DEV   := $(VENV)/.installed-dev
DEMO  := build/demo
WHEEL := build/wheel
RELEASE := build/release
NNUNET := build/nnunet
OHIF   := build/ohif
MONAILABEL := build/monailabel

.DEFAULT_GOAL := help
.PHONY: help install demo test test-worker test-all test-container test-view test-monailabel wheel-test lint check bench bench-gpu goldens pictures train train-all image lock digests release clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 12

install: $(DEV)  ## install what all targets need, which each of them otherwise does at its first run

demo: $(RUN)  ## segment the embedded sample CT and show the result
	rm -rf $(DEMO)
	$(BIN)/renalseg sample $(DEMO)/ct
	$(BIN)/monai-deploy exec app -i $(DEMO)/ct -o $(DEMO)/seg --overlay $(DEMO)

# One that takes the place of a process that died waits forever for files whose tests have all run.
test: $(DEV)  ## run the tests but the slow ones, in as many processes as there are cores
	$(BIN)/python -m pytest -m "not slow" --numprocesses $(JOBS) --maxprocesses 8 --dist loadfile --no-loadscope-reorder \
		--max-worker-restart 0

test-worker: $(DEV)  ## run the tests of the worker, with a real Orthanc where it is installed
	$(BIN)/python -m pytest tests/e2e/test_worker.py tests/unit/test_worker*.py

test-all: $(DEV)  ## run all tests
	$(BIN)/python -m pytest

test-view: $(DEV) $(OHIF)/index.html  ## look at the results in headless browsers: docs/how-to/view.md
	OHIF_DIST=$(OHIF) SCREENSHOTS=build/view $(BIN)/python -m pytest tests/e2e/test_viewers.py

$(OHIF)/index.html:
	mkdir -p $(OHIF)
	cd build && npm pack --silent @ohif/app@3.13.2 && tar -xzf ohif-app-3.13.2.tgz -C ohif --strip-components=2 package/dist \
		|| echo "OHIF could not be fetched: its test is skipped" >&2

test-monailabel: $(DEV) $(MONAILABEL)/.installed  ## run MONAI Label's server with the app of deploy/monailabel
	MONAILABEL=$(abspath $(MONAILABEL)/bin/monailabel) $(BIN)/python -m pytest tests/integration/test_deploy_monailabel.py

# Apart from the rest: its pydicom-seg needs pydicom 2 and NumPy 1.
$(MONAILABEL)/.installed:
	$(PYTHON) -m venv $(MONAILABEL)
	$(MONAILABEL)/bin/pip --disable-pip-version-check install --quiet --no-compile monailabel==0.8.5 'pydicom<3'
	@touch $@

wheel-test: $(RUN)  ## build the wheel, install it outside the checkout and segment the sample with it
	rm -rf $(WHEEL)
	$(BIN)/python -m pip --disable-pip-version-check wheel --quiet --no-deps --wheel-dir $(WHEEL) .
	$(BIN)/python -m tools.wheel_test $(WHEEL)/renalseg-*.whl

lint: $(DEV)  ## check form, style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test  ## what must pass before a commit: lint and test

bench: $(RUN) $(NNUNET)/.installed $(VENV)/.installed-itk  ## measure each method and its references
	$(BIN)/python -m tools bench --slices $(SLICES) --nnunet $(NNUNET) --json $(RESULTS).json --plot $(RESULTS).png

bench-gpu: $(RUN)  ## check a machine with a GPU and measure it in ten minutes (CHECK=1: only check)
	$(BIN)/python -m tools gpu $(if $(CHECK),--check)

goldens: $(DEV)  ## renew the golden outputs of the tests, after results changed on purpose
	$(BIN)/python -m tests.golden

pictures: $(DEV)  ## renew the pictures of the guides: needs Chromium and poppler-utils
	$(BIN)/python -m tests.pictures

train: $(RUN) build/.library  ## train a bundle on synthetic CTs: make train BUNDLE=tumor_sehdc
	$(BIN)/python -m monai.bundle run --config_file bundles/$(BUNDLE)/configs/train.yaml \
		--bundle_root bundles/$(BUNDLE) $(KNOBS)
	@echo "To make a bundle of it: $(BIN)/renalseg export build/train/$(BUNDLE) bundles/$(BUNDLE)"

train-all: $(RUN) build/.library  ## train bundles one after another: make train-all BUNDLES="kidney_sehdc tumor_sehdc"
	$(BIN)/python -m tools.train_all $(BUNDLES) $(if $(EXPORT),--export) $(KNOBS)

build/.library: | $(RUN)
	$(BIN)/renalseg library build/library $(if $(DATA),--phantoms 30 --implanted 120 --data $(DATA))
	@touch $@

image:  ## build the container image; for CPUs: make image LOCK=cpu TORCH_INDEX=...
	$(or $(IMAGE_TOOL),$(error make image needs docker, podman or buildah)) build --tag $(IMAGE) \
		$(if $(BASE),--build-arg BASE=$(BASE)) --build-arg LOCK=$(LOCK) \
		$(if $(TORCH_INDEX),--build-arg TORCH_INDEX=$(TORCH_INDEX)) --build-arg VERSION=$(VERSION) $(BUILD_FLAGS) .

# For Linux with Python 3.11 to 3.13, x86_64 and aarch64: uv lists the hashes of every wheel of a version.
UV_LOCK := $(BIN)/uv pip compile --quiet --upgrade --generate-hashes --only-binary :all: --no-annotate \
	--python-version 3.11 --python-platform x86_64-manylinux_2_35 --custom-compile-command 'make lock'

lock: $(DEV)  ## lock what the image installs to versions and hashes, after requirements.txt changed
	$(UV_LOCK) --excludes deploy/image/excluded.txt --output-file deploy/image/cuda.lock requirements.txt
	echo '$(TORCH)+cpu' | $(UV_LOCK) $(TORCH_CPU) --excludes deploy/image/excluded.txt --output-file deploy/image/cpu.lock requirements.txt -
	$(UV_LOCK) --output-file deploy/image/build.lock requirements-build.txt

digests:  ## pin the images that others make by digest, with skopeo
	$(BIN)/python -m tools.image.digests

# Everything but the image is made of the commit alone, and has the same bytes each time.
release: export SOURCE_DATE_EPOCH = $(shell git log -1 --format=%ct)
release: export TZ = UTC
release: $(DEV)  ## wheel, sdist, bills of materials, bundles and, with a tool for it, the image, with checksums, into dist/
	rm -rf dist $(RELEASE) && mkdir -p dist $(RELEASE)
	git archive HEAD | tar -x -C $(RELEASE)
	cd $(RELEASE) && $(abspath $(BIN))/python -m hatchling build -d $(CURDIR)/dist
	cd $(RELEASE) && for lock in cuda cpu; do $(abspath $(BIN))/python -m tools.image.sbom \
		--lock deploy/image/$$lock.lock --bundles bundles --out $(CURDIR)/dist/renalseg-$(VERSION)-$$lock.cdx.json || exit; done
	cd bundles && for bundle in *_*; do version=$$(sed -n 's/^  "version": "\(.*\)",/\1/p' $$bundle/configs/metadata.json); \
		git archive --output $(CURDIR)/dist/$$bundle-$$version.zip HEAD $$bundle || exit; done
	$(if $(IMAGE_TOOL),$(MAKE) image)
	$(if $(IMAGE_TOOL),$(SAVE_IMAGE))
	cd dist && sha256sum * > SHA256SUMS

test-container: $(DEV)  ## build the image without a registry and run the sample through it (as root; minutes)
	RENALSEG_TEST_CONTAINER=1 $(BIN)/python -m pytest tests/container

clean:  ## remove what the other targets made, the environment included
	rm -rf build $(VENV) *.egg-info .mypy_cache .pytest_cache .ruff_cache

# torch goes first and alone, so that the build that is chosen here is the one that the rest is given.
$(RUN): requirements.txt pyproject.toml
	@echo "Installing into $(VENV); the first time this takes some minutes."
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 is needed")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $(TORCH)
	$(PIP) -r requirements.txt
	$(PIP) --no-deps --editable .
	$(BIN)/python -m renalseg.runtime.cuda_runtime
	@touch $@

# What MONAI's own reader of DICOM needs; 1.5 GB.
$(VENV)/.installed-itk: | $(RUN)
	$(PIP) itk==5.4.7
	@touch $@

# Apart from the rest, because it would replace torch. The benchmark also runs without it.
$(NNUNET)/.installed: requirements-bench.txt | $(RUN)
	$(PIP) --no-deps --target $(NNUNET) --upgrade -r requirements-bench.txt && touch $@ || true

$(DEV): $(RUN) requirements-dev.txt requirements-build.txt
	$(PIP) -r requirements-dev.txt
	@touch $@
