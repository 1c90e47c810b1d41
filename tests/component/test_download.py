# SPDX-License-Identifier: LGPL-2.1-or-later
"""Downloads over lines that break: nothing is fetched twice that need not be, and two files never become one."""
import pytest

from charger import BUILD
from fetching import MIB, USER, ask, ca_file, charger_that, events, expect_installed, in_spool, reasons, wait_fetched
from servers import Ftp, Link, Nginx, Sftp, Tls, Vsftpd
from simdevice import fixtures

SIZE = 3 * MIB
LARGE = 64 * MIB
NAME = "firmware.raucb"
OVERHEAD = 1.05     # of the bytes, for what has to be fetched twice, and for TLS and the heads
SFTP_ASKS_AHEAD = MIB // 2      # that a cut loses: four times the buffer of libcurl


def bundle(version="2.0.0", size=SIZE):
    return fixtures.bundle(BUILD, version, size=size)


def publish(server, version="2.0.0", size=SIZE):
    """Always under the same name."""
    return server.publish(bundle(version, size).path, NAME)


def size_of(version="2.0.0", size=SIZE):
    return bundle(version, size).path.stat().st_size


def expect_one_attempt(charger):
    assert not {"fetch-fail", "fetch-fail-last", "fail"} & set(events(charger)), reasons(charger)


# ---------------------------------------------------------------------------------------------------- taken up again

def test_a_line_that_breaks_and_an_agent_that_dies(make_charger, tmp_path):
    charger = make_charger(device={"slot_size": LARGE + MIB}).start()
    size = size_of(size=LARGE)
    with Nginx(tmp_path / "web") as server, Link(server, rate=size // 4) as link:
        url = link.url(publish(server, size=LARGE))
        link.cut_every(size // 21, times=20)
        ask(charger, url)
        for part in range(1, 6):
            link.wait_bytes_down(part * size // 6)
            charger.restart_agent()
        expect_installed(charger, size=LARGE)
        assert link.cuts == 20
        assert size < link.bytes_down <= OVERHEAD * size, link.bytes_down / size
    expect_one_attempt(charger)


SERVERS = {
    "http": lambda folder: Nginx(folder, user=USER),
    "https": lambda folder: Nginx(folder, tls=tls()),
    "ftp": lambda folder: Ftp(folder, user=USER),
    "ftps": lambda folder: Ftp(folder, user=USER, security="implicit", tls=tls(), address="127.0.0.8"),
    "vsftpd": lambda folder: Vsftpd(folder, user=USER),
    "sftp": lambda folder: Sftp(folder, user=USER),
}


def tls():
    return Tls(fixtures.pki(BUILD))


@pytest.mark.parametrize("name", SERVERS)
def test_every_server_is_resumed(make_charger, tmp_path, name):
    charger = charger_that(make_charger, ca_file=ca_file())
    size = size_of()
    with SERVERS[name](tmp_path / "server") as server, Link(server) as link:
        url = link.url(publish(server))
        link.cut_every(size // 3, times=2)
        ask(charger, url)
        expect_installed(charger, size=SIZE)
        assert link.cuts == 2
        lost = link.cuts * SFTP_ASKS_AHEAD if name == "sftp" else 0
        assert size < link.bytes_down <= OVERHEAD * size + lost, link.bytes_down / size
    expect_one_attempt(charger)


def test_a_reboot_takes_back_only_what_was_not_synced(make_charger, tmp_path):
    charger = make_charger(device={"slot_size": LARGE + MIB}).start()
    size = size_of(size=LARGE)
    with Nginx(tmp_path / "web") as server, Link(server, rate=size // 4) as link:
        ask(charger, link.url(publish(server, size=LARGE)))
        wait_fetched(charger, size // 2)
        assert charger.reboot("power_cut") == "A"
        expect_installed(charger, size=LARGE)
        assert link.bytes_down <= size + 9 * MIB
        assert [request.range != "" for request in server.requests(NAME)] == [False, True]


def test_without_ranges_a_cut_costs_an_attempt(make_charger, tmp_path):
    charger = charger_that(make_charger)
    with Nginx(tmp_path / "web", ranges=False) as server, Link(server) as link:
        url = link.url(publish(server))
        link.cut_every(size_of() // 2, times=1)
        ask(charger, url, "retries=1 interval=0")
        expect_installed(charger, size=SIZE)
        assert events(charger).count("fetch-fail") == 1
        assert any("cannot be taken up again" in words for words in reasons(charger)), reasons(charger)


def test_a_restart_finds_the_whole_bundle(make_charger, tmp_path):
    charger = charger_that(make_charger)
    charger.device.stop_rauc()
    with Nginx(tmp_path / "web") as server:
        ask(charger, publish(server))
        charger.wait_step("downloading -> install-wait")
        for _ in range(2):
            charger.restart_agent()
        charger.device.start_rauc()
        expect_installed(charger, size=SIZE)
        assert [request.bytes for request in server.requests(NAME)] == [size_of()]


# -------------------------------------------------------------------------------------------------- another file

WITHOUT_VALIDATORS = ("etag off;", "add_header Last-Modified '';")
CHANGING = {
    "http": SERVERS["http"],
    "http without validators": lambda folder: Nginx(folder, directives=WITHOUT_VALIDATORS),
    "http without ranges": lambda folder: Nginx(folder, ranges=False),
    "ftp": SERVERS["ftp"],
    "sftp": SERVERS["sftp"],
}


@pytest.mark.parametrize("name", CHANGING)
def test_the_file_changes_between_two_attempts(make_charger, tmp_path, name):
    charger = charger_that(make_charger, hold=1)
    with CHANGING[name](tmp_path / "server") as server, Link(server, rate=SIZE) as link:
        ask(charger, link.url(publish(server)), "retries=1 interval=2")
        wait_fetched(charger, SIZE // 3)
        link.refuse()
        link.cut()
        charger.wait_step("downloading -> retry-wait")
        publish(server, "3.0.0")
        link.rate = 0
        link.up()
        expect_installed(charger, "3.0.0", size=SIZE)
    assert events(charger).count("fetch-fail") == 1


@pytest.mark.parametrize("name", sorted(set(CHANGING) - {"http without validators"}))
def test_the_file_changes_in_mid_download(make_charger, tmp_path, name):
    """Both files have the same size."""
    assert size_of("2.0.0") == size_of("3.0.0")
    charger = charger_that(make_charger)
    with CHANGING[name](tmp_path / "server") as server, Link(server, rate=SIZE) as link:
        ask(charger, link.url(publish(server)), "retries=1 interval=0")
        wait_fetched(charger, SIZE // 3)
        publish(server, "3.0.0")
        link.rate = 0
        link.cut()
        expect_installed(charger, "3.0.0", size=SIZE)
    assert events(charger).count("fetch-fail") == 1, reasons(charger)


def test_nobody_can_see_that_the_file_changed(make_charger, tmp_path):
    """A server that tells neither an ETag nor a time, two files of one size: a mixture is not installed."""
    charger = charger_that(make_charger)
    with Nginx(tmp_path / "server", directives=WITHOUT_VALIDATORS) as server, Link(server, rate=SIZE) as link:
        url = link.url(publish(server))
        ask(charger, url)
        wait_fetched(charger, SIZE // 3)
        publish(server, "3.0.0")
        link.rate = 0
        link.cut()
        assert charger.wait_end() != "Installed"
        assert charger.device.primary() == "A" and in_spool(charger) == []
        ask(charger, url)
        expect_installed(charger, "3.0.0", 2, size=SIZE)


def test_the_file_grows_and_shrinks(make_charger, tmp_path):
    charger = charger_that(make_charger)
    with Nginx(tmp_path / "web") as server, Link(server, rate=SIZE) as link:
        url = link.url(publish(server))
        ask(charger, url, "retries=2 interval=0")
        for version, size in (("3.0.0", SIZE + MIB // 2), ("4.0.0", MIB)):
            wait_fetched(charger, MIB // 2)
            publish(server, version, size)
            link.cut()
            charger.wait_step("downloading -> retry-wait", events(charger).count("fetch-fail") + 1)
        expect_installed(charger, "4.0.0", size=MIB)
    assert events(charger).count("fetch-fail") == 2
