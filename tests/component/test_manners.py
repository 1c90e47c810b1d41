# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a fleet owes its servers and its data plans: spread, budget, rate, few connections, and giving up early."""
import time

import pytest

from charger import BUILD, IDENTITY, binary
from fetching import (HAPPY, MIB, NO_DOWNLOAD, ask, ca_file, charger_that, events, expect_download_failed, expect_installed,
                      reasons, wait_fetched)
from servers import Link, Nginx, Tls
from simdevice import fixtures, wait_until
from simdevice.process import Process
from stages import NOW, learn_time, wait_control

SIZE = 3 * MIB
LARGE, BURST = 16 * MIB, 100 * MIB // 8
HALF_AN_HOUR_LATER = "2031-05-01T12:30:00Z"
HOUR_LATER, TWO_HOURS_LATER = "2031-05-01T13:00:01Z", "2031-05-01T14:00:02Z"
NEVER = "retries=3 interval=3600"       # in a test's time


def publish(server, version="2.0.0", size=SIZE):
    return server.publish(fixtures.bundle(BUILD, version, size=size).path, f"{version}.raucb")


# ---------------------------------------------------------------------------------------------------------- spread

def spread_charger(make_charger, **groups):
    return make_charger(settings={"download": {"spread": "3600"}, **groups}, csms=["--time", NOW]).start()


@pytest.mark.parametrize("date", [NOW, HOUR_LATER])
def test_spread(make_charger, date):
    """Not at the date, and surely an hour after it; a restart does not draw anew."""
    charger = spread_charger(make_charger)
    learn_time(charger, date)
    charger.update("2.0.0", date)
    charger.restart_agent()
    charger.wait_registered(2)
    learn_time(charger, date)
    assert charger.job_state() == "scheduled"
    learn_time(charger, {NOW: HOUR_LATER, HOUR_LATER: TWO_HOURS_LATER}[date])
    expect_installed(charger)
    assert charger.statuses() == HAPPY


def test_no_spread_by_hand(make_charger):
    """Somebody stands before it and waits."""
    charger = spread_charger(make_charger)
    url = charger.publish("2.0.0")
    wait_control(charger)
    command = Process([binary(), "--config", str(charger.config), "install", url], log=charger.path / "install.log",
                      env=charger.environment(), pid_file=charger.path / "install.pid")
    expect_installed(charger)
    wait_until(lambda: not command.running(), "the command to end")
    assert command.returncode == 0
    command.kill()


def test_every_charger_has_its_own_time(make_charger):
    """Half of the time after the date some have begun, and some have not."""
    begun = []
    for number in range(8):
        charger = spread_charger(make_charger, csms={"identity": f"{IDENTITY}{number}"})
        url = "http://127.0.0.1:9/firmware.raucb"       # the same for all
        ask(charger, url, "retries=3 interval=3600", NOW)
        learn_time(charger, HALF_AN_HOUR_LATER)
        begun.append(charger.job_state() != "scheduled")
        charger.close()
    assert set(begun) == {True, False}, begun


# ---------------------------------------------------------------------------------------------------------- budget

def test_budget_smaller_than_the_bundle(make_charger, tmp_path):
    """Refused before a byte is fetched, and for good: another attempt would not help."""
    charger = charger_that(make_charger, data_budget="1M")
    with Nginx(tmp_path / "web") as server, Link(server) as link:
        ask(charger, link.url(publish(server)), NEVER)
        expect_download_failed(charger, "data budget used up")
        assert link.bytes_down < SIZE // 2      # what was on the way
    charger.update("3.0.0")
    expect_installed(charger, "3.0.0", 2)


def test_budget_over_several_attempts(make_charger, tmp_path):
    charger = charger_that(make_charger, data_budget="4M")
    with Nginx(tmp_path / "web", ranges=False) as server, Link(server) as link:
        link.cut_every(SIZE // 2, times=1)
        ask(charger, link.url(publish(server)), "retries=3 interval=0")
        expect_download_failed(charger, "data budget used up")
        assert events(charger).count("fetch-fail") == 1
    assert charger.status()["last-job"]["fetched-bytes"] > SIZE // 3


def test_budget_outlives_the_agent(make_charger, tmp_path):
    charger = charger_that(make_charger, data_budget="4M")
    with Nginx(tmp_path / "web", ranges=False) as server, Link(server, rate=SIZE // 2) as link:
        ask(charger, link.url(publish(server)))
        wait_fetched(charger, SIZE // 5 * 4)
        charger.restart_agent()
        expect_download_failed(charger, "data budget used up")


def test_budget_that_suffices(make_charger, tmp_path):
    """Cuts cost nothing, for the rest only is fetched."""
    charger = charger_that(make_charger, data_budget="3300K")
    with Nginx(tmp_path / "web") as server, Link(server) as link:
        link.cut_every(SIZE // 3, times=2)
        ask(charger, link.url(publish(server)))
        expect_installed(charger, size=SIZE)
        assert link.cuts == 2


# ------------------------------------------------------------------------------------------- rate and connections

def test_rate_limit(make_charger, tmp_path):
    """On the whole: what is there at once libcurl takes at once, 100 buffers of 128 KiB at most."""
    charger = charger_that(make_charger, device={"slot_size": LARGE + MIB}, rate_limit="4M")
    with Nginx(tmp_path / "web") as server:
        begun = time.monotonic()
        ask(charger, publish(server, size=LARGE))
        charger.wait_step("downloading -> install-wait")
        assert time.monotonic() - begun >= (LARGE - BURST) / (4 * MIB)
        expect_installed(charger, size=LARGE)


def test_one_connection(make_charger, tmp_path):
    """Also for the many files of a casync store, and it is kept."""
    charger = charger_that(make_charger)
    bundle = fixtures.bundle(BUILD, "2.0.0", format="casync", size=SIZE)
    store = bundle.path.with_suffix(".castr")
    with Nginx(tmp_path / "web") as server, Link(server) as link:
        for path in store.rglob("*.cacnk"):
            server.publish(path, f"2.0.0.castr/{path.relative_to(store)}")
        ask(charger, link.url(server.publish(bundle.path, "2.0.0.raucb")))
        expect_installed(charger, format="casync", size=SIZE)
        assert len(server.requests()) > 10 and link.connections <= 2


# --------------------------------------------------------------------------------------------------- giving up early

REFUSALS = {        # the server, and the words for it
    "missing": (lambda folder: Nginx(folder), "HTTP status 404"),
    "password": (lambda folder: Nginx(folder, user=("somebody", "else")), "HTTP status 401"),
    "certificate": (lambda folder: Nginx(folder, tls=Tls(fixtures.pki(BUILD), "csms-expired")), "is expired"),
    "busy": (lambda folder: Nginx(folder, directives=("location = /2.0.0.raucb { return 503; }",)), "HTTP status 503"),
}


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("kind", REFUSALS)
def test_give_up_early(make_charger, tmp_path, kind, early):
    """Only what will not get better by itself."""
    charger = charger_that(make_charger, give_up_early=str(early).lower(), ca_file=ca_file())
    make_server, words = REFUSALS[kind]
    with make_server(tmp_path / "web") as server:
        url = server.url("2.0.0.raucb").replace("somebody:else@", "somebody:wrong@")
        ask(charger, url, NEVER)
        if early and kind != "busy":
            expect_download_failed(charger, words)
            return
        charger.wait_state("retry-wait")
        assert words in reasons(charger)[-1] and charger.statuses() == NO_DOWNLOAD[:1]
        assert charger.status()["job"]["attempts"] == 1


def test_early_or_late_the_next_one_works(make_charger, tmp_path):
    charger = charger_that(make_charger, give_up_early="true")
    with Nginx(tmp_path / "web") as server:
        ask(charger, server.url("nothing.raucb"), NEVER)
        expect_download_failed(charger, "HTTP status 404")
        ask(charger, publish(server))
        expect_installed(charger, count=2, size=SIZE)
