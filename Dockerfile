# Two images from one file. `services` holds predictor, feedback and drift-monitor; `platform` all of that and the rest: trainer,
# MLflow's server, command line and page. Libraries lie below our code, so that a change of the code builds in seconds.
ARG PYTHON=python:3.11-slim-bookworm

FROM ${PYTHON} AS base
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PATH=/opt/atalaia/.venv/bin:$PATH HOME=/tmp \
    MLFLOW_DISABLE_TELEMETRY=true MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR=false DVC_NO_ANALYTICS=true DVC_SITE_CACHE_DIR=/tmp/dvc GIT_PYTHON_REFRESH=quiet
# Named volumes take their owner from the folder of the image that they are mounted on.
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp atalaia \
 && install -d -o atalaia -g atalaia /var/lib/atalaia /run/atalaia /run/atalaia/postgres /run/atalaia/s3 /run/atalaia/dvc \
      /run/atalaia/store /run/atalaia/grafana /run/atalaia/alerts /run/atalaia/cluster /reports /runs
WORKDIR /opt/atalaia

FROM base AS uv
COPY requirements-uv.txt .
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv /opt/uv && /opt/uv/bin/pip install --quiet --require-hashes -r requirements-uv.txt

FROM uv AS services-libraries
COPY docker/services.lock requirements.lock
RUN --mount=type=cache,target=/root/.cache/uv \
    /opt/uv/bin/uv venv --quiet .venv \
 && UV_LINK_MODE=copy /opt/uv/bin/uv pip sync --quiet --compile-bytecode --require-hashes --python .venv requirements.lock

FROM uv AS platform-libraries
COPY docker/platform.lock requirements.lock
RUN --mount=type=cache,target=/root/.cache/uv \
    /opt/uv/bin/uv venv --quiet .venv \
 && UV_LINK_MODE=copy /opt/uv/bin/uv pip sync --quiet --compile-bytecode --require-hashes --python .venv requirements.lock

# In front of replicas: HAProxy finds them by name, and sends what one that is gone did not take to another.
FROM base AS proxy
RUN apt-get update && apt-get install -y --no-install-recommends haproxy && rm -rf /var/lib/apt/lists/*
COPY docker/haproxy.cfg docker/healthy.py /opt/atalaia/docker/
USER 10001:10001
CMD ["haproxy", "-W", "-f", "/opt/atalaia/docker/haproxy.cfg"]

# Our own code comes last, installed where the libraries are; compiled here, for the file system is read-only later.
FROM base AS services
COPY --from=services-libraries /opt/atalaia /opt/atalaia
COPY packages packages
COPY services services
RUN --mount=type=bind,from=uv,source=/opt/uv,target=/opt/uv \
    /opt/uv/bin/uv pip install --quiet --no-deps --no-build-isolation --no-cache --python .venv \
      $(printf ' -e packages/%s' contracts summaries scoring servicekit) $(printf ' -e services/%s' predictor drift-monitor feedback) \
 && python -m compileall -q packages services
COPY docker/healthy.py docker/make_secrets.py docker/
USER 10001:10001

FROM base AS platform
RUN apt-get update && apt-get install -y --no-install-recommends git libgomp1 && rm -rf /var/lib/apt/lists/*
COPY --from=platform-libraries /opt/atalaia /opt/atalaia
COPY packages packages
COPY services services
RUN --mount=type=bind,from=uv,source=/opt/uv,target=/opt/uv \
    /opt/uv/bin/uv pip install --quiet --no-deps --no-build-isolation --no-cache --python .venv \
      $(printf ' -e packages/%s' contracts summaries scoring servicekit modelkit atalaia) \
      $(printf ' -e services/%s' predictor drift-monitor feedback trainer) \
 && python -m compileall -q packages services
COPY docker/healthy.py docker/mlflow_server.py docker/
USER 10001:10001
