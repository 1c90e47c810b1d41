# SPDX-License-Identifier: LGPL-2.1-or-later
"""A disk that forgets: an NBD server for one guest, which knows what was written since the guest's last FLUSH.

    disk = Disk(folder / "disk.raw", folder / "disk.sock")      # serves at once
    disk.power_cut(random)      # after the guest was killed; `random` decides what of the unsynced writes is lost

As on a disk with a volatile cache, a write is in the guest's view at once, and safe when a FLUSH that came later has been
answered, or when it was sent with FUA.  A power cut keeps a random part of the others, in any order, torn between the blocks that flash is
programmed in: ext4 takes it that its superblock is written whole.
"""
import collections
import mmap
import socket
import struct
import threading

BLOCK = 4096
REQUEST_MAX = 64 << 20              # bytes of one request; QEMU's own limit is 32 MiB

# The protocol's numbers (NBD's doc/proto.md), as far as they are wanted.
NBD_MAGIC, OPTION_MAGIC, OPTION_REPLY = 0x4e42444d41474943, 0x49484156454f5054, 0x3e889045565a9
REQUEST_MAGIC, REPLY_MAGIC = 0x25609513, 0x67446698
FIXED_NEWSTYLE = 1
OPTION_ABORT, OPTION_GO = 2, 7
REPLY_ACK, REPLY_INFO, REPLY_UNSUPPORTED = 1, 3, 1 << 31 | 1
HAS_FLAGS, SEND_FLUSH, SEND_FUA, SEND_WRITE_ZEROES = 1, 1 << 2, 1 << 3, 1 << 6
READ, WRITE, DISCONNECT, FLUSH, WRITE_ZEROES = 0, 1, 2, 3, 6
FUA = 1
EINVAL = 22


class Gone(Exception):
    """The guest has hung up."""


class Disk:
    """`path` is changed in place.  One guest at a time; close() ends the server."""

    def __init__(self, path, address):
        self.address = address
        self._file = open(path, "r+b")
        self._bytes = mmap.mmap(self._file.fileno(), 0)
        self._unsynced = []         # (offset, before, after), oldest first
        self._idle = threading.Event()
        self._idle.set()
        self.forgotten = 0          # bytes, in all power cuts
        self.written = collections.Counter()    # bytes, by the MiB of the disk that they went to
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(address))
        self._listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self):
        self._listener.close()
        self._idle.wait()
        self._bytes.close()
        self._file.close()

    def power_cut(self, random=None):
        """Call it when the guest is dead.  Without `random` nothing is lost: only the guest died, not the disk's cache."""
        self._idle.wait()
        if random:
            for offset, before, _ in reversed(self._unsynced):
                self._bytes[offset:offset + len(before)] = before
            kept_share = random.random()
            for offset, before, after in self._unsynced:
                self._land(random, kept_share, offset, before, after)
        self._unsynced.clear()

    def _land(self, random, kept_share, offset, before, after):
        """What one unsynced write leaves: nothing, all, or its beginning."""
        length = len(after) if random.random() < kept_share else 0
        if length and random.random() < 0.25:
            cut = random.randrange(offset, offset + length)
            length = max(0, cut // BLOCK * BLOCK - offset)
        self._bytes[offset:offset + length] = after[:length]
        if before[length:] != after[length:]:
            self.forgotten += len(after) - length

    def content(self, offset, length):
        return self._bytes[offset:offset + length]

    def sync(self):
        """All that was written is safe: for a disk whose state is kept together with the guest's."""
        self._unsynced.clear()
        self._bytes.flush()

    # ---------------------------------------------------------------------------------------------- protocol

    def _serve(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:         # close()
                return
            self._idle.clear()
            try:
                with connection:
                    if self._negotiate(connection):
                        self._transmit(connection)
            except (Gone, OSError):
                pass
            finally:
                self._idle.set()

    @staticmethod
    def _receive(connection, length):
        data = bytearray(length)
        view = memoryview(data)
        while view:
            count = connection.recv_into(view)
            if not count:
                raise Gone
            view = view[count:]
        return bytes(data)

    def _negotiate(self, connection):
        connection.sendall(struct.pack(">QQH", NBD_MAGIC, OPTION_MAGIC, FIXED_NEWSTYLE))
        self._receive(connection, 4)
        while True:
            _, option, length = struct.unpack(">QII", self._receive(connection, 16))
            self._receive(connection, length)

            def reply(kind, data=b"", option=option):
                connection.sendall(struct.pack(">QIII", OPTION_REPLY, option, kind, len(data)) + data)
            if option == OPTION_GO:
                flags = HAS_FLAGS | SEND_FLUSH | SEND_FUA | SEND_WRITE_ZEROES
                reply(REPLY_INFO, struct.pack(">HQH", 0, len(self._bytes), flags))
                reply(REPLY_ACK)
                return True
            if option == OPTION_ABORT:
                reply(REPLY_ACK)
                return False
            reply(REPLY_UNSUPPORTED)

    def _transmit(self, connection):
        while True:
            magic, flags, kind, handle, offset, length = struct.unpack(">IHHQQI", self._receive(connection, 28))
            if magic != REQUEST_MAGIC or kind == DISCONNECT or length > REQUEST_MAX:
                return
            data = self._receive(connection, length) if kind == WRITE else bytes(length) if kind == WRITE_ZEROES else b""
            error = 0 if offset + length <= len(self._bytes) else EINVAL
            answer = b""
            if kind == READ and not error:
                answer = self._bytes[offset:offset + length]
            elif kind in (WRITE, WRITE_ZEROES) and not error:
                self._write(offset, data, flags & FUA)
            elif kind == FLUSH:
                self._unsynced.clear()
            elif kind != READ:
                error = EINVAL
            connection.sendall(struct.pack(">IIQ", REPLY_MAGIC, error, handle) + answer)

    def _write(self, offset, data, durable):
        end = offset + len(data)
        self.written[offset >> 20] += len(data)
        if durable:     # alone: what was written before it and is not synced may still be lost
            self._make_durable(offset, data)
        else:
            self._unsynced.append((offset, self._bytes[offset:end], data))
        self._bytes[offset:end] = data

    def _make_durable(self, offset, data):
        """Whichever of the earlier writes are forgotten, this one stays: it becomes part of their `before` and `after`."""
        end = offset + len(data)
        for index, (start, before, after) in enumerate(self._unsynced):
            low, high = max(start, offset), min(start + len(before), end)
            if low < high:
                piece = data[low - offset:high - offset]
                before = before[:low - start] + piece + before[high - start:]
                after = after[:low - start] + piece + after[high - start:]
                self._unsynced[index] = (start, before, after)
