# docker build -f infra/containers/worker.Dockerfile --build-arg DMF_REVISION="$(git rev-parse --short=12 HEAD)" \
#   -t dmf-worker .
# The image carries doveadm; what doveadm asks is mounted: the Dovecot configuration, /run/dovecot and the mail.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
# The repository is not in the context; without the argument, /info shows no revision.
ARG DMF_REVISION
RUN cargo build --release --locked -p dmf-worker

FROM debian:bookworm-slim
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates dovecot-core dovecot-imapd \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 5000 --create-home --home-dir /var/vmail --shell /usr/sbin/nologin vmail \
    && install -d -o vmail -g vmail -m 700 /var/lib/dmf-worker \
    && install -d -o vmail -g vmail -m 755 /run/dovecot
COPY --from=build /src/target/release/dmf-worker /src/target/release/dmf-guard /usr/bin/
# doveadm runs as this user too.
USER 5000
# Settings come from the environment, or from dmf-worker.yml here.
WORKDIR /etc/dmf
EXPOSE 8080
STOPSIGNAL SIGTERM
VOLUME ["/var/lib/dmf-worker", "/var/vmail", "/run/dovecot"]
ENTRYPOINT ["/usr/bin/dmf-worker"]
