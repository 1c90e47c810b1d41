# SPDX-License-Identifier: LGPL-2.1-or-later
"""Power cuts at random moments of an update, and what has to come of it.

A run is one update with one or more cuts; after the last one the charge point is left alone until the CSMS has heard an end.
The order of the phases follows the update, and each begins when something can be seen from outside.
"""
import time
from dataclasses import dataclass
from typing import Callable

from chargepoint import ENDS, SLOTS
from checks import STARTED, check
from images import FACTORY, IMAGES
from moments import FRESH, UPDATED, moment

NEW = IMAGES["new"]
SLOT_MIB = 78                       # of the image that is written
AT_REST = "the time after the end"
MUTE = "mute FirmwareStatusNotification"


@dataclass(frozen=True)
class Phase:
    name: str
    begun: Callable                 # begun(point, share, log): a random number below 1, the log since the last cut
    spread: float                   # seconds; the cut comes at random within so many after the beginning
    moment: str = FRESH
    mute: bool = False              # the CSMS does not answer statuses


def _written(point, share, _log):
    """So much of slot B has reached the disk."""
    first = SLOTS["B"] >> 20
    return sum(point.disk.written[mib] for mib in range(first, first + SLOT_MIB)) > share * (SLOT_MIB << 20)


def _logged(text):
    return lambda _point, _share, log: text in log


TRANSFER = Phase("transfer", lambda point, _share, _log: point.bytes_fetched() > 0, 4.0)
WRITING = Phase("slot writing", _written, 0.0)
ACTIVATION = Phase("activation", _logged("Updating slot rootfs.1 status"), 1.0)
BOOT = Phase("first boot", lambda point, _share, _log: point.machine.choices()[-1:] == "B", 15.0)
BEFORE = Phase("before mark good", _logged("found at start"), 2.0, UPDATED)
MARK = Phase("after mark good", _logged("Marked slot rootfs.1 as good"), 0.3, UPDATED)
REPORT = Phase("before the report", _logged("-> installed event=marked"), 3.0, UPDATED, mute=True)

# Repeated until there are as many cuts as wanted.
PLANS = {
    "uboot": [(TRANSFER, WRITING, ACTIVATION, BOOT), (BEFORE, MARK), (REPORT,), (BEFORE, MARK), (REPORT,)],
    "grub": [(WRITING, ACTIVATION), (BEFORE, MARK)],
}
# A cut between RAUC's record of the written slot and the switch of the boot loader looks like a new slot that did not boot.
MAY_FAIL = ACTIVATION


def runs(loader, count):
    """Tuples of phases with `count` cuts in all."""
    plan, result = PLANS[loader], []
    while count > 0:
        phases = plan[len(result) % len(plan)][:count]
        result.append(phases)
        count -= len(phases)
    return result


def play(stage, loader, phases, forgetful):
    """One run; returns what is wrong.  With `forgetful` the disk loses what was not synced."""
    random, images = stage.random, stage.images
    before = STARTED if phases[0].moment == UPDATED else []
    cut_in = []                     # names of phases
    with stage.point(loader) as point:
        if phases[0].mute:
            assert point.csms.command(f"{MUTE} on") == "ok"
        point.resume(moment(images, loader, phases[0].moment))
        begin = len(point.machine.log_text())
        if phases[0].moment == FRESH:
            point.wait_registered()
            point.update("new")
        for phase in phases:
            cut_in.append(_wait_for(point, phase, random.random(), begin, MAY_FAIL.name in cut_in))
            time.sleep(random.random() * phase.spread)
            point.cut_power(random if forgetful else None)
            if phase.mute:
                assert point.csms.command(f"{MUTE} off") == "ok"
        end = point.wait_end()
        slot, version = ("B", NEW.version) if end == "Installed" else ("A", FACTORY.version)
        problems = check(point, end, slot, version, before=before)
        if end != "Installed":
            stage.tell(f"{end}, the boot loader started {point.machine.choices()}")
            if MAY_FAIL.name not in cut_in:
                problems.append("no cut was a reason for that")
    if not problems:
        stage.count(f"updates with power cuts that ended with {end}")
        stage.count("bytes that disks forgot in power cuts", point.disk.forgotten)
        for name in cut_in:
            stage.count("power cuts survived")
            stage.count(f"power cuts survived in: {name}")
    return problems


def _wait_for(point, phase, share, begin, may_be_over):
    """Waits for the moment of the next cut and returns the phase's name.  An update that is over before is an error, if it
    had no reason for that: the cut before came later than it was meant to, when this phase had begun (in the log from
    `begin` on).  Then the next cut finds a charge point at rest."""
    start = point.log_at_cut

    def begun():
        log = point.machine.log_text()
        if phase.begun(point, share, log[start:]):
            return phase.name
        over = not phase.mute and set(point.statuses()) & set(ENDS)
        assert may_be_over or not over or phase.begun(point, share, log[begin:]), \
            f"it was over before {phase.name}: {point.statuses()}"
        return over and AT_REST
    return point.wait(begun, f"the phase {phase.name}")
