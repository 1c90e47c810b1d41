# SPDX-License-Identifier: LGPL-2.1-or-later
"""Moments of a charge point's life that scenarios begin with: made once, kept beside the images, resumed in a second.

In both the machine is up, and the agent is not yet: a saved connection would be one that nobody else knows of.

    FRESH      the factory's firmware, marked good, nothing to do
    UPDATED    the first boot into slot B after an update to "new": the job waits to see where it has come to
"""
import functools
import hashlib
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from chargepoint import HOLD, ChargePoint
from images import locked

FRESH, UPDATED = "fresh", "updated"


@dataclass(frozen=True)
class Moment:
    disk: Path
    state: Path


def moment(images, loader, name):
    """The files of this moment; they are made when they are not there, which takes a boot, or an update."""
    folder = images.folder / f"{loader}-{name}-{_machine()}"
    result = Moment(folder / "disk.raw", folder / "state")
    with locked(images.folder / f".{loader}-{name}.lock"):
        if not folder.exists():
            work = Path(tempfile.mkdtemp(prefix=".new-", dir=images.folder))
            try:
                with ChargePoint(work / "point", images, loader) as point:
                    (_fresh if name == FRESH else _updated)(point)
                    point.machine.save(work / "state")
                (work / "point" / "disk.raw").rename(work / "disk.raw")
                shutil.rmtree(work / "point")
                work.rename(folder)
            finally:
                shutil.rmtree(work, ignore_errors=True)
    return result


@functools.cache
def _machine():
    """A hash: a state is of use only to the machine that it was saved by."""
    version = subprocess.run(["qemu-system-x86_64", "--version"], stdout=subprocess.PIPE, check=True).stdout
    here = Path(__file__).resolve()
    return hashlib.sha256(version + here.read_bytes() + here.with_name("machine.py").read_bytes()).hexdigest()[:8]


def _fresh(point):
    point.power_on()
    point.wait_registered()
    point.machine.wait_guest()
    point.wait_logged("control interface is available")
    point.wait(lambda: point.status()["boot-marked-good"], "the mark of the first boot")
    point.machine.run("systemctl stop rauc-ocpp-agent")


def _updated(point):
    point.resume(moment(point.images, point.loader, FRESH))
    point.machine.run(f"touch {HOLD}")
    point.wait_registered()
    point.update("new")
    point.wait(lambda: point.machine.choices() == "B", "the boot into slot B")
    point.machine.wait_guest()
    point.machine.run(f"systemctl is-system-running --wait; rm {HOLD}")
