# SPDX-License-Identifier: LGPL-2.1-or-later
"""Streams that the agent leaves or ends: it is killed, is cancelled, finds another file, may fetch no more."""
import contextlib
import http.server
import io
import tarfile
import threading
import time

import pytest

from fetching import HAPPY, MIB, NO_INSTALL, ask, events, expect_installed, reasons
from servers import Ftp, Link, Nginx
from simdevice import wait_until
from streams import (LONG, NAME, SIZE, begin, expect_one_install, in_mid_copy, installations, publish, relay_place,
                     size_of, streaming_charger)

RATE = SIZE // 4            # bytes a second, so that there is a middle
RAUC_ENDS = 10              # seconds after the relay's no
NBD_GIVES_UP = 600          # seconds: RAUC without a relay


# ------------------------------------------------------------------------------------------ it dies, and comes back

def test_killed_and_back_soon(make_charger, tmp_path):
    """The same port, the same path: RAUC asks again, and never hears of it."""
    charger = streaming_charger(make_charger)
    with Nginx(tmp_path / "web") as server, Link(server, rate=RATE) as link:
        begin(charger, server, link)
        in_mid_copy(charger, link)
        place = relay_place(charger)
        for life in (2, 3):
            requests = len(server.requests(NAME))
            killed = time.monotonic()
            charger.restart_agent()
            wait_until(lambda: len(server.requests(NAME)) > requests + 1, "the relay to be back")
            print(f"back after {time.monotonic() - killed:.1f} s")
            charger.wait_registered(life)
        assert relay_place(charger) == place
        link.rate = 0
        expect_one_install(charger)
        assert link.bytes_down <= 1.5 * size_of(), link.bytes_down / size_of()
    assert "interrupted" not in events(charger)
    assert charger.status()["last-job"]["attempts"] == 1


def test_killed_with_diagnostics_beside(make_charger, tmp_path):
    """GetDiagnostics while a stream is under way, kill -9 in the middle of both: neither costs the other anything."""
    charger = streaming_charger(make_charger)
    with Nginx(tmp_path / "web") as server, Link(server, rate=RATE) as link, \
            Nginx(tmp_path / "archives", uploads=True) as archives, Link(archives) as up:
        up.silence()
        begin(charger, server, link)
        in_mid_copy(charger, link)
        name = charger.csms_call(f"diagnostics {up.url(archives.incoming_url())}")[2]["fileName"]
        wait_until(lambda: charger.status()["diagnostics"]["state"] == "uploading", "the upload to be under way")
        charger.restart_agent()
        charger.wait_registered(2)
        up.up()
        wait_until(lambda: any(event["frame"][3] == {"status": "Uploaded"}
                               for event in charger.csms.received("DiagnosticsStatusNotification")), "Uploaded")
        assert tarfile.open(fileobj=io.BytesIO(archives.arrived(name))).getnames()
        link.rate = 0
        expect_one_install(charger)


@pytest.mark.skipif(not LONG, reason="waits for what RAUC waits for; LONG=1")
def test_away_for_longer(make_charger, tmp_path):
    """RAUC has given reads up already; as the kernel asks again for what it did not get, the stream is not lost yet."""
    charger = streaming_charger(make_charger)
    with Nginx(tmp_path / "web") as server, Link(server, rate=RATE) as link:
        begin(charger, server, link)
        in_mid_copy(charger, link)
        charger.kill_agent()
        wait_until(lambda: "no more retries" in charger.device.rauc_log(), "RAUC to give a read up")
        link.rate = 0
        charger.start_agent()
        expect_one_install(charger)
    assert charger.status()["last-job"]["attempts"] == 1


class Stranger(http.server.BaseHTTPRequestHandler):
    """Somebody else's server: 404 to everything."""
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_error(404)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def stranger_at(port):
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), Stranger) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("stays", [False, True])
def test_lost_while_the_agent_was_away(make_charger, tmp_path, stays):
    """Somebody else has the port: RAUC fails.  It was not the attempt's fault, and is not charged."""
    charger = streaming_charger(make_charger)
    with Nginx(tmp_path / "web") as server, Link(server, rate=RATE) as link:
        begin(charger, server, link)
        in_mid_copy(charger, link)
        port, _ = relay_place(charger)
        charger.kill_agent()
        link.rate = 0
        with stranger_at(port):
            if stays:
                charger.start_agent()
            wait_until(lambda: installations(charger) == ["started", "failed"], "RAUC to fail")
            if stays:
                charger.wait_step("installing -> retry-wait")
        if not stays:
            charger.start_agent()
        expect_installed(charger, size=SIZE)
    assert charger.statuses() == HAPPY
    assert events(charger).count("interrupted") == 1 and "fail" not in events(charger)
    assert charger.install_calls() == 2
    assert charger.status()["last-job"]["attempts"] == 1
    assert charger.device.restart_requests() == []


@pytest.mark.skipif(not LONG, reason="takes five minutes; LONG=1")
def test_away_for_too_long(make_charger, tmp_path):
    """Until RAUC has given up by itself."""
    charger = streaming_charger(make_charger)
    with Nginx(tmp_path / "web") as server, Link(server, rate=RATE) as link:
        begin(charger, server, link)
        in_mid_copy(charger, link)
        charger.kill_agent()
        began = time.monotonic()
        wait_until(lambda: installations(charger) == ["started", "failed"], "RAUC to fail", NBD_GIVES_UP)
        print(f"RAUC alone gave up after {time.monotonic() - began:.0f} s")
        link.rate = 0
        charger.start_agent()
        expect_installed(charger, size=SIZE)
    assert charger.statuses() == HAPPY
    assert "fail" not in events(charger) and charger.status()["last-job"]["attempts"] == 1


# ------------------------------------------------------------------------------------------ ended by the agent

@pytest.mark.parametrize("line", ["good", "silent"])
def test_cancel(make_charger, tmp_path, line):
    """The relay says no, which RAUC takes as the end; nobody restarts it, and the next update is an ordinary one."""
    charger = streaming_charger(make_charger)
    with Nginx(tmp_path / "web") as server, Link(server, rate=RATE) as link:
        begin(charger, server, link)
        in_mid_copy(charger, link)
        if line == "silent":
            link.silence()
        began = time.monotonic()
        charger.ctl("cancel")
        wait_until(lambda: installations(charger) == ["started", "failed"], "RAUC to end")
        print(f"RAUC ended {time.monotonic() - began:.1f} s after the cancel")
        assert time.monotonic() - began < RAUC_ENDS
        assert charger.wait_end() == "InstallationFailed"
        assert charger.statuses() == NO_INSTALL
        assert charger.device.primary() == "A" and not charger.reboot_wanted()
        link.rate = 0
        link.up()
        ask(charger, link.url(publish(server, "3.0.0")))
        expect_installed(charger, "3.0.0", 2, size=SIZE)
    assert charger.device.restart_requests() == []


CHANGING = {
    "http": lambda folder: Nginx(folder),
    "ftp": lambda folder: Ftp(folder),
}


@pytest.mark.parametrize("kind", CHANGING)
def test_the_file_changes(make_charger, tmp_path, kind):
    """Both have the same size.  The cut is for ftp, where what has been opened is read to its end, whatever lies there by then."""
    assert size_of("2.0.0") == size_of("3.0.0")
    charger = streaming_charger(make_charger)
    with CHANGING[kind](tmp_path / "server") as server, Link(server, rate=RATE) as link:
        begin(charger, server, link, options="retries=1 interval=0")
        in_mid_copy(charger, link)
        publish(server, "3.0.0")
        link.cut()
        link.rate = 0
        expect_installed(charger, "3.0.0", size=SIZE)
    assert charger.statuses() == HAPPY
    assert events(charger).count("fail") == 1, reasons(charger)
    assert any("is not the one of before" in words for words in reasons(charger)), reasons(charger)
    assert installations(charger) == ["started", "failed", "started", "succeeded"]


def test_a_data_budget(make_charger, tmp_path):
    """It is for all attempts together: none is left that would make sense."""
    charger = streaming_charger(make_charger, data_budget=SIZE // 2)
    with Nginx(tmp_path / "web") as server, Link(server) as link:
        begin(charger, server, link, options="retries=3 interval=0")
        end = charger.wait_end()
        assert link.bytes_down < SIZE // 2 + MIB // 4
    assert end == "InstallationFailed" and charger.statuses() == NO_INSTALL
    assert "the data budget is used up" in reasons(charger)[-1], reasons(charger)
    assert charger.install_calls() == 1 and charger.device.primary() == "A"
    assert charger.device.restart_requests() == []
