# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs the mock CSMS: starts it, gives it commands, reads its log as it comes."""

import json
import os
import pathlib
import subprocess
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEADLINE = 60.0


def binary():
    """The program under test: MOCK_CSMS, or the sanitized build."""
    return os.environ.get("MOCK_CSMS") or str(ROOT / "build" / "asan" / "mock-csms")


class MockCsms:
    """One process. Its log lines are self.events, in order; wait_event() waits for more."""

    def __init__(self, *options, program=None):
        self.events = []
        self._changed = threading.Condition()
        self._ended = False
        self._commands = 0
        self.process = subprocess.Popen([str(program or binary()), *map(str, options)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.stderr = b""
        self._readers = [threading.Thread(target=self._read_log, daemon=True),
                         threading.Thread(target=self._read_stderr, daemon=True)]
        for reader in self._readers:
            reader.start()

    def _read_log(self):
        for line in self.process.stdout:
            event = json.loads(line)
            with self._changed:
                self.events.append(event)
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _read_stderr(self):
        self.stderr = self.process.stderr.read()

    def wait_event(self, event, match=lambda fields: True, start=0, deadline=DEADLINE):
        """The first log line of this kind, from index start on, that match() accepts."""
        end = time.monotonic() + deadline
        with self._changed:
            while True:
                for fields in self.events[start:]:
                    if fields["event"] == event and match(fields):
                        return fields
                left = end - time.monotonic()
                if self._ended or left <= 0 or not self._changed.wait(left):
                    seen = "\n".join(json.dumps(fields)[:300] for fields in self.events[-20:])
                    raise AssertionError(f"no {event} event; the last ones were\n{seen}")

    def mark(self):
        """The index of the next log line, for wait_event(start=...)."""
        with self._changed:
            return len(self.events)

    @property
    def port(self):
        return self.wait_event("listening")["port"]

    def send_line(self, text):
        self.process.stdin.write(text if isinstance(text, bytes) else text.encode() + b"\n")
        self.process.stdin.flush()

    def command(self, text):
        """Runs one command and returns its result, "ok" or what was wrong."""
        start = self.mark()
        self.send_line(text)
        return self.wait_event("command", lambda f: f["text"].strip() == text.strip(), start)["result"]

    def received(self, action=None):
        """The frames that came from the charge point so far."""
        with self._changed:
            return [f for f in self.events
                    if f["event"] == "received" and action in (None, f.get("action"))]

    def wait_received(self, number):
        """The received event with this number, counted from 0."""
        self.wait_event("received", lambda f: len(self.received()) > number)
        return self.received()[number]

    def finish(self):
        """Ends it by closing its standard input; returns (exit code, summary)."""
        if not self.process.stdin.closed:
            self.process.stdin.close()
        return self.wait_exit()

    def wait_exit(self):
        code = self.process.wait(DEADLINE)
        for reader in self._readers:
            reader.join(DEADLINE)
        return code, self.events[-1] if self.events else None

    def stop(self):
        """Cleans up, whatever happened; a sanitizer's report fails the test."""
        if self.process.poll() is None:
            try:
                self.finish()
            except (subprocess.TimeoutExpired, OSError):
                self.process.kill()
                self.wait_exit()
                raise
        else:
            self.wait_exit()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            try:
                pipe.close()
            except OSError:
                pass
        assert b"Sanitizer" not in self.stderr and b"runtime error" not in self.stderr, \
            self.stderr.decode(errors="replace")
