# SPDX-License-Identifier: LGPL-2.1-or-later
"""The other side of wsclient.py: a WebSocket server for one charge point, with a hand on every byte."""
import base64
import contextlib
import hashlib
import json
import select
import socket
import ssl

from wsclient import _GUID, DEADLINE, Disconnected, WebSocket, _masked


_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_PIECE = 16384


def _text_frame(text):
    payload = text.encode()
    size = bytes([len(payload)]) if len(payload) < 126 else b"\x7e" + len(payload).to_bytes(2, "big")
    return b"\x81" + size + payload


class Listener:
    """Listens on a free port of 127.0.0.1."""

    def __init__(self, pki=None):
        """`pki`: with the CSMS's test certificate, for wss."""
        self.context = None
        if pki:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(pki / "csms.crt", pki / "csms.key")
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self.socket.settimeout(DEADLINE)
        self.port = self.socket.getsockname()[1]

    def accept(self):
        peer = self.socket.accept()[0]
        peer.settimeout(DEADLINE)
        return Connection(self.context.wrap_socket(peer, server_side=True) if self.context else peer)

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.socket.close()


class Connection(WebSocket):
    """One charge point, upgraded."""

    def __init__(self, peer):
        self.auto_pong = True
        self.pongs = []
        self.close_sent = False
        self._buffer = b""
        self._message = b""
        self._message_opcode = None
        self.socket = peer
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        head = self._read_request()
        accept = base64.b64encode(hashlib.sha1(head["sec-websocket-key"].encode() + _GUID).digest()).decode()
        self.socket.sendall(("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             f"Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: ocpp1.6\r\n\r\n").encode())

    def _read_request(self):
        while b"\r\n\r\n" not in self._buffer:
            self._buffer += self.socket.recv(65536)
        head, self._buffer = self._buffer.split(b"\r\n\r\n", 1)
        pairs = (line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:])
        return {name.strip().lower(): value.strip() for name, _, value in pairs}

    def send_frame(self, opcode, payload=b"", fin=True, mask=False):
        super().send_frame(opcode, payload, fin, mask)

    def send_texts(self, texts):
        """Many messages in as few pieces as the kernel makes of them."""
        self.send_bytes(b"".join(map(_text_frame, texts)))

    def send_bytes(self, data):
        """Sends while it takes what comes meanwhile (for recv()); in one thread, since two may not use a TLS socket at once."""
        self.socket.setblocking(False)
        while data:
            select.select([self.socket], [self.socket], [], DEADLINE)
            with contextlib.suppress(*_NOT_NOW):
                data = data[self.socket.send(data[:_PIECE]):]
            with contextlib.suppress(*_NOT_NOW):
                received = self.socket.recv(_PIECE)
                if not received:
                    raise Disconnected(None)
                self._buffer += received
        self.socket.settimeout(DEADLINE)

    def send_until_stuck(self, texts, seconds):
        """Sends until the peer takes nothing for so long; returns the number of messages begun and the rest of the last one."""
        self.socket.settimeout(seconds)
        for count, text in enumerate(texts, 1):
            data = _text_frame(text)
            while data:
                try:
                    data = data[self.socket.send(data):]
                except TimeoutError:
                    self.socket.settimeout(DEADLINE)
                    return count, data
        raise AssertionError("the peer takes whatever comes")

    def recv_frame(self, timeout=DEADLINE):
        first, second = self._need(2, timeout)
        assert second & 0x80, "a client always masks"
        length = second & 0x7F
        if length >= 126:
            length = int.from_bytes(self._need(2 if length == 126 else 8, timeout), "big")
        key = self._need(4, timeout)
        return bool(first & 0x80), first & 0x0F, _masked(self._need(length, timeout), key)

    def frame(self):
        """The next OCPP frame."""
        return json.loads(self.recv()[1])

    def accept_registration(self, time):
        """Answers BootNotification, and what follows it, until the charge point has nothing to say."""
        boot = self.frame()
        assert boot[2] == "BootNotification"
        self.send_text(json.dumps([3, boot[1], {"status": "Accepted", "currentTime": time, "interval": 3600}]))
        status = self.frame()
        assert status[2] == "StatusNotification"
        self.send_text(json.dumps([3, status[1], {}]))
