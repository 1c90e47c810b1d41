# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fixtures of the component tests, and the way to the simulated device in tools/ and the servers in tests/."""
import contextlib
import pathlib
import sys

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / "tools"), str(TOP / "tests")]

from charger import BUILD, Charger  # noqa: E402  (needs the paths above)
from schemas import check_frames  # noqa: E402
from simdevice import fixtures  # noqa: E402


@contextlib.contextmanager
def making(folder):
    """Makes chargers below a folder and takes them down again; every frame is held against the published schemas."""
    made = []

    def make(**options):
        path = folder / f"charger{len(made)}"
        path.mkdir()
        made.append(Charger(path, **options))
        return made[-1]

    yield make
    problems = []
    for charger in made:
        try:
            charger.close()
        except AssertionError as error:
            problems.append(str(error))
        problems += check_frames(charger.csms.events)
    assert not problems, "\n".join(problems)


@pytest.fixture
def make_charger(tmp_path):
    with making(tmp_path) as make:
        yield make


@pytest.fixture
def charger(make_charger):
    """One charger, started, with the settings that every test needs."""
    return make_charger().start()


@pytest.fixture
def health(tmp_path):
    """An empty health-directory."""
    folder = tmp_path / "health.d"
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def pki():
    """The folder of throw-away keys and certificates."""
    return fixtures.pki(BUILD)
