# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a boot brings: marks, a reboot or a RAUC that is late or never comes, registration, an older agent's return."""
import sqlite3

import pytest

from boots import INSTALLED, WRITTEN, Script, check_failed, installed, updates_again, with_health
from simdevice import wait_until


# -------------------------------------------------------------------------------------------------- boots without a job


def test_marked_once_a_boot(make_charger, health):
    script = Script(health, "10-check")
    charger = make_charger(settings=with_health(health)).start()
    device = charger.device
    script.wait_called()
    charger.settle([])
    assert not charger.status()["boot-marked-good"] and not charger.backend_calls("set-state", "A", "good")
    script.end()
    charger.wait_boot_marked()
    for restarts in (2, 3):
        charger.stop_agent()
        charger.start_agent()
        charger.settle([], restarts)
        assert charger.status()["boot-marked-good"]
    assert len(charger.backend_calls("set-state", "A", "good")) == 1
    for boots in (2, 3):
        assert charger.reboot("power_cut") == "A"
        charger.wait_boot_marked()
        assert len(charger.backend_calls("set-state", "A", "good")) == boots
    assert device.attempts_left("A") == 3 and not device.reboot_requests()


@pytest.mark.parametrize("mark_good", ["always", "jobs", "never"])
def test_mark_good_setting(make_charger, mark_good):
    charger = make_charger(settings={"rauc": {"mark-good": mark_good}}).start()
    if mark_good == "always":
        charger.wait_boot_marked()
    charger.update()
    charger.wait_reboot_requested()
    charger.settle(WRITTEN)
    assert len(charger.backend_calls("set-state", "A", "good")) == (1 if mark_good == "always" else 0)
    assert charger.reboot() == "B"
    charger.wait_status("Installed")
    charger.settle(INSTALLED, 2)
    assert len(charger.backend_calls("set-state", "B", "good")) == (0 if mark_good == "never" else 1)
    if mark_good == "always":
        return
    assert charger.reboot() == "B"      # a boot without a job
    charger.settle(INSTALLED, 3)
    assert len(charger.backend_calls("set-state", "B", "good")) == (0 if mark_good == "never" else 1)


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
    charger.settle([], 2)
    assert not charger.backend_calls("set-state", "B", "good")
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
        assert len(charger.backend_calls("set-state", "A", "good")) == cuts
    charger.settle([], 6)


def test_a_slot_that_is_all_that_boots_is_marked_unhealthy(make_charger, health):
    """The loader would use up its attempts, and has nothing to go back to."""
    charger = make_charger(settings=with_health(health, "stack", timeout=1)).start()
    assert charger.device.rauc("status", "mark-bad", "other").returncode == 0
    assert charger.reboot("power_cut") == "A"
    charger.wait_boot_marked()
    assert charger.device.attempts_left("A") == 3
    charger.settle([], 2)


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
        charger.settle(WRITTEN, asked)
        assert charger.device.primary() == "B" and charger.job_state() == "rebooting"
    assert charger.install_calls() == 1
    assert charger.reboot() == "B"
    charger.wait_status("Installed")
    charger.settle(INSTALLED, 4)


def test_reboot_waits_on_after_a_restart(make_charger):
    charger = make_charger(settings={"update": {"reboot-permission": "required"}}).start()
    charger.update()
    charger.wait_state("reboot-wait")
    charger.settle(WRITTEN)
    charger.restart_agent()
    charger.settle(WRITTEN, 2)
    assert charger.job_state() == "reboot-wait" and not charger.device.reboot_requests()
    assert charger.device.primary() == "B"
    charger.ctl("allow-reboot")
    charger.wait_reboot_requested()
    assert charger.reboot() == "B"
    charger.wait_status("Installed")
    assert charger.statuses() == INSTALLED


# ---------------------------------------------------------------------------------------------- RAUC is not there (yet)


def test_no_verdict_without_rauc(make_charger):
    charger = installed(make_charger())
    assert charger.reboot(rauc=False) == "B"
    charger.settle(WRITTEN, 2)
    charger.restart_agent()
    charger.settle(WRITTEN, 3)
    assert charger.job_state() == "rebooting" and charger.status()["rauc"] == "absent"
    charger.device.start_rauc()
    charger.wait_status("Installed")
    charger.settle(INSTALLED, 3)
    assert len(charger.backend_calls("set-state", "B", "good")) == 1


@pytest.mark.parametrize("state", ["rebooting", "reboot-wait"])
def test_rauc_never_comes_back(make_charger, state):
    """Reboots without a mark, until the loader has enough of it."""
    permission = "required" if state == "reboot-wait" else "automatic"
    charger = make_charger(settings={"rauc": {"absent-timeout": "1"}, "update": {"reboot-permission": permission}})
    device = charger.device
    charger.start()
    charger.update()
    charger.wait_state(state)
    charger.settle(WRITTEN)
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
    assert not charger.backend_calls("set-state", "B", "good") and not charger.backend_calls("set-primary", "A")
    device.start_rauc()
    check_failed(charger)
    assert charger.history()[-3][3] == "boot-old" and "silent" in [row[3] for row in charger.history()]


# --------------------------------------------------------------------------------------------------------- registration


@pytest.mark.parametrize("first", ["Pending", "Rejected"])
def test_installed_is_held_back_until_accepted(make_charger, first):
    charger = installed(make_charger(csms=["--interval", "1"]))
    charger.csms.command(f"boot {first},{first},Accepted")
    start = charger.csms.mark()
    assert charger.reboot() == "B"
    charger.wait_status("Installed")
    charger.settle(INSTALLED, 2)
    sent = [frame["frame"][2] for frame in charger.csms.events[start:]
            if frame["event"] == "received" and frame["frame"][0] == 2]
    assert sent[:3] == ["BootNotification"] * 3 and sent.count("BootNotification") == 3
    assert "FirmwareStatusNotification" in sent[3:]
    if first == "Rejected":     # that is no health
        marked = charger.backend_calls("set-state", "B", "good")[0].time * 1000
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
    charger.settle(INSTALLED, 2)


# ------------------------------------------------------------------------------------------------------- an older agent


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


FUTURE_SETTINGS = {"update": {"teleport": "true"}, "gateway": {"listen": "127.0.0.1:9000"},
                   "csms": {"colour": "blue"}}


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
    for key in ("update.teleport", "gateway", "csms.colour"):
        assert key in log
    aside = charger.store.with_name(charger.store.name + ".newer-v2")
    assert aside.exists() and not copy.exists()
    updates_again(charger)


def test_older_agent_without_a_copy(make_charger):
    """The store began with the newer agent: the old one starts afresh, reachable and able to update."""
    charger = installed(make_charger())
    assert charger.reboot() == "B"
    charger.wait_status("Installed")
    charger.settle(INSTALLED, 2)
    charger.stop_agent()
    raise_version(charger.store)
    for group, keys in FUTURE_SETTINGS.items():
        charger.settings.setdefault(group, {}).update(keys)
    assert charger.reboot(panics={"B"}) == "A"
    charger.settle(INSTALLED, 3)
    assert "started afresh" in charger.log_text()
    assert charger.job_state() is None and charger.status()["store-durable"]
    assert charger.boots()[-1]["frame"][3]["firmwareVersion"] == "1.0.0"
    charger.wait_boot_marked()
    updates_again(charger)
