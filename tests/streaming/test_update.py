# SPDX-License-Identifier: LGPL-2.1-or-later
"""The whole path with a RAUC that streams: UpdateFirmware, reboot, confirmation, report."""
import pytest

MIB = 1 << 20


@pytest.mark.parametrize("size", [16])
def test_happy_path(charger, size):
    charger.update("2.0.0", format="verity", size=size * MIB)
    charger.wait_reboot_requested()
    assert charger.installed_image("B", format="verity", size=size * MIB)
    assert charger.reboot() == "B"
    charger.wait_status("Installed")
    assert charger.statuses() == ["Downloading", "Downloaded", "Installing", "Installed"]
