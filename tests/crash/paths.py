# SPDX-License-Identifier: LGPL-2.1-or-later
"""The ways an update can go, as the crash tests play them: what the CSMS and the operator do, and how it has to end.

An action begins when `ready` and is repeated until it is `done`, whoever dies meanwhile.  Both are asked again and again
and never wait.
"""
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Callable

DATE = "2020-01-01T00:00:00Z"           # the same in a repeated request: it is the same job then
STARTED = ["Downloading", "Downloaded", "Installing"]
OLD, NEW = "1.0.0", "2.0.0"
SIZE = 1 << 20
AHEAD = 2                               # seconds to a retrieveDate that has not come
RETRIES = "retries=2 interval=0"        # RAUC's death is charged to the job


class Request:
    """UpdateFirmware, sent again while it is not answered: the connection broke, or the agent died."""

    def __init__(self, version=NEW, ready=lambda world: True, options=RETRIES, ahead=0, **bundle):
        self.version, self.ready, self.options, self.ahead, self.bundle = version, ready, options, ahead, bundle

    def begin(self, world):
        url = world.charger.publish(self.version, **{"size": SIZE, **self.bundle})
        date = f"{datetime.now(timezone.utc) + timedelta(seconds=self.ahead):%FT%TZ}" if self.ahead else DATE
        self._command = f"update {url} {date} {self.options}"
        self._sent = world.send_command(self._command)

    def done(self, world):
        ends = world.ends_of_call("UpdateFirmware", self._sent)
        if ends == "unanswered":
            world.repeated_requests += 1
            self._sent = world.send_command(self._command)
        return ends == "answered"


class Order:
    """A sub-command, until it is heard."""

    def __init__(self, word, ready):
        self.word, self.ready = word, ready

    def begin(self, world):
        pass

    def done(self, world):
        if not world.agent_runs():
            return False
        done = world.charger.ctl(self.word, check=False)
        # The agent may have died after it obeyed; then there is nothing left to be ordered.
        return done.returncode == 0 or world.statuses()[-1:] == world.path.expected[-1:]


@dataclass
class Path:
    actions: Callable                   # a fresh list for each run
    expected: list                      # what the CSMS hears, repeats left out
    slot: str = "A"                     # that runs in the end
    version: str = OLD                  # of what it holds
    state: str = "install-failed"       # of the last job
    activations: int = 0                # of slot B, at most
    settings: dict = field(default_factory=dict)
    prepare: Callable = lambda charger: None
    panics: tuple = ()                  # slots that do not come up
    otherwise: "Path" = None            # how it ends when a power cut comes before the last action


def hold(charger):
    """The first bundle's transfer stands still after a while."""
    charger.server.fault("1.5.0.raucb", "hold", after=SIZE // 2)


def held(world):
    """It does, and the CSMS has been told of the download."""
    return world.charger.server.requests("1.5.0.raucb") and world.statuses()[-1:] == ["Downloading"]


def waits_for_reboot(world):
    return "-> reboot-wait" in world.charger.log_text() and world.statuses() and world.statuses()[-1] == "Installing"


def missing(charger):
    charger.server.fault(f"{NEW}.raucb", "404")


def loader_fails(charger):
    """It cannot be switched to slot B, and to slot A it can."""
    loader = charger.device.root / "boot" / "bootloader"
    loader.rename(loader.with_name("loader"))
    loader.write_text('#!/bin/sh\n[ "$*" != "set-primary B" ] || exit 1\nexec "${0%/*}/loader" "$@"\n')
    loader.chmod(0o755)


def sick(charger):
    """The new version does not pass its health check."""
    folder = charger.path / "health.d"
    folder.mkdir()
    check = folder / "version"
    check.write_text(f"#!/bin/sh\nread -r version < '{charger.device.firmware_version_file}'\n[ \"$version\" != {NEW} ]\n")
    check.chmod(0o755)
    charger.settings = {"update": {"health": "command", "health-directory": folder, "health-timeout": "1"}}


FAILED = [*STARTED, "InstallationFailed"]

HAPPY = Path(lambda: [Request()], [*STARTED, "Installed"], "B", NEW, "installed", 1)

PATHS = {
    "happy": HAPPY,
    "relayed": replace(HAPPY, settings={"update": {"transport": "auto"}}),
    "scheduled": replace(HAPPY, actions=lambda: [Request(ahead=AHEAD)]),
    "failed-download": Path(lambda: [Request(options="retries=1 interval=0")], ["Downloading", "DownloadFailed"],
                            state="download-failed", prepare=missing),
    "failed-install": Path(lambda: [Request(compatible="another")], FAILED),
    "failed-activation": Path(lambda: [Request(options="retries=1 interval=0")], FAILED, prepare=loader_fails),
    "rollback": Path(lambda: [Request()], FAILED, state="rolled-back", activations=1, panics=("B",)),
    "unhealthy": Path(lambda: [Request()], FAILED, state="rolled-back", activations=1, prepare=sick),
    "superseded": Path(lambda: [Request("1.5.0"), Request(ready=held)], ["Downloading", *STARTED, "Installed"], "B", NEW,
                       "installed", 1, prepare=hold),
    "cancelled": Path(lambda: [Request("1.5.0"), Order("cancel", held)], ["Downloading", "DownloadFailed"],
                      state="cancelled", prepare=hold),
    "cancelled-late": Path(lambda: [Request(), Order("cancel", waits_for_reboot)], FAILED, state="cancelled", activations=1,
                           settings={"update": {"reboot-permission": "required"}}, otherwise=HAPPY),
}


def given_up(path):
    """How a good path ends instead when power cuts make the new slot look bad."""
    return replace(path, expected=[*path.expected[:-1], "InstallationFailed"], slot="A", version=OLD, state="rolled-back")
