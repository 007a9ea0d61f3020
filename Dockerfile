# Kvasir's images, with Docker. `cargo xtask image` makes the same ones without it: docs/images.md.
#
#     docker build --target kvasir   --tag registry.local/kvasir:dev .
#     docker build --target operator --tag registry.local/kvasir-operator:dev .

# Debian 12 with Rust; the C library of the images is this image's.
ARG BUILD_IMAGE=rust:1.95-bookworm

FROM ${BUILD_IMAGE} AS source
WORKDIR /src
COPY . .

FROM source AS build-kvasir
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo xtask image --only kvasir --rootfs /rootfs

FROM source AS build-operator
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo xtask image --only operator --rootfs /rootfs

FROM scratch AS kvasir
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Kvasir: trie server, broker and command line"
LABEL org.opencontainers.image.version="${VERSION}"
LABEL org.opencontainers.image.revision="${REVISION}"
LABEL org.opencontainers.image.licenses="Apache-2.0"
LABEL org.opencontainers.image.source="https://github.com/kvasir-kv/kvasir"
COPY --from=build-kvasir /rootfs/kvasir/ /
ENV PATH=/usr/bin
USER 65532:65532
CMD ["/usr/bin/kvctl", "--help"]

FROM scratch AS operator
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Kvasir's Kubernetes operator"
LABEL org.opencontainers.image.version="${VERSION}"
LABEL org.opencontainers.image.revision="${REVISION}"
LABEL org.opencontainers.image.licenses="Apache-2.0"
LABEL org.opencontainers.image.source="https://github.com/kvasir-kv/kvasir"
COPY --from=build-operator /rootfs/operator/ /
ENV PATH=/usr/bin
USER 65532:65532
ENTRYPOINT ["/usr/bin/kvasir-operator"]
