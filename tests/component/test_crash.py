# SPDX-License-Identifier: LGPL-2.1-or-later
"""Agent, RAUC or power die in each state of the job: the CSMS hears one true end, in order, and the charger is whole.

A `Scene` brings a charger into one state and keeps it there, whatever the machine's speed, until its `resolve`.
"""
import datetime
import re
from dataclasses import dataclass, field

import pytest

from charger import wait_until

HAPPY = ["Downloading", "Downloaded", "Installing", "Installed"]
NO_INSTALL = HAPPY[:3] + ["InstallationFailed"]
NAME = "2.0.0.raucb"


def settle(charger, statuses):
    """The CSMS has heard exactly these, and the agent knows that it has."""
    wait_until(lambda: charger.statuses() == statuses, f"the statuses {statuses}")
    charger.csms_call("get-configuration")


# ------------------------------------------------------------------------------------------------------------- scenes

@dataclass
class Scene:
    """One state to die in.  Generators: what brings the charger there, then, after the yield, what lets it go on."""
    state: str
    play: callable
    before: list                        # statuses so far
    killed: str = "Installed"           # the end after the agent's death
    cut: str = "Installed"              # the end after a power cut
    installs: tuple = (1, 1)            # InstallBundle calls in the whole job: after a kill, after a cut
    begins: tuple = ((0,), (0,))        # the first bytes that were asked of the bundle server: after a kill, after a cut
    settings: dict = field(default_factory=dict)
    options: str = "retries=0"
    recorded: bool = False              # RAUC has a record of what the target held before
    rauc: bool = True                   # it starts after a power cut


def scheduled(charger, scene):
    charger.update("2.0.0", date="+3600", options=scene.options)
    yield
    charger.wait_registered(2)
    assert charger.statuses() == []
    later = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=2)
    assert charger.csms.command(f"time {later:%Y-%m-%dT%H:%M:%SZ}") == "ok"
    charger.csms_call("trigger Heartbeat")


def retry_wait(charger, scene):
    charger.server.fault(NAME, "404", times=1)
    charger.update("2.0.0", options=scene.options)
    charger.wait_step("downloading -> retry-wait")
    yield


def retry_wait_after_install(charger, scene):
    charger.device.fail_verb("set-primary")
    charger.update("2.0.0", options=scene.options)
    charger.wait_step("installing -> retry-wait")
    charger.device.fail_verb("set-primary", False)
    yield


def install_wait(charger, scene):
    charger.wait_boot_marked()
    charger.device.stop_rauc()
    charger.update("2.0.0", options=scene.options)
    charger.wait_step("downloading -> install-wait")
    yield
    charger.wait_registered(2)
    charger.device.start_rauc()


def begins(charger):
    """The first byte of each request for the bundle."""
    return tuple(int(request.range.removeprefix("bytes=").split("-")[0]) if request.range else 0
                 for request in charger.server.requests(NAME))


def wait_part(charger, size):
    """So many bytes of the first job's bundle have come."""
    part = charger.spool / "job-1.part"
    wait_until(lambda: part.exists() and part.stat().st_size >= size, f"{size} bytes of the bundle")


def downloading(charger, scene):
    held = charger.server.fault(NAME, "hold", after=4096)
    charger.update("2.0.0", options=scene.options)
    held.wait_reached()
    wait_part(charger, 4096)
    yield
    held.release()


def held_at(verb, *args):
    """RAUC stands still in this call."""
    def play(charger, scene):
        charger.wait_boot_marked()
        before = len(charger.backend_calls(verb, *args))
        charger.device.hold_verb(verb)
        charger.update("2.0.0", options=scene.options)
        charger.device.wait_backend_call(verb, *args, count=before + 1)
        yield
        charger.device.hold_verb(verb, False)
    return play


def reboot_wait(charger, scene):
    inhibitor = charger.inhibit()
    try:
        charger.update("2.0.0", options=scene.options)
        charger.wait_step("installing -> reboot-wait")
        yield
    finally:
        inhibitor.kill()


def permission_wait(charger, scene):
    charger.update("2.0.0", options=scene.options)
    charger.wait_step("installing -> reboot-wait")
    yield
    charger.wait_registered(2)
    charger.csms_call("get-configuration")
    assert not charger.device.reboot_requests()
    if charger.device.booted == "A":
        wait_until(lambda: charger.ctl("allow-reboot", check=False).returncode == 0, "the wish to reboot")


def rebooting(charger, scene):
    charger.update("2.0.0", options=scene.options)
    charger.wait_reboot_requested()
    yield
    if charger.device.booted == "A":
        charger.wait_reboot_requested(2)


def confirming(charger, scene):
    charger.ctl("confirm")
    charger.update("2.0.0", options=scene.options)
    charger.wait_reboot_requested()
    assert charger.reboot() == "B"
    charger.wait_step("rebooting -> confirming")
    charger.wait_registered(2)
    yield


def rolling_back(verb="", *args):
    """The new slot is given up; RAUC stands still in one of the marks, or the reboot is awaited."""
    def play(charger, scene):
        yield from until_first_yield(confirming(charger, scene))
        if verb:
            charger.device.hold_verb(verb)
        wait_until(lambda: charger.ctl("cancel", check=False).returncode == 0, "the slots' state to be known")
        if verb:
            charger.device.wait_backend_call(verb, *args)
        else:
            charger.wait_reboot_requested(2)
        yield
        if verb:
            charger.device.hold_verb(verb, False)
        elif charger.device.booted == "B":
            charger.wait_reboot_requested(3)
    return play


def until_first_yield(scene):
    next(scene)
    return
    yield       # a generator, for `yield from`


def undoing(verb, *args, count=1):
    """RAUC fails after it has switched the loader, and stands still in one of the marks that take it back."""
    def play(charger, scene):
        device = charger.device
        device.fail_verb("post-install")
        device.hold_verb("post-install")
        charger.update("2.0.0", options=scene.options)
        device.wait_backend_call("post-install")
        device.hold_verb(verb)
        device.hold_verb("post-install", False)
        device.wait_backend_call(verb, *args, count=count)
        yield
        device.hold_verb(verb, False)
    return play


STACK = {"update": {"health": "csms;stack"}}
FAILED = {"killed": "InstallationFailed", "cut": "InstallationFailed"}

SCENES = {
    "scheduled": Scene("scheduled", scheduled, []),
    # The agent takes up what lies in the spool; after a power cut only what had been synced, which is nothing of so little.
    "downloading": Scene("downloading", downloading, HAPPY[:1], begins=((0, 4096), (0, 0))),
    "retry-wait": Scene("retry-wait", retry_wait, HAPPY[:1], begins=((0, 0), (0, 0)), options="retries=1 interval=5"),
    "install-wait": Scene("install-wait", install_wait, HAPPY[:2], rauc=False),
    "retry-wait-after-install": Scene("retry-wait", retry_wait_after_install, HAPPY[:3], installs=(2, 2),
                                      options="retries=1 interval=5"),
    "installing-writes": Scene("installing", held_at("set-state", "B", "bad"), HAPPY[:3], installs=(1, 2)),
    "installing-writes-again": Scene("installing", held_at("set-state", "B", "bad"), HAPPY[:3], installs=(1, 2),
                                     recorded=True),
    # The image is whole, the loader still points to the old slot: it may have been activated for all the agent knows.
    "installing-written": Scene("installing", held_at("set-primary", "B"), HAPPY[:3], cut="InstallationFailed"),
    "installing-activated": Scene("installing", held_at("post-install"), HAPPY[:3]),
    "reboot-wait-inhibitor": Scene("reboot-wait", reboot_wait, HAPPY[:3]),
    "reboot-wait-permission": Scene("reboot-wait", permission_wait, HAPPY[:3],
                                    settings={"update": {"reboot-permission": "required"}}),
    "rebooting": Scene("rebooting", rebooting, HAPPY[:3]),
    "confirming": Scene("confirming", confirming, HAPPY[:3], settings=STACK),
    "rolling-back-unmarked": Scene("rolling-back", rolling_back("set-primary", "A"), HAPPY[:3], settings=STACK, **FAILED),
    "rolling-back-marking": Scene("rolling-back", rolling_back("set-state", "B", "bad"), HAPPY[:3], settings=STACK,
                                  **FAILED),
    "rolling-back-marked": Scene("rolling-back", rolling_back(), HAPPY[:3], settings=STACK, **FAILED),
    "undoing-unmarked": Scene("undoing", undoing("set-primary", "A"), HAPPY[:3], **FAILED),
    "undoing-marking": Scene("undoing", undoing("set-state", "B", "bad", count=2), HAPPY[:3], **FAILED),
}


def install_by_hand(charger):
    """Slot B has been installed by RAUC once; slot A is the one that boots."""
    charger.device.start_bus()
    charger.device.power_on()
    assert charger.device.install(charger.bundle("1.1.0").path) == ""
    charger.device.stop_rauc()
    charger.device.set_boot_state(order=["A", "B"])


def kill(charger, scene):
    charger.restart_agent()


def power_cut(charger, scene):
    charger.reboot("power_cut", rauc=scene.rauc)


@pytest.mark.parametrize("death", [kill, power_cut])
@pytest.mark.parametrize("name", SCENES)
def test_death_in_each_state(make_charger, name, death):
    scene = SCENES[name]
    charger = make_charger(settings=scene.settings)
    if scene.recorded:
        install_by_hand(charger)
    charger.start()
    play = scene.play(charger, scene)
    next(play)
    settle(charger, scene.before)
    death(charger, scene)
    charger.wait_log(f"job=1 state={scene.state} found at start")
    next(play, None)
    end = charger.play(confirm=scene.settings == STACK)
    settle(charger, HAPPY[:3] + [end])
    assert end == (scene.killed if death is kill else scene.cut)
    assert charger.install_calls() == scene.installs[death is power_cut]
    assert begins(charger) == scene.begins[death is power_cut]
    expect_whole(charger, end)


def expect_whole(charger, end):
    """The loader and the slots are as this end says, and nothing is under way."""
    device = charger.device
    status = charger.status()
    assert "job" not in status
    if end == "Installed":
        assert status["last-job"]["state"] == "installed"
        assert device.booted == device.primary() == "B" and charger.installed_image("B")
        assert device.attempts_left("B") == 3
    else:
        assert status["last-job"]["state"] in ("install-failed", "rolled-back", "cancelled", "download-failed")
        assert device.booted == device.primary() == "A"
        assert device.attempts_left("A") == 3
    assert not charger.reboot_wanted()
    assert not list(charger.spool.iterdir())


# ------------------------------------------------------------------------------------------------------- the download

def hold_download(charger, options="retries=0", **fault):
    held = charger.server.fault(NAME, "hold", **{"after": 4096, **fault})
    charger.update("2.0.0", options=options)
    held.wait_reached()
    settle(charger, HAPPY[:1])
    return held


@pytest.mark.parametrize("agent", ["killed", "stopped"])
def test_agent_ends_again_and_again_while_it_downloads(charger, agent):
    """It goes on each time where it was: no byte comes twice, and no attempt is charged."""
    hold_download(charger, after=50000)
    for ends in range(1, 8):
        wait_part(charger, ends * 50000)
        charger.stop_agent() if agent == "stopped" else charger.kill_agent()
        held = charger.server.fault(NAME, "hold", after=50000)
        charger.start_agent()
        charger.wait_log("state=downloading -> downloading event=resume", ends)
        held.wait_reached()
    held.release()
    assert charger.play() == "Installed"
    settle(charger, HAPPY)
    assert begins(charger) == tuple(range(0, 8 * 50000, 50000))
    assert charger.status()["last-job"]["attempts"] == charger.install_calls() == 1
    expect_whole(charger, "Installed")


def synced(charger):
    """Bytes of the first job's bundle that a power cut does not take."""
    info = charger.spool / "job-1.info"
    words = re.search(r"^synced=(\d+)$", info.read_text(), re.M) if info.exists() else None
    return int(words[1]) if words else 0


def test_power_cut_while_it_downloads(make_charger):
    """What was synced is not fetched again."""
    size, part = 10 << 20, 6 << 20
    charger = make_charger(device={"slot_size": 12 << 20}).start()
    held = charger.server.fault(NAME, "hold", after=part)
    charger.update("2.0.0", options="retries=0", size=size)
    held.wait_reached()
    wait_part(charger, part)
    wait_until(lambda: synced(charger) > 0, "a sync")
    settle(charger, HAPPY[:1])
    charger.server.fault(NAME, "ok")
    charger.reboot("power_cut")
    charger.wait_log("state=downloading -> downloading event=resume")
    assert charger.play() == "Installed"
    settle(charger, HAPPY)
    first, again = begins(charger)
    assert first == 0 and 4 << 20 <= again <= part
    assert charger.status()["last-job"]["attempts"] == charger.install_calls() == 1
    assert charger.installed_image("B", size=size)


def test_bundle_changes_while_the_agent_is_dead(charger):
    """Nothing is glued together."""
    held = hold_download(charger, after=50000)
    wait_part(charger, 50000)
    charger.kill_agent()
    charger.server.fault(NAME, "ok")
    charger.server.publish(charger.bundle("3.0.0").path, NAME)
    held.release()
    charger.start_agent()
    assert charger.play() == "Installed"
    settle(charger, HAPPY)
    assert begins(charger)[:2] == (0, 50000)
    assert charger.installed_image("B", "3.0.0")


@pytest.mark.parametrize("back", ["before the end", "after the end"])
def test_rauc_dies_while_the_agent_downloads(charger, back):
    """It is not needed for that."""
    charger.wait_boot_marked()
    held = hold_download(charger)
    charger.device.kill_rauc()
    charger.wait_log("RAUC left the bus")
    if back == "before the end":
        charger.device.start_rauc()
    held.release()
    charger.wait_step("downloading -> install-wait")
    if back == "after the end":
        settle(charger, HAPPY[:2])
        charger.device.start_rauc()
    assert charger.play() == "Installed"
    settle(charger, HAPPY)
    assert charger.install_calls() == charger.status()["last-job"]["attempts"] == 1
    expect_whole(charger, "Installed")


# ------------------------------------------------------------------------------------------------ RAUC and the agent

def hold_verb(charger, verb, *args, options="retries=0"):
    charger.wait_boot_marked()
    charger.device.hold_verb(verb)
    charger.update("2.0.0", options=options)
    charger.device.wait_backend_call(verb, *args)
    settle(charger, HAPPY[:3])


def switches(charger):
    """How often the loader was pointed to the new slot."""
    return sum(call[1:] == ("set-primary", ("B",)) for call in charger.device.backend_log())


def test_agent_adopts_install(charger):
    """It waits for the end of what runs: no second install, no failure, also when killed again."""
    hold_verb(charger, "set-state", "B", "bad")
    for starts in (1, 2):
        charger.restart_agent()
        charger.wait_log("state=installing -> installing event=resume", starts)
        charger.wait_registered(starts + 1)
    assert charger.status()["rauc"] == "installing"
    charger.device.hold_verb("set-state", False)
    assert charger.play() == "Installed"
    settle(charger, HAPPY)
    assert charger.install_calls() == switches(charger) == len(charger.server.requests(NAME)) == 1


@pytest.mark.parametrize("retries", [1, 0])
def test_adopted_install_fails(charger, retries):
    """Its failure is that of an attempt, and counts as one."""
    charger.device.fail_verb("set-primary")
    hold_verb(charger, "set-primary", "B", options=f"retries={retries} interval=1")
    charger.restart_agent()
    charger.wait_log("state=installing -> installing event=resume")
    charger.device.hold_verb("set-primary", False)
    if retries:
        charger.wait_step("installing -> retry-wait")
        charger.device.fail_verb("set-primary", False)
    end = charger.play()
    assert end == ("Installed" if retries else "InstallationFailed")
    settle(charger, HAPPY[:3] + [end])
    assert charger.install_calls() == charger.status()["last-job"]["attempts"] == 1 + retries
    charger.device.fail_verb("set-primary", False)
    expect_whole(charger, end)


def test_adopted_install_stalls(charger):
    """The watchdog is over what was adopted, too."""
    hold_verb(charger, "set-state", "B", "bad", options="retries=1 interval=3")
    charger.settings["rauc"] = {"silent-timeout": "2"}
    charger.restart_agent()
    charger.wait_log("state=installing -> installing event=resume")
    charger.wait_rauc_restarted()
    charger.device.hold_verb("set-state", False)
    assert charger.play() == "Installed"
    settle(charger, HAPPY)
    assert charger.install_calls() == 2
    assert len(charger.device.restart_requests()) == 1


def test_install_ends_while_agent_is_dead(charger):
    """The loader points to the target: it was activated, and no Completed is waited for."""
    hold_verb(charger, "set-primary", "B")
    charger.kill_agent()
    charger.device.hold_verb("set-primary", False)
    wait_until(lambda: "finished" in charger.device.rauc_log(), "the end of the install")
    charger.start_agent()
    assert charger.play() == "Installed"
    settle(charger, HAPPY)
    assert charger.install_calls() == 1


def test_agent_and_rauc_die(charger):
    """Nobody is to blame: not charged, tried again at once, five times a job at most."""
    hold_verb(charger, "set-state", "B", "bad")
    for deaths in range(1, 7):
        charger.kill_agent()
        charger.device.kill_rauc()
        charger.device.start_rauc()
        charger.start_agent()
        if deaths < 6:
            charger.wait_log("event=interrupted", deaths)
            charger.device.wait_backend_call("set-state", "B", "bad", count=deaths + 1)
            settle(charger, HAPPY[:3])
    assert charger.wait_end() == "InstallationFailed"
    settle(charger, NO_INSTALL)
    assert charger.install_calls() == 6
    assert begins(charger) == (0,)
    charger.wait_state("install-failed")
    assert "interrupted 6 times" in charger.status()["last-job"]["reason"]
    expect_whole(charger, "InstallationFailed")


def test_agent_and_rauc_die_while_writing(charger):
    hold_verb(charger, "set-state", "B", "bad")
    charger.kill_agent()
    charger.device.kill_rauc()
    charger.device.hold_verb("set-state", False)
    charger.device.start_rauc()
    charger.start_agent()
    assert charger.play() == "Installed"
    settle(charger, HAPPY)
    assert charger.install_calls() == 2


@pytest.mark.parametrize("verb, args", [("set-state", ("B", "bad")), ("set-primary", ("B",))])
@pytest.mark.parametrize("retries", [1, 0])
def test_rauc_dies_while_it_writes(charger, retries, verb, args):
    hold_verb(charger, verb, *args, options=f"retries={retries} interval=1")
    charger.device.kill_rauc()
    charger.wait_log("RAUC left the bus")
    charger.device.hold_verb(verb, False)
    charger.device.start_rauc()
    end = charger.play()
    assert end == ("Installed" if retries else "InstallationFailed")
    settle(charger, HAPPY[:3] + [end])
    assert charger.install_calls() == 1 + retries
    expect_whole(charger, end)


def test_rauc_dies_after_activation(charger):
    """The loader is switched: that install is as good as complete."""
    hold_verb(charger, "post-install")
    charger.device.kill_rauc()
    charger.wait_log("RAUC left the bus")
    charger.device.hold_verb("post-install", False)
    charger.device.start_rauc()
    assert charger.play() == "Installed"
    settle(charger, HAPPY)
    assert charger.install_calls() == 1
    assert ("installing", "reboot-wait", "activated") in [row[1:] for row in charger.history()]


def test_rauc_stays_dead(make_charger):
    """Without RAUC nothing can be said of the install: a reboot brings it back."""
    charger = make_charger(settings={"rauc": {"absent-timeout": "2"}}).start()
    hold_verb(charger, "set-state", "B", "bad")
    charger.device.kill_rauc()
    charger.wait_reboot_requested()
    settle(charger, HAPPY[:3])
    charger.device.hold_verb("set-state", False)
    assert charger.play() == "Installed"
    settle(charger, HAPPY)
    assert charger.install_calls() == 2


def test_new_slot_stays_primary_over_restarts(make_charger):
    """The agent restarts while the reboot is pending: the update is not lost, and the loader not touched."""
    charger = make_charger(settings={"update": {"reboot-permission": "required"}}).start()
    charger.update("2.0.0")
    charger.wait_step("installing -> reboot-wait")
    settle(charger, HAPPY[:3])
    for starts in (2, 3):
        charger.stop_agent() if starts == 2 else charger.kill_agent()
        charger.start_agent()
        charger.wait_registered(starts)
        charger.wait_log("state=reboot-wait -> reboot-wait event=resume", starts - 1)
        assert charger.device.primary() == "B"
        assert switches(charger) == 1
    charger.ctl("allow-reboot")
    assert charger.play() == "Installed"
    settle(charger, HAPPY)


def test_power_cuts_one_after_the_other(make_charger):
    """Three in a row in each phase: neither slot's attempts run out, and the update still ends well."""
    charger = make_charger(settings=STACK)
    install_by_hand(charger)
    charger.start()
    charger.ctl("confirm")
    held = hold_download(charger)
    for cuts in range(1, 4):
        charger.reboot("power_cut")
        charger.server.wait_requests(cuts + 1, NAME)
        charger.wait_boot_marked()      # the download does not wait for that
        assert charger.device.booted == "A"
    charger.device.hold_verb("set-state", args=("B", "bad"))
    held.release()
    for cuts in range(4, 7):
        charger.device.wait_backend_call("set-state", "B", "bad", count=cuts - 3 + 1)   # the first was install_by_hand()'s
        charger.reboot("power_cut")
        assert charger.device.booted == "A"
    charger.device.hold_verb("set-state", False, ("B", "bad"))
    charger.wait_reboot_requested()
    assert charger.reboot("power_cut") == "B"
    charger.wait_step("rebooting -> confirming")
    charger.wait_registered(8)
    assert charger.reboot("power_cut") == "B"
    charger.wait_step("confirming -> confirming")
    assert charger.play(confirm=True) == "Installed"
    settle(charger, HAPPY)
    expect_whole(charger, "Installed")
