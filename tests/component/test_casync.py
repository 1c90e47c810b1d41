# SPDX-License-Identifier: LGPL-2.1-or-later
"""casync bundles: a small file and, beside its URL, a store of chunks that RAUC reads while it writes the slot."""
import os
import pathlib
import re
import signal

import pytest

from charger import BUILD
from fetching import MIB, NO_INSTALL, USER, ask, ca_file, charger_that, events, expect_installed, in_spool, reasons
from liar import Liar, head
from servers import Link, Nginx, Tls
from simdevice import fixtures, wait_until

SIZE = 2 * MIB
OPTIONS = {"format": "casync", "size": SIZE}


def bundle(version="2.0.0"):
    return fixtures.bundle(BUILD, version, **OPTIONS)


def chunks(version="2.0.0"):
    """The files of the store, by their names there."""
    store = bundle(version).path.with_suffix(".castr")
    return {str(path.relative_to(store)): path for path in store.rglob("*.cacnk")}


def publish(server, version="2.0.0", store=True):
    for name, path in chunks(version).items() if store else ():
        server.publish(path, f"{version}.castr/{name}")
    return server.publish(bundle(version).path, f"{version}.raucb")


def of_the_store(server):
    return [request for request in server.requests() if ".castr/" in request.path]


def expect_store_relayed(charger):
    """First tried with the local file alone, which costs no attempt, then through the relay."""
    seen = events(charger)
    assert "next-transport" in seen[seen.index("fetch-ok"):] and "fail" not in seen


@pytest.mark.parametrize("transport", ["auto", "download"])
def test_store_beside_the_url(make_charger, tmp_path, transport):
    charger = charger_that(make_charger, transport, ca_file=ca_file())
    with Nginx(tmp_path / "web", tls=Tls(fixtures.pki(BUILD)), user=USER) as server:
        ask(charger, publish(server))
        expect_installed(charger, **OPTIONS)
        names = {request.path for request in of_the_store(server)}
        assert names == {f"/2.0.0.castr/{name}" for name in chunks()}
        assert len(of_the_store(server)) == len(names)
        assert len(server.requests("2.0.0.raucb")) == 1
    expect_store_relayed(charger)


def test_line_that_breaks_in_mid_store(make_charger, tmp_path):
    """Bridged: RAUC and casync do not hear of it."""
    charger = charger_that(make_charger)
    with Nginx(tmp_path / "web") as server, Link(server) as link:
        url = link.url(publish(server))
        link.cut_every(SIZE // 5, times=4)
        ask(charger, url)
        expect_installed(charger, **OPTIONS)
        assert link.cuts == 4
    expect_store_relayed(charger)


def test_server_that_restarts_in_mid_store(make_charger, tmp_path):
    charger = charger_that(make_charger)
    with Nginx(tmp_path / "web") as server, Link(server, rate=SIZE) as link:
        ask(charger, link.url(publish(server)))
        server.wait_requests(5)
        server.kill()
        link.cut()
        link.rate = 0
        server.start()
        expect_installed(charger, **OPTIONS)
    expect_store_relayed(charger)


def test_no_store(make_charger, tmp_path):
    """RAUC is told that there is no such chunk, and the slot, half written, is not booted."""
    charger = charger_that(make_charger)
    with Nginx(tmp_path / "web") as server:
        ask(charger, publish(server, store=False))
        assert charger.wait_end() == "InstallationFailed" and charger.statuses() == NO_INSTALL
        charger.wait_state("install-failed")
        assert "casync" in reasons(charger)[-1]
        assert {request.status for request in of_the_store(server)} == {404}
        assert in_spool(charger) == [] and charger.device.primary() == "A"
        ask(charger, publish(server))
        expect_installed(charger, count=2, **OPTIONS)


def test_a_chunk_is_missing_for_a_while(make_charger, tmp_path):
    charger = charger_that(make_charger)
    with Nginx(tmp_path / "web") as server:
        url = publish(server)
        name, path = sorted(chunks().items())[0]
        (server.files / "2.0.0.castr" / name).unlink()
        ask(charger, url, "retries=9 interval=1")
        charger.wait_step("installing -> retry-wait", 2)        # the first time for want of a store
        server.publish(path, f"2.0.0.castr/{name}")
        expect_installed(charger, **OPTIONS)
        assert len(server.requests("2.0.0.raucb")) == 1
    assert "fail" in events(charger)


def test_a_chunk_without_end(make_charger):
    """16 MiB of a chunk are enough: the relay gives up, and the history says why."""
    def answer(request, send):
        if ".castr/" not in request.path:
            data = bundle().path.read_bytes()
            send(head("200 OK", Content_Length=len(data)) + data)
            return
        send(head("200 OK"))
        while True:
            send(bytes(65536))
    charger = charger_that(make_charger)
    with Liar(answer) as liar:
        ask(charger, liar.url())
        assert charger.wait_end() == "InstallationFailed"
        charger.wait_state("install-failed")
    assert "a chunk of the casync store is longer than" in reasons(charger)[-1], reasons(charger)
    charger.update("3.0.0")
    expect_installed(charger, "3.0.0", 2)


def children(pid):
    """All processes below that one."""
    tasks = pathlib.Path(f"/proc/{pid}/task").glob("*/children")
    direct = [int(word) for task in tasks for word in task.read_text().split()]
    return direct + [child for one in direct for child in children(one)]


def alive(pid):
    return pathlib.Path(f"/proc/{pid}").exists()


def in_mid_store(charger, server, link):
    """A job whose RAUC reads the store; returns its readers, casync last."""
    ask(charger, link.url(publish(server)))
    server.wait_requests(4)
    readers = children(int((charger.device.root / "rauc.pid").read_text()))
    assert readers
    return readers[::-1]


def expect_not_charged(charger, server):
    expect_installed(charger, **OPTIONS)
    assert len(server.requests("2.0.0.raucb")) == 1
    assert not {"fail", "fail-last"} & set(events(charger)), reasons(charger)


def test_an_agent_that_dies_and_rauc_fails(make_charger, tmp_path):
    charger = charger_that(make_charger)
    with Nginx(tmp_path / "web") as server, Link(server, rate=SIZE // 2) as link:
        readers = in_mid_store(charger, server, link)
        charger.kill_agent()
        link.rate = 0
        wait_until(lambda: not any(map(alive, readers)), "RAUC's readers to end")
        charger.start_agent()
        expect_not_charged(charger, server)


@pytest.mark.parametrize("fails", [False, True])
def test_an_agent_that_is_back_before_rauc_notices(make_charger, tmp_path, fails):
    """The relay listens where it did, and the installation goes on; if it fails after all, that is not charged."""
    charger = charger_that(make_charger)
    with Nginx(tmp_path / "web") as server, Link(server, rate=SIZE // 2) as link:
        readers = in_mid_store(charger, server, link)
        for pid in readers:
            os.kill(pid, signal.SIGSTOP)
        charger.restart_agent()
        link.rate = 0
        charger.wait_step("installing -> installing", 3)        # writing, without and with the store; found again
        if fails:
            os.kill(readers[0], signal.SIGKILL)
        for pid in readers:
            os.kill(pid, signal.SIGCONT)
        expect_not_charged(charger, server)
    if fails:
        assert "interrupted" in events(charger)


def test_the_relay_is_gone_afterwards(make_charger, tmp_path):
    charger = charger_that(make_charger)
    with Nginx(tmp_path / "web") as server:
        ask(charger, publish(server))
        charger.wait_reboot_requested()
        port = int(re.search(r"http://127\.0\.0\.1:(\d+)/", charger.device.rauc_log())[1])
        table = open("/proc/net/tcp", encoding="ascii").read()
        assert f"0100007F:{port:04X} 00000000:0000 0A" not in table
        expect_installed(charger, **OPTIONS)
