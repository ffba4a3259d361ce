# docker build -f infra/containers/scheduler.Dockerfile --build-arg DMF_REVISION="$(git rev-parse --short=12 HEAD)" \
#   -t dmf-scheduler .
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
# The repository is not in the context; without the argument, /info shows no revision.
ARG DMF_REVISION
RUN cargo build --release --locked -p dmf-scheduler

FROM debian:bookworm-slim
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 950 --no-create-home --shell /usr/sbin/nologin dmf-scheduler
COPY --from=build /src/target/release/dmf-scheduler /usr/bin/dmf-scheduler
USER 950
# Settings come from the environment, or from dmf-scheduler.yml here.
WORKDIR /etc/dmf
EXPOSE 8080 8443
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/dmf-scheduler"]
