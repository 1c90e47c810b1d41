# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the CSMS and people may ask for in each state of the firmware job: another UpdateFirmware, cancel, Reset, leave to reboot,
retrieveDate, and the sub-commands."""
import hashlib
import json
import os
import re
import signal
import time
from datetime import datetime

import pytest

from charger import Process, binary, wait_until
from otherclock import clock_at
from stages import (BEFORE_INSTALL, BEYOND, DONE, FAILED, FROM_INSTALL, LATER, NOW, PAST, STAGES, STARTED, learn_time,
                    wait_control, wait_up)

CANCELLED = [*STARTED, "InstallationFailed"]


def steps(charger, job):
    """The history of one job: (from, to, event)."""
    return [row[1:] for row in charger.history() if row[0] == job]


def last_job(charger):
    return charger.status()["last-job"]


def names(charger):
    """What was asked of the bundle server, in order, without repeats."""
    return list(dict.fromkeys(request.path.strip("/") for request in charger.server.requests()))


def spooled(charger):
    """The names of the files in the spool."""
    return sorted(path.name for path in charger.spool.iterdir()) if charger.spool.exists() else []


def ask(charger, version, date=PAST):
    """UpdateFirmware for a bundle; the answer came when this returns."""
    return charger.update(version, date)


def wait_ended(charger, job, state):
    wait_until(lambda: charger.status().get("last-job", {}).get("id") == job and last_job(charger)["state"] == state,
               f"job {job} {state}")


# ---------------------------------------------------------------------------------------------- another UpdateFirmware

@pytest.mark.parametrize("name", BEFORE_INSTALL)
def test_another_request_before_the_install_takes_the_jobs_place(make_charger, name):
    stage = STAGES[name]
    charger = stage.freeze(make_charger)
    held = charger.server.fault("3.0.0.raucb", "hold", after=4096)
    ask(charger, "3.0.0", LATER if name == "scheduled" else PAST)
    if name != "scheduled":
        held.wait_reached()
    status = charger.status()
    assert (status["job"]["id"], status["job"]["state"]) == (2, "scheduled" if name == "scheduled" else "downloading")
    assert "request-waiting" not in status
    assert (last_job(charger)["id"], last_job(charger)["state"]) == (1, "superseded")
    assert steps(charger, 1)[-1] == (stage.state, "superseded", "request")
    charger.wait_step(f"{stage.state} -> superseded")
    assert not any(file.startswith("job-1.") for file in spooled(charger))

    held.release()
    if stage.go_on:
        stage.thaw(charger)
    assert charger.play() == "Installed"
    assert charger.statuses() == stage.statuses + DONE      # of the first job only what had been true; it has no end
    assert names(charger) == (["3.0.0.raucb"] if name == "scheduled" else ["2.0.0.raucb", "3.0.0.raucb"])
    assert charger.install_calls() == 1
    assert charger.device.booted == "B" and charger.installed_image("B", "3.0.0")
    wait_ended(charger, 2, "installed")
    assert spooled(charger) == []


@pytest.mark.parametrize("name", [name for name in FROM_INSTALL if STAGES[name].go_on])
def test_another_request_from_the_install_on_waits_and_the_newest_wins(make_charger, name):
    stage = STAGES[name]
    charger = stage.freeze(make_charger)
    ask(charger, "3.0.0")
    ask(charger, "4.0.0")
    status = charger.status()
    assert (status["job"]["id"], status["job"]["state"], status["request-waiting"]) == (1, stage.state, True)
    assert steps(charger, 2) == [("scheduled", "scheduled", "request"), ("scheduled", "superseded", "request")]
    charger.wait_step("scheduled -> superseded")
    assert charger.statuses() == stage.statuses
    charger.restart_agent()                     # what waits is in the store
    wait_up(charger)
    assert charger.status()["request-waiting"]

    stage.thaw(charger)
    first, second = charger.play(1), charger.play(2)
    assert (first, second) == (stage.end[-1], "Installed")
    assert charger.statuses() == stage.end + DONE
    assert names(charger) == ["2.0.0.raucb", "4.0.0.raucb"]
    assert charger.install_calls() == 2
    running = "A" if first == "Installed" else "B"      # to the slot that did not run
    assert charger.device.booted == running and charger.installed_image(running, "4.0.0")
    wait_ended(charger, 3, "installed")
    assert "request-waiting" not in charger.status()
    assert [row for row in charger.history() if row[0] == 3][1] == (3, "scheduled", "scheduled", "next")


def test_a_request_waits_behind_a_job_that_waits_for_its_next_attempt(make_charger):
    """RAUC was called: the slot may be half written already, so the first job is not simply forgotten."""
    charger = STAGES["retry-wait-tried"].freeze(make_charger)
    ask(charger, "3.0.0")
    assert charger.status()["request-waiting"]
    charger.ctl("cancel")
    assert charger.play(2) == "Installed"
    assert charger.statuses() == CANCELLED + DONE
    assert charger.installed_image("B", "3.0.0")


@pytest.mark.parametrize("name", STAGES)
def test_the_same_request_while_it_is_under_way_is_the_same_job(make_charger, name):
    stage = STAGES[name]
    charger = stage.freeze(make_charger)
    date = LATER if name == "scheduled" else PAST
    before = charger.history()
    ask(charger, "2.0.0", date)
    assert charger.history() == before
    assert charger.status()["job"]["id"] == 1 and "request-waiting" not in charger.status()
    assert charger.statuses() == stage.statuses
    if not stage.go_on:
        return
    stage.thaw(charger)
    charger.play()
    assert charger.statuses() == stage.end
    assert charger.install_calls() == len(charger.server.requests("2.0.0.raucb")) == 1


def test_a_repeat_of_the_waiting_request_is_the_same_job_too(make_charger):
    charger = STAGES["installing-written"].freeze(make_charger)
    ask(charger, "3.0.0")
    ask(charger, "3.0.0")
    assert {row[0] for row in charger.history()} == {1, 2}


def test_another_date_is_another_request(make_charger):
    charger = STAGES["scheduled"].freeze(make_charger)
    ask(charger, "2.0.0", PAST)
    assert charger.play() == "Installed"
    assert steps(charger, 1)[-1] == ("scheduled", "superseded", "request")
    assert charger.statuses() == DONE


def test_the_same_request_after_it_was_installed_is_answered_by_its_status(make_charger):
    charger = STAGES["rebooting"].freeze(make_charger)
    assert charger.play() == "Installed"
    wait_ended(charger, 1, "installed")
    before = charger.history()
    ask(charger, "2.0.0")
    charger.wait_status("Installed", 2)
    assert charger.statuses() == [*DONE, "Installed"]
    assert charger.history() == before and "job" not in charger.status()
    assert charger.install_calls() == 1


def test_the_same_request_after_it_failed_is_a_new_job(make_charger):
    charger = STAGES["undoing"].freeze(make_charger)
    STAGES["undoing"].thaw(charger)
    assert charger.play() == "InstallationFailed"
    wait_ended(charger, 1, "rolled-back")
    ask(charger, "2.0.0")
    assert charger.play(2) == "Installed"
    assert charger.statuses() == FAILED + DONE
    wait_ended(charger, 2, "installed")


def test_without_a_durable_store_an_update_is_refused(make_charger):
    """The charger would forget over the reboot what the CSMS waits to hear."""
    charger = make_charger(settings={"store": {"path": "/proc/nowhere/store.db"}}).start()
    frame = charger.csms_call(f"update {charger.publish('2.0.0')}")
    assert frame[0] == 4 and frame[2:4] == ["InternalError", "the agent has no store that outlives a reboot"]
    wait_control(charger)
    assert charger.status()["store-durable"] is False and "job" not in charger.status()
    assert charger.server.requests() == []


# --------------------------------------------------------------------------------------------------------------- cancel

# What the CSMS hears in all, whether RAUC had to be restarted, and whether the target must not be booted any more.
CANCELS = {
    "scheduled": (["Downloading", "DownloadFailed"], 0, False),
    "downloading": (["Downloading", "DownloadFailed"], 0, False),
    "retry-wait": (["Downloading", "DownloadFailed"], 0, False),
    "install-wait": (["Downloading", "Downloaded", "DownloadFailed"], 0, False),
    "retry-wait-tried": (CANCELLED, 0, True),
    "installing-before-write": (CANCELLED, 1, True),    # RAUC keeps no record of this slot: it may be half written
    "installing-written": (CANCELLED, 1, True),
    "installing-activated": (CANCELLED, 1, True),
    "reboot-wait": (CANCELLED, 0, True),
    "rebooting": (CANCELLED, 0, True),
    "confirming": (CANCELLED, 0, True),
}


@pytest.mark.parametrize("name", CANCELS)
def test_cancel(make_charger, name):
    statuses, restarts, target_is_bad = CANCELS[name]
    stage = STAGES[name]
    charger = stage.freeze(make_charger)
    charger.ctl("cancel")
    if restarts:
        charger.wait_rauc_restarted()
        stage.thaw(charger)                     # what was held has died with RAUC; the way is free for the undoing
    if name == "confirming":
        charger.wait_step("confirming -> rolling-back")
        thaw_health(charger)
    if name == "install-wait":
        charger.device.start_rauc()
    assert charger.play() == statuses[-1]
    wait_ended(charger, 1, "cancelled")
    assert charger.statuses() == statuses
    assert "cancelled" in last_job(charger)["reason"]
    assert len(charger.device.restart_requests()) == restarts
    assert spooled(charger) == []
    assert (charger.device.booted, charger.device.primary()) == ("A", "A")
    assert charger.device.attempts_left("A") > 0
    assert (charger.device.attempts_left("B") == 0) == target_is_bad
    assert not charger.reboot_wanted() or name == "rebooting"

    # The next update works.
    charger.settings["update"]["reboot-permission"] = "automatic"
    charger.restart_agent()
    wait_up(charger)
    ask(charger, "3.0.0")
    assert charger.play(2) == "Installed"
    assert charger.installed_image("B", "3.0.0")


def thaw_health(charger):
    charger.settings["update"]["health"] = "csms"


@pytest.mark.parametrize("name", ["rolling-back", "undoing"])
def test_cancel_is_refused_while_the_update_is_taken_back(make_charger, name):
    stage = STAGES[name]
    charger = stage.freeze(make_charger)
    done = charger.ctl("cancel", check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"the update is being taken back already ({stage.state})\n"
    stage.thaw(charger)
    charger.play()
    assert charger.statuses() == FAILED
    wait_ended(charger, 1, "rolled-back")


def test_cancel_without_a_job_is_refused(charger):
    wait_control(charger)
    done = charger.ctl("cancel", check=False)
    assert (done.returncode, done.stderr) == (1, "no update is under way\n")


def test_cancel_while_confirming_without_another_slot_is_refused(make_charger):
    """The other slot is gone from RAUC's settings: going back would leave the charger with nothing to boot."""
    charger = STAGES["rebooting"].freeze(make_charger)
    conf = charger.device.system_conf
    conf.write_text(re.sub(r"\[slot\.rootfs\.0\][^\[]*", "", conf.read_text()))
    charger.settings["update"]["health"] = "stack"
    assert charger.reboot() == "B"
    wait_control(charger)
    charger.wait_state("confirming")
    done = charger.ctl("cancel", check=False)
    assert (done.returncode, done.stderr) == (1, "there is no other slot to go back to\n")
    assert charger.job_state() == "confirming"
    charger.ctl("confirm")
    assert charger.play() == "Installed"
    assert charger.statuses() == DONE


def test_cancel_before_rauc_told_what_the_boot_brought_is_refused(make_charger):
    charger = STAGES["rebooting"].freeze(make_charger)
    assert charger.reboot(rauc=False) == "B"
    wait_control(charger)
    done = charger.ctl("cancel", check=False)
    assert (done.returncode, done.stderr) == (1, "RAUC has not told yet what this boot brought\n")
    charger.device.start_rauc()
    assert charger.play() == "Installed"
    assert charger.statuses() == DONE


# ---------------------------------------------------------------------------------------------------------------- Reset

def reset(charger, kind="Soft"):
    return charger.csms_call(f"reset {kind}")[2]["status"]


@pytest.mark.parametrize("kind", ["Soft", "Hard"])
def test_reset_without_a_job_asks_for_one_reboot(charger, kind):
    assert reset(charger, kind) == "Accepted"
    charger.wait_reboot_requested()
    charger.reboot()
    wait_up(charger)
    charger.csms_call("get-configuration HeartbeatInterval")
    assert len(charger.device.reboot_requests()) == 1
    assert charger.statuses() == []


@pytest.mark.parametrize("name", [name for name in STAGES if STAGES[name].rejects_reset])
@pytest.mark.parametrize("kind", ["Soft", "Hard"])
def test_reset_is_rejected_while_a_reboot_would_harm(make_charger, name, kind):
    stage = STAGES[name]
    charger = stage.freeze(make_charger)
    before = len(charger.device.reboot_requests())
    assert reset(charger, kind) == "Rejected"
    stage.thaw(charger)
    if name == "confirming":
        charger.wait_end()
        assert len(charger.device.reboot_requests()) == before      # nothing of the Reset is left over
    assert charger.play() == "Installed"
    assert charger.statuses() == stage.end
    assert len(charger.device.reboot_requests()) == 1               # the update's own


@pytest.mark.parametrize("name", [*BEFORE_INSTALL, "retry-wait-tried"])
def test_reset_before_the_install_reboots_and_the_job_survives(make_charger, name):
    stage = STAGES[name]
    charger = stage.freeze(make_charger)
    assert reset(charger) == "Accepted"
    charger.wait_reboot_requested()
    assert charger.job_state() == stage.state
    charger.reboot(rauc=name != "install-wait")
    wait_up(charger)
    charger.wait_state(stage.state)
    if stage.go_on:
        stage.thaw(charger)
        assert charger.play() == "Installed"
        assert charger.statuses() == DONE
        assert len(charger.device.reboot_requests()) == 2


@pytest.mark.parametrize("kind", ["Soft", "Hard"])
def test_reset_in_reboot_wait_is_the_updates_own_reboot(make_charger, kind):
    charger = STAGES["reboot-wait"].freeze(make_charger)
    assert reset(charger, kind) == "Accepted"
    assert charger.status()["reboot-waits-for"] == "permission (allow-reboot)"
    assert charger.device.reboot_requests() == []       # the CSMS does not overrule the permission
    STAGES["reboot-wait"].thaw(charger)
    assert charger.play() == "Installed"
    assert charger.statuses() == DONE
    assert len(charger.device.reboot_requests()) == 1


def test_reset_while_rebooting_asks_again_and_the_update_survives(make_charger):
    charger = STAGES["rebooting"].freeze(make_charger)
    assert reset(charger) == "Accepted"
    charger.wait_reboot_requested(2)
    assert charger.play() == "Installed"
    assert charger.statuses() == DONE


def test_reset_while_rolling_back_is_the_reboot_under_way(make_charger):
    charger = STAGES["rolling-back"].freeze(make_charger)
    charger.wait_reboot_requested(2)                    # into the new slot, and out of it
    assert reset(charger) == "Accepted"
    STAGES["rolling-back"].thaw(charger)
    assert charger.play() == "InstallationFailed"
    wait_ended(charger, 1, "rolled-back")
    assert charger.statuses() == FAILED
    assert len(charger.device.reboot_requests()) == 2
    assert charger.device.booted == "A"


def test_reset_while_undoing_waits_for_its_end(make_charger):
    """A reboot before the loader is put right would boot what the CSMS is about to be told has failed."""
    charger = STAGES["undoing"].freeze(make_charger)
    assert reset(charger) == "Accepted"
    charger.csms_call("get-configuration HeartbeatInterval")
    assert charger.job_state() == "undoing"
    assert len(charger.device.reboot_requests()) == 1   # the update's
    STAGES["undoing"].thaw(charger)
    wait_ended(charger, 1, "rolled-back")
    charger.wait_reboot_requested(2)
    assert charger.statuses() == FAILED                 # the report is out before the reboot
    assert charger.reboot() == "A"
    wait_up(charger)
    assert charger.device.attempts_left("B") == 0


def test_a_reset_waits_for_permission_too(make_charger):
    charger = make_charger(settings={"update": {"reboot-permission": "required"}}).start()
    wait_control(charger)
    assert reset(charger) == "Accepted"
    assert reset(charger, "Hard") == "Accepted"
    assert charger.status()["reboot-waits-for"] == "permission (allow-reboot)"
    assert charger.device.reboot_requests() == []
    charger.ctl("allow-reboot")
    charger.wait_reboot_requested()
    assert charger.reboot() == "A"
    wait_up(charger)
    assert len(charger.device.reboot_requests()) == 1       # two Resets, one reboot


def test_a_waiting_reset_outlives_the_agent(make_charger):
    charger = make_charger(settings={"update": {"reboot-permission": "required"}}).start()
    assert reset(charger) == "Accepted"
    charger.restart_agent()
    wait_up(charger)
    assert charger.device.reboot_requests() == []
    charger.ctl("allow-reboot")
    charger.wait_reboot_requested()
    assert charger.reboot() == "A"
    wait_up(charger)
    assert "reboot-waits-for" not in charger.status()
    assert len(charger.device.reboot_requests()) == 1


def test_a_reset_that_was_accepted_before_the_install_waits_for_its_end(charger):
    """Its inhibitor ends while RAUC writes: the reboot comes after that, and is the update's own."""
    wait_control(charger)
    inhibitor = Inhibitor(charger, "sleep", "1000")
    assert reset(charger) == "Accepted"
    charger.device.hold_verb("set-primary")
    ask(charger, "2.0.0", "now")
    charger.device.wait_backend_call("set-primary", "B")
    end_by_term(inhibitor)
    charger.wait_log("inhibitor ended: ")
    wait_until(lambda: "reboot-waits-for" not in charger.status(), "the wish to be looked at")
    assert charger.job_state() == "installing" and charger.device.reboot_requests() == []
    charger.device.hold_verb("set-primary", False)
    assert charger.play() == "Installed"
    assert charger.statuses() == DONE
    assert len(charger.device.reboot_requests()) == 1


def test_a_reset_in_reboot_wait_outlives_a_cancel(make_charger):
    charger = STAGES["reboot-wait"].freeze(make_charger)
    assert reset(charger) == "Accepted"
    charger.ctl("cancel")
    wait_ended(charger, 1, "cancelled")
    assert charger.device.reboot_requests() == []
    charger.ctl("allow-reboot")
    charger.wait_reboot_requested()
    assert charger.reboot() == "A"
    wait_up(charger)
    assert charger.statuses() == CANCELLED


# ----------------------------------------------------------------------------------------------------- leave to reboot

class Inhibitor:
    """`rauc-ocpp-agent inhibit -- COMMAND`, running."""

    def __init__(self, charger, *command):
        self.charger = charger
        before = charger.log_text().count("inhibitor taken")
        self.process = Process([binary(), "--config", str(charger.config), "inhibit", "--who", "tester", "--why",
                                "charges a car", "--", *command], log=charger.path / "inhibit.log",
                               env=charger.environment(), pid_file=charger.path / "inhibit.pid")
        charger.wait_log("inhibitor taken", before + 1)

    def wait(self):
        wait_until(lambda: not self.process.running(), "the end of inhibit")
        self.process.kill()
        return self.process.returncode


def to_reboot_wait(charger):
    wait_control(charger)
    ask(charger, "2.0.0", "now")
    charger.wait_state("reboot-wait")
    wait_until(lambda: charger.statuses() == STARTED, "the statuses before the reboot")


def test_the_reboot_waits_for_permission(make_charger):
    charger = STAGES["reboot-wait"].freeze(make_charger)
    assert charger.status()["reboot-waits-for"] == "permission (allow-reboot)"
    charger.restart_agent()                             # one permission is one wish's: a restart does not give it
    wait_up(charger)
    wait_until(lambda: charger.status().get("reboot-waits-for") == "permission (allow-reboot)", "the wish again")
    assert charger.device.reboot_requests() == []
    charger.ctl("allow-reboot")
    assert charger.play() == "Installed"
    assert charger.statuses() == DONE
    done = charger.ctl("allow-reboot", check=False)
    assert (done.returncode, done.stderr) == (1, "no reboot waits for permission\n")


def end_by_itself(inhibitor):
    (inhibitor.charger.path / "go").touch()
    assert inhibitor.wait() == 7


def end_by_kill(inhibitor):
    os.kill(inhibitor.process.pid, signal.SIGKILL)
    assert inhibitor.wait() == -signal.SIGKILL


def end_by_term(inhibitor):
    os.kill(inhibitor.process.pid, signal.SIGTERM)      # is passed on to the command
    assert inhibitor.wait() == 128 + signal.SIGTERM


@pytest.mark.parametrize("end", [end_by_itself, end_by_kill, end_by_term])
def test_an_inhibitor_holds_the_reboot_back_until_it_ends(charger, end):
    wait_control(charger)
    script = f"while [ ! -e {charger.path}/go ]; do sleep 0.05; done; exit 7"
    inhibitor = Inhibitor(charger, "sh", "-c", script)
    to_reboot_wait(charger)
    assert charger.status()["reboot-waits-for"] == "inhibitors: tester (charges a car)"
    assert charger.device.reboot_requests() == []
    end(inhibitor)
    charger.wait_reboot_requested()
    assert charger.play() == "Installed"
    assert charger.statuses() == DONE


def test_all_inhibitors_count(charger):
    wait_control(charger)
    first, second = Inhibitor(charger, "sleep", "1000"), Inhibitor(charger, "sleep", "1000")
    to_reboot_wait(charger)
    end_by_term(first)
    charger.wait_log("inhibitor ended: ")
    assert charger.status()["reboot-waits-for"].startswith("inhibitors: ")
    assert charger.device.reboot_requests() == []
    end_by_term(second)
    charger.wait_reboot_requested()


def test_an_inhibitor_outlives_the_agent(charger):
    """The agent dies and comes back; the holder takes its inhibitor again before the reboot is asked for."""
    wait_control(charger)
    inhibitor = Inhibitor(charger, "sleep", "1000")
    to_reboot_wait(charger)
    charger.restart_agent()
    charger.wait_log("inhibitor taken", 2)
    wait_up(charger)
    assert charger.status()["reboot-waits-for"] == "inhibitors: tester (charges a car)"
    assert charger.device.reboot_requests() == []
    end_by_term(inhibitor)
    charger.wait_reboot_requested()
    assert charger.play() == "Installed"
    assert charger.statuses() == DONE


def test_a_reset_waits_for_an_inhibitor(charger):
    wait_control(charger)
    inhibitor = Inhibitor(charger, "sleep", "1000")
    assert reset(charger) == "Accepted"
    assert charger.status()["reboot-waits-for"].startswith("inhibitors: ")
    assert charger.device.reboot_requests() == []
    end_by_term(inhibitor)
    charger.wait_reboot_requested()
    assert len(charger.device.reboot_requests()) == 1


def test_reboot_wait_limit_ends_the_wait_for_inhibitors(make_charger):
    charger = make_charger(settings={"update": {"reboot-wait-limit": "2"}}).start()
    wait_control(charger)
    inhibitor = Inhibitor(charger, "sleep", "1000")
    ask(charger, "2.0.0", "now")
    charger.wait_step("installing -> reboot-wait")
    seen = time.monotonic()
    charger.wait_reboot_requested()
    assert inhibitor.process.running()
    assert charger.device.reboot_requests()[0] > seen + 1       # the step was seen at most a second late
    end_by_term(inhibitor)
    assert charger.play() == "Installed"


def muted(make_charger, **settings):
    """A CSMS that does not answer statuses; the first one stays in the outbox with all behind it."""
    charger = make_charger(settings={"csms": {"call-timeout": "1"}, "update": settings},
                           csms=["--call-timeout", "1"]).start()
    wait_control(charger)
    assert charger.csms.command("mute FirmwareStatusNotification on") == "ok"
    return charger


def test_the_reboot_waits_for_the_reports(make_charger):
    charger = muted(make_charger, **{"report-wait": "3600"})
    ask(charger, "2.0.0", "now")
    charger.wait_state("reboot-wait")
    assert charger.status()["reboot-waits-for"] == "3 reports to the CSMS"
    assert charger.device.reboot_requests() == []
    assert charger.csms.command("mute FirmwareStatusNotification off") == "ok"
    assert charger.csms.command("drop") == "ok"                 # a new connection is a new chance
    charger.wait_reboot_requested()
    assert charger.statuses() == ["Downloading", *STARTED]
    assert charger.play() == "Installed"


def test_report_wait_ends_the_wait_and_nothing_is_lost(make_charger):
    charger = muted(make_charger, **{"report-wait": "2"})
    ask(charger, "2.0.0", "now")
    charger.wait_step("installing -> reboot-wait")
    seen = time.monotonic()
    charger.wait_reboot_requested()
    assert charger.device.reboot_requests()[0] > seen + 1
    assert charger.statuses() == ["Downloading"]
    assert charger.csms.command("mute FirmwareStatusNotification off") == "ok"
    assert charger.play() == "Installed"
    assert charger.statuses() == ["Downloading", *DONE]


# ------------------------------------------------------------------------------------------------------ report-installed

def test_installed_is_reported_before_the_reboot_if_so_wanted(make_charger):
    charger = STAGES["rebooting"].freeze(make_charger, DONE, **{"report-installed": "before-reboot"})
    assert charger.reboot() == "B"
    charger.wait_step("confirming -> installed")
    charger.csms_call("get-configuration HeartbeatInterval")
    assert charger.statuses() == DONE
    assert charger.device.attempts_left("B") == 3


def test_a_rollback_after_an_early_installed_is_not_reported_but_kept(make_charger):
    """The end was said: a second one would contradict it.  The history knows the truth."""
    charger = STAGES["rebooting"].freeze(make_charger, DONE, **{"report-installed": "before-reboot"})
    assert charger.reboot(panics=["B"]) == "A"
    wait_up(charger)
    wait_ended(charger, 1, "rolled-back")
    charger.csms_call("get-configuration HeartbeatInterval")
    assert charger.statuses() == DONE
    assert charger.device.attempts_left("B") == 0


# --------------------------------------------------------------------------------------------------------- retrieveDate

IN_TWO_MINUTES, NEARLY, AFTER = "2031-05-01T12:02:00Z", "2031-05-01T12:01:30Z", "2031-05-01T12:02:01Z"


def scheduled_over_a_restart(charger):
    ask(charger, "2.0.0", IN_TWO_MINUTES)
    wait_control(charger)
    assert charger.status()["job"]["retrieve-date"] == "2031-05-01T12:02:00.000Z"
    charger.kill_agent()
    charger.csms.command(f"time {NEARLY}")
    charger.start_agent()
    wait_up(charger)
    assert charger.job_state() == "scheduled"
    learn_time(charger, NEARLY)
    assert charger.job_state() == "scheduled"
    assert charger.server.requests() == [] and charger.statuses() == []

    learn_time(charger, AFTER)
    assert charger.play() == "Installed"
    assert charger.statuses() == DONE
    assert charger.installed_image("B")


def test_nothing_happens_before_the_retrieve_date(make_charger):
    scheduled_over_a_restart(make_charger(csms=["--time", NOW]).start())


def test_the_retrieve_date_on_a_charger_that_woke_up_in_1970(make_charger, tmp_path):
    """Its own clock is of no use: it goes by the CSMS's, and runs from 1970 again after each start."""
    scheduled_over_a_restart(make_charger(csms=["--time", NOW], wrap=clock_at(tmp_path)).start())


def date_passes_without_the_csms(make_charger, wrap):
    """The agent is started again after the date, and the CSMS is away."""
    charger = STAGES["scheduled"].freeze(make_charger)
    charger.kill_agent()
    assert charger.csms.command("stop-listening") == "ok"
    assert charger.csms.command(f"time {BEYOND}") == "ok"
    charger.wrap = wrap
    charger.start_agent()
    charger.wait_log("cannot connect to")
    wait_control(charger)
    return charger


@pytest.mark.parametrize("clock", [("2030-01-01", True), ("2099-01-01", False), ("1970-01-01", False)])
def test_the_date_is_not_judged_by_a_clock_that_cannot_be_right(make_charger, tmp_path, clock):
    """Behind what the CSMS last said, or set by nobody: it waits for the CSMS."""
    seconds = int(datetime.fromisoformat(f"{clock[0]}T00:00:00+00:00").timestamp())
    charger = date_passes_without_the_csms(make_charger, clock_at(tmp_path, seconds, clock[1]))
    assert charger.job_state() == "scheduled" and charger.server.requests() == []
    assert charger.csms.command("listen") == "ok"
    assert charger.play() == "Installed"
    assert charger.statuses() == DONE


def test_the_date_is_judged_by_a_clock_that_is_kept(make_charger, tmp_path):
    """The update begins in time although the CSMS is away, and is reported when it is back."""
    seconds = int(datetime.fromisoformat(BEYOND.replace("Z", "+00:00")).timestamp())
    charger = date_passes_without_the_csms(make_charger, clock_at(tmp_path, seconds, True))
    charger.wait_step("installing -> reboot-wait")
    assert charger.statuses() == []
    assert charger.csms.command("listen") == "ok"
    assert charger.play() == "Installed"
    assert charger.statuses() == DONE


def test_the_date_comes_by_itself(make_charger):
    """No message of the CSMS is needed for it."""
    charger = make_charger().start()
    url = charger.publish("2.0.0")
    sent = time.monotonic()
    assert charger.csms_call(f"update {url} +2")[2] == {}
    charger.server.wait_requests(1)
    assert charger.server.requests()[0].time - sent > 1.9
    assert charger.play() == "Installed"
    assert charger.statuses() == DONE


# Minutes before the CSMS's time, in every spelling.
@pytest.mark.parametrize("date", ["absent", "1999-12-31T23:59:59Z", "2031-05-01T11:59:00.123456789Z",
                                  "2031-05-01T11:59:00", "2031-05-01T13:58:00+02:00", "2031-05-01T06:28:00-0530",
                                  "2031-05-01T13:59:00+02", "2031-05-01t11:59:00z"])
def test_a_retrieve_date_in_the_past_means_now(make_charger, date):
    charger = make_charger(csms=["--time", NOW]).start()
    ask(charger, "2.0.0", date)
    charger.wait_reboot_requested()
    assert charger.statuses() == STARTED


# Minutes after it: each of them would be over if its zone or its fraction were misread.
@pytest.mark.parametrize("date", ["2031-05-01T12:01:00", "2031-05-01T12:01:00.5Z", "2031-05-01T14:01:00+02:00",
                                  "2031-05-01T11:31:00-00:30", "2031-05-01T06:31:00-0530"])
def test_a_retrieve_date_to_come_is_waited_for(make_charger, date):
    charger = make_charger(csms=["--time", NOW]).start()
    ask(charger, "2.0.0", date)
    learn_time(charger, "2031-05-01T12:00:50Z")
    wait_control(charger)
    assert charger.job_state() == "scheduled" and charger.server.requests() == []
    learn_time(charger, "2031-05-01T12:01:01Z")
    charger.wait_reboot_requested()


@pytest.mark.parametrize("date", ["tomorrow", "2031-13-01T12:00:00Z", "2031-02-30T12:00:00Z", "2031-05-01",
                                  "2031-05-01T25:00:00Z", "2031-05-01T12:00:00+99:00", "1746100800"])
def test_what_is_no_date_is_refused(charger, date):
    frame = charger.csms_call(f"update {charger.publish('2.0.0')} {date}")
    assert (frame[0], frame[2]) == (4, "PropertyConstraintViolation")
    assert "retrieveDate" in frame[3]
    wait_control(charger)
    assert "job" not in charger.status() and charger.history() == []


# --------------------------------------------------------------------------------------------- what the commands show

HAPPY_HISTORY = [
    ("scheduled", "scheduled", "request"),
    ("scheduled", "downloading", "due"),
    ("downloading", "install-wait", "fetch-ok"),
    ("install-wait", "installing", "permit"),
    ("installing", "installing", "writing"),
    ("installing", "reboot-wait", "activated"),
    ("reboot-wait", "rebooting", "reboot-now"),
    ("rebooting", "confirming", "boot-target"),
    ("confirming", "confirming", "healthy"),
    ("confirming", "installed", "marked"),
]


def test_status_during_and_after_an_update(make_charger):
    charger = make_charger(csms=["--time", NOW]).start()
    wait_control(charger)
    wait_until(lambda: charger.status()["rauc"] == "idle" and charger.status()["boot-marked-good"], "RAUC")
    status = charger.status()
    assert status == {"version": status["version"], "identity": "CP001-FW", "firmware-version": "1.0.0", "connected": True,
                      "registration": "Accepted", "rauc": "idle", "boot-marked-good": True, "store-durable": True}

    charger.device.hold_verb("set-primary")
    url = ask(charger, "2.0.0")
    charger.device.wait_backend_call("set-primary", "B")
    wait_until(lambda: charger.status()["job"].get("progress", 0) >= 80, "progress")
    status = charger.status()
    assert status["rauc"] == "installing"
    job = status["job"]
    assert job.pop("progress") < 100 and job.pop("progress-message")
    size = charger.bundle("2.0.0").path.stat().st_size
    assert job == {"id": 1, "state": "installing", "last-status": "Installing", "location": url, "attempts": 0, "retries": 0,
                   "retrieve-date": "2031-05-01T11:59:00.000Z", "target-slot": "rootfs.1", "fetched-bytes": size}
    text = charger.ctl("status").stdout
    assert re.search(r"^identity: +CP001-FW$", text, re.M) and re.search(r"^  state: +installing$", text, re.M)
    assert re.search(r"^connected: +yes$", text, re.M) and re.search(r"^  progress: +[0-9]+$", text, re.M)

    charger.device.hold_verb("set-primary", False)
    assert charger.play() == "Installed"
    wait_ended(charger, 1, "installed")
    status = charger.status()
    assert status["firmware-version"] == "2.0.0" and "job" not in status
    job = status["last-job"]
    assert job.pop("ended").startswith("2031-05-01T12:00")
    assert job == {"id": 1, "state": "installed", "last-status": "Installed", "location": url, "attempts": 1, "retries": 0,
                   "retrieve-date": "2031-05-01T11:59:00.000Z", "target-slot": "rootfs.1", "fetched-bytes": size}


def test_status_during_the_download(make_charger):
    charger = STAGES["downloading"].freeze(make_charger)
    size = charger.bundle("2.0.0").path.stat().st_size
    wait_until(lambda: charger.status()["job"].get("size") == size, "the size of the bundle")
    job = charger.status()["job"]
    assert (job["transport"], job["transfer-percent"]) == ("download", 0) and job["bytes"] <= 4096
    assert "transfer-trouble" not in job and "progress" not in job and charger.status()["rauc"] == "idle"
    charger.server.close()                              # the link breaks, and stays so
    trouble = wait_until(lambda: charger.status()["job"].get("transfer-trouble"), "words of the trouble")
    assert trouble.startswith(f"cannot read {job['location']}: ")
    assert re.search(r"^  transfer-trouble: +cannot read ", charger.ctl("status").stdout, re.M)
    assert charger.statuses() == ["Downloading"]


def test_history_of_an_update(make_charger):
    charger = make_charger(csms=["--time", NOW]).start()
    wait_control(charger)
    assert charger.ctl("history").stdout == "" and json.loads(charger.ctl("history", "--json").stdout) == []
    ask(charger, "2.0.0")
    assert charger.play() == "Installed"
    wait_ended(charger, 1, "installed")
    assert steps(charger, 1) == HAPPY_HISTORY

    rows = json.loads(charger.ctl("history", "--json").stdout)
    bundle = charger.bundle("2.0.0").path.read_bytes()
    fetched = f"{len(bundle)} bytes fetched, sha256={hashlib.sha256(bundle).hexdigest()}"
    assert [row.pop("detail") for row in rows if "detail" in row] == [fetched]
    assert all(set(row) == {"time", "job", "from", "to", "event"} for row in rows)
    times = [row["time"] for row in rows]
    assert times == sorted(times, reverse=True) and times[-1].startswith("2031-05-01T12:00")
    lines = charger.ctl("history").stdout.splitlines()          # newest first, as the JSON
    assert len(lines) == len(HAPPY_HISTORY)
    for line, (before, after, event) in zip(lines, reversed(HAPPY_HISTORY)):
        reason = f": {fetched}" if event == "fetch-ok" else ""
        assert re.fullmatch(rf"2031-05-01T12:\S+Z job=1 {before} -> {after} {event}{reason}", line), line
    assert charger.ctl("history", "--limit", "2").stdout.splitlines() == lines[:2]


def test_status_and_history_tell_why_an_update_failed(charger):
    wait_control(charger)
    assert charger.csms_call("update http://someone:geheim@127.0.0.1:1/a.raucb now")[2] == {}
    assert charger.play() == "DownloadFailed"
    wait_ended(charger, 1, "download-failed")
    assert charger.statuses() == ["Downloading", "DownloadFailed"]
    job = last_job(charger)
    assert job["location"] == "http://***@127.0.0.1:1/a.raucb"
    assert job["reason"].startswith("cannot read http://127.0.0.1:1/a.raucb: no connection")
    rows = json.loads(charger.ctl("history", "--json").stdout)
    assert rows[0]["detail"] == job["reason"]
    assert charger.ctl("history").stdout.splitlines()[0].endswith(f"-> download-failed fetch-fail-last: {job['reason']}")
    for text in (charger.ctl("status").stdout, charger.ctl("history").stdout, charger.log_text()):
        assert "geheim" not in text and "someone" not in text


def test_status_tells_of_a_lost_csms(charger):
    wait_control(charger)
    assert charger.csms.command("stop-listening") == "ok"
    assert charger.csms.command("drop") == "ok"
    wait_until(lambda: not charger.status()["connected"], "the loss")
    wait_until(lambda: "cannot connect to 127.0.0.1" in charger.status()["connection-trouble"], "words of trouble")
    assert re.search(r"^connection-trouble: +cannot connect to 127\.0\.0\.1 port", charger.ctl("status").stdout, re.M)
    assert charger.csms.command("listen") == "ok"
    wait_until(lambda: charger.status()["connected"], "the connection")
    assert "connection-trouble" not in charger.status()


@pytest.mark.parametrize("args, code, words", [
    (["status"], 0, ""),
    (["history"], 0, ""),
    (["confirm"], 0, ""),
    (["cancel"], 1, "no update is under way"),
    (["allow-reboot"], 1, "no reboot waits for permission"),
    (["inhibit", "--", "sh", "-c", "exit 7"], 7, ""),
    (["inhibit", "--", "sh", "-c", "kill -TERM $$"], 143, ""),
    (["inhibit", "--", "/nonexistent/command"], 1, "/nonexistent/command"),
    (["inhibit"], 2, "no command to run"),
    (["inhibit", "--who", "x" * 65, "--", "true"], 1, "who is not allowed, use 1 to 64 characters"),
    (["status", "now"], 2, '"now" is one argument too many'),
    (["status", "--limit", "3"], 2, "--limit"),
    (["history", "--limit", "0"], 2, "--limit is from 1 to 1000"),
    (["restart"], 2, '"restart" is not a command'),
    ([], 2, "no command"),
    (["--help"], 0, ""),
    (["--version"], 0, ""),
])
def test_sub_commands_against_a_running_agent(charger, args, code, words):
    wait_control(charger)
    done = charger.ctl(*args, check=False)
    assert done.returncode == code
    assert words in done.stderr and (words != "") == (done.stderr != "")
    assert done.stderr == "" or done.stdout == ""
