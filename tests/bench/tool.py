# SPDX-License-Identifier: LGPL-2.1-or-later
"""A command, and what it took."""
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Usage:
    wall: float     # seconds
    cpu: float      # seconds, of it and its children
    peak: float     # MB, the largest of them
    end: float      # time.time() then
    code: int


class Tool:
    """Runs from the start on; finish() waits for it.

    It is a child of time(1), because a process starts with the peak memory of who made it: Python's would hide its own.
    """

    def __init__(self, argv: list[str], *, env: dict[str, str], log: Path):
        self._peak = log.with_name(log.name + ".peak")
        self._argv = argv
        with log.open("ab") as output:
            self.start = time.time()
            self._popen = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "/usr/bin/time", "--quiet", "--format=%M", f"--output={self._peak}",
                 *argv], env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output)

    def finish(self) -> Usage:
        _, status, usage = os.wait4(self._popen.pid, 0)
        end = time.time()
        self._popen.returncode = os.waitstatus_to_exitcode(status)
        peak = int(self._peak.read_text().split()[-1]) / 1000
        return Usage(end - self.start, usage.ru_utime + usage.ru_stime, peak, end, self._popen.returncode)


def run(argv: list[str], *, env: dict[str, str], log: Path) -> Usage:
    """The command must succeed."""
    usage = Tool(argv, env=env, log=log).finish()
    if usage.code != 0:
        raise RuntimeError(f"{argv}: exit {usage.code}\n{log.read_text(errors='replace')[-2000:]}")
    return usage
