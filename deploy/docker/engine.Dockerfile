# The engine: a model on a GPU. PyTorch brings its own CUDA libraries; the base says which driver they need (CUDA 13: 580 or
# newer). Weights are not in the image: they are fetched into HF_HOME, which is a volume.
#     docker build -f deploy/docker/engine.Dockerfile -t moshi-live-engine:0.1.0 .
ARG BASE_IMAGE=nvidia/cuda:13.0.2-base-ubuntu24.04

FROM ${BASE_IMAGE} AS python
# Triton compiles a few lines of C for each kernel when it is first used: gcc, and Python's headers.
# Versions are not pinned: distributions take old ones away.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates gcc libc6-dev python3 python3-dev python3-venv \
 && rm -rf /var/lib/apt/lists/*

FROM python AS installed
# Which of the locked files: engine.txt is all that the engine takes.
ARG REQUIREMENTS=engine.txt
WORKDIR /build
COPY deploy/requirements/ requirements/
RUN python3 -m venv /opt/installer \
 && /opt/installer/bin/pip install --no-cache-dir --require-hashes \
    -r requirements/installer.txt -r requirements/build.txt
RUN /opt/installer/bin/uv venv --python python3 /opt/moshi \
 && VIRTUAL_ENV=/opt/moshi /opt/installer/bin/uv pip sync --no-cache --no-build --compile-bytecode --require-hashes \
    "requirements/${REQUIREMENTS}"
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY engine engine
# Beside its dependencies: their layer, some gigabytes, stays where the code alone has changed.
RUN /opt/installer/bin/uv pip install --no-cache --no-deps --no-build-isolation --compile-bytecode \
    --python /opt/installer/bin/python --target /app .

FROM python
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="moshi-live engine" \
      org.opencontainers.image.description="Full-duplex Moshi calls in LiveKit rooms: the inference engine" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
RUN groupadd --gid 10001 moshi \
 && useradd --uid 10001 --gid moshi --no-create-home --home-dir /tmp --shell /usr/sbin/nologin moshi \
 && install --directory --owner moshi --group moshi --mode 0700 /run/moshi /data
COPY --from=installed /opt/moshi /opt/moshi
COPY --from=installed /app /app
# /data (weights, compiled kernels), /run/moshi (sockets) and /tmp are written to: the root file system may be read-only.
# Compiled kernels are loaded from where they lie, so that place must not be mounted noexec.
ENV PATH=/opt/moshi/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    HF_HOME=/data/huggingface \
    TRITON_CACHE_DIR=/data/triton \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
WORKDIR /app
USER 10001:10001
# No HEALTHCHECK: address, port and TLS are settings. compose.yaml and the Helm chart, which set them, ask GET /healthz.
ENTRYPOINT ["python", "-m", "engine"]
CMD ["serve"]
