# One static image with the three programs: api, worker and starter.
# docker compose up builds it; by hand:
#   docker build --build-arg VERSION="$(git describe --tags --always --dirty)" -t ringback .

FROM golang:1.26.8-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
# What the programs say they are: the build sees no repository.
ARG VERSION=local
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/cache/go-build \
    GOCACHE=/cache/go-build CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags="-s -w -X ringback/internal/version.stamped=${VERSION:?}" -o /out/ ./api ./worker ./starter

# Time zones are inside the programs; what is left to bring are the public
# certificate authorities.
FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/api /out/worker /out/starter /
# Nobody: no such user exists in the image, and none is needed.
USER 65532:65532
EXPOSE 8080 9464
CMD ["/api", "-config", "/etc/ringback/ringback.yml"]
