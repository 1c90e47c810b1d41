# SPDX-License-Identifier: LGPL-2.1-or-later
"""Streaming through the relay against RAUC's own streaming, from nginx on loopback, on two processors at once.

All of it runs in an emulated machine (tests/boot): this host's kernel has no nbd, and the guest of stream.py has only one
processor, on which the relay's work can only be added to RAUC's.  Emulated, both sides are slower than on any device.

RAUC's install is the time between its own first and last line in the guest's journal; the whole is from UpdateFirmware to the
wait for the reboot's permission, or the run of `rauc install`.
"""
import contextlib
import io
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import time
from dataclasses import dataclass

import proc
from table import Ratio

SECTION = "loopback"
TOP = pathlib.Path(__file__).resolve().parents[2]
REPETITIONS = 4
SLOWER = 1.05                   # times the wall time of RAUC alone
ATTEMPTS = 4                    # machines: in QEMU 7.2 a kernel crashes or hangs now and then when its processors run at once
MEMORY = 512                    # MiB: the bundle, and all that is written, stay in it
BUNDLE, PORT = "new", 8090
WEB = "/tmp/web"                # in memory
LOADER = "/lib64/ld-linux-x86-64.so.2"
PERIOD = 0.5                    # seconds between looks at the log, which take processors away from the guest
DEADLINE = 900                  # seconds, of one install
NICE = -10                      # as bench.py's
SETTINGS = """[update]
transport=stream
reboot-permission=required
"""
NGINX = f"""daemon off;
master_process off;
pid {WEB}/nginx.pid;
error_log stderr notice;
events {{ worker_connections 64; }}
http {{
    access_log {WEB}/access.log;
    client_body_temp_path {WEB}/tmp-body; proxy_temp_path {WEB}/tmp-proxy; fastcgi_temp_path {WEB}/tmp-fastcgi;
    uwsgi_temp_path {WEB}/tmp-uwsgi; scgi_temp_path {WEB}/tmp-scgi;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 100000;
    server {{ listen 127.0.0.1:{PORT}; root {WEB}/files; }}
}}
"""
STARTED, FINISHED = r"Installation [0-9a-f]+ started", r"installing \S+: finished"     # what RAUC logs


@dataclass
class Figures:
    """Of one install.  Times in ms."""
    install: float
    cpu: float                  # of all processes and the kernel
    stalled: float              # %, of the time that the guest had no processor of this host
    requests: int               # that nginx was asked
    whole: float = 0.0
    agent_cpu: float = 0.0
    waits: int = 0              # how often the agent went to sleep


def measure(table, folder):
    sys.path.insert(0, str(TOP / "tests" / "boot"))
    from images import CACHE, Images, Unavailable, locked, missing
    lacking = missing()
    if lacking or os.cpu_count() < 2:
        table.skip(SECTION, "streamed on two processors", f"this host has no {', '.join(lacking) or 'two processors'}")
        return
    with locked(CACHE / ".run.lock"):       # the boot tests run on both processors, and tidy up
        try:
            images = Images(pathlib.Path(os.environ["AGENT"]).parent)
        except Unavailable as reason:
            table.skip(SECTION, "streamed on two processors", str(reason))
            return
        size = images.bundle(BUNDLE).stat().st_size
        _fill(table, _compare(images, folder), f"{size / 1e6:.0f} MB streamed on two processors")


def _fill(table, pairs, what):
    def add(name, unit, figure, bare_name="rauc install", **options):
        theirs, ours = ([getattr(figures, figure) for figures in side] for side in zip(*pairs))
        table.add(SECTION, f"{what}, {name}", unit, agent=ours, bare=theirs if bare_name else [], bare_name=bare_name,
                  **options)
    add("RAUC's install", "ms", "install", budget=Ratio(SLOWER), note="emulated: slower than any device, both sides alike")
    add("the whole", "ms", "whole")
    add("CPU of all", "ms", "cpu")
    add("CPU of the agent", "ms", "agent_cpu", bare_name="")
    add("the agent's wake-ups", "", "waits", bare_name="")
    add("requests to the server", "", "requests")
    add("without a processor of this host", "%", "stalled", note="a busy host makes one processor of the two")


def _compare(images, folder):
    """Pairs of figures, RAUC's alone and the agent's; each pair is from one machine."""
    pairs = []
    for attempt in range(ATTEMPTS):
        with _point(folder / f"machine{attempt}", images) as point:
            try:
                _repeat(Bench(point), pairs)
                return pairs
            except Exception as error:
                if not point.machine or not _crashed(point.machine):
                    raise
                print(f"loopback: the guest has crashed, or hung, after {len(pairs)} of {REPETITIONS} repetitions ({error})",
                      file=sys.stderr, flush=True)
    raise RuntimeError(f"{ATTEMPTS} machines have crashed")


def _repeat(bench, pairs):
    bench.prepare()
    bench.directly()                # everything is in the page cache for the first one, too
    while len(pairs) < REPETITIONS:
        if len(pairs) % 2:
            agent, bare = bench.relayed(), bench.directly()
        else:
            bare, agent = bench.directly(), bench.relayed()
        pairs.append((bare, agent))


def _crashed(machine):
    """Whatever kind of death it was, the loader has come again: the watchdog brings it after a hang."""
    return machine.panics() or len(machine.choices()) > 1 or not machine.running()


def _point(folder, images):
    from chargepoint import ChargePoint
    from machine import Machine
    from simdevice import wait_until

    class TwoProcessors(Machine):
        """Its disk is the file itself: the one that forgets takes a processor that the guest wants."""

        def _argv(self):
            argv = super()._argv()
            drive = f"file={self.folder}/disk.raw,if=none,id=disk,format=raw,cache=unsafe"
            for option, value in {"-smp": "2", "-accel": "tcg,thread=multi,tb-size=256", "-m": str(MEMORY),
                                  "-drive": drive}.items():
                argv[argv.index(option) + 1] = value
            return argv

        def take_priority(self):
            """Over others of this host: niceness alone counts only among the processes of a session (sched(7), autogroup)."""
            pid = int((self.folder / "qemu.pid").read_text())
            with contextlib.suppress(OSError):
                pathlib.Path(f"/proc/{pid}/autogroup").write_text(str(NICE))
            wait_until((self.folder / "monitor.sock").exists, "QEMU")
            with self._monitor() as command:
                threads = [processor["thread-id"] for processor in command("query-cpus-fast")]
            self._schedules = [pathlib.Path(f"/proc/{pid}/task/{thread}/schedstat") for thread in threads]

        def stalled(self):
            """Seconds for which its processors had to wait for this host's, of each a mean."""
            waits = [int(schedule.read_text().split()[1]) for schedule in self._schedules]
            return sum(waits) / len(waits) / 1e9

    class Point(ChargePoint):
        MACHINE = TwoProcessors
    return Point(folder, images, "uboot")


class Bench:
    """A charge point with a web server inside, and the two ways to install from it."""

    def __init__(self, point):
        self._point = point
        self._url = f"http://127.0.0.1:{PORT}/{BUNDLE}.raucb"
        self._begin = 0             # of the measurement, in the guest's log

    def prepare(self):
        point = self._point
        point.power_on()
        point.machine.take_priority()
        point.wait_registered()
        point.machine.wait_guest()
        self._wait(lambda: point.status().get("boot-marked-good"), "the mark of the first boot")
        point.machine.run("systemctl stop rauc-ocpp-agent")
        point.machine.run(f"cat > /data/agent.conf.d/bench.conf << 'EOT'\n{SETTINGS}EOT")
        _pack(point.images.bundle(BUNDLE), point.server.files / "web.tar")
        point.machine.run(f"mkdir {WEB} && cd {WEB} && busybox wget -q -O - http://10.0.2.101/web.tar | busybox tar x",
                          timeout=DEADLINE)
        server = f"{WEB}/lib/ld.so --library-path {WEB}/lib {WEB}/nginx -p {WEB} -c {WEB}/nginx.conf -e stderr"
        point.machine.run(f"{server} > {WEB}/log 2>&1 < /dev/null &")
        self._wait(lambda: "getrlimit" in point.machine.run(f"cat {WEB}/log"), "nginx in the guest")

    def directly(self):
        """The command tells its end by a file, so that nobody has to ask while it runs."""
        machine, notes = self._point.machine, f"{WEB}/notes"
        uptime = f"read t r < /proc/uptime; echo $t >> {notes}"

        def play():
            machine.run(f"rm -f {notes}; ({uptime}; rauc install {self._url}; echo $? >> {notes}; {uptime}) "
                        "> /dev/null 2>&1 < /dev/null &")
            self._wait_finished()
            self._wait(lambda: machine.run(f"cat {notes}").count("\n") == 3, "the end of rauc install")
        figures = self._measured(play)
        start, code, end = machine.run(f"cat {notes}").split()
        assert code == "0", machine.log_text()[-4000:]
        figures.whole = 1000 * (float(end) - float(start))
        self._put_back()
        return figures

    def relayed(self):
        point, machine = self._point, self._point.machine
        mark = point.csms.mark()
        machine.run("systemctl start rauc-ocpp-agent")
        point.csms.wait_event("received", lambda event: event.get("action") == "BootNotification", mark)
        self._wait(lambda: point.status()["registration"] == "Accepted", "the registration")
        pid = machine.run("systemctl show --property MainPID --value rauc-ocpp-agent").strip()

        def play():
            assert point.csms.command(f"update {self._url} 2020-01-01T00:00:00Z retries=0") == "ok"
            self._wait_finished()
            self._wait(lambda: "-> reboot-wait" in self._log(), "the wait for the permission")
        cpu, waits = self._agent_usage(pid)
        figures = self._measured(play)
        cpu_after, waits_after = self._agent_usage(pid)
        figures.agent_cpu, figures.waits = 1000 * (cpu_after - cpu), waits_after - waits
        figures.whole = 1000 * (self._stamp("-> reboot-wait") - self._stamp("UpdateFirmware"))
        machine.run("rauc-ocpp-agent cancel")
        self._wait(lambda: "-> cancelled" in self._log(), "the cancelled job")
        machine.run("systemctl stop rauc-ocpp-agent")
        self._put_back()
        return figures

    # ------------------------------------------------------------------------------------------------ what both do

    def _measured(self, play):
        machine = self._point.machine
        machine.run(f"sync; systemctl start rauc; : > {WEB}/access.log")
        self._begin = len(machine.log_text())
        busy, stalled, begin = self._busy(), machine.stalled(), time.monotonic()
        play()
        busy, stalled, elapsed = self._busy() - busy, machine.stalled() - stalled, time.monotonic() - begin
        assert "succeeded" in self._log(), machine.log_text()[-4000:]
        return Figures(install=1000 * (self._stamp(FINISHED) - self._stamp(STARTED)), cpu=1000 * busy,
                       stalled=100 * stalled / elapsed, requests=int(machine.run(f"busybox wc -l < {WEB}/access.log")))

    def _put_back(self):
        """The loader's choice as it was before."""
        self._point.machine.run("fw_setenv BOOT_ORDER 'A B'; fw_setenv BOOT_B_LEFT 0; sync")

    def _log(self):
        """Since the measurement has begun."""
        return self._point.machine.log_text()[self._begin:]

    def _stamp(self, pattern):
        """When the first line like this was logged."""
        return float(re.search(rf"^\[ *(\d+\.\d+)\] .*{pattern}", self._log(), re.MULTILINE)[1])

    def _busy(self):
        """CPU seconds of everything in the guest, the kernel included."""
        return proc.machine_cpu(self._point.machine.run("cat /proc/stat"))

    def _agent_usage(self, pid):
        """CPU seconds, and how often it went to sleep."""
        machine = self._point.machine
        fields = machine.run(f"cat /proc/{pid}/stat").rsplit(")", 1)[1].split()
        waits = machine.run(f"grep -h ^voluntary /proc/{pid}/task/*/status").split()[1::2]
        return (int(fields[11]) + int(fields[12])) / proc.TICKS, sum(map(int, waits))

    def _wait_finished(self):
        self._wait(lambda: re.search(FINISHED, self._log()), "the end of RAUC's install")

    def _wait(self, condition, what):
        end = time.monotonic() + DEADLINE
        while not condition():
            machine = self._point.machine
            assert not _crashed(machine), f"the guest has ended before {what}"
            assert time.monotonic() < end, f"waited {DEADLINE} s for {what}\n{self._point.machine.log_text()[-4000:]}"
            time.sleep(PERIOD)


def _pack(bundle, target):
    """This host's nginx with its libraries, its settings, and the bundle to be served."""
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    done = subprocess.run(["ldd", program], stdout=subprocess.PIPE, text=True, check=True)
    libraries = [words[2] for words in map(str.split, done.stdout.splitlines()) if len(words) > 2 and words[1] == "=>"]
    with tarfile.open(target, "w", dereference=True) as tar:
        tar.add(program, "nginx")
        tar.add(LOADER, "lib/ld.so")
        for library in libraries:
            tar.add(library, f"lib/{pathlib.Path(library).name}")
        tar.add(bundle, f"files/{bundle.name}")
        settings = tarfile.TarInfo("nginx.conf")
        settings.size = len(NGINX)
        tar.addfile(settings, io.BytesIO(NGINX.encode()))
