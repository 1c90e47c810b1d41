# SPDX-License-Identifier: LGPL-2.1-or-later
"""The link to the CSMS fails, refuses or stays mute: what it has to hear arrives once, in order, and no update depends on it."""
import socket

import pytest

from charger import IDENTITY, wait_until

HAPPY = ["Downloading", "Downloaded", "Installing", "Installed"]
NAME = "2.0.0.raucb"
FSN = "FirmwareStatusNotification"
PATIENT = {"update": {"report-wait": "3600"}}       # no reboot before the CSMS has heard all
HASTY = {"csms": {"call-timeout": "1"}}
HASTY_CSMS = ("--call-timeout", "1")


def settle(charger, statuses):
    """The CSMS has heard exactly these, and the agent knows that it has."""
    wait_until(lambda: charger.statuses() == statuses, f"the statuses {statuses}")
    charger.csms_call("get-configuration")


def tell(charger, command):
    assert charger.csms.command(command) == "ok"


def status_ids(charger):
    return [frame["frame"][1] for frame in charger.csms.received(FSN)]


def calls(charger):
    """The actions of the CALLs that the CSMS has received, in order."""
    return [frame["action"] for frame in charger.csms.received() if frame["frame"][0] == 2]


def sever(charger):
    """The CSMS goes away as if it had died; `listen` brings it back."""
    tell(charger, "stop-listening")
    tell(charger, "drop")
    charger.csms.wait_event("disconnected")
    wait_until(lambda: charger.status()["connected"] is False, "the agent to notice")


def hold_download(charger):
    held = charger.server.fault(NAME, "hold", after=4096)
    charger.update("2.0.0", options="retries=0")
    held.wait_reached()
    settle(charger, HAPPY[:1])
    return held


# ------------------------------------------------------------------------------------------------- lost connections

@pytest.mark.parametrize("loss", ["drop", "close 1001", "close 1011"])
def test_link_lost_during_installation(make_charger, loss):
    """What was queued meanwhile arrives in order after the reconnect, without a BootNotification; the reboot waits for it."""
    charger = make_charger(settings=PATIENT).start()
    held = hold_download(charger)
    tell(charger, "stop-listening")
    tell(charger, loss)
    wait_until(lambda: charger.status()["connected"] is False, "the agent to notice")
    held.release()
    charger.wait_step("installing -> reboot-wait")
    assert "2 reports to the CSMS" in charger.status()["reboot-waits-for"]
    assert charger.statuses() == HAPPY[:1] and not charger.device.reboot_requests()
    tell(charger, "listen")
    charger.wait_reboot_requested()
    settle(charger, HAPPY[:3])
    assert len(charger.boots()) == 1
    assert charger.play() == "Installed"
    settle(charger, HAPPY)
    assert len(charger.boots()) == 2


@pytest.mark.parametrize("status", ["Downloading", "Downloaded", "Installed"])
def test_link_lost_with_a_status_in_flight(make_charger, status):
    """The one whose answer was lost is said once more, the others are not."""
    charger = make_charger(settings=PATIENT).start()
    in_flight(charger, status, "drop " + FSN)
    assert charger.play() == "Installed"
    i = HAPPY.index(status)
    settle(charger, HAPPY[:i + 1] + HAPPY[i:])
    assert len(set(status_ids(charger))) == 5


def in_flight(charger, status, command):
    """Runs the command just before the CSMS receives this status; returns when it has."""
    if status == "Downloading":
        tell(charger, command)
        charger.update("2.0.0")
    elif status == "Downloaded":
        held = hold_download(charger)
        tell(charger, command)
        held.release()
    else:
        charger.update("2.0.0")
        charger.wait_reboot_requested()
        settle(charger, HAPPY[:3])
        tell(charger, command)
        charger.reboot()
    charger.wait_status(status)


def test_csms_away_during_the_whole_update(make_charger):
    """The reboot does not wait for ever; what happened is told after it, in order, and after BootNotification."""
    charger = make_charger(settings={"update": {"report-wait": "2"}}).start()
    held = hold_download(charger)
    sever(charger)
    held.release()
    charger.wait_reboot_requested()
    assert charger.reboot() == "B"
    charger.wait_step("rebooting -> confirming")
    tell(charger, "listen")
    charger.wait_end()
    settle(charger, HAPPY)
    assert [call for call in calls(charger) if call != "StatusNotification"] == [
        "BootNotification", FSN, "BootNotification", FSN, FSN, FSN]
    assert charger.boots()[1]["frame"][3]["firmwareVersion"] == "2.0.0"
    charger.wait_state("installed")


def test_csms_away_over_restarts(make_charger):
    """The queue lies in the store: the agent may die as well."""
    charger = make_charger(settings=PATIENT).start()
    held = hold_download(charger)
    sever(charger)
    held.release()
    charger.wait_step("installing -> reboot-wait")
    charger.restart_agent()
    charger.wait_step("reboot-wait -> reboot-wait")
    charger.stop_agent()
    charger.start_agent()
    tell(charger, "listen")
    charger.wait_reboot_requested()
    settle(charger, HAPPY[:3])
    assert charger.play() == "Installed"
    settle(charger, HAPPY)


# ---------------------------------------------------------------------------------------------- refused and unanswered

@pytest.mark.parametrize("code", ["NotSupported", "NotImplemented", "InternalError"])
def test_statuses_are_refused(make_charger, code):
    """A CALLERROR is an answer: the update goes on, nothing is said twice."""
    charger = make_charger(settings=PATIENT).start()
    tell(charger, f"error {FSN} {code}")
    charger.update("2.0.0")
    assert charger.play() == "Installed"
    settle(charger, HAPPY)
    charger.wait_state("installed")
    assert charger.log_text().count(f"answers {FSN} with {code}") == 4
    assert charger.install_calls() == 1


def test_statuses_are_not_answered(make_charger):
    """Each is sent again, with a new id, until it is answered, and the next only then; the installation goes on alone."""
    charger = make_charger(settings={**HASTY, **PATIENT}, csms=HASTY_CSMS).start()
    tell(charger, f"mute {FSN} on")
    charger.update("2.0.0")
    charger.wait_step("installing -> reboot-wait")
    charger.wait_status("Downloading", 2)
    assert charger.statuses() == 2 * HAPPY[:1]
    assert not charger.device.reboot_requests()
    tell(charger, f"mute {FSN} off")
    tell(charger, "drop")
    assert charger.play() == "Installed"
    settle(charger, 2 * HAPPY[:1] + HAPPY)
    assert len(set(status_ids(charger))) == 6
    assert charger.install_calls() == 1


@pytest.mark.parametrize("answer", ["conf", "error"])
def test_last_status_is_not_answered(make_charger, answer):
    """It is sent again and again, over a restart and a reconnect, too; the installation never is."""
    charger = make_charger(settings={**HASTY, **PATIENT}, csms=HASTY_CSMS).start()
    in_flight(charger, "Installed", f"mute {FSN} on")
    charger.wait_status("Installed", 2)
    charger.restart_agent()
    charger.wait_status("Installed", 3)
    charger.wait_state("installed")
    if answer == "error":
        tell(charger, f"error {FSN} InternalError 1")
    tell(charger, f"mute {FSN} off")
    tell(charger, "drop")                           # a new connection is a new chance: at once
    charger.wait_status("Installed", 4)
    charger.csms_call("get-configuration")
    tell(charger, "drop")
    charger.wait_log("notice: connected to", 5)
    charger.csms_call("get-configuration")
    assert charger.statuses() == HAPPY[:3] + 4 * HAPPY[3:]
    assert len(set(status_ids(charger))) == 7
    assert charger.install_calls() == 1
    charger.update("3.0.0")
    assert charger.play(5) == "Installed"
    settle(charger, HAPPY[:3] + 4 * HAPPY[3:] + HAPPY)


@pytest.mark.parametrize("status", ["Downloading", "Downloaded", "Installed"])
def test_agent_dies_with_a_status_in_flight(make_charger, status):
    """Nobody knows whether it was heard: it is said once more, and only it."""
    charger = make_charger(settings=PATIENT).start()
    in_flight(charger, status, f"mute {FSN} on")
    charger.kill_agent()
    tell(charger, f"mute {FSN} off")
    charger.start_agent()
    assert charger.play() == "Installed"
    i = HAPPY.index(status)
    settle(charger, HAPPY[:i + 1] + HAPPY[i:])
    assert charger.install_calls() == 1


# ------------------------------------------------------------------------------------------- refused connections

def reconnected(charger, count=2):
    charger.wait_log("notice: connected to", count)
    charger.csms_call("get-configuration")


# libwebsockets 4.1 knows no 1012 and takes it for a protocol error.
@pytest.mark.parametrize("code, shown", [(1000, 1000), (1001, 1001), (1008, 1008), (1011, 1011), (1012, 1002),
                                         (3000, 3000), (4999, 4999)])
def test_close_codes(charger, code, shown):
    tell(charger, f"close {code}")
    charger.wait_log(f"connection to the CSMS ended: the CSMS closed the connection with code {shown}")
    reconnected(charger)
    assert len(charger.boots()) == 1


@pytest.mark.parametrize("status, words", [
    (401, "the CSMS refused identity or password (HTTP 401)"),
    (404, f"the CSMS does not know the identity {IDENTITY} (HTTP 404)"),
    (503, "the server refused the WebSocket with HTTP status 503"),
])
def test_refused_upgrade(charger, status, words):
    tell(charger, f"refuse {status}")
    tell(charger, "drop")
    charger.wait_log(f"cannot connect to ws://127.0.0.1:{charger.csms.port}/ocpp: {words}; next try in")
    assert words in charger.status()["connection-trouble"]
    tell(charger, "refuse off")
    reconnected(charger)
    assert len(charger.boots()) == 1
    assert "connection-trouble" not in charger.status()


def test_csms_comes_late(make_charger):
    """The agent is there first: it waits, in words that say what for."""
    charger = make_charger()
    charger.csms_port = charger.csms.port
    tell(charger, "stop-listening")
    charger.device.start_bus()
    charger.device.power_on()
    charger.start_agent()
    charger.wait_log(f"cannot connect to 127.0.0.1 port {charger.csms_port}: Connection refused; next try in")
    assert charger.status()["registration"] == "None"
    tell(charger, "listen")
    charger.wait_registered()
    charger.update("2.0.0")
    assert charger.play() == "Installed"
    settle(charger, HAPPY)


def test_no_subprotocol(make_charger):
    charger = make_charger(csms=("--no-subprotocol",))
    charger.device.start_bus()
    charger.device.power_on()
    charger.start_agent()
    charger.wait_log("the server does not select the sub-protocol ocpp1.6, but none: is it an OCPP 1.6 CSMS?; next try in")
    assert not charger.boots()


@pytest.mark.parametrize("how", ["setting", "key"])
def test_frozen_csms(make_charger, how):
    """No pong: the link is dead, although nobody closed it."""
    charger = make_charger(settings={"csms": {"ping-interval": "1" if how == "setting" else "0"}}).start()
    if how == "key":
        assert charger.csms_call("change-configuration WebSocketPingInterval 1")[2] == {"status": "Accepted"}
    tell(charger, "freeze on")
    charger.wait_log("connection to the CSMS ended: no pong from the CSMS for")
    tell(charger, "freeze off")
    reconnected(charger)
    assert len(charger.boots()) == 1


@pytest.mark.parametrize("identity, path", [
    ("RDAM 123", "/ocpp/RDAM%20123"),
    ("Säule 1/2?#%", "/ocpp/S%C3%A4ule%201%2F2%3F%23%25"),
])
def test_identity_in_the_path(make_charger, identity, path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"ws://127.0.0.1:{listener.getsockname()[1]}/ocpp"
        charger = make_charger(settings={"csms": {"url": url, "identity": identity}})
        charger.device.start_bus()
        charger.device.power_on()
        charger.start_agent()
        listener.settimeout(60)
        peer, _ = listener.accept()
        with peer:
            peer.settimeout(60)
            assert peer.makefile("rb").readline() == f"GET {path} HTTP/1.1\r\n".encode()


def test_identity_with_blank(make_charger):
    charger = make_charger(settings={"csms": {"identity": "RDAM 123"}}, csms=("--identity", "RDAM 123")).start()
    assert charger.csms.wait_event("connected")["identity"] == "RDAM 123"


def test_boot_notification_on_reconnect(make_charger):
    """For CSMSs that want one; what is queued comes after it."""
    charger = make_charger(settings={"csms": {"boot-notification-on-reconnect": "true"}, **PATIENT}).start()
    held = hold_download(charger)
    sever(charger)
    held.release()
    charger.wait_step("installing -> reboot-wait")
    tell(charger, "listen")
    charger.wait_reboot_requested()
    settle(charger, HAPPY[:3])
    assert [call for call in calls(charger) if call != "StatusNotification"] == [
        "BootNotification", FSN, "BootNotification", FSN, FSN]


# --------------------------------------------------------------------------------------------------------- heartbeats

def heartbeats(charger):
    return charger.csms.received("Heartbeat")


def expect_rhythm(charger, count, interval):
    """This many more heartbeats come, each after about so many seconds in which the agent has sent nothing."""
    start = len(heartbeats(charger))
    wait_until(lambda: len(heartbeats(charger)) >= start + count, "the heartbeats")
    received = charger.csms.received()
    for heartbeat in heartbeats(charger)[start:]:
        before = received[received.index(heartbeat) - 1]
        assert heartbeat["time"] - before["time"] >= interval * 500, (before, heartbeat)    # half of it, for busy machines


def configured(charger, key):
    answer = charger.csms_call(f"get-configuration {key}")[2]
    return answer["configurationKey"][0]["value"]


def test_heartbeat_interval_of_the_csms(make_charger):
    charger = make_charger(csms=("--interval", "1")).start()
    expect_rhythm(charger, 3, 1)
    assert configured(charger, "HeartbeatInterval") == "1"


def test_heartbeat_interval_changed(charger):
    assert configured(charger, "HeartbeatInterval") == "300"
    assert charger.csms_call("change-configuration HeartbeatInterval 1")[2] == {"status": "Accepted"}
    expect_rhythm(charger, 2, 1)
    assert charger.csms_call("change-configuration HeartbeatInterval 2")[2] == {"status": "Accepted"}
    expect_rhythm(charger, 2, 2)
    assert configured(charger, "HeartbeatInterval") == "2"


def test_heartbeat_interval_after_restart(make_charger):
    """interval 0 leaves it to the charge point: what was configured counts.  Any other replaces it."""
    charger = make_charger(csms=("--interval", "0")).start()
    assert charger.csms_call("change-configuration HeartbeatInterval 1")[2] == {"status": "Accepted"}
    charger.stop_agent()
    charger.start_agent()
    charger.wait_registered(2)
    expect_rhythm(charger, 2, 1)
    tell(charger, "interval 500")
    charger.stop_agent()
    charger.start_agent()
    charger.wait_registered(3)
    assert configured(charger, "HeartbeatInterval") == "500"


def test_heartbeat_only_in_silence(make_charger):
    """Whatever is sent puts the next one off."""
    charger = make_charger(csms=("--interval", "2")).start()
    start = charger.csms.received()[0]["time"]
    while charger.csms.received()[-1]["time"] - start < 3000:
        charger.csms_call("trigger StatusNotification 0")
    expect_rhythm(charger, 1, 2)
