# SPDX-License-Identifier: LGPL-2.1-or-later
"""The charger that is measured: the one of the component tests with the release build, and stamps of the time."""
import contextlib
import os
import shlex
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from charger import BUILD, Charger, binary
from simdevice import wait_until

_PROGRAMS = ("rauc", "dbus-daemon")


@contextlib.contextmanager
def folder():
    """A folder on the disk that the build is on: what is in memory only costs no flash, and no time."""
    path = Path(tempfile.mkdtemp(prefix="bench-", dir=BUILD))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def stamps(path: Path) -> list[float]:
    """Comparable with time.time()."""
    return [float(line) for line in path.read_text().splitlines()] if path.exists() else []


def from_monotonic(seconds: float) -> float:
    """A time of the mock CSMS's log, comparable with time.time()."""
    return seconds + time.time() - time.monotonic()


class Rig(Charger):
    """Charger.start() may come later than the parts that a measurement needs."""

    def __init__(self, path: Path, **options):
        path.mkdir(parents=True)
        super().__init__(path, **options)
        self._exec_stamps = path / "exec-stamps"
        self._reboot_stamps = path / "reboot-stamps"
        self._lives = 0

    def default_settings(self):
        groups = super().default_settings()
        groups["update"]["reboot-command"] = shlex.join(self._stamped(self._reboot_stamps, self.device.reboot_command))
        return groups

    @staticmethod
    def _stamped(file: Path, *command) -> list[str]:
        """stamp.c, built by `make bench`."""
        return [os.environ["STAMP"], str(file), *map(str, command)]

    def close(self, check=False):
        """The mock CSMS's complaints are for the tests: statuses of an install by hand follow no request of its own."""
        super().close(check)

    def start_device(self):
        """Bus and RAUC, without the agent."""
        self.device.start_bus()
        self.device.power_on()

    def begin(self, wrap=()):
        """Starts the agent; returns when it is registered and has nothing to do any more."""
        self.wrap = self._stamped(self._exec_stamps, *wrap)
        self.start_agent()
        self._lives += 1
        self.wait_registered(self._lives)
        self.wait_boot_marked()

    def executed(self) -> float:
        """When the agent was, last."""
        return stamps(self._exec_stamps)[-1]

    def booted(self) -> float:
        """When the CSMS had its last BootNotification."""
        return from_monotonic(self.boots()[-1]["time"] / 1000)

    def asked_for_reboot(self, count: int) -> float:
        """Waits for the reboot of that number since the rig was made; when the agent had the command executed."""
        wait_until(lambda: len(stamps(self._reboot_stamps)) >= count, f"reboot request {count}")
        return stamps(self._reboot_stamps)[count - 1]

    def reboots_asked(self) -> int:
        return len(stamps(self._reboot_stamps))

    def rauc_pid(self) -> int:
        return int((self.device.root / "rauc.pid").read_text())

    def command(self, *args: str) -> list[str]:
        return [binary(), "--config", str(self.config), *args]

    def cancel(self):
        """Ends the job that waits for its reboot."""
        self.ctl("cancel")
        self.wait_state("cancelled")

    def put_back(self):
        """No agent, and the loader as it was before an install."""
        if self.agent:
            self.stop_agent()
        self.device.set_boot_state(order=("A", "B"))


@contextlib.contextmanager
def own_libraries(path: Path):
    """Whatever is started within shares pages with nothing on this machine but what is started within, too.

    So agent, RAUC and bus count as on a device that runs nothing else.
    """
    agent = shutil.copy(binary(), path / "rauc-ocpp-agent")
    programs = [Path(agent), *(Path(shutil.which(name)) for name in _PROGRAMS)]
    libraries = path / "lib"
    libraries.mkdir()
    for program in programs:
        if program.parent != path:
            shutil.copy(program, path / program.name)
        for library in _libraries_of(program):
            shutil.copy(library, libraries / library.name)
    changes = {"AGENT": str(agent), "LD_LIBRARY_PATH": str(libraries), "PATH": f"{path}:{os.environ['PATH']}"}
    before = dict(os.environ)
    os.environ.update(changes)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _libraries_of(program: Path) -> list[Path]:
    done = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=True)
    fields = (line.split() for line in done.stdout.splitlines())
    return [Path(words[2]) for words in fields if len(words) > 2 and words[1] == "=>"]
