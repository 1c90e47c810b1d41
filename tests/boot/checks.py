# SPDX-License-Identifier: LGPL-2.1-or-later
"""What has to be true when an update is over: told to the CSMS, booted, marked, stored, cleaned up."""
import contextlib
import re
import types

import invariants

from chargepoint import ENDS
from machine import GuestError

ATTEMPTS = 3
STARTED = ["Downloading", "Downloaded", "Installing"]
STORE, SPOOL = "/var/lib/rauc-ocpp-agent/store.db", "/var/lib/rauc-ocpp-agent/spool"
STATES = {"Installed": ("installed",), "InstallationFailed": ("rolled-back", "install-failed")}


def statuses_without_repeats(point):
    """What the CSMS has heard; a status is repeated rightly when it may have been in flight when the power was cut."""
    heard = []
    for index, status in enumerate(point.statuses()):
        if not (index in point.cuts and heard and heard[-1] == status):
            heard.append(status)
    return heard


def check(point, end, slot, version, before=(), panics=0):
    """Sentences about what is wrong; none when the update has ended with `end` in `slot`, which holds `version`.

    `before`: the statuses that another CSMS has heard already."""
    point.wait(lambda: _settled(point), "the agent to come to rest")
    loader = {"uboot": _uboot, "grub": _grub}[point.loader](point, slot)
    problems = loader + _statuses(point, [*STARTED, end], list(before)) + _frames(point, before)
    problems += _device(point, slot, version)
    if point.machine.panics() < panics or panics == 0 and point.machine.panics():
        problems.append(f"the kernel has panicked {point.machine.panics()} times")
    point.machine.run("systemctl stop rauc-ocpp-agent")
    problems += _store(point, end) + _log(point)
    point.machine.run("sync")
    image = point.images.slot_image(version).read_bytes()
    if point.slot_bytes(slot, len(image)) != image:
        problems.append(f"slot {slot} does not hold the whole image of {version}")
    return problems


def _settled(point):
    """No job is left, and the boot is marked."""
    with contextlib.suppress(GuestError, ValueError):
        status = point.status()
        return "job" not in status and status["boot-marked-good"] and set(point.statuses()[-1:]) & set(ENDS)
    return False


def _statuses(point, expected, before):
    heard = before + statuses_without_repeats(point)
    problems = [] if heard == expected else [f"the CSMS has heard {heard}, not {expected}; in all {point.statuses()}"]
    for event in point.csms.received("FirmwareStatusNotification"):
        if set(event["frame"][3]) != {"status"}:
            problems.append(f"more than a status: {event['frame']}")
    return problems


def _frames(point, before):
    """What the mock CSMS and the schemas have to say; a CSMS that has not heard the beginning wonders about the end."""
    problems = invariants.check_frames_of(types.SimpleNamespace(charger=point))
    return [problem for problem in problems if not (before and "does not follow none" in problem)]


def _uboot(point, slot):
    text = point.machine.run("fw_printenv")
    variables = dict(line.split("=", 1) for line in text.splitlines())
    order, left = variables["BOOT_ORDER"].split(), variables[f"BOOT_{slot}_LEFT"]
    return [] if order[:1] == [slot] and int(left) == ATTEMPTS else [f"U-Boot's variables are {variables}"]


def _grub(point, slot):
    text = point.machine.run("grub-editenv /loader/grub/grubenv list")
    variables = dict(line.split("=", 1) for line in text.splitlines())
    wanted = variables["ORDER"].split()[:1] == [slot] and (variables[f"{slot}_OK"], variables[f"{slot}_TRY"]) == ("1", "0")
    return [] if wanted else [f"GRUB's variables are {variables}"]


def _device(point, slot, version):
    problems = []
    told = point.machine.run("cat /proc/cmdline /etc/firmware-version")
    if f"rauc.slot={slot} " not in told or told.split()[-1] != version:
        problems.append(f"not slot {slot} with {version} is booted: {told}")
    states = point.machine.run("rauc status --output-format=shell")
    if not re.search(rf"RAUC_SYSTEM_BOOTED_BOOTNAME='{slot}'", states):
        problems.append(f"RAUC says: {states}")
    number = re.search(rf"RAUC_SLOT_BOOTNAME_(\d+)='{slot}'", states)
    if not number or f"RAUC_SLOT_BOOT_STATUS_{number[1]}='good'" not in states:
        problems.append(f"slot {slot} is not good: {states}")
    operation = point.machine.run("busctl get-property de.pengutronix.rauc / de.pengutronix.rauc.Installer Operation")
    if "idle" not in operation:
        problems.append(f"RAUC is not idle: {operation}")
    return problems


def _store(point, end):
    copy = point.folder / "store"
    copy.mkdir()
    for name in point.machine.run(f"ls {STORE} {STORE}-wal 2> /dev/null", check=False).split():
        (copy / name.rpartition("/")[2]).write_bytes(point.machine.read(name))
    problems = []
    with invariants.opened(copy / "store.db", point.folder) as store:
        if store is None:
            return ["there is no store"]
        verdict = store.execute("PRAGMA integrity_check").fetchone()[0]
        queued = store.execute("SELECT count(*) FROM outbox").fetchone()[0]
        jobs = store.execute("SELECT role, state, last_status FROM jobs ORDER BY id").fetchall()
    if verdict != "ok":
        problems.append(f"integrity check: {verdict}")
    if queued:
        problems.append(f"{queued} notifications are left in the outbox")
    if len(jobs) != 1 or jobs[0][0] != "ended" or jobs[0][1] not in STATES.get(end, ()) or jobs[0][2] != end:
        problems.append(f"the jobs are {jobs}")
    spool = point.machine.run(f"ls -A {SPOOL} 2> /dev/null", check=False).split()
    if spool:
        problems.append(f"in the spool lie {spool}")
    return problems


def _log(point):
    log = point.machine.log_text()
    return [f'"{word}" in the log' for word in invariants.WORDS if re.search(rf"rauc-ocpp-agent\[.*{re.escape(word)}", log)]
