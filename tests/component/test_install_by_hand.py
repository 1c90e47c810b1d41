# SPDX-License-Identifier: LGPL-2.1-or-later
"""`rauc-ocpp-agent install`: an update that no CSMS asked for, watched by whoever asked."""
import os
import re
import signal

import pytest

from charger import binary
from fetching import HAPPY, MIB, NO_DOWNLOAD, charger_that, expect_installed, in_spool
from simdevice import wait_until
from simdevice.process import Process
from stages import wait_control

SIZE = 2 * MIB


class Install:
    """The command, under way; on a terminal if wanted."""

    def __init__(self, charger, source, name="install", terminal=False):
        wait_control(charger)
        self.log = charger.path / f"{name}.log"
        argv = [binary(), "--config", str(charger.config), "install", str(source)]
        if terminal:        # script(1) gives it one, and writes down what it sees
            argv = ["script", "-q", "-e", "-f", "-c", " ".join(f"'{word}'" for word in argv), "/dev/null"]
        self.process = Process(argv, log=self.log, env={**charger.environment(), "TERM": "dumb"},
                               pid_file=charger.path / f"{name}.pid")

    def text(self):
        return self.log.read_bytes().decode(errors="replace")

    def wait_text(self, text):
        wait_until(lambda: text in self.text(), f'"{text}" on the screen')

    def interrupt(self):
        os.kill(self.process.pid, signal.SIGINT)

    def end(self):
        """(exit code, the lines that it printed)."""
        wait_until(lambda: not self.process.running(), "the command to end")
        code = self.process.returncode
        self.process.kill()
        return code, self.text().splitlines()


def slow(charger, version="2.0.0", rate=SIZE // 2):
    url = charger.publish(version, size=SIZE)
    charger.server.fault(f"{version}.raucb", "slow", rate=rate)
    return url


def test_url(make_charger):
    charger = charger_that(make_charger)
    command = Install(charger, charger.publish("2.0.0"))
    expect_installed(charger)
    assert charger.statuses() == HAPPY
    code, lines = command.end()
    assert code == 0 and lines[-1] == "installed" and lines[0] in ("scheduled", "downloading", "install-wait", "installing")


def test_file(make_charger):
    """Nothing is downloaded, so the CSMS hears of no download."""
    charger = charger_that(make_charger)
    command = Install(charger, charger.bundle("2.0.0").path)
    expect_installed(charger)
    assert charger.statuses() == ["Installing", "Installed"]
    assert command.end()[0] == 0
    assert charger.bundle("2.0.0").path.exists()


@pytest.mark.parametrize("transport", ["auto", "stream", "download"])
def test_file_whatever_the_transport(make_charger, transport):
    charger = charger_that(make_charger, transport)
    command = Install(charger, charger.bundle("2.0.0").path)
    expect_installed(charger)
    assert command.end()[0] == 0 and charger.install_calls() == 1


def test_bad_file(make_charger, tmp_path):
    charger = charger_that(make_charger)
    garbage = tmp_path / "garbage.raucb"
    garbage.write_bytes(bytes(range(256)) * 64)
    code, lines = Install(charger, garbage).end()
    assert code == 1 and "Invalid bundle format" in lines[-1]
    assert charger.wait_end() == "InstallationFailed" and charger.statuses() == ["Installing", "InstallationFailed"]
    charger.update("3.0.0")
    expect_installed(charger, "3.0.0", 2)


def test_file_that_waits_for_rauc(make_charger):
    """Given up before RAUC had it: the CSMS hears of no download that failed, for there was none."""
    charger = make_charger(settings={"rauc": {"absent-timeout": "1"}}).start()
    charger.device.stop_rauc()
    code, lines = Install(charger, charger.bundle("2.0.0").path).end()
    assert code == 1 and lines[-1] == "install-failed: RAUC does not answer"
    charger.device.start_rauc()
    charger.wait_boot_marked()
    charger.settle([])
    charger.update("3.0.0")
    expect_installed(charger, "3.0.0")
    assert charger.statuses() == HAPPY


def test_file_that_is_cancelled(make_charger):
    charger = make_charger().start()
    charger.device.stop_rauc()
    command = Install(charger, charger.bundle("2.0.0").path)
    charger.wait_state("install-wait")
    charger.ctl("cancel")
    code, lines = command.end()
    assert code == 1 and lines[-1].startswith("cancelled")
    charger.settle([])


def test_no_such_file(make_charger, tmp_path):
    charger = charger_that(make_charger)
    code, lines = Install(charger, tmp_path / "nothing.raucb").end()
    assert code == 2 and "No such file" in lines[-1]
    code, lines = Install(charger, "gopher://127.0.0.1/x", "other").end()
    assert code == 1 and "not an http" in lines[-1]
    assert charger.statuses() == []


def test_url_that_fails(make_charger):
    charger = charger_that(make_charger)
    code, lines = Install(charger, charger.server.url("nothing.raucb")).end()
    assert code == 1 and "HTTP status 404" in lines[-1] and lines[-1].startswith("download-failed: ")
    assert charger.wait_end() == "DownloadFailed" and charger.statuses() == NO_DOWNLOAD
    assert in_spool(charger) == []


def test_progress_bar(make_charger):
    charger = charger_that(make_charger)
    command = Install(charger, slow(charger), terminal=True)
    expect_installed(charger, size=SIZE)
    code, _ = command.end()
    bars = re.findall(r"\r\x1b\[Kdownloading +\[(#*)(\.*)\] +(\d+) %  ([\d.]+) MB  ([\d.]+) MB/s", command.text())
    assert code == 0 and len(bars) >= 2, command.text()
    assert all(len(done) + len(left) == 30 for done, left, *_ in bars)
    shown = [int(percent) for _, _, percent, *_ in bars]
    assert shown == sorted(shown) and 0 < shown[-1] <= 100
    assert command.text().rstrip().endswith("installed")


def test_interrupted_and_attached_again(make_charger):
    """Ctrl-C ends the command and not the update; the same command shows it again."""
    charger = charger_that(make_charger)
    url = charger.publish("2.0.0", size=SIZE)
    fault = charger.server.fault("2.0.0.raucb", "hold", after=SIZE // 2)
    command = Install(charger, url)
    fault.wait_reached()
    command.wait_text("downloading")
    command.interrupt()
    code, lines = command.end()
    assert code == 1 and lines[-1].startswith("the update goes on as job 1")
    assert charger.job_state() == "downloading"
    again, other = Install(charger, url, "again"), Install(charger, charger.server.url("else.raucb"), "other")
    code, lines = other.end()
    assert code == 1 and "another update is under way (job 1, downloading)" in lines[-1]
    again.wait_text("downloading")
    fault.release()
    expect_installed(charger, size=SIZE)
    assert again.end()[0] == 0 and again.text().splitlines()[-1] == "installed"
    assert charger.statuses() == HAPPY and len(charger.server.requests("2.0.0.raucb")) == 1


def test_agent_that_restarts_meanwhile(make_charger):
    charger = charger_that(make_charger)
    url = charger.publish("2.0.0", size=SIZE)
    fault = charger.server.fault("2.0.0.raucb", "hold", after=SIZE // 2, times=1)
    command = Install(charger, url)
    fault.wait_reached()
    charger.restart_agent()
    fault.release()
    expect_installed(charger, size=SIZE)
    assert command.end()[0] == 0


def test_cancelled_meanwhile(make_charger):
    charger = charger_that(make_charger)
    url = charger.publish("2.0.0", size=SIZE)
    fault = charger.server.fault("2.0.0.raucb", "hold", after=SIZE // 2)
    command = Install(charger, url)
    fault.wait_reached()
    charger.ctl("cancel")
    code, lines = command.end()
    assert code == 1 and lines[-1].startswith("cancelled")
    fault.release()
    assert in_spool(charger) == []
