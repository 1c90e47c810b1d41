# SPDX-License-Identifier: LGPL-2.1-or-later
"""A bad line between the agent and a server: a TCP proxy that delays, limits, cuts, refuses and falls silent."""
import asyncio
import random
import socket
import threading
from typing import Any, Coroutine, Optional
from urllib.parse import urlsplit, urlunsplit

from simdevice.process import DEADLINE, wait_until

from .base import Server, free_port
from .line import Connection, Line


class Link:
    """Listens from start() to stop() and hands every connection on to `server`, wherever that is by then.

    A server with passive ports (FTP) is mirrored on another loopback address, so that its data goes this way as well:
    127.0.0.1, as the certificates want it, if the server has another one.
    `delay` (seconds, each way; a new connection takes a round trip) and `rate` (bytes per second each way, shared by
    all connections, 0: no limit) may be changed at any time.
    """

    def __init__(self, server: Server, *, address: Optional[str] = None, delay: float = 0.0, rate: int = 0):
        self.server = server
        self.address = address or (_another_address() if server.address == "127.0.0.1" and server.passive_ports
                                   else "127.0.0.1")
        self.port = 0
        self._line = Line(delay, rate)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="link", daemon=True)
        self._listeners: list[tuple[socket.socket, int]] = []       # with the passive port, 0: the server's own
        self._accepting: list[asyncio.Task[None]] = []

    def __enter__(self) -> "Link":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> "Link":
        """Once.  The server must have been started, if it is one with passive ports."""
        while not self.port:
            try:
                self._listeners.append((_listener(self.address, port := free_port()), 0))
                self.port = port
            except OSError:
                continue                # somebody was faster
        self._listeners += [(_listener(self.address, port), port) for port in self.server.passive_ports]
        self._thread.start()
        self._run(self._accept(True))
        return self

    def stop(self) -> None:
        """Breaks all connections.  May be called twice."""
        if self._loop.is_closed():
            return
        self._run(self._accept(False))
        self._run(self._line.cut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        for listener, _ in self._listeners:
            listener.close()

    def url(self, name: str) -> str:
        """The way to a file over this link; `name` is what the server calls it, or its URL there."""
        parts = urlsplit(name if "://" in name else self.server.url(name))
        login, at, _ = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{login}{at}{self.address}:{self.port}"))

    # -------------------------------------------------------------------------------------------- what goes wrong

    def cut(self) -> None:
        """Every connection breaks now (RST), what is on the way is lost.  New ones work."""
        self._run(self._line.cut())

    def cut_every(self, size: int, times: int = 1 << 30, way: str = "down") -> None:
        """Every connection breaks whenever `size` more bytes have come from the server (`way` "up": have gone to it), this
        many times; 0: no more."""
        self._line.cut_every(size, times, way)

    def refuse(self) -> None:
        """New connections are refused; those that stand are not touched."""
        self._run(self._accept(False))

    def silence(self) -> None:
        """A black hole: nothing gets through, on old connections and new ones, and nobody is told."""
        self._run(self._line.silence(True))

    def lose(self) -> None:
        """The connections of now are black holes for ever; new ones work.  So it is when a mobile network forgets."""
        self._run(self._line.lose())

    def up(self) -> None:
        """The end of refuse() and silence(): what was held goes on where it was."""
        self._run(self._accept(True))
        self._run(self._line.silence(False))

    # ------------------------------------------------------------------------------------------------ what was seen

    @property
    def delay(self) -> float:
        return self._line.delay

    @delay.setter
    def delay(self, seconds: float) -> None:
        self._line.delay = seconds

    @property
    def rate(self) -> int:
        return self._line.rate

    @rate.setter
    def rate(self, rate: int) -> None:
        self._line.rate = rate

    @property
    def bytes_down(self) -> int:
        """From the server to the client, headers and TLS included, without what a cut has lost."""
        return self._line.bytes["down"]

    @property
    def bytes_up(self) -> int:
        return self._line.bytes["up"]

    @property
    def connections(self) -> int:
        """That were made so far."""
        return self._line.made

    @property
    def open_connections(self) -> int:
        return len(self._line.connections)

    @property
    def cuts(self) -> int:
        """How often cut() or cut_every() broke something."""
        return self._line.cuts

    def wait_bytes_up(self, count: int, timeout: float = DEADLINE) -> None:
        wait_until(lambda: self.bytes_up >= count, f"{count} bytes over the link", timeout)

    def wait_bytes_down(self, count: int, timeout: float = DEADLINE) -> None:
        wait_until(lambda: self.bytes_down >= count, f"{count} bytes over the link", timeout)

    # ---------------------------------------------------------------------------------------------------- inside

    def _run(self, what: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(DEADLINE)

    async def _accept(self, wanted: bool) -> None:
        """Listens, or does not; the ports are kept all the time."""
        if wanted == bool(self._accepting):
            return
        for task in self._accepting:
            task.cancel()
        await asyncio.gather(*self._accepting, return_exceptions=True)
        self._accepting = []
        for listener, port in self._listeners:
            if wanted:
                listener.listen(64)
                self._accepting.append(self._loop.create_task(self._take(listener, port)))
            else:
                listener.shutdown(socket.SHUT_RDWR)         # bound still, and nobody else gets the port

    async def _take(self, listener: socket.socket, port: int) -> None:
        while True:
            client, _ = await self._loop.sock_accept(listener)
            Connection(self._line, client, lambda: (self.server.address, port or self.server.port)).start()


def _another_address() -> str:
    return f"127.{random.randint(1, 254)}.{random.randint(0, 255)}.{random.randint(1, 254)}"


def _listener(address: str, port: int) -> socket.socket:
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener
