#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Measures the agent beside the bare tools that do the same, and holds it against its budgets (run by `make bench`).

    tests/bench/bench.py BUILD_DIRECTORY [SECTION...]

Prints a table and writes build/bench.json.  Exit code 0 also when a budget is missed, unless STRICT=1.  Needs root.
"""
import contextlib
import json
import os
import pathlib
import platform
import sys
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / "tools"), str(TOP / "tests"), str(TOP / "tests" / "component")]
RESULT = TOP / "build" / "bench.json"
NICE = -10      # what else the machine does disturbs less; both sides of a comparison have it


def sections():
    """Each has measure(table, folder), which fills a part of the table and may use the folder as it likes."""
    import flash
    import idle
    import loopback
    import memory
    import stream
    import update
    return {module.SECTION: module for module in (idle, update, stream, loopback, flash, memory)}


def say_load(loads, when):
    loads[when] = os.getloadavg()[0]
    print(f"{when}: load {loads[when]:.2f} on {os.cpu_count()} CPUs", file=sys.stderr, flush=True)


def run(names, build):
    os.environ.update(AGENT=str(build / "rauc-ocpp-agent"), MOCK_CSMS=str(build / "mock-csms"),
                      STAMP=str(build / "tests" / "stamp"))
    from rig import folder
    from table import Table
    known = sections()
    if set(names) - set(known):
        sys.exit(f"sections are {', '.join(known)}")
    table, loads = Table(), {}
    for name in names or known:
        say_load(loads, f"before {name}")
        with folder() as path:
            known[name].measure(table, path)
    say_load(loads, "at the end")
    return table, loads


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    if os.geteuid() != 0:
        sys.exit("the bench runs a real RAUC service, which needs root")
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
    table, loads = run(sys.argv[2:], pathlib.Path(sys.argv[1]).resolve())
    machine = {"cpus": os.cpu_count(), "kernel": platform.release(), "load": loads}
    RESULT.write_text(json.dumps({"time": int(time.time()), "machine": machine, "rows": table.rows()}, indent=1) + "\n")
    missed = table.missed()
    print(table.text())
    print(f"\nload: {', '.join(f'{load:.2f} {when}' for when, load in loads.items())}; {len(missed)} budgets missed")
    sys.exit(1 if missed and os.environ.get("STRICT") == "1" else 0)


if __name__ == "__main__":
    main()
