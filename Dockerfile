# Two stages: the first compiles llama.cpp and collects the libraries, the second holds only what runs.
# Build: docker build -t muniment .
FROM python:3.11-slim AS build

RUN apt-get update \
    && apt-get install --no-install-recommends --yes build-essential libldap-dev libsasl2-dev \
    && rm -rf /var/lib/apt/lists/*
RUN python -m venv /opt/muniment
ENV PATH=/opt/muniment/bin:$PATH

# An image built on one machine runs on others, so do not compile for this machine's processor alone. For a site whose
# machines are alike, build with `--build-arg CMAKE_ARGS=-DGGML_NATIVE=on`, which is faster.
ARG CMAKE_ARGS="-DGGML_NATIVE=off -DGGML_AVX=on -DGGML_AVX2=on -DGGML_FMA=on -DGGML_F16C=on"
# On the package index, torch comes with gigabytes for graphics cards; its publisher's own index has it without. The
# version is the one that constraints.txt pins, so that the installation below keeps it.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN pip install --no-cache-dir --no-deps --index-url "$TORCH_INDEX" torch==2.13.0
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY policies policies
COPY connectors connectors
COPY models models
COPY retrieval retrieval
COPY gateway gateway
RUN pip install --no-cache-dir --constraint constraints.txt .

FROM python:3.11-slim

# llama.cpp and torch use OpenMP; python-ldap uses the library that ldap-utils brings, whatever Debian calls it.
RUN apt-get update \
    && apt-get install --no-install-recommends --yes libgomp1 ldap-utils \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home muniment \
    && install --directory --owner=muniment --mode=0700 /var/lib/muniment
COPY --from=build /opt/muniment /opt/muniment
ENV PATH=/opt/muniment/bin:$PATH \
    MUNIMENT_HOME=/var/lib/muniment \
    MUNIMENT_MODELS=/var/lib/muniment/models \
    PYTHONUNBUFFERED=1
USER muniment
VOLUME /var/lib/muniment
EXPOSE 8400
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8400/health/ready', timeout=4)"]
ENTRYPOINT ["muniment"]
# Inside the container every address has to do; compose.yaml publishes the port on loopback only.
CMD ["serve", "--host", "0.0.0.0", "--expose"]
