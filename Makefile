# Every target is one thing a person does; CI calls the same ones. `make demo` and `make test` set up what they need.
SHELL := /bin/bash
UV := $(shell command -v uv || echo .uv/bin/uv)
RUN := $(UV) run --frozen --all-extras
PYTHON_SOURCES := layers functions containers cli embedded-aws docs gates tests bench/check_reads
FUZZ_SECONDS ?= 60
export SAM_CLI_TELEMETRY := 0

.PHONY: demo test check fuzz build images push invoke mocks failures tools picture clean

demo: .venv/ready tools
	$(RUN) seqdrop demo

test: .venv/ready tools build
	$(RUN) pytest $(ARGS)

check: .venv/ready
	$(RUN) ruff check $(PYTHON_SOURCES) && $(RUN) ruff format --check $(PYTHON_SOURCES)
	$(RUN) mypy && for app in functions/*/app.py; do $(RUN) mypy $$app || exit; done
	$(RUN) bash .ci/gates

fuzz: .venv/ready ## made pairs against the checker of reads, for FUZZ_SECONDS
	$(RUN) python tests/fuzz/check_reads.py $(FUZZ_SECONDS)

build: .venv/ready
	$(RUN) sam build --build-dir .aws-sam/build > .aws-sam.log 2>&1 || { cat .aws-sam.log; exit 1; }
	@rm -f .aws-sam.log

images: ## one image a tool, with the names that `seqdrop up` looks for
	bash containers/build

push: .venv/ready ## build and push the images that STACK lacks, write their tags to samconfig.toml
	$(RUN) bash containers/push $(STACK)

invoke: .venv/ready build ## sam local invoke of every function with its events, offline; needs a Docker engine
	$(RUN) bash local/invoke_all

tools:
	bash local/install_tools

mocks: .venv/ready ## what the mocked functions answer, written anew from their code
	PYTHONPATH=tests:embedded-aws/tests $(RUN) python -m support.paths.make

failures: .venv/ready ## docs/failures.md, written anew from tests/faults
	$(RUN) python tests/support/catalogue.py

picture: .venv/ready
	$(RUN) python docs/draw_pipeline.py

clean:
	rm -rf .venv .venv-gates .uv .aws-sam .seqdrop build dist

.venv/ready: pyproject.toml layers/common/pyproject.toml containers/pyproject.toml $(wildcard containers/*/__init__.py) uv.lock | $(UV)
	$(UV) sync --quiet --frozen --all-extras
	@touch $@

.uv/bin/uv:
	python3 -m venv .uv || { echo "python3 has no venv: run 'sudo apt-get install python3-venv'" >&2; exit 1; }
	.uv/bin/pip install --quiet uv==0.13.9
