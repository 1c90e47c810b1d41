#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Prints the C file that carries the migrations: embed-migrations.sh db/migrations/*.sql > migrations.c
# The files are numbered from 0001 without a gap, since the number of the last one is the schema's version.
set -eu

fail() {
    echo "embed-migrations.sh: $1" >&2
    exit 1
}

[ $# -gt 0 ] || fail "no migrations given"
number=0
for file in "$@"; do
    number=$((number + 1))
    expected=$(printf '%04d' "$number")
    case ${file##*/} in
    "$expected"-?*.sql) ;;
    *) fail "$file: expected $expected-<name>.sql, the numbers must have no gap" ;;
    esac
    [ -r "$file" ] || fail "$file: cannot be read"
done

cat <<'HEAD'
/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Made by db/embed-migrations.sh from the files of db/migrations. */
#include "db/migrate.h"

const StoreMigration store_migrations[] = {
HEAD
for file in "$@"; do
    printf '    {"%s",\n' "${file##*/}"
    # Lines that are only a comment stay out of the binary and of sqlite_schema.
    sed -e '/^[[:space:]]*--/d' -e '/^[[:space:]]*$/d' -e 's/\\/\\\\/g' -e 's/"/\\"/g' \
        -e 's/^/     "/' -e 's/$/\\n"/' "$file"
    echo '    },'
done
cat <<'TAIL'
};

const int store_n_migrations = G_N_ELEMENTS(store_migrations);
TAIL
