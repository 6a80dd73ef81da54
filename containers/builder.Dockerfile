# Build what the image of one tool needs from Python: /opt/seqdrop, a virtual environment with its packages from PyPI, and
# /src/wheels, our own code. `containers/build` builds this image first; the Dockerfile of the tool copies both from it.
# The packages and our code are apart, so that after a change in our code the images copy and install two small wheels
# only. The steps before ARG are the same for every tool.
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS python
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3=3.11.2-1+b1 python3-venv=3.11.2-1+b1 \
    && rm -rf /var/lib/apt/lists/*
# hatchling builds the layer and the wrapper. It stays in this image.
COPY containers/build-requirements.txt containers/requirements.txt /src/containers/
RUN python3 -m venv /opt/build \
    && /opt/build/bin/pip install --no-cache-dir --no-deps --require-hashes -r /src/containers/build-requirements.txt
RUN python3 -m venv /opt/seqdrop \
    && /opt/seqdrop/bin/pip install --no-cache-dir --no-deps --require-hashes -r /src/containers/requirements.txt

FROM python AS layer
COPY layers/common/pyproject.toml /src/layers/common/
COPY layers/common/seqdrop /src/layers/common/seqdrop
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /src/wheels /src/layers/common

FROM python
ARG TOOL
# Most tools have no requirements.txt. The pattern matches a file that may be missing if another file of the COPY exists.
COPY containers/${TOOL}/__init__.py containers/${TOOL}/requirements.tx[t] /src/containers/${TOOL}/
RUN if [ -e "/src/containers/${TOOL}/requirements.txt" ]; then \
        /opt/seqdrop/bin/pip install --no-cache-dir --no-deps --require-hashes -r "/src/containers/${TOOL}/requirements.txt"; \
    fi

COPY --from=layer /src/wheels /src/wheels
COPY containers/pyproject.toml containers/hatch_build.py containers/__init__.py /src/containers/
# The wrapper of the tool and, if its image has several tools (tools.txt), those of all of them.
COPY containers /src/all
RUN for tool in ${TOOL} $(cat "/src/all/${TOOL}/tools.txt" 2> /dev/null); do cp -r "/src/all/$tool" /src/containers/; done
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /src/wheels /src/containers
