# SPDX-License-Identifier: LGPL-2.1-or-later
"""Agents that are broken on purpose: whether the crash tests catch them.

Each of mutations/*.patch is applied to a copy of the tree, which is built with what was built already.  Its first lines
say what it breaks, and with which paths and kinds of strikes it is looked for.
"""
import os
import re
import shutil
import subprocess

FOLDER = "tests/crash/mutations"
LEFT_OUT = shutil.ignore_patterns(".git", "build", "__pycache__")


def names(top):
    return sorted(path.stem for path in (top / FOLDER).glob("*.patch"))


def header(top, name):
    """(paths, kinds, part of the boundaries' keys) to be tried."""
    text = (top / FOLDER / f"{name}.patch").read_text()
    return [re.search(rf"^{key}: (.*)$", text, re.M)[1].split(",") for key in ("Paths", "Kinds", "Keys")]


def _run(*argv, cwd):
    done = subprocess.run(argv, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, argv))}: exit {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")


def build(top, built, name, work):
    """Path of the broken agent."""
    copy = work / name
    shutil.copytree(top, copy, ignore=LEFT_OUT, symlinks=True)
    shutil.copytree(built, copy / "build" / "mutant", ignore=shutil.ignore_patterns("crash", "tests"), symlinks=True)
    _run("patch", "-p1", "--batch", "-i", str(top / FOLDER / f"{name}.patch"), cwd=copy)
    _run("make", "-s", f"-j{os.cpu_count()}", "VARIANT=release", "OUT=build/mutant", "all", cwd=copy)
    return copy / "build" / "mutant" / "rauc-ocpp-agent"
