# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which bundles come from which servers, and how: the table in src/adapter/README.md is what these tests see.

tests/streaming/test_sources.py sees its rows for a RAUC that streams, by the same tests.
"""
import os
import pathlib
import subprocess

import pytest

from charger import BUILD
from fetching import USER, ask, ca_file, charger_that, events, in_spool, reasons
from servers import Ftp, Nginx, Sftp, Tls, Vsftpd
from simdevice import fixtures

TABLE = pathlib.Path(__file__).resolve().parents[2] / "src" / "adapter" / "README.md"
FORMATS = ["plain", "verity", "casync"]


def tls(**options):
    return Tls(fixtures.pki(BUILD), **options)


def client_key():
    """Settings: what https with a client certificate needs."""
    pki = fixtures.pki(BUILD)
    return {"client_cert_file": pki / "charge-point.crt", "client_key_file": pki / "charge-point.key"}


SERVERS = {
    "http, nginx": lambda folder: Nginx(folder),
    "http with a password, nginx": lambda folder: Nginx(folder, user=USER),
    "http without ranges, nginx": lambda folder: Nginx(folder, ranges=False),
    "https, nginx": lambda folder: Nginx(folder, tls=tls()),
    "https with a client certificate, nginx": lambda folder: Nginx(folder, tls=tls(client_ca="charge-point-ca")),
    "ftp, pyftpdlib": lambda folder: Ftp(folder),
    "ftp with a password, pyftpdlib": lambda folder: Ftp(folder, user=USER),
    "ftp with a password, vsftpd": lambda folder: Vsftpd(folder, user=USER),
    "ftp without REST, pyftpdlib": lambda folder: Ftp(folder, rest=False),
    "ftp that wants TLS (AUTH), pyftpdlib": lambda folder: Ftp(folder, user=USER, security="explicit", tls=tls()),
    "ftps, pyftpdlib": lambda folder: Ftp(folder, user=USER, security="implicit", tls=tls()),
    "ftps, vsftpd": lambda folder: Vsftpd(folder, user=USER, security="implicit", tls=tls()),
    "sftp with a password, OpenSSH": lambda folder: Sftp(folder, user=USER),
}
WHY = {     # the words of the history, and those of the table
    "Failed to open /dev/mapper/control": "no device mapper",
    "the server refuses the user or the password": "TLS only as ftps://",
    "give RAUC a store of its own": "RAUC needs a store of its own",
}
DEVICE_MAPPER = pathlib.Path("/dev/mapper/control")


def rauc_version():
    rauc = os.environ.get("RAUC", "rauc")
    return subprocess.run([rauc, "--version"], capture_output=True, text=True, check=True).stdout.split()[1]


def publish(server, version, **options):
    """The bundle and, if it has one, its casync store."""
    bundle = fixtures.bundle(BUILD, version, **options)
    store = bundle.path.with_suffix(".castr")
    for chunk in store.rglob("*.cacnk"):
        server.publish(chunk, f"{version}.castr/{chunk.relative_to(store)}")
    return server.publish(bundle.path, f"{version}.raucb")


def way_of(charger, job):
    """How the bundle of an installed job came."""
    seen = events(charger, job)
    if "fetch-ok" not in seen:
        return "streamed"
    return "downloaded" + (", store relayed" if "next-transport" in seen[seen.index("fetch-ok"):] else "")


def outcome(charger, job, version, **options):
    """Plays an update, the only one with that number; what it is in the table."""
    end = charger.play(job)
    charger.wait_idle()
    assert in_spool(charger) == []
    if end != "Installed":
        reason = reasons(charger)[-1]
        return "refused: " + next((short for words, short in WHY.items() if words in reason), reason)
    assert charger.installed_image(charger.device.booted, version, **options)
    return way_of(charger, job)


def table_rows(version):
    """Those of the table in the document, by server; it was made where there is no device mapper."""
    text = TABLE.read_text()
    if DEVICE_MAPPER.exists():
        text = text.replace("refused: no device mapper", "downloaded")
    rows = [line for line in text.splitlines() if f" | {version} | " in line]
    return {row.split(" | ")[0][2:]: row for row in rows}


@pytest.mark.parametrize("name", SERVERS)
def test_server(make_charger, tmp_path, name):
    charger = charger_that(make_charger, "auto", ca_file=ca_file(), **client_key())
    cells = []
    with SERVERS[name](tmp_path / "server") as server:
        for number, kind in enumerate(FORMATS, 1):
            version = f"{number + 1}.0.0"
            ask(charger, publish(server, version, format=kind))
            cells.append(outcome(charger, number, version, format=kind))
    seen = f"| {name} | {rauc_version()} | {' | '.join(cells)} |"
    assert seen == table_rows(rauc_version()).get(name)


def test_the_table_has_no_other_rows():
    assert list(table_rows(rauc_version())) == list(SERVERS)


# ----------------------------------------------------------------------------------------------- the way to go

def test_what_rauc_cannot_is_learned_once_a_boot(make_charger):
    charger = charger_that(make_charger, "auto")
    for job, version in enumerate(["2.0.0", "3.0.0"], 1):
        charger.update(version, signer="foreign")
        assert charger.wait_end(job) == "InstallationFailed"
        charger.wait_idle()
        charger.restart_agent()
        charger.wait_registered(job + 1)
    charger.update("4.0.0", signer="foreign")
    assert charger.wait_end(3) == "InstallationFailed"
    charger.wait_idle()
    assert ["next-transport" in events(charger, job) for job in (1, 2, 3)] == [True, False, False]
    charger.reboot()
    charger.update("5.0.0")
    assert charger.play(4) == "Installed"
    assert "next-transport" in events(charger, 4)
    assert len(charger.server.requests("5.0.0.raucb")) == 1     # a look at what RAUC can costs no bytes


def test_stream_only(make_charger):
    """RAUC 1.8 cannot, and nothing else was allowed: all retries would end so."""
    charger = charger_that(make_charger, "stream")
    charger.update("2.0.0", options="retries=3 interval=3600")
    assert charger.wait_end() == "InstallationFailed"
    assert "cannot stream" in reasons(charger)[-1]
    assert charger.server.requests() == [] and charger.device.slot_version("B") == "0.9.0"
