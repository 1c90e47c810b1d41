# SPDX-License-Identifier: LGPL-2.1-or-later
"""An agent that waits for its next update: memory, threads, wake-ups; and how fast it starts.

The peer is RAUC's own service, idle beside it on the same bus.
"""
import contextlib
import time

import proc
import tool
from rig import Rig, own_libraries
from table import AtMost

SECTION = "idle"
SETTLE_S = 20           # GLib's pool threads end after 15 s without work
WINDOW_S = 60
RIGS, STARTS = 3, 11


def measure(table, folder):
    _starts(table, folder)
    with contextlib.ExitStack() as stack:
        rigs = [_idle_rig(folder / f"idle{i}", stack) for i in range(RIGS)]
        pids = [(rig.agent.pid, rig.rauc_pid()) for rig in rigs]
        time.sleep(SETTLE_S)
        before = [[proc.waits(pid) for pid in pair] for pair in pids]
        memory = [[(proc.pss(pid), proc.rss(pid)) for pid in pair] for pair in pids]
        threads = [[proc.threads(pid) for pid in pair] for pair in pids]
        time.sleep(WINDOW_S)
        wakeups = [[proc.wakeups(then, proc.waits(pid)) * 60 / WINDOW_S for then, pid in zip(*pairs)]
                   for pairs in zip(before, pids)]

    def add(what, unit, figures, **options):
        table.add(SECTION, what, unit, agent=[pair[0] for pair in figures], bare=[pair[1] for pair in figures],
                  bare_name="rauc service", **options)
    add("idle PSS", "MB", [[pss for pss, _ in pair] for pair in memory], budget=AtMost(7.5),
        note="wanted 5 MB; pages are shared with RAUC and the bus alone")
    add("idle RSS", "MB", [[rss for _, rss in pair] for pair in memory])
    add("idle threads", "", threads, budget=AtMost(3))
    add("idle wake-ups a minute", "", wakeups, budget=AtMost(2), note="connected, a ping a minute, no heartbeat")


def _idle_rig(path, stack):
    rig = Rig(path)
    stack.callback(rig.close)
    with own_libraries(path):
        rig.start_device()
        rig.begin()
    return rig


def _starts(table, folder):
    """exec to BootNotification, of an agent that has run before."""
    rig = Rig(folder / "starts")
    agent, bare = [], []
    try:
        rig.start_device()
        rig.begin()
        for _ in range(STARTS):
            rig.stop_agent()
            rig.begin()
            agent.append(1000 * (rig.booted() - rig.executed()))
            usage = tool.run(["curl", "--silent", "--output", "/dev/null", f"http://127.0.0.1:{rig.csms.port}/"],
                             env=rig.environment(), log=folder / "curl.log")
            bare.append(1000 * usage.wall)
    finally:
        rig.close()
    table.add(SECTION, "exec to BootNotification", "ms", agent=agent, bare=bare, bare_name="curl, one GET",
              budget=AtMost(50))
