# SPDX-License-Identifier: LGPL-2.1-or-later
"""What all servers have in common: a folder of files, a port that is found by trying, start, stop and restart."""
import os
import random
import socket
import subprocess
from pathlib import Path
from typing import Optional
from urllib.parse import quote

from simdevice.process import Process, wait_until

_TRIES = 20
_PORT_BACK = 10.0       # seconds
_PORTS = range(10240, 32000)        # below those that the kernel gives to outgoing connections: a restart finds its own
_TAKEN = "Address already in use"
_INCOMING = "incoming"
_FIRST_TIME = 1_700_000_000         # modification time of the first published file; each next one is an hour younger


class Server:
    """One server process.  A kind of server says how it is started (`_argv`) and what it logs then (`_READY`).

    `folder` is made and belongs to the server alone; `files` in it is what the server shows, and `incoming` in that is
    where it takes files, if it was made with `uploads`.
    """
    scheme = ""
    _READY = ""
    _GENTLE = True                  # SIGTERM ends it, its children included

    def __init__(self, folder: Path, *, address: str = "127.0.0.1", user: Optional[tuple[str, str]] = None):
        """`user` is (name, password); None lets everybody in."""
        self.folder, self.address, self.user = folder, address, user
        self.port = 0
        self.passive_ports: list[int] = []      # further ports, for data
        self.files = folder / "files"
        self.files.mkdir(parents=True)
        self.files.chmod(0o755)
        self.log = folder / "server.log"
        self._process: Optional[Process] = None
        self._published = 0

    def __enter__(self) -> "Server":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> "Server":
        """Returns when it listens: on the port of before if there was one, else on a free one."""
        if self.port:
            # The last life of a server in a namespace may take a moment longer to give the port back.
            wait_until(self._try, f"port {self.port} to be free again", _PORT_BACK)
            return self
        for _ in range(_TRIES):
            self._choose_ports()
            if self._try():
                return self
        raise OSError(f"no free port in {_TRIES} tries")

    def stop(self) -> None:
        """Ends it, with every connection.  The files and the port's number stay."""
        process, self._process = self._process, None
        if process and self._GENTLE:
            process.stop()
        elif process:
            process.kill()

    def kill(self) -> None:
        """SIGKILL."""
        process, self._process = self._process, None
        if process:
            process.kill()

    def restart(self) -> None:
        self.stop()
        self.start()

    def move(self, address: Optional[str] = None) -> None:
        """Restarts on another port, and on another address if one is given."""
        self.stop()
        self.port, self.address = 0, address or self.address
        self.start()

    @property
    def pid(self) -> int:
        assert self._process, "not started"
        return self._process.pid

    @property
    def authority(self) -> str:
        """name:password@address:port, percent-encoded as URLs need it."""
        login = ":".join(quote(part, safe="") for part in self.user) + "@" if self.user else ""
        return f"{login}{self.address}:{self.port}"

    def url(self, name: str) -> str:
        return f"{self.scheme}://{self.authority}/{name.lstrip('/')}"

    def publish(self, file: Path, name: Optional[str] = None) -> str:
        """Shows a copy of a file, in one step if there was another under this name; returns the URL.

        Each file is an hour younger than the one before: no two have the same ETag or Last-Modified.
        """
        target = self.files / (name or file.name).lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        new = target.with_name(f".{target.name}.new")
        subprocess.run(["cp", "--reflink=auto", "--", str(file), str(new)], check=True)   # leaves holes as they are
        new.chmod(0o644)
        time = _FIRST_TIME + 3600 * self._published
        self._published += 1
        os.utime(new, (time, time))
        new.replace(target)
        return self.url(str(target.relative_to(self.files)))

    @property
    def incoming(self) -> Path:
        return self.files / _INCOMING

    def incoming_url(self, name: str = "") -> str:
        return self.url(f"{_INCOMING}/{name}")

    def arrived(self, name: str) -> bytes:
        """What was sent to incoming_url(name)."""
        return (self.incoming / name).read_bytes()

    def make_incoming(self, uid: int = 0) -> None:
        self.incoming.mkdir(exist_ok=True)
        self.incoming.chmod(0o755)
        os.chown(self.incoming, uid, uid)

    def log_text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def _argv(self) -> list[str]:
        """Writes what the server needs and says how it is started.  It must stay in the foreground, as one process."""
        raise NotImplementedError

    def _choose_ports(self) -> None:
        self.port = free_port()

    def _try(self) -> bool:
        """Starts it; False when a port is taken."""
        start = self.log.stat().st_size if self.log.exists() else 0
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
        process = Process(self._argv(), log=self.log, env=environment, pid_file=self.folder / "server.pid")

        def said() -> str:
            return self.log.read_bytes()[start:].decode(errors="replace")

        def outcome() -> str:
            ended = not process.running()
            if _TAKEN in said():
                return "taken"
            return "failed" if ended else "listens" if self._listens(process, said()) else ""
        try:
            result = wait_until(outcome, f"{type(self).__name__} to listen")
        except BaseException:
            process.kill()
            raise
        if result == "listens":
            self._process = process
            return True
        process.kill()
        if result == "failed":
            raise RuntimeError(f"{type(self).__name__} does not start:\n{said()}")
        return False

    def _listens(self, process: Process, said: str) -> bool:
        """Whether it accepts connections; `said` is its log since the start."""
        return self._READY in said


def free_port() -> int:
    return free_ports(1)[0]


def free_ports(count: int, together: bool = False) -> list[int]:
    """Ports that nobody uses now, on any address of this machine; `together`: one after the other."""
    found: list[int] = []
    for _ in range(1000):
        first = random.choice(_PORTS)
        some = range(first, first + (count if together else 1))
        if all(map(_is_free, some)) and not set(some) & set(found):
            found += some
        if len(found) == count:
            return found
    raise OSError("no free ports")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)     # connections that just ended do not count
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True
