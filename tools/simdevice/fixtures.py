# SPDX-License-Identifier: LGPL-2.1-or-later
"""Keys and bundles for tests, made once and kept below the build directory.

Each lies in a folder whose name is a hash of what it is made of, the tools included; several processes may ask for
the same one at the same time.
"""
import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from . import image
from .device import COMPATIBLE

_TOP = Path(__file__).resolve().parents[2]
_MAKE_PKI = _TOP / "certs" / "make-test-pki.sh"
_MAKE_BUNDLE = _TOP / "tools" / "make-bundle.sh"


class Bundle(NamedTuple):
    path: Path          # the bundle
    image: Path         # what it puts into the slot
    version: str


def pki(build_dir: Path) -> Path:
    """The folder with every key that certs/make-test-pki.sh makes."""
    folder = build_dir.resolve() / f"pki-{_hash(_MAKE_PKI.read_bytes())}"
    _run([str(_MAKE_PKI), str(folder)])
    return folder


def bundle(build_dir: Path, version: str, *, signer: str = "good", compatible: str = COMPATIBLE, damaged: bool = False,
           format: str = "plain", adaptive: bool = False, size: int = image.DEFAULT_SIZE, seed: int = 0,
           like: str = "") -> Bundle:
    """A bundle with an image of this version; for the options see tools/make-bundle.sh and image.make_image()."""
    keys = pki(build_dir)
    arguments = repr((version, signer, compatible, damaged, format, adaptive, size, seed, like, keys))
    sources = _MAKE_BUNDLE.read_bytes() + Path(image.__file__).read_bytes()
    cache = build_dir.resolve() / "bundles"
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / _hash(arguments.encode() + sources)
    result = Bundle(folder / "bundle.raucb", folder / "image.img", version)
    with (cache / f".{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():
            return result
        work = Path(tempfile.mkdtemp(prefix=".new-", dir=cache))
        try:
            image.make_image(work / "image.img", version, size, seed, like)
            _run([str(_MAKE_BUNDLE), "--pki", str(keys), "--version", version, "--compatible", compatible, "--image",
                  str(work / "image.img"), "--signer", signer, "--format", format,
                  "--output", str(work / "bundle.raucb"), *(["--damaged"] if damaged else []),
                  *(["--adaptive"] if adaptive else [])])
            _move(work, folder)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return result


def _move(work: Path, folder: Path) -> None:
    try:
        os.replace(work, folder)
    except OSError:
        if not folder.exists():         # a guest of tests/guest was faster: it does not see this kernel's locks
            raise


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _run(argv: list[str]) -> None:
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{argv[0]}: exit {done.returncode}\n{done.stderr}")
