# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the guests run: slot images, bundles and factory disks, made once and kept below build/boot/.

    images = Images(build)              # build: the folder with the agent's release build
    images.bundle("new")                # path of a signed verity bundle
    images.disk("uboot")                # path of a disk with the factory's image in slot A
    images.folder                       # where more that is made of them may be kept

The folder's name is a hash of all that went in, the agent included.
"""
import contextlib
import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import tempfile
from dataclasses import dataclass

from simdevice import fixtures

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parents[1]
CACHE = TOP / "build" / "boot"
COMPATIBLE = "rauc-ocpp-boot-test"
LOADERS = ("uboot", "grub")
KEPT = 2                            # folders of earlier agents
EX_UNAVAILABLE = 77                 # of base.sh
NEEDED = ("qemu-system-x86_64", "mmdebstrap", "mke2fs", "sfdisk", "mkimage", "mkenvimage", "socat", "grub-mkimage", "cpio",
          "rauc", "nginx")


@dataclass(frozen=True)
class Image:
    version: str
    kind: str                       # what image.sh is told
    adaptive: bool = False


class Unavailable(Exception):
    """Why this host cannot make the guest at all."""


FACTORY = Image("1.0.0", "good")
IMAGES = {
    "new": Image("2.0.0", "good"),
    "near": Image("2.1.0", "changed", adaptive=True),
    "mute": Image("2.2.0", "mute"),
    "broken": Image("2.3.0", "broken"),
    "panics": Image("2.4.0", "panics"),
}


class Images:
    def __init__(self, build):
        self.build = build.resolve()
        self._pki = fixtures.pki(TOP / "build")
        self._base = pathlib.Path(_run([HERE / "base.sh"]).strip())
        self.folder = CACHE / f"images-{self._hash()}"
        with locked(CACHE / ".images.lock"):
            if not self.folder.exists():
                self._make()
            os.utime(self.folder)
            _forget_old()

    def slot_image(self, version):
        return self.folder / f"{version}.ext4"

    def bundle(self, name):
        return self.folder / f"{name}.raucb"

    def disk(self, loader):
        return self.folder / f"{loader}.raw"

    def _hash(self):
        digest = hashlib.sha256(str(self._base).encode() + str(self._pki).encode() + repr((FACTORY, IMAGES)).encode())
        sources = [path for path in HERE.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")]
        installed = [TOP / "Makefile", TOP / "tools/make-bundle.sh", *(TOP / "tools/systemd").iterdir(),
                     self.build / "rauc-ocpp-agent"]
        for path in sorted([*sources, *installed]):
            digest.update(f"{path.name}\n".encode() + path.read_bytes())
        return digest.hexdigest()[:16]

    def _make(self):
        work = pathlib.Path(tempfile.mkdtemp(prefix=".new-", dir=CACHE))
        try:
            work.chmod(0o755)
            tree = work / "tree"
            _run([HERE / "tree.sh", self._base, self._pki, self.build, tree])
            for image in (FACTORY, *IMAGES.values()):
                _run([HERE / "image.sh", tree, image.version, image.kind, work / f"{image.version}.ext4"])
            shutil.rmtree(tree)
            for name, image in IMAGES.items():
                _run([TOP / "tools" / "make-bundle.sh", "--pki", self._pki, "--version", image.version, "--compatible",
                      COMPATIBLE, "--image", work / f"{image.version}.ext4", "--format", "verity",
                      *(["--adaptive"] if image.adaptive else []), "--output", work / f"{name}.raucb"])
            for loader in LOADERS:
                _run([HERE / "disk.sh", loader, work / f"{FACTORY.version}.ext4", work / f"{loader}.raw"])
            work.rename(self.folder)
        finally:
            shutil.rmtree(work, ignore_errors=True)


def missing():
    """What this host lacks for images and machines."""
    programs = [program for program in NEEDED if not shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")]
    files = [file for file in ("/usr/lib/u-boot/qemu-x86/u-boot.rom", "/usr/lib/grub/i386-pc/boot.img")
             if not pathlib.Path(file).exists()]
    return programs + files


def _forget_old():
    folders = sorted(CACHE.glob("images-*"), key=lambda path: path.stat().st_mtime)
    for folder in folders[:-KEPT]:
        shutil.rmtree(folder)


@contextlib.contextmanager
def locked(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(argv):
    """A program, which dies with this one, its children included; returns the last line of its output."""
    alone = ["setpriv", "--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"]
    done = subprocess.run([*alone, *map(str, argv)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode == EX_UNAVAILABLE:
        raise Unavailable(done.stdout.splitlines()[-1])
    if done.returncode != 0:
        raise RuntimeError(f"{argv[0]}: exit {done.returncode}\n{done.stdout}")
    return done.stdout.splitlines()[-1] if done.stdout else ""
