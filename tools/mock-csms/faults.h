/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the mock does wrong on purpose with a request of the charge point: stay silent, answer with
 * a CALLERROR, or cut the connection. For one action, or (silence) for all.
 */
#pragma once

#include <glib.h>

typedef enum {
    FAULT_NONE,
    FAULT_DROP, /* close TCP without an answer; holds for one CALL */
    FAULT_MUTE,
    FAULT_ERROR, /* answer with the CALLERROR code */
} Fault;

typedef struct Faults Faults;

Faults *faults_new(void);
void faults_free(Faults *faults);

/* action NULL: all. */
void faults_mute(Faults *faults, const char *action, gboolean on);
/* count 0: no more of it; G_MAXUINT: for ever. */
void faults_error(Faults *faults, const char *action, const char *code, guint count);
void faults_drop(Faults *faults, const char *action);

/* What is due for this CALL, counted down. ret_code is set for FAULT_ERROR; free it with
 * g_free(). */
Fault faults_take(Faults *faults, const char *action, char **ret_code);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Faults, faults_free)
