# SPDX-License-Identifier: LGPL-2.1-or-later
"""A charger whose own clock says 1970 after every start: Charger(wrap=at_1970(tmp_path))."""
import pathlib
import subprocess

SOURCE = pathlib.Path(__file__).with_name("clock1970.c")


def at_1970(folder):
    """The command to put in front of the agent."""
    library = folder / "clock1970.so"
    subprocess.run(["cc", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-O2", "-shared", "-fPIC", "-o", library, SOURCE,
                    "-ldl"], check=True)
    # The sanitizer wants to be the first library; to come second does no harm here.
    return ["env", f"LD_PRELOAD={library}", "ASAN_OPTIONS=detect_leaks=1:verify_asan_link_order=0"]
