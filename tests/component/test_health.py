# SPDX-License-Identifier: LGPL-2.1-or-later
"""The health checks of a new slot: nothing is marked good or told before they pass, and what a failure leads to."""
import re

import pytest

from boots import FAILED, INSTALLED, WRITTEN, Script, check_failed, installed, with_health
from simdevice import wait_until


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
    charger.settle(WRITTEN, 2)
    assert len(device.reboot_requests()) == 1
    assert device.primary() == "A"      # already: the slot that runs is never marked bad while it is the only one
    device.hold_verb("set-state", False)
    charger.wait_reboot_requested(2)
    charger.settle(WRITTEN, 2)
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
    charger.settle(WRITTEN, 2)
    assert charger.job_state() == "confirming" and "command" in charger.status()["health-waits-for"]
    assert not charger.backend_calls("set-state", "B", "good") and device.attempts_left("B") == 2

    device.hold_verb("set-state")
    script.end()
    device.wait_backend_call("set-state", "B", "good")
    charger.settle(WRITTEN, 2)         # Installed comes behind the mark
    device.hold_verb("set-state", False)
    charger.wait_status("Installed")
    charger.settle(INSTALLED, 2)
    assert len(charger.backend_calls("set-state", "B", "good")) == 1 and device.attempts_left("B") == 3


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
    assert charger.job_state() == "confirming" and not charger.backend_calls("set-state", "B", "good")
    charger.csms.command("listen")
    charger.wait_status("Installed")
    charger.settle(INSTALLED, 2)


@pytest.mark.parametrize("confirms", [False, True])
def test_stack(make_charger, health, confirms):
    charger = make_charger(settings=with_health(health, "stack", 60 if confirms else 2))
    installed(charger)
    assert charger.reboot() == "B"
    charger.wait_step("rebooting -> confirming")
    charger.settle(WRITTEN, 2)
    if confirms:
        assert not charger.backend_calls("set-state", "B", "good")
        charger.ctl("confirm")
        charger.wait_status("Installed")
        charger.settle(INSTALLED, 2)
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
    charger.settle(WRITTEN, 4)
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
    charger.settle(FAILED, len(charger.boots()))
    assert charger.history()[-1][1:] == ("confirming", "install-failed", "no-fallback")
    critical = [line for line in charger.log_text().splitlines() if line.startswith("critical") and "stays" in line]
    assert len(critical) == 1, charger.log_text()
    assert len(device.reboot_requests()) == 1
    assert device.booted == "B" and not charger.backend_calls("set-primary", "A")
    assert len(charger.backend_calls("set-state", "B", "bad")) == 1    # RAUC's, before it wrote
    charger.ctl("confirm")                                      # better late than never
    charger.wait_boot_marked()
    charger.settle(FAILED, len(charger.boots()))
