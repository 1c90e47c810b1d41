# SPDX-License-Identifier: LGPL-2.1-or-later
"""A private bus in the place of the system bus."""
import os
from pathlib import Path
from typing import Optional
from urllib.parse import quote
from xml.sax.saxutils import escape

from .process import Process

_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>{address}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
  </policy>
</busconfig>
"""


class Bus:
    """dbus-daemon with a socket in `socket_dir` (whose name must be short) and its other files in `root`."""

    def __init__(self, root: Path, socket_dir: Path):
        self._root = root
        self._socket = socket_dir / "bus"
        self.address = "unix:path=" + quote(str(self._socket)).replace("~", "%7E")
        self._process: Optional[Process] = None

    def start(self) -> None:
        """Returns when the bus takes connections."""
        if self._process and self._process.running():
            return
        self.stop()
        self._socket.unlink(missing_ok=True)        # of a bus that was killed with its owner
        config = self._root / "bus.conf"
        config.write_text(_CONFIG.format(address=escape(self.address)))
        self._process = Process(
            ["dbus-daemon", f"--config-file={config}", "--nofork", "--nopidfile", "--nosyslog", "--print-address=1"],
            log=self._root / "bus.log", env=dict(os.environ), pid_file=self._root / "bus.pid", pipe=True)
        if not self._process.first_line():
            self.stop()
            raise RuntimeError("dbus-daemon does not start: " + (self._root / "bus.log").read_text())

    def stop(self) -> None:
        if self._process:
            self._process.kill()
            self._process = None
            self._socket.unlink(missing_ok=True)
