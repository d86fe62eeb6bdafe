# The worker: LiveKit rooms on one side, an engine somewhere else on the other. No torch, no weights, no GPU.
#     docker build -f deploy/docker/worker.Dockerfile -t moshi-live-worker:0.1.0 .
ARG BASE_IMAGE=python:3.12-slim-bookworm
ARG NODE_IMAGE=node:22-bookworm-slim

FROM ${NODE_IMAGE} AS page
WORKDIR /page
COPY worker/page/package.json worker/page/package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY worker/page ./
RUN npm run build

FROM ${BASE_IMAGE} AS installed
WORKDIR /build
COPY deploy/requirements/installer.txt deploy/requirements/build.txt deploy/requirements/worker.txt ./
RUN python3 -m venv /opt/installer \
 && /opt/installer/bin/pip install --no-cache-dir --require-hashes -r installer.txt -r build.txt
RUN /opt/installer/bin/uv venv --python python3 /opt/moshi \
 && VIRTUAL_ENV=/opt/moshi /opt/installer/bin/uv pip sync --no-cache --no-build --compile-bytecode --require-hashes worker.txt
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY engine engine
COPY worker worker
COPY livekit livekit
COPY --from=page /page/dist worker/page/dist
# Beside its dependencies: their layer stays where the code alone has changed.
RUN /opt/installer/bin/uv pip install --no-cache --no-deps --no-build-isolation --compile-bytecode \
    --python /opt/installer/bin/python --target /app .

FROM ${BASE_IMAGE}
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="moshi-live worker" \
      org.opencontainers.image.description="Full-duplex Moshi calls in LiveKit rooms: the LiveKit worker and its web page" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
RUN groupadd --gid 10001 moshi \
 && useradd --uid 10001 --gid moshi --no-create-home --home-dir /tmp --shell /usr/sbin/nologin moshi \
 && install --directory --owner moshi --group moshi --mode 0700 /run/moshi /data
COPY --from=installed /opt/moshi /opt/moshi
COPY --from=installed /app /app
# /tmp alone is written to, and /data where transcripts or recordings are kept: the root file system may be read-only.
ENV PATH=/opt/moshi/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp
WORKDIR /app
USER 10001:10001
# No HEALTHCHECK: address and port are settings. compose.yaml and the Helm chart, which set them, ask GET /readyz.
ENTRYPOINT ["python", "-m", "worker"]
CMD ["start"]
