# SPDX-License-Identifier: LGPL-2.1-or-later
"""The whole path with a RAUC that streams: UpdateFirmware, reboot, confirmation, report."""
import pytest

from counts import fetched

MIB = 1 << 20
SIZE = 16 * MIB
HAPPY = ["Downloading", "Downloaded", "Installing", "Installed"]


@pytest.mark.parametrize("transport,format", [("stream", "verity"), ("stream", "crypt"), ("download", "verity"),
                                              ("auto", "verity"), ("auto", "plain")])
def test_happy_path(make_charger, transport, format):
    charger = make_charger(settings={"update": {"transport": transport}}).start()
    charger.update("2.0.0", format=format, size=SIZE)
    charger.wait_reboot_requested()
    assert charger.installed_image("B", format=format, size=SIZE)
    assert charger.reboot() == "B"
    charger.wait_status("Installed")
    assert charger.statuses() == HAPPY
    got = fetched(charger.server, charger.bundle(format=format, size=SIZE).path, "2.0.0.raucb")
    assert got.bytes < 1.05 * SIZE, got
    assert got.requests < SIZE // MIB * 8, got      # RAUC alone makes more than twice as many (test_bare.py)

