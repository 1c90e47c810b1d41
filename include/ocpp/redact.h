/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Messages without their secrets, for people: the value of AuthorizationKey (W A00) and of every
 * key whose name speaks of a password or a key, user and password in URLs, and the queries of URLs,
 * which may be signatures.
 */
#pragma once

#include <glib.h>

#define OCPP_REDACTED "***"

/* The message as one line of JSON; g_free().  NULL: it is no JSON, and nobody can say what is in
 * it. */
char *ocpp_redact(const char *text, gsize length);
