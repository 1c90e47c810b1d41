# SPDX-License-Identifier: LGPL-2.1-or-later
"""RAUC alone streams from a server that counts: that the guest can do it, and what the agent is measured against."""
import pytest

from charger import BUILD
from counts import fetched
from simdevice import fixtures

MIB = 1 << 20
NAME = "bundle.raucb"


def install(device, server, bundle):
    """Streams the bundle; returns what was fetched."""
    target = "B" if device.booted == "A" else "A"
    start = len(server.requests(NAME))
    assert device.install(server.publish(bundle.path, NAME)) == "", device.rauc_log()[-4000:]
    image = bundle.image.read_bytes()
    assert device.slot_image(target)[:len(image)] == image
    return fetched(server, bundle.path, NAME, start)


@pytest.mark.parametrize("size", [16, 64])
@pytest.mark.parametrize("format", ["verity", "crypt"])
def test_whole(device, server, format, size):
    got = install(device, server, fixtures.bundle(BUILD, "2.0.0", format=format, size=size * MIB))
    assert got.requests > size * 8          # many and small, hence the relay
    assert size * MIB < got.bytes < 1.05 * size * MIB
    assert device.reboot() == "B"


def test_adaptive(device, server):
    size = 16 * MIB
    first = fixtures.bundle(BUILD, "2.0.0", format="verity", adaptive=True, size=size)
    second = fixtures.bundle(BUILD, "3.0.0", like="2.0.0", format="verity", adaptive=True, size=size)
    assert install(device, server, first).bytes > size
    assert device.reboot() == "B"
    got = install(device, server, second)
    assert got.bytes < size // 20, got
    assert device.reboot() == "A"
    assert device.slot_version("A") == "3.0.0"


def test_plain_does_not_stream(device, server):
    url = server.publish(fixtures.bundle(BUILD, "2.0.0").path, NAME)
    assert "Bundle format 'plain' not supported in streaming mode" in device.install(url)
