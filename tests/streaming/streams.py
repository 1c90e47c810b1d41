# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests of streams have in common: beginning one, looking at it on its way and at how it ended."""
import os
import re
import sqlite3

from conftest import verity_bundle
from fetching import HAPPY, MIB, ask, charger_that, expect_installed
from simdevice import wait_until

SIZE = 8 * MIB
NAME = "firmware.raucb"
LONG = bool(os.environ.get("LONG"))


def streaming_charger(make_charger, **options):
    return charger_that(make_charger, "stream", **options)


def publish(server, version="2.0.0", size=SIZE, **options):
    """Always under the same name."""
    return server.publish(verity_bundle(version, size=size, **options).path, NAME)


def size_of(version="2.0.0", size=SIZE, **options):
    return verity_bundle(version, size=size, **options).path.stat().st_size


def begin(charger, server, link, options="retries=0", **bundle):
    """Asks for a bundle over the link."""
    ask(charger, link.url(publish(server, **bundle)), options)


def in_mid_copy(charger, link, size=SIZE):
    """RAUC writes the slot, and a good part of the bundle has come."""
    def copies():
        return (charger.status().get("job") or {}).get("progress-message", "").startswith("Copying image")
    wait_until(copies, "RAUC to write the slot")
    link.wait_bytes_down(size // 2)


def _trouble(charger):
    """What keeps the stream from going on; None: nothing."""
    return (charger.status().get("job") or {}).get("transfer-trouble")


def wait_trouble(charger):
    return wait_until(lambda: _trouble(charger), "an outage to be noticed")


def installations(charger):
    """What RAUC says of its installations: started, succeeded, failed."""
    return re.findall(r"Installation \w+ (\w+)", charger.device.rauc_log())


def expect_one_install(charger, version="2.0.0", size=SIZE, **bundle):
    """The first update ends well, and RAUC never knew of any trouble."""
    expect_installed(charger, version, size=size, **bundle)
    assert charger.statuses() == HAPPY
    assert charger.install_calls() == 1
    assert installations(charger) == ["started", "succeeded"]
    assert charger.device.restart_requests() == []


def relay_place(charger):
    """The relay's port and the secret in its URL, as the agent keeps them for its next life; of the last stream."""
    with sqlite3.connect(f"file:{charger.store}?mode=ro", uri=True) as store:
        (text,), = store.execute("SELECT value FROM agent WHERE name = 'relay'")
    _, port, secret, *_ = text.split(" ")
    return int(port), secret
