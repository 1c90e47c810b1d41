# SPDX-License-Identifier: LGPL-2.1-or-later
"""One update from the request to the end, with strikes at durable boundaries: plays the charger, the people and the weather.

    world = World(folder, PATHS["happy"], [Strike("kill", 0, "fdatasync:store.db-wal:after#3")], library)
    problems = world.play()             # sentences; none when all is well
    world.lives                         # the boundaries that each process of the agent has passed
"""
import contextlib
import json
import os
import signal
import sqlite3
import time
from dataclasses import dataclass

from simdevice import BootFailed
from simdevice.process import Process

import invariants
import power
from charger import Charger, binary
from paths import given_up

DEADLINE = 100.0                        # seconds for a whole update; RAUC's death alone may cost 10 s of back-off
POLL = 0.004
REST = 30.0                             # seconds without a job in which everything else has to be in order, too
LOOK = 0.03                             # seconds between two looks into the store


@dataclass(frozen=True)
class Strike:
    action: str                         # kill, power, power-names, rauc, csms
    life: int                           # which process of the agent, counted from 0
    key: str                            # of the boundary

    def __str__(self):
        return f"{self.action}@{self.life}/{self.key}"


@dataclass
class Joint:
    """Between two processes of the agent."""
    received: int                       # statuses that the CSMS had by then
    pushed: int                         # that the agent had ever put into its outbox
    queued: list                        # that were still in it


class Stuck(Exception):
    """The update does not end."""


class World:
    def __init__(self, folder, path, strikes, library, writes=False):
        self.folder, self.path, self.strikes, self.library, self.writes = folder, path, list(strikes), library, writes
        self.lives, self.joints, self.problems = [], [], []
        self.wanted = path
        self.half_installed, self.cuts_in_target = False, 0
        self.struck = self.repeated_requests = self.actions_begun = 0
        self._next_look = self._rests_since = 0.0
        self._deadline = None
        self.shadow = folder / "shadow"
        self.power = any(strike.action.startswith("power") for strike in strikes)

    # ------------------------------------------------------------------------------------------------ life

    def play(self):
        self.folder.mkdir(parents=True)
        self.charger = charger = Charger(self.folder, settings=dict(self.path.settings))
        try:
            self.path.prepare(charger)
            charger.device.start_bus()
            charger.device.power_on()
            self._start_agent()
            self._go_on()
            self.problems += invariants.check(self)
        except (Stuck, BootFailed) as error:
            self.problems.append(f"{type(error).__name__}: {error}")
        finally:
            self._end()
        return self.problems

    def _end(self):
        charger = self.charger
        if charger.agent:
            charger.kill_agent()
        try:
            charger.close(check=False)
        except AssertionError as error:
            self.problems.append(str(error))
        lines = "".join(json.dumps(event) + "\n" for event in charger.csms.events)
        (self.folder / "csms.log").write_text(lines)

    def _log_of_life(self, life):
        return self.folder / f"boundaries-{life}"

    def _start_agent(self):
        life = len(self.lives)
        charger = self.charger
        strike = next((s for s in self.strikes if s.life == life), None)
        self.lives.append([])
        variables = {"LD_PRELOAD": self.library, "CRASH_LOG": self._log_of_life(life),
                     "CRASH_FOLDERS": f"{charger.store.parent}:{charger.spool}"}
        if self.writes:
            variables["CRASH_WRITES"] = "1"
        if self.power:
            self.shadow.mkdir(exist_ok=True)
            variables["CRASH_SHADOW"] = self.shadow
        if strike:
            variables |= {"CRASH_AT": strike.key, "CRASH_ACTION": strike.action.partition("-")[0],
                          "CRASH_RAUC_PID": charger.device.root / "rauc.pid", "CRASH_CSMS_PORT": charger.csms.port}
        self.strike = strike
        charger.write_settings()
        charger.agent = Process(["env", *(f"{name}={value}" for name, value in variables.items()), binary(), "--config",
                                 str(charger.config), "run"], log=charger.log, env=charger.environment(),
                                pid_file=charger.path / "agent.pid")

    def agent_runs(self):
        return self.charger.agent is not None and self.charger.agent.running()

    def _agent_ended(self, asked):
        """Takes leave of an agent that has ended; whether it was struck."""
        agent, self.charger.agent = self.charger.agent, None
        code = agent.returncode
        agent.kill()
        log = self._log_of_life(len(self.lives) - 1)
        lines = log.read_text().split("\n")[:-1] if log.exists() else []
        struck = "STRUCK" in lines
        self.lives[-1] = [line for line in lines if line != "STRUCK"]
        self.struck += struck
        killed = struck and self.strike.action not in ("rauc", "csms")
        # Asked before it had begun, it knows no better than to die.
        if code != -signal.SIGKILL if killed else not asked or code not in (0, -signal.SIGTERM):
            self.problems.append(f"the agent ended by itself with {code}")
        self._wait(lambda: self._connections() <= 0, "the CSMS to see the end of the connection")
        if killed and self.power:
            self.charger.device.kill_rauc()
            self._look_at_slots()
            power.restore(self.shadow, [self.charger.store.parent, self.charger.spool],
                          "now" if self.strike.action == "power-names" else "names")
        self.joints.append(Joint(len(self.statuses()), *invariants.counts(self.charger.store, self.folder)[:2]))
        return killed

    def _look_at_slots(self):
        """Two cases in which the agent may give up, because nobody can tell them from a new slot that does not boot: a cut
        between RAUC's record of the written slot and the switch of the loader, and cuts in two boots of the new slot."""
        device = self.charger.device
        self.cuts_in_target += device.booted == "B"
        records = device.root / "data" / "central.raucs"
        target = records.read_text().partition("[slot.rootfs.1]")[2].partition("[")[0] if records.exists() else ""
        if "installed.count" in target and "activated.count" not in target and device.primary() == "A":
            self.half_installed = True

    def _stop_agent(self):
        """SIGTERM; whether it was struck on its way out."""
        with contextlib.suppress(ProcessLookupError):       # it was struck
            os.kill(self.charger.agent.pid, signal.SIGTERM)
        self._wait(lambda: not self.charger.agent.running(), "the agent to end", watch=False)
        return self._agent_ended(asked=True)

    # ------------------------------------------------------------------------------------------------ the world

    def _boot(self, cut):
        device = self.charger.device
        self.charger.served_reboots = len(device.reboot_requests())
        (device.power_cut if cut else device.reboot)(panics=self.path.panics)

    def _watch(self):
        """What happens by itself: systemd restarts who died, and the charger reboots when asked to."""
        charger = self.charger
        if not charger.agent.running():
            if self._agent_ended(asked=False) and self.power:
                self._boot(cut=True)
            self._start_agent()
        elif charger.reboot_wanted():
            self._boot(cut=self._stop_agent() and self.power)
            self._start_agent()
        elif not charger.device.rauc_running():
            charger.device.start_rauc()

    def _wait(self, condition, what, watch=False):
        while not condition():
            if time.monotonic() > self.deadline:
                raise Stuck(f"waited for {what}")
            if watch:
                self._watch()
            time.sleep(POLL)

    @property
    def deadline(self):
        if self._deadline is None:
            self._deadline = time.monotonic() + DEADLINE
        return self._deadline

    def _go_on(self):
        for action in self.path.actions():
            self._wait(lambda: action.ready(self) or self._went_otherwise(), "the moment of an action", watch=True)
            if self._went_otherwise():
                break
            self.actions_begun += 1
            action.begin(self)
            self._wait(lambda: action.done(self) or self._went_otherwise(), "an action", watch=True)
        while True:
            self._settle()
            self.problems += invariants.check_sockets(self.charger.agent.pid)
            if not self._stop_agent():
                self.charger.device.start_rauc()    # it may have been struck last
                return
            if self.power:
                self._boot(cut=True)
            self._start_agent()

    def _went_otherwise(self):
        """A power cut has brought about what the path did not want; then it is that other path that counts.  Before the path's
        last action is begun, the update is one as in `otherwise` still, and ends as that one would."""
        last, otherwise = self.statuses()[-1:], self.path.otherwise
        undisturbed = otherwise if otherwise and self.actions_begun < len(self.path.actions()) else self.path
        if self.power and otherwise and last == otherwise.expected[-1:]:
            self.path = otherwise
        elif (self.half_installed or self.cuts_in_target > 1) and last == ["InstallationFailed"] and undisturbed.slot == "B":
            self.path = given_up(undisturbed)
        return self.path is not self.wanted

    def _settle(self):
        """The CSMS has heard the end, the agent knows it, and the boot is marked; all at the same time."""
        self._rests_since = time.monotonic()
        self._wait(lambda: self.agent_runs() and self._store_is_at_rest() and self._ended(),
                   f"the end {self.path.expected[-1]}", watch=True)

    def _ended(self):
        self._went_otherwise()
        statuses, device = self.statuses(), self.charger.device
        ended = (statuses[-1:] == self.path.expected[-1:] and len(statuses) >= len(self.path.expected)
                 and not self.charger.reboot_wanted() and device.rauc_running() and device.attempts_left(device.booted) == 3)
        if not ended and time.monotonic() > self._rests_since + REST:
            raise Stuck(f"nothing is left to be done, but the CSMS heard {statuses} and {device.boot_env()} is the loader's")
        return ended

    def _store_is_at_rest(self):
        """No job and an empty outbox, seen in a copy of the store that the agent is using; a torn one is looked at again."""
        if time.monotonic() < self._next_look:
            return False
        self._next_look = time.monotonic() + LOOK
        try:
            pushed, queued, jobs = invariants.counts(self.charger.store, self.folder)
        except sqlite3.Error:
            return False
        if pushed == 0 or queued or jobs:
            self._rests_since = time.monotonic()
            return False
        return True

    # ------------------------------------------------------------------------------------------------ the CSMS

    def statuses(self):
        return self.charger.statuses()

    def _events(self, start=0):
        return self.charger.csms.events[start:]

    def _connections(self):
        kinds = [event["event"] for event in self._events()]
        return kinds.count("connected") - kinds.count("disconnected")

    def send_command(self, text):
        """Has the CSMS send a CALL when it can; returns what ends_of_call() wants."""
        start = self.charger.csms.mark()
        assert self.charger.csms.command(text) == "ok", text
        return start

    def ends_of_call(self, action, start):
        """answered, unanswered, or None while it is open, for the first CALL of this kind since `start`."""
        call = None
        for event in self._events(start):
            frame = event.get("frame")
            if event["event"] == "sent" and frame[0] == 2 and frame[2] == action:
                call = frame[1]
            elif call and event["event"] == "received" and isinstance(frame, list) and frame[:2] in ([3, call], [4, call]):
                return "answered"
            elif event["event"] == "unanswered" and event.get("action") == action:
                return "unanswered"
        return None
