# SPDX-License-Identifier: LGPL-2.1-or-later
"""While RAUC streams: who may know a password is the server, and who may know the relay's path is RAUC."""
from urllib.parse import quote

import pytest

from charger import BUILD
from components import component
from fetching import ask, charger_that, expect_installed
from servers import Link
from simdevice import fixtures
from streams import SIZE, in_mid_copy, installations, publish, relay_place

seen = component("test_secrets")
RATE = SIZE // 2            # bytes a second, so that there is a middle
OF_THE_AGENT = ("agent.log", "history", "history --json", "status", "status --json", "frames")


@pytest.mark.parametrize("name", ["https", "ftp"])
def test_a_stream(make_charger, tmp_path, name):
    """At first with a wrong password, so that there is something to complain about."""
    pki = fixtures.pki(BUILD)
    charger = charger_that(make_charger, "stream", **seen.settings(pki))
    traffic, monitor = seen.bus_traffic(charger)
    wrong = seen.PASSWORD[::-1]
    paths = []
    with seen.SERVERS[name](tmp_path / "server") as server, Link(server, rate=RATE) as link, \
            seen.CommandLines() as commands:
        url = link.url(publish(server))
        ask(charger, url.replace(quote(seen.PASSWORD, safe=""), quote(wrong, safe="")))
        charger.wait_end()
        paths.append(relay_place(charger)[1])
        ask(charger, url)
        in_mid_copy(charger, link)
        paths.append(relay_place(charger)[1])
        texts = seen.what_others_see(charger)
        link.rate = 0
        expect_installed(charger, count=2, size=SIZE)
    monitor.kill()
    texts |= {f"{key} at the end": text for key, text in seen.what_others_see(charger).items()}
    texts |= {"commands": commands.text(), "bus": traffic.read_text(errors="replace")}
    assert installations(charger) == ["started", "failed", "started", "succeeded"]
    assert all(path in texts["bus"] for path in paths) and paths[0] != paths[1]
    seen.expect_unseen([seen.PASSWORD, wrong, *seen.key_lines(pki)], texts)
    ours = {key: text for key, text in texts.items() if key.removesuffix(" at the end") in OF_THE_AGENT}
    assert len(ours) == 2 * len(OF_THE_AGENT)
    seen.expect_unseen(paths, ours)
