# Build:  docker build -t cdp-gateway .
# Run:    docker run -p 3000:3000 -v cdp-gateway:/data -e GATEWAY_TOKEN=… --stop-timeout 30 \
#             --cap-drop ALL --security-opt no-new-privileges --security-opt seccomp=k8s/seccomp/cdp-gateway.json \
#             --read-only --tmpfs /tmp cdp-gateway
#
# Chromium's sandbox. The gateway runs as an ordinary user here, so Chromium starts with its sandbox on, which is made of
# user namespaces (clone and unshare with CLONE_NEWUSER) and a chroot in them. No capability and no --privileged is wanted,
# only what follows; docs/operations.md has more.
#   - Docker, Podman, Kubernetes: the runtime's default seccomp profile refuses those calls to containers without
#     CAP_SYS_ADMIN and CAP_SYS_CHROOT. k8s/seccomp/cdp-gateway.json allows them, and little else that is dangerous.
#   - Hosts that restrict user namespaces: Ubuntu 23.10 and later with AppArmor
#     (sysctl kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile with `userns,`); older Debian
#     (sysctl kernel.unprivileged_userns_clone=1); others (sysctl user.max_user_namespaces above 0).
# /dev/shm may stay at its 64 MB: the browsers use files of their own in its place.

FROM python:3.12-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml README.md ./
COPY browser_pool browser_pool
COPY gateway gateway
RUN pip wheel --no-cache-dir --wheel-dir /wheels .

FROM python:3.12-slim-bookworm

# Both browsers, so that `headless: "shell"` works; fonts for the world's scripts, or pages show boxes; tini
# as process 1, which passes signals on and reaps whatever is orphaned; uBlock Origin for its filter lists alone.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
        chromium \
        chromium-headless-shell \
        fonts-liberation \
        fonts-noto-cjk \
        fonts-noto-color-emoji \
        fonts-noto-core \
        tini \
        webext-ublock-origin-chromium \
    && rm -rf /var/lib/apt/lists/*

# From the wheels alone: the image has no compiler and no sources.
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links /wheels --root-user-action ignore cdp-gateway

# A fixed id, so that volumes keep their owner from one image to the next.
RUN groupadd --gid 10001 gateway \
    && useradd --uid 10001 --gid gateway --create-home --shell /usr/sbin/nologin gateway \
    && install --directory --owner gateway --group gateway --mode 0700 /data

ENV GATEWAY_HOST=0.0.0.0 \
    GATEWAY_PORT=3000 \
    GATEWAY_DATA_DIR=/data \
    PYTHONUNBUFFERED=1

# By number: Kubernetes must see that it is not root.
USER 10001:10001
WORKDIR /home/gateway
VOLUME /data
EXPOSE 3000

# Python, since the image has no curl. A browser takes a moment to start, the gateway itself does not.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ['GATEWAY_PORT']}/healthz\", timeout=4).read()"]

# SIGTERM drains: running sessions are saved before the end. Give it time, more than drain_timeout: `docker stop --time 30`.
# The gateway is not process 1, but the container ends with it, and its browsers with the container.
STOPSIGNAL SIGTERM
ENTRYPOINT ["tini", "--", "cdp-gateway"]
CMD ["serve"]
