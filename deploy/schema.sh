#!/bin/sh
# Makes or updates Temporal's two schemas in PostgreSQL. Run again, it changes
# nothing that is up to date.
#
# Reads SQL_PLUGIN, SQL_HOST, SQL_PORT, SQL_USER and SQL_PASSWORD, as
# temporal-sql-tool does, and SCHEMAS, the folder with the versioned schemas.
set -eu

: "${SQL_HOST:?}" "${SQL_USER:?}" "${SQL_PASSWORD:?}"
schemas=${SCHEMAS:-/etc/temporal/schema/postgresql/v12}

prepare() {
  echo "schema: $1"
  temporal-sql-tool --db "$1" create
  temporal-sql-tool --db "$1" setup-schema -v 0.0
  temporal-sql-tool --db "$1" update-schema -d "$schemas/$2/versioned"
}

prepare temporal temporal
prepare temporal_visibility visibility
echo "schema: ready"
