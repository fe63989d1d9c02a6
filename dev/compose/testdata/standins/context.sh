#!/bin/sh
# Lays out in a new folder, DIR, what the Dockerfile beside this script builds the
# stand-ins from.
#
#   context.sh DIR
set -eu
here=$(dirname "$(readlink -f "$0")")
mkdir "$1" && cd "$1"
mkdir -p bin rootfs/etc/ssl/certs rootfs/usr/bin rootfs/usr/sbin rootfs/usr/lib rootfs/usr/lib64
mkdir -p rootfs/var rootfs/tmp rootfs/run/postgresql rootfs/usr/local/bin rootfs/home/temporal
chmod 1777 rootfs/tmp rootfs/run/postgresql
ln -s ../run rootfs/var/run
for folder in bin sbin lib lib64; do ln -s "usr/$folder" "rootfs/$folder"; done

build() {
  echo "building $2" >&2
  go -C "$here/../../.." build -ldflags "-s -w" -o "$PWD/bin/$1" "$2"
}
build server go.temporal.io/server/cmd/server
build sql go.temporal.io/server/cmd/tools/sql
build ui-server github.com/temporalio/ui-server/v2/cmd/server
build temporal ./compose/testdata/standins/temporal
cp -a "$(go env GOROOT)" go

module() { go -C "$here/../../.." list -m -f '{{.Dir}}' "$1"; }
cp "$here/Dockerfile" "$here/postgres.sh" "$(module github.com/temporalio/ui-server/v2)/config/docker.yaml" .
cp "$(module go.temporal.io/server)/docker/scripts/sh/entrypoint.sh" .
cp -r "$(module go.temporal.io/server)/schema" schema
chmod -R u+w,a+rX . && chmod a+x entrypoint.sh

# Debian's programs of this machine, and what they load.
postgresql=$(dirname "$(dirname "$(ls /usr/lib/postgresql/*/bin/initdb | tail -n 1)")")
copied() { cp -L --parents "$@" rootfs; }
copied -r "$postgresql" "/usr/share/postgresql/$(basename "$postgresql")" /usr/share/zoneinfo /usr/lib/locale/C.utf8
copied /usr/bin/getent /usr/bin/setpriv /usr/bin/prometheus /usr/bin/busybox
cp -L /bin/nc rootfs/usr/bin/nc
# The compiler of queries would bring LLVM.
rm -r "rootfs$postgresql"/lib/llvmjit* "rootfs$postgresql"/lib/bitcode
# shellcheck disable=SC2046 # one path a word
copied $(ldd bin/* rootfs/usr/bin/* $(find "rootfs$postgresql" -type f) 2>/dev/null |
  awk '$2 == "=>" { print $3 } $1 ~ "^/" && $2 ~ "^\\(" { print $1 }' | sort -u)
ln -s "$postgresql/bin/"* rootfs/usr/local/bin/
for applet in $(busybox --list); do [ -e "rootfs/usr/bin/$applet" ] || ln -s busybox "rootfs/usr/bin/$applet"; done
# This machine's, which may have authorities of its own.
cp -L /etc/ssl/certs/ca-certificates.crt rootfs/etc/ssl/certs/
cat >rootfs/etc/passwd <<'END'
root:x:0:0::/root:/bin/sh
postgres:x:999:999::/var/lib/postgresql:/bin/sh
temporal:x:1000:1000::/home/temporal:/bin/sh
nobody:x:65534:65534::/nonexistent:/bin/false
END
cut -d : -f 1,2,4 rootfs/etc/passwd | sed 's/$/:/' >rootfs/etc/group
