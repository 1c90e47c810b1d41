# SPDX-License-Identifier: LGPL-2.1-or-later
"""Child processes that never outlive this one, and waiting for conditions."""
import os
import select
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable, Optional, TypeVar

T = TypeVar("T")

DEADLINE = 120.0        # seconds; for whatever a loaded machine may take, no wait is longer
STOP_GRACE = 5.0        # seconds between SIGTERM and SIGKILL
_POLL = 0.01            # seconds between two looks at a condition

# A death signal is sent when the *thread* dies that made the child.  Hence one thread makes them all, and it lives
# as long as the interpreter.
_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="simdevice-spawner")


class Process:
    """One child in a process group of its own, killed by the kernel when this process dies.

    The death signal is set by setpriv(1) instead of a function that Python runs between fork and exec, which is not
    safe in a process with threads.  `argv` keeps the child's process id, so it must not fork.
    """

    def __init__(self, argv: list[str], *, log: Path, env: dict[str, str], pid_file: Path, pipe: bool = False):
        """Output goes to the end of `log`; with `pipe`, stdout is for first_line()."""
        def spawn() -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *argv], stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if pipe else output, stderr=output, env=env, start_new_session=True)
        with log.open("ab") as output:
            self._popen = _spawner.submit(spawn).result()
        self._lock = threading.Lock()
        self._pid_file: Optional[Path] = pid_file
        self.pid = self._popen.pid
        pid_file.write_text(f"{self.pid}\n")

    def running(self) -> bool:
        return self._popen.poll() is None

    def first_line(self) -> bytes:
        """What the child prints first; empty when it ends, or takes too long."""
        stdout = self._popen.stdout
        ready = stdout and select.select([stdout], [], [], DEADLINE)[0]
        return stdout.readline() if stdout and ready else b""

    @property
    def returncode(self) -> Optional[int]:
        return self._popen.poll()

    def stop(self) -> None:
        """SIGTERM, and SIGKILL when that does not help.  Returns when the process is gone."""
        with self._lock:
            if self._popen.poll() is None:
                self._popen.terminate()
                try:
                    self._popen.wait(STOP_GRACE)
                except subprocess.TimeoutExpired:
                    pass
            self._finish()

    def kill(self) -> None:
        """SIGKILL for the process and its children, as a power cut does.  Returns when the process is gone."""
        with self._lock:
            self._finish()

    def _finish(self) -> None:
        if self._pid_file is None:
            return
        try:
            os.killpg(self.pid, signal.SIGKILL)     # children as well: a held boot loader script must not go on
        except ProcessLookupError:
            pass
        self._popen.wait(DEADLINE)
        if self._popen.stdout:
            self._popen.stdout.close()
        self._pid_file.unlink(missing_ok=True)
        self._pid_file = None


def run(argv: list[str], *, env: dict[str, str], timeout: float = DEADLINE) -> subprocess.CompletedProcess[str]:
    """A short command, its output as text; it dies with the calling thread, too."""
    return subprocess.run(["setpriv", "--pdeathsig", "KILL", *argv], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, env=env, timeout=timeout)


def wait_until(condition: Callable[[], T], what: str, timeout: float = DEADLINE) -> T:
    """The condition's first true value.  Raises TimeoutError, which names `what`, when it stays false."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            raise TimeoutError(f"waited {timeout:g} s for {what}")
        time.sleep(_POLL)
