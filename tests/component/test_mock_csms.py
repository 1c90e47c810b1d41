# SPDX-License-Identifier: LGPL-2.1-or-later
"""The mock CSMS: it takes right frames, names wrong ones, and misbehaves exactly as it is told to."""

import base64
import contextlib
import http.client
import json
import os
import pty
import random
import select
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest

import wsclient
from simdevice.csms import DEADLINE, ROOT, MockCsms, binary

SCHEMAS = ROOT.parent / "shared" / "ocpp-schemas"
BOOT = {"chargePointVendor": "Vendor", "chargePointModel": "Model"}
DATE = "2024-01-31T12:00:00Z"

pytestmark = pytest.mark.skipif(not os.access(binary(), os.X_OK), reason="mock-csms is not built")


class ChargePoint(wsclient.WebSocket):
    """Speaks OCPP-J as raw as a test wants it."""

    def __init__(self, mock, path="/ocpp/CP001", prefix="a", **options):
        super().__init__(mock.port, path, **options)
        self.prefix = prefix
        self.count = 0

    def request(self, action, payload, message_id=None):
        """Sends a CALL without waiting for its answer; returns its id."""
        if message_id is None:
            self.count += 1
            message_id = f"{self.prefix}{self.count}"
        self.send_text(json.dumps([2, message_id, action, payload]))
        return message_id

    def call(self, action, payload, message_id=None):
        """Sends a CALL and returns the answer's frame."""
        message_id = self.request(action, payload, message_id)
        frame = self.frame()
        assert frame[1] == message_id
        return frame

    def frame(self):
        opcode, message = self.recv()
        assert opcode == wsclient.TEXT
        return json.loads(message)

    def boot(self, status="Accepted"):
        frame = self.call("BootNotification", BOOT)
        assert frame[0] == 3 and frame[2]["status"] == status
        return frame[2]

    def answer(self, payload):
        """Takes the next CALL of the mock and answers it; returns it."""
        frame = self.frame()
        assert frame[0] == 2
        self.send_text(json.dumps([3, frame[1], payload]))
        return frame


@pytest.fixture
def start():
    """Starts mocks and cleans them up."""
    with contextlib.ExitStack() as stack:
        def run(*options):
            mock = MockCsms(*options)
            stack.callback(mock.stop)
            return mock
        yield run


@pytest.fixture
def mock(start):
    return start()


@pytest.fixture
def charge_point(mock):
    """A charge point that is registered already."""
    with ChargePoint(mock) as client:
        client.boot()
        yield client


def last_errors(mock, number):
    """The errors of the frame with this number, counted from 0."""
    return mock.wait_received(number)["errors"]


def expect_error(errors, text):
    assert any(text in error for error in errors), f"{text!r} not in {errors}"


# --- Right frames ---

METER_VALUE = {"timestamp": DATE, "sampledValue": [
    {"value": "1.5", "context": "Sample.Periodic", "format": "Raw", "measurand": "SoC",
     "phase": "L1-N", "location": "EV", "unit": "Percent"}]}

GOOD_REQUESTS = [
    ("BootNotification", BOOT),
    ("BootNotification", {**BOOT, "chargePointSerialNumber": "s" * 25, "chargeBoxSerialNumber": "b",
                          "firmwareVersion": "f" * 50, "iccid": "1", "imsi": "2",
                          "meterType": "t", "meterSerialNumber": "m"}),
    ("BootNotification", {"chargePointVendor": "é" * 20, "chargePointModel": "m"}),
    ("Heartbeat", {}),
    ("StatusNotification", {"connectorId": 0, "errorCode": "NoError", "status": "Available"}),
    ("StatusNotification", {"connectorId": 1, "errorCode": "OtherError", "status": "Faulted",
                            "info": "i" * 50, "timestamp": "2024-01-31T12:00:00.123+02:00",
                            "vendorId": "v", "vendorErrorCode": "e"}),
    ("FirmwareStatusNotification", {"status": "Downloading"}),
    ("DiagnosticsStatusNotification", {"status": "Uploading"}),
    ("DataTransfer", {"vendorId": "v"}),
    ("DataTransfer", {"vendorId": "v", "messageId": "m", "data": "d" * 100000}),
    ("Authorize", {"idTag": "t" * 20}),
    ("StartTransaction", {"connectorId": 1, "idTag": "t", "meterStart": 0, "timestamp": DATE}),
    ("StopTransaction", {"transactionId": 1, "meterStop": 5, "timestamp": DATE,
                         "reason": "SoftReset", "transactionData": [METER_VALUE]}),
    ("MeterValues", {"connectorId": 1, "transactionId": 7, "meterValue": [METER_VALUE]}),
    ("SecurityEventNotification", {"type": "FirmwareUpdated", "timestamp": DATE,
                                   "techInfo": "x" * 255}),
    ("SignCertificate", {"csr": "c" * 5500}),
    ("SignedFirmwareStatusNotification", {"status": "InstallRebooting", "requestId": 1}),
    ("SignedFirmwareStatusNotification", {"status": "Idle"}),
    ("LogStatusNotification", {"status": "Uploading", "requestId": 0}),
]


@pytest.mark.parametrize("action,payload", GOOD_REQUESTS)
def test_right_request_is_answered(mock, charge_point, action, payload):
    answer = charge_point.call(action, payload)
    assert answer[0] == 3
    assert last_errors(mock, 1) == []
    code, summary = mock.finish()
    assert code == 0
    assert (summary["event"], summary["frames"], summary["errors"]) == ("summary", 2, 0)


GOOD_RESULTS = [
    ("update http://127.0.0.1/x.raucb", "UpdateFirmware", {}),
    ("call GetDiagnostics {\"location\":\"ftp://x/\"}", "GetDiagnostics", {"fileName": "log.tgz"}),
    ("call GetDiagnostics {\"location\":\"ftp://x/\"}", "GetDiagnostics", {}),
    ("trigger Heartbeat", "TriggerMessage", {"status": "NotImplemented"}),
    ("call ExtendedTriggerMessage {\"requestedMessage\":\"Heartbeat\"}", "ExtendedTriggerMessage",
     {"status": "Rejected"}),
    ("reset Soft", "Reset", {"status": "Accepted"}),
    ("get-configuration HeartbeatInterval nope", "GetConfiguration",
     {"configurationKey": [{"key": "HeartbeatInterval", "readonly": False, "value": "300"}],
      "unknownKey": ["nope"]}),
    ("get-configuration", "GetConfiguration", {}),
    ("change-configuration HeartbeatInterval 60", "ChangeConfiguration",
     {"status": "RebootRequired"}),
    ("change-availability 0 Inoperative", "ChangeAvailability", {"status": "Scheduled"}),
    ("call DataTransfer {\"vendorId\":\"v\"}", "DataTransfer", {"status": "UnknownVendorId"}),
    ("call ClearCache", "ClearCache", {"status": "Rejected"}),
    ("call UnlockConnector {\"connectorId\":1}", "UnlockConnector", {"status": "NotSupported"}),
    ("call GetLocalListVersion", "GetLocalListVersion", {"listVersion": -1}),
    ("call GetCompositeSchedule {\"connectorId\":0,\"duration\":60}", "GetCompositeSchedule",
     {"status": "Accepted", "connectorId": 0, "scheduleStart": DATE, "chargingSchedule": {
         "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.5}]}}),
    ("call GetInstalledCertificateIds {\"certificateType\":\"ManufacturerRootCertificate\"}",
     "GetInstalledCertificateIds",
     {"status": "Accepted", "certificateHashData": [
         {"hashAlgorithm": "SHA256", "issuerNameHash": "a", "issuerKeyHash": "b",
          "serialNumber": "c"}]}),
    ("call NoSuchAction {\"x\":1}", "NoSuchAction", {"anything": True}),
]


@pytest.mark.parametrize("command,action,result", GOOD_RESULTS)
def test_right_result_is_taken(mock, charge_point, command, action, result):
    assert mock.command(command) == "ok"
    assert charge_point.answer(result)[2] == action
    assert last_errors(mock, 1) == []
    assert mock.finish()[0] == 0


@pytest.mark.parametrize("code", [
    "NotImplemented", "NotSupported", "InternalError", "ProtocolError", "SecurityError",
    "FormationViolation", "PropertyConstraintViolation", "OccurenceConstraintViolation",
    "TypeConstraintViolation", "GenericError"])
def test_right_callerror_is_taken(mock, charge_point, code):
    mock.command("reset Hard")
    call = charge_point.frame()
    charge_point.send_text(json.dumps([4, call[1], code, "", {}]))
    assert last_errors(mock, 1) == []


# --- Wrong frames ---

WRONG_FRAMES = [
    # raw frame, part of an error, CALLERROR code of the answer (None: there is none)
    ("", "not JSON", None),
    ("nonsense", "not JSON", None),
    ('[2,"x","Heartbeat",{}', "not JSON", None),
    ('[2,"x","Heartbeat",{}] tail', "not JSON", None),
    ('[2,"x","Heartbeat",{"a":1,"a":2}]', "not JSON", None),
    ("{}", "not a JSON array", None),
    ('"text"', "not a JSON array", None),
    ("[]", "message type", None),
    ('[1,"x","Heartbeat",{}]', "message type", None),
    ('[5,"x","Heartbeat",{}]', "message type", None),
    ('["2","x","Heartbeat",{}]', "message type", None),
    ('[2.0,"x","Heartbeat",{}]', "message type", None),
    ('[2,7,"Heartbeat",{}]', "id must be a string", None),
    ('[2,null,"Heartbeat",{}]', "id must be a string", None),
    ('[2,"","Heartbeat",{}]', "1 to 36", None),
    ('[2,"x"]', "has 4 elements", "FormationViolation"),
    ('[2,"x","Heartbeat"]', "has 4 elements", "FormationViolation"),
    ('[2,"x","Heartbeat",{},1]', "has 4 elements", "FormationViolation"),
    ('[2,"x",3,{}]', "action must be a string", "FormationViolation"),
    ('[2,"' + "x" * 37 + '","Heartbeat",{}]', "1 to 36", "FormationViolation"),
    ('[2,"x","Heartbeat",null]', "payload must be an object", "FormationViolation"),
    ('[2,"x","Heartbeat",[]]', "payload must be an object", "FormationViolation"),
    ('[2,"x","Nonsense",{}]', "no such action", "NotImplemented"),
    ('[2,"x","heartbeat",{}]', "no such action", "NotImplemented"),
    ('[2,"x","UpdateFirmware",{}]', "not for a charge point", "NotSupported"),
    ('[3,"x",{}]', "no open CALL", None),
    ('[3,"x"]', "has 3 elements", None),
    ('[3]', "has 3 elements", None),
    ('[4,"x","GenericError","",{}]', "no open CALL", None),
]

WRONG_PAYLOADS = [
    ("Heartbeat", {"x": 1}, "Heartbeat.x: no such field", "FormationViolation"),
    ("BootNotification", {"chargePointVendor": "v"}, "chargePointModel: missing",
     "OccurenceConstraintViolation"),
    ("BootNotification", {**BOOT, "chargePointVendor": "v" * 21}, "21 characters",
     "PropertyConstraintViolation"),
    ("BootNotification", {**BOOT, "firmwareVersion": 5}, "must be a string",
     "TypeConstraintViolation"),
    ("BootNotification", {**BOOT, "imsi": None}, "must be a string", "TypeConstraintViolation"),
    ("StatusNotification", {"connectorId": "1", "errorCode": "NoError", "status": "Available"},
     "must be an integer", "TypeConstraintViolation"),
    ("StatusNotification", {"connectorId": 1.0, "errorCode": "NoError", "status": "Available"},
     "must be an integer", "TypeConstraintViolation"),
    ("StatusNotification", {"connectorId": -1, "errorCode": "NoError", "status": "Available"},
     "must be an integer", "TypeConstraintViolation"),
    ("StatusNotification", {"connectorId": 1, "errorCode": "None", "status": "Available"},
     "'None' is not one of", "PropertyConstraintViolation"),
    ("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Available",
                            "timestamp": "2024-01-31T12:00:00"}, "no date-time",
     "PropertyConstraintViolation"),
    ("SecurityEventNotification", {"type": "x", "timestamp": "2024-13-31T12:00:00Z"},
     "no date-time", "PropertyConstraintViolation"),
    ("SecurityEventNotification", {"type": "x", "timestamp": "2024-01-31 12:00:00Z"},
     "no date-time", "PropertyConstraintViolation"),
    ("SecurityEventNotification", {"type": "x", "timestamp": "2024-01-31T12:00:00Z\n"},
     "no date-time", "PropertyConstraintViolation"),
    ("FirmwareStatusNotification", {"status": "Done"}, "'Done' is not one of",
     "PropertyConstraintViolation"),
    ("FirmwareStatusNotification", {}, "status: missing", "OccurenceConstraintViolation"),
    ("FirmwareStatusNotification", {"status": "Downloading", "requestId": 1}, "no such field",
     "FormationViolation"),
    ("DiagnosticsStatusNotification", {"status": "UploadFailure"}, "not one of",
     "PropertyConstraintViolation"),
    ("LogStatusNotification", {"status": "UploadFailed", "requestId": 1}, "not one of",
     "PropertyConstraintViolation"),
    ("LogStatusNotification", {"status": "Uploading"}, "requestId: missing", None),
    ("SignedFirmwareStatusNotification", {"status": "Installing"}, "requestId: missing", None),
    ("DataTransfer", {"vendorId": "v", "data": {"a": 1}}, "must be a string",
     "TypeConstraintViolation"),
    ("Authorize", {"idTag": "t" * 21}, "21 characters", "PropertyConstraintViolation"),
    ("StartTransaction", {"connectorId": 0, "idTag": "t", "meterStart": 0, "timestamp": DATE},
     "1 or more", "TypeConstraintViolation"),
    ("MeterValues", {"connectorId": 1, "meterValue": []}, "at least 1",
     "OccurenceConstraintViolation"),
    ("MeterValues", {"connectorId": 1, "meterValue": [5]}, "meterValue[0]: must be an object",
     "TypeConstraintViolation"),
    ("MeterValues", {"connectorId": 1, "meterValue": [{"timestamp": DATE, "sampledValue": [
        {"value": 1.5}]}]}, "meterValue[0].sampledValue[0].value: must be a string",
     "TypeConstraintViolation"),
    ("StopTransaction", {"transactionId": 1, "meterStop": 5, "timestamp": DATE, "reason": "x"},
     "not one of", "PropertyConstraintViolation"),
    ("SignCertificate", {"csr": "c" * 5501}, "5501 characters", "PropertyConstraintViolation"),
]


@pytest.mark.parametrize("text,error,code", WRONG_FRAMES)
def test_wrong_frame_is_named(mock, charge_point, text, error, code):
    charge_point.send_text(text)
    expect_error(last_errors(mock, 1), error)
    if code is not None:
        frame = charge_point.frame()
        assert (frame[0], frame[2], frame[4]) == (4, code, {})
    assert charge_point.call("Heartbeat", {})[0] == 3, "the connection lives"
    code, summary = mock.finish()
    assert code == 1 and summary["errors"] >= 1 and summary["frames"] == 3


@pytest.mark.parametrize("action,payload,error,code", WRONG_PAYLOADS)
def test_wrong_payload_is_named(mock, charge_point, action, payload, error, code):
    answer = charge_point.call(action, payload)
    expect_error(last_errors(mock, 1), error)
    assert (answer[0], answer[2]) == (4, code) if code is not None else answer[0] == 3
    assert mock.finish()[0] == 1


WRONG_RESULTS = [
    ("update http://x/", {"status": "Accepted"}, "UpdateFirmware.conf.status: no such field"),
    ("update http://x/", None, "payload must be an object"),
    ("reset Soft", {}, "status: missing"),
    ("reset Soft", {"status": "OK"}, "not one of"),
    ("trigger Heartbeat", {"status": "NotSupported"}, "not one of"),
    ("get-configuration", {"configurationKey": {}}, "must be an array of objects"),
    ("get-configuration", {"configurationKey": [{"key": "a"}]},
     "configurationKey[0].readonly: missing"),
    ("get-configuration", {"configurationKey": [{"key": "a", "readonly": "false"}]},
     "must be true or false"),
    ("get-configuration", {"unknownKey": [1]}, "unknownKey[0]: must be a string"),
    ("get-configuration", {"unknownKey": ["k" * 51]}, "51 characters"),
    ("get-configuration", {"configurationKey": [
        {"key": "AuthorizationKey", "readonly": False, "value": "s"}]}, "write-only"),
    ("call GetDiagnostics {}", {"filename": "x"}, "filename: no such field"),
    ("call GetInstalledCertificateIds {}", {"status": "NotFound", "certificateHashData": []},
     "at least 1"),
    ("call NoSuchAction {}", [], "payload must be an object"),
]


@pytest.mark.parametrize("command,result,error", WRONG_RESULTS)
def test_wrong_result_is_named(mock, charge_point, command, result, error):
    mock.command(command)
    charge_point.answer(result)
    expect_error(last_errors(mock, 1), error)


@pytest.mark.parametrize("tail,error", [
    (["FormatViolation", "", {}], "is not one of the specification"),
    (["OccurrenceConstraintViolation", "", {}], "is not one of the specification"),
    ([5, "", {}], "is not one of the specification"),
    (["GenericError", "", None], "details must be an object"),
    (["GenericError", 1, {}], "description must be a string"),
    (["GenericError", "x" * 256, {}], "more than 255"),
    (["GenericError", ""], "has 5 elements"),
    (["GenericError", "", {}, 1], "has 5 elements"),
])
def test_wrong_callerror_is_named(mock, charge_point, tail, error):
    mock.command("reset Soft")
    charge_point.send_text(json.dumps([4, charge_point.frame()[1], *tail]))
    expect_error(last_errors(mock, 1), error)


def test_answer_counts_once(mock, charge_point):
    mock.command("reset Soft")
    call = charge_point.answer({"status": "Accepted"})
    charge_point.send_text(json.dumps([3, call[1], {"status": "Accepted"}]))
    assert last_errors(mock, 1) == []
    expect_error(last_errors(mock, 2), "no open CALL")


def test_binary_frame_and_bad_utf8(mock, charge_point):
    charge_point.send_frame(wsclient.BINARY, b'[2,"b","Heartbeat",{}]')
    expect_error(last_errors(mock, 1), "binary frame")
    assert charge_point.frame()[0] == 3
    charge_point.send_text(b'[2,"\xff\xfe","Heartbeat",{}]')
    expect_error(last_errors(mock, 2), "not UTF-8")
    charge_point.send_text(b'[2,"x\0","Heartbeat",{}]')
    expect_error(last_errors(mock, 3), "not UTF-8")
    charge_point.send_text(b'\xef\xbb\xbf[2,"y","Heartbeat",{}]')
    expect_error(last_errors(mock, 4), "not JSON")
    charge_point.send_text(b'[2,"\\u0000","Heartbeat",{}]')
    expect_error(last_errors(mock, 5), "not JSON")


def test_fragments_of_the_charge_point_are_gathered(mock, charge_point):
    text = json.dumps([2, "f1", "DataTransfer", {"vendorId": "v", "data": "é" * 50000}],
                      ensure_ascii=False).encode()
    charge_point.send_fragments([text[:1], text[1:70001], b"", text[70001:]])
    assert charge_point.frame()[0] == 3
    assert last_errors(mock, 1) == []


# --- Order ---

def test_ids_are_never_used_twice_also_after_a_reconnect(mock):
    with ChargePoint(mock) as first:
        first.boot()
        assert first.call("Heartbeat", {}, "same")[0] == 3
        answer = first.call("Heartbeat", {}, "same")
        assert (answer[0], answer[2]) == (4, "ProtocolError")
        expect_error(last_errors(mock, 2), "used before")
    mock.wait_event("disconnected")
    with ChargePoint(mock) as second:
        second.request("Heartbeat", {}, "same")
        expect_error(last_errors(mock, 3), "used before")
    with ChargePoint(mock, "/ocpp/CP002") as other:
        other.call("BootNotification", BOOT, "same")
        assert last_errors(mock, 4) == [], "another charge point may use that id"


def test_one_open_call_until_it_is_answered(mock, charge_point):
    mock.command("delay 300")
    charge_point.request("Heartbeat", {})
    charge_point.request("Heartbeat", {})
    assert last_errors(mock, 1) == []
    expect_error(last_errors(mock, 2), "second CALL")
    assert charge_point.frame()[0] == 3
    assert charge_point.frame()[0] == 3
    charge_point.call("Heartbeat", {})
    assert last_errors(mock, 3) == []


def test_two_calls_in_one_packet_are_seen(mock, charge_point):
    frames = b""
    for message_id in ("p1", "p2"):
        text = json.dumps([2, message_id, "Heartbeat", {}]).encode()
        frames += bytes([0x81, 0x80 | len(text)]) + b"\0\0\0\0" + text
    charge_point.socket.sendall(frames)
    expect_error(last_errors(mock, 2), "second CALL")


def test_one_open_call_ends_with_the_timeout(start):
    mock = start("--call-timeout", "0.3")
    with ChargePoint(mock) as client:
        client.boot()
        mock.command("mute Heartbeat on")
        client.request("Heartbeat", {})
        assert last_errors(mock, 1) == []
        time.sleep(0.4)  # the condition is time itself
        assert client.call("DataTransfer", {"vendorId": "v"})[0] == 3
        assert last_errors(mock, 2) == []


def test_open_call_ends_with_the_connection(mock):
    with ChargePoint(mock) as first:
        first.boot()
        mock.command("mute Heartbeat on")
        first.request("Heartbeat", {})
        last_errors(mock, 1)
    mock.wait_event("disconnected")
    with ChargePoint(mock, prefix="b") as second:
        second.call("DataTransfer", {"vendorId": "v"})
        assert last_errors(mock, 2) == []


def test_calls_of_both_sides_may_cross(mock, charge_point):
    mock.command("mute Heartbeat on")
    charge_point.request("Heartbeat", {})
    mock.command("reset Soft")
    charge_point.answer({"status": "Accepted"})
    assert last_errors(mock, 2) == []


def test_pending_then_accepted(start):
    mock = start("--boot", "Pending,Accepted", "--interval", "0")
    with ChargePoint(mock) as client:
        conf = client.boot("Pending")
        assert conf["interval"] == 0 and conf["currentTime"].endswith("Z")
        answer = client.call("Heartbeat", {})
        assert (answer[0], answer[2]) == (4, "SecurityError")
        expect_error(last_errors(mock, 1), "while Pending only triggered")
        client.boot("Accepted")
        client.call("Heartbeat", {})
        assert last_errors(mock, 2) == last_errors(mock, 3) == []
        client.boot("Accepted")


def test_nothing_before_boot_notification(mock):
    with ChargePoint(mock) as client:
        assert client.call("Heartbeat", {})[2] == "SecurityError"
        expect_error(last_errors(mock, 0), "before BootNotification was Accepted")


def test_nothing_while_boot_notification_is_refused(mock):
    with ChargePoint(mock) as client:
        mock.command("error BootNotification InternalError 1")
        assert client.call("BootNotification", BOOT)[2] == "InternalError"
        client.call("Heartbeat", {})
        expect_error(last_errors(mock, 1), "before BootNotification")
        client.boot()


def test_triggered_messages_while_pending(start):
    mock = start("--boot", "Pending")
    with ChargePoint(mock) as client:
        client.boot("Pending")
        mock.command("trigger StatusNotification 1")
        client.answer({"status": "Accepted"})
        status = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
        client.call("StatusNotification", status)
        assert last_errors(mock, 2) == []
        client.call("StatusNotification", status)
        expect_error(last_errors(mock, 3), "while Pending")
        mock.command("trigger Heartbeat")
        client.answer({"status": "Rejected"})
        client.call("Heartbeat", {})
        expect_error(last_errors(mock, 5), "while Pending")
        mock.command("trigger BootNotification")
        client.answer({"status": "Accepted"})
        client.boot("Pending")
        assert last_errors(mock, 7) == [], "before the interval, but triggered"


def test_extended_trigger_names_its_answer(start):
    mock = start("--boot", "Pending")
    with ChargePoint(mock) as client:
        client.boot("Pending")
        for message, action, payload in [
                ("SignChargePointCertificate", "SignCertificate", {"csr": "x"}),
                ("FirmwareStatusNotification", "SignedFirmwareStatusNotification",
                 {"status": "Idle"})]:
            mock.command("call ExtendedTriggerMessage " +
                         json.dumps({"requestedMessage": message}))
            client.answer({"status": "Accepted"})
            assert client.call(action, payload)[0] == 3
        assert [last_errors(mock, i) for i in range(5)] == [[]] * 5


def test_rejected_means_silence(start):
    mock = start("--boot", "Rejected")
    with ChargePoint(mock) as client:
        client.boot("Rejected")
        client.call("Heartbeat", {})
        expect_error(last_errors(mock, 1), "while Rejected nothing")
        assert mock.command("now reset Soft") == "ok"
        client.answer({"status": "Accepted"})
        expect_error(last_errors(mock, 2), "an answer while Rejected")
        client.call("BootNotification", BOOT)
        expect_error(last_errors(mock, 3), "before the interval")


def test_boot_notification_keeps_the_interval(start):
    mock = start("--boot", "Pending,Accepted", "--interval", "1")
    with ChargePoint(mock) as client:
        client.boot("Pending")
        time.sleep(1.0)  # the condition is time itself
        client.boot("Accepted")
        client.boot("Accepted")
        assert last_errors(mock, 1) == last_errors(mock, 2) == []


def test_a_new_process_may_boot_at_once(start):
    mock = start("--boot", "Pending")
    with ChargePoint(mock) as first:
        first.boot("Pending")
    mock.wait_event("disconnected")
    with ChargePoint(mock, prefix="b") as second:
        second.boot("Pending")
        assert last_errors(mock, 1) == []


def test_registration_lives_over_a_reconnect(mock):
    with ChargePoint(mock) as first:
        first.boot()
    mock.wait_event("disconnected")
    with ChargePoint(mock, prefix="b") as second:
        assert second.call("Heartbeat", {})[0] == 3
        assert last_errors(mock, 1) == []


RIGHT_ORDERS = [
    "Downloading Downloaded Installing Installed",
    "Downloading Downloaded Installing InstallationFailed",
    "Downloading DownloadFailed",
    "Downloading Downloaded DownloadFailed",
    "Downloading DownloadFailed Downloading Downloaded Installing Installed Downloading",
    "Downloading update Downloading",
    "Downloading Downloaded update Downloading Downloaded",
    "Downloading Downloaded Installing Installed update Installed",
    "Installing Installed Installing InstallationFailed update Downloading",
    "trigger Idle",
    "Downloading trigger Downloading Downloaded",
    "Downloading Downloaded Installing Installed trigger Idle trigger Installed",
    "Downloading update trigger Idle Downloading",
    "mute Downloading unmute Downloading Downloaded",
    "Downloading reconnect Downloading Downloaded",
    "trigger mute Idle unmute Idle",
    "error Downloading Downloaded Installing",
]

WRONG_ORDERS = [
    ("Downloaded", "Downloaded does not follow none"),
    ("Installed", "Installed does not follow none"),
    ("Downloading Installing", "Installing does not follow Downloading"),
    ("Downloading Downloaded Installed", "Installed does not follow Downloaded"),
    ("Downloading Downloaded Installing DownloadFailed", "DownloadFailed does not follow"),
    ("Downloading InstallationFailed", "InstallationFailed does not follow"),
    ("update Installing", "Installing does not follow none"),
    ("Installing Installed update Installing", "Installing does not follow Installed"),
    ("Installing Installing", "Installing again"),
    ("Downloading Downloaded Downloading", "Downloading does not follow Downloaded"),
    ("Downloading Downloading", "Downloading again"),
    ("Downloading update Downloading Downloading", "Downloading again"),
    ("Downloading Downloaded Installing update Downloading", "Downloading does not follow"),
    ("Downloading Downloaded Installing Installed Installed", "Installed again"),
    ("Downloading Downloaded Installing InstallationFailed update InstallationFailed",
     "InstallationFailed again"),
    ("Idle", "Idle that nobody triggered"),
    ("Downloading trigger Idle", "Idle does not follow Downloading"),
    ("Downloading trigger Downloaded Installing trigger Downloaded",
     "Downloaded does not follow Installing"),
    ("trigger Idle Idle", "Idle that nobody triggered"),
    ("Downloading heartbeat reconnect Downloading", "Downloading again"),
    ("Downloading reconnect Downloading Downloading", "Downloading again"),
    ("trigger-refused Idle", "Idle that nobody triggered"),
]


def play(mock, words):
    """Plays one order on a new connection; returns the errors of the last status."""
    client = ChargePoint(mock)
    client.boot()
    muted = False
    status = None
    for number, word in enumerate(words.split()):
        if word in ("mute", "unmute"):
            muted = word == "mute"
            mock.command("mute FirmwareStatusNotification " + ("on" if muted else "off"))
            if not muted:
                client.drop()  # the open CALL dies with its connection
                mock.wait_event("disconnected")
                client = ChargePoint(mock, prefix=f"r{number}")
        elif word == "reconnect":
            client.drop()
            mock.wait_event("disconnected")
            client = ChargePoint(mock, prefix=f"r{number}")
        elif word == "update":
            mock.command("update http://127.0.0.1/x")
            client.answer({})
        elif word.startswith("trigger"):
            mock.command("trigger FirmwareStatusNotification")
            client.answer({"status": "Accepted" if word == "trigger" else "Rejected"})
        elif word == "heartbeat":
            client.call("Heartbeat", {})
        elif word == "error":
            mock.command("error FirmwareStatusNotification InternalError 1")
        else:
            status = client.request("FirmwareStatusNotification", {"status": word})
            if not muted:
                assert client.frame()[1] == status
            event = mock.wait_event("received", lambda f, i=status: f["frame"][1] == i)
            status = event["errors"]
    client.drop()
    return status


@pytest.mark.parametrize("words", RIGHT_ORDERS)
def test_right_order_of_firmware_statuses(mock, words):
    play(mock, words)
    assert [f["errors"] for f in mock.received() if f["errors"]] == []


@pytest.mark.parametrize("words,error", WRONG_ORDERS)
def test_wrong_order_of_firmware_statuses(mock, words, error):
    expect_error(play(mock, words), error)
    assert len([f for f in mock.received() if f["errors"]]) == 1, "only the last one is wrong"


# --- Faults on command ---

def test_error_once_then_right_again(mock, charge_point):
    assert mock.command("error Heartbeat GenericError 2") == "ok"
    assert charge_point.call("Heartbeat", {})[2] == "GenericError"
    assert charge_point.call("DataTransfer", {"vendorId": "v"})[0] == 3
    assert charge_point.call("Heartbeat", {})[2] == "GenericError"
    assert charge_point.call("Heartbeat", {})[0] == 3
    mock.command("error Heartbeat NoSuchCode")
    for _ in range(3):
        assert charge_point.call("Heartbeat", {})[2] == "NoSuchCode"
    mock.command("error Heartbeat x 0")
    assert charge_point.call("Heartbeat", {})[0] == 3


def test_mute_answers_nothing_but_pings(mock, charge_point):
    mock.command("mute")
    charge_point.request("Heartbeat", {})
    last_errors(mock, 1)
    charge_point.ping(b"alive")
    assert charge_point.wait_pong() == b"alive", "and no answer before it"
    mock.command("mute off")
    mock.command("mute Heartbeat on")
    charge_point.send_text('[2,"q","DataTransfer",{"vendorId":"v"}]')
    assert charge_point.frame()[1] == "q"


def test_drop_at_once_and_on_an_action(mock):
    with ChargePoint(mock) as client:
        client.boot()
        mock.command("drop")
        with pytest.raises(wsclient.Disconnected) as end:
            client.recv()
        assert end.value.code is None
    assert mock.wait_event("disconnected")["by"] == "csms"
    mark = mock.mark()
    with ChargePoint(mock, prefix="b") as client:
        mock.command("drop Heartbeat")
        client.call("DataTransfer", {"vendorId": "v"})
        client.request("Heartbeat", {})
        with pytest.raises(wsclient.Disconnected):
            client.recv()
    mock.wait_event("disconnected", start=mark)
    with ChargePoint(mock, prefix="c") as client:
        assert client.call("Heartbeat", {})[0] == 3, "drop holds for one CALL"
    assert mock.command("drop Nonsense") != "ok"


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1011, 4000])
def test_close_with_a_code(mock, charge_point, code):
    assert mock.command(f"close {code}") == "ok"
    with pytest.raises(wsclient.Disconnected) as end:
        charge_point.recv()
    assert end.value.code == code
    event = mock.wait_event("disconnected")
    assert (event["code"], event["by"]) == (code, "csms")


def test_close_code_of_the_charge_point(mock, charge_point):
    charge_point.close(1001)
    with pytest.raises(wsclient.Disconnected):
        charge_point.recv()
    event = mock.wait_event("disconnected")
    assert (event["code"], event["by"]) == (1001, "charge point")


def test_lost_connection_is_1006(mock, charge_point):
    charge_point.drop()
    event = mock.wait_event("disconnected")
    assert (event["code"], event["by"]) == (1006, "nobody")


@pytest.mark.parametrize("word,status", [("on", 503), ("404", 404), ("401", 401)])
def test_refuse(mock, word, status):
    assert mock.command(f"refuse {word}") == "ok"
    for _ in range(2):
        with pytest.raises(wsclient.HandshakeError) as refusal:
            ChargePoint(mock)
        assert refusal.value.status == status
    assert mock.wait_event("refused")["status"] == status
    mock.command("refuse off")
    with ChargePoint(mock) as client:
        client.boot()


def test_freeze_keeps_tcp_and_says_nothing(mock, charge_point):
    assert mock.command("freeze on") == "ok"
    charge_point.ping(b"there?")
    charge_point.request("Heartbeat", {})
    mock.command("now reset Soft")
    with pytest.raises(socket.timeout):
        charge_point.recv(0.5)
    with socket.create_connection(("127.0.0.1", mock.port), DEADLINE) as late:
        late.sendall(b"GET /bundles/x HTTP/1.1\r\nHost: x\r\n\r\n")
        late.settimeout(0.3)
        with pytest.raises(socket.timeout):
            late.recv(1)
        assert mock.command("freeze off") == "ok"
        late.settimeout(DEADLINE)
        assert b" 404 " in late.recv(1000)
    frames = [charge_point.frame(), charge_point.frame()]
    assert sorted(frame[0] for frame in frames) == [2, 3]
    assert charge_point.wait_pong() == b"there?"


def test_what_piled_up_in_a_freeze_is_not_held_against_the_charge_point(mock, charge_point):
    mock.command("freeze on")
    charge_point.request("Heartbeat", {})
    charge_point.request("Heartbeat", {})
    mock.command("freeze off")
    assert last_errors(mock, 1) == last_errors(mock, 2) == []
    charge_point.frame()
    charge_point.frame()


def test_frozen_charge_point_may_go(mock, charge_point):
    mock.command("freeze on")
    charge_point.drop()
    mock.command("freeze off")
    mock.wait_event("disconnected")


def test_stop_listening_and_listen_again(mock, charge_point):
    port = mock.port
    assert mock.command("stop-listening") == "ok"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), DEADLINE)
    assert charge_point.call("Heartbeat", {})[0] == 3, "open connections stay"
    assert mock.command("listen") == "ok"
    with ChargePoint(mock, "/ocpp/CP002") as other:
        other.boot()


def test_delay(mock, charge_point):
    mock.command("delay 200")
    begin = time.monotonic()
    charge_point.call("Heartbeat", {})
    assert time.monotonic() - begin >= 0.19
    mock.command("delay 0")
    charge_point.call("Heartbeat", {})


def test_delayed_answer_dies_with_its_connection(mock):
    with ChargePoint(mock) as client:
        client.boot()
        mock.command("delay 3600000")
        client.request("Heartbeat", {})
        last_errors(mock, 1)
    mock.wait_event("disconnected")
    assert mock.finish()[0] == 0


def test_fragmented_raw_and_hex(mock, charge_point):
    text = '[2,"m1","Heartbeat",{"pad":"' + "é" * 40 + '"}]'
    mock.command(f"fragmented 5 {text}")
    parts = [charge_point.recv_frame() for _ in range(5)]
    assert [fin for fin, _, _ in parts] == [False] * 4 + [True]
    assert [opcode for _, opcode, _ in parts] == [wsclient.TEXT] + [wsclient.CONTINUATION] * 4
    assert b"".join(payload for _, _, payload in parts).decode() == text
    mock.command("raw  not json at all ")
    assert charge_point.recv()[1] == b"not json at all "
    mock.command("raw-hex 5b00ff5d")
    assert charge_point.recv() == (wsclient.TEXT, b"[\0\xff]")
    assert mock.wait_event("sent", lambda f: f.get("fragments") == 5)
    assert mock.command("raw-hex 5") != "ok"
    assert mock.command("raw-hex zz") != "ok"


@pytest.mark.parametrize("message_id", ['"' + "i" * 255 + '"', "77", "null", '"mock-1"'])
def test_answers_to_raw_calls_are_matched(mock, charge_point, message_id):
    """A CSMS's odd ids are echoed by the charge point; that is right."""
    mock.command(f'raw [2,{message_id},"Reset",{{"type":"Soft"}}]')
    call = charge_point.frame()
    charge_point.send_text(json.dumps([3, call[1], {"status": "Maybe"}]))
    errors = last_errors(mock, 1)
    assert len(errors) == 1
    expect_error(errors, "'Maybe' is not one of")


def test_big_has_the_size_it_says(mock, charge_point):
    for size in (200, 262144, 1048576):
        assert mock.command(f"big {size}") == "ok"
        _, message = charge_point.recv()
        assert len(message) == size
        call = json.loads(message)
        assert call[2] == "DataTransfer"
        charge_point.send_text(json.dumps([3, call[1], {"status": "Accepted"}]))
    assert mock.command("big 10") != "ok"
    assert mock.command("big 1048577") != "ok"


# --- The mock's own CALLs ---

def test_calls_wait_for_registration_and_for_each_other(mock):
    assert mock.command("reset Soft") == "ok"
    assert mock.command("trigger Heartbeat") == "ok"
    assert "no charge point" in mock.command("now reset Hard")
    assert "no charge point" in mock.command("raw x")
    with ChargePoint(mock) as client:
        client.ping()
        client.wait_pong()
        client.boot()
        first = client.frame()
        assert first[2:] == ["Reset", {"type": "Soft"}]
        client.ping()
        client.wait_pong()  # nothing else came
        client.send_text(json.dumps([3, first[1], {"status": "Accepted"}]))
        second = client.frame()
        assert second[2:] == ["TriggerMessage", {"requestedMessage": "Heartbeat"}]
        assert second[1] != first[1]
        assert mock.command("now reset Hard") == "ok"
        assert client.frame()[2:] == ["Reset", {"type": "Hard"}], "now does not wait"


def test_unanswered_call_gives_way_and_its_late_answer_is_no_fault(start):
    mock = start("--call-timeout", "0.3")
    with ChargePoint(mock) as client:
        client.boot()
        mock.command("reset Soft")
        mock.command("reset Hard")
        first = client.frame()
        assert mock.wait_event("unanswered")["why"] == "timeout"
        assert client.answer({"status": "Accepted"})[3] == {"type": "Hard"}
        client.send_text(json.dumps([3, first[1], {"status": "Accepted"}]))
        assert last_errors(mock, 2) == []


def test_open_call_is_given_up_when_the_connection_ends(mock):
    with ChargePoint(mock) as client:
        client.boot()
        mock.command("reset Soft")
        mock.command("trigger Heartbeat")
        client.frame()
    assert mock.wait_event("unanswered")["why"] == "disconnected"
    with ChargePoint(mock, prefix="b") as client:
        assert client.frame()[2] == "TriggerMessage", "registered already"


@pytest.mark.parametrize("words,payload", [
    ("absent retries=2 interval=5", {"retries": 2, "retryInterval": 5}),
    ("2024-01-31T12:00:00", {"retrieveDate": "2024-01-31T12:00:00"}),
    ("+90", {"retrieveDate": "2030-01-01T00:01:30"}),
    ("now", {"retrieveDate": "2030-01-01T00:00:0"}),
    ("", {"retrieveDate": "2030-01-01T00:00:0"}),
])
def test_update_command(start, words, payload):
    mock = start("--time", "2030-01-01T00:00:00Z")
    with ChargePoint(mock) as client:
        client.boot()
        mock.command("time 2030-01-01T00:00:00Z")
        assert mock.command(f"update C:\\fw.bin {words}") == "ok"
        call = client.answer({})
        assert call[3].pop("location") == "C:\\fw.bin"
        if "retrieveDate" in payload:
            assert call[3].pop("retrieveDate").startswith(payload.pop("retrieveDate"))
        assert call[3] == payload


def test_clock_runs_on_from_where_it_is_set(start):
    mock = start("--time", "1999-12-31T23:59:59Z")
    with ChargePoint(mock) as client:
        assert client.boot()["currentTime"][:10] in ("1999-12-31", "2000-01-01")
        mock.command("time 2031-05-05T05:05:05.5+02:00")
        first = client.call("Heartbeat", {})[2]["currentTime"]
        assert first.startswith("2031-05-05T03:05:")
        assert mock.command("time yesterday") != "ok"


def test_boot_and_interval_commands(mock):
    assert mock.command("boot Rejected,Pending,Accepted") == "ok"
    assert mock.command("interval 0") == "ok"
    with ChargePoint(mock) as client:
        for status in ("Rejected", "Pending", "Accepted", "Accepted"):
            assert client.boot(status)["interval"] == 0
    for text in ("boot", "boot Maybe", "boot Accepted,", "interval -1", "interval x"):
        assert mock.command(text) != "ok"


@pytest.mark.parametrize("text", [
    "nonsense", "now", "now mute", "update", "update http://x +x", "update http://x now later",
    "update http://x retries=x", "trigger", "trigger Heartbeat x", "reset", "call", "call X {",
    "change-configuration", "change-availability x Operative", "change-availability 1",
    "delay x", "delay -1", "mute maybe", "mute Nonsense on", "error Heartbeat", "error",
    "error UpdateFirmware GenericError", "close", "close 999", "close 1006", "close 5000",
    "refuse", "refuse 200", "freeze", "freeze maybe", "time", "fragmented 0 x", "fragmented x",
    "big", "wait Heartbeat", "raw-hex 0g"])
def test_wrong_command_says_why(mock, text):
    result = mock.command(text)
    assert result != "ok" and result
    assert mock.finish()[0] == 0, "a typing error is not the charge point's fault"


def test_help_lists_the_commands(mock):
    assert mock.command("help") == "ok"
    mock.finish()
    mock.stop()
    assert b"change-configuration KEY VALUE" in mock.stderr


def test_second_connection_replaces_the_first(mock, charge_point):
    with ChargePoint(mock, prefix="b") as second:
        with pytest.raises(wsclient.Disconnected):
            charge_point.recv()
        assert second.call("Heartbeat", {})[0] == 3
        mock.command("reset Soft")
        assert second.answer({"status": "Accepted"})[2] == "Reset"


# --- Handshake ---

def test_identity_and_path_are_logged(mock):
    with ChargePoint(mock, "/steve/websocket/RDAM%20123"):
        event = mock.wait_event("connected")
        assert event["identity"] == "RDAM 123"
        assert event["path"] == "/steve/websocket/RDAM 123"
        assert event["headers"]["sec-websocket-protocol"] == "ocpp1.6"


def test_only_one_identity(start):
    mock = start("--identity", "CP001")
    for path in ("/ocpp/CP002", "/ocpp/", "/CP001/x"):
        with pytest.raises(wsclient.HandshakeError) as refusal:
            ChargePoint(mock, path)
        assert refusal.value.status == 404
    with ChargePoint(mock, "/ocpp/CP001"):
        pass


def basic(user, password):
    return {"Authorization": "Basic " + base64.b64encode(user + b":" + password).decode()}


def test_basic_authentication(start):
    """The specification's own vector, whose key holds a NUL byte."""
    mock = start("--basic-user", "AL1000", "--basic-password-hex",
                 "0001020304050607FFFFFFFFFFFFFFFFFFFFFFFF")
    good = {"Authorization": "Basic QUwxMDAwOgABAgMEBQYH////////////////"}
    for headers in ({}, basic(b"AL1000", b"x"), basic(b"AL1001", b"\0"), {"Authorization": "x"}):
        with pytest.raises(wsclient.HandshakeError) as refusal:
            ChargePoint(mock, "/AL1000", headers=headers)
        assert refusal.value.status == 401
        assert refusal.value.headers["www-authenticate"].startswith("Basic")
    with ChargePoint(mock, "/AL1000", headers=good) as client:
        client.boot()
    assert mock.wait_event("connected")["headers"]["authorization"] == good["Authorization"]


def test_subprotocol_is_selected_or_left_out(start):
    mock = start()
    with ChargePoint(mock, subprotocols=("ocpp2.0.1", "ocpp1.6")) as client:
        assert client.subprotocol == "ocpp1.6"
    silent = start("--no-subprotocol")
    with ChargePoint(silent) as client:
        assert client.subprotocol is None
        client.boot()


@pytest.mark.parametrize("offer", [(), ("ocpp2.0.1",), ("ocpp1.5", "ocpp1.66")])
def test_subprotocol_must_be_offered(mock, offer):
    with pytest.raises(wsclient.HandshakeError) as refusal:
        ChargePoint(mock, subprotocols=offer)
    assert refusal.value.status == 400
    expect_error(mock.wait_event("refused")["errors"], "ocpp1.6 is not offered")
    assert mock.finish()[0] == 1


def openssl(*args):
    subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True)


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    """A CA, a certificate for localhost and one for a charge point."""
    folder = tmp_path_factory.mktemp("pki")
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-days", 2, "-subj", "/CN=test CA", "-keyout", folder / "ca.key",
            "-out", folder / "ca.pem")
    (folder / "san").write_text("subjectAltName=DNS:localhost\n")
    for name, common_name in (("server", "localhost"), ("client", "CP001")):
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-subj", f"/CN={common_name}", "-keyout", folder / f"{name}.key",
                "-out", folder / f"{name}.csr")
        openssl("x509", "-req", "-in", folder / f"{name}.csr", "-CA", folder / "ca.pem",
                "-CAkey", folder / "ca.key", "-CAcreateserial", "-days", 2,
                "-extfile", folder / "san", "-out", folder / f"{name}.pem")
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 2,
            "-subj", "/CN=CP001", "-keyout", folder / "foreign.key", "-out", folder / "foreign.pem")
    return folder


def test_tls(start, pki, tmp_path):
    (tmp_path / "file").write_bytes(b"x" * 100000)
    mock = start("--tls-cert", pki / "server.pem", "--tls-key", pki / "server.key",
                 "--bundles", tmp_path)
    context = ssl.create_default_context(cafile=pki / "ca.pem")
    with ChargePoint(mock, ssl_context=context) as client:
        assert client.socket.version() in ("TLSv1.2", "TLSv1.3")
        client.boot()
        mock.command("big 500000")
        assert len(client.recv()[1]) == 500000
        mock.command("freeze on")
        client.ping(b"p")
        with pytest.raises(socket.timeout):
            client.wait_pong(0.3)
        mock.command("freeze off")
        assert client.wait_pong() == b"p"
    https = http.client.HTTPSConnection("localhost", mock.port, timeout=DEADLINE, context=context)
    https.request("GET", "/bundles/file")
    assert https.getresponse().read() == b"x" * 100000
    https.close()
    with pytest.raises(OSError):
        ChargePoint(mock, ssl_context=ssl.create_default_context())
    with pytest.raises((OSError, wsclient.Disconnected)):
        ChargePoint(mock)  # plain ws to a TLS port


def test_client_certificate_is_demanded(start, pki):
    mock = start("--tls-cert", pki / "server.pem", "--tls-key", pki / "server.key",
                 "--tls-ca", pki / "ca.pem")
    context = ssl.create_default_context(cafile=pki / "ca.pem")
    with pytest.raises((OSError, wsclient.Disconnected)):
        ChargePoint(mock, ssl_context=context)
    context.load_cert_chain(pki / "foreign.pem", pki / "foreign.key")
    with pytest.raises((OSError, wsclient.Disconnected)):
        ChargePoint(mock, ssl_context=context)
    context = ssl.create_default_context(cafile=pki / "ca.pem")
    context.load_cert_chain(pki / "client.pem", pki / "client.key")
    with ChargePoint(mock, ssl_context=context) as client:
        client.boot()
        assert mock.wait_event("connected")["headers"]["client-certificate"] == "CP001"


# --- HTTP ---

CONTENT = bytes(range(256)) * 1024  # 256 KiB


@pytest.fixture
def bundles(start, tmp_path):
    folder = tmp_path / "bundles"
    (folder / "sub").mkdir(parents=True)
    (folder / "a b.raucb").write_bytes(CONTENT)
    (folder / "sub" / "small").write_bytes(b"0123456789")
    (folder / "empty").write_bytes(b"")
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "bundles-too").write_bytes(b"secret")
    (folder / "link").symlink_to(tmp_path / "secret")
    return start("--bundles", folder)


def fetch(mock, path, method="GET", headers=None, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", mock.port, timeout=DEADLINE)
    try:
        connection.request(method, path, headers=headers or {}, body=body)
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def test_whole_file(bundles):
    status, headers, body = fetch(bundles, "/bundles/a%20b.raucb")
    assert (status, body) == (200, CONTENT)
    assert headers["Content-Length"] == str(len(CONTENT))
    assert headers["Accept-Ranges"] == "bytes"
    event = bundles.wait_event("http")
    assert event["method"] == "GET" and event["path"] == "/bundles/a b.raucb"
    assert (event["range"], event["status"], event["bytes"]) == (None, 200, len(CONTENT))
    assert fetch(bundles, "/bundles/sub/small?x=1")[2] == b"0123456789"
    assert fetch(bundles, "/bundles/empty")[::2] == (200, b"")


@pytest.mark.parametrize("value,first,last", [
    ("bytes=0-0", 0, 0), ("bytes=2-5", 2, 5), ("bytes=7-", 7, 9), ("bytes=-3", 7, 9),
    ("bytes=-100", 0, 9), ("bytes=5-100", 5, 9), ("Bytes=9-9", 9, 9)])
def test_range(bundles, value, first, last):
    status, headers, body = fetch(bundles, "/bundles/sub/small", headers={"Range": value})
    assert status == 206
    assert headers["Content-Range"] == f"bytes {first}-{last}/10"
    assert headers["Content-Length"] == str(last - first + 1)
    assert body == b"0123456789"[first:last + 1]
    event = bundles.wait_event("http")
    assert (event["range"], event["status"], event["bytes"]) == (value, 206, last - first + 1)


@pytest.mark.parametrize("value", ["bytes=10-", "bytes=10-20", "bytes=-0",
                                   "bytes=9223372036854775807-"])
def test_range_beyond_the_end(bundles, value):
    status, headers, body = fetch(bundles, "/bundles/sub/small", headers={"Range": value})
    assert (status, headers["Content-Range"], body) == (416, "bytes */10", b"")
    assert fetch(bundles, "/bundles/empty", headers={"Range": "bytes=0-"})[0] == 416


@pytest.mark.parametrize("value", ["bytes=5-2", "bytes=a-b", "lines=0-1", "bytes=", "bytes=-",
                                   "bytes=0-1,3-4", "bytes=0-99999999999999999999", "bytes=--1"])
def test_range_without_meaning_gives_the_whole_file(bundles, value):
    status, _, body = fetch(bundles, "/bundles/sub/small", headers={"Range": value})
    assert (status, body) == (200, b"0123456789")


def test_if_range(bundles):
    _, headers, _ = fetch(bundles, "/bundles/sub/small")
    for name, status in ((headers["ETag"], 206), (headers["Last-Modified"], 206), ('"old"', 200)):
        assert fetch(bundles, "/bundles/sub/small",
                     headers={"Range": "bytes=1-2", "If-Range": name})[0] == status


def test_head(bundles):
    status, headers, body = fetch(bundles, "/bundles/a%20b.raucb", "HEAD")
    assert (status, headers["Content-Length"], body) == (200, str(len(CONTENT)), b"")
    assert fetch(bundles, "/bundles/nothing", "HEAD")[0] == 404


def test_connection_is_kept(bundles):
    connection = http.client.HTTPConnection("127.0.0.1", bundles.port, timeout=DEADLINE)
    connection.connect()
    local = connection.sock.getsockname()
    for i in range(50):
        connection.request("GET", "/bundles/a%20b.raucb", headers={"Range": f"bytes={i}-{i + 99}"})
        assert connection.getresponse().read() == CONTENT[i:i + 100]
        connection.request("HEAD", "/bundles/a%20b.raucb")
        assert connection.getresponse().read() == b""
    assert connection.sock.getsockname() == local
    connection.close()


@pytest.mark.parametrize("path", [
    "/bundles/../secret", "/bundles/%2e%2e/secret", "/bundles/..%2fsecret", "/bundles/sub/../../secret",
    "/bundles/%2e%2e%2fsecret", "/bundles//etc/passwd", "/bundles/%2fetc/passwd", "/secret",
    "/bundles/link", "/bundles/", "/bundles/sub", "/bundles", "/", "/bundles/../bundles-too",
    "/bundles/sub/small%00", "/bundles/sub/small/", "/bundles/a%20b.raucb/../../secret",
    "/bundles/....//secret", "/bundles/" + "x" * 5000])
def test_no_way_out_of_the_folder(bundles, path):
    """Raw, because an HTTP client would tidy the path up."""
    with socket.create_connection(("127.0.0.1", bundles.port), DEADLINE) as client:
        client.sendall(f"GET {path} HTTP/1.0\r\nHost: x\r\n\r\n".encode())
        answer = b""
        while data := client.recv(65536):
            answer += data
    assert b"secret" not in answer and b"root:" not in answer
    assert answer == b"" or answer.split()[1] in (b"400", b"403", b"404")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_other_methods(bundles, method):
    status, headers, _ = fetch(bundles, "/bundles/sub/small", method)
    assert (status, headers["Allow"]) == (405, "GET, HEAD")


def test_without_bundles_there_is_nothing(mock):
    assert fetch(mock, "/bundles/x")[0] == 404
    assert fetch(mock, "/ocpp/CP001")[0] == 404


def memory_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    raise AssertionError("no VmRSS")


def test_huge_file_in_bounded_memory(start, tmp_path, monkeypatch):
    # AddressSanitizer keeps what was freed for a while; hardly any of it here.
    monkeypatch.setenv("ASAN_OPTIONS", os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1")
    size = 3 * 1024 ** 3
    with open(tmp_path / "huge", "wb") as huge:
        huge.truncate(size)
        huge.seek(size - 4)
        huge.write(b"last")
    mock = start("--bundles", tmp_path)
    assert fetch(mock, "/bundles/huge", "HEAD")[1]["Content-Length"] == str(size)
    status, headers, body = fetch(mock, "/bundles/huge", headers={"Range": f"bytes={size - 8}-"})
    assert (status, body) == (206, b"\0\0\0\0last")
    assert headers["Content-Range"] == f"bytes {size - 8}-{size - 1}/{size}"
    before = memory_kib(mock.process.pid)
    connection = http.client.HTTPConnection("127.0.0.1", mock.port, timeout=DEADLINE)
    connection.request("GET", "/bundles/huge")
    response = connection.getresponse()
    for _ in range(64):  # 64 MiB of it, slower than the mock could send
        assert len(response.read(1024 ** 2)) == 1024 ** 2
    grown = memory_kib(mock.process.pid) - before
    connection.close()
    event = mock.wait_event("http", lambda f: f.get("aborted"))
    assert event["status"] == 200 and event["bytes"] >= 64 * 1024 ** 2
    assert grown < 16 * 1024, "memory does not follow the file"


def test_freeze_stalls_a_transfer(start, tmp_path):
    with open(tmp_path / "file", "wb") as file:
        file.truncate(64 * 1024 ** 2)
    mock = start("--bundles", tmp_path)
    with socket.create_connection(("127.0.0.1", mock.port), DEADLINE) as client:
        client.sendall(b"GET /bundles/file HTTP/1.0\r\nHost: x\r\n\r\n")
        got = len(client.recv(1000))
        mock.command("freeze on")
        client.settimeout(1)
        with pytest.raises(socket.timeout):
            while data := client.recv(1024 ** 2):
                got += len(data)
        assert 0 < got < 64 * 1024 ** 2
        mock.command("freeze off")
        client.settimeout(DEADLINE)
        while data := client.recv(1024 ** 2):
            got += len(data)
        assert got > 64 * 1024 ** 2


# --- Hostile peers ---

def test_too_large_a_message_closes_with_1009(mock, charge_point):
    with contextlib.suppress(OSError):
        charge_point.send_text(b"[" + b" " * 1024 ** 2 + b"]")
    with pytest.raises(wsclient.Disconnected) as end:
        charge_point.recv()
    assert end.value.code in (1009, None), "the close frame may be lost with unread data"
    assert mock.wait_event("disconnected")["code"] == 1009
    expect_error(mock.received()[-1]["errors"], "more than 1048576 bytes")


def test_largest_message_is_taken(mock, charge_point):
    head, tail = '[2,"l","DataTransfer",{"vendorId":"v","data":"', '"}]'
    charge_point.send_text(head + "x" * (1024 ** 2 - len(head) - len(tail)) + tail)
    assert charge_point.frame()[0] == 3
    assert last_errors(mock, 1) == []


def test_endless_fragments_are_cut_off(mock, charge_point):
    with contextlib.suppress(OSError):
        charge_point.send_frame(wsclient.TEXT, b"[", fin=False)
        for _ in range(40):
            charge_point.send_frame(wsclient.CONTINUATION, b" " * 65536, fin=False)
    assert mock.wait_event("disconnected")["code"] == 1009


@pytest.mark.parametrize("text", [
    "[" * 100000, "[" * 2000 + "]" * 2000, '[2,"d","DataTransfer",' + '{"vendorId":' * 3000,
    '[2,"n","MeterValues",{"connectorId":99999999999999999999999,"meterValue":[]}]',
    '[2,"e","StatusNotification",{"connectorId":1e999,"errorCode":"","status":""}]',
    '[2,"u","\\ud800",{}]', '[2,"%n%s%n","%s%s%n",{"%n":"%s"}]',
    '[2,"k","Heartbeat",{' + ",".join(f'"f{i}":{i}' for i in range(5000)) + "}]"],
    ids=["open", "deep", "objects", "integer", "real", "surrogate", "percent", "fields"])
def test_hostile_json(mock, charge_point, text):
    charge_point.send_text(text)
    event = mock.wait_received(1)
    assert event["errors"] and len(event["errors"]) <= 32
    charge_point.request("Heartbeat", {}, "after")
    assert mock.wait_received(2)["frame"][1] == "after"


def test_random_frames_and_bytes(mock):
    """Mutated frames, random frames, random bytes on the wire: the mock stays up and in order."""
    rand = random.Random(16)
    seeds = [json.dumps([2, "s", action, payload]).encode() for action, payload in GOOD_REQUESTS[:12]]
    seeds += [b'[3,"mock-1",{"status":"Accepted"}]', b'[4,"mock-1","GenericError","",{}]']
    for round_number in range(10):
        with ChargePoint(mock, f"/CP{round_number}") as client:
            client.boot()
            mock.command("reset Soft")
            for _ in range(60):
                frame = bytearray(rand.choice(seeds)[:2000])
                for _ in range(rand.randrange(1, 5)):
                    position = rand.randrange(len(frame))
                    frame[position:position + rand.randrange(3)] = rand.randbytes(rand.randrange(3))
                client.send_frame(rand.choice([wsclient.TEXT] * 4 + [wsclient.BINARY]), bytes(frame))
    for _ in range(60):
        with socket.create_connection(("127.0.0.1", mock.port), DEADLINE) as client:
            client.sendall(rand.choice([b"GET / HTTP/1.1\r\n", b"", b"POST /bundles/x HTTP/1.1\r\n",
                                        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]) + rand.randbytes(300))
    for _ in range(30):
        with ChargePoint(mock, "/raw") as client, contextlib.suppress(OSError):
            client.socket.sendall(rand.randbytes(500))
    with ChargePoint(mock, "/last") as client:
        client.boot()
    code, summary = mock.finish()
    assert code == 1 and summary["errors"] > 0


@pytest.mark.parametrize("head", [
    "GET /ocpp/CP001 HTTP/1.1\r\nHost: x\r\nUpgrade: foo\r\nConnection: Upgrade\r\n\r\n",
    "GET /ocpp/CP001 HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n"
    "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n",
    "POST /ocpp/CP001 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    "GET /ocpp/CP001 HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Protocol: ocpp1.6\r\n\r\n",
    "GET /ocpp/CP001 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Protocol: ocpp1.6\r\n\r\n",
    "GET /ocpp/" + "C" * 9000 + " HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /ocpp/CP001 HTTP/1.1\r\nX: " + "y" * 20000 + "\r\n\r\n",
])
def test_odd_upgrades(mock, head):
    with socket.create_connection(("127.0.0.1", mock.port), DEADLINE) as client:
        with contextlib.suppress(OSError):
            client.sendall(head.encode())
            client.shutdown(socket.SHUT_WR)
            answer = client.recv(4096)
            assert b" 101 " not in answer
    with ChargePoint(mock) as client:
        client.boot()


def test_many_connections_are_bounded(mock):
    with contextlib.ExitStack() as stack:
        clients = []
        for _ in range(300):
            client = socket.create_connection(("127.0.0.1", mock.port), DEADLINE)
            stack.callback(client.close)
            clients.append(client)
        assert select.select([clients[-1]], [], [], DEADLINE)[0], "one too many is closed"
        assert not select.select([clients[0]], [], [], 0)[0], "and those before it are not"
    mock.command("help")
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            with ChargePoint(mock) as client:
                client.boot()
            return
        except (OSError, wsclient.Disconnected):
            assert time.monotonic() < deadline


# --- Scripts, options, people ---

def test_script_waits(start, tmp_path):
    script = tmp_path / "script"
    script.write_text("# comment\n\n  boot Pending,Accepted \ninterval 0\nreset Soft\n"
                      "wait BootNotification chargePointVendor=Vendor\n"
                      "wait Reset.conf status=Accepted\n"
                      "error Heartbeat GenericError 1\n"
                      "wait Heartbeat timeout 60\nwait Heartbeat\nmute Heartbeat\n"
                      "wait disconnected\nquit\n")
    mock = start("--script", script)
    mock.process.stdin.close()  # the script goes on all the same
    with ChargePoint(mock) as client:
        client.boot("Pending")
        client.answer({"status": "Accepted"})
        client.boot("Accepted")
        mock.wait_event("command", lambda f: f["text"].startswith("error"))
        assert client.call("Heartbeat", {})[2] == "GenericError"
        assert client.call("Heartbeat", {})[0] == 3
        mock.wait_event("command", lambda f: f["text"] == "mute Heartbeat")
    code, summary = mock.wait_exit()
    assert (code, summary["errors"], summary["script_failed"]) == (0, 0, False)
    commands = [e for e in mock.events if e["event"] == "command"]
    assert [c["result"] for c in commands] == ["ok"] * 11


def test_script_quits_at_once(start, tmp_path):
    (tmp_path / "script").write_text("quit\nnonsense\n")
    mock = start("--script", tmp_path / "script")
    assert mock.wait_exit()[0] == 0, "although standard input is open"


@pytest.mark.parametrize("text,result", [
    ("wait Heartbeat timeout 1\nquit\n", "did not come within 1 s"),
    ("wait\n", "is missing"), ("wait Heartbeat timeout\n", "is missing"),
    ("wait Heartbeat nonsense\n", "neither"), ("nonsense\nquit\n", "no command 'nonsense'")])
def test_failing_script_ends_with_1(start, tmp_path, text, result):
    (tmp_path / "script").write_text(text)
    mock = start("--script", tmp_path / "script")
    mock.process.stdin.close()
    code, summary = mock.wait_exit()
    assert code == 1 and summary["script_failed"]
    assert result in mock.wait_event("command")["result"]


def test_log_file_signals_and_quit(start, tmp_path):
    for end in (signal.SIGTERM, signal.SIGINT, "quit", "eof"):
        log = tmp_path / str(end)
        mock = start("--log", log)
        deadline = time.monotonic() + DEADLINE
        while not (log.exists() and log.read_text().endswith("\n")):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        if isinstance(end, signal.Signals):
            mock.process.send_signal(end)
        elif end == "quit":
            mock.send_line("quit")
        else:
            mock.process.stdin.close()
        assert mock.process.wait(DEADLINE) == 0
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        assert lines[0]["event"] == "listening" and lines[0]["port"] > 0
        assert lines[-1]["event"] == "summary"
        assert all(isinstance(line["time"], int) for line in lines)


@pytest.mark.parametrize("options", [
    ["--port", "70000"], ["--port", "-1"], ["--interval", "-1"], ["--call-timeout", "0"],
    ["--call-timeout", "nan"], ["--boot", "Maybe"], ["--time", "x"], ["--bind", "nowhere"],
    ["--bundles", "/no/such/folder"], ["--script", "/no/such/file"], ["--log", "/no/such/dir/x"],
    ["--basic-user", "u"], ["--basic-user", "u", "--basic-password-hex", "0"],
    ["--tls-cert", "x"], ["--tls-ca", "x"], ["--tls-cert", "/no/c", "--tls-key", "/no/k"],
    ["--nonsense"], ["argument"]])
def test_wrong_options_exit_with_2(start, options):
    mock = start(*options)
    assert mock.wait_exit()[0] == 2
    assert b"mock-csms: " in mock.stderr


def test_long_lines_and_odd_bytes_as_commands(mock):
    mock.send_line(b"x" * (3 * 1024 ** 2) + b"\n")
    assert mock.wait_event("command")["result"] == "the line is too long"
    mock.send_line(b"\xff\xfe\0 bad\n")
    mock.wait_event("command", lambda f: "no command" in f["result"])
    mock.send_line(b"call \xff {}\n")
    mock.wait_event("command", lambda f: "UTF-8" in f["result"])
    assert mock.command("help") == "ok"


def test_person_at_a_terminal():
    """With a terminal as standard input, short lines on stderr tell what happens."""
    control, terminal = pty.openpty()
    with subprocess.Popen([binary()], stdin=terminal, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:
        os.close(terminal)
        shown = []
        reader = threading.Thread(target=lambda: shown.extend(process.stderr), daemon=True)
        try:
            reader.start()
            port = json.loads(process.stdout.readline())["port"]
            with wsclient.WebSocket(port, "/CP001") as client:
                client.send_text(json.dumps([2, "1", "BootNotification", {**BOOT, "x": 1}]))
                client.recv()
                client.send_text(json.dumps([2, "2", "BootNotification", BOOT]))
                client.recv()
                os.write(control, b"update http://127.0.0.1/fw.raucb\n")
                client.send_text(json.dumps([3, json.loads(client.recv()[1])[1], {}]))
                client.send_text(json.dumps([2, "3", "Heartbeat", {}]))
                client.recv()
            os.write(control, b"quit\n")
            assert process.wait(DEADLINE) == 1
            reader.join(DEADLINE)
        finally:
            process.kill()
            os.close(control)
        text = b"".join(shown).decode()
    assert "<- BootNotification" in text
    assert "!! BootNotification.x: no such field" in text
    assert "-> UpdateFirmware" in text and "fw.raucb" in text
    assert "<- UpdateFirmware.conf" in text


# --- The mock's own frames against the published schemas ---

def check_schema(name, payload):
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8-sig"))
    checker = jsonschema.FormatChecker()
    jsonschema.validators.validator_for(schema)(schema, format_checker=checker).validate(payload)


@pytest.mark.skipif(not SCHEMAS.is_dir(), reason="the published schemas are not here")
def test_own_frames_pass_the_published_schemas(start):
    mock = start("--call-timeout", "60")
    with ChargePoint(mock) as client:
        for number, (action, payload) in enumerate(GOOD_REQUESTS):
            answer = client.call(action, payload, f"s{number}")
            assert answer[0] == 3
            check_schema(action, payload)
            check_schema(action + "Response", answer[2])
        for command in ("update http://127.0.0.1/x +60 retries=1 interval=2", "trigger Heartbeat",
                        "trigger StatusNotification 1", "reset Hard", "get-configuration",
                        "get-configuration a b", "change-configuration a b c",
                        "change-availability 1 Operative", "big 1000"):
            mock.command(command)
            call = client.frame()
            client.send_text(json.dumps([4, call[1], "NotSupported", "", {}]))
            check_schema(call[2], call[3])
        for command, action, result in GOOD_RESULTS:
            if (SCHEMAS / f"{action}Response.json").exists():
                check_schema(action + "Response", result)
