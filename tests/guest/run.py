#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Boots user-mode Linux with the host's files as its root, and runs something there: by default the streaming tests.

    tests/guest/run.py [OPTIONS] BUILD_DIRECTORY [PYTEST OPTIONS AND TESTS]
    tests/guest/run.py [OPTIONS] --command BUILD_DIRECTORY PROGRAM [ARGUMENTS]

A real kernel with loop devices, dm-verity, dm-crypt and nbd, in an ordinary process: nothing of the host's kernel is
touched, and RAUC is the streaming one of Debian 13 (build.sh).  In the guest only build/ (the cache of keys
and bundles) and what lies in memory can be written.  The exit code is the program's.  As root.

RAUC gives its device-mapper target a fixed name, so one kernel takes one install at a time, and pytest's -n does not
work.  With --guests N the tests are spread over so many guests instead; the last line then is `N passed, N failed`.
With LONG=1 in the environment outages are as long as in the field, and what takes minutes is shown, too.
"""
import argparse
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parents[1]
sys.path.insert(0, str(TOP / "tools"))

from simdevice import fixtures  # noqa: E402  (needs the path above)

BUILD = TOP / "build"
LOGS = BUILD / "guest" / "logs"
CONSOLE_MAX = 64 * 1024             # of the kernel's messages, the end is shown when the guest does not end well
EX_GUEST = 70                       # the guest died, or took too long
EX_NO_TESTS = 5                     # pytest's


class Guest:
    """One boot.  Process, memory and folder are gone after run(), whatever happens, and when this process dies."""

    def __init__(self, memory, deadline):
        self.memory, self.deadline = memory, deadline
        self.console = b""
        self.trouble = None

    def run(self, argv, environment):
        folder = subprocess.run([HERE / "build.sh"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
        with tempfile.TemporaryDirectory(prefix="guest-") as share:
            share = pathlib.Path(share)
            environment = {**environment, "RAUC": f"{folder}/rauc"}
            lines = [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
            (share / "command").write_text("\n".join([*lines, f"cd {shlex.quote(str(TOP))}", f"exec {shlex.join(argv)}\n"]))
            (share / "settings").write_text(f"top={shlex.quote(str(TOP))}\nwritable={shlex.quote(str(BUILD))}\n")
            self._boot(share, f"{folder}/xstate.so")
            return self._result(share)

    def _boot(self, share, preload):
        output, output_end = os.pipe()
        uml = ["env", f"LD_PRELOAD={preload}", "linux.uml", f"mem={self.memory}M", f"uml_dir={share}", "quiet",
               "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", f"init={HERE}/init.sh",
               f"guest_share={share}", "con=null", "con0=null,fd:1", f"con1=null,fd:{output_end}"]
        # The guest's memory is a file in /dev/shm: one that is large enough and seen by nobody else.
        mount = f"mount -t tmpfs -o size={self.memory + 64}M tmpfs /dev/shm && exec \"$@\""
        argv = ["setpriv", "--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--kill-child=KILL", "--mount-proc",
                "sh", "-c", mount, "sh", *uml]
        with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              pass_fds=[output_end], start_new_session=True, env={**os.environ, "TMPDIR": "/dev/shm"}) as process:
            os.close(output_end)
            readers = [threading.Thread(target=self._show, args=(output,)),
                       threading.Thread(target=self._watch, args=(process,))]
            for reader in readers:
                reader.start()
            try:
                process.wait(self.deadline)
            except subprocess.TimeoutExpired:
                self.trouble = f"did not end in {self.deadline} s"
            finally:
                process.kill()      # unshare; its child, all of the guest, is killed with it
                process.wait()
                for reader in readers:
                    reader.join()

    @staticmethod
    def _show(output):
        with open(output, "rb", buffering=0) as source:
            while data := source.read(65536):
                sys.stdout.buffer.write(data)
                sys.stdout.buffer.flush()

    def _watch(self, process):
        while data := os.read(process.stdout.fileno(), 65536):
            self.console = (self.console + data)[-CONSOLE_MAX:]
            if b"Kernel panic" in self.console:
                self.trouble = "panicked"
                process.kill()      # a panicked UML just stands still

    def _result(self, share):
        shutil.rmtree(LOGS, ignore_errors=True)
        if any((share / "logs").glob("*")):
            shutil.copytree(share / "logs", LOGS)
            print(f"the logs of the processes are in {LOGS}")
        code = share / "exit-code"
        if self.trouble or not code.exists():
            print(self.console.decode(errors="replace")[-4000:])
            print(f"the guest {self.trouble or 'ended early'}")
            return EX_GUEST
        return int(code.read_text())


def pytest(build, options):
    tests = [] if any(re.match(r"\S+\.py\b", option) for option in options) else ["tests/streaming"]
    return ["/usr/bin/python3", "-m", "pytest", "-p", "no:cacheprovider", "-rs", "--color=no", *options, *tests]


def spread(options):
    """Runs this program once for each guest, each with a share of the tests."""
    counts = dict.fromkeys(("passed", "failed", "error", "skipped"), 0)

    def show(number, child):
        for line in child.stdout:
            print(f"[{number}] {line}", end="", flush=True)
            if re.match(r"(=+ )?\d+ .* in [\d.]+s", line):
                for count, word in re.findall(r"(\d+) (passed|failed|error|skipped)", line):
                    counts[word] += int(count)

    children = []
    try:
        for number in range(options.guests):
            children.append(subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", sys.executable, __file__, f"--memory={options.memory}",
                 f"--deadline={options.deadline}", options.build, *options.rest], stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                env={**os.environ, "SHARE_OF_TESTS": f"{number}/{options.guests}"}))
        readers = [threading.Thread(target=show, args=pair) for pair in enumerate(children)]
        for reader in readers:
            reader.start()
        codes = [child.wait() for child in children]
    finally:
        for child in children:
            if child.poll() is None:
                child.terminate()
        for child in children:
            child.wait()
    for reader in readers:
        reader.join()
    failed = counts["failed"] + counts["error"] + sum(code == EX_GUEST for code in codes)
    print(f"{counts['passed']} passed, {failed} failed" + (f", {counts['skipped']} skipped" if counts["skipped"] else ""))
    return 0 if set(codes) <= {0, EX_NO_TESTS} and 0 in codes else 1


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--memory", type=int, default=3072, help="MiB; files below /tmp are in it")
    parser.add_argument("--deadline", type=int, default=3600, help="seconds")
    parser.add_argument("--guests", type=int, default=1, metavar="N", help="tests in so many at once")
    parser.add_argument("--command", action="store_true")
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("rest", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("the guest's root is the host's: this needs root")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    fixtures.pki(BUILD)                 # here, where processes that want it at the same time see each other's locks
    if options.guests > 1 and not options.command:
        sys.exit(spread(options))
    build = options.build.resolve()
    environment = {"AGENT": str(build / "rauc-ocpp-agent"), "MOCK_CSMS": str(build / "mock-csms"),
                   "PYTHONDONTWRITEBYTECODE": "1", "SHARE_OF_TESTS": os.environ.get("SHARE_OF_TESTS", "0/1"),
                   "LONG": os.environ.get("LONG", "")}
    argv = options.rest if options.command else pytest(build, options.rest)
    sys.exit(Guest(options.memory, options.deadline).run(argv, environment))


if __name__ == "__main__":
    main()
