# SPDX-License-Identifier: LGPL-2.1-or-later
"""The whole path: UpdateFirmware, RAUC, reboot, confirmation, report."""
HAPPY = ["Downloading", "Downloaded", "Installing", "Installed"]


def test_happy_path(charger):
    assert charger.device.booted == "A"
    charger.update("2.0.0")     # the conf is {}
    charger.wait_reboot_requested()
    assert charger.statuses() == HAPPY[:3]
    assert charger.installed_image("B")
    assert charger.device.booted == "A"

    assert charger.reboot() == "B"
    charger.wait_status("Installed")
    charger.wait_state("installed")
    assert charger.statuses() == HAPPY
    boots = [frame["frame"][3]["firmwareVersion"] for frame in charger.boots()]
    assert boots == ["1.0.0", "2.0.0"]
    order = [frame["frame"][2] for frame in charger.csms.received() if frame["frame"][0] == 2]
    assert order.index("BootNotification", 1) < len(order) - 1 - order[::-1].index("FirmwareStatusNotification")
    assert charger.device.attempts_left("B") == 3
    assert charger.device.primary() == "B"
