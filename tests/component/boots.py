# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests of boots and of health checks share."""
import stat

from simdevice import wait_until

WRITTEN = ["Downloading", "Downloaded", "Installing"]
FAILED = [*WRITTEN, "InstallationFailed"]
INSTALLED = [*WRITTEN, "Installed"]


def installed(charger):
    """2.0.0 is installed, the reboot was asked for."""
    charger.start()
    if "stack" in charger.settings.get("update", {}).get("health", ""):
        charger.ctl("confirm")      # the slot that runs, once: a boot forgets it
    charger.update()
    charger.wait_reboot_requested()
    charger.settle(WRITTEN)
    return charger


def check_failed(charger):
    """Rolled back, and the slot that was given up was never marked good."""
    assert charger.wait_end() == "InstallationFailed"
    charger.wait_state("rolled-back")
    charger.settle(FAILED, len(charger.boots()))
    device = charger.device
    assert (device.booted, device.primary(), device.boot_order(), device.attempts_left("B")) == ("A", "A", ["A"], 0)
    assert not charger.backend_calls("set-state", "B", "good")


class Script:
    """A health check: it says that it was called, waits for the word, and ends as told."""

    def __init__(self, folder, name):
        self.path, self.called, self.word = folder / name, folder / f".{name}.called", folder / f".{name}.word"
        self.path.write_text(f"""#!/bin/sh
touch '{self.called}'
while [ ! -s '{self.word}' ]; do sleep 0.02; done
read -r code < '{self.word}'
exit "$code"
""")
        self.path.chmod(stat.S_IRWXU)

    def wait_called(self):
        wait_until(self.called.exists, f"{self.path.name} to be called")

    def end(self, code=0):
        self.word.write_text(f"{code}\n")

    def renew(self):
        """The next boot's call is not answered yet."""
        self.called.unlink(missing_ok=True)
        self.word.unlink(missing_ok=True)


def with_health(health, checks="command", timeout=60, **groups):
    return {"update": {"health": checks, "health-directory": health, "health-timeout": str(timeout)}, **groups}


def updates_again(charger):
    """The next update works."""
    before = charger.statuses()
    charger.update("3.0.0")
    wait_until(charger.reboot_wanted, "the reboot for 3.0.0")
    assert charger.reboot() == "B"
    charger.wait_status("Installed", before.count("Installed") + 1)
    assert charger.statuses() == before + INSTALLED
    assert charger.device.slot_version("B") == "3.0.0"
