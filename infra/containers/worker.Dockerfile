# docker build -f infra/containers/worker.Dockerfile -t dmf-worker .
# The image carries doveadm; the Dovecot configuration and the mail are mounted.
FROM rust:1.95-slim-bookworm AS build
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev make cmake \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --release --locked -p dmf-worker

FROM debian:bookworm-slim
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates dovecot-core dovecot-imapd \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 5000 --create-home --home-dir /var/vmail --shell /usr/sbin/nologin vmail \
    && install -d -o vmail -g vmail -m 700 /var/lib/dmf-worker
COPY --from=build /src/target/release/dmf-worker /usr/bin/dmf-worker
# doveadm runs as this user too.
USER 5000
WORKDIR /etc/dmf
EXPOSE 8080
STOPSIGNAL SIGTERM
VOLUME ["/var/lib/dmf-worker", "/var/vmail"]
ENTRYPOINT ["/usr/bin/dmf-worker"]
