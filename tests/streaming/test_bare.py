# SPDX-License-Identifier: LGPL-2.1-or-later
"""RAUC alone streams from a server that counts: that the guest can do it, and what the agent is measured against."""
import pytest

from charger import BUILD
from simdevice import fixtures

MIB = 1 << 20
NAME = "bundle.raucb"


def fetched(server, start=0):
    """(requests, bytes) since then."""
    ranges = [request.range.removeprefix("bytes=").split("-") for request in server.requests(NAME)[start:]]
    return len(ranges), sum(int(last) + 1 - int(first) for first, last in ranges)


def install(device, server, bundle):
    """Streams the bundle; returns (requests, bytes)."""
    start = len(server.requests(NAME))
    assert device.install(server.publish(bundle.path, NAME)) == "", device.rauc_log()[-4000:]
    image = bundle.image.read_bytes()
    assert device.slot_image("B" if device.booted == "A" else "A")[:len(image)] == image
    return fetched(server, start)


@pytest.mark.parametrize("size", [16, 64])
def test_verity(device, server, size, record_property):
    bundle = fixtures.bundle(BUILD, "2.0.0", format="verity", size=size * MIB)
    requests, amount = install(device, server, bundle)
    record_property("requests", requests)
    assert requests > size * 8              # many and small, hence the relay
    assert size * MIB < amount < 1.05 * size * MIB
    assert device.reboot() == "B"


def test_adaptive(device, server):
    size = 16 * MIB
    first = fixtures.bundle(BUILD, "2.0.0", format="verity", adaptive=True, size=size)
    second = fixtures.bundle(BUILD, "3.0.0", like="2.0.0", format="verity", adaptive=True, size=size)
    assert install(device, server, first)[1] > size
    assert device.reboot() == "B"
    requests, amount = install(device, server, second)
    assert amount < size // 20, (requests, amount)
    assert device.reboot() == "A"
    assert device.slot_version("A") == "3.0.0"
