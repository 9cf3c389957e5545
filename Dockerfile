# syntax=docker/dockerfile:1
#
#   docker build -t writ .                  the registry and its client
#   docker build -t writ-deploy --target deploy .   what docker-compose.yml uses once
#
# Read by BuildKit's parser, its build step and deploy.sh run outside of Docker;
# never built by an engine, for want of one.

FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o /out/ ./cmd/writ ./cmd/writ-verify
# Folders that belong to whoever runs the program; volumes inherit the owner.
RUN mkdir -m 0700 /out/data /out/checkpoint && mkdir /out/config && mkdir -m 1777 /out/tmp && \
    echo 'nonroot:x:65532:65532:nonroot:/data:/nonexistent' > /out/passwd

# A geth developer chain made ready to anchor at: scripts/compose/deploy.sh.
FROM ethereum/client-go:v1.17.10 AS deploy
COPY --from=build /out/writ /usr/local/bin/writ
COPY scripts/compose/deploy.sh /usr/local/bin/deploy.sh
COPY --from=build --chown=65532:65532 /out/data /data
COPY --from=build --chown=65532:65532 /out/config /config
USER 65532:65532
ENV HOME=/tmp DATA=/data CONFIG=/config
ENTRYPOINT ["sh", "/usr/local/bin/deploy.sh"]

# No shell, no package, no root: the two programs and the roots of TLS.
FROM scratch AS writ
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/passwd /etc/passwd
COPY --from=build --chown=65532:65532 /out/tmp /tmp
COPY --from=build --chown=65532:65532 /out/data /data
COPY --from=build --chown=65532:65532 /out/checkpoint /checkpoint
COPY --from=build /out/writ /out/writ-verify /
USER 65532:65532
ENV WRIT_DATA=/data WRIT_LISTEN=0.0.0.0:8080
# The second home of the last checkpoint: on another disk than the data, so that
# an old copy of the data is noticed.
ENV WRIT_CHECKPOINT_HOME=/checkpoint/writ.checkpoint
VOLUME ["/data", "/checkpoint"]
EXPOSE 8080
# SIGTERM answers what is in hand; readiness is GET /readyz.
ENTRYPOINT ["/writ"]
CMD ["serve"]
