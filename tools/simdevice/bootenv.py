# SPDX-License-Identifier: LGPL-2.1-or-later
"""The boot loader's environment and its two users: RAUC's backend bootloader.sh, and the loader itself, here.

It follows U-Boot with RAUC's boot script: BOOT_ORDER names the slots that may be booted, the first one with attempts
left is taken and loses one; who is marked good has all of them again.  /boot/ of the device holds `env` (the
environment), `log` (the calls of the backend), `booted`, and the switches `fail-VERB` and `hold-VERB`.
"""
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Collection, NamedTuple, Optional

SLOTS = ("A", "B")
ATTEMPTS = 3                    # as in bootloader.sh


class BootFailed(Exception):
    """No slot boots: the charger is a brick."""


class BackendCall(NamedTuple):
    """One call of RAUC's boot loader backend, or of its post-install handler."""
    time: float                 # seconds, comparable with time.monotonic(), to a hundredth
    verb: str
    args: tuple[str, ...]


@dataclass
class BootEnv:
    order: list[str] = field(default_factory=lambda: list(SLOTS))
    left: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SLOTS, ATTEMPTS))

    @classmethod
    def load(cls, path: Path) -> "BootEnv":
        values = dict(line.split("=", 1) for line in path.read_text().splitlines())
        return cls(values["BOOT_ORDER"].split(), {slot: int(values[f"BOOT_{slot}_LEFT"]) for slot in SLOTS})

    def save(self, path: Path) -> None:
        lines = ["BOOT_ORDER=" + " ".join(self.order)] + [f"BOOT_{slot}_LEFT={self.left[slot]}" for slot in SLOTS]
        new = path.with_name(path.name + ".loader")
        new.write_text("\n".join(lines) + "\n")
        os.replace(new, path)

    def next_slot(self) -> Optional[str]:
        """The first slot of the order with attempts left."""
        return next((slot for slot in self.order if self.left[slot] > 0), None)

    def boot(self, panicking: Collection[str]) -> list[str]:
        """Power on.  The slots that were tried, the last one is the one that runs."""
        tried: list[str] = []
        if all(slot in panicking for slot in self.order):
            raise BootFailed(f"order {self.order}: every slot panics")
        while True:
            slot = self.next_slot()
            if slot is None:                        # all attempts used up: refill, as RAUC's boot script does
                self.left.update(dict.fromkeys(self.order, ATTEMPTS))
                continue
            self.left[slot] -= 1
            tried.append(slot)
            if slot not in panicking:
                return tried


def read_log(path: Path) -> list[BackendCall]:
    """The calls of the backend so far, oldest first."""
    if not path.exists():
        return []
    lines = [line.split() for line in path.read_text().splitlines()]
    return [BackendCall(float(time), verb, tuple(args)) for time, verb, *args in lines]
