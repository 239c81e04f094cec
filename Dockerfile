# The image: a MONAI Application Package (see docs/how-to/deploy.md). `make image` builds it.
# BASE is any Debian or Ubuntu, with Python 3.11 or later or without; TORCH and TORCH_INDEX choose the
# build of torch. For CPUs: BASE=python:3.11-slim, and TORCH_INDEX the package index of torch's CPU builds.
ARG BASE=docker.io/nvidia/cuda:13.0.2-runtime-ubuntu24.04

# ------------------------------------------------------------------------------------------------
# What both other stages begin with: Python, which the CUDA images have not.
FROM ${BASE} AS python
RUN command -v python3 >/dev/null || { apt-get update && \
    apt-get install -y --no-install-recommends python3 && rm -rf /var/lib/apt/lists/*; }
ENV PATH=/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    HOLOSCAN_APPLICATION=/opt/holoscan/app \
    HOLOSCAN_INPUT_PATH=/var/holoscan/input \
    HOLOSCAN_OUTPUT_PATH=/var/holoscan/output \
    HOLOSCAN_WORKDIR=/var/holoscan \
    HOLOSCAN_MODEL_PATH=/opt/holoscan/models \
    HOLOSCAN_DOCS_PATH=/opt/holoscan/docs \
    HOLOSCAN_CONFIG_PATH=/var/holoscan/app.yaml \
    HOLOSCAN_APP_MANIFEST_PATH=/etc/holoscan/app.json \
    HOLOSCAN_PKG_MANIFEST_PATH=/etc/holoscan/pkg.json \
    HOLOSCAN_LOGS_PATH=/var/holoscan/logs \
    HOLOSCAN_TIMEOUT=0 \
    RENALSEG_CACHE=/opt/holoscan/cache

# ------------------------------------------------------------------------------------------------
FROM python AS build
ARG TORCH=torch==2.13.0
ARG TORCH_INDEX=
RUN python3 -c "import ensurepip" 2>/dev/null || { apt-get update && \
    apt-get install -y --no-install-recommends python3-venv && rm -rf /var/lib/apt/lists/*; }
# torch goes first and alone, so that the build that is chosen here is the one that the rest is given. Left out is
# tensorboard, which watches trainings.
COPY requirements.txt /src/
RUN python3 -m venv /opt/venv && \
    pip install --no-cache-dir ${TORCH_INDEX:+--index-url ${TORCH_INDEX}} "${TORCH}" && \
    grep -vE '^tensorboard==' /src/requirements.txt > /src/image.txt && \
    pip install --no-cache-dir -r /src/image.txt
COPY pyproject.toml README.md LICENSE /src/
COPY renalseg /src/renalseg
COPY bundles /src/bundles
# The bundles of the wheel go where platforms of packaged applications look for models. The methods also stay in the
# wheel: their default numbers apply to models that are mounted there instead.
RUN pip install --no-cache-dir --no-deps /src && python -m renalseg.runtime.cuda_runtime && \
    mkdir -p /opt/holoscan && cd "$(python -c 'import renalseg; print(renalseg.__path__[0])')" && \
    mv bundles ${HOLOSCAN_MODEL_PATH} && mkdir bundles && cp -r ${HOLOSCAN_MODEL_PATH}/methods bundles

COPY tools /src/tools
COPY app ${HOLOSCAN_APPLICATION}
COPY README.md CHANGELOG.md LICENSE ${HOLOSCAN_DOCS_PATH}/
# The checksums are compared at each start. The last line: for any user, whatever the umask of who builds.
RUN renalseg manifest ${HOLOSCAN_MODEL_PATH}/* && \
    cd /src && python -m tools.image.manifests --config ${HOLOSCAN_APPLICATION}/app.yaml \
        --bundles ${HOLOSCAN_MODEL_PATH} --out /etc/holoscan && \
    python -m tools.image.networks --bundles ${HOLOSCAN_MODEL_PATH} && \
    python -m compileall -q ${HOLOSCAN_APPLICATION} && \
    chmod -R a+rX /opt/holoscan /etc/holoscan

# ------------------------------------------------------------------------------------------------
FROM python
ARG BASE
# The test of the Dockerfile holds these three against what is installed.
ARG VERSION=0.1.0
ARG HOLOSCAN=4.6.0
ARG APP_SDK=4.0.0
LABEL base="${BASE}" \
      tag="renalseg:${VERSION}" \
      org.opencontainers.image.title="RenalSeg" \
      org.opencontainers.image.description="Kidneys and kidney tumors in CT, as DICOM segmentation. Research use only" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0 AND CC-BY-NC-SA-4.0" \
      org.opencontainers.image.base.name="${BASE}" \
      org.nvidia.holoscan="${HOLOSCAN}" \
      org.monai.deploy.app-sdk="${APP_SDK}"

# Ubuntu's images have a user of this number already. /var/lib/renalseg is for `renalseg worker`.
RUN other=$(getent passwd 1000 | cut -d: -f1); if [ -n "$other" ]; then userdel -r "$other" 2>/dev/null; fi; \
    groupadd -f -g 1000 holoscan && \
    useradd -u 1000 -g 1000 -M -d ${HOLOSCAN_WORKDIR} -s /bin/bash holoscan && \
    install -d -o 1000 -g 1000 ${HOLOSCAN_INPUT_PATH} ${HOLOSCAN_OUTPUT_PATH} ${HOLOSCAN_LOGS_PATH} \
        /var/lib/renalseg
COPY --from=build /opt /opt
COPY --from=build /etc/holoscan /etc/holoscan
COPY app/app.yaml ${HOLOSCAN_CONFIG_PATH}
COPY deploy/image/tools ${HOLOSCAN_WORKDIR}/tools

# /tmp is the one folder that any user may write to, also where the root file system is read-only.
ENV HOLOSCAN_VERSION=${HOLOSCAN} \
    HOME=/tmp \
    CUPY_CACHE_DIR=/tmp/cupy \
    MPLCONFIGDIR=/tmp/matplotlib \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR ${HOLOSCAN_WORKDIR}
USER 1000:1000
ENTRYPOINT ["/var/holoscan/tools"]
