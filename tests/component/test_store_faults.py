# SPDX-License-Identifier: LGPL-2.1-or-later
"""The disk under store and spool fills up, fails, or turns read-only, at several moments of an update: the agent says so once, stays
up and truthful, and goes on by itself when the disk is well again.  How the faults are made: ground.py."""
import shutil

import pytest

from charger import wait_until
from fetching import HAPPY, NO_DOWNLOAD, NO_INSTALL, in_spool, reasons
from ground import Ground
from servers import Nginx

STORE_FAULTS = ["ENOSPC", "EIO", "EIO of sync", "EROFS"]
WORDS = {"ENOSPC": "disk is full", "EIO": "Input/output error", "EIO of sync": "Input/output error",
         "EIO of all": "Input/output error", "EROFS": "Read-only file system"}
NO_STEP = "the store does not take the job's step"
NAME = "2.0.0.raucb"


@pytest.fixture
def ground(tmp_path):
    ground = Ground(tmp_path / "ground")
    yield ground
    ground.close()


@pytest.fixture
def charger(make_charger, ground):
    """One on that ground; not started."""
    charger = make_charger(settings=ground.settings, wrap=ground.wrap)
    charger.store, charger.spool = ground.store, ground.spool
    return charger


def change_key(charger, value):
    return charger.csms_call(f"change-configuration HeartbeatInterval {value}")[2]["status"]


def strike_store(charger, ground, fault, *parts):
    """No change gets into the store any more, not even into the room that its log has left."""
    ground.strike(fault, *(parts or ("store",)))
    for value in range(1000, 1010):
        if change_key(charger, value) == "Rejected":
            return
    pytest.fail("the store still takes changes")


def expect_up(charger, status="Idle"):
    """Connected as at first, and truthful."""
    start = charger.csms.mark()
    assert charger.csms_call("trigger Heartbeat")[2] == {"status": "Accepted"}
    charger.csms.wait_event("received", lambda f: f.get("action") == "Heartbeat", start)
    assert charger.csms_call("get-configuration HeartbeatInterval")[2]["configurationKey"]
    assert charger.csms_call("trigger FirmwareStatusNotification")[2] == {"status": "Accepted"}
    charger.csms.wait_event("received", lambda f: f.get("action") == "FirmwareStatusNotification" and
                            f["frame"][3] == {"status": status}, start)
    assert charger.agent.running()


def told(charger):
    """The statuses without those that expect_up() has triggered: a job tells none twice."""
    statuses = []
    for status in charger.statuses():
        if status != "Idle" and status not in statuses[-1:]:
            statuses.append(status)
    return statuses


def expect_refused(charger, words):
    """UpdateFirmware, for a file that does not matter."""
    answer = charger.csms_call("update http://127.0.0.1:9/9.0.0.raucb now")
    assert answer[0] == 4 and answer[2] == "InternalError" and WORDS.get(words, words) in answer[3], answer
    charger.wait_log(f"UpdateFirmware is refused: {answer[3]}")


def expect_told_once(charger, fault, line=NO_STEP):
    charger.wait_log(line)
    for _ in range(5):
        charger.csms_call("trigger Heartbeat")      # whose answer has the job looked at again
    charger.csms_call("get-configuration")
    lines = [text for text in charger.log_text().splitlines() if line in text]
    assert len(lines) == 1 and WORDS[fault] in lines[0], lines


def mend(charger, ground):
    """The job is tried again within five seconds, or, as here, when something else happens."""
    ground.mend()
    charger.csms_call("trigger Heartbeat")


def expect_installed(charger, statuses=HAPPY, connections=2):
    """The update to 2.0.0 ends so; each process had the one connection."""
    assert charger.play() == "Installed", reasons(charger)
    charger.wait_idle()
    assert told(charger) == statuses
    assert charger.device.booted == "B" and charger.installed_image("B")
    assert in_spool(charger) == []
    assert len([event for event in charger.csms.events if event["event"] == "connected"]) == connections


# ------------------------------------------------------------------------------------------------------------ the store

@pytest.mark.parametrize("fault", [*STORE_FAULTS, "EIO of all"])
def test_store_at_rest(charger, ground, fault):
    charger.start()
    charger.wait_boot_marked()
    strike_store(charger, ground, fault)
    expect_refused(charger, fault)
    expect_up(charger)
    assert "job" not in charger.status() and charger.statuses() == ["Idle"]
    mend(charger, ground)
    charger.update()
    expect_installed(charger)


@pytest.mark.parametrize("fault", STORE_FAULTS)
def test_store_while_downloading(charger, ground, fault):
    charger.start()
    held = charger.server.fault(NAME, "hold", after=4096)
    charger.update()
    held.wait_reached()
    charger.wait_status("Downloading")
    charger.settle(["Downloading"])
    strike_store(charger, ground, fault)
    expect_refused(charger, fault)
    held.release()
    expect_told_once(charger, fault)
    expect_up(charger, "Downloading")
    mend(charger, ground)
    expect_installed(charger)


@pytest.mark.parametrize("fault", STORE_FAULTS)
def test_store_while_installing(charger, ground, fault):
    charger.start()
    charger.wait_boot_marked()
    charger.device.hold_verb("set-primary")
    charger.update()
    charger.device.wait_backend_call("set-primary", "B")
    charger.settle(HAPPY[:3])
    strike_store(charger, ground, fault)
    expect_refused(charger, fault)
    charger.device.hold_verb("set-primary", False)
    expect_told_once(charger, fault)
    expect_up(charger, "Installing")
    assert not charger.device.reboot_requests()
    if fault == "ENOSPC":
        ground.mend()       # that is all: nobody else does anything
    else:
        mend(charger, ground)
    expect_installed(charger)
    assert charger.install_calls() == 1


@pytest.mark.parametrize("fault", STORE_FAULTS)
def test_store_while_waiting_for_the_reboot(charger, ground, fault):
    """A reboot is asked for once its wish is recorded."""
    charger.settings["update"] = {**charger.settings["update"], "reboot-permission": "required"}
    charger.start()
    charger.update()
    charger.wait_step("installing -> reboot-wait")
    charger.settle(HAPPY[:3])
    strike_store(charger, ground, fault)
    charger.ctl("allow-reboot")
    expect_told_once(charger, fault)
    expect_up(charger, "Installing")
    expect_refused(charger, fault)
    assert not charger.device.reboot_requests()
    mend(charger, ground)
    expect_installed(charger)


@pytest.mark.parametrize("fault", STORE_FAULTS)
def test_store_while_confirming(charger, ground, fault):
    charger.settings["update"] = {**charger.settings["update"], "health": "csms;stack"}
    charger.start()
    charger.ctl("confirm")
    charger.update()
    charger.wait_reboot_requested()
    assert charger.reboot() == "B"
    charger.wait_step("rebooting -> confirming")
    charger.wait_registered(2)
    strike_store(charger, ground, fault)
    refusal = charger.ctl("confirm", check=False)
    assert refusal.returncode == 1 and WORDS[fault] in refusal.stderr, refusal
    expect_up(charger, "Installing")
    mend(charger, ground)
    charger.ctl("confirm")
    expect_installed(charger)
    assert charger.device.attempts_left("B") == 3


@pytest.mark.parametrize("fault", ["ENOSPC", "EIO of sync"])
def test_store_when_the_new_slot_is_up(charger, ground, fault):
    """Before the first look at what the boot has brought."""
    charger.start()
    charger.update()
    charger.wait_reboot_requested()
    assert charger.reboot(agent=False) == "B"
    ground.strike(fault, "store")
    charger.start_agent()
    charger.wait_registered(2)
    expect_refused(charger, fault)
    expect_told_once(charger, fault)
    expect_up(charger, "Installing")
    assert charger.device.booted == "B" and told(charger) == HAPPY[:3]
    mend(charger, ground)
    expect_installed(charger)
    assert charger.device.attempts_left("B") == 3


def test_really_read_only(charger, ground):
    """From the start of the agent to the moment at which somebody has repaired the disk: all begins anew with what is on it.  A store
    that cannot be written to is no store without a job."""
    charger.start()
    charger.update()
    charger.wait_reboot_requested()
    assert charger.reboot(agent=False) == "B"
    ground.read_only("store")
    charger.start_agent()
    charger.wait_log("Read-only file system")
    charger.wait_registered(2)
    expect_refused(charger, "no store that outlives a reboot")
    assert change_key(charger, 77) == "Rejected"
    expect_up(charger)
    ground.read_only("store", False)
    expect_installed(charger, connections=3)
    assert charger.log_text().count("not usable") == 1


def test_no_room_for_a_first_store(charger, ground):
    ground.fill("store")
    charger.start()
    charger.wait_log("not usable")
    expect_refused(charger, "no store that outlives a reboot")
    expect_up(charger)
    ground.mend()
    charger.wait_log("store.db: created")
    charger.wait_registered(2)
    charger.update()
    expect_installed(charger, connections=3)


def test_power_cut_on_a_full_disk(charger, ground):
    charger.start()
    charger.wait_boot_marked()
    charger.device.hold_verb("set-primary")
    charger.update()
    charger.device.wait_backend_call("set-primary", "B")
    charger.settle(HAPPY[:3])
    strike_store(charger, ground, "ENOSPC")
    charger.device.hold_verb("set-primary", False)
    charger.wait_log(NO_STEP)
    assert charger.reboot("power_cut") == "B"
    charger.wait_registered(2)
    charger.wait_log(NO_STEP, 2)
    expect_up(charger, "Installing")
    mend(charger, ground)
    expect_installed(charger)
    assert charger.install_calls() == 1


def answer(charger, action):
    """To the last CALL of this kind, of a CSMS that was mute."""
    frame = charger.csms.received(action)[-1]["frame"]
    assert charger.csms.command(f'raw [3,"{frame[1]}",{{}}]') == "ok"


@pytest.mark.parametrize("fault", ["ENOSPC"])
def test_report_that_cannot_leave_the_outbox(charger, ground, fault):
    """What the CSMS has answered is not sent again, whatever the store says, and on a new connection neither."""
    charger.start()
    assert charger.csms.command("mute FirmwareStatusNotification on") == "ok"
    held = charger.server.fault(NAME, "hold", after=4096)
    charger.update()
    held.wait_reached()
    charger.wait_status("Downloading")
    strike_store(charger, ground, fault)
    answer(charger, "FirmwareStatusNotification")
    charger.wait_log("a delivered report stays in the outbox")
    assert charger.csms.command("mute FirmwareStatusNotification off") == "ok"
    start = charger.csms.mark()
    assert charger.csms.command("close 1001") == "ok"
    charger.csms.wait_event("connected", start=start)
    for _ in range(3):
        assert charger.csms_call("trigger Heartbeat")[2] == {"status": "Accepted"}
    charger.csms_call("get-configuration")
    assert charger.statuses() == ["Downloading"]
    assert charger.log_text().count("a delivered report stays in the outbox") == 1
    mend(charger, ground)
    held.release()
    expect_installed(charger, connections=3)
    assert charger.statuses() == HAPPY


# ------------------------------------------------------------------------------------------------------------ the spool

SPOOL_FAULTS = ["ENOSPC", "EIO", "EROFS"]
SPOOL_WORDS = {"ENOSPC": "space", "EIO": "Input/output error", "EROFS": "Read-only file system"}


@pytest.mark.parametrize("parts", [["spool"], ["spool", "store"]], ids=["spool", "both"])
@pytest.mark.parametrize("fault", SPOOL_FAULTS)
def test_spool_at_rest(charger, ground, fault, parts):
    charger.start()
    charger.wait_boot_marked()
    ground.strike(fault, "spool")
    charger.update("3.0.0")
    assert charger.wait_end() == "DownloadFailed"
    charger.wait_idle()
    assert SPOOL_WORDS[fault] in reasons(charger)[-1]
    if "store" in parts:
        strike_store(charger, ground, fault, *parts)
        expect_refused(charger, fault)
    expect_up(charger)
    mend(charger, ground)
    charger.update()
    assert charger.play(2) == "Installed"
    charger.wait_idle()
    assert told(charger) == NO_DOWNLOAD + HAPPY and in_spool(charger) == []


@pytest.mark.parametrize("parts", [["spool"], ["spool", "store"]], ids=["spool", "both"])
@pytest.mark.parametrize("fault", SPOOL_FAULTS)
def test_spool_while_downloading(charger, ground, fault, parts):
    charger.start()
    held = charger.server.fault(NAME, "hold", after=4096)
    charger.update()
    held.wait_reached()
    charger.settle(["Downloading"])
    if "store" in parts:
        strike_store(charger, ground, fault, *parts)
    else:
        ground.strike(fault, "spool")
    held.release()
    if "store" in parts:
        expect_told_once(charger, fault)
        expect_up(charger, "Downloading")
        mend(charger, ground)
    assert charger.wait_end() == "DownloadFailed"
    charger.wait_idle()
    assert SPOOL_WORDS[fault] in charger.status()["last-job"]["reason"]
    expect_up(charger)
    mend(charger, ground)
    charger.update()
    assert charger.play(2) == "Installed"
    charger.wait_idle()
    assert told(charger) == NO_DOWNLOAD + HAPPY and in_spool(charger) == []


@pytest.mark.parametrize("fault", SPOOL_FAULTS)
def test_spool_that_is_well_for_the_next_attempt(charger, ground, fault):
    charger.start()
    held = charger.server.fault(NAME, "hold", after=4096)
    charger.update(options="retries=5 interval=1")
    held.wait_reached()
    ground.strike(fault, "spool")
    held.release()
    charger.wait_step("downloading -> retry-wait")
    mend(charger, ground)
    expect_installed(charger)


def test_spool_that_is_removed(charger, ground):
    charger.start()
    held = charger.server.fault(NAME, "hold", after=4096)
    charger.update()
    held.wait_reached()
    charger.settle(["Downloading"])
    shutil.rmtree(ground.spool)
    held.release()
    assert charger.wait_end() == "DownloadFailed"
    charger.wait_idle()
    assert str(ground.spool) in charger.status()["last-job"]["reason"]
    charger.update()
    assert charger.play(2) == "Installed"
    charger.wait_idle()
    assert told(charger) == NO_DOWNLOAD + HAPPY and in_spool(charger) == []


@pytest.mark.parametrize("fault", SPOOL_FAULTS)
def test_diagnostics(charger, ground, tmp_path, fault):
    """No report that the store does not keep is promised, and one for which there is no room fails."""
    charger.settings["diagnostics"] = {"sources": "/dev/null"}
    charger.start()
    charger.wait_boot_marked()

    def statuses():
        return [frame["frame"][3]["status"] for frame in charger.csms.received("DiagnosticsStatusNotification")]
    with Nginx(tmp_path / "web", uploads=True) as server:
        strike_store(charger, ground, fault)
        assert charger.csms_call(f"diagnostics {server.incoming_url()}")[2] == "InternalError"
        charger.wait_log("GetDiagnostics is refused: ")
        ground.mend()
        ground.strike(fault, "spool")
        charger.csms_call(f"diagnostics {server.incoming_url()} retries=0")
        wait_until(lambda: statuses() == ["Uploading", "UploadFailed"], "the end of the report")
        expect_up(charger)
        ground.mend()
        charger.csms_call(f"diagnostics {server.incoming_url()}")
        wait_until(lambda: statuses() == ["Uploading", "UploadFailed", "Uploading", "Uploaded"], "the second report")
