# SPDX-License-Identifier: LGPL-2.1-or-later
"""The agents that `make test-crash` breaks on purpose: their patches still fit, which it would find out only at its end."""
import pathlib
import subprocess

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("patch", sorted((TOP / "tests/crash/mutations").glob("*.patch")), ids=lambda path: path.stem)
def test_patch_fits(patch):
    done = subprocess.run(["patch", "-p1", "--batch", "--dry-run", "-d", TOP, "-i", patch], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
