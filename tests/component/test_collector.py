# SPDX-License-Identifier: LGPL-2.1-or-later
"""The collector of diagnostics, run as a process of its own against folders and commands that want to break it."""
import contextlib
import datetime
import errno
import gzip
import lzma
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tarfile
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TESTS = pathlib.Path(os.environ.get("DUMP_MESSAGES") or ROOT / "build" / "asan" / "tests" / "dump_messages").parent
PROGRAM = TESTS / "collect_sources"
SANITIZED = b"__asan_init" in PROGRAM.read_bytes() if PROGRAM.exists() else False
DEADLINE = 120
NOON = datetime.datetime(2026, 11, 22, 12, 0, 0, tzinfo=datetime.timezone.utc)
MEMORY_KB = 16 * 1024
SECRET = "correct-horse-battery"


def ms(when):
    return round(when.timestamp() * 1000)


def stamped(when, text="line"):
    return f"{when.isoformat(timespec='milliseconds')} {text}\n"


class Archive:
    """What came out, and that it is as it should be."""

    def __init__(self, path, name="CP1"):
        assert path.stat().st_mode & 0o7777 == 0o600
        self.files = {}
        with tarfile.open(path) as tar:
            members = tar.getmembers()
            assert members[0].name == f"{name}/MANIFEST"
            for member in members:
                assert (member.isfile() or member.isdir()) and member.name.startswith(f"{name}/")
                if member.isfile():
                    self.files[member.name.removeprefix(f"{name}/")] = tar.extractfile(member).read()
        self.manifest = self.files.pop("MANIFEST").decode()
        head, _, table = self.manifest.partition("\n\n")
        self.head = dict(line.split(": ", 1) for line in head.splitlines())
        rows = [line.split("\t") for line in table.splitlines()]
        assert rows[0] == ["path", "bytes", "from", "remark"]
        self.rows = {row[0]: row for row in rows[1:] if row[0] != "-"}
        self.missing = {row[2]: row[3] for row in rows[1:] if row[0] == "-"}
        self.size = sum(map(len, self.files.values())) + len(self.manifest.encode())
        for path_in, content in self.files.items():
            assert self.rows[path_in][1] == str(len(content))
        assert set(self.rows) == set(self.files)

    def remark(self, path):
        return self.rows[path][3]


def hear_interrupts():
    """A shell's background process, which these tests may be part of, ignores SIGINT, and so would its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Collector:
    def __init__(self, folder):
        self.folder = folder
        self.work = folder / "work"
        self.out = folder / "out" / "d.tar.gz"
        self.logs = folder / "logs"
        self.bin = folder / "bin"
        for path in (self.work, self.out.parent, self.logs, self.bin):
            path.mkdir()
        self.memory = None

    def program(self, name, text):
        path = self.bin / name
        path.write_text("#!/bin/sh\n" + text)
        path.chmod(0o755)
        return path

    def arguments(self, *sources, secrets=(), texts=(), **fields):
        fields = {"output": self.out, "work_directory": self.work, "name": "CP1", **fields}
        return [PROGRAM, *(f"{key}={value}" for key, value in fields.items()), *(f"source={source}" for source in sources),
                *(f"secret={secret}" for secret in secrets), *texts]

    def environment(self):
        return {**os.environ, "PATH": f"{self.bin}:{os.environ['PATH']}", "TZ": "CET-1CEST,M3.5.0,M10.5.0/3"}

    def start(self, *sources, **options):
        return subprocess.Popen(self.arguments(*sources, **options), env=self.environment(), stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, preexec_fn=hear_interrupts)

    def run(self, *sources, **options):
        done = subprocess.run(self.arguments(*sources, **options), env=self.environment(), capture_output=True, text=True,
                              timeout=4 * DEADLINE)
        assert done.returncode == 0, done.stderr
        assert not done.stderr
        self.memory = int(done.stdout)
        assert not list(self.work.iterdir())
        assert list(self.out.parent.iterdir()) == [self.out]
        return Archive(self.out)

    def fails(self, *sources, **options):
        done = subprocess.run(self.arguments(*sources, **options), env=self.environment(), capture_output=True, text=True,
                              timeout=DEADLINE)
        assert done.returncode == 1, done
        assert not list(self.work.iterdir())
        return done.stderr

    def entry(self, name):
        return f"logs{self.logs}/{name}"


@pytest.fixture
def collector(tmp_path):
    return Collector(tmp_path)


def wait_for(condition):
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# --- What is in it ---

def test_what_is_in_it(collector):
    collector.program("rauc", "echo rauc 9.9; echo args $*")
    (collector.logs / "x.log").write_text("2026-11-22 10:20:30 x\n")
    archive = collector.run(f"{collector.logs}/*.log", "command:echo hello world", "command:sh -c 'exit 3'", "/nowhere/*.log",
                            "bogus", texts=["text=agent/history.json:{}", "missing=agent/frames.log:off",
                                            "text=../../escape:x", "text=MANIFEST:x"])
    assert archive.head["diagnostics"] == "CP1"
    assert archive.head["rauc"].startswith("rauc 9.9")
    assert archive.head["window"] == "from open to open, both included"
    assert archive.head["kernel"] == os.uname().release
    assert archive.files["agent/history.json"] == b"{}"
    assert archive.files["commands/01-echo.txt"] == b"hello world\n"
    assert archive.files["system/rauc-status.txt"] == b"rauc 9.9\nargs status --detailed\n"
    assert archive.files[collector.entry("x.log")] == b"2026-11-22 10:20:30 x\n"
    for name in ("uname", "os-release", "uptime", "meminfo", "df", "mounts", "ip-address", "ip-route"):
        assert archive.files[f"system/{name}.txt"], name
    assert archive.missing["agent/frames.log"] == "off"
    assert "exited with 3" in archive.missing["sh -c exit 3"]
    assert archive.missing["/nowhere/*.log"] == "there is no such file"
    assert archive.missing["bogus"] == "not a source"
    assert archive.missing["the agent"] == "not a name for the archive"


def test_without_programs(collector):
    """A charger with next to nothing: what is not there is a line."""
    for name in ("tar", "gzip", "sh"):
        (collector.bin / name).symlink_to(shutil.which(name))
    collector.environment = lambda: {"PATH": str(collector.bin)}
    (collector.logs / "x.log").write_text("2026-11-22 10:20:30 x\n")
    (collector.logs / "x.log.2.xz").write_bytes(lzma.compress(b"2026-11-22 10:20:29 x\n"))
    archive = collector.run("journal", f"{collector.logs}/x.log")
    assert "no program journalctl" in archive.missing["journal"]
    assert "no program xz" in archive.remark(collector.entry("x.log"))
    assert "no program rauc" in archive.missing["rauc status --detailed"]
    assert archive.files[collector.entry("x.log")] == b"2026-11-22 10:20:30 x\n"
    assert archive.rows["system/uname.txt"][2] in ("/proc/version", "uname -a")


# --- The window ---

def window_case(collector, make_line):
    """A log of an hour, a line a second, in five files; the window's edges are in the middle of two of them."""
    start = NOON - datetime.timedelta(hours=1)
    lines = [make_line(start + datetime.timedelta(seconds=second), second) for second in range(3600)]
    names = ["x.log.4.gz", "x.log.3.xz", "x.log.2.gz", "x.log.1", "x.log"]
    for i, name in enumerate(names):
        text = "".join(lines[i * 720:(i + 1) * 720]).encode()
        if name.endswith(".gz"):
            text = gzip.compress(text[:1000]) + gzip.compress(text[1000:])
        elif name.endswith(".xz"):
            text = lzma.compress(text)
        (collector.logs / name).write_bytes(text)
        os.utime(collector.logs / name, (NOON.timestamp(), NOON.timestamp()))
    first, last = 1000, 3000
    archive = collector.run(f"{collector.logs}/x.log*", from_ms=ms(start) + first * 1000, to_ms=ms(start) + last * 1000)
    assert archive.files[collector.entry("x.log")].decode() == "".join(lines[first:last + 1])
    assert len([path for path in archive.files if path.startswith("logs/")]) == 1
    assert archive.remark(collector.entry("x.log")) == ""
    return archive


def test_window_iso(collector):
    archive = window_case(collector, lambda when, i: stamped(when, f"line {i}") + "  and more\n" * (i % 3))
    assert archive.rows[collector.entry("x.log")][2] == ", ".join(
        str(collector.logs / name) for name in ("x.log.3.xz", "x.log.2.gz", "x.log.1", "x.log"))
    assert archive.head["window"] == "from 2026-11-22T11:16:40.000Z to 2026-11-22T11:50:00.000Z, both included"


def test_window_iso_local(collector):
    window_case(collector, lambda when, i: f"{(when + datetime.timedelta(hours=1)).strftime('%Y-%m-%d %H:%M:%S')} {i}\n")


def test_window_syslog(collector):
    window_case(collector, lambda when, i: f"{(when + datetime.timedelta(hours=1)).strftime('%b %d %H:%M:%S')} host a: {i}\n")


def test_window_over_new_year(collector):
    text = "Dec 31 23:59:58 a\nDec 31 23:59:59 b\nJan  1 00:00:00 c\nJan  1 00:00:01 d\n"
    new_year = datetime.datetime(2025, 12, 31, 23, 0, 0, tzinfo=datetime.timezone.utc)
    (collector.logs / "syslog").write_text(text)
    os.utime(collector.logs / "syslog", (new_year.timestamp() + 5, new_year.timestamp() + 5))
    archive = collector.run(f"{collector.logs}/syslog", from_ms=ms(new_year) - 1000, to_ms=ms(new_year))
    assert archive.files[collector.entry("syslog")] == b"Dec 31 23:59:59 b\nJan  1 00:00:00 c\n"


def test_clock_that_jumped(collector):
    minute = datetime.timedelta(minutes=1)
    old = [stamped(NOON - 9 * minute, "out"), stamped(NOON, "first"), stamped(NOON + 900 * minute, "jumped ahead")]
    new = ["1970-01-01T00:00:05.000+00:00 no clock\n", "  more\n", stamped(NOON + minute, "last"), "  more\n",
           stamped(NOON + 9 * minute, "out")]
    (collector.logs / "x.log-20261122").write_text("".join(old))
    (collector.logs / "x.log").write_text("".join(new))
    archive = collector.run(f"{collector.logs}/x.log", from_ms=ms(NOON), to_ms=ms(NOON + minute))
    assert archive.files[collector.entry("x.log")].decode() == "".join(old[1:] + new[:4])


def test_without_stamps(collector):
    for name, when in (("before", -7200), ("inside", -1800), ("after", 7200)):
        (collector.logs / name).write_text(f"{name}\nno stamp")
        os.utime(collector.logs / name, (NOON.timestamp() + when, NOON.timestamp() + when))
    archive = collector.run(f"{collector.logs}/*", from_ms=ms(NOON) - 3600000, to_ms=ms(NOON))
    assert archive.files[collector.entry("inside")] == b"inside\nno stamp\n"
    assert archive.missing[str(collector.logs / "before")] == "nothing in the window"


def test_dmesg_relative_to_boot(collector):
    boot_ms = (time.time() - time.monotonic()) * 1000
    collector.program("dmesg", "echo '[    5.000000] early'; echo '[   10.500000] first'; echo '[ 1000.000000] late'")
    archive = collector.run(from_ms=int(boot_ms + 7000), to_ms=int(boot_ms + 90000))
    assert archive.files["system/dmesg.txt"] == b"[   10.500000] first\n"


def fake_journal(collector, entries, then=""):
    collector.program("journalctl", f"echo \"$*\" >> {collector.folder}/asked\ncat {collector.folder}/journal\n{then}")
    (collector.folder / "journal").write_text("".join(reversed(entries)))


def test_journal(collector):
    entries = [stamped(NOON, f"entry {i}") + "    continued\n" * (i % 4) for i in range(5000)]
    fake_journal(collector, entries)
    archive = collector.run("journal", from_ms=ms(NOON) + 7, to_ms=ms(NOON) + 1008)
    assert archive.files["journal.log"].decode() == "".join(entries)
    asked = (collector.folder / "asked").read_text().split()
    seconds = int(NOON.timestamp())
    assert asked == ["--quiet", "--reverse", "--no-pager", "-o", "short-iso-precise", f"--since=@{seconds}.007000",
                     f"--until=@{seconds + 1}.008999"]


def test_journal_longer_than_its_share(collector):
    entries = [stamped(NOON, f"entry {i} {'x' * 100}") for i in range(20000)]
    fake_journal(collector, entries, "exec sleep 1000")
    archive = collector.run("journal", size_limit=1 << 20)
    kept = archive.files["journal.log"].decode()
    assert "".join(entries).endswith(kept) and kept.startswith("2026-11-22T12:00:00.000+00:00 entry ")
    assert 500000 < len(kept) <= 1 << 20
    assert archive.remark("journal.log") == "cut: its newest entries"
    assert archive.size <= 1 << 20


def test_journal_of_nothing(collector):
    fake_journal(collector, [])
    assert collector.run("journal").missing["journal"] == "nothing in the window"


# --- Bounds ---

def test_size_limit_is_shared(collector):
    for name, count in (("small", 10), ("big", 30000), ("huge", 200000)):
        (collector.logs / name).write_text("".join(stamped(NOON, f"{name} {i:06}") for i in range(count)))
    fake_journal(collector, [stamped(NOON, f"journal {i:06}") for i in range(100000)])
    collector.program("dmesg", "echo '[    5.000000] x'")
    limit = 1 << 20
    archive = collector.run(f"{collector.logs}/*", "journal", "command:yes flood", size_limit=limit)
    assert limit * 0.9 < archive.size <= limit
    whole = (collector.logs / "small").read_bytes()
    assert archive.files[collector.entry("small")] == whole
    sizes = []
    for name in ("big", "huge"):
        kept = archive.files[collector.entry(name)]
        assert (collector.logs / name).read_bytes().endswith(kept) and kept.startswith(b"2026")
        assert "cut: the newest of" in archive.remark(collector.entry(name))
        sizes.append(len(kept))
    sizes.append(len(archive.files["journal.log"]))
    assert max(sizes) < 1.5 * min(sizes)
    flood = archive.files["commands/01-yes.txt"]
    assert flood.startswith(b"flood\nflood\n") and "cut: its first bytes" in archive.remark("commands/01-yes.txt")


@pytest.mark.parametrize("limit", [1, 1000, 20000])
def test_tiny_limits(collector, limit):
    (collector.logs / "x.log").write_text("".join(stamped(NOON, f"{i}") for i in range(10000)))
    archive = collector.run(f"{collector.logs}/*", "command:yes", texts=["text=agent/a:whole"], size_limit=limit)
    assert archive.files["agent/a"] == b"whole"
    assert archive.size <= max(limit, 8192 + 5)       # the MANIFEST and what is not cut


def memory_of_nothing(collector):
    """Of a run in which nothing is large."""
    collector.run()
    return collector.memory


def check_memory(collector, idle):
    more = 16384 if SANITIZED else 4096               # what is freed stays in the sanitizer's quarantine
    assert 1024 < idle and collector.memory - idle < more, "more than a run without anything large"
    assert SANITIZED or collector.memory < MEMORY_KB


def test_large_files(collector):
    """2 GB of zeros, a line of 1 GB, and a gzip file that becomes 2 GB."""
    idle = memory_of_nothing(collector)
    with open(collector.logs / "sparse.log", "wb") as file:
        file.truncate(2 << 30)
        file.seek(2 << 30)
        file.write(b"\n" + stamped(NOON, "end of it").encode())
    with open(collector.logs / "line.log", "wb") as file:
        file.write(stamped(NOON, "before").encode() + stamped(NOON, "x" * 100)[:-1].encode())
        file.truncate(1 << 30)
        file.seek(1 << 30)
        file.write(b"\n" + stamped(NOON, "after").encode())
    block = gzip.compress(bytes(64 << 20))
    with open(collector.logs / "bomb.log.1.gz", "wb") as file:
        for _ in range(32):
            file.write(block)
    (collector.logs / "bomb.log").write_text(stamped(NOON, "good"))
    archive = collector.run(f"{collector.logs}/*.log", from_ms=ms(NOON), to_ms=ms(NOON))
    assert archive.files[collector.entry("sparse.log")].decode() == stamped(NOON, "end of it")
    lines = archive.files[collector.entry("line.log")].splitlines()
    assert len(lines) == 3 and lines[1].endswith(b"[line cut]") and lines[2] == stamped(NOON, "after").strip().encode()
    assert "lines of more than 65536 bytes cut: 1" in archive.remark(collector.entry("line.log"))
    assert archive.files[collector.entry("bomb.log")].decode() == stamped(NOON, "good")
    check_memory(collector, idle)


def test_many_files_and_names(collector):
    """More files than are taken, in a folder with far more of them."""
    idle = memory_of_nothing(collector)
    for i in range(20000):
        (collector.logs / f"{i:05}-{'n' * 100}.log").touch()
    for i in range(5000):
        (collector.logs / f"a.log.{i}").touch()
    (collector.logs / "a.log").write_text(stamped(NOON))
    archive = collector.run(f"{collector.logs}/a.log*", f"{collector.logs}/*.log")
    assert archive.files[collector.entry("a.log")].decode() == stamped(NOON)
    assert archive.missing[f"{collector.logs}/*.log"] in ("more files than are taken", "more logs match it than are taken")
    check_memory(collector, idle)


def test_commands_that_misbehave(collector):
    """One that never ends, with a child of its own; one that leaves a child behind; one that is not there."""
    marker = collector.folder / "children"
    collector.program("hang", f"sleep 1000 & echo $! >> {marker}; echo begun; echo $$ >> {marker}; exec sleep 1000")
    collector.program("leave", f"sleep 1000 & echo $! >> {marker}; echo left")
    begun = time.monotonic()
    archive = collector.run(f"command:{collector.bin}/hang", "command:leave", "command:not-there", "command:sh -c 'kill -9 $$'")
    assert time.monotonic() - begun < 60
    assert archive.files["commands/01-hang.txt"] == b"begun\n"
    assert archive.remark("commands/01-hang.txt") == "killed after 20 s"
    assert archive.files["commands/02-leave.txt"] == b"left\n"
    assert archive.missing["not-there"] == "there is no program not-there"
    assert archive.missing["sh -c kill -9 $$"] == "killed by signal 9"
    wait_for(lambda: not any(is_alive(int(pid)) for pid in marker.read_text().split()))


def is_alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError as error:
        assert error.errno in (errno.ENOENT, errno.ESRCH)
        return False


def test_no_room(collector):
    disk = collector.folder / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8M", "tmpfs", disk], check=True)
    try:
        collector.work = disk
        assert "no room for diagnostics" in collector.fails()
        subprocess.run(["mount", "-o", "remount,size=10M", disk], check=True)
        (collector.logs / "x.log").write_bytes(b"".join(
            f"2026-11-22 10:20:30 {random.Random(i).randbytes(50).hex()}\n".encode() for i in range(100000)))
        archive = collector.run(f"{collector.logs}/x.log")
        assert "as the disk is nearly full" in archive.head["limit"]
        assert archive.size <= 1 << 20
        collector.out = disk / "d.tar.gz"
        subprocess.run(collector.arguments(f"{collector.logs}/x.log"), check=True, stdout=subprocess.DEVNULL)
        assert [path.name for path in disk.iterdir()] == ["d.tar.gz"]
    finally:
        subprocess.run(["umount", disk], check=True)


# --- Hostile folders ---

def test_things_that_are_no_files(collector):
    logs = collector.logs
    (logs / "good.log").write_text(stamped(NOON))
    os.mkfifo(logs / "fifo.log")
    os.mkfifo(logs / "good.log.1")
    os.mknod(logs / "device.log", 0o20600, os.makedev(1, 5))
    (logs / "folder.log").mkdir()
    (logs / "loop").symlink_to(".")
    (logs / "self.log").symlink_to("self.log")
    (logs / "dangling.log").symlink_to("nowhere")
    (logs / "kmsg.log").symlink_to("/proc/kmsg")
    (logs / "kcore.log").symlink_to("/proc/self/mem")
    (logs / "zero.log").symlink_to("/dev/zero")
    (logs / "good-too.log").symlink_to(collector.folder / "elsewhere")
    (logs / "same.log").symlink_to("good.log")
    (logs / "new\nline.log").write_text(stamped(NOON, "name with a line"))
    (collector.folder / "elsewhere").write_text(stamped(NOON, "elsewhere"))
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as server:
        os.chdir(logs)
        server.bind("socket.log")
        os.chdir(ROOT)
        archive = collector.run(f"{logs}/*.log", f"{logs}/loop/loop/*/*.log", f"{logs}/good.log")
    assert archive.files[collector.entry("good.log")].decode() == stamped(NOON)
    assert archive.files[collector.entry("good-too.log")].decode() == stamped(NOON, "elsewhere")
    assert archive.files[collector.entry("new line.log")].decode() == stamped(NOON, "name with a line")
    for name, why in (("fifo.log", "a FIFO"), ("good.log.1", "a FIFO"), ("device.log", "a device"), ("socket.log", "a socket"),
                      ("folder.log", "a directory"), ("self.log", "symbolic links"), ("dangling.log", "No such file"),
                      ("kmsg.log", "the kernel makes it up"), ("kcore.log", "the kernel makes it up"), ("zero.log", "a device"),
                      ("same.log", "the same file")):
        assert why in archive.missing[f"{logs}/{name}"], name


def test_unreadable(collector):
    (collector.logs / "x.log").write_text(stamped(NOON))
    (collector.logs / "secret.log").write_text(stamped(NOON))
    (collector.logs / "secret.log").chmod(0)
    shutil.chown(collector.work, 65534)
    shutil.chown(collector.out.parent, 65534)
    for folder in (collector.folder, *collector.folder.parents):
        if not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o011)
    program = shutil.copy(PROGRAM, collector.folder)    # the checkout may be in a folder of root's alone
    done = subprocess.run([program, *collector.arguments(f"{collector.logs}/*.log")[1:]], env=collector.environment(),
                          capture_output=True, text=True, timeout=DEADLINE, user=65534, group=65534, extra_groups=())
    assert done.returncode == 0, done.stderr
    archive = Archive(collector.out)
    assert archive.missing[f"{collector.logs}/secret.log"] == "Permission denied"
    assert archive.files[collector.entry("x.log")].decode() == stamped(NOON)


def test_files_that_are_not_what_they_say(collector):
    (collector.logs / "x.log.4.gz").write_bytes(b"this is no gzip")
    (collector.logs / "x.log.3.gz").write_bytes(gzip.compress(stamped(NOON, "y" * 1000).encode() * 1000)[:-100])
    (collector.logs / "x.log.2.xz").write_bytes(b"this is no xz")
    (collector.logs / "x.log.1").write_text(stamped(NOON, "one"))
    (collector.logs / "x.log.1.gz").write_bytes(gzip.compress(stamped(NOON, "half of one").encode()))
    (collector.logs / "x.log").write_bytes(b"\xff\xfe\x00garbage\r\n" + stamped(NOON, "good").encode())
    archive = collector.run(f"{collector.logs}/*.log")
    text = archive.files[collector.entry("x.log")].decode(errors="replace")
    assert text.endswith(stamped(NOON, "good")) and stamped(NOON, "one") in text and "half" not in text
    remark = archive.remark(collector.entry("x.log"))
    for name in ("x.log.4.gz: cannot be unpacked", "x.log.3.gz: cannot be unpacked", "x.log.2.xz: exited with 1"):
        assert f"{collector.logs}/{name}" in remark
    assert archive.missing[f"{collector.logs}/x.log.1.gz"] == "the file it is made from is there"


def test_files_that_change(collector):
    """Logs that grow, shrink, vanish and are rotated while they are read: always a good archive."""
    stop = collector.folder / "stop"
    writer = subprocess.Popen(["sh", "-c", f"""
        cd {collector.logs}; i=0
        while ! [ -e {stop} ]; do
            i=$((i + 1))
            yes '2026-11-22T12:00:00.000Z line' | head -n 50000 >> grow.log
            cp grow.log shrink.log; : > shrink.log
            cp grow.log vanish.log; rm -f vanish.log
            mv -f rotate.log.1 rotate.log.2; mv -f rotate.log rotate.log.1
            yes '2026-11-22T12:00:00.000Z line' | head -n 50000 > rotate.log
            [ $((i % 20)) -ne 0 ] || : > grow.log
        done 2>/dev/null"""])
    try:
        wait_for(lambda: (collector.logs / "rotate.log.2").exists())
        for _ in range(5):
            archive = collector.run(f"{collector.logs}/*.log", size_limit=4 << 20)
            for name, content in archive.files.items():
                if name.startswith("logs/"):
                    assert set(content.splitlines()[:-1]) <= {b"2026-11-22T12:00:00.000Z line"}
            assert archive.size <= 4 << 20
    finally:
        stop.touch()
        writer.wait(DEADLINE)


# --- Secrets ---

def test_secrets(collector):
    """Everywhere, also across the borders of what is read."""
    filler = stamped(NOON, "." * 61)
    text = "".join(filler + f"{stamped(NOON, SECRET)}{'-' * (i % 17)}\n" for i in range(5000))
    (collector.logs / "x.log").write_text(text + "ftp://user:hunter2@host/ Authorization: Basic Zm9vOmJhcg==\n")
    (collector.logs / "x.log.1.gz").write_bytes(gzip.compress(text.encode()))
    (collector.logs / f"{SECRET}.log").write_text(stamped(NOON))
    collector.program("dmesg", f"echo '[    1.000000] {SECRET}'")
    collector.program("cut", f"printf 'correct-horse-b'; sleep 0; kill -9 $$; echo {SECRET}")
    fake_journal(collector, [stamped(NOON, f"{SECRET}{i}") for i in range(5000)])
    archive = collector.run(f"{collector.logs}/*.log", "journal", f"command:echo {SECRET}", "command:yes " + SECRET,
                            f"command:cut {SECRET}", f"/nowhere/{SECRET}", secrets=[SECRET, "unused"],
                            texts=[f"text=agent/settings:[password]={SECRET}", f"missing=agent/x:{SECRET}"])
    assert collector.entry("***.log") in archive.files
    for name, content in {**archive.files, "MANIFEST": archive.manifest.encode()}.items():
        for word in (SECRET, "hunter2", "Zm9v"):
            assert word.encode() not in content and word not in name, name
    assert archive.files["agent/settings"] == b"[password]=***"
    assert archive.files[collector.entry("x.log")].endswith(b"ftp://***@host/ Authorization: ***\n")
    assert archive.files["commands/01-echo.txt"] == b"***\n"


# --- Life ---

@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped(collector, number):
    marker = collector.folder / "child"
    collector.program("hang", f"echo $$ > {marker}.new; mv {marker}.new {marker}; exec sleep 1000")
    with collector.start("command:hang") as process:
        wait_for(marker.exists)
        process.send_signal(number)
        assert process.wait(DEADLINE) == -number
    assert not list(collector.work.iterdir()) and not list(collector.out.parent.iterdir())
    wait_for(lambda: not is_alive(int(marker.read_text())))


def test_killed_and_cleaned(collector):
    marker = collector.folder / "child"
    collector.program("hang", f"echo $$ > {marker}.new; mv {marker}.new {marker}; exec sleep 1000")
    work = collector.work
    precious = collector.folder / "precious"
    precious.mkdir()
    (precious / "file").touch()
    (work / "collect-link00").symlink_to(precious)
    (work / "collect-").mkdir()
    (work / "collect-short").touch()
    (work / "job-1.part").touch()
    (work / "collect-File00").touch()
    os.mkfifo(work / "collect-Fifo00")
    kept = {path.name for path in work.iterdir()} - {"collect-File00"}
    with collector.start("command:hang") as process:
        wait_for(marker.exists)
        mine = {path.name for path in work.iterdir()} - kept - {"collect-File00"}
        assert len(mine) == 1
        (work / mine.copy().pop() / "link").symlink_to(precious)
        subprocess.run([PROGRAM, f"clean={work}"], check=True)
        assert {path.name for path in work.iterdir()} == kept | mine, "a run that lives keeps its folder"
        process.kill()
    wait_for(lambda: not is_alive(int(marker.read_text())))
    subprocess.run([PROGRAM, f"clean={work}"], check=True)
    assert {path.name for path in work.iterdir()} == kept
    assert (precious / "file").exists()
    subprocess.run([PROGRAM, f"clean={collector.folder}/nowhere"], check=True)


def test_cannot_be_written(collector):
    assert "cannot make a folder in" in collector.fails(work_directory=collector.folder / "nowhere")
    assert "cannot make a file in" in collector.fails(output=collector.folder / "nowhere" / "d.tar.gz")
    assert "cannot name a folder" in collector.fails(name="../x")
    (collector.folder / "taken").mkdir()
    assert "cannot make" in collector.fails(output=collector.folder / "taken")
    collector.program("tar", "echo this tar is broken >&2; exit 2")
    assert "tar failed: exited with 2: this tar is broken" in collector.fails()
    assert not list(collector.out.parent.iterdir())


def test_an_old_archive_is_replaced_only_by_a_whole_one(collector):
    collector.out.write_text("old")
    collector.out.chmod(0o600)
    collector.program("tar", "echo half; exit 1")
    collector.fails()
    assert collector.out.read_text() == "old"
    (collector.bin / "tar").unlink()
    collector.run()
