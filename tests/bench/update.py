# SPDX-License-Identifier: LGPL-2.1-or-later
"""An update through the agent against the same done by hand: `rauc install`, with curl before it for a URL.

The agent's ends when it asks for the reboot, the other when `rauc install` does.  The times of InstallBundle and Completed
on the bus split either into RAUC's own work, which depends on the disk, and what is around it.
"""
import contextlib
import os
import shlex
from dataclasses import dataclass, field

import proc
import tool
from rig import Rig, from_monotonic
from servers import Nginx
from simdevice import fixtures, wait_until
from simdevice.process import Process
from table import Adds

from charger import BUILD

SECTION = "update"
MIB = 1 << 20
SIZES = ((1, 21), (64, 31))     # of the image in MiB, and repetitions
BUDGET_MS, BUDGET_SHARE = 20, 0.02
PAST = "2020-01-01T00:00:00Z"   # "now" is a whole second, which an agent a part of a second behind would wait for


@dataclass
class Side:
    """The repetitions of one way to install."""
    wall: list[float] = field(default_factory=list)     # ms
    around: list[float] = field(default_factory=list)   # ms, without RAUC's own work
    cpu: list[float] = field(default_factory=list)      # ms
    rauc_cpu: list[float] = field(default_factory=list)
    peak: list[float] = field(default_factory=list)     # MB

    def add(self, start, end, rauc, cpu, rauc_cpu, peak):
        self.wall.append(1000 * (end - start))
        self.around.append(1000 * (end - start - rauc))
        self.cpu.append(1000 * cpu)
        self.rauc_cpu.append(1000 * rauc_cpu)
        self.peak.append(peak)


class Bus:
    """Listens when RAUC was called and when it was done."""

    def __init__(self, rig):
        self._log = rig.path / "bus-times"
        self._installs = 0
        self._process = Process(["dbus-monitor", "--address", rig.device.bus.address, "--profile"], log=self._log,
                                env=rig.environment(), pid_file=rig.path / "monitor.pid")
        wait_until(lambda: self._times("NameLost"), "the bus's monitor")

    def close(self):
        self._process.kill()

    def _times(self, member):
        """When messages of this name went over the bus (whole lines only)."""
        text = self._log.read_text()
        lines = (line.split() for line in text[:text.rfind("\n") + 1].splitlines())
        return [float(line[1]) for line in lines if line[-1] == member]

    def next_install(self):
        """Seconds from InstallBundle to Completed of the install after that of the last call."""
        self._installs += 1
        done = wait_until(lambda: self._times("Completed")[self._installs - 1:], "the end of an install")
        return done[0] - self._times("InstallBundle")[self._installs - 1]


def measure(table, folder):
    for size, repetitions in SIZES:
        with contextlib.ExitStack() as stack:
            rig = Rig(folder / f"update{size}", device={"slot_size": size * MIB})
            stack.callback(rig.close)
            rig.start_device()
            bus = Bus(rig)
            stack.callback(bus.close)
            web = stack.enter_context(Nginx(folder / f"web{size}"))
            bundle = fixtures.bundle(BUILD, "2.0.0", size=size * MIB).path
            url = web.publish(bundle, "bundle.raucb")
            _compare(table, f"{size} MiB file", repetitions, lambda side: _bare_file(rig, bus, bundle, side),
                     lambda side: _agent_file(rig, bus, bundle, side), "rauc install")
            _compare(table, f"{size} MiB by http", repetitions, lambda side: _bare_url(rig, bus, url, side),
                     lambda side: _agent_url(rig, bus, url, side), "curl, rauc install")


def _compare(table, what, repetitions, run_bare, run_agent, bare_name):
    bare, agent = Side(), Side()
    run_bare(Side())                    # everything is in the page cache for the first one, too
    for i in range(repetitions):
        for run, side in [(run_bare, bare), (run_agent, agent)][::1 if i % 2 else -1]:
            os.sync()
            run(side)

    def add(name, unit, figure, **options):
        table.add(SECTION, f"{what}, {name}", unit, agent=getattr(agent, figure), bare=getattr(bare, figure),
                  bare_name=bare_name, **options)
    add("wall", "ms", "wall", budget=Adds(BUDGET_MS, BUDGET_SHARE))
    add("wall around RAUC's work", "ms", "around")
    add("CPU without rauc service", "ms", "cpu")
    add("CPU of rauc service", "ms", "rauc_cpu")
    add("peak memory", "MB", "peak")


def _bare(rig, bus, argv, side):
    before = proc.cpu(rig.rauc_pid())
    done = tool.Tool(argv, env=rig.environment(), log=rig.path / "tool.log")
    usage = done.finish()
    assert usage.code == 0, (rig.path / "tool.log").read_text()
    side.add(done.start, usage.end, bus.next_install(), usage.cpu, proc.cpu(rig.rauc_pid()) - before, usage.peak)
    rig.put_back()


def _bare_file(rig, bus, bundle, side):
    _bare(rig, bus, ["rauc", "install", str(bundle)], side)


def _bare_url(rig, bus, url, side):
    path = rig.path / "fetched.raucb"
    path.unlink(missing_ok=True)
    script = f"curl --silent --fail --output {shlex.quote(str(path))} {url} && exec rauc install {shlex.quote(str(path))}"
    _bare(rig, bus, ["sh", "-c", script], side)
    path.unlink()


def _agent(rig, bus, side, ask):
    """`ask` begins the update and returns when that was, and a function for what the asking itself took."""
    rig.begin()
    pid, rauc = rig.agent.pid, rig.rauc_pid()
    before, rauc_before, reboots = proc.cpu(pid), proc.cpu(rauc), rig.reboots_asked()
    start, finish = ask()
    end = rig.asked_for_reboot(reboots + 1)
    cpu, rauc_cpu, peak = proc.cpu(pid) - before, proc.cpu(rauc) - rauc_before, proc.peak(pid)
    installing = bus.next_install()
    rig.cancel()
    cpu += finish()
    rig.put_back()
    side.add(start, end, installing, cpu, rauc_cpu, peak)


def _agent_file(rig, bus, bundle, side):
    def ask():
        command = tool.Tool(rig.command("install", str(bundle)), env=rig.environment(), log=rig.path / "install.log")
        return command.start, lambda: command.finish().cpu
    _agent(rig, bus, side, ask)


def _agent_url(rig, bus, url, side):
    def ask():
        mark = rig.csms.mark()
        assert rig.csms_call(f"update {url} {PAST}")[2] == {}
        sent = rig.csms.wait_event("sent", lambda f: f["frame"][0] == 2, mark)
        return from_monotonic(sent["time"] / 1000), lambda: 0
    _agent(rig, bus, side, ask)
