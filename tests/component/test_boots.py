# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a boot brings: health checks, marks, RAUC that is late or never comes, registration, an older agent's return."""
import re
import sqlite3
import stat

import pytest

from simdevice import wait_until

WRITTEN = ["Downloading", "Downloaded", "Installing"]
FAILED = [*WRITTEN, "InstallationFailed"]
INSTALLED = [*WRITTEN, "Installed"]


def calls(charger, verb, *args):
    return [call for call in charger.device.backend_log() if call[1:] == (verb, args)]


def settle(charger, statuses, registrations=1):
    """The CSMS has been told this and nothing more, and the agent knows that it was heard."""
    charger.wait_registered(registrations)
    wait_until(lambda: len(charger.statuses()) >= len(statuses), f"the statuses {statuses}")
    assert charger.csms_call("get-configuration")[0] == 3
    assert charger.statuses() == statuses


def installed(charger):
    """2.0.0 is installed, the reboot was asked for."""
    charger.start()
    if "stack" in charger.settings.get("update", {}).get("health", ""):
        charger.ctl("confirm")      # the slot that runs, once: a boot forgets it
    charger.wait_boot_marked()
    charger.update()
    charger.wait_reboot_requested()
    settle(charger, WRITTEN)
    return charger


def check_failed(charger, booted="A"):
    assert charger.wait_end() == "InstallationFailed"
    charger.wait_state("rolled-back")
    settle(charger, FAILED, len(charger.boots()))
    device = charger.device
    assert (device.booted, device.primary(), device.boot_order(), device.attempts_left("B")) == (booted, "A", ["A"], 0)
    assert not calls(charger, "set-state", "B", "good")


class Script:
    """A health check: it says that it was called, waits for the word, and ends as told."""

    def __init__(self, folder, name):
        self.path, self.called, self.word = folder / name, folder / f".{name}.called", folder / f".{name}.word"
        self.path.write_text(f"""#!/bin/sh
touch '{self.called}'
while [ ! -s '{self.word}' ]; do sleep 0.02; done
read -r code < '{self.word}'
exit "$code"
""")
        self.path.chmod(stat.S_IRWXU)

    def wait_called(self):
        wait_until(self.called.exists, f"{self.path.name} to be called")

    def end(self, code=0):
        self.word.write_text(f"{code}\n")

    def renew(self):
        """The next boot's call is not answered yet."""
        self.called.unlink(missing_ok=True)
        self.word.unlink(missing_ok=True)


@pytest.fixture
def health(tmp_path):
    folder = tmp_path / "health.d"
    folder.mkdir()
    return folder


def with_health(health, checks="command", timeout=60, **groups):
    return {"update": {"health": checks, "health-directory": health, "health-timeout": str(timeout)}, **groups}


# ------------------------------------------------------------------------------------------------- health of a new slot


def test_failing_command(make_charger, health):
    """The deadline passes: pointed back and marked bad, then the reboot; the end is told from the old slot, once."""
    script = Script(health, "10-check")
    script.end(0)
    charger = installed(make_charger(settings=with_health(health, timeout=2)))
    device = charger.device
    script.end(1)
    device.hold_verb("set-state")
    assert charger.reboot() == "B"
    device.wait_backend_call("set-state", "B", "bad", count=2)      # the first was RAUC's, before it wrote
    settle(charger, WRITTEN, 2)
    assert len(device.reboot_requests()) == 1
    assert device.primary() == "A"      # already: the slot that runs is never marked bad while it is the only one
    device.hold_verb("set-state", False)
    charger.wait_reboot_requested(2)
    settle(charger, WRITTEN, 2)
    assert charger.job_state() == "rolling-back"
    script.end(0)
    assert charger.reboot() == "A"
    check_failed(charger)
    assert [row[3] for row in charger.history()][-5:] == ["boot-target", "deadline", "boot-old", "idle", "undone"]
    assert "health checks" in charger.status()["last-job"]["reason"]


def test_marked_good_after_the_checks_only(make_charger, health):
    script = Script(health, "10-check")
    script.end()
    charger = installed(make_charger(settings=with_health(health)))
    device = charger.device
    script.renew()
    assert charger.reboot() == "B"
    script.wait_called()
    settle(charger, WRITTEN, 2)
    assert charger.job_state() == "confirming" and "command" in charger.status()["health-waits-for"]
    assert not calls(charger, "set-state", "B", "good") and device.attempts_left("B") == 2

    device.hold_verb("set-state")
    script.end()
    device.wait_backend_call("set-state", "B", "good")
    settle(charger, WRITTEN, 2)         # Installed comes behind the mark
    device.hold_verb("set-state", False)
    charger.wait_status("Installed")
    settle(charger, INSTALLED, 2)
    assert len(calls(charger, "set-state", "B", "good")) == 1 and device.attempts_left("B") == 3


def test_all_named_checks_must_pass(make_charger, health):
    first, second = Script(health, "10-first"), Script(health, "20-second")
    (health / "README").write_text("not a program\n")
    first.end()
    second.end()
    charger = make_charger(settings=with_health(health, "csms;command;stack"))
    installed(charger)
    first.renew()
    second.renew()
    charger.csms.command("stop-listening")
    charger.csms.command("drop")

    def waits_for(*words):
        return wait_until(lambda: all(word in charger.status()["health-waits-for"] for word in words), f"{words}")
    assert charger.reboot() == "B"
    first.wait_called()
    waits_for("csms", "stack", "command")
    assert not second.called.exists()
    first.end()
    second.wait_called()
    charger.ctl("confirm")
    waits_for("csms", "command")
    assert "stack" not in charger.status()["health-waits-for"]
    second.end()
    wait_until(lambda: "command" not in charger.status()["health-waits-for"], "the commands to have passed")
    assert charger.job_state() == "confirming" and not calls(charger, "set-state", "B", "good")
    charger.csms.command("listen")
    charger.wait_status("Installed")
    settle(charger, INSTALLED, 2)


@pytest.mark.parametrize("confirms", [False, True])
def test_stack(make_charger, health, confirms):
    charger = make_charger(settings=with_health(health, "stack", 60 if confirms else 2))
    installed(charger)
    assert charger.reboot() == "B"
    charger.wait_step("rebooting -> confirming")
    settle(charger, WRITTEN, 2)
    if confirms:
        assert not calls(charger, "set-state", "B", "good")
        charger.ctl("confirm")
        charger.wait_status("Installed")
        settle(charger, INSTALLED, 2)
    else:
        charger.wait_reboot_requested(2)
        assert charger.reboot() == "A"
        charger.ctl("confirm")
        check_failed(charger)


def test_no_csms_no_health(make_charger):
    """A firmware that cannot reach the CSMS is given up, and the CSMS hears of it from the old one."""
    charger = installed(make_charger(settings={"update": {"health-timeout": "2"}}))
    charger.csms.command("refuse on")
    assert charger.reboot() == "B"
    charger.wait_reboot_requested(2)
    assert charger.statuses() == WRITTEN
    charger.csms.command("refuse off")
    assert charger.reboot() == "A"
    check_failed(charger)


def test_third_boot_in_confirming(make_charger, health):
    charger = make_charger(settings=with_health(health, "stack"))
    installed(charger)
    for boot, how in enumerate(["reboot", "power_cut", "power_cut"], 1):
        assert charger.reboot(how) == "B"
        charger.wait_step("rebooting -> confirming" if boot == 1 else
                          "confirming -> confirming" if boot == 2 else "confirming -> rolling-back")
        charger.wait_registered(1 + boot)
    charger.wait_reboot_requested(2)
    settle(charger, WRITTEN, 4)
    assert "three times" in charger.status()["job"]["reason"]
    assert charger.reboot() == "A"
    charger.ctl("confirm")
    check_failed(charger)


def test_deadline_survives_the_agent(make_charger, health):
    """It is counted from the boot and not from the agent's start, however often that is restarted."""
    charger = make_charger(settings=with_health(health, "stack", 6))
    installed(charger)
    assert charger.reboot() == "B"
    charger.wait_step("rebooting -> confirming")
    for start in range(1, 31):
        try:
            wait_until(lambda: "confirming -> rolling-back" in charger.log_text(), "the deadline", timeout=2)
            break
        except TimeoutError:
            charger.restart_agent()
            charger.wait_log("found at start", start + 1)
    assert start > 1        # it was restarted
    charger.wait_reboot_requested(2)
    events = [row[3] for row in charger.history()]
    assert events.count("boot-target") == 1 and events.count("deadline") == 1
    assert charger.reboot() == "A"
    charger.ctl("confirm")
    check_failed(charger)


@pytest.mark.parametrize("ends_by", ["deadline", "third boot"])
def test_no_other_slot_to_go_to(make_charger, health, ends_by):
    """The new firmware's RAUC knows no other slot: the charger stays, and says so."""
    timeout = 3 if ends_by == "deadline" else 60
    charger = make_charger(settings=with_health(health, "stack", timeout))
    device = charger.device
    installed(charger)
    charger.reboot(agent=False, rauc=False)
    conf = device.system_conf.read_text()
    device.system_conf.write_text(re.sub(r"\[slot\.rootfs\.0\][^\[]*", "", conf))
    device.start_rauc()
    charger.start_agent()
    for step in ("rebooting -> confirming", "confirming -> confirming") if ends_by == "third boot" else ():
        charger.wait_step(step)
        charger.wait_registered(len(charger.boots()))
        assert charger.reboot("power_cut") == "B"
    assert charger.wait_end() == "InstallationFailed"
    charger.wait_state("install-failed")
    settle(charger, FAILED, len(charger.boots()))
    assert charger.history()[-1][1:] == ("confirming", "install-failed", "no-fallback")
    critical = [line for line in charger.log_text().splitlines() if line.startswith("critical") and "stays" in line]
    assert len(critical) == 1, charger.log_text()
    assert len(device.reboot_requests()) == 1
    assert device.booted == "B" and not calls(charger, "set-primary", "A")
    assert len(calls(charger, "set-state", "B", "bad")) == 1    # RAUC's, before it wrote
    charger.ctl("confirm")                                      # better late than never
    charger.wait_boot_marked()
    settle(charger, FAILED, len(charger.boots()))


# -------------------------------------------------------------------------------------------------- boots without a job


def test_marked_once_a_boot(make_charger, health):
    script = Script(health, "10-check")
    charger = make_charger(settings=with_health(health)).start()
    device = charger.device
    script.wait_called()
    settle(charger, [])
    assert not charger.status()["boot-marked-good"] and not calls(charger, "set-state", "A", "good")
    script.end()
    charger.wait_boot_marked()
    for restarts in (2, 3):
        charger.stop_agent()
        charger.start_agent()
        settle(charger, [], restarts)
        assert charger.status()["boot-marked-good"]
    assert len(calls(charger, "set-state", "A", "good")) == 1
    for boots in (2, 3):
        assert charger.reboot("power_cut") == "A"
        charger.wait_boot_marked()
        assert len(calls(charger, "set-state", "A", "good")) == boots
    assert device.attempts_left("A") == 3 and not device.reboot_requests()


@pytest.mark.parametrize("mark_good", ["always", "jobs", "never"])
def test_mark_good_setting(make_charger, mark_good):
    charger = make_charger(settings={"rauc": {"mark-good": mark_good}}).start()
    if mark_good == "always":
        charger.wait_boot_marked()
    charger.update()
    charger.wait_reboot_requested()
    settle(charger, WRITTEN)
    assert len(calls(charger, "set-state", "A", "good")) == (1 if mark_good == "always" else 0)
    assert charger.reboot() == "B"
    charger.wait_status("Installed")
    settle(charger, INSTALLED, 2)
    assert len(calls(charger, "set-state", "B", "good")) == (0 if mark_good == "never" else 1)
    if mark_good == "always":
        return
    assert charger.reboot() == "B"      # a boot without a job
    settle(charger, INSTALLED, 3)
    assert len(calls(charger, "set-state", "B", "good")) == (0 if mark_good == "never" else 1)


def test_boot_after_an_install_by_hand(make_charger, health):
    """It is checked and marked good as any other, and the CSMS hears nothing but the version."""
    script = Script(health, "10-check")
    script.end()
    charger = make_charger(settings=with_health(health)).start()
    charger.wait_boot_marked()
    assert charger.device.install(charger.bundle("3.0.0").path) == ""
    script.renew()
    assert charger.reboot() == "B"
    script.wait_called()
    settle(charger, [], 2)
    assert not calls(charger, "set-state", "B", "good")
    script.end()
    charger.wait_boot_marked()
    assert charger.device.attempts_left("B") == 3
    assert [boot["frame"][3]["firmwareVersion"] for boot in charger.boots()] == ["1.0.0", "3.0.0"]
    assert charger.statuses() == [] and charger.job_state() is None


def test_a_job_marks_the_running_slot_at_every_start(make_charger, health):
    """Power cuts while an update waits do not use up the attempts of the slot that runs, healthy or not."""
    charger = make_charger(settings=with_health(health, "stack")).start()
    charger.update(date="+86400")
    charger.wait_state("scheduled")
    for cuts in range(1, 6):
        assert charger.reboot("power_cut") == "A"
        charger.wait_boot_marked()
        assert charger.device.attempts_left("A") == 3
        assert len(calls(charger, "set-state", "A", "good")) == cuts
    settle(charger, [], 6)


# ------------------------------------------------------------------------------------------------ a reboot that is late


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_reboot_is_asked_for_again(make_charger, how):
    charger = installed(make_charger())
    for asked in (2, 3):
        if how == "stop":
            charger.stop_agent()
            charger.start_agent()
        else:
            charger.restart_agent()
        charger.wait_reboot_requested(asked)
        settle(charger, WRITTEN, asked)
        assert charger.device.primary() == "B" and charger.job_state() == "rebooting"
    assert charger.install_calls() == 1
    assert charger.reboot() == "B"
    charger.wait_status("Installed")
    settle(charger, INSTALLED, 4)


def test_reboot_waits_on_after_a_restart(make_charger):
    charger = make_charger(settings={"update": {"reboot-permission": "required"}}).start()
    charger.update()
    charger.wait_state("reboot-wait")
    settle(charger, WRITTEN)
    charger.restart_agent()
    settle(charger, WRITTEN, 2)
    assert charger.job_state() == "reboot-wait" and not charger.device.reboot_requests()
    assert charger.device.primary() == "B"
    charger.ctl("allow-reboot")
    charger.wait_reboot_requested()
    assert charger.reboot() == "B"
    charger.wait_status("Installed")
    assert charger.statuses() == INSTALLED


# -------------------------------------------------------------------------------------------- RAUC is not there (yet)


def test_no_verdict_without_rauc(make_charger):
    charger = installed(make_charger())
    assert charger.reboot(rauc=False) == "B"
    settle(charger, WRITTEN, 2)
    charger.restart_agent()
    settle(charger, WRITTEN, 3)
    assert charger.job_state() == "rebooting" and charger.status()["rauc"] == "absent"
    charger.device.start_rauc()
    charger.wait_status("Installed")
    settle(charger, INSTALLED, 3)
    assert len(calls(charger, "set-state", "B", "good")) == 1


@pytest.mark.parametrize("state", ["rebooting", "reboot-wait"])
def test_rauc_never_comes_back(make_charger, state):
    """Reboots without a mark, until the loader has enough of it."""
    permission = "required" if state == "reboot-wait" else "automatic"
    charger = make_charger(settings={"rauc": {"absent-timeout": "1"}, "update": {"reboot-permission": permission}})
    device = charger.device
    charger.start()
    charger.update()
    charger.wait_state(state)
    settle(charger, WRITTEN)
    boots = []
    how = "power_cut" if state == "reboot-wait" else "reboot"
    while True:
        boots.append(charger.reboot(how, rauc=False))
        if boots[-1] == "A":
            break
        how = "reboot"
        charger.wait_registered(1 + len(boots))
        charger.wait_log("event=silent", len(boots))
        if state == "reboot-wait":
            assert not charger.reboot_wanted()      # this one waits for leave, too
            charger.ctl("allow-reboot")
        wait_until(charger.reboot_wanted, "a reboot without RAUC")
    assert boots == ["B", "B", "B", "A"]
    assert not calls(charger, "set-state", "B", "good") and not calls(charger, "set-primary", "A")
    device.start_rauc()
    check_failed(charger)
    assert charger.history()[-3][3] == "boot-old" and "silent" in [row[3] for row in charger.history()]


# ---------------------------------------------------------------------------------------------------------- registration


@pytest.mark.parametrize("first", ["Pending", "Rejected"])
def test_installed_is_held_back_until_accepted(make_charger, first):
    charger = installed(make_charger(csms=["--interval", "1"]))
    charger.csms.command(f"boot {first},{first},Accepted")
    start = charger.csms.mark()
    assert charger.reboot() == "B"
    charger.wait_status("Installed")
    settle(charger, INSTALLED, 2)
    sent = [frame["frame"][2] for frame in charger.csms.events[start:]
            if frame["event"] == "received" and frame["frame"][0] == 2]
    assert sent[:3] == ["BootNotification"] * 3 and sent.count("BootNotification") == 3
    assert "FirmwareStatusNotification" in sent[3:]
    if first == "Rejected":     # that is no health
        marked = calls(charger, "set-state", "B", "good")[0].time * 1000
        assert marked > charger.boots()[-1]["time"] - 20    # the backend's clock has ten milliseconds


def test_pending_is_healthy_and_silent(make_charger):
    """The update is over while the charge point is Pending: CALLs are answered, and Installed waits."""
    charger = installed(make_charger(csms=["--interval", "300"]))
    charger.csms.command("boot Pending,Accepted")
    assert charger.reboot() == "B"
    charger.wait_state("installed")
    assert charger.device.attempts_left("B") == 3
    assert charger.csms_call("get-configuration")[0] == 3
    assert charger.statuses() == WRITTEN
    charger.csms_call("trigger BootNotification")
    charger.wait_status("Installed")
    settle(charger, INSTALLED, 2)


# -------------------------------------------------------------------------------------------------------- an older agent


def raise_version(store):
    with sqlite3.connect(store) as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        db.execute(f"PRAGMA user_version = {version + 1}")
        db.execute("CREATE TABLE of_the_future (x)")
    db.close()
    return version


def copy_store(store, copy):
    with sqlite3.connect(store) as source, sqlite3.connect(copy) as target:
        source.backup(target)
    source.close()
    target.close()


FUTURE_SETTINGS = {"update": {"transport": "teleport"}, "gateway": {"listen": "127.0.0.1:9000"}, "csms": {"colour": "blue"}}


def test_older_agent_with_its_own_copy(make_charger):
    """The new firmware's agent migrated the store and kept a copy; the old agent goes on with that, and reports."""
    charger = installed(make_charger())
    charger.stop_agent()
    copy = charger.store.with_name(charger.store.name + ".v1")
    copy_store(charger.store, copy)
    assert raise_version(charger.store) == 1
    for group, keys in FUTURE_SETTINGS.items():
        charger.settings.setdefault(group, {}).update(keys)
    assert charger.reboot(panics={"B"}) == "A"
    check_failed(charger)
    log = charger.log_text()
    assert "own copy opened" in log
    for key in ("update.transport", "gateway", "csms.colour"):
        assert key in log
    aside = charger.store.with_name(charger.store.name + ".newer-v2")
    assert aside.exists() and not copy.exists()
    count = len(charger.statuses())
    charger.update("3.0.0")
    wait_until(charger.reboot_wanted, "the reboot for 3.0.0")
    assert charger.reboot() == "B"
    charger.wait_status("Installed")
    assert charger.statuses()[count:] == INSTALLED


def test_older_agent_without_a_copy(make_charger):
    """The store began with the newer agent: the old one starts afresh, reachable and able to update."""
    charger = installed(make_charger())
    assert charger.reboot() == "B"
    charger.wait_status("Installed")
    settle(charger, INSTALLED, 2)
    charger.stop_agent()
    raise_version(charger.store)
    for group, keys in FUTURE_SETTINGS.items():
        charger.settings.setdefault(group, {}).update(keys)
    assert charger.reboot(panics={"B"}) == "A"
    settle(charger, INSTALLED, 3)
    assert "started afresh" in charger.log_text()
    assert charger.job_state() is None and charger.status()["store-durable"]
    assert charger.boots()[-1]["frame"][3]["firmwareVersion"] == "1.0.0"
    charger.wait_boot_marked()
    charger.update("3.0.0")
    wait_until(charger.reboot_wanted, "the reboot for 3.0.0")
    assert charger.reboot() == "B"
    charger.wait_status("Installed", 2)
    assert charger.statuses() == INSTALLED + INSTALLED
