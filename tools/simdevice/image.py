# SPDX-License-Identifier: LGPL-2.1-or-later
"""Firmware images that tell their version and whether they are whole.

An image is two lines of text, `rauc-ocpp-demo VERSION` and `SIZE SHA256` of what follows, and then SIZE pseudo-random
bytes.  A slot may be larger than its image.
"""
import hashlib
import random
from pathlib import Path
from typing import Optional

MAGIC = b"rauc-ocpp-demo"
DEFAULT_SIZE = 512 * 1024
_HEADER_MAX = 512
_SECOND_LINE = 10 + 1 + 64 + 1


def make_image(path: Path, version: str, size: int = DEFAULT_SIZE, seed: int = 0,
               like: str = "") -> Path:
    """Writes an image of exactly `size` bytes; the same arguments give the same bytes.

    `like` is the version of an image of this size and seed from which it differs in the first two lines only.
    """
    if not version or version.split() != [version] or len(version) > 200 or size < 2 * _HEADER_MAX:
        raise ValueError(f"no image of {size} bytes for version {version!r}")
    first = b"%s %s\n" % (MAGIC, version.encode())
    body = random.Random(f"{like or version}/{seed}").randbytes(size - len(first) - _SECOND_LINE)
    path.write_bytes(first + b"%010d %s\n" % (len(body), hashlib.sha256(body).hexdigest().encode()) + body)
    return path


def read_version(path: Path) -> Optional[str]:
    """The version of the image that the file begins with, or None when there is none or it is damaged."""
    data = path.read_bytes()
    try:
        first, second, _ = data[:_HEADER_MAX].split(b"\n", 2)
        magic, version = first.split()
        size, digest = second.split()
        start = len(first) + len(second) + 2
        body = data[start:start + int(size)]
        whole = magic == MAGIC and len(body) == int(size) and hashlib.sha256(body).hexdigest() == digest.decode()
        return version.decode() if whole else None
    except ValueError:
        return None
