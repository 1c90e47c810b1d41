# SPDX-License-Identifier: LGPL-2.1-or-later
"""A charger with a clock of its own: Charger(wrap=clock_at(tmp_path)) wakes up in 1970 at every start."""
import pathlib
import subprocess

SOURCE = pathlib.Path(__file__).with_name("clock.c")


def clock_at(folder, seconds=600, synchronised=False):
    """The command to put in front of the agent, whose clock then begins so long after 1970."""
    library = folder / "clock.so"
    subprocess.run(["cc", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-O2", "-shared", "-fPIC", "-o", library, SOURCE,
                    "-ldl"], check=True)
    # The sanitizer wants to be the first library; to come second does no harm here.
    return ["env", f"LD_PRELOAD={library}", "ASAN_OPTIONS=detect_leaks=1:verify_asan_link_order=0", f"CLOCK_START={seconds}",
            *(["CLOCK_SYNCHRONISED=1"] if synchronised else [])]
