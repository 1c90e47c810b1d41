# SPDX-License-Identifier: LGPL-2.1-or-later
"""Files sent to real servers (include/adapter/upload.h), by a program that does nothing else: tests/unit/upload_file.c."""
import os
import pathlib
import re
import socket
import subprocess
import time

import pytest

from fetching import USER
from servers import Ftp, Link, Nginx, Receiver, Sftp, Tls, Vsftpd, base
from simdevice import wait_until

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = TOP / "build"
PROGRAM = os.environ.get("UPLOAD_FILE") or str(BUILD / "asan" / "tests" / "upload_file")
SECRETS = ["p:w@d", "p%3Aw%40d"]
SIZE = 1_500_000
BLOCKED_MS = 1900           # the loop's longest standstill, on a busy machine; libcurl alone would block for longer
NETWORK, SERVER, REFUSED, TLS, URL, _, _, PROTOCOL, _, LOCAL = range(10)


@pytest.fixture
def data():
    return os.urandom(SIZE)


@pytest.fixture
def file(tmp_path, data):
    path = tmp_path / "CP001_20261122T102030Z.tar.gz"
    path.write_bytes(data)
    return path


class Upload:
    """One upload, in the background."""

    def __init__(self, *arguments, environment=None):
        self.process = subprocess.Popen([PROGRAM, *map(str, arguments)], stdin=subprocess.DEVNULL, text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        env={"PATH": os.environ["PATH"], **(environment or {})})

    def end(self):
        """None when it was sent, else (the TransferError, the words)."""
        self.output, errors = self.process.communicate(timeout=110)
        assert errors == "" and self.process.returncode in (0, 1), errors
        assert not any(secret in self.output for secret in SECRETS)
        *_, outcome, longest = self.output.splitlines()
        self.longest_ms = int(longest.split()[1])
        if outcome == "sent":
            return None
        code, self.retry_after_s, words = re.fullmatch(r"error (\d+) retry-after (\d+): (.*)", outcome).groups()
        return int(code), words

    def kill(self):
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def upload():
    made = []

    def start(*arguments, **options):
        made.append(Upload(*arguments, **options))
        return made[-1]
    yield start
    for each in made:
        if each.process.poll() is None:
            each.kill()


@pytest.fixture
def trust(pki):
    return ["--ca", pki / "csms-ca.crt"]


# ----------------------------------------------------------------------------------------------------- byte for byte

SERVERS = {
    "http": lambda folder, pki: Nginx(folder, uploads=True),
    "http, password": lambda folder, pki: Nginx(folder, uploads=True, user=USER),
    "https": lambda folder, pki: Nginx(folder, uploads=True, tls=Tls(pki), user=USER),
    "ftp, pyftpdlib": lambda folder, pki: Ftp(folder, uploads=True),
    "ftp, pyftpdlib, password": lambda folder, pki: Ftp(folder, uploads=True, user=USER),
    "ftp, vsftpd": lambda folder, pki: Vsftpd(folder, uploads=True, user=USER),
    "ftps, pyftpdlib": lambda folder, pki: Ftp(folder, uploads=True, user=USER, security="implicit", tls=Tls(pki)),
    "ftps, vsftpd": lambda folder, pki: Vsftpd(folder, uploads=True, user=USER, security="implicit", tls=Tls(pki)),
    "sftp": lambda folder, pki: Sftp(folder, uploads=True, user=USER),
}


@pytest.mark.parametrize("name", SERVERS)
def test_arrives(tmp_path, pki, file, data, upload, trust, name):
    with SERVERS[name](tmp_path / "server", pki) as server:
        assert upload(*trust, server.incoming_url(file.name), file).end() is None
        assert server.arrived(file.name) == data
        file.write_bytes(data[:100])            # the next one is written over it
        assert upload(*trust, server.incoming_url(file.name), file).end() is None
        assert server.arrived(file.name) == data[:100]


@pytest.mark.parametrize("name", SERVERS)
def test_nothing_arrives_as_nothing(tmp_path, pki, file, upload, trust, name):
    file.write_bytes(b"")
    with SERVERS[name](tmp_path / "server", pki) as server:
        assert upload(*trust, server.incoming_url(file.name), file).end() is None
        assert server.arrived(file.name) == b""


@pytest.mark.parametrize("secure", [False, True])
def test_form(tmp_path, pki, file, data, upload, trust, secure):
    with Receiver(tmp_path / "server", user=USER, tls=Tls(pki) if secure else None) as server:
        assert upload("--post", *trust, server.incoming_url(), file).end() is None
        assert server.arrived(file.name) == data
        [form] = server.wait_forms(1)
        assert (form.path, form.field, form.name, form.bytes) == ("/incoming/", "file", file.name, SIZE)
        assert form.expect == ""


# ---------------------------------------------------------------------------------------------------------- refusals

def expect(end, code, words):
    assert end is not None and end[0] == code and words in end[1], end


def test_unknown_ca(tmp_path, pki, file, upload, trust):
    with Nginx(tmp_path / "web", uploads=True, tls=Tls(pki, "csms-unknown")) as server:
        expect(upload(*trust, server.incoming_url("a"), file).end(), TLS, "unknown CA")
        assert server.requests() == []
    with Ftp(tmp_path / "ftp", uploads=True, user=USER, security="implicit", tls=Tls(pki, "csms-unknown")) as server:
        expect(upload(*trust, server.incoming_url("a"), file).end(), TLS, "unknown CA")
        assert server.commands() == []


def test_client_certificate(tmp_path, pki, file, data, upload, trust):
    own = ("--cert", pki / "charge-point.crt", "--key", pki / "charge-point.key")
    with Nginx(tmp_path / "web", uploads=True, tls=Tls(pki, client_ca="charge-point-ca")) as server:
        end = upload(*trust, server.incoming_url("a"), file).end()
        assert end is not None and end[0] in (REFUSED, TLS)
        assert upload(*trust, *own, server.incoming_url("a"), file).end() is None
        assert server.arrived("a") == data


@pytest.mark.parametrize("name", [name for name in SERVERS if name not in ("http", "ftp, pyftpdlib")])
def test_wrong_password(tmp_path, pki, file, upload, trust, name):
    with SERVERS[name](tmp_path / "server", pki) as server:
        server.user = ("charger", "wr:ng")
        one = upload(*trust, server.incoming_url("a"), file)
        expect(one.end(), REFUSED, "user or")
        assert "wr" + ":ng" not in one.output and "wr%3Ang" not in one.output


def test_netrc(tmp_path, file, data, upload):
    with Ftp(tmp_path / "ftp", uploads=True, user=("charger", "secret")) as server:
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login charger password secret\n")
        url = server.incoming_url("a").replace("charger:secret@", "")
        assert upload("--netrc", netrc, url, file).end() is None
        assert server.arrived("a") == data


def test_known_hosts(tmp_path, file, data, upload):
    with Sftp(tmp_path / "sftp", uploads=True, user=USER) as server:
        known = ("--known-hosts", server.known_hosts)
        assert upload(*known, server.incoming_url("a"), file).end() is None
        server.change_host_key()
        server.restart()
        end = upload(*known, server.incoming_url("b"), file).end()
        assert end is not None and end[0] == TLS and "SSH" in end[1], end
        assert not (server.incoming / "b").exists()


READ_ONLY = {
    "http": (lambda folder, pki: Nginx(folder), "405"),
    "ftp, pyftpdlib": (lambda folder, pki: Ftp(folder, user=USER), "550"),
    "ftp, vsftpd": (lambda folder, pki: Vsftpd(folder, user=USER), "550"),
    "sftp": (lambda folder, pki: Sftp(folder, user=USER), ""),
}


@pytest.mark.parametrize("name", READ_ONLY)
def test_refused(tmp_path, pki, file, upload, name):
    kind, words = READ_ONLY[name]
    with kind(tmp_path / "server", pki) as server:
        server.make_incoming()
        expect(upload(server.incoming_url("a"), file).end(), REFUSED, words)
        expect(upload(server.incoming_url("no/such/folder/a"), file).end(), REFUSED, "")
        assert list(server.incoming.iterdir()) == []


# What a server says when it has no room is heard, also when it hangs up while much is on the way.  Now and then the broken
# connection is faster than its reason, more often so on a line as fast as the memory of one machine; then it is NETWORK.
NEAR, FAR = "127.0.0.1", "127.0.0.9"
LINE = 4_000_000
ROOM = 1 << 20


def expect_heard(send, code, words):
    ends = [send() for _ in range(3)]
    right = [end for end in ends if end is not None and end[0] == code and words in end[1]]
    assert right and all(end in right or end is not None and end[0] == NETWORK for end in ends), ends


@pytest.mark.parametrize("size", [SIZE, 40_000_000])
@pytest.mark.parametrize("secure", [False, True])
def test_quota(tmp_path, pki, file, upload, trust, size, secure):
    with open(file, "ab") as more:
        more.truncate(size)
    options = {"security": "implicit", "tls": Tls(pki)} if secure else {}
    with Ftp(tmp_path / "ftp", uploads=True, user=USER, quota=ROOM, address=FAR, **options) as server, \
            Link(server, address=NEAR, rate=LINE) as link:
        url = link.url(server.incoming_url("a"))
        expect_heard(lambda: upload(*trust, url, file).end(), REFUSED, "quota is exceeded (FTP status 552)")


FULL = {
    "http, limit": (Nginx, {"directives": ("location /incoming/ { client_max_body_size 1m; dav_methods PUT; }",)},
                    REFUSED, "too large"),
    "http, full": (Nginx, {"directives": ("location /incoming/ { return 507; }",)}, SERVER, "no room"),
    "ftp, pyftpdlib": (Ftp, {"uploads": True, "user": USER, "limit": ROOM}, SERVER, "FTP status 426"),
    "ftp, vsftpd": (Vsftpd, {"uploads": True, "user": USER, "room": ROOM}, SERVER, "FTP status 4"),
    "sftp": (Sftp, {"uploads": True, "user": USER, "room": ROOM}, NETWORK, "no room"),
}


@pytest.mark.parametrize("name", FULL)
def test_no_room(tmp_path, file, upload, name):
    kind, options, code, words = FULL[name]
    with kind(tmp_path / "server", address=FAR, **options) as server, Link(server, address=NEAR, rate=LINE) as link:
        url = link.url(server.incoming_url("full"))
        expect_heard(lambda: upload(url, file).end(), code, words)


def test_redirect(tmp_path, file, upload):
    elsewhere = "location /incoming/ { return 307 http://127.0.0.1:1/secret; }"
    with Nginx(tmp_path / "web", directives=(elsewhere,)) as server:
        one = upload(server.incoming_url("a"), file)
        expect(one.end(), URL, "307")
        assert "secret" not in one.output


def test_maintenance(tmp_path, file, upload):
    busy = "location /incoming/ { add_header Retry-After 120 always; return 503; }"
    with Nginx(tmp_path / "web", directives=(busy,)) as server:
        one = upload(server.incoming_url("a"), file)
        expect(one.end(), SERVER, "503")
        assert one.retry_after_s == "120"


@pytest.mark.parametrize("url", ["file:///tmp/a", "scp://u:p%3Aw%40d@127.0.0.1/a", "tftp://127.0.0.1/a", "nonsense"])
def test_unknown_scheme(file, upload, url):
    expect(upload(url, file).end(), URL, "cannot use this URL")


@pytest.mark.parametrize("scheme", ["http", "https", "ftp", "ftps", "sftp"])
def test_nobody_there(file, upload, scheme):
    expect(upload(f"{scheme}://u:p%3Aw%40d@127.0.0.1:{base.free_port()}/a", file).end(), NETWORK, "")


def test_no_route(file, upload):
    expect(upload("ftp://[100::1]/a", file).end(), NETWORK, "no connection")


def test_unusable_files(tmp_path, upload):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    url = "http://127.0.0.1:1/a"
    expect(upload(url, tmp_path / "missing").end(), LOCAL, "missing")
    expect(upload(url, fifo).end(), LOCAL, "not a regular file")
    expect(upload(url, tmp_path).end(), LOCAL, "not a regular file")


def test_file_shrinks(tmp_path, pki, file, upload, trust):
    for name, kind in SERVERS.items():
        file.write_bytes(bytes(SIZE))
        with kind(tmp_path / re.sub(r"\W+", "-", name), pki) as server:
            one = upload("--progress", "--rate-limit", "500000", *trust, server.incoming_url("a"), file)
            while int(one.process.stdout.readline()) == 0:
                pass
            os.truncate(file, 1000)
            expect(one.end(), LOCAL, "shorter")


# ------------------------------------------------------------------------------------------------- lines and servers

def test_rate_limit(tmp_path, file, data, upload):
    for kind in (Nginx, Ftp):
        with kind(tmp_path / kind.__name__, uploads=True) as server:
            start = time.monotonic()
            assert upload("--rate-limit", SIZE // 2, server.incoming_url("a"), file).end() is None
            assert 1.5 < time.monotonic() - start < 30
            assert server.arrived("a") == data


RESUMED = {
    "ftp, pyftpdlib": (Ftp, False), "ftp, vsftpd": (Vsftpd, False), "ftps, pyftpdlib": (Ftp, True),
    "ftps, vsftpd": (Vsftpd, True), "sftp": (Sftp, False)}
CUTS = 5
LONG = 8_000_000            # more than the line holds, many times


def resumed(name, folder, pki, **more):
    """Such a server."""
    kind, secure = RESUMED[name]
    if secure:
        more.update(security="implicit", tls=Tls(pki))
    return kind(folder, uploads=True, user=USER, **more)


@pytest.mark.parametrize("name", RESUMED)
def test_link_cut_five_times(tmp_path, pki, file, upload, trust, name):
    """What has arrived is not sent again."""
    data = os.urandom(LONG)
    file.write_bytes(data)
    with resumed(name, tmp_path / "server", pki, address=FAR) as server, \
            Link(server, address=NEAR, rate=5_000_000) as link:
        url = link.url(server.incoming_url(file.name))
        link.cut_every(LONG // 6, times=CUTS, way="up")
        for number in range(CUTS):
            expect(upload("--resume", *trust, url, file).end(), NETWORK, "")
            assert link.cuts == number + 1
        there = len(server.arrived(file.name))
        assert LONG // 2 < there < LONG
        before = link.bytes_up
        assert upload("--resume", *trust, url, file).end() is None
        assert server.arrived(file.name) == data
        assert link.bytes_up - before < (LONG - there) * 1.02 + 10_000
        assert link.bytes_up < LONG * 1.25          # with what the cuts have lost
        if not isinstance(server, Vsftpd):          # which logs nothing when it loses its client
            assert received(server) == LONG


def received(server):
    """Bytes of files."""
    if isinstance(server, Sftp):
        return sum(each.written for each in server.readings())
    return sum(each.bytes for each in server.commands("received"))


@pytest.mark.parametrize("name", RESUMED)
def test_what_is_there_decides(tmp_path, pki, file, data, upload, trust, name):
    with resumed(name, tmp_path / "server", pki) as server:
        url = server.incoming_url("a")
        for there in (data, data[:1000], data + b"more", b""):
            (server.incoming / "a").write_bytes(there)
            os.chown(server.incoming / "a", *(2 * [server.incoming.stat().st_uid]))
            assert upload("--resume", *trust, url, file).end() is None
            assert server.arrived("a") == data
        (server.incoming / "a").unlink()
        assert upload("--resume", *trust, url, file).end() is None
        assert server.arrived("a") == data
        expected = 0 + (SIZE - 1000) + SIZE + SIZE + SIZE
        wait_until(lambda: received(server) >= expected, "the server's log")
        assert received(server) == expected


def test_link_cut_with_http(tmp_path, file, data, upload):
    """Nothing of HTTP is resumed; the next try brings it."""
    with Nginx(tmp_path / "web", uploads=True) as server, Link(server) as link:
        link.cut_every(SIZE // 2, times=1, way="up")
        url = link.url(server.incoming_url("a"))
        expect(upload("--resume", url, file).end(), NETWORK, "")
        assert upload("--resume", url, file).end() is None
        assert server.arrived("a") == data


@pytest.mark.parametrize("name", ["http", "ftp, pyftpdlib", "ftp, vsftpd", "ftps, pyftpdlib", "ftps, vsftpd", "sftp"])
def test_slow_line_does_not_hold_up_the_loop(tmp_path, pki, file, data, upload, trust, name):
    """Also at the end, when the last bytes are on their way and the server has still to speak."""
    with SERVERS[name](tmp_path / "server", pki) as server:
        server.stop()
        server.address = FAR
        server.start()
        with Link(server, address=NEAR, rate=SIZE // 3, delay=0.1) as link:
            one = upload(*trust, link.url(server.incoming_url("a")), file)
            assert one.end() is None
            assert server.arrived("a") == data
            assert one.longest_ms < BLOCKED_MS


def test_refusal_costs_little(tmp_path, file, upload):
    """Over a slow line, the server's no is heard long before the end of the file, and no second is spent to ask first."""
    with Nginx(tmp_path / "web", user=USER, uploads=True) as server, Link(server, rate=100_000) as link:
        server.user = ("charger", "wrong")
        expect(upload(link.url(server.incoming_url("a")), file).end(), REFUSED, "user or password")
        assert link.bytes_up < SIZE / 2


def test_proxy_is_used(file, upload):
    with socket.socket() as proxy:
        proxy.bind(("127.0.0.1", 0))
        proxy.listen()
        one = upload("--proxy", f"http://u:p%3Aw%40d@127.0.0.1:{proxy.getsockname()[1]}", "http://192.0.2.1/a", file)
        client, _ = proxy.accept()
        with client:
            assert client.recv(100).startswith(b"PUT http://192.0.2.1/a HTTP/1.1\r\n")
        assert one.end()[0] == NETWORK
