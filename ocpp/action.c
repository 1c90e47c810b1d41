/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of actions, by feature profile.
 */
#include "ocpp/action.h"

static const OcppAction actions[] = {
    {"Authorize", "Core", OCPP_FROM_CHARGE_POINT},
    {"BootNotification", "Core", OCPP_FROM_CHARGE_POINT},
    {"ChangeAvailability", "Core", OCPP_FROM_CSMS},
    {"ChangeConfiguration", "Core", OCPP_FROM_CSMS},
    {"ClearCache", "Core", OCPP_FROM_CSMS},
    {"DataTransfer", "Core", OCPP_FROM_BOTH},
    {"GetConfiguration", "Core", OCPP_FROM_CSMS},
    {"Heartbeat", "Core", OCPP_FROM_CHARGE_POINT},
    {"MeterValues", "Core", OCPP_FROM_CHARGE_POINT},
    {"RemoteStartTransaction", "Core", OCPP_FROM_CSMS},
    {"RemoteStopTransaction", "Core", OCPP_FROM_CSMS},
    {"Reset", "Core", OCPP_FROM_CSMS},
    {"StartTransaction", "Core", OCPP_FROM_CHARGE_POINT},
    {"StatusNotification", "Core", OCPP_FROM_CHARGE_POINT},
    {"StopTransaction", "Core", OCPP_FROM_CHARGE_POINT},
    {"UnlockConnector", "Core", OCPP_FROM_CSMS},

    {"DiagnosticsStatusNotification", "FirmwareManagement", OCPP_FROM_CHARGE_POINT},
    {"FirmwareStatusNotification", "FirmwareManagement", OCPP_FROM_CHARGE_POINT},
    {"GetDiagnostics", "FirmwareManagement", OCPP_FROM_CSMS},
    {"UpdateFirmware", "FirmwareManagement", OCPP_FROM_CSMS},

    {"GetLocalListVersion", "LocalAuthListManagement", OCPP_FROM_CSMS},
    {"SendLocalList", "LocalAuthListManagement", OCPP_FROM_CSMS},

    {"CancelReservation", "Reservation", OCPP_FROM_CSMS},
    {"ReserveNow", "Reservation", OCPP_FROM_CSMS},

    {"ClearChargingProfile", "SmartCharging", OCPP_FROM_CSMS},
    {"GetCompositeSchedule", "SmartCharging", OCPP_FROM_CSMS},
    {"SetChargingProfile", "SmartCharging", OCPP_FROM_CSMS},

    {"TriggerMessage", "RemoteTrigger", OCPP_FROM_CSMS},

    {"CertificateSigned", "Security", OCPP_FROM_CSMS},
    {"DeleteCertificate", "Security", OCPP_FROM_CSMS},
    {"ExtendedTriggerMessage", "Security", OCPP_FROM_CSMS},
    {"GetInstalledCertificateIds", "Security", OCPP_FROM_CSMS},
    {"GetLog", "Security", OCPP_FROM_CSMS},
    {"InstallCertificate", "Security", OCPP_FROM_CSMS},
    {"LogStatusNotification", "Security", OCPP_FROM_CHARGE_POINT},
    {"SecurityEventNotification", "Security", OCPP_FROM_CHARGE_POINT},
    {"SignCertificate", "Security", OCPP_FROM_CHARGE_POINT},
    {"SignedFirmwareStatusNotification", "Security", OCPP_FROM_CHARGE_POINT},
    {"SignedUpdateFirmware", "Security", OCPP_FROM_CSMS},
};

const OcppAction *ocpp_action_find(const char *name)
{
    for (gsize i = 0; i < G_N_ELEMENTS(actions); i++) {
        if (g_strcmp0(name, actions[i].name) == 0)
            return &actions[i];
    }
    return NULL;
}
