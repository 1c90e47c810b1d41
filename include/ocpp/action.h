/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every action of OCPP 1.6 and of the security whitepaper, with who may send it.  An action that is
 * not in this table is answered NotImplemented; one that is here but that this charge point does
 * not serve, NotSupported.
 */
#pragma once

#include <glib.h>

typedef enum { OCPP_FROM_CHARGE_POINT = 1, OCPP_FROM_CSMS = 2, OCPP_FROM_BOTH = 3 } OcppDirection;

typedef struct {
    const char *name;
    const char *profile; /* feature profile, C 3.1; "Security" for the whitepaper's */
    OcppDirection direction;
} OcppAction;

/* NULL for an unknown name.  Names are compared exactly. */
const OcppAction *ocpp_action_find(const char *name);
