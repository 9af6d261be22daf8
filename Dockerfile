# The `allocations` command with the core lock: all that an ingress or a processor needs, no Java and no Postgres server.
FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /build && python -m venv --without-pip /opt/allocations
WORKDIR /source
COPY requirements requirements
RUN /build/bin/pip install --no-deps --only-binary :all: --require-hashes -r requirements/build.txt \
    && /build/bin/pip --python /opt/allocations/bin/python \
        install --no-deps --only-binary :all: --require-hashes -r requirements/core.txt
COPY . .
RUN /build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
    && /build/bin/pip --python /opt/allocations/bin/python install --no-deps /wheels/*.whl

FROM python:3.13-slim
# /keys is where docker-compose.yml mounts its volume, which takes its owner from here.
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin allocations \
    && install -d -o 10001 -g 10001 -m 0750 /keys
COPY --from=build /opt/allocations /opt/allocations
ENV PATH=/opt/allocations/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
ENTRYPOINT ["allocations"]
CMD ["--help"]
