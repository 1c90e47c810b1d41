# SPDX-License-Identifier: LGPL-2.1-or-later
"""What has to be true after every update, whoever died in it; and what is read from a store for that."""
import contextlib
import itertools
import json
import os
import pathlib
import re
import shutil
import sqlite3
import subprocess
import tempfile

from schemas import check_frames

STATUS = "FirmwareStatusNotification"
WORDS = ("Sanitizer", "runtime error", "CRITICAL", "assertion", "does not take the job's step", "damaged", "set aside")


@contextlib.contextmanager
def opened(store, folder):
    """A copy of a store that nobody uses, so that looking changes nothing; None when there is none."""
    if not store.exists() or store.stat().st_size == 0 and not store.with_name("store.db-wal").exists():
        yield None
        return
    with tempfile.TemporaryDirectory(dir=folder) as copy:
        for name in ("store.db", "store.db-wal"):
            if store.with_name(name).exists():
                shutil.copy(store.with_name(name), copy)
        with contextlib.closing(sqlite3.connect(f"{copy}/store.db")) as connection:
            yield connection


def counts(store, folder):
    """(how many statuses were ever put into the outbox, those that are still there, jobs that have not ended)."""
    with opened(store, folder) as connection:
        if connection is None or not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'outbox'").fetchone():
            return 0, [], 0
        pushed = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'").fetchone()
        rows = connection.execute("SELECT action, payload FROM outbox ORDER BY id").fetchall()
        jobs = connection.execute("SELECT count(*) FROM jobs WHERE role <> 'ended'").fetchone()[0]
    return pushed[0] if pushed else 0, [json.loads(payload)["status"] for action, payload in rows if action == STATUS], jobs


def jobs_of(world):
    with opened(world.charger.store, world.folder) as connection:
        return connection.execute("SELECT role, state, last_status FROM jobs ORDER BY id").fetchall() if connection else []


def rounds(world):
    """How often the whole path was gone: a CSMS that missed the answer repeats its request, and the job may have failed
    by then, so that this is a new one (OCPP.md)."""
    per_round = len(world.path.actions()) if world.path.expected[:2] == ["Downloading"] * 2 else 1
    jobs = len(jobs_of(world))
    again = world.repeated_requests > 0 and world.path.state != "installed" and jobs == 2 * per_round
    return 2 if again else 1


def _segments(events):
    """The statuses of each connection, and the index of the first of each among all."""
    segments, total = [], 0
    for event in events:
        if event["event"] == "connected":
            segments.append([total])
        elif event["event"] == "received" and event.get("action") == STATUS:
            segments[-1].append(event["frame"][3]["status"])
            total += 1
    return [(segment[0], segment[1:]) for segment in segments]


def _order(world, repeats):
    """The problems if, of the first statuses after a broken connection that an agent lived through, those repeat the last one
    of which `repeats` says so."""
    expected = world.path.expected * rounds(world)
    problems, heard, last = [], [], 0
    for (first, statuses), guess in zip(_segments(world.charger.csms.events), repeats):
        joint = next((j for j in world.joints if j.received == first and j.received >= last), None)
        same = bool(statuses and heard and statuses[0] == heard[-1])
        repeated = same and guess
        if joint:
            removed = joint.pushed - len(joint.queued)
            if not removed <= len(heard) <= removed + 1:
                problems.append(f"{len(heard)} statuses were heard when the agent ended, {removed} were done with: {joint}")
            repeated = same and len(heard) == removed + 1
            if statuses and len(heard) == removed + 1 and not same:
                problems.append(f"{statuses[0]} instead of a repeated {heard[-1]}")
        heard += statuses[repeated:]
        last = first
    if heard != expected:
        problems.append(f"the CSMS heard {heard}, not {expected}; in all {world.statuses()}, {world.joints}")
    return problems


def check_order(world):
    """A status is repeated exactly when the agent died between sending it and taking it out of its outbox (an agent that
    lives on may repeat it when the connection broke: whether the same word is a repeat or the next job's, it does not say),
    and without the repeats the CSMS heard what it had to."""
    segments = len(_segments(world.charger.csms.events))
    tries = [_order(world, repeats) for repeats in itertools.product((True, False), repeat=segments)]
    return min(tries, key=len)


def check_frames_of(world):
    events = world.charger.csms.events
    received = [event for event in events if event["event"] == "received"]
    problems = [f"{event['frame']}: {event['errors']}" for event in received if event.get("errors")]
    problems += check_frames(events)
    ids = [event["frame"][1] for event in received if isinstance(event["frame"], list) and event["frame"][0] == 2]
    if len(ids) != len(set(ids)):
        problems.append(f"message ids come twice: {sorted(ids)}")
    return problems


def check_store(world):
    charger = world.charger
    problems = []
    extra = {entry.name for entry in charger.store.parent.iterdir()} - \
        {"store.db", "store.db-wal", "store.db-shm", "store.db.lock"}
    if extra:
        problems.append(f"beside the store lie {extra}")
    with opened(charger.store, world.folder) as connection:
        if connection is None:
            return ["there is no store"]
        verdict = connection.execute("PRAGMA integrity_check").fetchone()[0]
        queued = connection.execute("SELECT count(*) FROM outbox").fetchone()[0]
    wanted = [("ended", "superseded")] * (len(world.path.actions()) == 2 and world.path.expected[:2] == ["Downloading"] * 2)
    wanted = (wanted + [("ended", world.path.state)]) * rounds(world)
    jobs = jobs_of(world)
    # After a power cut in `installing` nobody knows whether the new slot ever ran.
    unsure = ("install-failed", "rolled-back")
    if world.power and jobs and world.path.state in unsure and jobs[-1][1] in unsure:
        wanted[-1] = jobs[-1][:2]
    if verdict != "ok":
        problems.append(f"integrity check: {verdict}")
    if [job[:2] for job in jobs] != wanted:
        problems.append(f"jobs {jobs}, not {wanted}")
    if jobs and jobs[-1][2] != world.path.expected[-1]:
        problems.append(f"the job's last status is {jobs[-1][2]}")
    if queued:
        problems.append(f"{queued} notifications are left in the outbox")
    return problems


def check_device(world):
    device, path = world.charger.device, world.path
    problems = []
    if (device.booted, device.primary()) != (path.slot, path.slot):
        problems.append(f"booted is {device.booted}, next is {device.primary()}, not {path.slot}")
    if device.slot_version(path.slot) != path.version:
        problems.append(f"slot {path.slot} holds {device.slot_version(path.slot)}, not a whole {path.version}")
    if device.attempts_left(path.slot) != 3:
        problems.append(f"slot {path.slot} has {device.attempts_left(path.slot)} attempts left")
    called, activated = (sum(call[1:] == ("set-primary", ("B",)) for call in calls)
                         for calls in (device.backend_log(), device.backend_effects()))
    if activated > path.activations * rounds(world) or path.slot == "B" and (activated > 1 or not called):
        problems.append(f"slot B was activated {activated} times, in {called} calls")
    # RAUC is idle and nobody else's name is on the bus.
    told = subprocess.run(["gdbus", "call", "--system", "--dest", "de.pengutronix.rauc", "--object-path", "/", "--method",
                           "org.freedesktop.DBus.Properties.Get", "de.pengutronix.rauc.Installer", "Operation"],
                          env=device.environment(), capture_output=True, text=True, timeout=60, check=False)
    if "idle" not in told.stdout:
        problems.append(f"RAUC is not idle: {told.stdout}{told.stderr}")
    return problems


def check_sockets(pid):
    """The relay's door is shut when no job runs: this process listens nowhere.  One that has just died does not, either."""
    listening = set()
    with contextlib.suppress(OSError):
        for table in ("tcp", "tcp6"):
            rows = [line.split() for line in pathlib.Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]]
            listening |= {f"socket:[{row[9]}]" for row in rows if row[3] == "0A"}
        for entry in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(FileNotFoundError):    # closed meanwhile
                if os.readlink(f"/proc/{pid}/fd/{entry}") in listening:
                    return [f"the agent listens at descriptor {entry}"]
    return []


def check_leftovers(world):
    charger = world.charger
    problems = []
    left = [entry.name for entry in charger.spool.iterdir()] if charger.spool.exists() else []
    if left:
        problems.append(f"in the spool lie {left}")
    log = charger.log_text()
    problems += [f'"{word}" in the log' for word in WORDS if re.search(re.escape(word), log)]
    return problems


def check(world):
    problems = []
    for one in (check_order, check_frames_of, check_store, check_device, check_leftovers):
        problems += one(world)
    return problems
