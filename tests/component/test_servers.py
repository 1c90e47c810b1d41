# SPDX-License-Identifier: LGPL-2.1-or-later
"""The servers that bundles come from in tests, tests/servers, tried with curl: each does what it says it does."""
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import pytest

from fetching import USER
from servers import Ftp, Link, Nginx, Sftp, Tls, Vsftpd, base
from simdevice import wait_until

BUILD = pathlib.Path(__file__).resolve().parents[2] / "build"
SIZE = 1_500_000
# What curl's exit codes say.
REFUSED, CUT_SHORT, HTTP_ERROR, TIMEOUT, NO_REST = 7, 18, 22, 28, 31
TLS_FAILED, RESET, CERTIFICATE, LOGIN = 35, 56, 60, 67


@pytest.fixture
def data():
    return os.urandom(SIZE)


@pytest.fixture
def file(tmp_path, data):
    path = tmp_path / "v2.raucb"
    path.write_bytes(data)
    return path


class Curl:
    """One transfer of the curl tool, in the background."""

    def __init__(self, path, *arguments):
        self.out = path / f"out{time.monotonic_ns()}"
        self.process = subprocess.Popen(["curl", "-q", "-sS", "-f", "--max-time", "100", "-o", self.out, *arguments],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True, env={"PATH": os.environ["PATH"], "HOME": str(path)})

    def end(self):
        """(exit code, what arrived); the words are in self.words."""
        _, self.words = self.process.communicate(timeout=110)
        return self.process.returncode, self.out.read_bytes() if self.out.exists() else b""


@pytest.fixture
def curl(tmp_path):
    made = []

    def start(*arguments):
        made.append(Curl(tmp_path, *map(str, arguments)))
        return made[-1]
    yield start
    for transfer in made:
        transfer.process.kill()
        transfer.process.communicate()


@pytest.fixture
def trust(pki):
    return ["--cacert", pki / "csms-ca.crt"]


# ------------------------------------------------------------------------------------------------------------- nginx

def test_nginx_serves_ranges_and_logs_them(tmp_path, file, data, curl):
    with Nginx(tmp_path / "web") as server:
        url = server.publish(file)
        assert url == f"http://127.0.0.1:{server.port}/v2.raucb"
        assert curl(url).end() == (0, data)
        assert curl("-r", "1000-1999", url).end() == (0, data[1000:2000])
        assert curl(server.url("missing")).end()[0] == HTTP_ERROR
        seen = server.wait_requests(3)
        assert [(e.method, e.path, e.range, e.status) for e in seen] == [
            ("GET", "/v2.raucb", "", 200), ("GET", "/v2.raucb", "bytes=1000-1999", 206), ("GET", "/missing", "", 404)]
        assert [e.bytes for e in server.requests("v2.raucb")] == [SIZE, 1000]
        assert server.body_bytes("v2.raucb") == SIZE + 1000


def test_nginx_without_ranges(tmp_path, file, data, curl):
    with Nginx(tmp_path / "web", ranges=False) as server:
        assert curl("-r", "1000-1999", server.publish(file)).end() == (0, data)
        assert server.wait_requests(1)[0].status == 200


def test_nginx_asks_for_a_password(tmp_path, file, data, curl):
    with Nginx(tmp_path / "web", user=USER) as server:
        url = server.publish(file)
        assert curl(url).end() == (0, data)
        assert curl("-u", "charger:wrong", url.replace(url[7:url.index("@") + 1], "")).end()[0] == HTTP_ERROR
        assert [(e.status, e.user) for e in server.wait_requests(2)][0] == (200, USER[0])


def test_nginx_compresses(tmp_path, curl):
    text = tmp_path / "text.raucb"
    text.write_bytes(b"again and " * 10000)
    with Nginx(tmp_path / "web", gzip=True) as server:
        url = server.publish(text)
        assert curl("--compressed", url).end() == (0, text.read_bytes())
        assert server.wait_requests(1)[0].bytes < 5000


def test_nginx_takes_uploads(tmp_path, file, data, curl):
    with Nginx(tmp_path / "web", uploads=True) as server:
        assert curl("-T", file, server.incoming_url("logs/a.log")).end()[0] == 0
        assert server.arrived("logs/a.log") == data
        assert server.wait_requests(1)[0].method == "PUT"


def test_a_new_file_has_a_new_etag(tmp_path, file, curl):
    with Nginx(tmp_path / "web") as server:
        url = server.publish(file)
        headers = [tmp_path / "first", tmp_path / "second"]
        assert curl("-D", headers[0], url).end()[0] == 0
        file.write_bytes(os.urandom(SIZE))
        server.publish(file)
        assert curl("-D", headers[1], url).end() == (0, file.read_bytes())
        first, second = ([line for line in path.read_text().splitlines() if line.startswith(("ETag", "Last-Modified"))]
                         for path in headers)
        assert len(first) == 2 and first[0] != second[0] and first[1] != second[1]


def test_nginx_restarts_and_moves(tmp_path, file, data, curl):
    with Nginx(tmp_path / "web") as server:
        url = server.publish(file)
        server.stop()
        assert curl(url).end()[0] == REFUSED
        server.restart()
        assert curl(url).end() == (0, data)
        server.ranges = False
        server.restart()
        assert curl("-r", "1-2", url).end() == (0, data)
        server.move("127.0.0.2")
        assert curl(url).end()[0] == REFUSED
        assert curl(server.url("v2.raucb")).end() == (0, data)


def test_a_taken_port_is_not_the_end(tmp_path, file, data, curl, monkeypatch):
    with socket.socket() as taken, Nginx(tmp_path / "first"):
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = [taken.getsockname()[1], taken.getsockname()[1], base.free_port()]
        monkeypatch.setattr(base, "free_port", lambda: ports.pop(0))
        with Nginx(tmp_path / "web") as server:
            assert not ports
            assert curl(server.publish(file)).end() == (0, data)


@pytest.mark.parametrize("certificate, words", [
    ("csms", ""), ("csms-unknown", "unable to get local issuer certificate"),
    ("csms-wronghost", "does not match|no alternative"), ("csms-expired", "certificate has expired")])
def test_certificates(tmp_path, pki, file, data, curl, trust, certificate, words):
    with Nginx(tmp_path / "web", tls=Tls(pki, certificate)) as server:
        transfer = curl(*trust, server.publish(file))
        code, got = transfer.end()
        assert (code, got) == ((CERTIFICATE, b"") if words else (0, data)), transfer.words
        assert not words or any(word in transfer.words for word in words.split("|"))


def test_old_tls_only(tmp_path, pki, file, data, curl, trust):
    with Nginx(tmp_path / "web", tls=Tls(pki, old=True)) as server:
        url = server.publish(file)
        assert curl(*trust, url).end()[0] == TLS_FAILED
        old = ("--tlsv1.0", "--ciphers", "DEFAULT@SECLEVEL=0")
        assert curl(*trust, *old, url).end() == (0, data)
        assert server.wait_requests(1)[0].tls == "TLSv1.1"


@pytest.mark.parametrize("http2", [False, True])
def test_client_certificate(tmp_path, pki, file, data, curl, trust, http2):
    with Nginx(tmp_path / "web", tls=Tls(pki, client_ca="charge-point-ca"), http2=http2) as server:
        url = server.publish(file)
        assert curl(*trust, url).end()[0] in (HTTP_ERROR, TLS_FAILED)
        own = ("--cert", pki / "charge-point.crt", "--key", pki / "charge-point.key")
        assert curl(*trust, *own, url).end() == (0, data)


# --------------------------------------------------------------------------------------------------------------- ftp

@pytest.mark.parametrize("kind", [Ftp, Vsftpd])
@pytest.mark.parametrize("user", [None, USER])
def test_ftp_and_its_commands(tmp_path, file, data, curl, kind, user):
    with kind(tmp_path / "ftp", user=user) as server:
        url = server.publish(file)
        assert curl(url).end() == (0, data)
        assert curl("-r", "1000-", url).end() == (0, data[1000:])
        assert [c.argument.lstrip("/") for c in server.wait_commands(2, "RETR")] == ["v2.raucb"] * 2
        assert [c.argument for c in server.commands("REST")] == ["1000"]
        assert [c.bytes for c in server.wait_commands(2, "sent")] == [SIZE, SIZE - 1000]
        assert server.body_bytes() == 2 * SIZE - 1000
        if user:
            assert curl("-u", "charger:wrong", url).end()[0] == LOGIN
            assert USER[1] not in server.log_text()


@pytest.mark.parametrize("kind", [Ftp, Vsftpd])
@pytest.mark.parametrize("security", ["explicit", "implicit"])
def test_ftp_with_tls(tmp_path, pki, file, data, curl, trust, kind, security):
    with kind(tmp_path / "ftp", user=USER, security=security, tls=Tls(pki)) as server:
        url = server.publish(file)
        assert url.startswith("ftps://" if security == "implicit" else "ftp://")
        assert curl("--ssl-reqd", *trust, url).end() == (0, data)
        assert curl("--ssl-reqd", *trust, "-r", "1000-", url).end() == (0, data[1000:])
        assert curl("--ssl-reqd", url).end()[0] == CERTIFICATE
        if security == "explicit":
            assert curl(url).end()[0] == LOGIN


def test_ftp_without_rest(tmp_path, file, data, curl):
    with Ftp(tmp_path / "ftp", rest=False) as server:
        url = server.publish(file)
        assert curl(url).end() == (0, data)
        assert curl("-r", "1000-", url).end()[0] == NO_REST


# -------------------------------------------------------------------------------------------------------------- sftp

def test_sftp(tmp_path, file, data, curl):
    with Sftp(tmp_path / "sftp", user=USER) as server:
        url = server.publish(file)
        key = ("--hostpubsha256", server.sha256)
        assert curl(*key, url).end() == (0, data)
        assert curl(*key, "-r", "1000-", url).end() == (0, data[1000:])
        assert [r.bytes for r in server.wait_readings(2, "v2.raucb")] == [SIZE, SIZE - 1000]
        assert curl(*key, "-u", "charger:wrong", url).end()[0] == LOGIN
        assert server.logins() == (2, 1)


def test_sftp_server_of_another_key(tmp_path, file, data, curl):
    (tmp_path / ".ssh").mkdir()
    with Sftp(tmp_path / "sftp", user=USER) as server:
        url = server.publish(file)
        (tmp_path / ".ssh" / "known_hosts").write_text(server.known_hosts.read_text())
        assert curl(url).end() == (0, data)
        assert curl("--hostpubmd5", server.md5, url).end() == (0, data)
        server.change_host_key()
        server.restart()
        assert curl(url).end()[0] == CERTIFICATE


# -------------------------------------------------------------------------------------------------------------- link

@pytest.fixture
def web(tmp_path, file):
    with Nginx(tmp_path / "web") as server:
        server.publish(file)
        yield server


def test_link_counts(web, data, curl):
    with Link(web) as link:
        assert curl(link.url("v2.raucb")).end() == (0, data)
        assert curl("-r", "0-9", link.url(web.url("v2.raucb"))).end() == (0, data[:10])
        assert link.connections == 2
        assert SIZE < link.bytes_down < SIZE + 2000 and 100 < link.bytes_up < 1000
        wait_until(lambda: link.open_connections == 0, "the connections to end")


def test_link_delays(web, data, curl):
    with Link(web, delay=0.05) as link:
        start = time.monotonic()
        assert curl("-r", "0-9", link.url("v2.raucb")).end() == (0, data[:10])
        assert time.monotonic() - start >= 0.2      # one round trip for the connection, one for the request


def test_link_limits(web, data, curl):
    with Link(web, rate=SIZE // 2) as link:
        start = time.monotonic()
        assert curl(link.url("v2.raucb")).end() == (0, data)
        assert time.monotonic() - start >= 1.9


def test_link_breaks(web, data, curl):
    with Link(web, rate=SIZE // 4) as link:
        transfer = curl(link.url("v2.raucb"))
        link.wait_bytes_down(SIZE // 8)
        link.cut()
        code, got = transfer.end()
        assert code in (RESET, CUT_SHORT) and data.startswith(got) and len(got) < SIZE
        link.rate = 0
        assert curl(link.url("v2.raucb")).end() == (0, data)
        assert link.cuts == 1


def test_link_breaks_again_and_again(web, tmp_path, data, curl):
    with Link(web) as link:
        link.cut_every(100_000, times=5)
        got = b""
        for _ in range(5):
            code, more = curl("-r", f"{len(got)}-", link.url("v2.raucb")).end()
            assert code in (RESET, CUT_SHORT)
            got += more
        assert curl("-r", f"{len(got)}-", link.url("v2.raucb")).end() == (0, data[len(got):])
        assert data.startswith(got) and len(got) > 0 and link.cuts == 5
        assert SIZE < link.bytes_down < SIZE + 6 * 1000     # headers, and nothing that did not arrive


def test_link_refuses(web, data, curl):
    with Link(web) as link:
        link.refuse()
        assert curl(link.url("v2.raucb")).end()[0] == REFUSED
        link.up()
        assert curl(link.url("v2.raucb")).end() == (0, data)


def test_link_falls_silent(web, data, curl):
    with Link(web, rate=SIZE // 2) as link:
        old = curl(link.url("v2.raucb"))
        link.wait_bytes_down(SIZE // 8)
        link.silence()
        there = link.bytes_down
        assert curl("--max-time", "1", link.url("v2.raucb")).end() == (TIMEOUT, b"")
        assert old.process.poll() is None and link.bytes_down <= there + SIZE // 20
        link.up()
        assert old.end() == (0, data)


def test_link_forgets_connections(web, data, curl):
    with Link(web, rate=SIZE // 4) as link:
        old = curl("--max-time", "3", link.url("v2.raucb"))
        link.wait_bytes_down(SIZE // 8)
        link.lose()
        link.rate = 0
        assert curl(link.url("v2.raucb")).end() == (0, data)
        assert old.end()[0] == TIMEOUT


def test_link_follows_the_server(web, data, curl):
    with Link(web) as link:
        web.move("127.0.0.3")
        assert curl(link.url("v2.raucb")).end() == (0, data)
        web.stop()
        assert curl(link.url("v2.raucb")).end()[0] != 0


@pytest.mark.parametrize("kind", [Ftp, Vsftpd])
def test_link_carries_the_data_of_ftp(tmp_path, file, data, curl, kind):
    with kind(tmp_path / "ftp", user=USER) as server, Link(server) as link:
        url = link.url(server.publish(file))
        assert curl(url).end() == (0, data)
        assert link.bytes_down > SIZE and link.connections == 2
        link.cut_every(SIZE // 2, times=1)
        code, got = curl(url).end()
        assert code != 0 and data.startswith(got) and len(got) < SIZE


def test_link_carries_ftps(tmp_path, pki, file, data, curl, trust):
    server = Ftp(tmp_path / "ftp", user=USER, security="explicit", tls=Tls(pki), address="127.0.0.9")
    with server, Link(server) as link:
        assert curl("--ssl-reqd", *trust, link.url(server.publish(file))).end() == (0, data)
        assert link.bytes_down > SIZE


# -------------------------------------------------------------------------------------------------- nothing is left

_STARTER = """
import pathlib, sys, time
sys.path[:0] = sys.argv[2:]
from servers import Ftp, Nginx, Sftp, Vsftpd
folder = pathlib.Path(sys.argv[1])
made = [Nginx(folder / "a"), Ftp(folder / "b"), Vsftpd(folder / "c"), Sftp(folder / "d", user=("u", "p"))]
print(*[server.start().port for server in made], flush=True)
time.sleep(3600)
"""


def test_servers_die_with_whoever_made_them(tmp_path):
    users = pathlib.Path("/etc/passwd").read_text()
    tests, tools = BUILD.parent / "tests", BUILD.parent / "tools"
    starter = subprocess.Popen([sys.executable, "-c", _STARTER, tmp_path, tests, tools], stdout=subprocess.PIPE)
    ports = [int(port) for port in starter.stdout.readline().split()]
    assert len(ports) == 4 and all(_listens(port) for port in ports)
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    starter.stdout.close()
    wait_until(lambda: not any(_listens(port) for port in ports), "the servers to die")
    mounts = pathlib.Path("/proc/self/mountinfo").read_text()
    assert tmp_path.name not in mounts and "/etc/passwd" not in mounts
    assert pathlib.Path("/etc/passwd").read_text() == users


def _listens(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
