# One image for every part of a Changeover in production: api-server, scheduler, dag-processor, triggerer, workers.
# Debian's own Python is what the requirements are tested with.
FROM debian:12.11-slim AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY requirements.txt requirements-production.txt ./
# uv is pinned where everything is; the two files together are the whole environment.
RUN python3 -m venv /opt/venv \
    && awk '/^[^ #]/ { wanted = /^uv==/ } wanted' requirements.txt > uv.txt \
    && /opt/venv/bin/python -m pip install --no-cache-dir --no-deps --require-hashes -r uv.txt \
    && /opt/venv/bin/uv pip sync --no-cache --python /opt/venv/bin/python --require-hashes --compile-bytecode \
        requirements.txt requirements-production.txt

FROM debian:12.11-slim
RUN apt-get update \
    && apt-get upgrade --yes \
    && apt-get install --yes --no-install-recommends ca-certificates openssh-client python3 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 changeover \
    && useradd --uid 10001 --gid changeover --create-home --shell /bin/sh changeover \
    && install -d -o changeover -g changeover /opt/airflow /opt/airflow/logs /var/lib/changeover
COPY --from=build /opt/venv /opt/venv
WORKDIR /opt/changeover
COPY include include
COPY plugins plugins
COPY playbooks playbooks
COPY dags dags
RUN /opt/venv/bin/python -m compileall -q include plugins
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/opt/changeover/include \
    PYTHONUNBUFFERED=1 \
    AIRFLOW_HOME=/opt/airflow \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/changeover/dags \
    AIRFLOW__CORE__PLUGINS_FOLDER=/opt/changeover/plugins \
    CHANGEOVER_HOME=/var/lib/changeover \
    LANG=C.UTF-8 \
    UV_PYTHON_DOWNLOADS=never
USER changeover
CMD ["airflow", "version"]
