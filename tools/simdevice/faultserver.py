# SPDX-License-Identifier: LGPL-2.1-or-later
"""An HTTP server for bundles that breaks transfers on request, each path in its own way.

    server = FaultServer()
    url = server.publish(bundle_file, "v2.raucb")
    fault = server.fault("v2.raucb", "hold", after=4096)
    ...                             # somebody starts to download
    fault.wait_reached()            # 4096 bytes are out, nothing more comes
    fault.release()                 # the rest follows

A file has an ETag, and If-Range is understood; protect() asks for a user and a password.

Modes: `ok`; an HTTP status as text such as `404`; `cut` (full Content-Length, but the connection closes after `after`
bytes); `stall` and `hold` (`after` bytes, then nothing until release; hold's default is 0, before the status line);
`slow` (`rate` bytes per second); `redirect` (302 to `location`); `no-ranges` (ignores Range; with `after` it cuts, too).
"""
import base64
import re
import socket
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO, Optional
from urllib.parse import quote

from .process import DEADLINE, wait_until

MODES = ("ok", "cut", "stall", "hold", "slow", "redirect", "no-ranges")
_CHUNK = 64 * 1024
_TICKS = 20                     # chunks a second of a slow transfer


@dataclass
class Request:
    """A request as it came in, before it is answered."""
    time: float                 # time.monotonic()
    path: str
    range: Optional[str]
    allowed: bool = True        # it had the password that protect() asks for


class Fault:
    """How a path is answered, from FaultServer.fault()."""

    def __init__(self, mode: str, after: Optional[int], rate: int, location: str, times: Optional[int]):
        if mode not in MODES and not re.fullmatch(r"[1-5]\d\d", mode):
            raise ValueError(f"unknown mode {mode}")
        self.mode, self.after, self.rate, self.location, self.times = mode, after, rate, location, times
        self._reached = threading.Event()
        self._released = threading.Event()

    def wait_reached(self, timeout: float = DEADLINE) -> None:
        """Waits until a transfer hangs at the place of this stall or hold."""
        if not self._reached.wait(timeout):
            raise TimeoutError(f"no transfer got as far as this {self.mode} in {timeout:g} s")

    def release(self) -> None:
        """Lets a stall or hold go on, for good."""
        self._released.set()

    def hang(self) -> None:
        self._reached.set()
        self._released.wait()


class FaultServer:
    """Listens on a free port of 127.0.0.1 until close()."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files: dict[str, Path] = {}
        self._passwords: dict[str, str] = {}        # as the header has to have them
        self._faults: dict[str, Fault] = {}
        self._all_faults: list[Fault] = []
        self._requests: list[Request] = []
        self.closing = threading.Event()
        self._http = _Server(self)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), name="faultserver", daemon=True)
        self._thread.start()
        self._refusing = socket.socket()            # bound, never listening: refused, and nobody else gets the port
        self._refusing.bind(("127.0.0.1", 0))

    def __enter__(self) -> "FaultServer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}{_key(name)}"

    def refused_url(self, name: str = "refused.raucb") -> str:
        """A URL on a port where nobody listens."""
        return f"http://127.0.0.1:{self._refusing.getsockname()[1]}{_key(name)}"

    def publish(self, file: Path, name: Optional[str] = None) -> str:
        """Serves a file under a name, its own by default; returns the URL.  Whatever is not published is a 404."""
        name = name or file.name
        with self._lock:
            self._files[_key(name)] = file
        return self.url(name)

    def protect(self, name: str, user: str, password: str) -> str:
        """Answers a path only with these; returns the URL that has them in it."""
        with self._lock:
            self._passwords[_key(name)] = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        return self.url(name).replace("://", f"://{quote(user, safe='')}:{quote(password, safe='')}@", 1)

    def fault(self, name: str, mode: str, *, after: Optional[int] = None, rate: int = _CHUNK, location: str = "",
              times: Optional[int] = None) -> Fault:
        """Answers a path this way from now on, or for the next `times` requests; running transfers are not touched.

        `after` is by default half of what would be sent (hold: nothing at all).
        """
        fault = Fault(mode, after, rate, location, times)
        with self._lock:
            self._faults[_key(name)] = fault
            self._all_faults.append(fault)
        return fault

    def release(self, name: str) -> None:
        """Lets whatever hangs at this path go on."""
        with self._lock:
            fault = self._faults.get(_key(name))
        if fault:
            fault.release()

    def requests(self, name: Optional[str] = None) -> list[Request]:
        """All requests so far, oldest first, or those for one path."""
        with self._lock:
            return [r for r in self._requests if name is None or r.path == _key(name)]

    def wait_requests(self, count: int, name: Optional[str] = None, timeout: float = DEADLINE) -> list[Request]:
        wait_until(lambda: len(self.requests(name)) >= count, f"{count} requests for {name or 'any path'}", timeout)
        return self.requests(name)

    def close(self) -> None:
        """Ends every connection and gives up the ports.  May be called twice."""
        if self.closing.is_set():
            return
        self.closing.set()
        for fault in self._all_faults:
            fault.release()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()
        self._http.close_connections()
        self._refusing.close()

    def take(self, path: str, range_header: Optional[str], password: Optional[str]) -> tuple[Optional[Path], Fault]:
        """For the handlers: logs a request and says which file goes out and how."""
        with self._lock:
            allowed = self._passwords.get(path, password) == password
            self._requests.append(Request(time.monotonic(), path, range_header, allowed))
            if not allowed:
                return None, Fault("401", None, _CHUNK, "", None)
            fault = self._faults.get(path)
            if fault is None or fault.times == 0:
                fault = Fault("ok", None, _CHUNK, "", None)
            elif fault.times is not None:
                fault.times -= 1
            return self._files.get(path), fault


def _key(name: str) -> str:
    return "/" + name.lstrip("/")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, faults: FaultServer):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.faults = faults
        self._connections: set[socket.socket] = set()

    def process_request(self, request, client_address) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        for connection in list(self._connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass                                # the peer has gone

    def handle_error(self, request, client_address) -> None:
        pass                                        # a peer that goes away is what these tests are about


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, body: bool) -> None:
        faults = self.server.faults
        path = self.path.partition("?")[0]
        file, fault = faults.take(path, self.headers.get("Range"), self.headers.get("Authorization"))
        if fault.mode == "hold" and not fault.after:
            fault.hang()
        if faults.closing.is_set():
            self.close_connection = True
        elif fault.mode == "redirect":
            self._status(302, {"Location": fault.location})
        elif fault.mode.isdigit():
            self._status(int(fault.mode), {"WWW-Authenticate": 'Basic realm="bundles"'} if fault.mode == "401" else {})
        elif file is None:
            self._status(404, {})
        else:
            self._send_file(file, fault, body)

    def _status(self, code: int, headers: dict[str, str]) -> None:
        self.send_response(code)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send_file(self, file: Path, fault: Fault, body: bool) -> None:
        size, etag = file.stat().st_size, f'"{file.stat().st_size:x}-{file.stat().st_mtime_ns:x}"'
        first, last = 0, size - 1
        ranges = fault.mode != "no-ranges" and self.headers.get("If-Range", etag) == etag
        part = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")) if ranges else None
        if part:
            first, last = int(part[1]), min(int(part[2] or size), size - 1)
            if first > last:
                return self._status(416, {"Content-Range": f"bytes */{size}"})
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        else:
            self.send_response(200)
        if fault.mode != "no-ranges":
            self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", etag)
        self.send_header("Content-Length", str(last + 1 - first))
        self.send_header("Content-Type", "application/octet-stream")
        self.end_headers()
        if body:
            with file.open("rb") as source:
                source.seek(first)
                self._send_body(source, last + 1 - first, fault)

    def _send_body(self, source: BinaryIO, size: int, fault: Fault) -> None:
        breaks = fault.mode in ("cut", "stall") or (fault.mode in ("hold", "no-ranges") and fault.after)
        until = min(size, size // 2 if fault.after is None else fault.after) if breaks else size
        if not self._copy(source, until, fault.rate if fault.mode == "slow" else None):
            return
        if breaks and fault.mode in ("cut", "no-ranges"):
            self.close_connection = True
        elif breaks:
            fault.hang()
            if not self.server.faults.closing.is_set():
                self._copy(source, size - until)

    def _copy(self, source: BinaryIO, size: int, rate: Optional[int] = None) -> bool:
        """Sends so many bytes; False when the server closes meanwhile."""
        chunk = max(1, rate // _TICKS) if rate else _CHUNK
        for start in range(0, size, chunk):
            self.wfile.write(source.read(min(chunk, size - start)))
            if rate and self.server.faults.closing.wait(1 / _TICKS):
                self.close_connection = True
                return False
        return True
