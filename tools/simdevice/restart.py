# SPDX-License-Identifier: LGPL-2.1-or-later
"""`systemctl restart rauc` for a simulated device: a script that any process may run, and who answers it.

RAUC has to stay a child of the process that owns the device, or it would outlive a killed test.  So the script asks,
over a socket, and that process restarts RAUC; the script ends when it has its name on the bus again, 0 if all is well.
"""
import socket
import threading
from pathlib import Path
from typing import Callable

from .process import DEADLINE

_SCRIPT = """#!/usr/bin/python3 -IS
import socket
import sys
with socket.socket(socket.AF_UNIX) as peer:
    peer.settimeout({deadline})
    peer.connect({path!r})
    answer = peer.makefile().read()
sys.exit(answer or None)
"""


class RestartListener:
    """Calls `restart` on a thread of its own, once for every run of the script."""

    def __init__(self, script: Path, socket_path: Path, restart: Callable[[], None]):
        self._restart = restart
        self._path = socket_path
        self._listener = socket.socket(socket.AF_UNIX)
        socket_path.unlink(missing_ok=True)
        self._listener.bind(str(socket_path))
        self._listener.listen()
        script.write_text(_SCRIPT.format(deadline=DEADLINE, path=str(socket_path)))
        script.chmod(0o755)
        self._thread = threading.Thread(target=self._serve, name="restart-rauc", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return                              # closed
            with peer:
                try:
                    self._restart()
                    answer = ""
                except Exception as error:          # the script has to hear of whatever it is
                    answer = f"restart failed: {error}"
                try:
                    peer.sendall(answer.encode())
                except OSError:
                    pass                            # the script was killed

    def close(self) -> None:
        try:
            self._listener.shutdown(socket.SHUT_RDWR)       # wakes accept()
        except OSError:
            pass
        self._thread.join()
        self._listener.close()
        self._path.unlink(missing_ok=True)
