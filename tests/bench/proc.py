# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the kernel tells of a process that runs, or has ended and was not waited for yet."""
import time
from pathlib import Path

TICKS = 100     # of a Linux second in /proc


def _fields(path: Path) -> dict[str, str]:
    lines = (line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
    return {name: value.strip() for name, value in lines}


def _megabytes(text: str) -> float:
    """"kB" of /proc, a thousand of them as one MB."""
    return int(text.split()[0]) / 1000


def pss(pid: int) -> float:
    """MB; shared pages count in parts."""
    return _megabytes(_fields(Path(f"/proc/{pid}/smaps_rollup"))["Pss"])


def rss(pid: int) -> float:
    """MB; shared pages count in full."""
    return _megabytes(_fields(Path(f"/proc/{pid}/status"))["VmRSS"])


def peak(pid: int) -> float:
    """MB; the largest rss since the start, or since forget_peak()."""
    return _megabytes(_fields(Path(f"/proc/{pid}/status"))["VmHWM"])


def forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def waits(pid: int) -> dict[str, int]:
    """How often each thread has gone to sleep so far: as often as it woke up."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return {task.name: int(_fields(task / "status")["voluntary_ctxt_switches"]) for task in tasks}


def wakeups(before: dict[str, int], after: dict[str, int]) -> int:
    return sum(count - before.get(thread, 0) for thread, count in after.items())


def cpu(pid: int) -> float:
    """Seconds of user and system time of all its threads, to the nanosecond (clock_getcpuclockid(3))."""
    return time.clock_gettime((~pid << 3) | 2)


def machine_cpu(stat: str) -> float:
    """Seconds of all processes and the kernel so far, of the text of a Linux's /proc/stat."""
    user, nice, system, _, _, interrupts, soft = map(int, stat.split()[1:8])
    return (user + nice + system + interrupts + soft) / TICKS


def written(pid: int) -> float:
    """KB that it caused to be written to a disk."""
    return int(_fields(Path(f"/proc/{pid}/io"))["write_bytes"]) / 1000


def has_ended(pid: int) -> bool:
    """Its last figures stay to be read until its parent has waited for it."""
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
