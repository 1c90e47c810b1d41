# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a whole update costs the flash that the agent's store is on: bytes and syncs, from the request to Installed.

The bundle is a local file, as when it streams: nothing is kept of it.  A part of the cost is the reboot's, which is shown
beside it: the same reboot without an update.
"""
import os
import re
import signal
from collections import Counter

import proc
import tool
from rig import Rig
from simdevice import fixtures, wait_until
from table import AtMost

from charger import BUILD

SECTION = "flash"
REPETITIONS = 8                 # the store's log is folded in once in several updates, and that one counts
SYNCS = "fsync,fdatasync,sync_file_range,syncfs,sync,msync"
_CALL = re.compile(r"^\d+ +(?:<[^>]*> )?(\w+)\((?:\d+<([^>]*)>)?")


class Lives:
    """The agent under strace, through its lives; the cost of what lies between two calls of cost()."""

    def __init__(self, rig):
        self._rig = rig
        self._trace = None
        self._begun = 0
        self._ended_kb = 0.0            # of the lives that are over
        self._syncs: list[str] = []     # their files' names, of the lives that are over
        self._taken = (0.0, 0)

    def begin(self):
        self._begun += 1
        self._trace = self._rig.path / f"strace{self._begun}"
        # -D: the agent and not strace is our child.
        self._rig.begin(wrap=["strace", "-D", "-f", "-y", "-qq", "-e", f"trace={SYNCS}", "-e", "signal=none",
                              "-o", str(self._trace)])

    def end(self):
        """What it writes in its last moments counts, too."""
        pid = self._rig.agent.pid
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: proc.has_ended(pid), "the agent to end")
        self._ended_kb += proc.written(pid)
        self._syncs += _read(self._trace)
        self._rig.stop_agent()
        self._trace = None

    def cost(self):
        """(KB, syncs by file) since the last call."""
        kb, syncs = self._ended_kb, list(self._syncs)
        if self._trace:
            kb += proc.written(self._rig.agent.pid)
            syncs += _read(self._trace)
        before_kb, before_syncs = self._taken
        self._taken = (kb, len(syncs))
        return kb - before_kb, Counter(syncs[before_syncs:])

    def reboot(self):
        self.end()
        self._rig.device.reboot()
        self.begin()


def _read(trace):
    """The file of each sync, in order."""
    found = (_CALL.match(line) for line in trace.read_text().splitlines())
    return [(match[2] or match[1]).rsplit("/", 1)[-1] for match in found if match]


def measure(table, folder):
    rig = Rig(folder / "flash")
    reboots, updates = [], []
    try:
        rig.start_device()
        lives = Lives(rig)
        lives.begin()
        for i in range(REPETITIONS):
            lives.cost()
            lives.reboot()
            reboots.append(lives.cost())
            _update(rig, lives, f"{i + 2}.0.0", i + 1)
            updates.append(lives.cost())
    finally:
        rig.close()

    def add(what, unit, figure, budget):
        table.add(SECTION, what, unit, agent=[figure(*cost) for cost in updates],
                  bare=[figure(*cost) for cost in reboots], bare_name="a reboot without", budget=budget, worst=True,
                  note="the worst of the repetitions" if unit else "in the last one: " + _names(updates[-1][1]))
    add("written in a whole update", "KB", lambda kb, _: kb, AtMost(200))
    add("syncs in a whole update", "", lambda _, syncs: sum(syncs.values()), AtMost(25))


def _update(rig, lives, version, count):
    """`rauc-ocpp-agent install FILE`, through the reboot, until the CSMS has heard Installed."""
    bundle = fixtures.bundle(BUILD, version).path
    reboots = rig.reboots_asked()
    command = tool.Tool(rig.command("install", str(bundle)), env=rig.environment(), log=rig.path / "install.log")
    rig.asked_for_reboot(reboots + 1)
    lives.reboot()
    rig.wait_status("Installed", count)
    rig.csms_call("get-configuration")      # its answer comes after that of the status was taken
    assert command.finish().code == 0, (rig.path / "install.log").read_text()


def _names(syncs):
    return ", ".join(f"{count} {name}" for name, count in syncs.most_common())
