#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Updates of a charge point in an emulated machine: a real kernel, systemd, two slots, boot loaders that count attempts, the
agent started by its unit; power cuts at random moments, on a disk that forgets what was not synced.

    tests/boot/run.py [OPTIONS] BUILD_DIRECTORY [NAME...]

With names (see --list) only what contains one of them is played.  CUTS (30) and SEED in the environment: how many power
cuts, and which.  What was built is kept below build/boot/; of a failure, the logs in build/boot/failed/.  As root.
"""
import argparse
import collections
import concurrent.futures
import functools
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parents[1]
sys.path[:0] = [str(TOP / "tools"), str(TOP / "tests")]
sys.path += [str(TOP / "tests" / "crash"), str(TOP / "tests" / "component")]

import cuts  # noqa: E402  (need the paths above)
import moments  # noqa: E402
from chargepoint import ChargePoint  # noqa: E402
from images import CACHE, LOADERS, Images, Unavailable, locked, missing  # noqa: E402
from scenarios import SCENARIOS  # noqa: E402

CUTS = 30
GRUB_CUTS = 4                       # of them, or half of them if they are fewer; the others with U-Boot
WORK, FAILED = CACHE / "work", CACHE / "failed"


class Stage:
    """What one test is given, and what it adds to the figures of all."""
    _lock = threading.Lock()
    figures, counts = {}, collections.Counter()

    def __init__(self, name, images, seed, folder):
        self.name, self.images, self.folder = name, images, folder
        self.random = random.Random(f"{seed} {name}")
        self.lines = []

    def point(self, loader):
        return ChargePoint(self.folder, self.images, loader)

    def figure(self, name, value):
        with self._lock:
            self.figures[name] = value

    def count(self, name, number=1):
        with self._lock:
            self.counts[name] += number

    def tell(self, line):
        self.lines.append(line)


def tests(wanted, number):
    """name -> play(stage)"""
    found = {}
    of_grub = min(GRUB_CUTS, number // 2)
    numbers = {"uboot": number - of_grub, "grub": of_grub}
    for loader in LOADERS:
        for scenario in SCENARIOS[loader]:
            found[f"{loader} {scenario.__name__}"] = functools.partial(scenario, loader=loader)
        for index, phases in enumerate(cuts.runs(loader, numbers[loader])):
            forgetful = index % 2 == 1
            name = f"{loader} cuts {index + 1}: {', '.join(phase.name for phase in phases)}"
            name += " (unsynced writes lost)" if forgetful else ""
            found[name] = functools.partial(cuts.play, loader=loader, phases=phases, forgetful=forgetful)
    return {name: play for name, play in found.items() if not wanted or any(word in name for word in wanted)}


def run(name, play, images, seed):
    """Plays one test; returns whether it passed."""
    folder = pathlib.Path(tempfile.mkdtemp(dir=WORK)) / "point"
    stage = Stage(name, images, seed, folder)
    begin = time.monotonic()
    try:
        problems = play(stage)
    except Exception:                   # one test's trouble is not the others'
        problems = [traceback.format_exc()]
    lines = [f"{'FAILED' if problems else 'passed'}  {name} ({time.monotonic() - begin:.0f} s)", *stage.lines, *problems]
    if problems:
        lines.append(f"the logs are in {_keep(folder, name)}")
    print("\n    ".join(lines), flush=True)
    shutil.rmtree(folder.parent)
    return not problems


def _keep(folder, name):
    target = FAILED / "".join(letter if letter.isalnum() else "-" for letter in name)
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(folder, target, ignore=shutil.ignore_patterns("*.raw", "*.raucb", "*.sock"))
    return target


def prepare(images, names):
    """The moments that tests begin with, before they are played and timed."""
    for loader in LOADERS:
        if any(name.startswith(loader) for name in names):
            moments.moment(images, loader, moments.FRESH)
        if any(name.startswith(f"{loader} cuts") for name in names):
            moments.moment(images, loader, moments.UPDATED)


def skip(plays, reason):
    print(f"{reason}\n0 passed, 0 failed, {len(plays)} skipped")
    sys.exit(0)


def print_figures():
    for name, number in sorted(Stage.counts.items()):
        print(f"{name}: {number}")
    for name, value in sorted(Stage.figures.items()):
        print(f"{name}: {value}")


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--list", action="store_true", help="print the names of the tests")
    parser.add_argument("--guests", type=int, default=2, metavar="N", help="so many machines at once")
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    number, seed = int(os.environ.get("CUTS") or CUTS), os.environ.get("SEED") or str(random.randrange(10**6))
    plays = tests(options.names, number)
    if options.list:
        print("\n".join(plays))
        return
    if os.geteuid() != 0:
        sys.exit("the guest's file system is made as root")
    if missing():
        skip(plays, f"this host has no {', '.join(missing())}")
    os.environ["MOCK_CSMS"] = str(options.build.resolve() / "mock-csms")
    # Nothing that was started outlives this process, however it ends.
    for number_of_signal in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number_of_signal, lambda got, _: os._exit(128 + got))
    with locked(CACHE / ".run.lock"):   # one run at a time: each keeps the processors busy already
        for left in CACHE.glob("**/.new-*"):
            shutil.rmtree(left, ignore_errors=True)
        try:
            images = Images(options.build)
        except Unavailable as reason:
            skip(plays, reason)
        prepare(images, plays)
        print(f"CUTS={number} SEED={seed}", flush=True)
        shutil.rmtree(WORK, ignore_errors=True)
        shutil.rmtree(FAILED, ignore_errors=True)
        WORK.mkdir()
        with concurrent.futures.ThreadPoolExecutor(options.guests) as pool:
            passed = list(pool.map(lambda item: run(*item, images, seed), plays.items()))
        shutil.rmtree(WORK)
    print_figures()
    print(f"{sum(passed)} passed, {len(passed) - sum(passed)} failed")
    sys.exit(0 if all(passed) else 1)


if __name__ == "__main__":
    main()
