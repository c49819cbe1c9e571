# Image of the bridge:  docker build -t 3cx2mqtt .
# How to run it beside a broker and Home Assistant: docs/docker.md

FROM python:3.13-slim-trixie AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src

# The tested versions. pip refuses hashes in a constraints file when it installs a wheel that was just built here, so they
# are left out.
COPY requirements.lock ./
RUN sed -e 's/ *\\$//' -e '/--hash=/d' requirements.lock > /constraints.txt
RUN pip install --constraint /constraints.txt hatchling

COPY pyproject.toml README.md LICENSE config.example.yaml config.schema.json ./
COPY bridge ./bridge
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /dist .

# --only-binary: a package without a wheel for this architecture fails here, as the image has no compiler.
RUN python -m venv --without-pip /opt/3cx2mqtt \
    && pip --python /opt/3cx2mqtt/bin/python install --only-binary :all: --constraint /constraints.txt /dist/*.whl


FROM python:3.13-slim-trixie
LABEL org.opencontainers.image.title="3cx2mqtt" \
      org.opencontainers.image.description="Publishes the state of every 3CX user to retained MQTT topics" \
      org.opencontainers.image.licenses="Apache-2.0"

COPY --from=build /opt/3cx2mqtt /opt/3cx2mqtt
ENV PATH=/opt/3cx2mqtt/bin:$PATH THREECX2MQTT_CONFIG=/config/config.yaml \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1

# A number, not a name, so that Kubernetes can verify that it is not root. Secret files must be readable by it.
USER 10001:10001
STOPSIGNAL SIGTERM
# Checks a file in /tmp that the bridge renews every 10 s while its loops run, whatever the state of PBX and broker.
HEALTHCHECK --interval=60s --timeout=10s --start-period=30s --retries=2 CMD ["3cx2mqtt", "health"]
ENTRYPOINT ["3cx2mqtt"]
CMD ["run"]
