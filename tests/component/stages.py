# SPDX-License-Identifier: LGPL-2.1-or-later
"""Brings a charger into a state of the firmware job and holds the world there.

    stage = STAGES["installing-written"]
    charger = stage.freeze(make_charger)    # UpdateFirmware to 2.0.0; it stays in that state
    ...
    stage.thaw(charger)                     # the job goes on; charger.play() plays the reboots
"""
from dataclasses import dataclass
from typing import Callable, Optional

from simdevice import wait_until

NOW = "2031-05-01T12:00:00Z"            # CSMS time; far from the machine's, so that nothing takes one for the other
PAST, LATER, BEYOND = "2031-05-01T11:59:00Z", "2031-05-01T13:00:00Z", "2031-05-01T13:00:01Z"
VERSION = "2.0.0"
STARTED = ["Downloading", "Downloaded", "Installing"]
DONE, FAILED = [*STARTED, "Installed"], [*STARTED, "InstallationFailed"]


def learn_time(charger, time):
    """The CSMS's clock is set, and the agent hears of it."""
    assert charger.csms.command(f"time {time}") == "ok"
    start = charger.csms.mark()
    assert charger.csms_call("trigger Heartbeat")[2] == {"status": "Accepted"}
    charger.csms.wait_event("received", lambda f: f.get("action") == "Heartbeat" and f["frame"][0] == 2, start)
    # An answer to our next CALL comes after the agent has read the Heartbeat.conf, which was sent before.
    charger.csms_call("get-configuration HeartbeatInterval")


def wait_control(charger):
    """A process that was just started answers the sub-commands."""
    wait_until(lambda: charger.ctl("status", check=False).returncode == 0, "the agent's control interface")


def wait_up(charger):
    """The same, and it is registered."""
    wait_control(charger)
    wait_until(lambda: charger.status()["registration"] == "Accepted", "the registration")


def to_rebooting(charger, settings=None):
    charger.update(VERSION, PAST)
    charger.wait_reboot_requested()
    charger.settings.setdefault("update", {}).update(settings or {})


# ------------------------------------------------------------------------------------------------------- one a stage

def freeze_scheduled(charger):
    charger.update(VERSION, LATER)


def thaw_scheduled(charger):
    learn_time(charger, BEYOND)


def freeze_install_wait(charger):
    charger.device.stop_rauc()
    charger.update(VERSION, PAST)


def thaw_install_wait(charger):
    charger.device.start_rauc()


def freeze_retry_wait(charger):
    charger.server.fault(f"{VERSION}.raucb", "404")
    charger.update(VERSION, PAST, "retries=1 interval=3600")


def freeze_retry_wait_tried(charger):
    charger.device.fail_verb("set-primary")
    charger.update(VERSION, PAST, "retries=1 interval=3600")
    charger.wait_step("installing -> retry-wait")
    charger.device.fail_verb("set-primary", False)


def freeze_downloading(charger):
    fault = charger.server.fault(f"{VERSION}.raucb", "hold", after=4096)
    charger.update(VERSION, PAST)
    fault.wait_reached()


def thaw_downloading(charger):
    charger.server.release(f"{VERSION}.raucb")


def holding(verb, *args):
    def freeze(charger):
        charger.device.hold_verb(verb)
        charger.update(VERSION, PAST)
        charger.device.wait_backend_call(verb, *args)

    def thaw(charger):
        charger.device.hold_verb(verb, False)
    return freeze, thaw


def freeze_reboot_wait(charger):
    charger.update(VERSION, PAST)


def thaw_reboot_wait(charger):
    charger.ctl("allow-reboot")
    charger.settings["update"]["reboot-permission"] = "automatic"


def freeze_confirming(charger):
    to_rebooting(charger, {"health": "stack"})
    assert charger.reboot() == "B"


def thaw_confirming(charger):
    charger.settings["update"]["health"] = "csms"
    charger.ctl("confirm")


def freeze_rolling_back(charger):
    to_rebooting(charger, {"health": "stack", "health-timeout": "1"})
    assert charger.reboot() == "B"


def thaw_rolling_back(charger):
    charger.settings["update"].update({"health": "csms", "health-timeout": "3600"})


def freeze_undoing(charger):
    to_rebooting(charger)
    charger.device.hold_verb("set-primary")
    assert charger.reboot(panics=["B"]) == "A"
    charger.device.wait_backend_call("set-primary", "A")


def thaw_undoing(charger):
    charger.device.hold_verb("set-primary", False)


def nothing(charger):
    """The reboot is all that is missing, and play() makes it."""


@dataclass
class Stage:
    state: str
    statuses: list                          # that the CSMS has heard when the world stands still
    start: Callable
    go_on: Optional[Callable]               # None: only a cancel leads out of it in a test's time
    end: list = None                        # all statuses of the job when nobody interferes
    settings: dict = None
    rejects_reset: bool = False

    def freeze(self, make_charger, statuses=None, **settings):
        """A charger in this state; `settings` are further ones of [update], `statuses` what the CSMS hears with them."""
        groups = {"update": {**(self.settings or {}), **settings}}
        charger = make_charger(settings=groups, csms=["--time", NOW]).start()
        wait_up(charger)
        wait_until(lambda: charger.status()["boot-marked-good"], "the mark of the first boot")
        self.start(charger)
        wait_up(charger)
        charger.wait_state(self.state)
        expected = self.statuses if statuses is None else statuses
        wait_until(lambda: charger.statuses() == expected, f"the statuses {expected}")
        return charger

    def thaw(self, charger):
        self.go_on(charger)


def installing(statuses, start, go_on):
    return Stage("installing", statuses, start, go_on, DONE, rejects_reset=True)


STAGES = {
    "scheduled": Stage("scheduled", [], freeze_scheduled, thaw_scheduled, DONE),
    "downloading": Stage("downloading", STARTED[:1], freeze_downloading, thaw_downloading, DONE),
    "retry-wait": Stage("retry-wait", STARTED[:1], freeze_retry_wait, None),
    "install-wait": Stage("install-wait", STARTED[:2], freeze_install_wait, thaw_install_wait, DONE),
    "retry-wait-tried": Stage("retry-wait", STARTED, freeze_retry_wait_tried, None),
    "installing-before-write": installing(STARTED, *holding("set-state", "B", "bad")),
    "installing-written": installing(STARTED, *holding("set-primary", "B")),
    "installing-activated": installing(STARTED, *holding("post-install")),
    "reboot-wait": Stage("reboot-wait", STARTED, freeze_reboot_wait, thaw_reboot_wait, DONE,
                         {"reboot-permission": "required"}),
    "rebooting": Stage("rebooting", STARTED, to_rebooting, nothing, DONE),
    "confirming": Stage("confirming", STARTED, freeze_confirming, thaw_confirming, DONE, rejects_reset=True),
    "rolling-back": Stage("rolling-back", STARTED, freeze_rolling_back, thaw_rolling_back, FAILED),
    "undoing": Stage("undoing", STARTED, freeze_undoing, thaw_undoing, FAILED),
}
BEFORE_INSTALL = ["scheduled", "downloading", "retry-wait", "install-wait"]
FROM_INSTALL = [name for name in STAGES if name not in BEFORE_INSTALL]
