# SPDX-License-Identifier: LGPL-2.1-or-later
"""Streams over lines that break: RAUC's reads are held until the line is back, so nothing is lost but time."""
import threading
import time

import pytest

from fetching import HAPPY, events, expect_installed, reasons
from servers import Link, Nginx
from simdevice import wait_until
from streams import (LONG, SIZE, begin, expect_one_install, in_mid_copy, installations, publish, size_of,
                     streaming_charger, wait_trouble)

RATE = SIZE // 4            # bytes a second, so that there is a middle
OUTAGE = 180 if LONG else 20
STALL = 30                  # seconds without a byte: the agent takes a connection for dead (TRANSFER_STALL_S)
NBD_TIMEOUT = 300           # seconds: RAUC's, without a relay


def short_cut(server, link):
    link.cut()


def server_killed(server, link):
    server.kill()
    server.start()


def server_moved(server, link):
    server.move("127.0.0.9")


@pytest.mark.parametrize("happens", [short_cut, server_killed, server_moved])
def test_connections_break(make_charger, tmp_path, happens):
    charger = streaming_charger(make_charger)
    with Nginx(tmp_path / "web") as server, Link(server, rate=RATE) as link:
        begin(charger, server, link)
        in_mid_copy(charger, link)
        made = link.connections
        happens(server, link)
        wait_until(lambda: link.connections > made, "another connection")
        link.rate = 0
        expect_one_install(charger)


def test_twenty_short_cuts(make_charger, tmp_path):
    charger = streaming_charger(make_charger)
    size = size_of()
    with Nginx(tmp_path / "web") as server, Link(server) as link:
        link.cut_every(size // 21, times=20)
        begin(charger, server, link)
        expect_one_install(charger)
        assert link.cuts == 20
        assert link.bytes_down <= 1.05 * size, link.bytes_down / size


@pytest.mark.parametrize("how", ["refused", "silent"] if LONG else ["refused"])
def test_an_outage(make_charger, tmp_path, how):
    """Minutes of it if LONG: in the field a charger's mobile link is away for that long."""
    charger = streaming_charger(make_charger)
    with Nginx(tmp_path / "web") as server, Link(server, rate=RATE) as link:
        begin(charger, server, link)
        in_mid_copy(charger, link)
        began = time.monotonic()
        if how == "refused":
            link.refuse()
            link.cut()
            assert wait_trouble(charger)
        else:
            link.silence()
        wait_until(lambda: time.monotonic() > began + OUTAGE, "the end of the outage", 2 * OUTAGE)
        assert charger.statuses() == HAPPY[:3]
        link.rate = 0
        link.up()
        expect_one_install(charger)


def test_a_black_hole(make_charger, tmp_path):
    """A mobile network has forgotten the connections: nobody tells, and new ones work."""
    charger = streaming_charger(make_charger)
    with Nginx(tmp_path / "web") as server, Link(server, rate=RATE) as link:
        begin(charger, server, link)
        in_mid_copy(charger, link)
        began = time.monotonic()
        link.lose()
        link.rate = 0
        charger.wait_reboot_requested()
        assert time.monotonic() - began < 2 * STALL
        expect_one_install(charger)


@pytest.mark.skipif(not LONG, reason="takes five minutes; LONG=1")
def test_a_black_hole_without_the_relay(device, tmp_path):
    """The reason for all this: RAUC waits until the kernel takes its stream away."""
    with Nginx(tmp_path / "web") as server, Link(server, rate=RATE) as link:
        url = link.url(publish(server))
        loser = threading.Thread(target=lambda: (link.wait_bytes_down(SIZE // 2), link.lose()))
        loser.start()
        began = time.monotonic()
        error = device.install(url, timeout=2 * NBD_TIMEOUT)
        loser.join()
    took = time.monotonic() - began
    print(f"bare RAUC after {took:.0f} s: {error}")
    assert "Failed to copy data" in error and took > NBD_TIMEOUT - 10
    assert device.primary() == "A"


def test_an_outage_that_nobody_waits_for_any_longer(make_charger, tmp_path):
    """Away for longer than [download] hold: the attempt ends soon, by itself, and the next one installs."""
    hold = 5
    charger = streaming_charger(make_charger, hold=hold)
    with Nginx(tmp_path / "web") as server, Link(server, rate=RATE) as link:
        begin(charger, server, link, options="retries=1 interval=5")
        in_mid_copy(charger, link)
        began = time.monotonic()
        link.refuse()
        link.cut()
        charger.wait_step("installing -> retry-wait")
        assert time.monotonic() - began < hold + 15
        assert installations(charger) == ["started", "failed"]
        link.rate = 0
        link.up()
        expect_installed(charger, size=SIZE)
    assert charger.statuses() == HAPPY
    assert events(charger).count("fail") == 1 and charger.install_calls() == 2
    assert any("RAUC has waited" in words for words in reasons(charger)), reasons(charger)
    assert installations(charger) == ["started", "failed", "started", "succeeded"]
    assert charger.device.restart_requests() == []
