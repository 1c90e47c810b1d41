/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Jobs and their history: every field there and back, the rules of the table, damaged rows,
 * pruning. */
#include "store_fixture.h"

static JobSlotRecord slot_record(const char *prefix, gint64 count)
{
    return (JobSlotRecord){
        .installed_count = count,
        .installed_timestamp = g_strconcat(prefix, " installed", NULL),
        .activated_timestamp = g_strconcat(prefix, " activated", NULL),
        .version = g_strconcat(prefix, " version", NULL),
        .hash = g_strconcat(prefix, " hash", NULL),
    };
}

/* No two fields alike, numbers at the edge of their types. */
static Job *full_job(void)
{
    Job *job = job_new();

    job->role = JOB_WAITS;
    job->state = JOB_RETRY_WAIT;
    job->location = g_strdup("https://user@bundles.example.com/a b/\303\244.raucb?x='\";--");
    job->retrieve_date_ms = G_MAXINT64;
    job->has_retrieve_date = TRUE;
    job->retries = G_MAXUINT;
    job->retry_interval_s = G_MAXUINT - 1;
    job->request_id = 2147483647;
    job->by_hand = TRUE;
    job->transport = JOB_TRANSPORT_STORE;
    job->fetched_bytes = 1099511627776;
    job->attempts = 3;
    job->interruptions = 5;
    job->tried = TRUE;
    job->written = TRUE;
    job->wire = JOB_WIRE_DOWNLOADED;
    job->last_status = g_strdup("Downloaded");
    job->reason = g_strdup("the server said 404\nand more");
    job->failure = JOB_INSTALL_FAILED;
    job->retry_boot_id = g_strdup("retry boot");
    job->retry_boottime_ms = 123456789012;
    job->snapshot = TRUE;
    job->boot_id = g_strdup("boot");
    job->booted_slot = g_strdup("rootfs.0");
    job->target_slot = g_strdup("rootfs.1");
    job->primary_slot = g_strdup("rootfs.2");
    job->firmware_version = g_strdup("1.2.3");
    job->before = slot_record("before", 7);
    job->after = slot_record("after", G_MAXINT64);
    job->confirm_boots = 2;
    job->confirm_boottime_ms = 42;
    job->created_ms = G_MININT64;
    job->ended_ms = -1;
    return job;
}

static void expect_slot_record(const JobSlotRecord *a, const JobSlotRecord *b)
{
    ck_assert_int_eq(a->installed_count, b->installed_count);
    ck_assert_pstr_eq(a->installed_timestamp, b->installed_timestamp);
    ck_assert_pstr_eq(a->activated_timestamp, b->activated_timestamp);
    ck_assert_pstr_eq(a->version, b->version);
    ck_assert_pstr_eq(a->hash, b->hash);
}

/* By hand and not by the module's own list, which may lack a field. */
static void expect_same(const Job *a, const Job *b)
{
    ck_assert_int_eq(a->id, b->id);
    ck_assert_int_eq(a->role, b->role);
    ck_assert_int_eq(a->state, b->state);
    ck_assert_pstr_eq(a->location, b->location);
    ck_assert_int_eq(a->retrieve_date_ms, b->retrieve_date_ms);
    ck_assert_int_eq(a->has_retrieve_date, b->has_retrieve_date);
    ck_assert_uint_eq(a->retries, b->retries);
    ck_assert_uint_eq(a->retry_interval_s, b->retry_interval_s);
    ck_assert_int_eq(a->request_id, b->request_id);
    ck_assert_int_eq(a->by_hand, b->by_hand);
    ck_assert_int_eq(a->transport, b->transport);
    ck_assert_int_eq(a->fetched_bytes, b->fetched_bytes);
    ck_assert_uint_eq(a->attempts, b->attempts);
    ck_assert_uint_eq(a->interruptions, b->interruptions);
    ck_assert_int_eq(a->tried, b->tried);
    ck_assert_int_eq(a->written, b->written);
    ck_assert_int_eq(a->wire, b->wire);
    ck_assert_pstr_eq(a->last_status, b->last_status);
    ck_assert_pstr_eq(a->reason, b->reason);
    ck_assert_int_eq(a->failure, b->failure);
    ck_assert_pstr_eq(a->retry_boot_id, b->retry_boot_id);
    ck_assert_int_eq(a->retry_boottime_ms, b->retry_boottime_ms);
    ck_assert_int_eq(a->snapshot, b->snapshot);
    ck_assert_pstr_eq(a->boot_id, b->boot_id);
    ck_assert_pstr_eq(a->booted_slot, b->booted_slot);
    ck_assert_pstr_eq(a->target_slot, b->target_slot);
    ck_assert_pstr_eq(a->primary_slot, b->primary_slot);
    ck_assert_pstr_eq(a->firmware_version, b->firmware_version);
    expect_slot_record(&a->before, &b->before);
    expect_slot_record(&a->after, &b->after);
    ck_assert_uint_eq(a->confirm_boots, b->confirm_boots);
    ck_assert_int_eq(a->confirm_boottime_ms, b->confirm_boottime_ms);
    ck_assert_int_eq(a->created_ms, b->created_ms);
    ck_assert_int_eq(a->ended_ms, b->ended_ms);
}

START_TEST(names_go_there_and_back)
{
    for (int i = 0; i < JOB_N_STATES; i++) {
        JobState state = JOB_N_STATES;

        ck_assert(job_state_from_name(job_state_name(i), &state));
        ck_assert_int_eq(state, i);
        ck_assert_int_eq(job_state_is_end(i), i >= JOB_INSTALLED);
    }
    {
        JobState state = JOB_UNDOING;

        ck_assert(!job_state_from_name("Installed", &state));
        ck_assert(!job_state_from_name("", &state));
        ck_assert(!job_state_from_name(job_state_name(JOB_N_STATES), &state));
        ck_assert_int_eq(state, JOB_UNDOING);
        ck_assert(!job_state_is_end(JOB_N_STATES));
        ck_assert_str_eq(job_state_name((JobState)-1), "unknown");
    }
}
END_TEST

START_TEST(copy_is_deep)
{
    g_autoptr(Job) job = full_job();
    g_autoptr(Job) copy = job_copy(job);
    g_autoptr(Job) empty = job_new();
    g_autoptr(Job) empty_copy = job_copy(empty);

    expect_same(job, copy);
    ck_assert_ptr_ne(job->location, copy->location);
    ck_assert_ptr_ne(job->after.hash, copy->after.hash);
    expect_same(empty, empty_copy);
    ck_assert_int_eq(empty->request_id, -1);
    job_free(NULL);
}
END_TEST

START_TEST(every_field_survives)
{
    GError *error = NULL;
    g_autoptr(Job) full = full_job();
    g_autoptr(Job) sparse = job_new();
    g_autoptr(Job) loaded = NULL, again = NULL, by_role = NULL;
    Store *store = open_store(STORE_CREATED);

    sparse->location = g_strdup("");
    ok(jobs_insert(store, full, &error));
    ok(jobs_insert(store, sparse, &error));
    store_close(store);
    store = open_store(STORE_OPENED);
    ok(jobs_load_id(store, full->id, &loaded, &error));
    expect_same(full, loaded);
    ok(jobs_load_id(store, sparse->id, &again, &error));
    expect_same(sparse, again);
    ok(jobs_load(store, JOB_WAITS, &by_role, &error));
    expect_same(full, by_role);
    store_close(store);
}
END_TEST

START_TEST(update_stores_every_field)
{
    GError *error = NULL;
    g_autoptr(Store) store = open_store(STORE_CREATED);
    g_autoptr(Job) job = insert_job(store, JOB_ACTIVE, JOB_SCHEDULED);
    g_autoptr(Job) full = full_job();
    g_autoptr(Job) loaded = NULL, emptied = NULL;

    full->id = job->id;
    ok(jobs_update(store, full, &error));
    ok(jobs_load_id(store, job->id, &loaded, &error));
    expect_same(full, loaded);
    ok(jobs_update(store, job, &error)); /* and back to NULLs */
    ok(jobs_load_id(store, job->id, &emptied, &error));
    expect_same(job, emptied);
    full->id = 4711;
    refused(jobs_update(store, full, &error), STORE_ERROR_CONFLICT);
}
END_TEST

START_TEST(every_state_and_wire_can_be_stored)
{
    GError *error = NULL;
    g_autoptr(Store) store = open_store(STORE_CREATED);
    g_autoptr(Job) job = insert_job(store, JOB_ACTIVE, JOB_SCHEDULED);

    for (int state = 0; state < JOB_N_STATES; state++) {
        const HistoryEntry entry = {job->id, state, state, state, (char *)"event", NULL};
        g_autoptr(Job) loaded = NULL;

        job->state = job->failure = state;
        job->role = job_state_is_end(state) ? JOB_ENDED : JOB_ACTIVE;
        job->wire = state % (JOB_WIRE_ENDED + 1);
        ok(jobs_update(store, job, &error));
        ok(history_add(store, &entry, &error));
        ok(jobs_load_id(store, job->id, &loaded, &error));
        expect_same(job, loaded);
        job->role = job_state_is_end(state) ? JOB_ACTIVE : JOB_ENDED;
        refused(jobs_update(store, job, &error), STORE_ERROR_CONFLICT);
    }
    job->state = JOB_N_STATES;
    refused(jobs_update(store, job, &error), STORE_ERROR_CONFLICT);
    job->state = JOB_CANCELLED;
    job->role = 77;
    refused(jobs_update(store, job, &error), STORE_ERROR_CONFLICT);
}
END_TEST

START_TEST(one_active_and_one_waiting)
{
    GError *error = NULL;
    g_autoptr(Store) store = open_store(STORE_CREATED);
    g_autoptr(Job) active = insert_job(store, JOB_ACTIVE, JOB_INSTALLING);
    g_autoptr(Job) waiting = insert_job(store, JOB_WAITS, JOB_SCHEDULED);
    g_autoptr(Job) third = full_job();
    g_autoptr(Job) loaded = NULL;

    third->role = JOB_ACTIVE;
    refused(jobs_insert(store, third, &error), STORE_ERROR_CONFLICT);
    third->role = JOB_WAITS;
    refused(jobs_insert(store, third, &error), STORE_ERROR_CONFLICT);
    ck_assert_int_eq(third->id, 0);
    refused(jobs_insert(store, active, &error), STORE_ERROR_CONFLICT); /* it is there already */
    waiting->role = JOB_ACTIVE;
    refused(jobs_update(store, waiting, &error), STORE_ERROR_CONFLICT);

    /* As a step does it: the active one ends, the waiting one takes its place. */
    ok(store_begin(store, &error));
    active->role = JOB_ENDED;
    active->state = JOB_INSTALLED;
    ok(jobs_update(store, active, &error));
    ok(jobs_update(store, waiting, &error));
    ok(jobs_insert(store, third, &error));
    ok(store_commit(store, &error));
    ok(jobs_load(store, JOB_ACTIVE, &loaded, &error));
    expect_same(waiting, loaded);
}
END_TEST

START_TEST(roles_are_found)
{
    GError *error = NULL;
    g_autoptr(Store) store = open_store(STORE_CREATED);
    g_autoptr(GPtrArray) none = jobs_list(store, 10, &error);
    g_autoptr(GPtrArray) list = NULL, two = NULL;
    gint64 ids[3];
    Job *job = (Job *)store; /* must be set to NULL */

    ck_assert_uint_eq(none->len, 0);
    for (int role = JOB_ACTIVE; role <= JOB_ENDED; role++) {
        ok(jobs_load(store, role, &job, &error));
        ck_assert_ptr_null(job);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(ids); i++) {
        g_autoptr(Job) ended = insert_job(store, JOB_ENDED, JOB_CANCELLED);

        ids[i] = ended->id;
    }
    ok(jobs_load(store, JOB_ENDED, &job, &error));
    ck_assert_int_eq(job->id, ids[2]);
    job_free(job);
    ok(jobs_load_id(store, 99, &job, &error));
    ck_assert_ptr_null(job);
    list = jobs_list(store, G_MAXUINT, &error);
    two = jobs_list(store, 2, &error);
    ck_assert_uint_eq(list->len, 3);
    ck_assert_uint_eq(two->len, 2);
    for (guint i = 0; i < list->len; i++)
        ck_assert_int_eq(((Job *)list->pdata[i])->id, ids[2 - i]);
}
END_TEST

START_TEST(ids_are_never_given_out_again)
{
    Store *store = open_store(STORE_CREATED);
    g_autoptr(Job) first = insert_job(store, JOB_ENDED, JOB_CANCELLED);
    g_autoptr(Job) second = NULL;

    store_close(store);
    raw("", "DELETE FROM jobs");
    store = open_store(STORE_OPENED);
    second = insert_job(store, JOB_ACTIVE, JOB_SCHEDULED);
    ck_assert_int_gt(second->id, first->id);
    store_close(store);
}
END_TEST

START_TEST(unusable_values_are_refused)
{
    GError *error = NULL;
    g_autoptr(Store) store = open_store(STORE_CREATED);
    g_autoptr(Job) job = job_new();
    g_autoptr(Job) loaded = NULL;

    refused(jobs_insert(store, job, &error), STORE_ERROR_CONFLICT); /* no location */
    job->location = g_strnfill(STORE_MAX_VALUE + 1, 'x');
    refused(jobs_insert(store, job, &error), STORE_ERROR_WRITE);
    g_free(job->location);
    job->location = g_strdup("caf\351"); /* Latin-1 out of some error text */
    ok(jobs_insert(store, job, &error));
    ok(jobs_load_id(store, job->id, &loaded, &error));
    ck_assert_str_eq(loaded->location, "caf\357\277\275");
}
END_TEST

static const struct {
    const char *set, *column;
} damages[] = {
    {"state = 'asleep'", "state"},
    {"state = x'00ff'", "state"},
    {"failure = ''", "failure"},
    {"wire = 'Ended'", "wire"},
    {"attempts = -1", "attempts"},
    {"retries = 4294967296", "retries"},
    {"retry_interval_s = 'many'", "retry_interval_s"},
    {"tried = 2", "tried"},
    {"created_ms = 1.5", "created_ms"},
    {"ended_ms = NULL", "ended_ms"},
    {"reason = 17", "reason"},
    {"before_hash = x'6161'", "before_hash"},
};

/* No STRICT, no NOT NULL, no CHECK. */
static char *loose_jobs(void)
{
    return raw_value("", "SELECT 'CREATE TABLE jobs (id INTEGER PRIMARY KEY, '"
                         " || group_concat(name, ', ') || ')'"
                         " FROM (SELECT name FROM pragma_table_info('jobs') WHERE name <> 'id')");
}

START_TEST(damaged_rows_are_errors)
{
    GError *error = NULL;
    g_autoptr(Store) store = open_store(STORE_CREATED);
    g_autoptr(Job) job = insert_job(store, JOB_ACTIVE, JOB_INSTALLING);
    g_autofree char *loose = loose_jobs();

    for (gsize i = 0; i < G_N_ELEMENTS(damages); i++) {
        Job *loaded = NULL;

        damage("jobs", loose, damages[i].set);
        ck_assert(!jobs_load(store, JOB_ACTIVE, &loaded, &error));
        ck_assert(g_error_matches(error, STORE_ERROR, STORE_ERROR_CORRUPT));
        ck_assert_ptr_nonnull(strstr(error->message, damages[i].column));
        ck_assert_ptr_nonnull(strstr(error->message, path));
        g_clear_error(&error);
        ck_assert_ptr_null(loaded);
        refused(jobs_load_id(store, job->id, &loaded, &error), STORE_ERROR_CORRUPT);
        refused(jobs_list(store, 10, &error) != NULL, STORE_ERROR_CORRUPT);
        ok(jobs_update(store, job, &error)); /* the whole row, hence sound again */
        ok(jobs_load(store, JOB_ACTIVE, &loaded, &error));
        expect_same(job, loaded);
        job_free(loaded);
    }
}
END_TEST

START_TEST(damaged_rows_are_found_at_start)
{
    for (gsize i = 0; i < G_N_ELEMENTS(damages); i++) {
        Store *store = open_store(i == 0 ? STORE_CREATED : STORE_OPENED);
        g_autofree char *loose = NULL;

        job_free(insert_job(store, JOB_ACTIVE, JOB_INSTALLING));
        store_close(store);
        loose = loose_jobs();
        damage("jobs", loose, damages[i].set);
        store_close(open_store(STORE_CORRUPT_ASIDE));
    }
}
END_TEST

START_TEST(broken_text_stays_readable)
{
    GError *error = NULL;
    g_autoptr(Store) store = open_store(STORE_CREATED);
    g_autoptr(Job) loaded = NULL;

    job_free(insert_job(store, JOB_ACTIVE, JOB_INSTALLING));
    raw("",
        "UPDATE jobs SET reason = CAST(x'61ff62' AS TEXT), last_status = CAST(x'410042' AS TEXT)");
    ok(jobs_load(store, JOB_ACTIVE, &loaded, &error));
    ck_assert_str_eq(loaded->reason, "a\357\277\275b");
    ck_assert(g_utf8_validate(loaded->last_status, -1, NULL));
}
END_TEST

START_TEST(history_is_kept_in_order)
{
    GError *error = NULL;
    g_autoptr(Store) store = open_store(STORE_CREATED);
    g_autoptr(Job) job = insert_job(store, JOB_ACTIVE, JOB_SCHEDULED);
    g_autoptr(GPtrArray) list = NULL, one = NULL;
    HistoryEntry entry = {job->id,        1760000000000, JOB_SCHEDULED,
                          JOB_INSTALLING, (char *)"due", NULL};
    const HistoryEntry *read;

    ok(history_add(store, &entry, &error));
    entry = (HistoryEntry){job->id,
                           -5,
                           JOB_INSTALLING,
                           JOB_REBOOT_WAIT,
                           (char *)"rauc-completed",
                           (char *)"slot rootfs.1"};
    ok(history_add(store, &entry, &error));
    list = history_list(store, 10, &error);
    ck_assert_uint_eq(list->len, 2);
    read = list->pdata[0];
    ck_assert_int_eq(read->job_id, job->id);
    ck_assert_int_eq(read->time_ms, -5);
    ck_assert_int_eq(read->from, JOB_INSTALLING);
    ck_assert_int_eq(read->to, JOB_REBOOT_WAIT);
    ck_assert_str_eq(read->event, "rauc-completed");
    ck_assert_str_eq(read->detail, "slot rootfs.1");
    read = list->pdata[1];
    ck_assert_int_eq(read->from, JOB_SCHEDULED);
    ck_assert_ptr_null(read->detail);
    one = history_list(store, 1, &error);
    ck_assert_uint_eq(one->len, 1);

    entry.job_id = job->id + 1;
    refused(history_add(store, &entry, &error), STORE_ERROR_CONFLICT);
    entry.job_id = job->id;
    entry.to = JOB_N_STATES;
    refused(history_add(store, &entry, &error), STORE_ERROR_CONFLICT);
    history_entry_free(NULL);
    damage("history",
           "CREATE TABLE history (id INTEGER PRIMARY KEY, job_id, time_ms, from_state,"
           " to_state, event, detail)",
           "to_state = 'unknown'");
    refused(history_list(store, 10, &error) != NULL, STORE_ERROR_CORRUPT);
}
END_TEST

START_TEST(history_keeps_the_newest_entries)
{
    GError *error = NULL;
    g_autoptr(Store) store = open_store(STORE_CREATED);
    g_autoptr(Job) job = insert_job(store, JOB_ACTIVE, JOB_INSTALLING);
    g_autoptr(GPtrArray) list = NULL;
    const int extra = 25;

    ok(store_begin(store, &error));
    for (int i = 0; i < HISTORY_MAX_ENTRIES + extra; i++) {
        const HistoryEntry entry = {job->id, i, JOB_INSTALLING, JOB_INSTALLING, (char *)"e", NULL};

        ok(history_add(store, &entry, &error));
    }
    ok(store_commit(store, &error));
    list = history_list(store, G_MAXUINT, &error);
    ck_assert_uint_eq(list->len, HISTORY_MAX_ENTRIES);
    ck_assert_int_eq(((HistoryEntry *)list->pdata[0])->time_ms, HISTORY_MAX_ENTRIES + extra - 1);
    ck_assert_int_eq(((HistoryEntry *)list->pdata[list->len - 1])->time_ms, extra);
    expect_value("", "SELECT count(*) FROM history", G_STRINGIFY(HISTORY_MAX_ENTRIES));
}
END_TEST

START_TEST(history_keeps_the_newest_ended_jobs)
{
    GError *error = NULL;
    g_autoptr(Store) store = open_store(STORE_CREATED);
    g_autoptr(Job) active = insert_job(store, JOB_ACTIVE, JOB_INSTALLING);
    g_autoptr(Job) waiting = insert_job(store, JOB_WAITS, JOB_SCHEDULED);
    g_autoptr(Job) found_active = NULL, found_waiting = NULL, newest = NULL, pruned = NULL;
    const int extra = 3;
    guint count;

    ok(store_begin(store, &error));
    for (int i = 0; i < HISTORY_MAX_JOBS + extra; i++) {
        g_autoptr(Job) job = insert_job(store, JOB_ENDED, JOB_CANCELLED);
        const HistoryEntry entry = {job->id, i, JOB_SCHEDULED, JOB_CANCELLED, (char *)"e", NULL};

        ok(outbox_push(store, job->id, "FirmwareStatusNotification", "{}", &error));
        ok(history_add(store, &entry, &error));
    }
    ok(store_commit(store, &error));
    ok(jobs_load(store, JOB_ACTIVE, &found_active, &error));
    ok(jobs_load(store, JOB_WAITS, &found_waiting, &error));
    expect_same(active, found_active);
    expect_same(waiting, found_waiting);
    ok(jobs_load(store, JOB_ENDED, &newest, &error));
    ck_assert_int_eq(newest->id, waiting->id + HISTORY_MAX_JOBS + extra);
    ok(jobs_load_id(store, waiting->id + extra, &pruned, &error));
    ck_assert_ptr_null(pruned);
    expect_value("", "SELECT count(*) FROM jobs WHERE role = 'ended'",
                 G_STRINGIFY(HISTORY_MAX_JOBS));
    expect_value("", "SELECT count(*) FROM history", G_STRINGIFY(HISTORY_MAX_JOBS));
    /* The CSMS is told of pruned jobs, too. */
    ok(outbox_count(store, &count, &error));
    ck_assert_uint_eq(count, HISTORY_MAX_JOBS + extra);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        names_go_there_and_back,
        copy_is_deep,
        every_field_survives,
        update_stores_every_field,
        every_state_and_wire_can_be_stored,
        one_active_and_one_waiting,
        roles_are_found,
        ids_are_never_given_out_again,
        unusable_values_are_refused,
        damaged_rows_are_errors,
        damaged_rows_are_found_at_start,
        broken_text_stays_readable,
        history_is_kept_in_order,
        history_keeps_the_newest_entries,
        history_keeps_the_newest_ended_jobs,
    };

    return run_tests("jobs", tests, G_N_ELEMENTS(tests));
}
