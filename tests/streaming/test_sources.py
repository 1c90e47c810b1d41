# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where bundles can be streamed from: the rows of the table in src/adapter/README.md for a RAUC that streams."""
import pytest

from components import component
from fetching import NO_INSTALL, ask, ca_file, charger_that, reasons
from servers import Ftp, Nginx
from streams import LONG, publish, streaming_charger

sources = component("test_sources")
# What is downloaded anyway does not depend on the server, which the component tests show; all of the table if LONG.
CASES = [(name, kind) for name in sources.SERVERS for kind in sources.FORMATS
         if LONG or kind == "verity" or name == "http, nginx"]


@pytest.mark.parametrize("name,kind", CASES)
def test_server(make_charger, tmp_path, name, kind):
    charger = charger_that(make_charger, "auto", ca_file=ca_file(), **sources.client_key())
    with sources.SERVERS[name](tmp_path / "server") as server:
        ask(charger, sources.publish(server, "2.0.0", format=kind))
        seen = sources.outcome(charger, 1, "2.0.0", format=kind)
    cells = sources.table_rows(sources.rauc_version())[name].strip("| ").split(" | ")
    assert dict(zip(["server", "RAUC", *sources.FORMATS], cells))[kind] == seen


def test_the_table_has_no_other_rows():
    assert list(sources.table_rows(sources.rauc_version())) == list(sources.SERVERS)


WITHOUT_RANGES = {
    "http": lambda folder: Nginx(folder, ranges=False),
    "ftp": lambda folder: Ftp(folder, rest=False),
}


@pytest.mark.parametrize("scheme", WITHOUT_RANGES)
def test_nothing_but_streams_is_allowed(make_charger, tmp_path, scheme):
    """The words say what to change; trying again would not help."""
    charger = streaming_charger(make_charger)
    with WITHOUT_RANGES[scheme](tmp_path / "server") as server:
        ask(charger, publish(server), "retries=2 interval=0")
        assert charger.wait_end() == "InstallationFailed"
    assert "set [update] transport=auto" in reasons(charger)[-1], reasons(charger)
    assert charger.statuses() == NO_INSTALL
    assert charger.install_calls() == 1 and charger.device.primary() == "A"
