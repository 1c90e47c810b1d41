# SPDX-License-Identifier: LGPL-2.1-or-later
"""An HTTP server that says what a test tells it to say, byte by byte: for answers that no real server would give.

    def answer(request, send):          # in a thread of its own, once for each request
        send(b"HTTP/1.1 200 OK\\r\\n\\r\\n")

    with Liar(answer) as liar:
        liar.url("v2.raucb")

A connection carries one request; it is closed when answer() returns.
"""
import socket
import threading
import time
from dataclasses import dataclass
from typing import Optional


@dataclass
class Request:
    number: int         # from 0 on
    time: float         # time.monotonic()
    path: str
    headers: dict       # names in lower case

    @property
    def start(self) -> Optional[int]:
        """Where the range begins that was asked for; None: the whole was."""
        text = self.headers.get("range", "")
        return int(text.removeprefix("bytes=").split("-")[0]) if text else None


def head(status, **fields):
    """The head of an answer; '_' in a name is '-'."""
    lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in fields.items())]
    return ("\r\n".join([*lines, "Connection: close"]) + "\r\n\r\n").encode()


class Liar:
    def __init__(self, answer):
        self.answer = answer
        self.requests = []
        self.closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.closing.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def url(self, name="2.0.0.raucb"):
        return f"http://127.0.0.1:{self.port}/{name}"

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._threads.append(threading.Thread(target=self._serve, args=(connection,), daemon=True))
            self._threads[-1].start()

    def _serve(self, connection):
        connection.settimeout(0.2)      # how soon a thread sees that the test is over
        with connection:
            try:
                request = self._read(connection)
                if request:
                    self.answer(request, lambda data: self._send(connection, data))
            except OSError:
                pass                    # the agent has had enough

    def _read(self, connection):
        text = b""
        while b"\r\n\r\n" not in text:
            try:
                piece = connection.recv(4096)
            except TimeoutError:
                piece = b"" if self.closing.is_set() else None
            if piece == b"":
                return None
            text += piece or b""
        first, *lines = text.decode("latin-1").split("\r\n\r\n")[0].split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in lines)
        self.requests.append(Request(len(self.requests), time.monotonic(), first.split()[1], fields))
        return self.requests[-1]

    def _send(self, connection, data):
        while data:
            try:
                data = data[connection.send(data):]
            except TimeoutError:
                if self.closing.is_set():
                    raise OSError("the test is over") from None
