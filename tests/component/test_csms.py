# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the CSMS sends, good and bad, and what it gets for it."""
import contextlib
import json
import os
import time

import pytest

from charger import BUILD, wait_until
from conftest import making
from simdevice import fixtures
from stages import NOW, STAGES, STARTED, wait_control, wait_up
from wsclient import Disconnected
from wsserver import Listener

HEARTBEAT = {"configurationKey": [{"key": "HeartbeatInterval", "readonly": False, "value": "300"}]}


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One charger for all the tests that leave it as it was."""
    with making(tmp_path_factory.mktemp("shared")) as make:
        charger = make(csms=["--time", NOW]).start()
        wait_until(lambda: connector_statuses(charger), "the first StatusNotification")
        yield charger


def connector_statuses(charger, start=0):
    return [(e["frame"][3]["connectorId"], e["frame"][3]["status"]) for e in charger.csms.events[start:]
            if e["event"] == "received" and e.get("action") == "StatusNotification" and e["frame"][0] == 2]


def answer_to(charger, command):
    """What the charge point sends between this message and its answer to a GetConfiguration: one frame, or None."""
    wait_until(lambda: connector_statuses(charger), "the first StatusNotification")
    start = charger.csms.mark()
    assert charger.csms.command(command) == "ok"
    charger.csms.wait_event("sent", start=start)
    last = charger.csms_call("get-configuration HeartbeatInterval")
    assert last[0] == 3 and last[2] == HEARTBEAT
    frames = [event["frame"] for event in charger.csms.events[start:] if event["event"] == "received"]
    assert frames[-1] == last and len(frames) <= 2
    return frames[0] if len(frames) == 2 else None


@contextlib.contextmanager
def own_csms(make_charger, scheme="ws", **options):
    """A charger, registered at a server in this process: (charger, listener, its connection)."""
    pki = fixtures.pki(BUILD)
    tls = {"security-profile": "3", "ca-file": pki / "csms-ca.crt", "client-cert-file": pki / "charge-point.crt",
           "client-key-file": pki / "charge-point.key"} if scheme == "wss" else {}
    with Listener(pki if tls else None) as listener:
        url = f"{scheme}://127.0.0.1:{listener.port}/ocpp"
        charger = power_on(make_charger(settings={"csms": {"url": url, **tls}}, **options))
        with listener.accept() as peer:
            peer.accept_registration(NOW)
            yield charger, listener, peer


def hex_of(text):
    return "raw-hex " + (text if isinstance(text, bytes) else text.encode()).hex()


# --------------------------------------------------------------------------------------------- bad frames: no answer

LONG = "x" * 255
IGNORED = [
    "raw hello",
    "raw {",
    "raw [2,\"a\",\"GetConfiguration\",{}",
    "raw [2,\"a\",\"GetConfiguration\",{}] trailing",
    "raw [2,'a','GetConfiguration',{}]",
    "raw [2,\"a\",\"GetConfiguration\",{\"key\":[1e999]}]",
    "raw [2,\"a\",\"GetConfiguration\",{\"key\":[99999999999999999999]}]",
    "raw [2,\"a\",\"GetConfiguration\",{\"key\":[\"\\ud800\"]}]",
    "raw [2,\"a\",\"GetConfiguration\",{\"key\":[\"\\u0000\"]}]",
    "raw {\"type\":2}", "raw 17", "raw \"text\"", "raw null", "raw true",
    "raw []", "raw [[]]", "raw [null,\"a\",\"Reset\",{}]",
    "raw [0,\"a\",\"Reset\",{\"type\":\"Soft\"}]", "raw [1,\"a\",\"Reset\",{\"type\":\"Soft\"}]",
    "raw [5,\"a\",\"Reset\",{\"type\":\"Soft\"}]", "raw [-2,\"a\",\"Reset\",{\"type\":\"Soft\"}]",
    "raw [2.5,\"a\",\"Reset\",{\"type\":\"Soft\"}]", "raw [\"2\",\"a\",\"Reset\",{\"type\":\"Soft\"}]",
    "raw [2]", "raw [2,\"\",\"Reset\",{}]", "raw [2,null,\"Reset\",{}]", "raw [2,{},\"Reset\",{}]",
    "raw [2,[],\"Reset\",{}]", "raw [2,true,\"Reset\",{}]",
    f"raw [2,\"{LONG}y\",\"GetConfiguration\",{{}}]",
    "raw [2,\"twice\",\"Reset\",{\"type\":\"Soft\",\"type\":\"Hard\"}]",
    "raw [2,\"twice\",\"GetConfiguration\",{\"key\":[],\"key\":[]}]",
    "raw " + "[" * 5000 + "]" * 5000,
    "raw " + "[" * 100000,
    "raw [2,\"deep\",\"GetConfiguration\",{\"key\":" + "[" * 3000 + "]" * 3000 + "}]",
    hex_of("[2,\"nul\",\"GetConfiguration\",{}\0]"),
    hex_of("[2,\"nul\0\",\"GetConfiguration\",{}]"),
    hex_of("\0"),
    hex_of("\ufeff"),
    hex_of("\ufeff\ufeff[2,\"two-boms\",\"GetConfiguration\",{}]"),
    hex_of(" "),
    # answers to nothing
    "raw [3,\"nobody-asked\",{}]", "raw [3,\"nobody-asked\",{\"status\":\"Accepted\"}]", "raw [3,7,{}]",
    "raw [4,\"nobody-asked\",\"GenericError\",\"\",{}]", "raw [4,\"nobody-asked\",\"GenericError\"]",
    "raw [3]", "raw [3,\"short\"]", "raw [3,\"long\",{},{}]", "raw [4,\"short\"]", "raw [4,\"no-code\",7,\"\",{}]",
    "raw [4,\"long\",\"GenericError\",\"\",{},{}]",
]


@pytest.mark.parametrize("command", IGNORED, ids=lambda command: command[:60])
def test_what_cannot_be_answered_is_ignored(shared, command):
    assert answer_to(shared, command) is None


def test_ignored_messages_are_counted_and_logged(charger):
    """And what is logged quotes nothing: it may be a password."""
    wait_control(charger)
    assert "ignored-messages" not in charger.status()
    assert answer_to(charger, "raw {\"AuthorizationKey\":\"geheim") is None
    assert answer_to(charger, "raw [2,\"a\",\"ChangeConfiguration\",{\"value\":\"geheim\",\"value\":\"geheim\"}]") is None
    assert charger.status()["ignored-messages"] == 2
    log = charger.log_text()
    assert log.count("a message of the CSMS is ignored: ") == 2 and "geheim" not in log


# ------------------------------------------------------------------------------------------- bad frames: named errors

def call(action, payload, ident="x"):
    return f"raw [2,{json.dumps(ident)},{json.dumps(action)},{payload}]"


NOT_OURS = ["ClearCache", "RemoteStartTransaction", "RemoteStopTransaction", "UnlockConnector",
            "GetLocalListVersion", "SendLocalList", "CancelReservation", "ReserveNow", "ClearChargingProfile",
            "GetCompositeSchedule", "SetChargingProfile", "CertificateSigned", "DeleteCertificate",
            "ExtendedTriggerMessage", "GetInstalledCertificateIds", "GetLog", "InstallCertificate", "SignedUpdateFirmware",
            # ours to send, not to receive
            "Authorize", "BootNotification", "DiagnosticsStatusNotification", "FirmwareStatusNotification", "Heartbeat",
            "LogStatusNotification", "MeterValues", "SecurityEventNotification", "SignCertificate",
            "SignedFirmwareStatusNotification", "StartTransaction", "StatusNotification", "StopTransaction"]
REFUSED = [
    ("FormationViolation", [
        "raw [2,\"x\"]", "raw [2,\"x\",\"Reset\"]", "raw [2,\"x\",\"Reset\",{\"type\":\"Soft\"},{}]",
        "raw [2,\"x\",7,{}]", "raw [2,\"x\",null,{}]", "raw [2,\"x\",{},{}]",
        call("Reset", "[]"), call("Reset", "\"Soft\""), call("Reset", "7"), call("Reset", "true"),
        call("GetConfiguration", "[]"), call("UpdateFirmware", "[{}]")]),
    ("NotImplemented", [
        call("Nonsense", "{}"), call("", "{}"), call("reset", "{\"type\":\"Soft\"}"), call("Reset ", "{}"),
        call("NotifyEvent", "{}"), call("x" * 300, "{}"), call("\u00e4\u20ac", "{}"), call("Nonsense", "[]")]),
    ("NotSupported", [call(action, payload) for action in NOT_OURS for payload in ("{}", "[]")]),
    ("OccurenceConstraintViolation", [
        call("Reset", "{}"), call("Reset", "null"), call("Reset", "{\"type\":null}"), call("Reset", "{\"Type\":\"Soft\"}"),
        call("UpdateFirmware", "{}"), call("UpdateFirmware", "{\"retrieveDate\":\"2031-05-01T12:00:00Z\"}"),
        call("ChangeAvailability", "{\"type\":\"Operative\"}"), call("ChangeAvailability", "{\"connectorId\":0}"),
        call("ChangeConfiguration", "{\"key\":\"HeartbeatInterval\"}"), call("ChangeConfiguration", "{\"value\":\"1\"}"),
        call("DataTransfer", "{\"data\":\"x\"}"), call("TriggerMessage", "{\"connectorId\":0}")]),
    ("TypeConstraintViolation", [
        call("Reset", "{\"type\":7}"), call("Reset", "{\"type\":[\"Soft\"]}"), call("Reset", "{\"type\":{}}"),
        call("UpdateFirmware", "{\"location\":7}"), call("UpdateFirmware", "{\"location\":[\"http://x/\"]}"),
        call("UpdateFirmware", "{\"location\":\"http://x/\",\"retrieveDate\":17}"),
        call("UpdateFirmware", "{\"location\":\"http://x/\",\"retries\":\"3\"}"),
        call("UpdateFirmware", "{\"location\":\"http://x/\",\"retries\":1.5}"),
        call("UpdateFirmware", "{\"location\":\"http://x/\",\"retryInterval\":true}"),
        call("ChangeAvailability", "{\"connectorId\":\"0\",\"type\":\"Operative\"}"),
        call("ChangeAvailability", "{\"connectorId\":0.5,\"type\":\"Operative\"}"),
        call("ChangeConfiguration", "{\"key\":\"HeartbeatInterval\",\"value\":300}"),
        call("GetConfiguration", "{\"key\":\"HeartbeatInterval\"}"), call("GetConfiguration", "{\"key\":[7]}"),
        call("GetConfiguration", "{\"key\":[\"HeartbeatInterval\",null]}"),
        call("TriggerMessage", "{\"requestedMessage\":\"StatusNotification\",\"connectorId\":\"1\"}")]),
    ("PropertyConstraintViolation", [
        call("Reset", "{\"type\":\"Medium\"}"), call("Reset", "{\"type\":\"soft\"}"), call("Reset", "{\"type\":\"\"}"),
        call("ChangeAvailability", "{\"connectorId\":0,\"type\":\"Broken\"}"),
        call("ChangeAvailability", "{\"connectorId\":99999999999,\"type\":\"Operative\"}"),
        call("ChangeAvailability", "{\"connectorId\":1e300,\"type\":\"Operative\"}"),
        call("ChangeConfiguration", json.dumps({"key": "k" * 51, "value": "1"})),
        call("ChangeConfiguration", json.dumps({"key": "HeartbeatInterval", "value": "1" * 501})),
        call("GetConfiguration", json.dumps({"key": ["k" * 51]})),
        call("DataTransfer", json.dumps({"vendorId": "v" * 256})),
        call("DataTransfer", json.dumps({"vendorId": "v", "messageId": "m" * 51})),
        call("TriggerMessage", json.dumps({"requestedMessage": "m" * 51})),
        call("UpdateFirmware", json.dumps({"location": "http://x/" + "y" * 2000})),
        call("UpdateFirmware", "{\"location\":\"http://x/\",\"retries\":-1}"),
        call("UpdateFirmware", "{\"location\":\"http://x/\",\"retryInterval\":-1}"),
        call("UpdateFirmware", "{\"location\":\"http://x/\",\"retryInterval\":2147483648}"),
        call("UpdateFirmware", "{\"location\":\"http://x/\",\"retrieveDate\":\"soon\"}")]),
]


@pytest.mark.parametrize("code, command", [(code, command) for code, commands in REFUSED for command in commands],
                         ids=lambda value: value[:60])
def test_bad_calls_get_the_error_that_names_what_is_wrong(shared, code, command):
    answer = answer_to(shared, command)
    assert answer[:3] == [4, "x", code] and len(answer) == 5 and answer[4] == {}
    assert 0 < len(answer[3]) <= 255
    if '"UpdateFirmware"' in command:
        wait_control(shared)
        assert shared.history() == []


# ------------------------------------------------------------------------------------------------- odd, but understood

UNKNOWN = {"status": "UnknownVendorId"}
ASKED = "{\"key\":[\"HeartbeatInterval\"]}"
GOOD = [
    (call("GetConfiguration", ASKED), "x", HEARTBEAT),
    (call("GetConfiguration", "{\"key\":[\"HeartbeatInterval\"],\"customData\":{\"a\":[1,2]}}"), "x", HEARTBEAT),
    (call("GetConfiguration", "{\"key\":[\"heartbeatinterval\",\"HEARTBEATINTERVAL\"]}"), "x", HEARTBEAT),
    (call("DataTransfer", "{\"vendorId\":\"v\",\"messageId\":null,\"data\":null}"), "x", UNKNOWN),
    (call("DataTransfer", json.dumps({"vendorId": "v", "data": "x" * 100000})), "x", UNKNOWN),
    (call("ChangeAvailability", "{\"connectorId\":0.0,\"type\":\"Operative\"}"), "x", {"status": "Accepted"}),
    (call("ChangeAvailability", "{\"connectorId\":1e0,\"type\":\"Operative\"}"), "x", {"status": "Rejected"}),
    (call("ChangeConfiguration", "{\"key\":\"HeartbeatInterval\",\"value\":\"0\",\"z\":1}"), "x", {"status": "Rejected"}),
    (call("GetConfiguration", ASKED, 17), 17, HEARTBEAT),
    (call("GetConfiguration", ASKED, -3), -3, HEARTBEAT),
    (call("GetConfiguration", ASKED, 0.1), 0.1, HEARTBEAT),
    (call("GetConfiguration", ASKED, 2**53 + 1), 2**53 + 1, HEARTBEAT),
    (call("GetConfiguration", ASKED, LONG), LONG, HEARTBEAT),
    (call("GetConfiguration", ASKED, "\u00e4\"\\\u20ac \n"), "\u00e4\"\\\u20ac \n", HEARTBEAT),
    (hex_of("[2,\"\u00e4\u20ac\U0001f697\",\"GetConfiguration\"," + ASKED + "]"), "\u00e4\u20ac\U0001f697", HEARTBEAT),
    (hex_of(" \t\r\n[ 2 ,\n\"x\",\"GetConfiguration\" , " + ASKED + " ] \n"), "x", HEARTBEAT),
    (f"fragmented 7 [2,\"x\",\"GetConfiguration\",{ASKED}]", "x", HEARTBEAT),
    (f"fragmented 40 [2,\"x\",\"GetConfiguration\",{ASKED}]", "x", HEARTBEAT),
    (hex_of("\ufeff[2,\"x\",\"GetConfiguration\"," + ASKED + "]"), "x", HEARTBEAT),
    (f"raw [2.0,\"x\",\"GetConfiguration\",{ASKED}]", "x", HEARTBEAT),
    (call("TriggerMessage", "{\"requestedMessage\":\"LogStatusNotification\"}"), "x", {"status": "NotImplemented"}),
]


@pytest.mark.parametrize("command, ident, payload", GOOD, ids=[row[0][:60] for row in GOOD])
def test_odd_but_understood(shared, command, ident, payload):
    assert answer_to(shared, command) == [3, ident, payload]


def test_null_is_an_empty_payload(shared):
    answer = answer_to(shared, call("GetConfiguration", "null"))
    assert answer[:2] == [3, "x"] and len(answer[2]["configurationKey"]) == len(KEYS)


def test_an_update_with_odd_numbers_and_nulls_runs(charger):
    url = charger.publish("2.0.0")
    payload = {"location": url, "retries": 2.0, "retryInterval": 60.0, "retrieveDate": None, "vendorField": [{}]}
    assert charger.csms.command(call("UpdateFirmware", json.dumps(payload))) == "ok"
    answer = charger.csms.wait_event("received", lambda event: event["frame"][1] == "x")
    assert answer["frame"] == [3, "x", {}]
    charger.wait_reboot_requested()
    wait_control(charger)
    assert charger.status()["job"]["retries"] == 2
    assert charger.statuses() == STARTED


def reconnects_after(charger, command, code):
    """The message closes the connection with that code, and the charge point comes back without a BootNotification."""
    boots = len(charger.boots())
    start = charger.csms.mark()
    assert charger.csms.command(command) == "ok"
    closed = charger.csms.wait_event("disconnected", start=start)
    assert (closed["code"], closed["by"]) == (code, "charge point")
    charger.csms.wait_event("connected", start=start)
    assert charger.csms_call("get-configuration HeartbeatInterval")[2] == HEARTBEAT
    assert len(charger.boots()) == boots


@pytest.mark.parametrize("data", [b"\xff", b"[2,\"x\",\"GetConfiguration\",{\"key\":[\"\xc3\x28\"]}]", b"\xed\xa0\x80",
                                  b"[2,\"x\",\"GetConfiguration\",{}]\xc3", b"\xf4\x90\x80\x80"])
def test_what_is_not_utf8_closes_the_connection(charger, data):
    reconnects_after(charger, hex_of(data), 1007)
    charger.wait_log("we closed the connection: a message came that is not UTF-8")


def asked(peer):
    peer.send_text(call("GetConfiguration", ASKED).removeprefix("raw "))
    return peer.frame()


def test_too_large_a_message_closes_the_connection(make_charger):
    with own_csms(make_charger) as (charger, listener, peer):
        peer.send_text(call("DataTransfer", json.dumps({"vendorId": "v", "data": "x" * 262144})).removeprefix("raw "))
        with pytest.raises(Disconnected) as closed:
            peer.recv()
        assert closed.value.code == 1009
        charger.wait_log("we closed the connection: a message came that is too large")
        peer.drop()
        with listener.accept() as again:
            assert asked(again)[:2] == [3, "x"]


def test_the_largest_message_is_taken(charger):
    reply = charger.csms_call("big 262144")
    assert reply[0] == 3 and reply[2] == UNKNOWN


def test_max_message_bytes_is_a_setting(make_charger):
    charger = make_charger(settings={"csms": {"max-message-bytes": "4K"}}).start()
    assert charger.csms_call("big 4096")[2] == UNKNOWN
    reconnects_after(charger, "now big 4097", 1009)


# -------------------------------------------------------------------------------------------------- configuration keys

KEYS = {
    "GetConfigurationMaxKeys": (True, "50"),
    "HeartbeatInterval": (False, "300"),
    "NumberOfConnectors": (True, "0"),
    "SecurityProfile": (True, "0"),
    "SupportedFeatureProfiles": (True, "Core,FirmwareManagement,RemoteTrigger"),
    "SupportedFileTransferProtocols": (True, "HTTP,HTTPS"),
    "WebSocketPingInterval": (False, "60"),
}


def configuration(charger, *keys):
    """({key: (readonly, value)}, unknown keys)"""
    conf = charger.csms_call(" ".join(["get-configuration", *keys]))[2]
    known = {entry["key"]: (entry["readonly"], entry["value"]) for entry in conf["configurationKey"]}
    assert len(known) == len(conf["configurationKey"])
    return known, conf.get("unknownKey", [])


def change(charger, key, value):
    return charger.csms_call(f"change-configuration {key} {value}")[2]["status"]


def test_get_configuration(make_charger):
    charger = make_charger(settings={"charge-point": {"connectors": "2"}, "csms": {"ping-interval": "17"}}).start()
    own = {**KEYS, "NumberOfConnectors": (True, "2"), "WebSocketPingInterval": (False, "17")}
    own["GetConfigurationMaxKeys"] = configuration(charger)[0]["GetConfigurationMaxKeys"]
    assert int(own["GetConfigurationMaxKeys"][1]) >= len(own)
    assert configuration(charger) == (own, [])
    assert charger.csms_call("call GetConfiguration {\"key\":[]}")[2] == charger.csms_call("get-configuration")[2]
    asked = ["NumberOfConnectors", "Nonsense", "WebSocketPingInterval", "AuthorizationKey"]
    known, unknown = configuration(charger, *asked)
    assert known == {key: own[key] for key in ("NumberOfConnectors", "WebSocketPingInterval")}
    assert unknown == ["Nonsense", "AuthorizationKey"]
    assert configuration(charger, "Nonsense") == ({}, ["Nonsense"])


@pytest.mark.parametrize("key, value, status", [
    ("HeartbeatInterval", "1", "Accepted"), ("HeartbeatInterval", "86400", "Accepted"),
    ("heartbeatINTERVAL", "600", "Accepted"), ("WebSocketPingInterval", "0", "Accepted"),
    ("HeartbeatInterval", "0", "Rejected"), ("HeartbeatInterval", "-1", "Rejected"),
    ("HeartbeatInterval", "86401", "Rejected"),
    ("HeartbeatInterval", "3.5", "Rejected"), ("HeartbeatInterval", "abc", "Rejected"),
    ("HeartbeatInterval", "", "Rejected"),
    ("HeartbeatInterval", "12 ", "Rejected"), ("HeartbeatInterval", "99999999999999999999", "Rejected"),
    ("WebSocketPingInterval", "-1", "Rejected"), ("WebSocketPingInterval", "86401", "Rejected"),
    ("NumberOfConnectors", "2", "Rejected"), ("SecurityProfile", "0", "Rejected"),
    ("GetConfigurationMaxKeys", "9", "Rejected"),
    ("SupportedFeatureProfiles", "Core", "Rejected"),
    ("Nonsense", "1", "NotSupported"), ("MeterValueSampleInterval", "60", "NotSupported"),
    ("LocalPreAuthorize", "true", "NotSupported"),
])
def test_change_configuration(charger, key, value, status):
    """What is Accepted is changed, and stays so over a restart; nothing else changes anything.  But the heartbeat's interval is then
    again the one of BootNotification.conf (C 4.2)."""
    before = configuration(charger)[0]
    payload = json.dumps({"key": key, "value": value})
    assert charger.csms_call(f"call ChangeConfiguration {payload}")[2] == {"status": status}
    expected = dict(before)
    if status == "Accepted":
        name = next(name for name in before if name.lower() == key.lower())
        expected[name] = (False, value)
    assert configuration(charger)[0] == expected
    charger.restart_agent()
    wait_up(charger)
    assert configuration(charger)[0] == {**expected, "HeartbeatInterval": (False, "300")}


# --------------------------------------------------------------------------------------------------------- availability

def test_availability(make_charger):
    charger = make_charger(settings={"charge-point": {"connectors": "2"}}).start()

    def changed(connector, kind, expected):
        """The answer, then the StatusNotifications."""
        start = charger.csms.mark()
        status = charger.csms_call(f"change-availability {connector} {kind}")[2]["status"]
        wait_until(lambda: len(connector_statuses(charger, start)) >= len(expected), "StatusNotifications")
        charger.csms_call("get-configuration HeartbeatInterval")
        assert connector_statuses(charger, start) == expected
        return status

    wait_until(lambda: len(connector_statuses(charger)) == 3, "the first StatusNotifications")
    assert connector_statuses(charger) == [(0, "Available"), (1, "Available"), (2, "Available")]
    assert changed(1, "Inoperative", [(1, "Unavailable")]) == "Accepted"
    assert changed(1, "Inoperative", []) == "Accepted"
    assert changed(3, "Inoperative", []) == "Rejected"
    assert changed(-1, "Inoperative", []) == "Rejected"
    start = charger.csms.mark()
    charger.restart_agent()
    wait_until(lambda: len(connector_statuses(charger, start)) == 3, "StatusNotifications after the restart")
    assert connector_statuses(charger, start) == [(0, "Available"), (1, "Unavailable"), (2, "Available")]
    assert changed(0, "Inoperative", [(0, "Unavailable"), (2, "Unavailable")]) == "Accepted"
    assert changed(0, "Operative", [(0, "Available"), (1, "Available"), (2, "Available")]) == "Accepted"
    charger.restart_agent()
    wait_up(charger)
    wait_until(lambda: connector_statuses(charger)[-3:] == [(0, "Available"), (1, "Available"), (2, "Available")], "all")


# -------------------------------------------------------------------------------------------------------- TriggerMessage

def triggered(charger, message, action=None):
    """The conf's status, and the CALLs that came since, all of them behind the conf."""
    start = charger.csms.mark()
    status = charger.csms_call(f"trigger {message}")[2]["status"]
    if action:
        charger.csms.wait_event("received", lambda f: f.get("action") == action and f["frame"][0] == 2, start)
    charger.csms_call("get-configuration HeartbeatInterval")
    received = [e["frame"] for e in charger.csms.events[start:] if e["event"] == "received"]
    assert received[0] == [3, received[0][1], {"status": status}]
    return status, [(frame[2], frame[3]) for frame in received if frame[0] == 2]


@pytest.mark.parametrize("message, status", [
    ("BootNotification", "Rejected"), ("MeterValues", "NotImplemented"),
    ("StatusNotification 1", "Rejected"), ("StatusNotification -1", "Rejected"), ("Nonsense", "NotImplemented"),
    ("LogStatusNotification", "NotImplemented"), ("SignChargePointCertificate", "NotImplemented"),
])
def test_triggers_that_lead_to_nothing(shared, message, status):
    assert triggered(shared, message) == (status, [])


def test_triggers(make_charger):
    charger = make_charger(settings={"charge-point": {"connectors": "1"}}, csms=["--time", NOW]).start()
    wait_until(lambda: len(connector_statuses(charger)) == 2, "the first StatusNotifications")
    assert triggered(charger, "Heartbeat", "Heartbeat") == ("Accepted", [("Heartbeat", {})])
    idle = ("FirmwareStatusNotification", {"status": "Idle"})
    assert triggered(charger, "FirmwareStatusNotification", idle[0]) == ("Accepted", [idle])
    idle = ("DiagnosticsStatusNotification", {"status": "Idle"})
    assert triggered(charger, "DiagnosticsStatusNotification", idle[0]) == ("Accepted", [idle])
    status, calls = triggered(charger, "StatusNotification 1", "StatusNotification")
    assert status == "Accepted"
    assert [(c[0], c[1]["connectorId"], c[1]["status"], c[1]["errorCode"]) for c in calls] == [
        ("StatusNotification", 1, "Available", "NoError")]
    assert calls[0][1]["timestamp"].startswith("2031-05-01T12:0")
    start = charger.csms.mark()
    assert triggered(charger, "StatusNotification", "StatusNotification")[0] == "Accepted"
    wait_until(lambda: connector_statuses(charger, start) == [(0, "Available"), (1, "Available")], "both connectors")


@pytest.mark.parametrize("name", ["scheduled", "downloading", "installing-written", "reboot-wait", "confirming",
                                  "undoing"])
def test_the_triggered_status_of_a_job_is_its_last(make_charger, name):
    stage = STAGES[name]
    charger = stage.freeze(make_charger)
    last = stage.statuses[-1] if stage.statuses else "Idle"
    status, calls = triggered(charger, "FirmwareStatusNotification", "FirmwareStatusNotification")
    assert (status, calls) == ("Accepted", [("FirmwareStatusNotification", {"status": last})])
    stage.thaw(charger)
    end = charger.play()
    assert charger.statuses() == [*stage.statuses, last, *stage.end[len(stage.statuses):]]
    wait_up(charger)
    charger.wait_idle()
    assert triggered(charger, "FirmwareStatusNotification", "FirmwareStatusNotification")[1][-1][1] == {"status": "Idle"}
    assert end == stage.end[-1]


def test_a_triggered_status_comes_behind_what_waits(make_charger):
    """Three statuses are in the outbox, the first unanswered: the triggered one may not overtake them."""
    charger = make_charger(settings={"csms": {"call-timeout": "1"}}, csms=["--call-timeout", "1"]).start()
    wait_control(charger)
    assert charger.csms.command("mute FirmwareStatusNotification on") == "ok"
    charger.device.hold_verb("set-primary")
    charger.update("2.0.0")
    charger.device.wait_backend_call("set-primary", "B")
    assert charger.csms_call("trigger FirmwareStatusNotification")[2] == {"status": "Accepted"}
    charger.wait_log("FirmwareStatusNotification was not answered; it is sent again")
    charger.csms_call("get-configuration HeartbeatInterval")
    assert charger.statuses() == ["Downloading"]
    assert charger.csms.command("mute FirmwareStatusNotification off") == "ok"
    assert charger.csms.command("drop") == "ok"
    wait_until(lambda: len(charger.statuses()) >= 5, "the statuses")
    assert charger.statuses() == ["Downloading", *STARTED, "Installing"]


# ---------------------------------------------------------------------------------------------------------- registration

def actions(charger):
    """Of the CALLs that the CSMS has received, in order."""
    return [event["action"] for event in charger.csms.received() if event["frame"][0] == 2]


def power_on(charger):
    charger.device.start_bus()
    charger.device.power_on()
    charger.start_agent()
    return charger


def boot_charger(make_charger, *options, settings=None):
    """Started, but not waited for."""
    return power_on(make_charger(settings=settings, csms=["--time", NOW, *options]))


def test_pending(make_charger):
    """CALLs are answered; only what is triggered is sent; the rest comes when it is Accepted."""
    charger = boot_charger(make_charger, "--boot", "Pending,Accepted", "--interval", "3600",
                           settings={"charge-point": {"connectors": "1"}})
    charger.wait_log("registration Pending, interval")
    wait_control(charger)
    assert charger.status()["registration"] == "Pending"
    assert change(charger, "WebSocketPingInterval", "30") == "Accepted"
    assert charger.csms_call("call DataTransfer {\"vendorId\":\"v\"}")[2] == UNKNOWN
    assert actions(charger) == ["BootNotification"]
    triggered(charger, "Heartbeat", "Heartbeat")
    triggered(charger, "FirmwareStatusNotification", "FirmwareStatusNotification")
    triggered(charger, "StatusNotification 1", "StatusNotification")
    sent = ["BootNotification", "Heartbeat", "FirmwareStatusNotification", "StatusNotification"]
    assert actions(charger) == sent and charger.statuses() == ["Idle"]

    charger.update("2.0.0")                                     # the CSMS may well do that
    charger.wait_step("installing -> reboot-wait")
    charger.csms_call("get-configuration HeartbeatInterval")
    assert actions(charger) == sent
    assert charger.status()["reboot-waits-for"].endswith("reports to the CSMS")
    assert charger.csms_call("trigger BootNotification")[2] == {"status": "Accepted"}
    charger.wait_registered()
    assert charger.play() == "Installed"
    assert charger.statuses() == ["Idle", *STARTED, "Installed"]
    assert connector_statuses(charger)[:3] == [(1, "Available"), (0, "Available"), (1, "Available")]


def test_rejected(make_charger):
    """Silence in both directions until the interval is over."""
    charger = boot_charger(make_charger, "--boot", "Rejected,Accepted", "--interval", "3", "--call-timeout", "1")
    charger.wait_log("registration Rejected, interval")
    begun = time.monotonic()
    for command in ("now get-configuration", "now trigger BootNotification", "now trigger Heartbeat",
                    "now call Nonsense {}", "raw [2,\"x\"]"):
        assert charger.csms.command(command) == "ok"
    wait_until(lambda: len(charger.boots()) == 2, "the second BootNotification")
    assert time.monotonic() - begun > 1.5
    received = [event["frame"] for event in charger.csms.received()]
    assert [frame[0] for frame in received[:2]] == [2, 2] and received[1][2] == "BootNotification"
    charger.wait_registered()
    assert charger.csms_call("get-configuration HeartbeatInterval")[2]["configurationKey"]


def bad_conf(payload):
    """An answer to BootNotification which is none."""
    def answer(charger):
        ident = charger.boots()[0]["frame"][1]
        assert charger.csms.command(f"raw [3,{json.dumps(ident)},{json.dumps(payload)}]") == "ok"
        charger.wait_log("BootNotification failed; it is tried again")
    return answer


@pytest.mark.parametrize("answer", [
    lambda charger: None,
    bad_conf({}),
    bad_conf({"status": "Maybe", "currentTime": NOW, "interval": 1}),
    bad_conf({"status": "Accepted", "currentTime": "noon", "interval": 1}),
    bad_conf({"status": "Accepted", "interval": 1}),
])
def test_a_boot_notification_without_a_good_answer_is_not_accepted(make_charger, answer):
    """A new connection is a new chance."""
    charger = make_charger(settings={"csms": {"call-timeout": "3600"}})
    assert charger.csms.command("mute BootNotification on") == "ok"
    power_on(charger)
    wait_until(charger.boots, "BootNotification")
    answer(charger)
    wait_control(charger)
    assert charger.status()["registration"] == "None"
    assert set(actions(charger)) == {"BootNotification"}
    assert charger.csms.command("mute BootNotification off") == "ok"
    assert charger.csms.command("drop") == "ok"
    charger.wait_registered()


def test_boot_notification_is_tried_again_after_an_error(make_charger):
    charger = make_charger()
    assert charger.csms.command("error BootNotification InternalError 1") == "ok"
    charger.start()
    first, second = wait_until(lambda: len(charger.boots()) == 2 and charger.boots(), "both of them")
    assert first["frame"][1] != second["frame"][1]
    assert "BootNotification failed; it is tried again" in charger.log_text()
    assert actions(charger)[:2] == ["BootNotification", "BootNotification"]


# ------------------------------------------------------------------------------------------------------------- a flood

FLOOD = 2000
QUARANTINE = ["env", "ASAN_OPTIONS=detect_leaks=1:quarantine_size_mb=1"]    # what is freed counts as freed


def rss_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_a_flood_of_calls_is_answered_in_order_and_memory_stays_bounded(make_charger, scheme):
    with own_csms(make_charger, scheme, wrap=QUARANTINE) as (charger, _, peer):
        sizes = []
        for name in ("first", "second", "third"):
            peer.send_texts(f'[2,"{name}-{i}","GetConfiguration",{{}}]' for i in range(FLOOD))
            answers = [peer.frame() for _ in range(FLOOD)]
            assert [answer[:2] for answer in answers] == [[3, f"{name}-{i}"] for i in range(FLOOD)]
            sizes.append(rss_kib(charger.agent.pid))
        assert sizes[2] - sizes[0] < 4096, sizes
        assert len(charger.log_text().splitlines()) < 100


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_a_flood_whose_sender_does_not_read(make_charger, scheme):
    """It sends until nobody takes it any more, then looks at the answers: none is lost, and meanwhile we neither gather them without
    end nor spin."""
    with own_csms(make_charger, scheme, wrap=QUARANTINE) as (charger, _, peer):
        pid = charger.agent.pid
        peer.send_texts(f'[2,"warm-{i}","GetConfiguration",{ASKED}]' for i in range(FLOOD))
        for _ in range(FLOOD):
            peer.frame()
        before = rss_kib(pid)
        ids = [f"n-{i}" for i in range(1000 * FLOOD)]
        sent, rest = peer.send_until_stuck((f'[2,"{ident}","GetConfiguration",{ASKED}]' for ident in ids), 1.0)
        assert FLOOD < sent < len(ids)
        assert rss_kib(pid) - before < 4096
        begun, used = time.monotonic(), cpu_seconds(pid)
        wait_until(lambda: time.monotonic() - begun > 1, "a second of doing nothing")
        assert cpu_seconds(pid) - used < 0.3
        peer.send_bytes(rest)
        answers = [peer.frame() for _ in range(sent)]
        assert [answer[:2] for answer in answers] == [[3, ident] for ident in ids[:sent]]
        assert asked(peer)[:2] == [3, "x"]


def test_a_flood_that_no_queue_can_hold_ends_the_connection(make_charger):
    """As many CALLs as one TLS record holds, each with an answer much longer: they all come before the first answer can go."""
    with own_csms(make_charger, "wss") as (charger, listener, peer):
        peer.send_texts(["[2,1]"] * (16384 // 7))
        with pytest.raises(Disconnected) as closed:
            while True:
                assert peer.frame()[:3] == [4, 1, "FormationViolation"]
        assert closed.value.code == 1008
        charger.wait_log("we closed the connection: too many messages came at once")
        peer.drop()
        with listener.accept() as again:
            assert asked(again)[:2] == [3, "x"]
