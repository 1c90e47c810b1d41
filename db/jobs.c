/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of jobs.  One list says which field of Job is which column; copying, freeing, storing
 * and loading all go by it, so that none of them can forget a field.
 */
#include "db/jobs.h"

#include <stddef.h>
#include <string.h>

#include "sql.h"

#define JOBS_MAX_LISTED 1000

static const char *const state_names[JOB_N_STATES] = {
    [JOB_SCHEDULED] = "scheduled",
    [JOB_DOWNLOADING] = "downloading",
    [JOB_RETRY_WAIT] = "retry-wait",
    [JOB_VERIFYING] = "verifying",
    [JOB_INSTALL_WAIT] = "install-wait",
    [JOB_INSTALLING] = "installing",
    [JOB_REBOOT_WAIT] = "reboot-wait",
    [JOB_REBOOTING] = "rebooting",
    [JOB_CONFIRMING] = "confirming",
    [JOB_ROLLING_BACK] = "rolling-back",
    [JOB_UNDOING] = "undoing",
    [JOB_INSTALLED] = "installed",
    [JOB_DOWNLOAD_FAILED] = "download-failed",
    [JOB_INSTALL_FAILED] = "install-failed",
    [JOB_SIGNATURE_INVALID] = "signature-invalid",
    [JOB_ROLLED_BACK] = "rolled-back",
    [JOB_CANCELLED] = "cancelled",
    [JOB_SUPERSEDED] = "superseded",
};

const char *const sql_role_names[SQL_N_ROLES] = {
    [JOB_ACTIVE] = "active",
    [JOB_WAITS] = "waits",
    [JOB_ENDED] = "ended",
};

static const char *const wire_names[] = {
    [JOB_WIRE_NOTHING] = "nothing",       [JOB_WIRE_DOWNLOADING] = "downloading",
    [JOB_WIRE_DOWNLOADED] = "downloaded", [JOB_WIRE_INSTALLING] = "installing",
    [JOB_WIRE_ENDED] = "ended",
};

static const char *const transport_names[] = {
    [JOB_TRANSPORT_UNDECIDED] = "undecided",
    [JOB_TRANSPORT_STREAM] = "stream",
    [JOB_TRANSPORT_DOWNLOAD] = "download",
    [JOB_TRANSPORT_STORE] = "store",
};

typedef enum {
    FIELD_TEXT,
    FIELD_INT64,
    FIELD_UINT,
    FIELD_FLAG,
    FIELD_STATE,
    FIELD_ROLE,
    FIELD_WIRE,
    FIELD_TRANSPORT
} FieldKind;

typedef struct {
    const char *column;
    FieldKind kind;
    gsize offset;
} Field;

#define FIELD(name, kind)                                                                          \
    {                                                                                              \
#name, kind, offsetof(Job, name)                                                           \
    }
#define FIELD_AS(column, member, kind)                                                             \
    {                                                                                              \
        column, kind, offsetof(Job, member)                                                        \
    }

static const Field fields[] = {
    FIELD(role, FIELD_ROLE),
    FIELD(state, FIELD_STATE),
    FIELD(location, FIELD_TEXT),
    FIELD(retrieve_date_ms, FIELD_INT64),
    FIELD(has_retrieve_date, FIELD_FLAG),
    FIELD(retries, FIELD_UINT),
    FIELD(retry_interval_s, FIELD_UINT),
    FIELD(request_id, FIELD_INT64),
    FIELD(by_hand, FIELD_FLAG),
    FIELD(transport, FIELD_TRANSPORT),
    FIELD(fetched_bytes, FIELD_INT64),
    FIELD(attempts, FIELD_UINT),
    FIELD(interruptions, FIELD_UINT),
    FIELD(tried, FIELD_FLAG),
    FIELD(written, FIELD_FLAG),
    FIELD(wire, FIELD_WIRE),
    FIELD(last_status, FIELD_TEXT),
    FIELD(reason, FIELD_TEXT),
    FIELD(failure, FIELD_STATE),
    FIELD(retry_boot_id, FIELD_TEXT),
    FIELD(retry_boottime_ms, FIELD_INT64),
    FIELD(snapshot, FIELD_FLAG),
    FIELD(boot_id, FIELD_TEXT),
    FIELD(booted_slot, FIELD_TEXT),
    FIELD(target_slot, FIELD_TEXT),
    FIELD(primary_slot, FIELD_TEXT),
    FIELD(firmware_version, FIELD_TEXT),
    FIELD_AS("before_installed_count", before.installed_count, FIELD_INT64),
    FIELD_AS("before_installed_timestamp", before.installed_timestamp, FIELD_TEXT),
    FIELD_AS("before_activated_timestamp", before.activated_timestamp, FIELD_TEXT),
    FIELD_AS("before_version", before.version, FIELD_TEXT),
    FIELD_AS("before_hash", before.hash, FIELD_TEXT),
    FIELD_AS("after_installed_count", after.installed_count, FIELD_INT64),
    FIELD_AS("after_installed_timestamp", after.installed_timestamp, FIELD_TEXT),
    FIELD_AS("after_activated_timestamp", after.activated_timestamp, FIELD_TEXT),
    FIELD_AS("after_version", after.version, FIELD_TEXT),
    FIELD_AS("after_hash", after.hash, FIELD_TEXT),
    FIELD(confirm_boots, FIELD_UINT),
    FIELD(confirm_boottime_ms, FIELD_INT64),
    FIELD(created_ms, FIELD_INT64),
    FIELD(ended_ms, FIELD_INT64),
};

#define TEXT_OF(job, field)      G_STRUCT_MEMBER(char *, job, (field)->offset)
#define INT64_OF(job, field)     G_STRUCT_MEMBER(gint64, job, (field)->offset)
#define UINT_OF(job, field)      G_STRUCT_MEMBER(guint, job, (field)->offset)
#define FLAG_OF(job, field)      G_STRUCT_MEMBER(gboolean, job, (field)->offset)
#define STATE_OF(job, field)     G_STRUCT_MEMBER(JobState, job, (field)->offset)
#define ROLE_OF(job, field)      G_STRUCT_MEMBER(JobRole, job, (field)->offset)
#define WIRE_OF(job, field)      G_STRUCT_MEMBER(JobWire, job, (field)->offset)
#define TRANSPORT_OF(job, field) G_STRUCT_MEMBER(JobTransport, job, (field)->offset)

const char *job_state_name(JobState state)
{
    return (guint)state < JOB_N_STATES ? state_names[state] : "unknown";
}

gboolean job_state_from_name(const char *name, JobState *ret_state)
{
    for (int i = 0; i < JOB_N_STATES; i++) {
        if (strcmp(name, state_names[i]) == 0) {
            *ret_state = i;
            return TRUE;
        }
    }
    return FALSE;
}

gboolean job_state_is_end(JobState state)
{
    return state >= JOB_INSTALLED && state < JOB_N_STATES;
}

const char *job_transport_name(JobTransport transport)
{
    return (guint)transport < G_N_ELEMENTS(transport_names) ? transport_names[transport]
                                                            : "unknown";
}

Job *job_new(void)
{
    Job *job = g_new0(Job, 1);

    job->request_id = -1;
    return job;
}

Job *job_copy(const Job *job)
{
    Job *copy = g_memdup2(job, sizeof *job);

    for (gsize i = 0; i < G_N_ELEMENTS(fields); i++)
        if (fields[i].kind == FIELD_TEXT)
            TEXT_OF(copy, &fields[i]) = g_strdup(TEXT_OF(job, &fields[i]));
    return copy;
}

void job_free(Job *job)
{
    if (job == NULL)
        return;
    for (gsize i = 0; i < G_N_ELEMENTS(fields); i++)
        if (fields[i].kind == FIELD_TEXT)
            g_free(TEXT_OF(job, &fields[i]));
    g_free(job);
}

/* A number without a name becomes NULL, which the schema refuses. */
static const char *name_of(const char *const *names, gsize n_names, guint value)
{
    return value < n_names ? names[value] : NULL;
}

static void bind_field(Sql *sql, const Field *field, const Job *job)
{
    switch (field->kind) {
    case FIELD_TEXT:
        sql_bind_text(sql, TEXT_OF(job, field));
        break;
    case FIELD_INT64:
        sql_bind_int(sql, INT64_OF(job, field));
        break;
    case FIELD_UINT:
        sql_bind_int(sql, UINT_OF(job, field));
        break;
    case FIELD_FLAG:
        sql_bind_int(sql, FLAG_OF(job, field) ? 1 : 0);
        break;
    case FIELD_STATE:
        sql_bind_text(sql, name_of(state_names, JOB_N_STATES, STATE_OF(job, field)));
        break;
    case FIELD_ROLE:
        sql_bind_text(sql, name_of(sql_role_names, SQL_N_ROLES, ROLE_OF(job, field)));
        break;
    case FIELD_WIRE:
        sql_bind_text(sql, name_of(wire_names, G_N_ELEMENTS(wire_names), WIRE_OF(job, field)));
        break;
    case FIELD_TRANSPORT:
        sql_bind_text(
            sql, name_of(transport_names, G_N_ELEMENTS(transport_names), TRANSPORT_OF(job, field)));
        break;
    }
}

static void read_field(Sql *sql, const Field *field, Job *job)
{
    switch (field->kind) {
    case FIELD_TEXT:
        TEXT_OF(job, field) = sql_get_text(sql, TRUE);
        break;
    case FIELD_INT64:
        INT64_OF(job, field) = sql_get_int(sql, G_MININT64, G_MAXINT64);
        break;
    case FIELD_UINT:
        UINT_OF(job, field) = (guint)sql_get_int(sql, 0, G_MAXUINT);
        break;
    case FIELD_FLAG:
        FLAG_OF(job, field) = (gboolean)sql_get_int(sql, 0, 1);
        break;
    case FIELD_STATE:
        STATE_OF(job, field) = sql_get_name(sql, state_names, JOB_N_STATES);
        break;
    case FIELD_ROLE:
        ROLE_OF(job, field) = sql_get_name(sql, sql_role_names, SQL_N_ROLES);
        break;
    case FIELD_WIRE:
        WIRE_OF(job, field) = sql_get_name(sql, wire_names, G_N_ELEMENTS(wire_names));
        break;
    case FIELD_TRANSPORT:
        TRANSPORT_OF(job, field) =
            sql_get_name(sql, transport_names, G_N_ELEMENTS(transport_names));
        break;
    }
}

/* `before`, then each column with `after_each`, separated by commas, then `end`. */
static char *statement(const char *before, const char *after_each, const char *end)
{
    GString *text = g_string_new(before);

    for (gsize i = 0; i < G_N_ELEMENTS(fields); i++)
        g_string_append_printf(text, "%s%s%s", i > 0 ? ", " : "", fields[i].column, after_each);
    g_string_append(text, end);
    return g_string_free(text, FALSE);
}

static void bind_job(Sql *sql, const Job *job)
{
    for (gsize i = 0; i < G_N_ELEMENTS(fields); i++)
        bind_field(sql, &fields[i], job);
}

gboolean jobs_insert(Store *store, Job *job, GError **error)
{
    g_auto(Sql) sql = SQL_INIT;
    g_autofree char *columns = statement("INSERT INTO jobs (", "", ") VALUES (?");
    g_autoptr(GString) text = g_string_new(columns);

    for (gsize i = 1; i < G_N_ELEMENTS(fields); i++)
        g_string_append(text, ", ?");
    g_string_append_c(text, ')');
    if (!sql_open(&sql, store, "store a new job", text->str, error))
        return FALSE;
    if (job->id != 0)
        return sql_refuse(&sql, "it has a number already", error);
    bind_job(&sql, job);
    if (!sql_finish(&sql, error))
        return FALSE;
    job->id = sqlite3_last_insert_rowid(store->db);
    return TRUE;
}

gboolean jobs_update(Store *store, const Job *job, GError **error)
{
    g_auto(Sql) sql = SQL_INIT;
    g_autofree char *text = statement("UPDATE jobs SET ", " = ?", " WHERE id = ?");

    if (!sql_open(&sql, store, "store a job", text, error))
        return FALSE;
    bind_job(&sql, job);
    sql_bind_int(&sql, job->id);
    if (!sql_finish(&sql, error))
        return FALSE;
    return sqlite3_changes(store->db) == 1 || sql_refuse(&sql, "there is no such job", error);
}

/* The next row of a SELECT made by statement() below; NULL at the end. */
static gboolean next_job(Sql *sql, Job **ret_job, GError **error)
{
    g_autoptr(Job) job = NULL;
    gboolean row;

    if (!sql_step(sql, &row, error))
        return FALSE;
    if (row) {
        job = job_new();
        job->id = sql_get_int(sql, 1, G_MAXINT64);
        for (gsize i = 0; i < G_N_ELEMENTS(fields); i++)
            read_field(sql, &fields[i], job);
        if (!sql_intact(sql, error))
            return FALSE;
    }
    *ret_job = g_steal_pointer(&job);
    return TRUE;
}

gboolean jobs_load(Store *store, JobRole role, Job **ret_job, GError **error)
{
    g_auto(Sql) sql = SQL_INIT;
    g_autofree char *text =
        statement("SELECT id, ", "", " FROM jobs WHERE role = ? ORDER BY id DESC LIMIT 1");

    if (!sql_open(&sql, store, "load a job", text, error))
        return FALSE;
    sql_bind_text(&sql, name_of(sql_role_names, SQL_N_ROLES, role));
    return next_job(&sql, ret_job, error);
}

gboolean jobs_load_id(Store *store, gint64 id, Job **ret_job, GError **error)
{
    g_auto(Sql) sql = SQL_INIT;
    g_autofree char *text = statement("SELECT id, ", "", " FROM jobs WHERE id = ?");

    if (!sql_open(&sql, store, "load a job", text, error))
        return FALSE;
    sql_bind_int(&sql, id);
    return next_job(&sql, ret_job, error);
}

GPtrArray *jobs_list(Store *store, guint limit, GError **error)
{
    g_auto(Sql) sql = SQL_INIT;
    g_autofree char *text = statement("SELECT id, ", "", " FROM jobs ORDER BY id DESC LIMIT ?");
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func((GDestroyNotify)job_free);

    if (!sql_open(&sql, store, "list the jobs", text, error))
        return NULL;
    sql_bind_int(&sql, MIN(limit, JOBS_MAX_LISTED));
    for (;;) {
        Job *job = NULL;

        if (!next_job(&sql, &job, error))
            return NULL;
        if (job == NULL)
            return g_steal_pointer(&list);
        g_ptr_array_add(list, job);
    }
}
