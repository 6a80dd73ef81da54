# Build /opt/seqdrop, the virtual environment of one tool: its packages from PyPI, the layer, and the wrapper of the tool.
# `containers/build` builds this image first; the Dockerfile of the tool copies /opt/seqdrop from it.
# The order of the steps is that of their changes, rarest first: the steps before ARG are the same for every tool, and after
# a change in one wrapper only the last step runs again.
ARG BASE=debian:bookworm-slim

FROM ${BASE}
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3=3.11.2-1+b1 python3-venv=3.11.2-1+b1 \
    && rm -rf /var/lib/apt/lists/*
# hatchling builds the layer and the wrapper. It stays in this image.
RUN python3 -m venv /opt/build && /opt/build/bin/pip install --no-cache-dir hatchling==1.33.0
COPY containers/requirements.txt /src/containers/
RUN python3 -m venv /opt/seqdrop \
    && /opt/seqdrop/bin/pip install --no-cache-dir --no-deps --require-hashes -r /src/containers/requirements.txt

ARG TOOL
# Most tools have no requirements.txt. The pattern matches a file that may be missing if another file of the COPY exists.
COPY containers/${TOOL}/__init__.py containers/${TOOL}/requirements.tx[t] /src/containers/${TOOL}/
RUN if [ -e "/src/containers/${TOOL}/requirements.txt" ]; then \
        /opt/seqdrop/bin/pip install --no-cache-dir --no-deps --require-hashes -r "/src/containers/${TOOL}/requirements.txt"; \
    fi

COPY layers/common/pyproject.toml /src/layers/common/
COPY layers/common/seqdrop /src/layers/common/seqdrop
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /src/layer /src/layers/common \
    && /opt/seqdrop/bin/pip install --no-deps --no-index /src/layer/*.whl

COPY containers/pyproject.toml containers/hatch_build.py containers/__init__.py /src/containers/
COPY containers/${TOOL} /src/containers/${TOOL}
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /src/wrapper /src/containers \
    && /opt/seqdrop/bin/pip install --no-deps --no-index /src/wrapper/*.whl \
    && /opt/seqdrop/bin/pip check \
    && /opt/seqdrop/bin/python -m compileall -q /opt/seqdrop
