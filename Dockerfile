# The images `runtime` and `operator` for people with a container engine:
#   docker build --target runtime  --tag sluicegate-runtime  .
#   docker build --target operator --tag sluicegate-operator .
# Debian's packages as of a time, for a build that gives the same later:
#   --build-arg SNAPSHOT=20261201T000000Z
# Behind a proxy that signs TLS anew: --build-arg CERTIFICATES="$(cat its-authority.pem)"
# (Some packages ship files for other Pythons, which don't compile and are never imported.)
# They hold what cluster/images/{runtime,operator}.toml describe; a test compares the two.

# The runtime on another Python than Debian bookworm's 3.11:
#   3.12: --build-arg BASE=python:3.12-slim-bookworm --build-arg PYTHON=
#   3.13: --build-arg BASE=debian:trixie-slim
ARG BASE=debian:bookworm-slim

FROM $BASE AS base
ARG SNAPSHOT=
ARG PYTHON="python-is-python3 python3"
RUN { [ -z "$SNAPSHOT" ] || { sed -i "/^URIs:/s|http://[^/]*/\(debian[a-z-]*\)|http://snapshot.debian.org/archive/\1/$SNAPSHOT|" \
            /etc/apt/sources.list.d/debian.sources \
        && echo 'Acquire::Check-Valid-Until "false";' > /etc/apt/apt.conf.d/10-snapshot; }; } \
    && apt-get update \
    && apt-get install --yes --no-install-recommends \
        ca-certificates libgomp1 libstdc++6 $PYTHON usr-is-merged \
    && rm -rf /var/lib/apt/lists/*

FROM base AS packages
ARG CERTIFICATES=
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
RUN { [ -z "$CERTIFICATES" ] || echo "$CERTIFICATES" > /usr/local/share/ca-certificates/proxy.crt; } \
    && update-ca-certificates \
    && apt-get update \
    && apt-get install --yes --no-install-recommends python3-venv \
    && python3 -m venv /uv \
    && /uv/bin/pip install --quiet uv==0.13.9 \
    && ln -s /uv/bin/uv /usr/local/bin/uv
WORKDIR /source
COPY pyproject.toml uv.lock ./
COPY bentos/service/pyproject.toml bentos/service/
COPY bentos/market/pyproject.toml bentos/market/
COPY cluster/pyproject.toml cluster/

FROM packages AS runtime-packages
RUN uv export --frozen --quiet --no-emit-workspace --only-group=serving > requirements.txt \
    && uv pip install --quiet --target=/opt/python --no-deps --require-hashes -r requirements.txt \
    && rm -f /opt/python/.lock \
    && find /opt/python/bin -type f ! -name uv -delete \
    && (python -m compileall -qq --invalidation-mode=unchecked-hash -x '/tests?/' /opt/python || true)

FROM packages AS operator-packages
RUN uv export --frozen --quiet --no-emit-workspace --no-default-groups \
        --extra=archive --extra=notify --extra=simulate --extra=tracing --extra=uvloop --extra=web > requirements.txt \
    && uv pip install --quiet --target=/opt/python --no-deps --require-hashes -r requirements.txt \
    && rm -f /opt/python/.lock \
    && find /opt/python/bin -type f -delete \
    && (python -m compileall -qq --invalidation-mode=unchecked-hash -x '/tests?/' /opt/python || true)

FROM packages AS runtime-code
COPY bentos bentos
RUN uv pip install --quiet --target=/opt/sluicegate --no-deps bentos/service bentos/market \
    && rm -f /opt/sluicegate/.lock \
    && python -m compileall -qq --invalidation-mode=unchecked-hash /opt/sluicegate

FROM packages AS operator-code
COPY README.md LICENSE ./
COPY bentos bentos
COPY operator operator
RUN uv pip install --quiet --target=/opt/sluicegate --no-deps . bentos/service \
    && rm -f /opt/sluicegate/.lock \
    && python -m compileall -qq --invalidation-mode=unchecked-hash /opt/sluicegate

FROM base AS runtime
COPY --from=runtime-packages /opt/python /opt/python
COPY --from=runtime-code /opt/sluicegate /opt/sluicegate
ENV PATH=/opt/python/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/opt/sluicegate:/opt/python \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    TMPDIR=/tmp \
    BENTOML_HOME=/tmp/bentoml \
    BENTOML_CONTAINERIZED=true \
    BENTOML_DO_NOT_TRACK=True
WORKDIR /tmp
USER 1034:1034
EXPOSE 3000 3001
ENTRYPOINT ["python", "-m", "sluicegate_service.launcher"]
CMD ["/bento"]

FROM base AS operator
COPY --from=operator-packages /opt/python /opt/python
COPY --from=operator-code /opt/sluicegate /opt/sluicegate
ENV PATH=/opt/python/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/opt/sluicegate:/opt/python \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MALLOC_ARENA_MAX=1 \
    HOME=/tmp
WORKDIR /tmp
USER 1034:1034
EXPOSE 8080
ENTRYPOINT ["python", "-m", "sluicegate"]
CMD ["run"]
