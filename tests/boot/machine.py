# SPDX-License-Identifier: LGPL-2.1-or-later
"""One emulated machine: QEMU on a disk of disk.py, its serial line, its log, its guest agent, its power switch.

    machine = Machine(folder, Disk(...), services={"10.0.2.100:8180": 40123}, loader="uboot")
    machine.power_on()                  # or resume(state): as it was when save() was called
    machine.wait_guest()
    machine.run("systemctl start rauc-ocpp-agent")
    machine.cut()                       # the power, in the middle of whatever it does

The guest reaches no network but `services`: addresses of its own network, each led to a port of this host's loopback.
"""
import base64
import contextlib
import json
import pathlib
import re
import socket
import time

from simdevice.process import DEADLINE, Process, wait_until

MEMORY = 256                        # MiB
ROM = "/usr/lib/u-boot/qemu-x86/u-boot.rom"
BOOT_DEADLINE = 600.0               # seconds, on a very busy host, and with attempts that fail
# A reset ends QEMU, and another one goes on: with what it had translated of the kernel before, a boot takes twice as long.
# QEMU syncs its disk as it ends: what the guest had not synced is safe after a reset.  A power cut kills QEMU, and loses it.
_LIVES = """state=$1; shift
setpriv --pdeathsig KILL "$@" ${state:+-incoming "exec:cat '$state'"} && while setpriv --pdeathsig KILL "$@"; do :; done"""
_COLOUR = re.compile(r"\x1b\[[0-9;:]*m|\r")
_CHOICE = re.compile(r"LOADER slot=([AB]) ")


class GuestError(Exception):
    """A command in the guest has failed, or the guest did not answer."""


class Machine:
    def __init__(self, folder, disk, services, loader):
        self.folder, self.disk, self.services, self.loader = folder, disk, services, loader
        self.serial_log, self.log = folder / "serial.log", folder / "guest.log"
        self._process = None

    # ------------------------------------------------------------------------------------------------ power

    def power_on(self):
        self._start("")

    def resume(self, state):
        """Goes on where save() was called; the disk must be as it was then, too.  The clock is set."""
        self._start(state)
        wait_until(lambda: (self.folder / "monitor.sock").exists() or not self.running(), "QEMU")
        with self._monitor() as command:
            wait_until(lambda: command("query-status")["status"] == "paused", "the machine's state")
            command("cont")
        self.wait_guest()
        self.set_clock()

    def save(self, state):
        """Writes the machine's state to a file and stops it."""
        self.run("sync")
        with self._monitor() as command:
            command("stop")
            command("migrate", uri=f"exec:cat > '{state}'")
            wait_until(lambda: command("query-migrate").get("status") in ("completed", "failed"), "the machine's state")
            assert command("query-migrate")["status"] == "completed"
        self.disk.sync()
        self.cut()

    def cut(self, random=None):
        """The power fails; with `random` the disk forgets some of what was not synced."""
        process, self._process = self._process, None
        if process:
            process.kill()
        self.disk.power_cut(random)

    def running(self):
        return self._process is not None and self._process.running()

    def _start(self, state):
        assert self._process is None
        for name in ("guest.sock", "monitor.sock"):
            (self.folder / name).unlink(missing_ok=True)
        self._process = Process(["sh", "-c", _LIVES, "sh", state, *self._argv()], log=self.folder / "qemu.log",
                                env={"PATH": "/usr/bin:/bin"}, pid_file=self.folder / "qemu.pid")

    def _argv(self):
        forwards = ",".join(f"guestfwd=tcp:{address}-cmd:socat -b 65536 - TCP:127.0.0.1:{port}"
                            for address, port in self.services.items())
        return [
            # Nehalem knows no cmpxchg16b here: QEMU 7.2 gets the flags wrong behind it.  One processor: with two of them, emulated
            # at the same time, the kernel crashes now and then.
            "qemu-system-x86_64", "-nodefaults", "-display", "none", "-accel", "tcg,thread=single,tb-size=256",
            "-cpu", "Nehalem,-cx16", "-smp", "1", "-m", str(MEMORY), "-rtc", "base=utc",
            *(["-bios", str(self._rom())] if self.loader == "uboot" else []),
            "-drive", f"file=nbd:unix:{self.disk.address},if=none,id=disk,format=raw,cache=writeback",
            "-device", "virtio-blk-pci,drive=disk",
            "-netdev", f"user,id=net,ipv6=off,restrict=on,{forwards}", "-device", "virtio-net-pci,netdev=net,romfile=",
            "-device", "virtio-rng-pci", "-device", "i6300esb", "-action", "watchdog=reset,reboot=shutdown",
            "-device", "virtio-serial-pci",
            "-chardev", f"socket,id=agent,path={self.folder}/guest.sock,server=on,wait=off",
            "-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0",
            "-chardev", f"file,id=log,path={self.log},append=on", "-device", "virtconsole,chardev=log",
            "-chardev", f"file,id=serial,path={self.serial_log},append=on", "-serial", "chardev:serial",
            "-qmp", f"unix:{self.folder}/monitor.sock,server=on,wait=off"]

    def _rom(self):
        """U-Boot, which does not wait for a key."""
        rom = self.folder / "u-boot.rom"
        rom.write_bytes(pathlib.Path(ROM).read_bytes().replace(b"bootdelay=2\0", b"bootdelay=0\0"))
        return rom

    # -------------------------------------------------------------------------------------------- what it says

    @staticmethod
    def _text(path):
        return path.read_text(errors="replace") if path.exists() else ""

    def serial_text(self):
        return self._text(self.serial_log)

    def log_text(self):
        """What the guest's journal has said in all its lives."""
        return _COLOUR.sub("", self._text(self.log))

    def choices(self):
        """The slots that the boot loader has started, in all lives: "ABBBA"."""
        return "".join(_CHOICE.findall(self.serial_text()))

    def panics(self):
        return self.serial_text().count("Kernel panic")

    # ------------------------------------------------------------------------------------------------ guest agent

    def wait_guest(self, timeout=BOOT_DEADLINE):
        """User space is up."""
        def answers():
            if not self.running():
                raise GuestError(f"QEMU has ended: {self._text(self.folder / 'qemu.log')[-2000:]}")
            with contextlib.suppress(GuestError, OSError):
                return self._ask({"execute": "guest-ping"}, 2.0) == {}
            time.sleep(0.1)
        wait_until(answers, "the guest's user space", timeout)

    def set_clock(self):
        self.run(f"date -s @{time.time():.1f}")

    def run(self, command, check=True, timeout=DEADLINE):
        """A command for the guest's shell; returns what it wrote to stdout."""
        arguments = {"path": "/bin/sh", "arg": ["-c", command], "capture-output": True}
        process = self._ask({"execute": "guest-exec", "arguments": arguments})["pid"]
        end = time.monotonic() + timeout
        while True:
            status = self._ask({"execute": "guest-exec-status", "arguments": {"pid": process}})
            if status["exited"]:
                break
            if time.monotonic() > end:
                raise GuestError(f"{command}: not done in {timeout:g} s")
            time.sleep(0.05)
        output, errors = (base64.b64decode(status.get(name, "")).decode(errors="replace")
                          for name in ("out-data", "err-data"))
        if check and status.get("exitcode") != 0:
            raise GuestError(f"{command}: exit {status.get('exitcode')}\n{output}{errors}")
        return output

    def read(self, path):
        """The bytes of a file in the guest."""
        return base64.b64decode(self.run(f"base64 -w 0 '{path}'"))

    def _ask(self, request, timeout=60.0):
        """One question to the guest agent, which may have to skip the rests of earlier ones."""
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as connection:
            connection.settimeout(timeout)
            try:
                connection.connect(f"{self.folder}/guest.sock")
                mark = time.monotonic_ns() & 0x7fffffff
                sync = {"execute": "guest-sync-delimited", "arguments": {"id": mark}}
                connection.sendall(b"\xff" + json.dumps(sync).encode() + b"\n")
                self._read_line(connection, b'{"return": %d}' % mark)
                connection.sendall(json.dumps(request).encode() + b"\n")
                answer = json.loads(self._read_line(connection))
            except (OSError, ValueError) as error:
                raise GuestError(f"the guest agent: {error}") from error
        if "error" in answer:
            raise GuestError(f"{request}: {answer['error']}")
        return answer["return"]

    @staticmethod
    def _read_line(connection, wanted=None):
        """The next line, or the next that ends with `wanted`."""
        buffer = b""
        while True:
            data = connection.recv(65536)
            if not data:
                raise OSError("QEMU hung up")
            buffer += data
            *lines, buffer = buffer.split(b"\n") if b"\n" in data else (buffer,)
            for line in lines:
                if wanted is None or line.strip().endswith(wanted):
                    return line

    # ------------------------------------------------------------------------------------------------ monitor

    @contextlib.contextmanager
    def _monitor(self):
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as connection:
            connection.settimeout(DEADLINE)
            connection.connect(f"{self.folder}/monitor.sock")
            stream = connection.makefile("rw")
            stream.readline()

            def command(name, **arguments):
                stream.write(json.dumps({"execute": name, "arguments": arguments}) + "\n")
                stream.flush()
                while True:
                    answer = json.loads(stream.readline())
                    if "event" not in answer:
                        assert "error" not in answer, answer
                        return answer["return"]
            command("qmp_capabilities")
            yield command
