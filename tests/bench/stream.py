# SPDX-License-Identifier: LGPL-2.1-or-later
"""Streaming through the relay against RAUC's own streaming, both from nginx on loopback, in the guest (tests/guest).

The agent's update ends when it asks for the reboot, the other when `rauc install` does.  Run as a program it is the part
within the guest, which writes its rows as JSON into the file that is named.
"""
import contextlib
import json
import os
import pathlib
import subprocess
import sys

import proc

SECTION = "stream"
TOP = pathlib.Path(__file__).resolve().parents[2]
MIB = 1 << 20
SIZE, REPETITIONS = 64 * MIB, 5
FAR, FASTER = 0.05, 5           # seconds each way; so many times
NOTE = "one processor, on which the relay's work can only be added to RAUC's; with two, and a budget: loopback"
DEADLINE = 300                  # seconds, of one install


def measure(table, folder):
    """On the host."""
    rows = folder / "rows.json"     # the bench's folders are in build/, which the guest may write to
    build = pathlib.Path(os.environ["AGENT"]).parent
    guest = [sys.executable, str(TOP / "tests" / "guest" / "run.py"), "--command", str(build),
             "/usr/bin/env", f"STAMP={os.environ['STAMP']}", "/usr/bin/python3", "-B", __file__, str(rows)]
    done = subprocess.run(guest, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode != 0:
        raise RuntimeError(f"the guest: exit {done.returncode}\n{done.stdout[-4000:]}{done.stderr[-2000:]}")
    table.extend(json.loads(rows.read_text()))


# ------------------------------------------------------------------------------------------------------ in the guest

def busy():
    """CPU seconds of everything in this guest, the kernel included."""
    return proc.machine_cpu(pathlib.Path("/proc/stat").read_text())


class Side:
    """The repetitions of one way to install."""

    def __init__(self):
        self.wall, self.cpu, self.peak, self.rauc_peak = [], [], [], []

    def add(self, seconds, cpu, peak, rauc_peak):
        self.wall.append(1000 * seconds)
        self.cpu.append(1000 * cpu)
        self.peak.append(peak)
        self.rauc_peak.append(rauc_peak)


def directly(rig, url, side):
    import time

    proc.forget_peak(rig.rauc_pid())
    before, start = busy(), time.time()
    assert rig.device.install(url, DEADLINE) == "", rig.device.rauc_log()[-4000:]
    side.add(time.time() - start, busy() - before, 0, proc.peak(rig.rauc_pid()))
    rig.put_back()


def relayed(rig, url, side):
    from rig import from_monotonic
    from update import PAST
    rig.begin()
    proc.forget_peak(rig.rauc_pid())
    reboots, mark, before = rig.reboots_asked(), rig.csms.mark(), busy()
    assert rig.csms_call(f"update {url} {PAST}")[2] == {}
    sent = rig.csms.wait_event("sent", lambda f: f["frame"][0] == 2, mark)
    end = rig.asked_for_reboot(reboots + 1)
    side.add(end - from_monotonic(sent["time"] / 1000), busy() - before, proc.peak(rig.agent.pid), proc.peak(rig.rauc_pid()))
    rig.cancel()
    rig.put_back()


def compare(rig, url, repetitions):
    bare, agent = Side(), Side()
    for i in range(repetitions):
        for run, side in [(directly, bare), (relayed, agent)][::1 if i % 2 else -1]:
            os.sync()
            run(rig, url, side)
    return bare, agent


def main():
    sys.path[:0] = [str(TOP / "tools"), str(TOP / "tests"), str(TOP / "tests" / "component")]
    from rig import Rig
    from servers import Link, Nginx
    from simdevice import fixtures
    from table import Ratio, Table

    from charger import BUILD
    folder = pathlib.Path("/tmp/bench")
    with contextlib.ExitStack() as stack:
        rig = Rig(folder, device={"slot_size": SIZE + 16 * MIB}, settings={"update": {"transport": "stream"}})
        stack.callback(rig.close)
        rig.start_device()
        web = stack.enter_context(Nginx(folder / "web"))
        url = web.publish(fixtures.bundle(BUILD, "2.0.0", size=SIZE, format="verity").path, "bundle.raucb")
        line = stack.enter_context(Link(web, delay=FAR))
        directly(rig, url, Side())      # everything is in the page cache for the first one, too
        bare, agent = compare(rig, url, REPETITIONS)
        far_bare, far_agent = compare(rig, line.url(url), 1)
    table = Table()
    what = f"{SIZE // MIB} MiB streamed"
    far = f"{what}, {2000 * FAR:.0f} ms round trip"

    def add(name, unit, ours, theirs, **options):
        table.add(SECTION, name, unit, agent=ours, bare=theirs, bare_name="rauc install", **options)

    add(f"{what}, wall", "ms", agent.wall, bare.wall, note=NOTE)
    add(f"{what}, CPU of all", "ms", agent.cpu, bare.cpu)
    add(f"{what}, peak memory of rauc service", "MB", agent.rauc_peak, bare.rauc_peak)
    table.add(SECTION, f"{what}, peak memory of the agent", "MB", agent=agent.peak)
    add(f"{far}, wall", "ms", far_agent.wall, far_bare.wall, budget=Ratio(1 / FASTER))
    pathlib.Path(sys.argv[1]).write_text(json.dumps(table.rows()))


if __name__ == "__main__":
    main()
