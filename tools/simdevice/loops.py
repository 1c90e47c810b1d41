# SPDX-License-Identifier: LGPL-2.1-or-later
"""Loop devices that a killed RAUC has left behind."""
import contextlib
import subprocess
from pathlib import Path


def free_loops(folder: Path) -> None:
    """Detaches those of files below `folder`, and no others: RAUC, killed between taking one and asking for its release,
    cannot."""
    for entry in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):      # it went meanwhile
            if entry.read_text().startswith(f"{folder}/"):
                subprocess.run(["losetup", "--detach", f"/dev/{entry.parts[3]}"], check=False, timeout=60)
