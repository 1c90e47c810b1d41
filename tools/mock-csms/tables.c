/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The field tables of everything that a charge point may send. */
#include "tables.h"

#include <string.h>

/* clang-format off */
#define REQUIRED TRUE
#define OPTIONAL FALSE
#define END      { NULL, FIELD_STRING, OPTIONAL, 0, NULL, NULL }
#define STRING(name, required, limit)       { name, FIELD_STRING, required, limit, NULL, NULL }
#define ENUM(name, required, values)        { name, FIELD_STRING, required, 0, values, NULL }
#define PLAIN(name, required, type)         { name, type, required, 0, NULL, NULL }
#define STRINGS(name, required, limit)      { name, FIELD_STRINGS, required, limit, NULL, NULL }
#define OBJECT(name, required, fields)      { name, FIELD_OBJECT, required, 0, NULL, fields }
#define OBJECTS(name, required, least, fields) { name, FIELD_OBJECTS, required, least, NULL, fields }

static const Field nothing[] = {END};

static const Field boot_notification[] = {
    STRING("chargePointVendor", REQUIRED, 20),
    STRING("chargePointModel", REQUIRED, 20),
    STRING("chargePointSerialNumber", OPTIONAL, 25),
    STRING("chargeBoxSerialNumber", OPTIONAL, 25),
    STRING("firmwareVersion", OPTIONAL, 50),
    STRING("iccid", OPTIONAL, 20),
    STRING("imsi", OPTIONAL, 20),
    STRING("meterType", OPTIONAL, 25),
    STRING("meterSerialNumber", OPTIONAL, 25),
    END,
};

static const Field status_notification[] = {
    PLAIN("connectorId", REQUIRED, FIELD_UNSIGNED),
    ENUM("errorCode", REQUIRED,
         "ConnectorLockFailure|EVCommunicationError|GroundFailure|HighTemperature|InternalError|"
         "LocalListConflict|NoError|OtherError|OverCurrentFailure|OverVoltage|PowerMeterFailure|"
         "PowerSwitchFailure|ReaderFailure|ResetFailure|UnderVoltage|WeakSignal"),
    STRING("info", OPTIONAL, 50),
    ENUM("status", REQUIRED,
         "Available|Preparing|Charging|SuspendedEVSE|SuspendedEV|Finishing|Reserved|Unavailable|"
         "Faulted"),
    PLAIN("timestamp", OPTIONAL, FIELD_DATE_TIME),
    STRING("vendorId", OPTIONAL, 255),
    STRING("vendorErrorCode", OPTIONAL, 50),
    END,
};

static const Field firmware_status[] = {
    ENUM("status", REQUIRED,
         "Downloaded|DownloadFailed|Downloading|Idle|InstallationFailed|Installing|Installed"),
    END,
};

static const Field signed_firmware_status[] = {
    ENUM("status", REQUIRED,
         "Downloaded|DownloadFailed|Downloading|DownloadScheduled|DownloadPaused|Idle|"
         "InstallationFailed|Installing|Installed|InstallRebooting|InstallScheduled|"
         "InstallVerificationFailed|InvalidSignature|SignatureVerified"),
    PLAIN("requestId", OPTIONAL, FIELD_INTEGER),
    END,
};

static const Field diagnostics_status[] = {
    ENUM("status", REQUIRED, "Idle|Uploaded|UploadFailed|Uploading"),
    END,
};

static const Field log_status[] = {
    ENUM("status", REQUIRED,
         "BadMessage|Idle|NotSupportedOperation|PermissionDenied|Uploaded|UploadFailure|Uploading"),
    PLAIN("requestId", OPTIONAL, FIELD_INTEGER),
    END,
};

static const Field data_transfer[] = {
    STRING("vendorId", REQUIRED, 255),
    STRING("messageId", OPTIONAL, 50),
    STRING("data", OPTIONAL, 0),
    END,
};

static const Field authorize[] = {STRING("idTag", REQUIRED, 20), END};

static const Field start_transaction[] = {
    PLAIN("connectorId", REQUIRED, FIELD_POSITIVE),
    STRING("idTag", REQUIRED, 20),
    PLAIN("meterStart", REQUIRED, FIELD_INTEGER),
    PLAIN("reservationId", OPTIONAL, FIELD_INTEGER),
    PLAIN("timestamp", REQUIRED, FIELD_DATE_TIME),
    END,
};

static const Field sampled_value[] = {
    STRING("value", REQUIRED, 0),
    ENUM("context", OPTIONAL,
         "Interruption.Begin|Interruption.End|Sample.Clock|Sample.Periodic|Transaction.Begin|"
         "Transaction.End|Trigger|Other"),
    ENUM("format", OPTIONAL, "Raw|SignedData"),
    ENUM("measurand", OPTIONAL,
         "Energy.Active.Export.Register|Energy.Active.Import.Register|"
         "Energy.Reactive.Export.Register|Energy.Reactive.Import.Register|"
         "Energy.Active.Export.Interval|Energy.Active.Import.Interval|"
         "Energy.Reactive.Export.Interval|Energy.Reactive.Import.Interval|Power.Active.Export|"
         "Power.Active.Import|Power.Offered|Power.Reactive.Export|Power.Reactive.Import|"
         "Power.Factor|Current.Import|Current.Export|Current.Offered|Voltage|Frequency|"
         "Temperature|SoC|RPM"),
    ENUM("phase", OPTIONAL, "L1|L2|L3|N|L1-N|L2-N|L3-N|L1-L2|L2-L3|L3-L1"),
    ENUM("location", OPTIONAL, "Cable|EV|Inlet|Outlet|Body"),
    /* The specification printed Celcius first and Celsius later; both are in the field. */
    ENUM("unit", OPTIONAL,
         "Wh|kWh|varh|kvarh|W|kW|VA|kVA|var|kvar|A|V|K|Celcius|Celsius|Fahrenheit|Percent|Hertz"),
    END,
};

static const Field meter_value[] = {
    PLAIN("timestamp", REQUIRED, FIELD_DATE_TIME),
    OBJECTS("sampledValue", REQUIRED, 1, sampled_value),
    END,
};

static const Field meter_values[] = {
    PLAIN("connectorId", REQUIRED, FIELD_UNSIGNED),
    PLAIN("transactionId", OPTIONAL, FIELD_INTEGER),
    OBJECTS("meterValue", REQUIRED, 1, meter_value),
    END,
};

static const Field stop_transaction[] = {
    STRING("idTag", OPTIONAL, 20),
    PLAIN("meterStop", REQUIRED, FIELD_INTEGER),
    PLAIN("timestamp", REQUIRED, FIELD_DATE_TIME),
    PLAIN("transactionId", REQUIRED, FIELD_INTEGER),
    ENUM("reason", OPTIONAL,
         "EmergencyStop|EVDisconnected|HardReset|Local|Other|PowerLoss|Reboot|Remote|SoftReset|"
         "UnlockCommand|DeAuthorized"),
    OBJECTS("transactionData", OPTIONAL, 0, meter_value),
    END,
};

static const Field security_event[] = {
    STRING("type", REQUIRED, 50),
    PLAIN("timestamp", REQUIRED, FIELD_DATE_TIME),
    STRING("techInfo", OPTIONAL, 255),
    END,
};

static const Field sign_certificate[] = {STRING("csr", REQUIRED, 5500), END};

/* Answers to the CSMS. */
#define STATUS_RESULT(name, values) static const Field name[] = {ENUM("status", REQUIRED, values), END}

STATUS_RESULT(accepted_rejected, "Accepted|Rejected");
STATUS_RESULT(accepted_unknown, "Accepted|Unknown");
STATUS_RESULT(availability_result, "Accepted|Rejected|Scheduled");
STATUS_RESULT(configuration_result, "Accepted|Rejected|RebootRequired|NotSupported");
STATUS_RESULT(trigger_result, "Accepted|Rejected|NotImplemented");
STATUS_RESULT(delete_certificate_result, "Accepted|Failed|NotFound");
STATUS_RESULT(install_certificate_result, "Accepted|Failed|Rejected");
STATUS_RESULT(reserve_result, "Accepted|Faulted|Occupied|Rejected|Unavailable");
STATUS_RESULT(local_list_result, "Accepted|Failed|NotSupported|VersionMismatch");
STATUS_RESULT(charging_profile_result, "Accepted|Rejected|NotSupported");
STATUS_RESULT(unlock_result, "Unlocked|UnlockFailed|NotSupported");
STATUS_RESULT(signed_update_result,
              "Accepted|Rejected|AcceptedCanceled|InvalidCertificate|RevokedCertificate");

static const Field data_transfer_result[] = {
    ENUM("status", REQUIRED, "Accepted|Rejected|UnknownMessageId|UnknownVendorId"),
    STRING("data", OPTIONAL, 0),
    END,
};

static const Field schedule_period[] = {
    PLAIN("startPeriod", REQUIRED, FIELD_INTEGER),
    PLAIN("limit", REQUIRED, FIELD_NUMBER),
    PLAIN("numberPhases", OPTIONAL, FIELD_INTEGER),
    END,
};

static const Field charging_schedule[] = {
    PLAIN("duration", OPTIONAL, FIELD_INTEGER),
    PLAIN("startSchedule", OPTIONAL, FIELD_DATE_TIME),
    ENUM("chargingRateUnit", REQUIRED, "A|W"),
    OBJECTS("chargingSchedulePeriod", REQUIRED, 0, schedule_period),
    PLAIN("minChargingRate", OPTIONAL, FIELD_NUMBER),
    END,
};

static const Field composite_schedule_result[] = {
    ENUM("status", REQUIRED, "Accepted|Rejected"),
    PLAIN("connectorId", OPTIONAL, FIELD_INTEGER),
    PLAIN("scheduleStart", OPTIONAL, FIELD_DATE_TIME),
    OBJECT("chargingSchedule", OPTIONAL, charging_schedule),
    END,
};

static const Field configuration_key[] = {
    STRING("key", REQUIRED, 50),
    PLAIN("readonly", REQUIRED, FIELD_BOOLEAN),
    STRING("value", OPTIONAL, 500),
    END,
};

static const Field get_configuration_result[] = {
    OBJECTS("configurationKey", OPTIONAL, 0, configuration_key),
    STRINGS("unknownKey", OPTIONAL, 50),
    END,
};

static const Field get_diagnostics_result[] = {STRING("fileName", OPTIONAL, 255), END};

static const Field certificate_hash[] = {
    ENUM("hashAlgorithm", REQUIRED, "SHA256|SHA384|SHA512"),
    STRING("issuerNameHash", REQUIRED, 128),
    STRING("issuerKeyHash", REQUIRED, 128),
    STRING("serialNumber", REQUIRED, 40),
    END,
};

static const Field certificate_ids_result[] = {
    OBJECTS("certificateHashData", OPTIONAL, 1, certificate_hash),
    ENUM("status", REQUIRED, "Accepted|NotFound"),
    END,
};

static const Field list_version_result[] = {PLAIN("listVersion", REQUIRED, FIELD_INTEGER), END};

static const Field get_log_result[] = {
    ENUM("status", REQUIRED, "Accepted|Rejected|AcceptedCanceled"),
    STRING("filename", OPTIONAL, 255),
    END,
};
/* clang-format on */

/* requestId is left out in Idle only: it says which request the status is about (W L01.FR.28). */
static void check_request_id(const json_t *payload, gboolean result, Findings *findings)
{
    const char *status = json_string_value(json_object_get(payload, "status"));

    if (result || status == NULL || strcmp(status, "Idle") == 0)
        return;
    if (json_object_get(payload, "requestId") == NULL)
        findings_add(findings, NULL, "requestId: missing in status %s", status);
}

/* AuthorizationKey is write-only (W 2.3): a charge point never shows it. */
static void check_secrets(const json_t *payload, gboolean result, Findings *findings)
{
    const json_t *keys = json_object_get(payload, "configurationKey");
    const json_t *entry;
    size_t i;

    if (!result)
        return;
    json_array_foreach(keys, i, entry)
    {
        const char *key = json_string_value(json_object_get(entry, "key"));

        if (key != NULL && g_ascii_strcasecmp(key, "AuthorizationKey") == 0)
            findings_add(findings, NULL, "configurationKey: AuthorizationKey is write-only");
    }
}

static const Action actions[] = {
    {"Authorize", authorize, NULL, NULL},
    {"BootNotification", boot_notification, NULL, NULL},
    {"CancelReservation", NULL, accepted_rejected, NULL},
    {"CertificateSigned", NULL, accepted_rejected, NULL},
    {"ChangeAvailability", NULL, availability_result, NULL},
    {"ChangeConfiguration", NULL, configuration_result, NULL},
    {"ClearCache", NULL, accepted_rejected, NULL},
    {"ClearChargingProfile", NULL, accepted_unknown, NULL},
    {"DataTransfer", data_transfer, data_transfer_result, NULL},
    {"DeleteCertificate", NULL, delete_certificate_result, NULL},
    {"DiagnosticsStatusNotification", diagnostics_status, NULL, NULL},
    {"ExtendedTriggerMessage", NULL, trigger_result, NULL},
    {"FirmwareStatusNotification", firmware_status, NULL, NULL},
    {"GetCompositeSchedule", NULL, composite_schedule_result, NULL},
    {"GetConfiguration", NULL, get_configuration_result, check_secrets},
    {"GetDiagnostics", NULL, get_diagnostics_result, NULL},
    {"GetInstalledCertificateIds", NULL, certificate_ids_result, NULL},
    {"GetLocalListVersion", NULL, list_version_result, NULL},
    {"GetLog", NULL, get_log_result, NULL},
    {"Heartbeat", nothing, NULL, NULL},
    {"InstallCertificate", NULL, install_certificate_result, NULL},
    {"LogStatusNotification", log_status, NULL, check_request_id},
    {"MeterValues", meter_values, NULL, NULL},
    {"RemoteStartTransaction", NULL, accepted_rejected, NULL},
    {"RemoteStopTransaction", NULL, accepted_rejected, NULL},
    {"ReserveNow", NULL, reserve_result, NULL},
    {"Reset", NULL, accepted_rejected, NULL},
    {"SecurityEventNotification", security_event, NULL, NULL},
    {"SendLocalList", NULL, local_list_result, NULL},
    {"SetChargingProfile", NULL, charging_profile_result, NULL},
    {"SignCertificate", sign_certificate, NULL, NULL},
    {"SignedFirmwareStatusNotification", signed_firmware_status, NULL, check_request_id},
    {"SignedUpdateFirmware", NULL, signed_update_result, NULL},
    {"StartTransaction", start_transaction, NULL, NULL},
    {"StatusNotification", status_notification, NULL, NULL},
    {"StopTransaction", stop_transaction, NULL, NULL},
    {"TriggerMessage", NULL, trigger_result, NULL},
    {"UnlockConnector", NULL, unlock_result, NULL},
    {"UpdateFirmware", NULL, nothing, NULL},
};

const Action *action_find(const char *name)
{
    for (gsize i = 0; i < G_N_ELEMENTS(actions); i++)
        if (strcmp(actions[i].action, name) == 0)
            return &actions[i];
    return NULL;
}
