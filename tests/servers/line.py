# SPDX-License-Identifier: LGPL-2.1-or-later
"""The inside of a Link: what happens to the bytes of its connections.  All of it runs in the link's event loop."""
import asyncio
import collections
import fcntl
import socket
import struct
from typing import Callable, Optional

_CHUNK = 64 * 1024
_TICKS = 20                     # pieces a second of a limited line
_NEAR = 128 * 1024              # bytes on the way at most, without a delay: little is lost in a cut
_FAR = 8 * 1024 * 1024          # ... with a delay, which a long line needs to be fast
_BUFFER = 128 * 1024            # of each socket
_SIOCOUTQNSD = 0x894B           # <linux/sockios.h>


class Line:
    """The state of the line, and all connections on it."""

    def __init__(self, delay: float, rate: int):
        self.delay, self.rate = delay, rate
        self.bytes = {"down": 0, "up": 0}
        self.made = self.cuts = 0
        self.connections: set["Connection"] = set()
        self.open = asyncio.Event()
        self.open.set()
        self._free_at = {"down": 0.0, "up": 0.0}            # when the limited line has sent what it was given
        self._cut_size = self._cut_left = self._cut_times = 0
        self._cut_way = "down"

    async def cut(self) -> None:
        if self.connections:
            self.cuts += 1
        await asyncio.gather(*[connection.cut() for connection in list(self.connections)])

    async def silence(self, wanted: bool) -> None:
        if wanted:
            self.open.clear()
        else:
            self.open.set()

    async def lose(self) -> None:
        for connection in self.connections:
            connection.lost = True

    def cut_every(self, size: int, times: int, way: str) -> None:
        self._cut_way = way
        self._cut_size = self._cut_left = size
        self._cut_times = times

    def piece(self, way: str) -> int:
        """How many bytes may go out at once."""
        size = min(_CHUNK, max(1, self.rate // _TICKS)) if self.rate else _CHUNK
        return min(size, self._cut_left) if way == self._cut_way and self._cut_left else size

    async def limit(self, way: str, size: int) -> None:
        """Waits for as long as the line needs for so many bytes."""
        if self.rate and size:
            now = asyncio.get_running_loop().time()
            self._free_at[way] = max(now, self._free_at[way]) + size / self.rate
            await asyncio.sleep(self._free_at[way] - now)

    def passed(self, way: str, size: int) -> bool:
        """Counts bytes that went out; True when the line is to be cut here."""
        self.bytes[way] += size
        if way != self._cut_way or not self._cut_left:
            return False
        self._cut_left = max(0, self._cut_left - size)
        if self._cut_left:
            return False
        self._cut_times -= 1
        self._cut_left = self._cut_size if self._cut_times > 0 else 0
        return True


class Connection:
    """One connection of a client, and the one that it leads to."""

    def __init__(self, line: Line, client: socket.socket, target: Callable[[], tuple[str, int]]):
        self._line, self._client, self._target = line, client, target
        self._server: Optional[socket.socket] = None
        self.lost = False
        self._task: Optional[asyncio.Task[None]] = None

    def start(self) -> None:
        self._line.made += 1
        self._line.connections.add(self)
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def cut(self) -> None:
        assert self._task
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def passable(self) -> None:
        """Waits until bytes may go; for ever on a connection that is lost."""
        await self._line.open.wait()
        if self.lost:
            await asyncio.get_running_loop().create_future()

    async def _run(self) -> None:
        whole = False
        try:
            await asyncio.sleep(2 * self._line.delay)       # the handshake with the far end
            await self.passable()
            await self._connect()
            await self._carry()
            whole = True
        except OSError:
            pass                                            # either end has gone: the other hears of it
        finally:
            self._line.connections.discard(self)
            self._close(reset=not whole)

    async def _connect(self) -> None:
        self._server = socket.socket()
        self._server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        for end in (self._client, self._server):
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        await asyncio.get_running_loop().sock_connect(self._server, self._target())

    async def _carry(self) -> None:
        assert self._server
        ways = [Way(self, self._line, "up", self._client, self._server),
                Way(self, self._line, "down", self._server, self._client)]
        tasks = [asyncio.ensure_future(step) for way in ways for step in (way.read(), way.write())]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _close(self, reset: bool) -> None:
        for way, end in (("down", self._client), ("up", self._server)):
            if end is None:
                continue
            if reset:
                self._line.bytes[way] -= min(_unsent(end), self._line.bytes[way])
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            end.close()


class Way:
    """One direction of a connection."""

    def __init__(self, connection: Connection, line: Line, name: str, source: socket.socket, sink: socket.socket):
        self._connection, self._line, self._name, self._source, self._sink = connection, line, name, source, sink
        self._loop = asyncio.get_running_loop()
        self._flying: collections.deque[tuple[float, bytes]] = collections.deque()      # with when it arrives
        self._size = 0
        self._changed = asyncio.Event()

    async def read(self) -> None:
        while True:
            while self._size >= (_FAR if self._line.delay else _NEAR):
                self._changed.clear()
                await self._changed.wait()
            data = await self._loop.sock_recv(self._source, _CHUNK)
            self._flying.append((self._loop.time() + self._line.delay, data))
            self._size += len(data)
            self._changed.set()
            if not data:
                return

    async def write(self) -> None:
        while True:
            while not self._flying:
                self._changed.clear()
                await self._changed.wait()
            arrives, data = self._flying[0]
            if arrives > self._loop.time():
                await asyncio.sleep(arrives - self._loop.time())
            if not data:
                await self._connection.passable()
                self._sink.shutdown(socket.SHUT_WR)
                return
            await self._deliver(data)
            self._flying.popleft()
            self._size -= len(data)
            self._changed.set()

    async def _deliver(self, data: bytes) -> None:
        start = 0
        while start < len(data):
            await self._line.limit(self._name, min(self._line.piece(self._name), len(data) - start))
            await self._connection.passable()
            piece = memoryview(data)[start:start + self._line.piece(self._name)]
            await self._loop.sock_sendall(self._sink, piece)
            start += len(piece)
            if self._line.passed(self._name, len(piece)):
                self._loop.create_task(self._line.cut())
                await self._loop.create_future()            # until the cut comes


def _unsent(end: socket.socket) -> int:
    """Bytes that the kernel has taken and not sent; on one machine, what is sent has arrived."""
    try:
        return struct.unpack("i", fcntl.ioctl(end.fileno(), _SIOCOUTQNSD, b"\0\0\0\0"))[0]
    except OSError:
        return 0
