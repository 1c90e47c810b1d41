# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whom the agent trusts with a bundle: certificates, names, times and versions of TLS, and what it says when it does not."""
import pytest

from charger import BUILD
from fetching import USER, ask, ca_file, charger_that, expect_download_failed, expect_installed
from otherclock import clock_at
from servers import Ftp, Nginx, Sftp, Tls
from simdevice import fixtures

BAD = {
    "csms-unknown": "comes from an unknown CA",
    "csms-wronghost": "the certificate is not made out for this host",
    "csms-expired": "is expired",
}


def publish(server, version="2.0.0"):
    return server.publish(fixtures.bundle(BUILD, version).path, f"{version}.raucb")


def own_certificate(pki):
    return {"ca_file": ca_file(), "client_cert_file": pki / "charge-point.crt", "client_key_file": pki / "charge-point.key"}


@pytest.mark.parametrize("kind", ["https", "ftps"])
@pytest.mark.parametrize("certificate", BAD)
def test_a_bad_certificate(make_charger, tmp_path, pki, kind, certificate):
    charger = charger_that(make_charger, ca_file=ca_file())
    tls = Tls(pki, certificate)
    folder = tmp_path / "server"
    with Nginx(folder, tls=tls) if kind == "https" else Ftp(folder, user=USER, security="implicit", tls=tls) as server:
        ask(charger, publish(server))
        expect_download_failed(charger, BAD[certificate])
        if kind == "https":     # and with a good one all is well
            server.tls = Tls(pki)
            server.restart()
            ask(charger, server.url("2.0.0.raucb"))
            expect_installed(charger, count=2)


def test_a_ca_that_is_not_the_systems(make_charger, tmp_path, pki):
    charger = charger_that(make_charger)
    with Nginx(tmp_path / "web", tls=Tls(pki)) as server:
        ask(charger, publish(server))
        expect_download_failed(charger, BAD["csms-unknown"])


def test_old_tls_only(make_charger, tmp_path, pki):
    charger = charger_that(make_charger, ca_file=ca_file())
    with Nginx(tmp_path / "web", tls=Tls(pki, old=True)) as server:
        ask(charger, publish(server))
        expect_download_failed(charger, "older than 1.2")
        assert server.requests() == []


def test_https_to_a_port_without_tls(make_charger, tmp_path):
    charger = charger_that(make_charger)
    with Nginx(tmp_path / "web") as server:
        ask(charger, publish(server).replace("http:", "https:"))
        expect_download_failed(charger, "does not speak TLS")


def test_client_certificate(make_charger, tmp_path, pki):
    charger = charger_that(make_charger, **own_certificate(pki))
    with Nginx(tmp_path / "web", tls=Tls(pki, client_ca="charge-point-ca")) as server:
        ask(charger, publish(server))
        expect_installed(charger)
        assert {request.tls for request in server.requests()} == {"TLSv1.3"}


@pytest.mark.parametrize("kind", ["none", "of another CA"])
def test_client_certificate_that_the_server_does_not_take(make_charger, tmp_path, pki, kind):
    own = {**own_certificate(pki), "client_cert_file": pki / "csms.crt", "client_key_file": pki / "csms.key"}
    charger = charger_that(make_charger, **(own if kind != "none" else {"ca_file": ca_file()}))
    with Nginx(tmp_path / "web", tls=Tls(pki, client_ca="charge-point-ca")) as server:
        ask(charger, publish(server))
        expect_download_failed(charger, "HTTP status 400")


@pytest.mark.parametrize("certificate", ["csms", "csms-expired"])
def test_a_clock_that_stands_at_1970(make_charger, tmp_path, pki, certificate):
    charger = make_charger(wrap=clock_at(tmp_path), settings={"download": {"ca-file": ca_file()}}).start()
    with Nginx(tmp_path / "web", tls=Tls(pki, certificate)) as server:
        ask(charger, publish(server))
        if certificate == "csms":
            expect_installed(charger)
        else:
            expect_download_failed(charger, "is expired")


def test_sftp_host_key(make_charger, tmp_path):
    """Without known-hosts-file any host will do, for the bundle is signed; with it, only that one."""
    with Sftp(tmp_path / "sftp", user=USER) as server:
        charger = charger_that(make_charger, known_hosts_file=server.known_hosts)
        url = publish(server)
        server.change_host_key()
        server.restart()
        ask(charger, url)
        expect_download_failed(charger, "SSH: ")
        server.known_hosts.touch()      # is written anew
        ask(charger, server.url("2.0.0.raucb"))
        expect_installed(charger, count=2)
