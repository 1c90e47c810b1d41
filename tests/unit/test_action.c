/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of ocpp/action.h: every action of the specification, and names that are none.
 */
#include <check.h>

#include "ocpp/action.h"

static const struct {
    const char *name;
    const char *profile;
    OcppDirection direction;
} known[] = {
    {"Authorize", "Core", OCPP_FROM_CHARGE_POINT},
    {"BootNotification", "Core", OCPP_FROM_CHARGE_POINT},
    {"CancelReservation", "Reservation", OCPP_FROM_CSMS},
    {"CertificateSigned", "Security", OCPP_FROM_CSMS},
    {"ChangeAvailability", "Core", OCPP_FROM_CSMS},
    {"ChangeConfiguration", "Core", OCPP_FROM_CSMS},
    {"ClearCache", "Core", OCPP_FROM_CSMS},
    {"ClearChargingProfile", "SmartCharging", OCPP_FROM_CSMS},
    {"DataTransfer", "Core", OCPP_FROM_BOTH},
    {"DeleteCertificate", "Security", OCPP_FROM_CSMS},
    {"DiagnosticsStatusNotification", "FirmwareManagement", OCPP_FROM_CHARGE_POINT},
    {"ExtendedTriggerMessage", "Security", OCPP_FROM_CSMS},
    {"FirmwareStatusNotification", "FirmwareManagement", OCPP_FROM_CHARGE_POINT},
    {"GetCompositeSchedule", "SmartCharging", OCPP_FROM_CSMS},
    {"GetConfiguration", "Core", OCPP_FROM_CSMS},
    {"GetDiagnostics", "FirmwareManagement", OCPP_FROM_CSMS},
    {"GetInstalledCertificateIds", "Security", OCPP_FROM_CSMS},
    {"GetLocalListVersion", "LocalAuthListManagement", OCPP_FROM_CSMS},
    {"GetLog", "Security", OCPP_FROM_CSMS},
    {"Heartbeat", "Core", OCPP_FROM_CHARGE_POINT},
    {"InstallCertificate", "Security", OCPP_FROM_CSMS},
    {"LogStatusNotification", "Security", OCPP_FROM_CHARGE_POINT},
    {"MeterValues", "Core", OCPP_FROM_CHARGE_POINT},
    {"RemoteStartTransaction", "Core", OCPP_FROM_CSMS},
    {"RemoteStopTransaction", "Core", OCPP_FROM_CSMS},
    {"ReserveNow", "Reservation", OCPP_FROM_CSMS},
    {"Reset", "Core", OCPP_FROM_CSMS},
    {"SecurityEventNotification", "Security", OCPP_FROM_CHARGE_POINT},
    {"SendLocalList", "LocalAuthListManagement", OCPP_FROM_CSMS},
    {"SetChargingProfile", "SmartCharging", OCPP_FROM_CSMS},
    {"SignCertificate", "Security", OCPP_FROM_CHARGE_POINT},
    {"SignedFirmwareStatusNotification", "Security", OCPP_FROM_CHARGE_POINT},
    {"SignedUpdateFirmware", "Security", OCPP_FROM_CSMS},
    {"StartTransaction", "Core", OCPP_FROM_CHARGE_POINT},
    {"StatusNotification", "Core", OCPP_FROM_CHARGE_POINT},
    {"StopTransaction", "Core", OCPP_FROM_CHARGE_POINT},
    {"TriggerMessage", "RemoteTrigger", OCPP_FROM_CSMS},
    {"UnlockConnector", "Core", OCPP_FROM_CSMS},
    {"UpdateFirmware", "FirmwareManagement", OCPP_FROM_CSMS},
};

START_TEST(known_action)
{
    const OcppAction *action = ocpp_action_find(known[_i].name);

    ck_assert_ptr_nonnull(action);
    ck_assert_str_eq(action->name, known[_i].name);
    ck_assert_str_eq(action->profile, known[_i].profile);
    ck_assert_int_eq(action->direction, known[_i].direction);
}
END_TEST

static const char *const unknown[] = {
    NULL,
    "",
    "reset",
    "RESET",
    "Reset ",
    " Reset",
    "Rese",
    "ResetReset",
    "UpdateFirmwareRequest",
    "UpdateFirmware.req",
    "NotifyEvent", /* OCPP 2 */
};

START_TEST(unknown_action)
{
    ck_assert_ptr_null(ocpp_action_find(unknown[_i]));
}
END_TEST

static Suite *action_suite(void)
{
    Suite *suite = suite_create("action");
    TCase *find = tcase_create("find");

    tcase_add_loop_test(find, known_action, 0, G_N_ELEMENTS(known));
    tcase_add_loop_test(find, unknown_action, 0, G_N_ELEMENTS(unknown));
    suite_add_tcase(suite, find);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(action_suite());
    int n_failed;

    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed;
}
