/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* For the tests of opening: stores with a table of migrations of the test's own, and a value to
 * know them by. */
#pragma once

#include <sys/stat.h>

#include "store_fixture.h"

/* Checks origin and version, and that the detail has `word` in it (NULL: that there is none). */
static Store *open_with(const StoreMigration *migrations, int version, StoreOrigin expected,
                        const char *word)
{
    GError *error = NULL;
    g_autofree char *detail = NULL;
    StoreOrigin origin;
    Store *store = store_open_with(path, migrations, version, &origin, &detail, &error);

    ok(store != NULL);
    ck_assert_msg(origin == expected, "origin %d, not %d: %s", origin, expected,
                  detail != NULL ? detail : "no detail");
    ck_assert_int_eq(store_version(store), version);
    ck_assert_int_eq(store_is_durable(store), expected != STORE_VOLATILE);
    if (word == NULL)
        ck_assert_ptr_null(detail);
    else
        ck_assert_msg(detail != NULL && strstr(detail, word) != NULL, "no `%s` in: %s", word,
                      detail != NULL ? detail : "no detail");
    return store;
}

static void put(Store *store, const char *name, const char *value)
{
    GError *error = NULL;

    ok(values_set(store, VALUES_CONFIGURATION, name, value, &error));
}

static void expect(Store *store, const char *name, const char *expected)
{
    GError *error = NULL;
    g_autofree char *value = NULL;

    ok(values_get(store, VALUES_CONFIGURATION, name, &value, &error));
    ck_assert_pstr_eq(value, expected);
}

static void expect_mode(const char *name, mode_t mode)
{
    struct stat st;

    ck_assert_int_eq(stat(name, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, mode);
}
