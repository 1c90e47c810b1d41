# SPDX-License-Identifier: LGPL-2.1-or-later
"""The updates that the boot tests play, each from a booted charge point to an end that is checked (checks.py)."""
import contextlib
import time

from checks import check
from images import FACTORY
from moments import FRESH, moment

AWAY = 120                          # seconds for which the CSMS cannot be reached after the reboot
ADAPTIVE_SHARE = 0.2                # of the bundle's bytes, at most, when little has changed
IMPATIENT = "[update]\nhealth-timeout=15"


def streamed(stage, loader):
    """A streamed verity bundle, the reboot, confirmed, Installed; every duration on the way is a figure."""
    with _started(stage, loader) as point:
        begin = time.monotonic()
        image = point.update("new")
        point.wait_logged("-> rebooting")
        asked = time.monotonic()
        point.wait_registered(image.version)
        back = time.monotonic()
        assert point.wait_end() == "Installed", point.statuses()
        end = time.monotonic()
        stage.figure(f"{loader}: update, from UpdateFirmware to Installed", f"{end - begin:.0f} s")
        stage.figure(f"{loader}: of that the reboot, until BootNotification", f"{back - asked:.0f} s")
        stage.figure(f"{loader}: bytes of a full update", _share(point, "new"))
        return check(point, "Installed", "B", image.version) + _choices(point, "B")


def adaptive(stage, loader):
    """An adaptive bundle of an image that differs little from the one that runs: most of it is taken from there."""
    with _started(stage, loader) as point:
        image = point.update("near")
        assert point.wait_end() == "Installed", point.statuses()
        stage.figure(f"{loader}: bytes of an adaptive update with 0.3 MB changed", _share(point, "near"))
        problems = check(point, "Installed", "B", image.version) + _choices(point, "B")
        if point.bytes_fetched() > ADAPTIVE_SHARE * point.images.bundle("near").stat().st_size:
            problems.append(f"{point.bytes_fetched()} bytes were fetched")
        return problems


def mute(stage, loader):
    """The agent of the new image never starts: all its attempts are used up, and the old one tells of it."""
    return _failing(stage, loader, "mute", "BBBA")


def broken(stage, loader):
    """The health check of the new image fails: the agent gives it up."""
    return _failing(stage, loader, "broken", "BA", IMPATIENT)


def panics(stage, loader):
    """The new image does not even reach user space."""
    return _failing(stage, loader, "panics", "BBBA", panics=3)


def csms_away(stage, loader):
    """The CSMS cannot be reached for the first minutes after the reboot; then it hears that the update is Installed."""
    with _started(stage, loader) as point:
        image = point.update("new")
        point.wait(lambda: point.machine.choices() == "B", "the reboot")
        assert point.csms.command("stop-listening") == "ok"
        point.machine.wait_guest()
        time.sleep(AWAY)
        unheard = [] if "Installed" not in point.statuses() else ["the CSMS has heard the end while it was away"]
        assert point.csms.command("listen") == "ok"
        assert point.wait_end() == "Installed", point.statuses()
        return unheard + check(point, "Installed", "B", image.version) + _choices(point, "B")


SCENARIOS = {
    "uboot": [csms_away, streamed, panics, mute, broken, adaptive],
    "grub": [streamed, panics, broken],
}


@contextlib.contextmanager
def _started(stage, loader, settings=""):
    with stage.point(loader) as point:
        point.resume(moment(stage.images, loader, FRESH), settings)
        point.wait_registered()
        yield point


def _failing(stage, loader, bundle, choices, settings="", panics=0):
    with _started(stage, loader, settings) as point:
        point.update(bundle)
        assert point.wait_end() == "InstallationFailed", point.statuses()
        return check(point, "InstallationFailed", "A", FACTORY.version, panics=panics) + _choices(point, choices)


def _choices(point, expected):
    choices = point.machine.choices()
    return [] if choices == expected else [f"the loader has started {choices}, not {expected}"]


def _share(point, name):
    fetched, size = point.bytes_fetched(), point.images.bundle(name).stat().st_size
    return f"{fetched / 1e6:.1f} MB, {100 * fetched / size:.0f} % of the bundle"
