# larder as an image: the program, what it trusts, and a user without rights.
#   docker build -t larder:0.1.0 .
#   docker run --rm -v ~/.cache:/caches -e GOCACHE=/caches/go-build larder:0.1.0 status
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
# The toolchain file also names targets of other systems, which are not needed here.
RUN rm rust-toolchain.toml && cargo build --release --locked -p larder

FROM debian:bookworm-slim
RUN apt-get update \
	&& apt-get install -y --no-install-recommends ca-certificates git tzdata \
	&& rm -rf /var/lib/apt/lists/*
COPY --from=build /src/target/release/larder /usr/local/bin/larder
# Caches belong to whoever builds: run it as that user (docker run --user, runAsUser).
USER 1000:1000
ENV HOME=/tmp
EXPOSE 8000
ENTRYPOINT ["larder"]
CMD ["status"]
