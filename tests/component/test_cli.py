# SPDX-License-Identifier: LGPL-2.1-or-later
"""The command line without a running agent: usage, exit codes, check-config, what `run` says of bad settings."""
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
AGENT = os.environ.get("AGENT") or str(ROOT / "build" / "asan" / "rauc-ocpp-agent")
DEADLINE = 120
HINT = ", see rauc-ocpp-agent --help\n"
COMMANDS = ["run", "status", "history", "cancel", "confirm", "allow-reboot", "inhibit", "check-config"]
NOT_RUNNING = "rauc-ocpp-agent is not running (nobody owns org.rauc_ocpp.Agent on the system bus)\n"
GOOD = """\
[csms]
url=ws://csms.example/ocpp
identity=CP1
[charge-point]
vendor=V
model=M
"""


def agent(*args, address="unix:path=/nonexistent/bus", **options):
    env = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": address}
    return subprocess.run([AGENT, *args], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=DEADLINE, check=False, **options)


def result(done):
    return done.returncode, done.stdout, done.stderr


def check_config(name, *args):
    """Without the warnings about this machine's file systems, which do not name the settings file."""
    done = agent(*(args or ("--config", name, "check-config")))
    lines = [line for line in done.stderr.splitlines(keepends=True) if name in line]
    return done.returncode, done.stdout, "".join(lines)


@pytest.fixture
def settings(tmp_path):
    """Writes agent.conf; gives its name."""
    def write(text):
        path = tmp_path / "agent.conf"
        path.write_text(text)
        return str(path)
    return write


@pytest.fixture
def bus(tmp_path):
    """The address of a private bus on which nobody is."""
    address = f"unix:path={tmp_path}/bus"
    daemon = subprocess.Popen(["dbus-daemon", "--session", "--nofork", f"--address={address}", "--print-address=1"],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert daemon.stdout.readline()
    yield address
    daemon.kill()
    daemon.wait()
    daemon.stdout.close()


def test_help():
    done = agent("--help")
    assert (done.returncode, done.stderr) == (0, "")
    for command in COMMANDS:
        assert f"\n  {command}" in done.stdout
    assert result(agent("status", "--help")) == result(done)
    assert result(agent("-h", "nonsense")) == result(done)


def test_version():
    done = agent("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("rauc-ocpp-agent ") and done.stdout.count("\n") == 1


@pytest.mark.parametrize("args, words", [
    ([], "no command"),
    (["nonsense"], '"nonsense" is not a command'),
    (["\x1b[2J\n"], '"\\x1b[2J\\x0a" is not a command'),
    (["--nonsense"], "Unknown option --nonsense"),
    (["--config"], "Missing argument for --config"),
    (["status", "--limit", "5"], "status: Unknown option --limit"),
    (["status", "more"], 'status: "more" is one argument too many'),
    (["status", "--", "more"], 'status: "more" is one argument too many'),
    (["cancel", "--json"], "cancel: Unknown option --json"),
    (["history", "--limit", "0"], "history: --limit is from 1 to 1000"),
    (["history", "--limit", "1001"], "history: --limit is from 1 to 1000"),
    (["inhibit"], "inhibit: no command to run"),
    (["inhibit", "--"], "inhibit: no command to run"),
    (["inhibit", "--who", "w"], "inhibit: no command to run"),
    ([""], '"" is not a command'),
])
def test_usage_errors(args, words):
    assert result(agent(*args)) == (2, "", words + HINT)


def test_limit_is_a_number():
    done = agent("history", "--limit", "many")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--limit" in done.stderr and done.stderr.endswith(HINT)


@pytest.mark.parametrize("command", [["status"], ["status", "--json"], ["history"], ["cancel"], ["confirm"],
                                     ["allow-reboot"], ["inhibit", "--", "touch", "ran"], ["inhibit", "touch", "ran"]])
def test_not_running(bus, command, tmp_path):
    assert result(agent(*command, address=bus, cwd=tmp_path)) == (1, "", NOT_RUNNING)
    assert not (tmp_path / "ran").exists()


def test_no_bus():
    done = agent("status")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("the system bus cannot be reached: ") and done.stderr.count("\n") == 1


def test_good_settings(settings):
    name = settings(GOOD)
    expected = (0, f"{name}: the settings are good\n", "")
    assert check_config(name) == expected
    assert check_config(name, "check-config", "--config", name) == expected
    assert check_config(name, "--config", "/nonexistent", "check-config", f"--config={name}") == expected


def test_bad_settings(settings):
    name = settings(GOOD + "connectors=many\ncolour=red\n[csms]\nsecurity-profile=7\n")
    problems = [f'{name}:7: charge-point.connectors: "many" is not allowed, use a whole number from 0 to 100',
                f"{name}:8: charge-point.colour: is not a known key",
                f'{name}:10: csms.security-profile: "7" is not allowed, use 0, 1, 2 or 3']
    assert result(agent("--config", name, "check-config")) == (2, "", "".join(f"{line}\n" for line in problems))
    levels = ["critical: ", "warning: ", "critical: "]
    lines = "".join(f"{level}{line}\n" for level, line in zip(levels, problems))
    assert result(agent("--config", name, "run")) == (2, "", lines)


def test_unknown_keys_are_errors_only_for_check_config(settings):
    name = settings(GOOD + "[gateway]\nlisten=9000\n")
    assert result(agent("--config", name, "check-config")) == (2, "", f"{name}:7: gateway: is not a known group\n")


def test_warnings_are_no_errors(settings, tmp_path):
    key = tmp_path / "key"
    key.write_text("a plain password\n")
    key.chmod(0o644)
    name = settings(GOOD + f"[csms]\nsecurity-profile=1\nauthorization-key-file={key}\n")
    assert check_config(name) == (
        0, f"{name}: the settings are good\n",
        f"warning: {name}:9: csms.authorization-key-file: is a secret that every user can read (mode 0644), "
        "use chmod 600\n")


@pytest.mark.parametrize("command", ["run", "check-config"])
def test_missing_settings(command, tmp_path):
    done = agent("--config", str(tmp_path / "none.conf"), command)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith(f"{tmp_path}/none.conf: cannot be read: No such file or directory\n")
    assert done.stderr.count("\n") == 1


def test_settings_that_are_no_file(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path in [tmp_path / "fifo", tmp_path, Path("/dev/zero")]:
        assert result(agent("--config", str(path), "check-config")) == (
            2, "", f"{path}: cannot be read: it is not a regular file\n")


def test_journal_priorities(settings):
    name = settings(GOOD + "connectors=many\n")
    reading, writing = os.pipe()
    stat = os.fstat(writing)
    env = {**os.environ, "JOURNAL_STREAM": f"{stat.st_dev}:{stat.st_ino}"}
    code = subprocess.run([AGENT, "--config", name, "run"], env=env, stderr=writing, timeout=DEADLINE,
                          check=False).returncode
    os.close(writing)
    with os.fdopen(reading) as stderr:
        text = stderr.read()
    assert (code, text.startswith(f"<2>{name}:7: charge-point.connectors: "), text.count("\n")) == (2, True, 1)


def test_output_that_nobody_takes():
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([AGENT, "--help"], stdout=writing, stderr=subprocess.PIPE, timeout=DEADLINE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")
    with open("/dev/full", "wb") as full:
        done = subprocess.run([AGENT, "--help"], stdout=full, stderr=subprocess.PIPE, timeout=DEADLINE, check=False)
    assert (done.returncode, done.stderr) == (1, b"cannot write the output: No space left on device\n")


def test_closed_descriptors(bus):
    """A socket must not become stdout."""
    done = subprocess.run(["sh", "-c", 'exec "$0" status >&- 2>&- <&-', AGENT], timeout=DEADLINE, check=False,
                          env={**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": bus})
    assert done.returncode == 1
