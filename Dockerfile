# logship as a sidecar: numeric user, read-only root, state in a volume, nothing but Python inside.
#
#   docker build -t logship .
#   docker run --read-only -v ./my-config:/etc/logship:ro -v /var/log/nginx:/var/log/nginx:ro -v state:/var/lib/logship logship
#
# With podman: build --format docker, or there is no health check.

FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY requirements.txt requirements-build.txt ./
RUN python -m venv /opt/logship \
 && /opt/logship/bin/pip install --no-cache-dir --require-hashes --requirement requirements.txt \
 && python -m venv /opt/build \
 && /opt/build/bin/pip install --no-cache-dir --require-hashes --requirement requirements-build.txt
COPY pyproject.toml README.md LICENSE ./
COPY logship logship
RUN /opt/build/bin/hatchling build -t wheel -d /src/dist \
 && /opt/logship/bin/pip install --no-cache-dir --no-deps /src/dist/*.whl \
 && /opt/logship/bin/pip uninstall --yes setuptools pip \
 && install -d -m 700 /var/state/logship

FROM python:3.11-slim-bookworm
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="logship" \
      org.opencontainers.image.description="Turns nginx and Apache access logs into Plausible analytics" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/logship /opt/logship
# A directory inside, so that its mode is kept: what is copied is what it holds.
COPY --from=build --chown=10001:10001 /var/state /var/lib
ENV PATH=/opt/logship/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    STATE_DIRECTORY=/var/lib/logship
USER 10001:10001
VOLUME ["/var/lib/logship"]
EXPOSE 9469
HEALTHCHECK --interval=30s --timeout=10s --retries=3 CMD ["logship", "status", "--json"]
ENTRYPOINT ["logship"]
CMD ["run"]
