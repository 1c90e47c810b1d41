# SPDX-License-Identifier: LGPL-2.1-or-later
"""Agent, RAUC or power die in each state of the job: the CSMS hears one true end, in order, and the charger is whole.

A `Scene` brings a charger into one state and keeps it there, whatever the machine's speed, until its `resolve`.
"""
import datetime
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
    charger.wait_step("installing -> retry-wait")
    yield


def install_wait(charger, scene):
    charger.wait_boot_marked()
    charger.device.stop_rauc()
    charger.update("2.0.0", options=scene.options)
    charger.wait_step("scheduled -> install-wait")
    yield
    charger.wait_registered(2)
    charger.device.start_rauc()


def downloading(charger, scene):
    held = charger.server.fault(NAME, "hold", after=4096)
    charger.update("2.0.0", options=scene.options)
    held.wait_reached()
    yield
    held.release()


def held_at(verb, *args):
    """RAUC stands still in this call."""
    def play(charger, scene):
        charger.wait_boot_marked()
        charger.device.hold_verb(verb)
        charger.update("2.0.0", options=scene.options)
        charger.device.wait_backend_call(verb, *args)
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
    "retry-wait": Scene("retry-wait", retry_wait, HAPPY[:1], installs=(2, 2), options="retries=1 interval=5"),
    "install-wait": Scene("install-wait", install_wait, [], rauc=False),
    "installing-downloads": Scene("installing", downloading, HAPPY[:1], installs=(1, 2)),
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


# ------------------------------------------------------------------------------------------------ RAUC and the agent

def hold_download(charger, options="retries=0"):
    held = charger.server.fault(NAME, "hold", after=4096)
    charger.update("2.0.0", options=options)
    held.wait_reached()
    settle(charger, HAPPY[:1])
    return held


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
    held = hold_download(charger)
    for starts in (1, 2):
        charger.restart_agent()
        charger.wait_log("state=installing -> installing event=resume", starts)
    charger.wait_registered(3)
    assert charger.status()["rauc"] == "installing"
    held.release()
    assert charger.play() == "Installed"
    settle(charger, HAPPY)
    assert charger.install_calls() == switches(charger) == len(charger.server.requests(NAME)) == 1


def test_adopted_install_fails(charger):
    """Its failure is that of an attempt, and counts as one."""
    charger.server.fault(NAME, "hold", after=4096)
    url = charger.publish("2.0.0", signer="foreign")
    assert charger.csms_call(f"update {url} now retries=2 interval=1")[2] == {}
    charger.server.wait_requests(1, NAME)
    settle(charger, HAPPY[:1])
    charger.restart_agent()
    charger.wait_log("state=installing -> installing event=resume")
    charger.server.release(NAME)
    assert charger.wait_end() == "InstallationFailed"
    settle(charger, NO_INSTALL)
    assert charger.install_calls() == 1
    expect_whole(charger, "InstallationFailed")


def test_adopted_install_stalls(make_charger):
    """The watchdog is over what was adopted, too."""
    charger = make_charger(settings={"rauc": {"silent-timeout": "2"}}).start()
    stalled = charger.server.fault(NAME, "stall", after=4096, times=1)
    charger.update("2.0.0", options="retries=1 interval=0")
    stalled.wait_reached()
    settle(charger, HAPPY[:1])
    charger.restart_agent()
    charger.wait_log("state=installing -> installing event=resume")
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
    hold_download(charger, "retries=0")
    for deaths in range(1, 6):
        charger.kill_agent()
        charger.device.kill_rauc()
        charger.device.start_rauc()
        charger.start_agent()
        charger.wait_log("event=interrupted", deaths)
        charger.server.wait_requests(deaths + 1, NAME)
        settle(charger, HAPPY[:1])
    charger.kill_agent()
    charger.device.kill_rauc()
    charger.device.start_rauc()
    charger.start_agent()
    assert charger.wait_end() == "DownloadFailed"
    settle(charger, ["Downloading", "DownloadFailed"])
    assert charger.install_calls() == 6
    charger.wait_state("download-failed")
    assert "interrupted 6 times" in charger.status()["last-job"]["reason"]
    expect_whole(charger, "DownloadFailed")


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


@pytest.mark.parametrize("retries", [1, 0])
def test_rauc_dies_while_it_downloads(charger, retries):
    """That attempt is over; it is judged when RAUC is back."""
    held = hold_download(charger, f"retries={retries} interval=1")
    charger.device.kill_rauc()
    charger.wait_log("RAUC left the bus")
    charger.csms_call("get-configuration")
    assert charger.statuses() == HAPPY[:1]
    held.release()
    charger.device.start_rauc()
    end = charger.play()
    assert end == ("Installed" if retries else "DownloadFailed")
    settle(charger, HAPPY if retries else ["Downloading", "DownloadFailed"])
    assert charger.install_calls() == 1 + retries
    expect_whole(charger, end)


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
    held = hold_download(charger)
    charger.device.kill_rauc()
    charger.wait_reboot_requested()
    settle(charger, HAPPY[:1])
    held.release()
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
        assert charger.device.booted == "A"
    held.release()
    charger.wait_reboot_requested()
    assert charger.reboot("power_cut") == "B"
    charger.wait_step("rebooting -> confirming")
    charger.wait_registered(5)
    assert charger.reboot("power_cut") == "B"
    charger.wait_step("confirming -> confirming")
    assert charger.play(confirm=True) == "Installed"
    settle(charger, HAPPY)
    expect_whole(charger, "Installed")
