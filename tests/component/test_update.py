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


# ----------------------------------------------------------------------------------------------------- transport=auto

AUTO = {"update": {"transport": "auto"}}
# What one update asks of RAUC when it has to learn first that this one cannot stream, and when it knows.
LEARNS = ["due-stream", "permit-stream", "next-transport", "due", "fetch-ok", "permit"]
KNOWS = ["due", "fetch-ok", "permit"]


def ways(charger, job):
    """How the bundle of a job came: the events that tell."""
    return [row[3] for row in charger.history() if row[0] == job and row[3] in LEARNS]


def fails(charger, count):
    """An update that leaves the charger in this boot: RAUC does not know the signer."""
    charger.update("1.5.0", signer="foreign", options="retries=0")
    assert charger.wait_end(count) == "InstallationFailed"
    charger.wait_state("install-failed")


def test_rauc_that_cannot_stream(make_charger):
    """RAUC 1.8 refuses the relay once; the agent downloads by itself, without an operator, and the CSMS sees nothing of it."""
    charger = make_charger(settings=AUTO).start()
    charger.update("2.0.0", options="retries=0")
    charger.wait_reboot_requested()
    assert charger.statuses() == HAPPY[:3]
    assert charger.reboot() == "B"
    assert charger.wait_end() == "Installed"
    charger.wait_state("installed")
    assert charger.statuses() == HAPPY
    assert ways(charger, 1) == LEARNS
    assert (charger.install_calls(), charger.status()["last-job"]["attempts"]) == (2, 1)
    assert charger.installed_image("B")
    assert charger.server.url("") not in charger.device.rauc_log()       # it only ever saw the agent


def test_rauc_is_asked_once_in_a_boot(make_charger):
    """It is remembered over a restart of the agent, and asked again after a reboot: that may bring another RAUC."""
    charger = make_charger(settings=AUTO).start()
    fails(charger, 1)
    assert (ways(charger, 1), charger.install_calls()) == (LEARNS, 2)
    fails(charger, 2)
    assert (ways(charger, 2), charger.install_calls()) == (KNOWS, 3)
    charger.restart_agent()
    charger.wait_registered(2)
    fails(charger, 3)
    assert (ways(charger, 3), charger.install_calls()) == (KNOWS, 4)
    charger.reboot()
    charger.wait_registered(3)
    fails(charger, 4)
    assert (ways(charger, 4), charger.install_calls()) == (LEARNS, 6)
    assert charger.statuses() == 4 * [*HAPPY[:3], "InstallationFailed"]


def test_stream_only_with_a_rauc_that_cannot(make_charger):
    """Who forbids the download is told what is missing; nothing is tried again."""
    charger = make_charger(settings={"update": {"transport": "stream"}}).start()
    charger.update("2.0.0", options="retries=3 interval=1")
    assert charger.wait_end() == "InstallationFailed"
    charger.wait_state("install-failed")
    assert charger.statuses() == [*HAPPY[:3], "InstallationFailed"]
    assert charger.install_calls() == 1
    assert "this RAUC cannot stream" in charger.status()["last-job"]["reason"]
