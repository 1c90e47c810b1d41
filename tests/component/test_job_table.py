# SPDX-License-Identifier: LGPL-2.1-or-later
"""Compares the job machine's table with the executable model's, when that is there.  Every difference is listed here with its reason."""
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL = ROOT.parent / "shared" / "model" / "job_model.py"
ENDS = ("installed", "download-failed", "install-failed", "signature-invalid", "rolled-back", "cancelled", "superseded")

DIFFERENCES = {
    # (state, event): (ours, reason)
    ("install-wait", "fail-last"): (
        "-> install-failed : Failure :",
        "RAUC that is gone for good, or that has no second slot, must end the job; the model's RAUC always comes back"),
    ("installing", "boot-old-primary-target"): (
        "-> reboot-wait : Installing :",
        "the design's verdict table: one more reboot where none was tried; the model goes to undoing, and no run reaches the row"),
    ("reboot-wait", "boot-old-primary-target"): (
        "-> reboot-wait : Installing :", "as above"),
    ("rolling-back", "undone"): (
        "-> install-failed : InstallationFailed :",
        "somebody else's install has spoilt the slot to go back to: the new one stays; nobody else installs in the model"),
}
# The model's other slot always boots; ours may not: then the new one stays, and the CSMS is told.
# It also knows of each bundle at once whether it can be streamed; ours learns it from RAUC and from the server.
OUR_EVENTS = {"no-fallback": {"confirming": "-> install-failed : InstallationFailed :",
                              "rolling-back": "-> rolling-back : : undo"},
              "next-transport": {"installing": "-> retry-wait : :"}}


def parse(text):
    table = {}
    for line in text.splitlines():
        state, event, row = line.split(" ", 2)
        table[state, event] = " ".join(row.split())
    return table


def ours():
    program = os.environ.get("PRINT_JOB_TABLE") or str(ROOT / "build" / "asan" / "tests" / "print_job_table")
    return parse(subprocess.run([program], capture_output=True, text=True, check=True).stdout)


def as_model(state, row):
    """The model knows one END; a row that stays there names it."""
    if state in ENDS and row.startswith(f"-> {state} "):
        return row.replace(f"-> {state} ", "-> END ")
    return row


@pytest.mark.skipif(not MODEL.exists(), reason="the executable model is not there")
def test_table_is_the_models():
    model = parse(subprocess.run([sys.executable, str(MODEL), "--table"], capture_output=True, text=True, check=True).stdout)
    table = ours()
    for (state, event), row in table.items():
        if event in OUR_EVENTS:
            assert row == OUR_EVENTS[event].get(state, "ignored"), (state, event)
            continue
        expected = model["END" if state in ENDS else state, event]
        expected = DIFFERENCES.get((state, event), (expected,))[0]
        assert as_model(state, row) == " ".join(expected.split()), (state, event)
    assert {event for _, event in table} - set(OUR_EVENTS) == {event for _, event in model}


@pytest.mark.skipif(not MODEL.exists(), reason="the executable model is not there")
def test_listed_differences_are_differences():
    model = parse(subprocess.run([sys.executable, str(MODEL), "--table"], capture_output=True, text=True, check=True).stdout)
    for pair, (row, _) in DIFFERENCES.items():
        assert model[pair] != " ".join(row.split()), pair
