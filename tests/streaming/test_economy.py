# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the relay saves: requests, waiting on far lines, and no more bytes for it.  `pytest -s` shows the figures."""
import time
from typing import NamedTuple

import pytest

from charger import BUILD
from conftest import SLOT_SIZE, verity_bundle
from fetching import MIB, USER, ask, expect_installed
from servers import Ftp, Link, Nginx
from simdevice import Device, fixtures
from streams import NAME, publish, size_of, streaming_charger

LARGE = 64 * MIB
FAR = 0.05          # seconds each way
FEWER = 10          # times fewer requests
MORE = 1.05         # of the bytes
FAR_DEADLINE = 300  # seconds; RAUC alone takes more than a minute


class Took(NamedTuple):
    requests: int
    bytes: int
    seconds: float

    def __str__(self):
        return f"{self.requests} requests, {self.bytes / MIB:.2f} MiB, {self.seconds:.1f} s"


def counted(server, link):
    """Requests so far, and bytes that arrived."""
    requests = server.commands("RETR") if isinstance(server, Ftp) else server.requests(NAME)
    return len(requests), link.bytes_down


def measured(server, link, act):
    requests, count = counted(server, link)
    began = time.monotonic()
    act()
    seconds = time.monotonic() - began
    more_requests, more = counted(server, link)
    return Took(more_requests - requests, more - count, seconds)


def check_economy(alone, ours):
    assert ours.requests * FEWER <= alone.requests, f"alone {alone}; relayed {ours}"
    assert ours.bytes <= MORE * alone.bytes, f"alone {alone}; relayed {ours}"


def directly(device, server, link, **bundle):
    """RAUC alone."""
    url = link.url(publish(server, **bundle))

    def act():
        assert device.install(url, FAR_DEADLINE) == "", device.rauc_log()[-4000:]
    return measured(server, link, act)


def relayed(charger, server, link, **bundle):
    """The whole agent, until it wants to reboot."""
    url = link.url(publish(server, **bundle))

    def act():
        ask(charger, url)
        charger.wait_reboot_requested()
    took = measured(server, link, act)
    expect_installed(charger, **bundle)
    return took


@pytest.fixture(scope="module")
def alone_on_a_far_line(tmp_path_factory):
    folder = tmp_path_factory.mktemp("far")
    with Device(folder / "device", fixtures.pki(BUILD), slot_size=SLOT_SIZE) as device, \
            Nginx(folder / "web") as server, Link(server, delay=FAR) as link:
        return directly(device, server, link, size=LARGE)


SERVERS = {
    "http": lambda folder: Nginx(folder),
    "ftp": lambda folder: Ftp(folder, user=USER),
}


@pytest.mark.parametrize("scheme", SERVERS)
def test_on_a_far_line(make_charger, alone_on_a_far_line, tmp_path, scheme):
    """RAUC alone streams from http only; that is what ftp is held against, too.  How long it takes is for the bench to judge."""
    alone = alone_on_a_far_line
    charger = streaming_charger(make_charger)
    with SERVERS[scheme](tmp_path / "server") as server, Link(server, delay=FAR) as link:
        ours = relayed(charger, server, link, size=LARGE)
        logins = f", {len(server.commands('PASS'))} logins" if scheme == "ftp" else ""
    print(f"{scheme}, far line: alone {alone}; relayed {ours}{logins}")
    check_economy(alone, ours)


def test_on_loopback(make_charger, device, tmp_path):
    charger = streaming_charger(make_charger)
    with Nginx(tmp_path / "web") as server, Link(server) as link:
        alone = directly(device, server, link, size=LARGE)
        ours = relayed(charger, server, link, size=LARGE)
    print(f"loopback: alone {alone}; relayed {ours}")
    check_economy(alone, ours)


def adaptive_device(device):
    """One that has the version before of what comes, and its index."""
    assert device.install(verity_bundle("2.0.0", size=LARGE, adaptive=True).path) == "", device.rauc_log()[-4000:]
    assert device.reboot() == "B"


def test_adaptive(make_charger, device, tmp_path):
    update = {"version": "3.0.0", "like": "2.0.0", "adaptive": True, "size": LARGE}
    charger = make_charger()
    with Nginx(tmp_path / "web") as server, Link(server) as link:
        adaptive_device(device)
        alone = directly(device, server, link, **update)
        charger.device.start_bus()
        charger.device.power_on()
        adaptive_device(charger.device)
        charger.start_agent()
        charger.wait_registered()
        ours = relayed(charger, server, link, **update)
    print(f"adaptive: alone {alone}; relayed {ours}; of {size_of(**update) / MIB:.2f} MiB")
    assert alone.bytes < LARGE // 10, alone
    assert ours.bytes <= MORE * alone.bytes, f"alone {alone}; relayed {ours}"
    assert ours.requests <= alone.requests, f"alone {alone}; relayed {ours}"
