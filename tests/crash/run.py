#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Strikes the agent, its power, RAUC and the CSMS connection at every durable boundary of an update, and checks what comes of it.

    tests/crash/run.py BUILD_DIRECTORY [--paths happy,rollback] [--kinds kill,power] [--only KIND@LIFE/KEY --paths PATH]
    tests/crash/run.py BUILD_DIRECTORY --mutations          # deliberately broken agents, each of which has to be caught

Environment: POINTS=N at most so many points, evenly spread over all (default all); SEED=N for what is drawn at random;
JOBS=N runs at the same time.  The last line is `N passed, N failed`; exit code 0 only if nothing failed.
"""
import argparse
import concurrent.futures
import multiprocessing
import os
import pathlib
import random
import shutil
import sys
import threading
import time
import traceback

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / "tools"), str(TOP / "tests"), str(TOP / "tests" / "component")]
sys.dont_write_bytecode = True

import mutations  # noqa: E402  (needs the paths above)
from paths import PATHS  # noqa: E402
from world import Strike, World  # noqa: E402

KINDS = ("kill", "power", "power-names", "rauc", "csms")
TRIES = 3                               # for a boundary that is not passed again: threads may pass others
PROGRESS = 250                          # runs between two lines about them
SAMPLED = 10                            # one double strike, and one within a write, for so many others


def follow(parent):
    """A worker does not outlive the one that it works for."""
    def watch():
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)
    threading.Thread(target=watch, daemon=True).start()


def play(build, work, number, name, strikes, writes):
    """One run; (struck, lives, problems, folder).  The folder of a run without problems is removed."""
    for attempt in range(TRIES):
        folder = work / f"{number}-{attempt}"
        world = World(folder / "charger", PATHS[name], strikes, build / "tests" / "boundaries.so", writes)
        try:
            problems = world.play()
        except Exception:               # whatever it is, the other runs go on
            problems = [traceback.format_exc()]
        if problems:
            return world.struck, world.lives, problems, folder
        shutil.rmtree(folder)
        if world.struck == len(strikes):
            break
    return world.struck, world.lives, [], folder


def spread(points, count):
    """`count` of them, evenly spread."""
    if count >= len(points):
        return points
    return [points[i * len(points) // count] for i in range(count)]


class Session:
    def __init__(self, options):
        self.build = options.build.resolve()
        self.work = self.build / "crash" / f"{os.getpid()}"
        self.seed = int(os.environ.get("SEED") or random.SystemRandom().randrange(1 << 31))
        self.random = random.Random(self.seed)
        self.points = int(os.environ.get("POINTS") or 1 << 30)
        self.jobs = int(os.environ.get("JOBS") or 2 * os.cpu_count())
        self.passed = self.failed = self.missed = self.number = 0
        self.tried = {}

    def run(self, plan, until_failure=False):
        """Plays every (path, strikes, writes); yields (path, strikes, lives) of those that passed."""
        context = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(self.jobs, context, follow, (os.getpid(),)) as pool:
            futures = {}
            for name, strikes, writes in plan:
                self.number += 1
                futures[pool.submit(play, self.build, self.work, self.number, name, strikes, writes)] = (name, strikes)
            before = self.failed
            for done, future in enumerate(concurrent.futures.as_completed(futures), 1):
                yield from self.note(*futures[future], *future.result())
                if until_failure and self.failed > before:
                    pool.shutdown(wait=True, cancel_futures=True)
                    return
                if done % PROGRESS == 0:
                    print(f"{done} of {len(futures)} runs, {self.failed} failed", flush=True)

    def note(self, name, strikes, struck, lives, problems, folder):
        what = f"{name} {' '.join(map(str, strikes)) or 'undisturbed'}"
        kind = "+".join(strike.action for strike in strikes) or "none"
        self.tried[kind] = self.tried.get(kind, 0) + 1
        if problems:
            self.failed += 1
            print(f"FAILED {what}\n    " + "\n    ".join(problems) + f"\n    see {folder}", flush=True)
            return
        self.passed += 1
        if struck < len(strikes):
            self.missed += 1
            print(f"not reached: {what}", flush=True)
        yield name, strikes, lives

    def tell(self):
        print(", ".join(f"{count} {kind}" for kind, count in sorted(self.tried.items())))
        print(f"{sum(self.tried.values())} points tried, {self.missed} of them not reached, SEED={self.seed}")
        print(f"{self.passed} passed, {self.failed} failed", flush=True)


def boundaries(lives, start=0):
    return [(life, key) for life in range(start, len(lives)) for key in lives[life]]


def crash(session, names, kinds):
    """Everything: undisturbed, single strikes, strikes within writes, double strikes."""
    singles, within = [], []
    for name, _, lives in session.run([(name, [], writes) for name in names for writes in (False, True)]):
        points = [(name, [Strike(kind, life, key)], False) for life, key in boundaries(lives) for kind in kinds]
        writes = [(name, strikes, True) for name, strikes, _ in points if strikes[0].key.startswith("pwrite")]
        if writes:
            within += writes
        else:
            singles += points
    singles.sort(key=str)
    within.sort(key=str)
    print(f"{len(singles)} points, {len(within)} within writes", flush=True)
    singles = spread(singles, session.points)
    samples = max(1, len(singles) // SAMPLED)
    plan = singles + session.random.sample(within, min(samples, len(within)))
    second = []
    for name, strikes, lives in session.run(plan):
        if strikes[0].key.startswith("pwrite"):
            continue
        second += [(name, [*strikes, Strike(session.random.choice(kinds), life, key)], False)
                   for life, key in boundaries(lives, strikes[0].life + 1)]
    second.sort(key=str)
    for _ in session.run(session.random.sample(second, min(samples, len(second)))):
        pass


def caught(session, name):
    """Whether the broken agent is caught by a strike, and passes when nobody strikes: else it is broken in another way."""
    names, kinds, keys = mutations.header(TOP, name)
    os.environ["AGENT"] = str(mutations.build(TOP, session.build, name, session.work))
    quiet = list(session.run([(path, [], False) for path in names]))
    points = [(path, [Strike(kind, life, key)], False) for path, _, lives in quiet for life, key in boundaries(lives)
              for kind in kinds if any(part in key for part in keys)]
    session.random.shuffle(points)
    before = session.failed
    for _ in session.run(points, until_failure=True):
        pass
    return len(quiet) == len(names) and session.failed > before


def try_mutations(session):
    results = {name: caught(session, name) for name in mutations.names(TOP)}
    for name, found in results.items():
        print(f"{name}: {'caught' if found else 'NOT CAUGHT'}")
    print(f"{sum(results.values())} passed, {len(results) - sum(results.values())} failed")
    shutil.rmtree(session.work, ignore_errors=True)
    sys.exit(0 if results and all(results.values()) else 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--paths", default=",".join(PATHS))
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--only", default="")
    parser.add_argument("--mutations", action="store_true")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("the crash tests run a real RAUC service, which needs root")
    os.environ |= {"AGENT": str(options.build.resolve() / "rauc-ocpp-agent"),
                   "MOCK_CSMS": str(options.build.resolve() / "mock-csms"), "PYTHONDONTWRITEBYTECODE": "1"}
    session = Session(options)
    names, kinds = options.paths.split(","), options.kinds.split(",")
    print(f"SEED={session.seed}", flush=True)
    start = time.monotonic()
    if options.mutations:
        try_mutations(session)
    if options.only:
        strikes = [Strike(action, int(rest.partition("/")[0]), rest.partition("/")[2])
                   for action, _, rest in (text.partition("@") for text in options.only.split())]
        for _ in session.run([(name, strikes, "pwrite" in options.only) for name in names]):
            pass
    else:
        crash(session, names, kinds)
    print(f"{time.monotonic() - start:.0f} s")
    session.tell()
    sys.exit(1 if session.failed or not session.passed else 0)


if __name__ == "__main__":
    main()
