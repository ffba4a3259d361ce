# docker build -f infra/containers/scheduler.Dockerfile -t dmf-scheduler .
FROM rust:1.95-slim-bookworm AS build
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev make cmake \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --release --locked -p dmf-scheduler

FROM debian:bookworm-slim
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 950 --no-create-home --shell /usr/sbin/nologin dmf-scheduler
COPY --from=build /src/target/release/dmf-scheduler /usr/bin/dmf-scheduler
USER 950
WORKDIR /etc/dmf
EXPOSE 8080 8443
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/dmf-scheduler"]
