/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The configuration keys (C 9) that GetConfiguration and ChangeConfiguration show.  A table of keys
 * with type, bounds and access; the values live here, persistence is the caller's (after _change()
 * accepted a value it stores what _get() returns, and gives it to _set() at start).
 */
#pragma once

#include <glib.h>
#include <jansson.h>

#define OCPP_CONFIGURATION_MAX_KEYS 50 /* GetConfigurationMaxKeys */

/* Integers are kept in their shortest decimal form; other values as given, at most 500 characters.
 */

typedef struct _OcppConfiguration OcppConfiguration;

typedef enum { OCPP_CHANGE_ACCEPTED, OCPP_CHANGE_REJECTED, OCPP_CHANGE_NOT_SUPPORTED } OcppChange;

/* With the table's defaults. */
OcppConfiguration *ocpp_configuration_new(void);
void ocpp_configuration_free(OcppConfiguration *configuration);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(OcppConfiguration, ocpp_configuration_free)

/* What the CSMS asks: read-only keys and bad values are Rejected, unknown keys NotSupported.  Key
 * names are compared without regard to case (C 9: CiString). */
OcppChange ocpp_configuration_change(OcppConfiguration *configuration, const char *key,
                                     const char *value);
const char *ocpp_change_name(OcppChange change);

/* What the charge point itself sets (also read-only keys): a value loaded from the store or from
 * the settings. FALSE when the key is unknown or the value is not allowed: nothing is changed. */
gboolean ocpp_configuration_set(OcppConfiguration *configuration, const char *key,
                                const char *value);

/* NULL for an unknown key.  Borrowed until the key changes. */
const char *ocpp_configuration_get(const OcppConfiguration *configuration, const char *key);
/* Of an integer key. */
gint64 ocpp_configuration_integer(const OcppConfiguration *configuration, const char *key);
/* The table's own spelling of a key, or NULL. */
const char *ocpp_configuration_canonical(const OcppConfiguration *configuration, const char *key);

/* The payload of GetConfiguration.conf for the `key` array of the request (NULL or empty: all
 * keys).  New reference. A key that is asked for twice is answered once; `unknownKey` is there only
 * when a key is unknown. More keys than OCPP_CONFIGURATION_MAX_KEYS: the rest is left out. */
json_t *ocpp_configuration_report(const OcppConfiguration *configuration, const json_t *keys);
