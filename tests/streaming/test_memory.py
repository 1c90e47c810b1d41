# SPDX-License-Identifier: LGPL-2.1-or-later
"""The agent's memory does not depend on how large a bundle is that it streams."""
import re
from pathlib import Path

from fetching import MIB, ask
from servers import Nginx
from streams import publish, streaming_charger

SIZES = (16 * MIB, 64 * MIB)
SAME = MIB


def peak(pid):
    """Bytes that were in memory at most."""
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[1]) * 1024


def test_memory_is_flat(make_charger, tmp_path):
    peaks = []
    with Nginx(tmp_path / "web") as server:
        for size in SIZES:
            charger = streaming_charger(make_charger)
            ask(charger, publish(server, size=size))
            charger.wait_reboot_requested()
            peaks.append(peak(charger.agent.pid))
    print("peaks:", *(f"{bytes_ / MIB:.2f} MiB" for bytes_ in peaks))
    assert abs(peaks[1] - peaks[0]) < SAME, peaks
