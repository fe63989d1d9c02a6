#!/bin/sh
# Makes the namespace, once Temporal serves. One that is there stays as it is,
# so that a retention that was changed by hand is not changed back.
#
# Reads TEMPORAL_ADDRESS, NAMESPACE, RETENTION, SEARCH_ATTRIBUTES (name=type …, which
# are added where the programs may not), and for tests TRIES (60) and PAUSE (2 s).
set -eu

: "${TEMPORAL_ADDRESS:?}" "${NAMESPACE:?}"
retention=${RETENTION:-30d}
tries=${TRIES:-60}
pause=${PAUSE:-2}

# again COMMAND... until it succeeds, at most $tries times.
again() {
  left=$tries
  until "$@"; do
    left=$((left - 1))
    if [ "$left" -le 0 ]; then
      echo "namespace: gave up after $tries tries: $*" >&2
      return 1
    fi
    sleep "$pause"
  done
}

serves() { temporal operator cluster health >/dev/null 2>&1; }

exists() { temporal operator namespace describe --namespace "$NAMESPACE" >/dev/null 2>&1; }

# Another run may make it between the look and the leap.
make() {
  exists || temporal operator namespace create --namespace "$NAMESPACE" --retention "$retention" || exists
}

known() { temporal operator search-attribute list --namespace "$NAMESPACE" | grep -qw "$1"; }

add() {
  known "$1" || temporal operator search-attribute create --namespace "$NAMESPACE" --name "$1" --type "$2" || known "$1"
}

again serves
if exists; then
  echo "namespace: $NAMESPACE is there"
else
  again make
  # The server takes it up with its cache, which it refreshes every few seconds.
  again exists
  echo "namespace: $NAMESPACE made, retention $retention"
fi
for attribute in ${SEARCH_ATTRIBUTES:-}; do
  again add "${attribute%=*}" "${attribute#*=}"
done
