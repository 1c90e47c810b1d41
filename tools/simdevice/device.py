# SPDX-License-Identifier: LGPL-2.1-or-later
"""The simulated charger.

    with Device(tmp_path / "device", pki) as device:        # bus, boot loader, RAUC; booted is slot A
        device.install(url)
        device.reboot()                                     # "B"

A reboot is: RAUC ends, the loader chooses a slot, a new boot id, RAUC starts with that slot as the booted one.  The
bus stays, and the agent is the caller's.  Everything lies below `root` and stays there after close(), to be looked
at; a `root` that holds a device already is continued.  All methods may be called from any thread.
"""
import ast
import json
import os
import shlex
import shutil
import subprocess
import tempfile
import threading
import time
import uuid
from pathlib import Path
from typing import Any, Collection, Mapping, Optional, Sequence

from .bootenv import SLOTS, BackendCall, BootEnv, read_log
from .bus import Bus
from .image import DEFAULT_SIZE, make_image, read_version
from .process import DEADLINE, Process, run, wait_until
from .restart import RestartListener

COMPATIBLE = "rauc-ocpp-demo"
RAUC_NAME = "de.pengutronix.rauc"
_RAUC = os.environ.get("RAUC", "rauc")     # another RAUC than the host's
_BACKEND = Path(__file__).with_name("bootloader.sh")
_SOCKET_PATH_MAX = 100          # the kernel's limit is 108, less the longest name of a socket here

_SYSTEM_CONF = """[system]
compatible={compatible}
bootloader=custom
mountprefix={root}/mnt
statusfile={root}/data/central.raucs
max-bundle-download-size=1073741824

[handlers]
bootloader-custom-backend={root}/boot/bootloader
post-install={root}/boot/post-install

[keyring]
path={pki}/rauc-ca.crt

[encryption]
key={pki}/device.key
cert={pki}/device.crt

[slot.rootfs.0]
device={root}/slot_a.img
type=raw
bootname=A

[slot.rootfs.1]
device={root}/slot_b.img
type=raw
bootname=B
"""

_REBOOT_COMMAND = """#!/bin/sh
read -r uptime _ < /proc/uptime
echo "$uptime" >> {log}
"""


class RaucError(Exception):
    """RAUC does not start, or refuses what it was asked."""


class Device:
    def __init__(self, root: Path, pki: Path, *, compatible: str = COMPATIBLE, slot_size: int = 4 << 20,
                 versions: Sequence[str] = ("1.0.0", "0.9.0")):
        """`versions` are those of the images that slots A and B hold at first.  Nothing is started yet."""
        self.root = root.resolve()
        self.booted: Optional[str] = None           # the running slot, None while switched off
        self.tried: list[str] = []                  # the slots that the last power_on() tried, in order
        self.boot_id_file = self.root / "boot-id"
        self.firmware_version_file = self.root / "version"
        self.reboot_command = self.root / "reboot-command"
        self.restart_command = self.root / "restart-rauc"
        self.system_conf = self.root / "system.conf"
        self._boot_dir = self.root / "boot"
        self._lock = threading.RLock()
        self._rauc: Optional[Process] = None
        self._mute = False
        self._closed = False

        for name in ("boot", "data", "mnt", "tmp"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        self._make_slots(slot_size, versions)
        self._make_files(compatible, pki.resolve())
        self._socket_dir = self.root
        if len(os.fsencode(self.root)) > _SOCKET_PATH_MAX - len("/restart-rauc.socket"):
            self._socket_dir = Path(tempfile.mkdtemp(prefix="simdevice-"))
        self.bus = Bus(self.root, self._socket_dir)
        self._listener = RestartListener(self.restart_command, self._socket_dir / "restart-rauc.socket", self._restart)

    def _make_slots(self, size: int, versions: Sequence[str]) -> None:
        for slot, version in zip(SLOTS, versions):
            path = self.slot_path(slot)
            if not path.exists():
                make_image(path, version, min(size, DEFAULT_SIZE))
                os.truncate(path, size)

    def _make_files(self, compatible: str, pki: Path) -> None:
        self.system_conf.write_text(_SYSTEM_CONF.format(root=self.root, pki=pki, compatible=compatible))
        self.reboot_command.write_text(_REBOOT_COMMAND.format(log=shlex.quote(f"{self.root}/reboot-requests")))
        self.reboot_command.chmod(0o755)
        for name in ("bootloader", "post-install"):
            link = self._boot_dir / name
            link.unlink(missing_ok=True)
            link.symlink_to(_BACKEND)
        if not (self._boot_dir / "env").exists():
            BootEnv().save(self._boot_dir / "env")

    def __enter__(self) -> "Device":
        try:
            self.start_bus()
            self.power_on()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends every process; the files stay.  May be called twice."""
        if self._closed:
            return
        self._closed = True
        self._listener.close()
        self.kill_rauc()
        self.stop_bus()
        self.booted = None
        if self._socket_dir != self.root:
            shutil.rmtree(self._socket_dir, ignore_errors=True)

    # ------------------------------------------------------------------------------------------------ bus and RAUC

    def environment(self) -> dict[str, str]:
        """What a process needs to take this device's bus for the system bus."""
        return {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": self.bus.address, "no_proxy": "127.0.0.1,localhost"}

    def start_bus(self) -> None:
        self.bus.start()

    def stop_bus(self) -> None:
        """Without its bus RAUC ends, too."""
        self.bus.stop()

    def start_rauc(self) -> None:
        """Starts RAUC for the booted slot; returns when it has its name on the bus."""
        with self._lock:
            if self.booted is None:
                raise RuntimeError("the device is switched off")
            self._mute = False
            if self.rauc_running():
                return
            self._rauc = Process(
                ["unshare", "-m", "--propagation", "slave", _RAUC, f"--conf={self.system_conf}", "service",
                 f"--override-boot-slot={self.booted}"],
                log=self.root / "rauc.log", env={**self.environment(), "TMPDIR": str(self.root / "tmp")},
                pid_file=self.root / "rauc.pid")
            self._wait_for_name(self._rauc)

    def _wait_for_name(self, rauc: Process) -> None:
        waiter = Process(["gdbus", "wait", "--system", "--timeout", str(int(DEADLINE)), RAUC_NAME],
                         log=self.root / "bus.log", env=self.environment(), pid_file=self.root / "waiter.pid")
        try:
            wait_until(lambda: not waiter.running() or not rauc.running(), "RAUC's name on the bus")
        finally:
            waiter.kill()
        if waiter.returncode != 0 or not rauc.running():
            self.kill_rauc()
            raise RaucError("rauc service does not start:\n" + self.rauc_log()[-2000:])

    def stop_rauc(self) -> None:
        """Ends RAUC as systemd would, with SIGTERM first; an install or a download under way is lost."""
        with self._lock:
            if self._rauc:
                self._rauc.stop()
                self._rauc = None

    def kill_rauc(self) -> None:
        """Ends RAUC and its children with SIGKILL."""
        with self._lock:
            if self._rauc:
                self._rauc.kill()
                self._rauc = None

    def rauc_running(self) -> bool:
        return self._rauc is not None and self._rauc.running()

    def rauc_log(self) -> str:
        path = self.root / "rauc.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def _restart(self) -> None:
        """What restart_command does."""
        with (self.root / "restart-requests").open("a") as log:
            log.write(f"{time.monotonic():.2f}\n")
        with self._lock:
            if self._mute or self._closed:
                raise RaucError("RAUC does not start in this slot")
            self.stop_rauc()
            self.start_rauc()

    def restart_requests(self) -> list[float]:
        """When restart_command was run (time.monotonic())."""
        return _read_times(self.root / "restart-requests")

    # ---------------------------------------------------------------------------------------------------- power

    def power_on(self, *, rauc: bool = True, panics: Collection[str] = ()) -> str:
        """Boots, and returns the slot that came up; raises BootFailed when none does.

        The kernels in the slots of `panics` use up their attempts without coming up, and so does a slot whose image is
        damaged.  With rauc=False RAUC stays away, whoever restarts it, until start_rauc().
        """
        with self._lock:
            if self.rauc_running():
                raise RuntimeError("the device is running")
            self.booted = None
            broken = [slot for slot in SLOTS if self.slot_version(slot) is None]
            env = self.boot_env()
            self.tried = env.boot({*panics, *broken})
            env.save(self._boot_dir / "env")
            self.booted = self.tried[-1]
            shutil.rmtree(self.root / "tmp")
            (self.root / "tmp").mkdir()
            _write(self._boot_dir / "booted", f"{self.booted}\n")
            _write(self.boot_id_file, f"{uuid.uuid4()}\n")
            _write(self.firmware_version_file, f"{self.slot_version(self.booted)}\n")
            self._mute = not rauc
            if rauc:
                self.start_rauc()
            return self.booted

    def reboot(self, *, rauc: bool = True, panics: Collection[str] = ()) -> str:
        """An orderly reboot; see power_on()."""
        with self._lock:
            self.stop_rauc()
            return self.power_on(rauc=rauc, panics=panics)

    def power_cut(self, *, rauc: bool = True, panics: Collection[str] = ()) -> str:
        """RAUC dies in the middle of whatever it does, then the power comes back; see power_on()."""
        with self._lock:
            self.kill_rauc()
            return self.power_on(rauc=rauc, panics=panics)

    def reboot_requests(self) -> list[float]:
        """When reboot_command was run (time.monotonic()).  It only notes the wish: reboot() is the test's to call."""
        return _read_times(self.root / "reboot-requests")

    def wait_reboot_requested(self, count: int = 1, timeout: float = DEADLINE) -> None:
        """Waits until reboot_command has been run `count` times since the device was made."""
        wait_until(lambda: len(self.reboot_requests()) >= count, f"reboot request {count}", timeout)

    # ---------------------------------------------------------------------------------------------- boot loader

    def boot_env(self) -> BootEnv:
        return BootEnv.load(self._boot_dir / "env")

    def boot_order(self) -> list[str]:
        return self.boot_env().order

    def attempts_left(self, slot: str) -> int:
        return self.boot_env().left[slot]

    def primary(self) -> str:
        """The slot that the next boot takes, if its kernel comes up."""
        env = self.boot_env()
        return env.next_slot() or env.order[0]

    def set_boot_state(self, *, order: Optional[Sequence[str]] = None,
                       left: Optional[Mapping[str, int]] = None) -> None:
        """Changes the loader's environment by hand: the order, or the attempts left of some slots."""
        env = self.boot_env()
        env.order = list(order or env.order)
        env.left.update(left or {})
        env.save(self._boot_dir / "env")

    def backend_log(self) -> list[BackendCall]:
        """Every call of the boot loader backend and of the post-install handler, when it began."""
        return read_log(self._boot_dir / "log")

    def backend_effects(self) -> list[BackendCall]:
        """Of those the ones that have changed the loader's state; a call that died with RAUC may not have."""
        return read_log(self._boot_dir / "effects")

    def wait_backend_call(self, verb: str, *args: str, count: int = 1, timeout: float = DEADLINE) -> None:
        """Waits until RAUC has made this call `count` times; with hold_verb() it then hangs there."""
        wait_until(lambda: sum(c[1:] == (verb, args) for c in self.backend_log()) >= count, f"{verb} {args}", timeout)

    def fail_verb(self, verb: str, fails: bool = True) -> None:
        """Makes a verb of the backend fail, from now on, without any effect.

        The verb `post-install` is RAUC's handler of that name: with it RAUC fails after it has activated the slot.
        """
        self._switch(f"fail-{verb}", fails)

    def hold_verb(self, verb: str, holds: bool = True, args: Sequence[str] = ()) -> None:
        """Makes calls of a verb wait until hold_verb(verb, False): RAUC stands still there; see wait_backend_call().

        With `args` only the calls with just these arguments; such a hold is switched off with the same ones.
        """
        self._switch("-".join(["hold", verb, *args]), holds)

    def _switch(self, name: str, on: bool) -> None:
        path = self._boot_dir / name
        path.touch() if on else path.unlink(missing_ok=True)

    # ---------------------------------------------------------------------------------------------------- slots

    def slot_path(self, slot: str) -> Path:
        return self.root / f"slot_{slot.lower()}.img"

    def slot_image(self, slot: str) -> bytes:
        return self.slot_path(slot).read_bytes()

    def slot_version(self, slot: str) -> Optional[str]:
        """The version of the image in a slot, None when it is not whole."""
        return read_version(self.slot_path(slot))

    def slot_status(self) -> dict[str, dict[str, Any]]:
        """RAUC's view of the slots A and B; RaucError while it installs."""
        done = self.rauc("status", "--detailed", "--output-format=json")
        if done.returncode != 0:
            raise RaucError(done.stderr.strip())
        return {s["bootname"]: s for entry in json.loads(done.stdout)["slots"] for s in entry.values()}

    def rauc(self, *args: str, timeout: float = DEADLINE) -> subprocess.CompletedProcess[str]:
        """Runs the command line tool rauc against this device's service."""
        return run([_RAUC, *args], env=self.environment(), timeout=timeout)

    def last_error(self) -> str:
        done = run(["gdbus", "call", "--system", "--dest", RAUC_NAME, "--object-path", "/", "--method",
                    "org.freedesktop.DBus.Properties.Get", f"{RAUC_NAME}.Installer", "LastError"],
                   env=self.environment())
        if done.returncode != 0:
            raise RaucError(done.stderr.strip())
        return ast.literal_eval(done.stdout.strip().removeprefix("(<").removesuffix(">,)"))

    def install(self, source: str, timeout: float = DEADLINE) -> str:
        """Installs a bundle without any agent; returns RAUC's LastError, "" when it succeeded."""
        done = self.rauc("install", str(source), timeout=timeout)
        return "" if done.returncode == 0 else self.last_error() or done.stderr


def _write(path: Path, text: str) -> None:
    new = path.with_name(path.name + ".new")
    new.write_text(text)
    os.replace(new, path)


def _read_times(path: Path) -> list[float]:
    return [float(line) for line in path.read_text().splitlines()] if path.exists() else []
