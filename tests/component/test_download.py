# SPDX-License-Identifier: LGPL-2.1-or-later
"""Downloads over lines that break: nothing is fetched twice that need not be, and two files never become one."""
import pytest

from charger import BUILD
from fetching import MIB, USER, ask, ca_file, charger_that, events, expect_installed, reasons, wait_fetched
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


def replace(charger, server, link, version="3.0.0", size=SIZE):
    """Another file under the same name, in mid-download, and a line that breaks there."""
    wait_fetched(charger, MIB // 2)
    link.silence()
    publish(server, version, size)
    link.cut()
    link.up()


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
    with Nginx(tmp_path / "web") as server, Link(server, rate=size // 6) as link:
        ask(charger, link.url(publish(server, size=LARGE)))
        wait_fetched(charger, size // 2)
        assert charger.reboot("power_cut") == "A"
        link.rate = 0
        expect_installed(charger, size=LARGE)
        assert link.bytes_down <= size + 16 * MIB       # 8, and what came while the disk was at it
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


def test_a_download_that_takes_too_long(make_charger, tmp_path):
    """Bytes come, but not enough of them: [download] timeout is for each attempt, and what is there stays."""
    charger = charger_that(make_charger, timeout=2)
    with Nginx(tmp_path / "web") as server, Link(server, rate=SIZE // 4) as link:
        ask(charger, link.url(publish(server)), "retries=9 interval=0")
        expect_installed(charger, size=SIZE)
        assert link.bytes_down <= OVERHEAD * size_of() + MIB    # each end loses what is on the way
    assert any("longer than 2 s" in words for words in reasons(charger)), reasons(charger)


# -------------------------------------------------------------------------------------------------- another file

WITHOUT_VALIDATORS = ("etag off;", "add_header Last-Modified '';")
CHANGING = {
    "http": SERVERS["http"],
    "http without validators": lambda folder: Nginx(folder, directives=WITHOUT_VALIDATORS),
    "http without ranges": lambda folder: Nginx(folder, ranges=False),
    "ftp": SERVERS["ftp"],
    "sftp": SERVERS["sftp"],
}


@pytest.mark.parametrize("name", ["http", "http without validators", "ftp"])
def test_the_file_changes_between_two_attempts(make_charger, tmp_path, name):
    charger = charger_that(make_charger, hold=1)
    with CHANGING[name](tmp_path / "server") as server, Link(server, rate=SIZE // 2) as link:
        ask(charger, link.url(publish(server)), "retries=9 interval=1")
        wait_fetched(charger, SIZE // 3)
        link.refuse()
        link.cut()
        charger.wait_step("downloading -> retry-wait")
        publish(server, "3.0.0")
        link.rate = 0
        link.up()
        expect_installed(charger, "3.0.0", size=SIZE)


@pytest.mark.parametrize("name", CHANGING)
def test_the_file_changes_in_mid_download(make_charger, tmp_path, name):
    """Both files have the same size, and some servers tell nothing else."""
    assert size_of("2.0.0") == size_of("3.0.0")
    charger = charger_that(make_charger)
    with CHANGING[name](tmp_path / "server") as server, Link(server, rate=SIZE // 2) as link:
        ask(charger, link.url(publish(server)), "retries=1 interval=0")
        replace(charger, server, link)
        link.rate = 0
        expect_installed(charger, "3.0.0", size=SIZE)
    assert events(charger).count("fetch-fail") == 1, reasons(charger)


def test_the_file_grows_and_shrinks(make_charger, tmp_path):
    charger = charger_that(make_charger)
    with Nginx(tmp_path / "web") as server, Link(server, rate=SIZE // 2) as link:
        url = link.url(publish(server))
        ask(charger, url, "retries=2 interval=0")
        for version, size in (("3.0.0", SIZE + MIB // 2), ("4.0.0", MIB)):
            fails = events(charger).count("fetch-fail")
            replace(charger, server, link, version, size)
            charger.wait_step("downloading -> retry-wait", fails + 1)
        expect_installed(charger, "4.0.0", size=MIB)
    assert events(charger).count("fetch-fail") == 2
