#!/bin/sh
# Makes or updates Temporal's two schemas in PostgreSQL, and leaves visibility the
# indexes that are searched by. Run again, it changes nothing that is up to date.
#
# Reads SQL_PLUGIN, SQL_HOST, SQL_PORT, SQL_USER and SQL_PASSWORD, as
# temporal-sql-tool does, SCHEMAS, the folder with the versioned schemas, and
# VISIBILITY_INDEXES: few (those of visibility-indexes.txt) or all of the server's.
set -eu

: "${SQL_HOST:?}" "${SQL_USER:?}" "${SQL_PASSWORD:?}"
schemas=${SCHEMAS:-/etc/temporal/schema/postgresql/v12}
kept=$(dirname "$0")/visibility-indexes.txt
case ${VISIBILITY_INDEXES:=few} in
few | all) ;;
*)
  echo "schema: VISIBILITY_INDEXES is few or all, not $VISIBILITY_INDEXES" >&2
  exit 1
  ;;
esac

prepare() {
  echo "schema: $1"
  temporal-sql-tool --db "$1" create
  temporal-sql-tool --db "$1" setup-schema -v 0.0
  temporal-sql-tool --db "$1" update-schema -d "$schemas/$2/versioned"
}

# unused and used choose among the server's indexes, one a line.
unused() { [ "$VISIBILITY_INDEXES" = all ] || grep -vwf "$kept"; }
used() { if [ "$VISIBILITY_INDEXES" = all ]; then cat; else grep -wf "$kept"; fi; }

# statements drops what is unused, and what a build that was cut short left, in one
# transaction that waits 2 s at most for other sessions: while it waits, so do they.
# Then it builds what is missing, beside the writes of a running server.
statements() {
  cat <<'SQL'
DO $$
DECLARE
  half TEXT;
BEGIN
  PERFORM set_config('lock_timeout', '2s', true);
  FOR half IN SELECT indexrelid::regclass FROM pg_index
    WHERE indrelid = 'executions_visibility'::regclass AND NOT indisvalid
  LOOP
    EXECUTE 'DROP INDEX ' || half;
  END LOOP;
SQL
  sed -n "s/^CREATE INDEX \([a-z0-9_]*\).*/  EXECUTE 'DROP INDEX IF EXISTS \1';/p" "$1" | unused
  echo 'END $$;'
  sed -n 's/^CREATE INDEX/& CONCURRENTLY IF NOT EXISTS/p' "$1" | used
}

prepare temporal temporal
prepare temporal_visibility visibility
echo "schema: $VISIBILITY_INDEXES indexes of temporal_visibility"
script=$(mktemp)
statements "$schemas/visibility/schema.sql" >"$script"
# Too many indexes cost, and too few make lists slow: Temporal serves with either.
temporal-sql-tool --db temporal_visibility setup-schema --disable-versioning --schema-file "$script" ||
  echo "schema: the indexes could not be changed, see above; the next run tries again" >&2
rm "$script"
echo "schema: ready"
