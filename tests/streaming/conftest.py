# SPDX-License-Identifier: LGPL-2.1-or-later
"""The component tests' charger, in the guest (tests/guest/run.py): there RAUC streams, and dm-verity and nbd exist.

The fixtures are those of tests/component, but if nothing else is said a charger's transport is stream, its bundles are
of the format verity, and its slots hold images of up to SLOT_SIZE.
"""
import importlib.util
import os
import pathlib
import sys

import pytest

TESTS = pathlib.Path(__file__).resolve().parents[1]
SLOT_SIZE = 80 << 20
sys.path.insert(0, str(TESTS / "component"))

_spec = importlib.util.spec_from_file_location("component_conftest", TESTS / "component" / "conftest.py")
_component = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_component)

from charger import BUILD  # noqa: E402  (needs the path above, and the one that the component tests add)
from simdevice import Device, FaultServer, fixtures, wait_until  # noqa: E402


def pytest_configure():
    if "RAUC" not in os.environ:
        raise pytest.UsageError("these tests run in the guest: tests/guest/run.py BUILD_DIRECTORY")


def pytest_collection_modifyitems(items):
    """With several guests each takes its share of the tests."""
    share, shares = map(int, os.environ.get("SHARE_OF_TESTS", "0/1").split("/"))
    items[:] = items[share::shares]


def keep_indexes(device):
    """Adaptive bundles need a place for the indexes of the slots' blocks; call this before RAUC starts."""
    conf = device.system_conf
    conf.write_text(conf.read_text().replace("statusfile=", f"data-directory={device.root}/data\nstatusfile="))


def verity_bundle(version="2.0.0", **options):
    return fixtures.bundle(BUILD, version, **{"format": "verity", **options})


def end_stream(charger):
    """A RAUC that is killed while it reads its stream leaves a device behind, and no other can install then."""
    if charger.agent and charger.agent.running() and charger.status()["rauc"] == "installing":
        charger.ctl("cancel", check=False)
        wait_until(lambda: charger.status()["rauc"] != "installing", "RAUC to end")


@pytest.fixture
def make_charger(tmp_path):
    made = []
    with _component.making(tmp_path) as make:
        def make_streaming(**options):
            device = {"slot_size": SLOT_SIZE, **(options.pop("device", None) or {})}
            settings = {"update": {}, **options.pop("settings", {})}
            settings["update"] = {"transport": "stream", **settings["update"]}
            charger = make(device=device, settings=settings, **options)
            charger.bundle = verity_bundle
            keep_indexes(charger.device)
            made.append(charger)
            return charger
        yield make_streaming
        for charger in made:
            end_stream(charger)


@pytest.fixture
def device(tmp_path):
    """The charger's device alone, running."""
    device = Device(tmp_path / "device", fixtures.pki(BUILD), slot_size=SLOT_SIZE)
    keep_indexes(device)
    with device:
        yield device


@pytest.fixture
def server():
    with FaultServer() as server:
        yield server


@pytest.fixture
def charger(make_charger):
    """One charger, started, with the settings that every test needs."""
    return make_charger().start()
