# SPDX-License-Identifier: LGPL-2.1-or-later
"""A download's peak memory does not depend on the size of the file.

The files are sparse and no bundles: RAUC refuses them when they are there.
"""
import os
import shutil

import proc
import tool
from rig import Rig
from servers import Nginx
from simdevice import wait_until
from table import Adds

from charger import ENDS

SECTION = "memory"
MB = 10 ** 6
SMALL, LARGE = 16 * MB, 2 * 10 ** 9
REPETITIONS = 2
FREE = LARGE + 500 * MB
DEADLINE_S = 600
WHAT = "peak memory of a download, 2 GB against 16 MB"


def measure(table, folder):
    if shutil.disk_usage(folder).free < FREE:
        table.skip(SECTION, WHAT, f"needs {FREE // MB} MB in {folder}")
        return
    figures = {size: [] for size in (SMALL, LARGE)}
    with Nginx(folder / "web") as web:
        urls = {size: _publish(web, folder, size) for size in figures}
        for i in range(REPETITIONS):
            for size in figures:
                figures[size].append((_agent(folder / f"agent{i}-{size}", urls[size]), _curl(folder, urls[size])))

    def column(size, who, what):
        return [getattr(pair[who], what) for pair in figures[size]]
    table.add(SECTION, WHAT, "MB", agent=column(LARGE, 0, "peak"), bare=column(SMALL, 0, "peak"),
              bare_name="agent, 16 MB", budget=Adds(1))
    table.add(SECTION, "peak memory, 2 GB", "MB", agent=column(LARGE, 0, "peak"), bare=column(LARGE, 1, "peak"),
              bare_name="curl -O")
    table.add(SECTION, "CPU, 2 GB", "ms", agent=[1000 * cpu for cpu in column(LARGE, 0, "cpu")],
              bare=[1000 * cpu for cpu in column(LARGE, 1, "cpu")], bare_name="curl -O",
              note="the agent takes the file's SHA-256, too")
    table.add(SECTION, "wall, 2 GB", "ms", agent=[1000 * wall for wall in column(LARGE, 0, "wall")],
              bare=[1000 * wall for wall in column(LARGE, 1, "wall")], bare_name="curl -O",
              note="the agent's file is on the disk then, and RAUC has looked at it; curl's is not synced")


def _publish(web, folder, size):
    path = folder / f"sparse-{size}"
    with path.open("wb") as file:
        file.truncate(size)
    return web.publish(path)


def _curl(folder, url):
    path = folder / "fetched"
    os.sync()
    usage = tool.run(["curl", "--silent", "--fail", "--output", str(path), url], env=dict(os.environ),
                     log=folder / "curl.log")
    path.unlink()
    return usage


def _agent(path, url):
    """An agent of its own for each: what the one before left in its heap is not counted."""
    rig = Rig(path)
    try:
        rig.start_device()
        rig.begin()
        os.sync()
        pid, before, start = rig.agent.pid, proc.cpu(rig.agent.pid), rig.csms.mark()
        assert rig.csms_call(f"update {url} 2020-01-01T00:00:00Z")[2] == {}
        wait_until(lambda: set(rig.statuses()) & set(ENDS), "the end of the update", DEADLINE_S)
        assert "Downloaded" in rig.statuses(), rig.log_text()[-2000:]
        asked = rig.csms.wait_event("sent", lambda f: f["frame"][0] == 2, start)
        done = next(f for f in rig.csms.received("FirmwareStatusNotification") if f["frame"][3]["status"] in ENDS)
        wall = (done["time"] - asked["time"]) / 1000
        return tool.Usage(wall, proc.cpu(pid) - before, proc.peak(pid), 0, 0)
    finally:
        rig.close()
        shutil.rmtree(path)
