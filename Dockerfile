# The image: a MONAI Application Package (see docs/how-to/deploy.md). `make image` builds it.
# BASE is any Debian or Ubuntu, with Python 3.11 to 3.13 or without. LOCK names the packages with their hashes (cuda or
# cpu: deploy/image/*.lock), TORCH_INDEX the package index of torch's CPU builds.
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
ARG LOCK=cuda
ARG TORCH_INDEX=
ARG PIP="pip install --no-cache-dir --require-hashes --no-deps --only-binary :all:"
RUN python3 -c "import ensurepip" 2>/dev/null || { apt-get update && \
    apt-get install -y --no-install-recommends python3-venv && rm -rf /var/lib/apt/lists/*; }
# Only wheels of known hashes: none of them runs code of its own here. What builds our wheel stays out of the image.
COPY deploy/image/cuda.lock deploy/image/cpu.lock deploy/image/build.lock /src/
RUN python3 -m venv /opt/venv && ${PIP} ${TORCH_INDEX:+--extra-index-url ${TORCH_INDEX}} -r /src/${LOCK}.lock && \
    python3 -m venv /build && /build/bin/${PIP} -r /src/build.lock
COPY pyproject.toml README.md CHANGELOG.md LICENSE /src/
COPY renalseg /src/renalseg
COPY bundles /src/bundles
# The bundles of the wheel go where platforms of packaged applications look for models. The methods also stay in the
# wheel: their default numbers apply to models that are mounted there instead.
RUN (cd /src && /build/bin/python -m hatchling build -t wheel -d /build/dist) && \
    pip install --no-cache-dir --no-deps --no-index /build/dist/*.whl && python -m renalseg.runtime.cuda_runtime && \
    mkdir -p /opt/holoscan && cd "$(python -c 'import renalseg; print(renalseg.__path__[0])')" && \
    mv bundles ${HOLOSCAN_MODEL_PATH} && mkdir bundles && cp -r ${HOLOSCAN_MODEL_PATH}/methods bundles

COPY tools /src/tools
COPY app ${HOLOSCAN_APPLICATION}
COPY README.md CHANGELOG.md LICENSE ${HOLOSCAN_DOCS_PATH}/
# The checksums are compared at each start. Then what is installed is written down, and nothing more can be. The last
# line: for any user, whatever the umask of who builds.
RUN renalseg manifest ${HOLOSCAN_MODEL_PATH}/* && \
    cd /src && python -m tools.image.manifests --config ${HOLOSCAN_APPLICATION}/app.yaml \
        --bundles ${HOLOSCAN_MODEL_PATH} --out /etc/holoscan && \
    python -m tools.image.networks --bundles ${HOLOSCAN_MODEL_PATH} && \
    python -m compileall -q ${HOLOSCAN_APPLICATION} && \
    /build/bin/python -m tools.image.sbom --lock ${LOCK}.lock --bundles ${HOLOSCAN_MODEL_PATH} \
        --out ${HOLOSCAN_DOCS_PATH}/sbom.cdx.json && \
    pip uninstall --quiet --yes pip && \
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

# The pip of the base goes as well. Ubuntu's images have a user of this number already. /var/lib/renalseg is for
# `renalseg worker`.
RUN { python3 -m pip uninstall --quiet --yes --break-system-packages --root-user-action=ignore pip || true; } 2>/dev/null; \
    other=$(getent passwd 1000 | cut -d: -f1); if [ -n "$other" ]; then userdel -r "$other" 2>/dev/null; fi; \
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
    MPLCONFIGDIR=/tmp/matplotlib \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR ${HOLOSCAN_WORKDIR}
USER 1000:1000
ENTRYPOINT ["/var/holoscan/tools"]
