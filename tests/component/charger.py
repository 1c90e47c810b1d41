# SPDX-License-Identifier: LGPL-2.1-or-later
"""A whole charger under test: the simulated device with real RAUC, the mock CSMS, a bundle server, and the agent.

    charger.start()
    charger.update("2.0.0")
    charger.reboot()
    charger.wait_status("Installed")

Everything is a process of its own; nothing here waits for time to pass, only for conditions.
"""
import json
import os
import pathlib
import signal
import subprocess

from simdevice import Device, FaultServer, MockCsms, fixtures, wait_until
from simdevice.loops import free_loops
from simdevice.process import Process

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
IDENTITY = "CP001-FW"
ENDS = ("Installed", "InstallationFailed", "DownloadFailed")


def binary():
    """The program under test: AGENT, or the sanitized build."""
    return os.environ.get("AGENT") or str(BUILD / "asan" / "rauc-ocpp-agent")


class Charger:
    """`settings` are groups of keys that are added to, or replace, the ones every test needs; None removes a key."""

    def __init__(self, path, *, settings=None, csms=(), device=None, wrap=()):
        self.path = path
        self.pki = fixtures.pki(BUILD)
        self.device = Device(path / "device", self.pki, **(device or {}))
        self.server = FaultServer()
        self.csms = MockCsms(*csms)
        self.settings = settings or {}
        self.wrap = list(wrap)  # a command in front of the agent, e.g. faketime
        self.config = path / "agent.conf"
        self.log = path / "agent.log"
        self.store = path / "store" / "store.db"
        self.spool = path / "spool"
        self.agent = None
        self.expected_exit = {0}
        self.served_reboots = 0     # requests of boots that are over

    # -------------------------------------------------------------------------------------------------- life

    def start(self):
        """Bus, loader, RAUC and agent; returns when the CSMS has accepted the agent."""
        self.device.start_bus()
        self.device.power_on()
        self.start_agent()
        self.wait_registered()
        return self

    def close(self, check=True):
        try:
            if self.agent:
                self.stop_agent()
            self.csms.stop()
        finally:
            self.server.close()
            self.device.close()
            free_loops(self.path)
        if check:
            errors = [f for f in self.csms.events if f["event"] == "received" and f.get("errors")]
            assert not errors, errors
            self.check_log()

    def check_log(self):
        log = self.log.read_text(errors="replace") if self.log.exists() else ""
        for word in ("Sanitizer", "runtime error", "GLib-CRITICAL", "assertion"):
            assert word not in log, log[-20000:]

    def default_settings(self):
        return {
            "csms": {"url": f"ws://127.0.0.1:{self.csms.port}/ocpp", "identity": IDENTITY, "security-profile": "0"},
            "charge-point": {"vendor": "Demo", "model": "Charger",
                             "firmware-version-file": self.device.firmware_version_file},
            "store": {"path": self.store},
            "rauc": {"restart-command": self.device.restart_command},
            "update": {"spool-directory": self.spool, "reboot-command": self.device.reboot_command, "default-retries": "0",
                       "transport": "download",     # RAUC 1.8 cannot stream, and need not learn it in every test
                       "default-retry-interval": "1", "report-wait": "5"},
            "system": {"boot-id-file": self.device.boot_id_file},
        }

    def write_settings(self):
        groups = self.default_settings()
        for group, keys in self.settings.items():
            groups.setdefault(group, {}).update(keys)
        lines = []
        for group, keys in groups.items():
            lines.append(f"[{group}]")
            lines += [f"{key}={value}" for key, value in keys.items() if value is not None]
        self.config.write_text("\n".join(lines) + "\n")

    def environment(self):
        return {**os.environ, **self.device.environment(),
                "UBSAN_OPTIONS": "print_stacktrace=1", "ASAN_OPTIONS": "detect_leaks=1"}

    def start_agent(self):
        self.write_settings()
        self.agent = Process([*self.wrap, binary(), "--config", str(self.config), "run"], log=self.log,
                             env=self.environment(), pid_file=self.path / "agent.pid")

    def stop_agent(self):
        """SIGTERM; the agent must end by itself and cleanly."""
        agent, self.agent = self.agent, None
        os.kill(agent.pid, signal.SIGTERM)
        wait_until(lambda: not agent.running(), "the agent to end")
        code = agent.returncode
        agent.kill()
        assert code in self.expected_exit, f"exit {code}\n{self.log_text()[-5000:]}"

    def kill_agent(self):
        agent, self.agent = self.agent, None
        agent.kill()

    def log_text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def wait_log(self, text, count=1):
        wait_until(lambda: self.log_text().count(text) >= count, f'"{text}" in the log')

    def ctl(self, *args, check=True):
        """A sub-command of the program; returns the CompletedProcess.  With `check` it waits for an agent that just starts."""
        def run():
            return subprocess.run([binary(), "--config", str(self.config), *args], env=self.environment(),
                                  capture_output=True, text=True, timeout=60)

        def answered():
            done = run()
            starts = self.agent and self.agent.running() and "is not running" in done.stderr
            return None if starts else done
        if not check:
            return run()
        done = wait_until(answered, "the agent's control interface")
        assert done.returncode == 0, done.stderr
        return done

    def status(self):
        return json.loads(self.ctl("status", "--json").stdout)

    def history(self):
        """Newest last: (job, from, to, event)."""
        rows = json.loads(self.ctl("history", "--json").stdout)
        return [(row["job"], row["from"], row["to"], row["event"]) for row in reversed(rows)]

    def job_state(self):
        """State of the active job, or of the last one that ended; None without any."""
        status = self.status()
        return (status.get("job") or status.get("last-job") or {}).get("state")

    def wait_state(self, state):
        wait_until(lambda: self.job_state() == state, f"job state {state}")

    def wait_step(self, text, count=1):
        """A line of the log such as "installing -> reboot-wait"; unlike wait_state() it cannot miss a short one."""
        self.wait_log(f"state={text} ", count)

    def wait_boot_marked(self):
        """The booted slot is marked good, and RAUC has nothing to do."""
        wait_until(lambda: self.status()["boot-marked-good"], "the mark of this boot")

    def wait_rauc_restarted(self):
        """The agent has restarted RAUC, which is back; what was held of the old one is gone."""
        self.wait_log(f"`{self.device.restart_command}` exited with 0")

    # -------------------------------------------------------------------------------------------------- CSMS

    def boots(self):
        return self.csms.received("BootNotification")

    def wait_registered(self, count=1):
        """The agent says so, and what the CSMS has told of it has been read."""
        self.wait_log("registration Accepted", count)
        wait_until(lambda: len(self.boots()) >= count, "the CSMS's account of the registration")

    def statuses(self):
        """The firmware statuses that the CSMS has received, in order."""
        return [frame["frame"][3]["status"] for frame in self.csms.received("FirmwareStatusNotification")]

    def wait_status(self, status, count=1):
        wait_until(lambda: self.statuses().count(status) >= count, f"status {status}")

    def wait_end(self, count=1):
        """Waits for the `count`-th end of an update and returns it."""
        def ends():
            return [status for status in self.statuses() if status in ENDS]
        wait_until(lambda: len(ends()) >= count, "the end of the update")
        return ends()[count - 1]

    def wait_idle(self):
        """No job is left: what the CSMS has heard it has answered, so that no kill from now on repeats it."""
        wait_until(lambda: "job" not in self.status(), "the end of the job")

    def csms_call(self, command, answer=True):
        """One command that sends a CALL; returns the frame that answers it."""
        start = self.csms.mark()
        assert self.csms.command(command) == "ok"
        sent = self.csms.wait_event("sent", lambda f: f["frame"][0] == 2, start)
        if not answer:
            return sent["frame"]
        reply = self.csms.wait_event("received", lambda f: isinstance(f["frame"], list) and f["frame"][0] in (3, 4)
                                     and f["frame"][1] == sent["frame"][1], start)
        return reply["frame"]

    # ------------------------------------------------------------------------------------------------ update

    def bundle(self, version="2.0.0", **options):
        return fixtures.bundle(BUILD, version, **options)

    def publish(self, version="2.0.0", **options):
        """A bundle on the bundle server; returns its URL."""
        return self.server.publish(self.bundle(version, **options).path, f"{version}.raucb")

    def update(self, version="2.0.0", date="now", options="", **bundle):
        """Publishes a bundle and sends UpdateFirmware for it; returns the URL."""
        url = self.publish(version, **bundle)
        assert self.csms_call(f"update {url} {date} {options}".strip())[2] == {}
        return url

    def wait_reboot_requested(self, count=1):
        self.device.wait_reboot_requested(count)

    def reboot(self, how="reboot", agent=True, **options):
        """What a charger does when it reboots: the agent ends, the loader chooses, RAUC and the agent start.

        `how`: reboot (SIGTERM before) or power_cut (everything dies at once)."""
        if self.agent and how == "reboot":
            self.stop_agent()
        elif self.agent:
            self.kill_agent()
        self.served_reboots = len(self.device.reboot_requests())
        booted = getattr(self.device, how)(**options)
        if agent:
            self.start_agent()
        return booted

    def installed_image(self, slot, version="2.0.0", **options):
        """Whether the slot holds the image of that bundle, byte for byte."""
        image = self.bundle(version, **options).image.read_bytes()
        return self.device.slot_image(slot)[:len(image)] == image

    def backend_calls(self, verb, *args):
        """The calls of the loader's backend with just these arguments, oldest first."""
        return [call for call in self.device.backend_log() if call[1:] == (verb, args)]

    def settle(self, statuses, registrations=1):
        """The CSMS has been told this and nothing more, and the agent knows that it was heard.

        The answers to the statuses went out before the CALL that the agent has answered: a kill repeats none of them."""
        self.wait_registered(registrations)
        wait_until(lambda: len(self.statuses()) >= len(statuses), f"the statuses {statuses}")
        assert self.csms_call("get-configuration")[0] == 3
        assert self.statuses() == statuses

    def install_calls(self):
        """How often the agent, in all its lives, has called InstallBundle."""
        return self.log_text().count(" InstallBundle ")

    def reboot_wanted(self):
        """Whether a reboot was asked for in this boot."""
        return len(self.device.reboot_requests()) > self.served_reboots

    def play(self, count=1, confirm=False):
        """Reboots whenever the agent asks for it, until the CSMS has heard `count` ends; returns the last of them.

        With `confirm` each process of the agent hears Confirm once, as from a stack (health=stack)."""
        def ends():
            return [status for status in self.statuses() if status in ENDS]
        confirmed = None
        while len(ends()) < count:
            if confirm and confirmed is not self.agent:
                wait_until(lambda: self.ctl("confirm", check=False).returncode == 0, "the agent's control interface")
                confirmed = self.agent
            wait_until(lambda: len(ends()) >= count or self.reboot_wanted(), "a reboot request or the end")
            if len(ends()) < count:
                self.reboot()
        return ends()[count - 1]

    def restart_agent(self):
        """kill -9, and a new process."""
        self.kill_agent()
        self.start_agent()

    def inhibit(self):
        """Holds reboots back until the returned process is killed."""
        held = self.path / "inhibited"
        process = Process([binary(), "--config", str(self.config), "inhibit", "--", "sh", "-c",
                           f"touch '{held}'; exec sleep 3600"], log=self.path / "inhibit.log", env=self.environment(),
                          pid_file=self.path / "inhibit.pid")
        wait_until(held.exists, "the inhibitor")
        return process
