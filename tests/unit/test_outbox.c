/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The outbox: order, ids, bounds, what a rolled back step leaves in it. */
#include "store_fixture.h"

static void push(Store *store, gint64 job_id, const char *payload)
{
    GError *error = NULL;

    ok(outbox_push(store, job_id, "FirmwareStatusNotification", payload, &error));
}

static void expect_count(Store *store, guint expected)
{
    GError *error = NULL;
    guint count = G_MAXUINT;

    ok(outbox_count(store, &count, &error));
    ck_assert_uint_eq(count, expected);
}

/* The oldest row has this payload; gives its id. */
static gint64 expect_head(Store *store, const char *payload)
{
    GError *error = NULL;
    g_autoptr(OutboxRow) row = NULL;

    ok(outbox_head(store, &row, &error));
    ck_assert_ptr_nonnull(row);
    ck_assert_str_eq(row->action, "FirmwareStatusNotification");
    ck_assert_str_eq(row->payload, payload);
    return row->id;
}

START_TEST(rows_leave_in_order)
{
    GError *error = NULL;
    Store *store = open_store(STORE_CREATED);
    OutboxRow *row = (OutboxRow *)store; /* must be set to NULL */

    ok(outbox_head(store, &row, &error));
    ck_assert_ptr_null(row);
    push(store, 0, "{\"n\":1}");
    push(store, 7, "{\"n\":2}");
    push(store, 7, "{\"n\":3}");
    expect_count(store, 3);
    store_close(store);

    store = open_store(STORE_OPENED);
    ok(outbox_remove(store, expect_head(store, "{\"n\":1}"), &error));
    ok(outbox_head(store, &row, &error));
    ck_assert_int_eq(row->job_id, 7);
    outbox_row_free(row);
    ok(outbox_remove(store, expect_head(store, "{\"n\":2}"), &error));
    ok(outbox_remove(store, expect_head(store, "{\"n\":3}"), &error));
    expect_count(store, 0);
    ok(outbox_remove(store, 3, &error)); /* removed already */
    ok(outbox_remove(store, -1, &error));
    outbox_row_free(NULL);
    store_close(store);
}
END_TEST

START_TEST(ids_rise_for_ever)
{
    GError *error = NULL;
    Store *store = open_store(STORE_CREATED);
    gint64 last = 0;

    for (int i = 0; i < 5; i++) {
        gint64 id;

        push(store, 0, "{}");
        id = expect_head(store, "{}");
        ck_assert_int_gt(id, last);
        last = id;
        ok(outbox_remove(store, id, &error));
        store_close(store);
        store = open_store(STORE_OPENED);
    }
    store_close(store);
}
END_TEST

START_TEST(steps_that_fail_leave_nothing)
{
    GError *error = NULL;
    g_autoptr(Store) store = open_store(STORE_CREATED);

    push(store, 0, "{\"n\":1}");
    ok(store_begin(store, &error));
    push(store, 0, "{\"n\":2}");
    expect_count(store, 2);
    store_rollback(store);
    expect_count(store, 1);
    expect_head(store, "{\"n\":1}");
}
END_TEST

START_TEST(rows_are_bounded)
{
    GError *error = NULL;
    g_autoptr(Store) store = open_store(STORE_CREATED);
    g_autofree char *huge = g_strnfill(STORE_MAX_VALUE + 1, 'x');
    gint64 first;

    ok(store_begin(store, &error));
    for (int i = 0; i < OUTBOX_MAX_ROWS; i++)
        push(store, 0, "{}");
    ok(store_commit(store, &error));
    refused(outbox_push(store, 0, "A", "{}", &error), STORE_ERROR_CONFLICT);
    expect_count(store, OUTBOX_MAX_ROWS);
    /* The step goes with it. */
    ok(store_begin(store, &error));
    refused(outbox_push(store, 0, "A", "{}", &error), STORE_ERROR_CONFLICT);
    refused(store_commit(store, &error), STORE_ERROR_WRITE);
    first = expect_head(store, "{}");
    ok(outbox_remove(store, first, &error));
    push(store, 0, "{}");
    ok(outbox_remove(store, first + 1, &error));
    refused(outbox_push(store, 0, "A", huge, &error), STORE_ERROR_WRITE);
    refused(outbox_push(store, 0, NULL, "{}", &error), STORE_ERROR_CONFLICT);
    refused(outbox_push(store, 0, "A", NULL, &error), STORE_ERROR_CONFLICT);
    refused(outbox_push(store, -1, "A", "{}", &error), STORE_ERROR_CONFLICT);
    expect_count(store, OUTBOX_MAX_ROWS - 1);
}
END_TEST

START_TEST(damaged_rows_are_errors)
{
    GError *error = NULL;
    const char *sets[] = {"payload = NULL", "action = 5", "job_id = -1", "job_id = 'x'"};
    const char *sound = "UPDATE outbox SET job_id = 0, action = 'A', payload = '{}'";

    for (gsize i = 0; i < G_N_ELEMENTS(sets); i++) {
        Store *store = open_store(i == 0 ? STORE_CREATED : STORE_OPENED);
        OutboxRow *row = NULL;

        push(store, 0, "{}");
        damage("outbox", "CREATE TABLE outbox (id INTEGER PRIMARY KEY, job_id, action, payload)",
               sets[i]);
        refused(outbox_head(store, &row, &error), STORE_ERROR_CORRUPT);
        ck_assert_ptr_null(row);
        raw("", sound);
        ok(outbox_head(store, &row, &error));
        outbox_row_free(row);
        store_close(store);

        damage("outbox", "CREATE TABLE outbox (id INTEGER PRIMARY KEY, job_id, action, payload)",
               sets[i]);
        store_close(open_store(STORE_CORRUPT_ASIDE));
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        rows_leave_in_order, ids_rise_for_ever,       steps_that_fail_leave_nothing,
        rows_are_bounded,    damaged_rows_are_errors,
    };

    return run_tests("outbox", tests, G_N_ELEMENTS(tests));
}
