# SPDX-License-Identifier: LGPL-2.1-or-later
"""Bad ground: small file systems for store and spool, and what goes wrong with them.

    ground = Ground(tmp_path / "ground")
    charger = make_charger(settings=ground.settings, wrap=ground.wrap)
    ground.strike("EIO", "store")       # from now on its files cannot be changed
    ground.mend()

The two are tmpfs in a mount namespace of their own, which a process of ours holds: whatever ends this process, nothing
stays mounted.  ENOSPC is a disk that is really full; EIO and EROFS are made by badground.c (why: there).
"""
import contextlib
import errno
import functools
import hashlib
import os
import pathlib
import struct
import subprocess

from charger import BUILD, binary
from simdevice import wait_until
from simdevice.process import Process

SHIM = pathlib.Path(__file__).with_name("badground.c")
PARTS = ("store", "spool")
WRITES, SYNCS, NAMES, READS = 1, 2, 4, 8
# On a disk that fails reading may go on for long; one that is read-only knows nothing to sync.
SHIMMED = {"EIO": WRITES | SYNCS | NAMES, "EIO of sync": SYNCS, "EIO of all": WRITES | SYNCS | NAMES | READS, "EROFS": WRITES | NAMES}
STORE_SIZE, SPOOL_SIZE = 2 << 20, 64 << 20
_SCRIPT = """set -e
mount -t tmpfs -o size="$1",mode=755 store "$3/store"
mount -t tmpfs -o size="$2",mode=755 spool "$3/spool"
touch "$3/store/ready"
exec sleep infinity"""


@functools.cache
def shim():
    """The library, built when it is not there yet."""
    library = BUILD / f"badground-{hashlib.sha256(SHIM.read_bytes()).hexdigest()[:16]}.so"
    if not library.exists():
        part = library.with_suffix(f".{os.getpid()}")
        subprocess.run([os.environ.get("CC", "cc"), "-std=gnu11", "-O1", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror",
                        "-shared", "-fPIC", "-o", part, SHIM], check=True)
        part.rename(library)        # for all workers at once
    return library


@functools.cache
def preload():
    """What LD_PRELOAD has to be: the sanitizers' runtime wants to come first."""
    needed = subprocess.run(["ldd", binary()], capture_output=True, text=True, check=True).stdout
    runtimes = [line.split()[2] for line in needed.splitlines() if "libasan" in line]
    return ":".join([*runtimes, str(shim())])


class Ground:
    def __init__(self, folder):
        self.folder = folder
        for part in PARTS:
            (folder / part).mkdir(parents=True)
        self._control = folder / "control"
        self._tell()
        self.process = Process(["unshare", "--mount", "sh", "-c", _SCRIPT, "ground", str(STORE_SIZE), str(SPOOL_SIZE), str(folder)],
                               log=folder / "ground.log", env=dict(os.environ), pid_file=folder / "ground.pid")
        self.root = pathlib.Path(f"/proc/{self.process.pid}/root{folder}")      # as everybody sees it
        wait_until((self.root / "store" / "ready").exists, "the small file systems")
        for part in PARTS:
            (self.root / part / "files").mkdir(mode=0o700)
        self.spool = self.root / "spool" / "files"      # RAUC has to find what is in it
        self.store = self.root / "store" / "files" / "store.db"
        # SQLite follows /proc/PID/root, which is a link, to a place outside: the agent comes into the namespace.
        self.settings = {"store": {"path": folder / "store" / "files" / "store.db"}, "update": {"spool-directory": self.spool}}
        folders = ":".join([str(folder / "store"), str(folder / "spool"), str(self.root / "spool")])
        self.wrap = ["nsenter", f"--mount=/proc/{self.process.pid}/ns/mnt", "env", f"LD_PRELOAD={preload()}",
                     f"BADGROUND_CONTROL={self._control}", f"BADGROUND_FOLDERS={folders}"]

    def close(self):
        self.process.kill()

    def _tell(self, code=0, operations=0, parts=()):
        folders = sum({"store": 1, "spool": 6}[part] for part in parts)
        with open(self._control, "r+b" if self._control.exists() else "wb") as control:
            control.write(struct.pack("=III", code, operations, folders))

    def strike(self, fault, *parts):
        """From now on `fault` in these parts (default: both); until mend()."""
        parts = parts or PARTS
        if fault == "ENOSPC":
            for part in parts:
                self.fill(part)
        else:
            self._tell(getattr(errno, fault.split()[0]), SHIMMED[fault], parts)

    def fill(self, part, leave=0):
        """The disk is full but for so many bytes."""
        def free():
            state = os.statvfs(self.root / part)
            return state.f_bavail * state.f_frsize - leave
        with open(self.root / part / "filler", "ab") as filler:
            while free() > 0:
                with contextlib.suppress(OSError):      # somebody else was quicker
                    os.posix_fallocate(filler.fileno(), os.fstat(filler.fileno()).st_size, free())

    def mend(self):
        for part in PARTS:
            (self.root / part / "filler").unlink(missing_ok=True)
        self._tell()

    def read_only(self, part, really=True):
        """As the kernel does it; only while nobody writes there."""
        subprocess.run(["nsenter", f"--mount=/proc/{self.process.pid}/ns/mnt", "mount", "-o", f"remount,{'ro' if really else 'rw'}",
                        self.folder / part], check=True)
