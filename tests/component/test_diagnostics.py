# SPDX-License-Identifier: LGPL-2.1-or-later
"""GetDiagnostics, from the CSMS's request to the archive on a real server; what is in it in detail: test_collector.py."""
import io
import json
import os
import tarfile
from datetime import datetime, timedelta, timezone

import pytest
from fetching import USER, ask as ask_update, ca_file, in_spool
from servers import Ftp, Link, Nginx, Receiver, Sftp, Tls, Vsftpd
from simdevice import fixtures, wait_until

from charger import BUILD, IDENTITY

ENDS = ("Uploaded", "UploadFailed")
SECRET = "s3cretPassw0rd"


def statuses(charger):
    return [frame["frame"][3]["status"] for frame in charger.csms.received("DiagnosticsStatusNotification")]


def ends(charger):
    return [status for status in statuses(charger) if status in ENDS]


def wait_end(charger, count=1):
    wait_until(lambda: len(ends(charger)) >= count, "the end of the diagnostics")
    return ends(charger)[count - 1]


def ask(charger, url, options=""):
    """Sends GetDiagnostics; returns the payload of the answer."""
    return charger.csms_call(f"diagnostics {url} {options}".strip())[2]


def report(charger):
    return charger.status().get("diagnostics", {})


def wait_report(charger, **wanted):
    """The report has these fields."""
    wait_until(lambda: {name: report(charger).get(name.replace("_", "-")) for name in wanted} == wanted, f"a report with {wanted}")


def charger_that(make_charger, settings=None, **diagnostics):
    diagnostics = {"sources": "command:echo hello", **diagnostics}
    keys = {name.replace("_", "-"): value for name, value in diagnostics.items()}
    return make_charger(settings={"diagnostics": keys, **(settings or {})}).start()


def archive(data):
    """path in the archive's folder -> bytes."""
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as tar:
        return {member.name.removeprefix("./").split("/", 1)[1]: tar.extractfile(member).read()
                for member in tar.getmembers() if member.isfile()}


def expect_uploaded(charger, server, name):
    """The end was Uploaded, and what arrived is a good archive; returns what is in it."""
    assert wait_end(charger) == "Uploaded", report(charger)
    assert statuses(charger) == ["Uploading", "Uploaded"]
    wait_until(lambda: in_spool(charger) == [], "the spool to be empty")
    files = archive(server.arrived(name))
    assert {"MANIFEST", "agent/status.json", "agent/history.json", "agent/outbox.txt", "agent/settings.conf"} <= set(files)
    return files


# ------------------------------------------------------------------------------------------------------- where it goes

def tls(**options):
    return Tls(fixtures.pki(BUILD), **options)


SERVERS = {
    "nginx": lambda folder: Nginx(folder, uploads=True),
    "nginx with a password": lambda folder: Nginx(folder, uploads=True, user=USER),
    "nginx, https, client certificate": lambda folder: Nginx(folder, uploads=True, tls=tls(client_ca="charge-point-ca")),
    "pyftpdlib with a password": lambda folder: Ftp(folder, uploads=True, user=USER),
    "pyftpdlib, ftps": lambda folder: Ftp(folder, uploads=True, security="implicit", tls=tls()),
    "vsftpd": lambda folder: Vsftpd(folder, uploads=True, user=USER),
    "sftp": lambda folder: Sftp(folder, uploads=True, user=USER),
}


@pytest.mark.parametrize("name", SERVERS)
def test_server(make_charger, tmp_path, name):
    pki = fixtures.pki(BUILD)
    charger = charger_that(make_charger, settings={"download": {
        "ca-file": ca_file(), "client-cert-file": pki / "charge-point.crt", "client-key-file": pki / "charge-point.key"}})
    with SERVERS[name](tmp_path / "server") as server:
        answer = ask(charger, server.incoming_url())
        assert answer["fileName"].startswith(IDENTITY + "_") and answer["fileName"].endswith("Z.tar.gz")
        files = expect_uploaded(charger, server, answer["fileName"])
    assert json.loads(files["agent/status.json"])["identity"] == IDENTITY
    assert b"hello" in b"\n".join(files.values())


def test_as_a_form(make_charger, tmp_path):
    charger = charger_that(make_charger, upload_method="post")
    with Receiver(tmp_path / "server") as server:
        name = ask(charger, server.url("upload?token=1"))["fileName"]
        assert wait_end(charger) == "Uploaded", report(charger)
        form = server.wait_forms(1)[0]
        assert (form.field, form.name) == ("file", name) and archive(server.arrived(name))["MANIFEST"]


def test_a_location_may_name_the_file(make_charger, tmp_path):
    charger = charger_that(make_charger)
    with Nginx(tmp_path / "server", uploads=True) as server:
        assert ask(charger, server.incoming_url("mine.tar.gz")) == {"fileName": "mine.tar.gz"}
        expect_uploaded(charger, server, "mine.tar.gz")


# ----------------------------------------------------------------------------------------------------------- the window

def stamp(when):
    return when.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_window(make_charger, tmp_path):
    """Both edges, over a rotated log."""
    now = datetime.now(timezone.utc).replace(microsecond=0)
    times = [now - timedelta(minutes=minutes) for minutes in range(60, 0, -10)]
    lines = [f"{stamp(when)} line {number}\n" for number, when in enumerate(times)]
    (tmp_path / "app.log.1").write_text("".join(lines[:3]))
    (tmp_path / "app.log").write_text("".join(lines[3:]))
    charger = charger_that(make_charger, sources=f"{tmp_path}/app.log")
    with Nginx(tmp_path / "server", uploads=True) as server:
        name = ask(charger, server.incoming_url(), f"start={stamp(times[1])} stop={stamp(times[4])}")["fileName"]
        files = expect_uploaded(charger, server, name)
    text = b"".join(files.values()).decode()
    assert [f"line {number}\n" in text for number in range(6)] == [False, True, True, True, True, False]


@pytest.mark.parametrize("options", ["start=+3600", "start=2026-01-02T00:00:00Z stop=2026-01-01T00:00:00Z"])
def test_an_empty_window_has_no_file(make_charger, options):
    charger = charger_that(make_charger)
    assert ask(charger, "ftp://127.0.0.1:9/", options) == {}
    assert "diagnostics" not in charger.status() and statuses(charger) == []


# ------------------------------------------------------------------------------------------------------------- failures

def expect_failed(charger, attempts, words):
    assert wait_end(charger) == "UploadFailed"
    assert statuses(charger) == ["Uploading", "UploadFailed"]
    assert report(charger)["attempts"] == attempts and words in report(charger)["reason"], report(charger)
    wait_until(lambda: in_spool(charger) == [], "the spool to be empty")


def test_server_refuses(make_charger, tmp_path):
    charger = charger_that(make_charger)
    with Nginx(tmp_path / "server") as server:     # takes no files
        ask(charger, server.incoming_url(), "retries=2 interval=0")
        expect_failed(charger, 3, "405")


def test_quota(make_charger, tmp_path):
    charger = charger_that(make_charger, sources=big_source(tmp_path, 1 << 20), rate_limit="4M")
    with Ftp(tmp_path / "server", uploads=True, quota=100000) as server:
        ask(charger, server.incoming_url(), "retries=1 interval=0")
        expect_failed(charger, 2, "")      # the words: test_uploads.py; the server's hanging up may be quicker than them


@pytest.mark.parametrize("location, attempts, words", [
    ("gopher://127.0.0.1/", 0, "not an http, https, ftp, ftps or sftp URL"),
    ("/var/log/", 0, "not an URL"),
    ("ftp://127.0.0.1:9/", 3, "no connection"),
])
def test_location_of_no_use(make_charger, location, attempts, words):
    """What is no location is not tried again; that is so for UpdateFirmware, too."""
    charger = charger_that(make_charger)
    assert "fileName" in ask(charger, location, "retries=2 interval=0")
    assert wait_end(charger) == "UploadFailed"
    assert report(charger)["attempts"] == attempts and words in report(charger)["reason"]


def big_source(tmp_path, size):
    """A log that does not compress."""
    log = tmp_path / "big.log"
    with log.open("w") as file:
        while file.tell() < size:
            file.write(os.urandom(64).hex() + "\n")
    return log


@pytest.mark.parametrize("server_class", [Ftp, Sftp, Nginx])
def test_link_cut_five_times(make_charger, tmp_path, server_class):
    charger = charger_that(make_charger, sources=big_source(tmp_path, 2 << 20))
    options = {"user": USER} if server_class is Sftp else {}
    with server_class(tmp_path / "server", uploads=True, **options) as server, Link(server) as link:
        link.cut_every(100000, 5, way="up")
        name = ask(charger, link.url(server.incoming_url()), "retries=5 interval=0")["fileName"]
        expect_uploaded(charger, server, name)
        assert link.cuts == 5 and report(charger)["attempts"] == 5


# -------------------------------------------------------------------------------------------------------------- requests

def hanging_charger(make_charger, tmp_path):
    """One that collects until the returned file exists."""
    go = tmp_path / "go"
    return charger_that(make_charger, sources=f"command:sh -c 'until test -e {go}\\\\; do sleep 0.05\\\\; done'"), go


def test_requests_one_after_the_other(make_charger, tmp_path):
    """The one under way goes on, of those that wait the newest counts, and the same again is the same."""
    charger, go = hanging_charger(make_charger, tmp_path)
    with Nginx(tmp_path / "server", uploads=True) as server:
        folder = server.incoming_url()
        first = ask(charger, folder + "1.tar.gz")
        assert first == ask(charger, folder + "1.tar.gz") == {"fileName": "1.tar.gz"}
        ask(charger, folder + "2.tar.gz")
        ask(charger, folder + "3.tar.gz")
        go.touch()
        assert wait_end(charger, 2) == "Uploaded"
        wait_report(charger, state="uploaded", file_name="3.tar.gz")
        assert statuses(charger) == ["Uploading", "Uploaded"] * 2
        assert sorted(path.name for path in server.incoming.iterdir()) == ["1.tar.gz", "3.tar.gz"]


def test_a_newer_request_ends_a_wait(make_charger, tmp_path):
    """Who corrects a location does not wait for the attempts at the wrong one."""
    charger = charger_that(make_charger)
    ask(charger, "ftp://127.0.0.1:9/", "retries=3 interval=3600")
    wait_report(charger, state="retry-wait")
    with Nginx(tmp_path / "server", uploads=True) as server:
        name = ask(charger, server.incoming_url())["fileName"]
        assert [wait_end(charger, 1), wait_end(charger, 2)] == ["UploadFailed", "Uploaded"]
        assert archive(server.arrived(name))


@pytest.mark.parametrize("server_class", [Ftp, Sftp])
def test_never_glued_to_another_file(make_charger, tmp_path, server_class):
    """A first attempt that never began does not make the next one go on behind what an earlier report has left."""
    charger = charger_that(make_charger)
    options = {"user": USER} if server_class is Sftp else {}
    with server_class(tmp_path / "server", uploads=True, **options) as server, Link(server) as link:
        location = link.url(server.incoming_url("latest.tar.gz"))
        ask(charger, location)
        assert wait_end(charger) == "Uploaded"
        with (server.incoming / "latest.tar.gz").open("r+b") as file:
            file.truncate(100)
        link.refuse()
        ask(charger, location, "stop=now retries=3 interval=1")
        wait_report(charger, state="retry-wait")
        link.up()
        assert wait_end(charger, 2) == "Uploaded"
        assert archive(server.arrived("latest.tar.gz"))


def test_triggered_status(make_charger, tmp_path):
    charger = charger_that(make_charger, sources=big_source(tmp_path, 1 << 20), rate_limit="64K")
    charger.csms_call("trigger DiagnosticsStatusNotification")
    wait_until(lambda: statuses(charger) == ["Idle"], "the status")
    with Nginx(tmp_path / "server", uploads=True) as server:
        ask(charger, server.incoming_url())
        wait_until(lambda: statuses(charger) == ["Idle", "Uploading"], "the upload")
        charger.csms_call("trigger DiagnosticsStatusNotification")
        wait_until(lambda: statuses(charger) == ["Idle", "Uploading", "Uploading"], "the triggered status")


# ---------------------------------------------------------------------------------------------------- crashes and reboots

@pytest.mark.parametrize("how", ["kill", "reboot", "power_cut"])
@pytest.mark.parametrize("state", ["collecting", "uploading", "retry-wait"])
def test_ends_truly_whatever_happens(make_charger, tmp_path, state, how):
    charger, go = hanging_charger(make_charger, tmp_path)
    with Nginx(tmp_path / "server", uploads=True) as server, Link(server) as link:
        if state != "collecting":
            go.touch()
        if state == "uploading":
            link.silence()
        elif state == "retry-wait":
            link.refuse()
        name = ask(charger, link.url(server.incoming_url()), "retries=3 interval=1")["fileName"]
        wait_until(lambda: report(charger).get("state") == state, f"a report that is {state}")
        if how == "kill":
            charger.restart_agent()
        else:
            charger.reboot(how)
        charger.wait_registered(2)
        go.touch()
        link.up()
        expect_uploaded(charger, server, name)


def test_beside_an_update(make_charger, tmp_path):
    """Both at once, kill -9 in the middle of both: each ends truly, and none waits for the other."""
    charger = charger_that(make_charger)
    with Nginx(tmp_path / "server", uploads=True) as server, Nginx(tmp_path / "bundles") as bundles, \
            Link(server) as up, Link(bundles) as down:
        url = bundles.publish(fixtures.bundle(BUILD, "2.0.0").path, "2.0.0.raucb")
        up.silence()
        down.silence()
        name = ask(charger, up.url(server.incoming_url()))["fileName"]
        ask_update(charger, down.url(url))
        wait_until(lambda: report(charger)["state"] == "uploading" and charger.job_state() == "downloading", "both to be under way")
        charger.restart_agent()
        charger.wait_registered(2)
        down.up()
        assert charger.play() == "Installed"
        up.up()
        expect_uploaded(charger, server, name)
        assert charger.statuses() == ["Downloading", "Downloaded", "Installing", "Installed"]


# --------------------------------------------------------------------------------------------------------------- secrets

def test_secrets_are_nowhere(make_charger, tmp_path):
    """Planted in settings, URLs, AuthorizationKey, netrc, logs and OCPP messages."""
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine h.example login u password {SECRET}netrc\n")
    netrc.chmod(0o600)
    log = tmp_path / "app.log"
    log.write_text(f"{stamp(datetime.now(timezone.utc))} fetching ftp://u:{SECRET}log@h/ with {SECRET}netrc\n")
    charger = charger_that(make_charger, sources=log, frames="64K",
                           settings={"download": {"netrc-file": netrc, "proxy": f"http://u:{SECRET}proxy@127.0.0.1:9"}})
    charger.csms_call(f"change-configuration AuthorizationKey {SECRET}key")
    ask_update(charger, f"ftp://u:{SECRET}url@127.0.0.1:9/x.raucb")
    charger.wait_end()
    archive_path = tmp_path / "local.tar.gz"
    charger.ctl("diagnostics", str(archive_path))
    files = archive(archive_path.read_bytes())
    found = {name: text for name, text in files.items() if SECRET.encode() in text}
    assert found == {}
    assert b"ChangeConfiguration" in files["agent/frames.txt"] and b"UpdateFirmware" in files["agent/frames.txt"]
    assert SECRET not in charger.log_text()


# --------------------------------------------------------------------------------------------------------------- by hand

def test_by_hand(make_charger, tmp_path):
    charger = charger_that(make_charger)
    path = tmp_path / "here.tar.gz"
    assert charger.ctl("diagnostics", str(path)).stdout == f"{path}\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert b"hello" in b"\n".join(archive(path.read_bytes()).values())
    assert statuses(charger) == [] and in_spool(charger) == []


def test_by_hand_without_an_agent(make_charger, tmp_path):
    charger = charger_that(make_charger)
    charger.stop_agent()
    path = tmp_path / "here.tar.gz"
    charger.ctl("diagnostics", str(path))
    files = archive(path.read_bytes())
    assert "agent/status.json" not in files and b"not running" in files["agent/missing.txt"]


def test_frames_outlive_the_agent(make_charger, tmp_path):
    charger = charger_that(make_charger, frames="64K")
    charger.stop_agent()
    charger.start_agent()
    charger.wait_registered(2)
    path = tmp_path / "here.tar.gz"
    charger.ctl("diagnostics", str(path))
    assert archive(path.read_bytes())["agent/frames.txt"].count(b'"BootNotification"') == 2
