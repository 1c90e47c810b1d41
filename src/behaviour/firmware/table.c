/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The transition table of the firmware job.  It follows the project's executable model row by row;
 * the test tests/component/test_job_table.py compares the two and lists the few rows that differ,
 * with the reason.
 *
 * A notification named in a row is the status that the job has reached: machine.c adds the ones
 * that the wire still lacks.
 */
#include "src/behaviour/firmware/machine.h"

#define STATE(s) (1u << JOB_##s)
#define PRE                                                                                        \
    (STATE(SCHEDULED) | STATE(DOWNLOADING) | STATE(RETRY_WAIT) | STATE(VERIFYING) |                \
     STATE(INSTALL_WAIT))
#define ACTIVE                                                                                     \
    (STATE(INSTALLING) | STATE(REBOOT_WAIT) | STATE(REBOOTING) | STATE(CONFIRMING) |               \
     STATE(ROLLING_BACK) | STATE(UNDOING))
#define END                                                                                        \
    (STATE(INSTALLED) | STATE(DOWNLOAD_FAILED) | STATE(INSTALL_FAILED) |                           \
     STATE(SIGNATURE_INVALID) | STATE(ROLLED_BACK) | STATE(CANCELLED) | STATE(SUPERSEDED))

typedef struct {
    guint32 states;
    JobEvent event;
    JobRow row;
} TableRow;

#define TO(state)      .next = JOB_##state
#define SAME           .same = TRUE
#define FAILURE_END(s) .next = JOB_##s, .failure_end = TRUE
#define NOTE(n)        .note = JOB_NOTE_##n
#define GIVE_UP        .effects = {JOB_EFFECT_POINT_OTHER, JOB_EFFECT_MARK_BAD, JOB_EFFECT_REBOOT}
#define EFFECT(e)      .effects = {JOB_EFFECT_##e}

/* clang-format off */
static const TableRow TABLE[] = {
    {STATE(SCHEDULED) | STATE(RETRY_WAIT) | STATE(VERIFYING) | STATE(INSTALL_WAIT) | STATE(INSTALLING) |
     STATE(REBOOT_WAIT) | STATE(CONFIRMING) | STATE(UNDOING) | END,      JOB_EVENT_RESUME,       {SAME}},
    {STATE(SCHEDULED) | STATE(RETRY_WAIT), JOB_EVENT_DUE,                {TO(DOWNLOADING), NOTE(DOWNLOADING), EFFECT(FETCH)}},
    {STATE(SCHEDULED) | STATE(RETRY_WAIT), JOB_EVENT_DUE_STREAM,         {TO(INSTALL_WAIT)}},
    {PRE,                                  JOB_EVENT_CANCEL,             {TO(CANCELLED), NOTE(FAILURE)}},
    {PRE,                                  JOB_EVENT_REQUEST,            {TO(SUPERSEDED)}},
    {STATE(DOWNLOADING) | STATE(RETRY_WAIT) | STATE(VERIFYING) | STATE(INSTALL_WAIT) | ACTIVE,
                                           JOB_EVENT_REQUEST_LATE,       {SAME}},
    {END,                                  JOB_EVENT_REQUEST,            {SAME}},
    {END,                                  JOB_EVENT_NEXT,               {TO(SCHEDULED)}},

    {STATE(DOWNLOADING),  JOB_EVENT_RESUME,           {SAME, EFFECT(FETCH)}},
    {STATE(DOWNLOADING),  JOB_EVENT_FETCH_OK,         {TO(INSTALL_WAIT), NOTE(DOWNLOADED)}},
    {STATE(DOWNLOADING),  JOB_EVENT_FETCH_OK_SIGNED,  {TO(VERIFYING), NOTE(DOWNLOADED)}},
    {STATE(DOWNLOADING),  JOB_EVENT_FETCH_FAIL,       {TO(RETRY_WAIT)}},
    {STATE(DOWNLOADING),  JOB_EVENT_FETCH_FAIL_LAST,  {TO(DOWNLOAD_FAILED), NOTE(FAILURE)}},
    {STATE(VERIFYING),    JOB_EVENT_SIG_OK,           {TO(INSTALL_WAIT)}},
    {STATE(VERIFYING),    JOB_EVENT_SIG_BAD,          {TO(SIGNATURE_INVALID), NOTE(INVALID_SIGNATURE)}},
    {STATE(INSTALL_WAIT), JOB_EVENT_PERMIT,           {TO(INSTALLING), NOTE(INSTALLING), EFFECT(INSTALL)}},
    {STATE(INSTALL_WAIT), JOB_EVENT_PERMIT_STREAM,    {TO(INSTALLING), NOTE(DOWNLOADING), EFFECT(INSTALL)}},
    {STATE(INSTALL_WAIT), JOB_EVENT_FAIL_LAST,        {FAILURE_END(INSTALL_FAILED), NOTE(FAILURE)}},

    {STATE(INSTALLING), JOB_EVENT_WRITING,            {SAME, NOTE(INSTALLING)}},
    {STATE(INSTALLING), JOB_EVENT_ACTIVATED,          {TO(REBOOT_WAIT), NOTE(INSTALLING)}},
    {STATE(INSTALLING), JOB_EVENT_FAIL_ACTIVATED,     {TO(UNDOING), NOTE(INSTALLING)}},
    {STATE(INSTALLING), JOB_EVENT_FAIL,               {TO(RETRY_WAIT)}},
    {STATE(INSTALLING), JOB_EVENT_FAIL_LAST,          {FAILURE_END(INSTALL_FAILED), NOTE(FAILURE)}},
    {STATE(INSTALLING), JOB_EVENT_NEXT_TRANSPORT,     {TO(RETRY_WAIT)}},
    {STATE(INSTALLING), JOB_EVENT_REFUSED,            {TO(INSTALL_FAILED), NOTE(INSTALLATION_FAILED)}},
    {STATE(INSTALLING), JOB_EVENT_INTERRUPTED,        {TO(RETRY_WAIT)}},
    {STATE(INSTALLING), JOB_EVENT_INTERRUPTED_LAST,   {FAILURE_END(INSTALL_FAILED), NOTE(FAILURE)}},
    {STATE(INSTALLING), JOB_EVENT_CANCEL,             {TO(UNDOING), EFFECT(ABORT)}},

    {STATE(REBOOT_WAIT),                    JOB_EVENT_REBOOT_NOW,   {TO(REBOOTING), EFFECT(REBOOT)}},
    {STATE(REBOOTING),                      JOB_EVENT_RESUME,       {SAME, EFFECT(REBOOT)}},
    {STATE(REBOOTING),                      JOB_EVENT_REBOOT_AGAIN, {SAME, EFFECT(REBOOT)}},
    {STATE(REBOOT_WAIT) | STATE(REBOOTING), JOB_EVENT_CANCEL,       {TO(UNDOING)}},

    {STATE(INSTALLING) | STATE(REBOOT_WAIT) | STATE(REBOOTING) | STATE(CONFIRMING),
                                           JOB_EVENT_BOOT_TARGET,        {TO(CONFIRMING), NOTE(INSTALLING)}},
    {STATE(ROLLING_BACK) | STATE(UNDOING), JOB_EVENT_BOOT_TARGET,        {TO(ROLLING_BACK), NOTE(INSTALLING), GIVE_UP}},
    {ACTIVE,                               JOB_EVENT_BOOT_TARGET_BAD,    {TO(ROLLING_BACK), NOTE(INSTALLING), GIVE_UP}},
    {ACTIVE,                               JOB_EVENT_BOOT_TARGET_OTHER,  {TO(INSTALL_FAILED), NOTE(INSTALLATION_FAILED)}},
    {ACTIVE,                               JOB_EVENT_BOOT_OLD,           {TO(UNDOING), NOTE(INSTALLING)}},
    /* One more reboot where none was asked for yet; the next time it is `rebooting`, and given
     * up. */
    {STATE(INSTALLING) | STATE(REBOOT_WAIT),
                                           JOB_EVENT_BOOT_OLD_PRIMARY_TARGET, {TO(REBOOT_WAIT), NOTE(INSTALLING)}},
    {STATE(REBOOTING) | STATE(CONFIRMING) | STATE(ROLLING_BACK) | STATE(UNDOING),
                                           JOB_EVENT_BOOT_OLD_PRIMARY_TARGET, {TO(UNDOING), NOTE(INSTALLING)}},
    {ACTIVE,                               JOB_EVENT_SILENT,             {SAME, EFFECT(REBOOT)}},

    {STATE(CONFIRMING),   JOB_EVENT_HEALTHY,           {SAME, EFFECT(MARK_GOOD)}},
    {STATE(CONFIRMING),   JOB_EVENT_MARKED,            {TO(INSTALLED), NOTE(INSTALLED)}},
    {STATE(CONFIRMING),   JOB_EVENT_DEADLINE,          {TO(ROLLING_BACK), GIVE_UP}},
    {STATE(CONFIRMING),   JOB_EVENT_CANCEL,            {TO(ROLLING_BACK), GIVE_UP}},
    {STATE(CONFIRMING),   JOB_EVENT_BOOT_TARGET_THIRD, {TO(ROLLING_BACK), GIVE_UP}},
    {STATE(CONFIRMING),   JOB_EVENT_NO_FALLBACK,       {TO(INSTALL_FAILED), NOTE(INSTALLATION_FAILED)}},
    {STATE(ROLLING_BACK), JOB_EVENT_RESUME,            {SAME, GIVE_UP}},
    {STATE(ROLLING_BACK), JOB_EVENT_NO_FALLBACK,       {SAME, EFFECT(UNDO)}},
    {STATE(ROLLING_BACK), JOB_EVENT_UNDONE,            {TO(INSTALL_FAILED), NOTE(INSTALLATION_FAILED)}},
    {STATE(ROLLING_BACK), JOB_EVENT_REBOOT_AGAIN,      {SAME, GIVE_UP}},
    {STATE(UNDOING),      JOB_EVENT_IDLE,              {SAME, .effects = {JOB_EFFECT_UNDO, JOB_EFFECT_BAD_TARGET}}},
    {STATE(UNDOING),      JOB_EVENT_UNDONE,            {FAILURE_END(INSTALL_FAILED), NOTE(FAILURE)}},
};

#define E(e)      (G_GUINT64_CONSTANT(1) << JOB_EVENT_##e)
#define FETCHES   (E(FETCH_OK) | E(FETCH_OK_SIGNED) | E(FETCH_FAIL) | E(FETCH_FAIL_LAST))
#define SIGS      (E(SIG_OK) | E(SIG_BAD))
#define PERMITS   (E(PERMIT) | E(PERMIT_STREAM))
#define ATTEMPTS  (E(WRITING) | E(ACTIVATED) | E(FAIL_ACTIVATED) | E(FAIL) | E(FAIL_LAST) | E(REFUSED) | \
                   E(NEXT_TRANSPORT) | E(INTERRUPTED) | E(INTERRUPTED_LAST))
#define REBOOTS   (E(REBOOT_NOW) | E(REBOOT_AGAIN))
#define BOOTS     (E(BOOT_TARGET) | E(BOOT_TARGET_THIRD) | E(BOOT_TARGET_BAD) | E(BOOT_TARGET_OTHER) | \
                   E(BOOT_OLD) | E(BOOT_OLD_PRIMARY_TARGET))
#define CONFIRMS  (E(HEALTHY) | E(MARKED) | E(DEADLINE) | E(NO_FALLBACK))
#define UNDOES    (E(IDLE) | E(UNDONE))
#define DUES      (E(DUE) | E(DUE_STREAM))
#define LATE      (CONFIRMS | E(SILENT) | UNDOES) /* what no state before installing knows */

/* "Ignored", said aloud for every pair that has no row. */
static const struct {
    guint32 states;
    guint64 events;
} IGNORED[] = {
    {STATE(SCHEDULED),    FETCHES | SIGS | PERMITS | ATTEMPTS | REBOOTS | BOOTS | LATE | E(REQUEST_LATE) | E(NEXT)},
    {STATE(DOWNLOADING),  DUES | SIGS | PERMITS | ATTEMPTS | REBOOTS | BOOTS | LATE | E(NEXT)},
    {STATE(RETRY_WAIT),   FETCHES | SIGS | PERMITS | ATTEMPTS | REBOOTS | BOOTS | LATE | E(NEXT)},
    {STATE(VERIFYING),    DUES | FETCHES | PERMITS | ATTEMPTS | REBOOTS | BOOTS | LATE | E(NEXT)},
    {STATE(INSTALL_WAIT), DUES | FETCHES | SIGS | (ATTEMPTS & ~E(FAIL_LAST)) | REBOOTS | BOOTS | LATE | E(NEXT)},
    {STATE(INSTALLING),   DUES | FETCHES | SIGS | PERMITS | REBOOTS | E(BOOT_TARGET_THIRD) | CONFIRMS | UNDOES |
                          E(REQUEST) | E(NEXT)},
    {STATE(REBOOT_WAIT),  DUES | FETCHES | SIGS | PERMITS | ATTEMPTS | E(REBOOT_AGAIN) | E(BOOT_TARGET_THIRD) |
                          CONFIRMS | UNDOES | E(REQUEST) | E(NEXT)},
    {STATE(REBOOTING),    DUES | FETCHES | SIGS | PERMITS | ATTEMPTS | E(REBOOT_NOW) | E(BOOT_TARGET_THIRD) |
                          CONFIRMS | UNDOES | E(REQUEST) | E(NEXT)},
    {STATE(CONFIRMING),   DUES | FETCHES | SIGS | PERMITS | ATTEMPTS | REBOOTS | UNDOES | E(REQUEST) | E(NEXT)},
    {STATE(ROLLING_BACK), DUES | FETCHES | SIGS | PERMITS | ATTEMPTS | E(REBOOT_NOW) | E(BOOT_TARGET_THIRD) |
                          (CONFIRMS & ~E(NO_FALLBACK)) | E(IDLE) | E(CANCEL) | E(REQUEST) | E(NEXT)},
    {STATE(UNDOING),      DUES | FETCHES | SIGS | PERMITS | ATTEMPTS | REBOOTS | E(BOOT_TARGET_THIRD) | CONFIRMS |
                          E(CANCEL) | E(REQUEST) | E(NEXT)},
    {END,                 DUES | FETCHES | SIGS | PERMITS | ATTEMPTS | REBOOTS | BOOTS | LATE | E(CANCEL) |
                          E(REQUEST_LATE)},
};
/* clang-format on */

const JobRow *job_row(JobState state, JobEvent event)
{
    for (guint i = 0; i < G_N_ELEMENTS(TABLE); i++)
        if (TABLE[i].event == event && (TABLE[i].states & (1u << state)))
            return &TABLE[i].row;
    return NULL;
}

gboolean job_pair_defined(JobState state, JobEvent event)
{
    guint found = 0;

    for (guint i = 0; i < G_N_ELEMENTS(TABLE); i++)
        found += TABLE[i].event == event && (TABLE[i].states & (1u << state)) != 0;
    for (guint i = 0; i < G_N_ELEMENTS(IGNORED); i++)
        found += (IGNORED[i].states & (1u << state)) &&
                 (IGNORED[i].events & (G_GUINT64_CONSTANT(1) << event));
    return found == 1;
}

static const char *const EVENT_NAMES[JOB_N_EVENTS] = {
    [JOB_EVENT_DUE] = "due",
    [JOB_EVENT_DUE_STREAM] = "due-stream",
    [JOB_EVENT_FETCH_OK] = "fetch-ok",
    [JOB_EVENT_FETCH_OK_SIGNED] = "fetch-ok-signed",
    [JOB_EVENT_FETCH_FAIL] = "fetch-fail",
    [JOB_EVENT_FETCH_FAIL_LAST] = "fetch-fail-last",
    [JOB_EVENT_SIG_OK] = "sig-ok",
    [JOB_EVENT_SIG_BAD] = "sig-bad",
    [JOB_EVENT_PERMIT] = "permit",
    [JOB_EVENT_PERMIT_STREAM] = "permit-stream",
    [JOB_EVENT_WRITING] = "writing",
    [JOB_EVENT_ACTIVATED] = "activated",
    [JOB_EVENT_FAIL_ACTIVATED] = "fail-activated",
    [JOB_EVENT_FAIL] = "fail",
    [JOB_EVENT_FAIL_LAST] = "fail-last",
    [JOB_EVENT_REFUSED] = "refused",
    [JOB_EVENT_NEXT_TRANSPORT] = "next-transport",
    [JOB_EVENT_INTERRUPTED] = "interrupted",
    [JOB_EVENT_INTERRUPTED_LAST] = "interrupted-last",
    [JOB_EVENT_REBOOT_NOW] = "reboot-now",
    [JOB_EVENT_REBOOT_AGAIN] = "reboot-again",
    [JOB_EVENT_RESUME] = "resume",
    [JOB_EVENT_BOOT_TARGET] = "boot-target",
    [JOB_EVENT_BOOT_TARGET_THIRD] = "boot-target-third",
    [JOB_EVENT_BOOT_TARGET_BAD] = "boot-target-bad",
    [JOB_EVENT_BOOT_TARGET_OTHER] = "boot-target-other",
    [JOB_EVENT_BOOT_OLD] = "boot-old",
    [JOB_EVENT_BOOT_OLD_PRIMARY_TARGET] = "boot-old-primary-target",
    [JOB_EVENT_HEALTHY] = "healthy",
    [JOB_EVENT_MARKED] = "marked",
    [JOB_EVENT_DEADLINE] = "deadline",
    [JOB_EVENT_NO_FALLBACK] = "no-fallback",
    [JOB_EVENT_SILENT] = "silent",
    [JOB_EVENT_IDLE] = "idle",
    [JOB_EVENT_UNDONE] = "undone",
    [JOB_EVENT_CANCEL] = "cancel",
    [JOB_EVENT_REQUEST] = "request",
    [JOB_EVENT_REQUEST_LATE] = "request-late",
    [JOB_EVENT_NEXT] = "next",
};

static const char *const EFFECT_NAMES[] = {
    [JOB_EFFECT_NONE] = "none",         [JOB_EFFECT_FETCH] = "fetch",
    [JOB_EFFECT_INSTALL] = "install",   [JOB_EFFECT_ABORT] = "abort",
    [JOB_EFFECT_REBOOT] = "reboot",     [JOB_EFFECT_POINT_OTHER] = "point-other",
    [JOB_EFFECT_MARK_BAD] = "mark-bad", [JOB_EFFECT_MARK_GOOD] = "mark-good",
    [JOB_EFFECT_UNDO] = "undo",         [JOB_EFFECT_BAD_TARGET] = "bad-target",
};

const char *job_event_name(JobEvent event)
{
    return event < JOB_N_EVENTS ? EVENT_NAMES[event] : "none";
}

const char *job_effect_name(JobEffect effect)
{
    return EFFECT_NAMES[effect];
}
