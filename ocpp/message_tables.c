/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The field tables (C 6), in the order of the specification's own.
 * tests/component/test_field_tables.py compares them with the published schemas; where they differ
 * on purpose, that test says why.
 */
#include "message_tables.h"

/* 1.6 gives a location no length.  No real one is longer, and it is stored, logged and shown. */
#define MAX_LOCATION 2000

#define MAX_KEY          50
#define MAX_VALUE        500
#define MAX_MESSAGE_NAME 50

#define REQUIRED TRUE
#define OPTIONAL FALSE

/* Rows of a table. */
#define TEXT(name, required, max_length)                                                           \
    {                                                                                              \
        name, OCPP_FIELD_STRING, required, max_length, NULL, 0, 0, NULL                            \
    }
#define CHOICE(name, required, values)                                                             \
    {                                                                                              \
        name, OCPP_FIELD_STRING, required, 0, values, 0, 0, NULL                                   \
    }
#define DATE_TIME(name, required)                                                                  \
    {                                                                                              \
        name, OCPP_FIELD_DATE_TIME, required, 0, NULL, 0, 0, NULL                                  \
    }
#define INTEGER(name, required, lowest)                                                            \
    {                                                                                              \
        name, OCPP_FIELD_INTEGER, required, 0, NULL, lowest, G_MAXINT32, NULL                      \
    }
#define BOOLEAN(name, required)                                                                    \
    {                                                                                              \
        name, OCPP_FIELD_BOOLEAN, required, 0, NULL, 0, 0, NULL                                    \
    }
#define TEXTS(name, required, max_length)                                                          \
    {                                                                                              \
        name, OCPP_FIELD_STRINGS, required, max_length, NULL, 0, 0, NULL                           \
    }
#define OBJECTS(name, required, fields)                                                            \
    {                                                                                              \
        name, OCPP_FIELD_OBJECTS, required, 0, NULL, 0, 0, fields                                  \
    }
#define END                                                                                        \
    {                                                                                              \
        NULL, OCPP_FIELD_STRING, FALSE, 0, NULL, 0, 0, NULL                                        \
    }

typedef const char *const Choices[];

static const OcppField nothing[] = {END};

/* BootNotification (C 4.2) */
static const OcppField boot_notification_req[] = {
    TEXT("chargeBoxSerialNumber", OPTIONAL, 25),
    TEXT("chargePointModel", REQUIRED, 20),
    TEXT("chargePointSerialNumber", OPTIONAL, 25),
    TEXT("chargePointVendor", REQUIRED, 20),
    TEXT("firmwareVersion", OPTIONAL, 50),
    TEXT("iccid", OPTIONAL, 20),
    TEXT("imsi", OPTIONAL, 20),
    TEXT("meterSerialNumber", OPTIONAL, 25),
    TEXT("meterType", OPTIONAL, 25),
    END,
};
static Choices registration_statuses = {"Accepted", "Pending", "Rejected", NULL};
static const OcppField boot_notification_conf[] = {
    DATE_TIME("currentTime", REQUIRED),
    INTEGER("interval", REQUIRED, G_MININT32),
    CHOICE("status", REQUIRED, registration_statuses),
    END,
};

/* ChangeAvailability (C 5.2) */
static Choices availability_types = {"Inoperative", "Operative", NULL};
static const OcppField change_availability_req[] = {
    INTEGER("connectorId", REQUIRED, G_MININT32),
    CHOICE("type", REQUIRED, availability_types),
    END,
};
static Choices availability_statuses = {"Accepted", "Rejected", "Scheduled", NULL};
static const OcppField change_availability_conf[] = {
    CHOICE("status", REQUIRED, availability_statuses),
    END,
};

/* ChangeConfiguration (C 5.3) */
static const OcppField change_configuration_req[] = {
    TEXT("key", REQUIRED, MAX_KEY),
    TEXT("value", REQUIRED, MAX_VALUE),
    END,
};
static Choices configuration_statuses = {"Accepted", "Rejected", "RebootRequired", "NotSupported",
                                         NULL};
static const OcppField change_configuration_conf[] = {
    CHOICE("status", REQUIRED, configuration_statuses),
    END,
};

/* DataTransfer (C 4.3, 5.6); its data has no length */
static const OcppField data_transfer_req[] = {
    TEXT("vendorId", REQUIRED, 255),
    TEXT("messageId", OPTIONAL, 50),
    TEXT("data", OPTIONAL, 0),
    END,
};
static Choices data_transfer_statuses = {"Accepted", "Rejected", "UnknownMessageId",
                                         "UnknownVendorId", NULL};
static const OcppField data_transfer_conf[] = {
    CHOICE("status", REQUIRED, data_transfer_statuses),
    TEXT("data", OPTIONAL, 0),
    END,
};

/* DiagnosticsStatusNotification (C 4.4) */
static Choices diagnostics_statuses = {"Idle", "Uploaded", "UploadFailed", "Uploading", NULL};
static const OcppField diagnostics_status_req[] = {
    CHOICE("status", REQUIRED, diagnostics_statuses),
    END,
};

/* FirmwareStatusNotification (C 4.5) */
static Choices firmware_statuses = {"Downloaded",         "DownloadFailed", "Downloading", "Idle",
                                    "InstallationFailed", "Installing",     "Installed",   NULL};
static const OcppField firmware_status_req[] = {
    CHOICE("status", REQUIRED, firmware_statuses),
    END,
};

/* GetConfiguration (C 5.8) */
static const OcppField get_configuration_req[] = {
    TEXTS("key", OPTIONAL, MAX_KEY),
    END,
};
static const OcppField key_value[] = {
    TEXT("key", REQUIRED, MAX_KEY),
    BOOLEAN("readonly", REQUIRED),
    TEXT("value", OPTIONAL, MAX_VALUE),
    END,
};
static const OcppField get_configuration_conf[] = {
    OBJECTS("configurationKey", OPTIONAL, key_value),
    TEXTS("unknownKey", OPTIONAL, MAX_KEY),
    END,
};

/* GetDiagnostics (C 5.9) */
static const OcppField get_diagnostics_req[] = {
    TEXT("location", REQUIRED, MAX_LOCATION), INTEGER("retries", OPTIONAL, 0),
    INTEGER("retryInterval", OPTIONAL, 0),    DATE_TIME("startTime", OPTIONAL),
    DATE_TIME("stopTime", OPTIONAL),          END,
};
static const OcppField get_diagnostics_conf[] = {
    TEXT("fileName", OPTIONAL, 255),
    END,
};

/* Heartbeat (C 4.6) */
static const OcppField heartbeat_conf[] = {
    DATE_TIME("currentTime", REQUIRED),
    END,
};

/* Reset (C 5.14) */
static Choices reset_types = {"Hard", "Soft", NULL};
static const OcppField reset_req[] = {
    CHOICE("type", REQUIRED, reset_types),
    END,
};
static Choices reset_statuses = {"Accepted", "Rejected", NULL};
static const OcppField reset_conf[] = {
    CHOICE("status", REQUIRED, reset_statuses),
    END,
};

/* StatusNotification (C 4.9) */
static Choices charge_point_errors = {"ConnectorLockFailure",
                                      "EVCommunicationError",
                                      "GroundFailure",
                                      "HighTemperature",
                                      "InternalError",
                                      "LocalListConflict",
                                      "NoError",
                                      "OtherError",
                                      "OverCurrentFailure",
                                      "OverVoltage",
                                      "PowerMeterFailure",
                                      "PowerSwitchFailure",
                                      "ReaderFailure",
                                      "ResetFailure",
                                      "UnderVoltage",
                                      "WeakSignal",
                                      NULL};
static Choices charge_point_statuses = {"Available",   "Preparing", "Charging", "SuspendedEVSE",
                                        "SuspendedEV", "Finishing", "Reserved", "Unavailable",
                                        "Faulted",     NULL};
static const OcppField status_notification_req[] = {
    INTEGER("connectorId", REQUIRED, G_MININT32),
    CHOICE("errorCode", REQUIRED, charge_point_errors),
    TEXT("info", OPTIONAL, 50),
    CHOICE("status", REQUIRED, charge_point_statuses),
    DATE_TIME("timestamp", OPTIONAL),
    TEXT("vendorId", OPTIONAL, 255),
    TEXT("vendorErrorCode", OPTIONAL, 50),
    END,
};

/* TriggerMessage (C 5.17).  An unknown message and a bad connectorId are for its handler: the
 * answers are NotImplemented and Rejected, not CALLERRORs. */
static const OcppField trigger_message_req[] = {
    TEXT("requestedMessage", REQUIRED, MAX_MESSAGE_NAME),
    INTEGER("connectorId", OPTIONAL, G_MININT32),
    END,
};
static Choices trigger_statuses = {"Accepted", "Rejected", "NotImplemented", NULL};
static const OcppField trigger_message_conf[] = {
    CHOICE("status", REQUIRED, trigger_statuses),
    END,
};

/* UpdateFirmware (C 5.19).  Some CSMSs leave retrieveDate out: it means now. */
static const OcppField update_firmware_req[] = {
    TEXT("location", REQUIRED, MAX_LOCATION),
    INTEGER("retries", OPTIONAL, 0),
    DATE_TIME("retrieveDate", OPTIONAL),
    INTEGER("retryInterval", OPTIONAL, 0),
    END,
};

static const OcppMessageTable tables[] = {
    {"BootNotification", OCPP_REQUEST, boot_notification_req},
    {"BootNotification", OCPP_CONFIRMATION, boot_notification_conf},
    {"ChangeAvailability", OCPP_REQUEST, change_availability_req},
    {"ChangeAvailability", OCPP_CONFIRMATION, change_availability_conf},
    {"ChangeConfiguration", OCPP_REQUEST, change_configuration_req},
    {"ChangeConfiguration", OCPP_CONFIRMATION, change_configuration_conf},
    {"DataTransfer", OCPP_REQUEST, data_transfer_req},
    {"DataTransfer", OCPP_CONFIRMATION, data_transfer_conf},
    {"DiagnosticsStatusNotification", OCPP_REQUEST, diagnostics_status_req},
    {"DiagnosticsStatusNotification", OCPP_CONFIRMATION, nothing},
    {"FirmwareStatusNotification", OCPP_REQUEST, firmware_status_req},
    {"FirmwareStatusNotification", OCPP_CONFIRMATION, nothing},
    {"GetConfiguration", OCPP_REQUEST, get_configuration_req},
    {"GetConfiguration", OCPP_CONFIRMATION, get_configuration_conf},
    {"GetDiagnostics", OCPP_REQUEST, get_diagnostics_req},
    {"GetDiagnostics", OCPP_CONFIRMATION, get_diagnostics_conf},
    {"Heartbeat", OCPP_REQUEST, nothing},
    {"Heartbeat", OCPP_CONFIRMATION, heartbeat_conf},
    {"Reset", OCPP_REQUEST, reset_req},
    {"Reset", OCPP_CONFIRMATION, reset_conf},
    {"StatusNotification", OCPP_REQUEST, status_notification_req},
    {"StatusNotification", OCPP_CONFIRMATION, nothing},
    {"TriggerMessage", OCPP_REQUEST, trigger_message_req},
    {"TriggerMessage", OCPP_CONFIRMATION, trigger_message_conf},
    {"UpdateFirmware", OCPP_REQUEST, update_firmware_req},
    {"UpdateFirmware", OCPP_CONFIRMATION, nothing},
};

const OcppMessageTable *ocpp_message_tables(gsize *ret_n_tables)
{
    *ret_n_tables = G_N_ELEMENTS(tables);
    return tables;
}

const OcppMessageTable *ocpp_message_table_find(const char *action, OcppMessageKind kind)
{
    for (gsize i = 0; i < G_N_ELEMENTS(tables); i++) {
        if (tables[i].kind == kind && g_strcmp0(action, tables[i].action) == 0)
            return &tables[i];
    }
    return NULL;
}
