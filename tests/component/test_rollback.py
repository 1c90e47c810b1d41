# SPDX-License-Identifier: LGPL-2.1-or-later
"""The way back, when the loader or the health checks give the new slot up; and the verdict after a boot, row by row.

What the CSMS must not hear too early is checked with RAUC standing still: a held call of the boot loader backend cannot
have been answered, so nothing that depends on it can have happened.
"""
import time

import pytest

from boots import FAILED, INSTALLED, WRITTEN, installed, updates_again
from simdevice import wait_until

WAITS = {"update": {"reboot-permission": "required"}}
UNHEALTHY = {"update": {"health": "stack", "health-timeout": "1"}}     # nobody confirms the new slot


def power_cut(charger, *held, before=None, **options):
    """Everything dies where it stands, also what hangs in `held` verbs; before() sees the dead device."""
    charger.kill_agent()
    charger.device.kill_rauc()
    for verb in held:
        charger.device.hold_verb(verb, False)
    if before:
        before()
    charger.reboot("power_cut", **options)


def boot_into(charger, slot, *held):
    """A power cut after which the loader takes a slot that its environment does not name; that stays as it was."""
    device = charger.device

    def force():
        force.env = device.boot_env()
        device.set_boot_state(order=[slot], left={slot: 3})
    power_cut(charger, *held, before=force, agent=False, rauc=False)
    assert device.booted == slot
    device.set_boot_state(order=force.env.order, left=force.env.left)
    device.start_rauc()
    charger.start_agent()


def wait_for_the_next_second():
    """RAUC's time stamps have no finer resolution."""
    now = int(time.time())
    wait_until(lambda: int(time.time()) > now, "the next second")


def check_rolled_back(charger, state="rolled-back"):
    """What every way back must leave behind, and that its end stays one end."""
    device = charger.device
    assert charger.wait_end() == "InstallationFailed"
    charger.wait_state(state)
    assert charger.statuses() == FAILED
    assert (device.booted, device.primary(), device.boot_order()) == ("A", "A", ["A"])
    assert device.attempts_left("B") == 0 and device.slot_status()["B"]["boot_status"] == "bad"
    assert device.slot_version("A") == "1.0.0"
    assert charger.boots()[-1]["frame"][3]["firmwareVersion"] == "1.0.0"
    assert charger.history()[-1][1:] == ("undoing", state, "undone")
    assert charger.status().get("job") is None
    registrations = len(charger.boots())
    charger.stop_agent()
    charger.start_agent()
    charger.settle(FAILED, registrations + 1)


# ----------------------------------------------------------------------------------------------------------- the loader


def test_loader_falls_back(make_charger):
    """The end is told after the loader's switch back and the mark of the failed slot, not before."""
    charger = installed(make_charger())
    device = charger.device
    device.hold_verb("set-primary")
    assert charger.reboot(panics={"B"}) == "A"
    assert device.tried == ["B", "B", "B", "A"]
    charger.wait_registered(2)
    device.wait_backend_call("set-primary", "A")
    charger.settle(WRITTEN)
    assert charger.job_state() == "undoing"

    device.hold_verb("set-state")
    device.hold_verb("set-primary", False)
    device.wait_backend_call("set-state", "B", "bad", count=2)      # the first one was RAUC's, before it wrote
    charger.settle(WRITTEN)
    assert charger.job_state() == "undoing"

    device.hold_verb("set-state", False)
    check_rolled_back(charger)
    reason = charger.status()["last-job"]["reason"]
    assert "went back to rootfs.0" in reason and "rootfs.1 did not boot" in reason, reason
    updates_again(charger)


@pytest.mark.parametrize("verb, args", [("set-primary", ["A"]), ("set-state", ["B", "bad"])])
def test_power_cut_while_undoing(make_charger, verb, args):
    charger = installed(make_charger())
    device = charger.device
    power_cut(charger, agent=False, panics={"B"})
    count = len(charger.backend_calls(verb, *args))
    if verb == "set-state":     # the mark of the running slot comes first and must get through
        device.hold_verb("set-primary")
    else:
        device.hold_verb(verb)
    charger.start_agent()
    device.wait_backend_call("set-primary", "A")
    if verb == "set-state":
        device.hold_verb("set-state")
        device.hold_verb("set-primary", False)
    device.wait_backend_call(verb, *args, count=count + 1)
    charger.settle(WRITTEN, 2)
    power_cut(charger, "set-primary", "set-state")
    check_rolled_back(charger)


def test_rolled_back_to_a_slot_with_no_attempts_left(make_charger):
    """The fallback has used up its attempts: pointing the loader to it refills them."""
    charger = installed(make_charger(settings=UNHEALTHY))
    charger.device.set_boot_state(left={"A": 0})
    assert charger.reboot() == "B"
    charger.wait_reboot_requested(2)
    assert charger.device.boot_env().order == ["A"] and charger.device.attempts_left("A") == 3
    assert charger.reboot() == "A"
    check_rolled_back(charger)


# ----------------------------------------------------------------------------------------------- rows: target is booted


def test_target_matches(make_charger):
    charger = installed(make_charger(settings={"update": {"health": "stack"}}))
    assert charger.reboot() == "B"
    charger.wait_step("rebooting -> confirming")
    charger.settle(WRITTEN, 2)
    assert charger.job_state() == "confirming"
    charger.ctl("confirm")
    charger.wait_status("Installed")
    assert charger.statuses() == INSTALLED


def without_status_file(charger):
    """RAUC then knows nothing of what it has installed."""
    conf = charger.device.system_conf.read_text()
    charger.device.system_conf.write_text("\n".join(line for line in conf.split("\n") if "statusfile" not in line))
    return charger.start()


@pytest.mark.parametrize("version, event, end", [("2.0.0", "boot-target", "Installed"),
                                                 ("1.0.0", "boot-target-other", "InstallationFailed")])
def test_target_without_a_status_file(make_charger, version, event, end):
    """Then a changed firmware version decides."""
    charger = without_status_file(make_charger())
    charger.update(version, seed=1)
    charger.wait_reboot_requested()
    assert charger.reboot() == "B"
    assert charger.wait_end() == end
    assert charger.statuses() == [*WRITTEN, end]
    assert event in [row[3] for row in charger.history()]


@pytest.mark.parametrize("version", ["3.0.0", "2.0.0"])     # another one, and the job's own once more
@pytest.mark.parametrize("mark_good", ["always", "jobs"])
def test_target_installed_by_hand_while_the_agent_is_away(make_charger, version, mark_good):
    charger = installed(make_charger(settings={"rauc": {"mark-good": mark_good}}))
    device = charger.device
    charger.stop_agent()
    wait_for_the_next_second()
    assert device.install(charger.bundle(version).path) == ""
    assert charger.reboot() == "B"
    assert charger.wait_end() == "InstallationFailed"
    charger.wait_state("install-failed")
    assert charger.history()[-1][1:] == ("rebooting", "install-failed", "boot-target-other")
    assert charger.statuses() == FAILED
    assert (device.booted, device.primary()) == ("B", "B")      # it is the operator's: it stays
    if mark_good == "always":
        device.wait_backend_call("set-state", "B", "good")
        assert device.attempts_left("B") == 3
    else:
        charger.settle(FAILED, 2)
        assert not charger.backend_calls("set-state", "B", "good")
    assert len(device.reboot_requests()) == 1


@pytest.mark.parametrize("state", ["reboot-wait", "rebooting"])
def test_target_installed_by_hand_before_the_reboot(make_charger, state):
    charger = make_charger(settings=WAITS if state == "reboot-wait" else {}).start()
    charger.update()
    charger.wait_state(state)
    assert charger.device.install(charger.bundle("3.0.0").path) == ""
    assert charger.wait_end() == "InstallationFailed"
    charger.wait_state("install-failed")
    assert charger.statuses() == FAILED
    assert charger.history()[-1][1:] == (state, "install-failed", "boot-target-other")
    assert charger.reboot() == "B"
    charger.device.wait_backend_call("set-state", "B", "good")
    charger.settle(FAILED, 2)
    assert charger.device.slot_version("B") == "3.0.0"


@pytest.mark.parametrize("verb, args", [("set-primary", ["A"]), ("set-state", ["B", "bad"])])
def test_target_again_while_rolling_back(make_charger, verb, args):
    """The power is cut before the marks: the new slot boots once more, and is given up once more."""
    charger = installed(make_charger(settings=UNHEALTHY))
    device = charger.device
    count = len(charger.backend_calls(verb, *args))
    device.hold_verb(verb)
    assert charger.reboot() == "B"
    device.wait_backend_call(verb, *args, count=count + 1)
    charger.settle(WRITTEN, 2)
    assert charger.job_state() == "rolling-back"
    assert len(device.reboot_requests()) == 1       # not before the marks
    boot_into(charger, "B", verb)
    charger.wait_step("rolling-back -> rolling-back")
    charger.wait_reboot_requested(2)
    assert not charger.backend_calls("set-state", "B", "good")
    assert charger.reboot() == "A"
    check_rolled_back(charger)
    assert ("rolling-back", "rolling-back", "boot-target") in [row[1:] for row in charger.history()]


def test_target_again_while_undoing(make_charger):
    charger = installed(make_charger())
    device = charger.device
    device.hold_verb("set-primary")
    assert charger.reboot(panics={"B"}) == "A"
    device.wait_backend_call("set-primary", "A")
    boot_into(charger, "B", "set-primary")
    charger.wait_step("undoing -> rolling-back")
    charger.wait_reboot_requested(2)
    assert device.boot_order() == ["A"] and not charger.backend_calls("set-state", "B", "good")
    assert charger.reboot() == "A"
    check_rolled_back(charger)


def test_target_booted_before_it_was_written(make_charger):
    """RAUC has marked the slot bad and the loader boots it all the same, with what it held before."""
    charger = make_charger().start()
    device = charger.device
    charger.wait_boot_marked()
    device.hold_verb("set-state")
    charger.update()
    device.wait_backend_call("set-state", "B", "bad")
    charger.settle(WRITTEN)
    boot_into(charger, "B", "set-state")
    charger.wait_step("installing -> rolling-back")
    charger.wait_reboot_requested(1)
    assert charger.boots()[-1]["frame"][3]["firmwareVersion"] == "0.9.0"
    assert device.boot_order() == ["A"] and not charger.backend_calls("set-state", "B", "good")
    assert charger.reboot() == "A"
    # This slot was not written by the job, so it is left as it is: bad already.
    assert charger.wait_end() == "InstallationFailed"
    charger.wait_state("install-failed")
    assert charger.statuses() == FAILED
    assert (device.primary(), device.attempts_left("B"), charger.install_calls()) == ("A", 0, 1)


# ----------------------------------------------------------------------------------------- rows: the old slot is booted


def interrupt(charger, count=1):
    """RAUC stands still before it writes, for the `count`-th time, and the power is cut there."""
    charger.device.wait_backend_call("set-state", "B", "bad", count=count)
    assert charger.device.booted == "A"
    charger.settle(WRITTEN, count)
    charger.reboot("power_cut")


def test_interrupted_is_not_charged(make_charger):
    """The old slot boots and nothing was installed: again, although there are no retries.  The bundle is there already."""
    charger = make_charger().start()
    charger.device.hold_verb("set-state", args=("B", "bad"))
    charger.update(options="retries=0")
    interrupt(charger)
    charger.device.hold_verb("set-state", False, ("B", "bad"))
    wait_until(charger.reboot_wanted, "the reboot")
    assert charger.status()["job"]["attempts"] == 1     # the one that went well
    assert charger.reboot() == "B"
    charger.wait_status("Installed")
    assert charger.statuses() == INSTALLED
    assert charger.install_calls() == 2
    assert len(charger.server.requests("2.0.0.raucb")) == 1
    assert ("installing", "retry-wait", "interrupted") in [row[1:] for row in charger.history()]


def test_interrupted_five_times_at_most(make_charger):
    charger = make_charger().start()
    charger.device.hold_verb("set-state", args=("B", "bad"))
    charger.update(options="retries=0")
    for count in range(1, 7):
        interrupt(charger, count)
    assert charger.wait_end() == "InstallationFailed"
    charger.wait_registered(7)
    charger.settle(FAILED)
    assert charger.install_calls() == 6
    events = [row[3] for row in charger.history()]
    assert events.count("interrupted") == 5 and events[-1] == "interrupted-last"
    assert charger.device.primary() == "A" and charger.device.attempts_left("A") == 3
    charger.device.hold_verb("set-state", False, ("B", "bad"))
    updates_again(charger)


def test_a_download_may_be_interrupted_at_will(make_charger):
    """RAUC has not been called: power cuts neither count nor use up the running slot's attempts."""
    charger = make_charger().start()
    held = charger.server.fault("2.0.0.raucb", "hold", after=4096)
    charger.update(options="retries=0")
    for cuts in range(1, 8):
        charger.server.wait_requests(cuts, "2.0.0.raucb")
        charger.settle(WRITTEN[:1], cuts)
        charger.wait_boot_marked()
        charger.reboot("power_cut")
    held.release()
    wait_until(charger.reboot_wanted, "the reboot")
    assert charger.device.attempts_left("A") == 3 and charger.install_calls() == 1
    assert charger.reboot() == "B"
    charger.wait_status("Installed")
    assert charger.statuses() == INSTALLED


def test_written_but_not_activated_is_never_installed_again(make_charger):
    """installed.count has advanced: that is no interruption any more."""
    charger = make_charger().start()
    device = charger.device
    device.hold_verb("set-primary")
    charger.update(options="retries=3")
    device.wait_backend_call("set-primary", "B")
    charger.settle(WRITTEN)
    power_cut(charger, "set-primary")
    assert device.booted == "A"
    check_rolled_back(charger, "install-failed")
    assert charger.install_calls() == 1
    assert ("installing", "undoing", "boot-old") in [row[1:] for row in charger.history()]


@pytest.mark.parametrize("state", ["installing", "reboot-wait"])
def test_primary_is_the_target_and_no_reboot_was_tried(make_charger, state):
    """One more reboot, as the loader points to the new slot already."""
    charger = make_charger(settings=WAITS if state == "reboot-wait" else {}).start()
    device = charger.device
    if state == "installing":
        device.hold_verb("post-install")    # the slot is activated, and RAUC has not said so yet
    charger.update()
    if state == "installing":
        device.wait_backend_call("post-install")
    charger.wait_state(state)
    charger.settle(WRITTEN)
    boot_into(charger, "A", "post-install")
    charger.wait_step(f"{state} -> reboot-wait")
    if state == "reboot-wait":
        charger.wait_registered(2)
        charger.settle(WRITTEN)
        assert not charger.reboot_wanted()
        charger.ctl("allow-reboot")
    wait_until(charger.reboot_wanted, "one more reboot")
    assert (device.primary(), charger.install_calls()) == ("B", 1)
    assert charger.reboot() == "B"
    charger.wait_status("Installed")
    assert charger.statuses() == INSTALLED


def test_primary_is_the_target_but_a_reboot_was_tried(make_charger):
    charger = installed(make_charger())
    boot_into(charger, "A")
    check_rolled_back(charger)
    assert ("rebooting", "undoing", "boot-old-primary-target") in [row[1:] for row in charger.history()]
    assert len(charger.device.reboot_requests()) == 1


def test_one_more_reboot_is_one(make_charger):
    charger = make_charger(settings=WAITS).start()
    charger.update()
    charger.wait_state("reboot-wait")
    charger.settle(WRITTEN)
    boot_into(charger, "A")
    charger.wait_step("reboot-wait -> reboot-wait")
    charger.ctl("allow-reboot")
    charger.wait_reboot_requested()
    boot_into(charger, "A")
    check_rolled_back(charger)


def test_old_slot_in_reboot_wait(make_charger):
    """The new slot was tried by a power cut, without anybody's asking, and does not boot."""
    charger = make_charger(settings=WAITS).start()
    charger.update()
    charger.wait_state("reboot-wait")
    charger.settle(WRITTEN)
    power_cut(charger, panics={"B"})
    check_rolled_back(charger)
    assert not charger.device.reboot_requests()


def test_old_slot_in_confirming(make_charger):
    """The new slot came up once, unconfirmed, and then not any more."""
    charger = installed(make_charger(settings={"update": {"health": "stack"}}))
    assert charger.reboot() == "B"
    charger.wait_step("rebooting -> confirming")
    power_cut(charger, panics={"B"})
    check_rolled_back(charger)


# ----------------------------------------------------------------------------------------------- row: neither is booted


def boot_rescue(charger, slot):
    """The loader falls to a system that is none of the two."""
    device = charger.device
    device.reboot(rauc=False)
    conf = device.system_conf.read_text()
    rescue = device.root / "rescue.img"
    rescue.write_bytes(bytes(4096))
    if slot == "R":
        device.system_conf.write_text(f"{conf}\n[slot.rescue.0]\ndevice={rescue}\ntype=raw\nbootname=R\n")
    booted, device.booted = device.booted, slot
    device.start_rauc()
    return conf, booted


@pytest.mark.parametrize("slot", ["R", "C"])    # R is a slot of another class; RAUC knows no slot C
def test_neither_slot_is_booted(make_charger, slot):
    charger = installed(make_charger(settings={"rauc": {"mark-good": "never"}}))
    device = charger.device
    charger.stop_agent()
    conf, booted = boot_rescue(charger, slot)
    asked = len(charger.backend_calls("get-primary"))
    charger.start_agent()
    if slot == "R":
        device.wait_backend_call("get-primary", count=asked + 1)
    else:
        charger.wait_log("Did not find booted slot")
    charger.settle(WRITTEN, 2)
    assert charger.job_state() == "rebooting"
    assert len(device.reboot_requests()) == 1 and device.boot_env().order == ["B", "A"]
    charger.stop_agent()
    device.stop_rauc()
    device.system_conf.write_text(conf)
    device.booted = booted
    assert charger.reboot() == "B"
    charger.wait_status("Installed")
    assert charger.statuses() == INSTALLED
