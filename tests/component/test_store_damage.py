# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whatever lies where the store should be, the agent registers, says what it found, and takes the next update."""
import os
import random
import shutil
import sqlite3

import pytest

from charger import wait_until
from conftest import making
from fetching import HAPPY, in_spool

ASIDE = "damaged: set aside"
FLIPS = 16          # starts with flipped bits, in each of the tests of them
PAGE = 1024
OURS = {f"store.db{kind}{companion}" for kind in ("", ".corrupt") for companion in ("", "-wal", "-shm", "-journal")} | {"store.db.lock"}


def forget_log(store):
    """All is in the one file."""
    with sqlite3.connect(store) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A folder with the store of a charger that has something to remember: whole/store.db, and cut/ with its last steps in the log."""
    folder = tmp_path_factory.mktemp("sound")
    with making(folder) as make:
        charger = make().start()
        charger.wait_boot_marked()
        assert charger.csms_call("change-configuration WebSocketPingInterval 77")[2] == {"status": "Accepted"}
        charger.server.fault("2.0.0.raucb", "404")
        charger.update()
        assert charger.wait_end() == "DownloadFailed"
        charger.wait_idle()
        assert charger.csms_call("update http://127.0.0.1:9/3.0.0.raucb 2099-01-01T00:00:00Z")[2] == {}
        charger.stop_agent()
        shutil.copytree(charger.store.parent, folder / "cut")
        forget_log(charger.store)
        shutil.copytree(charger.store.parent, folder / "whole")
    return folder


def remembers(charger):
    """Whether the agent works with what that store holds."""
    key = charger.csms_call("get-configuration WebSocketPingInterval")[2]["configurationKey"][0]
    return key["value"] == "77" and len(charger.history()) > 2


def put(charger, folder):
    shutil.rmtree(charger.store.parent, ignore_errors=True)
    shutil.copytree(folder, charger.store.parent)


def beside(charger, suffix):
    return charger.store.with_name(charger.store.name + suffix)


def in_store(charger):
    return {path.name for path in charger.store.parent.iterdir()}


def expect_well(charger, registrations=1):
    """Registered on the first connection of this process, and the next update ends well."""
    charger.wait_registered(registrations)
    ends = len([status for status in charger.statuses() if status in ("Installed", "DownloadFailed", "InstallationFailed")])
    charger.update()
    assert charger.play(ends + 1) == "Installed"
    charger.wait_idle()
    assert charger.statuses()[-4:] == HAPPY and in_spool(charger) == []
    connected = [event for event in charger.csms.events if event["event"] == "connected"]
    assert len(connected) == registrations + 1      # and one after the reboot


# ------------------------------------------------------------------------------------------------------ at the start

def truncate(size):
    def damage(charger):
        os.truncate(charger.store, size(charger.store.stat().st_size))
    return damage


def overwrite(at, data):
    """Where `at` of the whole size is."""
    def damage(charger):
        forget_log(charger.store)
        size = charger.store.stat().st_size
        with charger.store.open("r+b") as file:
            file.seek(int(size * at))
            file.write(data)
    return damage


def flip(at):
    def damage(charger):
        data = bytearray(charger.store.read_bytes())
        data[at] ^= 1
        charger.store.write_bytes(data)
    return damage


def replace(data):
    def damage(charger):
        charger.store.write_bytes(data)
    return damage


def foreign(*statements):
    def damage(charger):
        charger.store.unlink()
        with sqlite3.connect(charger.store) as connection:
            for statement in statements:
                connection.execute(statement)
        connection.close()
    return damage


def drop_table(charger):
    with sqlite3.connect(charger.store) as connection:
        connection.execute("DROP TABLE outbox")
    connection.close()


DAMAGED = {
    "truncated to its header": truncate(lambda size: 100),
    "truncated to a page": truncate(lambda size: PAGE),
    "truncated to the half": truncate(lambda size: size // 2 // PAGE * PAGE),
    "truncated within a page": truncate(lambda size: size - 100),
    "zeroed": lambda charger: replace(bytes(charger.store.stat().st_size))(charger),
    "a zeroed page": overwrite(0, bytes(PAGE)),
    "zeroed pages in the middle": overwrite(0.4, bytes(4 * PAGE)),
    "text": replace(b"This is no database.\n" * 500),
    "a flipped bit in its name": flip(3),
    "a flipped bit in its page size": flip(16),
    "a flipped bit in the application's id": flip(68),
    "another program's": foreign("CREATE TABLE words (word TEXT)", "INSERT INTO words VALUES ('hello')"),
    "another program's with its id": foreign("PRAGMA application_id = 42", "PRAGMA user_version = 1", "CREATE TABLE jobs (id INTEGER)"),
    "our id and nothing else": foreign("PRAGMA application_id = 1380926273", "PRAGMA user_version = 1", "CREATE TABLE jobs (id INTEGER)"),
    "a table that is missing": drop_table,
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_damaged(make_charger, sound, damage):
    charger = make_charger()
    put(charger, sound / "whole")
    DAMAGED[damage](charger)
    size = charger.store.stat().st_size
    charger.start()
    assert charger.log_text().count(ASIDE) == 1
    assert not remembers(charger) and beside(charger, ".corrupt").stat().st_size == size
    expect_well(charger)
    assert charger.log_text().count(ASIDE) == 1     # the new one is found sound
    assert in_store(charger) <= OURS


def write(suffix, data):
    def damage(charger):
        beside(charger, suffix).write_bytes(data)
    return damage


def lost_log(charger):
    beside(charger, "-wal").unlink()


def flipped_log(charger):
    """From its middle on it counts for nothing."""
    data = bytearray(beside(charger, "-wal").read_bytes())
    data[len(data) // 2] ^= 16
    beside(charger, "-wal").write_bytes(data)


HARMLESS = {
    "nothing": ("whole", lambda charger: None),
    "nothing, with its log": ("cut", lambda charger: None),
    "garbage for its log": ("whole", write("-wal", b"garbage" * 3000)),
    "garbage for its index": ("cut", write("-shm", b"garbage" * 4681)),
    "a short index": ("cut", write("-shm", b"x")),
    "garbage for a journal": ("whole", write("-journal", b"garbage" * 300)),
}


@pytest.mark.parametrize("what", HARMLESS)
def test_harmless(make_charger, sound, what):
    charger = make_charger()
    folder, damage = HARMLESS[what]
    put(charger, sound / folder)
    damage(charger)
    charger.start()
    assert ASIDE not in charger.log_text() and remembers(charger) and charger.job_state() == "scheduled"
    if what == "garbage for its index":     # the others would wait as long for those who held the reboot back before
        expect_well(charger)
    assert in_store(charger) <= OURS


@pytest.mark.parametrize("damage", [lost_log, flipped_log, replace(b"")], ids=["lost log", "flipped log", "empty"])
def test_less_than_there_was(make_charger, sound, damage):
    """What is left is taken, or there is nothing; either way nothing is set aside, for there is nothing to look at."""
    charger = make_charger()
    put(charger, sound / "cut")
    damage(charger)
    charger.start()
    assert "set aside" not in charger.log_text()
    expect_well(charger)


def make_folder(charger):
    charger.store.mkdir(parents=True)
    (charger.store / "something").write_text("in it")


def make_link(charger):
    charger.store.parent.mkdir()
    charger.store.symlink_to("/dev/null")


def make_fifo(charger):
    charger.store.parent.mkdir()
    os.mkfifo(charger.store)


@pytest.mark.parametrize("make", [make_folder, make_link, make_fifo])
def test_no_file_at_all(make_charger, make):
    """It is not ours to move away: no update is taken until somebody has done so."""
    charger = make_charger()
    make(charger)
    charger.start()
    answer = charger.csms_call("update http://127.0.0.1:9/x.raucb now")
    assert answer[2] == "InternalError" and "no store" in answer[3] and not charger.status()["store-durable"]
    assert charger.csms_call("change-configuration WebSocketPingInterval 78")[2] == {"status": "Rejected"}
    assert charger.log_text().count("not usable") == 1


def test_what_is_set_aside_is_bounded(make_charger, sound):
    """One damaged file and one of a newer agent, whatever comes."""
    charger = make_charger()
    largest = sum(path.stat().st_size for path in (sound / "cut").iterdir())
    charger.start()
    for life in range(2, 8):
        charger.kill_agent()
        for path in (sound / "cut").iterdir():
            shutil.copy(path, charger.store.parent)
        if life % 2:
            replace(b"text" * 1000)(charger)
            beside(charger, "-wal").unlink()
        else:
            forget_log(charger.store)
            with sqlite3.connect(charger.store) as connection:
                connection.execute(f"PRAGMA user_version = {life}")
            connection.close()
        charger.start_agent()
        charger.wait_registered(life)
    assert charger.log_text().count(ASIDE) == 3 and charger.log_text().count("of a newer agent: set aside") == 3
    charger.stop_agent()
    kept = [path for path in charger.store.parent.iterdir() if not path.name.startswith("store.db-")]
    assert {path.name for path in kept} - OURS == {"store.db.newer-v6"}
    assert sum(path.stat().st_size for path in kept) <= 4 * largest


# ------------------------------------------------------------------------------------------------------------ bits

def forgive_order(charger):
    """The CSMS complains of a job that is lost, or was set back, and of nothing else."""
    for event in charger.csms.events:
        if all("does not follow" in error for error in event.get("errors", [])):
            event.pop("errors", None)


def flipped(data, rand, first_page):
    data = bytearray(data)
    for _ in range(rand.randint(1, 8)):
        data[rand.randrange(min(PAGE, len(data)) if first_page else len(data))] ^= 1 << rand.randrange(8)
    return data


@pytest.mark.parametrize("suffix, folder", [("", "whole"), ("-wal", "cut")], ids=["file", "log"])
def test_flipped_bits(make_charger, sound, suffix, folder):
    """Anything may come of it but an agent that ends, or hears nothing any more."""
    seed = int(os.environ.get("SEED") or random.randrange(1 << 32))
    print(f"SEED={seed}")
    rand = random.Random(seed)
    whole = (sound / folder / f"store.db{suffix}").read_bytes()
    charger = make_charger()
    for life in range(1, FLIPS + 1):
        put(charger, sound / folder)
        beside(charger, suffix).write_bytes(flipped(whole, rand, life % 3 == 0))
        if life == 1:
            charger.start()
        else:
            charger.start_agent()
            charger.wait_registered(life)
        assert charger.csms_call("get-configuration WebSocketPingInterval")[0] == 3
        charger.kill_agent()
    assert "not usable" not in charger.log_text()
    charger.start_agent()
    expect_well(charger, FLIPS + 1)
    charger.stop_agent()
    forgive_order(charger)


# -------------------------------------------------------------------------------------------------- under a running agent

def remove_all(charger):
    for suffix in ("", "-wal", "-shm"):
        beside(charger, suffix).unlink()


def remove_file(charger):
    charger.store.unlink()


def exchange(charger):
    part = beside(charger, ".new")
    part.write_bytes(b"text" * 1000)
    part.rename(charger.store)


UNDER_IT = {"removed": remove_file, "removed with its log": remove_all, "exchanged": exchange, "emptied": truncate(lambda size: 0),
            "overwritten": overwrite(0, b"x" * 3 * PAGE), "garbage for its log": write("-wal", b"garbage" * 3000)}


def expect_unmoved(charger, number=3):
    """The CSMS does not notice."""
    for value in range(number):
        assert charger.csms_call("trigger Heartbeat")[2] == {"status": "Accepted"}
        assert charger.csms_call(f"change-configuration WebSocketPingInterval {value + 100}")[0] == 3
    assert charger.agent.running() and len([event for event in charger.csms.events if event["event"] == "connected"]) == 1


def expect_opened_anew(charger):
    """Not before the CSMS has been heard, and at the price of a new connection: as after a restart, but nobody had to make one."""
    assert charger.csms_call("trigger Heartbeat")[2] == {"status": "Accepted"}
    charger.wait_log("the store is damaged: it is opened anew")
    charger.wait_registered(2)
    assert charger.agent.running() and charger.log_text().count(ASIDE) == 1


@pytest.mark.parametrize("damage", UNDER_IT)
def test_under_an_agent_at_rest(make_charger, damage):
    charger = make_charger().start()
    charger.wait_boot_marked()
    UNDER_IT[damage](charger)
    if damage == "overwritten":
        assert charger.csms_call("update http://127.0.0.1:9/x.raucb now")[2] == "InternalError"
        expect_opened_anew(charger)
    else:
        expect_unmoved(charger)
        charger.restart_agent()
    expect_well(charger, 2)


@pytest.mark.parametrize("damage", UNDER_IT)
def test_under_an_agent_at_work(make_charger, damage):
    """No status is false; what becomes of the job the store decides, and a job that is lost or set back keeps no order."""
    charger = make_charger().start()
    charger.wait_boot_marked()
    held = charger.server.fault("3.0.0.raucb", "hold", after=4096, times=1)
    charger.update("3.0.0")
    held.wait_reached()
    charger.settle(["Downloading"])
    UNDER_IT[damage](charger)
    held.release()
    wait_until(lambda: "-> rebooting" in charger.log_text() or "the store does not take" in charger.log_text(), "an end, or a stop")
    if "the store does not take" in charger.log_text():
        expect_opened_anew(charger)
    else:
        expect_unmoved(charger)
        charger.restart_agent()
        charger.wait_registered(2)
    assert charger.log_text().count("the store does not take") <= 1
    charger.wait_boot_marked()
    if "job" in charger.status():
        assert charger.play() == "Installed"
    else:
        assert not set(charger.statuses()) & {"Installed", "InstallationFailed", "DownloadFailed"}
        charger.update()
        assert charger.play() == "Installed"
    charger.wait_idle()
    forgive_order(charger)


def test_damaged_by_the_power_cut_of_an_update(make_charger):
    """The job is lost with its store: no end is told, for none is known, and the charger keeps the slot that has come up."""
    charger = make_charger().start()
    charger.update("3.0.0")
    charger.wait_reboot_requested()
    assert charger.reboot("power_cut", agent=False) == "B"
    overwrite(0, bytes(PAGE))(charger)
    charger.start_agent()
    charger.wait_registered(2)
    charger.wait_boot_marked()
    assert charger.log_text().count(ASIDE) == 1 and charger.statuses() == HAPPY[:3]
    charger.update("2.0.0")
    assert charger.play() == "Installed"
    charger.wait_idle()
    assert charger.device.booted == "A" and charger.statuses() == HAPPY[:3] + HAPPY
    forgive_order(charger)
