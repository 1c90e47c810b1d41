# SPDX-License-Identifier: LGPL-2.1-or-later
"""A charge point in an emulated machine, with the mock CSMS and the bundle server outside of it.

    with ChargePoint(folder, images, "uboot") as point:
        point.power_on()                # or resume(moment): see moments.py
        point.update("new")
        point.wait_end()
"""
import json
import subprocess
import time

from servers.nginx import Nginx
from simdevice import MockCsms, wait_until

from disk import Disk
from images import FACTORY, IMAGES
from machine import Machine

CSMS, BUNDLES = "10.0.2.100:8180", "10.0.2.101:80"      # as the guest sees them
ENDS = ("Installed", "InstallationFailed", "DownloadFailed")
END_DEADLINE = 1800.0               # seconds for an update with everything that happens in it, on a very busy host
POLL = 0.05                         # seconds
MIB = 1 << 20
# Where disk.sh puts the slots.
SLOTS = {"A": 9 * MIB, "B": 89 * MIB}
HOLD = "/data/hold-agent"           # while it is there, the agent is not started at boot


class ChargePoint:
    MACHINE = Machine

    def __init__(self, folder, images, loader):
        self.folder, self.images, self.loader = folder, images, loader
        folder.mkdir(parents=True)
        self.csms = MockCsms()
        self.server = Nginx(folder / "bundles")
        self.disk = self.machine = None
        self.cuts = []              # how many statuses the CSMS had heard at each
        self.log_at_cut = 0         # length of the guest's log at the last one

    def __enter__(self):
        self.server.start()
        return self

    def __exit__(self, *_):
        if self.machine:
            self.machine.cut()
        if self.disk:
            self.disk.close()
        self.csms.stop()
        self.server.stop()

    # ------------------------------------------------------------------------------------------------ power

    def insert_disk(self, image):
        path = self.folder / "disk.raw"
        subprocess.run(["cp", "--sparse=always", image, path], check=True)
        self.disk = Disk(path, self.folder / "disk.sock")
        self.machine = self.MACHINE(self.folder, self.disk,
                                    {CSMS: self.csms.port, BUNDLES: self.server.port}, self.loader)

    def power_on(self):
        """The first boot, as it comes from the factory."""
        self.insert_disk(self.images.disk(self.loader))
        self.machine.power_on()

    def resume(self, moment, settings=""):
        """As it was at a moment that was saved; then the agent starts, with these settings added."""
        self.insert_disk(moment.disk)
        self.machine.resume(moment.state)
        if settings:
            self.machine.run(f"cat > /data/agent.conf.d/test.conf << 'EOT'\n{settings}\nEOT\nsync")
        self.machine.run("systemctl start rauc-ocpp-agent")

    def cut_power(self, random=None):
        """See Machine.cut(); then the power comes back."""
        self.machine.cut(random)
        wait_until(lambda: self.connections() == 0, "the CSMS to see the end of the connection")
        self.cuts.append(len(self.statuses()))
        self.log_at_cut = len(self.machine.log_text())
        self.disk.written.clear()
        self.machine.power_on()

    # ------------------------------------------------------------------------------------------------ the CSMS

    def statuses(self):
        """The firmware statuses that the CSMS has received, in order."""
        return [event["frame"][3]["status"] for event in self.csms.received("FirmwareStatusNotification")]

    def connections(self):
        kinds = [event["event"] for event in list(self.csms.events)]
        return kinds.count("connected") - kinds.count("disconnected")

    def wait_registered(self, version=FACTORY.version):
        """The CSMS has heard of a boot with this firmware."""
        def boots():
            return [event["frame"][3].get("firmwareVersion") for event in self.csms.received("BootNotification")]
        self.wait(lambda: version in boots(), f"a BootNotification with {version}")

    def wait_status(self, status):
        self.wait(lambda: status in self.statuses(), f"the status {status}")

    def wait_end(self):
        """Returns the end of the update that the CSMS has heard."""
        self.wait(lambda: self.statuses()[-1:] and self.statuses()[-1] in ENDS, "the end of the update")
        return self.statuses()[-1]

    def update(self, name):
        """Has the CSMS send UpdateFirmware for a bundle of images.IMAGES."""
        self.server.publish(self.images.bundle(name))
        start = self.csms.mark()
        result = self.csms.command(f"update http://{BUNDLES.removesuffix(':80')}/{name}.raucb now retries=3 interval=1")
        assert result == "ok", result
        call = self.csms.wait_event("sent", lambda event: event["frame"][0] == 2, start)["frame"][1]
        self.csms.wait_event("received", lambda event: event["frame"][:2] == [3, call], start, END_DEADLINE)
        return IMAGES[name]

    def bytes_fetched(self):
        return self.server.body_bytes()

    # ------------------------------------------------------------------------------------------------ the guest

    def wait(self, condition, what, timeout=END_DEADLINE):
        """For the condition's first true value; it may look into logs, so it is not asked too often."""
        end = time.monotonic() + timeout
        while not (value := condition()):
            assert self.machine.running(), f"QEMU has ended, and {what} was not there yet"
            assert time.monotonic() < end, (f"waited {timeout:g} s for {what}; the CSMS heard {self.statuses()}, the loader "
                                            f"started {self.machine.choices()}")
            time.sleep(POLL)
        return value

    def wait_logged(self, text):
        self.wait(lambda: text in self.machine.log_text(), f'"{text}" in the log')

    def status(self):
        return json.loads(self.machine.run("rauc-ocpp-agent status --json"))

    def slot_bytes(self, slot, length):
        """What is on the disk, whatever the guest says."""
        return self.disk.content(SLOTS[slot], length)
