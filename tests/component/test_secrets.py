# SPDX-License-Identifier: LGPL-2.1-or-later
"""Passwords and keys of bundle servers: who may know them is the server, and the column of the store that keeps the URL."""
import base64
import pathlib
import sqlite3
import threading
from urllib.parse import quote

import pytest

from charger import BUILD, binary
from fetching import ask, ca_file, charger_that, expect_installed
from servers import Ftp, Nginx, Sftp, Tls
from simdevice import fixtures
from simdevice.process import Process
from stages import wait_control

PASSWORD = "s3cr:t@pa/ss w%rd"
USER = ("charger", PASSWORD)
KEPT_IN = ("jobs", "location")      # the one column of the store that holds the URL as it is


def tls(**options):
    return Tls(fixtures.pki(BUILD), **options)


SERVERS = {
    "http": lambda folder: Nginx(folder, user=USER),
    "https": lambda folder: Nginx(folder, user=USER, tls=tls(client_ca="charge-point-ca")),
    "ftp": lambda folder: Ftp(folder, user=USER),
    "sftp": lambda folder: Sftp(folder, user=USER),
}


def forms(secret):
    """Everything that a secret may look like."""
    login = f"{USER[0]}:{secret}".encode()
    return {secret, quote(secret, safe=""), quote(secret), base64.b64encode(secret.encode()).decode(),
            base64.b64encode(login).decode()}


class CommandLines:
    """What the processes of this machine are called with while it runs, and what their environments are."""

    def __init__(self):
        self.seen = set()
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ends.set()
        self._thread.join()

    def _look(self):
        while not self._ends.wait(0.005):
            for path in pathlib.Path("/proc").glob("[0-9]*"):
                for name in ("cmdline", "environ"):
                    try:
                        self.seen.add((path / name).read_bytes())
                    except OSError:
                        pass

    def text(self):
        return b"\0".join(self.seen).decode(errors="replace")


def bus_traffic(charger):
    """A process that writes down everything on the charger's bus; needs one that runs."""
    log = charger.path / "bus-traffic.log"
    return log, Process(["dbus-monitor", "--system"], log=log, env=charger.environment(),
                        pid_file=charger.path / "monitor.pid")


def store_cells(charger):
    """((table, column), content) of every cell of the store."""
    with sqlite3.connect(f"file:{charger.store}?mode=ro", uri=True) as store:
        tables = [name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            rows = store.execute(f"SELECT * FROM {table}")
            for row in rows:
                yield from (((table, column[0]), str(cell)) for column, cell in zip(rows.description, row))


def what_others_see(charger):
    """By name, all that anybody but the server gets to see."""
    folder = charger.device.root
    texts = {path.name: path.read_text(errors="replace") for path in (charger.log, folder / "rauc.log", folder / "bus.log")}
    texts |= {name: charger.ctl(*name.split()).stdout for name in ("history", "history --json", "status", "status --json")}
    texts["spool"] = "".join(path.read_text(errors="replace") for path in charger.spool.glob("*.info"))
    texts["store"] = "\n".join(cell for place, cell in store_cells(charger) if place != KEPT_IN)
    texts["frames"] = str([frame["frame"] for frame in charger.csms.received()])
    return texts


def expect_unseen(secrets, texts):
    wanted = set().union(*map(forms, secrets))
    found = [(name, secret) for name, text in texts.items() for secret in wanted if secret in text]
    assert not found


def settings(pki):
    return {"ca_file": ca_file(), "client_cert_file": pki / "charge-point.crt", "client_key_file": pki / "charge-point.key"}


def key_lines(pki):
    """The secret lines of the client's key."""
    return [line for line in (pki / "charge-point.key").read_text().splitlines() if "--" not in line]


@pytest.mark.parametrize("name, transport", [*((name, "auto") for name in SERVERS), ("https", "download")])
def test_a_password_in_the_url(make_charger, tmp_path, name, transport):
    """At first a wrong one, so that there is something to complain about."""
    pki = fixtures.pki(BUILD)
    charger = charger_that(make_charger, transport, **settings(pki))
    log, monitor = bus_traffic(charger)
    wrong = PASSWORD[::-1]
    with SERVERS[name](tmp_path / "server") as server, CommandLines() as commands:
        url = server.publish(fixtures.bundle(BUILD, "2.0.0").path, "2.0.0.raucb") + "?token=t0ps3cret"
        if name not in ("http", "https"):
            url = url.partition("?")[0]
        ask(charger, url.replace(quote(PASSWORD, safe=""), quote(wrong, safe="")))
        assert charger.wait_end() == "DownloadFailed"
        ask(charger, url, "retries=2 interval=0")
        charger.wait_reboot_requested()
        texts = what_others_see(charger)
        expect_installed(charger, count=2)
    monitor.kill()
    texts |= {f"{key} at the end": text for key, text in what_others_see(charger).items()}
    texts |= {"commands": commands.text(), "bus": log.read_text(errors="replace")}
    assert "2.0.0.raucb" in texts["status"] and "InstallBundle" in texts["bus"] and binary() in texts["commands"]
    assert url in [cell for place, cell in store_cells(charger) if place == KEPT_IN]
    expect_unseen([PASSWORD, wrong, "t0ps3cret", *key_lines(pki)], texts)


def test_a_netrc_file(make_charger, tmp_path):
    password = "netrcS3cret"
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine 127.0.0.1 login charger password {password}\n")
    netrc.chmod(0o600)
    charger = charger_that(make_charger, "auto", netrc_file=netrc)
    log, monitor = bus_traffic(charger)
    with Nginx(tmp_path / "web", user=("charger", password)) as server, CommandLines() as commands:
        server.publish(fixtures.bundle(BUILD, "2.0.0").path, "2.0.0.raucb")
        ask(charger, f"http://127.0.0.1:{server.port}/2.0.0.raucb")
        expect_installed(charger)
        assert server.requests()[-1].user == "charger"
    monitor.kill()
    texts = what_others_see(charger) | {"commands": commands.text(), "bus": log.read_text(errors="replace")}
    expect_unseen([password], texts)


def test_by_hand(make_charger, tmp_path):
    """Whoever calls `install` types the password; nobody else gets it, nor the one who asks what is under way."""
    charger = charger_that(make_charger)
    password = "typed:S3cret"       # not that of the other tests, which look at all processes
    with Nginx(tmp_path / "web", user=("charger", password)) as server:
        url = server.publish(fixtures.bundle(BUILD, "2.0.0").path, "2.0.0.raucb")
        wait_control(charger)
        command = Process([binary(), "--config", str(charger.config), "install", url],
                          log=charger.path / "install.log", env=charger.environment(),
                          pid_file=charger.path / "install.pid")
        charger.wait_reboot_requested()
        texts = what_others_see(charger)
        expect_installed(charger)
        command.kill()
    texts["command"] = (charger.path / "install.log").read_text()
    expect_unseen([password], texts)


def test_redirected_to_another_server(make_charger, tmp_path):
    """That one does not get the password."""
    charger = charger_that(make_charger)
    with Nginx(tmp_path / "other") as other:
        url = other.publish(fixtures.bundle(BUILD, "2.0.0").path, "2.0.0.raucb")
        with Nginx(tmp_path / "web", user=USER) as server:
            server.directives = ("location = /2.0.0.raucb { try_files /none @away; }",
                                 f"location @away {{ return 302 {url}; }}")
            server.restart()
            ask(charger, server.url("2.0.0.raucb"))
            expect_installed(charger)
        assert [request.user for request in other.requests()] == [""]
