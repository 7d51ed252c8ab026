# The API with its default models inside; nothing is downloaded when it runs.
#
#   docker build -t understudy .
#   docker build -t understudy --build-arg PIP_EXTRA_INDEX_URL=<an index with CPU builds of torch> .
#
# It serves nobody without a key: make one before the first start, in the volume that it will use.
#
#   docker run --rm -v understudy:/data understudy keys create NAME --all-domains
#   docker run -p 127.0.0.1:8080:8080 -v understudy:/data understudy
#
# Without an index with CPU builds (or PIP_FIND_LINKS) pip takes torch's default build: it works, and its GPU libraries
# make the image gigabytes larger.

# --- build: a compiler, and one virtual environment ----------------------------------------------
FROM python:3.11.14-slim-bookworm AS build

RUN apt-get update \
 && apt-get install -y --no-install-recommends build-essential \
 && rm -rf /var/lib/apt/lists/*

ARG PIP_INDEX_URL=""
ARG PIP_EXTRA_INDEX_URL=""
ARG PIP_FIND_LINKS=""
# The image runs on machines that the builder has not seen: no native-only instructions. On x86-64 the baseline is
# AVX2 with FMA and F16C (every server since 2013); ARM ignores these and gets the compiler's baseline.
ARG CMAKE_ARGS="-DGGML_NATIVE=OFF -DGGML_SSE42=ON -DGGML_AVX=ON -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON -DGGML_BMI2=ON -DGGML_AVX512=OFF"

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/understudy
WORKDIR /src

# Dependencies first: they are built again only when their list changes.
COPY pyproject.toml constraints.txt ./
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
      > /tmp/requirements.txt \
 && /opt/understudy/bin/pip install -c constraints.txt -r /tmp/requirements.txt

COPY README.md LICENSE ./
COPY rag rag
COPY ingest ingest
COPY api api
COPY evaluation evaluation
COPY tuning tuning
COPY integrations integrations
RUN /opt/understudy/bin/pip install --no-deps .

# --- run: no compiler, no root -------------------------------------------------------------------
FROM python:3.11.14-slim-bookworm AS run

# libgomp: the OpenMP runtime that llama.cpp is linked with
RUN apt-get update \
 && apt-get install -y --no-install-recommends libgomp1 \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --gid 10001 understudy \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin understudy \
 && mkdir /data \
 && chown 10001:10001 /data

COPY --from=build /opt/understudy /opt/understudy
COPY corpora /corpora

ENV PATH=/opt/understudy/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HF_HUB_OFFLINE=1 \
    UNDERSTUDY_DATA__DIRECTORY=/data \
    UNDERSTUDY_SERVER__HOST=0.0.0.0 \
    UNDERSTUDY_SERVER__PORT=8080

USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8080

# The first start exports the embedder and tries the weights formats: ready within the start period on two cores.
HEALTHCHECK --interval=15s --timeout=5s --start-period=180s --retries=4 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/health/ready', timeout=4)"]

ENTRYPOINT ["understudy"]
CMD ["serve"]
