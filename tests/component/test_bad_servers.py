# SPDX-License-Identifier: LGPL-2.1-or-later
"""Servers that lie, lead astray or never end: the attempt is bounded, the history tells, and the next update works."""
import pytest

from charger import BUILD
from fetching import (NO_DOWNLOAD, ask, ca_file, charger_that, events, expect_download_failed, expect_installed,
                      in_spool, reasons, rows)
from liar import Liar, head
from servers import Ftp, Nginx, Tls
from simdevice import fixtures, wait_until

CUT = 100_000       # bytes, after which a liar's first answer breaks off
ETAG = '"one"'


@pytest.fixture(scope="module")
def bundle():
    return fixtures.bundle(BUILD, "2.0.0")


@pytest.fixture(scope="module")
def data(bundle):
    return bundle.path.read_bytes()


def next_update_works(charger, count=2):
    charger.update("3.0.0")
    expect_installed(charger, "3.0.0", count)


def expect_fails(make_charger, answer, words, **settings):
    """Fetching from such a server fails so, at the first attempt; returns the requests."""
    charger = charger_that(make_charger, **{"hold": 2, **settings})
    with Liar(answer) as liar:
        ask(charger, liar.url())
        expect_download_failed(charger, words)
    next_update_works(charger)
    return liar.requests


# ------------------------------------------------------------------------------------------------------------ lies

def test_content_length_too_long(make_charger, data):
    """The rest is asked for, and there is none."""
    def answer(request, send):
        if request.start is None:
            send(head("200 OK", Content_Length=len(data) + 5000, ETag=ETAG) + data)
        else:
            send(head("416 Range Not Satisfiable", Content_Range=f"bytes */{len(data) + 5000}", Content_Length=0))
    requests = expect_fails(make_charger, answer, "HTTP status 416")
    assert [request.start for request in requests] == [None, len(data)]


def test_content_length_too_long_and_silence(make_charger, data):
    """The rest is asked for, and nothing comes: the hold ends it."""
    def answer(request, send):
        if request.start is None:
            send(head("200 OK", Content_Length=len(data) + 5000, ETag=ETAG) + data)
    expect_fails(make_charger, answer, "no progress for 2 s")


def test_content_length_too_short(make_charger, data):
    """HTTP ends there; that this is not a bundle is RAUC's to say."""
    def answer(request, send):
        send(head("200 OK", Content_Length=len(data) - 5000, ETag=ETAG) + data)
    charger = charger_that(make_charger)
    with Liar(answer) as liar:
        ask(charger, liar.url())
        assert charger.wait_end() == "InstallationFailed"
        charger.wait_state("install-failed")
    assert "Invalid bundle" in reasons(charger)[-1] and in_spool(charger) == []
    next_update_works(charger)


LYING_RANGES = {
    "another place": (lambda size: f"bytes {CUT + 1}-{size - 1}/{size}", "another part of the file"),
    "from the start": (lambda size: f"bytes 0-{size - 1}/{size}", "another part of the file"),
    "to another end": (lambda size: f"bytes {CUT}-{size - 2}/{size}", "another part of the file"),
    "another size": (lambda size: f"bytes {CUT}-{size - 1}/{size + 1}", "not the one of before"),
    "backwards": (lambda size: f"bytes {size - 1}-{CUT}/{size}", "does not tell which part"),
    "nonsense": (lambda size: "bytes -5-/*", "does not tell which part"),
    "none": (lambda size: None, "does not tell which part"),
}


@pytest.mark.parametrize("lie", LYING_RANGES)
def test_lying_range(make_charger, data, lie):
    text, words = LYING_RANGES[lie]

    def answer(request, send):
        if request.start is None:
            send(head("200 OK", Content_Length=len(data), ETag=ETAG) + data[:CUT])
        else:
            fields = {"Content_Range": text(len(data))} if text(len(data)) else {}
            send(head("206 Partial Content", **fields, Content_Length=len(data) - CUT, ETag=ETAG) + data[CUT:])
    requests = expect_fails(make_charger, answer, words)
    assert requests[1].start == CUT and requests[1].headers["if-range"] == ETAG


def test_part_that_nobody_asked_for(make_charger, data):
    def answer(request, send):
        whole = f"bytes 0-{len(data) - 1}/{len(data)}"
        send(head("206 Partial Content", Content_Range=whole, Content_Length=len(data)) + data)
    expect_fails(make_charger, answer, "a part where the whole was asked for")


def test_compressed(make_charger, tmp_path, bundle):
    charger = charger_that(make_charger)
    with Nginx(tmp_path / "web", directives=("add_header Content-Encoding gzip;",)) as server:
        ask(charger, server.publish(bundle.path, "2.0.0.raucb"))
        expect_download_failed(charger, "compressed though nobody asked")
    next_update_works(charger)


def test_a_server_that_would_compress_is_not_asked_to(make_charger, tmp_path, bundle):
    charger = charger_that(make_charger)
    with Nginx(tmp_path / "web", gzip=True) as server:
        ask(charger, server.publish(bundle.path, "2.0.0.raucb"))
        expect_installed(charger)


@pytest.mark.parametrize("start", [
    b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    b"HTTP/1.1 999 What\r\n\r\n", b"SSH-2.0-OpenSSH\r\n", b"\0" * 100, b"",
    b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200_000, b"HTTP/1.1 200 OK\r\nA: " + b"b" * 400_000,
    b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999999999\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFFF\r\n"],
    ids=["length", "negative", "status", "ssh", "zeros", "nothing", "fields", "field", "huge", "chunk"])
def test_nonsense(make_charger, start):
    def answer(request, send):
        send(start)
    assert expect_fails(make_charger, answer, "cannot read http://127.0.0.1")


# ------------------------------------------------------------------------------------------------------ led astray

def redirecting(target):
    return (f"location = /2.0.0.raucb {{ return 302 {target}; }}",)


def test_redirect_loop(make_charger, tmp_path):
    charger = charger_that(make_charger)
    with Nginx(tmp_path / "web", directives=redirecting("/2.0.0.raucb?again")) as server:
        ask(charger, server.url("2.0.0.raucb"))
        expect_download_failed(charger, "too many redirects, or a loop")
        assert 2 <= len(server.requests()) <= 7
    next_update_works(charger)


def test_redirects_that_end(make_charger, tmp_path, bundle):
    """Five of them, and to another scheme with credentials of its own."""
    charger = charger_that(make_charger)
    user = ("other", "secret")
    with Ftp(tmp_path / "ftp", user=user) as last:
        url = last.publish(bundle.path, "2.0.0.raucb")
        steps = tuple(f"location = /{n} {{ return 30{[1, 2, 3, 7][n % 4]} /{n + 1}; }}" for n in range(4))
        with Nginx(tmp_path / "web", directives=(*steps, f"location = /4 {{ return 308 {url}; }}")) as server:
            ask(charger, server.url("0"))
            expect_installed(charger)


@pytest.mark.parametrize("target", ["http://127.0.0.1:9/2.0.0.raucb", "ftp://127.0.0.1/2.0.0.raucb"])
def test_redirect_out_of_tls(make_charger, tmp_path, target):
    charger = charger_that(make_charger, ca_file=ca_file())
    with Nginx(tmp_path / "web", tls=Tls(fixtures.pki(BUILD)), directives=redirecting(target)) as server:
        ask(charger, server.url("2.0.0.raucb"))
        expect_download_failed(charger, "from https to a URL without TLS")
    next_update_works(charger)


@pytest.mark.parametrize("target", ["file:///etc/passwd", "/etc/passwd", "gopher://127.0.0.1/x", "http://", "scp://h/x",
                                    "http://[::1/", "javascript:0"])
def test_redirect_to_what_is_no_place(make_charger, tmp_path, target):
    charger = charger_that(make_charger)
    here = target.startswith("/")       # on the same server, where there is none
    with Nginx(tmp_path / "web", directives=redirecting(target)) as server:
        ask(charger, server.url("2.0.0.raucb"), "retries=1 interval=0")
        expect_download_failed(charger, "HTTP status 404" if here else "redirects to a URL that is not possible")
        assert len(server.requests("2.0.0.raucb")) == 2
        assert len(server.requests()) == (4 if here else 2)
    next_update_works(charger)


# ---------------------------------------------------------------------------------------------------------- no end

def test_endless_body(make_charger):
    """Without a length: whatever comes is kept until the budget, or the disk, is used up."""
    def answer(request, send):
        send(head("200 OK", ETag=ETAG))
        while True:
            send(b"\0" * 65536)
    expect_fails(make_charger, answer, "data budget", data_budget="20M")


def test_a_byte_a_second(make_charger, data):
    """Bytes that drip do not end an outage; else it would never end."""
    def answer(request, send):
        start = request.start or 0
        if start == 0:
            send(head("200 OK", Content_Length=len(data), ETag=ETAG))
        else:
            send(head("206 Partial Content", Content_Range=f"bytes {start}-{len(data) - 1}/{len(data)}",
                      Content_Length=len(data) - start, ETag=ETAG))
        for at in range(start, len(data)):
            send(data[at:at + 1])
            if liar.closing.wait(1):
                return
    charger = charger_that(make_charger, hold=3)
    with Liar(answer) as liar:
        ask(charger, liar.url())
        wait_until(lambda: "DownloadFailed" in charger.statuses(), "the end of the drip", timeout=60)
        expect_download_failed(charger, "too slow")
        assert len(liar.requests) == 1
    next_update_works(charger)


# ------------------------------------------------------------------------------------------------------ come later

@pytest.mark.parametrize("status", ["503 Service Unavailable", "429 Too Many Requests"])
def test_retry_after(make_charger, data, status):
    """Longer than the interval that the CSMS wants, so it counts."""
    def answer(request, send):
        if request.number == 0:
            send(head(status, Retry_After=2, Content_Length=0))
        else:
            send(head("200 OK", Content_Length=len(data)) + data)
    charger = charger_that(make_charger)
    with Liar(answer) as liar:
        ask(charger, liar.url(), "retries=1 interval=0")
        expect_installed(charger)
        first, second = liar.requests
        assert second.time - first.time >= 2
    assert events(charger).count("fetch-fail") == 1 and status[:3] in "".join(reasons(charger))


def test_retry_after_within_an_outage(make_charger, data):
    """In the middle of the file it is waited for, and costs no attempt."""
    def answer(request, send):
        if request.number == 0:
            send(head("200 OK", Content_Length=len(data), ETag=ETAG) + data[:CUT])
        elif request.number == 1:
            send(head("503 Service Unavailable", Retry_After=2, Content_Length=0))
        else:
            send(head("206 Partial Content", Content_Range=f"bytes {CUT}-{len(data) - 1}/{len(data)}",
                      Content_Length=len(data) - CUT, ETag=ETAG) + data[CUT:])
    charger = charger_that(make_charger)
    with Liar(answer) as liar:
        ask(charger, liar.url())
        expect_installed(charger)
        assert liar.requests[2].time - liar.requests[1].time >= 2
    assert "fetch-fail" not in events(charger)


def test_retry_after_next_year(make_charger):
    """A day is the most that is waited for, and a cancel ends it."""
    def answer(request, send):
        send(head("503 Service Unavailable", Retry_After=10**12, Content_Length=0))
    charger = charger_that(make_charger)
    with Liar(answer) as liar:
        ask(charger, liar.url(), "retries=1 interval=0")
        charger.wait_state("retry-wait")
        charger.ctl("cancel")
        assert charger.wait_end() == "DownloadFailed" and charger.statuses() == NO_DOWNLOAD
        assert len(liar.requests) == 1
    assert rows(charger)[-1]["to"] == "cancelled" and in_spool(charger) == []
    next_update_works(charger)

