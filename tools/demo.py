#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A whole update, to be watched: mock CSMS, agent, real RAUC with two file slots, a simulated reboot.

    tools/demo.py [--bad]

`--bad`: the new firmware fails its health check, the charger goes back, the CSMS hears InstallationFailed.
Run by `make demo`, as root.  Everything lives in a temporary folder and ends with this program.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOP / "tools"))

from simdevice import Device, MockCsms, fixtures, wait_until  # noqa: E402
from simdevice.process import Process  # noqa: E402

BUILD = TOP / "build"
AGENT = BUILD / "release" / "rauc-ocpp-agent"
MOCK = BUILD / "release" / "mock-csms"
IMAGE_SIZE = 48 << 20       # large enough for RAUC's steps to be seen
OLD, NEW = "1.0.0", "2.0.0"
WIDTH = 30

SETTINGS = """[csms]
url=ws://127.0.0.1:{port}/ocpp
identity=DEMO-FW

[charge-point]
vendor=Demo
model=Charger
firmware-version-file={device.firmware_version_file}

[store]
path={folder}/store/store.db

[rauc]
restart-command={device.restart_command}

[update]
spool-directory={folder}/spool
reboot-command={device.reboot_command}
health=csms;command
health-directory={folder}/health.d
health-timeout=4

[system]
boot-id-file={device.boot_id_file}
"""


def say(who, text):
    print(f"\r{'':{WIDTH + 40}}\r{who:>8}  {text}", flush=True)


class Demo:
    def __init__(self, folder, bad):
        self.folder, self.bad = folder, bad
        self.bundle = fixtures.bundle(BUILD, NEW, size=IMAGE_SIZE)
        self.csms = MockCsms("--bundles", self.bundle.path.parent, program=MOCK)
        self.device = Device(folder / "device", fixtures.pki(BUILD), slot_size=IMAGE_SIZE, versions=(OLD, "0.9.0"))
        self.config = folder / "agent.conf"
        self.agent = None
        self.shown = 0          # frames
        self.reboots = 0

    def prepare(self):
        health = self.folder / "health.d" / "10-firmware"
        health.parent.mkdir()
        refuse = f"! grep -q '^{NEW}' {self.device.firmware_version_file}" if self.bad else "true"
        health.write_text(f"#!/bin/sh\n{refuse}\n")
        health.chmod(0o755)
        self.config.write_text(SETTINGS.format(port=self.csms.port, device=self.device, folder=self.folder))
        self.device.start_bus()
        self.device.power_on()
        say("charger", f"slot {self.device.booted} is booted, firmware {OLD}")
        self.start_agent()

    def start_agent(self):
        self.agent = Process([str(AGENT), "--config", str(self.config), "run"], log=self.folder / "agent.log",
                             env=self.device.environment(), pid_file=self.folder / "agent.pid")

    def show_frames(self):
        """Prints what the charge point has told the CSMS since the last call."""
        frames = self.csms.received()
        for frame in frames[self.shown:]:
            if frame["frame"][0] != 2:
                continue
            action, payload = frame["frame"][2:4]
            if action == "BootNotification":
                say("charger", f"BootNotification, firmwareVersion {payload['firmwareVersion']}")
            elif action == "FirmwareStatusNotification":
                say("charger", f"FirmwareStatusNotification {payload['status']}")
        self.shown = len(frames)

    def show_progress(self):
        done = subprocess.run([str(AGENT), "--config", str(self.config), "status", "--json"], capture_output=True,
                              text=True, env=self.device.environment())
        job = json.loads(done.stdout).get("job", {}) if done.returncode == 0 else {}
        if "bytes" in job:
            self.bar(job["transport"], job.get("transfer-percent", 0), f"{job['bytes'] / 1e6:.1f} MB")
        elif "progress" in job:
            self.bar("RAUC", job["progress"], job.get("progress-message", ""))

    @staticmethod
    def bar(who, percent, words):
        filled = percent * WIDTH // 100
        print(f"\r{who:>8}  [{'#' * filled}{'.' * (WIDTH - filled)}] {percent:3} % {words[:30]:30}", end="", flush=True)

    def watch(self, until):
        """Shows what happens until the condition holds."""
        def look():
            self.show_frames()
            self.show_progress()
            return until()
        wait_until(look, "the demo to go on")
        self.show_frames()

    def statuses(self):
        return [frame["frame"][3]["status"] for frame in self.csms.received("FirmwareStatusNotification")]

    def reboot(self):
        """The next reboot that the agent asks for."""
        self.reboots += 1
        self.watch(lambda: len(self.device.reboot_requests()) >= self.reboots)
        self.agent.stop()
        slot = self.device.reboot()
        say("charger", f"reboots into slot {slot}")
        self.start_agent()

    def run(self):
        self.prepare()
        self.watch(lambda: self.csms.received("BootNotification"))
        url = f"http://127.0.0.1:{self.csms.port}/bundles/{self.bundle.path.name}"
        say("CSMS", f"UpdateFirmware {url}")
        assert self.csms.command(f"update {url} now") == "ok"
        self.reboot()
        if self.bad:
            self.reboot()
        end = "InstallationFailed" if self.bad else "Installed"
        self.watch(lambda: end in self.statuses())
        booted = self.device.booted
        now = self.device.firmware_version_file.read_text().strip()
        say("demo", f"firmware before: {OLD} (slot A), after: {now} (slot {booted}); the CSMS heard {end}")
        return (booted, now) == (("A", OLD) if self.bad else ("B", NEW))

    def close(self):
        if self.agent:
            self.agent.stop()
        self.csms.stop()
        self.device.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bad", action="store_true", help="the new firmware fails its health check")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rauc-ocpp-demo-") as folder:
        demo = Demo(pathlib.Path(folder), arguments.bad)
        try:
            good = demo.run()
        except (AssertionError, TimeoutError) as error:
            log = pathlib.Path(folder) / "agent.log"
            print(f"\ndemo failed: {error}\n{log.read_text() if log.exists() else ''}", file=sys.stderr)
            good = False
        finally:
            demo.close()
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
