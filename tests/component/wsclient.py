# SPDX-License-Identifier: LGPL-2.1-or-later
"""A small WebSocket client (RFC 6455) on raw sockets, for tests that need a hand on every byte.

Standard library only. Every wait has a deadline; nothing is retried or answered behind the test's
back except pings (auto_pong) and the closing handshake.
"""

import base64
import hashlib
import os
import socket
import struct

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
CONTINUATION = 0
DEADLINE = 60.0
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class HandshakeError(Exception):
    """The server answered the upgrade with something else than 101."""

    def __init__(self, status, headers):
        super().__init__(f"handshake refused with {status}")
        self.status = status
        self.headers = headers


class Disconnected(Exception):
    """The connection has ended. code: of the server's close frame, or None without one."""

    def __init__(self, code):
        super().__init__(f"disconnected, close code {code}")
        self.code = code


class WebSocket:
    """One connection. recv() gives whole messages as (opcode, bytes)."""

    def __init__(self, port, path, host="127.0.0.1", subprotocols=("ocpp1.6",), headers=None,
                 ssl_context=None, timeout=DEADLINE, server_hostname="localhost"):
        self.auto_pong = True
        self.pongs = []
        self.close_sent = False
        self._buffer = b""
        self._message = b""
        self._message_opcode = None
        self.socket = socket.create_connection((host, port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if ssl_context is not None:
                self.socket = ssl_context.wrap_socket(self.socket, server_hostname=server_hostname)
            self._handshake(host, port, path, subprotocols, headers or {})
        except BaseException:
            self.socket.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.drop()

    def _handshake(self, host, port, path, subprotocols, headers):
        key = base64.b64encode(os.urandom(16))
        lines = [f"GET {path} HTTP/1.1", f"Host: {host}:{port}", "Upgrade: websocket",
                 "Connection: Upgrade", f"Sec-WebSocket-Key: {key.decode()}",
                 "Sec-WebSocket-Version: 13"]
        if subprotocols:
            lines.append("Sec-WebSocket-Protocol: " + ", ".join(subprotocols))
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        status, self.headers = self._read_head()
        if status != 101:
            raise HandshakeError(status, self.headers)
        wanted = base64.b64encode(hashlib.sha1(key + _GUID).digest()).decode()
        assert self.headers.get("sec-websocket-accept") == wanted
        self.subprotocol = self.headers.get("sec-websocket-protocol")

    def _read_head(self):
        while b"\r\n\r\n" not in self._buffer:
            data = self.socket.recv(65536)
            if not data:
                raise Disconnected(None)
            self._buffer += data
        head, self._buffer = self._buffer.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        return int(lines[0].split()[1]), headers

    # Sending

    def send_frame(self, opcode, payload=b"", fin=True, mask=True):
        """One frame exactly as told."""
        head = bytes([(0x80 if fin else 0) | opcode])
        bit = 0x80 if mask else 0
        if len(payload) < 126:
            head += bytes([bit | len(payload)])
        elif len(payload) < 65536:
            head += bytes([bit | 126]) + struct.pack(">H", len(payload))
        else:
            head += bytes([bit | 127]) + struct.pack(">Q", len(payload))
        if mask:
            key = os.urandom(4)
            payload = _masked(payload, key)
            head += key
        self.socket.sendall(head + payload)

    def send_text(self, text):
        self.send_frame(TEXT, text.encode() if isinstance(text, str) else text)

    def send_fragments(self, parts, opcode=TEXT):
        """One message of several frames."""
        for i, part in enumerate(parts):
            self.send_frame(opcode if i == 0 else CONTINUATION, part, fin=i == len(parts) - 1)

    def ping(self, payload=b""):
        self.send_frame(PING, payload)

    def close(self, code=1000):
        """Starts the closing handshake; recv() then raises Disconnected."""
        self.close_sent = True
        self.send_frame(CLOSE, struct.pack(">H", code))

    def drop(self):
        """Closes the TCP connection without a word."""
        self.socket.close()

    # Receiving

    def _need(self, count, timeout):
        self.socket.settimeout(timeout)
        while len(self._buffer) < count:
            try:
                data = self.socket.recv(65536)
            except (ConnectionError, BrokenPipeError):
                data = b""
            if not data:
                raise Disconnected(None)
            self._buffer += data
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken

    def recv_frame(self, timeout=DEADLINE):
        """(fin, opcode, payload) of the next frame, control frames included."""
        first, second = self._need(2, timeout)
        assert not second & 0x80, "a server never masks"
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack(">H", self._need(2, timeout))
        elif length == 127:
            (length,) = struct.unpack(">Q", self._need(8, timeout))
        return bool(first & 0x80), first & 0x0F, self._need(length, timeout)

    def recv(self, timeout=DEADLINE):
        """The next whole message. Raises Disconnected, or TimeoutError (socket.timeout)."""
        while True:
            fin, opcode, payload = self.recv_frame(timeout)
            if opcode == PING and self.auto_pong:
                self.send_frame(PONG, payload)
            elif opcode == PONG:
                self.pongs.append(payload)
            elif opcode == CLOSE:
                self._closed(payload)
            elif opcode in (TEXT, BINARY, CONTINUATION):
                self._message += payload
                if opcode != CONTINUATION:
                    self._message_opcode = opcode
                if fin:
                    message, self._message = self._message, b""
                    return self._message_opcode, message

    def _closed(self, payload):
        code = struct.unpack(">H", payload[:2])[0] if len(payload) >= 2 else 1005
        if not self.close_sent:
            try:
                self.send_frame(CLOSE, payload[:2])
            except OSError:
                pass
        raise Disconnected(code)

    def wait_pong(self, timeout=DEADLINE):
        """The payload of the next pong."""
        while not self.pongs:
            fin, opcode, payload = self.recv_frame(timeout)
            if opcode == PONG:
                self.pongs.append(payload)
            elif opcode == CLOSE:
                self._closed(payload)
            else:
                assert fin and opcode == PING, "a message instead of a pong"
        return self.pongs.pop(0)


def _masked(payload, key):
    """XOR with the repeated key, as one big integer: fast enough for megabytes."""
    length = len(payload)
    repeated = (key * (length // 4 + 1))[:length]
    number = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
    return number.to_bytes(length, "big")
