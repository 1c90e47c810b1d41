/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names and values: two tables that do not see each other. */
#include "store_fixture.h"

#include "db/sql.h"

static void set(Store *store, ValuesTable table, const char *name, const char *value)
{
    GError *error = NULL;

    ok(values_set(store, table, name, value, &error));
}

static void expect(Store *store, ValuesTable table, const char *name, const char *expected)
{
    GError *error = NULL;
    char *value = (char *)store; /* must be set, to NULL too */

    ok(values_get(store, table, name, &value, &error));
    ck_assert_pstr_eq(value, expected);
    g_free(value);
}

START_TEST(values_survive)
{
    Store *store = open_store(STORE_CREATED);

    expect(store, VALUES_CONFIGURATION, "HeartbeatInterval", NULL);
    set(store, VALUES_CONFIGURATION, "HeartbeatInterval", "300");
    set(store, VALUES_CONFIGURATION, "HeartbeatInterval", "60");
    set(store, VALUES_AGENT, "HeartbeatInterval", "");
    set(store, VALUES_AGENT, "quo'te", "\303\244'; DROP TABLE jobs; --");
    store_close(store);
    store = open_store(STORE_OPENED);
    expect(store, VALUES_CONFIGURATION, "HeartbeatInterval", "60");
    expect(store, VALUES_AGENT, "HeartbeatInterval", "");
    expect(store, VALUES_AGENT, "quo'te", "\303\244'; DROP TABLE jobs; --");
    expect(store, VALUES_CONFIGURATION, "quo'te", NULL);
    expect(store, VALUES_CONFIGURATION, "heartbeatinterval", NULL);
    store_close(store);
}
END_TEST

static void collect(const char *name, const char *value, gpointer user_data)
{
    g_string_append_printf(user_data, "%s=%s ", name, value);
}

typedef struct {
    Store *store;
    int calls;
} Rewriting;

static void rewrite(const char *name, const char *value, gpointer user_data)
{
    Rewriting *rewriting = user_data;
    g_autofree char *more = g_strconcat(value, "+", NULL);

    rewriting->calls++;
    set(rewriting->store, VALUES_AGENT, name, more);
}

START_TEST(each_sees_all)
{
    GError *error = NULL;
    g_autoptr(Store) store = open_store(STORE_CREATED);
    g_autoptr(GString) seen = g_string_new(NULL);
    Rewriting rewriting = {store, 0};

    ok(values_each(store, VALUES_AGENT, collect, seen, &error));
    ck_assert_str_eq(seen->str, "");
    set(store, VALUES_AGENT, "b", "2");
    set(store, VALUES_AGENT, "a", "1");
    set(store, VALUES_CONFIGURATION, "c", "3");
    ok(values_each(store, VALUES_AGENT, rewrite, &rewriting, &error));
    ck_assert_int_eq(rewriting.calls, 2);
    ok(values_each(store, VALUES_AGENT, collect, seen, &error));
    ok(values_each(store, VALUES_CONFIGURATION, collect, seen, &error));
    ck_assert_str_eq(seen->str, "a=1+ b=2+ c=3 ");
}
END_TEST

START_TEST(same_value_is_not_written)
{
    g_autoptr(Store) store = open_store(STORE_CREATED);
    int before;

    set(store, VALUES_AGENT, "csms-time", "1760000000000");
    before = sqlite3_total_changes(store->db);
    set(store, VALUES_AGENT, "csms-time", "1760000000000");
    ck_assert_int_eq(sqlite3_total_changes(store->db), before);
    set(store, VALUES_AGENT, "csms-time", "1760000000001");
    ck_assert_int_eq(sqlite3_total_changes(store->db), before + 1);
}
END_TEST

START_TEST(bad_values_are_refused)
{
    GError *error = NULL;
    g_autoptr(Store) store = open_store(STORE_CREATED);
    g_autoptr(GString) seen = g_string_new(NULL);
    g_autofree char *huge = g_strnfill(STORE_MAX_VALUE + 1, 'x');
    char *value = NULL;

    refused(values_set(store, VALUES_AGENT, NULL, "x", &error), STORE_ERROR_CONFLICT);
    refused(values_set(store, VALUES_AGENT, "x", NULL, &error), STORE_ERROR_CONFLICT);
    refused(values_set(store, VALUES_AGENT, "x", huge, &error), STORE_ERROR_WRITE);
    set(store, VALUES_AGENT, "a", "1");
    set(store, VALUES_AGENT, "b", "2");
    damage("agent", "CREATE TABLE agent (name PRIMARY KEY, value) WITHOUT ROWID",
           "value = 7 WHERE name = 'b'");
    refused(values_get(store, VALUES_AGENT, "b", &value, &error), STORE_ERROR_CORRUPT);
    ck_assert_ptr_null(value);
    refused(values_each(store, VALUES_AGENT, collect, seen, &error), STORE_ERROR_CORRUPT);
    ck_assert_str_eq(seen->str, ""); /* all or nothing */
    expect(store, VALUES_AGENT, "a", "1");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        values_survive,
        each_sees_all,
        same_value_is_not_written,
        bad_values_are_refused,
    };

    return run_tests("values", tests, G_N_ELEMENTS(tests));
}
