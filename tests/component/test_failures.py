# SPDX-License-Identifier: LGPL-2.1-or-later
"""Updates that fail: what the CSMS hears, how often it is tried, and what the charger is left with."""
import base64
import contextlib
import datetime
import json
import os
import pathlib
import threading
from urllib.parse import quote

import pytest

from charger import Process, wait_until

HAPPY = ["Downloading", "Downloaded", "Installing", "Installed"]
NO_DOWNLOAD = ["Downloading", "DownloadFailed"]
NO_INSTALL = ["Downloading", "Downloaded", "Installing", "InstallationFailed"]
FAR_AWAY = 3600     # seconds; a retry that nobody waits for
OLD_DATE = "2024-01-31T12:00:00Z"


HASTY = {"download": {"hold": "3"}}                 # an outage is not waited out for long
IMPATIENT = {"rauc": {"silent-timeout": "2"}}       # nor a RAUC that stands still
NAME = "2.0.0.raucb"


@pytest.fixture
def hasty(make_charger):
    return make_charger(settings=HASTY).start()


@pytest.fixture
def impatient(make_charger):
    return make_charger(settings=IMPATIENT).start()


def next_update_works(charger, before):
    """After the statuses `before`, another update goes through."""
    charger.update("3.0.0")
    assert charger.play(2) == "Installed"
    assert charger.statuses() == before + HAPPY
    assert charger.device.booted == charger.device.primary() == "B"
    assert charger.installed_image("B", "3.0.0")


def expect_old_firmware(charger, untouched=True):
    """Slot A runs and is what the next boot takes; slot B is as it was, or cannot be booted."""
    device = charger.device
    charger.wait_boot_marked()      # a download does not wait for that
    assert (device.booted, device.primary(), device.attempts_left("A")) == ("A", "A", 3)
    assert not device.reboot_requests()
    if untouched:
        assert device.slot_version("B") == "0.9.0"
        assert (device.boot_order(), device.attempts_left("B")) == (["A", "B"], 3)
    else:
        assert device.attempts_left("B") == 0


def reasons(charger):
    """The words of the history, newest last."""
    rows = json.loads(charger.ctl("history", "--json").stdout)
    return [row["detail"] for row in reversed(rows) if row.get("detail")]


def times_between(charger, event, state):
    """Seconds from each step by this event to the next one that enters this state, as the history has them."""
    rows = reversed(json.loads(charger.ctl("history", "--json").stdout))
    spans, begun = [], None
    for row in rows:
        time = datetime.datetime.fromisoformat(row["time"].replace("Z", "+00:00")).timestamp()
        if row["event"] == event:
            begun = time
        elif row["to"] == state and begun is not None:
            spans.append(time - begun)
            begun = None
    return spans


# ------------------------------------------------------------------------------------------------------ the retrieval

def fail_transfer(charger, kind, times=None):
    """Publishes 2.0.0 and breaks its transfer; returns the URL."""
    url = charger.publish("2.0.0")
    if kind == "refused":
        return charger.server.refused_url(NAME)
    charger.server.fault(NAME, kind, after=0, times=times)
    return url


@pytest.mark.parametrize("kind", ["404", "503", "cut", "stall", "refused"])
def test_transfer_fails(hasty, kind):
    """1 + retries attempts, none of them RAUC's."""
    charger = hasty
    url = fail_transfer(charger, kind)
    assert charger.csms_call(f"update {url} now retries=2 interval=1")[2] == {}
    assert charger.wait_end() == "DownloadFailed"
    assert charger.statuses() == NO_DOWNLOAD
    charger.wait_state("download-failed")
    assert charger.status()["last-job"]["attempts"] == 3
    assert [row[3] for row in charger.history()].count("fetch-fail") == 2
    waits = times_between(charger, "fetch-fail", "downloading")
    assert len(waits) == 2 and min(waits) >= 0.99, waits
    requests = charger.server.requests(NAME)
    if kind == "cut":           # in each attempt it is asked for again until nothing has come for `hold`
        assert len(requests) >= 6
    else:
        assert len(requests) == (0 if kind == "refused" else 3)
        assert all(b.time - a.time >= 1 for a, b in zip(requests, requests[1:]))
    assert charger.install_calls() == 0 and not charger.device.restart_requests()
    assert not list(charger.spool.iterdir())
    expect_old_firmware(charger)
    next_update_works(charger, NO_DOWNLOAD)


@pytest.mark.parametrize("kind", ["404", "503", "stall"])
def test_transfer_recovers(hasty, kind):
    """The next attempt is another one: RAUC is called when the bundle is whole, and once."""
    charger = hasty
    url = fail_transfer(charger, kind, times=1)
    assert charger.csms_call(f"update {url} now retries=3 interval=1")[2] == {}
    assert charger.play() == "Installed"
    assert charger.statuses() == HAPPY
    assert (len(charger.server.requests(NAME)), charger.install_calls()) == (2, 1)
    assert charger.status()["last-job"]["attempts"] == 2
    assert charger.installed_image("B")


@pytest.mark.parametrize("kind", ["404", "refused", "stall"])
def test_transfer_fails_with_auto(make_charger, kind):
    """RAUC 1.8 cannot stream, which is no attempt; the 1 + retries are those of the download."""
    charger = make_charger(settings={**HASTY, "update": {"transport": "auto"}}).start()
    url = fail_transfer(charger, kind)
    assert charger.csms_call(f"update {url} now retries=2 interval=1")[2] == {}
    assert charger.wait_end() == "DownloadFailed"
    assert charger.statuses() == NO_DOWNLOAD
    charger.wait_state("download-failed")
    assert (charger.status()["last-job"]["attempts"], charger.install_calls()) == (3, 1)
    expect_old_firmware(charger)
    next_update_works(charger, NO_DOWNLOAD)


def ranges(charger):
    """The first byte that each request asked for."""
    return [int(request.range.split("=")[1].split("-")[0]) if request.range else 0
            for request in charger.server.requests(NAME)]


def test_cut_transfer_is_resumed(charger):
    """Eight cuts: one attempt, and no byte twice."""
    charger.server.fault(NAME, "cut", after=50000, times=8)
    charger.update("2.0.0", options="retries=0")
    assert charger.play() == "Installed"
    assert charger.statuses() == HAPPY
    assert ranges(charger) == [50000 * i for i in range(9)]
    job = charger.status()["last-job"]
    assert (job["attempts"], job["fetched-bytes"]) == (1, charger.bundle("2.0.0").path.stat().st_size)
    assert charger.installed_image("B")


def test_stalled_transfer_is_resumed_by_the_next_attempt(hasty):
    """What came before the stall is kept."""
    charger = hasty
    charger.server.fault(NAME, "stall", after=50000, times=1)
    charger.update("2.0.0", options="retries=1 interval=1")
    assert charger.play() == "Installed"
    assert charger.statuses() == HAPPY
    assert ranges(charger) == [0, 50000]
    assert charger.status()["last-job"]["fetched-bytes"] == charger.bundle("2.0.0").path.stat().st_size
    assert charger.installed_image("B")


def test_bundle_changes_between_two_attempts(hasty):
    """Nothing is glued together: the new one is fetched from its first byte."""
    charger = hasty
    stalled = charger.server.fault(NAME, "stall", after=50000)
    charger.update("2.0.0", options="retries=1 interval=2")
    stalled.wait_reached()
    charger.wait_step("downloading -> retry-wait")
    charger.server.publish(charger.bundle("3.0.0").path, NAME)
    charger.server.fault(NAME, "ok")
    assert charger.play() == "Installed"
    assert charger.statuses() == HAPPY
    assert ranges(charger)[:2] == [0, 50000]
    assert charger.installed_image("B", "3.0.0")


def test_server_without_ranges(charger):
    """There a cut costs an attempt, and the next one begins anew."""
    charger.server.fault(NAME, "no-ranges", after=50000)
    charger.update("2.0.0", options="retries=1 interval=2")
    charger.wait_step("downloading -> retry-wait")
    charger.server.fault(NAME, "no-ranges")
    assert charger.play() == "Installed"
    assert charger.statuses() == HAPPY
    assert ranges(charger) == [0, 50000, 0]
    assert any("cannot be taken up again" in reason for reason in reasons(charger))
    assert charger.installed_image("B")


@pytest.mark.parametrize("options, attempts", [
    pytest.param("", 3, id="absent-is-the-default"),
    pytest.param("retries=0", 1, id="TC_044_2"),
    pytest.param("retries=1 interval=0", 2, id="at-once"),
])
def test_number_of_attempts(make_charger, options, attempts):
    charger = make_charger(settings={"update": {"default-retries": "2", "default-retry-interval": "1"}}).start()
    url = charger.server.url("nothing.raucb")
    assert charger.csms_call(f"update {url} now {options}".strip())[2] == {}
    assert charger.wait_end() == "DownloadFailed"
    assert charger.statuses() == NO_DOWNLOAD
    assert len(charger.server.requests("nothing.raucb")) == attempts
    expect_old_firmware(charger)


def test_rauc_never_comes(make_charger):
    charger = make_charger(settings={"rauc": {"absent-timeout": "2"}})
    charger.device.start_bus()
    charger.device.power_on(rauc=False)
    charger.start_agent()
    charger.wait_registered()
    charger.update("2.0.0", options="retries=5 interval=1")
    assert charger.wait_end() == "DownloadFailed"
    assert charger.statuses() == [*HAPPY[:2], "DownloadFailed"]
    assert charger.install_calls() == 0
    assert reasons(charger)[-1] == "RAUC does not answer"
    charger.device.start_rauc()
    next_update_works(charger, [*HAPPY[:2], "DownloadFailed"])


# --------------------------------------------------------------------------------------------------- RAUC's verdicts

@pytest.mark.parametrize("options, words", [
    pytest.param({"compatible": "other-charger"}, "Compatible mismatch", id="compatible"),
    pytest.param({"signer": "foreign"}, "unable to get local issuer certificate", id="foreign-ca"),
    pytest.param({"signer": "expired"}, "certificate has expired", id="expired"),
    pytest.param({"damaged": True}, "signature verification failed", id="damaged"),
])
def test_bad_bundle(charger, options, words):
    charger.update("2.0.0", options="retries=3 interval=1", **options)
    expect_refused(charger, words)


def test_garbage(charger, tmp_path):
    garbage = tmp_path / "garbage"
    garbage.write_bytes(bytes(range(256)) * 64)
    url = charger.server.publish(garbage, "2.0.0.raucb")
    assert charger.csms_call(f"update {url} now retries=3 interval=1")[2] == {}
    expect_refused(charger, "Invalid bundle format")


def expect_refused(charger, words):
    assert charger.wait_end() == "InstallationFailed"
    assert charger.statuses() == NO_INSTALL
    charger.wait_state("install-failed")
    assert len(charger.server.requests("2.0.0.raucb")) == charger.install_calls() == 1
    assert words in reasons(charger)[-1]
    expect_old_firmware(charger)
    next_update_works(charger, NO_INSTALL)


# ------------------------------------------------------------------------------------------------------- the location

UNUSABLE = [
    ("CP001/firmware.raucb", "not an URL"),
    ("C:\\fw.bin", "not an http"),
    ("file:///etc/passwd", "not an http"),
    ("/local/path.raucb", "not an URL"),
    ("gopher://127.0.0.1/fw.raucb", "not an http"),
    ("http:///fw.raucb", "no host"),
    ("http://", "no host"),
    ("http:fw.raucb", "no host"),
    ("http://127.0.0.1:99999/fw.raucb", "not an URL"),
    ("http://[::1/fw.raucb", "not an URL"),
    ("http://127.0.0.1/fw\u0001.raucb", "control character"),
    ("http://127.0.0.1/fw\n.raucb", "control character"),
    ("", "not an URL"),
]


def send_location(charger, location, **fields):
    payload = {"location": location, "retrieveDate": OLD_DATE, **fields}
    return charger.csms_call("call UpdateFirmware " + json.dumps(payload))


@pytest.mark.parametrize("location, words", UNUSABLE, ids=[repr(location) for location, _ in UNUSABLE])
def test_unusable_location(charger, location, words):
    assert send_location(charger, location, retries=3, retryInterval=FAR_AWAY)[2] == {}
    assert charger.wait_end() == "DownloadFailed"
    assert charger.statuses() == NO_DOWNLOAD
    charger.wait_state("download-failed")
    assert words in reasons(charger)[-1]
    expect_rauc_not_called(charger)
    next_update_works(charger, NO_DOWNLOAD)


def expect_rauc_not_called(charger):
    assert charger.install_calls() == 0
    assert "installing" not in charger.device.rauc_log()
    assert not charger.server.requests()


def test_location_with_blanks(charger):
    """Not pretty, but usable."""
    url = charger.server.publish(charger.bundle("2.0.0").path, "new%20firmware%202.0.0.raucb")
    assert send_location(charger, f" {url.replace('%20', ' ')} ")[2] == {}
    assert charger.play() == "Installed"
    assert charger.statuses() == HAPPY


# ----------------------------------------------------------------------------------------------------------- passwords

USER, SECRET = "charger", "p:w@d/ 100%"


def forms(user, secret):
    """How a secret may show: as it is, as a URL has it, as HTTP has it."""
    both = f"{user}:{secret}".encode()
    return [secret, quote(secret, safe=""), quote(secret), base64.b64encode(both).decode()]


def processes():
    """What any user of the machine may see of all processes: their command lines."""
    texts = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):          # it has ended
            texts.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return texts


def expect_secret(charger, *texts, words):
    """None of the words is shown to anybody."""
    shown = [*texts, charger.log_text(), charger.device.rauc_log()]
    shown += [charger.ctl(*command).stdout for command in (["status"], ["status", "--json"], ["history"],
                                                           ["history", "--json"])]
    if charger.spool.exists():
        shown += [path.name + path.read_bytes().decode(errors="replace") for path in charger.spool.iterdir()]
    for text in shown:
        assert not [word for word in words if word in text]
    assert charger.store.stat().st_mode & 0o077 == 0        # the store has it as it came, to know a repeat by


class BusMonitor:
    """Everything that is said on the device's bus."""

    def __init__(self, charger):
        self.log = charger.path / "bus-monitor.log"
        self.process = Process(["dbus-monitor", "--address", charger.device.bus.address], log=self.log, env=dict(os.environ),
                               pid_file=charger.path / "bus-monitor.pid")
        wait_until(lambda: "NameAcquired" in self.text(), "the monitor of the bus")

    def text(self):
        return self.log.read_text(errors="replace")

    def end(self):
        self.process.kill()
        return self.text()


@pytest.mark.parametrize("transport", ["download", "auto"])
def test_password_in_location(make_charger, transport):
    """It is used, and shown nowhere: not to RAUC, not on the bus, not in a log, a status, a history or a process list."""
    charger = make_charger(settings={"update": {"transport": transport}}).start()
    charger.wait_boot_marked()
    charger.publish("2.0.0")
    url = charger.server.protect(NAME, USER, SECRET)
    held = charger.server.fault(NAME, "hold", after=4096)
    words = forms(USER, SECRET)
    monitor = BusMonitor(charger)
    try:
        assert send_location(charger, url)[2] == {}
        held.wait_reached()
        expect_secret(charger, *processes(), words=words)
        assert "***@" in charger.ctl("status").stdout
        charger.device.hold_verb("set-state")
        held.release()
        charger.device.wait_backend_call("set-state", "B", "bad")
        expect_secret(charger, *processes(), words=words)
        charger.device.hold_verb("set-state", False)
        charger.wait_reboot_requested()
    finally:
        seen = monitor.end()
    assert "InstallBundle" in seen
    assert charger.play() == "Installed"
    expect_secret(charger, seen, words=words)
    assert charger.statuses() == HAPPY
    assert all(request.allowed for request in charger.server.requests(NAME))
    assert charger.installed_image("B")


def test_wrong_password_in_location(charger):
    charger.publish("2.0.0")
    charger.server.protect(NAME, USER, "another")
    url = charger.server.url(NAME).replace("://", f"://{USER}:{quote(SECRET, safe='')}@")
    assert send_location(charger, url, retries=1, retryInterval=0)[2] == {}
    assert charger.wait_end() == "DownloadFailed"
    assert charger.statuses() == NO_DOWNLOAD
    charger.wait_state("download-failed")
    assert "another user or password" in reasons(charger)[-1]
    assert [request.allowed for request in charger.server.requests(NAME)] == [False, False]
    assert charger.install_calls() == 0
    expect_secret(charger, words=forms(USER, SECRET))


@pytest.mark.parametrize("location", [
    "http://user:f00/b4r@[::1/fw.raucb",                # no URL: must not be shown as given either
    "user:f00b4r@127.0.0.1/fw.raucb",
])
def test_password_in_unusable_location(charger, location):
    assert send_location(charger, location, retries=3)[2] == {}
    assert charger.wait_end() == "DownloadFailed"
    assert charger.statuses() == NO_DOWNLOAD
    charger.wait_state("download-failed")
    expect_rauc_not_called(charger)
    assert reasons(charger)[-1]
    assert "***@" in charger.ctl("status").stdout
    expect_secret(charger, words=["f00", "b4r"])
    next_update_works(charger, NO_DOWNLOAD)


# ------------------------------------------------------------------------------------- failures while RAUC writes

class BrokenSlot:
    """A slot answers every write with an error: EIO from unmapped memory, ENOSPC from a full device."""

    def __init__(self, charger, device, slot="B"):
        self.path = charger.device.slot_path(slot)
        self.image = self.path.with_suffix(".aside")
        os.rename(self.path, self.image)
        self.path.symlink_to(device)

    def repair(self):
        os.replace(self.image, self.path)


def test_copy_fails(charger):
    slot = BrokenSlot(charger, "/proc/self/mem")
    charger.update("2.0.0", options="retries=1 interval=1")
    assert charger.wait_end() == "InstallationFailed"
    assert charger.statuses() == NO_INSTALL
    assert charger.install_calls() == 2
    assert "Input/output error" in reasons(charger)[-1]
    slot.repair()
    expect_old_firmware(charger, untouched=False)
    next_update_works(charger, NO_INSTALL)


def test_copy_recovers(charger):
    slot = BrokenSlot(charger, "/proc/self/mem")
    charger.update("2.0.0", options="retries=1 interval=2")
    charger.wait_step("installing -> retry-wait")
    assert charger.device.attempts_left("B") == 0
    slot.repair()
    assert charger.play() == "Installed"
    assert charger.statuses() == HAPPY
    assert charger.install_calls() == 2


def test_slot_too_small(charger):
    slot = BrokenSlot(charger, "/dev/full")
    charger.update("2.0.0", options="retries=3 interval=1")
    assert charger.wait_end() == "InstallationFailed"
    assert charger.statuses() == NO_INSTALL
    assert charger.install_calls() == 1
    assert "No space left on device" in reasons(charger)[-1]
    slot.repair()
    expect_old_firmware(charger, untouched=False)
    next_update_works(charger, NO_INSTALL)


def test_rauc_hangs(impatient):
    """No progress: RAUC is restarted, and that attempt is over; the bundle need not be fetched again."""
    charger = impatient
    charger.wait_boot_marked()
    charger.device.hold_verb("set-state", args=("B", "bad"))
    charger.update("2.0.0", options="retries=2 interval=1")
    assert charger.wait_end() == "InstallationFailed"
    assert charger.statuses() == NO_INSTALL
    assert charger.install_calls() == len(charger.device.restart_requests()) == 3
    assert len(charger.server.requests(NAME)) == 1
    assert "stalled" in reasons(charger)[-1]
    waits = times_between(charger, "fail", "installing")
    assert len(waits) == 2 and min(waits) >= 0.99, waits
    charger.device.hold_verb("set-state", False, ("B", "bad"))
    expect_old_firmware(charger)
    next_update_works(charger, NO_INSTALL)


@pytest.mark.parametrize("call", [("set-state", "B", "bad"), ("set-primary", "B")])
def test_rauc_hangs_once(impatient, call):
    charger = impatient
    charger.wait_boot_marked()
    charger.device.hold_verb(call[0], args=call[1:])
    charger.update("2.0.0", options="retries=1 interval=3")
    charger.wait_rauc_restarted()
    charger.device.hold_verb(call[0], False, call[1:])
    assert charger.play() == "Installed"
    assert charger.statuses() == HAPPY
    assert (charger.install_calls(), len(charger.server.requests(NAME))) == (2, 1)
    assert charger.installed_image("B")


def test_loader_cannot_be_switched(charger):
    charger.device.fail_verb("set-primary")
    charger.update("2.0.0", options="retries=1 interval=1")
    assert charger.wait_end() == "InstallationFailed"
    assert charger.statuses() == NO_INSTALL
    assert charger.install_calls() == 2
    charger.device.fail_verb("set-primary", False)
    expect_old_firmware(charger, untouched=False)
    next_update_works(charger, NO_INSTALL)


def test_loader_can_be_switched_again(charger):
    charger.device.fail_verb("set-primary")
    charger.update("2.0.0", options="retries=1 interval=2")
    charger.wait_step("installing -> retry-wait")
    charger.device.fail_verb("set-primary", False)
    assert charger.play() == "Installed"
    assert charger.statuses() == HAPPY


def test_failure_after_activation(charger):
    """RAUC has switched the loader before it fails: that is undone before the CSMS hears the end, and not tried again."""
    device = charger.device
    device.fail_verb("post-install")
    device.hold_verb("post-install")
    charger.update("2.0.0", options="retries=3 interval=1")
    device.wait_backend_call("post-install")
    assert device.primary() == "B"
    device.hold_verb("set-state")
    device.hold_verb("post-install", False)
    device.wait_backend_call("set-state", "B", "bad", count=2)      # the first one was RAUC's, before it wrote
    assert device.boot_order() == ["A", "B"]
    charger.csms_call("get-configuration")
    assert charger.statuses() == NO_INSTALL[:3]
    device.hold_verb("set-state", False)
    assert charger.wait_end() == "InstallationFailed"
    assert charger.statuses() == NO_INSTALL
    charger.wait_state("install-failed")
    assert charger.install_calls() == 1
    assert [row[1:] for row in charger.history()][-2:] == [("undoing", "undoing", "idle"),
                                                           ("undoing", "install-failed", "undone")]
    expect_old_firmware(charger, untouched=False)
    device.fail_verb("post-install", False)
    next_update_works(charger, NO_INSTALL)


@pytest.mark.parametrize("verb", ["set-primary", "set-state"])
def test_undoing_is_tried_again(charger, verb):
    """A mark that RAUC refuses while undoing: no end is told before it worked."""
    device = charger.device
    device.fail_verb("post-install")
    device.hold_verb("post-install")
    charger.update("2.0.0")
    device.wait_backend_call("post-install")
    device.fail_verb(verb)
    device.hold_verb("post-install", False)
    charger.wait_log("RAUC did not carry out")
    charger.csms_call("get-configuration")
    assert charger.statuses() == NO_INSTALL[:3]
    device.fail_verb(verb, False)
    assert charger.wait_end() == "InstallationFailed"       # ten seconds later
    assert charger.statuses() == NO_INSTALL
    expect_old_firmware(charger, untouched=False)


# ---------------------------------------------------------------------------------------------------- foreign installs

class ForeignInstall(threading.Thread):
    """`rauc install` by hand, held before it writes; the bundle is not one that the agent knows of."""

    def __init__(self, charger, slot="B"):
        super().__init__(daemon=True)
        self.device = charger.device
        self.bundle = charger.bundle("9.9.9")
        self.error = None
        self.calls = len(charger.backend_calls("set-state", slot, "bad"))
        self.device.hold_verb("set-state")
        self.start()
        self.device.wait_backend_call("set-state", slot, "bad", count=self.calls + 1)

    def run(self):
        self.error = self.device.install(self.bundle.path)

    def finish(self):
        self.device.hold_verb("set-state", False)
        self.join(120)
        assert not self.is_alive()
        return self.error


def test_foreign_install_first(charger):
    charger.wait_boot_marked()
    foreign = ForeignInstall(charger)
    charger.update("2.0.0", options="retries=0")
    charger.wait_step("downloading -> install-wait")
    charger.settle(HAPPY[:2])
    assert charger.install_calls() == 0
    assert foreign.finish() == ""
    assert charger.play() == "Installed"
    assert charger.statuses() == HAPPY
    assert charger.install_calls() == 1
    assert charger.device.booted == "B" and charger.installed_image("B")


def test_foreign_install_fails_first(charger):
    """That failure is not charged to the one that waits; its own with the same slot is."""
    charger.wait_boot_marked()
    foreign = ForeignInstall(charger)
    slot = BrokenSlot(charger, "/proc/self/mem")
    charger.update("2.0.0", options="retries=1 interval=2")
    charger.wait_step("downloading -> install-wait")
    assert charger.install_calls() == 0
    assert foreign.finish()         # its LastError may be gone already, as ours begins
    charger.wait_step("installing -> retry-wait")
    slot.repair()
    assert charger.play() == "Installed"
    assert charger.statuses() == HAPPY
    assert charger.install_calls() == charger.status()["last-job"]["attempts"] == 2 and charger.installed_image("B")


def test_agent_starts_during_foreign_install(charger):
    charger.wait_boot_marked()
    charger.stop_agent()
    foreign = ForeignInstall(charger)
    charger.start_agent()
    charger.wait_registered(2)
    charger.update("2.0.0", options="retries=0")
    charger.wait_step("downloading -> install-wait")
    assert charger.install_calls() == 0
    assert foreign.finish() == ""
    assert charger.play() == "Installed"
    assert charger.statuses() == HAPPY
    assert charger.installed_image("B")


@pytest.fixture
def waiting(charger):
    """An update that is installed and may not reboot yet."""
    charger.inhibitor = charger.inhibit()
    try:
        charger.update("2.0.0")
        charger.wait_step("installing -> reboot-wait")
        yield charger
    finally:
        charger.inhibitor.kill()


def allow_reboot(charger):
    charger.inhibitor.kill()
    charger.wait_log("inhibitor ended")


def test_foreign_install_over_ours(waiting):
    """Ours is gone: that is its end, and nobody reboots for it; the loader follows the foreign one."""
    foreign = ForeignInstall(waiting)
    allow_reboot(waiting)
    waiting.csms_call("get-configuration")
    assert not waiting.device.reboot_requests()
    assert foreign.finish() == ""
    assert waiting.wait_end() == "InstallationFailed"
    assert waiting.statuses() == NO_INSTALL
    waiting.wait_state("install-failed")
    assert "another installation" in reasons(waiting)[-1]
    assert not waiting.device.reboot_requests()
    assert waiting.device.primary() == "B"
    assert waiting.reboot() == "B"
    waiting.wait_registered(2)
    waiting.update("3.0.0")
    assert waiting.play(2) == "Installed"
    assert waiting.statuses() == NO_INSTALL + HAPPY
    assert waiting.device.booted == "A" and waiting.installed_image("A", "3.0.0")


def test_foreign_install_spoils_ours(waiting):
    """It fails half way: the target cannot be booted any more, and the end is the old firmware."""
    foreign = ForeignInstall(waiting)
    slot = BrokenSlot(waiting, "/proc/self/mem")
    allow_reboot(waiting)
    assert "Input/output error" in foreign.finish()
    slot.repair()
    assert waiting.play() == "InstallationFailed"
    assert waiting.statuses() == NO_INSTALL
    assert waiting.device.booted == waiting.device.primary() == "A"


def test_foreign_install_while_rebooting(charger):
    charger.update("2.0.0")
    charger.wait_reboot_requested()
    foreign = ForeignInstall(charger)
    assert foreign.finish() == ""
    assert charger.wait_end() == "InstallationFailed"
    assert charger.statuses() == NO_INSTALL
    charger.wait_state("install-failed")
    assert charger.reboot() == "B"      # what was asked for may still come
    charger.wait_registered(2)
    charger.csms_call("get-configuration")
    assert charger.statuses() == NO_INSTALL


@pytest.fixture
def going_back(make_charger):
    """The new slot runs and is given up; it is marked bad, and the reboot was asked for."""
    charger = make_charger(settings={"update": {"health": "stack", "health-timeout": "1"}}).start()
    charger.ctl("confirm")      # the slot that runs
    charger.update("2.0.0")
    charger.wait_reboot_requested()
    assert charger.reboot() == "B"
    charger.wait_reboot_requested(2)
    assert charger.device.boot_order() == ["A"]
    return charger


def test_foreign_install_spoils_the_fallback(going_back):
    """The slot that is given up is the only one that boots then: it stays, and is what the loader takes."""
    device = going_back.device
    slot = BrokenSlot(going_back, "/proc/self/mem", "A")
    foreign = ForeignInstall(going_back, "A")
    assert "Input/output error" in foreign.finish()
    slot.repair()
    assert going_back.wait_end() == "InstallationFailed"
    going_back.wait_state("install-failed")
    assert going_back.history()[-1][1:] == ("rolling-back", "install-failed", "undone")
    assert (device.primary(), device.attempts_left("A"), device.attempts_left("B")) == ("B", 0, 3)
    assert going_back.reboot() == "B"
    going_back.wait_registered(3)
    going_back.ctl("confirm")   # better late than never
    device.wait_backend_call("set-state", "B", "good")
    going_back.settle(NO_INSTALL, 3)
    assert len(device.reboot_requests()) == 2


def test_foreign_install_replaces_the_fallback(going_back):
    """What was installed by hand is what the charger goes back to."""
    device = going_back.device
    assert ForeignInstall(going_back, "A").finish() == ""
    assert going_back.reboot() == "A"
    assert going_back.wait_end() == "InstallationFailed"
    going_back.wait_state("rolled-back")
    assert going_back.statuses() == NO_INSTALL
    assert (device.primary(), device.boot_order(), device.slot_version("A")) == ("A", ["A"], "9.9.9")
