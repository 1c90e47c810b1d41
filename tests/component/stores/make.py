#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes the fixture of the present schema: what the store of a charger holds that has lived a little, as SQL.

    AGENT=... MOCK_CSMS=... tests/component/stores/make.py > tests/component/stores/NNNN.sql

To be run, as root, with the last agent of each schema before the next migration is added; test_store_versions.py takes whatever lies here.
"""
import os
import pathlib
import re
import sqlite3
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parents[3]
sys.path[:0] = [str(TOP / "tools"), str(TOP / "tests"), str(TOP / "tests" / "component")]
sys.dont_write_bytecode = True

from charger import Charger  # noqa: E402  (needs the paths above)
from servers import Nginx  # noqa: E402
from simdevice import wait_until  # noqa: E402

FAR = "2099-01-01T00:00:00Z"


def live(charger, folder):
    """One update that went well, one that did not and of which the CSMS has not answered a word yet, one to come; a report that went
    well and one that did not; a key and a connector that the CSMS has changed."""
    assert charger.csms_call("change-configuration WebSocketPingInterval 77")[2] == {"status": "Accepted"}
    assert charger.csms_call("change-availability 1 Inoperative")[2] == {"status": "Accepted"}
    with Nginx(folder / "web", uploads=True) as server:
        charger.csms_call(f"diagnostics {server.incoming_url()}")
        wait_until(lambda: charger.status().get("diagnostics", {}).get("state") == "uploaded", "the report")
    charger.update()
    assert charger.play() == "Installed"
    charger.wait_idle()
    charger.csms_call("diagnostics ftp://127.0.0.1:9/ retries=9 interval=3600")
    wait_until(lambda: charger.status()["diagnostics"]["state"] == "retry-wait", "the report's first attempt")
    assert charger.csms.command("mute FirmwareStatusNotification on") == "ok"
    charger.server.fault("3.0.0.raucb", "404")
    charger.update("3.0.0")
    charger.wait_state("download-failed")
    assert charger.csms_call(f"update http://bundles.example/4.0.0.raucb {FAR} retries=3 interval=60")[2] == {}


def dump(store, folder):
    """What is the same wherever it is made, but for times and identifiers of boots."""
    with sqlite3.connect(store) as connection:
        pragmas = {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")}
        text = "\n".join(connection.iterdump())
    connection.close()
    text = text.replace(str(folder), "/var/lib/rauc-ocpp-agent")
    text = re.sub(r"127\.0\.0\.1:\d{4,}", "bundles.example", text)
    return f"{text}\nPRAGMA application_id = {pragmas['application_id']};\nPRAGMA user_version = {pragmas['user_version']};\n"


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "charger").mkdir()
        charger = Charger(folder / "charger", settings={"charge-point": {"connectors": "1"}, "diagnostics": {"sources": "/dev/null"}})
        try:
            charger.start()
            live(charger, folder)
            charger.kill_agent()
            sys.stdout.write("-- SPDX-License-Identifier: LGPL-2.1-or-later\n-- Made by tests/component/stores/make.py.\n")
            sys.stdout.write(dump(charger.store, charger.path))
        finally:
            charger.close(check=False)


if __name__ == "__main__":
    if os.geteuid() != 0:
        sys.exit("the simulated charger runs a real RAUC service, which needs root")
    main()
