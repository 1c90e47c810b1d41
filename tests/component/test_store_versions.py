# SPDX-License-Identifier: LGPL-2.1-or-later
"""Stores of every schema that was ever released, opened by the present agent: nothing of what they hold is lost.

stores/NNNN.sql is what the last agent of that schema has left (stores/make.py tells how, and what it went through).  A new migration
needs one more of these files, and no line here.
"""
import pathlib
import sqlite3

import pytest

from charger import wait_until
from fetching import HAPPY, NO_DOWNLOAD, events, rows

HERE = pathlib.Path(__file__).parent
STORES = sorted((HERE / "stores").glob("*.sql"))
MIGRATIONS = sorted((HERE.parents[1] / "db" / "migrations").glob("*.sql"))


def test_every_schema_has_its_store():
    assert [path.stem for path in STORES] == [path.name[:4] for path in MIGRATIONS]


def build(path, text):
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.executescript(text)
    connection.close()


@pytest.mark.parametrize("path", STORES, ids=lambda path: path.stem)
def test_nothing_is_lost(make_charger, path):
    charger = make_charger(settings={"charge-point": {"connectors": "1"}})
    build(charger.store, path.read_text())
    charger.start()
    newest = path == STORES[-1]
    assert ("store.db: opened" if newest else "store.db: migrated") in charger.log_text()
    assert charger.store.with_name(f"store.db.v{int(path.stem)}").exists() is not newest

    wait_until(lambda: charger.statuses() == NO_DOWNLOAD, "the statuses that were not answered")
    availability = {frame["frame"][3]["connectorId"]: frame["frame"][3]["status"] for frame in charger.csms.received("StatusNotification")}
    assert availability == {0: "Available", 1: "Unavailable"}
    key = charger.csms_call("get-configuration WebSocketPingInterval")[2]["configurationKey"][0]
    assert key["value"] == "77"

    assert events(charger, 1)[0] == "request" and events(charger, 1)[-1] == "marked"
    assert rows(charger, 2)[-1]["to"] == "download-failed" and "no such file" in rows(charger, 2)[-1]["detail"]
    status = charger.status()
    assert status["last-job"]["id"] == 2 and "no such file" in status["last-job"]["reason"]
    job = status["job"]
    assert (job["id"], job["state"], job["retries"], job["retrieve-date"][:4]) == (3, "scheduled", 3, "2099"), job
    assert job["location"] == "http://bundles.example/4.0.0.raucb"
    report = status["diagnostics"]
    assert (report["id"], report["state"], report["attempts"], report["retries"]) == (2, "retry-wait", 1, 9), report

    charger.update()
    assert charger.play(2) == "Installed"
    charger.wait_idle()
    assert charger.statuses() == NO_DOWNLOAD + HAPPY
    assert charger.status()["last-job"]["id"] == 4 and rows(charger, 3)[-1]["to"] == "superseded"
